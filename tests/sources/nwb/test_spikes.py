"""Units of NWB files: wherever their table lies, whatever else is wrong in the file; the caller's
choice comes before any check.
"""

import warnings

import h5py
import numpy as np
import pytest
from nwb_files import PYNWBS_NOTICES, TRAINS, new_file, ramp, with_spikes, with_traces, write

from nuclr_lite.export import to_nwb
from nuclr_lite.sources.nwb import read_nwb

pynwb = pytest.importorskip("pynwb")
pytestmark = PYNWBS_NOTICES


def units_in(nwbfile, where: str, name="curated", trains=TRAINS):
    """A table of units beside the file's own."""
    table = pynwb.misc.Units(name=name, description="sorted")
    for train in trains:
        table.add_unit(spike_times=train)
    if where == "processing":
        module = nwbfile.processing.get("ecephys")
        (module or nwbfile.create_processing_module("ecephys", "sorted")).add(table)
    else:
        getattr(nwbfile, f"add_{where}")(table)
    return nwbfile


# ---- which table


@pytest.mark.parametrize("where", ["processing", "acquisition", "analysis", "scratch"])
def test_units_that_lie_elsewhere(tmp_path, where, recwarn):
    path = write(units_in(new_file(), where), tmp_path / "a.nwb")
    [recording] = read_nwb(path)
    assert [recording.spike_times(i).tolist() for i in range(3)] == [t.tolist() for t in TRAINS]
    assert recording.provenance["units_table"].endswith("curated")
    results = recording.units.assign(fold=[1, 2, 3])
    with h5py.File(to_nwb(results, path, tmp_path / "out.nwb")) as file:
        found = []
        file.visit(found.append)
        found = [name for name in found if name.endswith("curated/nuclr_fold")]
        assert len(found) == 1 and file[found[0]][:].tolist() == [1, 2, 3]
    assert not [str(w.message) for w in recwarn if "nuclr" in str(w.filename)]


def test_several_tables_of_units(tmp_path):
    nwbfile = units_in(units_in(new_file(), "processing"), "processing", "raw", TRAINS[:1])
    two = write(nwbfile, tmp_path / "two.nwb")
    with pytest.raises(
        ValueError, match=r"two\.nwb: there are 2 tables of units; choose with unit"
    ):
        read_nwb(two)
    assert read_nwb(two, units_table="raw")[0].n_units == 1
    assert read_nwb(two, units_table="ecephys/curated")[0].n_units == 3
    with pytest.raises(ValueError, match=r"no table of units called 'x'.*\['ecephys/curated', '"):
        read_nwb(two, units_table="x")

    own = write(units_in(with_spikes(trains=TRAINS[:2]), "processing"), tmp_path / "own.nwb")
    with pytest.warns(UserWarning, match=r"own\.nwb: 1 more tables of units were left out \(ecep"):
        assert read_nwb(own)[0].n_units == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_nwb(own, units_table="curated")[0].n_units == 3
        assert read_nwb(own, units_table="units")[0].n_units == 2
    with pytest.raises(ValueError, match="units_table='units' means nothing for calcium"):
        read_nwb(write(with_traces(ramp()), tmp_path / "c.nwb"), units_table="units")


def test_spikes_that_are_no_units_are_named(tmp_path):
    nwbfile = new_file()
    group = nwbfile.create_electrode_group("g", "d", "CA1", nwbfile.create_device("d"))
    nwbfile.add_electrode(location="CA1", group=group)
    region = nwbfile.create_electrode_table_region([0], "all")
    nwbfile.add_acquisition(
        pynwb.ecephys.SpikeEventSeries(
            name="threshold", data=np.ones((3, 1, 4)), timestamps=[0.1, 0.2, 0.3], electrodes=region
        )
    )
    nwbfile.add_unit_column("quality", "q")
    nwbfile.add_unit(quality="good")
    with pytest.raises(
        ValueError,
        match=r"units without spike_times \(columns \['quality'\]\), SpikeEventSeries at t.*pynwb",
    ):
        read_nwb(write(nwbfile, tmp_path / "a.nwb"))


# ---- the caller's choice, before any check


def two_probes(path, **columns):
    """Ids that both probes' sorters counted from 0."""
    trains = [np.arange(1, 50.0) + 0.01 * k for k in range(6)]
    probe = list("AAABBB")
    return write(with_spikes(trains=trains, ids=[0, 1, 2] * 2, probe=probe, **columns), path)


def test_ids_that_repeat_across_probes(tmp_path):
    path = two_probes(tmp_path / "a.nwb", depth=[float(k) for k in range(6)])
    one, two = read_nwb(path, probe_column="probe")
    assert one.units.index.tolist() == two.units.index.tolist() == [0, 1, 2]
    assert two.units["depth"].tolist() == [3, 4, 5] and two.spike_times(0)[0] == 1.03
    [kept] = read_nwb(path, keep="probe == 'B'")
    assert kept.units["depth"].tolist() == [3, 4, 5] and kept.spike_times(2)[0] == 1.05
    with pytest.raises(
        ValueError,
        match=r"3 unit ids occur twice \(first: 0\); the column 'probe' tells them apart",
    ):
        read_nwb(path)
    with pytest.raises(ValueError, match="has unit 0 twice, so that results can't be told apart"):
        to_nwb(kept.units.assign(fold=1)[["fold"]], path, tmp_path / "out.nwb")


