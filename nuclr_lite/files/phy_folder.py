"""The spikes of a Phy or Kilosort folder, as its two files hold them: what is read from there, and
what goes back, start here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def cluster_ids(folder: Path) -> np.ndarray:
    """The ids of the clusters that have spikes, in order."""
    return np.unique(phy_spikes(folder)[1])


def phy_spikes(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Sample and cluster of every spike, (S,) float64 and (S,) int64, in the files' order."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; give the one that holds spike_times.npy."
        )
    files = [folder / "spike_times.npy", folder / "spike_clusters.npy"]
    if not files[1].is_file():
        files[1] = folder / "spike_templates.npy"  # what Phy shows until somebody merges or splits
    for file, what in zip(files, ("spike_times.npy", "spike_clusters.npy nor spike_templates.npy")):
        if not file.is_file():
            raise FileNotFoundError(
                f"{folder}: there is no {what}; give the folder that Kilosort wrote and Phy opens."
            )
    times, clusters = (_whole_numbers(file) for file in files)
    if len(times) != len(clusters):
        raise ValueError(
            f"{folder}: {files[0].name} has {len(times):,} spikes and {files[1].name} has"
            f" {len(clusters):,}; one of them is of another sorting or was cut short: copy both"
            " again."
        )
    if not len(times):
        raise ValueError(f"{files[0]}: holds no spikes; check the sorting.")
    return times.astype(np.float64), clusters.astype(np.int64)


def _whole_numbers(file: Path) -> np.ndarray:
    """The numbers in `file`, flat. MATLAB writes (n, 1), and sometimes whole numbers as float64."""
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{file}: can't be read as a .npy file of numbers ({error}); copy it again."
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{file}: holds no whole numbers; it is not what Kilosort writes: copy it again."
        )
    if array.size and array.size != max(array.shape, default=0):
        raise ValueError(
            f"{file}: has shape {array.shape}; one number a spike is needed, (n,) or (n, 1)."
        )
    array = array.ravel()
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.round(array))).all():
        raise ValueError(
            f"{file}: holds numbers that aren't whole, so these are no samples and no cluster ids."
            " If they are times in seconds, give one array a unit to Recording.from_spike_trains,"
            " or a table to from_long_table."
        )
    return array
