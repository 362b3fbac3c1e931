"""Windows, against the method: counts, scales, and the tiling of valid time for embedding."""

import numpy as np
import pytest
from helpers import TINY, TINY_CALCIUM, clock, spikes
from hypothesis import assume, example, given, strategies as st

import nuclr_lite as nl

# windows of 2 s: 20 bins of 0.1 s, 8 frames of 0.25 s
SPIKES, CALCIUM = TINY.model, TINY_CALCIUM.model


# ---- tokens


@given(
    st.lists(st.lists(st.integers(-100, 500), max_size=30), min_size=1, max_size=4),
    st.integers(-50, 300),
    st.sampled_from([10, 20, 7]),
    st.sampled_from([0, 3_600_000]),
    st.data(),
)
# every spike on an edge of a bin
@example([[0, 10, 20, 190, 200], [10, 10, 10]], 0, 10, 3_600_000, None)
def test_counts_are_those_of_a_loop_over_spikes(trains_ms, start_ms, bin_ms, shift_ms, data):
    """Times and bins in whole milliseconds, so that the naive count is exact, on edges too."""
    # the last is always outside
    trains_ms = [sorted(train) for train in trains_ms] + [[-1000, 1000]]
    recording = nl.Recording.from_spike_trains(
        [(np.array(train) + shift_ms) / 1000 for train in trains_ms],
        recording_id="r",
        animal_id="a",
    )
    model = nl.ModelConfig(sample_s=bin_ms / 1000, samples_per_token=5, tokens_per_window=4)
    rows = (
        list(range(len(trains_ms)))
        if data is None
        else sorted(data.draw(st.sets(st.integers(0, len(trains_ms) - 1))))
    )
    tokens, present = nl.Windows(recording, model).samples(
        (start_ms + shift_ms) / 1000, np.array(rows, dtype=int)
    )
    expected = {}
    for row in rows:
        counts = np.zeros(20)
        for time in trains_ms[row]:
            if start_ms <= time < start_ms + 20 * bin_ms:
                counts[(time - start_ms) // bin_ms] += 1
        if counts.any():
            expected[row] = counts.reshape(4, 5)
    assert present.tolist() == list(expected) and tokens.dtype == np.float32
    np.testing.assert_array_equal(tokens, np.array(list(expected.values())).reshape(-1, 4, 5))


@pytest.mark.parametrize("origin_s", [0.0, 1e4])
def test_times_on_a_grid_never_fall_beside_their_bin(origin_s):
    """Times rounded to 10 ms (as some files have them), bins of 20 ms: two spikes in every bin,
    however a start was computed.
    """
    recording = nl.Recording.from_spike_trains(
        [np.round(origin_s + np.arange(6000) * 0.01, 2)], recording_id="r", animal_id="a"
    )
    windows = nl.Windows(recording, nl.ModelConfig(samples_per_token=50, tokens_per_window=2))
    for step in (0.06, 0.14, 0.7):
        for start in origin_s + step * np.arange(int(57 / step)):
            assert (windows.samples(start)[0] == 2).all()


def test_traces_are_divided_by_the_recordings_scale():
    traces = np.random.default_rng(0).normal(1, 1, (400, 3))
    recording = nl.Recording.from_traces(
        traces, 4.0, recording_id="r", animal_id="a", start_s=100.0
    )
    tokens, rows = nl.Windows(recording, CALCIUM).samples(105.0, np.array([0, 2]))
    assert rows.tolist() == [0, 2] and tokens.dtype == np.float32
    np.testing.assert_allclose(
        tokens.reshape(2, 8), traces[20:28, [0, 2]].T / np.percentile(traces, 99), rtol=1e-5
    )


# ---- windows for embedding


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 15)), min_size=1, max_size=4),
    st.sampled_from(["spikes", "calcium"]),
)
@example([(0.0, 2.0), (1.0, 4.0), (1.0, 1.99)], "spikes")  # one window, two windows, almost one
@example([(0.0, 2.0), (1.0, 4.0), (1.0, 1.99)], "calcium")
def test_windows_cover_valid_time_to_its_end(gaps_and_lengths, modality):
    ends = np.cumsum(np.ravel(gaps_and_lengths))
    intervals = np.stack([ends[::2], ends[1::2]], axis=1)
    if modality == "spikes":
        windows = nl.Windows(
            spikes(duration_s=80, intervals=intervals, rate_hz=2000, n_units=1), SPIKES
        )
    else:
        # some frame
        assume((np.floor(intervals[:, 1] * 4 + 1e-6) > np.ceil(intervals[:, 0] * 4 - 1e-6)).any())
        windows = nl.Windows(clock(intervals=intervals), CALCIUM)
        # whole frames
        intervals = (
            np.stack(
                [np.ceil(intervals[:, 0] * 4 - 1e-6), np.floor(intervals[:, 1] * 4 + 1e-6)], axis=1
            )
            / 4
        )
    starts = windows.tile()
    for low, high in intervals:
        own = starts[(starts >= low - 1e-9) & (starts < high)]
        if high - low < 2.0 - 1e-9:
            assert not len(own)
            continue
        starts = np.setdiff1d(starts, own)
        regular = low + 2.0 * np.arange(int((high - low) / 2.0 + 1e-6))
        np.testing.assert_allclose(own[: len(regular)], regular, atol=1e-6)
        assert own[-1] + 2.0 == pytest.approx(high, abs=2e-6) and len(own) <= len(regular) + 1
    assert not len(starts)  # none anywhere else


@pytest.mark.parametrize("grid_s", [0.5, 1.5, 2.0, 3.0])
def test_on_a_grid_windows_for_embedding_do_not_repeat(grid_s):
    starts = nl.Windows(spikes(start_s=0.3), SPIKES, grid_s).tile()
    np.testing.assert_allclose(starts / grid_s, (starts / grid_s).round(), atol=1e-6)
    last = np.floor((60.3 - 2.0) / grid_s) * grid_s
    assert starts[0] == pytest.approx(np.ceil(0.3 / grid_s) * grid_s) and starts[
        -1
    ] == pytest.approx(last)
    # only the last may overlap
    assert np.diff(starts).min() > 1e-6 and np.diff(starts)[:-1].min() >= 2.0 - 1e-6
    assert np.diff(starts).max() <= np.ceil(2.0 / grid_s) * grid_s + 1e-6  # nothing is skipped


def test_windows_that_overlap_start_on_the_grid_and_on_frames():
    starts = nl.Windows(spikes(start_s=0.3), SPIKES, 0.75).tile(0.5)
    np.testing.assert_allclose(np.diff(starts)[:-1], 1.5, atol=1e-9)  # half of 2 s, rounded up
    assert starts[0] == pytest.approx(0.75) and 0 < np.diff(starts)[-1] <= 1.5
    frames = nl.Windows(clock(), CALCIUM)
    # tokens of four frames of 0.25 s, two of them a window: eight frames
    np.testing.assert_allclose(frames.tile(0.5)[:4], [0.0, 1.0, 2.0, 3.0], atol=1e-9)
    np.testing.assert_allclose(np.diff(frames.tile(1e-9)), 0.25, atol=1e-9)
    np.testing.assert_array_equal(frames.tile(1.0), frames.tile())
