"""What vectors rest on: the same units in other company, attention as the module computes it, a
neuron less.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, randomise, spikes
from torch.nn import functional as F

import nuclr_lite as nl
from nuclr_lite import interpretation
from nuclr_lite.model import Populations, SpatialAttention


@pytest.fixture(scope="module")
def encoder() -> nl.NuCLR:
    return randomise(nl.NuCLR(TINY.model))


def sparse(
    name: str = "rec", n_units: int = 6, duration_s: float = 12.0, **options
) -> nl.Recording:
    """So few spikes that units are absent from some windows."""
    return spikes(n_units=n_units, rate_hz=0.7, duration_s=duration_s, name=name, **options)


# Other company


def test_among_all_others_is_what_embed_gives(encoder):
    recordings = [sparse(), sparse("other", 9, seed=1)]
    expected = nl.embed(encoder, recordings[0])
    np.testing.assert_allclose(
        interpretation.embed_among(encoder, recordings[0], 5), expected, rtol=1e-6, atol=1e-6
    )
    some = interpretation.embed_among(encoder, recordings, 3)
    assert some.index.equals(nl.embed(encoder, recordings).index) and list(some.columns) == list(
        expected.columns
    )
    assert np.abs(some.loc["rec"].to_numpy() - expected.to_numpy()).max() > 0.01
    pd.testing.assert_frame_equal(
        interpretation.embed_among(encoder, recordings, 3, units_per_batch=1),
        some,
        rtol=1e-5,
        atol=1e-6,
    )


def test_alone_is_a_recording_of_one_unit(encoder):
    recording = sparse()
    alone = interpretation.embed_among(encoder, recording, 0)
    for unit in recording.units.index:
        single = nl.Recording.from_spike_trains(
            [recording.spike_times(unit)],
            recording.units.loc[[unit]],
            recording.intervals,
            recording_id="rec",
            animal_id="a",
        )
        np.testing.assert_allclose(
            alone.loc[[("rec", unit)]], nl.embed(encoder, single), rtol=1e-5, atol=1e-6
        )


def test_a_group_is_a_recording_of_its_members(encoder):
    """Also the last group: four units, two of which had their vector in the first, and keep it."""
    recording = sparse()
    table = interpretation.embed_among(encoder, recording, 3, seed=5)
    groups = interpretation._groups(6, 4, np.random.default_rng([5, 0]))
    for members, counted in groups:
        trains = [recording.spike_times(unit) for unit in members]
        group = nl.Recording.from_spike_trains(
            trains, None, recording.intervals, recording_id="rec", animal_id="a"
        )
        mine = [("rec", unit) for unit in members[:counted]]
        np.testing.assert_allclose(
            table.loc[mine], nl.embed(encoder, group).iloc[:counted], rtol=1e-5, atol=1e-6
        )
    assert [counted for _, counted in groups] == [4, 2]


@pytest.mark.parametrize("n_units, size", [(7, 3), (6, 3), (5, 5), (5, 4), (4, 1)])
def test_every_unit_counts_once_in_a_group_of_the_right_size(n_units, size):
    groups = interpretation._groups(n_units, size, np.random.default_rng(0))
    assert sorted(np.concatenate([members[:counted] for members, counted in groups])) == list(
        range(n_units)
    )
    assert all(len(set(members)) == size for members, _ in groups)


def test_a_unit_among_strangers(encoder):
    """Its vector is that of a recording of itself and the host's units, at the host's times; and it
    doesn't depend on its own population.
    """
    guest, host = sparse(seed=1), sparse("host", 4, seed=2, start_s=100.0)
    table = interpretation.embed_among(encoder, guest, 4, [host])
    for unit in guest.units.index:
        trains = [
            guest.spike_times(unit),
            *(host.spike_times(other) - 100.0 for other in host.units.index),
        ]
        mixed = nl.Recording.from_spike_trains(
            trains, None, guest.intervals, recording_id="rec", animal_id="a"
        )
        np.testing.assert_allclose(
            table.loc[[("rec", unit)]], nl.embed(encoder, mixed).iloc[[0]], rtol=1e-5, atol=1e-6
        )
    np.testing.assert_allclose(
        interpretation.embed_among(encoder, guest, 0, [host]),
        interpretation.embed_among(encoder, guest, 0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_errors_of_company(encoder):
    with pytest.raises(ValueError, match="rec: n_others is 6; use 0 to 5"):
        interpretation.embed_among(encoder, sparse(), 6)
    with pytest.raises(ValueError, match="1 recordings and 0 hosts"):
        interpretation.embed_among(encoder, sparse(), 1, [])
    with pytest.raises(ValueError, match="the host rec is of the same animal"):
        interpretation.embed_among(encoder, sparse(), 1, [sparse()])
    with pytest.raises(ValueError, match="no valid interval holds a window of 2 s"):
        interpretation.embed_among(encoder, sparse(intervals=[[0, 1]]), 1)
    with pytest.raises(ValueError, match="n_windows is 0"):
        interpretation.influence(encoder, sparse(), 0)
    with pytest.raises(ValueError, match="single unit"):
        interpretation.influence(encoder, sparse(n_units=1))


# A neuron less


def test_influence_is_how_far_the_others_move(encoder):
    recording = spikes(n_units=4, duration_s=8.0)  # everybody present in all four windows
    table = interpretation.influence(encoder, recording)
    whole = nl.embed(encoder, recording).to_numpy()
    spread = np.sqrt(((whole - whole.mean(axis=0)) ** 2).sum(axis=1).mean())
    rest = [unit for unit in recording.units.index if unit != 2]
    without = nl.Recording.from_spike_trains(
        [recording.spike_times(unit) for unit in rest],
        None,
        recording.intervals,
        recording_id="r",
        animal_id="a",
    )
    expected = np.linalg.norm(whole[rest] - nl.embed(encoder, without).to_numpy(), axis=1) / spread
    np.testing.assert_allclose(table.loc[rest, 2], expected, rtol=1e-4)
    assert np.isnan(np.diag(table)).all() and (expected > 1e-3).all()


def test_who_never_meets_has_no_influence_and_units_apart_none_at_all(encoder):
    # the last two never share a window of 2 s
    trains = [np.arange(0.1, 8), np.arange(0.2, 8), [0.5, 1.0], [6.5, 7.0]]
    recording = nl.Recording.from_spike_trains(
        trains, None, [[0, 8]], recording_id="r", animal_id="a"
    )
    table = interpretation.influence(encoder, recording)
    assert (
        np.isnan(table.loc[2, 3]) and np.isnan(table.loc[3, 2]) and table.notna().sum().sum() == 10
    )
    apart = randomise(nl.NuCLR(replace(TINY.model, spatial_attention=False)))
    assert interpretation.influence(apart, recording).max().max() < 1e-5


# Attention


def test_weights_are_those_of_the_module():
    """Rows sum to 1, and weights times values, through the last layer, are what the module gives;
    with populations of different sizes.
    """
    module, sizes = randomise(SpatialAttention(TINY.model)), torch.tensor([3, 5])
    x, populations = (
        torch.randn(8, 4, 16, generator=torch.Generator().manual_seed(0)),
        Populations.of(sizes),
    )
    weights = interpretation.attention_weights(module, x, populations)
    assert weights.shape == (2, 4, 2, 5, 5)
    np.testing.assert_allclose(weights.sum(dim=-1)[1], 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(dim=-1)[0, :, :, :3], 1, rtol=1e-5)
    assert not weights[0, ..., 3:].any() and not weights[0, ..., 3:, :].any()
    # (P, L, H, W, C)
    values = (
        populations.pad(module.qkv(module.norm(x)))[..., 2 * 16 :]
        .unflatten(-1, (2, 8))
        .permute(0, 2, 3, 1, 4)
    )
    read = populations.unpad((weights @ values).permute(0, 3, 1, 2, 4).flatten(3))
    with torch.no_grad():
        torch.testing.assert_close(
            F.linear(read, module.out.weight, module.out.bias),
            module(x, populations),
            rtol=1e-4,
            atol=1e-5,
        )


def test_spatial_attention_of_a_recording(encoder):
    everybody = spikes(n_units=5, duration_s=8.0)
    whole = interpretation.spatial_attention(encoder, everybody)
    assert whole.shape == (1, 2, 5, 5)
    np.testing.assert_allclose(whole.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        interpretation.spatial_attention(encoder, everybody, units_per_batch=1), whole, rtol=1e-5
    )
    assert np.ptp(whole) > 0.01 and not any(module._forward_hooks for module in encoder.modules())
    apart = [
        interpretation.spatial_attention(
            encoder, replace(everybody, intervals=np.array([[start, start + 2.0]]))
        )
        for start in (0.0, 2.0, 4.0, 6.0)
    ]
    np.testing.assert_allclose(np.mean(apart, axis=0), whole, rtol=1e-5)
    one = interpretation.spatial_attention(encoder, everybody, 1)
    np.testing.assert_allclose(one, apart[0], rtol=1e-5)


def test_attention_is_averaged_where_both_are_present(encoder):
    trains = [np.arange(0.1, 8), [0.5, 1.0], [6.5, 7.0]]
    recording = nl.Recording.from_spike_trains(
        trains, None, [[0, 8]], recording_id="r", animal_id="a"
    )
    weights = interpretation.spatial_attention(encoder, recording)[0]
    assert (
        np.isnan(weights[:, 1, 2]).all()
        and np.isnan(weights[:, 2, 1]).all()
        and np.isfinite(weights).sum() == 14
    )
    # unit 1 meets unit 0 only, and in one window
    np.testing.assert_allclose(weights[:, 1, 0] + weights[:, 1, 1], 1, rtol=1e-5)
    with pytest.raises(ValueError, match="no spatial attention"):
        interpretation.spatial_attention(
            nl.NuCLR(replace(TINY.model, spatial_attention=False)), recording
        )


def test_between_kinds_by_hand():
    matrix = [[9, 1, 3], [2, 9, 6], [5, 5, 9]]  # the diagonal doesn't count
    table = interpretation.between_kinds(matrix, ["a", "a", "b"])
    expected = pd.DataFrame(
        [[(1 / 2 + 2 / 4) / 2, (3 / 2 + 6 / 4) / 2], [1.0, np.nan]],
        index=["a", "b"],
        columns=["a", "b"],
    )
    pd.testing.assert_frame_equal(table, expected)
    assert matrix[0][0] == 9
    with pytest.raises(ValueError, match="3 kinds; give one"):
        interpretation.between_kinds(np.eye(2), ["a", "a", "b"])


@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_is_left_as_it_was(training):
    model = nl.NuCLR(replace(TINY.model, dropout=0.5)).train(training)
    # no dropout
    assert interpretation.embed_among(model, sparse(), 2).equals(
        interpretation.embed_among(model, sparse(), 2)
    )
    interpretation.spatial_attention(model, sparse())
    assert all(module.training == training for module in model.modules()) and all(
        p.requires_grad for p in model.parameters()
    )
