"""Are two methods different, and where does a curve end? With intervals, animals and seeds being what is resampled."""
from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from .decoding import METRICS, _confusions, _metrics


def paired_difference(first: pd.DataFrame, second: pd.DataFrame, metric: str = "macro_f1", n_bootstrap: int = 2000, seed: int = 0) -> pd.Series:
    """How much better the first method is than the second, on the same units.

    The same animals are drawn for both, so that an animal in which everything is easy cancels. Where each animal has one label, animals are drawn within
    labels, or else a draw might lack a label altogether.

    Parameters
    ----------
    first, second : predictions as `experiments.run` keeps them: true, predicted, animal_id, on the same index (recording_id, unit_id).
    metric : 'macro_f1', 'balanced_accuracy' or 'accuracy', over the pooled predictions.

    Returns
    -------
    Series: difference, low, high (95 %), n_animals, significant (0 lies outside the interval; never with fewer than 4 animals, whose interval means little).

    Raises
    ------
    ValueError : units or true labels that differ; an unknown metric.
    """
    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}; use one of {METRICS}.")
    if not first.index.sort_values().equals(second.index.sort_values()):
        raise ValueError(f"the predictions are of different units ({len(first)} and {len(second)}); compare methods on the same units.")
    second = second.loc[first.index]
    if (first["true"] != second["true"]).any():
        raise ValueError("the true labels differ between the two; compare predictions of one label.")
    classes = sorted(set(first["true"]) | set(first["predicted"]) | set(second["predicted"]))
    counts = np.stack([_confusions(table, first["animal_id"], classes) for table in (first, second)])               # (2, animals, classes, classes)
    score = lambda drawn: _metrics(drawn)[..., METRICS.index(metric)]
    estimate = np.subtract(*score(counts.sum(axis=1)))
    rng, n_animals = np.random.default_rng(seed), counts.shape[1]
    labels_of = counts[0].sum(axis=2) > 0                                                                          # (animals, classes)
    strata = labels_of.argmax(axis=1) if (labels_of.sum(axis=1) == 1).all() else np.zeros(n_animals, dtype=int)
    drawn = np.zeros((n_bootstrap, n_animals))
    for stratum in np.unique(strata):
        here = np.flatnonzero(strata == stratum)
        drawn[:, here] = rng.multinomial(len(here), np.full(len(here), 1 / len(here)), size=n_bootstrap)
    low, high = np.quantile(np.subtract(*score(np.einsum("ba,maxy->mbxy", drawn, counts))), [0.025, 0.975])
    return pd.Series({"difference": estimate, "low": low, "high": high, "n_animals": n_animals, "significant": bool(n_animals >= 4 and (low > 0 or high < 0))})


def saturating_curve(n, score, to: float | None = None, n_bootstrap: int = 200, seed: int = 0) -> pd.DataFrame:
    """A curve that rises and levels off, score = top - gap * n ** -rate, through results at several n, with its uncertainty.

    Parameters
    ----------
    n, score : (results,) each: how many animals (or labels), and what was reached; several seeds for each n.
    to : up to which n the curve is drawn; at most twice the largest n, beyond which it would be a guess.

    Returns
    -------
    DataFrame n, score, low, high (95 %, the results of each n resampled); `.attrs` has top, gap, rate of the fit.

    Raises
    ------
    ValueError : fewer than three different n; `to` beyond twice the largest.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    n, score = np.asarray(n, dtype=float), np.asarray(score, dtype=float)
    different = np.unique(n)
    if len(different) < 3:
        raise ValueError(f"there are results at {len(different)} different n; a curve with three parameters needs at least three.")
    to = different[-1] if to is None else to
    if to > 2 * different[-1]:
        raise ValueError(f"to is {to:g}, more than twice the largest n ({different[-1]:g}): nothing is known there.")
    at = np.geomspace(different[0], to, 60)

    def fit(scores: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            start = (scores.max(), max(np.ptp(scores), 0.01), 0.5)
            return curve_fit(_rise, n, scores, p0=start, bounds=([0, -2, 0.05], [1, 2, 4]), max_nfev=2000)[0]

    parameters, rng = fit(score), np.random.default_rng(seed)
    curves = []
    for _ in range(n_bootstrap):
        resampled = score.copy()
        for value in different:
            here = np.flatnonzero(n == value)
            resampled[here] = score[rng.choice(here, len(here))]
        curves.append(_rise(at, *fit(resampled)))
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    table = pd.DataFrame({"n": at, "score": _rise(at, *parameters), "low": low, "high": high})
    table.attrs = dict(zip(("top", "gap", "rate"), map(float, parameters)))
    return table


def _rise(n, top, gap, rate):
    return top - gap * n**-rate
