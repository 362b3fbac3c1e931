"""Folders of Suite2p, written here after their schema, come in as recordings; bad ones are refused
with the remedy.
"""

import pickle

import imaging_files
import numpy as np
import pytest
from imaging_files import RATE, Attack, fluorescence, write_plane

import nuclr_lite as nl
from nuclr_lite.sources.suite2p import read_suite2p, running_baseline

# a fixture: pytest looks for it here
no_pickle_is_opened = imaging_files.no_pickle_is_opened


def test_dff_of_a_plane(tmp_path):
    plane = write_plane(tmp_path / "mouse1_day3" / "suite2p" / "plane0")
    [recording] = read_suite2p(plane, animal_id="mouse1", sampling_rate_hz=RATE)
    assert (recording.modality, recording.recording_id, recording.animal_id) == (
        "calcium",
        "mouse1_day3-plane0",
        "mouse1",
    )
    assert recording.sampling_rate_hz == RATE and recording.intervals.tolist() == [[0, 200]]
    assert recording.units.index.tolist() == [0, 2, 3] and recording.units["is_cell"].all()
    assert recording.units["cell_probability"].tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert list(recording.units) == ["is_cell", "cell_probability"]
    raw, neuropil, _ = (array[[0, 2, 3]].T for array in fluorescence())
    corrected = raw - 0.7 * neuropil  # 500 (1 + transients): F0 is 500, dF/F the transients
    np.testing.assert_allclose(recording.traces, corrected / 500 - 1, atol=0.03, rtol=0.03)
    assert recording.traces.max() > 0.9
    assert (
        recording.provenance["neuropil_coefficient"] == 0.7
        and recording.provenance["baseline"]["window_s"] == 60
    )
    again = nl.Recording.load(recording.save(tmp_path / "saved"))
    assert again.units.equals(recording.units)


def test_spks_and_all_rois(tmp_path):
    plane = write_plane(
        tmp_path / "plane0", redcell=np.array([[1, 0.8], [0, 0.1], [0, 0.2], [1, 0.9]]), Fneu=None
    )
    [recording] = read_suite2p(
        plane, animal_id="a", sampling_rate_hz=RATE, signal="spks", keep=None
    )
    np.testing.assert_array_equal(recording.traces, fluorescence()[2].T)
    assert recording.units["is_cell"].tolist() == [True, False, True, True] and recording.units[
        "is_red"
    ].tolist() == [True, False, False, True]
    [red] = read_suite2p(
        plane,
        animal_id="a",
        sampling_rate_hz=RATE,
        signal="spks",
        keep="is_cell and red_probability > 0.85",
    )
    assert red.units.index.tolist() == [3]
    with pytest.raises(FileNotFoundError, match=r"Fneu\.npy: nothing there"):
        read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)
    [one_photon] = read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE, neuropil_coefficient=0)
    np.testing.assert_allclose(
        one_photon.traces, fluorescence()[0][[0, 2, 3]].T / 640 - 1, atol=0.05, rtol=0.05
    )


def test_planes_names_and_combined(tmp_path):
    folder = tmp_path / "session 7" / "suite2p"
    for number in (10, 0, 2):
        write_plane(folder / f"plane{number}", seed=number)
    write_plane(folder / "combined")
    write_plane(folder / "plane1", cells=(0, 0))
    write_plane(folder / "plane3", F=np.zeros((0, 1000)), iscell=np.zeros((0, 2)))
    with pytest.warns(UserWarning) as notices:
        recordings = read_suite2p(folder, animal_id="a", sampling_rate_hz=RATE)
    assert [r.recording_id for r in recordings] == [
        "session 7-plane0",
        "session 7-plane2",
        "session 7-plane10",
    ]
    assert [str(notice.message)[:39] for notice in notices] == [
        "session 7-plane1: left out, none of its",
        "session 7-plane3: left out, Suite2p fou",
    ]
    expected = read_suite2p(folder / "plane10", animal_id="a", sampling_rate_hz=RATE)[0]
    np.testing.assert_array_equal(recordings[2].traces, expected.traces)
    assert not np.array_equal(recordings[0].traces, recordings[2].traces)
    with pytest.warns(UserWarning):
        named = read_suite2p(folder.parent, animal_id="a", recording_id="m1", sampling_rate_hz=RATE)
    assert [r.recording_id for r in named] == ["m1-plane0", "m1-plane2", "m1-plane10"]
    assert (
        read_suite2p(folder / "plane2", animal_id="a", recording_id="m1", sampling_rate_hz=RATE)[
            0
        ].recording_id
        == "m1"
    )
    with pytest.raises(ValueError, match="combined: holds the cells of all planes a second time"):
        read_suite2p(folder / "combined", animal_id="a", sampling_rate_hz=RATE)
    with pytest.raises(FileNotFoundError, match="no F.npy, neither here nor in plane0"):
        read_suite2p(tmp_path, animal_id="a", sampling_rate_hz=RATE)
    with (
        pytest.warns(UserWarning, match="none of its 2 ROIs is a cell"),
        pytest.raises(ValueError, match="holds for no ROI"),
    ):
        read_suite2p(folder / "plane1", animal_id="a", sampling_rate_hz=RATE)


