"""A ZeroShot as a folder: predicts the same wherever it is loaded, and says when it is damaged."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import TINY, from_trains, spikes
from test_zero_shot import CENTRES, drawn

import nuclr_lite as nl
from nuclr_lite.files import zero_shot_files
from nuclr_lite.files.storage import seal


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.filterwarnings("ignore:.*its units lie")
def test_predicts_the_same_to_the_last_digit(n_classes, tmp_path):
    embedding, labels, animals = drawn(6, seed=20, dim=37)
    labels = labels.where(labels.isin(list(CENTRES)[:n_classes]))
    reader = nl.ZeroShot.fit(embedding, labels, animals, least=0.7, within=0.9)
    again = nl.ZeroShot.load(reader.save(tmp_path / "reader"))
    new, _, _ = drawn(5, seed=21, dim=37)
    pd.testing.assert_frame_equal(again.predict(new), reader.predict(new), check_exact=True)
    assert again.pretrained is None and repr(again) == repr(reader)
    twice = nl.ZeroShot.load(again.save(tmp_path / "again"))
    pd.testing.assert_frame_equal(twice.predict(new), reader.predict(new), check_exact=True)
    held = sum(path.stat().st_size for path in (tmp_path / "reader").iterdir())
    assert held < 8 * reader.known.size + 20_000
    with pytest.raises(FileExistsError, match="overwrite=True"):
        reader.save(tmp_path / "reader")


@pytest.mark.filterwarnings("ignore:a label occurs in one animal only")
def test_of_one_animal_nobody_knows_what_is_usual(tmp_path):
    embedding, labels, animals = drawn(1, seed=22)
    reader = nl.ZeroShot.fit(embedding, labels, animals)
    again = nl.ZeroShot.load(reader.save(tmp_path / "reader"))
    assert np.isnan(reader.usual) and np.isnan(again.usual) and not again.classifier.by_animal_
    assert "left-out units, not on animals" in (tmp_path / "reader" / "README.md").read_text()
    json.loads(
        (tmp_path / "reader" / "zero_shot.json").read_text(),
        parse_constant=lambda name: pytest.fail(f"{name} is no JSON"),
    )


@pytest.fixture(scope="module")
def with_encoder():
    recordings = [spikes(12, name=f"r{i}", seed=i) for i in range(3)]
    pretrained = nl.pretrain(recordings, TINY.with_(steps=2, grid_s=0.1))
    embedding = nl.embed(pretrained.encoder, recordings, grid_s=0.1)
    units = nl.units_table(recordings)
    labels = pd.Series(np.where(np.arange(len(units)) % 2, "odd", "even"), index=units.index)
    reader = nl.ZeroShot.fit(embedding, labels, units["animal_id"], pretrained=pretrained)
    return reader, recordings


def test_with_its_encoder_it_reads_recordings(with_encoder, tmp_path):
    reader, _ = with_encoder
    folder = reader.save(tmp_path / "labels")
    again = nl.ZeroShot.load(folder)
    trains = [spikes(4, name="new", seed=9).spike_times(i) for i in range(4)]
    new = from_trains([*trains, []], intervals=[[0, 60]])
    with pytest.warns(UserWarning, match="1 units have no spike in any window"):
        said = again.read(new)
    assert said.index.tolist() == [("r", i) for i in range(5)]
    expected = reader.predict(nl.embed(reader.pretrained.encoder, new, grid_s=0.1))
    pd.testing.assert_frame_equal(said.iloc[:4], expected, check_exact=True)
    assert said["reason"].iloc[4] == "no vector" and said["label"].isna().iloc[4]
    # the folder is also an encoder's
    pretrained = nl.Pretrained.load(folder)
    assert pretrained.preset == reader.pretrained.preset
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "## Labels" in card and "## Trained on" in card and "even, odd" in card


def test_without_its_encoder_it_reads_vectors_alone(with_encoder):
    reader, recordings = with_encoder
    alone = nl.ZeroShot.fit(*drawn(2, seed=23))
    with pytest.raises(ValueError, match="made without its encoder; embed"):
        alone.read(recordings)
    with pytest.raises(ValueError, match="vectors have 8 columns, those of `pretrained` have 16"):
        nl.ZeroShot.fit(*drawn(2, seed=23), pretrained=reader.pretrained)


@pytest.fixture
def saved(tmp_path):
    return nl.ZeroShot.fit(*drawn(3, seed=24)).save(tmp_path / "saved")


def test_a_newer_version_is_told(saved):
    header = json.loads((saved / "zero_shot.json").read_text())
    for change in (
        {"version": zero_shot_files.FORMAT_VERSION + 1},
        {"version": "1"},
        {"format": "x"},
    ):
        (saved / "zero_shot.json").write_text(json.dumps(header | change))
        seal(saved, leave=("README.md",))
        with pytest.raises(ValueError, match="reads 'nuclr_lite zero-shot' up to version"):
            nl.ZeroShot.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["Exc", "Pvalb"]},
        {"columns": ["e000"]},
        {"least": "often"},
        {"scale": None},
        {"columns": None},
    ],
)
def test_what_does_not_fit_together_is_refused(change, saved):
    header = json.loads((saved / "zero_shot.json").read_text())
    (saved / "zero_shot.json").write_text(json.dumps(header | change))
    with pytest.raises(ValueError, match="zero_shot.json .*: the folder is|is not what was saved"):
        nl.ZeroShot.load(saved)
    seal(saved, leave=("README.md",))
    with pytest.raises(ValueError, match="can't be read as a ZeroShot"):
        nl.ZeroShot.load(saved)


def test_damage_is_told(saved):
    numbers = saved / "zero_shot.safetensors"
    content = bytearray(numbers.read_bytes())
    content[-3] ^= 1
    numbers.write_bytes(content)
    with pytest.raises(ValueError, match=r"SHA-256 differs.*copy the whole folder again"):
        nl.ZeroShot.load(saved)
    numbers.unlink()
    with pytest.raises(ValueError, match="is missing: the folder is incomplete"):
        nl.ZeroShot.load(saved)
    with pytest.raises(FileNotFoundError, match="holds no ZeroShot"):
        nl.ZeroShot.load(saved.parent)
