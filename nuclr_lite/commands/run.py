"""Run an experiment that is kept as a file, print its summary, write it as a CSV.

    nuclr-lite run results/experiments/steinmetz-transductive.json --source RECORDINGS --jobs -1
    nuclr-lite run mine.json --each-animal --csv scores.csv --figure scores.png

`Experiment.to_json` writes such files; `nuclr-lite experiments` lists those of a folder. What was
computed is kept in --out: a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, help="what Experiment.to_json wrote")
    parser.add_argument(
        "--source", help="folder of recordings or NWB files, in place of the experiment's own"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs"),
        help="where results are kept; a run that was stopped goes on from there",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1: one for each core")
    turns = parser.add_mutually_exclusive_group()
    turns.add_argument(
        "--each-animal",
        action="store_true",
        help="hold out each animal in turn, with an encoder of its own",
    )
    turns.add_argument(
        "--each-group",
        nargs="+",
        metavar="ANIMAL,ANIMAL",
        help="hold out each of these groups of animals in turn, with an encoder of its own",
    )
    parser.add_argument(
        "--csv",
        type=Path,
        help="write the summary, with the differences from the first encoder, here",
    )
    parser.add_argument("--figure", type=Path, help="draw the macro F1 of all methods here (.png)")


def run(options: argparse.Namespace) -> None:
    import pandas as pd

    from ..experiments import run as compute
    from ..experiments.comparison import PARTS, against, summary
    from ..experiments.data import prepare
    from ..files.storage import atomic_file
    from .experiments import read_experiment

    experiment = read_experiment(options.experiment)
    experiment = replace(experiment, source=options.source or experiment.source)
    # each animal or group is held out in turn, so that the file needn't hold out any
    in_turn = options.each_animal or options.each_group
    at_least_one = replace(experiment, n_held_out=max(experiment.n_held_out, 1))
    data = prepare(at_least_one if in_turn else experiment, options.out)
    groups = (
        [tuple(group.split(",")) for group in options.each_group]
        if options.each_group
        else [*data["learn"], *data["held_out"]]
        if options.each_animal
        else None
    )
    turns = experiment.each_group(groups) if groups else [experiment]
    for turn in turns:
        compute(turn, options.out, options.jobs)
    first = next(iter(experiment.encoders))
    table = pd.concat(
        [summary(turns, options.out, metric) for metric in ("macro_f1", "balanced_accuracy")]
    )
    words = against(turns, options.out, first)["in words"].rename("macro F1, in words")
    table = table.merge(words, how="left", left_on="method", right_index=True).dropna(
        axis=1, how="all"
    )
    for at, (name, value) in enumerate(
        {
            "dataset": data["dataset"],
            "label": experiment.label,
            "protocol": experiment.protocol,
        }.items()
    ):
        table.insert(at, name, value)
    print(table.round(3).to_string(index=False))
    if options.csv:
        with atomic_file(options.csv) as partial:
            table.round(4).to_csv(partial, index=False)
    if options.figure:
        from ..plots import scores

        title = f"{experiment.label}, {experiment.protocol} ({data['dataset'].replace('_', ' ')})"
        whole = table[table.reindex(columns=PARTS).isna().all(axis=1)]
        figure = scores(whole, title=title, highlight=first)
        figure.savefig(options.figure, dpi=110, bbox_inches="tight")
