"""The definitions of notebook 11; its readers have `tests/sources`, neighbours `test_retrieval`."""

from dataclasses import replace

import course
import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl

lesson = course.definitions(course.HERE / "11_your_data.py")


# Exercises


def test_a_rig_of_ones_own():
    recording = lesson["read_rig"](
        np.array([500, 100, 900, 200]),
        np.array([7, 7, 3, 9]),
        np.array([[0, 50], [300, 400], [950, 1000]]),
        1000,
        100.0,
        recording_id="r",
        animal_id="a",
    )
    assert recording.units.index.tolist() == [3, 7, 9]
    np.testing.assert_allclose(recording.spike_times(7), [1, 5])
    np.testing.assert_allclose(recording.intervals, [[0.5, 3], [4, 9.5]])


@pytest.mark.parametrize(
    "intervals, options, n_tokens",
    [
        ([[0, 3.5], [5, 8.5]], {}, 3),
        ([[0, 3.5], [5, 8.5]], {"most": 2}, 2),
        ([[0, 9], [10, 11]], {}, 9),  # a tenth of the time is lost, and may be
        ([[0, 9], [10, 11]], {"lost": 0.0}, 1),
        ([[0, 0.9]], {}, 0),
    ],
)
def test_tokens_that_fit(intervals, options, n_tokens):
    assert lesson["tokens_that_fit"](intervals, **options) == n_tokens


# Files, errors


def test_nwb_round_trip(tmp_path, recordings):
    pytest.importorskip("pynwb")
    recording = replace(
        recordings[0],
        units=recordings[0].units.assign(cell_type=[None, *recordings[0].units["cell_type"][1:]]),
    )
    lesson["write_nwb"](recording, tmp_path / "one.nwb", ["cell_type", "area"])
    [back] = lesson["read_nwb"](tmp_path)
    np.testing.assert_array_equal(back.times, recording.times)
    np.testing.assert_array_equal(back.intervals, recording.intervals)
    assert (
        back.units["cell_type"].tolist() == recording.units["cell_type"].tolist()
        and back.animal_id == recording.animal_id
    )
    pd.testing.assert_frame_equal(back.epochs, recording.epochs)


def test_said_catches_notices_and_errors():
    said = lesson["said"]
    assert said(lambda: None) == "nothing"
    assert (
        said(lambda: nl.Recording.load("/no/such"), "/no")
        == "FileNotFoundError: such: nothing there; save a recording to it first."
    )
    assert said(
        lambda: nl.Recording.from_spike_trains([[2.0, 1.0]], recording_id="r", animal_id="a")
    ).startswith("notice: r: sorted")
    with pytest.raises(ZeroDivisionError):
        said(lambda: 1 / 0)
