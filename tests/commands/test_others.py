"""embed, check, experiments, download and info."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT, from_trains
from small import code_of, encoder_of, labelled, saved

import nuclr_lite as nl
from nuclr_lite.commands import download, info
from nuclr_lite.sources.allen import neuropixels, two_photon
from nuclr_lite.sources.published import rat_decisions


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    recordings = labelled(5, seed=0)
    saved(folder / "recordings", recordings)
    encoder_of(recordings[:3]).save(folder / "encoder")
    return folder


def test_embed(world, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    expected = nl.embed(
        nl.Pretrained.load(world / "encoder").encoder,
        nl.sources.folder.read_folder(world / "recordings"),
    )
    arguments = ["embed", world / "recordings", "--encoder", world / "encoder", "--out"]
    out = tmp_path / "vectors.parquet"
    assert code_of(*arguments, out) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected, check_exact=True)
    assert capsys.readouterr().out == f"80 units of 5 recordings, 16 numbers each: {out}\n"
    assert code_of(*arguments, out) == 2 and "--overwrite" in capsys.readouterr().err
    out = tmp_path / "vectors.csv"
    assert code_of(*arguments, out) == 0
    pd.testing.assert_frame_equal(pd.read_csv(out, index_col=[0, 1]), expected)


def test_check(world, tmp_path, capsys):
    arguments = ["check", world / "recordings"]
    assert code_of(*arguments) == 0
    said = capsys.readouterr().out
    assert said.count("not asked") == 9 and said.splitlines()[-1] == (
        "5 recordings (saved recordings), 11 checks: 0 to look at."
    )
    assert code_of(*arguments, "--encoder", world / "encoder", "--label", "speed") == 0
    assert code_of(*arguments, "--encoder", world / "encoder", "--inductive") == 1
    said = capsys.readouterr().out
    assert "look here   seen" in said and "3 of 5 animals were in the encoder's training" in said
    assert "To do: Call the score transductive" in said
    assert code_of(*arguments, "--label", "colour") == 2


def test_check_finds_milliseconds(tmp_path, capsys):
    rng = np.random.default_rng(0)
    trains = [np.sort(1000 * rng.uniform(0, 60, 600)) for _ in range(4)]
    saved(tmp_path / "wrong", [from_trains(trains)])
    assert code_of("check", tmp_path / "wrong") == 1
    said = capsys.readouterr().out
    assert said.startswith("look here   seconds") and "1 to look at" in said
    assert "1 of 1 recordings: r" in said and max(map(len, said.splitlines())) <= 110


def test_check_of_an_encoder_that_does_not_fit(world, tmp_path, capsys):
    """Whose windows are too long: said, and nothing is embedded."""
    arguments = ["check", world / "recordings", "--encoder", "simulated", "--label", "speed"]
    assert code_of(*arguments) == 0
    short = [from_trains([np.arange(0.01, 3, 0.07), np.arange(0.02, 3, 0.09)])]
    saved(tmp_path / "short", short)
    assert code_of("check", tmp_path / "short", "--encoder", "simulated") == 1
    assert "the longest valid interval has" in capsys.readouterr().out


def test_experiments(tmp_path, capsys):
    assert code_of("experiments", ROOT / "results" / "experiments") == 0
    said = capsys.readouterr().out.splitlines()
    n = len(list((ROOT / "results" / "experiments").glob("*.json")))
    assert len(said) == n + 1 and said[0].split()[:3] == ["file", "label", "protocol"]
    (tmp_path / "good.json").write_text(nl.Experiment("good").to_json())
    (tmp_path / "bad.json").write_text(json.dumps({"name": "bad", "colour": 3}))
    (tmp_path / "worse.json").write_text("[1, 2")
    assert code_of("experiments", tmp_path) == 1
    said = capsys.readouterr().out
    assert "good.json" in said and said.count("is no experiment that can be read") == 2
    assert code_of("run", tmp_path / "bad.json") == 2
    assert "bad.json is no experiment that can be read" in capsys.readouterr().err


def test_download_asks_the_sources(tmp_path, monkeypatch, capsys):
    asked = []

    def note(*arguments, **options):
        asked.append((arguments, options))
        return [Path("where")]

    monkeypatch.setattr(rat_decisions, "prepared", note)
    monkeypatch.setattr(neuropixels, "stream_sessions", note)
    monkeypatch.setattr(neuropixels, "download_sessions", note)
    monkeypatch.setattr(two_photon, "download_experiments", note)
    cache = ["--cache", str(tmp_path)]
    assert code_of("download", "rats", "--to", tmp_path) == 0
    assert code_of("download", "allen", "715093703", *cache, "--yes") == 0
    assert code_of("download", "allen", "715093703", *cache, "--whole") == 0
    assert code_of("download", "allen-two-photon", "501559087", "5", *cache) == 0
    assert asked == [
        ((tmp_path,), {}),
        (([715093703], Path("data/processed/allen"), tmp_path), {"confirm": False}),
        (([715093703], tmp_path), {"confirm": True}),
        (([501559087, 5], tmp_path), {"confirm": True}),
    ]
    assert code_of("download", "allen", "mouse7", *cache) == 2
    assert "'mouse7' is no id" in capsys.readouterr().err
    assert code_of("download", "rats", "--list") == 0
    assert capsys.readouterr().out.count("X087_20") == 3


def test_download_without_anybody_to_ask(tmp_path, monkeypatch, capsys):
    def nobody(*_, **__):
        raise RuntimeError("2 sessions: there is nobody to ask whether to download 4 GB; pass ...")

    monkeypatch.setattr(neuropixels, "download_sessions", nobody)
    assert code_of("download", "allen", "7", "--whole", "--cache", tmp_path) == 2
    assert "nobody to ask whether to download 4 GB; give --yes" in capsys.readouterr().err


def test_every_set_leads_somewhere():
    assert set(download.SETS) == {"rats", "allen", "allen-two-photon", "steinmetz", "bugeon", "ibl"}


def test_info(monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(info.Path, "home", lambda: ROOT.parent)
    assert code_of("info") == 0
    said = capsys.readouterr().out
    facts = dict(line.split(": ", 1) for line in said.splitlines())
    assert facts["nuclr_lite"].startswith(f"{nl.__version__}, in ~")
    assert "OMP_NUM_THREADS=1" in facts["threads"] and "torch " in facts["core"]
    assert {"Python", "system", "cores", "GPU", "Hugging Face cache"} <= set(facts)
    assert str(ROOT.parent) not in said
    assert code_of("info", "--encoders") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in nl.pretrained_encoders().index)
