"""The light of a simulated Allen session: its pulses, who responds, what that does to spikes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .worlds import SimulationConfig


def light_pulses(start_s: float, repeats: int, rng: np.random.Generator) -> pd.DataFrame:
    """Pulses as AllenSDK tables them: three durations at three levels, shuffled, some 2 s apart."""
    kinds = [
        (duration, level) for duration in (0.005, 0.01, 1.0) for level in (1.0, 1.7, 2.5)
    ] * repeats
    duration, level = np.array(kinds)[rng.permutation(len(kinds))].T
    start = start_s + np.cumsum(np.r_[0.0, duration[:-1] + rng.uniform(1.5, 2.0, len(kinds) - 1)])
    is_long = duration == 1.0
    return pd.DataFrame(
        {
            "start_time": start,
            "condition": np.where(is_long, "half-period of a cosine wave", "a single square pulse"),
            "level": level,
            "stop_time": start + duration,
            "stimulus_name": np.where(is_long, "raised_cosine", "pulse"),
            "duration": duration,
        }
    )


def light_responses(
    cell_type: pd.Series, genotype: str, light, rng: np.random.Generator
) -> np.ndarray:
    """How each unit responds: nearly all that express the channel directly; of the others some are
    inhibited, and some only pick up the artefact.
    """
    if light is None:
        return np.full(len(cell_type), "none", dtype=object)
    expresses = np.array([genotype.startswith(name) for name in cell_type])
    other = rng.choice(["none", "inhibited", "artefact"], p=[0.65, 0.3, 0.05], size=len(cell_type))
    return np.where(
        expresses & (rng.random(len(cell_type)) < 0.85),
        "direct",
        np.where(expresses, "none", other),
    ).astype(object)


def lit(
    train: np.ndarray,
    response: str,
    light: pd.DataFrame,
    config: SimulationConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """The spike train with what light does to it."""
    onset, duration = light["start_time"].to_numpy(), light["duration"].to_numpy()
    if response == "direct":
        reliability, latency, jitter = (
            rng.uniform(0.5, 0.95),
            rng.uniform(0.0025, 0.005),
            rng.uniform(0.0003, 0.0008),
        )
        fires = rng.random(len(onset)) < reliability
        driven = onset[fires] + np.maximum(
            latency + jitter * rng.standard_normal(fires.sum()), 0.0015
        )
        of_long = onset[duration > 0.1]
        train = np.concatenate(
            [train, driven, (of_long[:, None] + rng.uniform(0.01, 1.0, (len(of_long), 15))).ravel()]
        )
    elif response == "inhibited":
        since = train - onset[np.maximum(np.searchsorted(onset, train) - 1, 0)]
        train = train[~((since > 0.001) & (since < 0.03) & (rng.random(len(train)) < 0.9))]
        rebounds = rng.random(len(onset)) < 0.4
        train = np.concatenate([train, onset[rebounds] + rng.uniform(0.03, 0.045, rebounds.sum())])
    elif response == "artefact":
        seen = rng.random(len(onset)) < 0.7
        train = np.concatenate([train, onset[seen] + rng.uniform(0.0, 0.0005, seen.sum())])
    train = np.sort(train)
    return train[np.diff(train, prepend=-np.inf) >= config.dead_time_s]
