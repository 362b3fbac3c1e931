"""Encoders by name: what is said of them before they are opened is true."""

import pytest
import torch
from helpers import TINY, spikes
from official_files import checkpoint, model, official_state

import nuclr_lite as nl
from nuclr_lite.experiments import encoders, example

HERE = ["simulated", "rats"]


def test_the_table():
    table = nl.pretrained_encoders()
    assert table.index.tolist() == [*HERE, *(f"ibl-bwb-nuclr-{seed}" for seed in range(42, 47))]
    assert table.notna().all(axis=None) and table.loc[HERE, "here"].all()
    assert set(example.EXAMPLES) == set(HERE)


@pytest.mark.parametrize("name", HERE)
def test_what_is_said_of_those_that_are_here(name):
    pretrained, said = nl.load_encoder(name), nl.pretrained_encoders().loc[name]
    recipe = pretrained.preset.model
    assert (recipe.modality, recipe.sample_s, recipe.window_s, recipe.dim) == tuple(
        said[["modality", "sample_s", "window_s", "dim"]]
    )
    assert sum(p.numel() for p in pretrained.encoder.parameters()) == said["parameters"]
    [folder] = {
        place / example.EXAMPLES[name].folder
        for place in example.PLACES
        if (place / example.EXAMPLES[name].folder).is_dir()
    }
    held = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    assert held == pytest.approx(said["megabytes"], abs=0.1)
    animals = pretrained.trained_on["animal_id"].nunique()
    assert f" {animals} " in f" {said['trained_on']} "


def test_what_is_said_of_the_authors_own():
    """The size follows from the recipe; the weights are not at hand."""
    said = nl.pretrained_encoders().loc["ibl-bwb-nuclr-42"]
    recipe = nl.ModelConfig(tokens_per_window=20, temporal_layers=2, spatiotemporal_layers=4)
    with torch.device("meta"):
        encoder, loss = nl.NuCLR(recipe), nl.ContrastiveLoss(recipe.dim)
    n = [sum(p.numel() for p in module.parameters()) for module in (encoder, loss)]
    assert n[0] == said["parameters"] and recipe.window_s == said["window_s"]
    assert 12 * sum(n) / 1e6 == pytest.approx(said["megabytes"], abs=0.05)


def test_from_a_folder_a_file_a_name(tmp_path, monkeypatch):
    recordings = [spikes(8, name="r")]
    pretrained = nl.pretrain(recordings, TINY.with_(steps=1), tmp_path / "run")
    folder = pretrained.save(tmp_path / "encoder")
    for path in (folder, str(folder), tmp_path / "run"):
        assert nl.load_encoder(path).preset == pretrained.preset
    layout = "brainwidebench"
    file = checkpoint(tmp_path / "nuclr_43.pt", official_state(model(), layout), layout)
    assert isinstance(nl.load_encoder(file), nl.NuCLR)
    asked = []
    monkeypatch.setattr(
        encoders, "download_official_weights", lambda seed: asked.append(seed) or file
    )
    assert isinstance(nl.load_encoder("ibl-bwb-nuclr-43"), nl.NuCLR) and asked == [43]
    for wrong in ("nobody", "runs/absent", "ibl-bwb-nuclr-41", tmp_path / "absent"):
        with pytest.raises(FileNotFoundError, match="there is no encoder .* simulated, rats, ibl"):
            nl.load_encoder(wrong)
    monkeypatch.setattr(encoders, "downloaded", lambda name: {"owner/mine": folder}[name])
    assert nl.load_encoder("hf:owner/mine").preset == pretrained.preset


def test_without_huggingface_hub(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert not nl.pretrained_encoders().loc["ibl-bwb-nuclr-42", "here"]
    for name in ("ibl-bwb-nuclr-42", "hf:owner/mine"):
        with pytest.raises(ImportError, match="pip install huggingface_hub"):
            nl.load_encoder(name)
