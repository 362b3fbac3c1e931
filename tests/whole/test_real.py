"""The whole path on real recordings, a few steps of it. Skips, saying so, without ../shared."""

import numpy as np
import pandas as pd
import pytest
from helpers import shared

import nuclr_lite as nl
from nuclr_lite import baselines
from nuclr_lite.sources.nwb import read_nwb

CASES = {
    "steinmetz_snippets": (
        nl.PRESETS["quick"].with_(
            sample_s=0.01,
            samples_per_token=40,
            tokens_per_window=25,
            grid_s=0.4,
            max_distance_s=60.0,
        ),
        3,
    ),
    "hippocampus_calcium": (
        nl.PRESETS["quick-calcium"].with_(
            sample_s=0.1, samples_per_token=10, tokens_per_window=10, max_distance_s=60.0
        ),
        3,
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("folder", CASES)
def test_from_nwb_to_a_decoded_region(folder):
    preset, n_files = CASES[folder]
    files = sorted(shared("real", folder).glob("*.nwb"))[:n_files]
    recordings = [recording for file in files for recording in read_nwb(file)]
    pretrained = nl.pretrain(
        recordings, preset.with_(steps=4, batch_size=2, log_every=2, checkpoint_every=2)
    )
    embedding = nl.embed(pretrained.encoder, recordings, grid_s=preset.views.grid_s)
    units = pd.concat({r.recording_id: r.units for r in recordings}, names=embedding.index.names)
    assert np.isfinite(embedding.to_numpy()).all() and len(embedding) > 0.9 * len(units)
    sets = {"NuCLR": embedding} | baselines.hand_features(recordings)
    animal = pd.Series(
        [name for r in recordings for name in [r.recording_id] * r.n_units], index=units.index
    )
    if units["region"].nunique() > 1:
        table, _ = nl.score_table(sets, units["region"], animal, protocol="transductive")
        assert table["estimate"].between(0, 1).all()
