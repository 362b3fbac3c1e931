"""Counts and traces that come in: plain numbers, or an error that says why not. Of spike times,
`seconds` does it.
"""

from __future__ import annotations

import warnings

import numpy as np

from .carried_units import plain
from .intervals import frame_ranges, frames_inside, on_bins, without

FAR_ABOVE = 100.0  # a unit's own scale, against the others'


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


def averaged(traces, edges: np.ndarray, length) -> np.ndarray:
    """Traces (frames, units) in new frames, each the mean of the old ones over its length; what
    isn't finite counts as 0.

    edges : (new frames + 1,), where each begins and the last one ends, in old frames. length : of a
    new frame, in old ones: one number, or (new frames, 1).
    """
    traces = np.nan_to_num(np.asarray(traces, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    integral = np.concatenate([np.zeros((1, traces.shape[1])), traces.cumsum(axis=0)])
    edges = np.minimum(edges, len(traces))
    whole = np.minimum(edges.astype(np.int64), len(traces) - 1)
    at_edge = integral[whole] + (edges - whole)[:, None] * traces[whole]
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
    if not len(values):
        raise ValueError(f"{recording_id}: there is no frame; check how the traces were read.")
    return values


def check_clock(sampling_rate_hz: float, start_s: float, recording_id: str):
    """ValueError unless these can be frames a second, and a time in s."""
    if not (np.isfinite(sampling_rate_hz) and sampling_rate_hz > 0):
        raise ValueError(
            f"{recording_id}: sampling_rate_hz is {sampling_rate_hz}; give frames per second,"
            " above 0."
        )
    if not np.isfinite(start_s):
        raise ValueError(
            f"{recording_id}: start_s is {start_s}; give the time at which the first frame"
            " begins, s."
        )


def valid_frames(
    traces: np.ndarray, sampling_rate_hz: float, start_s: float, intervals, unit_ids, recording_id
) -> tuple[np.ndarray, np.ndarray]:
    """The intervals (K, 2), s, without frames that are broken (NaN or infinite) in all units, which
    a notice counts; and which frames lie wholly in them, (frames,) bool.

    ValueError where there is none, where one is broken in some units only, or the intervals reach
    beyond the frames.
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
    blank = valid & ~finite.any(axis=1)
    if blank.all() or blank.sum() == valid.sum():
        raise ValueError(
            f"{recording_id}: all {len(unit_ids)} units are NaN or infinite in all"
            f" {int(valid.sum())} valid frames; look at how the traces were made."
        )
    if blank.any():
        warnings.warn(
            f"{recording_id}: left {int(blank.sum())} of {int(valid.sum())} frames out of valid"
            f" time, which are NaN or infinite in all units (first:"
            f" {start_s + blank.argmax() / sampling_rate_hz:.3f} s).",
            stacklevel=3,
        )
        edges = np.flatnonzero(np.diff(blank, prepend=False, append=False)).reshape(-1, 2)
        cut = start_s + edges / sampling_rate_hz
        # One at a time: two that touch stay two.
        intervals = np.concatenate([without(interval[None], cut) for interval in intervals])
        valid &= ~blank
    broken = ~finite & valid[:, None]
    if broken.any():
        frame, unit = np.argwhere(broken)[0]
        units = unit_ids[broken.any(axis=0)].tolist()
        n_frames = int(broken.any(axis=1).sum())
        which = f"; to drop them with a reader, put `unit_id not in {units[:20]}` into `keep`"
        raise ValueError(
            f"{recording_id}: frame {frame} ({start_s + frame / sampling_rate_hz:.3f} s) of unit"
            f" {unit_ids.tolist()[unit]!r} is NaN or infinite; leave that stretch out of"
            " `intervals`, or drop the unit. In all, "
            f"{len(units)} of {len(unit_ids)} units are broken in {n_frames} of {int(valid.sum())}"
            f" valid frames, not all of them at once{which}."
        )
    return intervals, valid


def bridged(
    traces, intervals: np.ndarray, sampling_rate_hz: float, start_s: float, longest_s, recording_id
):
    """Traces and intervals where gaps of valid time shorter than `longest_s` are filled, by a
    straight line from the frame before to the one after; and how many frames were, as a notice
    says.

    Intervals that touch stay apart: somebody put a border there.
    """
    ranges = frame_ranges(intervals, sampling_rate_hz, start_s)
    first, stop = ranges[:-1, 1], ranges[1:, 0]  # of each gap
    lasts = (stop - first) / sampling_rate_hz
    short = (
        (intervals[1:, 0] - intervals[:-1, 1] > 1e-6)
        & (lasts < longest_s)
        & (np.diff(ranges, axis=1) > 0)[:-1, 0]
        & (np.diff(ranges, axis=1) > 0)[1:, 0]
    )
    if not short.any():
        return traces, intervals, 0
    traces = np.array(traces)
    for begin, end in zip(first[short], stop[short]):
        share = ((np.arange(begin, end) - begin + 1) / (end - begin + 1))[:, None]
        traces[begin:end] = (1 - share) * traces[begin - 1] + share * traces[end]
    intervals = np.stack(
        [intervals[np.r_[True, ~short], 0], intervals[np.r_[~short, True], 1]], axis=1
    )
    n_frames = int((stop - first)[short].sum())
    warnings.warn(
        f"{recording_id}: {n_frames} missing frames were bridged by straight lines, in"
        f" {short.sum()} gaps shorter than a frame of the encoder ({longest_s:g} s).",
        stacklevel=4,
    )
    return traces, intervals, n_frames


def trace_scale(valid: np.ndarray, unit_ids, recording_id: str) -> float:
    """99th percentile of all units and frames; where that isn't positive, of positive values.

    ValueError where a few units, far above all others, would set it: the others would vanish. Those
    that lie far above it are named in a notice.
    """
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
    _look_at_units(valid, scale, unit_ids, recording_id)
    return scale


def _look_at_units(valid: np.ndarray, scale: float, unit_ids, recording_id: str):
    """What one scale for all units leaves over: see `trace_scale`.

    Far above is a unit whose own 99th percentile is 100 times the median unit's or, where that is
    next to nothing, as of rare events, 10 times what the median unit ever reaches.
    """
    reach = np.maximum(valid.max(axis=0), -valid.min(axis=0))
    limit = FAR_ABOVE / 10 * _median(reach)
    far = np.flatnonzero(reach > limit)
    far = far[np.percentile(valid[:, far], 99, axis=0) > limit]
    if not len(far):
        return
    own = np.percentile(valid, 99, axis=0)
    far = np.flatnonzero(own > max(limit, FAR_ABOVE * _median(own)))
    if not len(far):
        return
    ids = unit_ids[far].tolist()
    others = np.delete(valid, far, axis=1)
    without_them = float(np.percentile(others, 99)) if others.size else 0.0
    said = (
        f"{recording_id}: {len(ids)} of {len(unit_ids)} units lie some {FAR_ABOVE:g} times or more"
        f" above the others (the 99th percentile of unit {ids[0]!r} is {own[far[0]]:.3g}, the"
        f" median unit's {_median(own):.3g}). Look at how their dF/F was made, and leave them out"
        f" (with a reader, put `unit_id not in {ids[:20]}` into `keep`)"
    )
    if scale > 2 * without_them:
        raise ValueError(
            f"{said}: the number that all traces are divided by, {scale:.3g}, would be"
            f" {without_them:.3g} without them, and beside them the others next to nothing."
        )
    warnings.warn(f"{said}; all traces are divided by {scale:.3g}.", stacklevel=4)


def _median(of_units: np.ndarray) -> float:
    """That of the lower half where the number is even: of two units, the lower."""
    return float(np.percentile(of_units, 50, method="lower"))
