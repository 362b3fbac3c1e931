"""What pretraining at the published size costs, and what larger data sets would: operations and
memory counted, disk measured, hours projected.

    python benchmarks/cost.py [--preset paper-spikes] [--tflops 100] \\
        [--out results/benchmark_cost.csv]

Counted: the floating-point operations of a step's matrix products, and the bytes that its forward
pass keeps for the backward one, at several numbers of units and tokens; from them formulas, whose
largest error is printed. Measured: the bytes of a saved recording. *Projected* from these: what
whole data sets take, at a rate of operations that you measured (`benchmarks/gpu.py`) or believe in.
Nothing here is timed.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import nuclr_lite as nl
from nuclr_lite.pretrained import build

# Recordings, units of one, hours of one, animals. Allen: 58 sessions of 2.5 h with six probes
# (`data/README.md`), 23,524 units that passed quality control; IBL: as the Brain-wide Map is
# described (699 insertions, 75,708 good units, sessions of 1.2 h; second-hand).
SETS = pd.DataFrame(
    [
        ("Allen Visual Coding, whole", 348, 68, 2.5, 58),
        ("IBL Brain-wide Map", 699, 108, 1.2, 139),
        ("ten times the IBL map", 6990, 108, 1.2, 1390),
    ],
    columns=["data", "recordings", "units", "hours", "animals"],
)
RATE_HZ = 8.0  # assumed: mean rate of a unit


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--preset",
        default="paper-spikes",
        choices=[name for name in nl.PRESETS if not name.startswith("quick")],
    )
    parser.add_argument(
        "--units", type=int, default=60, help="active units of a population in a view"
    )
    parser.add_argument(
        "--tflops",
        type=float,
        default=100.0,
        help="operations a second that your GPU sustains, in 10^12",
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    preset = nl.PRESETS[options.preset]
    counts = count(preset.with_(dropout=0.0))
    print(counts.to_string(index=False, float_format="%.4g"))
    for what in ("operations", "bytes_kept"):
        formula, error = fit(counts, what)
        print(
            f"{what} of one population in one view = "
            + " + ".join(f"{value:.4g} {name}" for name, value in formula.items())
            + f"; U units, L tokens; largest relative error {error:.1e}"
        )
    step = (
        2
        * preset.train.batch_size
        * predict(fit(counts, "operations")[0], options.units, preset.model.tokens_per_window)
    )
    total = step * preset.train.steps
    print(
        f"{options.preset}, {preset.train.batch_size} pairs of views of {options.units} units:"
        f" {step / 1e12:.2f} TFLOP a step, {total / 1e15:.0f} PFLOP in {preset.train.steps:,}"
        f" steps; {total / options.tflops / 1e12 / 3600:.1f} h at {options.tflops:g} TFLOP/s"
        " (projected)"
    )
    weights, length = fit(counts, "operations")[0], preset.model.tokens_per_window
    print(
        "populations of 10 to 150 units side by side: padding adds"
        f" {padding(weights, length):.1%} of the"
        " operations (the encoder pads in attention over the population only); "
        f"everything padded: {padding(weights, length, everything=True):.0%}"
    )
    table = projected(counts, preset, options.tflops)
    print(table.to_string(index=False, float_format="%.3g"))
    if options.out:
        table.to_csv(options.out, index=False, float_format="%.4g")


def operations(preset: nl.Preset, tokens, sizes) -> float:
    """Floating-point operations of forward and backward of the encoder, counted without computing
    anything. (The objective adds about a hundredth.)
    """
    with torch.device("meta"):
        encoder, _ = build(preset)
    # the counter doesn't know every fused attention
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        encoder(tokens.to("meta"), sizes).sum().backward()
    return float(counter.get_total_flops())


def bytes_kept(preset: nl.Preset, tokens, sizes) -> int:
    """What a forward pass of the encoder keeps for the backward one, its weights aside."""
    encoder, _ = build(preset)
    weights = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoder(tokens, sizes)
    return sum(kept.values())


def count(preset: nl.Preset) -> pd.DataFrame:
    """Operations and bytes kept for one population in one view, float32, at several numbers of
    units and tokens.
    """
    rows = []
    for units in (10, 30, 60, 150, 300):
        for length in (5, 10, 20):
            sized = replace(preset, model=replace(preset.model, tokens_per_window=length))
            tokens = torch.zeros(units, length, preset.model.samples_per_token)
            sizes = torch.tensor([units])
            rows.append(
                {
                    "units": units,
                    "tokens": length,
                    "operations": operations(sized, tokens, sizes),
                    "bytes_kept": bytes_kept(sized, tokens, sizes),
                }
            )
    return pd.DataFrame(rows)


def terms(units, length) -> np.ndarray:
    """What the costs are made of: U L (all layers in which units and tokens don't meet), U L^2
    (attention over time), U^2 L (over the population).
    """
    units, length = np.asarray(units, dtype=float), np.asarray(length, dtype=float)
    return np.stack([units * length, units * length**2, units**2 * length], axis=-1)


def fit(counts: pd.DataFrame, what: str) -> tuple[dict[str, float], float]:
    """Coefficients of `terms`, and the largest relative error of the formula."""
    wanted, made_of = counts[what].to_numpy(), terms(counts["units"], counts["tokens"])
    # relative errors count
    values = np.linalg.lstsq(made_of / wanted[:, None], np.ones(len(wanted)), rcond=None)[0]
    return dict(zip(("U L", "U L^2", "U^2 L"), values)), float(
        np.abs(made_of @ values / wanted - 1).max()
    )


def predict(formula: dict[str, float], units, length) -> float:
    return float(terms(units, length) @ np.array(list(formula.values())))


def padding(formula: dict[str, float], length: int, everything: bool = False) -> float:
    """What padding populations of 10 to 150 units (evenly spread) to the widest adds, as a share of
    the operations without it.
    """
    units = np.arange(10, 151)
    made_of, padded = terms(units, length), terms(np.full(len(units), units.max()), length)
    # only the products over the population grow
    grown = np.where([everything, everything, True], padded, made_of)
    return float(
        (grown @ np.array(list(formula.values()))).sum()
        / (made_of @ np.array(list(formula.values()))).sum()
        - 1
    )


def bytes_a_spike() -> float:
    """Of a saved recording, its tables included."""
    recording = nl.simulate_recordings(n_animals=1)[0]
    with tempfile.TemporaryDirectory() as folder:
        saved = recording.save(Path(folder) / "one")
        return sum(file.stat().st_size for file in saved.iterdir()) / len(recording.times)


def projected(counts: pd.DataFrame, preset: nl.Preset, tflops: float) -> pd.DataFrame:
    """Whole data sets: disk, an epoch, the published number of steps, embedding everything once."""
    work, kept, size, length = (
        fit(counts, "operations")[0],
        fit(counts, "bytes_kept")[0],
        bytes_a_spike(),
        preset.model.tokens_per_window,
    )
    per_second, train = tflops * 1e12, preset.train
    rows = []
    for data in SETS.itertuples():
        views = data.recordings * data.hours * 3600 / preset.model.window_s
        one = predict(work, data.units, length)
        rows.append(
            {
                "data": data.data,
                "recordings": data.recordings,
                "units_in_all": data.recordings * data.units,
                "disk_gb": data.recordings * data.units * data.hours * 3600 * RATE_HZ * size / 1e9,
                "steps_an_epoch": views / train.batch_size,
                "hours_an_epoch": 2 * views * one / per_second / 3600,
                "hours_recipe": 2 * train.batch_size * train.steps * one / per_second / 3600,
                "epochs_in_recipe": train.steps * train.batch_size / views,
                "gb_kept_a_step_bf16": (
                    2 * train.batch_size * predict(kept, data.units, length) / 2e9
                ),
                # forward alone is a third
                "hours_to_embed_all": views * one / 3 / per_second / 3600,
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
