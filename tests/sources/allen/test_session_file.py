"""Allen session files: what is read equals what AllenSDK reads; odd tables and bad files."""

import shutil
import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import session_files
from session_files import USABLE_S

from nuclr_lite.sources.allen import neuropixels
from nuclr_lite.sources.allen.client import import_allensdk
from nuclr_lite.sources.allen.session_file import open_session

h5py = pytest.importorskip("h5py")
# fixtures: pytest looks for them here
path, changed = session_files.path, session_files.changed


@pytest.fixture(scope="module")
def official(path):
    """The same file through AllenSDK."""
    if find_spec("allensdk") is None:
        pytest.skip("AllenSDK is not installed: nothing to compare with")
    pynwb = pytest.importorskip("pynwb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        EcephysSession = import_allensdk(
            "allensdk.brain_observatory.ecephys.ecephys_session"
        ).EcephysSession
        EcephysNwbSessionApi = import_allensdk(
            "allensdk.brain_observatory.ecephys.ecephys_session_api"
        ).EcephysNwbSessionApi
        with pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
            session = EcephysSession(api=EcephysNwbSessionApi.from_nwbfile(io.read()))
            yield {
                "units": session.units,
                "spikes": session.spike_times,
                "invalid": session.get_invalid_times(),
                "light": session.optogenetic_stimulation_epochs,
                "epochs": session.get_stimulus_epochs(),
                "running": session.running_speed,
                "genotype": session.full_genotype,
                "id": session.ecephys_session_id,
            }


def test_units_equal_allensdk(path, official):
    with open_session(path) as session:
        ours, theirs = (
            session.units(),
            official["units"].rename(columns={"structure_acronym": "ecephys_structure_acronym"}),
        )
        assert set(ours.index) == set(theirs.index) and len(ours) < 60
        shared = [name for name in ours if name in theirs]
        assert len(shared) >= 25
        pd.testing.assert_frame_equal(
            ours[shared].sort_index(),
            theirs[shared].sort_index(),
            check_dtype=False,
            check_names=False,
        )
        assert (session.genotype, session.session_id) == (official["genotype"], official["id"])


def test_spikes_equal_allensdk(path, official):
    with open_session(path) as session:
        for unit_id, theirs in official["spikes"].items():
            np.testing.assert_array_equal(session.spike_times(unit_id), theirs)


def test_a_mark_for_no_spike_is_left_out_as_in_allensdk(path, changed):
    def marked(file):
        for end in file["units/spike_times_index"][:3]:
            file["units/spike_times"][int(end) - 2 : int(end)] = -1.0

    with open_session(path) as session:
        ids = session.units(quality=None).index[:3]
        whole = [session.spike_times(unit_id) for unit_id in ids]
    with open_session(changed(marked)) as session:
        for unit_id, train in zip(ids, whole):
            np.testing.assert_array_equal(session.spike_times(unit_id), train[:-2])


def test_times_equal_allensdk(path, official):
    with open_session(path) as session:
        invalid = session.invalid_times()
        pd.testing.assert_frame_equal(
            invalid[["start_time", "stop_time"]],
            official["invalid"][["start_time", "stop_time"]],
            check_names=False,
        )
        assert [list(tags) for tags in official["invalid"]["tags"]] == invalid["tags"].tolist()
        pd.testing.assert_frame_equal(
            session.light_pulses(),
            official["light"][session.light_pulses().columns],
            check_names=False,
        )
        theirs = official["epochs"].assign(
            stimulus_block=pd.to_numeric(official["epochs"]["stimulus_block"], errors="coerce")
        )
        pd.testing.assert_frame_equal(
            session.stimulus_epochs(), theirs.reset_index(drop=True), check_dtype=False
        )
        assert "invalid_presentation" in set(theirs["stimulus_name"]) and len(official["running"])


def test_without_quality_limits_all_units_are_there(path):
    with open_session(path) as session:
        assert len(session.units(quality=None)) == 60
        loose = session.units({"isi_violations_maximum": np.inf})
        assert len(loose) > len(session.units())
        with pytest.raises(ValueError, match="unknown limits.*snr"):
            session.units({"snr_minimum": 1})
        with pytest.raises(ValueError, match="there is no unit 7"):
            session.spike_times(7)


def test_left_right_coordinate_of_released_files(changed, tmp_path):
    """Released files repeat the depth as z; AllenSDK's table of channels has the right one."""

    def defect(file):
        table = file["general/extracellular_ephys/electrodes"]
        table["z"][:] = table["y"][:]

    path = changed(defect)
    assert neuropixels.read_session(path)[0].units["left_right_ccf_coordinate"].isna().all()
    cached = tmp_path / "cache" / "session_1" / "session_1.nwb"
    cached.parent.mkdir(parents=True)
    shutil.move(path, cached)
    with h5py.File(cached) as file:
        table = file["general/extracellular_ephys/electrodes"]
        pd.DataFrame(
            {
                "anterior_posterior_ccf_coordinate": table["x"][:],
                "dorsal_ventral_ccf_coordinate": table["y"][:],
                "left_right_ccf_coordinate": 7000.0,
            },
            index=pd.Index(table["id"][:], name="id"),
        ).to_csv(tmp_path / "cache" / "channels.csv")
    assert (neuropixels.read_session(cached)[0].units["left_right_ccf_coordinate"] == 7000.0).all()


def test_odd_tables(changed, tmp_path):
    """What real files may lack or word otherwise; and a table beside the file that isn't
    AllenSDK's.
    """

    def odd(file):
        table = file["intervals/drifting_gratings_presentations"]
        del table["stimulus_block"]
        table["stimulus_block"] = np.array([b"null"] * len(table["id"]), dtype="S4")
        del file["intervals/invalid_times/tags"], file["intervals/invalid_times/tags_index"]
        file["intervals/invalid_times/stop_time"][1] = np.nan

    path = changed(odd)
    with open_session(path) as session:
        assert session.invalid_times()["tags"].tolist() == [[], []]
        assert "drifting_gratings" in set(session.stimulus_epochs()["stimulus_name"])
    # no end: to the end
    assert max(
        recording.intervals.max() for recording in neuropixels.read_session(path)
    ) == pytest.approx(0.6 * USABLE_S)

    def bare(file):
        del file["intervals"]
        table = file["general/extracellular_ephys/electrodes"]
        table["z"][:] = table["y"][:]

    path = tmp_path / "a" / "b" / "bare.nwb"
    path.parent.mkdir(parents=True)
    shutil.move(changed(bare), path)
    (tmp_path / "a" / "channels.csv").write_text("mine\n1\n")
    with pytest.warns(UserWarning, match="channels.csv is not read"):
        recordings = neuropixels.read_session(path)
    assert len(recordings) == 2 and not len(recordings[0].epochs)


def test_bad_files(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="download the session first"):
        neuropixels.read_session(tmp_path / "nothing.nwb")
    page = tmp_path / "page.nwb"
    page.write_text("<html>503</html>")
    with pytest.raises(ValueError, match="page.nwb.*download it again"):
        neuropixels.read_session(page)
    half = tmp_path / "half.nwb"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="half.nwb.*download it again"):
        neuropixels.read_session(half)
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["data"] = [1]
    with pytest.raises(ValueError, match="no session of the Allen"):
        neuropixels.read_session(tmp_path / "other.nwb")
