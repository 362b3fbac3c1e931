"""What several test files share: the repository's root, the shared folder, small recordings, a tiny
recipe.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import nuclr_lite as nl

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# Windows of 2 s: 4 tokens of 5 bins of 0.1 s. Small enough to train for a few steps in a test.
TINY = nl.PRESETS["quick"].with_(
    optimizer="adamw",
    kept_share=(0.5, 1.0),
    max_distance_s=30.0,
    sample_s=0.1,
    samples_per_token=5,
    tokens_per_window=4,
    dim=16,
    heads=2,
    head_dim=8,
    temporal_layers=1,
    spatiotemporal_layers=1,
    steps=6,
    batch_size=8,
    warmup_steps=2,
    log_every=1,
    checkpoint_every=1,
)
TINY_CALCIUM = TINY.with_(
    modality="calcium", sample_s=0.25, samples_per_token=2, max_distance_s=60.0
)


def shared(*parts: str) -> Path:
    """A file of the shared folder; skips the test where that folder doesn't exist."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent: the shared folder lies beside the repository, not in it")
    return path


def relative_error(ours, expected) -> float:
    """|ours - expected| / |expected|."""
    ours, expected = (
        np.asarray(x.detach() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
        for x in (ours, expected)
    )
    assert ours.shape == expected.shape
    return float(np.linalg.norm(ours - expected) / np.linalg.norm(expected))


def gradients_of(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """A copy of each parameter's gradient, by group and place."""
    return {
        f"{g}.{i}": parameter.grad.clone()
        for g, group in enumerate(optimizer.param_groups)
        for i, parameter in enumerate(group["params"])
    }


def randomise(module: torch.nn.Module, seed: int = 0):
    """Draw every parameter anew, LayerNorms and biases included, always the same; evaluation
    mode.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 2:
                parameter.copy_(drawn / parameter.shape[1] ** 0.5)
            else:
                # a LayerNorm's weight is around 1
                parameter.copy_(0.3 * drawn + name.endswith("weight"))
    return module.eval()


def spikes(
    n_units: int = 4,
    duration_s: float = 60.0,
    rate_hz: float = 10.0,
    seed: int = 0,
    intervals=None,
    units: pd.DataFrame | None = None,
    name: str = "rec",
    start_s: float = 0.0,
) -> nl.Recording:
    """Poisson spikes."""
    rng = np.random.default_rng(seed)
    trains = [
        start_s + np.sort(rng.uniform(0, duration_s, rng.poisson(rate_hz * duration_s)))
        for _ in range(n_units)
    ]
    intervals = [[start_s, start_s + duration_s]] if intervals is None else intervals
    return nl.Recording.from_spike_trains(
        trains, units, intervals, recording_id=name, animal_id=f"animal of {name}"
    )


def clock(
    n_units: int = 3,
    n_frames: int = 400,
    rate_hz: float = 4.0,
    intervals=None,
    name: str = "clock",
    **options,
) -> nl.Recording:
    """Traces whose value is the number of the frame, so that tokens tell where they were cut."""
    traces = np.repeat(np.arange(n_frames, dtype=float)[:, None], n_units, axis=1)
    return nl.Recording.from_traces(
        traces, rate_hz, intervals=intervals, recording_id=name, animal_id="a", **options
    )


def from_trains(trains, **options) -> nl.Recording:
    """Those spike times, in a recording "r" of animal "a"."""
    return nl.Recording.from_spike_trains(trains, recording_id="r", animal_id="a", **options)


def with_trains(trains, like: nl.Recording, intervals=None) -> nl.Recording:
    """Other spikes, or other valid time, in a recording like that one."""
    return nl.Recording.from_spike_trains(
        trains,
        like.units,
        like.intervals if intervals is None else intervals,
        recording_id=like.recording_id,
        animal_id=like.animal_id,
        epochs=like.epochs,
    )


def trains_of(recording: nl.Recording) -> list[np.ndarray]:
    """The spike times of every unit."""
    return [recording.spike_times(unit_id) for unit_id in recording.units.index]


def two_units_each(values: dict) -> pd.Series:
    """(recording_id, unit_id) -> value, two units a recording."""
    index = pd.MultiIndex.from_product([values, range(2)], names=["recording_id", "unit_id"])
    return pd.Series(np.repeat(list(values.values()), 2), index=index)
