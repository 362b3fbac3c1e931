"""What a published row is, and the parts that several are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from ...presets import PRESETS, Preset
from .scoring import Fold, Readout

HERE = Path(__file__).parent
INDUCTIVE, ZERO_SHOT, TRANSDUCTIVE = (
    "inductive zero-shot",
    "transductive zero-shot",
    "transductive",
)
SEED = 42  # of the authors' configs, and of most of their splits


@dataclass(frozen=True, eq=False)
class DataSet:
    """A published data set: what its lists say, and how a saved recording finds its line in them.

    facts : DataFrame, a row a session (IBL: an insertion), indexed by its name. name_of : from the
    header of a saved recording (`recording.json`) to that name; None: it doesn't say. how : calls
    that download and convert it. gigabytes : to download, in words.
    """

    name: str
    facts: pd.DataFrame
    name_of: Callable[[dict], str | None]
    preset: str
    how: str
    gigabytes: str


@dataclass(frozen=True, eq=False)
class Row:
    """One published number, or one that the published lists define.

    Functions get a table with a row a unit (or a session): the columns of `DataSet.facts`,
    `animal_id`, and of a unit `label`.

    pretrained_on : sessions -> which of them the encoder is trained on (bool).
    scored : units -> which of them count (bool). folds : units that count -> list[Fold].
    published : macro F1, second-hand from notes on the paper. None: there is no number.
    changes : of the data set's preset. shares : of the training labels. differs : what in ours is
    known to differ from theirs, or can't be known.
    """

    name: str
    data: DataSet
    task: str
    label: str
    protocol: str
    pretrained_on: Callable[[pd.DataFrame], pd.Series]
    scored: Callable[[pd.DataFrame], pd.Series]
    folds: Callable[[pd.DataFrame], list[Fold]]
    readout: Readout
    published: float | None = None
    classes: tuple[str, ...] = ()
    changes: dict = field(default_factory=dict)
    shares: tuple[float, ...] = (1.0,)
    differs: str = ""

    def recipe(self, seed: int = SEED, **changes) -> Preset:
        """The encoder's; changes : fields of it, for a rehearsal."""
        return PRESETS[self.data.preset].with_(**{**self.changes, **changes, "seed": seed})

    def labels(self, units: pd.DataFrame) -> pd.Series:
        """The label of each unit that counts; None of the others."""
        counts = self.scored(units) & units[self.label].notna()
        if self.classes:
            counts &= units[self.label].isin(self.classes)
        return units[self.label].where(counts)


def facts_of(name: str, index: str) -> pd.DataFrame:
    """A table of facts of this folder, all of it text, indexed by one of its columns."""
    return pd.read_csv(
        HERE / f"{name}.csv", comment="#", dtype=str, keep_default_na=False
    ).set_index(index)


def everything(table: pd.DataFrame) -> pd.Series:
    return pd.Series(True, index=table.index)


def tested(table: pd.DataFrame) -> pd.Series:
    return table["role"] == "test"


def pretrained_on(table: pd.DataFrame) -> pd.Series:
    return table["role"] == "pretraining"


def left_out_in_turn(
    units: pd.DataFrame, by: str, choose: Callable[[pd.DataFrame], tuple] = lambda rest: ()
) -> list[Fold]:
    """One fold a value of the column `by`, in order, which is tested, the rest being learned from;
    choose : the rest -> `Fold.choose`.
    """
    folds = []
    for value in sorted(units[by].unique()):
        out = units[by] == value
        folds.append(Fold(units.index[~out], units.index[out], choose(units[~out])))
    return folds


def by_parts(units: pd.DataFrame, by: str, parts: list) -> tuple[tuple[pd.Index, pd.Index], ...]:
    """`Fold.choose`: each part, a collection of values of the column `by`, is predicted from the
    rest.
    """
    pairs = [(~units[by].isin(part), units[by].isin(part)) for part in parts]
    return tuple((units.index[fit], units.index[predicted]) for fit, predicted in pairs)


def drawn(units: pd.DataFrame, share: float, seed: int = SEED) -> tuple[pd.Index, pd.Index]:
    """A stratified random split of units by label: the rest, and the share that was drawn.

    The published splits were drawn from tables whose order isn't known; this is the same draw from
    units in the order of their ids, not the same units.
    """
    places = np.arange(len(units))
    rest, taken = train_test_split(
        places, test_size=share, stratify=units["label"], random_state=seed
    )
    return units.index[np.sort(rest)], units.index[np.sort(taken)]
