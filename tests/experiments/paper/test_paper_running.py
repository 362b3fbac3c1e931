import json
import shutil
from dataclasses import replace

import pandas as pd
import paper_recordings
import pytest

from nuclr_lite import pretraining
from nuclr_lite.experiments.paper import ROWS, run_row, running

TINY = dict(
    steps=4,
    dim=8,
    heads=1,
    head_dim=8,
    temporal_layers=1,
    spatiotemporal_layers=1,
    batch_size=2,
    min_units=2,
    warmup_steps=1,
)


class Stopped(Exception):
    """Here training would begin."""


def stop(*_):
    raise Stopped


@pytest.fixture(scope="module")
def steinmetz(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steinmetz")
    paper_recordings.save_all("steinmetz", folder, n_units=5)
    return folder


@pytest.fixture(scope="module")
def done(steinmetz, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return out, run_row(
        ROWS["steinmetz-inductive"], steinmetz, out, n_checkpoints=2, device="cpu", **TINY
    )


def test_a_row_is_scored_as_published_and_as_we_would(done):
    out, table = done
    assert list(table["way"]) == ["as published", "as we would"]
    assert table["n"].tolist() == [11 * 4, 11 * 4] and table["n_animals"].tolist() == [3, 3]
    assert table["macro_f1"].between(0, 1).all()
    assert table["steps"].iloc[0] in ("2", "4") and table["steps"].iloc[1] == "4"
    kept = pd.read_csv(out / "paper" / "steinmetz-inductive" / "predictions.csv")
    assert set(kept["recording_id"].str.split("_").str[0].unique()) == {
        "steinmetz-Cori",
        "steinmetz-Forssmann",
        "steinmetz-Hench",
    }
    made = json.loads((out / "paper" / "steinmetz-inductive" / "provenance.json").read_text())
    assert len(made["trained_on"]) == 28 and made["recipe"]["train"]["seed"] == 42


def test_the_encoder_sees_the_pretraining_sessions_only_and_is_not_trained_again(
    done, steinmetz, monkeypatch
):
    out, table = done
    trained = list((out / "paper" / "encoders").glob("*/checkpoint-00000004/trained_on.csv"))
    seen = [set(pd.read_csv(path)["animal_id"]) for path in trained]
    assert not seen[0] & {"Cori", "Forssmann", "Hench"}

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(running, "pretrain", refuse)
    monkeypatch.setattr(running, "embed", refuse)
    again = run_row(
        ROWS["steinmetz-inductive"], steinmetz, out, n_checkpoints=2, device="cpu", **TINY
    )
    pd.testing.assert_frame_equal(again, table)


def test_a_run_that_was_stopped_goes_on_from_its_checkpoint(done, steinmetz, tmp_path, monkeypatch):
    out, table = done
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    [last] = (tmp_path / "paper" / "encoders").glob("*/checkpoint-00000004")
    shutil.rmtree(last)
    shutil.rmtree(tmp_path / "paper" / "features")
    restored = []
    restore = pretraining._Run.restore
    monkeypatch.setattr(
        pretraining._Run,
        "restore",
        lambda run, path: (restored.append(path.name), restore(run, path))[1],
    )
    again = run_row(
        ROWS["steinmetz-inductive"], steinmetz, tmp_path, n_checkpoints=2, device="cpu", **TINY
    )
    assert restored == ["checkpoint-00000002"]
    pd.testing.assert_frame_equal(again, table)


def test_missing_sessions_are_named_before_anything_is_computed(steinmetz, tmp_path, monkeypatch):
    part = tmp_path / "part"
    shutil.copytree(steinmetz, part)
    shutil.rmtree(part / "steinmetz-Cori_2016-12-14-probe0")
    with pytest.raises(ValueError, match=r"1 of the 39 it needs are missing.*Cori_2016-12-14"):
        run_row(ROWS["steinmetz-inductive"], part, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(running, "_features", stop)
    with pytest.warns(UserWarning, match="of the others"), pytest.raises(Stopped):
        run_row(ROWS["steinmetz-inductive"], part, tmp_path / "runs", incomplete=True)


def test_another_data_set_is_named(steinmetz, tmp_path):
    with pytest.raises(ValueError, match="none of the 39 recordings.*IBL Brain-wide Map"):
        run_row(ROWS["ibl-regions"], steinmetz, tmp_path)
    with pytest.raises(ValueError, match="none of the 0 recordings"):
        run_row(ROWS["ibl-regions"], tmp_path, tmp_path)


def test_labels_that_no_unit_has_are_named(tmp_path):
    recordings = paper_recordings.save_all("bugeon", tmp_path / "bugeon", n_units=2)
    assert {"EC", "IN"} == set(recordings[0].units["cell_class"])
    for recording in recordings:
        less = replace(recording, units=recording.units.drop(columns="subclass"))
        less.save(tmp_path / "without" / recording.recording_id)
    with pytest.raises(ValueError, match="no unit has a column 'subclass'"):
        run_row(ROWS["bugeon-subclass-inductive"], tmp_path / "without", tmp_path)


def test_an_encoder_that_saw_a_test_session_is_named(tmp_path, monkeypatch):
    paper_recordings.save_all("allen", tmp_path / "allen", n_units=6)
    monkeypatch.setattr(running, "_features", stop)
    with (
        pytest.warns(UserWarning, match="762120172.*tests the 15 that it never saw"),
        pytest.raises(Stopped),
    ):
        run_row(ROWS["allen-cell-types-tiny"], tmp_path / "allen", tmp_path)
