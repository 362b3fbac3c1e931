"""Decoding: read a label from frozen features, on held-out units or held-out animals.

The probe is the paper's: standardised features, logistic regression. Scores are computed once, over
the pooled predictions of all folds (an animal may have a single class, and a per-fold F1 would then
mean nothing); intervals come from resampling animals (within labels, where an animal has one),
because the units of an animal are not independent. They leave out the luck of one training run, and
with few animals they are rough.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from inspect import signature

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import (
    GridSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from .files.shown import ShownDecodeResult
from .files.tables import aligned, in_order, recording_means, within_recordings

PROTOCOLS = ("zero-shot", "transductive")
METRICS = ("macro_f1", "balanced_accuracy", "accuracy")


@dataclass(frozen=True, eq=False, repr=False)
class DecodeResult(ShownDecodeResult):
    """Predictions and their scores.

    scores : DataFrame metric ('macro_f1', 'balanced_accuracy', 'accuracy'), estimate, low, high (95
        % bootstrap interval over animals; NaN with fewer than two), n (units scored).
    predictions : DataFrame on the features' index: true, predicted, fold, and one probability a
        class.
    classes : list of str, in the order of the probability columns and of `confusion`.
    protocol : 'zero-shot' or 'transductive'. groups : Series, the animal of each unit scored.
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame
    classes: list
    protocol: str
    groups: pd.Series

    def score(self, metric: str = "macro_f1") -> float:
        """One estimate."""
        return float(self.scores.set_index("metric").loc[metric, "estimate"])

    @property
    def confusion(self) -> pd.DataFrame:
        """(classes, classes) counts; rows are the truth, columns the prediction."""
        return confusion_table(self.predictions, self.classes)

    @property
    def per_class(self) -> pd.DataFrame:
        """Precision, recall, F1 and number of units of each class."""
        counts = self.confusion.to_numpy()
        hit, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
        return pd.DataFrame(
            {
                "precision": _ratio(hit, predicted),
                "recall": _ratio(hit, true),
                "f1": _ratio(2 * hit, true + predicted),
                "n": true,
            },
            index=pd.Index(self.classes, name="class"),
        )


