"""The definitions of notebook 11: each check of the leak checklist finds a planted fault and leaves a clean recording alone; answers, neighbours and calibration by hand."""
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve

import course
import nuclr_lite as nl
from helpers import TINY, TINY_CALCIUM, clock, spikes
from nuclr_lite.recording import match_sampling

lesson = course.definitions(course.HERE / "11_your_data.py")
FINE, LOOK = lesson["FINE"], lesson["LOOK"]


def with_trains(trains, like: nl.Recording, intervals=None) -> nl.Recording:
    return nl.Recording.from_spike_trains(trains, like.units, like.intervals if intervals is None else intervals,
                                          recording_id=like.recording_id, animal_id=like.animal_id, epochs=like.epochs)


def trains_of(recording: nl.Recording) -> list[np.ndarray]:
    return [recording.spike_times(unit_id) for unit_id in recording.units.index]


def table(values: dict) -> pd.Series:
    """(recording_id, unit_id) -> value, two units a recording."""
    index = pd.MultiIndex.from_product([values, range(2)], names=["recording_id", "unit_id"])
    return pd.Series(np.repeat(list(values.values()), 2), index=index)


# Each check: the fault planted, and a clean recording

def test_seconds():
    check, clean = lesson["check_seconds"], spikes()
    assert check(clean).startswith(FINE) and check(clock()).startswith(FINE)
    in_ms = [1000 * train for train in trains_of(clean)]
    assert check(nl.Recording.from_spike_trains(in_ms, recording_id="r", animal_id="a")).startswith(LOOK)
    assert check(with_trains(in_ms, clean)).startswith(LOOK), "nearly all spikes lie outside valid time"
    assert check(clock(rate_hz=4000.0)).startswith(LOOK)


def test_encoder_fits():
    check = lesson["check_encoder"]
    assert check(spikes(), TINY.model).startswith(FINE)
    assert "a window" in check(spikes(intervals=[[0, 1.5], [3, 4]]), TINY.model), "windows have 2 s"
    assert "the encoder reads" in check(spikes(), TINY_CALCIUM.model)
    coarse = with_trains([np.round(train * 4) / 4 for train in trains_of(spikes())], spikes())
    assert check(coarse, TINY.model).startswith(LOOK) and check(coarse, replace(TINY.model, sample_s=0.5)).startswith(LOOK)
    assert check(clock(rate_hz=4.0), TINY_CALCIUM.model).startswith(FINE)
    assert "averaged" in check(clock(rate_hz=30.0), TINY_CALCIUM.model) and "stretched" in check(clock(rate_hz=1.0), TINY_CALCIUM.model)


@pytest.mark.filterwarnings("ignore:.*resampled")
def test_resampled_traces_fit_the_encoder():
    assert lesson["check_encoder"](match_sampling(clock(rate_hz=30.0), 0.25), TINY_CALCIUM.model).startswith(FINE)


def test_duplicates():
    check, clean = lesson["check_duplicates"], spikes(6)
    assert check(clean).startswith(FINE) and check(spikes(6, rate_hz=60.0)).startswith(FINE)
    trains = trains_of(clean)
    assert "(2, 6)" in check(nl.Recording.from_spike_trains([*trains, trains[2]], recording_id="r", animal_id="a"))
    part = nl.Recording.from_spike_trains([*trains, trains[4][::2], trains[0][:5]], recording_id="r", animal_id="a")
    assert "of 8 units: 1" in check(part) and "(4, 6)" in check(part), "half of a unit's spikes count, five spikes say nothing"
    late = nl.Recording.from_spike_trains([*trains, trains[2] + 0.005], recording_id="r", animal_id="a")
    assert check(late).startswith(FINE), "5 ms later is no duplicate"
    before_zero = nl.Recording.from_spike_trains([train - 30 for train in [*trains, trains[2]]], recording_id="r", animal_id="a")
    assert "(2, 6)" in check(before_zero)


def test_duplicated_traces():
    noise = np.random.default_rng(0).standard_normal((400, 4))
    twice = np.hstack([noise, noise[:, [1]] + 0.01 * noise[:, [0]]])
    named = dict(sampling_rate_hz=4.0, recording_id="r", animal_id="a")
    assert lesson["check_duplicates"](nl.Recording.from_traces(noise, **named)).startswith(FINE)
    assert "(1, 4)" in lesson["check_duplicates"](nl.Recording.from_traces(twice, **named))


