"""The multi-unit readout: against a naive loop, and against the benchmark's own function."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

import nuclr_lite as nl


def naive(probabilities, probes, depths, radius=60.0, n_units=5):
    """Where distances are all different."""
    pooled = []
    for i in range(len(probes)):
        near = [j for j in range(len(probes)) if probes[j] == probes[i]]
        near = sorted(near, key=lambda j: abs(depths[j] - depths[i]))
        near = [j for j in near if abs(depths[j] - depths[i]) <= radius][:n_units]
        pooled.append(np.mean([probabilities[j] for j in near], axis=0))
    return np.array(pooled)


def case(n_units=50, n_probes=3, seed=0, grid_um=None):
    rng = np.random.default_rng(seed)
    depths = rng.uniform(0, 800, n_units)
    if grid_um:
        depths = np.round(depths / grid_um) * grid_um
    probabilities = rng.dirichlet(np.ones(4), n_units)
    return probabilities, rng.integers(0, n_probes, n_units).astype(str), depths


@pytest.mark.parametrize("options", [{}, {"radius_um": 150.0}, {"n_units": 2}, {"n_units": 1}])
def test_the_mean_over_the_nearest(options):
    probabilities, probes, depths = case()
    expected = naive(
        probabilities,
        probes,
        depths,
        **{"radius": options.get("radius_um", 60.0)}
        | {key: value for key, value in options.items() if key == "n_units"},
    )
    found = nl.multi_unit(probabilities, probes, depths, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    if options == {"n_units": 1}:
        np.testing.assert_array_equal(found, probabilities)
    assert nl.multi_unit(probabilities, probes, np.round(depths).astype(int)).shape == (50, 4)


def test_sixty_micrometres_count_and_more_do_not():
    probabilities = np.eye(3)
    found = nl.multi_unit(probabilities, ["a"] * 3, [0.0, 60.0, 120.1])
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])


def test_six_units_at_one_depth():
    """The last of them isn't in its own mean: so the benchmark does it."""
    found = nl.multi_unit(np.eye(6), ["a"] * 6, np.zeros(6))
    np.testing.assert_allclose(found, np.tile([0.2] * 5 + [0], (6, 1)))


@given(
    st.integers(1, 80), st.integers(1, 4), st.integers(0, 99), st.sampled_from([None, 10.0, 60.0])
)
def test_as_the_benchmark_does_it(n_units, n_probes, seed, grid_um):
    """To the last digit, with many units at one distance."""
    theirs = pytest.importorskip("ibl_bwb_eval.multi_unit", reason="pip install ibl-bwb-eval")
    for dtype in (np.float64, np.float32):
        probabilities, probes, depths = case(n_units, n_probes, seed, grid_um)
        probabilities, depths = probabilities.astype(dtype), depths.astype(dtype)
        found = nl.multi_unit(probabilities, probes, depths)
        assert found.dtype == dtype
        expected = theirs.multi_unit_prediction(probabilities, depths, probes)
        np.testing.assert_array_equal(found, expected)


def test_tables_are_taken_by_their_index():
    probabilities, probes, depths = case()
    index = pd.MultiIndex.from_product([["r", "s"], range(25)], names=["recording_id", "unit_id"])
    table = pd.DataFrame(probabilities, index=index, columns=[f"p_{c}" for c in "abcd"])
    order = np.random.default_rng(0).permutation(50)
    given = [pd.Series(values, index=index).iloc[order] for values in (probes, depths)]
    found = nl.multi_unit(table, *given)
    assert found.index.equals(index) and list(found) == list(table)
    # probes of one name in two recordings are two
    apart = [f"{name}{probe}" for (name, _), probe in zip(index, probes)]
    np.testing.assert_allclose(found, naive(probabilities, apart, depths), rtol=1e-12)
    np.testing.assert_array_equal(found, nl.multi_unit(table, probes, depths))


