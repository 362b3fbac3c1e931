"""Simulated files of the Allen two-photon set, and copies of one that a test may change."""

import shutil

import h5py
import pytest

from nuclr_lite.sources.allen import client, two_photon, two_photon_file
from nuclr_lite.sources.simulated.allen_two_photon import simulate_allen_experiment

FRAME = 1 / 30


def simulate(path, **options):
    return simulate_allen_experiment(path, **{"n_cells": 8, "duration_s": 60.0, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An experiment without a fault. 8 cells, 60 s from 10 s on."""
    return simulate(
        tmp_path_factory.mktemp("two_photon") / "whole.nwb", session_type="three_session_B"
    )


@pytest.fixture
def edited(whole, tmp_path):
    """A function that copies that file and gives the copy to a function to change."""

    def edit(change):
        path = tmp_path / "edited.nwb"
        shutil.copy(whole, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return edit


def allensdk(module):
    """A module of AllenSDK; skips the test where it is not installed."""
    try:
        return client.import_allensdk(f"allensdk.core.{module}")
    except ImportError as error:
        pytest.skip(str(error))


def dff_of(path):
    with h5py.File(path) as file:
        return (
            file[f"{two_photon_file.DFF}/data"][()],
            file[f"{two_photon_file.DFF}/timestamps"][()],
        )


@pytest.fixture(scope="module")
def container_files(tmp_path_factory):
    """Three sessions of a plane, and one of another."""
    folder = tmp_path_factory.mktemp("container")
    paths = [
        simulate(
            folder / f"{i}.nwb",
            n_cells=10,
            experiment_id=900000001 + i,
            session_type=f"three_session_{letter}",
        )
        for i, letter in enumerate("ABC")
    ]
    return [*paths, simulate(folder / "other.nwb", experiment_id=7, container_id=8)]


@pytest.fixture(scope="module")
def container(container_files):
    return [two_photon.read_experiment(path) for path in container_files]