def test_light():
    check, recording = lesson["check_light"], spikes(intervals=[[0, 20], [30, 40]])
    pulses = pd.DataFrame({"start_s": [22.0, 41.0], "stop_s": [22.5, 41.5]})
    assert check(recording, pulses).startswith(FINE) and check(recording, None).startswith(FINE) and check(recording, pulses.iloc[:0]).startswith(FINE)
    assert check(recording, pulses, margin_s=1.5).startswith(f"{LOOK}1 of 2")
    assert check(spikes(), pulses).startswith(f"{LOOK}2 of 2")


def test_split():
    check = lesson["check_split"]
    assert check(["m1", "m2"], ["m3"]).startswith(FINE)
    assert check(["m1", "m2"], ["m2"]).startswith(LOOK) and check(["Mouse_07"], ["mouse07", "mouse08"]).startswith(LOOK)
    assert check([1, 2], [2]).startswith(LOOK) and check(["m1"], ["m11"]).startswith(FINE)


def test_animals():
    check, labels = lesson["check_animals"], table({f"r{i}": "A" for i in range(5)})
    animals = table({f"r{i}": f"m{i}" for i in range(5)})
    assert check(labels, animals).startswith(FINE)
    labels.iloc[:6] = "B"
    assert check(labels, animals).startswith(LOOK) and "{'A': 2, 'B': 3}" in check(labels, animals)
    labels.iloc[:6] = None
    assert "{'A': 2}" in check(labels, animals) and check(labels, animals, fewest=2).startswith(FINE)


def test_labels_constant_within_a_recording():
    check, rng = lesson["check_constant_labels"], np.random.default_rng(0)
    index = pd.MultiIndex.from_product([[f"r{i}" for i in range(8)], range(30)], names=["recording_id", "unit_id"])
    animals = pd.Series(index.get_level_values(0), index=index)
    by_animal = animals.map(dict(zip(animals.unique(), ["A", "B"] * 4)))
    is_b = by_animal.eq("B").to_numpy()
    offset = pd.DataFrame({"rate": rng.standard_normal(240) + 0.8 * is_b}, index=index)         # an animal's offset: its mean tells more than a unit
    assert check(offset, by_animal, animals).startswith(LOOK)
    noisy = pd.DataFrame(rng.standard_normal((240, 40)), index=index).assign(told=6.0 * is_b)   # units tell; eight means in 41 dimensions don't
    assert check(noisy, by_animal, animals).startswith(f"{FINE}100%")
    assert check(offset, pd.Series(rng.choice(["A", "B"], 240), index=index), animals).startswith(f"{FINE}0%")
    alone = by_animal.where(animals != "r1", "C")
    assert "one animal only" in check(offset, alone, animals)
    assert check(offset, by_animal.where(rng.random(240) < 0.9), animals).startswith(LOOK), "units without a label take no part"


def test_blocks(recordings):
    check = lesson["check_blocks"]
    blocks = pd.DataFrame({"start_s": [0.0, 30.0], "stop_s": [30.0, 60.0], "name": ["grey", "movie"]})
    clean = [replace(recording, epochs=blocks) for recording in recordings]
    assert check(clean, "cell_type").startswith(FINE) and "no stimulus blocks" in check([replace(clean[0], epochs=blocks.iloc[:0])], "cell_type")
    cut = [replace(recording.during(name), units=recording.units.assign(line=name)) for recording, name in zip(clean, ["grey", "movie", "grey"])]
    assert check(cut, "line").startswith(LOOK) and "100%" in check(cut, "line")
    sst = (clean[0].units["cell_type"] == "Sst").to_numpy()
    gone = with_trains([train[train < 30] if one else train for train, one in zip(trains_of(clean[0]), sst)], clean[0])
    assert check([gone], "cell_type").startswith(LOOK), "units of one label fire in one block only"


def test_presence(recordings):
    check, clean = lesson["check_presence"], recordings[0]
    clean = with_trains([np.union1d(train, np.arange(0.5, 60, 5)) for train in trains_of(clean)], clean)
    sst = (clean.units["cell_type"] == "Sst").to_numpy()
    fading = with_trains([train[train < 30] if one else train for train, one in zip(trains_of(clean), sst)], clean)
    assert check(clean, "cell_type").startswith(FINE) and check(fading, "cell_type").startswith(f"{LOOK}units of Sst")


