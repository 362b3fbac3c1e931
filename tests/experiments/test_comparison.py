"""Differences between methods, and curves that level off: right where the truth is known."""

import numpy as np
import pandas as pd
import pytest
import tiny_experiment
from sklearn.metrics import balanced_accuracy_score, f1_score

from nuclr_lite import comparison
from nuclr_lite.experiments import run
from nuclr_lite.experiments.comparison import paired_difference, saturating_curve
from nuclr_lite.experiments.methods import CHANCE, UNTRAINED

# fixtures: pytest looks for them here
saved, experiment = tiny_experiment.saved, tiny_experiment.experiment


def predictions(
    right: float, seed: int, n_animals: int = 12, one_label: bool = False
) -> pd.DataFrame:
    """Three classes, 20 units an animal; a share `right` of the predictions is right, and varies
    over animals.
    """
    rng, truth = np.random.default_rng(seed), np.random.default_rng(99)
    animal = np.repeat(np.arange(n_animals), 20)
    true = np.array(list("abc"))[animal % 3 if one_label else truth.integers(0, 3, len(animal))]
    hit = rng.random(len(animal)) < np.clip(right + truth.normal(0, 0.1, n_animals), 0, 1)[animal]
    guess = np.array(list("abc"))[rng.integers(0, 3, len(animal))]
    index = pd.MultiIndex.from_arrays(
        [animal.astype(str), np.arange(len(animal))], names=["recording_id", "unit_id"]
    )
    return pd.DataFrame(
        {"true": true, "predicted": np.where(hit, true, guess), "animal_id": animal.astype(str)},
        index=index,
    )


@pytest.mark.parametrize("one_label", [False, True])
def test_difference_is_that_of_the_pooled_scores(one_label):
    good, poor = predictions(0.7, 1, one_label=one_label), predictions(0.2, 2, one_label=one_label)
    found = paired_difference(good, poor.sample(frac=1, random_state=0))
    expected = f1_score(good["true"], good["predicted"], average="macro") - f1_score(
        poor["true"], poor["predicted"], average="macro"
    )
    assert (
        found["difference"] == pytest.approx(expected) and found["low"] < expected < found["high"]
    )
    assert found["significant"] and found["n_animals"] == 12
    backwards = paired_difference(poor, good, "balanced_accuracy")
    assert backwards["difference"] == pytest.approx(
        balanced_accuracy_score(poor["true"], poor["predicted"])
        - balanced_accuracy_score(good["true"], good["predicted"])
    )
    assert backwards["high"] < 0


def test_equal_methods_are_rarely_significant():
    """At 95 % about one pair in twenty; of 60, eight or more would be a fault."""
    assert (
        sum(
            paired_difference(predictions(0.5, 10 + i), predictions(0.5, 500 + i), n_bootstrap=300)[
                "significant"
            ]
            for i in range(60)
        )
        < 8
    )


def test_pairing_narrows_the_interval():
    """Two methods that succeed and fail in the same animals."""
    one = predictions(0.5, 1)
    other = one.copy()
    other.iloc[::25, 1] = "a"
    paired = paired_difference(one, other)
    apart = paired_difference(one, predictions(0.5, 7))
    assert paired["high"] - paired["low"] < 0.5 * (apart["high"] - apart["low"])


def test_three_animals_prove_nothing():
    assert not paired_difference(
        predictions(0.9, 1, n_animals=3), predictions(0.1, 2, n_animals=3)
    )["significant"]


def test_what_cannot_be_compared():
    one = predictions(0.5, 1)
    with pytest.raises(ValueError, match="different units"):
        paired_difference(one, one.iloc[:-1])
    with pytest.raises(ValueError, match="true labels differ"):
        paired_difference(one, one.assign(true="a"))
    with pytest.raises(ValueError, match="metric is 'f1'"):
        paired_difference(one, one, "f1")


