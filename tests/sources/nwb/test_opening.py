"""NWB files on this machine and at an address: those that are missing, damaged or cut off are
refused with the remedy.
"""

import gc
import re
import socket
import sys

import h5py
import numpy as np
import pytest
from allen_server import Fault, Server
from nwb_files import PYNWBS_NOTICES, new_file, ramp, with_spikes, with_traces, write

from nuclr_lite.sources.nwb import read_nwb
from nuclr_lite.sources.nwb.opening import name_in, without_secrets

pynwb = pytest.importorskip("pynwb")
pytestmark = PYNWBS_NOTICES


def test_both_or_neither(tmp_path):
    both = write(
        with_traces(ramp(), with_spikes(area=["V1"] * 3), columns={"region": list("abc")}),
        tmp_path / "both.nwb",
    )
    with pytest.raises(
        ValueError, match=r"both\.nwb: holds both spikes and calcium traces; choose with modality="
    ):
        read_nwb(both)
    assert list(read_nwb(both, modality="spikes")[0].units) == ["area"]
    assert list(read_nwb(both, modality="calcium")[0].units)[0] == "region"
    with pytest.raises(
        ValueError,
        match=(
            r"neither\.nwb: holds no spikes and no calcium; looked for a units"
            r" table.*RoiResponseSeries"
        ),
    ):
        read_nwb(write(new_file(), tmp_path / "neither.nwb"))
    one = write(with_spikes(), tmp_path / "one.nwb")
    with pytest.raises(ValueError, match=r"one\.nwb: holds no calcium; looked for"):
        read_nwb(one, modality="calcium")
    with pytest.raises(ValueError, match=r"one\.nwb: series='dff' means nothing for spikes"):
        read_nwb(one, series="dff")
    with pytest.raises(ValueError, match="modality is 'lfp'; use 'spikes', 'calcium'"):
        read_nwb(one, modality="lfp")


def test_missing_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.nwb: nothing there; check the path"):
        read_nwb(tmp_path / "nowhere.nwb")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "notes.txt").write_text("none here")
    (folder / "._b.nwb").write_bytes(b"what macOS leaves")
    with pytest.raises(FileNotFoundError, match=r"data: there is no \.nwb file in this folder"):
        read_nwb(folder)
    write(with_spikes(), folder / "b.nwb")
    write(with_spikes(), folder / "a.nwb")
    write(with_traces(ramp()), folder / "c.nwb")
    assert [r.recording_id for r in read_nwb(str(folder))] == ["a", "b", "c"]


def test_truncated_foreign_and_damaged(tmp_path):
    path = write(
        with_traces(pynwb.H5DataIO(np.random.default_rng(0).random((500, 3)), compression="gzip")),
        tmp_path / "whole.nwb",
    )
    whole = path.read_bytes()
    with h5py.File(path) as file:
        chunk = file["processing/ophys/DfOverF/traces/data"].id.get_chunk_info(0)
    damaged = bytearray(whole)
    damaged[chunk.byte_offset : chunk.byte_offset + 200] = b"\xff" * 200
    with h5py.File(tmp_path / "foreign.nwb", "w") as file:
        file["x"] = 1
    contents = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "page": b"<html>404</html>",
        "damaged": bytes(damaged),
        "foreign": None,
    }
    for name, content in contents.items():
        bad = tmp_path / f"{name}.nwb"
        if content is not None:
            bad.write_bytes(content)
        with pytest.raises(
            ValueError,
            match=(
                rf"{name}\.nwb: can't be read as NWB \(.*\): it is truncated or not NWB; download"
                r" it again"
            ),
        ):
            read_nwb(bad)
    for name in ("whole", "damaged", "foreign"):
        if name == "whole":
            read_nwb(path)
        h5py.File(tmp_path / f"{name}.nwb", "r+").close()  # would fail were it still open


def old_file(path, version):
    """The layout of NWB 1: the version is a dataset, spikes lie in UnitTimes."""
    with h5py.File(path, "w") as file:
        file["nwb_version"] = version
        file["processing/Cells/UnitTimes/cell_1/times"] = np.arange(1, 50.0)
    return path


