"""The encoder: a transformer that turns one view of a population into one vector per unit.

Letters used for shapes: U units (of all populations, packed one after the other), L tokens in a
window, P samples in a token, D width of the model, H heads, C width of a head, N populations,
W units of the widest population.

Source: Arora et al. 2025 (arXiv 2512.01199), section 3. Details that the paper leaves open follow
the authors' code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Numbers that a CPU takes through a layer at once in float32: larger tensors, new in each step,
# cost more to get from the system than to compute. (In bfloat16 they are half as large, and where a
# CPU has products of it these are so quick that what a further piece costs is more.)
CPU_PIECE = 300_000
# Width from which on a second thread saves a quarter of the time or more, and bfloat16 pays off.
WORTH_THREADS = 96


@dataclass(frozen=True)
class ModelConfig:
    """The shape of an encoder and of the input it expects. Saved with the weights.

    `sample_s` is the length of a spike-count bin or of an imaging frame in seconds. The published
    size is `dim=256, heads=4, head_dim=64, temporal_layers=2, spatiotemporal_layers=2`.
    """

    modality: str = "spikes"  # 'spikes' or 'calcium'
    sample_s: float = 0.02  # s
    samples_per_token: int = 50  # P
    tokens_per_window: int = 10  # L
    dim: int = 256  # D
    heads: int = 4  # H
    head_dim: int = 64  # C
    temporal_layers: int = 2
    spatiotemporal_layers: int = 2
    rotary_fraction: float = 0.5  # share of a head's dimensions that the rotary position turns
    dropout: float = 0.2
    spatial_attention: bool = True  # False: the "no population context" ablation

    def __post_init__(self):
        if self.modality not in ("spikes", "calcium"):
            raise ValueError(f"modality is {self.modality!r}; use 'spikes' or 'calcium'.")
        for name in ("samples_per_token", "tokens_per_window", "dim", "heads", "head_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("temporal_layers", "spatiotemporal_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0.")
        if not self.sample_s > 0:
            raise ValueError(f"sample_s is {self.sample_s}; it is a duration in seconds, above 0.")
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim is {self.head_dim}; rotary positions turn pairs, so it must be even."
            )
        if not 0 <= self.rotary_fraction <= 1:
            raise ValueError(
                f"rotary_fraction is {self.rotary_fraction}; it is a share between 0 and 1."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout is {self.dropout}; it is a probability from 0 up to, not including, 1."
            )

    @property
    def samples_per_window(self) -> int:
        return self.samples_per_token * self.tokens_per_window

    @property
    def window_s(self) -> float:
        """Length of a window (view), s."""
        return self.samples_per_window * self.sample_s

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        return cls(**json.loads(text))


class Populations(NamedTuple):
    """Where each population's units lie in a packed tensor, and how to set them side by side.

    Index tensors and nothing else.

    Made from sizes on the CPU and then sent to a device, or in a process that prepares data, so
    that a GPU never waits for a size to come back.
    """

    rows: Tensor  # (U,) place of each unit in N*W
    occupied: Tensor  # (N, W) bool: whether there is a unit
    is_even: bool  # all populations are as large as the widest

    @classmethod
    def of(
        cls, sizes: Tensor, device: torch.device | str = "cpu", keep_empty: bool = False
    ) -> Populations:
        """Of populations with `sizes` units, (N,) int64 on the CPU. keep_empty : give those without
        a unit their place in the padded tensor.
        """
        if bool((sizes < 0).any()):
            raise ValueError(
                f"a population has {int(sizes.min())} units; give the number of units of each"
                " population."
            )
        if not keep_empty:  # attention over nobody is not a number
            sizes = sizes[sizes > 0]
        slot = torch.arange(int(sizes.max()) if len(sizes) else 0)  # (W,)
        occupied = slot < sizes[:, None]  # (N, W)
        rows = occupied.flatten().nonzero().squeeze(1)
        return cls(
            rows.to(device, non_blocking=True),
            occupied.to(device, non_blocking=True),
            bool(occupied.all()),
        )

    @property
    def key_mask(self) -> Tensor | None:
        """`occupied`, or None where it would mask nothing: attention without a mask is faster."""
        return None if self.is_even else self.occupied

    def pad(self, packed: Tensor) -> Tensor:
        """(U, ...) -> (N, W, ...), zeros where a population has no further unit."""
        padded = packed.new_zeros((self.occupied.numel(), *packed.shape[1:]))
        return padded.index_copy(0, self.rows, packed).unflatten(0, tuple(self.occupied.shape))

    def unpad(self, padded: Tensor) -> Tensor:
        """(N, W, ...) -> (U, ...), the inverse of `pad`."""
        return padded.flatten(0, 1).index_select(0, self.rows)


class RotaryPosition(nn.Module):
    """Turns pairs of a head's dimensions by an angle proportional to the token index.

    Queries, keys *and values* turn forward and the output of attention turns back, so that what a
    token reads from another depends only on how far apart they are. Periods are log-spaced from 1
    to 8 L tokens; the last `1 - rotary_fraction` of the pairs do not turn.
    """

    turn: Tensor  # (L, C/2, 2), cosines and sines

    def __init__(self, head_dim: int, tokens: int, rotary_fraction: float):
        super().__init__()
        turning = int(round(head_dim * rotary_fraction / 2))
        period = torch.logspace(0, math.log10(8 * tokens), turning, dtype=torch.float64)
        omega = torch.cat(
            [2 * math.pi / period, torch.zeros(head_dim // 2 - turning, dtype=torch.float64)]
        )
        self.set_omega(omega, tokens)

    def set_omega(self, omega: Tensor, tokens: int):
        """Take angular frequencies (C/2,) in radians per token."""
        angle = torch.arange(tokens, dtype=torch.float64)[:, None] * omega.double()  # (L, C/2)
        self.register_buffer(
            "turn", torch.stack([angle.cos(), angle.sin()], dim=-1).float(), persistent=False
        )

    def forward(self, x: Tensor, back: bool = False) -> Tensor:
        """x (..., L, C) -> same shape.

        A pair (a, b) becomes (a cos - b sin, a sin + b cos): the complex number a + ib, turned.
        """
        turn = torch.view_as_complex(self.turn.float())  # (L, C/2)
        pairs = torch.view_as_complex(
            x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (-1, 2))
        )
        return torch.view_as_real(pairs * (turn.conj() if back else turn)).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """What both attentions share: a norm, a linear layer to queries, keys and values, one back."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        inner = config.heads * config.head_dim  # HC
        self.heads = config.heads
        self.norm = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * inner)
        self.out = nn.Linear(inner, config.dim)


