"""NWB files, written here with pynwb as different laboratories would, come in as recordings; bad
ones are refused with the remedy.
"""

import gc
import re
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from allen_server import Fault, Server
from helpers import shared
from hypothesis import given
from hypothesis import strategies as st

import nuclr_lite as nl
from nuclr_lite.files.intervals import covered
from nuclr_lite.sources.nwb import read_nwb
from nuclr_lite.sources.nwb.opening import name_in, without_secrets

pynwb = pytest.importorskip("pynwb")
from pynwb.epoch import TimeIntervals
from pynwb.ophys import DfOverF, Fluorescence, ImageSegmentation, RoiResponseSeries

# What pynwb itself says of the files that are wrong on purpose, and of a table that gets its place
# in the file last.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{notice}:UserWarning")
    for notice in (
        "does not share an ancestor",
        "data does not match",
        "Shape of data does not match",
        "has a rate of 0.0 Hz",
    )
]
TRAINS = [np.arange(0.5, 100), np.arange(1.25, 90, 2), np.arange(3.0, 99, 4)]


def new_file(subject_id: str | None = "mouse7", **subject) -> pynwb.NWBFile:
    nwbfile = pynwb.NWBFile("a test", "test-0001", datetime(2020, 1, 1, tzinfo=UTC))
    if subject_id or subject:
        nwbfile.subject = pynwb.file.Subject(subject_id=subject_id, **subject)
    return nwbfile


def write(nwbfile: pynwb.NWBFile, path: Path) -> Path:
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    return path


def with_spikes(nwbfile=None, trains=TRAINS, observed=None, ids=None, **columns) -> pynwb.NWBFile:
    """Units with their spike times; `observed` and each of `columns` has one entry a unit."""
    nwbfile = nwbfile or new_file()
    for name in columns:
        # those that every units table knows
        if name not in ("electrodes", "electrode_group", "waveform_mean"):
            nwbfile.add_unit_column(name, "a label", index=isinstance(columns[name][0], list))
    for i, train in enumerate(trains):
        more = (
            {}
            if observed is None
            else {"obs_intervals": np.array(observed[i], dtype=float).reshape(-1, 2)}
        )
        labels = {name: column[i] for name, column in columns.items()}
        nwbfile.add_unit(spike_times=train, id=i if ids is None else ids[i], **more, **labels)
    return nwbfile


def rois(nwbfile: pynwb.NWBFile, ids=(10, 11, 12), **columns):
    """The ROI table, in a processing module 'ophys'."""
    from pynwb.ophys import OpticalChannel

    device = nwbfile.create_device("microscope")
    channel = OpticalChannel(name="channel", description="green", emission_lambda=510.0)
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="a plane",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP6f",
        location="VISp",
    )
    segmentation = ImageSegmentation()
    nwbfile.create_processing_module("ophys", "calcium").add(segmentation)
    table = segmentation.create_plane_segmentation(
        name="rois", description="cells", imaging_plane=plane
    )
    for name in columns:
        table.add_column(name, "a label")
    for i, roi_id in enumerate(ids):
        table.add_roi(
            pixel_mask=[(i, i, 1.0)],
            id=roi_id,
            **{name: column[i] for name, column in columns.items()},
        )
    return table


def traces_of(table, data, name="traces", rows=None, **timing) -> RoiResponseSeries:
    region = table.create_roi_table_region(
        "all", region=list(range(len(table.id)) if rows is None else rows)
    )
    return RoiResponseSeries(
        name=name, data=data, rois=region, unit="dF/F", **(timing or {"rate": 10.0})
    )


def with_traces(data, nwbfile=None, ids=(10, 11, 12), columns=None, **timing) -> pynwb.NWBFile:
    nwbfile = nwbfile or new_file()
    table = rois(nwbfile, ids, **(columns or {}))
    nwbfile.processing["ophys"].add(
        DfOverF(roi_response_series=traces_of(table, data, **timing), name="DfOverF")
    )
    return nwbfile


def ramp(n_frames=50, n_rois=3) -> np.ndarray:
    """Traces that tell their frame and ROI: 10 frame + ROI."""
    return (10.0 * np.arange(n_frames)[:, None] + np.arange(n_rois)).astype(np.float32)


def interval_table(name, rows) -> TimeIntervals:
    table = TimeIntervals(name=name, description="when")
    for start, stop in rows:
        table.add_interval(start_time=float(start), stop_time=float(stop))
    return table


# Spikes


