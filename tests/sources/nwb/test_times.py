"""Epochs and valid time of NWB files."""

import numpy as np
import pytest
from nwb_files import PYNWBS_NOTICES, interval_table, with_spikes, write

import nuclr_lite as nl
from nuclr_lite.sources.nwb import read_nwb

pynwb = pytest.importorskip("pynwb")
pytestmark = PYNWBS_NOTICES


def test_intervals_from_tables(tmp_path):
    nwbfile = with_spikes(observed=[[[0, 50]]] * 3)
    for start in np.arange(0.1, 0.95, 0.1):
        nwbfile.add_epoch(start_time=start, stop_time=start + 0.1)  # adjacent, up to rounding
    nwbfile.add_trial(start_time=40.0, stop_time=45.0)
    nwbfile.add_trial(start_time=10.0, stop_time=20.0)
    nwbfile.add_trial(start_time=12.0, stop_time=14.0)
    nwbfile.add_trial(start_time=49.0, stop_time=70.0)
    nwbfile.add_trial(start_time=30.0, stop_time=np.nan)
    nwbfile.add_trial(start_time=35.0, stop_time=34.0)
    nwbfile.add_time_intervals(interval_table("running", [(5, 6), (8, 9)]))
    nwbfile.add_time_intervals(interval_table("afterwards", [(60, 70)]))
    path = write(nwbfile, tmp_path / "a.nwb")
    np.testing.assert_allclose(read_nwb(path, intervals_from="epochs")[0].intervals, [[0.1, 1.0]])
    with pytest.warns(UserWarning, match=r"a\.nwb: left out 2 of 6 rows of 'trials'"):
        [recording] = read_nwb(path, intervals_from="trials")
    np.testing.assert_array_equal(recording.intervals, [[10, 20], [40, 45], [49, 50]])
    np.testing.assert_array_equal(
        read_nwb(path, intervals_from="running")[0].intervals, [[5, 6], [8, 9]]
    )
    tables = r"\['afterwards', 'epochs', 'running', 'trials'\]"
    with pytest.raises(
        ValueError, match=rf"a\.nwb: no table of intervals 'sleep'; there are {tables}"
    ):
        read_nwb(path, intervals_from="sleep")
    with pytest.raises(ValueError, match=r"a\.nwb: table 'afterwards' leaves no valid time"):
        read_nwb(path, intervals_from="afterwards")
    # Without obs_intervals the table alone says, beyond the last spike too.
    nwbfile = with_spikes()
    nwbfile.add_trial(start_time=-2.0, stop_time=200.0)
    np.testing.assert_array_equal(
        read_nwb(write(nwbfile, tmp_path / "b.nwb"), intervals_from="trials")[0].intervals,
        [[-2, 200]],
    )


def test_invalid_times_are_taken_out(tmp_path):
    for name, observed, expected in [
        ("a", None, [[0.5, 20], [30, 60], [61, 99.5]]),
        ("b", [[[0, 25]]] * 3, [[0, 20]]),
    ]:
        nwbfile = with_spikes(observed=observed)
        for start, stop in [(60.0, 61.0), (20.0, 28.0), (25.0, 30.0)]:
            nwbfile.add_invalid_time_interval(start_time=start, stop_time=stop)
        np.testing.assert_array_equal(
            read_nwb(write(nwbfile, tmp_path / f"{name}.nwb"))[0].intervals, expected
        )
    nwbfile = with_spikes()
    nwbfile.add_invalid_time_interval(start_time=0.0, stop_time=1000.0)
    with pytest.raises(ValueError, match=r"c\.nwb: table 'invalid_times' leaves no valid time"):
        read_nwb(write(nwbfile, tmp_path / "c.nwb"))


