"""The authors' number from the embeddings that they published: task suite 3 of IBL BrainWideBench,
the region (Cosmos) of each unit, by a linear probe, on a CPU.

    scores = brainwidebench.score(cache_dir="data/raw/brainwidebench")    # 0.7 + 0.2 GB, once
    brainwidebench.summary(scores)                                        # macro F1: mean, SEM

    units = read_units("data/raw/brainwidebench")
    brainwidebench.evaluate(embedding, units)[0]                          # of an encoder of yours

The rules are the benchmark's (github brainbench-org/ibl-bwb, src/ts3): which units, in which order
the classes, the probe and its settings, nothing tuned. An encoder that was pretrained on the 29
sessions evaluated isn't zero-shot here: the first NuCLR knows 24 of them (`nl.checks.leaks(...,
trained_on=trained_on("nuclr"))`). No network was at hand when this was written: the number itself
has not been made yet.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_fscore_support
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..analysis.multi_unit import multi_unit
from ..files.progress import progress
from ..official import HOMES, SEEDS, cached_file
from ..sources.download.downloads import confirm_size
from ..sources.published import embeddings as published
from ..sources.published.brainwidebench import read_units
from ..sources.published.ibl import REGIONS

EXPECTED = {"pretrain": 41_834, "eval": 3_222}  # units, or it isn't the benchmark
UNPLACED = ("void", "root")
METRICS = ("precision", "recall", "f1")


def linear_probe() -> Pipeline:
    """The benchmark's classifier, not yet fit."""
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(C=1.0, max_iter=1000, solver="newton-cg", class_weight="balanced"),
    )


def scored_units(units: pd.DataFrame, exact: bool = True) -> pd.DataFrame:
    """Those units that the probe learns from (regime 'pretrain') or is scored on ('eval').

    units : from `read_units`. exact : ValueError unless their numbers are the benchmark's; False: a
        warning.
    """
    quality, evaluated = units["qc_neural"], units["regime"] == "eval"
    kept = units[
        (quality == "PASS").where(evaluated, quality != "FAIL")
        & (units["qc_neural_alignment"] == "PASS")
        & (units["label"] == 1.0)
        & (units["firing_rate_hz"] > 1.0)
        & ~units["region"].isin(UNPLACED)
    ]
    unknown = sorted(set(kept["region"]) - set(REGIONS), key=str)
    if unknown:
        raise ValueError(
            f"units are in regions that the benchmark has not: {unknown[:5]}; its classes are the"
            f" Cosmos acronyms {', '.join(REGIONS)}."
        )
    counts = kept["regime"].value_counts()
    found = {regime: int(counts.get(regime, 0)) for regime in EXPECTED}
    if found != EXPECTED:
        text = (
            f"{found['pretrain']:,} units to learn from and {found['eval']:,} to be scored, where"
            f" the benchmark has {EXPECTED['pretrain']:,} and {EXPECTED['eval']:,}"
        )
        if exact:
            raise ValueError(
                f"{text}: sessions are missing, or the data set has changed. Read all of them"
                " (read_units with refresh=True), or pass exact=False: the score is then not the"
                " benchmark's."
            )
        warnings.warn(f"{text}: this score is not the benchmark's.", stacklevel=3)
    return kept


