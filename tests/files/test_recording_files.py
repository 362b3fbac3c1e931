"""Recordings as files: what is saved is what is loaded, and files are whole or absent."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import clock, spikes
from hypothesis import example, given, strategies as st
from two_units import EPOCHS, IDS, TRAINS, from_spikes

import nuclr_lite as nl
from nuclr_lite.files.storage import atomic_file
from nuclr_lite.files.tables import read_table, tidy_units, write_table

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
        ValueError, match="format version 99, this nuclr_lite reads up to 3; update nuclr_lite"
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
