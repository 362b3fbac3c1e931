"""Damage: whatever happens to files, what was saved is whole, or the error says that it is not."""
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl
from helpers import TINY, clock, spikes
from nuclr_lite.storage import atomic_directory, check_seal, seal


# ---- several processes at one folder

def test_whoever_comes_second_is_told(tmp_path):
    """Both begin while nothing is there; the first to end keeps the place."""
    with pytest.raises(FileExistsError, match="exists already; choose another path, or pass overwrite=True"):
        with atomic_directory(tmp_path / "rec") as second:
            (second / "who").write_text("second")
            with atomic_directory(tmp_path / "rec") as first:
                (first / "who").write_text("first")
    assert (tmp_path / "rec" / "who").read_text() == "first" and [path.name for path in tmp_path.iterdir()] == ["rec"]


@pytest.mark.parametrize("place", [1, 2])
def test_another_process_between_the_two_renames(place, tmp_path, monkeypatch):
    """Somebody else replaces the folder at the worst moments: before the old one is moved away, and before the new one is moved in."""
    target, rename, calls = tmp_path / "rec", Path.rename, []
    for text in ("old", "theirs"):
        (tmp_path / text).mkdir()
        (tmp_path / text / "who").write_text(text)
    rename(tmp_path / "old", target)

    def intruded(self, to):
        calls.append(self)
        if len(calls) == place:
            if target.exists():
                shutil.rmtree(target)
            rename(tmp_path / "theirs", target)
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", intruded)
    with atomic_directory(target, overwrite=True) as partial:
        (partial / "who").write_text("mine")
    assert (target / "who").read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["rec"]


WRITER = """
import sys
import numpy as np, nuclr_lite as nl
value, folder = int(sys.argv[1]), sys.argv[2]
for _ in range(30):
    rng = np.random.default_rng(value)
    recording = nl.Recording.from_spike_trains([np.full(200 * value, float(value))] * 3, intervals=[[0, 100]], recording_id=f"of {value}", animal_id=str(value))
    recording.save(folder, overwrite=True)
"""


def test_two_processes_write_one_recording_while_a_third_reads(tmp_path):
    """What is read is always wholly of one of them."""
    target = tmp_path / "rec"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(value), str(target)], stderr=subprocess.PIPE, text=True,
                                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}) for value in (1, 2)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        try:
            recording = nl.Recording.load(target)
        except FileNotFoundError:                                # not yet, or between the two renames
            continue
        value = int(recording.animal_id)
        assert recording.recording_id == f"of {value}" and recording.times.tolist() == [float(value)] * 600 * value
        seen.add(value)
    assert [writer.wait() for writer in writers] == [0, 0], [writer.stderr.read() for writer in writers]
    assert seen and [path.name for path in tmp_path.iterdir()] == ["rec"]


def test_a_replacement_that_was_killed_between_the_renames_names_what_is_left(tmp_path):
    recording = spikes()
    recording.save(tmp_path / "rec [1]").rename(tmp_path / ".rec [1].0123abcd.replaced")
    with pytest.raises(FileNotFoundError, match=r"rename \.rec \[1\]\.0123abcd\.replaced beside it to rec \[1\]"):
        nl.Recording.load(tmp_path / "rec [1]")


# ---- damaged files

def make(kind: str) -> nl.Recording:
    if kind == "calcium":
        return clock(n_units=2, n_frames=6)
    return nl.Recording.from_spike_trains([[1.0, 2.5], [2.0]], pd.DataFrame({"cell_type": ["Pvalb", "Sst"]}), recording_id="rec", animal_id="a",
                                          epochs=pd.DataFrame({"start_s": [0.0], "stop_s": [2.0], "name": ["dark"]}), provenance={"source": "test"})


def same(one: nl.Recording, other: nl.Recording) -> bool:
    return all(value.equals(getattr(other, name)) if isinstance(value, pd.DataFrame) else np.array_equal(value, getattr(other, name))
               for name, value in vars(one).items())


@pytest.fixture(params=["spikes", "calcium"])
def saved(request, tmp_path) -> tuple[nl.Recording, Path]:
    recording = make(request.param)
    return recording, recording.save(tmp_path / "rec")


def test_a_file_cut_off_at_any_byte(saved):
    recording, folder = saved
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for length in range(len(whole)):
            file.write_bytes(whole[:length])
            with pytest.raises(ValueError, match="convert it again|make one with Recording"):
                nl.Recording.load(folder)
        file.write_bytes(whole)
    assert same(nl.Recording.load(folder), recording)


def test_a_bit_flipped_in_any_byte(saved):
    """The header too: a sampling rate or an animal's name would be wrong without anybody knowing."""
    recording, folder = saved
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for place in range(len(whole)):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            try:
                loaded = nl.Recording.load(folder)
            except ValueError as error:
                assert str(folder) in str(error) and ("again" in str(error) or "make one with" in str(error) or "update nuclr_lite" in str(error))
            else:                                                # white space in the header, say
                assert file.name == "recording.json" and same(loaded, recording)
        file.write_bytes(whole)


def test_files_that_changed_places_and_half_a_folder(saved):
    recording, folder = saved
    names = sorted(path.name for path in folder.iterdir())
    for one, other in zip(names, names[1:]):
        shutil.move(folder / one, folder / "aside")
        with pytest.raises(ValueError, match="again|make one with"):
            nl.Recording.load(folder)
        shutil.copy(folder / other, folder / one)
        with pytest.raises(ValueError, match="again|make one with"):
            nl.Recording.load(folder)
        shutil.move(folder / "aside", folder / one)
    assert same(nl.Recording.load(folder), recording)


def test_a_folder_from_before_headers_had_checksums_still_opens(saved):
    recording, folder = saved
    header = json.loads((folder / "recording.json").read_text())
    del header["sha256"]
    (folder / "recording.json").write_text(json.dumps(header | {"version": 1}))
    assert same(nl.Recording.load(folder), recording)


# ---- disks that can't be written to

def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_recording_that_was_there(saved, monkeypatch):
    recording, folder = saved
    for what in ((np, "save"), (Path, "write_text"), (os, "fsync"), (pd.DataFrame, "to_csv")):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr(*what, full)
            spikes().save(folder, overwrite=True)
        assert same(nl.Recording.load(folder), recording) and [path.name for path in folder.parent.iterdir()] == ["rec"]
