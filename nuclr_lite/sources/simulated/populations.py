"""Simulated recordings with known truth: identity lies in how a unit relates to its population.

The generative model
--------------------
Each animal has two latent signals that all its units share:

- a *state* S(t), fast: the ups and downs of the local network;
- a *drive* V(t), slower: what arrives from outside. In stimulus blocks V is one frozen trace that
  repeats: a movie after 75 s; in gratings, its first 2 s and then 1 s of nothing, every 3 s.

Each unit also has two private signals, s_i(t) and v_i(t), with the same time constants. All four
are Gaussian processes of unit variance with autocorrelation exp(-|t| / tau) cos(2 pi f t):
Ornstein-Uhlenbeck, for the state with a slow rhythm f of the animal's own. With i's cell type
giving a coupling c, a lag and a sign towards S, and its area giving d, a lag and a sign towards V:

    x_i(t) =  sqrt(w) [ sign_c c S(t - lag_c) + sqrt(1 - c^2) s_i(t) ]
            + sqrt(1 - w) [ sign_d d V(t - lag_d) + sqrt(1 - d^2) v_i(t) ]

    rate_i(t) = base_i exp( gain x_i(t) - gain^2 / 2 + drift_i(t) )

Spikes are Poisson, with 2 ms dead time.

Whatever the type and the area, x_i is a Gaussian process with *the same* variance and the same
autocorrelation: seen alone, units of all kinds are alike, apart from a slight difference of mean
rate. Only against the population do they differ: who goes with it, who against it, who follows
late, who stays apart.

That is the world `one network`: one rule in every animal. In the world `assemblies` an animal has
two to four local networks of unequal size, each with a state S(t) of its own, and a unit's type is
its relation to the state of *its* assembly, which no column that is decoded names. So the sum of
everybody says less, and animals differ more, as real ones do.

Animals differ in their time constants and rhythm, the gain, the mean rate, the number of units, how
much S and V weigh, how fast types lag, and in how far each type's coupling departs from the usual.

Calcium: the same rates with slower latents, through an exponential indicator, plus noise, as dF/F.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from ...files.progress import progress
from ...recording import Recording
from .worlds import WORLDS, Kind, SimulationConfig


def simulate_recordings(
    n_animals: int = 12,
    modality: str = "spikes",
    seed: int = 0,
    config: SimulationConfig | None = None,
    world: str = "one network",
) -> list[Recording]:
    """One recording an animal, with cell_type and area as ground truth.

    Parameters
    ----------
    n_animals : animals 0 to n - 1; animal k is the same whatever n.
    modality : 'spikes' or 'calcium'.
    config : a world of one's own. None: the one of `WORLDS` that `world` names.
    world : 'one network' or 'assemblies', see the notes at the top of this module.

    Returns
    -------
    list[Recording]; `.units` has cell_type (Exc, Pvalb, Sst, Vip), area (VISp, VISl, VISal), the
    true coupling, lag and sign of each unit, its assembly where there are several, and its silence;
    `.epochs` the stimulus blocks.
    """
    if modality not in ("spikes", "calcium"):
        raise ValueError(f"modality is {modality!r}; use 'spikes' or 'calcium'.")
    if n_animals < 1:
        raise ValueError(f"n_animals is {n_animals}; simulate at least one.")
    if world not in WORLDS:
        raise ValueError(f"world is {world!r}; use one of {sorted(WORLDS)}.")
    config = config or WORLDS[world][modality]
    animals = progress(range(n_animals), desc="simulate", unit="animal", leave=False)
    return [_simulate_animal(animal, modality, seed, config) for animal in animals]


def _simulate_animal(animal: int, modality: str, seed: int, config: SimulationConfig) -> Recording:
    rng = np.random.default_rng([seed, animal, modality == "calcium"])
    units, traits = draw_units(config, rng)
    rates, epochs = _rates(units, traits, config, rng)
    common = dict(
        units=units,
        recording_id=f"simulated-{modality}-{seed}-{animal:03d}",
        animal_id=f"animal{seed}-{animal:03d}",
        probe_id="probeA" if modality == "spikes" else None,
        epochs=epochs,
        provenance={
            "source": "simulated",
            "seed": seed,
            "animal": animal,
            **traits,
            "config": asdict(config),
        },
    )
    if modality == "spikes":
        trains = poisson_spikes(rates, config, rng)
        return Recording.from_spike_trains(trains, intervals=[[0.0, config.duration_s]], **common)
    traces = dff_of(rates, config, rng)
    return Recording.from_traces(traces, config.frame_rate_hz, **common)


def draw_traits(config: SimulationConfig, rng: np.random.Generator) -> dict[str, Any]:
    """What is an animal's own, by the names of the ranges in its `config`."""
    return {
        name: float(rng.uniform(*getattr(config, name)))
        for name in (
            "state_tau_s",
            "state_frequency_hz",
            "drive_tau_s",
            "state_share",
            "gain",
            "log_rate",
            "lag_scale",
        )
    }


