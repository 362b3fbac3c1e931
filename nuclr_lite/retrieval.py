"""Is a unit, by its vector, found again elsewhere: in another stretch of time, on another day? Needs no torch, so that sources can ask."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd


class Found(NamedTuple):
    """n_units : in both tables. top1 : share of them that found themselves. chance : 1 / n_units."""

    n_units: int
    top1: float
    chance: float


def found_again(first: pd.DataFrame, second: pd.DataFrame) -> Found:
    """Is a unit, by its vector, nearest to itself in another table?

    Vectors are standardised within each table, each dimension over its units, so that what sets tables apart doesn't count, and compared by their
    cosine. Each unit of both tables seeks itself among the shared units of the other, both ways; `top1` is the mean of the two.

    first, second : features of the units of one recording, or of one population on two days, each on an index of units. Units with a NaN take no part. With no
    shared unit, top1 and chance are NaN.
    """
    first, second = _standardised(first), _standardised(second)
    shared = first.index.intersection(second.index)
    if not len(shared):
        return Found(0, np.nan, np.nan)
    cosine = first.loc[shared].to_numpy() @ second.loc[shared].to_numpy().T
    found = [(cosine.argmax(axis=axis) == np.arange(len(shared))).mean() for axis in (1, 0)]
    return Found(len(shared), float(np.mean(found)), 1 / len(shared))


def _standardised(vectors: pd.DataFrame) -> pd.DataFrame:
    vectors = vectors[np.isfinite(vectors).all(axis=1)]
    vectors = (vectors - vectors.mean()) / vectors.std(ddof=0).replace(0, 1)
    return vectors.div(np.linalg.norm(vectors, axis=1).clip(1e-12), axis=0)


def found_again_in_each(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """`found_again`, recording by recording.

    first, second : features indexed by (recording_id, unit_id), as from `embed`. Returns a DataFrame, one row a recording of both tables: recording_id, n_units, top1,
    chance. ValueError where they share no recording.
    """
    ids = first.index.unique(level=0).intersection(second.index.unique(level=0), sort=False)
    if not len(ids):
        raise ValueError("the two tables have no recording in common; embed the same recordings, at other times.")
    return pd.DataFrame([{"recording_id": name, **found_again(first.loc[name], second.loc[name])._asdict()} for name in ids])
