# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · The transformer: ask yourself over time, ask the others at each moment
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/03_transformer.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/03_transformer.ipynb
#
# **You will learn** to work [attention](../docs/glossary.md#attention) out by hand, from three
# units and two tokens to the real encoder; why NuCLR needs two, over time and over units; and to
# prove, by running it, that the order of units doesn't matter and that populations don't hear each
# other.
#
# **Needs** nothing but this repository. The animals are simulated and the encoder is untrained:
# what is proved holds for any activity and any weights. **Takes** about 20 seconds on a laptop (2
# cores); no GPU needed.
#
# A [window](../docs/glossary.md#window) holds $U$ units, each with $L$
# [tokens](../docs/glossary.md#token) of $P$ samples. For each unit we want one vector of $D$
# numbers. Four promises should hold:
#
# 1. Any number of units: today's recording has 43, tomorrow's 600.
# 2. No order among units: shuffle the rows, and the vectors are shuffled with them.
# 3. Populations are private: several are computed together, but none notices the others.
# 4. Time has an order, but no zero: before and after differ, but what the clock showed when the
#    window began doesn't matter.
#
# **Predict**: an ordinary network has one input line for each unit. Which of the four does it
# break? (Section 8 answers.)

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
# "smoke": seconds, to see that it runs; "laptop": more trials of each proof; "full": many
profile = "laptop"
start_s = 20.0  # s, where the window of simulated activity begins
seed = 0  # of the simulation, the weights and the random trials

# %%
import nuclr_lite as nl

# %% [markdown] tags=["slide"]
# This notebook builds the encoder, the three parts in colour, and proves that it keeps the four
# promises.

# %% tags=["slide"]
nl.plots.method(["time", "population", "vectors"])

# %%
import math
from dataclasses import replace

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from nuclr_lite import interpretation
from nuclr_lite.model import FeedForward, Populations, SpatialAttention, TemporalAttention
from nuclr_lite.sources.simulated import SPIKES

# %% [markdown]
# ## 1 · What goes in
#
# One window of two simulated animals. Their units are [packed](../docs/glossary.md#packing) into
# one tensor, and `sizes` says how many belong to each population. The letters are those of
# `nuclr_lite/model.py`: $U$ units, $L$ tokens, $P$ samples in a token, $D$ width of the model, $N$
# populations, $W$ units of the widest one; from section 2 on, $H$ heads, $C$ width of a head.

# %%
duration_s = {"smoke": 40.0, "laptop": 120.0, "full": 120.0}[profile]
n_trials = {"smoke": 2, "laptop": 50, "full": 500}[profile]
recordings = nl.simulate_recordings(2, seed=seed, config=replace(SPIKES, duration_s=duration_s))
config = nl.ModelConfig(
    dim=32, heads=2, head_dim=16, temporal_layers=1, spatiotemporal_layers=2, dropout=0.0
)
# (tokens, rows) of each
windows = [nl.Windows(recording, config).samples(start_s) for recording in recordings]
tokens = torch.cat([torch.from_numpy(cut) for cut, _ in windows])  # (U, L, P)
sizes = torch.tensor([len(cut) for cut, _ in windows])  # (N,)
print("tokens (U, L, P):", tuple(tokens.shape), "  units of each population:", sizes.tolist())


