"""Recordings: what they hold, what they refuse and how they say it, and that files are whole or
absent.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import clock, spikes
from hypothesis import example, given
from hypothesis import strategies as st

import nuclr_lite as nl
from nuclr_lite.files.intervals import frame_ranges
from nuclr_lite.files.storage import atomic_file
from nuclr_lite.files.tables import read_table, tidy_units, write_table

TRAINS = ([1.0, 2.5, 4.0], [0.5, 3.0])
IDS = dict(recording_id="rec", animal_id="animal")
EPOCHS = pd.DataFrame(
    {
        "start_s": [0.0, 30.5],
        "stop_s": [30.5, 60.0],
        "name": ["natural_movie", 'spontaneous, "dark"'],
    }
)


def from_spikes(trains=TRAINS, units=None, intervals=None, **options):
    return nl.Recording.from_spike_trains(trains, units, intervals, **(IDS | options))


def from_traces(
    traces=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)),
    sampling_rate_hz=2.0,
    units=None,
    intervals=None,
    **options,
):
    return nl.Recording.from_traces(traces, sampling_rate_hz, units, intervals, **(IDS | options))


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


# ---- files

UNITS = pd.DataFrame(
    {
        "label": ["a, b", 'say "hi"', "two\nlines", "Wörter 神经元 🧠", None, ""],
        "number_like": ["001", "1e5", "NA", "nan", "None", " x "],
        "good": [True, False, True, True, False, False],
        "channel": np.array([3, 1, 2, 5, 4, 0], dtype=np.int16),
        "depth_um": [0.1, 1 / 3, np.nan, np.inf, -0.0, 1e-300],
        "maybe": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
        "layer": pd.Categorical(["L4", None, "L2/3", "L4", "L5", "L6"]),
    },
    index=pd.Index(["001", "01", "1", "ü", "a,b", "x\ny"], name="unit_id"),
)


def assert_same(one: nl.Recording, other: nl.Recording):
    pd.testing.assert_frame_equal(one.units, other.units)
    pd.testing.assert_frame_equal(one.epochs, other.epochs)
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == getattr(other, name).dtype
            np.testing.assert_array_equal(value, getattr(other, name))
        elif name not in ("units", "epochs"):
            assert value == getattr(other, name), name


def test_spikes_round_trip(tmp_path):
    recording = nl.Recording.from_spike_trains(
        [np.sort(np.random.default_rng(i).uniform(-50, 50, 20 * (i > 0))) for i in range(6)],
        UNITS,
        [[-40, 0], [10, 50]],
        probe_id="probeA",
        epochs=EPOCHS,
        provenance={"source": "tëst", "n": [1, 2.5, None]},
        **IDS,
    )
    loaded = nl.Recording.load(recording.save(tmp_path / "deep" / "er"))
    assert_same(loaded, recording)
    assert isinstance(loaded.times, np.memmap) and isinstance(loaded.unit_rows, np.memmap)
    assert not loaded.times.flags.writeable
    assert loaded.units.loc["001", "label"] == "a, b" and loaded.units.loc["a,b", "label"] is None
    assert loaded.units["good"].dtype == bool and loaded.units["channel"].dtype == np.int64
    assert loaded.n_spikes_outside == recording.n_spikes_outside > 0
    np.testing.assert_array_equal(loaded.spike_times("ü"), recording.spike_times("ü"))
    assert_same(nl.Recording.load(loaded.save(tmp_path / "again")), recording)


def test_calcium_round_trips(tmp_path):
    recording = clock(start_s=-3.25, rate_hz=1 / 0.23344, probe_id=None)
    loaded = nl.Recording.load(recording.save(tmp_path / "rec"))
    assert_same(loaded, recording)
    assert isinstance(loaded.traces, np.memmap) and not loaded.traces.flags.writeable


@pytest.mark.parametrize("dtype", [np.uint64, np.uint8, np.int32, np.int64, float, str, object])
def test_unit_ids_of_any_kind_round_trip(dtype, tmp_path):
    recording = from_spikes(
        units=pd.DataFrame({"x": [1, 2]}, index=np.array([7, 12]).astype(dtype))
    )
    assert_same(nl.Recording.load(recording.save(tmp_path / "rec")), recording)
    assert recording.spike_times(recording.units.index[1]).tolist() == TRAINS[1]


@pytest.mark.parametrize(
    "column, values",
    [
        ("start_s", np.array([0, 1], dtype=np.uint8)),
        ("name", pd.Categorical(["a", "b"])),
        ("name", np.array([1, 2], dtype=object)),
        ("frame", np.array([3, 4], dtype=object)),
        ("extra", [None, "x"]),
    ],
)
def test_epochs_of_any_kind_round_trip(column, values, tmp_path):
    epochs = pd.DataFrame({"start_s": [0.0, 1.0], "stop_s": [1.0, 2.0], "name": ["a", "b"]}).assign(
        **{column: values}
    )
    recording = from_spikes(epochs=epochs)
    assert_same(nl.Recording.load(recording.save(tmp_path / "rec")), recording)


@given(
    st.lists(
        st.tuples(
            st.text(min_size=1),
            st.text() | st.none(),
            st.floats(),
            st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row[0],
    )
)
@example([("a", "one\rtwo", 1.0, 1, True)])
@example([("a", "VISp\0\0", 1.0, 1, True)])  # fixed-length text of HDF5 looks like this
@example([("a", "one\r\ntwo", 1.0, 1, True)])
def test_any_table_round_trips(rows):
    ids, *columns = zip(*rows)
    units = tidy_units(
        pd.DataFrame(dict(zip(("text, \n", "float", "int", "bool"), columns)), index=list(ids)),
        len(rows),
        "rec",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "units.csv"
        pd.testing.assert_frame_equal(
            read_table(path, write_table(units, path)), units, check_exact=True
        )


@pytest.fixture
def saved(tmp_path) -> Path:
    return spikes(units=pd.DataFrame({"cell_type": list("abcd")})).save(tmp_path / "rec")


@pytest.mark.parametrize(
    "name", ["times.npy", "unit_rows.npy", "intervals.npy", "units.csv", "epochs.csv"]
)
def test_damaged_files_are_noticed(name, saved):
    file = saved / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    for verify in (True, False):
        with pytest.raises(
            ValueError,
            match=rf"{name} has .* bytes instead of .*copy, download or convert it again",
        ):
            nl.Recording.load(saved, verify=verify)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(
        ValueError,
        match=(
            rf"{name} is not what was saved .*changed or damaged; copy, download or convert it"
            r" again"
        ),
    ):
        nl.Recording.load(saved)
    file.unlink()
    with pytest.raises(
        ValueError,
        match=rf"{name} is missing: the folder is incomplete; copy, download or convert it again",
    ):
        nl.Recording.load(saved)


@pytest.mark.parametrize("header", [None, "", "{", "[1]", '{"format": "something else"}'])
def test_a_foreign_folder(header, tmp_path):
    if header is not None:
        (tmp_path / "recording.json").write_text(header)
    with pytest.raises(
        ValueError,
        match="not a recording that nuclr_lite saved .*make one with Recording.from_spike_trains",
    ):
        nl.Recording.load(tmp_path)


def test_no_folder_a_file_and_a_newer_version(saved):
    with pytest.raises(FileNotFoundError, match="nothing there; save a recording to it first"):
        nl.Recording.load(saved / "nothing")
    with pytest.raises(ValueError, match="not a recording"):
        nl.Recording.load(saved / "times.npy")
    header = json.loads((saved / "recording.json").read_text())
    (saved / "recording.json").write_text(json.dumps(header | {"version": 99}))
    with pytest.raises(
        ValueError, match="format version 99, this nuclr_lite reads up to 2; update nuclr_lite"
    ):
        nl.Recording.load(saved)


def test_saving_over_something(saved, tmp_path):
    with pytest.raises(FileExistsError, match="choose another path, or pass overwrite=True"):
        from_spikes().save(saved)
    assert nl.Recording.load(saved).n_units == 4
    assert nl.Recording.load(from_spikes().save(saved, overwrite=True)).n_units == 2
    loaded = nl.Recording.load(saved)
    # over its own memory maps
    assert_same(nl.Recording.load(loaded.save(saved, overwrite=True)), loaded)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.txt").write_text("precious")
    for target in (foreign, foreign / "chapter1.txt"):
        with pytest.raises(
            FileExistsError, match="is not a recording; it won't be replaced. Choose another path"
        ):
            from_spikes().save(target, overwrite=True)
    assert (foreign / "chapter1.txt").read_text() == "precious"


def failing(function, at_call: int, error):
    """`function`, but its call number `at_call` (from 1) raises."""
    calls = []

    def wrapped(*args, **kwargs):
        calls.append(args)
        if len(calls) == at_call:
            raise error
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize(
    "what, at_call",
    [((np, "save"), 2), ((json, "dumps"), 1), ((Path, "rename"), 1), ((Path, "rename"), 2)],
    ids=["an array", "the header", "moving away the old", "moving in the new"],
)
@pytest.mark.parametrize(
    "error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "Ctrl-C"]
)
def test_a_save_that_fails_leaves_what_was_there(what, at_call, error, saved, monkeypatch):
    before = nl.Recording.load(saved)
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(*what, failing(getattr(*what), at_call, error))
        from_spikes().save(saved, overwrite=True)
    assert_same(nl.Recording.load(saved), before)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_first_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(np, "save", failing(np.save, 2, OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        from_spikes().save(tmp_path / "rec")
    assert not list(tmp_path.iterdir())


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "table.csv"
    for text in ("old", "new"):
        with atomic_file(path) as partial:
            partial.write_text(text)
        assert path.read_text() == text
    with pytest.raises(KeyboardInterrupt):
        with atomic_file(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
