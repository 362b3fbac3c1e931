"""Interval windows, and the supervised network on them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import nuclr_lite as nl
from nuclr_lite.experiments import interval_network
from nuclr_lite.experiments.interval_network import N_BINS, IntervalNetwork, interval_windows


def gamma_recordings(shapes, n_animals=4, n_units=24, duration_s=60.0, seed=0):
    """Renewal processes of 10 Hz; units of type 'a' and 'b' in turn, whose intervals have these
    gamma shapes.
    """
    recordings = []
    for animal in range(n_animals):
        rng = np.random.default_rng((seed, animal))
        trains = [
            np.cumsum(rng.gamma(shapes[i % 2], 1 / (10 * shapes[i % 2]), int(20 * duration_s)))
            for i in range(n_units)
        ]
        units = pd.DataFrame({"cell_type": ["a", "b"] * (n_units // 2)})
        recordings.append(
            nl.Recording.from_spike_trains(
                [train[train < duration_s] for train in trains],
                units,
                [[0, duration_s]],
                recording_id=f"r{animal}",
                animal_id=f"m{animal}",
            )
        )
    units = nl.units_table(recordings)
    return recordings, units["cell_type"], units["animal_id"]


@pytest.fixture(scope="module")
def different():
    recordings, labels, animals = gamma_recordings((1.0, 3.0))
    return interval_windows(recordings, 5.0, 8), labels, animals


def counts_by_loops(recording, starts, window_s):
    """The same in plain words, for recordings without a gap."""
    counts = np.zeros((recording.n_units, len(starts), N_BINS))
    for row, unit in enumerate(recording.units.index):
        for window, start in enumerate(starts):
            train = recording.spike_times(unit)
            train = train[(train >= start) & (train <= start + window_s)]
            counts[row, window] = np.histogram(
                np.clip(np.diff(train), 0.00101, 9.99), interval_network.INTERVAL_EDGES_S
            )[0]
    return counts


# apart, overlapping, one for all
@pytest.mark.parametrize("window_s, n_windows", [(5.0, 4), (12.0, 7), (20.0, 1)])
def test_windows_equal_a_plain_loop(window_s, n_windows):
    recording = gamma_recordings((0.3, 1.0), n_animals=1, n_units=4, duration_s=20.0)[0][0]
    starts = np.linspace(0, 20.0 - window_s, n_windows)
    expected = counts_by_loops(recording, starts, window_s)
    np.testing.assert_array_equal(
        interval_network._window_counts(recording, starts, window_s), expected
    )
    shares = interval_windows(recording, window_s, n_windows).to_numpy().reshape(expected.shape)
    np.testing.assert_allclose(shares, expected / expected.sum(axis=2, keepdims=True), rtol=1e-6)


def test_no_interval_spans_a_gap_and_windows_count_valid_time():
    trains = [[1.0, 1.5, 2.0, 98.0, 98.5, 99.0], [], [0.5]]
    recording = nl.Recording.from_spike_trains(
        trains, intervals=[[0, 3], [97, 100]], recording_id="r", animal_id="a"
    )
    whole = interval_windows(recording, 6.0, 1)
    assert (
        list(whole.index) == [("r", 0), ("r", 1), ("r", 2)] and (whole.dtypes == np.float32).all()
    )
    # all four are 0.5 s; silent units have zeros
    assert whole.iloc[0].max() == 1 and (whole.iloc[1:] == 0).all(axis=None)
    counts = interval_network._window_counts(recording, np.array([0.0, 3.0]), 3.0)
    np.testing.assert_array_equal(counts.sum(axis=2), [[2, 2], [0, 0], [0, 0]])


def test_tells_types_that_differ_in_their_intervals_in_new_animals(different):
    result = nl.decode(*different, classifier=IntervalNetwork(n_windows=8, seed=1))
    assert result.score() > 0.9
    np.testing.assert_allclose(result.predictions.filter(like="p_").sum(axis=1), 1)


def test_is_at_chance_where_types_do_not_differ():
    recordings, labels, animals = gamma_recordings((1.0, 1.0), n_animals=6)
    result = nl.decode(
        interval_windows(recordings, 5.0, 8),
        labels,
        animals,
        classifier=IntervalNetwork(n_windows=8),
    )
    assert 0.3 < result.score("balanced_accuracy") < 0.65


def test_attention_finds_the_window_that_tells():
    """One window in eight differs, at another place in every unit."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(N_BINS), size=(300, 8))
    labels, place = rng.integers(0, 2, 300), rng.integers(0, 8, 300)
    told = np.flatnonzero(labels)
    shares[told, place[told]] = np.eye(N_BINS)[3]
    x = shares.reshape(300, -1)
    network = IntervalNetwork(n_windows=8).fit(x[:200], labels[:200])
    assert (network.predict(x[200:]) == labels[200:]).mean() > 0.9