def test_units_that_are_left_out_may_be_broken(tmp_path):
    trains = [*TRAINS, [1.0, np.nan], np.arange(9.0)[::-1], 30_000 * np.arange(0, 99, 0.7)]
    path = write(
        with_spikes(trains=trains, quality=["good"] * 3 + ["noise"] * 3), tmp_path / "a.nwb"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [recording] = read_nwb(path, keep="quality == 'good'")
    assert recording.n_units == 3 and recording.valid_s < 100


def test_marks_for_no_spike_don_t_stretch_valid_time(tmp_path):
    path = write(with_spikes(trains=[np.r_[TRAINS[0], -1, -1], TRAINS[1]]), tmp_path / "a.nwb")
    with pytest.warns(UserWarning, match="a: left out 2 spike times of -1 s in 1 of 2 units"):
        [recording] = read_nwb(path)
    assert recording.intervals.tolist() == [[0.5, 99.5]]


def test_another_clock_is_named_once(tmp_path):
    rng = np.random.default_rng(0)
    trains = [1000 * np.sort(rng.uniform(0, 60, 300)) for _ in range(2)]
    path = write(with_spikes(trains=trains), tmp_path / "a.nwb")
    with pytest.warns(UserWarning, match="a: are these seconds") as caught:
        read_nwb(path)
    assert len(caught) == 1


def test_sample_numbers_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    trains = [np.round(np.sort(rng.uniform(0, 60, 300)) * 30_000) for _ in range(2)]
    with pytest.raises(ValueError, match="a: all 600 spike times are whole numbers, up to 179"):
        read_nwb(write(with_spikes(trains=trains), tmp_path / "a.nwb"))


# ---- a flaw costs a column


def with_electrodes(path, rows=(0, 1, 2), **columns):
    nwbfile = new_file()
    group = nwbfile.create_electrode_group("g", "d", "CA1", nwbfile.create_device("d"))
    for location in ("CA1", "DG", "CA3"):
        nwbfile.add_electrode(location=location, group=group)
    with_spikes(nwbfile, electrodes=[[0], [1], [2]], area=list("abc"), **columns)
    write(nwbfile, path)
    with h5py.File(path, "r+") as file:
        file["units/electrodes"][:] = rows
    return path


@pytest.mark.parametrize(
    "rows, which", [((1, 2, 3), "1 of 3 .* to 3 of 3"), ((-1, 0, 1), "1 of 3 .* to -1 of 3")]
)
def test_electrodes_that_are_not_there(tmp_path, rows, which):
    path = with_electrodes(tmp_path / "a.nwb", rows)
    with pytest.warns(
        UserWarning, match=rf"a\.nwb: left out 1 columns .*'electrode_location' .*{which}"
    ):
        [recording] = read_nwb(path)
    assert list(recording.units) == ["area"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_nwb(path, label_columns=())[0].units) == []
        assert list(read_nwb(path, label_columns=("area",), keep="area != 'b'")[0].units) == [
            "area"
        ]
    for options in (
        {"label_columns": ("electrode_location",)},
        {"probe_column": "electrode_location", "label_columns": ()},
        {"keep": "electrode_location == 'CA1'"},
    ):
        with pytest.raises(ValueError, match="no column 'electrode_location'.*counted from 1"):
            read_nwb(path, **options)


def test_good_electrodes(tmp_path, recwarn):
    [recording] = read_nwb(with_electrodes(tmp_path / "a.nwb", (2, 1, 0)))
    assert recording.units["electrode_location"].tolist() == ["CA3", "DG", "CA1"]


def test_other_broken_columns_and_tables(tmp_path):
    path = write(with_spikes(area=list("abc"), n=[1, 2, 3], tags=[["x"]] * 3), tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        attributes = dict(file["units/n"].attrs)
        del file["units/n"]
        file["units/n"] = np.array([1, 2**64 - 1, 3], dtype=np.uint64)
        file["units/n"].attrs.update(attributes)
    with pytest.warns(UserWarning, match=r"left out 1 columns .*'n' \(.*too large for a 64-bit"):
        assert list(read_nwb(path)[0].units) == ["area"]

    nwbfile = with_spikes()
    nwbfile.add_epoch(0.0, 9.0, tags=["a", "b"])
    epochs = write(nwbfile, tmp_path / "b.nwb")
    with h5py.File(epochs, "r+") as file:
        file["intervals/epochs/tags_index"][:] = 7
    with pytest.warns(UserWarning, match=r"b\.nwb: left out its epochs, which can't be read"):
        assert not len(read_nwb(epochs)[0].epochs)

    cut = write(with_spikes(), tmp_path / "c.nwb")
    with h5py.File(cut, "r+") as file:
        file["units/spike_times_index"][-1] += 5
    with pytest.raises(ValueError, match=r"c\.nwb: the index of 'spike_times' doesn't fit its 169"):
        read_nwb(cut)
