"""Options that several subcommands have."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path


def add_recordings(parser: argparse.ArgumentParser, name: str = "recordings") -> None:
    """The folder, and what its reader may want to know."""
    parser.add_argument(
        name,
        type=Path,
        metavar="RECORDINGS",
        help="a folder or file: saved recordings, NWB, Phy or Kilosort, Suite2p, CaImAn, Allen,"
        " IBL, brainsets, ...; which is found out",
    )
    parser.add_argument(
        "--animal", metavar="ID", help="whose they are, where the files don't say (Phy, Suite2p)"
    )
    parser.add_argument(
        "--sampling-rate",
        type=float,
        metavar="HZ",
        help="samples (Phy) or frames (Suite2p) a second, where the files don't say",
    )
    parser.add_argument(
        "--reading",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="another option of the reader, VALUE in JSON or as it is:"
        ' --reading groups \'["good", "mua"]\', --reading keep "quality == \'good\'"',
    )


def reader_options(options: argparse.Namespace) -> dict:
    """What `read_folder` takes beside the folder."""
    given: dict = {}
    for name, text in options.reading:
        try:
            given[name] = json.loads(text)
        except ValueError:
            given[name] = text
    if options.animal is not None:
        given["animal"] = options.animal
    if options.sampling_rate is not None:
        given["sampling_rate_hz"] = options.sampling_rate
    return given


def add_changes(parser: argparse.ArgumentParser) -> None:
    """--set NAME VALUE, for `json_values`."""
    parser.add_argument(
        "--set",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="change a field of the recipe; VALUE in JSON: --set steps 1000",
    )


def json_values(flag: str, pairs: list[list[str]], error: Callable[[str], None]) -> dict:
    """name -> value; `error` is told of one that is no JSON."""
    values = {}
    for name, text in pairs:
        try:
            values[name] = json.loads(text)
        except ValueError:
            error(
                f"{flag} {name} {text}: {text!r} is no JSON; write a number, true, false, null, a"
                " list such as [0.5, 1.0], or a text in double quotes within single ones:"
                f" '{json.dumps(text)}'."
            )
    return values


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")


def add_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--units-per-batch",
        type=int,
        default=1024,
        metavar="N",
        help="how many units pass through the encoder at once; fewer take less memory (default:"
        " %(default)s)",
    )


def device(options: argparse.Namespace) -> str:
    """Where the encoder goes."""
    import torch

    return "cuda" if torch.cuda.is_available() and not options.cpu else "cpu"


def grid_of(encoder) -> float | None:
    """The grid that windows lie on, s, of a Pretrained; None of an encoder that doesn't say."""
    return encoder.preset.views.grid_s if hasattr(encoder, "preset") else None


def network_of(encoder):
    """The NuCLR of a Pretrained, or itself."""
    return getattr(encoder, "encoder", encoder)