def test_spikes_with_all_kinds_of_columns(tmp_path):
    nwbfile = new_file(species="Mus musculus", genotype="Pvalb-Cre", sex="F", age="P90D")
    device = nwbfile.create_device("Neuropixels")
    groups = [
        nwbfile.create_electrode_group(f"probe{name}", "d", "cortex", device) for name in "AB"
    ]
    for location in ("VISp", "VISp", "CA1"):
        nwbfile.add_electrode(location=location, group=groups[0])
    with_spikes(
        nwbfile,
        observed=[[[0, 100]]] * 3,
        ids=[7, 3, 5],
        quality=["good", "", "mua"],
        depth=[10.5, np.nan, 30.0],
        cluster=[4, 5, 6],
        flag=[True, False, True],
        unit_id=[91, 92, 93],
        position=[np.zeros(3)] * 3,
        tags=[["a"], ["a", "b"], ["b"]],
        electrodes=[[0, 1], [1, 2], [2]],
        electrode_group=[groups[0], groups[0], groups[1]],
        waveform_mean=[np.zeros((5, 2))] * 3,
    )
    [recording] = read_nwb(write(nwbfile, tmp_path / "session.nwb"))
    assert (
        recording.modality,
        recording.recording_id,
        recording.animal_id,
        recording.probe_id,
    ) == ("spikes", "session", "mouse7", None)
    assert list(recording.units.index) == [7, 3, 5]
    assert {
        name: list(column) for name, column in recording.units.drop(columns="depth").items()
    } == {
        "quality": ["good", None, "mua"],
        "cluster": [4, 5, 6],
        "flag": [True, False, True],
        "unit_id_in_file": [91, 92, 93],
        "electrode_location": ["VISp", None, "CA1"],
        "electrode_group": ["probeA", "probeA", "probeB"],
    }
    np.testing.assert_array_equal(recording.units["depth"], [10.5, np.nan, 30.0])
    for unit_id, train in zip([7, 3, 5], TRAINS):
        np.testing.assert_array_equal(recording.spike_times(unit_id), train)
    assert recording.times.dtype == np.float64
    np.testing.assert_array_equal(recording.intervals, [[0, 100]])
    assert recording.provenance == {
        "source": "nwb",
        "file": "session.nwb",
        "identifier": "test-0001",
        "session_description": "a test",
        "subject": {"species": "Mus musculus", "genotype": "Pvalb-Cre", "sex": "F", "age": "P90D"},
    }
    assert len(recording.epochs) == 0
    again = nl.Recording.load(recording.save(tmp_path / "saved"))
    assert again.units.equals(recording.units) and again.provenance == recording.provenance


def test_valid_is_what_all_units_share(tmp_path):
    observed = [[[0, 40], [50, 100]], [[10, 60], [60, 90]], [[0, 100]]]
    [recording] = read_nwb(write(with_spikes(observed=observed), tmp_path / "a.nwb"))
    np.testing.assert_array_equal(recording.intervals, [[10, 40], [50, 90]])
    assert (
        recording.n_spikes_outside == sum(len(train) for train in TRAINS) - len(recording.times) > 0
    )
    [recording] = read_nwb(write(with_spikes(), tmp_path / "b.nwb"))
    # no obs_intervals: first to last spike
    np.testing.assert_array_equal(recording.intervals, [[0.5, 99.5]])


@pytest.mark.parametrize(
    "observed, problem",
    [
        ([[[0, 40]], [[0, 50]], [[40, 90]]], "share no time"),
        ([[[0, 40]], [[0, 50]], []], "are empty"),
    ],
)
def test_no_time_observed_by_all_units(tmp_path, observed, problem):
    path = write(with_spikes(observed=observed, ids=[20, 21, 22]), tmp_path / "a.nwb")
    with pytest.raises(
        ValueError, match=rf"a\.nwb: the obs_intervals of unit 22 {problem}.*probe_column.*keep="
    ):
        read_nwb(path)
    assert read_nwb(path, keep="unit_id < 22")[0].n_units == 2  # the remedy works


def test_obs_intervals_that_are_all_empty_say_nothing(tmp_path):
    [recording] = read_nwb(write(with_spikes(observed=[[], [], []]), tmp_path / "a.nwb"))
    np.testing.assert_array_equal(recording.intervals, [[0.5, 99.5]])


def test_label_columns(tmp_path):
    path = write(
        with_spikes(area=["V1", "V1", "LM"], layer=["4", "5", "6"], vector=[np.zeros(2)] * 3),
        tmp_path / "a.nwb",
    )
    assert list(read_nwb(path)[0].units) == ["area", "layer"]
    assert (
        list(read_nwb(path, label_columns=("layer",))[0].units)
        == list(read_nwb(path, label_columns="layer")[0].units)
        == ["layer"]
    )
    assert list(read_nwb(path, label_columns=())[0].units) == []
    for name in ("depth", "vector", "spike_times"):
        with pytest.raises(ValueError, match=rf"a\.nwb: no column '{name}'.*\['area', 'layer'\]"):
            read_nwb(path, label_columns=("area", name))


def test_animal(tmp_path):
    labels = dict(mouse=["m1"] * 3, number=[5.0] * 3, area=["V1", "V1", "LM"], gaps=["", "", ""])
    path = write(with_spikes(**labels), tmp_path / "a.nwb")
    assert read_nwb(path)[0].animal_id == "mouse7"
    assert read_nwb(path, animal="mouse")[0].animal_id == "m1"
    assert read_nwb(path, animal="number")[0].animal_id == "5"
    assert read_nwb(path, animal="somebody")[0].animal_id == "somebody"
    for name in ("area", "gaps"):
        with pytest.raises(
            ValueError,
            match=rf"a\.nwb: column '{name}' has the values .*one animal a file.*animal='an id'",
        ):
            read_nwb(path, animal=name)
    assert read_nwb(path, animal="area", keep="area == 'LM'")[0].animal_id == "LM"
    for number, subject in enumerate([{}, {"species": "Mus musculus"}]):
        path = write(with_spikes(new_file(None, **subject)), tmp_path / f"{number}.nwb")
        with pytest.raises(
            ValueError, match=rf"{number}\.nwb: has no subject_id; give animal='an id'"
        ):
            read_nwb(path)
        assert read_nwb(path, animal="x")[0].animal_id == "x"


