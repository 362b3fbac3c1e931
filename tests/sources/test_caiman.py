"""Files of CaImAn, written here after their schema, come in as recordings; bad ones are refused
with the remedy.
"""

import sys
from pathlib import Path

import imaging_files
import numpy as np
import pytest
from imaging_files import RATE, fluorescence, write_plane

import nuclr_lite as nl
from nuclr_lite.sources.caiman import read_caiman
from nuclr_lite.sources.suite2p import read_suite2p

# a fixture: pytest looks for it here
no_pickle_is_opened = imaging_files.no_pickle_is_opened


def write_caiman(path: Path, estimates: dict | None = None, rate=RATE) -> Path:
    """What cnm.save writes of four components in a 6 x 5 image; None as the text 'NoneType'."""
    h5py = pytest.importorskip("h5py", reason="CaImAn files are HDF5")
    spks = fluorescence()[2]
    # Component i covers the pixels (i, 1) and, three times as bright, (i, 2): row + 6 column.
    footprints = {
        "data": np.tile([1.0, 3.0], 4),
        "indices": np.ravel([[i + 6, i + 12] for i in range(4)]).astype(np.int32),
        "indptr": np.arange(0, 9, 2, dtype=np.int32),
        "shape": np.array([30, 4]),
    }
    all_estimates = {
        "A": footprints,
        "C": 100 * spks + 1,
        "S": spks,
        "F_dff": spks - 0.1,
        "YrA": spks,
        "b": None,
        "dims": np.array([6, 5]),
        "idx_components": np.array([0, 2, 3]),
        "idx_components_bad": np.array([1]),
        "SNR_comp": np.array([5.0, 1.0, 6.0, 7.0]),
        "r_values": np.array([0.9, 0.1, 0.8, 0.7]),
        "cnn_preds": None,
    } | (estimates or {})
    with h5py.File(path, "w") as file:

        def store(group, name, value):
            if isinstance(value, dict):
                for key, item in value.items():
                    store(group.require_group(name), key, item)
            elif not isinstance(value, str):  # 'absent'
                group[name] = "NoneType" if value is None else value

        store(file, "estimates", all_estimates)
        store(file, "params", {"data": {"fr": rate, "decay_time": 0.4, "fnames": None}})
        file["dview"] = "NoneType"
    return path


def test_caiman(tmp_path):
    path = write_caiman(tmp_path / "session.hdf5")
    [recording] = read_caiman(path, animal_id="mouse1")
    assert (
        recording.modality,
        recording.recording_id,
        recording.animal_id,
        recording.sampling_rate_hz,
    ) == ("calcium", "session", "mouse1", RATE)
    np.testing.assert_array_equal(
        recording.traces, (fluorescence()[2] - 0.1).astype(np.float32)[[0, 2, 3]].T
    )
    assert recording.units.index.tolist() == [0, 2, 3] and recording.units["accepted"].all()
    assert list(recording.units) == [
        "accepted",
        "SNR_comp",
        "r_values",
        "centroid_y_px",
        "centroid_x_px",
    ]
    assert recording.units["SNR_comp"].tolist() == [5, 6, 7]
    assert (
        recording.units["centroid_y_px"].tolist() == [0, 2, 3]
        and recording.units["centroid_x_px"].tolist() == [1.75] * 3
    )
    assert recording.provenance == {
        "source": "caiman",
        "file": "session.hdf5",
        "signal": "F_dff",
        "keep": "accepted",
    }
    for signal, expected in (("C", 100 * fluorescence()[2] + 1), ("S", fluorescence()[2])):
        [other] = read_caiman(
            path, animal_id="a", signal=signal, keep=None, sampling_rate_hz=30, recording_id="x"
        )
        np.testing.assert_array_equal(other.traces, expected.T)
        assert (other.n_units, other.sampling_rate_hz, other.recording_id) == (4, 30.0, "x")
    assert read_caiman(path, animal_id="a", keep="accepted and SNR_comp > 5.5")[
        0
    ].units.index.tolist() == [2, 3]
    nl.Recording.load(recording.save(tmp_path / "saved"))


