import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from nuclr_lite.experiments.paper.scoring import (
    OURS,
    Fold,
    Readout,
    check_folds,
    our_folds,
    oversampled,
    predicted,
)


def units(n_animals=6, n_units=20, classes="ab"):
    index = pd.MultiIndex.from_product(
        [[f"r{i}" for i in range(n_animals)], range(n_units)], names=["recording_id", "unit_id"]
    )
    labels = [classes[i % len(classes)] for i in range(len(index))]
    animals = [f"m{name[1:]}" for name in index.get_level_values(0)]
    return pd.DataFrame({"label": labels, "animal_id": animals}, index=index)


def telling(table, strength, rng):
    """Features that tell the label as well as `strength` says."""
    x = rng.normal(size=(len(table), 3))
    x[:, 0] += strength * table["label"].eq("a")
    return pd.DataFrame(x, index=table.index)


def test_each_fold_takes_the_step_that_its_inner_folds_score_best():
    table, rng = units(), np.random.default_rng(0)
    features = {step: telling(table, s, rng) for step, s in ((10, 0), (20, 8), (30, 1))}
    rest, test = table.index[:100], table.index[100:]
    folds = [Fold(rest, test, ((rest[:50], rest[50:]),)), Fold(test, rest)]
    result = predicted(features, table["label"], folds, OURS)
    assert set(result.loc[result["fold"] == 0, "step"]) == {20}
    assert set(result.loc[result["fold"] == 1, "step"]) == {30}  # nothing to choose by: the last
    assert f1_score(*result.loc[test, ["true", "predicted"]].to_numpy().T, average="macro") > 0.95


def test_of_equal_steps_the_earliest_is_chosen():
    table = units()
    same = telling(table, 2, np.random.default_rng(0))
    rest, test = table.index[:100], table.index[100:]
    result = predicted(
        {5: same, 9: same}, table["label"], [Fold(rest, test, ((rest[:50], rest[50:]),))], OURS
    )
    assert set(result["step"]) == {5}


def test_the_inner_folds_are_scored_together():
    """One inner fold has a single class: a mean of scores by fold would choose otherwise."""
    table, rng = units(), np.random.default_rng(1)
    good, poor = telling(table, 6, rng), telling(table, 0.5, rng)
    rest, test = table.index[:100], table.index[100:]
    of_a = rest[table.loc[rest, "label"] == "a"][:10]
    choose = ((rest.difference(of_a, sort=False), of_a), (rest[:50], rest[50:].difference(of_a)))
    result = predicted({1: poor, 2: good}, table["label"], [Fold(rest, test, choose)], OURS)
    assert set(result["step"]) == {2}


def test_oversampling_makes_classes_even_and_keeps_every_unit():
    y = np.array(list("aaaaaabbbc"))
    rows = oversampled(y, np.random.RandomState(0))
    assert sorted(rows[:10]) == list(range(10))
    assert {name: int((y[rows] == name).sum()) for name in "abc"} == {"a": 6, "b": 6, "c": 6}


def test_a_readout_is_what_it_says():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)) * [1, 10, 100, 1000], np.array(list("aab") * 20)
    weighted = Readout().fit(x, y)
    assert [name for name, _ in weighted.steps] == ["standardscaler", "logisticregression"]
    assert weighted[-1].class_weight == "balanced" and weighted[-1].solver == "newton-cg"
    plain = Readout("lbfgs", 1e-5, oversample=True, standardise=False).fit(x, y)
    assert [name for name, _ in plain.steps] == ["logisticregression"]
    assert plain[-1].class_weight is None and plain[-1].tol == 1e-5
    # the scaler is fit on what was drawn again, too
    even = Readout(oversample=True).fit(x, y)
    rows = oversampled(y, np.random.RandomState(42))
    assert even[0].mean_ == pytest.approx(x[rows].mean(axis=0))


@pytest.mark.parametrize(
    ("protocol", "n_folds"),
    [("inductive zero-shot", 1), ("transductive zero-shot", 6), ("transductive", 5)],
)
def test_our_folds(protocol, n_folds):
    table = units()
    tested = table.index[table["animal_id"].isin(["m4", "m5"])]
    folds = our_folds(table, protocol, tested, seen={"m0", "m1", "m2", "m3", "m4"})
    assert len(folds) == n_folds
    for fold in folds:
        assert not set(fold.fit) & set(fold.test)
        if "zero-shot" in protocol:
            sides = [set(table.loc[index, "animal_id"]) for index in (fold.fit, fold.test)]
            assert not sides[0] & sides[1]
    if protocol == "inductive zero-shot":  # m4 was seen
        assert set(table.loc[folds[0].test, "animal_id"]) == {"m5"}


def test_where_only_tested_animals_have_labels_each_is_left_out_in_turn():
    table = units(3)
    folds = our_folds(table, "inductive zero-shot", table.index, seen=set())
    assert [set(table.loc[fold.test, "animal_id"]) for fold in folds] == [{"m0"}, {"m1"}, {"m2"}]


def test_labels_of_a_seen_animal_that_lack_a_class_do_not_stand_for_the_others():
    table = units(4)
    table.loc[table["animal_id"] == "m0", "label"] = "a"
    folds = our_folds(table, "inductive zero-shot", table.index, seen={"m0"})
    assert [set(table.loc[fold.test, "animal_id"]) for fold in folds] == [{"m1"}, {"m2"}, {"m3"}]


def test_where_every_tested_animal_was_seen_there_is_no_fold():
    table = units(3)
    assert our_folds(table, "inductive zero-shot", table.index, {"m0", "m1", "m2"}) == []


def test_a_class_that_a_fold_cannot_learn_is_named():
    table = units()
    of_a = table.index[table["label"] == "a"]
    with pytest.raises(ValueError, match="row x: fold 0: b is tested and in no unit"):
        check_folds("row x", [Fold(of_a[10:], table.index[:4])], table["label"])
    with pytest.raises(ValueError, match="b is used to choose the epoch"):
        pairs = ((of_a[10:], table.index[2:4]),)
        check_folds("row x", [Fold(table.index[4:], table.index[:2], pairs)], table["label"])
    with pytest.raises(ValueError, match="0 labelled units to learn from and 4 tested"):
        check_folds("row x", [Fold(of_a[:0], table.index[:4])], table["label"])
    with pytest.raises(ValueError, match="nothing to test"):
        check_folds("row x", [], table["label"])
