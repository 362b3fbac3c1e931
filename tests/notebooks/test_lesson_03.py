"""The definitions that 03_transformer builds step by step compute what the module computes, for any
sizes.
"""

import math

import course
import pytest
import torch
import torch.nn.functional as F
from helpers import randomise
from hypothesis import given, strategies as st
from torch.testing import assert_close

import nuclr_lite as nl
from nuclr_lite import model

lesson = course.definitions(course.HERE / "03_transformer.py")
SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=4)
CONFIGS = st.builds(
    nl.ModelConfig,
    samples_per_token=st.integers(1, 5),
    tokens_per_window=st.integers(2, 7),
    dim=st.integers(2, 12),
    heads=st.integers(1, 3),
    head_dim=st.sampled_from([2, 4, 8, 16]),
    temporal_layers=st.integers(0, 2),
    spatiotemporal_layers=st.integers(0, 2),
    rotary_fraction=st.sampled_from([0.0, 0.5, 1.0]),
    dropout=st.just(0.0),
)


def random(*shape, seed: int = 0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair(mine: str, module, config):
    """The lesson's and the module's version with the same weights."""
    theirs = randomise(module(config))
    ours = lesson[mine](config)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@given(CONFIGS, SIZES)
def test_the_encoder_and_its_gradients(config, sizes):
    ours, theirs = pair("Encoder", nl.NuCLR, config)
    results = []
    for encoder in (ours, theirs):
        tokens = random(
            sum(sizes), config.tokens_per_window, config.samples_per_token
        ).requires_grad_()
        vectors = encoder(tokens, torch.tensor(sizes))
        results.append(
            [
                vectors,
                *torch.autograd.grad(
                    (vectors * random(*vectors.shape, seed=1)).sum(),
                    [tokens, *encoder.parameters()],
                ),
            ]
        )
    assert len(results[0]) == 2 + len(theirs.state_dict())
    for one, other in zip(*results):
        assert_close(one, other, rtol=1e-3, atol=1e-4)


@given(CONFIGS, SIZES, st.integers(0, 1000))
def test_the_parts(config, sizes, clock):
    x = random(sum(sizes), config.tokens_per_window, config.dim)
    close = dict(rtol=1e-4, atol=1e-5)
    ours, theirs = pair("AskYourself", model.TemporalAttention, config)
    assert_close(ours(x), theirs(x), **close)
    assert_close(ours(x, clock=clock), theirs(x), **close)
    ours, theirs = pair("AskTheOthers", model.SpatialAttention, config)
    assert_close(
        ours(x, torch.tensor(sizes)), theirs(x, model.Populations.of(torch.tensor(sizes))), **close
    )
    qkv = lesson["split_heads"](ours.qkv(ours.norm(x)), config.heads)
    assert_close(
        ours.out(lesson["join_heads"](lesson["padded_read"](*qkv, torch.tensor(sizes)))),
        ours(x, torch.tensor(sizes)),
        **close,
    )
    ours, theirs = pair("ThinkItOver", model.FeedForward, config)
    assert_close(ours(x), theirs(x), **close)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.sampled_from([2, 4, 16]))
def test_attention_norm_and_gate(shape, width):
    q, k, v = random(3, *shape, width)
    assert_close(lesson["softmax"](100 * q), torch.softmax(100 * q, dim=-1))
    assert_close(lesson["attend"](q, k, v), F.scaled_dot_product_attention(q, k, v))
    assert_close(
        lesson["layer_norm"](q, k[0, ..., :1, :].flatten()[:width], 0.5),
        F.layer_norm(q, (width,), k[0, ..., :1, :].flatten()[:width], torch.full((width,), 0.5)),
    )
    assert_close(lesson["gelu"](q), F.gelu(q))


@given(st.integers(1, 12), st.sampled_from([2, 8, 16]), st.sampled_from([0.0, 0.5, 1.0]))
def test_turning(tokens, head_dim, fraction):
    periods = lesson["rotary_periods"](head_dim, tokens, fraction)
    angle = lesson["rotary_angles"](tokens, periods)
    x = random(3, 2, tokens, head_dim)
    rotary = model.RotaryPosition(head_dim, tokens, fraction)
    assert_close(lesson["turned"](x, angle), rotary(x))
    assert_close(lesson["turned"](x, -angle), rotary(x, back=True))
    assert (periods == math.inf).sum() == head_dim // 2 - round(head_dim * fraction / 2)


@given(CONFIGS)
def test_counts(config):
    ours, theirs = pair("Encoder", nl.NuCLR, config)
    assert sum(lesson["parameters"](config).values()) == sum(p.numel() for p in theirs.parameters())
    tokens = random(5, config.tokens_per_window, config.samples_per_token)
    with lesson["FlopCounterMode"](display=False) as counter, torch.no_grad():
        ours(tokens, torch.tensor([5]))
    assert counter.get_total_flops() == 2 * sum(
        lesson["multiplications"](config, 5, config.tokens_per_window).values()
    )


def test_the_solutions():
    q, k, v = random(3, 6, 8)
    angle = lesson["rotary_angles"](6, lesson["rotary_periods"](8, 6, 0.5))
    assert_close(
        lesson["read_by_difference"](q, k, v, angle), lesson["rotary_read"](q, k, v, angle)
    )
    there = torch.tensor([[True, False, True]])
    weights = lesson["masked_softmax"](torch.tensor([[0.0, 1e4, math.log(3)]]), there)
    assert_close(weights, torch.tensor([[0.25, 0.0, 0.75]]))
    config = nl.ModelConfig(
        samples_per_token=3, tokens_per_window=4, dim=6, heads=2, head_dim=4, dropout=0.0
    )
    assert lesson["who_attends"](randomise(nl.NuCLR(config)), random(5, 4, 3)).shape == (4, 2, 5, 5)


@pytest.mark.parametrize("unit, token", [(0, 0), (3, 2)])
def test_reach_is_a_row_a_column_and_a_population(unit, token):
    config = nl.ModelConfig(
        samples_per_token=3, tokens_per_window=4, dim=6, heads=2, head_dim=4, dropout=0.0
    )
    ours, _ = pair("Encoder", nl.NuCLR, config)
    x, sizes = random(5, 4, 6), torch.tensor([2, 3])
    row, spatial = ours.temporal[0], ours.spatiotemporal[0]["spatial"]
    mine = torch.tensor([unit < 2] * 2 + [unit >= 2] * 3)
    reached = lesson["reaches"](row, x, unit, token)
    assert reached[unit].all() and reached.sum() == 4
    reached = lesson["reaches"](lambda x: spatial(x, sizes), x, unit, token)
    assert torch.equal(reached[:, token], mine) and reached.sum() == mine.sum()
    reached = lesson["reaches"](lambda x: spatial(row(x), sizes), x, unit, token)
    assert torch.equal(reached, mine[:, None].expand(5, 4))
