"""The spike trains of a session file: all of them one array, of which only what is asked for is
read, or fetched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pandas as pd

from ..download.remote import RemoteFile

ROWS_AT_ONCE = 4096  # of spike times that are looked for


class SpikeTrains(ABC):
    """units : the HDF5 group. path : names the file. remote : where it lies on a server."""

    def __init__(self, units, path: Path, remote: RemoteFile | None):
        self._units, self.path, self._remote = units, path, remote
        self._ends = units["spike_times_index"][:].astype(np.int64)
        self._row = pd.Series(np.arange(len(self._ends)), index=units["id"][:].astype("int64"))

    @abstractmethod
    def _lasts(self) -> float:
        """How long the session lasts, s; 0: not known."""

    def bring(self, unit_ids, until_s: float = np.inf) -> None:
        """Of a file on a server, fetch the spike times of these units, all at once; of one on disk
        nothing is to be done.
        """
        if self._remote is not None:
            rows = [self._rows_of(unit_id) for unit_id in unit_ids]
            likely = [(start, self._likely_end(start, stop, until_s)) for start, stop in rows]
            self._remote.fetch(bytes_of(self._units["spike_times"], likely))

    def _likely_end(self, start: int, stop: int, until_s: float) -> int:
        """Up to which row a unit has spikes before `until_s`, had it one rate throughout, and some
        more.
        """
        share = until_s / self._lasts() if self._lasts() else 1.0
        return min(stop, start + int(1.1 * share * (stop - start)) + 500) if share < 1 else stop

    def _rows_of(self, unit_id: int) -> tuple[int, int]:
        """From where to where a unit's spikes lie."""
        if unit_id not in self._row.index:
            raise ValueError(
                f"{self.path}: there is no unit {unit_id}; the units there are:"
                " session.units(quality=None)."
            )
        row = self._row[unit_id]
        return int(self._ends[row - 1]) if row else 0, int(self._ends[row])

    def spike_times(self, unit_id: int, until_s: float = np.inf) -> np.ndarray:
        """The spike times of one unit before `until_s`, (n,) float64, s, in order; without negative
        ones (-1: no spike), as in AllenSDK.

        Only these are read. ValueError for an unknown unit, and for NaN or infinite times.
        """
        start, stop = self._rows_of(unit_id)
        read = self._units["spike_times"]
        end = stop if self._remote is None else self._likely_end(start, stop, until_s)
        times = read[start:end].astype(np.float64, copy=False)
        # of a train that is out of order, or faster in the beginning, all has to be seen
        if end < stop and not (times[-1] > until_s and (np.diff(times) >= 0).all()):
            times = read[start:stop].astype(np.float64, copy=False)
        if not np.isfinite(times).all():
            raise ValueError(
                f"{self.path}: unit {unit_id} has NaN or infinite spike times: the file is damaged;"
                " download it again."
            )
        times = times[times >= 0]
        times = times if (np.diff(times) >= 0).all() else np.sort(times)
        return times[: np.searchsorted(times, until_s)]

    def spikes_within(self, unit_ids, gaps: np.ndarray) -> np.ndarray:
        """Spike times of some units inside gaps, (K, 2), s, that follow each other; unit by unit.

        Of a file on a server little more than these is read.
        """
        if self._remote is None:
            trains = [self.spike_times(unit_id) for unit_id in unit_ids]
            parts = [
                train[np.searchsorted(train, start) : np.searchsorted(train, stop)]
                for train in trains
                for start, stop in gaps
            ]
        else:
            parts = []
            for first, end in map(self._rows_of, unit_ids):
                for start, stop in gaps:
                    rows = self._row_at(start, first, end), self._row_at(stop, first, end)
                    parts.append(self._units["spike_times"][slice(*rows)])
        return np.concatenate([*parts, np.empty(0)])

    def _row_at(self, at_s: float, low: int, high: int) -> int:
        """The first row from `low` to `high` (one train) with a spike at `at_s` or later, found by
        looking where it would be at one rate, again and again.
        """
        times, low_s, high_s = self._units["spike_times"], 0.0, self._lasts()
        while high - low > ROWS_AT_ONCE:
            share = np.clip((at_s - low_s) / max(high_s - low_s, 1e-9), 0.02, 0.98)
            first = max(low, low + int(share * (high - low)) - ROWS_AT_ONCE // 2)
            here = times[first : min(first + ROWS_AT_ONCE, high)]
            if here[0] >= at_s:
                high, high_s = first, here[0]
            elif here[-1] < at_s:
                low, low_s = first + len(here), here[-1]
            else:
                return first + int(np.searchsorted(here, at_s))
        return low + int(np.searchsorted(times[low:high], at_s))


def bytes_of(dataset, rows) -> list[tuple[int, int]]:
    """Where rows of a one-dimensional HDF5 dataset lie in its file: (start, stop), bytes.

    rows : (start, stop) pairs.
    """
    if dataset.chunks is None:
        at, size = dataset.id.get_offset(), dataset.dtype.itemsize
        return [(at + start * size, at + stop * size) for start, stop in rows]
    chunks = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
    first = np.array([chunk.chunk_offset[0] for chunk in chunks])
    wanted = np.zeros(len(chunks), dtype=bool)
    for start, stop in rows:
        wanted |= (first < stop) & (first + dataset.chunks[0] > start)
    return [
        (chunk.byte_offset, chunk.byte_offset + chunk.size)
        for chunk, is_wanted in zip(chunks, wanted)
        if is_wanted
    ]
