"""Set up before anything is imported; recordings that several files use."""

import os

os.environ["TQDM_DISABLE"] = "1"

from dataclasses import replace

import pytest
import torch
from hypothesis import settings

import nuclr_lite as nl
from nuclr_lite.sources import simulated

# An assert in these says what it compared, as one in a test does.
pytest.register_assert_rewrite(
    "helpers", "published_folders", "training_runs", "imaging_files", "readable", "unbreakable"
)
# The models here are tiny: where other programs use the cores, threads that wait for each other
# make them 400 times slower.
torch.set_num_threads(1)
settings.register_profile("tests", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def recordings() -> list[nl.Recording]:
    """Three simulated animals of 12 units and 60 s."""
    return nl.simulate_recordings(
        3, config=replace(simulated.SPIKES, duration_s=60.0, n_units=(12, 12))
    )


@pytest.fixture(scope="session")
def calcium_recordings() -> list[nl.Recording]:
    """Two simulated imaging sessions of 12 units and 120 s."""
    config = replace(simulated.CALCIUM, duration_s=120.0, n_units=(12, 12), frame_rate_hz=4.0)
    return nl.simulate_recordings(2, "calcium", config=config)
