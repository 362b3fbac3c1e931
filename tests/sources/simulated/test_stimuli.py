"""The simulated stimuli: what is shown when, and what repeats."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl
from nuclr_lite.sources.simulated import SPIKES, populations as simulated

SHORT = replace(SPIKES, duration_s=60.0, n_units=(12, 12), stimulus_block_s=20.0, movie_s=5.0)


def test_the_usual_stimuli_are_what_they_were():
    """Encoders in caches, and published numbers, rest on these recordings: every second block is
    the movie, to the last bit, and the others are untouched.
    """
    drive, movie = np.random.default_rng(0).standard_normal((2, 5500)).astype(np.float32)
    expected, movie = drive.copy(), movie[:500]
    expected[2100:4100] = np.resize((movie - movie.mean()) / movie.std(), 2000)
    epochs = simulated._movie_into(drive, movie, 100, replace(SHORT, duration_s=54.0))
    np.testing.assert_array_equal(drive, expected)
    assert epochs.to_dict("list") == {
        "start_s": [0, 20, 40],
        "stop_s": [20, 40, 54],
        "name": ["spontaneous", "natural_movie", "spontaneous"],
    }


def test_gratings_repeat_every_three_seconds():
    config = replace(SHORT, stimuli=("spontaneous", "natural_movie", "drifting_gratings"))
    drive, movie = np.random.default_rng(0).standard_normal((2, 6000)).astype(np.float32)
    before = drive.copy()
    epochs = simulated._movie_into(drive, movie[:500], 0, config)
    assert epochs["name"].tolist() == list(config.stimuli) and epochs["stop_s"].tolist() == [
        20,
        40,
        60,
    ]
    np.testing.assert_array_equal(drive[:2000], before[:2000])
    gratings = drive[4000:]
    np.testing.assert_array_equal(gratings[300:], gratings[:-300])
    assert np.ptp(gratings[200:300]) == 0 and np.ptp(gratings[:200]) > 1  # 2 s on, 1 s off
    assert gratings[:300].mean() == pytest.approx(0, abs=1e-5) and gratings[
        :300
    ].var() == pytest.approx(1, abs=1e-3)
    same = nl.simulate_recordings(1, config=config)[0].units
    # the same animal, another stimulus
    pd.testing.assert_frame_equal(same, nl.simulate_recordings(1, config=SHORT)[0].units)
    with pytest.raises(ValueError, match="stimuli are .*'silence'.*; give one or more of"):
        nl.simulate_recordings(1, config=replace(SHORT, stimuli=("silence",)))