def test_one_recording_a_probe(tmp_path):
    nwbfile = with_spikes(
        trains=TRAINS + TRAINS[:1],
        observed=[[[0, 50]], [[40, 100]], [[0, 60]], [[30, 90]]],
        probe=["B", "A", "B", "A"],
        shank=[1.0, 2.0, 1.0, np.nan],
    )
    path = write(nwbfile, tmp_path / "a.nwb")
    one, two = read_nwb(path, probe_column="probe")
    assert [(r.recording_id, r.probe_id, list(r.units.index)) for r in (one, two)] == [
        ("a-B", "B", [0, 2]),
        ("a-A", "A", [1, 3]),
    ]
    np.testing.assert_array_equal(one.intervals, [[0, 50]])  # each from its own units
    np.testing.assert_array_equal(two.intervals, [[40, 90]])
    np.testing.assert_array_equal(
        two.spike_times(3), TRAINS[0][(TRAINS[0] >= 40) & (TRAINS[0] <= 90)]
    )
    assert list(read_nwb(path, probe_column="probe", label_columns=("shank",))[0].units) == [
        "shank"
    ]
    assert [r.probe_id for r in read_nwb(path, probe_column="shank", keep="shank == shank")] == [
        "1",
        "2",
    ]
    with pytest.raises(
        ValueError, match=r"a\.nwb: 1 units have no value in probe_column='shank'.*keep="
    ):
        read_nwb(path, probe_column="shank")
    with pytest.raises(ValueError, match=r"a\.nwb: no column 'port'.*'probe'"):
        read_nwb(path, probe_column="port")


def test_keep(tmp_path):
    path = write(
        with_spikes(quality=["good", "noise", "good"], depth=[1.0, 2.0, 300.0]), tmp_path / "a.nwb"
    )
    [recording] = read_nwb(path, keep="quality == 'good' and depth > 100")
    assert list(recording.units.index) == [2]
    np.testing.assert_array_equal(recording.times, TRAINS[2])
    for bad, message in [
        ("qualty == 'good'", "failed.*qualty.*'quality', 'depth'"),
        ("depth >", "failed"),
        ("1", "failed"),
        ("depth", "gives no True or False"),
        ("depth > 999", "none of its 3 units; loosen it"),
    ]:
        with pytest.raises(ValueError, match=rf"a\.nwb: keep={bad!r} .*{message}"):
            read_nwb(path, keep=bad)


def test_no_units_and_no_spikes(tmp_path):
    nwbfile = new_file()
    nwbfile.units = pynwb.misc.Units(name="units", description="none")
    with pytest.raises(ValueError, match="holds no spikes and no calcium"):
        read_nwb(write(nwbfile, tmp_path / "a.nwb"))
    with pytest.raises(ValueError, match="b: no unit has a spike"):
        read_nwb(write(with_spikes(trains=[[], []]), tmp_path / "b.nwb"))
    with pytest.raises(ValueError, match="c: unit 1 has 1 NaN"):
        read_nwb(write(with_spikes(trains=[[1.0], [np.nan]]), tmp_path / "c.nwb"))


def test_one_electrode_a_unit_without_an_index(tmp_path):
    """As some exporters write it: `electrodes` is a plain reference into the electrodes table."""
    nwbfile = new_file()
    group = nwbfile.create_electrode_group(
        "probe", "d", "cortex", nwbfile.create_device("Neuropixels")
    )
    for location in ("VISp", "CA1"):
        nwbfile.add_electrode(location=location, group=group)
    path = write(with_spikes(nwbfile, electrodes=[[1], [0], [1]]), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        del file["units/electrodes_index"]
    [recording] = read_nwb(path)
    assert recording.units["electrode_location"].tolist() == ["CA1", "VISp", "CA1"]


def test_float32_and_unsorted_times(tmp_path):
    path = write(with_spikes(), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        times, attributes = file["units/spike_times"][:], dict(file["units/spike_times"].attrs)
        times[[0, 1]] = times[[1, 0]]
        del file["units/spike_times"]
        file["units"].create_dataset("spike_times", data=times.astype(np.float32)).attrs.update(
            attributes
        )
        file["units/spike_times_index"].attrs["target"] = file["units/spike_times"].ref
    with pytest.warns(
        UserWarning, match="a: sorted the spike times of 1 units that were not in order"
    ):
        [recording] = read_nwb(path)
    assert recording.times.dtype == np.float64
    np.testing.assert_array_equal(recording.spike_times(0), TRAINS[0])
    np.testing.assert_array_equal(recording.intervals, [[0.5, 99.5]])


def test_unicode(tmp_path):
    path = write(
        with_spikes(new_file("souris_é"), **{"aire corticale": ["V1é", "皮层", "V1é"]}),
        tmp_path / "séance 1.nwb",
    )
    [recording] = read_nwb(path, keep="`aire corticale` == 'V1é'")
    assert (recording.recording_id, recording.animal_id) == ("séance 1", "souris_é")
    assert recording.units["aire corticale"].to_dict() == {0: "V1é", 2: "V1é"}
    again = nl.Recording.load(recording.save(tmp_path / "saved"))
    assert again.units.equals(recording.units) and again.animal_id == "souris_é"


# Valid time and epochs


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


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=8), st.integers(1, 3))
def test_covered_is_counting(intervals, depth):
    """On a grid of half steps: between whole numbers an interval covers a half step or not."""
    found = covered(np.array(intervals, dtype=float).reshape(-1, 2), depth)
    middles = np.arange(12) + 0.5
    expected = (
        sum((middles > start) & (middles < stop) for start, stop in intervals) >= depth
        if intervals
        else np.zeros(12, bool)
    )
    np.testing.assert_array_equal(
        [any(start < m < stop for start, stop in found) for m in middles], expected
    )
    assert (found[:, 1] > found[:, 0]).all() and (found[1:, 0] > found[:-1, 1]).all()