def rewritten(path, change, nwbfile=None):
    """A file that was whole, changed by h5py."""
    write(nwbfile or with_spikes(), path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def test_what_is_wrong_is_told_apart(tmp_path, monkeypatch):
    def of_beta(file):
        file.attrs["nwb_version"] = "2.0b"
        del file["session_description"]

    def unknown(file):
        file["units"].attrs["namespace"] = "ndx-tomorrow"

    def incomplete(file):
        del file["session_description"]

    bad = {
        r"it is NWB 1\.0\.6, which pynwb.*Cells/UnitTimes/cell_1/times.*from_spike_trains": (
            old_file(tmp_path / "one.nwb", "NWB-1.0.6")
        ),
        r"it is NWB 2\.0b, which pynwb doesn't read: convert it to NWB 2": rewritten(
            tmp_path / "beta.nwb", of_beta
        ),
        "ndx-tomorrow, an extension .* pip install ndx-tomorrow, and import": rewritten(
            tmp_path / "extension.nwb", unknown
        ),
        r"it is whole, NWB 2\.[\d.]+, .*argument 'session_description'.*validate": rewritten(
            tmp_path / "incomplete.nwb", incomplete
        ),
    }
    for words, path in bad.items():
        with pytest.raises(
            ValueError, match=rf"{path.name}: can't be read as NWB \(.*\): .*{words}"
        ):
            read_nwb(path)
    for name, content, words in (
        ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "git lfs pull"),
        ("annex", b"/annex/objects/MD5E-s3--ab.nwb\n", "datalad get"),
    ):
        (tmp_path / f"{name}.nwb").write_bytes(content)
        with pytest.raises(ValueError, match=f"it is not the file, but a pointer.*{words}"):
            read_nwb(tmp_path / f"{name}.nwb")


def test_a_newer_file_than_pynwb_knows(tmp_path):
    def newer(file):
        file.attrs["nwb_version"] = "2.99.0"

    def and_unreadable(file):
        newer(file)
        file["units"].attrs["neurodata_type"] = "UnitsOfTomorrow"

    assert read_nwb(rewritten(tmp_path / "a.nwb", newer))[0].n_units == 3, "as far as it goes"
    with pytest.raises(
        ValueError,
        match=r"it is NWB 2\.99\.0, and the installed pynwb .* knows 2\..*--upgrade pynwb",
    ):
        read_nwb(rewritten(tmp_path / "b.nwb", and_unreadable))


@pytest.mark.parametrize("link", [h5py.ExternalLink("left.h5", "/x"), h5py.SoftLink("/nowhere")])
def test_parts_that_are_not_there(tmp_path, link):
    def replaced(name):
        def change(file):
            del file[name]
            file[name] = link

        return change

    words = {h5py.ExternalLink: r"is in another file, left\.h5 \(/x\), that isn't there: copy it"}
    words = words.get(type(link), "is a link to /nowhere, which isn't in the file")
    traces = "processing/ophys/DfOverF/traces/data"
    for name, nwbfile in (
        ("units/spike_times", with_spikes()),
        ("units", with_spikes()),
        (traces, with_traces(ramp())),
    ):
        path = rewritten(tmp_path / "a.nwb", replaced(name), nwbfile)
        with pytest.raises(ValueError, match=rf"a\.nwb: .*{name} {words}"):
            read_nwb(path)

    def other(file):
        file["acquisition/raw"] = link

    if isinstance(link, h5py.ExternalLink):
        assert read_nwb(rewritten(tmp_path / "b.nwb", other))[0].n_units == 3, "not needed"


def zarr_session(path):
    path.mkdir()
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    return path


def test_zarr_is_named_where_it_can_t_be_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdmf_zarr", None)
    monkeypatch.setattr("nuclr_lite.sources.nwb.read.reads_zarr", lambda: False)
    write(with_spikes(), tmp_path / "session1.nwb")
    for name in ("session2.nwb", "session3.nwb.zarr"):
        with pytest.raises(
            ImportError, match=rf"{name}: is NWB as Zarr.*pip install hdmf-zarr; or"
        ):
            read_nwb(zarr_session(tmp_path / name))
    with pytest.warns(
        UserWarning, match=r"1 NWB files are read; left out are 2 as Zarr .*session2"
    ):
        assert [r.recording_id for r in read_nwb(tmp_path)] == ["session1"]
    (tmp_path / "session1.nwb").unlink()
    with pytest.raises(
        FileNotFoundError, match="no .nwb file in this folder that can be read: 2 as"
    ):
        read_nwb(tmp_path)


