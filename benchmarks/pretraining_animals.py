"""Held-out score against the number of animals that the encoder is pretrained on, while it learns,
on simulated animals.

    python benchmarks/pretraining_animals.py --world assemblies --modality spikes --seeds 0 1 2 \\
        [--animals 2 16] [--steps 3000] [--readings 6] [--out results/pretraining_animals.csv]

For each seed (of the animals and of the encoder): `max(animals)` animals to learn from and 6 more
that neither encoder nor classifier sees. The classifier's labels come from the animals that the
encoder saw ("the same"), as for someone who has recorded so many animals and no more; and, with the
encoders as they are, from all animals to learn from ("all"), which leaves the effect of pretraining
alone. Scores are macro F1 of the cell type, read off `readings` times in each training; beside them
that of the coupling to the population, made by hand, with the labels of all.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
import torch
from scipy import stats

import nuclr_lite as nl
from nuclr_lite import experiments
from nuclr_lite.sources.simulated import WORLDS

HELD_OUT = 6


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", choices=list(WORLDS), default="assemblies")
    parser.add_argument("--modality", choices=["spikes", "calcium"], default="spikes")
    parser.add_argument("--animals", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--readings", type=int, default=6, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in options.seeds:
        rows += measure(options, seed)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).round(4).to_csv(options.out, index=False)
    table = pd.DataFrame(rows)
    print(
        table.pivot_table(
            index=["labels_from", "animals"], columns=["step", "seed"], values="macro_f1"
        ).round(3)
    )
    print(gains(table).round(3).to_string())


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """After the last step, means over seeds with 95 % t intervals: what the largest number of
    animals adds to the smallest, and to the coupling by hand.
    """
    last = table[table["step"] == table["step"].max()]
    wide = last.pivot_table(index="seed", columns=["labels_from", "animals"], values="macro_f1")
    by_hand = table[table["labels_from"] == "all, by hand"].set_index("seed")["macro_f1"]
    few, many = min(last["animals"]), max(last["animals"])
    differences = {
        f"labels of {labels}: {many} animals minus {few}": wide[labels, many] - wide[labels, few]
        for labels in ("the same", "all")
    } | {f"{many} animals minus the coupling by hand": wide["all", many] - by_hand}
    return pd.DataFrame(
        {
            name: [seeds.mean(), *stats.t.interval(0.95, len(seeds) - 1, seeds.mean(), seeds.sem())]
            for name, seeds in differences.items()
        },
        index=["mean", "low", "high"],
    ).T


def measure(options, seed: int) -> list[dict]:
    """The rows of one seed: its animals, and one training for each number of them."""
    recordings = nl.simulate_recordings(
        max(options.animals) + HELD_OUT, options.modality, seed=seed, world=options.world
    )
    units = nl.units_table(recordings)
    animals = [recording.animal_id for recording in recordings]
    held_out = animals[-HELD_OUT:]
    every = options.steps // options.readings
    name = experiments.animals("simulated", options.modality, options.world).choices["preset"]
    preset = nl.PRESETS[name].with_(
        steps=options.steps,
        seed=seed,
        log_every=every,
        checkpoint_every=every,
    )
    common = {"world": options.world, "modality": options.modality, "seed": seed}
    by_hand = nl.decode(
        nl.baselines.population_coupling(recordings),
        units["cell_type"],
        units["animal_id"],
        test_groups=held_out,
    )
    rows = [
        common
        | {"labels_from": "all, by hand", "animals": len(animals) - HELD_OUT, "step": 0}
        | _macro_f1(by_hand.scores.set_index("metric").loc["macro_f1"])
    ]
    for n in options.animals:
        with tempfile.TemporaryDirectory() as folder:
            nl.pretrain(recordings[:n], preset, folder, keep_all=True)
            for labels_from, learn_from in (
                ("the same", animals[:n]),
                ("all", animals[:-HELD_OUT]),
            ):
                known = units["animal_id"].isin([*learn_from, *held_out])
                curve = nl.learning_curve(
                    folder,
                    recordings,
                    units["cell_type"].where(known),
                    units["animal_id"],
                    held_out,
                )
                for row in curve.to_dict("records"):
                    rows.append(
                        common
                        | {"labels_from": labels_from, "animals": n, "step": row["step"]}
                        | _macro_f1(row)
                    )
    return rows


def _macro_f1(score) -> dict:
    return {"macro_f1": score["estimate"], "low": score["low"], "high": score["high"]}


if __name__ == "__main__":
    main()