def test_epochs(tmp_path):
    nwbfile = with_spikes()
    nwbfile.add_epoch(start_time=0.0, stop_time=10.0, tags=["movie", "one"])
    nwbfile.add_epoch(start_time=10.0, stop_time=20.0, tags=["grey"])
    nwbfile.add_epoch(start_time=20.0, stop_time=30.0, tags=[])
    [recording] = read_nwb(write(nwbfile, tmp_path / "tags.nwb"))
    assert recording.epochs.values.tolist() == [
        [0, 10, "movie, one"],
        [10, 20, "grey"],
        [20, 30, "epoch"],
    ]
    # they don't restrict by themselves
    np.testing.assert_array_equal(recording.intervals, [[0.5, 99.5]])
    nl.Recording.load(recording.save(tmp_path / "saved"))
    nwbfile = with_spikes()
    nwbfile.add_epoch_column("label", "what")
    nwbfile.add_epoch(start_time=0.0, stop_time=10.0, label="sleep")
    nwbfile.add_epoch(start_time=10.0, stop_time=np.nan, label="lost")
    with pytest.warns(UserWarning, match="left out 1 of 2 rows of 'epochs'"):
        assert read_nwb(write(nwbfile, tmp_path / "label.nwb"))[0].epochs.values.tolist() == [
            [0, 10, "sleep"]
        ]
    nwbfile = with_spikes()
    nwbfile.add_epoch(start_time=0.0, stop_time=10.0)
    assert read_nwb(write(nwbfile, tmp_path / "none.nwb"))[0].epochs.values.tolist() == [
        [0, 10, "epoch"]
    ]


def test_rows_of_trials_with_photostimulation_are_light(tmp_path):
    """Columns as laboratories have them: texts, N/A, numbers; a power that is there in each row."""
    nwbfile = with_spikes()
    nwbfile.add_trial_column("photostim_onset", "s from the start, or N/A")
    nwbfile.add_trial_column("photostim_power", "mW, as set")
    nwbfile.add_trial_column("outcome", "hit or miss")
    for start, onset in [(10, "N/A"), (20, "0.5000"), (30, "-1.2"), (40, "0"), (50, "nan")]:
        nwbfile.add_trial(
            start_time=float(start),
            stop_time=start + 5.0,
            photostim_onset=onset,
            photostim_power=1.5,
            outcome="hit",
        )
    nwbfile.add_epoch(start_time=0.0, stop_time=90.0, tags=["task"])
    [recording] = read_nwb(write(nwbfile, tmp_path / "a.nwb"))
    assert recording.epochs.values.tolist() == [
        [0, 90, "task"],
        [20, 25, "trials: photostim_onset"],
        [30, 35, "trials: photostim_onset"],
    ]
    found = nl.checks.light(recording)
    assert found.found and found.sentence == "2 of 2 light pulses lie in valid time"


def test_tables_and_series_of_light(tmp_path):
    nwbfile = with_spikes()
    nwbfile.add_time_intervals(interval_table("optogenetic_stimulation", [(60, 60.01), (61, 62)]))
    nwbfile.add_time_intervals(interval_table("running", [(5, 6)]))
    device = nwbfile.create_device("laser")
    site = nwbfile.create_ogen_site(
        name="site", device=device, description="d", excitation_lambda=473.0, location="V1"
    )
    nwbfile.add_stimulus(
        pynwb.ogen.OptogeneticSeries(
            name="ChR2", data=np.zeros(20), site=site, rate=10.0, starting_time=70.0
        )
    )
    stamps = np.array([80.0, 80.5, 82.0])
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="photostim_start_times", data=stamps, unit="s", timestamps=stamps)
    )
    nwbfile.add_acquisition(pynwb.TimeSeries(name="wheel", data=stamps, unit="s", rate=1.0))
    [recording] = read_nwb(write(nwbfile, tmp_path / "a.nwb"))
    assert sorted(recording.epochs.values.tolist()) == [
        [60, 60.01, "optogenetic_stimulation"],
        [61, 62, "optogenetic_stimulation"],
        [70, 72, "optogenetic: ChR2"],
        [80, 82, "photostim_start_times"],
    ]
    assert nl.checks.light(recording).sentence.startswith("4 of 4")


def test_flags_of_light_and_what_is_no_light(tmp_path):
    nwbfile = with_spikes()
    nwbfile.add_trial_column("laser_on", "a flag")
    nwbfile.add_trial_column("led_times", "several a row", index=True)
    for start, flag, times in [(1, True, []), (2, False, []), (3, False, [3.1, 3.2])]:
        nwbfile.add_trial(
            start_time=float(start), stop_time=start + 0.5, laser_on=flag, led_times=times
        )
    [recording] = read_nwb(write(nwbfile, tmp_path / "a.nwb"))
    assert recording.epochs["start_s"].tolist() == [1, 3]
    nwbfile = with_spikes()
    nwbfile.add_trial_column("photostim", "never")
    nwbfile.add_trial_column("daylight", "no light pulse")
    nwbfile.add_trial(start_time=1.0, stop_time=2.0, photostim=0, daylight=1)
    [recording] = read_nwb(write(nwbfile, tmp_path / "b.nwb"))
    assert not len(recording.epochs) and nl.checks.light(recording).found is None
