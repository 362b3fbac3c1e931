"""Downloads end with the whole file or say why not; what has come is never lost, what was there
never spoilt. Real requests to a loopback server.
"""

import errno
import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest
from allen_server import Fault, Server

from nuclr_lite.sources.download import downloads
from nuclr_lite.sources.download.downloads import (
    DownloadError,
    Job,
    confirm_size,
    download,
    download_all,
    opens_as_hdf5,
)
from nuclr_lite.sources.download.transfer import CHUNK_BYTES, remote_size

HASTE = {"timeout_s": (1.0, 0.3), "back_off_s": 0.01}
DEAD = "http://127.0.0.1:9/file"  # nobody listens there
Usage = namedtuple("Usage", "total used free")


def write(path: Path, seed: int = 0, n_bytes: int = 800_000) -> Path:
    with h5py.File(path, "w") as file:
        file["x"] = np.random.default_rng(seed).integers(0, 256, n_bytes, dtype=np.uint8)
    return path


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path / "source.h5")


@pytest.fixture
def server(source):
    with Server(
        files={"/file": source, "/other": write(source.with_name("other.h5"), seed=1)}
    ) as server:
        server.file = f"{server.url}/file"
        yield server


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "session.nwb"


def statuses(server) -> list[int]:
    return [request.status for request in server.file_requests]


def only_file(target: Path) -> bool:
    """Nothing is left beside it but perhaps the lock."""
    return {path.name for path in target.parent.iterdir()} <= {target.name, f"{target.name}.lock"}


def test_new_file_then_no_request(server, source, target):
    assert download(server.file, str(target), **HASTE) == target
    assert target.read_bytes() == source.read_bytes() and only_file(target)
    download(server.file, target, expected_bytes=source.stat().st_size, **HASTE)
    download("http://nowhere.invalid/file", target, **HASTE)
    assert statuses(server) == [200]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(status=408),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(page=True),
        Fault(truncate=True, after=0),
        Fault(drop=True, after=0),
        Fault(stall_s=0.6, after=0),
    ],
    ids=str,
)
def test_faults_that_pass(server, source, target, fault):
    """A 503 page, a page with status 200, a truncation, a dead connection and a stall, two in a
    row, never end up as the file.
    """
    server.faults = [fault, fault]
    download(server.file, target, **HASTE)
    assert (
        target.read_bytes() == source.read_bytes()
        and only_file(target)
        and len(server.file_requests) == 3
    )


@pytest.mark.parametrize(
    "fault",
    [
        Fault(truncate=True, after=500_000),
        Fault(drop=True, after=500_000),
        Fault(stall_s=0.6, after=500_000),
    ],
    ids=str,
)
def test_breaks_resume_where_they_were(server, source, target, fault):
    server.faults = [fault]
    download(server.file, target, **HASTE)
    assert (
        target.read_bytes() == source.read_bytes()
        and only_file(target)
        and statuses(server) == [200, 206]
    )
    assert server.file_requests[1].range == f"bytes={3 * CHUNK_BYTES}-"


def test_no_end_of_tries_while_there_is_progress(server, source, target):
    server.faults = [Fault(truncate=True, after=140_000)] * 5
    download(server.file, target, tries=2, **HASTE)
    assert target.read_bytes() == source.read_bytes() and len(server.file_requests) == 6


def test_failure_says_what_and_keeps_what_came(server, source, target):
    server.faults = [Fault(truncate=True, after=500_000)] + [Fault(status=503)] * 3
    with pytest.raises(
        DownloadError,
        match=(
            r"(?s)session\.nwb could not be downloaded:.*/file: the server answers 503.*0\.39 MB\)"
            r" is kept.*it resumes"
        ),
    ):
        download(server.file, target, tries=3, **HASTE)
    assert not target.exists()
    download(server.file, target, **HASTE)
    assert (
        target.read_bytes() == source.read_bytes()
        and server.file_requests[-1].range == f"bytes={3 * CHUNK_BYTES}-"
    )


