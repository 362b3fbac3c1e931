"""Cell-type labels by optotagging: which units does light drive directly?

In a Cre line crossed with Ai32, the cells of one type carry channelrhodopsin-2 and answer a light
pulse with a spike within a few milliseconds. A unit that does so, fast and reliably, gets the label
of its Cre line. One that doesn't stays without a label: it may be of the type all the same (too
little light, too little opsin), so "not tagged" is never "another type".

The criterion is that of the Allen Institute's optotagging tutorial for the Visual Coding set [1]:
10 ms pulses; spikes 1 to 9 ms after onset against -10 to -2 ms, so that the artefacts of the light
going on and off are left out; evoked rate > 2 x (baseline rate + 1 Hz). A ratio of rates alone also
tags units by chance: one of 5 Hz that fires 6 spikes in 45 pulses instead of 2. So rules are added
on what the Institute measures in later data [2]: a one-sided paired test per unit, with Holm's
correction [3] (there over places of light, here over the units tested), reliability, latency and
jitter. A unit that falls silent before it answers is refused too: what follows is a rebound, or
comes by way of other cells.

The test. Each pulse is a matched set [4, 5]: the evoked window and `n_baseline_windows` windows of
the same length before it. If light does nothing, each window is as likely as any other to be among
those with a spike, whatever the rate: of a pulse with k such windows among n, the evoked one is
among them with probability k / n. The number of pulses answered is then a sum of independent draws
with known probabilities. A rate that is high, or drifts from pulse to pulse, changes k and cancels;
only whether a window has a spike counts, so that bursts don't pass for many answers.

Why not the signed-rank test of [2]? The 8 ms before a pulse mostly hold no spike, and a weak
response in 15 to 45 pulses then can't reach a p-value that survives the correction for some 500
units.

Why not SALT [6]? It too takes many baseline windows, and tests the whole distribution of latencies.
But its p-value is no finer than one over the number of pairs of baseline windows, and units that
light silences pass it.

Numbers marked "ours" come from no source.

[1] allenswdb.github.io, "Optotagging Analysis" (Visual Coding Neuropixels); the data: Siegle et al.
2021, Nature 592:86. [2] allenswdb.github.io, "Identifying tagged neurons" (cell-type look-up
table). [3] Holm 1979, Scand. J. Stat. 6:65. [4] Mantel & Haenszel 1959, J. Natl. Cancer Inst.
22:719. [5] Birch 1964, J. R. Stat. Soc. B 26:313 (the exact conditional test). [6] Kvitsiani et al.
2013, Nature 498:363. [7] Przyborowski & Wilenski 1940, Biometrika 31:313 (exact comparison of two
Poisson rates).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

# of AllenSDK's optogenetic table, those that are used
COLUMNS = ("start_time", "stop_time", "duration", "level", "stimulus_name")
MIN_P = 1e-15  # what is left of a p-value of 0 after rounding in the Fourier sum


@dataclass(frozen=True)
class OptotagConfig:
    """The criterion; numbers in brackets are the sources in the module's docstring.

    Times count from light onset.
    """

    # AllenSDK's name for single square pulses; not trains ('fast_pulses'), nor 'raised_cosine'
    stimulus_names: tuple[str, ...] = ("pulse",)
    # ms, ends not included: the 10 ms pulses [1]. (4, 20) adds those of 5 ms
    duration_ms: tuple[float, float] = (9.0, 20.0)
    # V, control signal of the light source; None: all, as [1]. [2] uses the highest alone
    levels: tuple[float, ...] | None = None
    min_pulses: int = 10  # ours: one answer more or less then is a tenth of the reliability
    # ms, start included, stop not [1]: light takes 1 ms at least to make a spike
    evoked_ms: tuple[float, float] = (1.0, 9.0)
    artefact_ms: float = 1.0  # ms around the light's onset and offset that count nowhere [1]
    baseline_stop_ms: float = -2.0  # ms, where the last baseline window ends [1]
    # as long as the evoked one, end to end: -162 to -2 ms. [1] has one; 20 is ours
    n_baseline_windows: int = 20
    # of the corrected p-value: 1 % of sessions, at most, have a unit tagged by chance. Ours
    alpha: float = 0.01
    min_rate_ratio: float = 2.0  # evoked rate over (baseline rate + 1 Hz) [1]
    # share of pulses answered, chance taken off. Ours; low as weak light counts too
    min_reliability: float = 0.2
    # ms; a mean below it is an artefact that outlasts artefact_ms. Ours
    min_latency_ms: float = 1.5
    # ms [2], there for cholinergic cells; later answers may come by way of other cells
    max_latency_ms: float = 7.0
    max_jitter_ms: float = 2.2  # ms, SD; spikes spread evenly over 1 to 9 ms have 2.3. Ours
    # p of fewer spikes early in the window than at rest [7], not corrected over units. Ours
    inhibition_alpha: float = 0.01

    @property
    def window_ms(self) -> float:
        return self.evoked_ms[1] - self.evoked_ms[0]

    @property
    def baseline_start_ms(self) -> float:
        return self.baseline_stop_ms - self.n_baseline_windows * self.window_ms


def cell_type_of_genotype(genotype) -> str | None:
    """'Pvalb', 'Sst' or 'Vip' for an animal with that Cre line and Ai32 (channelrhodopsin-2); None
    for any other, or for two such lines.
    """
    drivers = set(re.findall(r"\b(Pvalb|Sst|Vip)-(?:\w+-)*Cre\b", str(genotype)))
    return drivers.pop() if len(drivers) == 1 and re.search(r"\bAi32\b", str(genotype)) else None


DEFAULTS = OptotagConfig()


def select_pulses(pulses: pd.DataFrame, config: OptotagConfig = DEFAULTS) -> pd.DataFrame:
    """The rows of AllenSDK's optogenetic table that the criterion uses, in order of time.

    A pulse is left out, with a warning, where other light shines in its baseline or evoked windows.

    Raises
    ------
    ValueError : a column is missing; times that are no numbers, backwards or overlapping; no pulse
        of the wanted kind; fewer than config.min_pulses.
    """
    missing = [name for name in COLUMNS if name not in pulses.columns]
    if missing:
        raise ValueError(
            f"the table of light pulses lacks {missing}; it needs {list(COLUMNS)}, as AllenSDK's"
            " optogenetic_stimulation_epochs has them."
        )
    pulses = pulses.sort_values("start_time", kind="stable")
    start, stop = (pulses[name].to_numpy(dtype=np.float64) for name in ("start_time", "stop_time"))
    if not (stop > start).all():
        raise ValueError(
            f"the table of light pulses has {(~(stop > start)).sum()} rows without times, or that"
            " stop before they start; correct them."
        )
    overlaps = np.flatnonzero(start[1:] < stop[:-1])
    if len(overlaps):
        raise ValueError(
            f"{len(overlaps)} light pulses begin before the one before has ended (first: at"
            f" {start[overlaps[0] + 1]:.3f} s); remove doubled rows, or correct the times."
        )
    duration_ms = 1000 * pulses["duration"].to_numpy(dtype=np.float64)
    wanted = (duration_ms > config.duration_ms[0]) & (duration_ms < config.duration_ms[1])
    wanted &= pulses["stimulus_name"].isin(config.stimulus_names).to_numpy()
    if config.levels is not None:
        wanted &= np.isclose(
            pulses["level"].to_numpy(dtype=np.float64)[:, None], config.levels
        ).any(axis=1)
    if not wanted.any():
        kinds = sorted(
            set(
                zip(
                    pulses["stimulus_name"].astype(str),
                    duration_ms.round(1).tolist(),
                    pulses["level"].tolist(),
                )
            )
        )
        raise ValueError(
            f"no light pulse named {config.stimulus_names}, {config.duration_ms[0]:g} to"
            f" {config.duration_ms[1]:g} ms long, of"
            f" {'any level' if config.levels is None else f'level {config.levels}'}; there are"
            f" (name, duration in ms, level): {kinds}. Change OptotagConfig to match."
        )
    dark = (np.r_[-np.inf, stop[:-1]] <= start + config.baseline_start_ms / 1000) & (
        np.r_[start[1:], np.inf] >= start + config.evoked_ms[1] / 1000
    )
    if (wanted & ~dark).any():
        warnings.warn(
            f"left out {(wanted & ~dark).sum()} of {wanted.sum()} light pulses: other light within"
            f" {-config.baseline_start_ms:g} ms before them or {config.evoked_ms[1]:g} ms from"
            " their onset.",
            stacklevel=2,
        )
    if (wanted & dark).sum() < config.min_pulses:
        raise ValueError(
            f"{(wanted & dark).sum()} light pulses can be used, fewer than"
            f" min_pulses={config.min_pulses}; take more kinds (duration_ms, levels), or lower"
            " min_pulses."
        )
    return pulses[wanted & dark]


def optotag_units(
    spike_trains: Mapping,
    pulses: pd.DataFrame,
    cell_type: str,
    config: OptotagConfig = DEFAULTS,
) -> pd.DataFrame:
    """Test every unit of a session for a direct response to light.

    Parameters
    ----------
    spike_trains : unit_id -> (n,) spike times, s, in order. All units to be tested: the correction
        is over these.
    pulses : AllenSDK's optogenetic table: start_time, stop_time, duration (s), level (V),
        stimulus_name.
    cell_type : the label that tagged units get, as from `cell_type_of_genotype`.

    Returns
    -------
    DataFrame indexed by unit_id: cell_type (None: not tagged), why ('tagged', or the first rule
    that failed), baseline_hz, evoked_hz, p_value, p_adjusted, reliability (share of pulses
    answered, chance taken off), latency_ms and jitter_ms (mean and SD of the first evoked spike;
    NaN without a significant response), n_pulses.

    Raises
    ------
    ValueError : no units; no cell type; spike times that are NaN or not in order; and as
        `select_pulses`.
    """
    if not len(spike_trains):
        raise ValueError("no units to test; check the filters on the units table.")
    if not cell_type:
        raise ValueError(
            "cell_type is empty: an animal without a Cre line and Ai32 has no unit to tag; skip it."
        )
    pulses = select_pulses(pulses, config)
    onset_s, duration_ms = (
        pulses["start_time"].to_numpy(dtype=np.float64),
        1000 * pulses["duration"].to_numpy(dtype=np.float64),
    )
    unit, pulse, time_ms = spikes_around(
        spike_trains, onset_s, config.baseline_start_ms, config.evoked_ms[1]
    )

    # Each spike's window (0: evoked, 1, 2, ...: backwards from the pulse) and its time in it, on
    # the evoked window's clock: like is compared with like.
    before = np.floor((config.baseline_stop_ms - time_ms) / config.window_ms - 1e-9).astype(
        np.int64
    )
    window = np.where(time_ms >= config.evoked_ms[0], 0, before + 1)
    time_ms = np.where(
        window > 0,
        time_ms - config.baseline_stop_ms + window * config.window_ms + config.evoked_ms[0],
        time_ms,
    )
    counts = (
        (window <= config.n_baseline_windows)
        & (time_ms >= config.evoked_ms[0])
        & (time_ms < config.evoked_ms[1])
    )
    counts &= (time_ms >= config.artefact_ms) & (
        np.abs(time_ms - duration_ms[pulse]) >= config.artefact_ms
    )
    unit, pulse, window, time_ms = unit[counts], pulse[counts], window[counts], time_ms[counts]
    exposure_ms = _exposure(config.evoked_ms, duration_ms, config).sum()

    n_units, n_windows = len(spike_trains), 1 + config.n_baseline_windows
    # the first spike of each window, ms
    first = np.full((n_units, len(onset_s), n_windows), np.inf)
    np.minimum.at(first, (unit, pulse, window), time_ms)
    has_spike = np.isfinite(first)
    p_value = _matched_sets(has_spike)
    by_chance = has_spike[..., 1:].mean(axis=(1, 2))
    table = pd.DataFrame(
        {
            "baseline_hz": (
                np.bincount(unit[window > 0], minlength=n_units)
                / (exposure_ms * config.n_baseline_windows)
                * 1000
            ),
            "evoked_hz": np.bincount(unit[window == 0], minlength=n_units) / exposure_ms * 1000,
            "p_value": p_value,
            "p_adjusted": _holm(p_value),
            "reliability": (
                (
                    (has_spike[..., 0].mean(axis=1) - by_chance) / np.maximum(1 - by_chance, 1e-9)
                ).clip(0)
            ),
        },
        index=pd.Index(list(spike_trains), name="unit_id"),
    )
    table["latency_ms"], table["jitter_ms"] = _latency(first, config)
    # of nothing, there is no latency
    table.loc[table["p_adjusted"] > config.alpha, ["latency_ms", "jitter_ms"]] = np.nan
    table["n_pulses"] = len(onset_s)
    table.insert(
        0,
        "why",
        _why(table, _silenced_first(unit, window, time_ms, n_units, duration_ms, config), config),
    )
    table.insert(0, "cell_type", np.where(table["why"] == "tagged", cell_type, np.array(None)))
    return table


def spikes_around(spike_trains: Mapping, onset_s: np.ndarray, start_ms: float, stop_ms: float):
    """The spikes of all units around all onsets: position of the unit, position of the onset, time
    from onset (ms), each (spikes,).
    """
    units, onsets, times = [], [], []
    for position, (unit_id, train) in enumerate(spike_trains.items()):
        train = np.asarray(train, dtype=np.float64)
        if (
            train.ndim != 1
            or not (np.diff(train) >= 0).all()
            or (len(train) and not np.isfinite(train[[0, -1]]).all())
        ):
            raise ValueError(
                f"unit {unit_id!r}: its spike times are not one flat array of seconds in order,"
                " without NaN; sort and clean them first."
            )
        low, high = (np.searchsorted(train, onset_s + ms / 1000) for ms in (start_ms, stop_ms))
        onset = np.repeat(np.arange(len(onset_s)), high - low)
        spike = np.arange(len(onset)) - np.repeat(np.cumsum(high - low) - high, high - low)
        units.append(np.full(len(onset), position))
        onsets.append(onset)
        times.append(1000 * (train[spike] - onset_s[onset]))
    return np.concatenate(units), np.concatenate(onsets), np.concatenate(times)


def _exposure(window_ms, duration_ms: np.ndarray, config: OptotagConfig) -> np.ndarray:
    """(pulses,) ms: how much of a window on the evoked clock counts, the artefact of the light
    going off taken out.
    """
    start, stop = max(window_ms[0], config.artefact_ms), window_ms[1]
    dark = np.clip(duration_ms + config.artefact_ms, start, stop) - np.clip(
        duration_ms - config.artefact_ms, start, stop
    )
    return np.maximum(stop - start - dark, 0)


def _matched_sets(has_spike: np.ndarray) -> np.ndarray:
    """(units,) one-sided exact p of as many evoked windows with a spike; has_spike (units, pulses,
    windows), window 0 evoked.
    """
    n_units, n_pulses, n_windows = has_spike.shape
    answered, filled = has_spike[..., 0].sum(axis=1), has_spike.sum(axis=2)
    # pulses with k of their windows filled
    n_sets = np.stack([(filled == k).sum(axis=1) for k in range(n_windows + 1)], axis=1)
    # The distribution of a sum is the Fourier transform of the product of its terms' characteristic
    # functions.
    turns = np.exp(-2j * np.pi * np.arange(n_pulses + 1) / (n_pulses + 1))
    chance = np.arange(n_windows + 1)[:, None] / n_windows
    term = 1 - chance + chance * turns
    log_term = np.log(np.where(np.abs(term) < 1e-12, 1e-300, term))
    # (units, 0 to n_pulses answers)
    probability = np.fft.ifft(np.exp(n_sets @ log_term), axis=1).real.clip(0, 1)
    at_least = np.cumsum(probability[:, ::-1], axis=1)[:, ::-1]
    return np.where(answered == 0, 1.0, at_least[np.arange(n_units), answered].clip(MIN_P, 1))


def _holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def _latency(first: np.ndarray, config: OptotagConfig) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD, ms, of the first evoked spike.

    The first spike of a window is the earlier of the first evoked and the first of the background,
    so that P(none until t) = P(none evoked until t) P(none of the background until t), and the last
    is known from the baseline windows.
    """
    n_units, n_pulses, n_windows = first.shape
    edges = np.linspace(*config.evoked_ms, 161)  # of 10 ms pulses: 0.05 ms
    unit, _, window = np.nonzero(np.isfinite(first))
    step = np.searchsorted(edges, first[np.isfinite(first)], side="right") - 1
    shape = (n_units, len(edges) - 1)
    evoked, baseline = (
        np.bincount(unit[chosen] * shape[1] + step[chosen], minlength=shape[0] * shape[1])
        .reshape(shape)
        .cumsum(axis=1)
        for chosen in (window == 0, window > 0)
    )
    none, none_at_rest = 1 - evoked / n_pulses, 1 - baseline / (n_pulses * (n_windows - 1))
    answered = 1 - none / np.maximum(none_at_rest, 1e-9)  # (units, steps): share of pulses by then
    at_step = np.diff(answered, axis=1, prepend=0) / np.where(
        answered[:, -1:] > 0, answered[:, -1:], np.nan
    )
    middles = (edges[1:] + edges[:-1]) / 2
    mean = at_step @ middles
    return mean, np.sqrt(np.maximum(at_step @ middles**2 - mean**2, 0))


