"""The paper's experiments: list them with what each needs, or run one.

    nuclr-lite paper
    nuclr-lite paper allen-cell-types
    nuclr-lite paper allen-cell-types --source data/processed/allen --out runs

Without a row, one line each; with a row, all about it; with a folder of its recordings too, it is
run: as published and as we would. A run that was stopped goes on when it is called again. Exit code
1: a row that was run has nothing that we would test.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("row", nargs="?", help="name of a row, as the list without it shows")
    parser.add_argument("--source", type=Path, help="folder of saved recordings: run the row")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="gets paper/<row>/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="of the encoders")
    parser.add_argument(
        "--checkpoints", type=int, default=20, help="among which the epoch is chosen"
    )
    parser.add_argument(
        "--incomplete", action="store_true", help="go on where sessions of the lists are missing"
    )
    shared.add_changes(parser)
    shared.add_device(parser)


def run(options: argparse.Namespace) -> int | None:
    from ..experiments.paper import ROWS, run_row, table
    from ..experiments.paper.running import AS_WE_WOULD

    if options.row is None:
        print(table().drop(columns=["get", "differs"]).fillna("").to_string())
        return None
    if options.row not in ROWS:
        options.error(f"there is no row {options.row!r}; there are {', '.join(ROWS)}.")
    if options.source is None:
        print(table().loc[options.row].to_string())
        return None
    changes = shared.json_values("--set", options.set, options.error)
    scores = run_row(
        ROWS[options.row],
        options.source,
        options.out,
        seeds=tuple(options.seeds),
        n_checkpoints=options.checkpoints,
        incomplete=options.incomplete,
        device="cpu" if options.cpu else None,
        **changes,
    )
    print(scores.round(3).to_string(index=False))
    means = scores.groupby(["way", "label_share"], sort=False)["macro_f1"].agg(["mean", "count"])
    print(f"\nmacro F1, mean over seeds:\n{means.round(3).to_string()}")
    if changes:
        print(f"not the published recipe: {changes}")
    return None if (scores["way"] == AS_WE_WOULD).any() else 1
