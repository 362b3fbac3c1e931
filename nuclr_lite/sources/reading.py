"""What readers of several formats share: which units to keep, spikes by unit, frames on a regular
grid, errors on one line.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from ..files.intervals import covered, frame_ranges, frames_inside
from ..files.values import averaged

SURPLUS = 0.01  # timestamps that don't fit, of all: up to this share, they don't matter
LARGEST_OFFSET = 1.0  # of a timestamp from a regular grid, frames
STEPS_AROUND = 101  # from one frame to the next, whose median is what is usual there


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


def named(values: np.ndarray, names=None) -> np.ndarray:
    """Names in place of an enumeration's codes; None for a code without a name.

    names : sequence, the name of code 0, 1, ... None: those of an HDF5 enumeration, if `values`
    came from one (h5py keeps them in the dtype); any other values are returned as they are.
    """
    codes = dict(values.dtype.metadata or {}).get("enum")
    if names is None and codes is None:
        return values
    name_of = dict(enumerate(names)) if codes is None else {codes[name]: name for name in codes}
    flat = [name_of.get(int(code)) for code in values.ravel()]
    texts = [name.decode() if isinstance(name, bytes) else name for name in flat]
    return np.array(texts, dtype=object).reshape(values.shape)


def one_number(value) -> float | None:
    """A number that a file holds alone, in an array or not; None for anything else."""
    number = np.ravel(np.asarray(value if value is not None else []))
    is_one = number.size == 1 and number.dtype.kind in "iuf" and np.isfinite(number[0])
    return float(number[0]) if is_one else None


def agreed_rate(given: float, said, where, name: str) -> float:
    """The frame rate that was given, Hz; a notice where the file's own differs by more than 1 %."""
    rate = one_number(said)
    if rate is not None and rate > 0 and not abs(given / rate - 1) <= 0.01:
        warnings.warn(
            f"{where}: sampling_rate_hz is {given:g}, as given, but {name} is {rate:g}. It should"
            " be the frames a second of one plane.",
            stacklevel=4,
        )
    return given


def on_grid(traces: np.ndarray, timestamps: np.ndarray, where: str):
    """Frames placed on a regular grid: those that are missing become NaN.

    Where the frame rate changes or drifts, so that no regular grid holds every frame within one
    frame of its timestamp, the traces are averaged to the mean rate, with a notice. Frames
    without a timestamp of their own are left out, with a notice.

    traces : (frames, units). timestamps : (frames,), s. where : for errors.
    Returns the grid (frames, units) float32, frames a second, when its frame 0 begins (s), and the
    (K, 2) intervals that have frames, s: frame i begins at the first timestamp + i / rate.
    ValueError where the timestamps are too many, too few, or in no order.
    """
    kept, timestamps = _stamped(len(traces), np.asarray(timestamps, dtype=np.float64), where)
    traces = traces[kept]
    place, rate, gaps, is_even = _places(timestamps, where)
    start_s = float(timestamps[0])
    if not is_even:
        return _averaged_in_time(traces, timestamps, rate, gaps)
    grid = np.full((place[-1] + 1, traces.shape[1]), np.nan, dtype=np.float32)
    grid[place] = traces
    begin, end = place[np.r_[0, gaps]], place[np.r_[gaps, len(place)] - 1] + 1
    return grid, rate, start_s, covered(start_s + np.stack([begin, end], axis=1) / rate)


def frame_places(timestamps: np.ndarray, where: str) -> tuple[np.ndarray, float]:
    """Where on a regular grid each frame lies, (frames,) int64 in order, and frames a second.

    As `on_grid`, for traces that are averaged afterwards: where the rate changes, a place may hold
    two frames, or none. timestamps : (frames,), s, finite, each later than the one before.
    """
    return _places(timestamps, where)[:2]


