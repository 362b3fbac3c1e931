"""Experiments: said in a file or on the command line, and refused where they make no sense."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny_experiment
from helpers import ROOT

import nuclr_lite as nl
from nuclr_lite import comparison
from nuclr_lite.__main__ import main
from nuclr_lite.experiments import Experiment, run
from nuclr_lite.experiments.methods import CHANCE, Method

# fixtures: pytest looks for them here
saved, experiment = tiny_experiment.saved, tiny_experiment.experiment


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
    for features in ("hand: rate", "interval network"):
        with pytest.raises(ValueError, match="would add nothing; use it with an encoder"):
            Method(features, "with hand-crafted features")
    for wrong, message in (
        ({"protocol": "guess"}, "protocol is 'guess'"),
        ({"preset": "large"}, "no preset 'large'"),
        ({"changes": {"stepps": 3}}, "no preset has"),
        ({"label_shares": (0.0,)}, "shares above 0"),
        ({"seeds": ()}, "at least one"),
        ({"source": "simulated", "world": "islands"}, "no world 'islands'; use one of"),
        ({"baselines": ("hand: all, tuned",)}, "no features 'hand: all, tuned'"),
        ({"protocol": "transductive"}, "use protocol='inductive zero-shot'"),
        (
            {"baselines": (Method("NuCLR", "with hand-crafted features"),)},
            "give 'hand: all' as a method, too",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            replace(experiment, **wrong)
    for wrong, message in (
        ({"source": str(tmp_path)}, "no saved recording"),
        ({"pretraining_animals": (64,)}, "too few"),
        ({"baselines": ("hand: level",)}, "no features 'hand: level'"),
        ({"label": "colour"}, "no column|no unit has a column 'colour'"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            run(
                replace(experiment, name="wrong " + next(iter(wrong)), **wrong),
                tmp_path / next(iter(wrong)),
            )


def test_json_round_trip(experiment):
    assert Experiment.from_json(experiment.to_json()) == experiment


def test_each_animal_in_turn(experiment, tmp_path):
    few = replace(
        experiment,
        baselines=("hand: rate",),
        seeds=(0,),
        pretraining_animals=(),
        label_animals=(),
        label_shares=(),
    )
    turns = few.each_group(["animal0-001", ("animal0-003",)])
    for one in turns:
        assert run(one, tmp_path)["n"].eq(12).all()
        assert json.loads((tmp_path / one.name / "provenance.json").read_text())[
            "held_out"
        ] == list(one.held_out)
    together = comparison.summary(turns, tmp_path)
    assert together["n_animals"].eq(2).all() and len(list((tmp_path / "encoders").iterdir())) == 2
    [both] = few.each_group([("animal0-001", "animal0-003")])
    assert both.name == "tiny-without-animal0-001-animal0-003"
    assert run(both, tmp_path)["n"].eq(24).all()
    # from the command line, where the file itself needn't hold anybody out
    (tmp_path / "few.json").write_text(replace(few, name="few", n_held_out=0).to_json())
    main(
        ["run", str(tmp_path / "few.json"), "--out", str(tmp_path), "--csv", f"{tmp_path}/few.csv"]
        + ["--each-group", "animal0-001", "animal0-003"]
    )
    written = pd.read_csv(tmp_path / "few.csv").query("metric == 'macro_f1'")
    np.testing.assert_allclose(written["estimate"], together["estimate"], atol=1e-4)
    with pytest.raises(ValueError, match="held_out names .'colour'.; name animals .animal0-000"):
        run(replace(few, name="wrong", held_out=("colour",)), tmp_path)


def test_within_recordings_what_a_recording_has_in_common_tells_nothing(tmp_path):
    """A label that goes with the recording, but for a few units: the rate, which is shared,
    reads it until recordings are taken by themselves.
    """
    rng, folder = np.random.default_rng(0), tmp_path / "saved"
    for number in range(8):
        rate = 2.0 if number % 2 else 10.0
        kinds = ["slow", "fast"] if number % 2 else ["fast", "slow"]
        trains = [np.sort(rng.uniform(0, 60, rng.poisson(60 * rate))) for _ in range(12)]
        nl.Recording.from_spike_trains(
            trains,
            pd.DataFrame({"kind": kinds[:1] * 9 + (kinds[1:] if number < 6 else kinds[:1]) * 3}),
            recording_id=f"r{number}",
            animal_id=f"a{number}",
        ).save(folder / f"r{number}")
    common = dict(
        label="kind",
        protocol="transductive zero-shot",
        source=str(folder),
        n_held_out=0,
        preset="quick",
        changes={"steps": 1, "warmup_steps": 1, "log_every": 1, "checkpoint_every": 1},
        baselines=("hand: rate",),
    )
    across = run(Experiment("across", **common), tmp_path).set_index("method")
    within = run(Experiment("within", within_recordings=True, **common), tmp_path)
    within = within.set_index("method")
    # two of the eight recordings hold one kind, and don't count
    assert across.loc["hand: rate", "n"] == 96 and within.loc["hand: rate", "n"] == 72
    assert across.loc["hand: rate", "macro_f1"] > 0.7 > 0.6 > within.loc["hand: rate", "macro_f1"]


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
            "--figure",
            str(tmp_path / "summary.png"),
        ]
    )
    assert (tmp_path / "summary.png").stat().st_size > 5000
    table = pd.read_csv(tmp_path / "summary.csv")
    assert (
        table["method"].tolist() == ["NuCLR", "hand: rate", CHANCE] * 2
        and table["metric"].nunique() == 2
    )
    assert "can't tell" in capsys.readouterr().out and table["n_animals"].eq(2).all()


@pytest.mark.parametrize(
    "file",
    sorted((ROOT / "results" / "experiments").glob("*.json")),
    ids=lambda path: path.stem,
)
def test_experiments_that_are_kept_as_files_can_be_read(file):
    kept = Experiment.from_json(file.read_text())
    assert (
        kept.name == file.stem and kept.to_json() + "\n" == file.read_text() and len(kept.cells())
    )