def test_rate_and_centroids_from_fall_mat(tmp_path):
    pytest.importorskip("scipy", reason="Fall.mat is read with scipy")
    [recording] = read_suite2p(write_plane(tmp_path / "a" / "plane0", rate=7.5), animal_id="a")
    assert recording.sampling_rate_hz == 7.5
    assert recording.units["centroid_y_px"].tolist() == [0, 20, 30] and recording.units[
        "centroid_x_px"
    ].tolist() == [1, 21, 31]
    assert (
        read_suite2p(tmp_path / "a" / "plane0", animal_id="a", sampling_rate_hz=30.0)[
            0
        ].sampling_rate_hz
        == 30.0
    )
    [alone] = read_suite2p(
        write_plane(tmp_path / "b" / "plane0", cells=(1,), rate=RATE), animal_id="a"
    )
    assert alone.units["centroid_x_px"].tolist() == [1]
    [bare] = read_suite2p(
        write_plane(tmp_path / "c" / "plane0", rate=RATE, stat=False), animal_id="a"
    )
    assert "centroid_x_px" not in bare.units
    mat = tmp_path / "a" / "plane0" / "Fall.mat"
    mat.write_bytes(mat.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"Fall\.mat: can't be read .*give sampling_rate_hz"):
        read_suite2p(tmp_path / "a", animal_id="a")
    with pytest.warns(UserWarning, match="the cells have no centroids"):
        assert read_suite2p(tmp_path / "a", animal_id="a", sampling_rate_hz=RATE)[0].n_units == 3


def test_no_rate(tmp_path):
    with pytest.raises(
        ValueError,
        match=(
            r"plane0: no frame rate, neither in ops\.npy \(Suite2p 1: settings\.npy\) nor in"
            r" Fall\.mat.*give sampling_rate_hz.*as `fs`"
        ),
    ):
        read_suite2p(write_plane(tmp_path / "plane0"), animal_id="a")
    for rate in (0.0, -1.0, np.nan):
        for signal in ("dff", "spks"):
            with pytest.raises(ValueError, match=f"sampling_rate_hz is {rate}"):
                read_suite2p(
                    tmp_path / "plane0", animal_id="a", sampling_rate_hz=rate, signal=signal
                )


def test_pickles_damage_and_misfits(tmp_path):
    def refused(name, error, match, **arrays):
        plane = write_plane(tmp_path / name / "plane0", **arrays)
        with pytest.raises(error, match=match):
            read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)
        return plane

    objects = np.array([Attack()] * 4, dtype=object)
    refused(
        "objects",
        ValueError,
        r"F\.npy: can't be read as a plain array .*a pickle, which is not opened",
        F=objects,
    )
    refused("objects2", ValueError, r"iscell\.npy: can't be read as a plain array", iscell=objects)
    plane = refused(
        "frames",
        ValueError,
        r"Fneu\.npy: is an array \(4, 999\).*not of one run",
        Fneu=np.zeros((4, 999)),
    )
    refused("rois", ValueError, r"iscell\.npy: is an array \(3, 2\)", iscell=np.ones((3, 2)))
    refused("flat", ValueError, r"F\.npy: has shape \(1000,\)", F=np.ones(1000))
    refused(
        "texts",
        ValueError,
        r"Fneu\.npy: is an array \(4, 1000\) of <U1",
        Fneu=np.full((4, 1000), "x"),
    )
    refused("no iscell", ValueError, "no iscell.npy.*keep=None", iscell=None)
    for content in ((plane / "F.npy").read_bytes()[:9000], b"", pickle.dumps(Attack())):
        (plane / "Fneu.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"Fneu\.npy: can't be read as a plain array"):
            read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)
    raw = fluorescence()[0]
    raw[2, 500] = np.nan
    refused("nan", ValueError, "of unit 2 is NaN", F=raw)
    with pytest.raises(ValueError, match="signal is 'F'; use 'dff', or 'spks'"):
        read_suite2p(plane, animal_id="a", signal="F")
    with pytest.raises(ValueError, match="neuropil_coefficient is 7"):
        read_suite2p(plane, animal_id="a", neuropil_coefficient=7)


