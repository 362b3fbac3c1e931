"""Checkpoints: a break changes nothing, which ones are kept, and what can't be gone on with or
loaded.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import training_runs
from helpers import TINY, TINY_CALCIUM, spikes
from safetensors.torch import load_file, save_file
from training_runs import ONE, Break, assert_same, checkpoint_names, interrupt

import nuclr_lite as nl
from nuclr_lite.checkpoints import best_checkpoint
from nuclr_lite.files.storage import seal

# fixtures: pytest looks for them here
recording, whole = training_runs.recording, training_runs.whole


# ---- breaks


@pytest.mark.parametrize("after", range(7))
def test_a_break_anywhere_changes_nothing(after, recording, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Break):
        interrupt(patch, after)
        nl.pretrain([recording], ONE, tmp_path)
    assert_same(nl.pretrain([recording], ONE, tmp_path, resume=True), whole)


def test_muon_goes_on_too(recording, tmp_path, monkeypatch):
    preset = ONE.with_(optimizer="muon")
    with monkeypatch.context() as patch, pytest.raises(Break):
        interrupt(patch, 4)
        nl.pretrain([recording], preset, tmp_path)
    again = nl.pretrain([recording], preset, tmp_path, resume=True)
    assert_same(again, nl.pretrain([recording], preset))


def test_checkpoints_from_when_there_was_one_optimiser(recording, whole, tmp_path):
    nl.pretrain([recording], ONE.with_(steps=7), tmp_path)
    for path in list(tmp_path.iterdir())[1:]:
        shutil.rmtree(path)
    [checkpoint] = tmp_path.iterdir()
    state = load_file(checkpoint / "optimizer.safetensors")
    assert all(name.startswith("0.") for name in state)
    save_file(
        {name.removeprefix("0."): value for name, value in state.items()},
        checkpoint / "optimizer.safetensors",
    )
    (checkpoint / "checksums.json").unlink()
    seal(checkpoint)
    assert_same(nl.pretrain([recording], ONE, tmp_path, resume=True), whole)


def test_all_checkpoints_can_be_kept(recording, whole, tmp_path):
    nl.pretrain([recording], ONE, tmp_path, keep_all=True)
    assert checkpoint_names(tmp_path) == [f"checkpoint-{step:08d}" for step in range(1, 8)]
    units = recording.units.assign(kind=list("ab") * 3, animal=list("xxyyzz"))
    units.index = pd.MultiIndex.from_product([["one"], units.index])
    curve = nl.learning_curve(tmp_path, [recording], units["kind"], units["animal"], ["z"])
    assert curve["step"].tolist() == list(range(1, 8))
    last = nl.decode(
        nl.embed(whole.encoder, [recording]), units["kind"], units["animal"], test_groups=["z"]
    )
    assert curve["estimate"].iloc[-1] == last.score()
    with pytest.raises(FileNotFoundError, match="keep_all=True"):
        nl.learning_curve(tmp_path / "none", [recording], units["kind"], units["animal"], ["z"])


def test_an_epoch_has_three_batches(recording, whole):
    """So the test above breaks in the middle of an epoch and at its end."""
    assert len(nl.PairedViews([recording], ONE.model, ONE.views, 8)) == 3
    assert whole.history["epoch"].tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_breaks_between_checkpoints_and_two_of_them(recordings, tmp_path, monkeypatch):
    preset = TINY.with_(steps=11, log_every=2, checkpoint_every=4, dropout=0.3)
    whole = nl.pretrain(recordings, preset)
    assert whole.history["step"].tolist() == [2, 4, 6, 8, 10, 11]
    for after in (6, 5):  # at step 6; then, from checkpoint 4, at step 9
        with monkeypatch.context() as patch, pytest.raises(Break):
            interrupt(patch, after)
            # the first finds nothing, and begins
            nl.pretrain(recordings, preset, tmp_path, resume=True)
    assert_same(nl.pretrain(recordings, preset, tmp_path, resume=True), whole)
    assert_same(nl.pretrain(recordings, preset, tmp_path, resume=True), whole)  # it is done already


def test_calcium_resumes_too(calcium_recordings, tmp_path, monkeypatch):
    preset = TINY_CALCIUM.with_(steps=5)
    with monkeypatch.context() as patch, pytest.raises(Break):
        interrupt(patch, 3)
        nl.pretrain(calcium_recordings, preset, tmp_path)
    assert_same(
        nl.pretrain(calcium_recordings, preset, tmp_path, resume=True),
        nl.pretrain(calcium_recordings, preset),
    )


def test_a_break_while_a_checkpoint_is_written(recording, whole, tmp_path, monkeypatch):
    write = pd.DataFrame.to_csv

    def failing(table, *args, **kwargs):
        if len(table) == 4:
            raise Break
        return write(table, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Break):
        patch.setattr(pd.DataFrame, "to_csv", failing)
        nl.pretrain([recording], ONE, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-00000002",
        "checkpoint-00000003",
    ]
    assert_same(nl.pretrain([recording], ONE, tmp_path, resume=True), whole)


@pytest.mark.slow
def test_killed_again_and_again(recordings, tmp_path):
    preset = TINY.with_(steps=400, log_every=4, checkpoint_every=4, dropout=0.3)
    folder = tmp_path / "run"
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest, nuclr_lite as nl
recordings = [nl.Recording.load(path) for path in sys.argv[2:]]
nl.pretrain(recordings, nl.Preset.from_json({preset.to_json()!r}), sys.argv[1], resume=True)
"""
    paths = [str(recording.save(tmp_path / recording.recording_id)) for recording in recordings]

    def newest():
        return max((path.name for path in folder.glob("checkpoint-*")), default="")

    rng, kills = random.Random(0), 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder), *paths],
            env=os.environ | {"TQDM_DISABLE": "1"},
        )
        try:
            if kills < 6:
                before, deadline = newest(), time.monotonic() + 120
                while newest() == before and process.poll() is None:
                    assert time.monotonic() < deadline, "no checkpoint in two minutes"
                    time.sleep(0.005)
                time.sleep(rng.uniform(0, 0.15))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            if process.wait(timeout=300) == 0:
                break
            assert process.returncode == -signal.SIGKILL
        finally:
            process.kill()
            process.wait()
    assert kills >= 3, "the training was over before it could be killed: give it more steps"
    assert_same(nl.Pretrained.load(folder), nl.pretrain(recordings, preset))


