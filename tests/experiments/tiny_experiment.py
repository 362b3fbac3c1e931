"""An experiment of six small animals and short trainings."""

from dataclasses import replace

import pytest

import nuclr_lite as nl
from nuclr_lite.experiments import Experiment, Method
from nuclr_lite.experiments.methods import CHANCE, UNTRAINED
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
    return of(saved)


def of(saved) -> Experiment:
    """With all that an experiment can have, on the animals saved there."""
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