def draw_units(config: SimulationConfig, rng: np.random.Generator) -> tuple[pd.DataFrame, dict]:
    """The units table with its truth, and the animal's own traits."""
    traits = draw_traits(config, rng)
    n = int(rng.integers(config.n_units[0], config.n_units[1] + 1))
    # Every animal has every type and area; what is left over is drawn.
    cell_type = rng.permutation(_filled(config.cell_types, n, rng))
    area = rng.permutation(_filled(config.areas, n, rng))
    units = pd.DataFrame(
        {"cell_type": cell_type, "area": area}, index=pd.RangeIndex(n, name="unit_id")
    )
    if config.assemblies != (1, 1):
        traits["assemblies"] = _draw_assemblies(config, rng)
        share = rng.dirichlet(np.full(len(traits["assemblies"]), 3.0))
        units["assembly"] = rng.choice(len(share), size=n, p=share)
    frequencies = np.array([assembly["frequency_hz"] for assembly in _assemblies(traits)])
    for name, kinds, labels, frequency in (
        ("state", config.cell_types, cell_type, frequencies[_assembly_of(units)]),
        ("drive", config.areas, area, np.zeros(n)),
    ):
        own = {
            kind: kinds[kind].strength + config.animal_jitter * rng.standard_normal()
            for kind in kinds
        }
        strength = np.array(
            [own[label] for label in labels]
        ) + config.coupling_jitter * rng.standard_normal(n)
        units[f"{name}_coupling"] = np.clip(strength, 0.0, 0.98)
        units[f"{name}_lag_s"] = np.minimum(
            [kinds[label].lag_s * traits["lag_scale"] for label in labels],
            # at most a quarter of a cycle
            1 / (4 * np.maximum(frequency, 1e-3)),
        )
        units[f"{name}_sign"] = [kinds[label].sign for label in labels]
    log_rate = traits["log_rate"] + config.log_rate_spread * rng.standard_normal(n)
    units["silent"] = rng.random(n) < config.silent_share
    units["base_rate_hz"] = (
        np.exp(log_rate)
        * [config.cell_types[label].rate_factor for label in cell_type]
        * np.where(units["silent"], 0.01, 1.0)
    )
    return units, traits


def _draw_assemblies(config: SimulationConfig, rng: np.random.Generator) -> list[dict]:
    """Time constant and rhythm of each local network of an animal."""
    n = int(rng.integers(config.assemblies[0], config.assemblies[1] + 1))
    taus, frequencies = (
        rng.uniform(*ends, size=n) for ends in (config.state_tau_s, config.state_frequency_hz)
    )
    return [
        {"tau_s": float(tau), "frequency_hz": float(frequency)}
        for tau, frequency in zip(taus, frequencies)
    ]


def _assemblies(traits: dict) -> list[dict]:
    """Time constant and rhythm of an animal's local networks: one, unless it has several."""
    one = {"tau_s": traits["state_tau_s"], "frequency_hz": traits["state_frequency_hz"]}
    return traits.get("assemblies", [one])