def test_refusals_go_on_to_the_next_address(server, source, target):
    asked = []
    download(
        [
            f"{server.url}/absent",
            DEAD,
            "nonsense",
            lambda: asked.append(1) or server.file,
            lambda: asked.append(2),
        ],
        target,
        tries=2,
        **HASTE,
    )
    assert (
        target.read_bytes() == source.read_bytes()
        and statuses(server) == [404, 200]
        and asked == [1]
    )


def test_all_addresses_in_the_error(server, target):
    def look_up():
        raise ValueError("no such number")

    with pytest.raises(
        DownloadError,
        match=(
            r"(?s)/absent: the server answers 404.*:9/file: the connection failed.*address of the"
            r" file: no such number"
        ),
    ):
        download([f"{server.url}/absent", DEAD, look_up], target, tries=2, **HASTE)
    assert statuses(server) == [404]


def test_retry_after_is_honoured_up_to_a_cap(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr(downloads._Meter, "wait", lambda self, seconds: waits.append(seconds))
    server.faults = [
        Fault(status=503, headers={"Retry-After": "7"}),
        Fault(status=429, headers={"Retry-After": "86400"}),
        Fault(status=503, headers={"Retry-After": "soon"}),
    ]
    download(server.file, target, timeout_s=(1, 1), back_off_s=0.5)
    assert waits == [7, 60, 2]


def test_server_without_range_starts_over(server, source, target):
    server.faults = [Fault(truncate=True, after=500_000), Fault(ignore_range=True)]
    download(server.file, target, **HASTE)
    assert target.read_bytes() == source.read_bytes() and statuses(server) == [200, 200]


@pytest.mark.parametrize(
    "etags, n_bytes", [(True, 800_000), (True, 900_000), (False, 900_000), (False, 300_000)]
)
def test_file_that_changed_between_two_parts(source, target, etags, n_bytes):
    """The server tells by its ETag; where it has none, another size does."""
    with Server(files={"/file": source}, etags=etags) as server:
        server.faults = [Fault(truncate=True, after=500_000)]
        with pytest.raises(DownloadError):
            download(f"{server.url}/file", target, tries=1, **HASTE)
        write(source, seed=5, n_bytes=n_bytes)
        download(f"{server.url}/file", target, **HASTE)
        assert target.read_bytes() == source.read_bytes() and only_file(target)
        if etags:
            assert statuses(server) == [200, 200]  # If-Range: one request, not three


@pytest.mark.parametrize("etags", [True, False])
def test_part_of_another_file_is_not_continued(source, target, etags):
    other = write(source.with_name("other.h5"), seed=1)
    with Server(files={"/file": source, "/other": other}, etags=etags) as server:
        server.faults = [Fault(truncate=True, after=500_000)]
        with pytest.raises(DownloadError):
            download(f"{server.url}/other", target, tries=1, **HASTE)
        download(f"{server.url}/file", target, **HASTE)
        assert target.read_bytes() == source.read_bytes()


def test_same_file_elsewhere_is_continued(server, source, target):
    server.faults = [Fault(truncate=True, after=500_000)]
    with Server(files={"/mirror": source}) as mirror:
        download([server.file, f"{mirror.url}/mirror"], target, tries=1, **HASTE)
        assert [request.range for request in mirror.log] == [f"bytes={3 * CHUNK_BYTES}-"]
    assert target.read_bytes() == source.read_bytes()


def test_parts_whose_notes_are_gone_or_wrong(server, source, target):
    target.parent.mkdir()
    part, note = target.with_name("session.nwb.part"), target.with_name("session.nwb.part.json")
    for content, text in [
        (b"what", None),
        (b"what", "{half"),
        (b"x" * 10**6, '{"url": "u", "validator": null, "bytes": 1000000}'),
    ]:
        part.write_bytes(content)
        note.unlink(missing_ok=True)
        if text:
            note.write_text(text)
        download(server.file, target, **HASTE)
        assert target.read_bytes() == source.read_bytes() and only_file(target)
        target.unlink()


def test_range_beyond_the_end(source, target):
    """416: whole already where the sizes agree; another file where they don't."""
    target.parent.mkdir()
    part, note = target.with_name("session.nwb.part"), target.with_name("session.nwb.part.json")
    with Server(files={"/file": source}, etags=False) as server:
        url = f"{server.url}/file"
        note.write_text(f'{{"url": "{url}", "validator": null, "bytes": null}}')
        shutil.copy(source, part)
        download(url, target, **HASTE)
        assert statuses(server) == [416] and target.read_bytes() == source.read_bytes()
        target.unlink()
        note.write_text(f'{{"url": "{url}", "validator": null, "bytes": null}}')
        part.write_bytes(b"x" * 10**6)
        download(url, target, **HASTE)
        assert statuses(server) == [416, 416, 200] and target.read_bytes() == source.read_bytes()


def test_another_size_than_expected(server, source, target):
    with pytest.raises(DownloadError, match="the file there has .* bytes instead of 5"):
        download(server.file, target, expected_bytes=5, tries=1, **HASTE)
    target.with_name("session.nwb.part").write_bytes(source.read_bytes())
    target.with_name("session.nwb.part.json").write_text(
        f'{{"url": "u", "validator": null, "bytes": {source.stat().st_size}}}'
    )
    with pytest.raises(DownloadError, match="bytes instead of 5"):
        download(server.file, target, expected_bytes=5, tries=1, **HASTE)
    write(target, seed=3, n_bytes=10)
    download(server.file, target, expected_bytes=source.stat().st_size, **HASTE)
    assert target.read_bytes() == source.read_bytes()


# A file that is there, but unreadable


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>503</html>", b"\x89HDF\r\n\x1a\n half", b"anything"],
    ids=["empty", "page", "truncated", "other"],
)
def test_unreadable_file_is_replaced_only_by_a_whole_one(server, source, target, content):
    target.parent.mkdir()
    target.write_bytes(content)
    with pytest.raises(
        DownloadError,
        match=(
            r"(?s)the connection failed.*The file that is there is left as it was"
            r" \(session\.nwb is "
        ),
    ):
        download(DEAD, target, tries=2, **HASTE)
    assert target.read_bytes() == content
    server.faults = [Fault(truncate=True, after=500_000)]
    with pytest.raises(DownloadError):
        download(server.file, target, tries=1, **HASTE)
    assert target.read_bytes() == content
    download(server.file, target, **HASTE)
    assert target.read_bytes() == source.read_bytes()