# Calcium


def test_calcium_with_a_rate(tmp_path):
    columns = dict(region=["CA1", "CA3", "CA1"], snr=[1.0, 2.0, 3.0])
    nwbfile = with_traces(ramp(), columns=columns, rate=10.0, starting_time=2.0)
    nwbfile.add_epoch(start_time=2.0, stop_time=4.0, tags=["running"])
    path = write(nwbfile, tmp_path / "a.nwb")
    [recording] = read_nwb(path)
    assert (
        recording.modality,
        recording.recording_id,
        recording.animal_id,
        recording.probe_id,
    ) == ("calcium", "a", "mouse7", None)
    assert (recording.sampling_rate_hz, recording.start_s) == (10.0, 2.0)
    np.testing.assert_array_equal(recording.traces, ramp())
    np.testing.assert_array_equal(recording.intervals, [[2.0, 7.0]])
    assert recording.units.index.tolist() == [10, 11, 12] and list(recording.units) == [
        "region",
        "snr",
        "imaging_plane",
        "imaging_plane_location",
    ]  # no pixel_mask
    assert recording.units["region"].tolist() == columns["region"]
    assert recording.epochs.values.tolist() == [[2, 4, "running"]]
    assert recording.provenance["series"] == "ophys/DfOverF/traces"
    [part] = read_nwb(
        path,
        keep="region == 'CA1'",
        label_columns=("snr",),
        intervals_from="epochs",
        animal="somebody",
    )
    np.testing.assert_array_equal(part.traces, ramp()[:, [0, 2]])
    assert (
        part.units.index.tolist() == [10, 12]
        and part.intervals.tolist() == [[2, 4]]
        and part.animal_id == "somebody"
    )
    with pytest.raises(
        ValueError, match=r"a\.nwb: probe_column='region' means nothing for calcium"
    ):
        read_nwb(path, probe_column="region")


def test_rois_conversion_and_integers(tmp_path):
    """ROIs in another order than their table, values stored as integers with a factor."""
    nwbfile = new_file()
    table = rois(nwbfile, region=["a", "b", "c"])
    series = RoiResponseSeries(
        name="traces",
        data=ramp(50, 2).astype(np.int16),
        unit="dF/F",
        rate=10.0,
        conversion=0.5,
        offset=1.0,
        rois=table.create_roi_table_region("some", region=[2, 0]),
    )
    nwbfile.processing["ophys"].add(series)
    [recording] = read_nwb(write(nwbfile, tmp_path / "a.nwb"))
    assert recording.units["region"].to_dict() == {12: "c", 10: "a"}
    np.testing.assert_array_equal(recording.traces, ramp(50, 2) * 0.5 + 1)


@pytest.mark.parametrize("where", ["module", "acquisition", "fluorescence"])
def test_series_are_found_wherever_they_are(tmp_path, where):
    nwbfile = new_file()
    series = traces_of(rois(nwbfile), ramp())
    if where == "acquisition":
        nwbfile.add_acquisition(series)
    else:
        nwbfile.processing["ophys"].add(
            series if where == "module" else Fluorescence(roi_response_series=series)
        )
    [recording] = read_nwb(write(nwbfile, tmp_path / "a.nwb"))
    np.testing.assert_array_equal(recording.traces, ramp())


def test_which_series(tmp_path):
    nwbfile = new_file()
    table = rois(nwbfile)
    raw, corrected = (
        traces_of(table, ramp() + k, name) for k, name in enumerate(["raw", "corrected"])
    )
    nwbfile.processing["ophys"].add(Fluorescence(roi_response_series=[raw, corrected]))
    path = write(nwbfile, tmp_path / "two.nwb")
    places = r"\['ophys/Fluorescence/corrected', 'ophys/Fluorescence/raw'\]"
    with pytest.raises(
        ValueError, match=rf"two\.nwb: there are several series.*series='name' one of {places}"
    ):
        read_nwb(path)
    with pytest.raises(
        ValueError, match=rf"two\.nwb: there are 0 series of traces called 'aw'.*{places}"
    ):
        read_nwb(path, series="aw")
    for name in ("corrected", "Fluorescence/corrected", "ophys/Fluorescence/corrected"):
        assert read_nwb(path, series=name)[0].traces[0, 0] == 1
    nwbfile = new_file()
    table = rois(nwbfile)
    raw, corrected, dff = (
        traces_of(table, ramp() + k, name)
        for k, name in enumerate(["traces", "corrected", "traces"])
    )
    nwbfile.processing["ophys"].add(Fluorescence(roi_response_series=[raw, corrected]))
    nwbfile.processing["ophys"].add(DfOverF(roi_response_series=dff))
    path = write(nwbfile, tmp_path / "dff.nwb")
    assert read_nwb(path)[0].traces[0, 0] == 2  # dF/F wins
    assert read_nwb(path, series="Fluorescence/traces")[0].traces[0, 0] == 0
    with pytest.raises(ValueError, match=r"dff\.nwb: there are 2 series of traces called 'traces'"):
        read_nwb(path, series="traces")


