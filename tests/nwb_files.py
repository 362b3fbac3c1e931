"""NWB files, written with pynwb as different laboratories would."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

pynwb = pytest.importorskip("pynwb")
TimeIntervals = pynwb.epoch.TimeIntervals
DfOverF, Fluorescence = pynwb.ophys.DfOverF, pynwb.ophys.Fluorescence
ImageSegmentation, RoiResponseSeries = pynwb.ophys.ImageSegmentation, pynwb.ophys.RoiResponseSeries

# What pynwb itself says of the files that are wrong on purpose, and of a table that gets its place
# in the file last.
PYNWBS_NOTICES = [
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