def test_caiman_without_dff(tmp_path):
    for number, absent in enumerate([None, "absent", np.bytes_("NoneType")]):
        path = write_caiman(tmp_path / f"{number}.hdf5", {"F_dff": absent})
        with pytest.raises(
            ValueError,
            match=(
                rf"{number}\.hdf5: estimates/F_dff \(dF/F\) was not computed; run"
                r" .*detrend_df_f\(\).*\['C', 'S'\]"
            ),
        ):
            read_caiman(path, animal_id="a")
        assert read_caiman(path, animal_id="a", signal="C")[0].n_units == 3


@pytest.mark.parametrize("absent", [None, "absent"])
def test_caiman_after_select_components(tmp_path, absent):
    """select_components() keeps the good ones and empties idx_components."""
    path = write_caiman(
        tmp_path / "a.hdf5", {"idx_components": absent, "SNR_comp": absent, "A": absent}
    )
    with pytest.warns(
        UserWarning, match=r"a\.hdf5: has no idx_components, so all 4 components count as accepted"
    ):
        [recording] = read_caiman(path, animal_id="a")
    assert recording.n_units == 4 and list(recording.units) == ["accepted", "r_values"]


def test_caiman_that_does_not_fit(tmp_path):
    def refused(match, estimates=None, **options):
        path = write_caiman(
            tmp_path / "a.hdf5",
            estimates,
            **{name: value for name, value in options.items() if name == "rate"},
        )
        with pytest.raises(ValueError, match=match):
            read_caiman(path, animal_id="a")
        return path

    refused(r"a\.hdf5: has no frame rate \(params/data/fr\); give sampling_rate_hz", rate=None)
    refused(r"a\.hdf5: has no frame rate", rate=np.array([1.0, 2.0]))
    refused("sampling_rate_hz is 0.0", rate=0.0)
    refused(
        r"idx_components names component 7, and there are 4", {"idx_components": np.array([0, 7])}
    )
    refused("keep='accepted' holds for none of its 4 units", {"idx_components": np.array([])})
    refused(
        r"shapes \{'F_dff': \(3, 1000\), 'C': \(4, 1000\).*the same for all",
        {"F_dff": np.ones((3, 1000))},
    )
    refused(r"shapes \{'F_dff': \(4000,\)", {"F_dff": np.ones(4000), "C": None, "S": None})
    for dims, footprints in [
        (np.array([6, 5, 2]), {}),
        (np.array([5, 5]), {}),
        (None, {}),
        (np.array([6, 5]), {"indptr": np.array([0, 2])}),
    ]:
        path = write_caiman(
            tmp_path / "b.hdf5",
            {
                "dims": dims,
                "A": (
                    {
                        "data": np.ones(8),
                        "indices": np.arange(8),
                        "indptr": np.arange(0, 9, 2),
                        "shape": np.array([30, 4]),
                    }
                    | footprints
                ),
            },
        )
        # a volume, or no image of that size
        assert "centroid_x_px" not in read_caiman(path, animal_id="a")[0].units
    with pytest.raises(ValueError, match="signal is 'dff'; use one of"):
        read_caiman(path, animal_id="a", signal="dff")


def test_caiman_files(tmp_path):
    import h5py

    with pytest.raises(FileNotFoundError, match=r"none\.hdf5: no file there"):
        read_caiman(tmp_path / "none.hdf5", animal_id="a")
    whole = write_caiman(tmp_path / "a.hdf5").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>404</html>"):
        (tmp_path / "bad.hdf5").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.hdf5: can't be read as HDF5"):
            read_caiman(tmp_path / "bad.hdf5", animal_id="a")
    with h5py.File(tmp_path / "foreign.hdf5", "w") as file:
        file["estimates"] = 1
    with pytest.raises(ValueError, match=r"foreign\.hdf5: has no group `estimates`.*read_nwb"):
        read_caiman(tmp_path / "foreign.hdf5", animal_id="a")


