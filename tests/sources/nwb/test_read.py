"""NWB files of spikes, written here with pynwb as different laboratories would, come in as
recordings; and real files.
"""

import h5py
import numpy as np
import pytest
from helpers import shared
from nwb_files import PYNWBS_NOTICES, TRAINS, new_file, with_spikes, write

import nuclr_lite as nl
from nuclr_lite.sources.nwb import read_nwb

pynwb = pytest.importorskip("pynwb")
pytestmark = PYNWBS_NOTICES


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