def test_seeds_count_too():
    """One seed in which the first method fails: the interval of the mean over seeds shows it, that
    of a lucky seed doesn't.
    """
    good, poor, other = predictions(0.8, 1), predictions(0.1, 2), predictions(0.4, 3)
    lucky, mean = paired_difference(good, other), paired_difference([good, good, poor], other)
    assert lucky["significant"] and not mean["significant"] and mean["n_seeds"] == 3

    def score(table):
        return f1_score(table["true"], table["predicted"], average="macro")

    assert mean["difference"] == pytest.approx((2 * score(good) + score(poor)) / 3 - score(other))
    with pytest.raises(ValueError, match="compare the same seeds"):
        paired_difference([good, good], [other] * 3)


def test_curve_finds_the_truth():
    rng = np.random.default_rng(0)
    n = np.array([1, 2, 4, 8, 16, 32])
    draws = (0.9 - 0.5 * n**-0.7)[:, None] + rng.normal(0, 0.01, (6, 100))
    curve = saturating_curve(n, draws.mean(axis=1), draws, to=64)
    assert curve.attrs["top"] == pytest.approx(0.9, abs=0.04) and curve.attrs[
        "rate"
    ] == pytest.approx(0.7, abs=0.2)
    at_64 = curve.iloc[-1]
    assert at_64["n"] == pytest.approx(64) and at_64["low"] < 0.9 - 0.5 * 64**-0.7 < at_64["high"]
    assert (curve["high"] >= curve["low"]).all() and curve["score"].is_monotonic_increasing


def test_curve_does_not_guess():
    with pytest.raises(ValueError, match="more than twice the largest"):
        saturating_curve([1, 2, 4], [0.1, 0.2, 0.3], np.zeros((3, 2)), to=9)
    with pytest.raises(ValueError, match="at 2 different n"):
        saturating_curve([1, 1, 2], [0.1, 0.2, 0.3], np.zeros((3, 2)))


def test_summary_and_differences(experiment, tmp_path):
    table = run(experiment, tmp_path)
    rows, draws = comparison.summary_and_draws(experiment, tmp_path)
    pd.testing.assert_frame_equal(rows, comparison.summary(experiment, tmp_path))
    assert len(rows) == len(table.groupby(["method", *comparison.PARTS], dropna=False))
    assert (
        rows["n_seeds"]
        == np.where(
            (rows["method"] == "hand: rate") & rows[comparison.PARTS].isna().all(axis=1), 1, 2
        )
    ).all()
    assert draws.shape == (len(rows), 1000) and (rows["low"] <= rows["high"]).all()
    mean = table.groupby(["method", *comparison.PARTS], dropna=False, sort=False)["macro_f1"].mean()
    pd.testing.assert_frame_equal(
        rows[["method", *comparison.PARTS]], mean.index.to_frame(index=False), check_dtype=False
    )
    np.testing.assert_allclose(rows["estimate"], mean)
    full = (
        table[table[comparison.PARTS].isna().all(axis=1)]
        .groupby("method", sort=False)["macro_f1"]
        .mean()
    )
    differences = comparison.against(experiment, tmp_path)
    np.testing.assert_allclose(
        differences["difference"].astype(float), (full["NuCLR"] - full).loc[differences.index]
    )
    assert list(differences.index) == ["hand: rate", UNTRAINED, CHANCE]
    assert set(differences["in words"]) == {"can't tell"}  # two animals prove nothing
    quarter = comparison.against(experiment, tmp_path, label_share=0.25)
    few = table[(table["method"] == "NuCLR") & (table["label_share"] == 0.25)]["macro_f1"].mean()
    # itself with everything is one of the rows
    assert quarter.loc["NuCLR", "difference"] == pytest.approx(few - full["NuCLR"])
    for wrong in (dict(reference="colour"), dict(label_share=0.3), dict(animals=2)):
        with pytest.raises(ValueError, match="no results of"):
            comparison.against(experiment, tmp_path, **wrong)
