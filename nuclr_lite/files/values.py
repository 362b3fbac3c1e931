"""Spike times and traces that come in: plain numbers, in seconds, or an error that says why not."""

from __future__ import annotations

import warnings

import numpy as np


def trains_in_seconds(trains: list, unit_ids, recording_id: str) -> list[np.ndarray]:
    """Every unit's spike times as a flat float64 array; ValueError for what can't be seconds."""
    trains = [_seconds(train, unit_id, recording_id) for unit_id, train in zip(unit_ids, trains)]
    for unit_id, train in zip(unit_ids, trains):
        if train.ndim != 1:
            raise ValueError(
                f"{recording_id}: the spike times of unit {unit_id!r} have {train.ndim}"
                " dimensions; give one flat array of seconds."
            )
        if not np.isfinite(train).all():
            raise ValueError(
                f"{recording_id}: unit {unit_id!r} has {int((~np.isfinite(train)).sum())} NaN"
                " or infinite spike times; remove them, or the unit, first."
            )
    return trains


def _seconds(train, unit_id, recording_id: str) -> np.ndarray:
    where = f"{recording_id}: the spike times of unit {unit_id!r}"
    kind = getattr(getattr(train, "dtype", None), "kind", "")
    if kind in "iu" and kind and np.size(train):
        raise ValueError(
            f"{where} are integers ({train.dtype}), as sample numbers are; divide them by the"
            " sampling rate (Hz), or pass train.astype(float) if they are seconds."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # lists of unequal length
            values = np.asarray(
                train.compressed() if isinstance(train, np.ma.MaskedArray) else train
            )
        if values.dtype.kind not in "fiuO" and values.size:
            raise TypeError(f"they are {values.dtype}")
        times = values.astype(np.float64)
    except (TypeError, ValueError, Warning) as error:
        raise ValueError(
            f"{where} can't be read as numbers ({error}); give one flat array of seconds."
        ) from error
    if values.dtype in (np.float32, np.float16) and values.size:
        step_s = float(np.spacing(np.abs(values[np.isfinite(values)]).max(initial=0)))
        if step_s > 0.01:
            raise ValueError(
                f"{where} are {values.dtype}, which near {np.nanmax(np.abs(times)):.10g} s is exact"
                f" to {step_s:.2g} s only; read them as float64."
            )
    return times


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
