"""Columns of NWB tables whose values are codes come in by their names."""

import h5py
import numpy as np
import pytest
from nwb_files import (
    PYNWBS_NOTICES,
    new_file as empty_file,
    ramp,
    rois,
    traces_of,
    with_spikes,
    write,
)

from nuclr_lite.sources.nwb import read_nwb

pynwb = pytest.importorskip("pynwb")
pytestmark = [*PYNWBS_NOTICES, pytest.mark.filterwarnings("ignore:EnumData is experimental")]
NAMES = ["Pvalb", "Sst", "Vip"]


def test_an_enumeration_of_rois(tmp_path):
    nwbfile = empty_file()
    table = rois(nwbfile, range(4))
    table.add_column("cell_type", "a label", data=[0, 1, 2, 1], enum=NAMES)
    table.add_column("depth", "beside it", data=[1.0, 2.0, 3.0, 4.0])
    nwbfile.processing["ophys"].add(traces_of(table, ramp(n_rois=3), rows=[3, 0, 2]))
    path = write(nwbfile, tmp_path / "a.nwb")
    [recording] = read_nwb(path)
    assert recording.units["cell_type"].tolist() == ["Sst", "Pvalb", "Vip"]
    assert recording.units["depth"].tolist() == [4, 1, 3]
    assert read_nwb(path, keep="cell_type == 'Vip'")[0].units.index.tolist() == [2]


def test_an_enumeration_of_units_and_of_epochs(tmp_path):
    nwbfile = with_spikes()
    nwbfile.units.add_column("cell_type", "a label", data=[2, 0, 1], enum=NAMES)
    nwbfile.units.add_column("shank", "a label", data=[1, 0, 0], enum=["left", "right"])
    for start in range(3):
        nwbfile.add_epoch(start_time=float(start), stop_time=start + 1.0, tags=[])
    path = write(nwbfile, tmp_path / "a.nwb")
    [recording] = read_nwb(path)
    assert recording.units["cell_type"].tolist() == ["Vip", "Pvalb", "Sst"]
    recordings = read_nwb(path, probe_column="shank", animal="a")
    assert [r.recording_id for r in recordings] == ["a-right", "a-left"]


def test_an_hdf5_enumeration(tmp_path):
    """h5py's own, as other writers have it."""
    nwbfile = with_spikes(cell_type=[1, 0, 9])
    path = write(nwbfile, tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        units = file["units"]
        attributes = dict(units["cell_type"].attrs)
        del units["cell_type"]
        kind = h5py.enum_dtype({"Sst": 0, "Vip": 1, "none": 9}, basetype="i8")
        units.create_dataset("cell_type", data=np.array([1, 0, 9]), dtype=kind)
        units["cell_type"].attrs.update(attributes)
    [recording] = read_nwb(path)
    assert recording.units["cell_type"].tolist() == ["Vip", "Sst", "none"]


def test_a_code_without_a_name(tmp_path):
    nwbfile = with_spikes()
    nwbfile.units.add_column("cell_type", "a label", data=[2, 0, 1], enum=NAMES)
    path = write(nwbfile, tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        file["units/cell_type"][0] = 200
    assert read_nwb(path)[0].units["cell_type"].tolist() == [None, "Pvalb", "Sst"]
