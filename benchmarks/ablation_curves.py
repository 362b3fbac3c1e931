"""What in the recipe matters when training is long enough: the learning curve of `quick` and of
each recipe with one choice changed, on simulated animals.

    python benchmarks/ablation_curves.py [--blocks 3] [--steps 1600] [--seeds 0 1] \\
        [--out results/ablation_curves.csv] [--figure results/figures/ablation_curves.png]

Spikes, 14 animals to learn from and 6 new ones (data seed 201, on which nothing was chosen); macro
F1 of cell type, inductive zero-shot, read off eight times in each training. A curve that still
rises in its last quarter says only what a recipe costs in time; one that is flat, what it costs.
The encoder has the single block of `quick`, or three (one over time, two over both), as the paper's
in small.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from speedrun import DEEPER, N_ANIMALS, seconds_and_scores

import nuclr_lite as nl
from nuclr_lite.files.storage import atomic_file

CHANGES: dict[str, dict] = {
    "NuCLR": {},
    "without spatial attention": {"spatial_attention": False},
    "both views the same window": {"max_distance_s": 0.0},
    "VICReg": {"objective": "vicreg"},
    "with unit dropout": {"kept_share": (0.5, 1.0)},
    "AdamW": {"optimizer": "adamw", "learning_rate": 2e-3},
    "second view within 30 s": {"max_distance_s": 30.0},
    "textbook temperature": {"scale_within_view": True},
    "InfoNCE": {"objective": "info-nce"},
}
DATA_SEED, READINGS = 201, 8


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, choices=[1, 3], default=3, help="of the encoder")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of the encoder")
    parser.add_argument("--out", type=Path, help="the curves, as CSV")
    parser.add_argument("--figure", type=Path, help="the curves, drawn (.png)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recordings = nl.simulate_recordings(N_ANIMALS, seed=DATA_SEED)
    curves: list[pd.DataFrame] = []
    for recipe, changes in CHANGES.items():
        for seed in options.seeds:
            preset = nl.PRESETS["quick"].with_(
                steps=options.steps, seed=seed, **changes, **(DEEPER if options.blocks == 3 else {})
            )
            curve = seconds_and_scores(recordings, preset, READINGS, None)
            curves.append(curve.assign(recipe=recipe, seed=seed))
            if options.out:
                with atomic_file(options.out) as partial:
                    pd.concat(curves).round(4).to_csv(partial, index=False)
        print(in_short(pd.concat(curves[-len(options.seeds) :])).to_string(header=False))
    print(in_short(pd.concat(curves)).to_string())
    if options.figure:
        drawn(pd.concat(curves)).savefig(options.figure, dpi=110, bbox_inches="tight")


def drawn(curves: pd.DataFrame) -> Figure:
    """A line a recipe, the mean of its seeds; the band goes from the lowest to the highest."""
    of_recipe = curves.groupby(["recipe", "step"], sort=False)["estimate"]
    table = of_recipe.agg(estimate="mean", low="min", high="max").reset_index()
    return nl.plots.curves(
        table,
        "step",
        by="recipe",
        xlabel="steps of training",
        doublings=False,
        title="cell type in six new animals, one choice changed (simulated)",
    )


def in_short(curves: pd.DataFrame) -> pd.DataFrame:
    """For each recipe, means over seeds: the score a quarter of the way, halfway, after three
    quarters and at the end.
    """
    steps = sorted(curves["step"].unique())
    quarters = [steps[len(steps) * quarter // 4 - 1] for quarter in (1, 2, 3, 4)]
    wide = curves.pivot_table(index="recipe", columns="step", values="estimate", sort=False)
    return wide[quarters].round(3)


if __name__ == "__main__":
    main()