def test_zarr_is_read(tmp_path):
    hdmf_zarr = pytest.importorskip("hdmf_zarr")
    write(with_spikes(area=list("abc")), tmp_path / "a.nwb")
    with hdmf_zarr.NWBZarrIO(str(tmp_path / "b.nwb.zarr"), "w") as io:
        io.write(with_spikes(area=list("abc")))
    one, two = read_nwb(tmp_path)
    assert (one.recording_id, two.recording_id) == ("a", "b") and two.units.equals(one.units)
    np.testing.assert_array_equal(one.times, two.times)


def test_sessions_that_are_not_here_are_named(tmp_path):
    write(with_spikes(), tmp_path / "a.nwb")
    (tmp_path / "b.nwb").symlink_to(tmp_path / ".git" / "annex" / "b")
    (tmp_path / "sub-1").mkdir()
    write(with_spikes(), tmp_path / "sub-1" / "c.nwb")
    with pytest.warns(
        UserWarning,
        match=r"left out are 1 a link to nothing here .*b\.nwb; 1 in subfolders .*c\.nwb",
    ):
        assert [r.recording_id for r in read_nwb(tmp_path)] == ["a"]
    (tmp_path / "a.nwb").unlink()
    with pytest.raises(FileNotFoundError, match="no .nwb file .* 1 in subfolders"):
        read_nwb(tmp_path)


def test_pynwb_missing(tmp_path, monkeypatch):
    path = write(with_spikes(), tmp_path / "a.nwb")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(ImportError, match="pip install pynwb"):
        read_nwb(path)


# Over the network, from a server on this machine


def test_from_an_address(tmp_path):
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    rng = np.random.default_rng(0)
    nwbfile = with_spikes(area=["V1", "LM", "V1"], observed=[[[0, 100]]] * 3)
    nwbfile.add_acquisition(
        pynwb.TimeSeries(
            name="raw", data=rng.integers(-999, 999, 12_000_000, dtype=np.int16), unit="V", rate=3e4
        )
    )
    path = write(nwbfile, tmp_path / "sub-1_ses 2.nwb")
    [expected] = read_nwb(path)
    with Server(
        files={"/sub-1/sub-1_ses 2.nwb?signature=hunter2": path, "/api/assets/0d3a/download/": path}
    ) as server:
        [recording] = read_nwb(f"{server.url}/sub-1/sub-1_ses%202.nwb?signature=hunter2")
        assert (recording.recording_id, recording.animal_id) == (
            "sub-1_ses 2",
            "mouse7",
        ) and recording.units.equals(expected.units)
        assert "hunter2" not in repr(recording.provenance) and recording.provenance[
            "file"
        ].endswith("/sub-1/sub-1_ses%202.nwb")
        np.testing.assert_array_equal(recording.times, expected.times)
        # The raw data, most of the file, are left where they are.
        spans = [
            re.fullmatch(r"bytes=(\d+)-(\d+)", request.range).groups()
            for request in server.log
            if request.range
        ]
        assert (
            path.stat().st_size > 23_000_000
            and 0 < sum(int(stop) - int(start) for start, stop in spans) < 8_000_000
        )
        # no name: the identifier
        assert read_nwb(f"{server.url}/api/assets/0d3a/download/")[0].recording_id == "test-0001"


