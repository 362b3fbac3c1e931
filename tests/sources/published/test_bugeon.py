"""The Bugeon set in its published form: on folders that have the published layout and hold
simulated recordings.
"""

import shutil
import warnings

import numpy as np
import pytest

from nuclr_lite.sources.published import bugeon

TTYPES = [
    "EC",
    "IN",
    "Pvalb-Tac1-Akr1c18",
    "Sst-Calb2-Pdlim5",
    "Vip-Crispld2-Htr2c",
    "Lamp5-Plch2-Dock5",
    "Sncg-Vip-Itih5",
    "Serpinf1-Clrn1",
    "unknown",
    "EC",
    "Sst-Chodl",
    "EC",
]


def bugeon_tree(folder, recording, session="SB025/2019-10-04"):
    """A session as public code reads it: the recording's frames in two experiments, each on a clock
    of its own. Returns where the second begins.
    """
    folder, n, half = folder / session, recording.n_units, len(recording.traces) // 2
    folder.mkdir(parents=True)
    (folder / "neuron.ttype.txt").write_text("\n".join(TTYPES[:n]) + "\n")
    for name, array in [
        ("UniqueID", np.where(np.arange(n) < 2, np.nan, np.arange(n))[:, None]),
        ("plane", np.arange(n)[:, None] % 3),
        ("depth", np.arange(n)[:, None] * 10.0),
        ("stackPosCorrected", np.arange(2 * n).reshape(n, 2)),
    ]:
        np.save(folder / f"neuron.{name}.npy", array)
    jitter = 0.01 * np.sin(np.arange(len(recording.traces)))
    for place, frames, offset in [
        ("Drifting Gratings/01", slice(0, half), 3.5),
        ("Natural Scenes/01", slice(half, None), 0.0),
    ]:
        (folder / place).mkdir(parents=True)
        traces = recording.traces[frames]
        np.save(folder / place / "frame.neuralActivity.npy", traces.astype(np.float64))
        np.save(
            folder / place / "frame.times.npy",
            (
                offset
                + np.arange(len(traces)) / recording.sampling_rate_hz
                + jitter[frames]
                - jitter[frames][0]
            )[:, None],
        )
    return folder, half


