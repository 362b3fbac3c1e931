"""The command line as a whole: which subcommand is meant, errors in one sentence, exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from importlib import import_module

from tqdm.auto import tqdm

from . import NAMES

DONE, LOOK, REFUSED, BUG, STOPPED = 0, 1, 2, 3, 130
# What our own code raises for what it was given, or what a disk or a network did.
EXPECTED = (ValueError, OSError, ImportError, FloatingPointError)
SHOWS_TRACEBACK = "NUCLR_TRACEBACK"
ABOUT = """What kind of neuron each neuron is, from the activity of the population around it.

    nuclr-lite predict RECORDINGS --labels-from mine --out labels.tsv
    nuclr-lite check RECORDINGS --label cell_type
    nuclr-lite pretrain RECORDINGS --preset laptop --out runs/mine --resume

RECORDINGS is a folder, or a file: saved recordings, NWB, Phy, Suite2p, CaImAn and others, which is
found out. `nuclr-lite COMMAND --help` shows options and examples of each command."""
CODES = """exit code: 0 done; 1 done, but something must be looked at; 2 it can't be done, for what
was given or for a disk or network that failed; 3 a fault of nuclr_lite, please report it."""


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line asks for; SystemExit with the code where that isn't 0."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parsed(arguments)
    name = f"nuclr-lite {options.name}"
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say(
            f"{name}: notice: {in_a_sentence(message)}"
        )
        code = _answered(options, name)
    if code:
        raise SystemExit(code)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Options of the subcommand that is meant; only its own parser is filled, as that may need
    heavy imports.
    """
    always = argparse.ArgumentParser(add_help=False)
    always.add_argument(
        "--traceback",
        action="store_true",
        default=bool(os.environ.get(SHOWS_TRACEBACK)),
        help=f"show where an error came from (also: {SHOWS_TRACEBACK}=1)",
    )
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "nuclr-lite", description=ABOUT, epilog=CODES, formatter_class=form
    )
    from .. import __version__

    parser.add_argument("--version", action="version", version=f"nuclr_lite {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="name")
    meant = next((one for one in arguments if not one.startswith("-")), None)
    for name in NAMES:
        module = import_module(f".{name}", __package__)
        said = module.__doc__ or ""
        one = commands.add_parser(
            name,
            help=said.splitlines()[0].rstrip("."),
            description=said,
            epilog=CODES,
            formatter_class=form,
            parents=[always],
        )
        if name == meant:
            module.add_options(one)
            one.set_defaults(run=module.run, error=one.error)
    return parser.parse_args(arguments)


def _answered(options: argparse.Namespace, name: str) -> int:
    try:
        code = options.run(options) or DONE
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read the output has enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        _say(f"{name}: stopped.")
        return STOPPED
    except EXPECTED as error:
        if options.traceback:
            traceback.print_exc()
        _say(f"{name}: {in_a_sentence(error)}")
        return REFUSED
    except Exception as error:
        # torch's own is a RuntimeError; its name is asked for, as torch may not be imported
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            _say(
                f"{name}: out of memory ({in_a_sentence(error)[:200]}); let fewer units through at"
                " once (embed, predict: --units-per-batch 256), or take a smaller batch (pretrain:"
                " --set batch_size 32)."
            )
            return REFUSED
        traceback.print_exc()
        _say(
            f"{name}: this is a fault of nuclr_lite; please report it, with the lines above and"
            " what `nuclr-lite info` prints."
        )
        return BUG


def in_a_sentence(error: BaseException | str) -> str:
    """An error on one line, of bounded length."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 1000 else f"{words[:1000]} ..."


def _say(words: str) -> None:
    tqdm.write(words, file=sys.stderr)  # above a progress bar, if there is one