def test_first_worry_and_pulses(recordings):
    worry = lesson["first_worry"]
    assert worry([f"{FINE}a", f"{LOOK}b", f"{LOOK}c"]) == f"{LOOK}b (2 of 3 to look at)" and worry([f"{FINE}a"]) == f"{FINE}a (0 of 1 to look at)"
    epochs = pd.DataFrame({"start_s": [0.0, 5.0], "stop_s": [5.0, 6.0], "name": ["movie", "Opto 5 ms"]})
    assert list(lesson["pulses_of"](replace(recordings[0], epochs=epochs))["start_s"]) == [5.0]
    assert not len(lesson["pulses_of"](replace(recordings[0], epochs=epochs.iloc[:0])))


def test_animals_by_fold():
    predictions = pd.DataFrame({"fold": [0, 1, 1]}, index=[4, 5, 6])
    sides = lesson["animals_by_fold"](predictions, pd.Series(["a", "b", "c", "a"], index=[4, 5, 6, 7]))
    assert [tuple(map(set, pair)) for pair in sides] == [({"b", "c"}, {"a"}), ({"a"}, {"b", "c"})]


# Neighbours, probabilities, answers

def test_neighbours():
    agree = lesson["neighbours_agree"]
    vectors, kinds = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]]), np.array(["A", "A", "B", "B"])
    assert agree(vectors, kinds, np.zeros(4)) == pytest.approx((1, 1 / 3))
    assert np.isnan(agree(vectors, kinds, np.zeros(4), across=True)).all()
    ids = np.array(["r0", "r1", "r0", "r1"])
    assert agree(vectors, kinds, ids, across=True) == pytest.approx((1, 1 / 2))
    scores = np.array([agree(*drawn) for drawn in ((rng.standard_normal((200, 3)), rng.choice(["A", "B"], 200), np.zeros(200)) for rng in map(np.random.default_rng, range(20)))])
    assert abs(scores[:, 0].mean() - scores[:, 1].mean()) < 0.03, "of noise, neighbours agree as often as at random"


def test_within_recording_takes_off_what_a_recording_shares():
    features = pd.DataFrame({"x": [1.0, 3.0, 11.0, 13.0], "constant": 2.0}, index=table({"r0": 0, "r1": 0}).index)
    np.testing.assert_allclose(lesson["within_recording"](features), [[-1, 0], [1, 0], [-1, 0], [1, 0]])


def test_nearest_units_are_of_other_recordings():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["r0", "r1", "r2"], range(10)], names=["recording_id", "unit_id"])
    embedding = pd.DataFrame(rng.standard_normal((30, 4)), index=index)
    found = lesson["nearest_units"](embedding, pd.DataFrame({"k": range(30)}, index=index), ("r1", 3))
    assert len(found) == 5 and "r1" not in found.index.get_level_values(0) and found["cosine"].is_monotonic_decreasing


def test_calibration_mends_probabilities():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([[f"m{i}" for i in range(8)], range(60)], names=["recording_id", "unit_id"])
    labels = pd.Series(rng.choice(["A", "B"], 480), index=index)
    witness = rng.standard_normal(480) + 1.0 * labels.eq("A").to_numpy()
    features = pd.DataFrame(np.tile(witness[:, None], 12) + 0.1 * rng.standard_normal((480, 12)), index=index)     # one witness, heard twelve times
    animals = pd.Series(index.get_level_values(0), index=index)
    bayes, error = lesson["GaussianNB"](), {}
    for name, classifier in (("raw", bayes), ("calibrated", lesson["Calibrated"](bayes))):
        result = nl.decode(features, labels, animals, classifier=classifier, n_bootstrap=0)
        probability, right = lesson["sureness"](result.predictions)
        assert np.isclose(right.mean(), result.score("accuracy")) and ((probability >= 0.5) & (probability <= 1)).all()
        share, mean, n = lesson["reliability"](probability, right)
        np.testing.assert_allclose((share, mean), calibration_curve(right, probability, n_bins=6, strategy="quantile"))
        assert n.sum() == 480 and n.max() - n.min() <= 1
        error[name] = np.average(np.abs(share - mean), weights=n)
    assert error["calibrated"] < 0.08 < 0.15 < error["raw"]


