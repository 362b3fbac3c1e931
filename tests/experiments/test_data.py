"""The data of experiments: which animals learn and which are held out, and files of other kinds."""

import json
import shutil
from dataclasses import replace
from datetime import UTC

import numpy as np
import pytest
import tiny_experiment

import nuclr_lite as nl
from nuclr_lite import experiments
from nuclr_lite.experiments import Experiment, run
from nuclr_lite.experiments.data import part_of, prepare, recordings_of
from nuclr_lite.sources.simulated import WORLDS

# fixtures: pytest looks for them here
saved, experiment = tiny_experiment.saved, tiny_experiment.experiment


def test_fewer_animals_are_among_the_more():
    data = {"learn": [f"animal{k}" for k in range(16)]}
    for seed in range(3):
        assert (
            set(part_of(data, 2, seed))
            < set(part_of(data, 8, seed))
            < set(part_of(data, np.nan, seed))
        )
    assert part_of(data, 4, 0) != part_of(data, 4, 1)


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


def test_sessions_and_recordings_of_an_animal_can_be_held_out(experiment, saved, tmp_path):
    folder = tmp_path / "sessions"
    recordings = [nl.Recording.load(path) for path in sorted(saved.iterdir())]
    for number, recording in enumerate(recordings):  # two animals of three sessions
        replace(
            recording,
            animal_id=f"m{number % 2}",
            provenance=recording.provenance | {"session_id": 100 + number},
        ).save(folder / recording.recording_id)
    few = replace(
        experiment,
        source=str(folder),
        held_out=("103", recordings[4].recording_id),
        seeds=(0,),
        pretraining_animals=(),
        label_animals=(),
        label_shares=(),
    )
    data = prepare(few, tmp_path)
    assert data["learn"] == ["m0", "m1"]
    assert sorted(data["held_out"]) == ["m0, held out", "m1, held out"]
    learned = {one.recording_id for one in recordings_of(data, data["learn"])}
    assert learned == {recordings[i].recording_id for i in (0, 1, 2, 5)}
    table = run(few, tmp_path / "runs")
    scored = experiments.predictions(few, tmp_path / "runs", table.iloc[0])
    assert set(scored.index.get_level_values(0)) == {recordings[i].recording_id for i in (3, 4)}
    # an animal all of whose sessions are named is held out as such
    whole = replace(few, held_out=("101", "103", "105"))
    assert prepare(whole, tmp_path)["held_out"] == ["m1"]
    assert prepare(replace(few, held_out=("m1",)), tmp_path)["held_out"] == ["m1"]
    with pytest.raises(ValueError, match=r"held_out names \['110'\]; name animals .m0, m1."):
        prepare(replace(few, held_out=("103", "110")), tmp_path)


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
    # a held-out animal without a label isn't scored; where none has one, nothing can be
    half = replace(few, name="half", held_out=("animal0-000", "animal0-005"))
    assert run(half, tmp_path / "runs")["n"].eq(12).all()
    with pytest.raises(ValueError, match=r"none of the held-out animals \(animal0-000\)"):
        run(replace(few, name="none", held_out=("animal0-000",)), tmp_path / "runs")
    # and that is said before anything is trained
    trained = set((tmp_path / "runs").glob("encoders/*"))
    other = replace(few, held_out=("animal0-000",), encoders={"NuCLR": {}}, preset="quick")
    for name, label, complaint in (
        ("late", "cell_type", "none of the held-out animals"),
        ("later", "sort", "no unit has a column 'sort'"),
    ):
        with pytest.raises(ValueError, match=complaint):
            run(replace(other, name=name, label=label), tmp_path / "runs")
    assert set((tmp_path / "runs").glob("encoders/*")) == trained


def test_each_world_has_recordings_of_its_own(tmp_path):
    made = {}
    for world in WORLDS:
        experiment = Experiment("e", world=world, n_animals=2, n_held_out=1)
        made[world] = prepare(experiment, tmp_path)
        assert f"({world})" in made[world]["dataset"]
    assert len({one["fingerprint"] for one in made.values()}) == len(WORLDS)
    assert "assembly" in recordings_of(made["assemblies"])[0].units
    with pytest.raises(ValueError, match="no world 'flat'"):
        Experiment("e", world="flat", n_animals=2, n_held_out=1)
