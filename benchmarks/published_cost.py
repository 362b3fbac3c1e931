"""What pretraining at the published size costs: floating-point operations counted, hours projected, nothing timed.

    python benchmarks/published_cost.py [--preset paper-spikes] [--units 60]

One pair of views goes through encoder, objective and backward pass, and torch counts the matrix products. Hours follow for a rate of operations that you measured, or believe
in, on your machine.
"""
from __future__ import annotations

import argparse

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import nuclr_lite as nl


def count(preset: nl.Preset, units: int) -> float:
    """Floating-point operations of one step, with `units` active units in each view."""
    model, pairs = preset.model, 1                                           # the count is proportional to the number of pairs
    encoder, loss = nl.NuCLR(model), nl.ContrastiveLoss(model.dim)
    sizes, ids = torch.full((pairs,), units), torch.arange(units).repeat(pairs)
    tokens = torch.zeros(pairs * units, model.tokens_per_window, model.samples_per_token)
    # The counter knows matrix products, not every fused attention: let attention be written out.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss(encoder(tokens, sizes), encoder(tokens, sizes), ids, ids, sizes, sizes).total.backward()
    return counter.get_total_flops() * preset.train.batch_size / pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper-spikes", choices=[name for name in nl.PRESETS if not name.startswith("quick")])
    parser.add_argument("--units", type=int, default=60, help="active units of a population in a view")
    options = parser.parse_args()
    preset = nl.PRESETS[options.preset]
    step = count(preset, options.units)
    total = step * preset.train.steps
    print(f"{options.preset}, {preset.train.batch_size} pairs of views of {options.units} units: {step / 1e12:.2f} TFLOP a step, {total / 1e15:.0f} PFLOP in {preset.train.steps:,} steps")
    for rate in (20, 100, 300):
        print(f"  at {rate} TFLOP/s sustained: {total / rate / 1e12 / 3600:.1f} h (projected)")


if __name__ == "__main__":
    main()