def test_bugeon_is_what_was_written(tmp_path, calcium_recordings):
    expected = calcium_recordings[0]
    folder, half = bugeon_tree(tmp_path, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording = bugeon.read_session(folder, gap_s=300)
    assert recording.recording_id == "bugeon-SB025_2019-10-04" and recording.animal_id == "SB025"
    rate = recording.sampling_rate_hz
    assert rate == pytest.approx(expected.sampling_rate_hz, rel=1e-3)
    second = len(recording.traces) - (len(expected.traces) - half)
    assert second - half == np.ceil(300 * rate)
    np.testing.assert_array_equal(recording.traces[:half], expected.traces[:half])
    np.testing.assert_array_equal(recording.traces[second:], expected.traces[half:])
    assert np.isnan(recording.traces[half:second]).all()
    np.testing.assert_allclose(
        recording.intervals * rate, [[0, half], [second, len(recording.traces)]], atol=1e-6
    )
    assert recording.epochs["name"].tolist() == [
        "Drifting Gratings",
        "Natural Scenes",
    ] and recording.epochs["experiment"].tolist() == ["Drifting Gratings/01", "Natural Scenes/01"]
    assert recording.epochs["first_frame_s"].tolist() == [3.5, 0.0]
    assert recording.during("Natural Scenes").intervals.tolist() == [
        recording.intervals[1].tolist()
    ]
    units = recording.units
    assert units["cell_class"].tolist() == ["EC", *["IN"] * 8, "EC", "IN", "EC"]
    assert units["subclass"].tolist() == [
        None,
        None,
        "Pvalb",
        "Sst",
        "Vip",
        "Lamp5",
        "Sncg",
        None,
        None,
        None,
        "Sst",
        None,
    ]
    assert (
        units["unique_id"].isna().tolist() == [True] * 2 + [False] * 10
        and units["plane"].tolist() == [0, 1, 2] * 4
    )
    assert units.loc[3, ["depth", "stack_x", "stack_y"]].tolist() == [30, 6, 7]
    bugeon_tree(tmp_path, calcium_recordings[1], "SB028/2019-11-06")
    assert [r.animal_id for r in bugeon.read_bugeon(tmp_path)] == ["SB025", "SB028"]


def test_bugeon_odd_experiments(tmp_path, calcium_recordings):
    folder, half = bugeon_tree(tmp_path, calcium_recordings[0])
    # public code says of some that their cells are others
    second = folder / "Drifting Gratings" / "02"
    second.mkdir()
    np.save(second / "frame.neuralActivity.npy", np.zeros((50, 5)))
    with pytest.warns(
        UserWarning,
        match=r"02: left out: frame\.neuralActivity\.npy has 5 cells, and neuron\.ttype\.txt 12",
    ):
        assert len(bugeon.read_session(folder).epochs) == 2
    shutil.rmtree(second)
    file = folder / "Drifting Gratings" / "01" / "frame.neuralActivity.npy"
    traces = np.load(file)
    traces[7, 4] = np.nan
    np.save(file, traces)
    with pytest.warns(
        UserWarning,
        match=r"left out 1 of 12 cells whose activity is NaN or infinite somewhere \(first: 4\)",
    ):
        recording = bugeon.read_session(folder)
    assert recording.units.index.tolist() == [0, 1, 2, 3, *range(5, 12)]
    np.testing.assert_array_equal(
        recording.traces[:half], np.delete(calcium_recordings[0].traces[:half], 4, axis=1)
    )
    traces[20:23] = np.nan  # frames without any data are no cell's fault
    np.save(file, traces)
    with pytest.warns(UserWarning) as notices:
        gappy = bugeon.read_session(folder)
    assert gappy.units.index.tolist() == recording.units.index.tolist()
    assert len(gappy.intervals) == len(recording.intervals) + 1
    assert any("left 3 of" in str(notice.message) for notice in notices)
    times = folder / "Natural Scenes" / "01" / "frame.times.npy"
    np.save(times, 2 * np.load(times))
    with pytest.raises(
        ValueError, match="experiments have frame rates of .* Hz; they can't be one recording"
    ):
        bugeon.read_session(folder)


def test_bugeon_bad_files(tmp_path, calcium_recordings):
    with pytest.raises(FileNotFoundError, match="no session in it"):
        bugeon.read_bugeon(tmp_path)
    folder, half = bugeon_tree(tmp_path, calcium_recordings[0])
    first = folder / "Drifting Gratings" / "01"
    np.save(first / "frame.times.npy", np.arange(5.0))
    with pytest.raises(
        ValueError,
        match=(
            rf"frame\.times\.npy: has shape \(5,\) instead of \({half},\); it should hold the time"
            r" of each frame, s, one for all planes"
        ),
    ):
        bugeon.read_session(folder)
    (first / "frame.times.npy").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"frame\.times\.npy: missing; it should hold the time of each frame",
    ):
        bugeon.read_session(folder)
    np.save(folder / "neuron.plane.npy", np.arange(3))
    with pytest.raises(
        ValueError, match=r"neuron\.plane\.npy: has shape \(3,\) instead of \(12,\)"
    ):
        bugeon.read_session(folder)
    (folder / "neuron.ttype.txt").write_text("EC\n\nIN\n")
    with pytest.raises(ValueError, match=r"neuron\.ttype\.txt: has 3 lines, 1 of them empty"):
        bugeon.read_session(folder)
    (folder / "neuron.ttype.txt").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"neuron\.ttype\.txt: missing; it should hold the transcriptomic type",
    ):
        bugeon.read_session(folder)
    (tmp_path / "SB1" / "2020-01-01").mkdir(parents=True)
    (tmp_path / "SB1" / "2020-01-01" / "neuron.ttype.txt").write_text("EC\n")
    with pytest.raises(FileNotFoundError, match="no experiment in it"):
        bugeon.read_session(tmp_path / "SB1" / "2020-01-01")
