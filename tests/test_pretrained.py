"""What a trained encoder carries with it, and the command that trains one."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import TINY

import nuclr_lite as nl
from nuclr_lite.__main__ import main


def test_an_encoder_knows_whom_it_was_trained_on(recordings, tmp_path):
    odd = [replace(recordings[0], recording_id="NA", animal_id="007"), *recordings[1:]]
    trained = nl.pretrain(odd, TINY, tmp_path / "run")
    for kept in (
        trained,
        nl.Pretrained.load(tmp_path / "run"),
        nl.Pretrained.load(trained.save(tmp_path / "model")),
    ):
        assert kept.trained_on["recording_id"].tolist() == [
            "NA",
            *(recording.recording_id for recording in recordings[1:]),
        ]
        assert kept.trained_on["animal_id"].tolist()[0] == "007"  # not the number 7, not "missing"
        assert kept.trained_on["n_units"].tolist() == [
            recording.n_units for recording in recordings
        ]
        assert kept.trained_on["valid_s"].tolist() == [
            float(np.diff(recording.intervals).sum()) for recording in recordings
        ]


@pytest.mark.parametrize("name", ["history", "trained_on"])
def test_a_table_is_missing(name, recordings, tmp_path):
    folder = nl.pretrain(recordings[:1], TINY.with_(steps=1)).save(tmp_path / "model")
    (folder / f"{name}.csv").unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}.csv is missing; copy the whole folder"):
        nl.Pretrained.load(folder)


def test_from_the_command_line(recordings, tmp_path, capsys):
    for recording in recordings:
        recording.save(tmp_path / "recordings" / recording.recording_id)
    held_out = recordings[1].animal_id
    options = [
        str(tmp_path / "recordings"),
        "--out",
        str(tmp_path / "run"),
        "--cpu",
        "--hold-out",
        held_out,
        "--set",
        "steps",
        "2",
        "--set",
        "dim",
        "8",
        "--set",
        "tokens_per_window",
        "2",
        "--set",
        "batch_size",
        "2",
        "--set",
        "kept_share",
        "[1.0, 1.0]",
    ]
    main(["pretrain", *options])
    assert "2 steps on 2 recordings" in capsys.readouterr().out
    trained = nl.Pretrained.load(tmp_path / "run")
    assert (
        held_out not in trained.trained_on["animal_id"].tolist()
        and trained.preset.model.dim == 8
        and trained.preset.views.kept_share == (1.0, 1.0)
    )
    with pytest.raises(SystemExit):
        main(["pretrain", *options[:4], "--hold-out", "nobody"])
    assert "--hold-out names ['nobody']" in capsys.readouterr().err
