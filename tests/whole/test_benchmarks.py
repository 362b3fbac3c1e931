"""What can't be run here on a GPU is at least run."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import ROOT

import nuclr_lite as nl

BENCHMARKS = ROOT / "benchmarks"


@pytest.mark.slow
def test_the_gpu_script_runs_on_a_cpu(tmp_path):
    small = (
        "--preset quick --pairs 1 --recordings 1 --steps 2 --warm-up 2 --workers 0 --device cpu"
        " --out".split()
    )
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), *small, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    tables = {path.stem: pd.read_csv(path) for path in tmp_path.glob("*.csv")}
    assert tables.keys() == {"correctness", "step", "split", "training"}
    exact = (
        tables["correctness"]
        .set_index("precision")
        .loc["float32", ["vectors", "loss", "gradients"]]
    )
    assert (exact.astype(float) < 1e-6).all()
    assert (tables["step"]["seconds"] > 0).all() and tables["training"]["tflop_a_step"].iloc[0] > 0


@pytest.mark.slow
def test_the_rats_script_runs_on_a_cpu_and_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        nl.Recording.from_counts(
            rng.poisson(0.2, (6000, 6)),
            0.01,
            pd.DataFrame({"region": ["M1", "dStr"] * 3}),
            recording_id=f"r{number}",
            animal_id=f"a{number}",
        ).save(tmp_path / "rats" / f"r{number}")
    small = "--preset quick --device cpu --workers 0 --minutes 0.01 --seeds".split()
    command = [sys.executable, str(BENCHMARKS / "gpu_rats.py"), str(tmp_path / "rats"), "--out"]
    for seeds, begun in ((["0"], False), (["0", "1"], True)):
        done = subprocess.run(
            [*command, str(tmp_path), *small, *seeds], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert ("seed 0: in" in done.stdout) == begun
    table = pd.read_csv(tmp_path / "rats.csv")
    assert table["seed"].tolist() == [0, 1] and (table["steps"] >= 20).all()
    assert table[["NuCLR_estimate", "untrained_estimate"]].stack().between(0, 1).all()


@pytest.mark.slow
def test_the_speedrun_prints_what_it_reached(tmp_path):
    few = "--modality spikes --seeds 7 --steps 2 --out".split()
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "speedrun.py"), *few, str(tmp_path / "curves.csv")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves.groupby("recipe")["step"].apply(list).to_dict() == {
        "before": [1, 2],
        "now": [1, 2],
    }
    assert curves["estimate"].between(0, 1).all() and "nan" in done.stdout.lower()
