"""Files of the Allen two-photon set come in as recordings, equal to AllenSDK."""

import sys
import tracemalloc

import h5py
import numpy as np
import pytest
import two_photon_files
from two_photon_files import FRAME, allensdk, dff_of, simulate

from nuclr_lite.sources.allen import two_photon, two_photon_file
from nuclr_lite.sources.simulated.allen_two_photon import simulated_truth

# fixtures: pytest looks for them here
whole, edited = two_photon_files.whole, two_photon_files.edited

STATIC = "stimulus/presentation/static_gratings_stimulus"


def replace(file, place, data):
    del file[place]
    file[place] = data


@pytest.mark.parametrize("session_type", ["three_session_A", "three_session_B", "three_session_C"])
def test_equal_to_allensdk(tmp_path, monkeypatch, session_type):
    path = simulate(
        tmp_path / "a.nwb",
        session_type=session_type,
        dropped_s=[(12, 13.5)],
        missing_s=[(30, 31)],
        moved_s=[(40, 41)],
    )
    sdk = allensdk("brain_observatory_nwb_data_set").BrainObservatoryNwbDataSet(str(path))
    timestamps, dff = sdk.get_dff_traces()
    monkeypatch.setattr(two_photon_file, "READ_BYTES", 3 * dff[0].nbytes)  # three cells at a time
    with h5py.File(path) as file:
        blocks = list(two_photon_file._blocks(file[f"{two_photon_file.DFF}/data"], np.arange(8)))
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), dff)
        [(here, two), (_, one)] = two_photon_file._blocks(
            file[f"{two_photon_file.DFF}/data"], np.array([0, 2, 7])
        )
        np.testing.assert_array_equal(np.concatenate([two, one]), dff[[0, 2, 7]])
        moved = two_photon_file._moved(
            file, timestamps, 30.0, 10.0, {"um_per_pixel": 400 / 512}, path
        )
    assert len(blocks) == 3
    motion = sdk.get_motion_correction()
    np.testing.assert_array_equal(moved, motion["x_motion"] > 20)
    assert moved.sum() == 30
    recording = two_photon.read_experiment(path)
    assert list(recording.units.index) == list(sdk.get_cell_specimen_ids())
    assert list(recording.units["roi_id"]) == list(sdk.get_roi_ids())
    centroids = [
        np.array(np.nonzero(mask)).mean(axis=1)[::-1] * 400 / 512
        for mask in sdk.get_roi_mask_array()
    ]
    np.testing.assert_allclose(recording.units[["centroid_x_um", "centroid_y_um"]], centroids)
    metadata = sdk.get_metadata()
    for ours, theirs in {
        "area": "targeted_structure",
        "imaging_depth_um": "imaging_depth_um",
        "session_type": "session_type",
        "experiment_id": "ophys_experiment_id",
        "container_id": "experiment_container_id",
    }.items():
        assert (recording.units[ours] == metadata[theirs]).all()
    table = sdk.get_stimulus_epoch_table()
    times = np.append(timestamps, timestamps[-1] + FRAME)
    assert list(recording.epochs["name"]) == list(table["stimulus"]) and len(table) == 6
    np.testing.assert_allclose(
        recording.epochs[["start_s", "stop_s"]], times[table[["start", "end"]]], rtol=0, atol=1e-9
    )
    assert recording.start_s == timestamps[0] and metadata["device"] == "SIMULATED"
    assert len(sdk.get_running_speed()[0]) == len(timestamps)


