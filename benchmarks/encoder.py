"""Encoder forward + backward, and a plain reference of the same mathematics, in one run.

    python benchmarks/encoder.py [--size paper|quick] [--repeats 5] \\
        [--out results/benchmark_encoder.csv]

For each setting they are timed in turn (ours, plain, ours in bfloat16, ours, ...); ratios are
medians over these rounds: plain / ours and ours / ours in bfloat16, above 1 where what divides is
faster. Before, ours and plain must agree to 1e-5, and bfloat16 with float32 to 1e-2. A CPU without
products of bfloat16 only emulates them: there the last ratio is far below 1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from plain import plain_forward
from tqdm.auto import tqdm

import nuclr_lite as nl

BASE = {"populations": 8, "units": 60, "tokens": 10}
GROWTH = {"units": [15, 30, 60, 120], "tokens": [5, 10, 20], "populations": [2, 4, 8, 16]}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=["paper", "quick"], default="paper")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    preset = nl.PRESETS["paper-spikes" if options.size == "paper" else "quick"]
    settings = [BASE] + [
        BASE | {name: value}
        for name, values in GROWTH.items()
        for value in values
        if value != BASE[name]
    ]
    rows = [
        measure(preset.model, setting, options.repeats, options.seed)
        for setting in tqdm(settings, unit="setting")
    ]
    table = pd.DataFrame(rows)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads, size {options.size},"
        f" seed {options.seed}; medians of {options.repeats} rounds; population sizes vary by +-50"
        " % around `units`"
    )
    print(table.round(3).to_string(index=False))
    if options.out:
        table.to_csv(options.out, index=False, float_format="%.4f")


def measure(config: nl.ModelConfig, setting: dict, repeats: int, seed: int) -> dict:
    """Seconds of one forward + backward of each, and their ratios."""
    from dataclasses import replace

    generator = torch.Generator().manual_seed(seed)
    config = replace(config, tokens_per_window=setting["tokens"], dropout=0.0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nl.NuCLR(config)
    spread = torch.linspace(0.5, 1.5, setting["populations"])
    sizes = (setting["units"] * spread).round().long()
    tokens = torch.poisson(
        torch.full((int(sizes.sum()), config.tokens_per_window, config.samples_per_token), 0.1),
        generator=generator,
    )
    ours, plain = model(tokens, sizes), plain_forward(model, tokens, sizes)
    error = ((ours - plain).norm() / plain.norm()).item()
    if error > 1e-5:
        raise AssertionError(f"the encoder and the plain reference differ by {error:.1e}")

    def in_half(*views):
        with torch.autocast("cpu", torch.bfloat16):
            return model(*views).float()

    half_error = ((ours - in_half(tokens, sizes)).norm() / ours.norm()).item()
    if half_error > 1e-2:
        raise AssertionError(f"vectors in bfloat16 and in float32 differ by {half_error:.1e}")

    def seconds(forward) -> float:
        model.zero_grad()
        started = time.perf_counter()
        forward(tokens, sizes).square().sum().backward()
        return time.perf_counter() - started

    runs = (model, lambda *views: plain_forward(model, *views), in_half)
    for forward in runs:  # warm up
        seconds(forward)
    ours_s, plain_s, half_s = np.array(
        [[seconds(forward) for forward in runs] for _ in range(repeats)]
    ).T
    return {
        **setting,
        "units_in_all": int(sizes.sum()),
        "ours_s": np.median(ours_s),
        "plain_s": np.median(plain_s),
        "ours_bf16_s": np.median(half_s),
        "plain_over_ours": np.median(plain_s / ours_s),
        "ours_over_bf16": np.median(ours_s / half_s),
        "bf16_error": half_error,
    }


if __name__ == "__main__":
    main()
