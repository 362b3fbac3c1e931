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
