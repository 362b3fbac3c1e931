"""Ids: 2, 2.0 and '2.0' are unit 2; what is written otherwise is asked about."""

import numpy as np
import pandas as pd
import pytest
from two_units import from_spikes

import nuclr_lite as nl
from nuclr_lite.files.identity import alike, on_ids, plain_id, plain_index, words


@pytest.mark.parametrize(
    "given, ids",
    [
        ([1.0, 2.0], [1, 2]),
        (["1.0", "2.0"], [1, 2]),
        (["1.0", 2], [1, 2]),
        (np.array([1, 2], dtype=object), [1, 2]),
        (pd.CategoricalIndex([1, 2]), [1, 2]),
        (["1", "2"], ["1", "2"]),
        (["01", "02"], ["01", "02"]),
        (["1.0", "b"], ["1", "b"]),
        ([1.5, 2.0], ["1.5", "2"]),
        ([1e17, 2.0], ["1e+17", "2"]),
        (["-3.00", "1.20"], ["-3", "1.20"]),
        ([True, False], ["True", "False"]),
    ],
)
def test_units_are_called_alike_whoever_made_floats_of_them(given, ids):
    recording = from_spikes(units=pd.DataFrame(index=given))
    assert recording.units.index.tolist() == ids
    assert from_spikes(units=recording.units).units.index.tolist() == ids, "once is enough"


def test_one_unit_under_two_names_is_there_twice():
    for given in (["1.0", 1], [1, "1"], ["1", 1.0]):
        with pytest.raises(ValueError, match="1 unit ids occur twice"):
            from_spikes(units=pd.DataFrame(index=pd.Index(given, dtype=object)))


@pytest.mark.parametrize("animal", [7, 7.0, "7.0", "7", np.float64(7), np.int32(7)])
def test_an_animal_has_one_name(animal):
    assert from_spikes(animal_id=animal).animal_id == "7"
    assert words(animal) == words("007")


def test_plain_ids():
    for value in ("m1", "1.5", "1e3", "01.0", None, 2.5, float("nan"), 3):
        assert plain_id(value) is value
    index = pd.MultiIndex.from_tuples([("a", 1.0), ("a", 2.0)], names=["recording_id", "unit_id"])
    assert plain_index(index).tolist() == [("a", 1), ("a", 2)]
    assert plain_index(index).names == index.names


def test_rows_are_found_by_id():
    labels = pd.Series(["x", "y"], index=["2.0", "1"])
    assert on_ids(labels, pd.Index([1, 2])).to_dict() == {1: "y", 2: "x"}
    assert on_ids(labels, pd.Index([1, 3])) is None
    assert on_ids(pd.Series(["x", "y"], index=["2.0", "2"]), pd.Index([2])) is None, "which?"


@pytest.mark.parametrize(
    "unknown, known, found",
    [
        ("unit 2", [1, 2], 2),
        ("002", [2, 3], 2),
        ("probeA_2", [3, 2], 2),
        ("2-probeA", ["3", "2"], "2"),
        (" 2", [2], 2),
        ("M07", ["m7"], "m7"),
        (("rec", "2A"), [("other", 2), ("rec", 2)], ("rec", 2)),
        ("x", [1, 2], None),
        (3, [1, 30], None),
    ],
)
def test_ids_that_are_nearly_alike_are_asked_about(unknown, known, found):
    said = alike(unknown, pd.Index(known))
    assert (f"Is it {found!r} there" in said) if found is not None else said == ""


def test_labels_that_are_floats_or_texts_find_their_units():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["a", "b"], range(12)], names=["recording_id", "unit_id"])
    features = pd.DataFrame(rng.normal(size=(24, 3)), index=index)
    labels = pd.Series(["x", "y"] * 12, index)
    animals = pd.Series(index.get_level_values(0), index)
    expected = nl.decode(features, labels, animals, n_bootstrap=0).predictions
    for written in (float, str, lambda unit: f"{unit}.0"):
        other = pd.MultiIndex.from_tuples([(name, written(unit)) for name, unit in index])
        given = labels.set_axis(other)
        predictions = nl.decode(features, given[::-1], animals, n_bootstrap=0).predictions
        pd.testing.assert_frame_equal(predictions, expected)
    padded = labels.set_axis(pd.MultiIndex.from_tuples([(a, f"u{b:03d}") for a, b in index]))
    with pytest.raises(ValueError, match=r"labels lack 24 of 24.* Is it \('a', 'u000'\) there\?"):
        nl.decode(features, padded, animals, n_bootstrap=0)
