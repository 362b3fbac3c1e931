"""The encoder: the same as the official one, as its mathematics written out, and blind to what it
must not see.
"""

import json
import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import ROOT, randomise, relative_error, shared
from hypothesis import example, given, strategies as st

import nuclr_lite as nl
from nuclr_lite.model import RotaryPosition, TemporalAttention

CONFIG = nl.ModelConfig(
    samples_per_token=5, tokens_per_window=6, dim=12, heads=2, head_dim=8, temporal_layers=1
)
SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@lru_cache
def encoder(spatial_attention: bool = True) -> nl.NuCLR:
    return randomise(nl.NuCLR(replace(CONFIG, spatial_attention=spatial_attention)))


def tokens_for(sizes, seed: int = 0) -> torch.Tensor:
    return torch.randn(sum(sizes), 6, 5, generator=torch.Generator().manual_seed(seed))


def embedded(tokens, sizes, model=None) -> torch.Tensor:
    with torch.no_grad():
        return (model or encoder())(tokens, torch.tensor(sizes))


def several_sizes(test):
    """Any sizes, and always: one unit alone, populations of one, equal and unequal populations."""
    for sizes in ([1], [1, 1], [4, 4], [1, 5, 2]):
        test = example(sizes)(test)
    return given(SIZES)(test)


# ---- what it computes


@pytest.mark.parametrize("modality", ["spikes", "calcium"])
def test_the_official_modules_give_the_same(modality):
    case = np.load(shared("reference", f"official_encoder_{modality}.npz"))
    config = json.loads(str(case["config"]))
    state = {
        name.removeprefix("state/"): torch.from_numpy(case[name])
        for name in case.files
        if name.startswith("state/")
    }
    model = nl.load_official_weights(state)
    embedding = model(
        torch.from_numpy(case["tokens"]), torch.from_numpy(case["units_per_population"])
    )
    (embedding * torch.linspace(-1, 1, config["dim"])).sum().backward()
    assert relative_error(embedding, case["embedding"]) <= 1e-5
    assert relative_error(model.read_in.weight.grad, case["read_in_weight_grad"]) <= 1e-4
    read = vars(model.config)
    assert {name: read[name] for name in read.keys() & config.keys()} == {
        name: config[name] for name in read.keys() & config.keys()
    }


