"""Running experiments: complete tables, nothing computed twice, nothing of the held-out animals in
an encoder.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny_experiment
from tiny_experiment import TINY

import nuclr_lite as nl
from nuclr_lite import experiments
from nuclr_lite.experiments import Method, run, running
from nuclr_lite.experiments.methods import CHANCE, NETWORK

# fixtures: pytest looks for them here
saved, experiment = tiny_experiment.saved, tiny_experiment.experiment


@pytest.fixture(scope="module")
def whole(saved, tmp_path_factory):
    """The whole of it: its folder and its table."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(tiny_experiment.of(saved), folder)


def test_table_is_complete(experiment, whole):
    folder, table = whole
    assert (
        len(table) == len(experiment.cells())
        and not table.duplicated(
            ["method", "seed", "pretraining_animals", "label_animals", "label_share", "draw"]
        ).any()
    )
    # All labels and animals for each of 5 methods, of which one draws nothing; fewer pretraining
    # animals for the encoder, also with shuffled labels, with the labels of all and of the same;
    # fewer labels for all but chance.
    assert len(table) == 2 * (5 + 2 * 2 + 4 + 4 * 2) - 1
    assert (
        table[["macro_f1", "balanced_accuracy"]]
        .apply(lambda column: column.between(0, 1).all())
        .all()
        and (table["n"] == 24).all()
    )
    again = pd.read_csv(folder / "tiny" / "scores.csv")
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    folds = pd.read_csv(folder / "tiny" / "folds.csv")
    assert {"accuracy", "n"} <= set(folds.columns) and "macro_f1" not in folds.columns
    provenance = json.loads((folder / "tiny" / "provenance.json").read_text())
    assert (
        provenance["held_out"] == ["animal0-004", "animal0-005"] and provenance["versions"]["torch"]
    )


def test_scores_are_those_of_the_pooled_predictions(whole):
    from sklearn.metrics import f1_score

    folder, table = whole
    row = table.query("method == 'hand: rate' and label_animals.isna() and label_share.isna()")
    predictions = pd.read_csv(folder / "tiny" / "cells" / "hand-rate_seed0" / "predictions.csv")
    assert f1_score(
        predictions["true"], predictions["predicted"], average="macro"
    ) == pytest.approx(row["macro_f1"].item())
    assert set(predictions["animal_id"]) == {"animal0-004", "animal0-005"}


def test_stopped_and_resumed_computes_nothing_twice(experiment, whole, tmp_path, monkeypatch):
    done = []
    cell, train = running.decode_cell, running.train_encoder

    def stop_after_five(*arguments):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(arguments[1]["method"])
        return cell(*arguments)

    monkeypatch.setattr(running, "decode_cell", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "stopped")
    computed = []
    monkeypatch.setattr(
        running, "decode_cell", lambda *arguments: (computed.append(arguments[1]), cell(*arguments))
    )
    monkeypatch.setattr(
        running, "train_encoder", lambda *arguments: (computed.append("encoder"), train(*arguments))
    )
    pd.testing.assert_frame_equal(run(experiment, tmp_path / "stopped"), whole[1])
    assert len(computed) == len(experiment.cells()) - 5 and "encoder" not in computed
    computed.clear()
    run(experiment, tmp_path / "stopped")
    assert not computed


def test_processes_change_nothing(experiment, tmp_path):
    few = replace(experiment, seeds=(0,), label_shares=(), label_animals=())
    pd.testing.assert_frame_equal(run(few, tmp_path / "one"), run(few, tmp_path / "two", n_jobs=2))


def test_pretraining_never_reaches_a_held_out_animal(experiment, tmp_path, monkeypatch):
    """The list that pretrain gets; and the encoder stays the same, bit for bit, whatever the
    held-out animals hold.
    """
    seen = []
    pretrain = running.pretrain
    monkeypatch.setattr(
        running,
        "pretrain",
        lambda recordings, preset: (seen.extend(recordings), pretrain(recordings, preset))[1],
    )
    few = replace(experiment, label_shares=(), label_animals=(), baselines=(CHANCE,))
    first = run(few, tmp_path / "first")
    assert {recording.animal_id for recording in seen} == {f"animal0-00{k}" for k in range(4)}
    other = tmp_path / "other"
    shutil.copytree(experiment.source, other)
    for folder in sorted(other.iterdir())[4:]:
        recording = nl.Recording.load(folder)
        shutil.rmtree(folder)
        replace(recording, times=recording.times[::3], unit_rows=recording.unit_rows[::3]).save(
            folder
        )
    run(replace(few, source=str(other)), tmp_path / "second")
    weights = [
        {
            (path / "encoder.safetensors").read_bytes()
            for path in (tmp_path / name / "encoders").iterdir()
        }
        for name in ("first", "second")
    ]
    assert weights[0] == weights[1] and len(weights[0]) == 4 and len(first)


def test_drawn_labels_are_stratified():
    labels = pd.Series(
        ["a"] * 80 + ["b"] * 16 + ["c"] * 2, index=pd.MultiIndex.from_product([["r"], range(98)])
    )
    drawn = running.drawn_labels(labels, 0.25, np.random.default_rng(0))
    assert labels.loc[drawn].value_counts().to_dict() == {"a": 20, "b": 4, "c": 1}
    assert set(drawn) != set(running.drawn_labels(labels, 0.25, np.random.default_rng(1)))


