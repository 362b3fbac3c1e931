"""Labels for any folder: the same as in Python, and written where they are looked for."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from phy_files import RATE
from small import code_of, encoder_of, labelled, saved

import nuclr_lite as nl
from nuclr_lite.commands.predict import DONT_KNOW

COLUMNS = ["recording_id", "unit_id", "label", "reason", "likeliest", "probability", "distance"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folders `old` (labelled), `new`, `encoder` and `mine`, a ZeroShot."""
    folder = tmp_path_factory.mktemp("world")
    old, new = labelled(4, seed=0, name="old"), labelled(2, seed=1, name="new")
    saved(folder / "old", old), saved(folder / "new", new)
    pretrained = encoder_of(old)
    pretrained.save(folder / "encoder")
    units = nl.units_table(old)
    embedding = nl.embed(pretrained.encoder, old)
    reader = nl.ZeroShot.fit(embedding, units["speed"], units["animal_id"], pretrained=pretrained)
    replace(reader, usual=1.0).save(folder / "mine")
    return folder


def as_table(path):
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", keep_default_na=False)


def test_by_a_zero_shot(world, tmp_path, capsys):
    out = tmp_path / "deep" / "labels.tsv"
    assert code_of("predict", world / "new", "--labels-from", world / "mine", "--out", out) == 0
    table = as_table(out)
    assert list(table) == [*COLUMNS, "p_fast", "p_slow"]
    expected = nl.ZeroShot.load(world / "mine").read(
        [nl.Recording.load(world / "new" / f"new{i}") for i in range(2)]
    )
    assert table["label"].tolist() == expected["label"].fillna(DONT_KNOW).tolist()
    np.testing.assert_allclose(table["p_slow"], expected["p_slow"], rtol=1e-5)
    truth = np.tile(["slow", "fast"] * 8, 2)
    assert (table["likeliest"] == truth).mean() > 0.9
    said = capsys.readouterr().out
    assert said.startswith("32 units of 2 recordings (saved recordings: 2): ")
    assert said.splitlines()[-1] == str(out)


def test_by_an_encoder_and_labels(world, tmp_path):
    """Taught here, and kept: the same labels, then by what was kept."""
    arguments = ["--labels-from", world / "encoder", "--taught-on", world / "old", "--label"]
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    keep = tmp_path / "kept"
    assert (
        code_of("predict", world / "new", *arguments, "speed", "--out", first, "--save", keep) == 0
    )
    assert code_of("predict", world / "new", "--labels-from", keep, "--out", again) == 0
    assert first.read_bytes() == again.read_bytes()
    assert nl.ZeroShot.load(keep).pretrained is not None


def test_units_with_a_label_teach_the_others(world, tmp_path, capsys):
    half = saved(tmp_path / "half", labelled(4, seed=2, name="half", share=0.5))
    out = tmp_path / "labels.csv"
    arguments = ["--labels-from", world / "encoder", "--label", "speed", "--out", out]
    assert code_of("predict", half, *arguments) == 0
    assert (as_table(out)["unit_id"] >= 8).all() and len(as_table(out)) == 32
    capsys.readouterr()
    assert code_of("predict", world / "old", *arguments[:4], "--out", tmp_path / "x.csv") == 2
    assert "every unit has a label in 'speed', and teaches" in capsys.readouterr().err


def test_saved_recordings_and_parquet(world, tmp_path):
    new = shutil.copytree(world / "new", tmp_path / "new")
    assert code_of("predict", new, "--labels-from", world / "mine") == 0
    assert len(as_table(new / "nuclr_labels.csv")) == 32
    one = new / "new0"
    assert code_of("predict", one, "--labels-from", world / "mine") == 0
    assert len(as_table(new / "new0_nuclr_labels.csv")) == 16 and nl.Recording.load(one)
    out = tmp_path / "labels.parquet"
    pytest.importorskip("pyarrow")
    assert code_of("predict", new, "--labels-from", world / "mine", "--out", out) == 0
    assert pd.read_parquet(out).index.names == ["recording_id", "unit_id"]


