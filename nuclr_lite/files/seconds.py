"""Are these seconds? Spike times as they come in, judged by what they are, not by their type.

A unit of measure that they carry is converted. What can't be the seconds of one session is an error
that gives the number which gave it away: sample numbers, counts, padding, a clock that starts
again. What looks odd, and may be true, is named (`clock_of`, which `analysis.checks` asks, too).
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from .carried_units import plain
from .tables import tidy_units

MANY = 20  # spikes, from which on chance is no explanation
REMEDY = (
    "Divide milliseconds by 1000, samples by their rate; spikes, intervals and epochs share one"
    " clock"
)


# ---- the gate


def by_unit(spike_trains, units: pd.DataFrame | None, recording_id: str):
    """The trains as a list, and their units table, tidy.

    Of what has keys (a dict, a Series, a pynapple TsGroup) the keys are unit ids, which a units
    table finds in any order.
    """
    if not hasattr(spike_trains, "keys"):
        trains = spike_trains if isinstance(spike_trains, Seconds) else list(spike_trains)
        return trains, tidy_units(units, len(trains), recording_id)
    ids = pd.Index(list(spike_trains.keys()), tupleize_cols=False)
    trains = [train for _, train in spike_trains.items()]
    own = tidy_units(pd.DataFrame(index=ids), len(trains), recording_id)
    if units is None:
        return trains, own
    units = tidy_units(units, len(trains), recording_id)
    place = dict(zip(own.index, range(len(trains))))
    unknown = [unit_id for unit_id in units.index if unit_id not in place]
    if unknown:
        raise ValueError(
            f"{recording_id}: {len(unknown)} of the {len(units)} units in the units table have no"
            f" spike train (first: {unknown[0]!r}; the trains are of {list(own.index[:5])}); index"
            " the table with the ids that the trains have."
        )
    return [trains[place[unit_id]] for unit_id in units.index], units


class Seconds(list):
    """Trains that have passed the gate; a second time they pass without a word."""


def spikes_in_seconds(trains: list, unit_ids, recording_id: str) -> Seconds:
    """Every unit's spike times as a flat float64 array, s, in order; ValueError for what can't be
    seconds, a warning for what was mended or is odd.
    """
    if isinstance(trains, Seconds):
        return trains
    read = [_numbers(train, unit_id, recording_id) for unit_id, train in zip(unit_ids, trains)]
    _refuse_padding(read, unit_ids, recording_id, np.isnan, "NaN")
    for unit_id, train in zip(unit_ids, read):
        if not np.isfinite(train).all():
            raise ValueError(
                f"{recording_id}: unit {unit_id!r} has {int((~np.isfinite(train)).sum())} NaN"
                " or infinite spike times; remove them, or the unit, first."
            )
    _refuse_counts(read, recording_id)
    for unit_id, train, given in zip(unit_ids, read, trains):
        kind = getattr(getattr(given, "dtype", None), "kind", "")
        if kind and kind in "iu" and len(train):
            raise ValueError(
                f"{recording_id}: the spike times of unit {unit_id!r} are integers ({given.dtype}),"
                " as sample numbers are; divide them by the sampling rate (Hz)."
            )
    read = _without_marker(read, recording_id)
    _refuse_padding(read, unit_ids, recording_id, lambda train: train == 0, "zeros")
    read = in_order(read, unit_ids, recording_id)
    if whole := _all_whole(read):
        raise ValueError(f"{recording_id}: {whole}; these are no seconds. {REMEDY}.")
    odd, said = clock_of(read)
    if odd:
        warnings.warn(
            f"{recording_id}: are these seconds? {said}. If they aren't: {REMEDY}.", stacklevel=3
        )
    return Seconds(read)


def _numbers(train, unit_id, recording_id: str) -> np.ndarray:
    where = f"{recording_id}: the spike times of unit {unit_id!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # lists of unequal length
            train = plain(train)
            values = np.asarray(
                train.compressed() if isinstance(train, np.ma.MaskedArray) else train
            )
        if values.dtype.kind not in "fiuO" and values.size:
            counts = ", a bin each? see Recording.from_counts" * (values.dtype.kind == "b")
            raise TypeError(f"they are {values.dtype}{counts}")
        times = values.astype(np.float64)
    except (TypeError, ValueError, Warning) as error:
        raise ValueError(
            f"{where} can't be read as numbers ({error}); give one flat array of seconds."
        ) from error
    if times.ndim != 1:
        raise ValueError(
            f"{where} have {times.ndim} dimensions; give one flat array of seconds"
            + (" a unit: of a single one, [times]." if not times.ndim else ".")
        )
    if values.dtype in (np.float32, np.float16) and values.size:
        step_s = float(np.spacing(np.abs(values[np.isfinite(values)]).max(initial=0)))
        if step_s > 0.01:
            raise ValueError(
                f"{where} are {values.dtype}, which near {np.nanmax(np.abs(times)):.10g} s is exact"
                f" to {step_s:.2g} s only; read them as float64."
            )
    return times


def _refuse_padding(trains, unit_ids, recording_id: str, is_pad, what: str):
    """ValueError where trains in order end, or all of one length begin, with what fills up rows."""
    ends, filled = [], 0
    equal = len(trains) > 1 and len({len(train) for train in trains}) == 1
    for unit_id, train in zip(unit_ids, trains):
        pads = is_pad(train)
        real = np.flatnonzero(~pads)
        if not len(real) or not pads.any():
            continue
        last, first = len(train) - 1 - real[-1], real[0]
        if not last and not (equal and what == "zeros" and first > 1):
            continue
        rest = train[real[0] : real[-1] + 1]
        if not is_pad(rest).any() and (rest > 0).all() and (np.diff(rest) >= 0).all():
            ends.append((unit_id, last or first, train[real[-1]]))
            filled += last or first
    if filled > 1:
        unit_id, n, last_s = ends[0]
        raise ValueError(
            f"{recording_id}: the spike times of {len(ends)} of {len(trains)} units are filled up"
            f" with {what} (unit {unit_id!r}: {n} beside spikes up to {last_s:g} s); keep the rest:"
            f" {'train[~np.isnan(train)]' if what == 'NaN' else 'train[train != 0]'}."
        )


def _refuse_counts(trains, recording_id: str):
    """ValueError for how many spikes each bin has, in place of when each spike was."""
    n = sum(map(len, trains))
    if n < MANY or not all(map(_is_whole, trains)):
        return
    falls = sum(int((np.diff(train) < 0).sum()) for train in trains)
    distinct = sum(len(np.unique(train)) for train in trains)
    lowest, highest = (
        min(train.min(initial=np.inf) for train in trains),
        max(train.max(initial=-np.inf) for train in trains),
    )
    if falls >= MANY / 2 and distinct <= n / 2 and lowest >= 0:
        raise ValueError(
            f"{recording_id}: the spike times are whole numbers from {lowest:g} to {highest:g}"
            f" that fall {falls} times and mostly repeat, as counts in bins do; give counts to"
            " Recording.from_counts(counts, bin_s=...)."
        )


def _without_marker(trains, recording_id: str) -> list[np.ndarray]:
    """Without one whole negative number that stands for 'no spike' (-1, -999), with a warning."""
    negative = np.concatenate([*(train[train < 0] for train in trains), np.empty(0)])
    if not len(negative) or len(negative) == sum(map(len, trains)):
        return trains
    marker = negative[0]
    others_whole = all(map(_is_whole, trains))
    if (negative != marker).any() or marker % 1 or len(negative) < 2 and others_whole:
        return trains
    concerned = sum(bool((train == marker).any()) for train in trains)
    warnings.warn(
        f"{recording_id}: left out {len(negative)} spike times of {marker:g} s in {concerned} of"
        f" {len(trains)} units: the only negative ones, a mark for 'no spike'.",
        stacklevel=4,
    )
    return [train[train != marker] for train in trains]


def in_order(trains, unit_ids, recording_id: str) -> list[np.ndarray]:
    """Sorted, with a notice; ValueError where half of the units or more have long stretches that
    lie before what stands in front of them.
    """
    unsorted, late = [], []
    for unit_id, train in zip(unit_ids, trains):
        fall = np.diff(train)
        if not (fall < 0).any():
            continue
        unsorted.append(unit_id)
        if (fall <= 0).all():
            continue  # the wrong way round, no more
        behind = np.maximum.accumulate(train) - train > min(1.0, 0.1 * np.ptp(train))
        # swapped spikes stand alone, those of another trial or unit in a row
        row = np.diff(np.flatnonzero(np.r_[True, ~behind, True])).max() - 1
        if max(row, behind.sum() * (behind.mean() > 0.2)) >= MANY / 2:
            at = int(fall.argmin())
            late.append((unit_id, int((fall < 0).sum()), behind.mean(), train[at], train[at + 1]))
    if not unsorted:
        return trains
    if late:
        unit_id, times, share, before, after = late[0]
        said = (
            f"unit {unit_id!r} runs backwards {times} times, as from {before:g} to {after:g} s, and"
            f" {share:.0%} of its spikes stand behind later ones"
        )
        busy = sum(len(train) > MANY / 2 for train in trains)
        if 2 * len(late) >= busy:
            raise ValueError(
                f"{recording_id}: the clock starts again in {len(late)} of {busy} units ({said}):"
                " these are no times of one session. Add to each trial, or each recording that was"
                " joined, when it began; give two units under one id ids of their own. If it is one"
                " session in disorder, sort each train first."
            )
    warnings.warn(
        f"{recording_id}: sorted the spike times of {len(unsorted)} units that were not in"
        f" order (first: {unsorted[0]!r})."
        + (f" In {len(late)} of them, as where units are merged: {said}." if late else ""),
        stacklevel=4,
    )
    return [np.sort(train, kind="stable") for train in trains]


# ---- what is odd


def _is_whole(train: np.ndarray) -> bool:
    return not (train[:MANY] % 1).any() and not (train % 1).any()


def _gaps(trains) -> np.ndarray:
    return np.concatenate([*map(np.diff, trains), np.empty(0)])


def _is_varied(gaps: np.ndarray) -> bool:
    """Not a metronome, or a toy, whose intervals say nothing about the clock."""
    some = gaps[:: len(gaps) // 10_000 + 1]
    return len(np.unique(np.round(some, 6))) >= MANY / 2


def _all_whole(trains) -> str:
    """'all ... are whole numbers ...', where they are in all trains, or in one, each in order; else
    ''.
    """
    whole = [train for train in trains if _is_whole(train)]
    for one in [trains] * (len(whole) == len(trains)) + [[train] for train in whole]:
        together = np.concatenate([*one, np.empty(0)])
        if len(np.unique(together)) >= MANY and _is_varied(_gaps(one)):
            unit = " of a unit" if one is not trains and len(trains) > 1 else ""
            return (
                f"all {len(together):,} spike times{unit} are whole numbers, up to"
                f" {together.max():.10g}, as sample numbers and milliseconds are"
            )
    return ""


def clock_of(trains, lasts_s: float | None = None, bin_s: float | None = None) -> tuple[bool, str]:
    """Whether spike trains, in order, look as if they weren't in seconds; and the numbers that say.

    Neurons fire in bursts and are silent for some milliseconds after a spike. So a few of a unit's
    intervals are short; of times in milliseconds or samples none is below 1. Odd are, of 100
    intervals or more between a unit's spikes: fewer than 1 % below 0.5 s, where the median one is
    above 35 s (a Poisson unit that fires once in 50 s has as many); fewer than a tenth of a Poisson
    unit's, where the mean is above 5 s. Also: more than a day, and fewer than 10 % below 0.5 s or
    most units in less than half of it; a median unit above 200 spikes/s; whole numbers.

    Parameters
    ----------
    lasts_s : valid time, s; None: from the first to the last spike. bin_s : of spikes that came as
        counts, the bins' length, s.
    """
    gaps = _gaps(trains)
    ends = np.array([train[[0, -1]] for train in trains if len(train)]).reshape(-1, 2)
    if lasts_s is None:
        lasts_s = float(np.ptp(ends)) if len(ends) else 0.0
    short_s = max(0.5, 2 * (bin_s or 0.0))
    short = float((gaps < short_s).mean()) if len(gaps) else 0.0
    count = float(np.median([len(train) for train in trains])) if len(trains) else 0.0
    rate = count / max(lasts_s, 1e-9)
    whole = "" if bin_s else _all_whole(trains)
    slow = False
    if len(gaps) >= 100 and _is_varied(gaps):
        expected = -np.expm1(-short_s / gaps.mean())  # of a Poisson unit
        slow = bool(short < 0.01 and np.median(gaps) > 35) or bool(
            short < 0.1 * expected and expected * len(gaps) >= 10 and gaps.mean() > 5
        )
    long = lasts_s > 86_400 and (
        short < 0.1 or bool(np.median(np.diff(ends, axis=1)) < lasts_s / 2)
    )
    odd = slow or long or count >= 1000 and rate > 200 or bool(whole)
    return odd, (f"{whole}; " if whole else "") + (
        f"{short:.1%} of the intervals between a unit's spikes are below {short_s:g} s; the median"
        f" unit fires at {rate:.2g} spikes/s, in {lasts_s:.0f} s"
    )
