"""Sessions read where they lie: equal to those that were downloaded, for a part of the bytes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import session_files
from allen_server import Fault, Server, neuropixels_models

from nuclr_lite.sources.allen import neuropixels, session_trains
from nuclr_lite.sources.allen.session_file import open_session
from nuclr_lite.sources.allen.session_trains import bytes_of
from nuclr_lite.sources.download import remote, transfer
from nuclr_lite.sources.download.remote import RemoteFile
from nuclr_lite.sources.download.transfer import DownloadError

h5py = pytest.importorskip("h5py")
pytest.importorskip("allensdk", reason="AllenSDK is not installed")
ID = 900000001
path, changed = session_files.path, session_files.changed


@pytest.fixture
def server(path):
    with Server(neuropixels_models(ID, path), {("EcephysSession", ID): path}) as server:
        server.at = {"scheme": "http", "host": server.host}
        yield server


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    monkeypatch.setattr(transfer, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setitem(RemoteFile.__init__.__kwdefaults__, "timeout_s", (1.0, 0.4))


def contents(folder) -> dict:
    """Of each saved recording all that it says, fingerprints of its arrays included."""
    return {
        header.parent.name: json.loads(header.read_text())
        for header in sorted(folder.glob("*/recording.json"))
    }


def test_equal_to_what_is_downloaded(server, path, tmp_path):
    streamed = neuropixels.stream_session(ID, tmp_path / "a", tmp_path / "cache", **server.at)
    labels = neuropixels.optotag(path)
    neuropixels.convert_session(path, tmp_path / "b", cell_types=labels)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}
    assert [one.recording_id for one in streamed] == list(contents(tmp_path / "a"))
    assert streamed[0].units["cell_type"].notna().any()
    assert not list((tmp_path / "cache").glob("session_*/*"))  # what was fetched is gone


@pytest.mark.parametrize(
    "options", [{"structures": ("CA1", "LGd"), "tag": False}, {"structures": (), "quality": None}]
)
def test_choices(server, path, tmp_path, options):
    neuropixels.stream_session(ID, tmp_path / "a", tmp_path / "cache", **server.at, **options)
    tag = options.pop("tag", True)
    labels = neuropixels.optotag(path, **options) if tag else None
    neuropixels.convert_session(path, tmp_path / "b", cell_types=labels, **options)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


def test_the_beginning_alone(server, path, tmp_path):
    hours = 100 / 3600
    [*streamed] = neuropixels.stream_session(
        ID, tmp_path / "a", tmp_path / "cache", tag=False, first_hours=hours, **server.at
    )
    neuropixels.convert_session(path, tmp_path / "b", until_s=100.0)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert all(one.times[-1] < 100 for one in streamed)


@pytest.mark.parametrize("train", ["late", "out of order"])
def test_a_beginning_that_is_no_fair_share(changed, tmp_path, train):
    """A unit whose spikes lie early, or in disorder: more has to be read, and is."""

    def edit(file):
        ends, times = file["units/spike_times_index"][:], file["units/spike_times"][:]
        for start, stop in zip([0, *ends[:-1]], ends):
            one = times[int(start) : int(stop)]
            one = one[0] + (one - one[0]) * 0.05 if train == "late" else one[::-1]
            file["units/spike_times"][int(start) : int(stop)] = one

    path = changed(edit)
    with Server(files={"/file": path}) as server:
        file = RemoteFile(f"{server.url}/file", tmp_path / "session_1.nwb", disable_bar=True)
        with file, open_session(file) as there, open_session(path) as here:
            for unit in here.units(quality=None).index[:10]:
                np.testing.assert_array_equal(
                    there.spike_times(unit, 20.0), here.spike_times(unit, 20.0)
                )


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(stall_s=1.0, after=50),
        Fault(truncate=True, after=50),
        Fault(drop=True, after=50),
        Fault(ignore_range=True),
    ],
    ids=["503", "stall", "truncated", "lost", "range ignored"],
)
def test_faults(server, path, tmp_path, fault):
    server.faults = [None, None, fault, fault, None, fault]
    neuropixels.stream_session(ID, tmp_path / "a", tmp_path / "cache", tag=False, **server.at)
    neuropixels.convert_session(path, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


def test_stopped_and_run_again(server, path, tmp_path):
    cache = tmp_path / "cache"
    server.faults = [None] * 12 + [Fault(status=500)] * 30
    with pytest.raises(DownloadError, match="What has come is kept"):
        neuropixels.stream_session(ID, tmp_path / "a", cache, tag=False, **server.at)
    assert not (tmp_path / "a").exists() or not contents(tmp_path / "a")
    server.faults = []
    before = len(server.file_requests)
    neuropixels.stream_session(ID, tmp_path / "a", cache, tag=False, **server.at)
    second = len(server.file_requests) - before
    neuropixels.stream_session(ID, tmp_path / "b", cache, tag=False, **server.at)
    assert second < len(server.file_requests) - before - second
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


def test_a_file_that_changes_under_way(server, path, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1024)  # so that tables alone don't bring all of it
    with neuropixels.remote_session(ID, tmp_path / "cache", **server.at) as file:
        with open_session(file) as session:
            [address] = server.files
            (tmp_path / "newer").mkdir()
            newer = Path(shutil.copy(path, tmp_path / "newer"))
            with h5py.File(newer, "r+") as edited:
                edited["units/firing_rate"][:] += 1
            server.files[address] = newer
            with pytest.raises(DownloadError, match="not the one that was begun"):
                session.bring(session.units().index)
    neuropixels.stream_session(ID, tmp_path / "a", tmp_path / "cache", tag=False, **server.at)
    neuropixels.convert_session(newer, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


def test_a_session_in_the_cache_is_read_from_there(server, path, tmp_path):
    here = tmp_path / "cache" / f"session_{ID}" / f"session_{ID}.nwb"
    here.parent.mkdir(parents=True)
    shutil.copy(path, here)
    neuropixels.stream_session(ID, tmp_path / "a", tmp_path / "cache", **server.at)
    assert not server.log and here.is_file()


def test_several(server, path, tmp_path, capsys):
    where = (tmp_path / "a", tmp_path / "cache")
    with pytest.raises(ValueError, match="there is no session 7; list_sessions shows"):
        neuropixels.stream_sessions([ID, 7], *where, confirm=False, **server.at)
    first = neuropixels.stream_sessions([ID], *where, confirm=False, **server.at)
    assert "about 12% of 1 sessions" in capsys.readouterr().out
    n = len(server.log)
    again = neuropixels.stream_sessions([ID], *where, confirm=False, **server.at)
    assert len(server.log) == n and [one.recording_id for one in again] == [
        one.recording_id for one in first
    ]
    server.faults = [Fault(status=404)] * 50
    with pytest.raises(DownloadError, match="1 of 1 sessions could not be had(.|\\n)*404"):
        neuropixels.stream_sessions(
            [ID], tmp_path / "b", tmp_path / "cache", confirm=False, **server.at
        )


def test_spikes_inside_gaps(path, tmp_path, monkeypatch):
    """Looked for where they would be at one rate; found as a look at all of them finds them."""
    monkeypatch.setattr(session_trains, "ROWS_AT_ONCE", 16)
    gaps = np.array([[0.0, 1.0], [30.0, 30.5], [100.0, 140.0], [1e4, 2e4]])
    with Server(files={"/file": path}) as server:
        file = RemoteFile(f"{server.url}/file", tmp_path / "session_1.nwb", disable_bar=True)
        with file, open_session(file) as there, open_session(path) as here:
            unit_ids = here.units(quality=None).index
            found = there.spikes_within(unit_ids, gaps)
            np.testing.assert_array_equal(found, here.spikes_within(unit_ids, gaps))
            assert len(found) and len(there.spikes_within([], gaps)) == 0


def test_where_rows_of_a_chunked_array_lie(tmp_path):
    values = np.random.default_rng(0).normal(size=1000)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["whole"] = values
        file.create_dataset("parts", data=values, chunks=(64,), compression="gzip")
    content = (tmp_path / "x.h5").read_bytes()
    with h5py.File(tmp_path / "x.h5") as file:
        [(start, stop)] = bytes_of(file["whole"], [(10, 20)])
        np.testing.assert_array_equal(np.frombuffer(content[start:stop]), values[10:20])
        assert len(bytes_of(file["parts"], [(10, 20), (63, 65)])) == 2
        assert len(bytes_of(file["parts"], [(0, 1000)])) == 16
        assert sum(b - a for a, b in bytes_of(file["parts"], [(0, 1000)])) < len(content)


def test_optotags_where_it_lies(server, path, tmp_path):
    with neuropixels.remote_session(ID, tmp_path / "cache", **server.at) as file:
        pd.testing.assert_frame_equal(neuropixels.optotag(file), neuropixels.optotag(path))
