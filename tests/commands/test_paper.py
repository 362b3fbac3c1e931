"""The paper's rows, and the published embeddings, from the command line."""

import pandas as pd
import paper_recordings
import pytest
from small import code_of

from nuclr_lite.experiments import brainwidebench
from nuclr_lite.experiments.paper import ROWS

SMALL = (
    "steps 2 dim 8 heads 1 head_dim 8 temporal_layers 1 spatiotemporal_layers 1 batch_size 2"
    " min_units 2 warmup_steps 1"
).split()


def test_rows_are_listed_and_shown(capsys):
    assert code_of("paper") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ROWS) and "0.72" in said
    assert code_of("paper", "ibl-regions") == 0
    said = capsys.readouterr().out
    assert "553" in said and "download_insertion" in said and "0.53" in said
    assert code_of("paper", "no-row") == 2
    assert "there is no row 'no-row'" in capsys.readouterr().err


def test_a_row_is_run(tmp_path, capsys):
    paper_recordings.save_all("steinmetz", tmp_path / "data", n_units=5)
    changes = [
        word for name, value in zip(SMALL[::2], SMALL[1::2]) for word in ("--set", name, value)
    ]
    arguments = ["paper", "steinmetz-inductive", "--source", tmp_path / "data"]
    arguments += ["--out", tmp_path / "runs", "--checkpoints", 1, "--cpu", *changes]
    assert code_of(*arguments) == 0
    said = capsys.readouterr().out
    assert "as published" in said and "as we would" in said
    assert "not the published recipe" in said
    kept = pd.read_csv(tmp_path / "runs" / "paper" / "steinmetz-inductive" / "scores.csv")
    assert list(kept["way"]) == ["as published", "as we would"]
    assert code_of("paper", "ibl-regions", "--source", tmp_path / "data") == 2
    assert "none of the 39 recordings" in capsys.readouterr().err


def test_published_embeddings_are_scored(tmp_path, capsys, monkeypatch):
    asked = {}

    def score(seeds, cache_dir, **options):
        asked.update(seeds=seeds, cache_dir=cache_dir, **options)
        rows = [{"readout": "single", "seed": seed, "macro_f1": 0.6} for seed in seeds]
        return pd.DataFrame(rows).assign(macro_precision=0.5, macro_recall=0.5)

    monkeypatch.setattr(brainwidebench, "score", score)
    arguments = ["brainwidebench", "--out", tmp_path, "--csv", tmp_path / "scores.csv"]
    assert code_of(*arguments) == 0
    assert list(asked["seeds"]) == [42, 43, 44, 45, 46] and asked["model"] == "nuclr"
    assert "macro_f1" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 5
    with pytest.raises(AssertionError):  # what is there isn't written over
        assert code_of(*arguments) == 0
    assert "exists already" in capsys.readouterr().err