def test_a_rare_class_is_not_forgotten():
    recordings, labels, animals = gamma_recordings((1.0, 3.0))
    features = interval_windows(recordings, 5.0, 8)
    kept = ((labels == "a") | (np.arange(len(labels)) % 12 == 1)).to_numpy()  # 48 and 8
    result = nl.decode(
        features[kept], labels[kept], animals[kept], classifier=IntervalNetwork(n_windows=8)
    )
    assert result.per_class.loc["b", "recall"] > 0.6


def test_same_seed_same_result_and_global_random_state_as_it_was(different):
    features, labels, animals = different
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    numpy_before = np.random.get_state()[1].copy()
    original = IntervalNetwork(n_windows=8, epochs=3, seed=4)
    a = original.fit(features.to_numpy(), labels.to_numpy(), groups=animals.to_numpy())
    assert torch.equal(before, torch.random.get_rng_state()) and torch.get_num_threads() == threads
    assert (np.random.get_state()[1] == numpy_before).all()
    torch.rand(5)  # what others draw makes no difference
    b = clone(original).fit(features.to_numpy(), labels.to_numpy(), groups=animals.to_numpy())
    np.testing.assert_array_equal(a.predict_proba(features), b.predict_proba(features))
    other = (
        clone(original)
        .set_params(seed=5)
        .fit(features.to_numpy(), labels.to_numpy(), groups=animals.to_numpy())
    )
    assert not np.array_equal(a.predict_proba(features), other.predict_proba(features))


def test_clone_keeps_settings_and_forgets_what_was_learned(different):
    features, labels, _ = different
    network = IntervalNetwork(n_windows=8, width=7, epochs=2).fit(features, labels)
    copied = clone(network)
    assert copied.get_params() == network.get_params() and not hasattr(copied, "network_")
    assert list(network.classes_) == ["a", "b"] and set(network.predict(features)) <= {"a", "b"}


def test_stops_by_units_of_other_animals(different, monkeypatch):
    features, labels, animals = different
    folds = []
    monkeypatch.setattr(
        interval_network,
        "inner_folds",
        lambda *given: folds.append(nl.decoding.inner_folds(*given)) or folds[-1],
    )
    network = IntervalNetwork(n_windows=8, epochs=40, patience=1, learning_rate=0.1).fit(
        features, labels, animals.to_numpy()
    )
    train, held_out = folds[0][0]
    assert not set(animals.iloc[train]) & set(animals.iloc[held_out])
    assert network.best_epoch_ < 40


def test_held_out_units_only_say_when_to_stop(different):
    """After one epoch, what they hold has changed nothing: neither the weights nor what
    standardises the input.
    """
    features, labels, animals = different
    x, given = features.to_numpy(), (labels.to_numpy(), animals.to_numpy())
    _, held_out = nl.decoding.inner_folds(*given, interval_network.VALIDATION_FOLDS)[0]
    changed = x.copy()
    changed[held_out] = 100.0
    a, b = (IntervalNetwork(n_windows=8, epochs=1).fit(table, *given) for table in (x, changed))
    np.testing.assert_array_equal(a.predict_proba(x), b.predict_proba(x))


def test_bad_input_says_what_to_do():
    recordings, labels, _ = gamma_recordings((1.0, 1.0), n_animals=1, n_units=4, duration_s=20.0)
    with pytest.raises(ValueError, match="shorter window_s"):
        interval_windows(recordings, 30.0)
    with pytest.raises(ValueError, match="hand_features"):
        interval_windows(
            nl.Recording.from_traces(np.ones((100, 2)), 4.0, recording_id="c", animal_id="a")
        )
    with pytest.raises(ValueError, match="give IntervalNetwork the n_windows"):
        IntervalNetwork(n_windows=7).fit(interval_windows(recordings, 5.0, 8), labels)