def with_planes() -> pynwb.NWBFile:
    """Two planes of two and three ROIs, the second in another area and half a frame later; ramps
    that begin at 0 and 1000.
    """
    from pynwb.ophys import OpticalChannel

    nwbfile = new_file()
    device, series = nwbfile.create_device("microscope"), []
    segmentation = ImageSegmentation()
    nwbfile.create_processing_module("ophys", "calcium").add(segmentation)
    for i, location in enumerate(["VISp", "VISl"]):
        channel = OpticalChannel(name="channel", description="green", emission_lambda=510.0)
        plane = nwbfile.create_imaging_plane(
            name=f"depth{i}",
            optical_channel=channel,
            description="a plane",
            device=device,
            excitation_lambda=920.0,
            indicator="GCaMP6f",
            location=location,
        )
        table = segmentation.create_plane_segmentation(
            name=f"rois{i}", description="cells", imaging_plane=plane
        )
        table.add_column("good", "a label")
        for k in range(2 + i):
            table.add_roi(pixel_mask=[(k, k, 1.0)], good=k > 0)
        series.append(
            traces_of(
                table,
                ramp(n_rois=2 + i) + 1000 * i,
                f"traces{i}",
                rate=10.0,
                starting_time=0.05 * i,
            )
        )
    nwbfile.processing["ophys"].add(DfOverF(roi_response_series=series))
    nwbfile.processing["ophys"].add(
        Fluorescence(roi_response_series=traces_of(table, ramp() + 5000, "raw"))
    )
    return nwbfile


def test_several_planes(tmp_path):
    path = write(with_planes(), tmp_path / "planes.nwb")
    with pytest.raises(
        ValueError,
        match=(
            r"several series.*series='name' one of .*DfOverF/traces0.*container.*one recording each"
        ),
    ):
        read_nwb(path)
    for series in (
        "DfOverF",
        "ophys/DfOverF",
        ["traces0", "traces1"],
        ("DfOverF/traces0", "DfOverF"),
    ):
        first, second = read_nwb(path, series=series)
        assert (first.recording_id, second.recording_id) == ("planes-depth0", "planes-depth1")
        assert (
            first.units["imaging_plane"].tolist() == ["depth0"] * 2
            and second.units["imaging_plane"].tolist() == ["depth1"] * 3
        )
        assert second.units["imaging_plane_location"].tolist() == ["VISl"] * 3
        np.testing.assert_array_equal(second.traces, ramp() + 1000)
        assert (first.start_s, second.start_s) == (0.0, 0.05) and second.provenance[
            "series"
        ] == "ophys/DfOverF/traces1"
    [alone] = read_nwb(path, series="traces1", keep="good", label_columns="imaging_plane_location")
    assert alone.recording_id == "planes" and list(alone.units) == ["imaging_plane_location"]
    np.testing.assert_array_equal(alone.traces, ramp()[:, 1:] + 1000)
    assert [r.n_units for r in read_nwb(path, series="DfOverF", keep="good")] == [1, 2]
    # One plane, two signals: told apart by the series' names.
    assert [r.recording_id for r in read_nwb(path, series=["raw", "traces1"])] == [
        "planes-raw",
        "planes-traces1",
    ]
    for series, problem in [
        ("OverF", "0 series of traces called 'OverF'"),
        (["traces0", "nothing"], "0 series of traces called 'nothing'"),
        ([], "no series chosen"),
    ]:
        with pytest.raises(ValueError, match=problem):
            read_nwb(path, series=series)
    with pytest.raises(
        ValueError,
        match=r"planes\.nwb: ophys/DfOverF/traces0: keep=.* holds for none of its 2 units",
    ):
        read_nwb(path, series="DfOverF", keep="imaging_plane == 'depth1'")


def test_a_file_that_suite2p_wrote(tmp_path):
    """All planes in one ROI table, series called by the plane, `iscell` of two columns."""
    nwbfile = new_file()
    table = rois(nwbfile, range(5))
    table.add_column(
        "iscell",
        "two columns - iscell & probcell",
        data=np.array([[1, 0.9], [0, 0.2], [1, 0.8], [0, 0.1], [1, 0.7]]),
    )
    for k, name in enumerate(["Fluorescence", "Deconvolved"]):
        planes = [
            traces_of(table, ramp(n_rois=len(rows)) + 100 * k, f"plane{i}", rows)
            for i, rows in [(10, [3, 4]), (9, [0, 1, 2])]
        ]
        nwbfile.processing["ophys"].add(Fluorescence(roi_response_series=planes, name=name))
    path = write(nwbfile, tmp_path / "a.nwb")
    first, second = read_nwb(path, series="Deconvolved", keep="is_cell")
    assert (first.recording_id, second.recording_id) == ("a-plane9", "a-plane10")
    assert first.units["cell_probability"].to_dict() == {0: 0.9, 2: 0.8} and second.units[
        "cell_probability"
    ].to_dict() == {4: 0.7}
    np.testing.assert_array_equal(first.traces, ramp()[:, [0, 2]] + 100)


def test_timestamps_without_gaps(tmp_path):
    """Rounded to 1 ms, 30 Hz frames have a median step that is 1 % off; jitter of a fifth of a
    frame moves none.
    """
    for name, timestamps in [
        ("exact", 5 + np.arange(3000) / 30),
        ("rounded", np.round(5 + np.arange(3000) / 30, 3)),
        ("jitter", 5 + (np.arange(3000) + 0.2 * np.sin(np.arange(3000))) / 30),
    ]:
        [recording] = read_nwb(
            write(with_traces(ramp(3000), timestamps=timestamps), tmp_path / f"{name}.nwb")
        )
        np.testing.assert_array_equal(recording.traces, ramp(3000))
        assert (
            recording.sampling_rate_hz == pytest.approx(30, rel=1e-4)
            and recording.start_s == timestamps[0]
        )
        np.testing.assert_allclose(recording.intervals, [[5, 105]], atol=0.01)


