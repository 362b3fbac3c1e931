"""The encoder that comes with the repository."""

import re
from dataclasses import replace

import pytest
import torch

import nuclr_lite as nl
from nuclr_lite.experiments import example
from nuclr_lite.files.storage import sha256
from nuclr_lite.sources.simulated import SPIKES

README = example.PLACES[1].parent / "README.md"


def test_the_example_encoder_is_the_one_that_is_described():
    file = example.PLACES[1] / "encoder.safetensors"
    [fingerprint] = re.findall(r"[0-9a-f]{64}", README.read_text(encoding="utf-8"))
    assert sha256(file) == fingerprint
    assert sum(path.stat().st_size for path in file.parent.iterdir()) < 1e6
    pretrained = nl.example_encoder()
    assert pretrained.preset == example.RECIPE, (
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
