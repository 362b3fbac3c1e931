"""What earlier versions saved opens, and says what it said: `formats/make.py` made the files, one
folder a version.
"""

import json
import sys

import numpy as np
import pytest
from helpers import ROOT

import nuclr_lite as nl
from nuclr_lite.sources.folder import read_folder

FORMATS = ROOT / "tests" / "formats"
sys.path.insert(0, str(FORMATS))
VERSIONS = sorted(path for path in FORMATS.iterdir() if (path / "expected.json").is_file())


def expected(folder) -> dict:
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def test_this_version_has_its_files():
    assert nl.__version__ in {path.name for path in VERSIONS}, (
        "make them: PYTHONPATH=. python tests/formats/make.py"
    )


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def folder(request):
    return request.param


def test_recordings(folder):
    from make import facts

    for name, said in expected(folder)["recordings"].items():
        recording = nl.Recording.load(folder / name)
        now = facts(recording)
        assert now.pop("sum") == pytest.approx(said.pop("sum"), rel=1e-12)
        assert now == said
    assert len(read_folder(folder, verify=True)) == len(expected(folder)["recordings"])


def test_encoder(folder):
    said, pretrained = expected(folder)["encoder"], nl.Pretrained.load(folder / "encoder")
    recipe = json.loads(pretrained.preset.to_json())
    for part, fields in said["recipe"].items():  # later versions may have more fields
        assert {name: recipe[part][name] for name in fields} == fields
    assert pretrained.trained_on["animal_id"].tolist() == said["trained_on"]
    recording = nl.Recording.load(folder / "spikes0")
    embedding = nl.embed(pretrained.encoder, recording, grid_s=0.1)
    np.testing.assert_allclose(embedding, said["embedding"], rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*its units lie")
def test_zero_shot(folder):
    from make import answers

    said = expected(folder)["zero_shot"]
    now = answers(nl.ZeroShot.load(folder / "zero_shot"), nl.Recording.load(folder / "spikes1"))
    for name in ("probability", "distance"):
        np.testing.assert_allclose(now.pop(name), said.pop(name), rtol=1e-4, atol=1e-5)
    assert now == said


def test_experiment(folder):
    text = (folder / "experiment.json").read_text(encoding="utf-8")
    assert len(nl.Experiment.from_json(text).cells()) == expected(folder)["experiment"]["cells"]
