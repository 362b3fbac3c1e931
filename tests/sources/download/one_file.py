"""A file, the server that has it, and the place where it is wanted."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from allen_server import Server

HASTE = {"timeout_s": (1.0, 0.3), "back_off_s": 0.01}
DEAD = "http://127.0.0.1:9/file"  # nobody listens there


def write(path: Path, seed: int = 0, n_bytes: int = 800_000) -> Path:
    with h5py.File(path, "w") as file:
        file["x"] = np.random.default_rng(seed).integers(0, 256, n_bytes, dtype=np.uint8)
    return path


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path / "source.h5")


@pytest.fixture
def server(source):
    with Server(
        files={"/file": source, "/other": write(source.with_name("other.h5"), seed=1)}
    ) as server:
        server.file = f"{server.url}/file"
        yield server


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "session.nwb"


def statuses(server) -> list[int]:
    return [request.status for request in server.file_requests]


def only_file(target: Path) -> bool:
    """Nothing is left beside it but perhaps the lock."""
    return {path.name for path in target.parent.iterdir()} <= {target.name, f"{target.name}.lock"}