def test_address_that_fails(tmp_path):
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    path = write(with_spikes(), tmp_path / "a.nwb")
    cannot = (
        r"/a\.nwb: can't be read as NWB \(.*\): it is truncated or not NWB, or the connection"
        r" failed; try again, or download"
    )
    with Server(files={"/a.nwb": path, "/a.nwb?signature=hunter2": path}) as server:
        with pytest.raises(FileNotFoundError, match=r"/b\.nwb: nothing there; check the address"):
            read_nwb(f"{server.url}/b.nwb")
        for fault in (
            Fault(status=403),
            Fault(status=500),
            Fault(page=True),
            Fault(drop=True, after=1000),
            Fault(truncate=True, after=1000),
        ):
            server.faults = [None, *[fault] * 9]  # the first request asks for the size only
            with pytest.raises(ValueError, match=cannot) as raised:
                read_nwb(f"{server.url}/a.nwb?signature=hunter2")
            assert "hunter2" not in str(raised.value)
        server.faults = []
        assert read_nwb(f"{server.url}/a.nwb")[0].n_units == 3  # and no harm done
    with socket.socket() as free, pytest.raises(ValueError, match=cannot):  # nobody listens
        free.bind(("127.0.0.1", 0))
        read_nwb(f"http://127.0.0.1:{free.getsockname()[1]}/a.nwb")
    with pytest.raises(ValueError, match="'ftp://x/a.nwb'.*https://.*s3://"):
        read_nwb("ftp://x/a.nwb")


def test_connection_lost_while_data_are_read(tmp_path):
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    path = write(with_traces(np.random.default_rng(0).random((150_000, 3))), tmp_path / "a.nwb")
    with Server(files={"/a.nwb": path}) as server:
        read_nwb(f"{server.url}/a.nwb")
        n_requests = len(server.log)
        assert n_requests >= 4
        for good, fault in [
            (1, Fault(ignore_range=True)),
            (n_requests - 1, Fault(status=500)),
            (n_requests - 1, Fault(drop=True, after=1000)),
        ]:
            server.faults = [None] * good + [fault] * 9
            with pytest.raises(
                ValueError,
                match=r"/a\.nwb: can't be read as NWB .* or the connection failed; try again",
            ):
                read_nwb(f"{server.url}/a.nwb")


def test_garbage_collection_in_another_thread_does_not_stop_the_reading(tmp_path, monkeypatch):
    """HDF5 objects that are collected while HDF5 waits for the network would wait for HDF5."""
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    monkeypatch.setattr("nuclr_lite.sources.nwb.opening.SILENCE_S", 3.0)
    path = write(with_spikes(), tmp_path / "a.nwb")
    thresholds = gc.get_threshold()
    gc.set_threshold(10**8)
    cycles = []
    for _ in range(5):
        cycles.append([h5py.File(path)["units"]])
        cycles[-1].append(cycles[-1])

    class CollectsWhileItAnswers(type(path)):
        def read_bytes(self):
            if any(request.range for request in server.log):
                cycles.clear()
                gc.set_threshold(10)
                # so many new objects start the collector, if it is on
                assert len([[] for _ in range(1000)]) == 1000
            return path.read_bytes()

    try:
        with Server(files={"/a.nwb": path}) as server:
            server.files["/a.nwb"] = CollectsWhileItAnswers(path)
            assert read_nwb(f"{server.url}/a.nwb")[0].n_units == 3
        assert not cycles and gc.isenabled()
    finally:
        gc.set_threshold(*thresholds)


def test_s3_and_names_in_addresses(tmp_path, monkeypatch):
    """No bucket can be had here: what is asked for, not whether Amazon answers."""
    web = pytest.importorskip(
        "fsspec.implementations.http", reason="reading over the network needs fsspec and aiohttp"
    )
    asked = []
    (tmp_path / "x").write_bytes(b"no NWB")
    monkeypatch.setattr(
        web.HTTPFileSystem,
        "open",
        lambda self, address, *args, **options: (
            asked.append(address) or (tmp_path / "x").open("rb")
        ),
    )
    with pytest.raises(ValueError, match="s3://bucket/blobs/a b/c.nwb: can't be read"):
        read_nwb("s3://bucket/blobs/a b/c.nwb")
    assert asked == ["https://bucket.s3.amazonaws.com/blobs/a%20b/c.nwb"]
    assert [
        name_in(f"https://host/{end}") for end in ("a/sub%201.nwb?x=1", "download/", "", ".nwb")
    ] == ["sub 1", None, None, None]
    assert without_secrets("https://me:word@host/a.nwb?signature=x") == "https://host/a.nwb"
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(
        ImportError, match=r"from an address needs .*pip install 'fsspec\[http\]'; or download"
    ):
        read_nwb("https://host/a.nwb")