def _assembly_of(units: pd.DataFrame) -> np.ndarray:
    """(units,) the number of each one's assembly."""
    return units.get("assembly", pd.Series(0, index=units.index)).to_numpy()


def _filled(kinds: dict[str, Kind], n: int, rng: np.random.Generator) -> np.ndarray:
    """n labels with the given shares, rounded down, the rest drawn."""
    share = np.array([kind.share for kind in kinds.values()])
    counts = (share / share.sum() * n).astype(int)
    rest = rng.choice(list(kinds), size=n - counts.sum(), p=share / share.sum())
    return np.concatenate([np.repeat(list(kinds), counts), rest])


def _rates(units: pd.DataFrame, traits: dict, config: SimulationConfig, rng: np.random.Generator):
    """(units, steps) rates in Hz by the equation at the top, and the stimulus blocks."""
    shared, epochs = shared_latents(units, traits, config, rng)
    return unit_rates(units, traits, shared, config, rng), epochs


def shared_latents(
    units: pd.DataFrame, traits: dict, config: SimulationConfig, rng: np.random.Generator
):
    """An animal's S(t) and V(t), {'state': (assemblies, steps), 'drive': (1, steps)}, each longer
    than the recording by its longest lag, and the stimulus blocks.
    """
    margin = int(
        np.ceil(max(units["state_lag_s"].max(), units["drive_lag_s"].max()) / config.step_s)
    )
    steps = margin + int(round(config.duration_s / config.step_s))
    state = np.concatenate(
        [
            _latents(1, steps, own["tau_s"], own["frequency_hz"], config.step_s, rng)
            for own in _assemblies(traits)
        ]
    )
    drive = _latents(1, steps, traits["drive_tau_s"], 0.0, config.step_s, rng)
    movie = _latents(
        1,
        int(round(config.movie_s / config.step_s)),
        traits["drive_tau_s"],
        0.0,
        config.step_s,
        rng,
    )[0]
    return {"state": state, "drive": drive}, _movie_into(drive[0], movie, margin, config)


