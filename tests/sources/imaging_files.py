"""Folders of Suite2p, with pickles in them that nobody must open, and fluorescence to fill them."""

from pathlib import Path

import numpy as np
import pytest

RATE = 5.0


class Attack:
    """What a pickle could do when it is opened."""

    def __reduce__(self):
        return (Path.touch, (Path("attacked"),))


@pytest.fixture(autouse=True)
def no_pickle_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "attacked").exists()


def fluorescence(n_rois=4, n_frames=1000, seed=0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F, Fneu and spks, (ROIs, frames): sparse transients on a baseline of 500 over a neuropil
    of 200.
    """
    rng = np.random.default_rng(seed)
    spks = (rng.random((n_rois, n_frames)) < 0.02).astype(np.float32)
    transients = np.apply_along_axis(
        lambda row: np.convolve(row, np.exp(-np.arange(25) / 5))[:n_frames], 1, spks
    )
    neuropil = 200 + 5 * rng.standard_normal((n_rois, n_frames))
    return (
        (500 * (1 + transients) + 0.7 * neuropil).astype(np.float32),
        neuropil.astype(np.float32),
        spks,
    )


def write_plane(
    plane: Path, cells=(1, 0, 1, 1), seed=0, rate=None, stat=True, ops=None, said=None, **arrays
) -> Path:
    """What Suite2p leaves in a plane's folder; with a rate also a Fall.mat.

    ops : what its ops has beside the rate, in Fall.mat. said : {name of a pickle: what it holds}.
    `arrays` replaces some; None leaves one out.
    """
    plane.mkdir(parents=True)
    raw, neuropil, spks = fluorescence(len(cells), seed=seed)
    iscell = np.stack([np.array(cells, dtype=float), np.linspace(0.9, 0.6, len(cells))], axis=1)
    files = {"F": raw, "Fneu": neuropil, "spks": spks, "iscell": iscell} | arrays
    for name, array in files.items():
        if array is not None:
            np.save(plane / f"{name}.npy", array)
    hostile = {name: {"data_path": Attack(), "nplanes": 1} for name in ("ops", "settings", "stat")}
    for name, held in (hostile | (said or {})).items():
        np.save(plane / f"{name}.npy", held)
    if rate:
        from scipy.io import savemat

        places = [
            {"med": [10 * i, 10 * i + 1], "ypix": np.arange(5), "lam": np.ones(5)}
            for i in range(len(cells))
        ]
        savemat(
            plane / "Fall.mat",
            {
                "ops": {"fs": rate, "nplanes": 1, "data_path": ["here"]} | (ops or {}),
                **files,
                **({"stat": np.array(places, dtype=object)} if stat else {}),
            },
        )
    return plane
