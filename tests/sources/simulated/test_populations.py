"""The simulated animals: repeatable, alike one by one, different together."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl
from nuclr_lite.sources.simulated import CALCIUM, SPIKES, WORLDS, populations as simulated

SHORT = {
    "spikes": replace(SPIKES, duration_s=60.0, stimulus_block_s=20.0, movie_s=5.0),
    "calcium": replace(CALCIUM, duration_s=120.0, stimulus_block_s=40.0, movie_s=10.0),
}


@pytest.mark.parametrize("modality", ["spikes", "calcium"])
def test_an_animal_is_the_same_whatever_the_number_of_animals(modality):
    few = nl.simulate_recordings(1, modality, seed=4, config=SHORT[modality])[0]
    many = nl.simulate_recordings(3, modality, seed=4, config=SHORT[modality])
    other = nl.simulate_recordings(1, modality, seed=5, config=SHORT[modality])[0]
    data = "times" if modality == "spikes" else "traces"
    np.testing.assert_array_equal(getattr(few, data), getattr(many[0], data))
    pd.testing.assert_frame_equal(few.units, many[0].units)
    assert (
        getattr(few, data).shape != getattr(other, data).shape
        or (getattr(few, data) != getattr(other, data)).any()
    )
    assert (
        len({r.recording_id for r in many} | {other.recording_id}) == 4
        and len({r.animal_id for r in many}) == 3
    )


@pytest.mark.parametrize("modality", ["spikes", "calcium"])
def test_contents(modality):
    recording = nl.simulate_recordings(1, modality, config=SHORT[modality])[0]
    assert recording.modality == modality
    assert set(recording.units["cell_type"]) == {"Exc", "Pvalb", "Sst", "Vip"} and set(
        recording.units["area"]
    ) == {"VISp", "VISl", "VISal"}
    assert set(recording.epochs["name"]) == {"spontaneous", "natural_movie"}
    assert recording.epochs["stop_s"].iloc[-1] == SHORT[modality].duration_s
    assert recording.valid_s == pytest.approx(SHORT[modality].duration_s, abs=0.5)
    assert recording.provenance["seed"] == 0 and recording.provenance["source"] == "simulated"


def test_dead_time_and_rates():
    recording = nl.simulate_recordings(1, config=SHORT["spikes"])[0]
    for unit in recording.units.index:
        assert (np.diff(recording.spike_times(unit)) >= SPIKES.dead_time_s).all()
    rates = pd.Series([len(recording.spike_times(unit)) / 60 for unit in recording.units.index])
    busy = ~recording.units["silent"].to_numpy()
    assert 0.3 < rates[busy].sum() / recording.units["base_rate_hz"][busy].sum() < 1.5


def test_latents_have_unit_variance_and_its_time_constant():
    x = simulated._latents(200, 4000, 0.5, 0.0, 0.01, np.random.default_rng(0))
    assert x.var() == pytest.approx(1, abs=0.05)
    assert x[:, 0].var() == pytest.approx(1, abs=0.35)  # stationary from the start
    assert (x[:, 50:] * x[:, :-50]).mean() == pytest.approx(np.exp(-1), abs=0.05)


def test_alone_all_kinds_are_alike():
    """The log rate has the same variance and autocorrelation for each cell type and area, by
    construction.
    """
    config = replace(
        SPIKES,
        duration_s=2000.0,
        n_units=(120, 120),
        coupling_jitter=0.0,
        animal_jitter=0.0,
        drift=0.0,
        silent_share=0.0,
    )
    rng = np.random.default_rng(0)
    units, traits = simulated.draw_units(config, rng)
    rates, _ = simulated._rates(units, traits, config, rng)
    x = np.log(rates[:, ::10])
    x = x - x.mean(axis=1, keepdims=True)
    spread = pd.Series(x.var(axis=1), index=units.index)
    lagged = pd.Series((x[:, 5:] * x[:, :-5]).mean(axis=1), index=units.index) / spread
    for column in ("cell_type", "area"):
        for values in (spread, lagged):
            means = values.groupby(units[column]).mean()
            assert means.max() / means.min() < 1.12, (column, means.to_dict())


def test_together_they_differ():
    """Against the mean of the others, each cell type shows its strength, lag and sign."""
    lag_bins, bin_s = 3, SPIKES.cell_types["Sst"].lag_s / 3
    config = replace(SPIKES, n_units=(120, 120), state_share=(0.9, 0.9), lag_scale=(1.0, 1.0))
    recording = nl.simulate_recordings(1, config=config)[0]
    bins = int(config.duration_s / bin_s)
    counts = np.zeros((recording.n_units, bins))
    np.add.at(
        counts,
        (recording.unit_rows, np.minimum((recording.times / bin_s).astype(int), bins - 1)),
        1,
    )
    busy = ~recording.units["silent"].to_numpy()
    z, kinds = counts[busy], recording.units["cell_type"].to_numpy()[busy]
    z = (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)
    leader = z[kinds == "Pvalb"].mean(0)  # follows the state at once, and closely
    now = pd.Series((z * leader).mean(1)).groupby(kinds).mean()
    late = pd.Series((z[:, lag_bins:] * leader[:-lag_bins]).mean(1)).groupby(kinds).mean()
    assert now["Vip"] < 0 < now["Exc"] < now["Pvalb"] / 1.5
    assert late["Sst"] > now["Sst"] and late["Pvalb"] < now["Pvalb"]


def test_assemblies_have_states_of_their_own():
    """Types are relations to the own assembly's state; that of another one tells nothing."""
    config = replace(WORLDS["assemblies"]["spikes"], duration_s=1000.0, n_units=(120, 120))
    rng = np.random.default_rng(2)
    units, traits = simulated.draw_units(config, rng)
    shared, _ = simulated.shared_latents(units, traits, config, rng)
    assert 2 <= len(traits["assemblies"]) == len(shared["state"]) == units["assembly"].nunique()
    assert len({one["tau_s"] for one in traits["assemblies"]}) == len(traits["assemblies"])
    log_rate = np.log(simulated.unit_rates(units, traits, shared, config, rng))
    follows = np.corrcoef(log_rate, shared["state"][:, -log_rate.shape[1] :])[: len(units)]
    follows = np.abs(follows[:, len(units) :])  # (units, assemblies)
    at_once = units["state_lag_s"].eq(0) & units["state_coupling"].gt(0.8)
    own = np.eye(follows.shape[1], dtype=bool)[units["assembly"]]
    assert follows[at_once][own[at_once]].min() > 0.35 > 0.2 > np.median(follows[~own])