def decode(
    features: pd.DataFrame,
    labels: pd.Series,
    groups: pd.Series,
    protocol: str = "zero-shot",
    *,
    test_groups=None,
    classifier=None,
    n_folds: int = 5,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> DecodeResult:
    """Predict every unit's label from features that were made without it.

    Parameters
    ----------
    features : DataFrame (units, columns), from `embed` or `baselines`.
    labels, groups : Series on the features' index: the label and the animal of each unit. Units
        without a label take no part.
    protocol : 'zero-shot' leaves one animal out in turn (inductive where the encoder never saw it).
        'transductive' predicts units from other units of the same animals, in `n_folds` stratified
        folds.
    test_groups : animals to predict; zero-shot only. The classifier is then fit once, on all the
        others.
    classifier : any scikit-learn classifier with `predict_proba`. None: `probe`. Where its `fit`
        takes `groups`, it gets the animals of the training units, to choose within them (see
        `tuned`).
    n_bootstrap : resamples of animals for the intervals.

    Raises
    ------
    ValueError : indices that don't match; NaN features; fewer than two classes or animals; unknown
        test animals.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; use one of {PROTOCOLS}.")
    if test_groups is not None and protocol != "zero-shot":
        raise ValueError("test_groups holds animals out, which is the protocol 'zero-shot'.")
    test_groups = [test_groups] if isinstance(test_groups, str) else test_groups
    features, labels, groups = aligned(features, labels, groups)
    # folds are drawn, and sums made, in the order of the ids: the rows' own changes nothing
    given, order = features.index, in_order(features.index)
    features, labels, groups = features.iloc[order], labels.iloc[order], groups.iloc[order]
    x, y, animal = features.to_numpy(dtype=np.float64), labels.to_numpy(), groups.to_numpy()
    folds = list(_folds(y, animal, protocol, test_groups, n_folds, seed))
    classes = sorted(set(y))
    classifier = probe() if classifier is None else classifier
    pieces = []
    for fold, (train, test) in enumerate(folds):
        known = set(y[train])
        if len(known) < 2:
            raise ValueError(
                f"the training part of fold {fold} has {len(known)} class"
                f" ({', '.join(map(str, known))}); a classifier needs two. Add animals or units"
                " with other labels."
            )
        animals = {"groups": animal[train]} if _takes_groups(classifier) else {}
        fitted = clone(classifier).fit(x[train], y[train], **animals)
        piece = pd.DataFrame(
            0.0, index=features.index[test], columns=[f"p_{name}" for name in classes]
        )
        piece[[f"p_{name}" for name in fitted.classes_]] = fitted.predict_proba(x[test])
        piece.insert(0, "true", y[test])
        piece.insert(1, "predicted", fitted.predict(x[test]))
        piece.insert(2, "fold", fold)
        pieces.append(piece)
    predictions = pd.concat(pieces).loc[lambda table: given.intersection(table.index, sort=False)]
    groups = groups.loc[predictions.index]
    return DecodeResult(
        scores_of(predictions, groups, classes, n_bootstrap, seed),
        predictions,
        classes,
        protocol,
        groups,
    )


def probe() -> Pipeline:
    """The paper's classifier, not yet fit: standardise, logistic regression (L2, C = 1, balanced
    classes).
    """
    return make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )


def boosting() -> HistGradientBoostingClassifier:
    """Boosted trees of four leaves, 63 bins a feature, classes weighed evenly, not yet fit; for
    `decode`: reads what no line can separate. Nothing in it is tuned: to choose a learning rate
    inside the training animals took ten times as long and reached the same score
    (results/rats.md).
    """
    return HistGradientBoostingClassifier(
        class_weight="balanced",
        max_iter=100,
        max_leaf_nodes=4,
        min_samples_leaf=5,
        max_bins=63,
        early_stopping=False,
        random_state=0,
    )


def tuned() -> TunedClassifier:
    """`probe` that chooses its own strength, C from 0.001 to 10, inside the training animals; for
    `decode`. The strongest penalty comes first and wins ties.
    """
    return TunedClassifier(probe(), {"logisticregression__C": [0.001, 0.01, 0.1, 1.0, 10.0]})


class TunedClassifier(ClassifierMixin, BaseEstimator):
    """Chooses from a grid by macro F1 over the pooled predictions of `inner_folds`, then fits on
    all it was given.

    scikit-learn's GridSearchCV averages the scores of folds instead, which means little where an
    animal has one class.

    classifier, grid : as in GridSearchCV. n_folds : at most.
    classes_ : (classes,). best_params_ : dict. best_estimator_ : the fitted classifier.
    """

    def __init__(self, classifier, grid: dict, n_folds: int = 4):
        self.classifier = classifier
        self.grid = grid
        self.n_folds = n_folds

    def fit(self, x, y, groups=None) -> TunedClassifier:
        """x: (units, columns). y: (units,) labels. groups: (units,) animals, or None."""
        folds = inner_folds(y, groups, self.n_folds)
        candidates = [
            clone(self.classifier).set_params(**values) for values in ParameterGrid(self.grid)
        ]
        scores = [
            f1_score(y, cross_val_predict(candidate, x, y, cv=folds), average="macro")
            for candidate in candidates
        ]
        best = int(np.argmax(scores))
        self.best_params_ = ParameterGrid(self.grid)[best]
        self.best_estimator_ = candidates[best].fit(x, y)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict(self, x) -> np.ndarray:
        return self.best_estimator_.predict(x)

    def predict_proba(self, x) -> np.ndarray:
        return self.best_estimator_.predict_proba(x)


def inner_folds(labels, groups=None, n_folds: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) rows that partition the units by animal; by unit, stratified, where no such
    folds leave every class to learn from.

    labels : (units,). groups : (units,) animals, or None. n_folds : at most; fewer where animals or
        units of a class are.
    Raises ValueError where every class has a single unit.
    """
    labels = np.asarray(labels)
    names, counts = np.unique(labels, return_counts=True)
    if counts.max() < 2:
        raise ValueError(
            "every class has a single training unit, so that none is left to choose by; use a"
            " classifier that chooses nothing, or more units."
        )
    n_folds, n_animals = min(n_folds, counts.min()), 0 if groups is None else len(set(groups))
    for n in range(min(n_folds, n_animals), 1, -1):
        folds = list(StratifiedGroupKFold(n).split(labels, labels, groups))
        if all(len(test) and len(set(labels[train])) == len(names) for train, test in folds):
            return folds
    return list(
        StratifiedKFold(max(n_folds, 2), shuffle=True, random_state=0).split(labels, labels)
    )


