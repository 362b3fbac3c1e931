"""The authors' number on a CPU: their published embeddings, scored by IBL BrainWideBench's rules.

    nuclr-lite brainwidebench
    nuclr-lite brainwidebench --seeds 42 --out data/raw/brainwidebench --csv scores.csv

Downloads some 0.9 GB the first time (five seeds), which is said; then half a minute a seed. See
docs/published_embeddings.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+", help="of the pretraining (default: all)")
    parser.add_argument("--model", choices=("nuclr", "nemo"), default="nuclr")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data/raw/brainwidebench"),
        help="where what is downloaded is kept (default: data/raw/brainwidebench)",
    )
    parser.add_argument("--csv", type=Path, help="write the scores of each seed here")
    parser.add_argument(
        "--refresh", action="store_true", help="ask whether files have changed since"
    )


def run(options: argparse.Namespace) -> None:
    from ..experiments import brainwidebench
    from ..official import SEEDS
    from .tables import check_out, write_table

    if options.csv:
        check_out(options.csv, overwrite=False)
    scores = brainwidebench.score(
        options.seeds or SEEDS, options.out, model=options.model, refresh=options.refresh
    )
    print(brainwidebench.summary(scores).round(4).to_string(index=False))
    if options.csv:
        write_table(scores.set_index(["readout", "seed"]), options.csv, overwrite=False)