def test_phy_shows_it(world, tmp_path, capsys):
    """Into Phy's own folder, every cluster a row."""
    folder = tmp_path / "mouse9" / "kilosort4"
    folder.mkdir(parents=True)
    [recording] = labelled(1, seed=3)
    np.save(folder / "spike_times.npy", np.round(np.asarray(recording.times) * RATE).astype("u8"))
    np.save(folder / "spike_clusters.npy", np.asarray(recording.unit_rows).astype("u4"))
    (folder / "params.py").write_text(f"sample_rate = {RATE}\n")
    labels = "".join(f"{i}\t{'good' if i else 'mua'}\n" for i in range(16))
    (folder / "cluster_group.tsv").write_text(f"cluster_id\tgroup\n{labels}")
    before = {path.name for path in folder.iterdir()}
    assert code_of("predict", tmp_path, "--labels-from", world / "mine") == 0
    assert "it is called 'kilosort4'. Give animal=" in capsys.readouterr().err
    written = {path.name for path in folder.iterdir()} - before
    assert written == {
        f"cluster_nuclr_{name}.tsv" for name in ("label", "likeliest", "probability", "reason")
    }
    table = as_table(folder / "cluster_nuclr_label.tsv")
    assert table["cluster_id"].tolist() == list(range(16))
    assert table["nuclr_label"].iloc[0] == "" and (table["nuclr_label"].iloc[1:] != "").all()
    # again: not without being told; the reader's options reach it
    arguments = ["predict", folder, "--labels-from", world / "mine", "--animal", "m"]
    assert code_of(*arguments) == 2
    assert "cluster_nuclr_label.tsv exists already; pass --overwrite" in capsys.readouterr().err
    assert code_of(*arguments, "--overwrite", "--reading", "groups", "null") == 0
    assert as_table(folder / "cluster_nuclr_label.tsv")["nuclr_label"].iloc[0] != ""
    assert code_of(*arguments, "--overwrite", "--reading", "signal", "dff") == 2
    assert "whose reader knows no signal; give it animal_id" in capsys.readouterr().err


def test_nwb_files_get_a_copy_each(world, tmp_path, capsys):
    pytest.importorskip("pynwb")
    from nwb_files import new_file, with_spikes, write

    recordings = labelled(2, seed=4)
    for number, recording in enumerate(recordings):
        trains = [recording.spike_times(i) for i in range(16)]
        write(with_spikes(new_file(f"m{number}"), trains), tmp_path / f"day{number}.nwb")
    before = [(tmp_path / f"day{number}.nwb").read_bytes() for number in range(2)]
    arguments = ["predict", tmp_path, "--labels-from", world / "mine"]
    assert code_of(*arguments) == 0
    assert before == [(tmp_path / f"day{number}.nwb").read_bytes() for number in range(2)]
    from nuclr_lite.sources.nwb import read_nwb

    copies = read_nwb(tmp_path / "nuclr")
    assert [one.recording_id for one in copies] == ["day0", "day1"]
    assert {"nuclr_label", "nuclr_probability", "nuclr_p_slow"} <= set(copies[0].units)
    assert copies[0].units["nuclr_label"].isin(["slow", "fast", DONT_KNOW]).all()
    # the copies aren't taken for more recordings
    assert code_of(*arguments) == 2
    assert "nuclr/day0.nwb exists already; pass --overwrite" in capsys.readouterr().err.replace(
        "\\", "/"
    )
    assert code_of(*arguments, "--overwrite") == 0
    assert capsys.readouterr().out.startswith("32 units of 2 recordings (NWB files: 2)")
    out = tmp_path / "copy" / "one.nwb"
    assert code_of(*arguments, "--out", out) == 2
    assert "holds 2 NWB files; a copy is made of one" in capsys.readouterr().err
    assert code_of("predict", tmp_path / "day1.nwb", *arguments[2:], "--out", out) == 0
    assert "nuclr_label" in read_nwb(out)[0].units


