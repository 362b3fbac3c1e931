"""What the published data sets share: from ALF files (object.attribute.npy, one row a unit, spike
or channel) to spike trains.

ALF, the naming of the Open Neurophysiology Environment: spikes.times.npy and spikes.clusters.npy
have one entry a spike, clusters.* one a unit.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.intervals import without
from ...files.seconds import in_order
from ..reading import first_line, trains_of

SILENCE_S = 1.0  # no spike of a whole probe for longer than this: it wasn't recording
_REVISION = re.compile(r"#(.+)#")
_UUID = re.compile(r"\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\.[^.]+$)")


def newest(folder: Path, name: str) -> Path | None:
    """The file `name` in `folder` or in one of its revision folders (`#2024-05-06#`), the latest
    revision; None if there is none.

    A name with the data set's UUID before its ending, as on the server, counts too.
    """
    found = []
    for place in [folder, *folder.glob("#*#")]:
        revision = _REVISION.fullmatch(place.name)
        for file in place.glob(f"{Path(name).stem}*{Path(name).suffix}"):
            if file.is_file() and _UUID.sub("", file.name) == name:
                found.append((revision[1] if revision else "", file))
    return max(found)[1] if found else None


def required(folder: Path, name: str, holds: str) -> Path:
    """As `newest`; FileNotFoundError, naming the file and what it should hold, if there is none."""
    file = newest(folder, name)
    if file is None:
        raise FileNotFoundError(
            f"{folder / name}: missing; it should hold {holds}. Unpack or download this folder"
            " again, or check the path."
        )
    return file


def load_npy(file: Path, holds: str) -> np.ndarray:
    """The array of a .npy file, whatever its shape; ValueError, naming the file and what it should
    hold, if it is damaged or not .npy.
    """
    try:
        array = np.load(file, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an archive of arrays")
    except PermissionError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"{file}: can't be read as .npy ({first_line(error)}); it should hold {holds}. It is "
            "truncated or something else: unpack or download it again."
        ) from error
    return array


def read_npy(
    file: Path, holds: str, length: int | None = None, columns: int | None = None
) -> np.ndarray:
    """The array of a .npy file: (n,), also where it is stored as (n, 1); or (n, columns).

    ValueError for another shape, and as `load_npy`.
    """
    array = load_npy(file, holds)
    if (
        columns is None
        and array.ndim <= 2
        and array.size == array.shape[0 if array.ndim else slice(0)]
    ):
        array = array.reshape(-1)
    expected = ("n" if length is None else length, *([] if columns is None else [columns]))
    if (
        array.ndim != len(expected)
        or length not in (None, len(array))
        or columns not in (None, array.shape[-1])
    ):
        raise ValueError(
            f"{file}: has shape {array.shape} instead of"
            f" ({', '.join(map(str, expected))}{',' * (columns is None)}); it should hold {holds}."
            " Its neighbours are of another session or revision, or it is damaged: download the"
            " folder again."
        )
    return array


def read_spikes(times_file: Path, clusters_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Spike times (S,) float64, s, in order, and the unit number (S,) of each.

    Raises
    ------
    ValueError : naming the file: other lengths, times that are not finite, negative or broken unit
        numbers, no spike.
    """
    times = read_npy(times_file, "the time of each spike, s").astype(np.float64)
    clusters = read_npy(clusters_file, "the unit number of each spike", length=len(times))
    if not len(times):
        raise ValueError(f"{times_file}: holds no spike; leave this recording out.")
    if not np.isfinite(times).all():
        raise ValueError(
            f"{times_file}: {int((~np.isfinite(times)).sum())} spike times are NaN or infinite;"
            " download it again."
        )
    numbers = clusters.dtype.kind in "iuf" and np.isfinite(clusters).all()
    whole = clusters.astype(np.int64) if numbers else None
    if whole is None or (whole != clusters).any() or (whole < 0).any():
        raise ValueError(
            f"{clusters_file}: holds something other than unit numbers (0, 1, 2, ...); download it"
            " again."
        )
    if (np.diff(times) < 0).any():
        ids = np.unique(whole)
        in_order(trains_of(times, whole, ids), ids, str(times_file))
        order = np.argsort(times, kind="stable")
        times, whole = times[order], whole[order]
    return times, whole


def valid_time(trains: list[np.ndarray], probe_times: np.ndarray, where) -> np.ndarray:
    """(K, 2), s: from the first to the last spike of `trains`, without silences of the whole probe
    longer than 1 s, and 1 s on either side of them.

    Parameters
    ----------
    probe_times : all spikes of the probe in order, those of units that are not used among them.
    """
    ends = [train[[0, -1]] for train in trains if len(train)]
    if not ends:
        raise ValueError(
            f"{where}: none of its {len(trains)} chosen units has a spike; choose others."
        )
    last = np.flatnonzero(np.diff(probe_times) > SILENCE_S)
    valid = without(
        np.array([[np.min(ends), np.max(ends)]]),
        np.stack([probe_times[last] - 1.0, probe_times[last + 1] + 1.0], axis=1),
    )
    if not len(valid):
        raise ValueError(
            f"{where}: no valid time is left between silences of the whole probe; leave this"
            " recording out."
        )
    return valid


def epochs_table(parts: dict[str, np.ndarray], where) -> pd.DataFrame:
    """start_s, stop_s, name from arrays (n, 2), s, by name; rows without both times, or backwards,
    are left out with a warning.
    """
    rows = []
    for name, times in parts.items():
        times = np.asarray(times, dtype=np.float64).reshape(-1, 2)
        sound = np.isfinite(times).all(axis=1) & (times[:, 1] >= times[:, 0])
        if not sound.all():
            warnings.warn(
                f"{where}: left out {(~sound).sum()} of {len(sound)} epochs {name!r}: no time, or"
                " backwards.",
                stacklevel=2,
            )
        rows += [(start, stop, name) for start, stop in times[sound]]
    return pd.DataFrame(sorted(rows), columns=["start_s", "stop_s", "name"])


def around(times) -> np.ndarray:
    """(1, 2), s: from the first to the last of some times, NaN aside; (0, 2) for none."""
    times = np.asarray(times, dtype=np.float64)
    times = times[np.isfinite(times)]
    return np.array([[times.min(), times.max()]]) if len(times) else np.empty((0, 2))
