"""Probes, protocols, scores."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier

import nuclr_lite as nl
from nuclr_lite.decoding import (
    TunedClassifier,
    boosting,
    inner_folds,
    metrics_of,
    scores_of,
    shuffled,
    tuned,
)


def units(n_animals=6, per_animal=30, strength=2.0, seed=0, classes=("Exc", "Pvalb", "Sst")):
    """Features of which the first column carries the label."""
    rng = np.random.default_rng(seed)
    n = n_animals * per_animal
    index = pd.MultiIndex.from_product(
        [[f"r{i}" for i in range(n_animals)], range(per_animal)], names=["recording_id", "unit_id"]
    )
    labels = pd.Series(rng.choice(classes, n), index=index)
    features = pd.DataFrame(rng.standard_normal((n, 4)), index=index, columns=list("abcd"))
    features["a"] += strength * labels.map({name: i for i, name in enumerate(classes)})
    return features, labels, pd.Series(index.get_level_values(0), index=index)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC")), min_size=2, max_size=40))
def test_metrics_equal_scikit_learn(pairs):
    true, predicted = zip(*pairs)
    confusion = np.zeros((3, 3))
    for t, p in pairs:
        confusion["ABC".index(t), "ABC".index(p)] += 1
    macro_f1, balanced, accuracy = metrics_of(confusion)
    assert macro_f1 == pytest.approx(f1_score(true, predicted, average="macro"))
    assert accuracy == pytest.approx(np.mean(np.array(true) == np.array(predicted)))
    if len(set(true)) > 1:
        recalls = [np.mean([p == name for t, p in pairs if t == name]) for name in set(true)]
        assert balanced == pytest.approx(np.mean(recalls))


def test_scores_are_of_the_pooled_predictions():
    features, labels, groups = units()
    result = nl.decode(features, labels, groups)
    rows = result.predictions
    assert result.score() == pytest.approx(
        f1_score(rows["true"], rows["predicted"], average="macro")
    )
    assert result.score("balanced_accuracy") == pytest.approx(
        balanced_accuracy_score(rows["true"], rows["predicted"])
    )
    assert list(rows.columns[:3]) == ["true", "predicted", "fold"]
    np.testing.assert_allclose(rows.filter(like="p_").sum(axis=1), 1)
    assert (rows.filter(like="p_").idxmax(axis=1).str[2:] == rows["predicted"]).all()
    assert result.confusion.to_numpy().sum() == len(features) == result.scores["n"].iloc[0]
    np.testing.assert_allclose(result.per_class["f1"].mean(), result.score())


def test_zero_shot_never_learns_from_the_test_animal():
    """Each animal's features are shifted by its own amount, which only its own units could
    reveal.
    """
    features, labels, groups = units()
    result = nl.decode(features, labels, groups)
    folds = result.predictions["fold"].groupby(groups).agg(["min", "max"])
    assert (folds["min"] == folds["max"]).all() and folds["min"].nunique() == 6
    spy = labels.copy()
    spy[groups == "r0"] = "Sst"  # relabelling the test animal must not change its predictions
    changed = nl.decode(features, spy, groups)
    mine = (groups == "r0").to_numpy()
    pd.testing.assert_frame_equal(
        result.predictions[mine].filter(like="p_"), changed.predictions[mine].filter(like="p_")
    )


def test_test_groups_fits_once_on_all_others():
    features, labels, groups = units()
    result = nl.decode(features, labels, groups, test_groups=["r4", "r5"])
    assert (
        set(result.groups) == {"r4", "r5"}
        and result.predictions["fold"].eq(0).all()
        and len(result.predictions) == 60
    )


def test_transductive_predicts_every_unit_once_from_other_units():
    features, labels, groups = units()
    result = nl.decode(features, labels, groups, protocol="transductive")
    assert (
        result.predictions.index.equals(features.index)
        and result.predictions["fold"].nunique() == 5
    )


def test_interval_over_animals_is_wider_than_over_units_when_animals_differ():
    features, labels, groups = units(n_animals=8, per_animal=60)
    for name in groups.unique()[::2]:  # in half of the animals, the label is gone
        features.loc[(groups == name).to_numpy(), "a"] = 0.0
    result = nl.decode(features, labels, groups)
    each_its_own = pd.Series(range(len(features)), index=features.index)
    over_units = scores_of(result.predictions, each_its_own, result.classes, 1000, 0)
    width = [(scores["high"] - scores["low"]).iloc[0] for scores in (result.scores, over_units)]
    assert width[0] > 1.5 * width[1]


def test_one_animal_has_no_interval():
    features, labels, groups = units(n_animals=1, per_animal=60)
    result = nl.decode(features, labels, groups, protocol="transductive")
    assert np.isfinite(result.score()) and result.scores[["low", "high"]].isna().all().all()
    with pytest.raises(ValueError, match="add animals"):
        nl.decode(features, labels, groups)


def test_units_without_a_label_take_no_part():
    features, labels, groups = units()
    labels.iloc[:50] = None
    assert len(nl.decode(features, labels, groups).predictions) == len(features) - 50


def test_class_absent_from_training_gets_probability_zero_and_right_columns():
    features, labels, groups = units()
    labels[(groups == "r0").to_numpy() & (np.arange(len(groups)) < 5)] = "Vip"  # only in r0
    result = nl.decode(features, labels, groups)
    mine = result.predictions[(result.groups == "r0").to_numpy()]
    assert mine["p_Vip"].eq(0).all() and result.classes == ["Exc", "Pvalb", "Sst", "Vip"]


def test_order_of_rows_of_labels_does_not_matter():
    features, labels, groups = units()
    a = nl.decode(features, labels, groups)
    b = nl.decode(
        features, labels.sample(frac=1, random_state=0), groups.sample(frac=1, random_state=1)
    )
    pd.testing.assert_frame_equal(a.predictions, b.predictions)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda f, y, g: (f, y.iloc[3:], g), "labels lack 3"),
        (lambda f, y, g: (f, y.to_numpy(), g), "give a Series"),
        (lambda f, y, g: (f.assign(b=np.nan), y, g), "drop or fill"),
        (lambda f, y, g: (f, y.mask(y != "Exc"), g), "at least two"),
        (lambda f, y, g: (pd.concat([f, f]), y, g), "occurs twice"),
        (lambda f, y, g: (f, y, g.mask(g == "r0")), "no animal"),
    ],
)
def test_bad_input_says_what_to_do(change, words):
    with pytest.raises(ValueError, match=words):
        nl.decode(*change(*units()))


def test_bad_options_say_what_to_do():
    with pytest.raises(ValueError, match="use one of"):
        nl.decode(*units(), protocol="one-shot")
    with pytest.raises(ValueError, match="without a labelled unit"):
        nl.decode(*units(), test_groups=["mouse"])
    with pytest.raises(ValueError, match="zero-shot"):
        nl.decode(*units(), protocol="transductive", test_groups=["r0"])
    features, labels, groups = units(n_animals=2)
    labels[(groups == "r1").to_numpy()] = "Exc"
    with pytest.raises(ValueError, match="Add animals"):
        nl.decode(features, labels, groups)


def test_score_table_shows_what_recordings_know():
    """The label goes with the recording but for a few units, and so does the feature: it reads the
    label, its means over recordings do as well, and within recordings nothing is left.
    """
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [[f"r{number}" for number in range(12)], range(10)], names=["recording_id", "unit_id"]
    )
    number = np.repeat(np.arange(12), 10)
    usual = np.where(number % 2, "M1", "dStr")
    other = np.where(number % 2, "dStr", "M1")
    # in the last two recordings every unit has the same label: they don't count within recordings
    labels = pd.Series(
        np.where((index.get_level_values(1) < 2) & (number < 10), other, usual), index
    )
    features = pd.DataFrame({"x": number % 2 + 0.1 * rng.normal(size=120)}, index)
    groups = pd.Series([f"rat{n // 2}" for n in number], index)
    table, _ = nl.score_table({"x": features}, labels, groups, recordings=True)
    rows = table[table["metric"] == "macro_f1"].set_index("method")
    assert rows.index.tolist() == [
        "x",
        "x, recording means",
        "x, within recordings",
        "x, shuffled labels",
        "majority",
        "chance",
    ]
    assert rows.loc["x", "estimate"] > 0.75 and rows.loc["x, recording means", "estimate"] > 0.75
    assert rows.loc["x, within recordings", "estimate"] < 0.6
    assert rows["n"].tolist() == [120, 120, 100, 120, 120, 120]


def test_score_table_has_methods_and_controls_on_the_same_units():
    features, labels, groups = units()
    sets = {"NuCLR": features, "fewer": features.iloc[:-10], "noise": features[["b", "c"]]}
    with pytest.warns(UserWarning, match="10 units"):
        table, results = nl.score_table(sets, labels, groups)
    assert list(results) == [
        "NuCLR",
        "fewer",
        "noise",
        "NuCLR, shuffled labels",
        "majority",
        "chance",
    ]
    assert table["n"].eq(len(features) - 10).all()
    f1 = table[table["metric"] == "macro_f1"].set_index("method")["estimate"]
    assert f1["NuCLR"] > 0.6
    assert f1[["noise", "NuCLR, shuffled labels", "chance"]].max() < 0.45 and f1["majority"] < 0.25


def test_seeds_repeat():
    a, b = (nl.score_table({"x": units()[0]}, *units()[1:], seed=3)[0] for _ in range(2))
    pd.testing.assert_frame_equal(a, b)


def test_where_an_animal_has_one_label_whole_animals_swap_theirs():
    features, labels, groups = units(n_animals=6)
    labels[:] = groups.map({f"r{i}": "CA1" if i < 3 else "CA3" for i in range(6)})
    other = shuffled(labels, groups, np.random.default_rng(1))
    assert (
        other.groupby(groups).nunique() == 1
    ).all() and other.value_counts().to_dict() == labels.value_counts().to_dict()
    assert (other != labels).any()


class Spy(ClassifierMixin, BaseEstimator):
    """Predicts the first class, and remembers whom it was fit on; a column of the features names
    the animal of each row.
    """

    seen = []

    def __init__(self, strength=0):
        self.strength = strength

    def fit(self, x, y):
        Spy.seen.append((set(x[:, -1]), len(x)))
        self.classes_ = np.unique(y)
        return self

    def predict(self, x):
        Spy.seen[-1] += (set(x[:, -1]),)
        return np.full(len(x), self.classes_[0])

    def predict_proba(self, x):
        return np.tile(np.eye(len(self.classes_))[0], (len(x), 1))


class SpyOnGroups(Spy):
    def fit(self, x, y, groups=None):
        Spy.seen.append((set(groups), len(groups)))
        self.classes_ = np.unique(y)
        return self


def named_units(**options):
    features, labels, groups = units(**options)
    return features.assign(animal=pd.factorize(groups)[0]), labels, groups


def test_decode_hands_the_training_animals_to_a_classifier_that_takes_groups():
    Spy.seen = []
    nl.decode(*named_units(), classifier=SpyOnGroups())
    assert [(len(animals), n) for animals, n, *_ in Spy.seen] == [(5, 150)] * 6
    for fold, (animals, *_) in enumerate(Spy.seen):
        assert f"r{fold}" not in animals


def test_tuning_leaves_animals_out_and_never_sees_the_test_animal():
    Spy.seen = []
    nl.decode(
        *named_units(),
        classifier=TunedClassifier(Spy(), {"strength": [1, 2]}),
        test_groups=["r2", "r4"],
    )
    *inner, (last, n, tested) = Spy.seen
    # two candidates, four folds, then all
    assert len(inner) == 2 * 4 and last == {0, 1, 3, 5} and n == 120 and tested == {2, 4}
    for trained, _, predicted in inner:
        assert not trained & predicted and trained | predicted == {0, 1, 3, 5}


@pytest.mark.parametrize("classifier", [tuned(), boosting()], ids=["tuned", "boosting"])
def test_classifiers_read_what_is_there_and_weigh_classes(classifier):
    features, labels, groups = units(n_animals=3, per_animal=80, strength=3.0)
    rare = (labels != "Sst") | (np.arange(len(labels)) % 4 == 0)
    result = nl.decode(
        features[rare], labels[rare], groups[rare], classifier=classifier, test_groups=["r0"]
    )
    assert result.score() > 0.75 and result.per_class.loc["Sst", "recall"] > 0.5
    np.testing.assert_allclose(result.predictions.filter(like="p_").sum(axis=1), 1)


class OneColumn(ClassifierMixin, BaseEstimator):
    def __init__(self, column=0):
        self.column = column

    def fit(self, x, y):
        self.neighbours = KNeighborsClassifier(5).fit(x[:, [self.column]], y)
        self.classes_ = self.neighbours.classes_
        return self

    def predict(self, x):
        return self.neighbours.predict(x[:, [self.column]])


def test_tuning_chooses_what_holds_in_other_animals():
    """The first column tells classes apart perfectly, but by another code in each animal; the
    second less well, but in all alike.
    """
    features, labels, groups = units(n_animals=6, strength=1.5)
    rng = np.random.default_rng(0)
    y, animal = labels.to_numpy(), groups.to_numpy()
    codes = {
        name: dict(zip(("Exc", "Pvalb", "Sst"), rng.permutation(3))) for name in groups.unique()
    }
    code = [100 * int(name[1:]) + codes[name][label] for name, label in zip(animal, y)]
    x = np.stack([code, features["a"]], axis=1)
    chooser = TunedClassifier(OneColumn(), {"column": [0, 1]})
    assert chooser.fit(x, y, groups=animal).best_params_ == {"column": 1}
    assert chooser.fit(x, y).best_params_ == {"column": 0}  # without animals, nothing tells it


def test_tuned_repeats_and_prefers_the_simplest_where_nothing_helps():
    features, labels, groups = units(n_animals=4, strength=0.0)
    x, y, animal = np.zeros((len(features), 3)), labels.to_numpy(), groups.to_numpy()
    assert tuned().fit(x, y, animal).best_params_ == {"logisticregression__C": 0.001}
    a, b = (boosting().fit(features, y).predict_proba(features) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_inner_folds_leave_animals_out_or_fall_back_to_units():
    y = np.array(list("abcabcabcabc") * 3)
    animal = np.repeat(list("uvwxyz"), 6)
    for groups, n, by_animal in (
        (animal, 4, True),
        (animal, 9, True),
        (None, 4, False),
        (np.full(36, "u"), 4, False),
    ):
        folds = inner_folds(y, groups, n)
        # each unit is tested once
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(36))
        for train, test in folds:
            assert len(set(train) | set(test)) == 36 and set(y[train]) == set("abc")
            assert not by_animal or not set(animal[train]) & set(animal[test])
    one_label = np.repeat(list("aaabbb"), 6)  # animals of one class each
    assert all(
        set(one_label[train]) == set("ab") and not set(animal[train]) & set(animal[test])
        for train, test in inner_folds(one_label, animal)
    )
    alone = np.repeat(list("aaaaab"), 6)  # class b lives in one animal: it would vanish
    assert all(set(alone[train]) == set("ab") for train, _ in inner_folds(alone, animal))


def test_a_grid_search_gets_groups_where_its_folds_need_them():
    features, labels, groups = units()
    grid = {"C": [0.1, 1.0]}
    by_animal = nl.decode(
        features,
        labels,
        groups,
        classifier=GridSearchCV(LogisticRegression(), grid, cv=GroupKFold(3)),
    )
    plain = nl.decode(
        features, labels, groups, classifier=GridSearchCV(LogisticRegression(), grid, cv=3)
    )
    assert min(by_animal.score(), plain.score()) > 0.6


def test_what_cannot_be_tuned_says_what_to_do():
    with pytest.raises(ValueError, match="chooses nothing"):
        tuned().fit(np.zeros((2, 1)), np.array(["a", "b"]))
