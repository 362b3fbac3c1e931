"""What needs no learning.

`hand_features` look at each unit alone; `population_coupling` looks at the others too.

Everything is computed from valid time only; intervals between spikes and lags never span a gap.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..files.intervals import frame_ranges, rounding_s
from ..files.progress import progress
from ..files.tables import recording_means as recording_means  # a baseline, too
from ..recording import Recording, as_list

INTERVAL_EDGES_S = np.logspace(-3, 1, 25)  # 1 ms to 10 s
LAG_EDGES_S = np.concatenate([[0.0], np.logspace(np.log10(0.002), np.log10(2.0), 24)])
COUNT_WINDOWS_S = (0.1, 0.5, 2.0)  # of the Fano factors
LAGS_FRAMES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def hand_features(recordings: Recording | list[Recording]) -> dict[str, pd.DataFrame]:
    """Feature sets by name, each a DataFrame indexed by (recording_id, unit_id).

    Spikes: 'rate' (log mean rate), 'intervals' (histogram of log inter-spike intervals),
    'autocorrelation' (pairs of spikes by lag over what a Poisson train of that rate would give,
    log), 'all' (these and irregularity: CV, local variation, Fano factors). Calcium: 'level' (mean,
    spread, skewness), 'distribution' (quantiles), 'autocorrelation' (of the trace, at 1 to 32
    frames), 'all'.
    """
    recordings = _alike(recordings)
    describe = _spike_features if recordings[0].modality == "spikes" else _trace_features
    parts: dict[str, list[pd.DataFrame]] = {}
    for recording in progress(recordings, desc="hand features", unit="recording", leave=False):
        index = pd.MultiIndex.from_product(
            [[recording.recording_id], recording.units.index], names=["recording_id", "unit_id"]
        )
        for name, values in describe(recording).items():
            columns = [f"{name}_{i}" for i in range(values.shape[1])]
            parts.setdefault(name, []).append(pd.DataFrame(values, index=index, columns=columns))
    sets = {name: pd.concat(tables) for name, tables in parts.items()}
    sets["all"] = pd.concat(sets.values(), axis=1)
    sets.pop("irregularity", None)
    return sets


def population_coupling(
    recordings: Recording | list[Recording], bin_s: float = 0.1, max_lag_s: float = 3.0
) -> pd.DataFrame:
    """Each unit's correlation with the sum of all others, by lag: the population looked at by hand.

    Spikes: square roots of counts in bins of `bin_s`, s. Calcium: traces, a lag every frame.
    Returns a DataFrame indexed by (recording_id, unit_id), one column a lag from -max_lag_s to
    max_lag_s; positive: the unit follows the others. Pairs never span a gap. (After Okun et al.
    2015, who use lag 0.)
    """
    recordings = _alike(recordings)
    tables = []
    for recording in progress(
        recordings, desc="population coupling", unit="recording", leave=False
    ):
        step_s = bin_s if recording.modality == "spikes" else 1 / recording.sampling_rate_hz
        lags = np.arange(-int(round(max_lag_s / step_s)), int(round(max_lag_s / step_s)) + 1)
        pieces = [piece for piece in binned(recording, bin_s) if piece.shape[1] > 2 * lags[-1]]
        if not pieces:
            raise ValueError(
                f"{recording.recording_id}: no valid interval is longer than {2 * max_lag_s:g} s;"
                " choose a shorter max_lag_s."
            )
        whole = np.concatenate(pieces, axis=1)
        mean, spread = (
            whole.mean(axis=1, keepdims=True),
            np.maximum(whole.std(axis=1, keepdims=True), 1e-9),
        )
        total, n = np.zeros((recording.n_units, len(lags))), 0
        for piece in pieces:
            z = (piece - mean) / spread
            others = z.sum(axis=0) - z
            others /= np.maximum(others.std(axis=1, keepdims=True), 1e-9)
            inner = slice(lags[-1], z.shape[1] - lags[-1])
            total += np.stack(
                [
                    (z[:, inner] * np.roll(others, lag, axis=1)[:, inner]).sum(axis=1)
                    for lag in lags
                ],
                axis=1,
            )
            n += z[:, inner].shape[1]
        index = pd.MultiIndex.from_product(
            [[recording.recording_id], recording.units.index], names=["recording_id", "unit_id"]
        )
        tables.append(
            pd.DataFrame(
                total / n, index=index, columns=[f"coupling_{lag * step_s:+.2f}s" for lag in lags]
            )
        )
    return pd.concat(tables)


def _alike(recordings: Recording | list[Recording]) -> list[Recording]:
    """One or several recordings as a list, of one modality and frame rate: lags count frames."""
    recordings = as_list(recordings, "describe")
    if len({recording.modality for recording in recordings}) > 1:
        raise ValueError(
            "spike and calcium recordings have different features; describe them apart."
        )
    rates = [
        recording.sampling_rate_hz for recording in recordings if recording.modality == "calcium"
    ]
    if rates and max(rates) > 1.01 * min(rates):
        raise ValueError(
            f"the recordings have frame rates from {min(rates):.4g} to {max(rates):.4g} Hz, and"
            " features are made frame by frame; bring them to one with"
            " nl.views.match_sampling(recording, sample_s)."
        )
    return recordings


def waveform_features(recordings: Recording | list[Recording]) -> pd.DataFrame | None:
    """The numeric columns 'waveform_...' that all units tables share, indexed by (recording_id,
    unit_id).

    A missing value becomes the median of its column over all units. None where a recording has no
    such column or no value in them.
    """
    recordings = as_list(recordings, "describe")
    tables = {}
    for recording in recordings:
        table = (
            recording.units.filter(regex="^waveform_").select_dtypes("number").astype(np.float64)
        )
        tables[recording.recording_id] = table.where(np.isfinite(table))
    whole = pd.concat(tables, join="inner", names=["recording_id", "unit_id"]).dropna(
        axis=1, how="all"
    )
    if whole.shape[1] == 0 or whole.isna().all(axis=1).groupby(level="recording_id").all().any():
        return None
    return whole.fillna(whole.median())


def binned(recording: Recording, bin_s: float = 0.1) -> list[np.ndarray]:
    """Activity of each valid interval: traces (units, frames) as they are, or square roots of spike
    counts (units, bins of `bin_s`).
    """
    if recording.modality == "calcium":
        ranges = frame_ranges(recording.intervals, recording.sampling_rate_hz, recording.start_s)
        return [
            np.asarray(recording.traces[first:stop], dtype=np.float64).T for first, stop in ranges
        ]
    pieces = []
    for start, stop in recording.intervals:
        first, last, at, bins = _bins(recording.times, start, stop, bin_s)
        counts = np.bincount(
            recording.unit_rows[first:last].astype(np.int64) * bins + at,
            minlength=recording.n_units * bins,
        )
        pieces.append(np.sqrt(counts.reshape(recording.n_units, bins)))
    return pieces


def _bins(
    times: np.ndarray, start: float, stop: float, bin_s: float
) -> tuple[int, int, np.ndarray, int]:
    """First and one-past-last spike in the whole bins of an interval, the bin of each between, the
    number of bins; times on a bin's edge belong to the later bin, rounded or not.
    """
    slack_s = max(1e-6 * bin_s, rounding_s([start, stop]))
    bins = int((stop - start + slack_s) / bin_s)
    first, last = (
        np.searchsorted(times, [start, start + bins * bin_s - slack_s]) if bins else (0, 0)
    )
    return (
        first,
        last,
        np.minimum(
            ((times[first:last] - start + slack_s) / bin_s).astype(np.int64), max(bins - 1, 0)
        ),
        bins,
    )


def _spike_features(recording: Recording) -> dict[str, np.ndarray]:
    times, rows = np.asarray(recording.times), np.asarray(recording.unit_rows)
    order = np.argsort(rows, kind="stable")  # unit by unit, each in order of time
    bounds = np.searchsorted(rows[order], np.arange(recording.n_units + 1))
    counts = np.diff(bounds)
    rate = counts / max(recording.valid_s, 1e-9)
    intervals, lags, irregular = [], [], []
    fano = np.stack([_fano(recording, times, rows, width) for width in COUNT_WINDOWS_S], axis=1)
    for first, stop in zip(bounds, bounds[1:]):
        train = times[order[first:stop]]
        stretch = np.searchsorted(recording.intervals[:, 0], train, side="right")
        gaps = np.diff(train)[np.diff(stretch) == 0]
        intervals.append(np.histogram(gaps, INTERVAL_EDGES_S)[0] / max(len(gaps), 1))
        lags.append(autocorrelogram(train, stretch))
        irregular.append(_irregularity(gaps))
    # Pairs expected of a Poisson train: n * rate * width; one pair added to both keeps rare lags
    # near 1.
    expected = counts[:, None] * rate[:, None] * np.diff(LAG_EDGES_S)
    return {
        "rate": np.log(rate + 0.01)[:, None],
        "intervals": np.stack(intervals),
        "autocorrelation": np.log((np.stack(lags) + 1) / (expected + 1)),
        "irregularity": np.hstack([np.stack(irregular), np.log(fano + 0.01)]),
    }


def autocorrelogram(train: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    """Pairs of spikes by lag, (24,): how many follow each spike within each edge.

    The time it takes doesn't grow with the rate.
    """
    # of the valid interval that a spike lies in
    end = np.searchsorted(stretch, stretch, side="right")
    behind = np.arange(1, len(train) + 1)
    within = [
        0,
        *(
            (np.minimum(np.searchsorted(train, train + edge), end) - behind).sum()
            for edge in LAG_EDGES_S[1:]
        ),
    ]
    return np.diff(within).astype(np.float64)


def _irregularity(gaps: np.ndarray) -> np.ndarray:
    """Coefficient of variation, local variation (Shinomoto et al. 2003), log median interval; 1, 1
    and log 10 s where undefined.
    """
    if len(gaps) < 3:
        return np.array([1.0, 1.0, np.log(10.0)])
    pairs = gaps[1:] + gaps[:-1]
    local = 3 * np.mean(((gaps[1:] - gaps[:-1]) / np.maximum(pairs, 1e-6)) ** 2)
    return np.array(
        [gaps.std() / max(gaps.mean(), 1e-6), local, np.log(max(np.median(gaps), 1e-4))]
    )


def _fano(recording: Recording, times: np.ndarray, rows: np.ndarray, width_s: float) -> np.ndarray:
    """Variance over mean of counts in windows of `width_s`, (units,); 1 without data."""
    n = recording.n_units
    total, square, bins = np.zeros(n), np.zeros(n), 0
    for start, stop in recording.intervals:
        first, last, at, whole = _bins(times, start, stop, width_s)
        if not whole:
            continue
        pair, count = np.unique(rows[first:last].astype(np.int64) * whole + at, return_counts=True)
        total += np.bincount(pair // whole, weights=count, minlength=n)
        square += np.bincount(pair // whole, weights=count**2, minlength=n)
        bins += whole
    mean = total / max(bins, 1)
    variance = square / max(bins, 1) - mean**2
    return np.divide(variance, mean, out=np.ones(n), where=mean > 0)


def _trace_features(recording: Recording) -> dict[str, np.ndarray]:
    pieces = [piece.T for piece in binned(recording) if piece.size]
    traces = np.concatenate(pieces) / recording.trace_scale  # (frames, units)
    mean, spread = traces.mean(axis=0), traces.std(axis=0)
    safe = np.maximum(spread, 1e-9)
    skewness = np.mean(((traces - mean) / safe) ** 3, axis=0)
    correlation = []
    for lag in LAGS_FRAMES:
        product, n = np.zeros(traces.shape[1]), 0
        for piece in pieces:
            centred = piece / recording.trace_scale - mean
            product += (centred[lag:] * centred[:-lag]).sum(axis=0)
            n += max(len(piece) - lag, 0)
        correlation.append(product / max(n, 1) / safe**2)
    return {
        "level": np.stack([mean, np.log(safe), skewness], axis=1),
        "distribution": np.quantile(traces, QUANTILES, axis=0).T,
        "autocorrelation": np.stack(correlation, axis=1),
    }