# ---- folders


def test_the_two_newest_checkpoints_and_the_best_are_kept(recording, whole, tmp_path):
    nl.pretrain([recording], ONE.with_(checkpoint_every=2), tmp_path / "run")
    loss = whole.history["loss"].to_numpy()  # a row a step
    since = {
        "checkpoint-00000002": loss[:2].mean(),
        "checkpoint-00000004": loss[2:4].mean(),
        "checkpoint-00000006": loss[4:6].mean(),
        "checkpoint-00000007": loss[6],
    }
    best = min(since, key=since.get)
    assert best not in ("checkpoint-00000006", "checkpoint-00000007")  # or this tests nothing
    assert checkpoint_names(tmp_path / "run") == sorted(
        [best, "checkpoint-00000006", "checkpoint-00000007"]
    )
    assert best_checkpoint(tmp_path / "run").name == best
    assert_same(nl.Pretrained.load(tmp_path / "run"), replace(whole, preset=None))  # the newest


def test_no_checkpoint_is_best_where_there_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        best_checkpoint(tmp_path)


def test_an_existing_run_is_not_overwritten(recording, tmp_path):
    nl.pretrain([recording], ONE, tmp_path)
    before = checkpoint_names(tmp_path)
    with pytest.raises(
        FileExistsError, match="checkpoint-00000007 of an earlier run; pass resume=True"
    ):
        nl.pretrain([recording], ONE, tmp_path)
    assert checkpoint_names(tmp_path) == before


@pytest.mark.parametrize(
    "change", [dict(dim=24), dict(max_distance_s=3.0), dict(learning_rate=0.1), dict(steps=20)]
)
def test_resuming_with_another_preset(change, recording, tmp_path):
    nl.pretrain([recording], ONE.with_(steps=2), tmp_path)
    with pytest.raises(
        ValueError, match="made with another preset; pass that one .* or choose another out_dir"
    ):
        nl.pretrain([recording], ONE.with_(steps=2).with_(**change), tmp_path, resume=True)


def test_resuming_with_other_recordings(recordings, tmp_path):
    nl.pretrain(recordings, TINY, tmp_path)
    for others in (
        recordings[:2],
        recordings[::-1],
        [*recordings[:2], spikes()],
        [*recordings[:2], replace(recordings[2], intervals=np.array([[0.0, 50.0]]))],
    ):
        with pytest.raises(
            ValueError, match="made with other recordings; pass the same ones to resume"
        ):
            nl.pretrain(others, TINY, tmp_path, resume=True)


def test_saving_and_loading(recordings, tmp_path):
    trained = nl.pretrain(recordings, TINY)
    loaded = nl.Pretrained.load(trained.save(tmp_path / "model"))
    assert_same(loaded, trained)
    assert loaded.preset == trained.preset and not loaded.encoder.training
    pd.testing.assert_frame_equal(
        nl.embed(loaded.encoder, recordings),
        nl.embed(trained.encoder, recordings),
        check_exact=True,
    )
    with pytest.raises(FileExistsError, match="overwrite=True"):
        trained.save(tmp_path / "model")
    trained.save(tmp_path / "model", overwrite=True)


@pytest.mark.parametrize("name", ["encoder.safetensors", "projector.safetensors"])
def test_damaged_weights(name, whole, tmp_path):
    file = whole.save(tmp_path / "model") / name
    content = file.read_bytes()
    for length in (0, 4, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(
            ValueError, match=f"{name} has .* bytes instead of .*copy the whole folder again"
        ):
            nl.Pretrained.load(tmp_path / "model")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing; copy the whole folder"):
        nl.Pretrained.load(tmp_path / "model")


def test_weights_of_another_shape_and_foreign_folders(whole, tmp_path):
    folder = whole.save(tmp_path / "model")
    (folder / "preset.json").write_text(ONE.with_(dim=24).to_json())
    with pytest.raises(
        ValueError, match="preset.json is not what was saved .*copy the whole folder again"
    ):
        nl.Pretrained.load(folder)
    (folder / "checksums.json").unlink()  # as folders were before there were any
    with pytest.raises(ValueError, match="from another model"):
        nl.Pretrained.load(folder)
    for foreign in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(
            FileNotFoundError, match="holds no pretrained encoder .*; give the folder"
        ):
            nl.Pretrained.load(foreign)
