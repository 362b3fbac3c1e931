"""Downloads, one and several, of files and processes: what was there is never spoilt, and the disk
is asked first. Real requests to a loopback server.
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

import one_file
import pytest
from allen_server import Fault
from helpers import ROOT
from one_file import DEAD, HASTE, only_file, statuses

from nuclr_lite.sources.download import downloads
from nuclr_lite.sources.download.downloads import (
    DownloadError,
    Job,
    confirm_size,
    download,
    download_all,
    opens_as_hdf5,
)
from nuclr_lite.sources.download.transfer import remote_size

# fixtures: pytest looks for them here
source, server, target = one_file.source, one_file.server, one_file.target

Usage = namedtuple("Usage", "total used free")


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
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
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
        cwd=ROOT,
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
