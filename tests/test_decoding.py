"""Probes, protocols, scores."""
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

import nuclr_lite as nl
from nuclr_lite.decoding import _metrics, _scores, _shuffled


def units(n_animals=6, per_animal=30, strength=2.0, seed=0, classes=("Exc", "Pvalb", "Sst")):
    """Features of which the first column carries the label."""
    rng = np.random.default_rng(seed)
    n = n_animals * per_animal
    index = pd.MultiIndex.from_product([[f"r{i}" for i in range(n_animals)], range(per_animal)], names=["recording_id", "unit_id"])
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
    macro_f1, balanced, accuracy = _metrics(confusion)
    assert macro_f1 == pytest.approx(f1_score(true, predicted, average="macro"))
    assert accuracy == pytest.approx(np.mean(np.array(true) == np.array(predicted)))
    if len(set(true)) > 1:
        recalls = [np.mean([p == name for t, p in pairs if t == name]) for name in set(true)]
        assert balanced == pytest.approx(np.mean(recalls))


def test_scores_are_of_the_pooled_predictions():
    features, labels, groups = units()
    result = nl.decode(features, labels, groups)
    rows = result.predictions
    assert result.score() == pytest.approx(f1_score(rows["true"], rows["predicted"], average="macro"))
    assert result.score("balanced_accuracy") == pytest.approx(balanced_accuracy_score(rows["true"], rows["predicted"]))
    assert list(rows.columns[:3]) == ["true", "predicted", "fold"]
    np.testing.assert_allclose(rows.filter(like="p_").sum(axis=1), 1)
    assert (rows.filter(like="p_").idxmax(axis=1).str[2:] == rows["predicted"]).all()
    assert result.confusion.to_numpy().sum() == len(features) == result.scores["n"].iloc[0]
    np.testing.assert_allclose(result.per_class["f1"].mean(), result.score())


def test_zero_shot_never_learns_from_the_test_animal():
    """Each animal's features are shifted by its own amount, which only its own units could reveal."""
    features, labels, groups = units()
    result = nl.decode(features, labels, groups)
    folds = result.predictions["fold"].groupby(groups).agg(["min", "max"])
    assert (folds["min"] == folds["max"]).all() and folds["min"].nunique() == 6
    spy = labels.copy()
    spy[groups == "r0"] = "Sst"                        # relabelling the test animal must not change its predictions
    changed = nl.decode(features, spy, groups)
    mine = (groups == "r0").to_numpy()
    pd.testing.assert_frame_equal(result.predictions[mine].filter(like="p_"), changed.predictions[mine].filter(like="p_"))


def test_test_groups_fits_once_on_all_others():
    features, labels, groups = units()
    result = nl.decode(features, labels, groups, test_groups=["r4", "r5"])
    assert set(result.groups) == {"r4", "r5"} and result.predictions["fold"].eq(0).all() and len(result.predictions) == 60


def test_transductive_predicts_every_unit_once_from_other_units():
    features, labels, groups = units()
    result = nl.decode(features, labels, groups, protocol="transductive")
    assert result.predictions.index.equals(features.index) and result.predictions["fold"].nunique() == 5


def test_interval_over_animals_is_wider_than_over_units_when_animals_differ():
    features, labels, groups = units(n_animals=8, per_animal=60)
    for name in groups.unique()[::2]:                  # in half of the animals, the label is gone
        features.loc[(groups == name).to_numpy(), "a"] = 0.0
    result = nl.decode(features, labels, groups)
    each_its_own = pd.Series(range(len(features)), index=features.index)
    over_units = _scores(result.predictions, each_its_own, result.classes, 1000, 0)
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
    labels[(groups == "r0").to_numpy() & (np.arange(len(groups)) < 5)] = "Vip"        # only in r0
    result = nl.decode(features, labels, groups)
    mine = result.predictions[(result.groups == "r0").to_numpy()]
    assert mine["p_Vip"].eq(0).all() and result.classes == ["Exc", "Pvalb", "Sst", "Vip"]


def test_order_of_rows_of_labels_does_not_matter():
    features, labels, groups = units()
    a = nl.decode(features, labels, groups)
    b = nl.decode(features, labels.sample(frac=1, random_state=0), groups.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(a.predictions, b.predictions)


@pytest.mark.parametrize("change, words", [
    (lambda f, y, g: (f, y.iloc[3:], g), "labels lack 3"),
    (lambda f, y, g: (f, y.to_numpy(), g), "give a Series"),
    (lambda f, y, g: (f.assign(b=np.nan), y, g), "drop or fill"),
    (lambda f, y, g: (f, y.mask(y != "Exc"), g), "at least two"),
    (lambda f, y, g: (pd.concat([f, f]), y, g), "occurs twice"),
    (lambda f, y, g: (f, y, g.mask(g == "r0")), "no animal"),
])
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


def test_score_table_has_methods_and_controls_on_the_same_units():
    features, labels, groups = units()
    sets = {"NuCLR": features, "fewer": features.iloc[:-10], "noise": features[["b", "c"]]}
    with pytest.warns(UserWarning, match="10 units"):
        table, results = nl.score_table(sets, labels, groups)
    assert list(results) == ["NuCLR", "fewer", "noise", "NuCLR, shuffled labels", "majority", "chance"]
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
    shuffled = _shuffled(labels, groups, np.random.default_rng(1))
    assert (shuffled.groupby(groups).nunique() == 1).all() and shuffled.value_counts().to_dict() == labels.value_counts().to_dict()
    assert (shuffled != labels).any()