def score_table(
    features: dict[str, pd.DataFrame],
    labels: pd.Series,
    groups: pd.Series,
    protocol: str = "zero-shot",
    *,
    shuffle: str | None = None,
    recordings: bool = False,
    seed: int = 0,
    **options,
) -> tuple[pd.DataFrame, dict[str, DecodeResult]]:
    """Several feature sets and the controls, scored the same way on the same units.

    Parameters
    ----------
    features : method name -> features. Units that any of them lacks are left out for all, with a
        notice.
    shuffle : the method to repeat with shuffled labels: within each animal or, where an animal has
        one label, whole animals swap theirs. None: the first.
    recordings : also show what recordings know, where a label may go with them: the same method's
        means over recordings, and itself *within recordings*, of which only those with two labels
        count, their means taken away (fewer units, so a score of its own).
    options : passed on to `decode`.

    Returns
    -------
    table : DataFrame method, metric, estimate, low, high, n; the methods in order, then the
        controls: those of recordings, shuffled labels, majority (always the most frequent label)
        and chance (a label drawn evenly).
    results : method -> DecodeResult.
    """
    common, *others = (table.index for table in features.values())
    for index in others:
        common = common.intersection(index, sort=False)
    lost = max(len(table) for table in features.values()) - len(common)
    if lost:
        warnings.warn(
            f"{lost} units lack the features of one method or another and are left out for all.",
            stacklevel=2,
        )
    _, labels, groups = aligned(next(iter(features.values())).loc[common], labels, groups)
    common = labels.index
    options |= {"protocol": protocol, "seed": seed}
    results = {
        name: decode(table.loc[common], labels, groups, **options)
        for name, table in features.items()
    }
    shuffle = shuffle or next(iter(features))
    rng = np.random.default_rng(seed)
    some = features[shuffle].loc[common]
    if recordings:
        means, less = recording_means(some), within_recordings(some, labels)
        results[f"{shuffle}, recording means"] = decode(means, labels, groups, **options)
        results[f"{shuffle}, within recordings"] = decode(*less, groups, **options)
    results[f"{shuffle}, shuffled labels"] = decode(
        some, shuffled(labels, groups, rng), groups, **options
    )
    options["classifier"] = DummyClassifier(strategy="most_frequent")
    results["majority"] = decode(some, labels, groups, **options)
    options["classifier"] = DummyClassifier(strategy="uniform", random_state=seed)
    results["chance"] = decode(some, labels, groups, **options)
    table = pd.concat({name: result.scores for name, result in results.items()}, names=["method"])
    return table.reset_index(level=0).reset_index(drop=True), results


def _takes_groups(classifier) -> bool:
    """scikit-learn's searches hand `groups` to their splitter; their signature doesn't say so."""
    if isinstance(classifier, (GridSearchCV, RandomizedSearchCV)):
        return hasattr(classifier.cv, "split")
    return "groups" in signature(classifier.fit).parameters


def shuffled(labels: pd.Series, groups: pd.Series, rng: np.random.Generator) -> pd.Series:
    """The labels in another order: within each animal or, where an animal has one label, whole
    animals swap theirs.
    """
    order = in_order(labels.index)
    given, labels, groups = labels.index, labels.iloc[order], groups.iloc[order]
    by_animal = labels.groupby(groups.to_numpy(), sort=False)
    if (by_animal.nunique() == 1).all():
        of_animal = by_animal.first()
        return groups.map(dict(zip(of_animal.index, rng.permutation(of_animal.to_numpy())))).loc[
            given
        ]
    return by_animal.transform(lambda part: rng.permutation(part.to_numpy())).loc[given]