@pytest.mark.parametrize("frame_s, n_average", [(0.23344, 7), (0.1, 3), (0.01, 1)])
def test_averages_against_a_loop(tmp_path, frame_s, n_average):
    path = simulate(
        tmp_path / "a.nwb",
        duration_s=60.1,
        dropped_s=[(0.5, 0.6), (20, 23.03)],
        missing_s=[(30, 30.05), (31, 32)],
        moved_s=[(40, 40.1)],
    )
    dff, timestamps = dff_of(path)
    place = np.round((timestamps - 10) / FRAME).astype(int)
    bad = np.isnan(dff).any(axis=0) | (
        (timestamps - 10 > 40 - 1e-6) & (timestamps - 10 < 40.1 - 1e-6)
    )
    recording = two_photon.read_experiment(path, frame_s=frame_s)
    assert (
        recording.sampling_rate_hz == pytest.approx(30 / n_average)
        and len(recording.traces) == 1803 // n_average
    )
    good_of = {
        i: [
            at
            for at in np.flatnonzero((place >= i * n_average) & (place < (i + 1) * n_average))
            if not bad[at]
        ]
        for i in range(len(recording.traces))
    }
    valid = np.array([2 * len(good) >= n_average for good in good_of.values()])
    for i, good in good_of.items():
        if valid[i]:
            np.testing.assert_allclose(
                recording.traces[i], dff[:, good].astype(np.float64).mean(axis=1), rtol=1e-6
            )
        else:
            assert np.isnan(recording.traces[i]).all()
    from_intervals = np.zeros(len(valid), dtype=bool)
    for first, stop in np.round((recording.intervals - 10) * recording.sampling_rate_hz).astype(
        int
    ):
        from_intervals[first:stop] = True
    np.testing.assert_array_equal(from_intervals, valid)
    assert 0 < (~valid).sum() < len(valid) / 5
    assert {
        name: recording.provenance[name]
        for name in (
            "frames",
            "frames_dropped",
            "frames_missing",
            "frames_moved",
            "frames_averaged",
        )
    } == {
        "frames": len(dff[0]),
        "frames_dropped": 1803 - len(dff[0]),
        "frames_missing": 32,
        "frames_moved": 3,
        "frames_averaged": n_average,
    }


def test_valid_time(tmp_path):
    path = simulate(
        tmp_path / "a.nwb", dropped_s=[(14, 21)], missing_s=[(28, 35)], moved_s=[(42, 44.1)]
    )
    recording = two_photon.read_experiment(path)  # averaged frames begin on multiples of 7 / 30 s
    np.testing.assert_allclose(
        recording.intervals, [[10, 24], [31, 38], [45, 52], [54.1, 10 + 257 * 7 / 30]]
    )
    assert two_photon.read_experiment(path, max_motion_um=None).intervals[2:].tolist() == [
        [45, pytest.approx(10 + 257 * 7 / 30)]
    ]


def test_one_bad_frame_cuts_nothing(tmp_path):
    path = simulate(
        tmp_path / "a.nwb", dropped_s=[(20, 20.03)], missing_s=[(30, 30.03)], moved_s=[(40, 40.03)]
    )
    recording = two_photon.read_experiment(path)
    assert len(recording.intervals) == 1 and np.isfinite(recording.traces).all()
    assert [recording.provenance[f"frames_{what}"] for what in ("dropped", "missing", "moved")] == [
        1,
        1,
        1,
    ]


def test_rate_of_the_clock(edited):
    """The microscopes run at slightly more than 30 Hz, with jitter."""
    rng = np.random.default_rng(0)
    times = 5 + np.arange(1800) / 30.08 + rng.uniform(-0.003, 0.003, 1800)
    recording = two_photon.read_experiment(
        edited(lambda file: file[f"{two_photon_file.DFF}/timestamps"].write_direct(times))
    )
    assert (
        recording.sampling_rate_hz == pytest.approx(30.08 / 7, rel=1e-4)
        and recording.provenance["frames_dropped"] == 0
    )
    assert recording.sampling_rate_hz * 0.23344 == pytest.approx(1, abs=0.01)


def test_a_rate_that_changes(edited, whole):
    """30 Hz, then 25: frames are averaged by their timestamps, and stay where they were."""
    times = 5 + np.r_[np.arange(900) / 30, 30 + np.arange(900) / 25]
    path = edited(lambda file: file[f"{two_photon_file.DFF}/timestamps"].write_direct(times))
    with pytest.warns(UserWarning, match="its frames come at 25 to 30 Hz"):
        recording = two_photon.read_experiment(path)
    dff = dff_of(whole)[0]
    length_s = 1 / recording.sampling_rate_hz
    for frame in (10, 100, 200, 250):
        start_s = recording.start_s + frame * length_s
        there = (times >= start_s) & (times < start_s + length_s)
        shares = [np.corrcoef(dff[:, near].mean(axis=1), recording.traces[frame])[0, 1]
                  for near in (there, np.roll(there, 40), np.roll(there, -40))]  # fmt: skip
        assert shares[0] > max(shares[1:]) and shares[0] > 0.95
    assert recording.intervals.tolist() == [[5, pytest.approx(71, abs=0.3)]]


