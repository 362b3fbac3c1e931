"""Steinmetz et al. 2019: four groups of areas, of every cluster of 39 sessions."""

from __future__ import annotations

import pandas as pd
from sklearn.model_selection import KFold

from ...sources.published.steinmetz import REGION_GROUPS
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
    "theirs are all clusters, whatever their annotation (min_annotation=None); valid time is cut"
    " by other rules"
)


def session_of(header: dict) -> str | None:
    parts = header["recording_id"].split("-")  # steinmetz-Cori_2016-12-14-probe0
    return "-".join(parts[1:4]) if parts[0] == "steinmetz" and len(parts) == 5 else None


STEINMETZ = DataSet(
    "Steinmetz et al. 2019",
    facts_of("steinmetz", "session"),
    session_of,
    "paper-spikes",
    "figshare 9598406, unpacked; steinmetz.read_session(folder, min_annotation=None)",
    "see figshare 9598406",
)


def _drawn_units(units: pd.DataFrame) -> list[Fold]:
    """64, 16 and 20 % of the units of each group."""
    rest, test = drawn(units, 0.2)
    fit, choose = drawn(units.loc[rest], 0.2)
    return [Fold(fit, test, ((fit, choose),))]


def _mouse_in_turn(units: pd.DataFrame) -> list[Fold]:
    """The epoch is chosen on a fifth of the other mice's units, not on another mouse."""
    return left_out_in_turn(units, "mouse", lambda rest: (drawn(rest, 0.2),))


def _three_mice(units: pd.DataFrame) -> list[Fold]:
    test = tested(units)
    rest = units[~test]
    mice = sorted(rest["mouse"].unique())
    parts = [[mice[i] for i in part] for _, part in KFold(min(4, len(mice))).split(mice)]
    return [Fold(rest.index, units.index[test], by_parts(rest, "mouse", parts))]


def _row(name: str, protocol: str, pretrained_on, folds, readout: Readout, **options) -> Row:
    return Row(
        name,
        STEINMETZ,
        f"{len(REGION_GROUPS)} groups of areas",
        "region",
        protocol,
        pretrained_on,
        everything,
        folds,
        readout,
        classes=tuple(REGION_GROUPS),
        differs=DIFFERS,
        **options,
    )


_OVERSAMPLED = Readout("lbfgs", 1e-5, oversample=True)
ROWS = (
    _row(
        "steinmetz-transductive",
        TRANSDUCTIVE,
        everything,
        _drawn_units,
        _OVERSAMPLED,
        published=0.959,
    ),
    _row("steinmetz-zero-shot", ZERO_SHOT, everything, _mouse_in_turn, _OVERSAMPLED),
    # Class weights are the notebook's; the later instructions ask for oversampling.
    _row("steinmetz-inductive", INDUCTIVE, pretrained_on, _three_mice, Readout()),
)