def test_timestamps_with_gaps(tmp_path):
    present = np.r_[0:10, 13:30, 50:60]
    nwbfile = with_traces(ramp(60)[present], timestamps=2 + present / 4 + 0.01 * np.cos(present))
    nwbfile.add_trial(start_time=4.0, stop_time=6.0)
    nwbfile.add_time_intervals(interval_table("pause", [(4.6, 5.1)]))
    path = write(nwbfile, tmp_path / "a.nwb")
    [recording] = read_nwb(path)
    start = recording.start_s
    assert start == pytest.approx(2.01) and recording.sampling_rate_hz == pytest.approx(4, rel=1e-2)
    np.testing.assert_array_equal(
        np.isfinite(recording.traces).all(axis=1), np.isin(np.arange(60), present)
    )
    np.testing.assert_array_equal(recording.traces[present], ramp(60)[present])
    expected = start + np.array([[0, 10], [13, 30], [50, 60]]) / recording.sampling_rate_hz
    np.testing.assert_allclose(recording.intervals, expected)
    np.testing.assert_allclose(
        read_nwb(path, intervals_from="trials")[0].intervals,
        [[4, expected[0, 1]], [expected[1, 0], 6]],
    )
    with pytest.raises(ValueError, match="table 'pause' leaves no valid time"):
        read_nwb(path, intervals_from="pause")


def test_bad_timestamps_and_rate(tmp_path):
    for name, timestamps in [
        ("back", np.r_[np.arange(49), 3.0]),
        ("nan", np.r_[np.arange(49), np.nan]),
    ]:
        with pytest.raises(
            ValueError,
            match=(
                rf"{name}\.nwb: ophys/DfOverF/traces needs one timestamp a frame.*1 of them not"
                r" later"
            ),
        ):
            read_nwb(write(with_traces(ramp(), timestamps=timestamps), tmp_path / f"{name}.nwb"))
    path = write(with_traces(ramp(), timestamps=np.arange(50.0)), tmp_path / "short.nwb")
    with h5py.File(path, "r+") as file:
        group = file["processing/ophys/DfOverF/traces"]
        del group["timestamps"]
        group["timestamps"] = np.arange(40.0)
        group["timestamps"].attrs.update({"interval": np.int32(1), "unit": "seconds"})
    with (
        pytest.warns(UserWarning, match="does not match length of timestamps"),
        pytest.raises(ValueError, match="has 40 for 50 frames"),
    ):
        read_nwb(path)
    # another clock half-way: no memory holds that grid
    jump = np.r_[np.arange(25) / 10, 1.7e9 + np.arange(25) / 10]
    with pytest.raises(
        ValueError,
        match=(
            r"jump\.nwb: ophys/DfOverF/traces has 50 frames in 1\.7e\+09 s.*check that its"
            r" timestamps"
        ),
    ):
        read_nwb(write(with_traces(ramp(), timestamps=jump), tmp_path / "jump.nwb"))
    path = write(with_traces(ramp()), tmp_path / "rate.nwb")
    with h5py.File(path, "r+") as file:
        file["processing/ophys/DfOverF/traces/starting_time"].attrs["rate"] = 0.0
    with pytest.raises(ValueError, match=r"rate\.nwb: ophys/DfOverF/traces has a rate of 0.0 Hz"):
        read_nwb(path)


def test_shapes_of_traces(tmp_path):
    with pytest.warns(
        UserWarning, match=r"a\.nwb: ophys/DfOverF/traces is stored as \(ROIs, frames\)"
    ):
        np.testing.assert_array_equal(
            read_nwb(write(with_traces(ramp().T), tmp_path / "a.nwb"))[0].traces, ramp()
        )
    with pytest.raises(
        ValueError, match=r"b\.nwb: ophys/DfOverF/traces has shape \(50, 4\) for 3 ROIs"
    ):
        read_nwb(write(with_traces(ramp(50, 4)), tmp_path / "b.nwb"))
    # one ROI, stored flat
    [recording] = read_nwb(write(with_traces(ramp()[:, 0], ids=(4,)), tmp_path / "c.nwb"))
    np.testing.assert_array_equal(recording.traces, ramp()[:, :1])


def test_nan_frames_are_for_the_recording_to_refuse_or_to_leave_out(tmp_path):
    data = ramp()
    data[20:30, 1] = np.nan
    with pytest.raises(ValueError, match="a: frame 20 .* of unit 11 is NaN"):
        read_nwb(write(with_traces(data), tmp_path / "a.nwb"))
    nwbfile = with_traces(data)
    nwbfile.add_invalid_time_interval(start_time=2.0, stop_time=3.0)
    np.testing.assert_array_equal(
        read_nwb(write(nwbfile, tmp_path / "b.nwb"))[0].intervals, [[0, 2], [3, 5]]
    )


# Files


def test_both_or_neither(tmp_path):
    both = write(
        with_traces(ramp(), with_spikes(area=["V1"] * 3), columns={"region": list("abc")}),
        tmp_path / "both.nwb",
    )
    with pytest.raises(
        ValueError, match=r"both\.nwb: holds both spikes and calcium traces; choose with modality="
    ):
        read_nwb(both)
    assert list(read_nwb(both, modality="spikes")[0].units) == ["area"]
    assert list(read_nwb(both, modality="calcium")[0].units)[0] == "region"
    with pytest.raises(
        ValueError,
        match=(
            r"neither\.nwb: holds no spikes and no calcium; looked for a units"
            r" table.*RoiResponseSeries"
        ),
    ):
        read_nwb(write(new_file(), tmp_path / "neither.nwb"))
    one = write(with_spikes(), tmp_path / "one.nwb")
    with pytest.raises(ValueError, match=r"one\.nwb: holds no calcium; looked for"):
        read_nwb(one, modality="calcium")
    with pytest.raises(ValueError, match=r"one\.nwb: series='dff' means nothing for spikes"):
        read_nwb(one, series="dff")
    with pytest.raises(ValueError, match="modality is 'lfp'; use 'spikes', 'calcium'"):
        read_nwb(one, modality="lfp")


