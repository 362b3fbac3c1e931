"""Hand features: what they compute, and that they look at one unit alone."""

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl
from nuclr_lite import baselines


def poisson(n_units=4, rate_hz=20.0, duration_s=200.0, seed=0, **options):
    rng = np.random.default_rng(seed)
    trains = [
        np.sort(rng.uniform(0, duration_s, rng.poisson(rate_hz * duration_s)))
        for _ in range(n_units)
    ]
    return nl.Recording.from_spike_trains(
        trains,
        recording_id=f"poisson{seed}",
        animal_id="a",
        **({"intervals": [[0, duration_s]]} | options),
    )


def test_poisson_train_has_flat_autocorrelogram_and_unit_irregularity():
    sets = baselines.hand_features(poisson(rate_hz=50))
    np.testing.assert_allclose(sets["rate"], np.log(50.01), atol=0.05)
    assert np.abs(sets["autocorrelation"].to_numpy()[:, 8:]).max() < 0.1
    cv, local, _, *fano = sets["all"].filter(like="irregularity").to_numpy().T
    np.testing.assert_allclose(cv, 1, atol=0.05)
    np.testing.assert_allclose(local, 1, atol=0.05)
    np.testing.assert_allclose(fano[:2], 0, atol=0.3)  # log of 1


def test_autocorrelogram_equals_all_pairs():
    train = np.sort(np.random.default_rng(1).uniform(0, 20, 150))
    lags = (train[None] - train[:, None])[np.triu_indices(150, 1)]
    expected = np.histogram(lags[lags < baselines.LAG_EDGES_S[-1]], baselines.LAG_EDGES_S)[0]
    np.testing.assert_array_equal(baselines.autocorrelogram(train, np.ones(150)), expected)


def test_intervals_never_span_a_gap():
    train = np.array([1.0, 1.5, 2.0, 98.0, 98.5, 99.0])
    recording = nl.Recording.from_spike_trains(
        [train], intervals=[[0, 3], [97, 100]], recording_id="r", animal_id="a"
    )
    histogram = baselines.hand_features(recording)["intervals"].to_numpy()[0]
    assert histogram.max() == 1.0  # all four are 0.5 s; the 96 s are no interval
    assert baselines.hand_features(recording)["rate"].iloc[0, 0] == pytest.approx(np.log(1.01))


