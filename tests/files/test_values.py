"""Frames that are broken in all units, gaps that are bridged, and one scale for all units."""

import numpy as np
import pytest

import nuclr_lite as nl
from nuclr_lite.files import values


def dff(n_frames=2000, n_units=50, seed=0):
    return np.random.default_rng(seed).gamma(0.3, 0.5, (n_frames, n_units))


def recording_of(traces, rate_hz=10.0, intervals=None, **options):
    return nl.Recording.from_traces(
        traces, rate_hz, None, intervals, recording_id="r", animal_id="a", **options
    )


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_frames_broken_in_all_units_are_left_out(broken):
    traces = dff()
    traces[[0, 500, 501, 502, 1999]] = broken
    with pytest.warns(UserWarning, match=r"r: left 5 of 2000 frames out.*first: 7\.000 s"):
        recording = recording_of(traces, start_s=7.0)
    np.testing.assert_allclose(recording.intervals, [[7.1, 57], [57.3, 206.9]])
    whole = np.isfinite(traces).all(axis=1)
    assert recording.trace_scale == float(np.percentile(traces[whole].astype("f4"), 99))


def test_a_border_stays_where_broken_frames_are_left_out():
    traces = dff()
    traces[300] = np.nan
    with pytest.warns(UserWarning, match="left 1 of 1990 frames out"):
        recording = recording_of(traces, intervals=[[0, 50], [50, 60.05], [61, 200]])
    np.testing.assert_allclose(
        recording.intervals, [[0, 30], [30.1, 50], [50, 60.05], [61, 200]], atol=1e-9
    )


def test_broken_values_of_some_units_name_them_and_the_remedy():
    traces = dff()
    traces[40:43, 7] = traces[1000, 9] = np.nan
    with pytest.raises(
        ValueError,
        match=(
            r"frame 40 \(4\.000 s\) of unit 7 is NaN.*2 of 50 units are broken in 4 of 2000 valid"
            r" frames.*put `unit_id not in \[7, 9\]` into `keep`"
        ),
    ):
        recording_of(traces)
    with pytest.raises(ValueError, match="all 50 units are NaN or infinite in all 2000 valid"):
        recording_of(np.full_like(traces, np.nan))
    with pytest.raises(ValueError, match="r: there is no frame"):
        recording_of(np.zeros((0, 3)))


def test_the_scale_is_the_99th_percentile_of_all(recwarn):
    for seed in range(3):
        traces = (dff(seed=seed) * np.exp(np.random.default_rng(seed).normal(0, 1, 50))).astype(
            "f4"
        )
        assert recording_of(traces).trace_scale == float(np.percentile(traces, 99))
    sparse = np.random.default_rng(0).random((3000, 40)) < 0.002 * np.arange(1, 41) / 4
    assert recording_of(sparse * 1.0).trace_scale == 1  # most units' own 99th percentile is 0
    quiet = np.where(np.arange(40) < 18, 1e-6, 1.0) * dff(3000, 40)  # just under half are silent
    recording_of(quiet)
    assert not recwarn.list


@pytest.mark.parametrize("factor", [300, 1000, 1e6])
def test_a_unit_far_above_the_others_does_not_set_the_scale(factor):
    traces = dff()
    traces[:, 17] *= factor
    with pytest.raises(
        ValueError,
        match=(
            r"r: 1 of 50 units lie some 100 times or more above the others \(the 99th percentile of"
            r" unit 17 is .*put `unit_id not in \[17\]` into `keep`\): the number .* without them"
        ),
    ):
        recording_of(traces)
    kept = np.delete(traces, 17, axis=1)
    assert recording_of(kept).trace_scale == float(np.percentile(kept.astype("f4"), 99))
    # of many units, one doesn't set the scale, but is said to be there
    many = dff(500, 400)
    many[:, 17] *= factor
    with pytest.warns(UserWarning, match=r"r: 1 of 400 units lie some 100 times or more.*unit 17"):
        scale = recording_of(many).trace_scale
    assert scale == float(np.percentile(many.astype("f4"), 99))
    # of two units, one is far above "the rest"; of events, the size counts, not how rare they are
    with pytest.raises(ValueError, match="1 of 2 units lie some 100 times"):
        recording_of(dff(500, 2) * [1, factor])
    events = (np.random.default_rng(0).random((3000, 20)) < 0.005) * 1.0
    events[:, 3] = factor * dff(3000, 1)[:, 0]
    with pytest.raises(ValueError, match="1 of 20 units lie some 100 times.*unit 3"):
        recording_of(events)


def test_one_broken_value_is_no_unit_far_above(recwarn):
    traces = dff()
    traces[100, 3] = 1e4
    assert recording_of(traces).trace_scale == float(np.percentile(traces.astype("f4"), 99))
    assert not recwarn.list


def test_gaps_are_bridged_by_a_straight_line():
    whole = np.arange(20.0)[:, None] * [1, 2]
    traces = whole.copy()
    traces[5] = traces[10:12] = traces[15] = np.nan
    gaps = np.array([[0, 5], [6, 10], [12, 15], [16, 18], [18, 20]])
    with pytest.warns(UserWarning, match="r: 2 missing frames were bridged.*2 gaps shorter"):
        filled, intervals, n = values.bridged(traces, gaps, 1.0, 0.0, 1.5, "r")
    assert n == 2 and intervals.tolist() == [[0, 10], [12, 18], [18, 20]]
    np.testing.assert_allclose(np.delete(filled, [10, 11], axis=0), np.delete(whole, [10, 11], 0))
    assert np.isnan(traces[5]).all()  # what was given is as it was
    with pytest.warns(UserWarning, match="r: 4 missing frames"):
        filled, intervals, _ = values.bridged(traces, gaps, 1.0, 0.0, 2.5, "r")
    np.testing.assert_allclose(filled, whole)
    assert intervals.tolist() == [[0, 18], [18, 20]]


def test_nothing_to_bridge_changes_nothing(recwarn):
    traces = dff(20, 2)
    for gaps in ([[0, 20]], [[0, 10], [10, 20]], [[0, 5], [15, 20]]):
        same, intervals, n = values.bridged(traces, np.array(gaps), 1.0, 0.0, 1.0, "r")
        assert same is traces and intervals.tolist() == gaps and n == 0
    assert not recwarn.list
