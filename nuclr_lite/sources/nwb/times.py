"""When what was so in an NWB file: its epochs, the time that is valid for all units."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from ...files.intervals import covered, without
from .columns import ragged


def epochs_of(nwbfile, file) -> pd.DataFrame | None:
    """The file's epochs: start_s, stop_s (s), name; None where it has no such table."""
    table = nwbfile.epochs
    if table is None:
        return None
    times, known = _start_stop(table, file)
    column = next((name for name in ("tags", "label", "name") if name in table.colnames), None)
    names = (
        [", ".join(map(str, tags)) or "epoch" for tags in ragged(table[column])]
        if column
        else ["epoch"] * len(known)
    )
    known_names = np.array(names, dtype=object)[known]
    return pd.DataFrame({"start_s": times[:, 0], "stop_s": times[:, 1], "name": known_names})


def all_observed(observed: list[np.ndarray], unit_ids, file) -> np.ndarray:
    """(K, 2), s: the time that the obs_intervals of all units share."""
    shared = np.array([[-np.inf, np.inf]])
    for unit_id, rows in zip(unit_ids, observed):
        shared = covered(np.concatenate([shared, covered(rows.reshape(-1, 2))]), depth=2)
        if not len(shared):
            problem = (
                "share no time with those of the units before it" if len(rows) else "are empty"
            )
            raise ValueError(
                f"{file}: the obs_intervals of unit {unit_id} {problem}, so that no time is valid"
                " for all units; read the probes apart with probe_column='...', or leave units out"
                " with keep='...'."
            )
    return shared


def restricted(valid: np.ndarray, nwbfile, intervals_from: str | None, file) -> np.ndarray:
    """(K, 2), s: what of `valid` lies in the table `intervals_from`, not in the invalid_times."""
    from pynwb.epoch import TimeIntervals

    restrictions = {}
    if intervals_from is not None:
        tables = {
            item.name: item for item in nwbfile.objects.values() if isinstance(item, TimeIntervals)
        }
        if intervals_from not in tables:
            raise ValueError(
                f"{file}: no table of intervals {intervals_from!r}; there are {sorted(tables)}."
            )
        restrictions[intervals_from] = lambda time: covered(
            np.concatenate([time, covered(_start_stop(tables[intervals_from], file)[0])]), depth=2
        )
    if nwbfile.invalid_times is not None:
        restrictions["invalid_times"] = lambda time: without(
            time, _start_stop(nwbfile.invalid_times, file)[0]
        )
    for name, restrict in restrictions.items():
        valid = restrict(valid)
        if not len(valid):
            raise ValueError(
                f"{file}: table {name!r} leaves no valid time; check that it uses the data's clock"
                " (s), or choose another."
            )
    return valid


def _start_stop(table, file) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2), s, of the rows that have both times, in order; and which rows those are."""
    times = np.stack([table["start_time"].data[:], table["stop_time"].data[:]], axis=1).astype(
        np.float64
    )
    sound = np.isfinite(times).all(axis=1) & (times[:, 1] >= times[:, 0])
    if not sound.all():
        warnings.warn(
            f"{file}: left out {(~sound).sum()} of {len(sound)} rows of {table.name!r}: no time, or"
            " backwards.",
            stacklevel=2,
        )
    return times[sound], sound