def test_across_recordings_another_recording_of_the_animal_is_learned_from(saved, tmp_path):
    folder = tmp_path / "sessions"
    for number, path in enumerate(sorted(saved.iterdir())):  # two animals of three recordings
        recording = replace(nl.Recording.load(path), animal_id=f"m{number % 2}")
        recording.save(folder / path.name)
    across = experiments.Experiment(
        "across", protocol="across recordings", source=str(folder), n_held_out=0, changes=TINY
    )
    across = replace(across, baselines=())
    [row] = run(across, tmp_path / "runs").to_dict("records")
    scored = experiments.predictions(across, tmp_path / "runs", row)
    assert scored.groupby("recording_id")["fold"].nunique().eq(1).all()
    # each of the three parts has one recording of either animal
    assert scored["fold"].nunique() == 3 and set(scored["animal_id"]) == {"m0", "m1"}
    assert scored.groupby("fold")["animal_id"].nunique().eq(2).all()
    with pytest.raises(ValueError, match="each animal has a single recording"):
        run(replace(across, name="single", source=str(saved)), tmp_path / "runs")


@pytest.mark.parametrize("protocol", ["transductive", "transductive zero-shot"])
def test_other_protocols_share_the_encoders(experiment, tmp_path, protocol, monkeypatch):
    """They are scored on the animals that the encoder saw, so nothing is trained anew; without
    held-out animals, on all.
    """
    run(
        replace(experiment, seeds=(0,), pretraining_animals=(), label_animals=(), label_shares=()),
        tmp_path,
    )
    plain = dict(
        protocol=protocol, seeds=(0,), pretraining_animals=(), label_animals=(), label_shares=()
    )
    assert (run(replace(experiment, name="all", n_held_out=0, **plain), tmp_path)["n"] == 72).all()
    monkeypatch.setattr(running, "train_encoder", None)
    assert (run(replace(experiment, name="shared", **plain), tmp_path)["n"] == 48).all()


def test_windows_lie_on_the_grid_in_embedding_too(experiment, tmp_path, monkeypatch):
    grids = []
    embed = running.embed
    monkeypatch.setattr(
        running,
        "embed",
        lambda *arguments, **options: (
            grids.append(options["grid_s"]),
            embed(*arguments, **options),
        )[1],
    )
    run(
        replace(
            experiment,
            changes={**TINY, "grid_s": 0.5},
            baselines=(),
            seeds=(0,),
            pretraining_animals=(),
            label_animals=(),
            label_shares=(),
        ),
        tmp_path,
    )
    assert grids == [0.5]


def test_methods_are_scored_on_the_same_units(experiment, saved, tmp_path):
    """A unit that never fires in a window has no embedding: no method is asked about it."""
    silent = tmp_path / "silent"
    shutil.copytree(saved, silent)
    for folder in silent.iterdir():
        recording = nl.Recording.load(folder)
        shutil.rmtree(folder)
        kept = recording.unit_rows != 3
        replace(recording, times=recording.times[kept], unit_rows=recording.unit_rows[kept]).save(
            folder
        )
    with pytest.warns(UserWarning, match="no spike in any window"):
        table = run(
            replace(
                experiment,
                source=str(silent),
                seeds=(0,),
                pretraining_animals=(),
                label_animals=(),
                label_shares=(),
            ),
            tmp_path,
        )
    assert set(table["n"]) == {22}


def test_every_kind_of_method(experiment, tmp_path):
    methods = (
        NETWORK,
        Method("hand: all", "tuned"),
        Method("hand: all", "boosting"),
        "hand: all",
        Method("NuCLR", "with hand-crafted features"),
        Method("NuCLR", "recording means"),
        "hand: coupling to the population",
    )
    table = run(
        replace(
            experiment,
            baselines=methods,
            seeds=(0,),
            pretraining_animals=(),
            label_animals=(),
            label_shares=(),
        ),
        tmp_path,
    )
    assert (
        table["method"].tolist() == ["NuCLR", *map(str, methods)]
        and table["macro_f1"].between(0, 1).all()
    )


def test_trained_gives_the_encoder_of_the_table_and_trains_it_if_need_be(experiment, tmp_path):
    few = replace(experiment, pretraining_animals=(), label_animals=(), label_shares=())
    first = experiments.trained(few, tmp_path / "first", seed=1)
    recordings, held_out = experiments.recordings(few, tmp_path / "first")
    assert held_out == ["animal0-004", "animal0-005"] and len(recordings) == 6
    table = run(few, tmp_path / "first").query("method == 'NuCLR' and seed == 1").iloc[0]
    units = nl.units_table(recordings)
    again = nl.decode(
        nl.embed(first.encoder, recordings),
        units["cell_type"],
        units["animal_id"],
        test_groups=held_out,
    )
    assert again.score() == pytest.approx(table["macro_f1"])
    with pytest.raises(ValueError, match="no encoder 'colour'; it has NuCLR"):
        experiments.trained(few, tmp_path, "colour")
