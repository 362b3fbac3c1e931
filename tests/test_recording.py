"""Recordings: what they hold, what they refuse and how they say it, and what `during` keeps of
them.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import TINY_CALCIUM, clock, spikes
from two_units import TRAINS, from_spikes, from_traces

import nuclr_lite as nl
from nuclr_lite.files.intervals import frame_ranges

# ---- what it holds


def test_more_units_than_frames_is_noticed():
    with pytest.warns(UserWarning, match=r"rec: 3 units and only 2 frames; .* transpose them"):
        from_traces(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))


def test_spikes_are_kept_by_unit_and_in_order():
    recording = from_spikes(units=pd.DataFrame({"area": ["VISp", "VISl"]}, index=["a", "b"]))
    assert recording.times.tolist() == [
        0.5,
        1.0,
        2.5,
        3.0,
        4.0,
    ] and recording.unit_rows.tolist() == [1, 0, 0, 1, 0]
    for unit_id, train in zip("ab", TRAINS):
        assert recording.spike_times(unit_id).tolist() == train
        assert recording.spike_times(unit_id).dtype == np.float64
    # first to last spike
    assert recording.intervals.tolist() == [[0.5, 4.0]] and recording.valid_s == 3.5
    assert (
        recording.units["area"].tolist() == ["VISp", "VISl"]
        and recording.units.index.name == "unit_id"
    )
    assert (recording.modality, recording.recording_id, recording.animal_id, recording.n_units) == (
        "spikes",
        "rec",
        "animal",
        2,
    )
    assert "2 units, 5 spikes" in repr(recording)


def test_negative_times_are_legal(recwarn):
    recording = from_spikes([[-3.0, -1.0], [-2.0, 1.0]])
    assert recording.times.tolist() == [-3.0, -2.0, -1.0, 1.0] and recording.intervals.tolist() == [
        [-3.0, 1.0]
    ]
    assert not recwarn.list


def test_unsorted_times_are_sorted_with_a_notice():
    trains = [[3.0, 1.0, 2.0], [1.5, 2.5]]
    with pytest.warns(
        UserWarning,
        match=r"rec: sorted the spike times of 1 units that were not in order \(first: 0\)",
    ):
        recording = from_spikes(trains)
    assert recording.spike_times(0).tolist() == [1.0, 2.0, 3.0]
    assert trains[0] == [3.0, 1.0, 2.0]


def test_spikes_outside_valid_time_are_left_out_and_counted():
    recording = from_spikes(
        [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], []], intervals=[[4.0, 4.5], [1.0, 2.0]]
    )
    assert recording.spike_times(0).tolist() == [1.0, 2.0, 4.0]  # both ends belong to it
    assert recording.n_spikes_outside == 3 and recording.spike_times(1).tolist() == []
    assert recording.intervals.tolist() == [[1.0, 2.0], [4.0, 4.5]]  # in order


def test_intervals_may_touch():
    assert from_spikes(intervals=[[0.0, 2.5], [2.5, 5.0]]).n_spikes_outside == 0


def test_traces_and_their_scale():
    traces = np.random.default_rng(0).normal(size=(200, 3))
    traces[:20] = np.nan  # allowed outside valid time
    recording = from_traces(traces, 10.0, intervals=[[2.0, 20.0]])
    assert recording.trace_scale == pytest.approx(np.percentile(traces[20:].astype(np.float32), 99))
    np.testing.assert_array_equal(recording.traces, traces.astype(np.float32))
    assert recording.traces.dtype == np.float32 and recording.sampling_rate_hz == 10.0
    assert from_traces(start_s=5.0).intervals.tolist() == [[5.0, 6.5]]
    assert "3 frames at 2 Hz" in repr(from_traces())


def test_sparse_traces_are_scaled_by_what_is_above_zero():
    traces = np.zeros((1000, 2))
    traces[:5] = np.arange(1, 6)[:, None]
    with pytest.warns(
        UserWarning,
        match="99th percentile of the traces is 0, so they are scaled by that of their positive",
    ):
        assert from_traces(traces).trace_scale == pytest.approx(np.percentile(traces[:5], 99))


@pytest.mark.parametrize("rate", [1.0, 4.0, 30.0, 1 / 0.23344])
@pytest.mark.parametrize("start_s", [0.0, -3.3, 1000.1])
def test_frames_lie_wholly_in_their_interval(rate, start_s):
    """Interval ends in quarters of a frame; the naive answer in whole numbers."""
    quarters = np.array([(first, first + length) for first in range(80) for length in range(12)])
    for (first, stop), (low, high) in zip(
        quarters, frame_ranges(start_s + quarters / 4 / rate, rate, start_s)
    ):
        assert list(range(low, high)) == [
            frame for frame in range(30) if 4 * frame >= first and 4 * (frame + 1) <= stop
        ]


def test_asking_for_the_wrong_thing():
    with pytest.raises(KeyError, match="rec has no unit 'z'; its ids are in recording.units.index"):
        from_spikes().spike_times("z")
    with pytest.raises(ValueError, match="use recording.traces"):
        from_traces().spike_times(0)


# ---- what it refuses, and the remedy


def table(*ids, **columns):
    return pd.DataFrame(columns, index=pd.Index(list(ids), dtype=object))


@pytest.mark.parametrize(
    "make, arguments, words",
    [
        (
            from_spikes,
            dict(trains=[[1.0, np.nan], [2.0]]),
            "unit 0 has 1 NaN or infinite spike times; remove them",
        ),
        (
            from_spikes,
            dict(trains=[[1.0], [np.inf, -np.inf]]),
            "unit 1 has 2 NaN or infinite spike times; remove them",
        ),
        (
            from_spikes,
            dict(trains=[[], []]),
            "no unit has a spike; check that the times were read and are in seconds",
        ),
        (
            from_spikes,
            dict(intervals=[[100, 200]]),
            "none of its 5 spikes lies inside the valid intervals .*same clock and unit",
        ),
        (
            from_spikes,
            dict(units=table(7, 7)),
            r"1 unit ids occur twice \(first: '?7'?\); make them unique",
        ),
        (
            from_spikes,
            dict(units=pd.DataFrame({"unit_id": ["a", "a"]})),
            "unit ids occur twice .*make them unique",
        ),
        (from_spikes, dict(units=table(1, "1")), "unit ids occur twice .*make them unique"),
        (from_spikes, dict(units=table("a", None)), "a unit id is missing; give every unit one"),
        (from_spikes, dict(units=table("a", "")), "a unit id is missing; give every unit one"),
        (
            from_spikes,
            dict(units=table("a", "b", "c")),
            r"3 rows \(labels\) for 2 units of data; give one row a unit",
        ),
        (from_spikes, dict(trains=[]), "there are no units; check the filter that selected them"),
        (from_spikes, dict(intervals=[[0, 3], [2, 5]]), "overlap; merge them first"),
        (from_spikes, dict(intervals=[[0, 9], [2, 3]]), "overlap; merge them first"),
        (
            from_spikes,
            dict(intervals=[[0, 1], [3, 2]]),
            r"the interval 3 to 2 s runs backwards; give \(start, stop\)",
        ),
        (
            from_spikes,
            dict(intervals=[[0, np.nan]]),
            "an interval has a NaN or infinite end; give seconds",
        ),
        (from_spikes, dict(intervals=[0, 5]), r"give at least one \(start, stop\) pair in seconds"),
        (
            from_spikes,
            dict(intervals=np.zeros((0, 2))),
            r"give at least one \(start, stop\) pair in seconds",
        ),
        (
            from_spikes,
            dict(trains=[[[1.0]], [2.0]]),
            "have 2 dimensions; give one flat array of seconds",
        ),
        (from_spikes, dict(trains=[1.0, 2.0]), "have 0 dimensions; give one flat array of seconds"),
        (from_spikes, dict(units=["a", "b"]), "units is a list; give a DataFrame"),
        (
            from_spikes,
            dict(units=table(1, 2, shape=[np.arange(2), np.arange(2)])),
            "'shape' .*give one number or one text",
        ),
        (
            from_spikes,
            dict(units=table(1, 2, label=["a", 1])),
            "'label' .*give one number or one text",
        ),
        (
            from_spikes,
            dict(units=pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"])),
            "two columns .*same name; rename one",
        ),
        (
            from_spikes,
            dict(epochs=pd.DataFrame({"start_s": [0.0]})),
            r"epochs lack the columns \['name', 'stop_s'\]; give",
        ),
        (from_traces, dict(traces=np.zeros((5, 0))), "there are no units; check the filter"),
        (from_traces, dict(traces=np.ones(5)), r"traces have shape \(5,\); give \(frames, units\)"),
        (
            from_traces,
            dict(traces=[[1.0, 2.0], [np.nan, 4.0]]),
            (
                r"frame 1 \(0.500 s\) of unit 0 is NaN .*leave that stretch out of `intervals`, or"
                r" drop the unit"
            ),
        ),
        (
            from_traces,
            dict(traces=[[1.0, np.inf]]),
            "unit 1 is NaN or infinite; leave that stretch out",
        ),
        (
            from_traces,
            dict(traces=np.zeros((5, 2))),
            "no trace is ever above zero; give dF/F or events",
        ),
        (from_traces, dict(sampling_rate_hz=0.0), "give frames per second, above 0"),
        (from_traces, dict(sampling_rate_hz=np.nan), "give frames per second, above 0"),
        (
            from_traces,
            dict(intervals=[[0, 60]]),
            "the frames only from 0 to 1.5 s; check sampling_rate_hz and start_s",
        ),
        (
            from_traces,
            dict(intervals=[[0.1, 0.4]]),
            "no frame lies wholly inside a valid interval; check",
        ),
        (from_traces, dict(units=table(7, 7)), "unit ids occur twice .*make them unique"),
        (from_traces, dict(units=table("a")), r"1 rows \(labels\) for 2 units of data"),
        (from_traces, dict(intervals=[[0, 1], [0.5, 1.5]]), "overlap; merge them first"),
    ],
)
def test_refusals_name_the_remedy(make, arguments, words):
    with pytest.raises(ValueError, match=words):
        make(**arguments)


BLOCKS = pd.DataFrame(
    {
        "start_s": [0.0, 20.0, 30.0, 50.0],
        "stop_s": [20.0, 30.0, 50.0, 60.0],
        "name": ["grey", "movie", "grey", "gratings"],
    }
)


# ---- what `during` keeps


def test_during_keeps_the_epochs_of_a_name_and_nothing_else():
    recording = replace(
        spikes(intervals=[[0, 12], [15, 25], [25, 58]]), epochs=BLOCKS, n_spikes_outside=5
    )
    grey = recording.during("grey")
    assert grey.intervals.tolist() == [[0, 12], [15, 20], [30, 50]]
    expected = [
        time for time in recording.times if time <= 12 or 15 <= time <= 20 or 30 <= time <= 50
    ]
    assert grey.times.tolist() == expected and len(grey.unit_rows) == len(expected) < len(
        recording.times
    )
    assert grey.n_spikes_outside == 5 + len(recording.times) - len(expected)
    # what touched before stays apart
    assert recording.during(["movie", "gratings"]).intervals.tolist() == [
        [20, 25],
        [25, 30],
        [50, 58],
    ]
    assert (
        grey.recording_id == recording.recording_id
        and grey.units is recording.units
        and grey.provenance["during"] == ["grey"]
    )
    assert sum(
        recording.during(name).valid_s for name in ("grey", "movie", "gratings")
    ) == pytest.approx(recording.valid_s)


def test_epochs_of_a_name_that_touch_or_overlap_are_one_stretch():
    epochs = pd.DataFrame(
        {"start_s": [0.0, 10.0, 15.0], "stop_s": [10.0, 18.0, 22.0], "name": "trial"}
    )
    assert replace(spikes(), epochs=epochs).during("trial").intervals.tolist() == [[0, 22]]


def test_during_keeps_the_scale_of_traces():
    recording = replace(clock(), epochs=BLOCKS)  # 400 frames at 4 Hz; dF/F rises with time
    movie = recording.during("movie")
    assert (
        movie.trace_scale == recording.trace_scale
        and movie.traces is recording.traces
        and movie.intervals.tolist() == [[20, 30]]
    )
    tokens, _ = nl.Windows(movie, TINY_CALCIUM.model).samples(
        nl.Windows(movie, TINY_CALCIUM.model).tile()[0]
    )
    assert tokens[0, 0, 0] == pytest.approx(80 / recording.trace_scale)


def test_during_errors():
    recording = replace(spikes(intervals=[[0, 45]]), epochs=BLOCKS)
    with pytest.raises(
        ValueError, match="rec has no epoch 'night'; it has 'grey', 'movie', 'gratings'"
    ):
        recording.during(["grey", "night"])
    with pytest.raises(ValueError, match="has no epoch 'grey'; it has none"):
        spikes().during("grey")
    with pytest.raises(ValueError, match="the epochs 'gratings' hold no valid time"):
        recording.during("gratings")
    with pytest.raises(ValueError, match="without a name"):
        recording.during([])
    # between two frames
    brief = pd.DataFrame({"start_s": [1.05], "stop_s": [1.2], "name": ["flash"]})
    with pytest.raises(ValueError, match="'flash' hold no valid time"):
        replace(clock(), epochs=brief).during("flash")
