"""Run an experiment that is kept as a file, print its summary, write it as a CSV: `python -m nuclr_lite results/experiments/steinmetz-transductive.json --source FOLDER`."""
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

from .comparison import against, summary
from .experiment_data import prepare
from .experiments import Experiment, run
from .storage import atomic_file


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m nuclr_lite", description=__doc__)
    parser.add_argument("experiment", type=Path, help="what Experiment.to_json wrote")
    parser.add_argument("--source", help="folder of recordings or NWB files, in place of the experiment's own")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where results are kept; a run that was stopped goes on from there")
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1: one for each core")
    parser.add_argument("--each-animal", action="store_true", help="hold out each animal in turn, with an encoder of its own")
    parser.add_argument("--csv", type=Path, help="write the summary, with the differences from the first encoder, here")
    options = parser.parse_args(arguments)
    experiment = Experiment.from_json(options.experiment.read_text(encoding="utf-8"))
    experiment = replace(experiment, source=options.source or experiment.source)
    data = prepare(experiment, options.out)
    turns = experiment.each_animal([*data["learn"], *data["held_out"]]) if options.each_animal else [experiment]
    for turn in turns:
        run(turn, options.out, options.jobs)
    first = next(iter(experiment.encoders))
    table = pd.concat([summary(turns, options.out, metric) for metric in ("macro_f1", "balanced_accuracy")])
    words = against(turns, options.out, first)["in words"].rename("macro F1, in words")
    table = table.merge(words, how="left", left_on="method", right_index=True).dropna(axis=1, how="all")
    for at, (name, value) in enumerate({"dataset": data["dataset"], "label": experiment.label, "protocol": experiment.protocol}.items()):
        table.insert(at, name, value)
    print(table.round(3).to_string(index=False))
    if options.csv:
        with atomic_file(options.csv) as partial:
            table.round(4).to_csv(partial, index=False)


if __name__ == "__main__":
    main()
