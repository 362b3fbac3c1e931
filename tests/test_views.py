"""Views, against the method: tiling, second views, unit dropout, resampling; and the same whoever
cuts them.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import TINY, TINY_CALCIUM, clock, spikes
from hypothesis import assume, given, strategies as st
from scipy.stats import chisquare, kstest
from torch.utils.data import DataLoader

import nuclr_lite as nl
from nuclr_lite.views import match_sampling

# windows of 2 s: 20 bins of 0.1 s, 8 frames of 0.25 s
SPIKES, CALCIUM = TINY.model, TINY_CALCIUM.model
ALL_UNITS = nl.ViewConfig(kept_share=(1.0, 1.0))
P_VALUE = 1e-3  # seeds are fixed: this passes always or never


def pairs(recording, views=ALL_UNITS, epochs=1, seed=0, others=()) -> np.ndarray:
    """(pairs, 2) first frames of both views of a `clock` recording, over epochs, read from the
    tokens themselves.
    """
    model = replace(CALCIUM, sample_s=1 / recording.sampling_rate_hz)
    data = nl.PairedViews([*others, recording], model, views, batch_size=1, seed=seed)
    frames = []
    for epoch in range(epochs):
        data.set_epoch(epoch)
        for batch in (data[i] for i in range(len(data))):
            # `others` are smaller
            if len(batch.sizes_1) and len(batch.tokens_1) >= recording.n_units:
                cut = [tokens.flatten(1).numpy() * recording.trace_scale for tokens in batch[:2]]
                for frame in cut:
                    np.testing.assert_allclose(
                        frame, frame[:1, :1] + np.arange(8) + 0 * frame, atol=1e-3
                    )
                frames.append([round(float(frame[0, 0])) for frame in cut])
    return np.array(frames)


def first_starts(recording, epoch=0, views=ALL_UNITS, model=SPIKES) -> np.ndarray:
    data = nl.PairedViews([recording], model, views, batch_size=1)
    data.set_epoch(epoch)
    return np.sort(data.plan[2])


# ---- first views

# the second is shorter than two windows
INTERVALS = [[0.0, 11.0], [12.0, 15.9], [20.0, 24.0], [30.0, 47.3]]


def test_first_views_tile_every_long_interval():
    recording = spikes(intervals=INTERVALS, duration_s=48.0)
    offsets = []
    for epoch in range(200):
        starts, used = first_starts(recording, epoch), 0
        for low, high in INTERVALS:
            own = starts[(starts >= low) & (starts < high)]
            used += len(own)
            if high - low < 4.0:
                assert not len(own)
                continue
            # no room for another
            assert own[0] - low < 2.0 and own[-1] + 2.0 <= high + 1e-9 < own[-1] + 4.0 + 2e-9
            np.testing.assert_allclose(np.diff(own), 2.0)  # end to end
            offsets.append(own[0] - low)
        assert used == len(starts)
    offsets = np.reshape(offsets, (200, 3))
    assert kstest(offsets.ravel() / 2.0, "uniform").pvalue > P_VALUE
    # every interval has its own
    assert np.abs(np.corrcoef(offsets.T)[np.triu_indices(3, 1)]).max() < 0.25


def test_frames_tile_too():
    recording = clock(intervals=[[0.3, 30.0], [40.0, 42.0]], n_frames=200)
    for epoch in range(20):
        starts = first_starts(recording, epoch, model=CALCIUM)
        frames = starts * 4
        np.testing.assert_allclose(frames, frames.round(), atol=1e-6)
        assert (
            2 <= frames[0] < 2 + 8
            and 112 - 8 < frames[-1].round() <= 112
            and set(np.diff(frames.round())) == {8}
        )


@pytest.mark.parametrize("grid_s", [0.5, 1.5, 2.0, 3.0, 5.0])
def test_on_a_grid_first_views_neither_overlap_nor_repeat(grid_s):
    recording, every = spikes(), set()
    for epoch in range(30):
        starts = first_starts(recording, epoch, replace(ALL_UNITS, grid_s=grid_s))
        np.testing.assert_allclose(starts / grid_s, (starts / grid_s).round(), atol=1e-6)
        assert np.diff(starts).min() >= 2.0 - 1e-9
        every |= set((starts / grid_s).round().astype(int))
    assert every == set(range(int(58 / grid_s + 1e-9) + 1))  # every place gets its turn


# ---- second views


def test_second_views_lie_in_reach_and_in_one_interval():
    # frames of 0.25 s; the third is too short
    intervals = np.array([[2.0, 20.0], [20.0, 24.5], [26.0, 29.0], [40.0, 90.0]])
    found = pairs(
        clock(intervals=intervals), nl.ViewConfig(max_distance_s=7.5, kept_share=(1, 1)), epochs=60
    )
    allowed = np.concatenate(
        [np.arange(low * 4, high * 4 - 8 + 1) for low, high in intervals[[0, 1, 3]]]
    )
    assert np.isin(found, allowed).all()
    assert np.abs(found[:, 1] - found[:, 0]).max() == 30
    # Each second view's place among those allowed to it: uniform, with a random place within its
    # own frame.
    rng = np.random.default_rng(0)
    place = []
    for first, second in found:
        reachable = allowed[np.abs(allowed - first) <= 30]
        place.append((np.flatnonzero(reachable == second)[0] + rng.random()) / len(reachable))
    assert kstest(place, "uniform").pvalue > P_VALUE
    assert (found[:, 0] == found[:, 1]).any()  # it may even be the same


def test_second_views_of_spikes_are_uniform_over_the_union():
    windows = nl.Windows(spikes(), SPIKES)
    # the second is empty, the third a point
    low, high = np.array([0.0, 10.0, 20.0, 30.0]), np.array([5.0, 9.0, 20.0, 33.0])
    rng = np.random.default_rng(0)
    starts = np.array([windows.starts_between(low, high, rng) for _ in range(2000)])
    flat = np.where(starts < 10, starts, starts - 25)  # 0 to 5 and 30 to 33, put together
    assert ((flat >= 0) & (flat <= 8)).all() and kstest(flat / 8, "uniform").pvalue > P_VALUE
    assert windows.starts_between(low[1:2], high[1:2], rng) is None
    assert windows.starts_between(low[2:3], high[2:3], rng) == 20.0  # a point still counts


@pytest.mark.parametrize("grid_s", [0.5, 2.0, 3.0])
def test_on_a_grid_every_start_is_as_likely(grid_s):
    windows, rng = nl.Windows(spikes(), SPIKES, grid_s), np.random.default_rng(0)
    low, high = np.array([-3.2, 12.0]), np.array([7.0, 18.0])
    allowed = [
        k * grid_s for k in range(-20, 40) if any(a <= k * grid_s <= b for a, b in zip(low, high))
    ]
    starts = np.array([windows.starts_between(low, high, rng) for _ in range(2000)])
    counts = [np.isclose(starts, at).sum() for at in allowed]
    assert sum(counts) == 2000 and chisquare(counts).pvalue > P_VALUE


# ---- which units


@pytest.mark.parametrize(
    "share, sizes",
    [
        ((0.5, 1.0), range(10, 21)),
        ((0.2, 0.5), range(4, 11)),
        ((1.0, 1.0), [20]),
        ((0.33, 0.33), [7]),
    ],
)
def test_unit_dropout_keeps_a_random_share(share, sizes):
    recording = clock(n_units=20)
    data = nl.PairedViews(
        [recording], CALCIUM, nl.ViewConfig(kept_share=share, max_distance_s=60), batch_size=49
    )
    kept, how_often, same = [], np.zeros(20), 0
    for epoch in range(6):
        data.set_epoch(epoch)
        batch = data[0]
        for ids, view_sizes in ((batch.ids_1, batch.sizes_1), (batch.ids_2, batch.sizes_2)):
            kept += view_sizes.tolist()
            how_often += np.bincount(ids, minlength=20)
            for one in ids.split(view_sizes.tolist()):
                assert (one.diff() > 0).all()  # ascending: none twice
        same += sum(
            torch.equal(one, two)
            for one, two in zip(
                batch.ids_1.split(batch.sizes_1.tolist()), batch.ids_2.split(batch.sizes_2.tolist())
            )
        )
    assert set(kept) == set(sizes)
    assert len(sizes) == 1 or chisquare(np.bincount(kept)[min(sizes) :]).pvalue > P_VALUE
    mean = how_often.mean()  # no unit is preferred:
    # within 4 standard deviations
    assert (np.abs(how_often - mean) <= 4 * np.sqrt(mean * (1 - mean / len(kept)))).all()
    assert same < 0.1 * len(kept) or share == (1.0, 1.0)  # each view draws its own


def test_silent_units_are_absent():
    trains = [np.arange(0, 60, 0.05), np.arange(0, 30, 0.05), [], np.arange(0, 60, 0.05)]
    recording = nl.Recording.from_spike_trains(
        trains, intervals=[[0, 60]], recording_id="r", animal_id="a"
    )
    windows = nl.Windows(recording, SPIKES)
    assert windows.samples(10.0)[1].tolist() == [0, 1, 3] and windows.samples(40.0)[1].tolist() == [
        0,
        3,
    ]
    assert windows.samples(40.0, np.array([1, 2, 3]))[1].tolist() == [3]
    tokens, rows = windows.samples(70.0)
    assert tokens.shape == (0, 4, 5) and len(rows) == 0
    batch = nl.PairedViews([recording], SPIKES, ALL_UNITS, batch_size=29)[0]
    for tokens, ids, sizes in (
        (batch.tokens_1, batch.ids_1, batch.sizes_1),
        (batch.tokens_2, batch.ids_2, batch.sizes_2),
    ):
        assert (
            set(sizes.tolist()) == {2, 3}
            and set(ids.tolist()) == {0, 1, 3}
            and len(ids) == len(tokens) == sizes.sum()
        )
        assert (tokens.sum((1, 2)) > 0).all()


def test_pairs_with_too_few_units_are_dropped():
    trains = [np.arange(0, 60, 0.05), np.arange(0, 30, 0.05)]
    recording = nl.Recording.from_spike_trains(
        trains, intervals=[[0, 60]], recording_id="r", animal_id="a"
    )
    for min_units, expected in ((1, range(28, 30)), (2, range(8, 16)), (3, [0])):
        batch = nl.PairedViews(
            [recording], SPIKES, nl.ViewConfig(5.0, (1, 1), min_units), batch_size=29
        )[0]
        assert len(batch.sizes_1) == len(batch.sizes_2) and len(batch.sizes_1) in expected
        assert all((sizes >= min_units).all() for sizes in (batch.sizes_1, batch.sizes_2))


# ---- resampling


@given(
    st.sampled_from([1.0, 3.7, 10.0, 30.0]),
    st.sampled_from([0.05, 0.1, 0.23344, 1.0]),
    st.integers(50, 120),
)
def test_resampling_takes_the_mean(old_hz, sample_s, n_frames):
    assume(abs(old_hz * sample_s - 1) > 0.01)
    traces = np.random.default_rng(n_frames).uniform(0, 1, (n_frames, 2))
    recording = nl.Recording.from_traces(
        traces, old_hz, recording_id="r", animal_id="a", start_s=-7.0
    )
    with pytest.warns(
        UserWarning, match=f"r: traces resampled from {old_hz:.4g} to {1 / sample_s:.4g} Hz"
    ):
        new = match_sampling(recording, sample_s)
    assert new.sampling_rate_hz == pytest.approx(1 / sample_s) and new.start_s == -7.0
    assert len(new.traces) == int(n_frames / old_hz / sample_s + 1e-6)
    edges = np.arange(n_frames + 1) / old_hz
    # mean over time, one overlap at a time
    for frame in {0, min(1, len(new.traces) - 1), len(new.traces) // 2, len(new.traces) - 1}:
        low, high = frame * sample_s, (frame + 1) * sample_s
        overlap = [
            max(0.0, min(high, stop) - max(low, start)) for start, stop in zip(edges, edges[1:])
        ]
        np.testing.assert_allclose(
            new.traces[frame], np.array(overlap) @ traces / sample_s, rtol=1e-4
        )
    assert new.intervals.tolist() == pytest.approx(
        np.array([[-7.0, -7.0 + len(new.traces) * sample_s]])
    )
    assert (
        new.units.equals(recording.units)
        and new.animal_id == "a"
        and new.provenance["resampled_from_hz"] == old_hz
    )


@pytest.mark.parametrize("sample_s", [0.25, 0.4, 1.5])
def test_resampled_valid_time_holds_only_valid_frames(sample_s):
    """Frames of 1 s. The interval begins and ends within one, which may therefore be NaN."""
    traces = np.ones((40, 2))
    traces[[0, 20, 21, 30]] = np.nan
    recording = nl.Recording.from_traces(
        traces,
        1.0,
        intervals=[[0.5, 20.5], [21.5, 30.2], [31.0, 40.0]],
        recording_id="r",
        animal_id="a",
    )
    with pytest.warns(UserWarning, match="resampled"):
        windows = nl.Windows(recording, replace(CALCIUM, sample_s=sample_s))
    for start in windows.tile():
        tokens, _ = windows.samples(start)
        np.testing.assert_allclose(tokens * windows.recording.trace_scale, 1.0, rtol=1e-6)


def test_a_rate_within_a_hundredth_is_left_alone(recwarn):
    recording = clock(rate_hz=4.03)
    assert match_sampling(recording, 0.25) is recording and not recwarn.list
    assert nl.Windows(recording, CALCIUM).window_s == pytest.approx(8 / 4.03)
    found = pairs(recording, epochs=5)  # and frames are still whole
    assert found.min() >= 0 and found.max() <= 400 - 8
    with pytest.warns(UserWarning, match="resampled"):
        match_sampling(clock(rate_hz=4.05), 0.25)


def test_single_dropped_frames_do_not_cut_a_recording():
    """Of 30 Hz frames a few are missing, each far shorter than a frame of the encoder."""
    rng = np.random.default_rng(1)
    traces = rng.gamma(0.3, 0.5, (6000, 5))
    whole = nl.Recording.from_traces(traces, 30.0, recording_id="r", animal_id="a")
    dropped = np.sort(rng.choice(np.arange(1, 5990, 10), 40, replace=False))
    gappy = traces.copy()
    gappy[dropped] = np.nan
    with pytest.warns(UserWarning, match="left 40 of 6000 frames out"):
        recording = nl.Recording.from_traces(gappy, 30.0, recording_id="r", animal_id="a")
    assert len(recording.intervals) == 41
    with pytest.warns(UserWarning, match="r: 40 missing frames were bridged .* in 40 gaps"):
        bridged = match_sampling(recording, 0.25)
    with pytest.warns(UserWarning, match="resampled"):
        expected = match_sampling(whole, 0.25)
    np.testing.assert_allclose(bridged.intervals, expected.intervals)
    assert bridged.provenance["frames_bridged"] == 40
    touched = np.unique(np.r_[dropped // 7.5, (dropped + 1) // 7.5]).astype(int)
    untouched = np.setdiff1d(np.arange(len(expected.traces)), touched)
    np.testing.assert_allclose(bridged.traces[untouched], expected.traces[untouched], rtol=1e-5)
    assert np.isfinite(bridged.traces).all()
    with pytest.warns(UserWarning, match="bridged"):
        assert nl.PairedViews([recording], CALCIUM, ALL_UNITS, batch_size=1).n_pairs in (99, 100)


def test_long_gaps_and_borders_are_not_bridged():
    traces = np.random.default_rng(0).gamma(0.3, 0.5, (600, 2))
    recording = nl.Recording.from_traces(
        traces, 10.0, None, [[0, 20], [20, 30], [30.3, 60]], recording_id="r", animal_id="a"
    )
    with pytest.warns(UserWarning) as notices:
        resampled = match_sampling(recording, 0.25)
    assert len(notices) == 1  # only that it was resampled
    np.testing.assert_allclose(resampled.intervals, recording.intervals)
    with pytest.warns(UserWarning, match="r: 3 missing frames were bridged"):
        resampled = match_sampling(recording, 0.5)
    np.testing.assert_allclose(resampled.intervals, [[0, 20], [20, 60]])


def test_a_notice_where_most_valid_time_lies_in_short_intervals():
    pieces = [[3 * k, 3 * k + 2.5] for k in range(20)] + [[60, 80.0]]
    recording = clock(rate_hz=4.0, n_frames=320, intervals=pieces)
    windows = nl.Windows(recording, CALCIUM)  # of 2 s
    with pytest.warns(
        UserWarning, match=r"20 of 70 s of valid time are used; 20 of 21 intervals.*than 4 s .2 win"
    ):
        assert windows.lasting(2).tolist() == [[60, 80]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(windows.lasting(1)) == 21
    with pytest.warns(UserWarning, match="20 of 70 s of valid time are used"):
        nl.PairedViews([recording], CALCIUM, nl.ViewConfig(), batch_size=2)


# ---- batches


def batches(recordings, preset=TINY, workers=0, epoch=0, seed=0):
    data = nl.PairedViews(recordings, preset.model, preset.views, 8, seed)
    data.set_epoch(epoch)
    return list(DataLoader(data, batch_size=None, sampler=range(len(data)), num_workers=workers))


def equal(one, other) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for x, y in zip(one, other) for a, b in zip(x, y)
    )


def test_the_number_of_workers_changes_nothing(recordings):
    alone = batches(recordings)
    assert equal(alone, batches(recordings, workers=2)) and len(alone) > 2


def test_draws_depend_on_seed_and_epoch_only(recordings, calcium_recordings):
    for recs, preset in ((recordings, TINY), (calcium_recordings, TINY_CALCIUM)):
        first = batches(recs, preset)
        data = nl.PairedViews(recs, preset.model, preset.views, 8)
        # in whatever order
        assert equal(first, [data[i] for i in reversed(range(len(data)))][::-1])
        for other in (batches(recs, preset, epoch=1), batches(recs, preset, seed=1)):
            assert not equal(first[:1], other[:1])
        np.random.seed(1), torch.manual_seed(1)  # nothing global matters
        assert equal(first, batches(recs, preset))


def test_a_recordings_pairs_do_not_depend_on_the_others():
    recording, other = clock(n_units=5), clock(n_units=2, name="other", n_frames=250)
    alone, together = pairs(recording, epochs=3), pairs(recording, epochs=3, others=[other])
    assert (
        sorted(map(tuple, alone)) == sorted(map(tuple, together))
        and alone.tolist() != together.tolist()
    )
    renamed = pairs(clock(n_units=5, name="renamed"), epochs=3)
    assert set(map(tuple, renamed)) != set(map(tuple, alone))  # each has draws of its own


def test_batches_are_whole(recordings):
    data = nl.PairedViews(recordings, SPIKES, ALL_UNITS, batch_size=8)
    for epoch in range(3):
        data.set_epoch(epoch)
        assert len(data) == data.n_pairs // 8 and data.n_pairs % 8
        sizes = [len(data[i].sizes_1) for i in range(len(data))]
        assert set(sizes) == {8}
    with pytest.raises(IndexError):
        data[len(data)]
    # all of them, once
    assert len(set(zip(*(column.tolist() for column in data.plan)))) == data.n_pairs
    few = nl.PairedViews(recordings, SPIKES, ALL_UNITS, batch_size=1000)
    assert len(few) == 1 and len(few[0].sizes_1) == few.n_pairs  # unless there is only one


def test_an_epoch_is_shuffled(recordings):
    data = nl.PairedViews(recordings, SPIKES, ALL_UNITS, batch_size=8)
    orders = []
    for epoch in (0, 1):
        data.set_epoch(epoch)
        orders.append(data.plan[0].tolist())
        assert orders[-1] != sorted(orders[-1])
    assert orders[0] != orders[1]


# ---- what is refused


def test_no_interval_holds_two_windows(recordings):
    with pytest.raises(
        ValueError,
        match=(
            r"no valid interval is as long as two windows \(4 s; the longest has 3.9 s\); use a"
            r" shorter window .* or longer recordings"
        ),
    ):
        nl.PairedViews([spikes(intervals=[[0, 3.9], [10, 13.5]])], SPIKES, ALL_UNITS, 1)
    with pytest.warns(
        UserWarning,
        match=(
            r"1 recordings have no valid interval of two windows \(4 s\) and are not used \(first:"
            r" rec\)"
        ),
    ):
        data = nl.PairedViews([spikes(intervals=[[0, 3.9]]), *recordings], SPIKES, ALL_UNITS, 1)
    assert 0 not in data.plan[0]


def test_grids_that_can_not_be_kept():
    with pytest.raises(ValueError, match="grid_s"):  # no multiple of 10 s lies inside
        nl.PairedViews([spikes(intervals=[[1.0, 9.0]])], SPIKES, nl.ViewConfig(grid_s=10.0), 1)
    with pytest.raises(ValueError, match="grid_s"):  # traces have a grid already: their frames
        nl.Windows(clock(), CALCIUM, grid_s=0.3)


def test_another_modality_and_double_ids(recordings):
    with pytest.raises(
        ValueError,
        match="clock holds calcium, the encoder reads spikes; use an encoder for calcium",
    ):
        nl.PairedViews([clock()], SPIKES, ALL_UNITS, 1)
    with pytest.raises(
        ValueError, match=r"recording ids occur twice: \['rec'\]; give every recording its own"
    ):
        nl.PairedViews([spikes(), spikes(seed=1)], SPIKES, ALL_UNITS, 1)
    with pytest.raises(ValueError):
        nl.PairedViews([], SPIKES, ALL_UNITS, 1)


@pytest.mark.parametrize(
    "field, value",
    [
        ("kept_share", (0.0, 1.0)),
        ("kept_share", (0.6, 0.5)),
        ("kept_share", (0.5, 1.1)),
        ("max_distance_s", -1.0),
        ("min_units", 0),
        ("grid_s", 0.0),
    ],
)
def test_impossible_configs(field, value):
    with pytest.raises(ValueError, match=field):
        nl.ViewConfig(**{field: value})
