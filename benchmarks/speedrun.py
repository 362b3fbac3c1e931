"""How long until the claims can be seen: seconds of training until the cell types of new animals
are read well, for the recipe of today and for that of before.

    python benchmarks/speedrun.py [--modality spikes calcium] [--seeds 201 202 203] \\
        [--out results/speedrun.csv]

Simulated animals, 14 to learn from and 6 new ones; macro F1 of cell type, inductive zero-shot, read
off twelve times in each training. The recipes of one data seed are trained one after the other in
this process, on one thread. Seconds are those of its CPU, in training alone (reading off is not
among them): what a quiet core takes, even where other programs run beside. The seeds are not those
on which the recipes were chosen (101, 102) nor those of the notebooks (0, 1).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

import nuclr_lite as nl

GOAL = {"spikes": 0.90, "calcium": 0.75}  # macro F1
PRESET = {"spikes": "quick", "calcium": "quick-calcium"}
# What differed before: AdamW, two blocks after one over time, second views from far away, a part of
# the units left out; in calcium tokens of four frames and windows of 30 s.
DEEPER = dict(temporal_layers=1, spatiotemporal_layers=2)
BEFORE = {
    "spikes": dict(
        **DEEPER,
        optimizer="adamw",
        learning_rate=2e-3,
        max_distance_s=30.0,
        kept_share=(0.5, 1.0),
        steps=3200,
    ),
    "calcium": dict(
        **DEEPER,
        optimizer="adamw",
        learning_rate=5e-4,
        warmup_steps=100,
        samples_per_token=4,
        tokens_per_window=32,
        max_distance_s=240.0,
        kept_share=(0.5, 1.0),
        steps=2400,
    ),
}
N_ANIMALS, N_NEW = 20, 6


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modality", nargs="+", choices=list(GOAL), default=list(GOAL))
    parser.add_argument("--seeds", nargs="+", type=int, default=[201, 202, 203])
    parser.add_argument("--readings", type=int, default=12, help="of each training")
    parser.add_argument("--steps", type=int, help="at most so many in each training")
    parser.add_argument("--out", type=Path, help="the learning curves, as CSV")
    options = parser.parse_args()
    torch.set_num_threads(1)
    curves = []
    for modality in options.modality:
        for seed in options.seeds:
            recordings = nl.simulate_recordings(N_ANIMALS, modality, seed)
            for recipe, changes in (("before", BEFORE[modality]), ("now", {})):
                preset = nl.PRESETS[PRESET[modality]].with_(**changes)
                curve = seconds_and_scores(recordings, preset, options.readings, options.steps)
                curve = curve.assign(modality=modality, data_seed=seed, recipe=recipe)
                curves.append(curve)
                print(reached(curve).to_string(index=False, header=False), flush=True)
    table = pd.concat(curves)
    if options.out:
        table.round(4).to_csv(options.out, index=False)
    done = reached(table)
    wide = done.pivot(index=["modality", "data_seed"], columns="recipe", values="seconds")
    print(done.to_string(index=False))
    print((wide["before"] / wide["now"]).rename("before over now, seconds").round(1).to_string())


def seconds_and_scores(
    recordings: list[nl.Recording], preset: nl.Preset, readings: int, most: int | None
) -> pd.DataFrame:
    """The learning curve of one training: step, seconds, macro F1 with its interval."""
    steps = min(preset.train.steps, most or preset.train.steps)
    every = max(1, steps // readings)
    preset = preset.with_(steps=steps, log_every=every, checkpoint_every=every)
    units = nl.units_table(recordings)
    new = [recording.animal_id for recording in recordings[-N_NEW:]]
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        nl.pretrain(recordings[:-N_NEW], preset, folder, keep_all=True, device="cpu")
        seconds = time.process_time() - started
        curve = nl.learning_curve(folder, recordings, units["cell_type"], units["animal_id"], new)
    return curve.assign(seconds=curve["step"] * seconds / steps)


def reached(curves: pd.DataFrame) -> pd.DataFrame:
    """Step and seconds at which each training first reached its goal (NaN: never), and its last
    score.
    """
    rows = []
    for (modality, seed, recipe), curve in curves.groupby(
        ["modality", "data_seed", "recipe"], sort=False
    ):
        there = curve[curve["estimate"] >= GOAL[modality]].head(1)
        rows.append(
            {
                "modality": modality,
                "data_seed": seed,
                "recipe": recipe,
                "goal": GOAL[modality],
                "steps": there["step"].squeeze() if len(there) else float("nan"),
                "seconds": there["seconds"].squeeze() if len(there) else float("nan"),
                "last": curve["estimate"].iloc[-1],
                "seconds a step": curve["seconds"].iloc[-1] / curve["step"].iloc[-1],
            }
        )
    return pd.DataFrame(rows).round(3)


if __name__ == "__main__":
    main()
