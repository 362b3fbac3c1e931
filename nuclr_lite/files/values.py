"""Counts and traces that come in: plain numbers, or an error that says why not. Of spike times,
`seconds` does it.
"""

from __future__ import annotations

import warnings

import numpy as np

from .carried_units import plain
from .intervals import frames_inside, on_bins


def count_values(counts, recording_id: str) -> list[np.ndarray]:
    """Pieces of spike counts, each (bins, units) int64; one array is one piece. ValueError for what
    can't be counts.
    """
    several = isinstance(counts, (list, tuple)) and len(counts) and np.ndim(counts[0]) == 2
    pieces = []
    for number, given in enumerate(counts if several else [counts]):
        where = f"{recording_id}: the counts" + f" of piece {number}" * bool(several)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # lists of unequal length
                values = np.asarray(given)
            if values.dtype.kind not in "biuf":
                raise TypeError(f"they are {values.dtype}")
        except (TypeError, ValueError, Warning) as error:
            raise ValueError(
                f"{where} can't be read as numbers ({error}); give one array (bins, units)."
            ) from error
        if values.ndim != 2:
            raise ValueError(f"{where} have shape {values.shape}; give (bins, units).")
        if np.ma.is_masked(given) or not (values >= 0).all() or (values % 1 != 0).any():
            raise ValueError(
                f"{where} are not all whole numbers from 0 on; give how many spikes each bin has,"
                " not rates, and leave out bins that are missing."
            )
        pieces.append(values.astype(np.int64))
    if len({piece.shape[1] for piece in pieces}) > 1:
        raise ValueError(
            f"{recording_id}: pieces have {sorted({piece.shape[1] for piece in pieces})} units; all"
            " pieces of a recording show the same ones."
        )
    return pieces


def trains_of_counts(pieces, bin_s: float, start_s, recording_id: str):
    """Each unit's spikes, in the middle of their bins, s; and the (start, stop) of each piece, s,
    all on one grid of bins. Starts that don't fit the pieces, and no length of a bin: ValueError.

    pieces : as `count_values` gives them. start_s : the start of each.
    """
    starts = np.atleast_1d(np.asarray(plain(start_s), dtype=np.float64))
    if starts.shape != (len(pieces),) or not np.isfinite(starts).all():
        raise ValueError(
            f"{recording_id}: start_s is {start_s!r}; give the time at which each of the"
            f" {len(pieces)} pieces begins, s."
        )
    if not (np.isfinite(bin_s) and bin_s > 0):
        raise ValueError(f"{recording_id}: bin_s is {bin_s}; give the length of a bin, s, above 0.")
    starts = on_bins(starts, bin_s)
    trains = []
    for unit in range(pieces[0].shape[1]):
        middles = [
            start + bin_s * (np.repeat(np.arange(len(piece)), piece[:, unit]) + 0.5)
            for start, piece in zip(starts, pieces)
        ]
        trains.append(np.concatenate(middles))
    return trains, [[start, start + bin_s * len(piece)] for start, piece in zip(starts, pieces)]


def averaged(traces, length: float) -> np.ndarray:
    """Traces (frames, units) in frames that are `length` times as long, each the mean of the old
    ones over its length; what isn't finite counts as 0.
    """
    traces = np.nan_to_num(np.asarray(traces, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    n_new = int(len(traces) / length + 1e-6)
    integral = np.concatenate([np.zeros((1, traces.shape[1])), traces.cumsum(axis=0)])
    edge = np.minimum(np.arange(n_new + 1) * length, len(traces))  # in old frames
    whole = np.minimum(edge.astype(np.int64), len(traces) - 1)
    at_edge = integral[whole] + (edge - whole)[:, None] * traces[whole]
    return np.diff(at_edge, axis=0) / length


def trace_values(traces, recording_id: str) -> np.ndarray:
    """Traces (frames, units) as float32, a copy: what the caller does to theirs later is theirs.

    Masked values are NaN.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kind = np.asarray(traces).dtype
        if kind.kind in "cMmSU":
            raise TypeError(f"they are {kind}")
        if isinstance(traces, np.ma.MaskedArray):
            traces = np.ma.filled(traces.astype(np.float64), np.nan)
        # too large for float32 is infinite, which is refused later
        with np.errstate(over="ignore"):
            values = np.array(traces, dtype=np.float32)
    except (TypeError, ValueError, Warning) as error:
        raise ValueError(
            f"{recording_id}: the traces can't be read as numbers ({error}); give one array"
            " (frames, units)."
        ) from error
    if values.ndim != 2:
        raise ValueError(f"{recording_id}: traces have shape {values.shape}; give (frames, units).")
    return values


def valid_frames(
    traces: np.ndarray, sampling_rate_hz: float, start_s: float, intervals, unit_ids, recording_id
) -> np.ndarray:
    """(frames,) bool: which frames lie wholly in the intervals; ValueError where there is none,
    where one is not finite, or the intervals reach beyond the frames.
    """
    end_s = start_s + len(traces) / sampling_rate_hz
    if intervals[0, 0] < start_s - 1e-6 or intervals[-1, 1] > end_s + 1e-6:
        raise ValueError(
            f"{recording_id}: intervals reach from {intervals[0, 0]:g} to {intervals[-1, 1]:g}"
            f" s, the frames only from {start_s:g} to {end_s:g} s; check sampling_rate_hz and"
            " start_s."
        )
    valid = frames_inside(intervals, sampling_rate_hz, start_s, len(traces))
    if not valid.any():
        raise ValueError(
            f"{recording_id}: no frame lies wholly inside a valid interval; check that both use"
            " the same clock (s)."
        )
    finite = np.isfinite(traces)
    if not finite[valid].all():
        frame, unit = np.argwhere(~finite & valid[:, None])[0]
        raise ValueError(
            f"{recording_id}: frame {frame} ({start_s + frame / sampling_rate_hz:.3f} s) of"
            f" unit {unit_ids.tolist()[unit]!r} is NaN or infinite; leave that stretch out"
            " of `intervals`, or drop the unit."
        )
    return valid


def trace_scale(valid: np.ndarray, recording_id: str) -> float:
    """99th percentile of all units and frames; where that isn't positive, of positive values."""
    largest = max(float(valid.max()), -float(valid.min()))
    with np.errstate(over="ignore"):  # between values that are refused below
        scale = float(np.percentile(valid, 99))
    if not scale > 0:
        positive = valid[valid > 0]
        if not len(positive):
            raise ValueError(
                f"{recording_id}: no trace is ever above zero; give dF/F or events, and drop this"
                " recording if it is silent."
            )
        warnings.warn(
            f"{recording_id}: the 99th percentile of the traces is {scale:g}, so they are scaled by"
            " that of their positive values.",
            stacklevel=3,
        )
        scale = float(np.percentile(positive, 99))
    if not (1e-30 < scale and largest < min(1e30, 1e12 * scale)):
        raise ValueError(
            f"{recording_id}: the traces reach {largest:.3g}, their 99th percentile is {scale:.3g};"
            " that is beyond what can be computed with. Look for broken frames, and give dF/F or"
            " events."
        )
    return scale