@pytest.mark.parametrize("modality", ["spikes", "calcium"])
def test_a_unit_alone_gives_the_same_as_among_others(modality):
    recording = nl.simulate_recordings(1, modality, seed=3)[0]
    together = baselines.hand_features(recording)
    if modality == "spikes":
        alone = nl.Recording.from_spike_trains(
            [recording.spike_times(2)],
            intervals=recording.intervals,
            recording_id="x",
            animal_id="a",
        )
    else:
        alone = nl.Recording.from_traces(
            recording.traces[:, [2]], recording.sampling_rate_hz, recording_id="x", animal_id="a"
        )
        # the one number that is common by design
        alone = nl.Recording(**{**alone.__dict__, "trace_scale": recording.trace_scale})
    for name, table in baselines.hand_features(alone).items():
        np.testing.assert_allclose(
            table.to_numpy()[0], together[name].to_numpy()[2], rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_index_columns_and_finite_for_silent_units():
    recording = nl.Recording.from_spike_trains(
        [[1.0, 2.0, 3.0], []], intervals=[[0, 10]], recording_id="r", animal_id="a"
    )
    sets = baselines.hand_features([recording, poisson()])
    assert list(sets) == ["rate", "intervals", "autocorrelation", "all"]
    for table in sets.values():
        assert (
            table.index.names == ["recording_id", "unit_id"]
            and len(table) == 6
            and table.columns.is_unique
        )
        assert np.isfinite(table.to_numpy()).all()
    assert sets["all"].shape[1] > sum(
        sets[name].shape[1] for name in ("rate", "intervals", "autocorrelation")
    )


def test_calcium_autocorrelation_of_a_known_process():
    rng = np.random.default_rng(0)
    x = np.zeros((20_000, 1))
    for t in range(1, len(x)):
        x[t] = 0.9 * x[t - 1] + rng.standard_normal()
    recording = nl.Recording.from_traces(x, 4.0, recording_id="r", animal_id="a")
    found = baselines.hand_features(recording)["autocorrelation"].to_numpy()[0]
    np.testing.assert_allclose(found, 0.9 ** np.array(baselines.LAGS_FRAMES), atol=0.05)


def test_errors():
    with pytest.raises(ValueError, match="at least one"):
        baselines.hand_features([])
    traces = nl.Recording.from_traces(np.ones((100, 2)), 4.0, recording_id="c", animal_id="a")
    with pytest.raises(ValueError, match="apart"):
        baselines.hand_features([poisson(), traces])
    assert isinstance(baselines.hand_features(traces)["all"], pd.DataFrame)


@pytest.mark.parametrize("modality", ["spikes", "calcium"])
def test_population_coupling_finds_strength_lag_and_sign(modality):
    rng = np.random.default_rng(0)
    step_s, n = 0.1, 6000
    shared = np.convolve(rng.standard_normal(n + 50), np.ones(5) / 2, mode="same")
    # the seventh follows 1 s late
    drive = np.stack(
        [shared[20 : 20 + n]] * 6
        + [shared[10 : 10 + n], -shared[20 : 20 + n], rng.standard_normal(n)]
    )
    if modality == "spikes":
        counts = rng.poisson(np.exp(drive * 0.7) * 3)
        trains = [
            np.sort(np.repeat(np.arange(n) * step_s, row) + rng.uniform(0, step_s, row.sum()))
            for row in counts
        ]
        recording = nl.Recording.from_spike_trains(
            trains, intervals=[[0, 300], [300, n * step_s]], recording_id="r", animal_id="a"
        )
    else:
        traces = (drive + 0.3 * rng.standard_normal(drive.shape)).T
        recording = nl.Recording.from_traces(
            traces,
            1 / step_s,
            intervals=[[0, 300], [300, n * step_s]],
            recording_id="r",
            animal_id="a",
        )
    table = baselines.population_coupling(recording, step_s, max_lag_s=2.0).to_numpy()
    lags = np.arange(-20, 21)
    assert (np.abs(lags[table[:6].argmax(axis=1)]) <= 1).all() and table[:6].max(axis=1).min() > 0.5
    assert lags[table[6].argmax()] == 10 and lags[table[7].argmin()] == 0 and table[7].min() < -0.5
    assert np.abs(table[8]).max() < 0.15
    with pytest.raises(ValueError, match="shorter max_lag_s"):
        baselines.population_coupling(recording, step_s, max_lag_s=400.0)


def test_recording_means_are_constant_within_recordings_and_equal_their_mean():
    features = baselines.hand_features([poisson(rate_hz=5), poisson(rate_hz=20, seed=1)])["all"]
    means = baselines.recording_means(features)
    assert means.index.equals(features.index) and list(means.columns) == list(features.columns)
    for recording_id, part in means.groupby(level="recording_id"):
        np.testing.assert_allclose(part, np.tile(features.loc[recording_id].mean(), (len(part), 1)))
    assert means["rate_0"].nunique() == 2


def with_waveforms(seed, **columns):
    return poisson(3, duration_s=20.0, seed=seed, units=pd.DataFrame(columns))


def test_waveform_features_are_shared_numeric_and_filled_with_the_median():
    a = with_waveforms(
        0,
        waveform_duration=[0.2, np.nan, 0.4],
        waveform_note=list("xyz"),
        waveform_only_here=[1, 2, 3],
        depth_um=[1, 2, 3],
    )
    b = with_waveforms(1, waveform_duration=[0.5, np.inf, 0.8], waveform_note=list("xyz"))
    table = baselines.waveform_features([a, b])
    assert table.index.equals(baselines.hand_features([a, b])["rate"].index) and list(
        table.columns
    ) == ["waveform_duration"]
    np.testing.assert_allclose(table["waveform_duration"], [0.2, 0.45, 0.4, 0.5, 0.45, 0.8])


def test_no_waveform_features_where_a_recording_has_none():
    some = with_waveforms(0, waveform_duration=[0.2, 0.3, 0.4])
    assert baselines.waveform_features(some).shape == (3, 1)
    assert baselines.waveform_features(poisson()) is None
    assert baselines.waveform_features([some, poisson(seed=1)]) is None
    assert (
        baselines.waveform_features([some, with_waveforms(1, waveform_duration=[np.nan] * 3)])
        is None
    )


def test_mixed_frame_rates_are_refused():
    """Lags count frames: at two rates the same column would mean two things."""
    slow, fast = (
        nl.Recording.from_traces(
            np.random.default_rng(0).random((800, 3)),
            rate,
            recording_id=f"at {rate}",
            animal_id="a",
        )
        for rate in (10.0, 20.0)
    )
    for describe in (nl.baselines.hand_features, nl.baselines.population_coupling):
        with pytest.raises(ValueError, match="frame rates from 10 to 20 Hz.*match_sampling"):
            describe([slow, fast])
    with pytest.warns(UserWarning, match="resampled"):
        nl.baselines.hand_features([slow, nl.views.match_sampling(fast, 0.1)])
