"""When what was so in an NWB file: its epochs, the time that is valid for all units."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from ...files.intervals import covered, without
from ...files.tables import LIGHT
from .columns import ragged

# what a column that speaks of light says where there was none
NOT_LIT = {"", "n/a", "na", "none", "null", "no", "off", "false", "nostim", "no stim", "control"}


def epochs_of(nwbfile, file) -> pd.DataFrame | None:
    """The file's epochs: start_s, stop_s (s), name; and what else in it speaks of light, by the
    name of its table and column. None where it has neither.
    """
    parts = [*_light(nwbfile, file)]
    table = nwbfile.epochs
    if table is not None:
        times, known = _start_stop(table, file)
        column = next((name for name in ("tags", "label", "name") if name in table.colnames), None)
        names = (
            [", ".join(map(str, tags)) or "epoch" for tags in ragged(table[column])]
            if column
            else ["epoch"] * len(known)
        )
        parts.insert(0, _epochs(times, np.array(names, dtype=object)[known]))
    return pd.concat(parts, ignore_index=True) if parts else None


def _epochs(times: np.ndarray, names) -> pd.DataFrame:
    return pd.DataFrame({"start_s": times[:, 0], "stop_s": times[:, 1], "name": names})


def _light(nwbfile, file):
    """Epochs of what else speaks of light: tables of intervals by their name, or rows of others by
    a column's; optogenetic and other series, from their first to their last sample.
    """
    from pynwb.base import TimeSeries
    from pynwb.epoch import TimeIntervals
    from pynwb.ogen import OptogeneticSeries

    for item in list(nwbfile.objects.values()):
        if item is nwbfile.invalid_times:
            continue
        try:
            if isinstance(item, TimeIntervals):
                columns = [name for name in item.colnames if LIGHT.search(name)]
                if not (columns or LIGHT.search(item.name)):
                    continue
                times, known = _start_stop(item, file)
                lit = [_is_lit(ragged(item[name]))[known] for name in columns]
                # A wavelength, say, is there in every row: the others tell which are lit.
                chosen = [rows for rows in lit if not rows.all()] or lit or [np.ones(len(times))]
                rows = np.any(chosen, axis=0)
                name = ": ".join([item.name, *columns[:1]])
            elif isinstance(item, OptogeneticSeries) or (
                isinstance(item, TimeSeries) and LIGHT.search(item.name)
            ):
                times, rows = _first_to_last(item), np.array([True])
                name = item.name if LIGHT.search(item.name) else f"optogenetic: {item.name}"
            else:
                continue
        except Exception:  # noqa: S112  (whatever may be wrong beside the data that were asked for)
            continue
        if rows.any():
            yield _epochs(times[rows], name)


def _is_lit(rows: list[np.ndarray]) -> np.ndarray:
    """(rows,) bool: which hold a number other than 0, True, or a text that says more than no."""

    def says_so(value) -> bool:
        text = value.decode() if isinstance(value, bytes) else str(value)
        if text.strip().casefold() in NOT_LIT:
            return False
        try:
            number = float(text)
        except ValueError:
            return True
        return np.isfinite(number) and number != 0

    return np.array([any(says_so(value) for value in np.ravel(row)) for row in rows], dtype=bool)


def _first_to_last(series) -> np.ndarray:
    """(1, 2), s."""
    if series.timestamps is not None:
        return np.array([[series.timestamps[0], series.timestamps[-1]]], dtype=np.float64)
    start_s = float(series.starting_time or 0.0)
    return np.array([[start_s, start_s + len(series.data) / series.rate]])


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
