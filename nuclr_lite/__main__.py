"""From the command line, on folders of saved recordings (`Recording.save`) or of NWB files:

    python -m nuclr_lite pretrain RECORDINGS --preset quick --out runs/mine --resume
    accelerate launch --num_processes 8 -m nuclr_lite pretrain RECORDINGS \\
        --preset paper-spikes --out runs/mine --resume
    python -m nuclr_lite run results/experiments/steinmetz-transductive.json --source RECORDINGS

`--help` of each says what else there is.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd

from .experiments import Experiment, run
from .experiments.comparison import PARTS, against, summary
from .experiments.data import prepare
from .files.storage import atomic_file
from .presets import PRESETS
from .pretrained import checkpoints_in
from .pretraining import pretrain
from .sources.folder import read_folder


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m nuclr_lite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command, add_options in (
        (pretrain_command, _pretrain_options),
        (run_command, _run_options),
    ):
        one = commands.add_parser(
            command.__name__.removesuffix("_command"),
            help=command.__doc__,
            description=command.__doc__,
        )
        add_options(one)
        one.set_defaults(command=command, error=one.error)
    options = parser.parse_args(arguments)
    options.command(options)


def _pretrain_options(parser: argparse.ArgumentParser):
    parser.add_argument(
        "recordings",
        type=Path,
        help="folder of saved recordings, a subfolder each, or of NWB files",
    )
    parser.add_argument("--preset", default="quick", choices=sorted(PRESETS))
    parser.add_argument(
        "--set",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="change a field of the preset; VALUE in JSON: --set steps 1000",
    )
    parser.add_argument(
        "--hold-out",
        nargs="+",
        default=[],
        metavar="ANIMAL",
        help="animals that the encoder must not see",
    )
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints go")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the newest checkpoint in --out, if there is one",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that cut views, for each process that trains",
    )
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")


def pretrain_command(options):
    """Train an encoder, without labels; under `accelerate launch` in several processes."""
    recordings = read_folder(options.recordings)
    unknown = set(options.hold_out) - {recording.animal_id for recording in recordings}
    if unknown:
        options.error(f"--hold-out names {sorted(unknown)}, but no recording is of such an animal.")
    training = [
        recording for recording in recordings if recording.animal_id not in options.hold_out
    ]
    preset = PRESETS[options.preset].with_(
        **{name: json.loads(value) for name, value in options.set}
    )
    pretrained = pretrain(
        training,
        preset,
        options.out,
        options.resume,
        workers=options.workers,
        device="cpu" if options.cpu else None,
    )
    if os.environ.get("RANK", "0") == "0":  # of several processes, the first
        print(
            f"{preset.train.steps} steps on {len(training)} recordings, {pretrained.seconds:.0f} s;"
            f" {checkpoints_in(options.out)[-1]}"
        )


def _run_options(parser: argparse.ArgumentParser):
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


def run_command(options):
    """Run an experiment that is kept as a file, print its summary, write it as a CSV."""
    experiment = Experiment.from_json(options.experiment.read_text(encoding="utf-8"))
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
        run(turn, options.out, options.jobs)
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
        from .plots import scores

        title = f"{experiment.label}, {experiment.protocol} ({data['dataset'].replace('_', ' ')})"
        whole = table[table.reindex(columns=PARTS).isna().all(axis=1)]
        figure = scores(whole, title=title, highlight=first)
        figure.savefig(options.figure, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
