"""The encoder's mathematics written out plainly: one population at a time, no fused kernel.

Slow, and easy to check.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nuclr_lite import NuCLR


def plain_forward(model: NuCLR, tokens: Tensor, population_sizes: Tensor) -> Tensor:
    """`model(tokens, population_sizes)` in evaluation mode: (units, L, P) -> (units, D)."""
    return torch.cat([_population(model, x) for x in tokens.split(population_sizes.tolist())])


def _population(model: NuCLR, tokens: Tensor) -> Tensor:
    x = model.read_in(tokens)
    for block in model.temporal:
        x = x + _temporal(block.attention, x)
        x = x + _feed_forward(block.feed_forward, x)
    for block in model.spatiotemporal:
        if block.spatial.attention is not None:
            x = x + _spatial(block.spatial.attention, x)
        x = x + _feed_forward(block.spatial.feed_forward, x)
        x = x + _temporal(block.temporal.attention, x)
        x = x + _feed_forward(block.temporal.feed_forward, x)
    return x.mean(1)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1) @ v


def _heads(layer, x: Tensor) -> Tensor:
    """(units, L, D) -> (3, heads, units, L, head_dim)"""
    return layer.qkv(layer.norm(x)).unflatten(-1, (3, layer.heads, -1)).permute(2, 3, 0, 1, 4)


def _temporal(layer, x: Tensor) -> Tensor:
    head_dim = layer.qkv.out_features // 3 // layer.heads
    q, k, v = (_turn(part, layer.rotary, head_dim, 1) for part in _heads(layer, x))
    read = _turn(_attend(q, k, v), layer.rotary, head_dim, -1)  # (heads, units, L, head_dim)
    return layer.out(read.permute(1, 2, 0, 3).flatten(2))


def _spatial(layer, x: Tensor) -> Tensor:
    q, k, v = (part.transpose(1, 2) for part in _heads(layer, x))  # (heads, L, units, head_dim)
    return layer.out(_attend(q, k, v).permute(2, 1, 0, 3).flatten(2))


def _turn(x: Tensor, rotary, head_dim: int, direction: int) -> Tensor:
    """Turn each pair of dimensions that turns with the rotation's 2 x 2 matrix; `turn` (L,
    pairs, 2) holds cosine and sine.
    """
    turned = x.clone()
    for pair in rotary.turn[..., 1].any(dim=0).nonzero().flatten().tolist():
        a, b = x[..., 2 * pair], x[..., 2 * pair + 1]
        cos, sin = rotary.turn[:, pair, 0], direction * rotary.turn[:, pair, 1]
        turned[..., 2 * pair], turned[..., 2 * pair + 1] = a * cos - b * sin, a * sin + b * cos
    return turned


def _feed_forward(layer, x: Tensor) -> Tensor:
    wide = layer.widen(layer.norm(x))
    half = wide.shape[-1] // 2
    return layer.narrow(wide[..., :half] * F.gelu(wide[..., half:]))
