"""The leak checks: eleven ways in which a good score can be worth nothing.

    nuclr-lite check RECORDINGS
    nuclr-lite check RECORDINGS --encoder runs/mine --label cell_type --inductive

The more is given, the more is asked: with an encoder whether the recordings fit it and whether it
has seen these animals, with a label whether that goes with animal, probe or stimulus, with both
whether vectors tell more than that. `fine` means that a fault was not found, not that it is not
there. Exit code 1: something must be looked at.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap

from . import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    shared.add_recordings(parser)
    parser.add_argument("--encoder", help="a name, a folder, or hf:owner/name")
    parser.add_argument("--label", metavar="COLUMN", help="a column of the units tables")
    parser.add_argument(
        "--inductive",
        action="store_true",
        help="the claim is that the encoder has never seen these animals",
    )
    shared.add_device(parser)


def run(options: argparse.Namespace) -> int | None:
    from ..analysis.checks import leaks
    from ..embedding import embed
    from ..experiments.encoders import load_encoder
    from ..sources.folder import read_folder, recognised

    if options.inductive and options.encoder is None:
        options.error("--inductive is a claim about an encoder: give --encoder.")
    recordings = read_folder(options.recordings, **shared.reader_options(options))
    encoder = None
    if options.encoder is not None:
        encoder = load_encoder(options.encoder, shared.device(options))
    both = encoder is not None and options.label is not None
    table = leaks(
        recordings,
        encoder,
        options.label,
        embedding=embed(shared.network_of(encoder), recordings, grid_s=shared.grid_of(encoder))
        if both and _fits(encoder, recordings)
        else None,
        inductive=options.inductive,
    )
    print(_as_text(table))
    n = int((table["verdict"] == "look here").sum())
    n_recordings = f"{len(recordings)} recording{'s' * (len(recordings) > 1)}"
    kind = recognised(options.recordings.expanduser())[0].name
    print(f"{n_recordings} ({kind}), {len(table)} checks: {n} to look at.")
    return 1 if n else None


def _fits(encoder, recordings) -> bool:
    """Can all be embedded? If not, the check `encoder` says why."""
    model = shared.network_of(encoder).config
    return all(
        recording.modality == model.modality
        and (recording.intervals[:, 1] - recording.intervals[:, 0]).max() >= model.window_s
        for recording in recordings
    )


def _as_text(table) -> str:
    """Verdict and name on the left, what was found and what to do on the right."""
    left = 12 + max(map(len, table["check"])) + 2
    width = max(40, min(shutil.get_terminal_size((100, 24)).columns, 110) - left)
    lines = []
    for row in table.to_dict("records"):
        right = [row["found"], row["where"], f"To do: {row['to_do']}." if row["to_do"] else ""]
        text = [line for part in right if part for line in textwrap.wrap(part, width)]
        names = [f"{row['verdict']:<12}{row['check']}", *[""] * (len(text) - 1)]
        lines += [f"{name:<{left}}{line}".rstrip() for name, line in zip(names, text)]
    return "\n".join(lines)
