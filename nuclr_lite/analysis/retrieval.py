"""Is a unit, by its vector, found again in another stretch of time, on another day?

Who are its neighbours?
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from ..recording import Recording, as_list


class Found(NamedTuple):
    """n_units : in both tables. top1 : share of them that found themselves. chance : 1 /
    n_units.
    """

    n_units: int
    top1: float
    chance: float


def found_again(first: pd.DataFrame, second: pd.DataFrame) -> Found:
    """Is a unit, by its vector, nearest to itself in another table?

    Vectors are standardised within each table, each dimension over its units, so that what sets
    tables apart doesn't count, and compared by their cosine. Each unit of both tables seeks itself
    among the shared units of the other, both ways; `top1` is the mean of the two.

    first, second : features of the units of one recording, or of one population on two days, each
        on an index of units. Units with a NaN take no part. With no
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

    first, second : features indexed by (recording_id, unit_id), as from `embed`. Returns a
        DataFrame, one row a recording of both tables: recording_id, n_units, top1,
    chance. ValueError where they share no recording.
    """
    ids = first.index.unique(level=0).intersection(second.index.unique(level=0), sort=False)
    if not len(ids):
        raise ValueError(
            "the two tables have no recording in common; embed the same recordings, at other times."
        )
    return pd.DataFrame(
        [
            {"recording_id": name, **found_again(first.loc[name], second.loc[name])._asdict()}
            for name in ids
        ]
    )


def match_cells(recordings: list[Recording]) -> pd.DataFrame:
    """Which cell was seen in which session.

    Parameters
    ----------
    recordings : from `read_experiment`, usually those of one container.

    Returns
    -------
    DataFrame of bool, indexed by cell_specimen_id, one column a recording_id.

    Raises
    ------
    ValueError : a recording from elsewhere, or given twice.
    """
    recordings = as_list(recordings, "match cells over")
    seen = {}
    for recording in recordings:
        if "container_id" not in recording.units.columns:
            raise ValueError(
                f"{recording.recording_id} has no container_id in its units; give recordings that"
                " read_experiment made."
            )
        seen[recording.recording_id] = pd.Series(True, index=recording.units.index)
    if len(seen) < len(recordings):
        raise ValueError("two recordings share an id; give each experiment once.")
    return pd.DataFrame(seen).notna().rename_axis(index="cell_specimen_id", columns="recording_id")


def identity_score(embedding: pd.DataFrame, recordings: list[Recording]) -> pd.DataFrame:
    """Is a cell, by its vector, nearest to itself in another session of the same plane?

    A test that needs no label.

    Vectors are standardised within each session and compared by their cosine; each shared cell
    seeks itself among the shared cells of the other session, both ways (`found_again`).

    Parameters
    ----------
    embedding : what `embed` gives, or any features, indexed by (recording_id, unit_id). recordings
        : those embedded; of at least one container, two.

    Returns
    -------
    DataFrame, one row a pair of sessions of a container: container_id, recording_1, recording_2,
    n_cells (shared, with a vector in both), top1 (share of cells found, mean of both ways), chance
    (1 / n_cells). Pairs with fewer than 2 shared cells are left out.

    Raises
    ------
    ValueError : a recording has no row in `embedding`; no pair shares 2 cells.
    """
    recordings = as_list(recordings, "test identity in")
    match_cells(recordings)  # refuses other recordings and doubles
    for recording in recordings:
        if recording.recording_id not in embedding.index.get_level_values(0):
            raise ValueError(
                f"the embedding has no row of {recording.recording_id}; embed all of the recordings"
                " first."
            )
    rows = []
    for one, two in combinations(recordings, 2):
        if not one.units.index.isin(two.units.index).any():
            continue  # of two containers: a cell is of one animal
        found = found_again(embedding.loc[one.recording_id], embedding.loc[two.recording_id])
        if found.n_units > 1:
            rows.append(
                (one.units["container_id"].iloc[0], one.recording_id, two.recording_id, *found)
            )
    if not rows:
        raise ValueError(
            "no two of these recordings share 2 cells; read the other sessions of a container "
            "(list_experiments(..., container_id=...))."
        )
    return pd.DataFrame(
        rows, columns=["container_id", "recording_1", "recording_2", "n_cells", "top1", "chance"]
    )


def within_recording(features: pd.DataFrame) -> pd.DataFrame:
    """Columns with mean 0 and deviation 1 over the units of each recording: no column drowns the
    others, and what all units of a recording share, the animal and the day, is taken off.

    features : DataFrame indexed by (recording_id, unit_id), as from `embed`.
    """
    groups = features.groupby(level="recording_id", sort=False)
    return (features - groups.transform("mean")) / groups.transform("std", ddof=0).clip(lower=1e-9)


def neighbours_agree(
    vectors: pd.DataFrame, labels: pd.Series, across: bool = False
) -> tuple[float, float]:
    """Share of units whose nearest neighbour (cosine) has their label, and that share if neighbours
    are drawn at random from the same candidates.

    vectors : DataFrame indexed by (recording_id, unit_id), best from `within_recording`. labels :
        Series on its index; units without a label are nobody's neighbour. across : sought in all
        other recordings, not in the unit's own. NaN, NaN where there are no candidates.
    """
    labels = labels.loc[vectors.index].dropna()
    vectors, kinds, recording_ids = (
        vectors.loc[labels.index].to_numpy(),
        labels.to_numpy(),
        labels.index.get_level_values("recording_id"),
    )
    agree, drawn = [], []
    for name in recording_ids.unique():
        mine = np.flatnonzero(recording_ids == name)
        pool = np.flatnonzero(recording_ids != name) if across else mine
        if len(pool) < 2:
            continue
        search = NearestNeighbors(n_neighbors=1, metric="cosine").fit(vectors[pool])
        # None: each of the pool, itself left out
        found = search.kneighbors(vectors[mine] if across else None, return_distance=False)[:, 0]
        agree.append(kinds[pool[found]] == kinds[mine])
        same = (kinds[pool] == kinds[mine][:, None]).sum(axis=1)  # (mine, pool) -> (mine,)
        drawn.append((same - (not across)) / (len(pool) - (not across)))
    if not agree:
        return np.nan, np.nan
    return float(np.concatenate(agree).mean()), float(np.concatenate(drawn).mean())


def nearest_units(
    vectors: pd.DataFrame, units: pd.DataFrame, unit: tuple, n: int = 5
) -> pd.DataFrame:
    """The n units of other recordings nearest to `unit` (recording_id, unit_id): their rows of
    `units`, with the cosine, nearest first.

    vectors : as in `neighbours_agree`. Raises KeyError for a unit without a vector, ValueError
        where there is no other recording.
    """
    if unit not in vectors.index:
        raise KeyError(
            f"{unit} has no vector; give (recording_id, unit_id) of one that is in the table."
        )
    others = vectors[vectors.index.get_level_values("recording_id") != unit[0]]
    if not len(others):
        raise ValueError(f"there is no recording beside {unit[0]!r} to look in; embed several.")
    search = NearestNeighbors(n_neighbors=min(n, len(others)), metric="cosine").fit(
        others.to_numpy()
    )
    distance, found = search.kneighbors(vectors.loc[[unit]].to_numpy())  # (1, n) both
    return units.loc[others.index[found[0]]].assign(cosine=1 - distance[0])