def test_not_normalised_twice(whole):
    recording = two_photon.read_experiment(whole)
    assert recording.trace_scale == pytest.approx(np.percentile(recording.traces, 99), rel=1e-6)
    assert np.nanmax(np.abs(dff_of(whole)[0].mean(axis=1) - recording.traces.mean(axis=0))) < 0.01


def test_labels(whole):
    recording = two_photon.read_experiment(whole)
    assert (recording.recording_id, recording.animal_id, recording.modality) == (
        "allen-two-photon-900000001",
        "000001",
        "calcium",
    )
    labels = recording.units.drop(
        columns=["roi_id", "centroid_x_um", "centroid_y_um"]
    ).drop_duplicates()
    assert labels.to_dict("records") == [
        {
            "cell_type": "Vip",
            "cre_line": "Vip-IRES-Cre",
            "area": "VISp",
            "imaging_depth_um": 175,
            "experiment_id": 900000001,
            "container_id": 910000001,
            "session_type": "three_session_B",
        }
    ]
    truth = simulated_truth(whole).loc[recording.units.index]
    np.testing.assert_allclose(
        recording.units[["centroid_x_um", "centroid_y_um"]],
        truth[["x_pixel", "y_pixel"]] * 400 / 512,
    )


@pytest.mark.parametrize(
    "genotype, cre_line, cell_type",
    [
        (
            "Cux2-CreERT2/wt;Camk2a-tTA/wt;Ai93(TITL-GCaMP6f)/Ai93(TITL-GCaMP6f)",
            "Cux2-CreERT2",
            "Cux2",
        ),
        ("Scnn1a-Tg3-Cre/wt;Camk2a-tTA/wt;Ai93(TITL-GCaMP6f)/wt", "Scnn1a-Tg3-Cre", "Scnn1a"),
        ("Ntsr1-Cre_GN220/wt;Ai148(TIT2L-GC6f-ICL-tTA2)/wt", "Ntsr1-Cre_GN220", "Ntsr1"),
        (
            "Camk2a-tTA/wt;Pvalb-IRES-Cre/wt;Ai162(TIT2L-GC6s-ICL-tTA2)/wt",
            "Pvalb-IRES-Cre",
            "Pvalb",
        ),
        ("wt/wt", None, None),
    ],
)
def test_cre_lines(edited, genotype, cre_line, cell_type):
    def change(file):
        replace(file, "general/subject/genotype", np.bytes_(genotype))
        replace(file, "general/specimen_name", np.bytes_("Cux2-CreERT2;Camk2a-tTA;Ai93-222426"))

    recording = two_photon.read_experiment(edited(change))
    assert recording.animal_id == "222426"
    assert set(recording.units["cre_line"]) == {cre_line} and set(recording.units["cell_type"]) == {
        cell_type
    }


@pytest.mark.parametrize(
    "session_type, gap, n_blocks",
    [
        ("three_session_A", 39, 1),
        ("three_session_A", 40, 2),
        ("three_session_B", 16, 2),
        ("three_session_C2", 7, 1),
    ],
)
def test_stimulus_blocks(edited, session_type, gap, n_blocks):
    def change(file):
        replace(file, "general/session_type", np.bytes_(session_type))
        # not in order
        replace(
            file,
            f"{STATIC}/frame_duration",
            np.array([[500 + gap, 600 + gap], [400, 500]], dtype=float),
        )
        replace(file, f"{STATIC}/data", np.zeros((2, 3)))

    path = edited(change)
    sdk = allensdk("brain_observatory_nwb_data_set").BrainObservatoryNwbDataSet(str(path))
    epochs = two_photon.read_experiment(path).epochs
    table = sdk.get_stimulus_epoch_table()
    np.testing.assert_allclose(
        epochs[["start_s", "stop_s"]],
        dff_of(path)[1][np.minimum(table[["start", "end"]], 1799)],
        atol=FRAME + 1e-9,
    )
    gratings = epochs[epochs["name"] == "static_gratings"]
    assert len(gratings) == n_blocks and gratings["stop_s"].iloc[-1] == pytest.approx(
        10 + (600 + gap) * FRAME
    )


