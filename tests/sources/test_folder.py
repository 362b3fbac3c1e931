"""Recordings that were saved in a folder."""

import numpy as np
import pytest

from nuclr_lite.sources.folder import read_folder


def test_recordings_from_a_folder(recordings, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="holds no saved recording and no NWB file; save some"
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


def test_nwb_files_beside_saved_recordings_are_named(recordings, tmp_path):
    recordings[0].save(tmp_path / "one")
    (tmp_path / "two.nwb").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 saved .* 1 NWB files .* are not \(two\.nwb, \.\.\.\)"):
        assert len(read_folder(tmp_path)) == 1
