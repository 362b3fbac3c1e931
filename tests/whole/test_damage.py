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
from helpers import TINY, clock, spikes

import nuclr_lite as nl
from nuclr_lite.files.storage import atomic_directory

# ---- several processes at one folder


def test_whoever_comes_second_is_told(tmp_path):
    """Both begin while nothing is there; the first to end keeps the place."""
    with pytest.raises(
        FileExistsError, match="exists already; choose another path, or pass overwrite=True"
    ):
        with atomic_directory(tmp_path / "rec") as second:
            (second / "who").write_text("second")
            with atomic_directory(tmp_path / "rec") as first:
                (first / "who").write_text("first")
    assert (tmp_path / "rec" / "who").read_text() == "first" and [
        path.name for path in tmp_path.iterdir()
    ] == ["rec"]


@pytest.mark.parametrize("place", [1, 2])
def test_another_process_between_the_two_renames(place, tmp_path, monkeypatch):
    """Somebody else replaces the folder at the worst moments: before the old one is moved away, and
    before the new one is moved in.
    """
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
    assert (target / "who").read_text() == "mine" and [
        path.name for path in tmp_path.iterdir()
    ] == ["rec"]


WRITER = """
import sys
import numpy as np, nuclr_lite as nl
value, folder = int(sys.argv[1]), sys.argv[2]
for _ in range(30):
    rng = np.random.default_rng(value)
    recording = nl.Recording.from_spike_trains(
        [np.full(200 * value, float(value))] * 3,
        intervals=[[0, 100]],
        recording_id=f"of {value}",
        animal_id=str(value),
    )
    recording.save(folder, overwrite=True)
"""


def test_two_processes_write_one_recording_while_a_third_reads(tmp_path):
    """What is read is always wholly of one of them."""
    target = tmp_path / "rec"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(value), str(target)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        for value in (1, 2)
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        try:
            recording = nl.Recording.load(target)
        except FileNotFoundError:  # not yet, or between the two renames
            continue
        value = int(recording.animal_id)
        assert (
            recording.recording_id == f"of {value}"
            and recording.times.tolist() == [float(value)] * 600 * value
        )
        seen.add(value)
    assert [writer.wait() for writer in writers] == [0, 0], [
        writer.stderr.read() for writer in writers
    ]
    assert seen and [path.name for path in tmp_path.iterdir()] == ["rec"]


def test_a_replacement_that_was_killed_between_the_renames_names_what_is_left(tmp_path):
    recording = spikes()
    recording.save(tmp_path / "rec [1]").rename(tmp_path / ".rec [1].0123abcd.replaced")
    with pytest.raises(
        FileNotFoundError, match=r"rename \.rec \[1\]\.0123abcd\.replaced beside it to rec \[1\]"
    ):
        nl.Recording.load(tmp_path / "rec [1]")


# ---- damaged files


def make(kind: str) -> nl.Recording:
    if kind == "calcium":
        return clock(n_units=2, n_frames=6)
    return nl.Recording.from_spike_trains(
        [[1.0, 2.5], [2.0]],
        pd.DataFrame({"cell_type": ["Pvalb", "Sst"]}),
        recording_id="rec",
        animal_id="a",
        epochs=pd.DataFrame({"start_s": [0.0], "stop_s": [2.0], "name": ["dark"]}),
        provenance={"source": "test"},
    )


def same(one: nl.Recording, other: nl.Recording) -> bool:
    return all(
        (
            value.equals(getattr(other, name))
            if isinstance(value, pd.DataFrame)
            else np.array_equal(value, getattr(other, name))
        )
        for name, value in vars(one).items()
    )


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
    """The header too: a sampling rate or an animal's name would be wrong without anybody
    knowing.
    """
    recording, folder = saved
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for place in range(len(whole)):
            file.write_bytes(
                whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
            )
            try:
                loaded = nl.Recording.load(folder)
            except ValueError as error:
                assert str(folder) in str(error) and (
                    "again" in str(error)
                    or "make one with" in str(error)
                    or "update nuclr_lite" in str(error)
                )
            else:  # white space in the header, say
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
        assert same(nl.Recording.load(folder), recording) and [
            path.name for path in folder.parent.iterdir()
        ] == ["rec"]


def test_a_folder_that_one_may_only_read(saved):
    recording, folder = saved
    with pytest.MonkeyPatch.context() as patch:  # whoever runs this may be allowed everything
        patch.setattr(
            Path,
            "mkdir",
            lambda *args, **kwargs: (_ for _ in ()).throw(
                PermissionError(errno.EACCES, "Permission denied")
            ),
        )
        with pytest.raises(PermissionError):
            spikes().save(folder, overwrite=True)
        with pytest.raises(
            OSError, match="can't be written to .*Permission denied.*; give a folder of yours"
        ):
            nl.pretrain([spikes()], TINY, folder.parent / "run")
        assert same(nl.Recording.load(folder), recording)