def test_opens_as_hdf5(source, tmp_path):
    opens_as_hdf5(source)
    cut = tmp_path / "cut.nwb"
    for content, message in [
        (source.read_bytes()[:400_000], "cut.nwb is truncated or damaged"),
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "a web page"),
        (b'{"success": false}', "a message instead"),
        (b"1234", "is not an HDF5 file"),
    ]:
        cut.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            opens_as_hdf5(cut)
    with pytest.raises(FileNotFoundError):
        opens_as_hdf5(tmp_path / "nowhere.nwb")


# Disk


def test_disk_is_checked_before_anything_is_written(server, target, monkeypatch):
    size = remote_size(server.file)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, int(size * 1.04)))
    with pytest.raises(
        OSError, match="0.80 MB are still to come, and .* has 0.83 MB free; make room"
    ) as error:
        download(server.file, target, **HASTE)
    assert (
        error.value.errno == errno.ENOSPC
        and not target.with_name("session.nwb.part").exists()
        and len(server.file_requests) == 2
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, int(size * 1.06)))
    download(server.file, target, **HASTE)


def test_disk_that_fills_up_keeps_what_came(server, source, target, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            if self.tell() > 300_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    from nuclr_lite.sources.download import transfer

    monkeypatch.setattr(transfer, "open", lambda path, mode: Full(path, mode), raising=False)
    with pytest.raises(
        OSError,
        match=(
            r"the disk is full; 0\.\d+ MB are kept in .*session\.nwb\.part: make room and run it"
            r" again"
        ),
    ) as error:
        download(server.file, target, **HASTE)
    assert (
        error.value.errno == errno.ENOSPC and not target.exists() and len(server.file_requests) == 1
    )
    monkeypatch.undo()
    download(server.file, target, **HASTE)
    assert target.read_bytes() == source.read_bytes() and statuses(server) == [200, 206]


def test_confirm_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, 10 * 10**9))
    with pytest.raises(OSError, match="2 sessions: 9.90 GB are still to come"):
        confirm_size(9.9e9, tmp_path / "not" / "yet", "2 sessions", yes=True)
    confirm_size(5e9, tmp_path / "not" / "yet", "2 sessions", yes=True)
    said = capsys.readouterr().out
    assert "2 sessions: 5.00 GB to download to" in said and "about 8 min at 10 MB/s" in said
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(RuntimeError, match="nobody to ask .*pass confirm=False"):
        confirm_size(5e9, tmp_path, "2 sessions")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, yes in [("y", True), ("Yes", True), ("", False), ("n", False)]:
        monkeypatch.setattr("builtins.input", lambda question: answer)
        if yes:
            confirm_size(5e9, tmp_path, "2 sessions")
        else:
            with pytest.raises(DownloadError, match="not downloaded, as you answered"):
                confirm_size(5e9, tmp_path, "2 sessions")