def test_cells_without_a_baseline(tmp_path):
    """Where the neuropil is as bright as the cell, F - 0.7 Fneu comes near zero, and dF/F would
    explode.
    """
    raw, neuropil, _ = fluorescence()
    neuropil[2] = raw[2] / 0.7 - 5  # 5 is left, of 640
    plane = write_plane(tmp_path / "plane0", Fneu=neuropil)
    with pytest.warns(
        UserWarning,
        match=r"left out 1 of 3 cells whose baseline.*first: ROI 2\); signal='spks' has them all",
    ):
        [recording] = read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)
    assert recording.units.index.tolist() == [0, 3] and np.abs(recording.traces).max() < 10
    [recording] = read_suite2p(
        plane, animal_id="a", sampling_rate_hz=RATE, neuropil_coefficient=0.3
    )
    assert recording.n_units == 3
    np.save(plane / "F.npy", raw - 1000)
    with pytest.raises(ValueError, match="no cell has a baseline well above zero.*signal='spks'"):
        read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)


def test_baseline_follows_drift_not_transients():
    time = np.arange(6000) / 10  # 600 s
    bleaching = 100 * np.exp(-time / 400)
    transients = np.zeros(6000)
    transients[::150] = 1
    transients = np.convolve(transients, np.exp(-np.arange(60) / 15))[:6000]
    traces = (bleaching * (1 + transients))[:, None].repeat(2, axis=1) * [1, 3]
    baseline = running_baseline(traces.astype(np.float32), 10.0)
    inner = slice(300, -300)  # within 30 s of an end it stays level
    np.testing.assert_allclose(baseline[inner], bleaching[inner, None] * [1, 3], rtol=0.08)
    constant = running_baseline(np.full((7, 2), 5.0), 10.0)  # shorter than a window
    np.testing.assert_array_equal(constant, 5.0)
    # The definition, at the middle of a window.
    np.testing.assert_allclose(
        baseline[900 + 299], (np.percentile(traces[900:1500], 8, axis=0)), rtol=1e-3
    )


def with_light(n_rois=4, n_frames=1000, lit=slice(300, 360)):
    """Fluorescence in which `lit` is photostimulation: dark, with the shutter closed."""
    raw, neuropil, _ = fluorescence(n_rois, n_frames)
    raw[:, lit] = neuropil[:, lit] = 1.0
    bad = np.zeros(n_frames, dtype=bool)
    bad[lit] = True
    return raw, neuropil, bad


@pytest.mark.parametrize("where", ["Fall.mat", "ops.npy", "Suite2p 1"])
def test_bad_frames_and_joined_sessions(tmp_path, where):
    raw, neuropil, bad = with_light()
    said = {"badframes": bad, "frames_per_folder": np.array([600, 400])}
    options = {
        "Fall.mat": dict(rate=RATE, ops=said),
        "ops.npy": dict(said={"ops": {"fs": RATE, "data_path": Attack(), **said}}),
        "Suite2p 1": dict(
            said={
                "settings": {"fs": np.float64(RATE), "torch_device": Attack()},
                "db": {"frames_per_folder": [600, 400], "nframes": 1000},
                "reg_outputs": {"badframes": bad, "refImg": np.ones((4, 4), dtype=np.int16)},
            }
        ),
    }[where]
    plane = write_plane(tmp_path / "day1" / "suite2p" / "plane0", F=raw, Fneu=neuropil, **options)
    with pytest.warns(UserWarning) as notices:
        [recording] = read_suite2p(plane, animal_id="a")
    assert [str(notice.message) for notice in notices] == [
        "day1-plane0: by Suite2p, 60 of 1000 frames are bad, and left out of valid time; 2 sessions"
        " were joined, and no window lies across a border."
    ]
    assert recording.sampling_rate_hz == RATE
    assert recording.intervals.tolist() == [[0, 60], [72, 120], [120, 200]]
    # the dark frames don't lower the baseline of those around them
    [unlit] = read_suite2p(
        write_plane(tmp_path / "unlit" / "plane0"), animal_id="a", sampling_rate_hz=RATE
    )
    np.testing.assert_allclose(recording.traces[~bad], unlit.traces[~bad], atol=0.03)


