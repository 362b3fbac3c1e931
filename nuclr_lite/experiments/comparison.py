"""Are two methods different, how sure is a mean over seeds, and where does a curve end?

Animals and seeds are what is resampled.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..decoding import METRICS, confusions, drawn_animals, metrics_of
from .experiment import Experiment
from .methods import SHUFFLED
from .running import predictions

PARTS = ["pretraining_animals", "label_animals", "label_share"]  # of a cell: NaN where all are used


def paired_difference(
    first, second, metric: str = "macro_f1", n_bootstrap: int = 2000, seed: int = 0
) -> pd.Series:
    """How much better the first method is than the second, on the same units.

    The same animals are drawn for both, so that an animal in which everything is easy cancels; and,
    where there are several, the same seeds.

    Parameters
    ----------
    first, second : predictions as `experiments.predictions` gives them: true, predicted, animal_id,
        on the same index (recording_id, unit_id). Or a list of such tables, one a seed, the same
        seeds in both; scores are then means over seeds. (One table stands for all seeds: what draws
        nothing.)
    metric : 'macro_f1', 'balanced_accuracy' or 'accuracy', over the pooled predictions.

    Returns
    -------
    Series: difference, low, high (95 %), n_animals, n_seeds, significant (0 lies outside the
    interval; never with fewer than 4 animals, whose interval means little).

    Raises
    ------
    ValueError : units or true labels that differ; unequal numbers of seeds; an unknown metric.
    """
    first, second = (
        [tables] if isinstance(tables, pd.DataFrame) else list(tables) for tables in (first, second)
    )
    n_seeds = max(len(first), len(second))
    first, second = (tables * n_seeds if len(tables) == 1 else tables for tables in (first, second))
    if len(first) != len(second):
        raise ValueError(
            f"there are {len(first)} seeds of the first method and {len(second)} of the second;"
            " compare the same seeds."
        )
    for other in (*first[1:], *second):
        if not first[0].index.sort_values().equals(other.index.sort_values()):
            raise ValueError(
                f"the predictions are of different units ({len(first[0])} and {len(other)});"
                " compare methods on the same units."
            )
        if (first[0]["true"] != other["true"].loc[first[0].index]).any():
            raise ValueError(
                "the true labels differ between the two; compare predictions of one label."
            )
    estimates, draws, n_animals = _resampled(
        [[[table] for table in first], [[table] for table in second]], metric, n_bootstrap, seed
    )
    return pd.Series(_difference(estimates, draws, n_animals, n_seeds))


def _difference(estimates, draws, n_animals: int, n_seeds: int) -> dict:
    """Of two results: first minus second, its interval, and whether 0 lies outside; estimates (2,),
    draws (2, n_bootstrap).
    """
    low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975])
    return {
        "difference": estimates[0] - estimates[1],
        "low": low,
        "high": high,
        "n_animals": n_animals,
        "n_seeds": n_seeds,
        "significant": bool(n_animals >= 4 and (low > 0 or high < 0)),
    }


def against(
    experiment: Experiment | list[Experiment],
    out_dir: str | Path,
    reference: str = "NuCLR",
    metric: str = "macro_f1",
    **part,
) -> pd.DataFrame:
    """The reference minus each other method of an experiment that was run, in numbers and in words.

    The others use all animals and labels; so does the reference, unless `part` says otherwise:
    `label_share=1/8`, `pretraining_animals=4`, `label_animals=4`. The same animals and seeds are
    drawn for both. Shuffled labels are no method, and are left out: they are scored against other
    labels.

    Each interval holds in 95 % of the cases by itself: if no method differed, about one row in
    twenty would still say so.

    Returns
    -------
    DataFrame, a row a method: difference, low, high (95 %), n_animals, n_seeds, significant (0 lies
    outside; never with fewer than 4 animals), in words.
    """
    table, draws = summary_and_draws(experiment, out_dir, metric)
    wanted = {name: part.get(name, np.nan) for name in PARTS}
    mine = table["method"].eq(reference) & np.logical_and.reduce(
        [np.isclose(table[name], value, equal_nan=True) for name, value in wanted.items()]
    )
    if set(part) - set(PARTS) or mine.sum() != 1:
        raise ValueError(
            f"there are no results of {reference!r} with {part or 'everything'}; there are those of"
            f" {', '.join(table['method'].unique())}, and parts"
            f" {table[PARTS].drop_duplicates().to_dict('records')}."
        )
    at, rows = int(np.flatnonzero(mine)[0]), {}
    methods = (experiment if isinstance(experiment, Experiment) else next(iter(experiment))).methods
    for other in map(int, np.flatnonzero(table[PARTS].isna().all(axis=1))):
        method = table["method"].iloc[other]
        if other == at or methods[method].readout == SHUFFLED:
            continue
        row = _difference(
            table["estimate"].to_numpy()[[at, other]],
            draws[[at, other]],
            table["n_animals"].iloc[at],
            table["n_seeds"].iloc[at],
        )
        row["in words"] = (
            "can't tell"
            if not row["significant"]
            else f"{reference} is better"
            if row["low"] > 0
            else f"{reference} is worse"
        )
        rows[method] = row
    return pd.DataFrame(rows).T.infer_objects().rename_axis(f"{reference} against")


def summary(
    experiment: Experiment | list[Experiment],
    out_dir: str | Path,
    metric: str = "macro_f1",
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Means over seeds and draws of an experiment that was run, with intervals; of several
    (`Experiment.each_group`), over all their predictions together.

    Returns
    -------
    DataFrame, a row for each method and part of animals or labels: method, pretraining_animals,
    label_animals, label_share (NaN: all), estimate, low, high (95 %: animals and seeds resampled,
    the same for all rows), n_seeds, n_animals.
    """
    return summary_and_draws(experiment, out_dir, metric, n_bootstrap, seed)[0]


