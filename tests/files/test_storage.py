"""What a killed process leaves is removed by the next one, and nothing that somebody writes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from nuclr_lite.files import storage
from nuclr_lite.files.storage import atomic_directory, remove_abandoned

pytestmark = pytest.mark.skipif(storage.fcntl is None, reason="no such locks on Windows")

# Begins a folder, says so, and waits to be killed.
WRITER = """
import sys, time
from pathlib import Path
from nuclr_lite.files.storage import atomic_directory
with atomic_directory(Path(sys.argv[1])) as partial:
    (partial / "half").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def writer_of(folder) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout.readline() == "begun\n"
    return process


def partials(folder):
    return sorted(path.name for path in folder.glob(".*.partial"))


def test_only_what_the_dead_left_is_removed(tmp_path):
    alive, dead = writer_of(tmp_path / "alive"), writer_of(tmp_path / "dead")
    try:
        remove_abandoned(tmp_path)
        assert len(partials(tmp_path)) == 2, "both are being written"
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        remove_abandoned(tmp_path, tmp_path / "absent")
        [left] = partials(tmp_path)
        assert left.startswith(".alive.") and (tmp_path / left / "half").read_text() == "half"
    finally:
        for process in (alive, dead):
            process.kill()
            process.wait()
    remove_abandoned(tmp_path)
    assert not partials(tmp_path)


def test_in_one_process_too(tmp_path):
    with atomic_directory(tmp_path / "rec") as partial:
        (partial / "one").write_text("1")
        remove_abandoned(tmp_path)
        (partial / "two").write_text("2")
    assert sorted(path.name for path in (tmp_path / "rec").iterdir()) == ["one", "two"]
    before = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else None
    for _ in range(20):
        with atomic_directory(tmp_path / "rec", overwrite=True):
            pass
    assert before is None or len(os.listdir("/dev/fd")) <= before, "locks are let go"


def test_what_another_machine_left_must_have_lain_for_a_day(tmp_path):
    left = tmp_path / ".rec.ffffffff-01234567.partial"
    left.mkdir()
    (left / "half").write_text("half")
    remove_abandoned(tmp_path)
    assert left.exists()
    yesterday = time.time() - storage.LONG_AGO_S - 60
    for path in (left / "half", left):
        os.utime(path, (yesterday, yesterday))
    remove_abandoned(tmp_path)
    assert not left.exists()


def test_a_writer_whose_folder_was_taken_before_its_lock_makes_another(tmp_path, monkeypatch):
    lock, taken = storage._lock, []

    def too_late(folder, wait):
        if wait and not taken:
            taken.append(folder)
            folder.rmdir()
        return lock(folder, wait)

    monkeypatch.setattr(storage, "_lock", too_late)
    with atomic_directory(tmp_path / "rec") as partial:
        (partial / "one").write_text("1")
    assert (tmp_path / "rec" / "one").exists() and taken and taken[0] != partial


def test_without_such_locks_nothing_is_removed(tmp_path, monkeypatch):
    (tmp_path / f".rec.{storage.MACHINE}-01234567.partial").mkdir()
    monkeypatch.setattr(storage, "fcntl", None)
    with atomic_directory(tmp_path / "other"):
        remove_abandoned(tmp_path)
    assert len(partials(tmp_path)) == 1 and (tmp_path / "other").is_dir()