def test_packages_missing(tmp_path, monkeypatch):
    plane, path = write_plane(tmp_path / "plane0", rate=RATE), write_caiman(tmp_path / "a.hdf5")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        ImportError, match=r"Fall\.mat needs scipy: pip install scipy; or give sampling_rate_hz"
    ):
        read_suite2p(plane, animal_id="a")
    assert read_suite2p(plane, animal_id="a", sampling_rate_hz=RATE)[0].n_units == 3
    with pytest.raises(ImportError, match="pip install h5py"):
        read_caiman(path, animal_id="a")


def test_caiman_after_its_window(tmp_path):
    """CaImAn's own window sets idx_components to all, and keeps what was chosen in two lists."""
    everyone = {"idx_components": np.arange(4), "idx_components_bad": np.array([])}
    lists = {"accepted_list": np.array([0, 2]), "rejected_list": np.array([3])}
    path = write_caiman(tmp_path / "a.hdf5", everyone | lists)
    with pytest.warns(
        UserWarning, match=r"2 components were accepted and 1 rejected by hand.*other 1, 1 count"
    ):
        [recording] = read_caiman(path, animal_id="a")
    assert recording.units.index.tolist() == [0, 1, 2]
    assert recording.units["by_hand"].tolist() == ["accepted", None, "accepted"]
    with pytest.warns(UserWarning, match="by hand"):
        [chosen] = read_caiman(path, animal_id="a", keep="by_hand == 'accepted'")
    assert chosen.units.index.tolist() == [0, 2]
    # the hand goes before the classifier, both ways; floats are what the window writes
    path = write_caiman(
        tmp_path / "b.hdf5",
        {"accepted_list": np.array([1.0]), "rejected_list": np.array([0.0])},
    )
    with pytest.warns(UserWarning, match="1 components were accepted and 1 rejected"):
        [recording] = read_caiman(path, animal_id="a")
    assert recording.units.index.tolist() == [1, 2, 3]
    # without idx_components, the lists are enough
    path = write_caiman(
        tmp_path / "c.hdf5", {"idx_components": None, "rejected_list": np.array([0])}
    )
    with pytest.warns(UserWarning) as notices:
        [recording] = read_caiman(path, animal_id="a")
    assert recording.units.index.tolist() == [1, 2, 3] and len(notices) == 1
    path = write_caiman(tmp_path / "d.hdf5", {"accepted_list": np.array([9])})
    with pytest.raises(ValueError, match="estimates/accepted_list names component 9, and there"):
        read_caiman(path, animal_id="a")


def test_caiman_lists_that_nobody_filled(tmp_path, recwarn):
    empty = {"accepted_list": np.array([]), "rejected_list": None}
    [recording] = read_caiman(write_caiman(tmp_path / "a.hdf5", empty), animal_id="a")
    assert recording.units.index.tolist() == [0, 2, 3] and "by_hand" not in recording.units
    assert not recwarn.list


def test_caiman_rate_given_and_in_the_file(tmp_path):
    path = write_caiman(tmp_path / "a.hdf5", rate=30.0)
    with pytest.warns(UserWarning, match=r"sampling_rate_hz is 10, as given, but params/data/fr"):
        assert read_caiman(path, animal_id="a", sampling_rate_hz=10)[0].sampling_rate_hz == 10


def test_caiman_without_frames(tmp_path):
    nothing = {name: np.zeros((4, 0)) for name in ("F_dff", "C", "S")}
    with pytest.raises(ValueError, match="a: there is no frame; check how the traces were read"):
        read_caiman(write_caiman(tmp_path / "a.hdf5", nothing), animal_id="a")