@pytest.fixture(scope="module")
def trained() -> nl.Pretrained:
    return nl.pretrain([spikes()], TINY.with_(steps=2, checkpoint_every=1))


@pytest.fixture(scope="module")
def embedded(trained) -> pd.DataFrame:
    return nl.embed(trained.encoder, spikes())


def test_an_encoder_cut_off_or_flipped_anywhere(trained, embedded, tmp_path):
    folder, rng = trained.save(tmp_path / "model"), np.random.default_rng(0)
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        places = rng.choice(len(whole), min(60, len(whole)), replace=False)
        for place in places:
            for damaged in (
                whole[:place],
                whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :],
            ):
                file.write_bytes(damaged)
                if file.name == "README.md":
                    nl.Pretrained.load(folder)
                    continue
                try:
                    loaded = nl.Pretrained.load(folder)
                except ValueError as error:
                    assert "copy the whole folder again" in str(error)
                else:  # white space among the checksums, say
                    assert file.name == "checksums.json"
                    pd.testing.assert_frame_equal(nl.embed(loaded.encoder, spikes()), embedded)
        file.write_bytes(whole)
    nl.Pretrained.load(folder)


def test_a_disk_that_fills_up_while_training(trained, tmp_path, monkeypatch):
    """The checkpoint that was there is whole, training goes on from it, and the result is that of a
    training without the break.
    """
    import safetensors.torch

    recipe, run = TINY.with_(steps=2, checkpoint_every=1), tmp_path / "run"
    save, calls = safetensors.torch.save_file, []

    def filling(tensors, file, *args, **kwargs):
        calls.append(file)
        if len(calls) > 3:  # three files of weights a checkpoint
            Path(file).write_bytes(b"half")
            raise safetensors.SafetensorError(
                'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No'
                ' space left on device" })'
            )
        return save(tensors, file, *args, **kwargs)

    with (
        monkeypatch.context() as patch,
        pytest.raises(
            OSError,
            match=(
                "checkpoint of step 2 can't be written .*No space left.*; make room, then go on"
                " with resume=True: checkpoint-00000001 is whole"
            ),
        ),
    ):
        patch.setattr(safetensors.torch, "save_file", filling)
        nl.pretrain([spikes()], recipe, run)
    assert [path.name for path in run.iterdir()] == ["checkpoint-00000001"]
    resumed = nl.pretrain([spikes()], recipe, run, resume=True)
    pd.testing.assert_frame_equal(resumed.history, trained.history)


def test_a_damaged_checkpoint_is_not_resumed_from(tmp_path):
    recipe = TINY.with_(steps=1)
    nl.pretrain([spikes()], recipe, tmp_path)
    for name in ("optimizer.safetensors", "state.json"):
        file = tmp_path / "checkpoint-00000001" / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-2] + b"x" + whole[-1:])
        with pytest.raises(
            ValueError, match=f"{name} is not what was saved .*copy the whole folder again"
        ):
            nl.pretrain([spikes()], recipe.with_(steps=2), tmp_path, resume=True)
        file.write_bytes(whole)


def test_a_damaged_cell_or_feature_set_of_an_experiment(tmp_path):
    for number in range(3):
        spikes(n_units=4, name=f"r{number}", units=pd.DataFrame({"cell_type": list("aabb")})).save(
            tmp_path / "saved" / f"r{number}"
        )
    experiment = nl.Experiment(
        "tiny",
        source=str(tmp_path / "saved"),
        n_held_out=1,
        baselines=(),
        changes={
            "steps": 1,
            "log_every": 1,
            "checkpoint_every": 1,
            "dim": 8,
            "heads": 1,
            "head_dim": 8,
            "sample_s": 0.1,
            "samples_per_token": 5,
            "tokens_per_window": 4,
        },
    )
    out = tmp_path / "out"
    table = nl.experiments.run(experiment, out)
    for pattern in ("tiny/cells/*/result.json", "features/*/values.npy"):
        [file] = out.glob(pattern)
        if "features" in pattern:
            shutil.rmtree(out / "tiny" / "cells")  # so that the features are needed again
        whole = file.read_bytes()
        for damaged in (whole[:-3], whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]):
            file.write_bytes(damaged)
            with pytest.raises(
                ValueError, match=f"{file.name} .*remove that folder and run the experiment again"
            ):
                nl.experiments.run(experiment, out)
        shutil.rmtree(file.parent)
        pd.testing.assert_frame_equal(nl.experiments.run(experiment, out), table)