class TemporalAttention(Attention):
    """Every unit attends over its own L tokens."""

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        self.rotary = RotaryPosition(
            config.head_dim, config.tokens_per_window, config.rotary_fraction
        )

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm(x))  # (U, L, 3HC)
        qkv = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, U, H, L, C)
        q, k, v = self.rotary(qkv)
        # In so short a sequence the plain products are quicker than a fused kernel.
        weight = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)  # (U, H, L, L)
        read = self.rotary(weight @ v, back=True)  # (U, H, L, C)
        return self.out(read.transpose(1, 2).flatten(2))  # (U, L, D)


class SpatialAttention(Attention):
    """Every unit attends over the units of its own population, at one token at a time.

    It has no notion of position: that is what makes the encoder permutation-equivariant.
    """

    def forward(self, x: Tensor, populations: Populations) -> Tensor:
        L = x.shape[1]
        qkv = populations.pad(self.qkv(self.norm(x)))  # (N, W, L, 3HC)
        if qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16:  # slow in its fused kernel
            qkv = qkv.float()
        qkv = qkv.unflatten(-1, (3, self.heads, -1))  # (N, W, L, 3, H, C)
        # Four dimensions, not five: the fused kernels take (batch, heads, sequence, width) only.
        q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # each (N*L, H, W, C)
        mask = populations.key_mask
        if mask is not None:
            mask = mask[:, None].expand(-1, L, -1).flatten(0, 1)[:, None, None]  # (N*L, 1, 1, W)
        with torch.autocast("cpu", enabled=False):
            read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (N*L, H, W, C)
        read = read.unflatten(0, (-1, L)).permute(0, 3, 1, 2, 4).flatten(3)  # (N, W, L, HC)
        return self.out(populations.unpad(read))  # (U, L, D)


class FeedForward(nn.Module):
    """GEGLU: half of a widened layer is the value, the other gates it through an exact GELU."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, 2 * 4 * config.dim)
        self.narrow = nn.Linear(4 * config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        # The two halves as two products: cutting one in two would copy its gradient.
        value, gate = (
            F.linear(x, *half) for half in zip(self.widen.weight.chunk(2), self.widen.bias.chunk(2))
        )
        return self.narrow(self.dropout(value * F.gelu(gate)))


class TemporalBlock(nn.Module):
    """Attention over time, then a feed-forward layer; each adds to what came in."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.attention = TemporalAttention(config)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(x))
        return x + self.dropout(self.feed_forward(x))