def naive_encoder(model: nl.NuCLR, tokens, sizes) -> np.ndarray:
    """The same mathematics in float64, one population, unit, token and head at a time."""
    config = model.config
    L, C = config.tokens_per_window, config.head_dim
    turning = round(C * config.rotary_fraction / 2)
    periods = [(8 * L) ** (i / (turning - 1)) for i in range(turning)]  # log-spaced from 1 to 8 L

    def linear(layer, x):
        return x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()

    def norm(layer, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * layer.weight.detach().double().numpy() + layer.bias.detach().double().numpy()

    def feed_forward(layer, x):
        value, gate = np.split(linear(layer.widen, norm(layer.norm, x)), 2, axis=-1)
        return linear(
            layer.narrow, value * gate * (1 + np.vectorize(math.erf)(gate / math.sqrt(2))) / 2
        )

    def turn(vectors, direction=1):
        """(L, C): token t turns pair i by 2 pi t / period_i."""
        vectors = vectors.copy()
        for t in range(L):
            for i, period in enumerate(periods):
                angle = direction * 2 * math.pi * t / period
                a, b = vectors[t, 2 * i], vectors[t, 2 * i + 1]
                vectors[t, 2 * i], vectors[t, 2 * i + 1] = (
                    a * math.cos(angle) - b * math.sin(angle),
                    a * math.sin(angle) + b * math.cos(angle),
                )
        return vectors

    def attend(layer, x, position):
        """x (things, D): everything attends over everything."""
        q, k, v = np.split(linear(layer.qkv, norm(layer.norm, x)), 3, axis=-1)
        heads = []
        for head in range(config.heads):
            at = slice(head * C, (head + 1) * C)
            one = [turn(part[:, at]) if position else part[:, at] for part in (q, k, v)]
            weight = np.exp(one[0] @ one[1].T / math.sqrt(C))
            read = weight / weight.sum(1, keepdims=True) @ one[2]
            heads.append(turn(read, -1) if position else read)
        return linear(layer.out, np.concatenate(heads, axis=1))

    def temporal(block, x):
        x = np.stack([unit + attend(block.attention, unit, position=True) for unit in x])
        return x + feed_forward(block.feed_forward, x)

    def spatial(block, x):
        x = np.stack(
            [x[:, t] + attend(block.attention, x[:, t], position=False) for t in range(L)], axis=1
        )
        return x + feed_forward(block.feed_forward, x)

    out = []
    for population in np.split(tokens.double().numpy(), np.cumsum(sizes)[:-1]):
        x = linear(model.read_in, population)
        for block in model.temporal:
            x = temporal(block, x)
        for block in model.spatiotemporal:
            x = temporal(block.temporal, spatial(block.spatial, x))
        out.append(x.mean(axis=1))
    return np.concatenate(out)


@several_sizes
def test_plain_loops_give_the_same(sizes):
    tokens = tokens_for(sizes)
    assert relative_error(embedded(tokens, sizes), naive_encoder(encoder(), tokens, sizes)) <= 1e-5


def test_published_sizes():
    def parameters(**changes):
        return sum(p.numel() for p in nl.NuCLR(nl.ModelConfig(**changes)).parameters())

    assert parameters() == 6_330_624
    assert round(parameters(spatiotemporal_layers=4) / 1e6, 2) == 10.54  # BrainWideBench's


def test_spatial_attention_gets_four_dimensions(monkeypatch):
    shapes, attention = [], F.scaled_dot_product_attention

    def spy(q, k, v, attn_mask=None, **options):
        shapes.append((q.shape, k.shape, v.shape))
        return attention(q, k, v, attn_mask=attn_mask, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    for sizes in ([3, 3], [1, 4]):  # without and with a mask
        shapes.clear()
        embedded(tokens_for(sizes), sizes)
        assert shapes == 2 * [((len(sizes) * 6, 2, max(sizes), 8),) * 3]


# ---- what it must not see


@several_sizes
def test_permuting_units_permutes_embeddings(sizes):
    tokens = tokens_for(sizes)
    generator = torch.Generator().manual_seed(len(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    order = torch.cat(
        [start + torch.randperm(size, generator=generator) for start, size in zip(starts, sizes)]
    )
    assert relative_error(embedded(tokens[order], sizes), embedded(tokens, sizes)[order]) <= 1e-5


@several_sizes
def test_packed_is_one_population_at_a_time(sizes):
    tokens = tokens_for(sizes)
    apart = torch.cat([embedded(part, [len(part)]) for part in tokens.split(sizes)])
    assert relative_error(embedded(tokens, sizes), apart) <= 1e-5


@given(
    SIZES.filter(lambda sizes: len(sizes) > 1),
    st.sampled_from([1e3, float("nan"), float("inf")]),
    st.data(),
)
def test_nothing_leaks_between_populations(sizes, disturbance, data):
    changed = data.draw(st.integers(0, len(sizes) - 1))
    tokens = tokens_for(sizes)
    before = embedded(tokens, sizes).split(sizes)
    tokens.split(sizes)[changed].add_(disturbance)  # split gives views of `tokens`
    after = embedded(tokens, sizes).split(sizes)
    for population, (was, now) in enumerate(zip(before, after)):
        assert torch.equal(was, now) == (population != changed)


@given(SIZES, st.data())
def test_empty_populations_change_nothing(sizes, data):
    with_empty = [size for s in sizes for size in [0] * data.draw(st.integers(0, 2)) + [s]] + [0]
    results = []
    for given_sizes in (sizes, with_empty):
        tokens = tokens_for(sizes).requires_grad_()
        embedding = encoder()(tokens, torch.tensor(given_sizes))
        results += [
            embedding,
            *torch.autograd.grad(embedding.square().sum(), [tokens, encoder().read_in.weight]),
        ]
    assert all(torch.equal(one, other) for one, other in zip(results[:3], results[3:]))


@pytest.mark.parametrize("sizes", [[0], [0, 0], []])
def test_no_unit_at_all(sizes):
    model = randomise(nl.NuCLR(CONFIG))
    embedding = model(torch.zeros(0, 6, 5), torch.tensor(sizes, dtype=torch.int64))
    assert embedding.shape == (0, 12)
    embedding.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("spatial_attention", [True, False])
def test_others_matter_only_through_spatial_attention(spatial_attention):
    model, tokens = encoder(spatial_attention), tokens_for([4])
    before = embedded(tokens, [4], model)[0]
    tokens[1:] += 1.0
    assert torch.equal(embedded(tokens, [4], model)[0], before) == (not spatial_attention)
    has = [name for name in model.state_dict() if ".spatial.attention." in name]
    assert bool(has) == spatial_attention


def test_temporal_attention_sees_only_time_differences():
    attention = randomise(TemporalAttention(CONFIG))
    x = torch.randn(3, 6, 12, generator=torch.Generator().manual_seed(1))
    from_zero = attention(x)
    later = RotaryPosition(CONFIG.head_dim, 6, CONFIG.rotary_fraction)
    # periods 1 to 8 L; half stand still
    omega = 2 * math.pi / torch.tensor([1.0, 48.0, math.inf, math.inf], dtype=torch.float64)
    later.set_omega(omega, 6 + 17)
    torch.testing.assert_close(later.turn[:6], attention.rotary.turn)
    attention.rotary.turn = later.turn[17:]  # the clock starts at token 17
    torch.testing.assert_close(attention(x), from_zero)
    assert relative_error(attention(x.flip(1)).flip(1), from_zero) > 0.01  # but order does matter


def test_rotary_turns_back_and_leaves_the_rest():
    rotary = RotaryPosition(head_dim=16, tokens=6, rotary_fraction=0.5)
    x = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotary(rotary(x), back=True), x)
    torch.testing.assert_close(rotary(x).norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rotary(x)[..., 8:], x[..., 8:]) and not torch.allclose(
        rotary(x)[:, 1:, :8], x[:, 1:, :8]
    )


def test_dropout_only_in_training():
    model = nl.NuCLR(CONFIG)
    tokens, sizes = tokens_for([3]), torch.tensor([3])
    assert not torch.equal(model.train()(tokens, sizes), model(tokens, sizes))
    assert torch.equal(model.eval()(tokens, sizes), model(tokens, sizes))


# ---- errors and configs


@pytest.mark.parametrize("shape", [(4, 30), (4, 5, 6), (4, 6, 4), (4, 7, 5), (1, 4, 6, 5)])
def test_tokens_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"this encoder reads \(units, 6 tokens, 5 samples\)"):
        encoder()(torch.zeros(shape), torch.tensor([4]))


@pytest.mark.parametrize("sizes", [[3], [2, 3], [5, -1], []])
def test_sizes_that_do_not_add_up(sizes):
    with pytest.raises(ValueError, match="give the number of units of each population"):
        encoder()(torch.zeros(4, 6, 5), torch.tensor(sizes, dtype=torch.int64))


@pytest.mark.parametrize(
    "field, value",
    [
        ("modality", "eeg"),
        ("sample_s", 0.0),
        ("sample_s", -1.0),
        ("sample_s", math.nan),
        ("samples_per_token", 0),
        ("tokens_per_window", 0),
        ("dim", 0),
        ("heads", 0),
        ("head_dim", 0),
        ("head_dim", 7),
        ("temporal_layers", -1),
        ("spatiotemporal_layers", -1),
        ("rotary_fraction", 1.1),
        ("rotary_fraction", -0.1),
        ("dropout", 1.0),
        ("dropout", -0.1),
    ],
)
def test_impossible_configs(field, value):
    with pytest.raises(ValueError, match=field):
        nl.ModelConfig(**{field: value})


@pytest.mark.parametrize("preset", nl.PRESETS.values(), ids=list(nl.PRESETS))
def test_configs_round_trip_and_print_as_themselves(preset):
    assert nl.ModelConfig.from_json(preset.model.to_json()) == preset.model
    assert nl.Preset.from_json(preset.to_json()) == preset
    assert eval(repr(preset), vars(nl.presets)) == preset
    with pytest.raises(AttributeError):
        preset.model.dim = 1


def test_window_length():
    assert nl.ModelConfig().window_s == pytest.approx(10.0)
    assert nl.PRESETS["paper-calcium"].model.window_s == pytest.approx(29.88, abs=0.01)


def test_the_benchmarks_plain_encoder_is_the_same(monkeypatch):
    """What speed is compared with must compute the same."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from plain import plain_forward

    model, sizes = randomise(nl.NuCLR(CONFIG)).eval(), torch.tensor([3, 1, 4])
    tokens = torch.randn(
        8,
        CONFIG.tokens_per_window,
        CONFIG.samples_per_token,
        generator=torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(
        plain_forward(model, tokens, sizes), model(tokens, sizes), rtol=1e-4, atol=1e-5
    )
