"""What experiments there are in a folder: one line a file.

    nuclr-lite experiments
    nuclr-lite experiments results/experiments mine/

`nuclr-lite run FILE` runs one. Exit code 1: a .json file there is no experiment that can be read.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        default=[Path("results/experiments")],
        help="folders of .json files (default: results/experiments)",
    )


def run(options: argparse.Namespace) -> int | None:
    import pandas as pd

    rows, unread = [], []
    for folder in options.folders:
        files = sorted(folder.expanduser().glob("*.json"))
        if not files:
            raise FileNotFoundError(
                f"{folder}: no .json file there; give the folder that holds experiments."
            )
        for file in files:
            try:
                rows.append(_row(file))
            except ValueError as error:
                unread.append(str(error))
    if rows:
        print(pd.DataFrame(rows).to_string(index=False))
    for message in unread:
        print(message)
    return 1 if unread else None


def read_experiment(file: Path):
    """The Experiment in a file; FileNotFoundError, or ValueError where it is none."""
    from ..experiments import Experiment

    try:
        return Experiment.from_json(file.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise FileNotFoundError(
            f"{file} can't be read ({error.strerror}); give the .json file of an experiment, as"
            " `nuclr-lite experiments` lists them."
        ) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(
            f"{file} is no experiment that can be read ({error}); write one with"
            " Experiment.to_json."
        ) from error


def _row(file: Path) -> dict:
    experiment = read_experiment(file)
    return {
        "file": file.name,
        "label": experiment.label,
        "protocol": experiment.protocol,
        "source": experiment.source,
        "preset": experiment.preset,
        "methods": len(experiment.methods),
        "seeds": len(experiment.seeds),
        "results": len(experiment.cells()),
    }
