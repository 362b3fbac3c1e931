"""What a folder holds is found out: every kind that has a reader, where its files lie."""

import imaging_files
import numpy as np
import pytest
from helpers import spikes
from imaging_files import RATE, write_plane
from phy_files import GROUP, phy_folder
from published_folders import steinmetz_tree
from test_caiman import write_caiman

from nuclr_lite.sources.folder import read_folder, read_places, recognised

no_pickle_is_opened = imaging_files.no_pickle_is_opened  # a fixture


def test_recordings_from_a_folder(recordings, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="holds no saved recording and no NWB file, nor .*; save some"
    ):
        read_folder(tmp_path)
    for recording in recordings:
        recording.save(tmp_path / recording.recording_id)
    for read, written in zip(
        read_folder(tmp_path, verify=True),
        sorted(recordings, key=lambda recording: recording.recording_id),
        strict=True,
    ):
        assert read.recording_id == written.recording_id and np.array_equal(
            read.times, written.times
        )
    [one] = read_folder(tmp_path / recordings[0].recording_id)
    assert one.recording_id == recordings[0].recording_id


def test_what_a_killed_writer_left_is_not_read(recordings, tmp_path):
    for name in ("kept", ".kept.0123abcd-01234567.partial", ".kept.01234567.replaced"):
        recordings[0].save(tmp_path / name)
    assert len(read_folder(tmp_path)) == 1


def test_phy_folders_say_no_animal(tmp_path):
    (tmp_path / "mouse1" / "day1").mkdir(parents=True)
    phy_folder(tmp_path / "mouse1" / "day1" / "kilosort4", group=GROUP)
    with pytest.warns(UserWarning, match="it is called 'kilosort4'. Give animal="):
        [one] = read_folder(tmp_path / "mouse1" / "day1" / "kilosort4")
    assert (one.recording_id, one.animal_id) == ("kilosort4", "kilosort4")
    [one] = read_folder(tmp_path, animal="m", groups=None)
    assert one.n_units == 3 and one.animal_id == "m"
    (tmp_path / "mouse2" / "day1").mkdir(parents=True)
    phy_folder(tmp_path / "mouse2" / "day1" / "kilosort4", group=GROUP)
    with pytest.warns(UserWarning, match="'mouse2'"):
        found = list(read_places(tmp_path))
    assert [(read.recording_id, read.animal_id) for _, [read] in found] == [
        ("mouse1-day1-kilosort4", "mouse1"),
        ("mouse2-day1-kilosort4", "mouse2"),
    ]
    with pytest.raises(ValueError, match="knows no signal; give it animal_id, recording_id"):
        read_folder(tmp_path, animal="m", signal="dff")


def test_imaging(tmp_path):
    write_plane(tmp_path / "s" / "session" / "suite2p" / "plane0", rate=RATE)
    write_plane(tmp_path / "s" / "session" / "suite2p" / "plane1", rate=RATE)
    write_plane(tmp_path / "s" / "session" / "suite2p" / "combined", rate=RATE)
    for place in ("s", "s/session", "s/session/suite2p"):
        with pytest.warns(UserWarning, match="it is called 'session'"):
            read = read_folder(tmp_path / place)
        assert [one.recording_id for one in read] == ["session-plane0", "session-plane1"]
    [plane] = read_folder(tmp_path / "s/session/suite2p/plane1", animal="m")
    assert plane.recording_id == "session-plane1"
    (tmp_path / "c").mkdir()
    file = write_caiman(tmp_path / "c" / "day3.hdf5")
    for place in (file, file.parent):
        with pytest.warns(UserWarning, match="it is called"):
            [read] = read_folder(place)
        assert read.recording_id == "day3" and read.modality == "calcium"


def test_nwb_files_lie_as_deep_as_dandi_has_them(tmp_path):
    from nwb_files import with_spikes, write

    (tmp_path / "sub-1").mkdir()
    (tmp_path / "sub-1" / "nuclr").mkdir()
    file = write(with_spikes(), tmp_path / "sub-1" / "sub-1_ses-1.nwb")
    write(with_spikes(), tmp_path / "sub-1" / "nuclr" / "copy.nwb")
    (tmp_path / "sub-1" / "._sub-1_ses-1.nwb").write_text("what macOS leaves")
    for place in (tmp_path, tmp_path / "sub-1", file):
        [read] = read_folder(place)
        assert (read.recording_id, read.animal_id) == ("sub-1_ses-1", "mouse7")
    assert recognised(tmp_path)[1] == [file]


def test_published_sets(tmp_path):
    steinmetz_tree(tmp_path, [spikes(12, name="a"), spikes(12, seed=1, name="b")])
    kind, [place] = recognised(tmp_path)
    assert kind.name == "sessions of Steinmetz et al." and len(kind.read(place)) == 2


def test_damaged_files_are_told_by_their_reader(tmp_path):
    (tmp_path / "day1.hdf5").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="can't be read as HDF5"):
        read_folder(tmp_path, animal="m")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing there; check the path"):
        read_folder(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("not a recording")
    with pytest.raises(FileNotFoundError, match="holds no saved recording"):
        read_folder(tmp_path / "notes.txt")


def test_nwb_files_beside_saved_recordings_are_named(recordings, tmp_path):
    recordings[0].save(tmp_path / "one")
    (tmp_path / "two.nwb").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 saved .* 1 NWB files .* are not \(two\.nwb, \.\.\.\)"):
        assert len(read_folder(tmp_path)) == 1