def test_two_recordings_of_one_name(world, tmp_path, capsys):
    pytest.importorskip("pynwb")
    from nwb_files import new_file, with_spikes, write

    [recording] = labelled(1, seed=4)
    for name in ("sub-1", "sub-2"):
        (tmp_path / name).mkdir()
        trains = [recording.spike_times(i) for i in range(16)]
        write(with_spikes(new_file(name), trains), tmp_path / name / "day1.nwb")
    arguments = ["predict", tmp_path, "--labels-from", world / "mine", "--out"]
    assert code_of(*arguments, tmp_path / "labels.csv") == 2
    assert "a second recording called 'day1'" in capsys.readouterr().err


def test_what_must_be_looked_at_has_its_code(world, tmp_path, capsys):
    """A recording unlike any that was taught; nobody gets a label."""
    out, reader = tmp_path / "labels.csv", nl.ZeroShot.load(world / "mine")
    for name, limits in (("far", {"usual": 0.01}), ("timid", {"least": 1.0})):
        replace(reader, **limits).save(tmp_path / name)
    arguments = ["predict", world / "new", "--out", out, "--overwrite", "--labels-from"]
    assert code_of(*arguments, tmp_path / "far") == 1
    assert capsys.readouterr().err.count("its units lie") == 2
    assert code_of(*arguments, tmp_path / "timid") == 1
    assert as_table(out)["label"].eq(DONT_KNOW).all()
    assert f"{DONT_KNOW} 32 (between classes 3" in capsys.readouterr().out


def test_units_that_nobody_hears(world, tmp_path):
    """Every unit has its row: one without a spike says why."""
    [recording] = labelled(1, seed=6)
    keep = np.asarray(recording.unit_rows) != 3
    silent = replace(
        recording,
        times=np.asarray(recording.times)[keep],
        unit_rows=np.asarray(recording.unit_rows)[keep],
    )
    folder, out = saved(tmp_path / "silent", [silent]), tmp_path / "labels.csv"
    assert code_of("predict", folder, "--labels-from", world / "mine", "--out", out) == 0
    table = as_table(out).set_index("unit_id")
    assert table.loc[3, "label"] == DONT_KNOW and table.loc[3, "reason"] == "no vector"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--labels-from", "encoder"], "is an encoder, which knows no labels; say with --label"),
        (["--labels-from", "encoder", "--label", "colour"], "no unit has a column 'colour'"),
        (["--labels-from", "mine", "--label", "speed"], "--label is for an encoder"),
        (["--labels-from", "mine", "--out", "labels.xlsx"], "must end in one of .csv, .tsv"),
        (["--labels-from", "mine", "--animal", "m"], "whose reader knows no animal"),
        (["--labels-from", "old"], "holds no pretrained encoder"),
        (["--labels-from", "encoder", "--label", "speed", "--save", "mine"], "another folder"),
    ],
)
def test_refusals(arguments, words, world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    before = sorted(world.rglob("*"))
    assert code_of("predict", "new", *arguments) == 2
    assert words in capsys.readouterr().err and sorted(world.rglob("*")) == before


def test_without_its_encoder(world, tmp_path, capsys):
    replace(nl.ZeroShot.load(world / "mine"), pretrained=None).save(tmp_path / "bare")
    out = tmp_path / "labels.csv"
    arguments = ["predict", world / "new", "--labels-from", tmp_path / "bare", "--out", out]
    assert code_of(*arguments) == 2 and "without its encoder" in capsys.readouterr().err
    assert code_of(*arguments, "--encoder", world / "encoder") == 0
    whole = tmp_path / "whole.csv"
    assert code_of("predict", world / "new", "--labels-from", world / "mine", "--out", whole) == 0
    assert whole.read_bytes() == out.read_bytes()