def _silenced_first(unit, window, time_ms, n_units, duration_ms, config) -> np.ndarray:
    """(units,) p of so few spikes from the start of the evoked window to whichever time in it makes
    p least, corrected for that choice.
    """
    start, stop = config.evoked_ms
    stops = np.linspace(start, stop, 17)[1:]
    baseline = np.bincount(unit[window > 0], minlength=n_units)
    baseline_ms = _exposure(config.evoked_ms, duration_ms, config).sum() * config.n_baseline_windows
    p = []
    for stop in stops:
        early = np.bincount(unit[(window == 0) & (time_ms < stop)], minlength=n_units)
        early_ms = _exposure((start, stop), duration_ms, config).sum()
        p.append(stats.binom.cdf(early, early + baseline, early_ms / (early_ms + baseline_ms)))
    return np.minimum(np.min(p, axis=0) * len(stops), 1)


def _why(table: pd.DataFrame, p_silenced: np.ndarray, config: OptotagConfig) -> list[str]:
    """For each unit 'tagged', or the first rule it failed."""
    table = table.assign(
        ratio=table["evoked_hz"] / (table["baseline_hz"] + 1), p_silenced=p_silenced
    )
    rules = {
        "no response above baseline (adjusted p = {p_adjusted:.2g})": (
            table["p_adjusted"] > config.alpha
        ),
        "inhibited first (fewer spikes than at rest, p = {p_silenced:.2g})": (
            table["p_silenced"] < config.inhibition_alpha
        ),
        "weak response ({evoked_hz:.3g} Hz against {baseline_hz:.3g} Hz at rest)": (
            table["ratio"] <= config.min_rate_ratio
        ),
        "unreliable (answers {reliability:.0%} of the pulses)": (
            table["reliability"] < config.min_reliability
        ),
        "too early for a spike, so an artefact ({latency_ms:.1f} ms)": (
            table["latency_ms"] < config.min_latency_ms
        ),
        "late, so perhaps through other cells ({latency_ms:.1f} ms)": (
            table["latency_ms"] > config.max_latency_ms
        ),
        "no fixed latency (SD {jitter_ms:.1f} ms)": table["jitter_ms"] > config.max_jitter_ms,
    }
    failed = np.stack(
        [rule.to_numpy() for rule in rules.values()] + [np.ones(len(table), dtype=bool)]
    ).argmax(axis=0)
    texts = [*rules, "tagged"]
    return [texts[rule].format(**row) for rule, row in zip(failed, table.to_dict("records"))]
