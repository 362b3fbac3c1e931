"""Train an encoder, without labels; under `accelerate launch` in several processes.

    nuclr-lite pretrain RECORDINGS --preset laptop --out runs/mine --resume
    nuclr-lite pretrain RECORDINGS --out runs/short --set steps 100 --hold-out mouse7
    accelerate launch --num_processes 8 -m nuclr_lite pretrain RECORDINGS \\
        --preset paper-spikes --out runs/mine --resume

Checkpoints go to --out; each is an encoder that `--encoder` of the other commands takes. Run again
with --resume, it goes on from the newest one, to the same numbers.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from . import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    from ..presets import PRESETS

    shared.add_recordings(parser)
    parser.add_argument("--preset", default="quick", choices=sorted(PRESETS))
    shared.add_changes(parser)
    parser.add_argument(
        "--hold-out",
        nargs="+",
        default=[],
        metavar="NAME",
        help="animals, sessions or recordings that the encoder must not see",
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
    shared.add_device(parser)


def run(options: argparse.Namespace) -> None:
    from ..experiments.data import known_as
    from ..presets import PRESETS
    from ..pretrained import checkpoints_in
    from ..pretraining import pretrain
    from ..sources.folder import read_folder

    changes = shared.json_values("--set", options.set, options.error)
    try:
        preset = PRESETS[options.preset].with_(**changes)
    except TypeError as error:  # of a value that can't be compared with a number
        raise ValueError(f"--set: a value is of the wrong kind ({error}).") from error
    recordings = read_folder(options.recordings, **shared.reader_options(options))
    names, held_out = list(map(known_as, recordings)), set(options.hold_out)
    if unknown := held_out.difference(*names):
        options.error(f"--hold-out names {sorted(unknown)}, but no recording is known as such.")
    training = [one for one, its in zip(recordings, names) if not its & held_out]
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