def _stamped(n_frames: int, timestamps: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Which frames have a timestamp to go by, (frames,) bool, and those timestamps, s."""
    surplus = len(timestamps) - n_frames
    by_hand = (
        " read the arrays yourself, and give them to nl.Recording.from_traces(traces,"
        " sampling_rate_hz, units, intervals, ...)."
    )
    if abs(surplus) > max(1, SURPLUS * n_frames):
        raise ValueError(
            f"{where} has {abs(surplus)} timestamps {'more' if surplus > 0 else 'fewer'} than"
            f" frames ({len(timestamps)} for {n_frames} frames), and which belong together can't be"
            " told"
            + (": they may be those of all planes, or of both edges of a pulse" * (surplus > 0))
            + ". Correct them in a copy of the file, or"
            + by_hand
        )
    times = np.full(n_frames, np.nan)
    times[: len(timestamps)] = timestamps[:n_frames]
    finite = np.isfinite(times)
    before = np.fmax.accumulate(np.r_[-np.inf, times[:-1]])
    later = finite & ~(times <= before)
    if later.sum() < 2:
        raise ValueError(
            f"{where} has {int(finite.sum())} frames with a timestamp, {int(later.sum())} of them"
            " later than those before; two are needed to know the frame rate:" + by_hand
        )
    frame_s = float(np.median(np.diff(times[later])))
    back = np.where(finite & ~later, before - times, 0.0)
    not_later = int((finite & ~later).sum())
    if back.max() > frame_s or not_later > max(1, SURPLUS * n_frames):
        first = int(np.argmax(finite & ~later) if back.max() <= frame_s else back.argmax())
        raise ValueError(
            f"{where} needs one timestamp a frame, in seconds, each later than the one before;"
            f" {not_later} of them not later (such as frame {first}, at {times[first]:g} s, after"
            f" {before[first]:g} s). "
            + (
                "Where sessions were joined, so that the clock starts again, give each its own"
                " file; or"
                if back.max() > frame_s
                else "They are too coarse for these frames;"
            )
            + by_hand
        )
    n_short, n_nan = max(0, -surplus), int((~finite).sum()) - max(0, -surplus)
    said = [
        f"{n} {what}"
        for n, what in (
            (surplus, "timestamps more than frames: the last were left out"),
            (n_short, "timestamps fewer than frames: the last frames were left out"),
            (n_nan, "frames without a time (NaN), which were left out"),
            (not_later, "frames no later than the one before, which were left out"),
        )
        if n > 0
    ]
    if said:
        warnings.warn(
            f"{where} has {'; '.join(said)} (of {n_frames} frames)."
            + " Were it others, times are off by as many frames." * (surplus != 0),
            stacklevel=3,
        )
    return later, times[later]


def _places(timestamps: np.ndarray, where: str):
    """The place of each frame on a grid, frames a second, at which frames a new stretch begins, and
    whether each lies within a frame of its timestamp.
    """
    steps = np.diff(timestamps)
    is_gap = steps > 1.5 * np.median(steps)
    # The median step finds the gaps, the mean gives the rate: of times rounded to 1 ms, the median
    # may be off by a percent.
    rate = float(1 / steps[~is_gap].mean())
    gaps = np.flatnonzero(is_gap) + 1
    place, free = np.empty(len(timestamps), dtype=np.int64), 0
    for first, stop in zip(np.r_[0, gaps], np.r_[gaps, len(timestamps)]):
        # A stretch begins on the nearest frame of the grid; within it, frames follow each other
        # whatever their jitter.
        begin = max(free, round((timestamps[first] - timestamps[0]) * rate))
        free = begin + stop - first
        place[first:stop] = np.arange(begin, free)
    if free > 100 * len(timestamps):
        raise ValueError(
            f"{where} has {len(timestamps)} frames in {timestamps[-1] - timestamps[0]:g} s at"
            f" {rate:g} Hz, nearly all of it gaps; check that its timestamps are all in seconds and"
            " on one clock."
        )
    # What one number for the rate leaves over: steps that are gaps by the median of all, but usual
    # where they are (the rate has halved); and the distance of timestamps from the grid.
    usual = pd.Series(steps).rolling(STEPS_AROUND, center=True, min_periods=1).median().to_numpy()
    is_odd = steps > 1.5 * usual
    offset = np.abs((timestamps - timestamps[0]) * rate - place)
    if (is_odd != is_gap).mean() <= SURPLUS and offset.max() <= LARGEST_OFFSET:
        return place, rate, gaps, True
    rate = float(1 / steps[~is_odd].mean())
    rates = 1 / np.quantile(usual[~is_odd], [0.99, 0.01])
    warnings.warn(
        f"{where}: its frames come at {rates[0]:.4g} to {rates[1]:.4g} Hz, and lie up to"
        f" {offset.max():.3g} frames from a regular grid; averaged to {rate:.4g} Hz by their time"
        " stamps.",
        stacklevel=4,
    )
    place = np.round((timestamps - timestamps[0]) * rate).astype(np.int64)
    return place, rate, np.flatnonzero(is_odd) + 1, False


def _averaged_in_time(traces: np.ndarray, timestamps: np.ndarray, rate: float, gaps: np.ndarray):
    """As `on_grid`: the mean of the frames over each new frame's time."""
    n = len(timestamps)
    steps = np.diff(timestamps)
    stops = np.r_[gaps, n]
    # The last frame of a stretch lasts as long as the one before it, but not into the next.
    length = np.where(stops > np.r_[1, gaps + 1], steps[np.maximum(stops - 2, 0)], 1 / rate)
    ends = timestamps[stops - 1] + np.minimum(length, np.r_[steps[gaps - 1], np.inf])
    # By when how many frames were over; during a pause the number stands still.
    when, over = np.insert(timestamps, stops, ends), np.insert(np.arange(n), stops, stops)
    start_s = float(timestamps[0])
    n_new = int((ends[-1] - start_s) * rate + 1e-6)
    edges = np.interp(start_s + np.arange(n_new + 1) / rate, when, over)
    length = np.diff(edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        grid = averaged(traces, edges, length[:, None])
        broken = averaged(~np.isfinite(traces), edges, length[:, None]) > 0
    stretches = np.stack([timestamps[np.r_[0, gaps]], ends], axis=1)
    ranges = np.minimum(frame_ranges(stretches, rate, start_s), n_new)
    ranges = ranges[ranges[:, 1] > ranges[:, 0]]
    inside = frames_inside(stretches, rate, start_s, n_new)
    grid = np.where(inside[:, None] & ~broken, grid, np.nan).astype(np.float32)
    return grid, rate, start_s, covered(start_s + ranges / rate)


def first_line(error: Exception, secret: str = "") -> str:
    """An error in one line, without `secret`."""
    text = str(error).strip()
    return (
        f"{type(error).__name__}: {text.replace(secret, '...') if secret else text}".splitlines()[
            0
        ][:200]
    )
