"""The encoder that comes with the repository."""

import re
from dataclasses import replace

import pytest
import torch

import nuclr_lite as nl
from nuclr_lite.experiments import example
from nuclr_lite.files.storage import sha256
from nuclr_lite.sources.published import rat_decisions
from nuclr_lite.sources.simulated import SPIKES

README = example.PLACES[1] / "README.md"


@pytest.mark.parametrize("animals", example.EXAMPLES)
def test_an_example_encoder_is_the_one_that_is_described(animals):
    file = example.PLACES[1] / example.EXAMPLES[animals].folder / "encoder.safetensors"
    assert sha256(file) in re.findall(r"[0-9a-f]{64}", README.read_text(encoding="utf-8"))
    assert sum(path.stat().st_size for path in file.parent.iterdir()) < 1e6
    pretrained = nl.example_encoder(animals)
    assert pretrained.preset == example.EXAMPLES[animals].recipe, (
        "the preset has changed: make the encoder again, with python -m"
        f" nuclr_lite.experiments.example {animals}"
    )
    assert pretrained.history["step"].iloc[-1] == pretrained.preset.train.steps


def test_whom_the_example_encoders_have_seen():
    assert nl.example_encoder().trained_on["animal_id"].tolist() == [
        f"animal0-{number:03d}" for number in range(14)
    ]
    seen = nl.example_encoder("rats").trained_on
    assert set(seen["animal_id"]) == {*rat_decisions.GROUPS[0], *rat_decisions.GROUPS[1]}
    assert set(seen["recording_id"]) <= set(rat_decisions.list_sessions().index)
    with pytest.raises(ValueError, match="no example encoder of 'mice'; use one of"):
        nl.example_encoder("mice")


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
    for animals in example.EXAMPLES:
        with pytest.raises(FileNotFoundError, match=f"copy it .* or make it with.* {animals}"):
            nl.example_encoder(animals)