@pytest.mark.parametrize("modality", ["spikes", "calcium"])
def test_worlds_have_the_same_columns_to_decode(modality):
    short = {
        world: replace(configs[modality], duration_s=60.0) for world, configs in WORLDS.items()
    }
    units = {
        world: nl.simulate_recordings(1, modality, config=config)[0].units
        for world, config in short.items()
    }
    assert {"assembly"} == set(units["assemblies"]) - set(units["one network"])
    given = nl.simulate_recordings(1, modality, world="assemblies")[0]
    assert given.provenance["config"]["assemblies"] == (2, 4)
    with pytest.raises(ValueError, match="world is 'flat'; use one of"):
        nl.simulate_recordings(1, modality, world="flat")


def test_the_movie_repeats_and_has_the_statistics_of_the_rest():
    config = replace(SPIKES, duration_s=300.0)
    rng = np.random.default_rng(0)
    drive = simulated._latents(1, 30_000, 1.0, 0.0, 0.01, rng)[0]
    spontaneous = drive[:7500].copy()
    movie = simulated._latents(1, 7500, 1.0, 0.0, 0.01, rng)[0]
    epochs = simulated._movie_into(drive, movie, 0, config)
    np.testing.assert_array_equal(drive[:7500], spontaneous)
    block = epochs[epochs["name"] == "natural_movie"].iloc[0]
    start, frames = int(block["start_s"] / 0.01), int(config.movie_s / 0.01)
    assert block["stop_s"] - block["start_s"] >= 2 * config.movie_s
    np.testing.assert_array_equal(
        drive[start : start + frames], drive[start + frames : start + 2 * frames]
    )
    assert drive[start : start + frames].var() == pytest.approx(1, abs=1e-3)


def test_errors():
    with pytest.raises(ValueError, match="use 'spikes' or 'calcium'"):
        nl.simulate_recordings(1, "eeg")
    with pytest.raises(ValueError, match="at least one"):
        nl.simulate_recordings(0)