# Motion


def test_drift_is_not_motion_and_jerks_are(edited):
    place = f"{two_photon_file.PIPELINE}/MotionCorrection/2p_image_series/xy_translation"
    slow = np.linspace(0, 25, 1800)[:, None] * [1, 0]  # 20 um in a minute

    def moved(shift, name="xy_translation", **options):
        def change(file):
            replace(file, f"{place}/data", shift)
            if name != "xy_translation":
                file.move(place, place + "s")

        return two_photon.read_experiment(edited(change), **options).provenance["frames_moved"]

    small = np.random.default_rng(0).normal(0, 1, (1800, 2))
    assert moved(small + slow) == 0
    assert moved(small) == 0 and moved(small, max_motion_um=1.5) > 100
    jerk = small.copy()
    jerk[300:310, 1] -= 20  # 16 um
    assert (
        moved(jerk) == moved(jerk, "xy_translations") == 10 and moved(jerk, max_motion_um=25) == 0
    )
    lost = small.copy()
    lost[5, 0] = np.nan
    assert moved(lost) == 1
    stay = small.copy()
    stay[900:] += 100  # stays where it went: registered, and no motion after
    assert moved(stay) < 20


def test_motion_needs_the_size_of_a_pixel(edited):
    path = edited(lambda file: replace(file, "general/fov", np.bytes_("a large field")))
    with pytest.raises(ValueError, match=r"edited\.nwb: general/fov.*max_motion_um=None"):
        two_photon.read_experiment(path)
    assert two_photon.read_experiment(path, max_motion_um=None).units["centroid_x_um"].isna().all()


# Cells


def test_cell_without_dff_is_left_out(edited):
    def change(file):
        file[f"{two_photon_file.DFF}/data"][3] = np.nan
        file[f"{two_photon_file.DFF}/data"][5, 900:1800] = np.nan

    path = edited(change)
    # no notice: not among them
    ids = two_photon.read_experiment(path, keep="roi_id < 930000003").units.index
    with pytest.warns(UserWarning, match=r"left out 1 of 8 cells.*NaN throughout"):
        recording = two_photon.read_experiment(path)
    assert (
        recording.n_units == 7
        and 930000003 not in list(recording.units["roi_id"])
        and list(recording.units.index[:3]) == list(ids)
    )
    assert recording.intervals.tolist() == [[10, pytest.approx(10 + 129 * 7 / 30)]]
    with pytest.warns(UserWarning, match="NaN throughout"):
        assert two_photon.read_experiment(
            path, keep="roi_id != 930000005"
        ).valid_s == pytest.approx(257 * 7 / 30)
    with pytest.raises(ValueError, match=r"edited\.nwb: keep='roi_id < 0' holds for none of its 8"):
        two_photon.read_experiment(path, keep="roi_id < 0")


def test_no_valid_time(edited):
    def half(file):
        file[f"{two_photon_file.DFF}/data"][2, :1000] = np.nan
        file[f"{two_photon_file.DFF}/data"][6, 900:] = np.nan

    path = edited(half)
    with h5py.File(path) as file:
        worst = file[f"{two_photon_file.SEGMENTATION}/cell_specimen_ids"][2]
    with pytest.raises(
        ValueError,
        match=(
            rf"edited\.nwb: no time is valid: of 1800 frames 1800 .*keep='unit_id != {worst}', 1000"
            r" frames"
        ),
    ):
        two_photon.read_experiment(path)
    # the remedy works
    assert two_photon.read_experiment(path, keep=f"unit_id != {worst}").n_units == 7
    with pytest.raises(ValueError, match=r"edited\.nwb: the dF/F of all 8 cells is NaN"):
        two_photon.read_experiment(
            edited(
                lambda file: file[f"{two_photon_file.DFF}/data"].write_direct(
                    np.full((8, 1800), np.nan, dtype="f4")
                )
            )
        )