def test_units_without_a_place():
    probabilities, probes, depths = case(seed=3)
    probes = probes.astype(object)
    depths[:5], probes[5:9] = np.nan, None
    found = nl.multi_unit(probabilities, probes, depths)
    np.testing.assert_array_equal(found[:9], probabilities[:9])
    expected = nl.multi_unit(probabilities[9:], probes[9:], depths[9:])
    np.testing.assert_array_equal(found[9:], expected)
    assert nl.multi_unit(probabilities[:0], probes[:0], depths[:0]).shape == (0, 4)


@pytest.fixture(scope="module")
def decoded():
    """Units whose neighbours have their label, and vectors with much noise."""
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([range(6), range(60)], names=["recording_id", "unit_id"])
    depths = pd.Series(np.tile(np.arange(60) * 20.0, 6), index=index)
    labels = (depths // 300).map({0: "CA", 1: "DG", 2: "TH", 3: "VIS"})
    features = pd.get_dummies(labels).astype(float) + rng.normal(0, 1.0, (360, 4))
    animals = pd.Series(index.get_level_values(0), index=index).map("m{}".format)
    probes = pd.Series("probe00", index=index)
    return features, labels, animals, probes, depths


def test_a_result_of_decode(decoded):
    features, labels, animals, probes, depths = decoded
    single = nl.decode(features, labels, animals, n_bootstrap=50)
    multi = nl.multi_unit(single, probes, depths, n_bootstrap=50)
    assert multi.score() > single.score() + 0.1 and multi.classes == single.classes
    columns = ["p_CA", "p_DG", "p_TH", "p_VIS"]
    expected = nl.multi_unit(single.predictions[columns], probes, depths)
    pd.testing.assert_frame_equal(multi.predictions[columns], expected)
    chosen = multi.predictions[columns].idxmax(axis=1).str.removeprefix("p_")
    assert (multi.predictions["predicted"] == chosen).all()
    assert (multi.predictions["true"] == labels).all()
    assert multi.scores["n"].eq(360).all() and (multi.scores["low"] < multi.scores["high"]).all()
    assert (single.predictions["predicted"] != chosen).any(), "what was given is as it was"


def test_answers_of_a_zero_shot_reader(decoded):
    features, labels, animals, probes, depths = decoded
    old = animals.isin(["m0", "m1", "m2"])
    answers = nl.ZeroShot.fit(features[old], labels[old], animals[old]).predict(features[~old])
    pooled = nl.multi_unit(answers.filter(regex="^p_"), probes, depths)
    right = pooled.idxmax(axis=1).str.removeprefix("p_") == labels[~old]
    assert right.mean() > (answers["likeliest"] == labels[~old]).mean() + 0.05


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(predictions=np.full((3, 2), np.nan)), "of 3 of 3 units are not finite"),
        (dict(predictions=np.ones(3)), r"shape \(3,\)"),
        (dict(predictions=np.array([["a"]] * 3)), "type <U1"),
        (dict(probe_ids=["a"] * 2), r"probe_ids have shape \(2,\) for 3 units"),
        (dict(depths_um=np.ones((3, 1))), r"depths_um have shape \(3, 1\)"),
        (dict(depths_um=["deep"] * 3), "depths_um aren't numbers"),
        (dict(radius_um=-1.0), "radius_um is -1.0"),
        (dict(radius_um=float("nan")), "radius_um is nan"),
        (dict(n_units=0), "n_units 0"),
    ],
)
def test_what_cannot_be_pooled(change, said):
    given = dict(predictions=np.ones((3, 2)), probe_ids=["a"] * 3, depths_um=[1.0, 2, 3]) | change
    with pytest.raises(ValueError, match=said):
        nl.multi_unit(**given)


def test_series_that_lack_units(decoded):
    features, _, _, probes, depths = decoded
    table = pd.DataFrame(1.0, index=features.index, columns=["p_a"])
    with pytest.raises(ValueError, match=r"depths_um lack 10 of 360 units \(first: \(0, 0\)\)"):
        nl.multi_unit(table, probes, depths.iloc[10:])
    with pytest.raises(ValueError, match=r"probe_ids have shape \(361,\)"):
        nl.multi_unit(table, pd.concat([probes, probes.iloc[:1]]), depths)