def test_the_probe_is_the_modules():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["m0", "m1"], range(20)], names=["recording_id", "unit_id"])
    features, labels = pd.DataFrame(rng.standard_normal((40, 3)), index=index), pd.Series(rng.choice(["A", "B"], 40), index=index)
    animals = pd.Series(index.get_level_values(0), index=index)
    ours, theirs = (nl.decode(features, labels, animals, classifier=one, n_bootstrap=0).predictions for one in (lesson["probe"](), None))
    pd.testing.assert_frame_equal(ours, theirs)
    told = lesson["predicted"](lesson["probe"]().fit(features.to_numpy(), labels.to_numpy()), features.iloc[:3])
    assert list(told.index) == list(index[:3]) and (told["probability"] >= 0.5).all()


def test_accuracy_when_answering():
    curve = lesson["accuracy_when_answering"](np.array([0.2, 0.9, 0.5]), np.array([False, True, True]))
    np.testing.assert_allclose(curve, [[1 / 3, 1], [2 / 3, 1], [1, 2 / 3]])


def test_strangers_lie_far():
    distance, rng = lesson["distance_to_known"], np.random.default_rng(0)
    known, ids = rng.standard_normal((300, 8)), np.repeat(["r0", "r1", "r2"], 100)
    own, alike, far = distance(known, ids), distance(known, ids, rng.standard_normal((300, 8))), distance(known, ids, 6 + rng.standard_normal((20, 8)))
    limit = np.quantile(own, 0.99)
    assert (far > limit).all() and (alike > limit).mean() < 0.05
    assert distance(known, np.repeat("r0", 300)).min() > 0, "one recording: the others of its own"
    assert np.isclose(distance(known, ids, known[:1], n_neighbours=1), 0) and own.min() > 0, "own recording's units, itself among them, are left out"


def test_artefacts_are_added_to_the_real_units():
    recording = spikes(5)
    odd = lesson["with_artefacts"](recording, 2, np.random.default_rng(0))
    assert odd.n_units == 11 and odd.units["artefact"].value_counts().to_dict() == {"mains hum": 2, "bursts": 2, "hash": 2}
    np.testing.assert_array_equal(odd.spike_times(3), recording.spike_times(3))
    np.testing.assert_allclose(np.diff(odd.spike_times(5)), 0.02)


def test_answer():
    p = pd.DataFrame({"A": [0.7, 0.4, 0.9], "B": [0.3, 0.6, 0.1]}, index=[5, 6, 7])
    given = lesson["answer"](p, np.array([1.0, 1.0, 9.0]), least=0.6, farthest=2.0)
    assert given.to_dict() == {5: "A", 6: "B", 7: "I don't know"}


# Files, errors, words

def test_nwb_round_trip(tmp_path, recordings):
    pytest.importorskip("pynwb")
    recording = replace(recordings[0], units=recordings[0].units.assign(cell_type=[None, *recordings[0].units["cell_type"][1:]]))
    lesson["write_nwb"](recording, tmp_path / "one.nwb", ["cell_type", "area"])
    [back] = lesson["read_nwb"](tmp_path)
    np.testing.assert_array_equal(back.times, recording.times)
    np.testing.assert_array_equal(back.intervals, recording.intervals)
    assert back.units["cell_type"].tolist() == recording.units["cell_type"].tolist() and back.animal_id == recording.animal_id
    pd.testing.assert_frame_equal(back.epochs, recording.epochs)


def test_said_catches_notices_and_errors():
    said = lesson["said"]
    assert said(lambda: None) == "nothing"
    assert said(lambda: nl.Recording.load("/no/such"), "/no") == "FileNotFoundError: such: nothing there; save a recording to it first."
    assert said(lambda: nl.Recording.from_spike_trains([[2.0, 1.0]], recording_id="r", animal_id="a")).startswith("notice: r: sorted")
    with pytest.raises(ZeroDivisionError):
        said(lambda: 1 / 0)


def test_in_words():
    rows = {"NuCLR": 0.81, "hand: rate": 0.3, "hand: all": 0.4, "NuCLR, shuffled labels": 0.2, "chance": 0.25}
    scores = pd.DataFrame([{"method": name, "metric": "macro_f1", "estimate": value, "low": value - 0.1, "high": value + 0.1} for name, value in rows.items()])
    labels, animals = table({"r0": "A", "r1": "B"}), table({"r0": "m0", "r1": "m1"})
    words = lesson["in_words"](scores, labels, animals, "zero-shot", True)
    for part in ("(A, B; 4 units of 2 animals)", "transductive zero-shot", "0.81 (95 % interval over animals 0.71 to 0.91)", "chance 0.25", "0.40 (all)"):
        assert part in words
    assert "(inductive zero-shot" in lesson["in_words"](scores, labels, animals, "zero-shot", False)
