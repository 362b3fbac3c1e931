"""How a published row is scored: their classifiers, their choice of the epoch, and how we would.

The published classifier is a logistic regression (L2, C = 1) in several settings; the epoch is the
one whose inner folds have the best macro F1, each fold of the test its own. Source: the authors'
evaluation scripts and notebooks (github nerdslab/nuclr at 0fa409b and e0fd9bc^).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

OVERSAMPLING_SEED = 42


@dataclass(frozen=True)
class Readout:
    """A published classifier.

    solver, tolerance : of scikit-learn's LogisticRegression (cuML's default is lbfgs, too).
    oversample : True: units of the rarer classes are drawn again, with replacement, until all are
        as many. False: classes are weighted.
    standardise : by the training units.
    """

    solver: str = "newton-cg"
    tolerance: float = 1e-4
    oversample: bool = False
    standardise: bool = True

    def fit(self, x: np.ndarray, y: np.ndarray) -> Pipeline:
        """x: (units, columns); y: (units,) labels."""
        if self.oversample:
            rows = oversampled(y, np.random.RandomState(OVERSAMPLING_SEED))
            x, y = x[rows], y[rows]
        classifier = LogisticRegression(
            solver=self.solver,
            tol=self.tolerance,
            max_iter=1000,
            class_weight=None if self.oversample else "balanced",
        )
        scaler = [StandardScaler()] if self.standardise else []
        return make_pipeline(*scaler, classifier).fit(x, y)


OURS = Readout("lbfgs")


@dataclass(frozen=True)
class Fold:
    """One test set, and what is learned for it; each an Index (recording_id, unit_id).

    fit : units that the classifier is fit on. test : units that it predicts. choose : (fit,
    predicted) pairs whose pooled predictions choose the epoch. (): the last epoch is taken.
    """

    fit: pd.Index
    test: pd.Index
    choose: tuple[tuple[pd.Index, pd.Index], ...] = ()


def oversampled(y: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Rows of all units, then of as many more of each rarer class, drawn with replacement, as it
    lacks.
    """
    names, counts = np.unique(y, return_counts=True)
    more = [
        rng.choice(np.flatnonzero(y == name), size=counts.max() - count)
        for name, count in zip(names, counts)
        if count < counts.max()
    ]
    return np.concatenate([np.arange(len(y)), *more])


def predicted(
    features: dict[int, pd.DataFrame], labels: pd.Series, folds: list[Fold], readout: Readout
) -> pd.DataFrame:
    """Predictions of all test units.

    Parameters
    ----------
    features : step -> DataFrame (units, columns), the encoder's vectors at each checkpoint kept,
        on the index of `labels`. folds : where one has nothing to choose by, the last is taken.

    Returns
    -------
    DataFrame on the test units' index: true, predicted, fold, step (the encoder's, of this fold).
    """
    steps, tables = sorted(features), []
    place = pd.Series(np.arange(len(labels)), index=labels.index)
    y = labels.to_numpy()
    x = {step: features[step].loc[labels.index].to_numpy(dtype=np.float64) for step in steps}

    def predict(step: int, fit: np.ndarray, test: np.ndarray) -> np.ndarray:
        return readout.fit(x[step][fit], y[fit]).predict(x[step][test])

    for number, fold in enumerate(folds):
        chosen = steps[-1]
        if fold.choose and len(steps) > 1:
            pairs = [(place[fit].to_numpy(), place[part].to_numpy()) for fit, part in fold.choose]
            truth = np.concatenate([y[part] for _, part in pairs])
            scores = [
                f1_score(
                    truth,
                    np.concatenate([predict(step, fit, part) for fit, part in pairs]),
                    average="macro",
                )
                for step in steps
            ]
            chosen = steps[int(np.argmax(scores))]  # of equals the earliest
        fit, test = place[fold.fit].to_numpy(), place[fold.test].to_numpy()
        tables.append(
            pd.DataFrame(
                {
                    "true": y[test],
                    "predicted": predict(chosen, fit, test),
                    "fold": number,
                    "step": chosen,
                },
                index=fold.test,
            )
        )
    return pd.concat(tables)


def check_folds(row: str, folds: list[Fold], labels: pd.Series):
    """ValueError where a class of the test units is among no training units, or a fold is empty."""
    if not folds:
        raise ValueError(f"{row}: there is nothing to test; give the sessions that it tests.")
    for number, fold in enumerate(folds):
        for what, fit, test in (
            ("tested", fold.fit, fold.test),
            *(("used to choose the epoch", *pair) for pair in fold.choose),
        ):
            if not len(fit) or not len(test):
                raise ValueError(
                    f"{row}: fold {number} has {len(fit)} labelled units to learn from and"
                    f" {len(test)} {what}; give more of its sessions."
                )
            lacking = set(labels[test]) - set(labels[fit])
            if lacking or labels[fit].nunique() < 2:
                raise ValueError(
                    f"{row}: fold {number}: {', '.join(sorted(lacking)) or 'a second class'} is"
                    f" {what} and in no unit to learn from; give more of its sessions."
                )


def our_folds(units: pd.DataFrame, protocol: str, tested: pd.Index, seen: set[str]) -> list[Fold]:
    """Folds as we would make them: by animal, or by cell, and with nothing to choose.

    Parameters
    ----------
    units : those that count: label, animal_id, unique_id where a cell is in several sessions.
    tested : units that the published folds test. seen : animals that the encoder was trained on.

    Inductive zero-shot: of the tested units those of animals that the encoder hasn't seen, learned
    from all other animals; each in turn, where those lack a label. Transductive zero-shot:
    animals in turn, in ten groups where there are more. Transductive: five stratified parts, with
    all sessions of a cell in one.
    """
    animals = units["animal_id"]
    if protocol == "inductive zero-shot":
        new = units.index.isin(tested) & ~animals.isin(seen)
        others = ~animals.isin(animals[new])
        new_animals = animals[new].unique()
        elsewhere = set(units["label"][new]) <= set(units["label"][others])
        groups = [new_animals] if elsewhere else [[animal] for animal in new_animals]
    elif protocol == "transductive zero-shot":
        names = sorted(animals.unique())
        groups = [names[i::10] for i in range(min(10, len(names)))]
        new = np.ones(len(units), dtype=bool)
    else:
        cells = pd.Series(units.index.map(str), index=units.index)
        if "unique_id" in units:
            known = units["unique_id"].notna()
            cells[known] = animals[known] + " " + units.loc[known, "unique_id"].astype(str)
        split = StratifiedGroupKFold(5, shuffle=True, random_state=0)
        return [
            Fold(units.index[fit], units.index[test])
            for fit, test in split.split(units, units["label"], cells)
        ]
    if not new.any():
        return []
    return [
        Fold(units.index[~animals.isin(group)], units.index[new & animals.isin(group)])
        for group in groups
    ]
