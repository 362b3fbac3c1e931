"""Bugeon et al. 2022: excitatory against inhibitory cells, and five subclasses of interneurons."""

from __future__ import annotations

import pandas as pd

from .row import (
    INDUCTIVE,
    TRANSDUCTIVE,
    ZERO_SHOT,
    DataSet,
    Row,
    by_parts,
    drawn,
    everything,
    facts_of,
    left_out_in_turn,
    pretrained_on,
    tested,
)
from .scoring import Fold, Readout

DIFFERS = (
    "the gap between experiments (theirs 3600 s), their order, and cells with NaN, which ours leave"
    " out"
)


def session_of(header: dict) -> str | None:
    recording_id = header["recording_id"]  # bugeon-SB025_2019-10-04
    return recording_id.removeprefix("bugeon-") if recording_id.startswith("bugeon-") else None


BUGEON = DataSet(
    "Bugeon et al. 2022",
    facts_of("bugeon", "session"),
    session_of,
    "paper-calcium",
    "figshare 19448531, unpacked; bugeon.read_bugeon(folder)",
    "see figshare 19448531",
)


def _not_dev(units: pd.DataFrame) -> pd.Series:
    return units["dev"] == "0"


def _drawn_cells(units: pd.DataFrame) -> list[Fold]:
    """A fifth of all labelled cells, drawn from the sessions that may be tested; of the rest four
    fifths to learn from and one to choose by.
    """
    testable = units[_not_dev(units)]
    _, test = drawn(testable, min(0.2 * len(units) / max(len(testable), 1), 0.5))
    fit, choose = drawn(units.drop(test), 0.2)
    return [Fold(fit, test, ((fit, choose),))]


def _mouse_by_mouse(rest: pd.DataFrame) -> tuple[tuple[pd.Index, pd.Index], ...]:
    return by_parts(rest, "mouse", [[mouse] for mouse in sorted(rest["mouse"].unique())])


def _mouse_in_turn(units: pd.DataFrame) -> list[Fold]:
    """A mouse is tested without its dev session."""
    return [
        Fold(fold.fit, fold.test[_not_dev(units.loc[fold.test])], fold.choose)
        for fold in left_out_in_turn(units, "mouse", _mouse_by_mouse)
    ]


def _one_mouse(units: pd.DataFrame) -> list[Fold]:
    rest, test = units[pretrained_on(units)], units.index[tested(units)]
    return [Fold(rest.index, test, _mouse_by_mouse(rest))]


def _one_mouse_with_its_labels(units: pd.DataFrame) -> list[Fold]:
    """What chooses the epoch also learns from the labels of the mouse that is tested: theirs do so
    for excitatory against inhibitory.
    """
    [fold] = _one_mouse(units)
    of_tested = units.index[units["mouse"].isin(units.loc[fold.test, "mouse"])]
    choose = tuple((fit.append(of_tested), part) for fit, part in fold.choose)
    return [Fold(fold.fit, fold.test, choose)]


_ALL, _LATER = Readout("lbfgs", 1e-5, oversample=True), Readout(oversample=True)


def _rows(name: str, task: str, label: str, one_mouse, published: tuple, classes=()) -> list[Row]:
    return [
        Row(
            f"bugeon-{name}-{short}",
            BUGEON,
            task,
            label,
            protocol,
            pretrained_on,
            everything,
            folds,
            readout,
            number,
            classes,
            differs=DIFFERS,
        )
        for number, (short, protocol, pretrained_on, folds, readout) in zip(
            published,
            (
                ("transductive", TRANSDUCTIVE, everything, _drawn_cells, _ALL),
                ("zero-shot", ZERO_SHOT, everything, _mouse_in_turn, _LATER),
                ("inductive", INDUCTIVE, pretrained_on, one_mouse, _LATER),
            ),
        )
    ]


ROWS = (
    *_rows(
        "excitatory-inhibitory",
        "excitatory or inhibitory",
        "cell_class",
        _one_mouse_with_its_labels,
        (0.811, None, None),
        ("EC", "IN"),
    ),
    *_rows("subclass", "5 interneuron subclasses", "subclass", _one_mouse, (0.610, None, 0.39)),
)
