"""The constants of the simulated worlds; `populations` says what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A cell type or an area: how its units follow a shared latent, how many they are, how fast."""

    strength: float  # from 0 to 1
    lag_s: float
    sign: int  # +1 or -1
    share: float  # of the units
    rate_factor: float = 1.0  # times the usual rate: the little that a unit alone tells


def _cell_types(sst_lag_s: float) -> dict[str, Kind]:
    """Soloists, leaders, followers and those who do the opposite."""
    return {
        "Exc": Kind(0.35, 0.0, +1, 0.4, 0.95),
        "Pvalb": Kind(0.95, 0.0, +1, 0.2, 1.1),
        "Sst": Kind(0.95, sst_lag_s, +1, 0.2),
        "Vip": Kind(0.90, 0.0, -1, 0.2),
    }


def _areas(visl_lag_s: float) -> dict[str, Kind]:
    return {
        "VISp": Kind(0.95, 0.0, +1, 1 / 3),
        "VISl": Kind(0.95, visl_lag_s, +1, 1 / 3),
        "VISal": Kind(0.95, 0.0, -1, 1 / 3),
    }


@dataclass(frozen=True)
class SimulationConfig:
    """What an animal's recording looks like. Ranges are drawn from uniformly, one value an
    animal.
    """

    cell_types: dict[str, Kind] = field(default_factory=lambda: _cell_types(sst_lag_s=0.5))
    areas: dict[str, Kind] = field(default_factory=lambda: _areas(visl_lag_s=2.0))
    duration_s: float = 600.0
    n_units: tuple[int, int] = (40, 52)
    assemblies: tuple[int, int] = (1, 1)  # how many, each with a state S of its own
    state_tau_s: tuple[float, float] = (0.3, 0.8)  # time constant of S and s_i
    state_frequency_hz: tuple[float, float] = (0.0, 0.5)
    drive_tau_s: tuple[float, float] = (1.5, 3.0)  # time constant of V and v_i
    state_share: tuple[float, float] = (0.62, 0.74)  # w
    gain: tuple[float, float] = (1.2, 1.5)
    log_rate: tuple[float, float] = (2.1, 2.5)  # mean over units of log rate / Hz
    log_rate_spread: float = 0.5  # its standard deviation within an animal
    lag_scale: tuple[float, float] = (0.85, 1.15)
    coupling_jitter: float = 0.05  # standard deviation over units
    animal_jitter: float = 0.05  # and over animals, of all units of a kind together
    drift: float = 0.15  # standard deviation of a slow change of log rate
    drift_tau_s: float = 200.0
    silent_share: float = 0.04  # units that fire at a hundredth of their rate
    stimulus_block_s: float = 150.0
    # in this order, again and again; also 'drifting_gratings'
    stimuli: tuple[str, ...] = ("spontaneous", "natural_movie")
    movie_s: float = 75.0  # the movie's V(t) repeats after this
    step_s: float = 0.01  # resolution of the rates
    dead_time_s: float = 0.002
    indicator_decay_s: float = 0.6  # calcium only, as are the next two
    frame_rate_hz: float = 1 / 0.23344
    noise: float = 0.1  # standard deviation, in units of a unit's own dF/F fluctuation


SPIKES = SimulationConfig()
CALCIUM = replace(
    SPIKES,
    cell_types=_cell_types(sst_lag_s=1.0),
    areas=_areas(visl_lag_s=5.0),
    duration_s=1200.0,
    n_units=(36, 48),
    state_tau_s=(1.0, 2.0),
    state_frequency_hz=(0.0, 0.15),
    drive_tau_s=(5.0, 9.0),
    state_share=(0.45, 0.6),
    gain=(0.9, 1.2),
    log_rate=(2.0, 2.4),
    step_s=0.02,
)
_APART: dict[str, Any] = dict(assemblies=(2, 4), n_units=(60, 80))
WORLDS = {
    "one network": {"spikes": SPIKES, "calcium": CALCIUM},
    "assemblies": {
        "spikes": replace(SPIKES, state_tau_s=(0.2, 1.2), **_APART),
        "calcium": replace(CALCIUM, state_tau_s=(0.7, 3.0), **_APART),
    },
}
