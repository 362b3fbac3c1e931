"""Stretches of time: (K, 2) float64 arrays of start and stop, s."""

from __future__ import annotations

import warnings

import numpy as np

from .carried_units import plain

LARGEST_S = 1e11  # 3,000 years from zero: seconds since 1970 are far below, milliseconds above
LONGEST_S = 366 * 86400.0


def rounding_s(times) -> float:
    """What a difference of such times may be off by, s: nothing to speak of near zero, a
    microsecond for seconds since 1970.
    """
    return 4 * float(np.spacing(np.abs(times).max()))


def is_whole(ratio: float) -> bool:
    """Whether a ratio of two lengths of time is a whole number from 1 on, but for rounding."""
    return round(ratio) >= 1 and abs(ratio - round(ratio)) < 1e-6 * ratio


def on_bins(starts: np.ndarray, bin_s: float) -> np.ndarray:
    """Starts, s, on the grid of bins that begins with the first: down, not to the nearest, so that
    pieces that don't overlap still don't.
    """
    return starts[0] + bin_s * np.floor((starts - starts[0]) / bin_s + 1e-6)


def check_intervals(intervals, recording_id: str) -> np.ndarray:
    """(K, 2) float64, s, in order of time; ValueError where they overlap or run backwards."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # lists of unequal length
            intervals = plain(intervals)
            kind = np.asarray(intervals).dtype
        if kind.kind in "cMmSU":
            raise TypeError(f"they are {kind}")
        intervals = np.array(intervals, dtype=np.float64)
    except (TypeError, ValueError, Warning) as error:
        raise ValueError(
            f"{recording_id}: the intervals can't be read as numbers ({error}); give (start, stop)"
            " pairs in seconds."
        ) from error
    if intervals.ndim != 2 or intervals.shape[1] != 2 or not len(intervals):
        raise ValueError(
            f"{recording_id}: intervals have shape {intervals.shape}; give at least one (start,"
            " stop) pair in seconds."
        )
    if not np.isfinite(intervals).all():
        raise ValueError(f"{recording_id}: an interval has a NaN or infinite end; give seconds.")
    if np.abs(intervals).max() > LARGEST_S or (intervals[:, 1] - intervals[:, 0]).sum() > LONGEST_S:
        raise ValueError(
            f"{recording_id}: valid time reaches from {intervals.min():g} to {intervals.max():g} s,"
            f" {(intervals[:, 1] - intervals[:, 0]).sum():g} s in all; that is more than a"
            " recording can have. Give seconds, not samples or milliseconds, or the valid"
            " intervals."
        )
    for start, stop in intervals:
        if stop < start:
            raise ValueError(
                f"{recording_id}: the interval {start:g} to {stop:g} s runs backwards; give (start,"
                " stop) with start before stop."
            )
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    for (start, stop), (following, _) in zip(intervals, intervals[1:]):
        if following < stop:
            raise ValueError(
                f"{recording_id}: the intervals from {start:g} to {stop:g} s and from {following:g}"
                " s on overlap; merge them first."
            )
    return intervals


def frame_ranges(intervals: np.ndarray, sampling_rate_hz: float, start_s: float) -> np.ndarray:
    """(K, 2) int64: first and one-past-last frame that lies wholly in each interval."""
    frames = (np.asarray(intervals) - start_s) * sampling_rate_hz
    # A millionth of a frame of slack: an interval that begins on a frame must not lose it to
    # rounding.
    slack = max(1e-6, rounding_s([*np.ravel(intervals), start_s]) * sampling_rate_hz)
    ranges = np.stack(
        [np.ceil(frames[:, 0] - slack), np.floor(frames[:, 1] + slack)], axis=1
    ).astype(np.int64)
    return np.maximum(ranges, 0)


def frames_inside(
    intervals: np.ndarray, sampling_rate_hz: float, start_s: float, n_frames: int
) -> np.ndarray:
    """(n_frames,) bool: which frames lie wholly in an interval."""
    inside = np.zeros(n_frames, dtype=bool)
    for first, stop in frame_ranges(intervals, sampling_rate_hz, start_s):
        inside[first:stop] = True
    return inside


def inside(times: np.ndarray, intervals: np.ndarray) -> np.ndarray:
    """(S,) bool: which times lie in an interval, both ends included."""
    which = np.searchsorted(intervals[:, 0], times, side="right") - 1
    return (which >= 0) & (times <= intervals[np.maximum(which, 0), 1])


def covered(intervals: np.ndarray, depth: int = 1) -> np.ndarray:
    """(K, 2), s, in order: the time that at least `depth` of the intervals (n, 2) cover; stretches
    within 1 us of each other are one.
    """
    intervals = intervals[intervals[:, 1] > intervals[:, 0]]
    times, change = intervals.T.ravel(), np.repeat([1, -1], len(intervals))
    order = np.lexsort([-change, times])  # at one time, starts before stops: what touches is one
    inside = np.cumsum(change[order]) >= depth
    turns = np.flatnonzero(np.diff(inside, prepend=False))
    stretches = times[order][turns].reshape(-1, 2)
    stretches = stretches[stretches[:, 1] > stretches[:, 0]]
    apart = stretches[1:, 0] - stretches[:-1, 1] > 1e-6
    first, last = np.r_[True, apart][: len(stretches)], np.r_[apart, True][: len(stretches)]
    return np.stack([stretches[first, 0], stretches[last, 1]], axis=1)


def without(intervals: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """(K, 2), s, in order: the time of `intervals` that no interval of `removed` covers.

    Ends may be infinite.
    """
    removed = covered(np.asarray(removed, dtype=np.float64).reshape(-1, 2))
    rest = np.stack([np.r_[-np.inf, removed[:, 1]], np.r_[removed[:, 0], np.inf]], axis=1)
    return covered(np.concatenate([intervals, rest]), depth=2)