def test_frames_that_are_nan_in_all_rois(tmp_path):
    raw, neuropil, _ = fluorescence()
    raw[:, 500:503] = np.nan
    plane = write_plane(tmp_path / "plane0", F=raw)
    with pytest.warns(UserWarning, match="plane0: left 3 of 1000 frames out of valid time"):
        [recording] = read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)
    np.testing.assert_allclose(recording.intervals, [[0, 100], [100.6, 200]])
    [whole] = read_suite2p(
        write_plane(tmp_path / "whole" / "plane0"), animal_id="a", sampling_rate_hz=RATE
    )
    there = np.isfinite(recording.traces).all(axis=1)
    np.testing.assert_allclose(recording.traces[there], whole.traces[there], atol=0.03)


def test_what_suite2p_says_that_does_not_fit(tmp_path):
    ops = {"fs": RATE, "badframes": np.zeros(999), "frames_per_folder": [500, 400]}
    plane = write_plane(tmp_path / "plane0", said={"ops": ops})
    with pytest.warns(
        UserWarning,
        match=r"badframes has 999 entries for 1000 frames, and is not used; frames_per_folder has"
        r" 900 frames, not 1000, so that where sessions were joined is not known",
    ):
        [recording] = read_suite2p(plane, animal_id="a")
    assert recording.intervals.tolist() == [[0, 200]]
    np.save(plane / "ops.npy", ops | {"badframes": np.ones(1000)})
    with pytest.raises(ValueError, match="marks all 1000 frames as bad.*th_badframes"):
        read_suite2p(plane, animal_id="a")
    for name in ("ops", "settings", "stat"):
        (plane / f"{name}.npy").write_bytes(pickle.dumps(Attack()))
    with pytest.warns(
        UserWarning, match=r"plane0: can't be read as plain data: ops\.npy.*bad frames and joined"
    ):
        read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)


def test_nothing_bad_and_one_session_says_nothing(tmp_path, recwarn):
    ops = {"fs": RATE, "badframes": np.zeros(1000, dtype=bool), "frames_per_folder": [1000]}
    stat = np.array([{"med": (10 * i, np.int64(3)), "lam": np.ones(2)} for i in range(4)])
    plane = write_plane(tmp_path / "plane0", said={"ops": ops, "stat": stat})
    [recording] = read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)
    assert recording.units["centroid_y_px"].tolist() == [0, 20, 30]
    assert recording.units["centroid_x_px"].tolist() == [3, 3, 3]
    assert not [str(w.message) for w in recwarn.list if w.category is UserWarning]


def test_the_rate_given_and_the_one_that_suite2p_has(tmp_path, recwarn):
    for rate, given in [(15.0, 30.0), (15.0, 15.1), (np.array([7.5]), 2.5), (np.nan, 30.0)]:
        plane = write_plane(tmp_path / f"{rate}-{given}" / "plane0", said={"ops": {"fs": rate}})
        recwarn.clear()
        [recording] = read_suite2p(plane, animal_id="a", sampling_rate_hz=given)
        assert recording.sampling_rate_hz == given
        said = [str(w.message) for w in recwarn.list]
        if (given, np.ravel(rate)[0]) in [(30.0, 15.0), (2.5, 7.5)]:
            assert len(said) == 1 and (
                f"sampling_rate_hz is {given:g}, as given, but Suite2p's fs is" in said[0]
            )
        else:
            assert not said


def test_no_frames(tmp_path):
    plane = write_plane(tmp_path / "plane0", F=np.zeros((4, 0)))
    with pytest.raises(ValueError, match=r"F\.npy: has shape \(4, 0\), where \(ROIs, frames\)"):
        read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)
