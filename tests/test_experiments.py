"""Experiments: complete tables, nothing computed twice, nothing of the held-out animals in an
encoder.
"""

import json
import shutil
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl
from nuclr_lite import comparison, experiments
from nuclr_lite.__main__ import main
from nuclr_lite.experiments import Experiment, Method, run, running
from nuclr_lite.experiments.data import part_of
from nuclr_lite.experiments.methods import CHANCE, NETWORK, UNTRAINED
from nuclr_lite.sources import simulated

TINY = dict(
    steps=3,
    dim=8,
    heads=1,
    head_dim=8,
    temporal_layers=1,
    spatiotemporal_layers=1,
    log_every=1,
    checkpoint_every=1,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Six saved animals of 12 units and 60 s."""
    folder = tmp_path_factory.mktemp("saved")
    for recording in nl.simulate_recordings(
        6, config=replace(simulated.SPIKES, duration_s=60.0, n_units=(12, 12))
    ):
        recording.save(folder / recording.recording_id)
    return folder


@pytest.fixture
def experiment(saved):
    return Experiment(
        "tiny",
        source=str(saved),
        n_held_out=2,
        changes=TINY,
        baselines=("hand: rate", UNTRAINED, Method("NuCLR", "shuffled labels"), CHANCE),
        seeds=(0, 1),
        pretraining_animals=(2,),
        label_animals=(2,),
        label_shares=(0.25, 1.0),
        draws=2,
    )


def test_table_is_complete(experiment, tmp_path):
    table = run(experiment, tmp_path)
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
    again = pd.read_csv(tmp_path / "tiny" / "scores.csv")
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    folds = pd.read_csv(tmp_path / "tiny" / "folds.csv")
    assert {"accuracy", "n"} <= set(folds.columns) and "macro_f1" not in folds.columns
    provenance = json.loads((tmp_path / "tiny" / "provenance.json").read_text())
    assert (
        provenance["held_out"] == ["animal0-004", "animal0-005"] and provenance["versions"]["torch"]
    )


def test_scores_are_those_of_the_pooled_predictions(experiment, tmp_path):
    from sklearn.metrics import f1_score

    table = run(
        replace(experiment, seeds=(0,), pretraining_animals=(), label_animals=(), label_shares=()),
        tmp_path,
    ).set_index("method")
    predictions = pd.read_csv(tmp_path / "tiny" / "cells" / "hand-rate_seed0" / "predictions.csv")
    assert f1_score(
        predictions["true"], predictions["predicted"], average="macro"
    ) == pytest.approx(table.loc["hand: rate", "macro_f1"])
    assert set(predictions["animal_id"]) == {"animal0-004", "animal0-005"}


def test_stopped_and_resumed_computes_nothing_twice(experiment, tmp_path, monkeypatch):
    whole = run(experiment, tmp_path / "whole")
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
    pd.testing.assert_frame_equal(run(experiment, tmp_path / "stopped"), whole)
    assert len(computed) == len(experiment.cells()) - 5 and "encoder" not in computed
    computed.clear()
    run(experiment, tmp_path / "stopped")
    assert not computed


def test_processes_change_nothing(experiment, tmp_path):
    few = replace(experiment, seeds=(0,), label_shares=())
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
    first = run(replace(experiment, label_shares=()), tmp_path / "first")
    assert {recording.animal_id for recording in seen} == {f"animal0-00{k}" for k in range(4)}
    other = tmp_path / "other"
    shutil.copytree(experiment.source, other)
    for folder in sorted(other.iterdir())[4:]:
        recording = nl.Recording.load(folder)
        shutil.rmtree(folder)
        replace(recording, times=recording.times[::3], unit_rows=recording.unit_rows[::3]).save(
            folder
        )
    run(replace(experiment, label_shares=(), source=str(other)), tmp_path / "second")
    weights = [
        {
            (path / "encoder.safetensors").read_bytes()
            for path in (tmp_path / name / "encoders").iterdir()
        }
        for name in ("first", "second")
    ]
    assert weights[0] == weights[1] and len(weights[0]) == 4 and len(first)


def test_fewer_animals_are_among_the_more():
    data = {"learn": [f"animal{k}" for k in range(16)]}
    for seed in range(3):
        assert (
            set(part_of(data, 2, seed))
            < set(part_of(data, 8, seed))
            < set(part_of(data, np.nan, seed))
        )
    assert part_of(data, 4, 0) != part_of(data, 4, 1)


def test_drawn_labels_are_stratified():
    labels = pd.Series(
        ["a"] * 80 + ["b"] * 16 + ["c"] * 2, index=pd.MultiIndex.from_product([["r"], range(98)])
    )
    drawn = running.drawn_labels(labels, 0.25, np.random.default_rng(0))
    assert labels.loc[drawn].value_counts().to_dict() == {"a": 20, "b": 4, "c": 1}
    assert set(drawn) != set(running.drawn_labels(labels, 0.25, np.random.default_rng(1)))


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


def test_summary_and_differences(experiment, tmp_path):
    table = run(experiment, tmp_path)
    rows, draws = comparison.summary_and_draws(experiment, tmp_path)
    pd.testing.assert_frame_equal(rows, comparison.summary(experiment, tmp_path))
    assert len(rows) == len(table.groupby(["method", *comparison.PARTS], dropna=False))
    assert (
        rows["n_seeds"]
        == np.where(
            (rows["method"] == "hand: rate") & rows[comparison.PARTS].isna().all(axis=1), 1, 2
        )
    ).all()
    assert draws.shape == (len(rows), 1000) and (rows["low"] <= rows["high"]).all()
    mean = table.groupby(["method", *comparison.PARTS], dropna=False, sort=False)["macro_f1"].mean()
    pd.testing.assert_frame_equal(
        rows[["method", *comparison.PARTS]], mean.index.to_frame(index=False), check_dtype=False
    )
    np.testing.assert_allclose(rows["estimate"], mean)
    full = (
        table[table[comparison.PARTS].isna().all(axis=1)]
        .groupby("method", sort=False)["macro_f1"]
        .mean()
    )
    differences = comparison.against(experiment, tmp_path)
    np.testing.assert_allclose(
        differences["difference"].astype(float), (full["NuCLR"] - full).loc[differences.index]
    )
    assert list(differences.index) == ["hand: rate", UNTRAINED, CHANCE]
    assert set(differences["in words"]) == {"can't tell"}  # two animals prove nothing
    quarter = comparison.against(experiment, tmp_path, label_share=0.25)
    few = table[(table["method"] == "NuCLR") & (table["label_share"] == 0.25)]["macro_f1"].mean()
    # itself with everything is one of the rows
    assert quarter.loc["NuCLR", "difference"] == pytest.approx(few - full["NuCLR"])
    for wrong in (dict(reference="colour"), dict(label_share=0.3), dict(animals=2)):
        with pytest.raises(ValueError, match="no results of"):
            comparison.against(experiment, tmp_path, **wrong)


def test_every_kind_of_method(experiment, tmp_path):
    methods = (
        NETWORK,
        Method("hand: all", "tuned"),
        Method("hand: all", "boosting"),
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


def test_errors(experiment, tmp_path, saved):
    run(
        replace(
            experiment,
            seeds=(0,),
            pretraining_animals=(),
            label_animals=(),
            label_shares=(),
            baselines=(CHANCE,),
            encoders={"NuCLR": {}},
        ),
        tmp_path,
    )
    with pytest.raises(ValueError, match="holds another experiment of the name 'tiny'"):
        run(experiment, tmp_path)
    for wrong, message in (
        ({"protocol": "guess"}, "protocol is 'guess'"),
        ({"preset": "large"}, "no preset 'large'"),
        ({"changes": {"stepps": 3}}, "no preset has"),
        ({"label_shares": (0.0,)}, "shares above 0"),
        ({"seeds": ()}, "at least one"),
        ({"baselines": ("hand: all, tuned",)}, "no features 'hand: all, tuned'"),
        ({"protocol": "transductive"}, "use protocol='inductive zero-shot'"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(experiment, **wrong)
    for wrong, message in (
        ({"source": str(tmp_path)}, "no saved recording"),
        ({"pretraining_animals": (64,)}, "too few"),
        ({"baselines": ("hand: level",)}, "no features 'hand: level'"),
        ({"label": "colour"}, "no column|no unit has a column 'colour'"),
    ):
        with pytest.raises(ValueError, match=message):
            run(
                replace(experiment, name="wrong " + next(iter(wrong)), **wrong),
                tmp_path / next(iter(wrong)),
            )


def test_json_round_trip(experiment):
    assert Experiment.from_json(experiment.to_json()) == experiment


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


def test_each_animal_in_turn(experiment, tmp_path):
    few = replace(
        experiment,
        baselines=("hand: rate",),
        seeds=(0,),
        pretraining_animals=(),
        label_animals=(),
        label_shares=(),
    )
    turns = few.each_animal(["animal0-001", "animal0-003"])
    for one in turns:
        assert run(one, tmp_path)["n"].eq(12).all()
        assert json.loads((tmp_path / one.name / "provenance.json").read_text())[
            "held_out"
        ] == list(one.held_out)
    together = comparison.summary(turns, tmp_path)
    assert together["n_animals"].eq(2).all() and len(list((tmp_path / "encoders").iterdir())) == 2
    with pytest.raises(
        ValueError, match="held_out names .'colour'., but the animals are animal0-000"
    ):
        run(replace(few, name="wrong", held_out=("colour",)), tmp_path)


def test_nwb_files_are_a_source(experiment, tmp_path):
    pynwb = pytest.importorskip("pynwb")
    from datetime import datetime

    folder = tmp_path / "nwb"
    folder.mkdir()
    for animal in "abc":
        file = pynwb.NWBFile(
            animal,
            animal,
            datetime(2026, 1, 1, tzinfo=UTC),
            subject=pynwb.file.Subject(subject_id=animal, species="Mus musculus"),
        )
        file.add_unit_column("kind", "a label")
        rng = np.random.default_rng(ord(animal))
        for unit in range(6):
            file.add_unit(
                spike_times=np.sort(rng.uniform(0, 60, 200)),
                kind="xy"[unit % 2],
                obs_intervals=[[0.0, 60.0]],
            )
        with pynwb.NWBHDF5IO(folder / f"{animal}.nwb", "w") as io:
            io.write(file)
    few = replace(
        experiment,
        source=str(folder),
        label="kind",
        n_held_out=1,
        baselines=("hand: rate",),
        seeds=(0,),
        pretraining_animals=(),
        label_animals=(),
        label_shares=(),
    )
    first = run(few, tmp_path / "runs")
    assert first["n"].eq(6).all() and first["dataset"].eq("nwb").all()
    converted = list((tmp_path / "runs" / "recordings").iterdir())
    run(replace(few, name="again"), tmp_path / "runs")
    assert list((tmp_path / "runs" / "recordings").iterdir()) == converted and len(converted) == 1


def test_command(experiment, tmp_path, capsys):
    file = tmp_path / "tiny.json"
    file.write_text(
        replace(
            experiment,
            source="somewhere",
            seeds=(0,),
            pretraining_animals=(),
            label_animals=(),
            label_shares=(),
            baselines=("hand: rate", CHANCE),
        ).to_json()
    )
    main(
        [
            "run",
            str(file),
            "--source",
            experiment.source,
            "--out",
            str(tmp_path / "runs"),
            "--csv",
            str(tmp_path / "summary.csv"),
        ]
    )
    table = pd.read_csv(tmp_path / "summary.csv")
    assert (
        table["method"].tolist() == ["NuCLR", "hand: rate", CHANCE] * 2
        and table["metric"].nunique() == 2
    )
    assert "can't tell" in capsys.readouterr().out and table["n_animals"].eq(2).all()


def test_only_some_animals_are_labelled(experiment, saved, tmp_path):
    """As in the Allen set: encoders learn from the others, and the classifier leaves one labelled
    animal out in turn.
    """
    folder = tmp_path / "some"
    shutil.copytree(saved, folder)
    for path in sorted(folder.iterdir())[:3]:
        recording = nl.Recording.load(path)
        shutil.rmtree(path)
        replace(recording, units=recording.units.assign(cell_type=None)).save(path)
    few = replace(
        experiment,
        source=str(folder),
        held_out=("labelled",),
        baselines=("hand: rate",),
        seeds=(0,),
        pretraining_animals=(),
        label_animals=(),
        label_shares=(),
    )
    table = run(few, tmp_path / "runs")
    assert table["n"].eq(36).all()
    provenance = json.loads((tmp_path / "runs" / "tiny" / "provenance.json").read_text())
    assert provenance["held_out"] == ["animal0-003", "animal0-004", "animal0-005"] and provenance[
        "learn"
    ] == ["animal0-000", "animal0-001", "animal0-002"]
    assert experiments.predictions(few, tmp_path / "runs", table.iloc[0])["fold"].nunique() == 3
    two = run(replace(few, name="two", classes=("Exc", "Sst")), tmp_path / "runs")
    assert (two["n"] < 36).all() and set(
        experiments.predictions(replace(few, name="two"), tmp_path / "runs", two.iloc[0])["true"]
    ) == {"Exc", "Sst"}


@pytest.mark.parametrize(
    "file",
    sorted((Path(__file__).resolve().parent.parent / "results" / "experiments").glob("*.json")),
    ids=lambda path: path.stem,
)
def test_experiments_that_are_kept_as_files_can_be_read(file):
    kept = Experiment.from_json(file.read_text())
    assert (
        kept.name == file.stem and kept.to_json() + "\n" == file.read_text() and len(kept.cells())
    )