def test_no_cells(edited):
    def change(file):
        replace(file, f"{two_photon_file.DFF}/data", np.zeros((0, 1800), dtype="f4"))
        replace(file, f"{two_photon_file.SEGMENTATION}/cell_specimen_ids", np.zeros(0, dtype=int))

    with pytest.raises(ValueError, match=r"edited\.nwb: holds no cells"):
        two_photon.read_experiment(edited(change))


@pytest.mark.parametrize("times", [[5.0, 4.0], [5.0, 5.0], [np.nan, 5.0]])
def test_timestamps_out_of_order(edited, times):
    def change(file):
        file[f"{two_photon_file.DFF}/timestamps"][100:102] = times

    with pytest.raises(
        ValueError, match=r"edited\.nwb: the timestamps of its 1800 frames don't increase"
    ):
        two_photon.read_experiment(edited(change))


def test_shapes_that_disagree(edited):
    with pytest.raises(
        ValueError, match=r"edited\.nwb: dF/F has shape \(7, 1800\) for 8 cells and 1800"
    ):
        two_photon.read_experiment(
            edited(lambda file: replace(file, f"{two_photon_file.DFF}/data", np.zeros((7, 1800))))
        )


def test_files_of_other_kinds(whole, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.nwb: no such file"):
        two_photon.read_experiment(tmp_path / "nowhere.nwb")
    content = whole.read_bytes()
    for name, bytes_ in {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "page": b"<html>503</html>",
    }.items():
        (tmp_path / f"{name}.nwb").write_bytes(bytes_)
        with pytest.raises(
            ValueError, match=rf"{name}\.nwb: can't be read as HDF5 .*truncated.*download it again"
        ):
            two_photon.read_experiment(tmp_path / f"{name}.nwb")
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    with pytest.raises(
        ValueError, match=r"other\.nwb: is not an Allen two-photon file.*sources\.nwb"
    ):
        two_photon.read_experiment(tmp_path / "other.nwb")
    with pytest.raises(ValueError, match="frame_s is 0; give"):
        two_photon.read_experiment(whole, frame_s=0)


def test_h5py_missing(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="pip install h5py"):
        two_photon.read_experiment(whole)


@pytest.mark.parametrize(
    "storage", [{}, {"chunks": (16, 2000), "compression": "gzip", "compression_opts": 1}]
)
def test_memory(edited, monkeypatch, storage):
    """A large file is never in memory as a whole."""
    n_cells, n_frames = 128, 50_000

    def change(file):
        for place, data in (
            (f"{two_photon_file.DFF}/timestamps", 10 + np.arange(n_frames) * FRAME),
            (f"{two_photon_file.SEGMENTATION}/cell_specimen_ids", np.arange(n_cells)),
            (f"{two_photon_file.SEGMENTATION}/roi_ids", np.arange(n_cells)),
            (
                f"{two_photon_file.SEGMENTATION}/imaging_plane_1/roi_list",
                np.array([b"roi_0000"] * n_cells),
            ),
        ):
            replace(file, place, data)
        del file[f"{two_photon_file.DFF}/data"]
        file.create_dataset(
            f"{two_photon_file.DFF}/data",
            data=np.tile(np.arange(n_frames, dtype="f4") % 7, (n_cells, 1)),
            **storage,
        )

    path = edited(change)
    monkeypatch.setattr(two_photon_file, "READ_BYTES", 2 * 2**20)
    tracemalloc.start()
    recording = two_photon.read_experiment(
        path, frame_s=70 * FRAME, keep="unit_id != 3", max_motion_um=None
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert recording.traces.shape == (n_frames // 70, 127) and (recording.traces == 3).all()
    assert peak < 4 * n_cells * n_frames * 0.7
