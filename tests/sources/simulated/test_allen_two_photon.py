"""Simulated two-photon files: the same cell has the same truth, and types differ in how cells go
together.
"""

import shutil

import h5py
import numpy as np
import pytest
from two_photon_files import dff_of, simulate

from nuclr_lite.sources.simulated.allen_two_photon import simulated_truth


def test_same_cell_same_truth(tmp_path):
    first = simulated_truth(simulate(tmp_path / "a.nwb", n_cells=20))
    second = simulated_truth(
        simulate(tmp_path / "b.nwb", n_cells=20, experiment_id=2, session_type="three_session_C")
    )
    shared = first.index.intersection(second.index)
    assert (
        len(shared) == 14
        and first.loc[shared].equals(second.loc[shared])
        and list(first.index) != list(second.index)
    )
    assert not np.array_equal(dff_of(tmp_path / "a.nwb")[0], dff_of(tmp_path / "b.nwb")[0])
    again = simulate(tmp_path / "c.nwb", n_cells=20)
    np.testing.assert_array_equal(dff_of(again)[0], dff_of(tmp_path / "a.nwb")[0])
    chosen = simulated_truth(
        simulate(tmp_path / "d.nwb", cell_specimen_ids=shared[:5], experiment_id=3)
    )
    assert set(chosen.index) == set(shared[:5]) and chosen.loc[shared[:5]].equals(
        first.loc[shared[:5]]
    )
    other = simulated_truth(simulate(tmp_path / "e.nwb", n_cells=20, seed=1))
    assert not other.loc[shared].equals(first.loc[shared])


def test_types_differ_in_how_cells_go_together(tmp_path):
    """Correlations between cells: weak (excitatory), strong (Pvalb), strong at a lag (Sst), of
    either sign (Vip).
    """
    typical = {}
    for line in ("Cux2-CreERT2", "Pvalb-IRES-Cre", "Sst-IRES-Cre", "Vip-IRES-Cre"):
        truth = simulated_truth(simulate(tmp_path / line, cre_line=line, n_cells=40))
        typical[line.split("-")[0]] = truth[["state_coupling", "state_lag_s", "state_sign"]].agg(
            ["mean", "std"]
        )
    assert (
        typical["Cux2"].loc["mean", "state_coupling"]
        < 0.5
        < 0.8
        < min(typical[line].loc["mean", "state_coupling"] for line in ("Pvalb", "Sst", "Vip"))
    )
    assert typical["Sst"].loc["std", "state_lag_s"] > 0.3 and all(
        typical[line].loc["std", "state_lag_s"] == 0 for line in ("Cux2", "Pvalb", "Vip")
    )
    assert abs(typical["Vip"].loc["mean", "state_sign"]) < 0.5 and all(
        typical[line].loc["std", "state_sign"] == 0 for line in ("Cux2", "Pvalb", "Sst")
    )


def test_simulator_refuses(tmp_path, monkeypatch):
    path = simulate(tmp_path / "a.nwb")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.nwb exists already"):
        simulate(path)
    for options, message in [
        ({"session_type": "three_session_D"}, "three_session_D"),
        ({"duration_s": 10.0}, "at least 60 s"),
        ({"n_cells": 0}, "0 cells"),
    ]:
        with pytest.raises(ValueError, match=message):
            simulate(tmp_path / "b.nwb", **options)
    monkeypatch.setattr(
        "nuclr_lite.sources.simulated.allen_two_photon._write_stimuli", lambda *_: 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        simulate(tmp_path / "b.nwb")
    assert [file.name for file in tmp_path.iterdir()] == ["a.nwb"] and path.read_bytes() == before
    with h5py.File(path) as file:
        assert (
            b"simulated" in file["general/institution"][()]
            and b"nuclr_lite" in file["general/generated_by"][0]
        )
    shutil.copy(path, tmp_path / "c.nwb")
    with h5py.File(tmp_path / "c.nwb", "r+") as file:
        del file["simulation"]
    with pytest.raises(ValueError, match="not written by simulate_allen_experiment"):
        simulated_truth(tmp_path / "c.nwb")