class SpatialBlock(nn.Module):
    """Attention over the population, then a feed-forward layer."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.attention = SpatialAttention(config) if config.spatial_attention else None
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, populations: Populations, units_at_once: int | None = None
    ) -> Tensor:
        if self.attention is not None:
            x = x + self.dropout(self.attention(x, populations))
        return x + self.dropout(_in_pieces(self.feed_forward, x, units_at_once))


class SpatioTemporalBlock(nn.Module):
    """First ask the population, then look back over time."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.spatial = SpatialBlock(config)
        self.temporal = TemporalBlock(config)

    def forward(
        self, x: Tensor, populations: Populations, units_at_once: int | None = None
    ) -> Tensor:
        return _in_pieces(self.temporal, self.spatial(x, populations, units_at_once), units_at_once)


@contextmanager
def suitable_threads(config: ModelConfig) -> Iterator[None]:
    """As many CPU threads as help an encoder of this size; afterwards as many as before.

    The steps of a small encoder are so short that threads mostly wait for one another, and spin
    while they wait: beside another busy program two threads were several times slower than one
    (`benchmarks/threads.py`). Several small encoders are best trained side by side.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if config.dim < WORTH_THREADS else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_pieces(layer: nn.Module, x: Tensor, units_at_once: int | None) -> Tensor:
    """A layer in which units don't meet, some units at a time: what it needs for itself (a
    feed-forward layer some 30 times its input) stays small.
    """
    at_once = len(x) if units_at_once is None else units_at_once
    if x.device.type == "cpu" and x.dtype == torch.float32:
        at_once = min(at_once, max(1, CPU_PIECE // max(1, math.prod(x.shape[1:]))))
    if len(x) <= at_once:
        return layer(x)
    return torch.cat([layer(piece) for piece in x.split(at_once)])


class NuCLR(nn.Module):
    """The permutation-equivariant spatiotemporal transformer (paper, section 3.2 and figure 2).

    >>> model = NuCLR(ModelConfig(dim=32, heads=2, head_dim=16)).eval()
    >>> model(torch.zeros(7, 10, 50), torch.tensor([3, 4])).shape
    torch.Size([7, 32])
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.read_in = nn.Linear(config.samples_per_token, config.dim)
        self.temporal = nn.ModuleList(TemporalBlock(config) for _ in range(config.temporal_layers))
        self.spatiotemporal = nn.ModuleList(
            SpatioTemporalBlock(config) for _ in range(config.spatiotemporal_layers)
        )

    def forward(
        self,
        tokens: Tensor,
        population_sizes: Tensor | Populations,
        units_at_once: int | None = None,
    ) -> Tensor:
        """Embed every unit of every population.

        Parameters
        ----------
        tokens : (U, L, P) float. Spike counts, or dF/F divided by its 99th percentile; the units of
            a population follow one another.
        population_sizes : (N,) int64 on the CPU; sums to U. Units never attend across populations.
            Or what was made of it, on the device of the tokens.
        units_at_once : layers in which units don't meet take so many units at a time, which changes
            nothing but the memory needed (for evaluation: with dropout it draws differently). None:
            all of them. On a CPU never more than `CPU_PIECE` says. Attention over a population sees
            all of it, through fused kernels whose memory grows with the units, not with their
            square.

        Returns
        -------
        (U, D) one vector a unit, in the order of `tokens`.
        """
        expected = (self.config.tokens_per_window, self.config.samples_per_token)
        if tokens.ndim != 3 or tuple(tokens.shape[1:]) != expected:
            raise ValueError(
                f"tokens have shape {tuple(tokens.shape)}; this encoder reads (units, "
                f"{expected[0]} tokens, {expected[1]} samples). Cut the windows with nl.views."
            )
        populations = (
            population_sizes
            if isinstance(population_sizes, Populations)
            else Populations.of(population_sizes, tokens.device)
        )
        if len(populations.rows) != len(tokens):
            raise ValueError(
                f"population_sizes sum to {len(populations.rows)} but there are "
                f"{len(tokens)} units; give the number of units of each population, in order."
            )
        x = self.read_in(tokens)  # (U, L, D)
        for block in self.temporal:
            x = _in_pieces(block, x, units_at_once)
        for block in self.spatiotemporal:
            x = block(x, populations, units_at_once)
        return x.mean(dim=1)  # (U, D)
