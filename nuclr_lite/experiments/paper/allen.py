"""Allen Visual Coding Neuropixels: cell types and areas of 16 sessions, pretraining on 42."""

from __future__ import annotations

import pandas as pd
from sklearn.model_selection import StratifiedKFold

from .row import (
    INDUCTIVE,
    ZERO_SHOT,
    DataSet,
    Row,
    by_parts,
    everything,
    facts_of,
    left_out_in_turn,
    pretrained_on,
    tested,
)
from .scoring import Fold, Readout

AREAS = ("VISp", "VISl", "VISal", "VISam", "VISpm", "VISrl")
CELL_TYPES = ("Pvalb", "Sst", "Vip")
DIFFERS = (
    "cell types: ours are tagged by the light responses anew, theirs are LOLCAT's list, which is in"
    " no public repository; invalid times, which theirs lose on the way, are left out"
)


def session_of(header: dict) -> str | None:
    session = header["provenance"].get("session_id")
    return None if session is None else str(session)


ALLEN = DataSet(
    "Allen Visual Coding Neuropixels",
    facts_of("allen", "session"),
    session_of,
    "paper-spikes",
    "neuropixels.stream_sessions(...), with tag=True",
    "146.5 (streamed: about 17)",
)


def _tiny(table: pd.DataFrame) -> pd.Series:
    return table["tiny"] == "1"


def _medium(table: pd.DataFrame) -> pd.Series:
    return table["medium"] == "1"


def _by_cell_type(rest: pd.DataFrame) -> tuple[tuple[pd.Index, pd.Index], ...]:
    """Four inner folds over sessions, stratified by the one cell type that a session has."""
    types = rest.groupby("name")["label"].first()
    n_folds = min(4, int(types.value_counts().min()))
    if n_folds < 2:
        return ()
    split = StratifiedKFold(n_folds, shuffle=True, random_state=0).split(types, types)
    return by_parts(rest, "name", [types.index[part] for _, part in split])


def _cell_type_folds(units: pd.DataFrame) -> list[Fold]:
    return left_out_in_turn(units, "name", _by_cell_type)


def _area_folds(units: pd.DataFrame) -> list[Fold]:
    return left_out_in_turn(units, "name")


def _cell_types(name: str, protocol=INDUCTIVE, pretrained_on=pretrained_on, **options) -> Row:
    return Row(
        name,
        ALLEN,
        f"{len(CELL_TYPES)} cell types",
        "cell_type",
        protocol,
        pretrained_on,
        tested,
        _cell_type_folds,
        Readout(),
        classes=CELL_TYPES,
        **{"differs": DIFFERS} | options,
    )


ROWS = (
    _cell_types("allen-cell-types", published=0.720),
    _cell_types(
        "allen-cell-types-without-spatial-attention",
        published=0.55,
        changes={"spatial_attention": False},
    ),
    _cell_types("allen-cell-types-zero-shot", ZERO_SHOT, everything),
    _cell_types(
        "allen-cell-types-tiny",
        pretrained_on=_tiny,
        differs="their list of 10 sessions holds a test session (762120172); as we would, it isn't"
        " tested",
    ),
    _cell_types("allen-cell-types-medium", pretrained_on=_medium),
    Row(
        "allen-areas",
        ALLEN,
        f"{len(AREAS)} visual areas",
        "ecephys_structure_acronym",
        INDUCTIVE,
        pretrained_on,
        tested,
        _area_folds,
        Readout(standardise=False),
        classes=AREAS,
        differs="no script of theirs chooses an epoch here: the last is taken",
    ),
)
