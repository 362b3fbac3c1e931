"""Held-out score against the number of animals that the encoder is pretrained on, at equal steps,
on simulated animals.

    python benchmarks/pretraining_animals.py --modality calcium --seeds 0 1 2 \\
        [--animals 2 16] [--steps 1200] [--out results/pretraining_animals.csv]

For each seed: `max(animals)` animals to learn from and 6 more that neither encoder nor classifier
sees. The classifier's labels come from the animals that the encoder saw ("the same"), as for
someone who has recorded so many animals and no more; and, with the encoders as they are, from all
animals to learn from ("all"), which leaves the effect of pretraining alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import nuclr_lite as nl

HELD_OUT = 6


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modality", choices=("spikes", "calcium"), default="calcium")
    parser.add_argument("--animals", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [row for seed in options.seeds for row in measure(options, seed)]
    table = pd.DataFrame(rows)
    print(
        table.pivot_table(
            index=["modality", "label", "labels_from", "seed"], columns="animals", values="macro_f1"
        ).round(3)
    )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        table.round(4).to_csv(options.out, index=False)


def measure(options, seed: int):
    recordings = nl.simulate_recordings(
        max(options.animals) + HELD_OUT, options.modality, seed=seed
    )
    units = nl.units_table(recordings)
    animals = [recording.animal_id for recording in recordings]
    held_out = animals[-HELD_OUT:]
    preset = nl.PRESETS["quick" if options.modality == "spikes" else "quick-calcium"].with_(
        steps=options.steps, seed=seed
    )
    for n in options.animals:
        encoder = nl.pretrain(recordings[:n], preset).encoder
        embedding = nl.embed(encoder, recordings)
        for labels_from, learn_from in (("the same", animals[:n]), ("all", animals[:-HELD_OUT])):
            rows = embedding[
                units["animal_id"].reindex(embedding.index).isin([*learn_from, *held_out])
            ]
            for label in ("cell_type", "area"):
                result = nl.decode(
                    rows, units[label], units["animal_id"], test_groups=held_out, seed=seed
                )
                score = result.scores.set_index("metric").loc["macro_f1"]
                yield {
                    "modality": options.modality,
                    "label": label,
                    "seed": seed,
                    "steps": options.steps,
                    "animals": n,
                    "labels_from": labels_from,
                    "macro_f1": score["estimate"],
                    "low": score["low"],
                    "high": score["high"],
                }


if __name__ == "__main__":
    main()
