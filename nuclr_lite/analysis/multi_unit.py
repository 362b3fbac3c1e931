"""The multi-unit readout: what a unit is, asked of it and of its nearest neighbours on the probe.

    nl.multi_unit(nl.decode(embedding, labels, animals), units["probe_id"], units["depth_um"])

Units close together lie in one region as a rule, so that their probabilities may be averaged; of
labels that neighbours don't share, such as cell types, it asks the neighbours, not the unit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..decoding import DecodeResult, scores_of

RADIUS_UM, N_UNITS = 60.0, 5  # of BrainWideBench, task suite 3; the idea is NEMO's


def multi_unit(
    predictions,
    probe_ids,
    depths_um,
    *,
    radius_um: float = RADIUS_UM,
    n_units: int = N_UNITS,
    n_bootstrap: int = 1000,
    seed: int = 0,
):
    """Each unit's probabilities averaged (plainly, not as logits) over at most `n_units` nearest
    units of its probe within `radius_um`, itself counted.

    Nearest first by numpy's default sort of distances, as the benchmark does it: of several units
    at one distance the earlier rows count as nearer, as far as that sort keeps them in order. So
    with more than `n_units` at one depth, a unit can fall out of its own mean.

    Parameters
    ----------
    predictions : a DecodeResult; or probabilities, DataFrame or array (units, classes), such as
        `ZeroShot.predict(...).filter(regex="^p_")`. Only these units lend their probabilities.
    probe_ids, depths_um : a value a unit: its probe, and where along it, um. Series are taken by
        index where predictions have one, arrays in its order. In a table indexed by
        (recording_id, unit_id), probes of two recordings are two, whatever they are called. A unit
        without a probe or a depth keeps its own probabilities and lends none.
    n_bootstrap, seed : for the intervals of a DecodeResult, as in `decode`.

    Returns
    -------
    What was given: of a DecodeResult a new one, scored anew; else the pooled probabilities.

    Raises
    ------
    ValueError : probabilities that aren't finite; lengths or indices that don't match; a radius or
        number of units that leaves a unit without itself.
    """
    if isinstance(predictions, DecodeResult):
        columns = [f"p_{name}" for name in predictions.classes]
        pooled = predictions.predictions.copy()
        pooled[columns] = multi_unit(
            pooled[columns], probe_ids, depths_um, radius_um=radius_um, n_units=n_units
        )
        chosen = pooled[columns].to_numpy().argmax(axis=1)
        pooled["predicted"] = np.array(predictions.classes, dtype=object)[chosen]
        groups, classes = predictions.groups, predictions.classes
        return replace(
            predictions,
            predictions=pooled,
            scores=scores_of(pooled, groups, classes, n_bootstrap, seed),
        )
    if not radius_um >= 0 or n_units < 1:
        raise ValueError(
            f"radius_um is {radius_um} and n_units {n_units}; give a distance, um, and 1 or more."
        )
    values = np.asarray(predictions)
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            f"predictions have shape {values.shape} and type {values.dtype}; give probabilities,"
            " one row a unit and one column a class."
        )
    strange = int((~np.isfinite(values).all(axis=1)).sum())
    if strange:
        raise ValueError(
            f"the probabilities of {strange} of {len(values)} units are not finite; leave these"
            " units out: their neighbours would lose theirs too."
        )
    index = predictions.index if isinstance(predictions, pd.DataFrame) else None
    probes = _by_unit(probe_ids, index, len(values), "probe_ids")
    depths = _by_unit(depths_um, index, len(values), "depths_um")
    try:
        depths = depths if depths.dtype.kind == "f" else depths.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"depths_um aren't numbers ({error}); give um along the probe.") from error
    pooled = _pooled(values, _places(probes, index), depths, radius_um, n_units)
    return pooled if index is None else pd.DataFrame(pooled, index, predictions.columns)


def _by_unit(given, index: pd.Index | None, n_units: int, name: str) -> np.ndarray:
    """(units,), in the order of the predictions."""
    if isinstance(given, pd.Series) and index is not None:
        lacking = index.difference(given.index)
        if len(lacking):
            raise ValueError(
                f"{name} lack {len(lacking)} of {n_units} units (first: {lacking.tolist()[0]!r});"
                " give a Series on the predictions' index."
            )
        given = given.loc[index]  # a unit that is there twice shows in the length
    values = np.asarray(given)
    if values.shape != (n_units,):
        raise ValueError(
            f"{name} have shape {values.shape} for {n_units} units; give one value a unit."
        )
    return values


def _places(probes: np.ndarray, index: pd.Index | None) -> np.ndarray:
    """(units,) a number for each probe of each recording; -1 without one."""
    numbers = pd.factorize(probes)[0]
    if index is None or index.nlevels < 2:
        return numbers
    recordings = pd.factorize(index.get_level_values(0))[0]
    return np.where(numbers < 0, -1, recordings * (numbers.max(initial=0) + 1) + numbers)


def _pooled(values, places, depths, radius_um: float, n_units: int) -> np.ndarray:
    placed = np.flatnonzero((places >= 0) & np.isfinite(depths))
    placed = placed[np.argsort(places[placed], kind="stable")]  # within a probe in given order
    pooled = values.copy()
    for rows in np.split(placed, np.flatnonzero(np.diff(places[placed])) + 1):
        for row in rows:
            apart = np.abs(depths[rows] - depths[row])
            near = np.flatnonzero(apart <= radius_um)
            # the default sort, not the stable one: to the letter
            nearest = near[np.argsort(apart[near])][:n_units]
            pooled[row] = values[rows[nearest]].mean(axis=0)
    return pooled
