"""A simulated session file, and copies of it that a test may change."""

import shutil

import pytest

from nuclr_lite.sources.simulated.allen_session import simulate_allen_session

h5py = pytest.importorskip("h5py")
USABLE_S = 240.0


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return simulate_allen_session(
        tmp_path_factory.mktemp("allen") / "session_900000001.nwb", n_units=60, duration_s=USABLE_S
    )


@pytest.fixture
def changed(path, tmp_path):
    """A copy that a test may change: changed(lambda file: ...) -> its path."""

    def change(edit):
        copy = tmp_path / "session_1.nwb"
        shutil.copy(path, copy)
        with h5py.File(copy, "r+") as file:
            edit(file)
        return copy

    return change
