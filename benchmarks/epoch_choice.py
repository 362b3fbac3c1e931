"""What it is worth to choose the epoch by the labels that are tested: every checkpoint of a few
trainings on the rats, scored on rats that neither encoder nor classifier saw.

    python benchmarks/epoch_choice.py data/processed/rat_decisions --seeds 0 1 \\
        --out results/rats_epoch_choice.csv [--steps 800] [--checkpoints 4]

Beside the last step and the best of all checkpoints stands what an honest choice finds: the
checkpoint that reads one training rat best when taught by the others, in turn.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

import nuclr_lite as nl
from nuclr_lite.files.storage import atomic_file
from nuclr_lite.pretrained import checkpoints_in
from nuclr_lite.sources.folder import read_folder
from nuclr_lite.sources.published.rat_decisions import GROUPS


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--checkpoints", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    recordings = read_folder(options.recordings)
    units, held_out = nl.units_table(recordings), list(GROUPS[2])
    learned_from = [one for one in recordings if one.animal_id not in held_out]
    every = options.steps // options.checkpoints
    rows = []
    for seed in options.seeds:
        preset = nl.PRESETS["laptop-trials"].with_(
            steps=options.steps, seed=seed, checkpoint_every=every, log_every=every
        )
        with tempfile.TemporaryDirectory() as kept:
            nl.pretrain(learned_from, preset, kept, keep_all=True)
            for checkpoint in tqdm(checkpoints_in(Path(kept)), unit="checkpoint"):
                vectors = nl.embed(nl.Pretrained.load(checkpoint).encoder, recordings)
                labels = units.loc[vectors.index, "region"]
                animals = units.loc[vectors.index, "animal_id"]
                seen = ~animals.isin(held_out)
                tested = nl.decode(vectors, labels, animals, test_groups=held_out, n_bootstrap=0)
                inner = nl.decode(vectors[seen], labels[seen], animals[seen], n_bootstrap=0)
                rows.append(
                    {
                        "seed": seed,
                        "step": int(checkpoint.name.rpartition("-")[2]),
                        "tested rats": tested.score(),
                        "training rats, one left out in turn": inner.score(),
                    }
                )
    table = pd.DataFrame(rows)
    with atomic_file(options.out) as partial:
        table.round(4).to_csv(partial, index=False)
    print(table.round(3).to_string(index=False))
    by_seed = table.sort_values("step").groupby("seed")
    chosen = by_seed["training rats, one left out in turn"].idxmax()
    print(f"last step: {by_seed['tested rats'].last().mean():.3f}")
    print(f"chosen inside the training rats: {table.loc[chosen, 'tested rats'].mean():.3f}")
    print(f"chosen by the tested labels: {by_seed['tested rats'].max().mean():.3f}")


if __name__ == "__main__":
    main()