def summary_and_draws(
    experiment: Experiment | list[Experiment],
    out_dir: str | Path,
    metric: str = "macro_f1",
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> tuple[pd.DataFrame, np.ndarray]:
    """`summary`, and the resampled estimates of its rows, (rows, n_bootstrap): what
    `saturating_curve` needs.
    """
    together = [experiment] if isinstance(experiment, Experiment) else list(experiment)
    groups = list(together[0].cells().groupby(["method", *PARTS], sort=False, dropna=False))

    def read(row: dict) -> pd.DataFrame:
        return pd.concat([predictions(one, out_dir, row) for one in together])

    tables = [
        [
            [read(row) for row in of_seed.to_dict("records")]
            for _, of_seed in rows.groupby("seed", sort=False)
        ]
        for _, rows in groups
    ]
    estimates, draws, n_animals = _resampled(tables, metric, n_bootstrap, seed)
    low, high = np.quantile(draws, [0.025, 0.975], axis=1)
    table = pd.DataFrame([key for key, _ in groups], columns=["method", *PARTS])
    return (
        table.assign(
            metric=metric,
            estimate=estimates,
            low=low,
            high=high,
            n_seeds=[len(seeds) for seeds in tables],
            n_animals=n_animals,
        ),
        draws,
    )


def _resampled(tables: list, metric: str, n_bootstrap: int, seed: int):
    """Scores of several results, also with animals and seeds drawn anew, the same for all.

    tables : result -> seed -> draw (of labels) -> predictions. Returns estimates (results,), draws
        (results, n_bootstrap), the number of animals.
    """
    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}; use one of {METRICS}.")
    flat = [table for result in tables for of_seed in result for table in of_seed]
    classes = sorted(set().union(*(set(table["true"]) | set(table["predicted"]) for table in flat)))
    animals = set(flat[0]["animal_id"])
    if any(set(table["animal_id"]) != animals for table in flat):
        raise ValueError("the results are of different animals; compare results on the same ones.")
    rng, estimates, draws, weights = np.random.default_rng(seed), [], [], None
    of_seeds: dict[int, np.ndarray] = {}  # how many seeds -> the draws of them

    def score(confusion: np.ndarray) -> np.ndarray:
        return metrics_of(confusion)[..., METRICS.index(metric)]

    for result in tables:
        counts = [
            np.stack([confusions(table, table["animal_id"], classes) for table in of_seed])
            for of_seed in result
        ]
        # (n_bootstrap, animals)
        weights = drawn_animals(counts[0][0], n_bootstrap, rng) if weights is None else weights
        n = len(result)
        # (n_bootstrap, seeds)
        of_seeds.setdefault(n, rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap) / n)
        estimates.append(np.mean([score(one.sum(axis=1)).mean() for one in counts]))
        # (seeds, n_bootstrap)
        of_seed = np.stack(
            [score(np.einsum("ba,daxy->dbxy", weights, one)).mean(axis=0) for one in counts]
        )
        draws.append((of_seeds[n].T * of_seed).sum(axis=0))
    return np.array(estimates), np.stack(draws), len(animals)


def saturating_curve(n, score, draws, to: float | None = None) -> pd.DataFrame:
    """A curve that rises and levels off, score = top - gap * n ** -rate, through results at several
    n, with its uncertainty.

    Parameters
    ----------
    n, score : (results,) each: how many animals (or labels), and what was reached. draws :
        (results, resamples), the scores when animals and seeds are drawn anew, as
        `summary_and_draws` gives them: the curve is fitted to each.
    to : up to which n the curve is drawn; at most twice the largest n, beyond which it would be a
        guess.

    Returns
    -------
    DataFrame n, score, low, high (95 %); `.attrs` has top, gap, rate of the fit.

    Raises
    ------
    ValueError : fewer than three different n; `to` beyond twice the largest.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    n, score = np.asarray(n, dtype=float), np.asarray(score, dtype=float)
    different = np.unique(n)
    if len(different) < 3:
        raise ValueError(
            f"there are results at {len(different)} different n; a curve with three parameters"
            " needs at least three."
        )
    to = different[-1] if to is None else to
    if to > 2 * different[-1]:
        raise ValueError(
            f"to is {to:g}, more than twice the largest n ({different[-1]:g}): nothing is known"
            " there."
        )
    at = np.geomspace(different[0], to, 60)

    def fit(scores: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            start = (scores.max(), max(np.ptp(scores), 0.01), 0.5)
            return curve_fit(
                _rise, n, scores, p0=start, bounds=([0, -2, 0.05], [1, 2, 4]), max_nfev=2000
            )[0]

    parameters = fit(score)
    curves = [_rise(at, *fit(drawn)) for drawn in np.asarray(draws, dtype=float).T]
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    table = pd.DataFrame({"n": at, "score": _rise(at, *parameters), "low": low, "high": high})
    table.attrs = dict(zip(("top", "gap", "rate"), map(float, parameters)))
    return table


def _rise(n, top, gap, rate):
    return top - gap * n**-rate