def unit_rates(
    units: pd.DataFrame,
    traits: dict,
    shared: dict,
    config: SimulationConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """(units, steps) rates in Hz of some of an animal's units, given what all of them share."""
    n, steps = len(units), int(round(config.duration_s / config.step_s))
    x = np.zeros((n, steps), dtype=np.float32)
    drive = {"tau_s": traits["drive_tau_s"], "frequency_hz": 0.0}
    for name, sources, source_of, share in (
        ("state", _assemblies(traits), _assembly_of(units), traits["state_share"]),
        ("drive", [drive], np.zeros(n, dtype=int), 1 - traits["state_share"]),
    ):
        private = np.empty((n, steps), dtype=np.float32)
        for number, own in enumerate(sources):
            mine = source_of == number
            private[mine] = _latents(
                int(mine.sum()), steps, own["tau_s"], own["frequency_hz"], config.step_s, rng
            )
        c = units[f"{name}_coupling"].to_numpy(np.float32)[:, None]
        lag = np.round(units[f"{name}_lag_s"] / config.step_s).astype(int).to_numpy()
        margin = shared[name].shape[1] - steps
        delayed = np.stack(
            [shared[name][of, margin - k : margin - k + steps] for of, k in zip(source_of, lag)]
        )
        sign = units[f"{name}_sign"].to_numpy(np.float32)[:, None]
        x += np.float32(np.sqrt(share)) * (sign * c * delayed + np.sqrt(1 - c**2) * private)
    gain = traits["gain"]
    slow = max(1, int(round(config.drift_tau_s / 20 / config.step_s)))
    drift = _latents(n, steps // slow + 2, config.drift_tau_s, 0.0, config.step_s * slow, rng)
    drift = np.repeat(drift, slow, axis=1)[:, :steps] * np.float32(config.drift)
    log_rate = np.log(units["base_rate_hz"].to_numpy(np.float32))[:, None]
    return np.exp(log_rate + np.float32(gain) * x - np.float32(gain**2 / 2) + drift)


def _latents(
    n: int, steps: int, tau_s: float, frequency_hz: float, step_s: float, rng: np.random.Generator
) -> np.ndarray:
    """(n, steps) stationary Gaussian signals of unit variance with autocorrelation exp(-|t| / tau)
    cos(2 pi f t).

    The real part of an Ornstein-Uhlenbeck process that turns in the complex plane.
    """
    keep = np.exp(-step_s / tau_s)
    noise = rng.standard_normal((2, n, steps), dtype=np.float32)
    noise = noise[0] + 1j * noise[1]
    noise[:, 1:] *= np.sqrt(1 - keep**2)
    return lfilter(
        [1.0], [1.0, -keep * np.exp(2j * np.pi * frequency_hz * step_s)], noise, axis=1
    ).real.astype(np.float32)


def _movie_into(
    drive: np.ndarray, movie: np.ndarray, margin: int, config: SimulationConfig
) -> pd.DataFrame:
    """Let the drive be the movie, again and again, in its blocks, and a piece of it in those of
    gratings, in place; returns the blocks.

    A repeated trace is brought to mean 0 and variance 1, or else a unit's coupling to the drive
    would show in how variable it is, alone, during the stimulus.
    """
    on, off = (int(round(seconds / config.step_s)) for seconds in (2.0, 1.0))
    traces = {
        "spontaneous": None,
        "natural_movie": movie,
        "drifting_gratings": np.concatenate(
            [np.resize(movie, on), np.zeros(off, dtype=movie.dtype)]
        ),
    }
    unknown = [name for name in config.stimuli if name not in traces]
    if unknown or not config.stimuli:
        raise ValueError(f"stimuli are {config.stimuli}; give one or more of {tuple(traces)}.")
    starts = np.arange(0.0, config.duration_s, config.stimulus_block_s)
    stops = np.minimum(starts + config.stimulus_block_s, config.duration_s)
    names = np.array(config.stimuli)[np.arange(len(starts)) % len(config.stimuli)]
    for start, stop, name in zip(starts, stops, names):
        trace = traces[name]
        if trace is not None:
            at = slice(
                margin + int(round(start / config.step_s)),
                margin + int(round(stop / config.step_s)),
            )
            drive[at] = np.resize((trace - trace.mean()) / trace.std(), len(drive[at]))
    return pd.DataFrame({"start_s": starts, "stop_s": stops, "name": names})


def poisson_spikes(
    rates: np.ndarray, config: SimulationConfig, rng: np.random.Generator
) -> list[np.ndarray]:
    """Spike times of each unit, s. A spike within the dead time of the one before is dropped."""
    counts = rng.poisson(rates * config.step_s)  # (units, steps)
    trains = []
    for unit_counts in counts:
        at = np.repeat(np.arange(len(unit_counts)), unit_counts)
        times = np.sort((at + rng.random(len(at))) * config.step_s)
        trains.append(times[np.diff(times, prepend=-np.inf) >= config.dead_time_s])
    return trains


def dff_of(rates: np.ndarray, config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """(frames, units) dF/F: spike counts through an exponential indicator, averaged over a frame,
    with noise.
    """
    counts = rng.poisson(rates * config.step_s).astype(np.float32)
    keep = np.exp(-config.step_s / config.indicator_decay_s)
    # (units, steps), Hz
    fluorescence = lfilter([1 - keep], [1.0, -keep], counts / config.step_s, axis=1)
    edges = (
        np.arange(int(config.duration_s * config.frame_rate_hz) + 1)
        / config.frame_rate_hz
        / config.step_s
    )
    running = np.concatenate([np.zeros((len(rates), 1)), fluorescence.cumsum(axis=1)], axis=1)
    at = np.minimum(edges.astype(int), running.shape[1] - 1)
    frames = np.diff(running[:, at], axis=1) / np.diff(at)  # (units, frames)
    baseline = frames.mean(axis=1, keepdims=True) + 0.1
    dff = (frames - baseline) / baseline
    dff += config.noise * dff.std(axis=1, keepdims=True) * rng.standard_normal(dff.shape)
    return dff.T.astype(np.float32)