# %%
def made(kind, config, seed):
    """A module with its weights drawn from `seed`; torch's own generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config).eval()


encoder = made(nl.NuCLR, config, seed)  # the module: what we want to rebuild
generator = torch.Generator().manual_seed(seed)  # for the random trials below
encoder(tokens, sizes).shape  # (U, D)

# %% [markdown]
# ### Read-in
#
# A token $x$ is $P = 50$ spike counts. A linear layer, $x M^\top + b$, makes $D = 32$ numbers of
# it. Its weights $M$ and bias $b$ are the same for all units and tokens, so nothing in them can
# belong to "unit 7". Each row of $M$ is 50 weights, one second; its dot product with the token,
# plus a bias, is one of the $D$ numbers. From here on, `x` is what comes out.

# %%
weight, bias = encoder.read_in.weight, encoder.read_in.bias  # (D, P), (D,)
x = tokens @ weight.T + bias  # (U, L, P) @ (P, D) -> (U, L, D)
assert_close(x, encoder.read_in(tokens))
x = x.detach()  # kept for the sections below
tuple(x.shape)

# %% [markdown] tags=["slide"]
# ## 2 · Attention, from nothing
#
# Each member of a group has a **query**, what it looks for; a **key**, what it can be found by; a
# **value**, what it has to give. A member compares its query with all keys; what it reads is a mean
# of the values, weighted by the comparisons.
#
# $$ s_{ij} = \frac{q_i \cdot k_j}{\sqrt{C}},
# \qquad \mathrm{weight}_{ij} = \frac{e^{s_{ij}}}{\sum_m e^{s_{im}}},
# \qquad \mathrm{read}_i = \sum_j \mathrm{weight}_{ij}\, v_j $$
#
# Member $i$ asks, member $j$ is asked. Query $q_i$, key $k_j$ and value $v_j$ are vectors of $C$
# numbers; $s_{ij}$ is a **score**. The formula for the weights is the **softmax**: positive, with a
# sum of 1. Below, $S$ is the number of members.


# %%
def softmax(scores):
    """Positive, and 1 in sum over the last dimension."""
    # the largest becomes e^0: nothing overflows
    powers = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


def attention_weights(q, k):
    """Who takes how much from whom. q, k (..., S, C) -> (..., S, S): row, who asks; column, who is
    asked.
    """
    return softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]))


def attend(q, k, v):
    """The values, in the shares that queries and keys agree on. q, k, v (..., S, C) -> (..., S,
    C).
    """
    return attention_weights(q, k) @ v


# %% [markdown]
# **By hand.** Three units A, B, C, two tokens, vectors of $C = 4$ numbers. A token is either busy,
# $(1, 1, 0, 0)$, or quiet, $(0, 0, 1, 1)$. For now queries, keys and values are the tokens
# themselves. The score of two equal tokens is then $(1 + 1)/\sqrt 4 = 1$, that of two different
# ones $0$.

# %%
BUSY = [1.0, 1.0, 0.0, 0.0]
QUIET = [0.0, 0.0, 1.0, 1.0]
UNITS = ["A", "B", "C"]
# A, B and C, at tokens 0 and 1: (3 units, 2 tokens, 4)
TINY = torch.tensor([[BUSY, BUSY], [BUSY, QUIET], [QUIET, BUSY]])
at_0 = TINY[:, 0]  # (3, 4): all units at token 0
print(pd.DataFrame(at_0 @ at_0.T / 2, UNITS, UNITS), "scores at token 0\n", sep="   <- ")
print(
    pd.DataFrame(attention_weights(at_0, at_0), UNITS, UNITS).round(3),
    "weights at token 0",
    sep="   <- ",
)

# %% [markdown]
# Check the first row, with $e^1 = 2.7183$ and $e^0 = 1$. The sum for A is $2.7183 + 2.7183 + 1 =
# 6.4366$. So A takes $2.7183 / 6.4366 = 0.4223$ from itself, as much from B, and $1 / 6.4366 =
# 0.1554$ from unit C. What A reads is $0.8446$ of busy and $0.1554$ of quiet:

# %%
read = attend(at_0, at_0, at_0)  # (3, 4)
print(pd.DataFrame(read, UNITS).round(3))
assert_close(read[0], 0.8446 * torch.tensor(BUSY) + 0.1554 * torch.tensor(QUIET), atol=1e-4, rtol=0)
q, k, v = torch.randn(3, 5, 7, 16, generator=generator)  # three of (5 groups, 7 members, 16)
assert_close(softmax(q), torch.softmax(q, dim=-1))
assert_close(attend(q, k, v), F.scaled_dot_product_attention(q, k, v))  # the same as torch's own

# %% [markdown] tags=["slide"]
# ### One transposition
#
# In a tensor (units, tokens, C), `attend` works along the tokens: each unit asks itself, over time
# ([temporal attention](../docs/glossary.md#temporal-attention)). Swap units and tokens, and the
# very same function lets the units of one moment ask each other ([spatial
# attention](../docs/glossary.md#spatial-attention)). NuCLR uses both, in turn. This is the central
# idea of its encoder.

# %% tags=["slide"]
over_time = attention_weights(TINY, TINY)  # (3 units, 2 tokens, 2 tokens)
swapped = TINY.transpose(0, 1)  # (2 tokens, 3 units, 4)
over_units = attention_weights(swapped, swapped)  # (2 tokens, 3 units, 3 units)
print(pd.DataFrame(over_time[1], ["B at token 0", "B at token 1"], ["token 0", "token 1"]).round(3))
assert_close(over_time[1, 0], torch.tensor([math.e, 1.0]) / (math.e + 1))  # 0.731 and 0.269
words = [["busy" if cell[0] else "quiet" for cell in unit] for unit in TINY.tolist()]
nl.plots.attention_groups(over_time, over_units, UNITS, words)

# %% [markdown]
# Each frame is a group, with its weights beside it. No frame holds both B at token 0 and C at token
# 1; how one can still hear of the other is the question of section 8.
#
# ### Why divide by $\sqrt{C}$?
#
# A score is a sum of $C$ products; the spread of a sum of independent random numbers with mean 0
# grows as $\sqrt C$. Without the division, long vectors have huge scores, and the softmax gives
# nearly everything to one member: a poor start for learning. With random queries and keys:

# %%
rows = []
for C in (4, 64, 1024):
    q, k = torch.randn(2, 200, 10, C, generator=generator)  # 200 groups of 10 members
    raw = q @ k.transpose(-1, -2)  # (200, 10, 10)
    rows.append(
        {
            "C": C,
            "spread of scores": raw.std().item(),
            "divided": (raw / math.sqrt(C)).std().item(),
            "largest of 10 weights": softmax(raw).amax(-1).mean().item(),
            "the same, divided": softmax(raw / math.sqrt(C)).amax(-1).mean().item(),
        }
    )
spread = pd.DataFrame(rows).set_index("C")
assert ((spread["divided"] - 1).abs() < 0.1).all() and spread.loc[
    1024, "largest of 10 weights"
] > 0.9
spread.round(2)

# %% [markdown]
# ### Learned questions, several at once
#
# In the encoder, query, key and value are three learned linear maps of the same vector. One set of
# weights can look in one way only, so there are $H$ **heads**, each with its own queries, keys and
# values of $C$ numbers. One linear layer makes all of them, $D \to 3HC$ numbers. Each head attends
# by itself, and what they read is put side by side again.


# %%
def split_heads(qkv, heads):
    """Queries, keys, values. (U, L, 3HC) -> (3, U, H, L, C), to be unpacked as q, k, v."""
    # (U, L, 3, H, C) -> (3, U, H, L, C)
    return qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)


def join_heads(read):
    """Heads side by side. (U, H, L, C) -> (U, L, HC)."""
    return read.transpose(1, 2).flatten(2)  # (U, L, H, C) -> (U, L, HC)


qkv = torch.randn(5, 10, 3 * 32, generator=generator)  # (U, L, 3HC)
q, k, v = split_heads(qkv, heads=2)  # each (U, H, L, C)
# nothing lost, nothing moved
assert_close(torch.cat([join_heads(part) for part in (q, k, v)], dim=-1), qkv)
print(tuple(qkv.shape), "-> three of", tuple(q.shape))

# %% [markdown]
# ## 3 · Norm and residual: how layers are stacked
#
# Each layer $f$ adds to what came in, $x + f(\mathrm{norm}(x))$: a **residual** connection. The
# **norm** (LayerNorm) is what a layer reads: each vector by itself, minus its mean, over its
# standard deviation, then a learned weight and bias for each dimension. By hand: $(1, 2, 3, 6)$ has
# mean 3 and variance $(4 + 1 + 0 + 9)/4 = 3.5$.


# %%
def layer_norm(x, weight, bias, eps=1e-5):
    """Each vector (last dimension) to mean 0 and variance 1, then scaled and shifted.

    `eps` saves vectors that are constant.
    """
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + eps).sqrt() * weight + bias


print(
    layer_norm(torch.tensor([1.0, 2.0, 3.0, 6.0]), weight=1, bias=0),
    " = (-2, -1, 0, 3) / sqrt(3.5)",
)
norm = encoder.temporal[0].attention.norm
assert_close(layer_norm(x, norm.weight, norm.bias), norm(x))
# ten times as long, the same questions (eps aside)
assert_close(norm(10 * x), norm(x), atol=0.01, rtol=0)

# %% [markdown]
# ## 4 · Rotary position: a clock for time
#
# Attention has no notion of order. Shuffle the tokens of a unit, and each token still reads what it
# read before, only in another place:

# %%
order = torch.randperm(10, generator=generator)
q, k, v = torch.randn(3, 10, 16, generator=generator)  # one unit, one head: each (L, C)
assert_close(attend(q[order], k[order], v[order]), attend(q, k, v)[order])

# %% [markdown] tags=["slide"]
# That suits units (section 6), but not time: rising and falling activity would be the same. So each
# token gets a clock ([rotary position](../docs/glossary.md#rotary-position)). Take a pair of
# dimensions $(a, b)$ of its query (or key) as a hand on a clock face, and turn it by the angle
# $\omega t$, where $t$ is the token's index and $\omega$ the hand's speed:
#
# $$ (a, b) \;\to\; (a \cos \omega t - b \sin \omega t,\;\; a \sin \omega t + b \cos \omega t) $$
#
# By hand: $(1, 0)$, a hand at 3 o'clock, turned by a quarter (anticlockwise) is $(0, 1)$, and $(0,
# 1)$ becomes $(-1, 0)$.


# %%
def turned(x, angle):
    """Turn each pair of dimensions. x (..., C), angle (..., C/2) rad -> (..., C), pairs staying
    where they were.
    """
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)  # (..., C/2, 2) -> two of (..., C/2)
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    # (..., C)
    return torch.stack([a * cosine - b * sine, a * sine + b * cosine], dim=-1).flatten(-2)


quarter = torch.full((1,), math.pi / 2, dtype=torch.float64)
print(turned(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), quarter).round(decimals=3).tolist())
assert_close(turned(turned(q, quarter), -quarter), q)  # turned back, nothing has happened
assert_close(turned(q, quarter).norm(dim=-1), q.norm(dim=-1))  # turning leaves lengths alone


# %% [markdown]
# Each pair has its own period $2\pi/\omega$, from 1 to $8L = 80$ tokens, each the same factor
# longer than the one before. In NuCLR only the first half of the pairs turns.


# %%
def rotary_periods(head_dim, tokens, rotary_fraction):
    """Tokens a full turn, a pair each: (C/2,) float64. Infinite: a pair that stands still."""
    turning = round(head_dim * rotary_fraction / 2)
    moving = torch.logspace(0, math.log10(8 * tokens), turning, dtype=torch.float64)
    return torch.cat(
        [moving, torch.full((head_dim // 2 - turning,), math.inf, dtype=torch.float64)]
    )


def rotary_angles(tokens, periods, clock=0):
    """(L, C/2) rad: where each hand stands at each token, if the first token is number `clock`."""
    t = clock + torch.arange(tokens, dtype=torch.float64)  # (L,)
    return 2 * math.pi * t[:, None] / periods  # (L, 1) / (C/2,) -> (L, C/2)


periods = rotary_periods(config.head_dim, config.tokens_per_window, config.rotary_fraction)
angle = rotary_angles(config.tokens_per_window, periods)
assert_close(turned(x[..., :16], angle), encoder.temporal[0].attention.rotary(x[..., :16]))
print("periods, tokens:", [round(period, 1) for period in periods.tolist()])

# %% [markdown] tags=["slide"]
# (A period of 1 token is a full turn from token to token: the first hand does nothing. The official
# code has it too.)
#
# ### Only differences of time matter
#
# Two hands that pointed the same way, turned by $\omega t$ and $\omega s$, stand at an angle of
# $\omega (t - s)$ to each other. The score of $q_t$ and $k_s$ is a sum over such pairs, so only the
# difference of their times enters. In the figure, three hands; each mark is one of the $10 \times
# 10$ pairs of tokens, and those of a hand fall onto one curve. The cell after it puts the clock
# forward by 1, 17 and 1000 tokens: no weight changes.

# %% tags=["slide"]
hand = torch.tensor([1.0, 0.0]).expand(10, 3, 2)  # (L, pairs, 2): three hands at 3 o'clock
hands = turned(hand.flatten(1), rotary_angles(10, periods[1:4]))  # (L, pairs * 2)
hands = hands.unflatten(-1, (3, 2)).transpose(0, 1)  # (pairs, L, 2)
nl.plots.rotary_hands(
    hands, periods[1:4], title="the position of a token is an angle; only differences count"
)

# %%
q, k, v = torch.randn(3, 10, 16, generator=generator)  # one unit, one head: each (L, C)
for clock in (1, 17, 1000):
    later = rotary_angles(10, periods, clock)
    assert_close(
        attention_weights(turned(q, later), turned(k, later)),
        attention_weights(turned(q, angle), turned(k, angle)),
    )


# %% [markdown]
# ### The values turn, too
#
# So far the clock decides whom a token asks. Should it also show in what it gets? A burst one token
# ago and a burst eight tokens ago are not the same news, so NuCLR turns the values as well. That
# alone would break promise 4. Therefore the result is turned back by the angle of the token that
# asks. If token $t$ asks token $s$, what remains is $v_s$ turned by $\omega (s - t)$: the
# difference again.


# %%
def rotary_read(q, k, v, angle, turn_values=True, turn_back=True):
    """Attention over tokens that knows the time. q, k, v (..., L, C), angle (L, C/2) rad -> (...,
    L, C).
    """
    v = turned(v, angle) if turn_values else v
    read = attend(turned(q, angle), turned(k, angle), v)
    return turned(read, -angle) if turn_back else read


# %% [markdown]
# Does the result change if the clock starts at 17? And, with no preference for any token (queries
# and keys 0, each weight 1/10), does it change if the same values come at other times?

# %%
ways = {
    "queries and keys only": dict(turn_values=False, turn_back=False),
    "values too, not turned back": dict(turn_back=False),
    "values too, turned back (NuCLR)": dict(),
}
later = rotary_angles(10, periods, clock=17)
none, moved_v = torch.zeros(10, 16), v.roll(3, dims=0)  # no preference; values 3 tokens later
rows = {}
for way, turns in ways.items():
    clock = rotary_read(q, k, v, later, **turns) - rotary_read(q, k, v, angle, **turns)
    times = rotary_read(none, none, moved_v, angle, **turns) - rotary_read(
        none, none, v, angle, **turns
    )
    rows[way] = {
        "change if the clock starts at 17": clock.abs().max().item(),
        "change if values come at other times": times.abs().max().item(),
    }
turning = pd.DataFrame(rows).T
turning.round(6)

# %% [markdown]
# The first column should be 0: that is promise 4. The second should not: only turned values can
# tell when something was. Only the last row has both.

# %%
assert turning.iloc[0, 0] < 1e-5 and turning.iloc[0, 1] < 1e-5  # blind to when the values came
assert turning.iloc[1, 0] > 0.1 and turning.iloc[1, 1] > 0.1  # sees the clock: what would break
assert turning.iloc[2, 0] < 1e-5 and turning.iloc[2, 1] > 0.1  # what we want


# %% [markdown]
# ## 5 · Ask yourself over time
#
# Everything for the first attention is there. The proof is the same for each part from here on:
# give ours the module's weights, and compare what comes out.


# %%
class Asking(nn.Module):
    """What both attentions share: a norm, one layer to queries, keys and values, one back."""

    def __init__(self, config):
        super().__init__()
        self.heads, inner = config.heads, config.heads * config.head_dim
        self.norm = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * inner)
        self.out = nn.Linear(inner, config.dim)


class AskYourself(Asking):
    """Every unit attends over its own L tokens. (U, L, D) -> (U, L, D)."""

    def __init__(self, config):
        super().__init__(config)
        self.periods = rotary_periods(
            config.head_dim, config.tokens_per_window, config.rotary_fraction
        )

    def forward(self, x, clock=0):
        q, k, v = split_heads(self.qkv(self.norm(x)), self.heads)  # each (U, H, L, C)
        angle = rotary_angles(x.shape[1], self.periods, clock).to(x.device)
        return self.out(join_heads(rotary_read(q, k, v, angle)))  # (U, L, HC) -> (U, L, D)


# %%
temporal = made(TemporalAttention, config, seed)
mine = made(AskYourself, config, seed + 1)  # other weights, until the module's are loaded
mine.load_state_dict(temporal.state_dict())
with torch.no_grad():
    assert_close(mine(x), temporal(x))  # the same as the module
    assert_close(mine(x, clock=17), mine(x))  # promise 4: time has no zero
    backwards = mine(x.flip(1)).flip(1)
    assert (backwards - mine(x)).abs().max() > 0.01  # ... but it has an order
    changed = x.clone()
    changed[3] = -changed[3]  # another unit altogether
    assert (mine(changed)[3] - mine(x)[3]).abs().max() > 0.01  # it does notice
    others = torch.arange(len(x)) != 3
    # nobody else notices: not a single bit
    assert torch.equal(mine(changed)[others], mine(x)[others])

# %% [markdown]
# Each unit is alone with its own past and future, to the last bit. With this attention only, NuCLR
# would be a network on single units: the [ablation](../docs/glossary.md#ablation) without
# spatial attention (`07_zero_shot`).
#
# ## 6 · Ask the others at each moment
#
# Now the transposition: one population and one token at a time, units attend over units. Nothing
# tells one row from another but what it holds. First, a loop over populations:


# %%
class AskTheOthers(Asking):
    """Every unit attends over the units of its own population, at each token. (U, L, D) -> (U, L,
    D).
    """

    def forward(self, x, sizes):
        qkv = split_heads(self.qkv(self.norm(x)), self.heads).transpose(1, 3)  # (3, L, H, U, C)
        # each (L, H, its units, C)
        read = [attend(q, k, v) for q, k, v in qkv.split(sizes.tolist(), dim=3)]
        read = torch.cat(read, dim=2).transpose(0, 2)  # (L, H, U, C) -> (U, H, L, C)
        return self.out(join_heads(read))  # (U, L, HC) -> (U, L, D)


# %%
spatial = made(SpatialAttention, config, seed)
mine = made(AskTheOthers, config, seed + 1)
mine.load_state_dict(spatial.state_dict())
with torch.no_grad():
    assert_close(mine(x, sizes), spatial(x, Populations.of(sizes)))
    for _ in range(n_trials):  # populations of any size
        some = torch.randint(1, 9, (4,), generator=generator)  # (N,)
        y = torch.randn(int(some.sum()), 10, config.dim, generator=generator)  # (U, L, D)
        assert_close(mine(y, some), spatial(y, Populations.of(some)))

# %% [markdown] tags=["slide"]
# ### The order of units: a proof
#
# At one moment, let $x$ hold a row for each unit, and let the matrix $\Pi$ shuffle rows. Queries,
# keys and values are made row by row, so they are shuffled alike. The weights $A$ become $\Pi A
# \Pi^\top$: rows and columns both shuffled. The values $V$ become $\Pi V$. So what is read is $\Pi
# A \Pi^\top \Pi V = \Pi A V$, since $\Pi^\top$ undoes $\Pi$. For the layer $f$ that means $f(\Pi x)
# = \Pi f(x)$: [permutation equivariance](../docs/glossary.md#permutation-equivariance). Seven
# units, shuffled:

# %% tags=["slide"]
seven = torch.tensor([7])
shuffle = torch.tensor([4, 0, 6, 2, 1, 5, 3])
with torch.no_grad():
    out, shuffled_out = mine(x[:7], seven), mine(x[:7][shuffle], seven)  # each (7, L, D)
assert_close(shuffled_out, out[shuffle])  # f(shuffled) = f, shuffled
# what differs between units
away, shuffled_away = out - out.mean(dim=0), shuffled_out - shuffled_out.mean(dim=0)
title = (
    "shuffled in, shuffled out: spatial attention at one token (simulated; out: minus the mean over"
    " units)"
)
nl.plots.rows_permuted(
    x[:7, 0], x[:7, 0][shuffle], away[:, 0], shuffled_away[:, 0], shuffle, title=title
)

# %% [markdown] tags=["slide"]
# Left, what goes in, in order and shuffled; right, what comes out of each. A line on the right has
# the same row at both ends, although each unit has asked all the others.
#
# ### Populations side by side
#
# The loop is slow with many populations. The module does them all at once: side by side in a tensor
# as wide as the widest population, zeros where a population has no further unit, and a mask.

# %% tags=["slide"]
nl.plots.packed_populations(["padded", "asked"])

# %% [markdown]
# A masked score counts as $-\infty$, and $e^{-\infty} = 0$.


# %%
def padded_read(q, k, v, sizes, masked=True):
    """Spatial attention for all populations at once. q, k, v (U, H, L, C), sizes (N,) -> (U, H, L,
    C).
    """
    there = torch.arange(int(sizes.max())) < sizes[:, None]  # (N, W): is there such a unit?

    def pad(packed):
        padded = packed.new_zeros(*there.shape, *packed.shape[1:])  # (N, W, H, L, C)
        padded[there] = packed
        return padded.transpose(1, 3)  # (N, L, H, W, C)

    mask = there[:, None, None, None] if masked else None  # (N, 1, 1, 1, W): whom one may ask
    read = F.scaled_dot_product_attention(pad(q), pad(k), pad(v), attn_mask=mask)  # (N, L, H, W, C)
    return read.transpose(1, 3)[there]  # (N, W, H, L, C) -> (U, H, L, C)


# %%
with torch.no_grad():
    q, k, v = split_heads(mine.qkv(mine.norm(x)), config.heads)  # each (U, H, L, C)
    assert_close(mine.out(join_heads(padded_read(q, k, v, sizes))), mine(x, sizes))
    wrong = mine.out(join_heads(padded_read(q, k, v, sizes, masked=False)))
error = (wrong - mine(x, sizes)).abs().amax(dim=(1, 2)).split(sizes.tolist())  # (U,), by population
print(
    "largest error without the mask:",
    {f"{len(part)} units": round(part.max().item(), 4) for part in error},
)
assert error[0].max() < 1e-5 < 1e-3 < error[1].max()

# %% [markdown]
# Without the mask, the padding takes part: a row of zeros has a score of 0, and $e^0 = 1$. The
# widest population is right, the other one wrong, and no error message says so. Hence the test:
# does one population notice when all numbers of the other become `nan`, which spoils every sum?

# %%
terrible = x.clone()
terrible[sizes[0] :] = torch.nan  # the whole second population
with torch.no_grad():
    for attention, who in ((mine, sizes), (spatial, Populations.of(sizes))):
        before, after = attention(x, who)[: sizes[0]], attention(terrible, who)[: sizes[0]]
        assert torch.equal(before, after)  # promise 3: not a single bit


# %% [markdown]
# ## 7 · Think it over: the feed-forward layer
#
# The feed-forward layer makes new features of what attention mixed. It looks at one token of one
# unit at a time, so it can break no promise. A linear layer widens the $D$ numbers to $8D$. Half of
# these are values; the other half, the gates, decide how much of each value passes (GEGLU). A
# second linear layer leads from $4D$ back to $D$.
#
# $$ \mathrm{value} \cdot \mathrm{GELU}(\mathrm{gate}),
# \qquad \mathrm{GELU}(g) = g \, \Phi(g)
# = \frac{g}{2}\left(1 + \mathrm{erf}\frac{g}{\sqrt 2}\right) $$
#
# $\Phi(g)$ is the share of a standard normal distribution that lies below $g$. By hand, for a value
# of 3: a gate of 1 gives $3 \cdot 1 \cdot 0.841 = 2.52$.


# %%
def gelu(gate):
    """Nearly 0 below 0, nearly the gate itself above, smooth between."""
    return gate / 2 * (1 + torch.erf(gate / math.sqrt(2)))


class ThinkItOver(nn.Module):
    """GEGLU, each token of each unit alone. (..., D) -> (..., D)."""

    def __init__(self, config):
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.widen = nn.Linear(config.dim, 8 * config.dim)
        self.narrow = nn.Linear(4 * config.dim, config.dim)

    def forward(self, x):
        value, gate = self.widen(self.norm(x)).chunk(2, dim=-1)  # (..., 8D) -> two of (..., 4D)
        return self.narrow(value * gelu(gate))  # (..., 4D) -> (..., D)


# %%
gates = torch.tensor([-5.0, -1.0, 0.0, 1.0, 5.0])
print(
    pd.Series(3 * gelu(gates.double()), gates.tolist()).round(2).add(0.0).to_dict(),
    "of a value of 3, by gate",
)
feed_forward = made(FeedForward, config, seed)
mine = made(ThinkItOver, config, seed + 1)
mine.load_state_dict(feed_forward.state_dict())
assert_close(mine(x), feed_forward(x))
assert_close(gelu(gates), F.gelu(gates))


# %% [markdown] tags=["slide"]
# ## 8 · A block, and the whole encoder
#
# A block is an attention and a feed-forward layer. The encoder: read-in; temporal blocks, so that a
# unit knows its own activity over time before it asks anybody; spatiotemporal blocks, each first
# asking the others and then looking back over time; the mean over tokens. (Dropout, used in
# training, is left out; it has no parameters.)


# %% tags=["slide-code"]
class Block(nn.Module):
    """Ask (yourself or the others), then think it over. (U, L, D) -> (U, L, D)."""

    def __init__(self, config, attention):
        super().__init__()
        self.attention = attention(config)
        self.feed_forward = ThinkItOver(config)

    def forward(self, x, *sizes):
        x = x + self.attention(x, *sizes)
        return x + self.feed_forward(x)


# %%
class Encoder(nn.Module):
    """(U, L, P) and (N,) -> (U, D). The names are those of nl.NuCLR, so that its weights fit."""

    def __init__(self, config):
        super().__init__()
        self.read_in = nn.Linear(config.samples_per_token, config.dim)
        self.temporal = nn.ModuleList(
            Block(config, AskYourself) for _ in range(config.temporal_layers)
        )
        self.spatiotemporal = nn.ModuleList(
            nn.ModuleDict(
                {"spatial": Block(config, AskTheOthers), "temporal": Block(config, AskYourself)}
            )
            for _ in range(config.spatiotemporal_layers)
        )

    def forward(self, tokens, sizes):
        x = self.read_in(tokens)  # (U, L, P) -> (U, L, D)
        for block in self.temporal:
            x = block(x)
        for pair in self.spatiotemporal:
            x = pair["temporal"](pair["spatial"](x, sizes))
        return x.mean(dim=1)  # (U, L, D) -> (U, D)


# %% [markdown]
# **The proof of the whole.** `load_state_dict` is strict: every weight of the module must find its
# place. Vectors must agree, and so must all gradients, since training runs on those.

# %%
mine = made(Encoder, config, seed + 1)
print(mine.load_state_dict(encoder.state_dict()))
# some scalar to differentiate: vectors * goal
goal = torch.randn(len(tokens), config.dim, generator=generator)
for model in (mine, encoder):
    (model(tokens, sizes) * goal).sum().backward()
vectors = encoder(tokens, sizes).detach()  # (U, D)
assert_close(mine(tokens, sizes), vectors)
gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
for name, parameter in mine.named_parameters():
    assert_close(
        parameter.grad, gradients[name], rtol=1e-4, atol=1e-4 * gradients[name].abs().max().item()
    )
print(
    f"{len(gradients)} gradients agree, of {sum(g.numel() for g in gradients.values()):,}"
    " parameters"
)


# %% [markdown] tags=["slide"]
# ### What reaches a unit
#
# How can B at token 0 hear of C at token 1? In two steps. Which squares of a layer's input (a unit
# at a token) have any effect on one token of one unit that comes out? Those where the gradient is
# not exactly 0.


# %%
def reaches(layer, x, unit, token):
    """Which tokens of which units have an effect on one token of one unit? x (U, L, D) -> (U, L)
    bool.
    """
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x)[unit, token].square().sum(), x)  # (U, L, D)
    return (gradient != 0).any(dim=-1)  # (U, L)


# %% tags=["slide"]
# (9, L, D): two small populations
few, few_sizes = torch.cat([x[:5], x[-4:]]), torch.tensor([5, 4])
alone, pair = mine.temporal[0], mine.spatiotemporal[0]  # a temporal block; a spatiotemporal one
stages = {
    "think it over": alone.feed_forward,
    "ask yourself": alone,
    "ask the others": lambda x: pair["spatial"](x, few_sizes),
    "one, then the other": lambda x: pair["spatial"](alone(x), few_sizes),
}
reached = {name: reaches(layer, few, unit=1, token=4) for name, layer in stages.items()}
assert [int(cells.sum()) for cells in reached.values()] == [1, 10, 5, 50]
nl.plots.what_reaches(
    reached,
    few_sizes,
    unit=1,
    token=4,
    title="which cells have an effect on unit 1 at token 4? (simulated; from the gradients)",
)

# %% [markdown]
# One square; its row; its column, within the population; the whole population. The other population
# is never reached.
#
# ### The promises, kept by the whole
#
# Units are shuffled within each population, and each population is run by itself. Promise 4 was
# tested in section 5, for the only layer that knows about time. (A network with one input line for
# each unit breaks the first two.)

# %%
with torch.no_grad():
    for _ in range(n_trials):
        within = [torch.randperm(size, generator=generator) for size in sizes.tolist()]
        shuffle = torch.cat([within[0], within[1] + sizes[0]])  # (U,): each population by itself
        assert_close(encoder(tokens[shuffle], sizes), vectors[shuffle])  # 2: no order among units
    by_itself = [encoder(part, torch.tensor([len(part)])) for part in tokens.split(sizes.tolist())]
    assert_close(torch.cat(by_itself), vectors)  # 1, 3: any number; private
    across = encoder(tokens, torch.tensor([len(tokens)]))  # wrongly taken as one population
    print(
        "change if the two animals are taken for one population:",
        f"{(across - vectors).abs().max():.3f}",
    )
    assert (across - vectors).abs().max() > 0.001

# %% [markdown]
# Who asks whom, in this encoder, at one moment? (Untrained: see `12_what_it_learned` for a trained
# one.)

# %%
with torch.no_grad():
    first, own, ask = x[: sizes[0]], alone.attention, pair["spatial"].attention
    q, k, _ = split_heads(own.qkv(own.norm(first)), config.heads)  # each (U, H, L, C)
    # (U, L, L), head 0
    real_over_time = attention_weights(turned(q, angle), turned(k, angle))[:, 0]
    q, k, _ = split_heads(ask.qkv(ask.norm(alone(first))), config.heads)  # each (U, H, L, C)
    # (L, U, U), head 0
    real_over_units = attention_weights(q.transpose(0, 2), k.transpose(0, 2))[:, 0]
shown = 8  # units, of all
nl.plots.two_attentions(
    real_over_time[:shown],
    real_over_units[:, :shown, :shown],
    unit=2,
    token=4,
    title=f"a simulated window, untrained encoder, one head; {shown} of {len(first)} units",
)

# %% [markdown] tags=["slide"]
# The drawing at the top, filled with this window:

# %% tags=["slide"]
filled = {"time": real_over_time, "population": real_over_units, "vectors": vectors.detach()}
nl.plots.method(
    ["time", "population", "vectors"], filled, title="a simulated window, untrained encoder"
)

# %% [markdown] tags=["slide"]
# ## 9 · How many parameters, and what does it cost?
#
# The published size has $D = HC = 256$, two temporal and two spatiotemporal blocks.


# %%
def parameters(config):
    """Numbers to be learned, by part."""
    D, inner = config.dim, config.heads * config.head_dim
    blocks = config.temporal_layers + 2 * config.spatiotemporal_layers
    attention = 2 * D + (D + 1) * 3 * inner + (inner + 1) * D  # norm; queries, keys, values; back
    feed_forward = 2 * D + (D + 1) * 8 * D + (4 * D + 1) * D  # norm; widen; narrow
    return {
        "read-in": (config.samples_per_token + 1) * D,
        "attention": blocks * attention,
        "feed-forward": blocks * feed_forward,
    }


for name, size in (("this notebook", config), ("published", nl.ModelConfig())):
    counted = parameters(size)
    assert sum(counted.values()) == sum(p.numel() for p in made(nl.NuCLR, size, seed).parameters())
    print(
        f"{name:14s} {sum(counted.values()):>9,}  ", {part: f"{n:,}" for part, n in counted.items()}
    )
assert sum(parameters(nl.ModelConfig()).values()) == 6_330_624

# %% [markdown]
# Three quarters of the parameters lie in the feed-forward layers. Nothing in the count depends on
# the number of units or of tokens: one encoder serves all recordings.
#
# **Multiplications.** A linear layer costs its inputs times its outputs, for each token of each
# unit. Attention over time compares $L$ tokens with $L$ tokens for each unit: $U L^2 \cdot 2HC$
# (the 2: once for the scores, once for the reading). Attention over units compares $U$ with $U$ at
# each token: $L U^2 \cdot 2HC$.


# %%
def multiplications(config, units, tokens):
    """Of one population in one window, by part; norms, softmax and turning, which are small, left
    out.
    """
    D, inner, cells = config.dim, config.heads * config.head_dim, units * tokens
    over_units, over_time = (
        config.spatiotemporal_layers,
        config.temporal_layers + config.spatiotemporal_layers,
    )
    linear = cells * (
        config.samples_per_token * D + (over_units + over_time) * (4 * D * inner + 12 * D * D)
    )
    return {
        "linear layers": linear,
        "attention over time": over_time * cells * tokens * 2 * inner,
        "attention over units": over_units * cells * units * 2 * inner,
    }


# torch counts additions, too: hence the 2
with FlopCounterMode(display=False) as counter, torch.no_grad():
    mine(tokens[: sizes[0]], sizes[:1])
counted = multiplications(config, int(sizes[0]), config.tokens_per_window)
assert counter.get_total_flops() == 2 * sum(counted.values())
counted


# %% tags=["slide"]
def joint_multiplications(config, units, tokens):
    """Scores and reading, if every attention asked all units at all times at once."""
    attentions = config.temporal_layers + 2 * config.spatiotemporal_layers
    return attentions * (units * tokens) ** 2 * 2 * config.heads * config.head_dim


published, joint = nl.ModelConfig(), "all units and times at once (not used)"
by_units = pd.DataFrame(
    {
        U: multiplications(published, U, 10) | {joint: joint_multiplications(published, U, 10)}
        for U in (10, 30, 100, 300, 1000, 3000, 10_000)
    }
).T
by_tokens = pd.DataFrame(
    {
        L: multiplications(published, 300, L) | {joint: joint_multiplications(published, 300, L)}
        for L in (3, 10, 30, 100, 300, 1000)
    }
).T
nl.plots.multiplications(
    {"units (10 tokens)": by_units, "tokens (300 units)": by_tokens},
    title="one window through the published size",
)

# %% [markdown]
# With tens to hundreds of units and 10 tokens, nearly everything is linear layers. At $U = 8D =
# 2048$, each attention over units costs as much as the linear layers of its block. Asking everybody
# at all times at once (dashed) would cost $L$ times as much as asking the units, and $U$ times as
# much as asking oneself.

# %%
at_48 = multiplications(published, 48, 10)
share = at_48["attention over units"] / sum(at_48.values())
print(f"48 units: attention over units is {share:.1%} of the multiplications")
block = nl.ModelConfig(temporal_layers=0, spatiotemporal_layers=1)
own_linear = 2048 * 10 * 16 * 256 * 256  # one spatial block's: 4 D^2 and 12 D^2 a cell
assert multiplications(block, 2048, 10)["attention over units"] == own_linear

# %% [markdown]
# ## Exercises

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): what moves a vector?
#
# Take the vector of the first unit of the first population. Five changes, each by itself. For each
# write `"same"` (up to rounding) or `"changes"`:
#
# - **a** the other population is taken out of the tensor;
# - **b** the other units of its own population are shuffled;
# - **c** the tokens of all units are put in reverse order;
# - **d** a silent unit, all counts 0, joins its population;
# - **e** every unit of its population is entered twice.
#
# Write `prediction` as a dictionary, `{"a": ..., "b": ...}`, and for yourself a reason for each.
# The check runs all five on the window of this notebook, and says how many of your answers differ,
# not which.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
# d: a silent unit still has a key and a value, from the biases, and takes its share. (Views leave
# silent units out.) e: attention is a weighted mean. Twice everybody, half the weight each: it
# cannot count.
prediction = {"a": "same", "b": "same", "c": "changes", "d": "changes", "e": "same"}
### END SOLUTION

# %% tags=["check"]
assert isinstance(prediction, dict) and set(prediction) == set("abcde"), (
    "prediction: a dictionary with the keys a to e"
)
assert set(prediction.values()) <= {"same", "changes"}, 'each answer is "same" or "changes"'
own, n = tokens[: sizes[0]], int(sizes[0])
moved = {
    "a": (own, [n]),
    "b": (torch.cat([own[:1], own[1:].flip(0), tokens[n:]]), sizes.tolist()),
    "c": (tokens.flip(1), sizes.tolist()),
    "d": (torch.cat([own, 0 * own[:1], tokens[n:]]), [n + 1, len(tokens) - n]),
    "e": (torch.cat([own, own, tokens[n:]]), [2 * n, len(tokens) - n]),
}
with torch.no_grad():
    # each (D,)
    first = {name: encoder(changed, torch.tensor(now))[0] for name, (changed, now) in moved.items()}
change = {name: (vector - vectors[0]).abs().max().item() for name, vector in first.items()}
truth = {name: "changes" if value > 1e-4 else "same" for name, value in change.items()}
wrong = sum(prediction[name] != truth[name] for name in truth)
assert not wrong, (
    f"{wrong} of 5 differ from what the encoder does; think again of who takes part in which mean"
)
print("exercise 1: right;", {name: f"{value:.1e}" for name, value in change.items()})

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): a softmax with a mask
#
# Write what `padded_read` left to torch: a softmax in which only those who are there take part
# (`there` is true for them). Each row sums to 1, the absent have exactly 0, and what their scores
# are must not matter, be it 1000 or `nan`. (At least one member of each row is there.) You may use
# `softmax` from section 2.


# %% jupyter={"source_hidden": true} tags=["solution"]
def masked_softmax(scores, there):
    """Softmax over the last dimension among those who are there. scores (..., S, S), there (..., 1,
    S) bool -> (..., S, S).
    """
    ### BEGIN SOLUTION
    return softmax(scores.masked_fill(~there, -torch.inf))
    ### END SOLUTION


# %% tags=["check"]
scores = torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(1))  # (groups, S, S)
there = (torch.arange(6) < torch.tensor([6, 1, 4, 3])[:, None])[:, None]  # (groups, 1, S)
got = masked_softmax(scores, there)
assert got is not None and got.shape == scores.shape, (
    "it returns weights of the shape of the scores"
)
assert (got[~there.expand_as(got)] == 0).all(), (
    "the absent must get exactly 0 (a score of 0 is not a weight of 0)"
)
assert_close(
    got.sum(dim=-1),
    torch.ones(4, 6),
    msg="rows must sum to 1: those who are there share what the absent don't get",
)
assert_close(
    got[2, :, :4],
    torch.softmax(scores[2, :, :4], dim=-1),
    msg="as if the absent had never been there",
)
for junk in (1000.0, torch.nan):
    disturbed = masked_softmax(scores.masked_fill(~there, junk), there)
    assert_close(disturbed, got, msg=f"the absent's scores are {junk} now: nothing may change")
print("exercise 2: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (fill in): nothing but differences
#
# Section 4 turns everything forward by its own angle and the result back. Write the same attention
# without any absolute angle: token $i$ sees token $j$'s key and value turned by the difference of
# their angles, and nothing is turned back. For one unit and one head:
#
# $$ \mathrm{score}_{ij} = \frac{q_i \cdot R_{j-i} k_j}{\sqrt C},
# \qquad \mathrm{read}_i = \sum_j \mathrm{softmax}_j(\mathrm{score}_{ij})\, R_{j-i} v_j $$
#
# where $R_{j-i}$ turns by `angle[j] - angle[i]`. Use `turned` and `softmax`, but not `rotary_read`:
# that is what the check compares with. `turned` accepts leading dimensions, so no loop is needed; a
# loop is fine too.


# %% jupyter={"source_hidden": true} tags=["solution"]
def read_by_difference(q, k, v, angle):
    """Attention over the tokens of one unit in one head. q, k, v (L, C), angle (L, C/2) rad -> (L,
    C).
    """
    ### BEGIN SOLUTION
    difference = angle[None] - angle[:, None]  # (L, L, C/2): [i, j] is j's minus i's
    keys, values = turned(k[None], difference), turned(v[None], difference)  # each (L, L, C)
    weights = softmax((q[:, None] * keys).sum(dim=-1) / math.sqrt(q.shape[-1]))  # (L, L)
    return (weights[..., None] * values).sum(dim=1)  # (L, L, C) -> (L, C)
    ### END SOLUTION


# %% tags=["check"]
q, k, v = torch.randn(3, 10, 16, generator=torch.Generator().manual_seed(2))  # each (L, C)
got = read_by_difference(q, k, v, angle)
assert got is not None and got.shape == v.shape, "it returns what each token reads, (L, C)"
mirrored = rotary_read(q, k, v, -angle)
assert not torch.allclose(got, mirrored, atol=1e-4), (
    "future and past are swapped: mind the sign of the difference"
)
unturned = rotary_read(q, k, v, angle, turn_values=False, turn_back=False)
assert not torch.allclose(got, unturned, atol=1e-4), "the values must turn, too"
assert "rotary_read" not in read_by_difference.__code__.co_names, "write it without rotary_read"
assert_close(
    got,
    rotary_read(q, k, v, angle),
    msg=lambda text: (
        "not yet what rotary_read gives (are the keys turned, by the same difference as the values?"
        f" the scores divided by sqrt(C)? the softmax over j?): {text}"
    ),
)
assert_close(read_by_difference(q, k, v, rotary_angles(10, periods, clock=17)), got)
print("exercise 3: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 4 (extend): who attends to whom?
#
# `F.scaled_dot_product_attention` returns what is read, not the weights. Compute them: for one
# population, what weight does each unit give to each unit in the encoder's first spatial layer, at
# each token and in each head? The parts: `encoder.read_in`, the blocks of `encoder.temporal`, then
# `encoder.spatiotemporal[0].spatial.attention` with its `.norm`, `.qkv` and `.heads`; and
# `split_heads` and `attention_weights` from above. It is right if rows sum to 1 and it equals
# `interpretation.attention_weights`.
#
# Then look: does an encoder that has learned nothing prefer some cell types? Write down what you
# expect before you see the figure. In its colours, and in the table after it, 1 means an even
# share: the weight that each would get if all were asked alike.


# %% jupyter={"source_hidden": true} tags=["solution"]
def who_attends(encoder, tokens):
    """Weights in the first spatial layer, all units one population. tokens (U, L, P) -> (L, H, U,
    U): row, who asks.
    """
    ### BEGIN SOLUTION
    x = encoder.read_in(tokens)  # (U, L, D)
    for block in encoder.temporal:
        x = block(x)
    attention = encoder.spatiotemporal[0].spatial.attention
    q, k, _ = split_heads(attention.qkv(attention.norm(x)), attention.heads)  # each (U, H, L, C)
    return attention_weights(q.transpose(0, 2), k.transpose(0, 2))  # (L, H, U, C) -> (L, H, U, U)
    ### END SOLUTION


# %% tags=["check"]
caught = []
handle = encoder.spatiotemporal[0].spatial.attention.register_forward_hook(
    lambda module, inputs, output: caught.append(interpretation.attention_weights(module, *inputs))
)
with torch.no_grad():
    encoder(tokens[: sizes[0]], sizes[:1])
    handle.remove()
    given = who_attends(encoder, tokens[: sizes[0]])
expected = caught[0][0]  # (L, H, U, U)
assert given is not None and given.shape == expected.shape, (
    f"expected (tokens, heads, units, units): {tuple(expected.shape)}"
)
assert_close(
    given.sum(dim=-1),
    torch.ones(given.shape[:-1]),
    msg="what a unit gives must sum to 1 over the units that it asks",
)
assert_close(
    given,
    expected,
    msg=lambda text: (
        f"not yet the module's weights (swapped? a block or the norm left out?): {text}"
    ),
)
print("exercise 4: right")

# %% tags=["target"]
# (U,), of the units in the window
kinds = recordings[0].units["cell_type"].to_numpy()[windows[0][1]]
# each (U, U)
per_head = {f"head {head}": given[:, head].mean(dim=0) for head in range(config.heads)}
nl.plots.attention_matrices(
    per_head, kinds, title="who attends to whom in an untrained encoder (simulated window)"
)

# %%
by_type = interpretation.between_kinds(given.mean(dim=(0, 1)), kinds)  # 1: as much as to anybody
by_type.round(2)

# %% [markdown] tags=["slide"]
# Every type gets nearly the same share. Stripes belong to single units, not to types. A preference
# in a trained encoder should be compared with this figure.
#
# ## What you should have seen
#
# - By hand: weights of 0.422, 0.422 and 0.155 (± 0.001) for A at token 0.
# - The encoder built here and the module agree in vectors and gradients.
# - Turning values without turning back: the result depends on the clock, by more than 0.1. Turned
#   back: by less than 0.00001.
# - One square, then 10, 5 and 50 squares reached; none of the other population.
# - 86,272 parameters here, 6,330,624 in the published size; at 48 units, attention over units is
#   0.8 % (± 0.1) of its multiplications.
# - In the untrained encoder every type gets an even share (1), within 0.1 (here 0.97 to 1.04).

# %%
by_hand = attention_weights(TINY[:, 0], TINY[:, 0])[0]
assert_close(by_hand, torch.tensor([0.422, 0.422, 0.155]), atol=0.001, rtol=0)
assert (mine(tokens, sizes) - vectors).abs().max() < 1e-5
assert (
    turning["change if the clock starts at 17"].iloc[1]
    > 0.1
    > 1e-5
    > turning["change if the clock starts at 17"].iloc[2]
)
assert (sum(parameters(config).values()), sum(parameters(published).values())) == (
    86_272,
    6_330_624,
)
assert 0.007 < share < 0.009
assert by_type.stack().between(0.9, 1.1).all()
print("all as expected")

# %% [markdown]
# **Read** Arora et al. 2025 (arXiv 2512.01199), section 3. Attention: Vaswani et al. 2017 (arXiv
# 1706.03762), section 3. Rotary position: Su et al. 2021 (arXiv 2104.09864); values that turn, on
# spikes: Azabou et al. 2023 (POYO, arXiv 2310.16046). Functions of sets: Zaheer et al. 2017 (arXiv
# 1703.06114) and Lee et al. 2019 (arXiv 1810.00825). LayerNorm: Ba et al. 2016 (arXiv 1607.06450);
# its place: Xiong et al. 2020 (arXiv 2002.04745). Gated layers: Shazeer 2020 (arXiv 2002.05202).
#
# **Next:** `04_objective`: what the vectors are trained for.