def evaluate(
    features: pd.DataFrame, units: pd.DataFrame, *, exact: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One set of vectors, scored as the benchmark does.

    Parameters
    ----------
    features : DataFrame (units, dim) indexed by (recording_id, unit_id), session and unit, in the
        precision that the probe is to work in; joined by name. Units to learn from may be lacking.
        Its order of rows decides which of two neighbours at one distance counts as nearer.
    units : from `read_units`. exact : see `scored_units`.

    Returns
    -------
    scores : DataFrame, a row each for the readouts 'single' and 'multi' (the mean over neighbours,
        see `multi_unit`): readout; macro_f1, macro_precision, macro_recall; f1_CB and so on, a
        column a class and metric; n_train, n_test (units).
    predictions : DataFrame on the scored units: true, single, multi (the regions predicted), and of
        the single readout p_CB, ..., one probability a class.

    Raises
    ------
    ValueError : another number of units than the benchmark's; a unit to be scored without a finite
        vector; units to learn from that lack a class.
    """
    return _evaluated(features, scored_units(units, exact))


def _evaluated(features: pd.DataFrame, chosen: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    if features.index.has_duplicates:
        raise ValueError("a unit occurs twice in the features; give each one row.")
    finite = np.isfinite(features.to_numpy()).all(axis=1)
    features = features[finite & features.index.isin(chosen.index)]
    of_them = chosen.loc[features.index]
    train, test = of_them["regime"] == "pretrain", of_them["regime"] == "eval"
    lacking = chosen.index[chosen["regime"] == "eval"].difference(of_them.index[test])
    if len(lacking):
        raise ValueError(
            f"{len(lacking)} of the units to be scored have no vector, or none that is finite"
            f" (first: {'/'.join(map(str, lacking[0]))}): the vectors are of other units, or the"
            " file isn't whole. Download it again, or embed these sessions too."
        )
    absent = [name for name in REGIONS if name not in set(of_them["region"][train])]
    if absent or not test.any():
        raise ValueError(
            f"of the {int(train.sum())} units to learn from none is in {', '.join(absent)}, so that"
            " the probe can't know these classes; read more sessions, or embed them."
            if absent
            else "there is no unit to be scored; read sessions to evaluate, too."
        )
    fitted = linear_probe().fit(features[train].to_numpy(), of_them["region"][train].to_numpy())
    one = pd.DataFrame(
        fitted.predict_proba(features[test].to_numpy()),
        index=features.index[test],
        columns=[f"p_{name}" for name in fitted.classes_],
    )
    scored = of_them[test]
    readouts = {"single": one, "multi": multi_unit(one, scored["probe_id"], scored["depth_um"])}
    names = np.array(fitted.classes_, dtype=object)
    predictions = pd.DataFrame({"true": scored["region"]}).assign(
        **{name: names[table.to_numpy().argmax(axis=1)] for name, table in readouts.items()}
    )
    counts = {"n_train": int(train.sum()), "n_test": int(test.sum())}
    scores = [
        {"readout": name, **metrics(predictions["true"], predictions[name]), **counts}
        for name in readouts
    ]
    return pd.DataFrame(scores), predictions.join(one)


def metrics(true, predicted) -> dict[str, float]:
    """Macro means over the ten classes, and each class's own. true, predicted : (units,) regions;
    what a class has none of is 0.
    """
    by_class = precision_recall_fscore_support(true, predicted, labels=REGIONS, zero_division=0)[:3]
    found = {
        f"macro_{name}": float(np.mean(by_class[i])) for i, name in reversed([*enumerate(METRICS)])
    }
    for name, values in zip(METRICS, by_class):
        found |= {f"{name}_{region}": float(value) for region, value in zip(REGIONS, values)}
    return found


def score(
    seeds: Iterable[int] | int = SEEDS,
    cache_dir: str | Path = "data/raw/brainwidebench",
    *,
    model: str = "nuclr",
    files: Mapping[int, str | Path] | None = None,
    exact: bool = True,
    refresh: bool = False,
    endpoint: str | None = None,
    **options,
) -> pd.DataFrame:
    """Download what is not there yet, and score each seed's published embeddings.

    About half a minute a seed, once the files are there; from then on without a network.

    Parameters
    ----------
    seeds : of the pretraining, out of 42 to 46. cache_dir : for unit tables and embeddings.
    model : 'nuclr' or 'nemo'.
    files : seed -> a file of embeddings that is there already, in place of `seeds` and `model`.
    exact : see `scored_units`. refresh, options : of `read_units`. endpoint : of the hub.

    Returns
    -------
    DataFrame, for each seed the two rows of `evaluate` with seed, and n_dropped (rows of its file
    without a finite vector). `summary` has the mean over seeds.
    """
    cache_dir = Path(cache_dir).expanduser()
    hub = (cache_dir / "hub", endpoint)
    seeds = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    seeds = seeds if files is None else list(files)
    if not seeds:
        raise ValueError("there is no seed to score; give some of 42 to 46.")
    files = dict(files or {})
    if not files:
        name = published.NAME.format(model=model)
        there = {seed: cached_file(model, name, seed, hub[0]) for seed in seeds}
        files = {seed: path for seed, path in there.items() if path is not None}
    missing = [seed for seed in seeds if seed not in files]
    if missing:
        size = published.TYPICAL_BYTES * len(missing) * (1.4 if model == "nemo" else 1)
        what = f"Embeddings of {len(missing)} seeds, from {HOMES[model]} on the Hugging Face hub"
        confirm_size(size, cache_dir, what, yes=True)
    # checked before anything large is downloaded
    chosen = scored_units(read_units(cache_dir, refresh=refresh, **options), exact)
    tables, dim = [], None
    for seed in progress(seeds, desc="score", unit="seed", leave=False):
        path = Path(files.get(seed) or published.download_embeddings(seed, model, *hub))
        held = published.read_embeddings(path)
        if held.seed is not None and held.seed != seed:
            warnings.warn(
                f"{path}: says that its embeddings are of seed {held.seed}; they are scored as"
                f" those of {seed}.",
                stacklevel=2,
            )
        dim = dim or held.vectors.shape[1]
        if held.vectors.shape[1] != dim:
            raise ValueError(
                f"{path}: has {held.vectors.shape[1]} dimensions, where the first seed has {dim};"
                " it is of another model: score each model by itself."
            )
        try:
            table, _ = _evaluated(held.vectors, chosen)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        tables.append(table.assign(seed=seed, n_dropped=held.dropped))
    table = pd.concat(tables, ignore_index=True)
    first = ["readout", "seed"]
    return table[first + [name for name in table if name not in first]]


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Over seeds, a row for each readout and macro metric: readout, metric, mean, sem (of n - 1
    degrees of freedom; NaN for one seed), n (seeds). scores : from `score`.
    """
    rows = [
        {
            "readout": readout,
            "metric": metric,
            "mean": values.mean(),
            "sem": values.std(ddof=1) / np.sqrt(len(values)),
            "n": len(values),
        }
        for metric in (f"macro_{name}" for name in reversed(METRICS))
        for readout, values in scores.groupby("readout", sort=False)[metric]
    ]
    return pd.DataFrame(rows)
