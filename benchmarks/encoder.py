"""Encoder forward + backward, and a plain reference of the same mathematics, in one run.

    python benchmarks/encoder.py [--size paper|quick] [--repeats 5] \\
        [--out results/benchmark_encoder.csv]

For each setting the two are timed in turn (ours, plain, ours, plain, ...); the ratio is the median
over the pairs of plain / ours, so above 1 ours is faster. Both are first compared: they must agree
to 1e-5.
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
        f" seed {options.seed}; medians of {options.repeats} pairs; population sizes vary by +-50 %"
        " around `units`"
    )
    print(table.round(3).to_string(index=False))
    if options.out:
        table.to_csv(options.out, index=False, float_format="%.4f")


def measure(config: nl.ModelConfig, setting: dict, repeats: int, seed: int) -> dict:
    """Seconds of one forward + backward of each, and their ratio."""
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

    def seconds(forward) -> float:
        model.zero_grad()
        started = time.perf_counter()
        forward(tokens, sizes).square().sum().backward()
        return time.perf_counter() - started

    runs = {"ours": model, "plain": lambda *views: plain_forward(model, *views)}
    for forward in runs.values():  # warm up
        seconds(forward)
    pairs = np.array([[seconds(forward) for forward in runs.values()] for _ in range(repeats)])
    return {
        **setting,
        "units_in_all": int(sizes.sum()),
        "ours_s": np.median(pairs[:, 0]),
        "plain_s": np.median(pairs[:, 1]),
        "plain_over_ours": np.median(pairs[:, 1] / pairs[:, 0]),
    }


if __name__ == "__main__":
    main()
