"""NWB files of calcium traces, written here with pynwb as different laboratories would, come in as
recordings; bad ones are refused with the remedy.
"""

import h5py
import numpy as np
import pytest
from nwb_files import (
    PYNWBS_NOTICES,
    DfOverF,
    Fluorescence,
    ImageSegmentation,
    RoiResponseSeries,
    interval_table,
    new_file,
    ramp,
    rois,
    traces_of,
    with_traces,
    write,
)

from nuclr_lite.sources.nwb import read_nwb

pynwb = pytest.importorskip("pynwb")
pytestmark = PYNWBS_NOTICES


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
    path = write(with_traces(ramp(), timestamps=np.r_[np.arange(49), 3.0]), tmp_path / "back.nwb")
    with pytest.raises(
        ValueError,
        match=(
            r"back\.nwb: ophys/DfOverF/traces needs one timestamp a frame.*1 of them not later"
            r" \(such as frame 49, at 3 s, after 48 s\).*from_traces"
        ),
    ):
        read_nwb(path)
    path = write(with_traces(ramp(), timestamps=np.r_[np.arange(49), np.nan]), tmp_path / "nan.nwb")
    with pytest.warns(UserWarning, match="traces has 1 frames without a time .NaN., which were"):
        [recording] = read_nwb(path)
    np.testing.assert_array_equal(recording.intervals, [[0, 49]])
    path = write(with_traces(ramp(), timestamps=np.arange(50.0)), tmp_path / "short.nwb")
    with h5py.File(path, "r+") as file:
        group = file["processing/ophys/DfOverF/traces"]
        del group["timestamps"]
        group["timestamps"] = np.arange(40.0)
        group["timestamps"].attrs.update({"interval": np.int32(1), "unit": "seconds"})
    with (
        pytest.warns(UserWarning, match="does not match length of timestamps"),
        pytest.raises(
            ValueError,
            match=r"traces has 10 timestamps fewer than frames \(40 for 50 frames\).*from_traces",
        ),
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


def with_stamps(path, timestamps):
    """The file at `path` with other timestamps: pynwb refuses to write those that don't fit."""
    with h5py.File(path, "r+") as file:
        group = file["processing/ophys/DfOverF/traces"]
        attributes = dict(group["timestamps"].attrs)
        del group["timestamps"]
        group["timestamps"] = timestamps
        group["timestamps"].attrs.update(attributes)
    return path


def test_a_few_timestamps_too_many(tmp_path):
    """As where the microscope's pulses went on after the last frame that was kept."""
    path = write(with_traces(ramp(500), timestamps=np.arange(500) / 10), tmp_path / "a.nwb")
    with_stamps(path, np.arange(503) / 10)
    with pytest.warns(
        UserWarning, match="3 timestamps more than frames: the last were left out .of 500 frames"
    ):
        [recording] = read_nwb(path)
    np.testing.assert_array_equal(recording.traces, ramp(500))
    np.testing.assert_allclose(recording.intervals, [[0, 50]])
    with_stamps(path, np.arange(1000) / 20)
    with (
        pytest.warns(UserWarning, match="does not match length of timestamps"),
        pytest.raises(
            ValueError, match=r"traces has 500 timestamps more than frames .1000 for 500"
        ),
    ):
        read_nwb(path)


def test_a_rate_that_changes(tmp_path):
    timestamps = 2 + np.r_[np.arange(600) / 30, 20 + np.arange(500) / 25]
    data = np.zeros((1100, 3))
    data[900] = 1  # at 34 s
    path = write(with_traces(data, timestamps=timestamps), tmp_path / "a.nwb")
    with pytest.warns(UserWarning, match="frames come at 25 to 30 Hz, and lie up to .* averaged"):
        [recording] = read_nwb(path)
    flash_s = recording.start_s + recording.traces[:, 0].argmax() / recording.sampling_rate_hz
    assert flash_s == pytest.approx(34, abs=0.05)
    np.testing.assert_allclose(recording.intervals, [[2, 42]], atol=0.05)


def test_a_series_without_frames(tmp_path):
    path = write(with_traces(ramp()[:0]), tmp_path / "empty.nwb")
    with pytest.raises(
        ValueError,
        match=r"empty\.nwb: ophys/DfOverF/traces has no frames: its shape is \(0, 3\).*series=",
    ):
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
    data[40:43] = np.nan
    with pytest.warns(UserWarning, match="c: left 3 of 50 frames out of valid time.*first: 4.000"):
        [recording] = read_nwb(write(with_traces(data), tmp_path / "c.nwb"))
    np.testing.assert_allclose(recording.intervals, [[0, 4], [4.3, 5]])
    data = ramp()
    data[20:30, 1] = np.nan
    with pytest.raises(ValueError, match="a: frame 20 .* of unit 11 is NaN"):
        read_nwb(write(with_traces(data), tmp_path / "a.nwb"))
    [recording] = read_nwb(tmp_path / "a.nwb", keep="unit_id not in [11]")  # as the error says
    assert recording.units.index.tolist() == [10, 12]
    nwbfile = with_traces(data)
    nwbfile.add_invalid_time_interval(start_time=2.0, stop_time=3.0)
    np.testing.assert_array_equal(
        read_nwb(write(nwbfile, tmp_path / "b.nwb"))[0].intervals, [[0, 2], [3, 5]]
    )