def test_missing_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.nwb: nothing there; check the path"):
        read_nwb(tmp_path / "nowhere.nwb")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "notes.txt").write_text("none here")
    (folder / "._b.nwb").write_bytes(b"what macOS leaves")
    with pytest.raises(FileNotFoundError, match=r"data: there is no \.nwb file in this folder"):
        read_nwb(folder)
    write(with_spikes(), folder / "b.nwb")
    write(with_spikes(), folder / "a.nwb")
    write(with_traces(ramp()), folder / "c.nwb")
    assert [r.recording_id for r in read_nwb(str(folder))] == ["a", "b", "c"]


def test_truncated_foreign_and_damaged(tmp_path):
    path = write(
        with_traces(pynwb.H5DataIO(np.random.default_rng(0).random((500, 3)), compression="gzip")),
        tmp_path / "whole.nwb",
    )
    whole = path.read_bytes()
    with h5py.File(path) as file:
        chunk = file["processing/ophys/DfOverF/traces/data"].id.get_chunk_info(0)
    damaged = bytearray(whole)
    damaged[chunk.byte_offset : chunk.byte_offset + 200] = b"\xff" * 200
    with h5py.File(tmp_path / "foreign.nwb", "w") as file:
        file["x"] = 1
    contents = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "page": b"<html>404</html>",
        "damaged": bytes(damaged),
        "foreign": None,
    }
    for name, content in contents.items():
        bad = tmp_path / f"{name}.nwb"
        if content is not None:
            bad.write_bytes(content)
        with pytest.raises(
            ValueError,
            match=(
                rf"{name}\.nwb: can't be read as NWB \(.*\): it is truncated or not NWB; download"
                r" it again"
            ),
        ):
            read_nwb(bad)
    for name in ("whole", "damaged", "foreign"):
        if name == "whole":
            read_nwb(path)
        h5py.File(tmp_path / f"{name}.nwb", "r+").close()  # would fail were it still open


def test_pynwb_missing(tmp_path, monkeypatch):
    path = write(with_spikes(), tmp_path / "a.nwb")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(ImportError, match="pip install pynwb"):
        read_nwb(path)


# Over the network, from a server on this machine


def test_from_an_address(tmp_path):
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    rng = np.random.default_rng(0)
    nwbfile = with_spikes(area=["V1", "LM", "V1"], observed=[[[0, 100]]] * 3)
    nwbfile.add_acquisition(
        pynwb.TimeSeries(
            name="raw", data=rng.integers(-999, 999, 12_000_000, dtype=np.int16), unit="V", rate=3e4
        )
    )
    path = write(nwbfile, tmp_path / "sub-1_ses 2.nwb")
    [expected] = read_nwb(path)
    with Server(
        files={"/sub-1/sub-1_ses 2.nwb?signature=hunter2": path, "/api/assets/0d3a/download/": path}
    ) as server:
        [recording] = read_nwb(f"{server.url}/sub-1/sub-1_ses%202.nwb?signature=hunter2")
        assert (recording.recording_id, recording.animal_id) == (
            "sub-1_ses 2",
            "mouse7",
        ) and recording.units.equals(expected.units)
        assert "hunter2" not in repr(recording.provenance) and recording.provenance[
            "file"
        ].endswith("/sub-1/sub-1_ses%202.nwb")
        np.testing.assert_array_equal(recording.times, expected.times)
        # The raw data, most of the file, are left where they are.
        spans = [
            re.fullmatch(r"bytes=(\d+)-(\d+)", request.range).groups()
            for request in server.log
            if request.range
        ]
        assert (
            path.stat().st_size > 23_000_000
            and 0 < sum(int(stop) - int(start) for start, stop in spans) < 8_000_000
        )
        # no name: the identifier
        assert read_nwb(f"{server.url}/api/assets/0d3a/download/")[0].recording_id == "test-0001"


def test_address_that_fails(tmp_path):
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    path = write(with_spikes(), tmp_path / "a.nwb")
    cannot = (
        r"/a\.nwb: can't be read as NWB \(.*\): it is truncated or not NWB, or the connection"
        r" failed; try again, or download"
    )
    with Server(files={"/a.nwb": path, "/a.nwb?signature=hunter2": path}) as server:
        with pytest.raises(FileNotFoundError, match=r"/b\.nwb: nothing there; check the address"):
            read_nwb(f"{server.url}/b.nwb")
        for fault in (
            Fault(status=403),
            Fault(status=500),
            Fault(page=True),
            Fault(drop=True, after=1000),
            Fault(truncate=True, after=1000),
        ):
            server.faults = [None, *[fault] * 9]  # the first request asks for the size only
            with pytest.raises(ValueError, match=cannot) as raised:
                read_nwb(f"{server.url}/a.nwb?signature=hunter2")
            assert "hunter2" not in str(raised.value)
        server.faults = []
        assert read_nwb(f"{server.url}/a.nwb")[0].n_units == 3  # and no harm done
    with socket.socket() as free, pytest.raises(ValueError, match=cannot):  # nobody listens
        free.bind(("127.0.0.1", 0))
        read_nwb(f"http://127.0.0.1:{free.getsockname()[1]}/a.nwb")
    with pytest.raises(ValueError, match="'ftp://x/a.nwb'.*https://.*s3://"):
        read_nwb("ftp://x/a.nwb")