# Several


def test_download_all(server, source, tmp_path, monkeypatch):
    bars = []
    monkeypatch.setattr(
        downloads, "progress", lambda **options: bars.append(Bar(**options)) or bars[-1]
    )
    jobs = [
        Job(server.file, tmp_path / "a.nwb"),
        Job([f"{server.url}/absent"], tmp_path / "b.nwb"),
        Job([f"{server.url}/other"], tmp_path / "c.nwb"),
        Job(DEAD, tmp_path / "source.h5"),
    ]
    with pytest.raises(
        DownloadError,
        match=r"(?s)1 of 4 files could not be downloaded.*b\.nwb could not be downloaded:.*404",
    ):
        download_all(jobs, parallel=2, tries=1, **HASTE)
    size = source.stat().st_size
    assert (tmp_path / "a.nwb").read_bytes() == source.read_bytes() and (
        tmp_path / "c.nwb"
    ).stat().st_size == size
    assert bars[0].desc == "4 files" and bars[0].n == bars[0].total == 3 * size
    assert {(bar.desc, bar.n) for bar in bars[1:]} == {
        ("a.nwb", size),
        ("b.nwb", 0),
        ("c.nwb", size),
        ("source.h5", size),
    }
    del jobs[1]
    n = len(server.log)
    assert download_all(jobs) == [job.path for job in jobs] and len(server.log) == n


class Bar:
    """What tqdm would show."""

    def __init__(self, desc, total, **options):
        self.desc, self.total, self.n = desc, total, 0

    def update(self, n):
        self.n += n

    def set_description(self, text):
        pass

    def close(self):
        pass

    __enter__, __exit__ = (lambda self: self), (lambda self, *error: None)


def test_remote_size(server, source):
    assert remote_size(server.file) == source.stat().st_size
    server.faults = [Fault(ignore_range=True)]
    assert remote_size(server.file) == source.stat().st_size
    assert remote_size(f"{server.url}/absent") is None and remote_size(DEAD) is None


# Processes


def fetch_in_process(url: str, target: str, done):
    done.put(str(download(url, target, timeout_s=(1.0, 5.0), back_off_s=0.01)))


def test_two_processes_that_want_one_file(server, source, target):
    server.faults = [Fault(stall_s=0.8, after=400_000)]
    context = multiprocessing.get_context("fork")
    done = context.Queue()
    processes = [
        context.Process(target=fetch_in_process, args=(server.file, str(target), done))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    assert [done.get(timeout=20) for _ in processes] == [str(target)] * 2
    for process in processes:
        process.join()
    assert (
        len(server.file_requests) == 1
        and target.read_bytes() == source.read_bytes()
        and only_file(target)
    )


def test_killed_download_resumes(server, source, target):
    server.faults = [Fault(stall_s=20, after=500_000)]
    code = (
        f"from nuclr_lite.sources.download.downloads import download; download({server.file!r},"
        f" {str(target)!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"TQDM_DISABLE": "1"},
    )
    part = target.with_name("session.nwb.part")
    while not (part.exists() and part.stat().st_size > 250_000):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    download(server.file, target, **HASTE)
    assert target.read_bytes() == source.read_bytes() and only_file(target)
    assert (
        server.file_requests[1].range == f"bytes={have}-" and server.file_requests[1].status == 206
    )


def test_missing_requests(target, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ImportError, match="pip install requests"):
        download("http://nowhere.invalid/file", target)
