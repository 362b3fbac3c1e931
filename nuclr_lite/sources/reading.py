"""What readers of several formats share: which units to keep, spikes by unit, frames on a regular
grid, errors on one line.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..files.intervals import covered


def kept_rows(labels: pd.DataFrame, keep: str | None, file) -> np.ndarray:
    """Positions of the units for which the pandas expression `keep` holds; None: all.

    ValueError for one that fails, or holds for none.
    """
    if keep is None:
        return np.arange(len(labels))
    try:
        holds = labels.eval(keep)
        if (
            not isinstance(holds, pd.Series)
            or not pd.api.types.is_bool_dtype(holds)
            or holds.isna().any()
        ):
            raise ValueError(
                "it gives no True or False for each unit; compare, such as quality == 'good'"
            )
        kept = np.flatnonzero(holds.to_numpy(dtype=bool))
    except Exception as error:  # whatever may be wrong in an expression
        raise ValueError(
            f"{file}: keep={keep!r} failed ({first_line(error)}); the columns are"
            f" {list(labels.columns)}."
        ) from error
    if not len(kept):
        raise ValueError(
            f"{file}: keep={keep!r} holds for none of its {len(labels)} units; loosen it."
        )
    return kept


def trains_of(times: np.ndarray, clusters: np.ndarray, wanted) -> list[np.ndarray]:
    """The spike times of each unit number in `wanted`, in order."""
    order = np.argsort(clusters, kind="stable")
    times, clusters = times[order], clusters[order]
    return [
        times[first:stop]
        for first, stop in zip(
            np.searchsorted(clusters, wanted, "left"), np.searchsorted(clusters, wanted, "right")
        )
    ]


def on_grid(traces: np.ndarray, timestamps: np.ndarray, where: str):
    """Frames placed on a regular grid: those that are missing become NaN.

    traces : (frames, units). timestamps : (frames,), s. where : for errors.
    Returns the grid (frames, units) float32, frames a second, when its frame 0 begins (s), and the
    (K, 2) intervals that have frames, s: frame i begins at timestamps[0] + i / rate.
    """
    steps = np.diff(timestamps)
    if (
        len(timestamps) != len(traces)
        or len(steps) == 0
        or not (steps > 0).all()
        or not np.isfinite(timestamps).all()
    ):
        raise ValueError(
            f"{where} needs one timestamp a frame, in seconds, each later than the one before; it"
            f" has {len(timestamps)} for {len(traces)} frames, {int((~(steps > 0)).sum())} of them"
            " not later: write the file again."
        )
    is_gap = steps > 1.5 * np.median(steps)
    # The median step finds the gaps, the mean gives the rate: of times rounded to 1 ms, the median
    # may be off by a percent.
    rate = float(1 / steps[~is_gap].mean())
    gaps = np.flatnonzero(is_gap) + 1
    grid_starts, intervals, free = [], [], 0
    for first, stop in zip(np.r_[0, gaps], np.r_[gaps, len(traces)]):
        # A stretch begins on the nearest frame of the grid; within it, frames follow each other
        # whatever their jitter.
        grid_starts.append(max(free, round((timestamps[first] - timestamps[0]) * rate)))
        free = grid_starts[-1] + stop - first
        intervals.append([timestamps[0] + grid_starts[-1] / rate, timestamps[0] + free / rate])
    if free > 100 * len(traces):
        raise ValueError(
            f"{where} has {len(traces)} frames in {timestamps[-1] - timestamps[0]:g} s at {rate:g}"
            " Hz, nearly all of it gaps; check that its timestamps are all in seconds and on one"
            " clock."
        )
    grid = np.full((free, traces.shape[1]), np.nan, dtype=np.float32)
    for at, part in zip(grid_starts, np.split(traces, gaps)):
        grid[at : at + len(part)] = part
    return grid, rate, float(timestamps[0]), covered(np.array(intervals))


def first_line(error: Exception, secret: str = "") -> str:
    """An error in one line, without `secret`."""
    text = str(error).strip()
    return (
        f"{type(error).__name__}: {text.replace(secret, '...') if secret else text}".splitlines()[
            0
        ][:200]
    )