def test_connection_lost_while_data_are_read(tmp_path):
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    path = write(with_traces(np.random.default_rng(0).random((150_000, 3))), tmp_path / "a.nwb")
    with Server(files={"/a.nwb": path}) as server:
        read_nwb(f"{server.url}/a.nwb")
        n_requests = len(server.log)
        assert n_requests >= 4
        for good, fault in [
            (1, Fault(ignore_range=True)),
            (n_requests - 1, Fault(status=500)),
            (n_requests - 1, Fault(drop=True, after=1000)),
        ]:
            server.faults = [None] * good + [fault] * 9
            with pytest.raises(
                ValueError,
                match=r"/a\.nwb: can't be read as NWB .* or the connection failed; try again",
            ):
                read_nwb(f"{server.url}/a.nwb")


def test_garbage_collection_in_another_thread_does_not_stop_the_reading(tmp_path, monkeypatch):
    """HDF5 objects that are collected while HDF5 waits for the network would wait for HDF5."""
    pytest.importorskip("aiohttp", reason="reading over the network needs aiohttp")
    monkeypatch.setattr("nuclr_lite.sources.nwb.opening.SILENCE_S", 3.0)
    path = write(with_spikes(), tmp_path / "a.nwb")
    thresholds = gc.get_threshold()
    gc.set_threshold(10**8)
    cycles = []
    for _ in range(5):
        cycles.append([h5py.File(path)["units"]])
        cycles[-1].append(cycles[-1])

    class CollectsWhileItAnswers(type(path)):
        def read_bytes(self):
            if any(request.range for request in server.log):
                cycles.clear()
                gc.set_threshold(10)
                # so many new objects start the collector, if it is on
                assert len([[] for _ in range(1000)]) == 1000
            return path.read_bytes()

    try:
        with Server(files={"/a.nwb": path}) as server:
            server.files["/a.nwb"] = CollectsWhileItAnswers(path)
            assert read_nwb(f"{server.url}/a.nwb")[0].n_units == 3
        assert not cycles and gc.isenabled()
    finally:
        gc.set_threshold(*thresholds)


def test_s3_and_names_in_addresses(tmp_path, monkeypatch):
    """No bucket can be had here: what is asked for, not whether Amazon answers."""
    web = pytest.importorskip(
        "fsspec.implementations.http", reason="reading over the network needs fsspec and aiohttp"
    )
    asked = []
    (tmp_path / "x").write_bytes(b"no NWB")
    monkeypatch.setattr(
        web.HTTPFileSystem,
        "open",
        lambda self, address, *args, **options: (
            asked.append(address) or (tmp_path / "x").open("rb")
        ),
    )
    with pytest.raises(ValueError, match="s3://bucket/blobs/a b/c.nwb: can't be read"):
        read_nwb("s3://bucket/blobs/a b/c.nwb")
    assert asked == ["https://bucket.s3.amazonaws.com/blobs/a%20b/c.nwb"]
    assert [
        name_in(f"https://host/{end}") for end in ("a/sub%201.nwb?x=1", "download/", "", ".nwb")
    ] == ["sub 1", None, None, None]
    assert without_secrets("https://me:word@host/a.nwb?signature=x") == "https://host/a.nwb"
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(
        ImportError, match=r"from an address needs .*pip install 'fsspec\[http\]'; or download"
    ):
        read_nwb("https://host/a.nwb")


# Real files (shared folder)


def test_steinmetz_snippets():
    recordings = read_nwb(
        shared("real", "steinmetz_snippets"), label_columns=("brain_area", "region")
    )
    assert len(recordings) == 17 and {r.animal_id for r in recordings} == {
        "Cori",
        "Forssmann",
        "Hench",
        "Lederberg",
    }
    assert {region for r in recordings for region in r.units["region"]} == {
        "VIS",
        "TH",
        "HPF",
        "MB",
    }
    for recording in recordings:
        assert (
            45 < recording.valid_s < 180
            and len(recording.intervals) == 1
            and recording.n_spikes_outside == 0
        )
        assert recording.intervals[0, 0] == 0 and recording.valid_s / 0.4 == pytest.approx(
            round(recording.valid_s / 0.4)
        )
        assert (
            recording.units.notna().all(axis=None)
            and 1 < len(recording.times) / recording.valid_s / recording.n_units < 20
        )


@pytest.mark.filterwarnings("ignore:.*99th percentile of the traces:UserWarning")
def test_hippocampus_calcium():
    recordings = read_nwb(shared("real", "hippocampus_calcium"))
    assert len(recordings) == 9 and all(r.animal_id == r.recording_id for r in recordings)
    assert [r.recording_id for r in recordings if r.sampling_rate_hz == 10] == ["C8M2"]
    assert sum(r.sampling_rate_hz == 20 for r in recordings) == 8
    for recording in recordings:
        assert recording.units["region"].nunique() == 1 and recording.units["region"].iloc[0] in (
            "CA1",
            "CA3",
        )
        assert recording.epochs["name"].tolist() == ["direction0", "direction1"]
        assert recording.intervals.tolist() == [
            [0, pytest.approx(recording.epochs["stop_s"].iloc[-1])]
        ]
    again = read_nwb(shared("real", "hippocampus_calcium", "C8M2.nwb"), intervals_from="epochs")[0]
    assert again.intervals.tolist() == recordings[-1].intervals.tolist()  # the two blocks touch