def _folds(y, animal, protocol, test_groups, n_folds, seed):
    if protocol == "transductive":
        rarest = int(pd.Series(y).value_counts().min())
        if rarest < 2:
            raise ValueError(
                "a class has a single unit, which can't be both learned and tested; drop that"
                " class."
            )
        yield from StratifiedKFold(min(n_folds, rarest), shuffle=True, random_state=seed).split(
            y, y
        )
        return
    animals = pd.unique(animal)
    if test_groups is not None:
        unknown = sorted(set(test_groups) - set(animals), key=str)
        if unknown:
            raise ValueError(f"test_groups names animals without a labelled unit: {unknown[:5]}.")
        test = np.isin(animal, list(test_groups))
        if test.all() or not test.any():
            raise ValueError(
                "test_groups must leave at least one animal to learn from and one to test on."
            )
        yield np.flatnonzero(~test), np.flatnonzero(test)
        return
    if len(animals) < 2:
        raise ValueError(
            f"zero-shot leaves animals out, but there is one ({animals[0]!r}); use"
            " protocol='transductive', or add animals."
        )
    for name in animals:
        yield np.flatnonzero(animal != name), np.flatnonzero(animal == name)


def confusion_table(predictions: pd.DataFrame, classes: list | None = None) -> pd.DataFrame:
    """(classes, classes) counts; rows are the truth, columns the prediction.

    predictions : with columns true and predicted. classes : in their order; None: those that occur,
        sorted.
    """
    if classes is None:
        classes = sorted(set(predictions["true"]) | set(predictions["predicted"]))
    [counts] = confusions(predictions, np.zeros(len(predictions)), classes)
    return pd.DataFrame(
        counts.astype(int),
        index=pd.Index(classes, name="true"),
        columns=pd.Index(classes, name="predicted"),
    )


def confusions(predictions: pd.DataFrame, groups, classes: list) -> np.ndarray:
    """(animals, classes, classes) counts of true by predicted, animals sorted. groups : (units,)
    the animal of each.
    """
    place = {name: i for i, name in enumerate(classes)}
    # in sorted order, so that tables of the same animals fit each other
    animal = np.unique(groups, return_inverse=True)[1]
    counts = np.zeros((animal.max() + 1, len(classes), len(classes)))
    true, predicted = (predictions[name].map(place).to_numpy() for name in ("true", "predicted"))
    np.add.at(counts, (animal, true, predicted), 1)
    return counts


def drawn_animals(counts: np.ndarray, n_bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """(n_bootstrap, animals): how often each animal is drawn, with replacement.

    Where each animal has one label, within labels: or else a draw might lack one.

    counts : (animals, classes, classes), true by predicted.
    """
    has_label = counts.sum(axis=2) > 0  # (animals, classes)
    stratum = (
        has_label.argmax(axis=1)
        if (has_label.sum(axis=1) == 1).all()
        else np.zeros(len(counts), dtype=int)
    )
    drawn = np.zeros((n_bootstrap, len(counts)))
    for one in np.unique(stratum):
        here = np.flatnonzero(stratum == one)
        drawn[:, here] = rng.multinomial(
            len(here), np.full(len(here), 1 / len(here)), size=n_bootstrap
        )
    return drawn


def metrics_of(confusion: np.ndarray) -> np.ndarray:
    """(..., classes, classes) counts -> (..., 3): macro F1, balanced accuracy, accuracy.

    As scikit-learn: F1 averages over classes that occur or are predicted, balanced accuracy over
    those that occur.
    """
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(-1), confusion.sum(-2)
    f1 = _ratio(2 * hit, true + predicted).sum(-1) / ((true + predicted) > 0).sum(-1)
    recall = _ratio(hit, true).sum(-1) / (true > 0).sum(-1)
    return np.stack([f1, recall, hit.sum(-1) / true.sum(-1)], axis=-1)


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)


def scores_of(
    predictions: pd.DataFrame, groups: pd.Series, classes: list, n_bootstrap: int, seed: int
) -> pd.DataFrame:
    """The table `DecodeResult.scores`."""
    counts = confusions(predictions, groups, classes)
    estimate = metrics_of(counts.sum(axis=0))
    low = high = np.full(3, np.nan)
    if len(counts) > 1 and n_bootstrap:
        drawn = drawn_animals(counts, n_bootstrap, np.random.default_rng(seed))
        low, high = np.quantile(
            metrics_of(np.tensordot(drawn, counts, axes=1)), [0.025, 0.975], axis=0
        )
    return pd.DataFrame(
        {"metric": METRICS, "estimate": estimate, "low": low, "high": high, "n": len(predictions)}
    )
