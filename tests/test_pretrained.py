"""What a trained encoder carries with it, and the one that comes with the repository."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import TINY

import nuclr_lite as nl
from nuclr_lite.__main__ import main
from nuclr_lite.experiments import example
from nuclr_lite.files.storage import sha256
from nuclr_lite.sources.folder import read_folder
from nuclr_lite.sources.simulated import SPIKES

README = example.PLACES[1].parent / "README.md"


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


def test_the_example_encoder_is_the_one_that_is_described():
    file = example.PLACES[1] / "encoder.safetensors"
    [fingerprint] = re.findall(r"[0-9a-f]{64}", README.read_text(encoding="utf-8"))
    assert sha256(file) == fingerprint
    assert sum(path.stat().st_size for path in file.parent.iterdir()) < 1e6
    pretrained = nl.example_encoder()
    assert pretrained.preset == nl.PRESETS["quick"], (
        "the preset has changed: make the encoder again, with python -m"
        " nuclr_lite.experiments.example"
    )
    assert pretrained.trained_on["animal_id"].tolist() == [
        f"animal0-{number:03d}" for number in range(14)
    ]
    assert pretrained.history["step"].iloc[-1] == pretrained.preset.train.steps


def test_the_example_encoder_reads_animals_that_it_never_saw():
    fresh = nl.simulate_recordings(6, seed=77, config=replace(SPIKES, duration_s=300.0))
    pretrained = nl.example_encoder()
    assert not set(pretrained.trained_on["animal_id"]) & {
        recording.animal_id for recording in fresh
    }
    units = nl.units_table(fresh)
    torch.manual_seed(0)
    untrained = nl.NuCLR(pretrained.preset.model)
    [trained, random] = [
        nl.decode(
            nl.embed(encoder, fresh), units["cell_type"], units["animal_id"], n_bootstrap=0
        ).score()
        for encoder in (pretrained.encoder, untrained)
    ]
    assert trained > 0.65 and trained > random + 0.2


def test_where_the_example_encoder_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(example, "PLACES", (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(FileNotFoundError, match="copy it from the repository, or make it with"):
        nl.example_encoder()


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


def test_recordings_from_a_folder(recordings, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="holds no saved recording and no NWB file; save some"
    ):
        read_folder(tmp_path)
    for recording in recordings:
        recording.save(tmp_path / recording.recording_id)
    for read, written in zip(
        read_folder(tmp_path, verify=True),
        sorted(recordings, key=lambda recording: recording.recording_id),
        strict=True,
    ):
        assert read.recording_id == written.recording_id and np.array_equal(
            read.times, written.times
        )
