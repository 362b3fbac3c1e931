"""The animals of a notebook's experiments, by one word."""

import pytest

from nuclr_lite import PRESETS
from nuclr_lite.experiments import Experiment, animals
from nuclr_lite.sources.published import rat_decisions


@pytest.mark.parametrize(
    "modality, world, preset",
    [
        ("spikes", "one network", "quick"),
        ("calcium", "one network", "quick-calcium"),
        ("spikes", "assemblies", "quick-assemblies"),
        ("calcium", "assemblies", "quick-calcium"),
    ],
)
def test_simulated(modality, world, preset):
    some = animals("simulated", modality, world)
    experiment = Experiment("x", **some.choices)
    assert (experiment.source, experiment.world) == ("simulated", world)
    assert (experiment.modality, experiment.preset) == (modality, preset)
    assert preset in PRESETS
    assert some.simulated and some.caption == f"simulated, {world}"
    assert some.to_decode("") == ["cell_type", "area"] and some.to_decode("area") == ["area"]


def test_rats(monkeypatch, tmp_path):
    monkeypatch.setattr(rat_decisions, "prepared", lambda folder: folder / "rats")
    some = animals("rats", data_dir=tmp_path)
    experiment = Experiment("x", changes=some.changes, **some.choices)
    assert experiment.source == str(tmp_path / "rats") and not some.simulated
    assert set(experiment.held_out) == {"T223", "T240", "T249", "X087"}
    assert some.to_decode([]) == ["region"] and "Luo, Kim et al. 2025" in some.caption


def test_a_folder_and_none(tmp_path):
    some = animals(str(tmp_path), "calcium")
    assert some.choices["preset"] == "laptop-calcium" and some.caption == tmp_path.name
    with pytest.raises(ValueError, match="what should be decoded in .*? Name a column"):
        some.to_decode("")
    with pytest.raises(FileNotFoundError, match="'mice'; give 'simulated', 'rats', or a folder"):
        animals("mice")
