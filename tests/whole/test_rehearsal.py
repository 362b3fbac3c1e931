"""The whole Allen path in one go, with AllenSDK's real client."""

from importlib.util import find_spec

import pytest
from rehearse_allen import rehearse

import nuclr_lite as nl


@pytest.mark.skipif(find_spec("allensdk") is None, reason="AllenSDK is not installed")
def test_from_listing_to_figure(tmp_path):
    table = rehearse(tmp_path, n_sessions=3, n_units=48, duration_s=120.0, steps=4)
    assert {"NuCLR", "hand: all", "chance"} <= set(table["method"]) and table["estimate"].between(
        0, 1
    ).all()
    saved = [nl.Recording.load(folder) for folder in sorted((tmp_path / "recordings").iterdir())]
    assert len(saved) == 5
    labelled = [
        recording
        for recording in saved
        if "cell_type" in recording.units and recording.units["cell_type"].notna().any()
    ]
    for recording in labelled:
        assert set(recording.units["cell_type"].dropna()) <= {"Pvalb", "Sst", "Vip"}
        assert recording.intervals.max() <= 120.0  # the light comes 300 s later
    assert set(table["n_animals"]) == {len(labelled)} and len(labelled) == 3
    assert (tmp_path / "scores.png").stat().st_size > 5000
    # read where they lie, and nothing left of what was fetched
    assert not list((tmp_path / "cache").glob("session_*/*"))
