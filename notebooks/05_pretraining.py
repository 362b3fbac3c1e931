# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · Pretraining: from random weights to an encoder
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/05_pretraining.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/05_pretraining.ipynb
#
# **You will learn** to write the training loop, some twenty lines, that gives the same losses as
# `nl.pretrain`, step for step; to stop a training and go on with it to the same numbers, save it
# and load it; and to tell a training that goes well from one in trouble, by three curves, and what
# to do about it.
#
# **Needs** nothing but this repository; `02_views`, `03_transformer` and `04_objective` explain the
# parts that are put together here. **Takes** about 4 minutes on a laptop (2 cores); GPU: not timed
# yet.
#
# All parts are there: views, an encoder, a loss. The encoder's weights are random numbers. Training
# shows it a few pairs of views, asks the loss in which direction each weight should move to do a
# little better (the *gradient* says so), moves it a little, and does so thousands of times. Simple
# to say; most of this lesson is about how to see whether it works.

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
# "smoke": seconds, to see that it runs; "laptop": minutes; "full": longer trainings
profile = "laptop"
n_animals = 8  # simulated animals to train on (smoke: 2 at most)
training_steps = 0  # optimiser steps of the run in section 7; 0: the profile's
seed = 0  # of animals, weights, views and dropout

# %%
import math
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.testing import assert_close

import nuclr_lite as nl
from nuclr_lite.loss import match_units
from nuclr_lite.steps import learning_rate, orthogonal
from nuclr_lite.views import Batch

# %% [markdown]
# ## 1 · A batch
#
# A *preset* is the whole recipe: encoder, views, optimisation. We take `quick`, the small encoder
# for simulated animals, with the paper's views and optimiser: everything below is the same
# for the published size, only slower. (What `quick` does otherwise, to be quick, is section 12.)

# %%
steps = training_steps or {"smoke": 10, "laptop": 600, "full": 3200}[profile]
few = {"smoke": 4, "laptop": 60, "full": 60}[profile]  # steps of the loop by hand
recordings = nl.simulate_recordings(
    min(n_animals, 2) if profile == "smoke" else n_animals, seed=seed
)
paper = nl.PRESETS["paper-spikes"]
as_published = dict(
    max_distance_s=paper.views.max_distance_s,
    kept_share=paper.views.kept_share,
    optimizer=paper.train.optimizer,
)
preset = nl.PRESETS["quick"].with_(
    **as_published, steps=3200, seed=seed, batch_size=2 if profile == "smoke" else 4
)
torch.set_num_threads(1)  # as `nl.pretrain` does for so small an encoder: it loses nothing
preset.train

# %% [markdown]
# `PairedViews` tiles each recording with first views, draws a second view near each, shuffles all
# pairs and hands them out in batches. Once through all of them is an **epoch**; the next epoch
# tiles anew, from other offsets. So training counts *steps* (batches), not epochs: a step costs the
# same whatever the number of animals.

# %%
views = nl.PairedViews(recordings, preset.model, preset.views, preset.train.batch_size, seed)
batch = views[0]
print(f"{views.n_pairs} pairs, {len(views)} batches of {preset.train.batch_size} pairs in an epoch")
for name, value in batch._asdict().items():
    print(
        f"{name:9s} {tuple(value.shape)!s:15s}"
        f" {value.tolist() if value.ndim == 1 and len(value) < 9 else ''}"
    )

# %% [markdown]
# `tokens_1` is `(units of view 1, tokens, samples)`, the four populations one after the other;
# `sizes_1` says where each ends. Ids tell which units are the same in both views.
#
# ## 2 · Both views through the encoder, and the loss
#
# Populations never see each other, so both views can go through the encoder in one pass, as if they
# were eight populations: one large pass is quicker than two small ones.


# %%
def both_views(encoder, batch):
    """A vector for each unit of each view, on the CPU: (U1, D), (U2, D)."""
    tokens = torch.cat([batch.tokens_1, batch.tokens_2])  # (U1 + U2, L, P)
    sizes = torch.cat([batch.sizes_1, batch.sizes_2])  # (2 N,)
    return encoder(tokens, sizes).split([len(batch.tokens_1), len(batch.tokens_2)])


with torch.random.fork_rng():
    torch.manual_seed(seed)
    encoder, loss = nl.NuCLR(preset.model), nl.ContrastiveLoss(preset.model.dim)
first = loss(*both_views(encoder, batch), *batch[2:])
# one pass or two
assert_close(both_views(encoder, batch)[0], encoder(batch.tokens_1, batch.sizes_1))
print({name: round(value.item(), 3) for name, value in first._asdict().items()})

# %% [markdown]
# Is that a good loss or a bad one? It takes a landmark to tell, and `04_objective` has one: the
# loss of a **collapsed** encoder, which gives all $n$ units the same vector. Attraction is then 0,
# since a unit's two vectors agree. Repulsion is at its worst: each unit has $n-1$ perfect
# look-alikes in the other view, which count $e^{1/\tau}$ each, and $n-1$ in its own view, which
# count $e$ each (there the cosine isn't divided by τ: section 7 of `04_objective`).
#
# $$\text{loss}_\text{collapsed} = \log \frac{(n-1)\,(e^{1/\tau} + e)}{2n}$$
#
# For 3 units and τ = 0.2: $\log\big(2\,(148.41 + 2.72)/6\big) = 3.92$. For 36 units it is about
# 4.30. (Natural logarithms; their unit is the *nat*. The formula takes all units as matched. Where
# some are missing from one view, as here, it is nearly right.)


# %%
def collapsed_loss(n_units, temperature=0.2):
    """Of n units, all matched, whose vectors are all the same (nats)."""
    return math.log((n_units - 1) * (math.exp(1 / temperature) + math.e) / (2 * n_units))


same, ids, size = torch.ones(3, preset.model.dim), torch.arange(3), torch.tensor([3])
assert_close(
    loss(same, same, ids, ids, size, size).total.item(), collapsed_loss(3), rtol=1e-4, atol=1e-4
)
collapsed = collapsed_loss(torch.cat([batch.sizes_1, batch.sizes_2]).float().mean().item())
print(f"3 units {collapsed_loss(3):.3f}; as many as here on average {collapsed:.3f}")

# %% [markdown]
# The first loss lies just there. The sum alone proves nothing, so look at the parts. Repulsion is
# 4.07. Attraction, $(1 - \cos)/\tau$, is 0.20: a unit's two vectors have a cosine of 0.96 on
# average. Random weights blur, and behind the projector everybody has nearly the same vector. **So
# training starts next to collapse and must find its way out.** The other end would be 0: every unit
# found, all others at right angles. Nobody gets there, because units of one kind do look alike. A
# loss that *stays* at the landmark has not left, or has fallen back.

# %%
start = first.total.item()
print(f"at random weights {start:.2f}, collapsed {collapsed:.2f}")
assert abs(start - collapsed) < 0.25

# %% [markdown]
# ## 3 · AdamW: a step of its own size for each weight
#
# Plain gradient descent moves each weight $w$ against its gradient $g$, by $g$ times a learning
# rate $\eta$. In a transformer, gradients of different weights differ by orders of magnitude, and
# no single rate suits them all. Adam (Kingma and Ba 2015) divides each gradient by its own usual
# size. $m$ is a running mean of $g$ over some 10 steps, $v$ one of $g^2$ over some 1,000; their
# hats correct for a start at 0, and the tiny $\epsilon$ keeps the fraction finite. The **W**
# (Loshchilov and Hutter 2019) is weight decay: each step first shrinks the weight a little, and
# $\lambda$ says how much.
#
# $$w \leftarrow (1 - \eta\lambda)\,w - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}$$
#
# By hand, first step: $\hat m = g$ and $\hat v = g^2$, so that the fraction is the *sign* of the
# gradient. Take two weights, 1 and −2, with gradients 0.5 and −0.001, and η = 0.1, λ = 0.01. The
# first becomes 0.999 − 0.1 = 0.899, the second −1.998 + 0.1 = −1.898.
#
# In torch each weight carries its gradient with it, in `.grad`. `backward()`, called on a loss,
# works the gradients out and adds them there; `optimizer.step()` reads them, `zero_grad()` empties
# them. Here we write them in by hand.

# %%
weights = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
weights.grad = torch.tensor([0.5, -0.001])
torch.optim.AdamW([weights], lr=0.1, weight_decay=0.01).step()
by_hand = torch.tensor([1.0 * (1 - 0.1 * 0.01) - 0.1, -2.0 * (1 - 0.1 * 0.01) + 0.1])
assert_close(weights.detach(), by_hand, rtol=0, atol=1e-5)
print(weights.tolist(), "both moved by 0.1, and shrank by a thousandth")

# %% [markdown]
# **Decay is for matrices only.** It pulls weights towards 0, which for a matrix means "prefer the
# simpler map". For the gain of a LayerNorm, 0 means silence, and a bias has nothing to be
# simplified. What has two dimensions or more counts as a matrix; that is the whole rule. (The
# official code goes by name, and so also decays the gain of the projector's LayerNorm. The
# projector lives in `loss`: that is why `loss` has weights to train.)


# %%
def adamw(modules, train):
    """AdamW over all parameters of some modules; weight decay on matrices only."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": train.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    # fused: quicker, nothing else
    return torch.optim.AdamW(groups, lr=train.learning_rate, fused=True)


for group in adamw([encoder, loss], preset.train).param_groups:
    print(
        f"weight decay {group['weight_decay']}: {len(group['params'])} tensors, "
        f"{sum(parameter.numel() for parameter in group['params']):,} numbers"
    )

# %% [markdown]
# ## 4 · The learning rate rises, then falls
#
# In the first steps $\hat v$ knows only a few gradients, and Adam's steps are all of full size, in
# directions that a few pairs of views happened to suggest. So the rate starts small: a **warm-up**
# over $W$ steps. (A number; not the W of AdamW.) At the end one wants to settle, not to jump about:
# over the remaining steps the rate falls along half a cosine, towards 0. With steps
# $s = 0, 1, \dots, T-1$ and peak $\eta_\text{max}$:
#
# $$\eta(s) = \begin{cases} \eta_\text{max}\,\dfrac{s+1}{W} & s < W \\[2mm]
# \eta_\text{max}\,\dfrac{1 + \cos\left(\pi\,\frac{s - W}{T - W}\right)}{2} & s \ge W \end{cases}$$
#
# By hand, with $\eta_\text{max} = 1$, $W = 2$, $T = 6$: ½, 1, then $\frac{1 + \cos 0}{2} = 1$,
# $\frac{1 + \cos 45°}{2} = 0.854$, 0.5, 0.146.

# %%
six = preset.with_(steps=6, warmup_steps=2, learning_rate=1.0).train
by_hand = [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
assert_close([learning_rate(step, six, 2) for step in range(6)], by_hand, atol=1e-3, rtol=0)

rates = {
    "ours": [learning_rate(step, preset.train, 40) for step in range(preset.train.steps)],
    "paper-spikes": [learning_rate(step, paper.train, 1000) for step in range(paper.train.steps)],
}
nl.plots.schedule(rates, {"ours": 40, "paper-spikes": 1000})

# %% [markdown]
# The paper warms up over one epoch of its recordings; the 1,000 steps drawn here stand for that,
# the number depends on how much data there is. (`warmup_steps=None` means: one epoch.) You will
# write this function yourself in exercise 2.
#
# How strong is weight decay, then? A weight that never got a gradient would keep
# $\prod_s (1 - \eta(s)\lambda)$ of its size. What it would lose:

# %%
for name, train in (("ours", preset.train), ("paper-spikes", paper.train)):
    left = np.prod(1 - np.array(rates[name]) * train.weight_decay)
    print(f"{name}: {1 - left:.1%} over the whole training")
assert 0.1 < 1 - left < 0.13

# %% [markdown]
# ## 5 · Clipping: no batch may shout
#
# Now and then a batch has a far larger gradient than others: few units, an odd window. **Clipping**
# shortens a gradient to norm 1 where it is longer, and leaves its direction. By hand: (3, 4) has
# norm 5, so it becomes (0.6, 0.8).
#
# Adam divides by the usual size anyway, so what does clipping change? A gradient that is *always* a
# hundred times as large makes no difference to Adam. One that is so *once* does. $m$ has forgotten
# it after some tens of steps, but $v$ takes its square and remembers for a thousand. By hand, with
# $m = v = 1$ before: $v$ becomes $0.999 + 0.001 \cdot 100^2 \approx 11$. First the weight leaps;
# then, for hundreds of steps, it moves at about $1/\sqrt{11} = 0.3$ of its usual pace. (After one
# *ten* times as large: 0.95.)

# %%
parameter = torch.nn.Parameter(torch.zeros(2))
parameter.grad = torch.tensor([3.0, 4.0])
before = clip_grad_norm_([parameter], max_norm=1.0)
assert_close(parameter.grad, torch.tensor([0.6, 0.8]), atol=1e-5, rtol=0)
print(f"norm {before:.0f} before, {parameter.grad.norm():.0f} after")

# %% [markdown]
# The encoder and the projector are clipped **separately**, each by its own norm. Together they
# would have one norm, and whichever of the two had the larger gradient would decide how much the
# other may move: a part that is thrown away after training could hold the encoder back. We look at
# both norms as soon as the loop runs.
#
# ## 6 · The loop
#
# A few lines first: batches without end, epoch after epoch; and what one watches, in evaluation
# mode (no dropout), on the encoder's own vectors.


# %%
def batches(views, steps):
    """`steps` batches, epoch after epoch; those in which no pair had enough active units are passed
    over.
    """
    done = 0
    for epoch in count():
        views.set_epoch(epoch)
        for index in range(len(views)):
            if done == steps:
                return
            batch = views[index]
            if len(batch.sizes_1):
                done += 1
                yield batch


# %%
# the last two: norms of their gradients
COLUMNS = ("loss", "attraction", "repulsion", "encoder", "projector")


@torch.no_grad()
def watched(encoder, batch):
    """What the loss doesn't say: how often a unit finds itself in the other view, and how many
    dimensions are in use.
    """
    one, two = both_views(encoder.eval(), batch)
    found, chance = nl.retrieval_accuracy(one, two, *batch[2:])
    encoder.train()
    return {
        "rank_me": float(nl.rank_me(one)),
        "retrieval_accuracy": float(found),
        "retrieval_chance": chance,
    }


# %% [markdown]
# And here is all of it. **Seeds**: one for the initial weights, and then one *for each step*, made
# from the seed and the step's number. Dropout draws from it. (`quick` has none; section 8 switches
# it on.) So step 31 is the same whether or not the computer was switched off after step 30: that is
# what will make stopping and resuming exact. (The views don't need it: their draws come from seed,
# epoch, recording and pair.) `objective` says what should go down; it is there so that we can break
# it later.


# %%
def train_by_hand(recordings, preset, objective=lambda parts: parts.total):
    """As `nl.pretrain`, on the CPU: (encoder, table with a row a step). objective: LossParts ->
    what is to go down.
    """
    train, rows = preset.train, []
    views = nl.PairedViews(recordings, preset.model, preset.views, train.batch_size, train.seed)
    warmup = len(views) if train.warmup_steps is None else train.warmup_steps
    with torch.random.fork_rng():
        torch.manual_seed(train.seed)  # the initial weights
        encoder = nl.NuCLR(preset.model)
        loss = nl.ContrastiveLoss(preset.model.dim, train.temperature, train.scale_within_view)
        optimizer = adamw([encoder, loss], train)
        for step, batch in enumerate(batches(views, train.steps)):
            torch.manual_seed((train.seed << 32) + step)  # this step's dropout
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, train, warmup)
            parts = loss(*both_views(encoder, batch), *batch[2:])
            optimizer.zero_grad()
            objective(parts).backward()
            norms = [
                clip_grad_norm_(module.parameters(), train.gradient_clip)
                for module in (encoder, loss)
            ]
            optimizer.step()
            rows.append(
                {"step": step + 1}
                | {name: value.item() for name, value in zip(COLUMNS, (*parts, *norms))}
            )
            rows[-1] |= watched(encoder, batch) if (step + 1) % train.log_every == 0 else {}
    return encoder.eval(), pd.DataFrame(rows)


# %% [markdown]
# **Proof**: the same steps with `nl.pretrain`, a row of its history for each. We ask that losses
# and weights are equal to the last bit. (On the CPU, where both run here. Without dropout, the
# steps' seeds aren't put to the test; section 8 does that for the module.)

# %%
short = preset.with_(steps=few, log_every=1, checkpoint_every=few)
by_hand, table = train_by_hand(recordings, short)
module = nl.pretrain(recordings, short, device="cpu")
for name in (
    "loss",
    "attraction",
    "repulsion",
    "rank_me",
    "retrieval_accuracy",
    "retrieval_chance",
):
    assert_close(table[name].to_numpy(), module.history[name].to_numpy(), rtol=0, atol=0)
for name, value in module.encoder.state_dict().items():
    assert_close(by_hand.state_dict()[name], value, rtol=0, atol=0)
table[["step", "loss", "attraction", "repulsion"]].head(3).round(3)

# %% [markdown]
# The module adds checkpoints, other devices, half precision, worker processes, two more objectives,
# and messages when something is wrong. The learning is all here.
#
# Now the two gradient norms. Filled marks, above the line, were clipped.

# %%
nl.plots.gradient_norms(
    table[["step", "encoder", "projector"]],
    preset.train.gradient_clip,
    title=f"Gradient norms, first {few} steps (simulated)",
)

# %%
clip, together = preset.train.gradient_clip, np.hypot(table["encoder"], table["projector"])
shares = [np.mean(norms > clip) for norms in (table["encoder"], table["projector"], together)]
print(
    "clipped: encoder {:.0%}, projector {:.0%} of the steps; if clipped together {:.0%}".format(
        *shares
    )
)
print(
    f"encoder's norm: median {table['encoder'].median():.2f}, largest {table['encoder'].max():.2f}"
)
assert (together >= table["encoder"]).all()

# %% [markdown]
# So clipping is no rare event here: in the run shown the encoder is clipped in 62 % of the steps,
# mostly by little; the largest norm is about four times the median. The projector's norm is a
# little smaller, and clipping the two together would only clip more often. In a larger model, or at
# another temperature, that need not be so; apart, one need not think about it.
#
# ## 7 · What one watches
#
# Now `nl.pretrain` itself. It gets recordings and nothing else: no labels, and no animal that isn't
# in the list.

# %%
log_every = 5 if profile == "smoke" else 10
pretrained = nl.pretrain(
    recordings, preset.with_(steps=steps, log_every=log_every, checkpoint_every=log_every)
)
print(f"{steps} steps in {pretrained.seconds:.0f} s")
nl.plots.good_curve(
    pretrained.history, collapsed, title=f"{steps} steps on {len(recordings)} animals (simulated)"
)

# %% [markdown]
# - **Loss** starts next to the landmark of collapse (4.30) and goes down slowly. The second panel
#   has its parts, as changes since the first row. *Repulsion* falls, because units are told apart.
#   *Attraction* **rises**: while all vectors are nearly the same, agreeing costs nothing; once they
#   move apart, it does. Where attraction alone goes down, to 0, vectors are becoming one, and that
#   is no good sign.
# - **Finding itself** (retrieval) rises. Single batches (thin) scatter widely: 4 pairs are some 100
#   units.
# - **RankMe** falls from what random weights happen to give, turns, and climbs slowly. Towards 1
#   would be collapse.
#
# No one of the three is enough: section 11 has a run with splendid retrieval that was never asked
# for anything lasting, and runs whose retrieval looks alive although they have collapsed. And 600
# steps are a beginning. Trained for 3,200 steps on 14 animals, this recipe's vectors tell four cell
# types of new animals with a macro F1 of about 0.9 (a score, at best 1, by guessing about 0.25;
# `06_decoding` explains it). Section 12 gets there in a minute.

# %%
learned = pretrained.history
late = learned.tail(max(1, len(learned) // 4)).mean()
print(
    f"last quarter: loss {late['loss']:.2f} (collapsed {collapsed:.2f}), retrieval"
    f" {late['retrieval_accuracy']:.3f} (guessing {late['retrieval_chance']:.3f}), RankMe"
    f" {late['rank_me']:.1f}"
)
if profile != "smoke" and not training_steps:
    assert (
        late["loss"] < collapsed - 0.2
        and late["retrieval_accuracy"] > 2.5 * late["retrieval_chance"]
    )
    assert late["attraction"] > learned["attraction"].iloc[0] - 0.1 and late["rank_me"] > 3

# %% [markdown]
# ## 8 · Stop, and go on
#
# Long trainings are stopped: by you, by a power cut, by a cluster's time limit. With `out_dir`,
# `pretrain` writes a **checkpoint** every `checkpoint_every` steps: weights, the optimiser's $m$
# and $v$, the place in the data, the history. Each is written under another name and then renamed,
# so that a kill at any moment leaves no half checkpoint; the last two are kept.
#
# To show it we must stop a run in the middle, as the stop button does: torch calls this hook before
# each step of an optimiser.


# %%
@contextmanager
def stop_button(after_steps):
    """Inside, the optimiser's step number `after_steps` + 1 raises KeyboardInterrupt, as the stop
    button does.
    """
    done = count()

    def press(optimizer, args, kwargs):
        if next(done) == after_steps:
            raise KeyboardInterrupt

    hook = register_optimizer_step_pre_hook(press)
    try:
        yield
    finally:
        hook.remove()


# %% [markdown]
# Two animals, two pairs a step, and dropout 0.2, so that there are random draws to be made again.
# Sixty steps without a break; and the same, stopped after 40, with a checkpoint at every 15. The
# newest one is then of step 30.

# %%
unit = {"smoke": 1, "laptop": 15, "full": 15}[profile]  # steps between checkpoints
two = preset.with_(
    steps=4 * unit,
    batch_size=2,
    dropout=0.2,
    log_every=unit if unit == 1 else 5,
    checkpoint_every=unit,
)
whole = nl.pretrain(recordings[:2], two, device="cpu")
folder = tempfile.TemporaryDirectory()
out_dir = Path(folder.name) / "run"
try:
    with stop_button(after_steps=8 * unit // 3):
        nl.pretrain(recordings[:2], two, out_dir, device="cpu")
except KeyboardInterrupt:
    print("stopped;", *sorted(path.name for path in out_dir.iterdir()))
half = nl.Pretrained.load(out_dir)  # the newest checkpoint: it can be used as it is
resumed = nl.pretrain(recordings[:2], two, out_dir, resume=True, device="cpu")

# %%
pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
for part in ("encoder", "loss"):
    for name, value in getattr(whole, part).state_dict().items():
        assert torch.equal(getattr(resumed, part).state_dict()[name], value), name
assert len(half.history) < len(whole.history)
nl.plots.resumed(
    whole.history, half.history, resumed.history, title="Stopped and resumed (simulated)"
)

# %% [markdown]
# Equal, bit for bit, history and weights, although steps 31 to 40 had to be made again. To resume,
# call the same line again with `resume=True`: with the same preset and the same recordings, or it
# refuses. Without `resume`, a folder that holds checkpoints is never overwritten:

# %%
for wrong in (dict(), dict(resume=True, preset=two.with_(learning_rate=1e-3))):
    try:
        nl.pretrain(recordings[:2], **{"preset": two, "out_dir": out_dir} | wrong)
    except (FileExistsError, ValueError) as refusal:
        print(type(refusal).__name__, "...", str(refusal).split(";")[-1].strip())
    else:
        raise AssertionError("expected a refusal")

# %% [markdown]
# "The same to the last bit" holds on one machine with one set of libraries. Another processor,
# another number of threads or a GPU adds the same numbers in another order; the tiny differences
# grow from step to step. So no single run is *the* result: report several seeds.
#
# ## 9 · Save and load
#
# `save` writes a folder of four small files: weights of the encoder and of the projector
# (safetensors: numbers only, nothing that could be executed), the preset, the history. `load` needs
# nothing else. An encoder trained on a GPU loads on a laptop.

# %%
saved = resumed.save(Path(folder.name) / "my_encoder")
loaded = nl.Pretrained.load(saved, device="cpu")
for path in sorted(saved.iterdir()):
    print(f"{path.name:24s}{path.stat().st_size / 1e3:6.0f} kB")
assert loaded.preset == two
assert_close(both_views(loaded.encoder, batch), both_views(whole.encoder, batch), rtol=0, atol=0)

# %% [markdown]
# ## 10 · Devices and precision
#
# Nothing to change: `pretrain` uses a CUDA GPU, else an Apple one, else the CPU (it asks Hugging
# Face `accelerate`). `device="cpu"` forces the CPU. On a GPU that has it, `precision="auto"`
# becomes **bf16**: most products are computed with 8 bits of precision instead of 24, faster and in
# half the memory. bf16 keeps the *range* of float32: a number that is neither too large nor too
# small there isn't here. The weights themselves, AdamW's state and the cosines of the loss stay in
# float32.
#
# **No GPU run has been made here yet**: what a GPU does with this code is read from the code, not
# measured. What bf16 does to the numbers one can see on the CPU (where it isn't faster):

# %%
print(
    f"here: {'a CUDA GPU' if torch.cuda.is_available() else 'no CUDA GPU'},"
    f" {torch.get_num_threads()} thread(s)"
)
brief = two.with_(steps=min(two.train.steps, 15), log_every=1, checkpoint_every=15)
losses = {
    precision: (
        nl.pretrain(recordings[:2], brief.with_(precision=precision), device="cpu").history["loss"]
    )
    for precision in ("no", "bf16")
}
apart = (losses["bf16"] - losses["no"]).abs()
print(
    f"largest difference of the loss in {len(apart)} steps: {apart.max():.3f} of"
    f" {losses['no'].mean():.2f}"
)
assert 0 < apart.max() < 0.2

# %% [markdown]
# ## 11 · A gallery of trouble
#
# Each of these is really run, once, on the same animals. Everything is as above, shortened; only
# what the title says is changed. Grey, in each column: the run as it should be.

# %%
length = {"smoke": 5, "laptop": 120, "full": 400}[profile]
base = preset.with_(steps=length, warmup_steps=length // 4, log_every=5, checkpoint_every=length)
usual = base.train.learning_rate
changes = {
    "learning rate\n50 times too high": base.with_(learning_rate=50 * usual),
    "10 times too high,\nand no warm-up": base.with_(learning_rate=10 * usual, warmup_steps=0),
    "200 times too low\n(or: too few steps)": base.with_(learning_rate=usual / 200),
    "both views are\nthe same window": base.with_(max_distance_s=0.0),
}
changes |= {
    "as it should be": base,
    "10 times too high, with warm-up": base.with_(learning_rate=10 * usual),
}
trained = {name: nl.pretrain(recordings, changed) for name, changed in changes.items()}
healthy, warmed = (
    trained[name].history for name in ("as it should be", "10 times too high, with warm-up")
)

# %% [markdown]
# The fifth can't be had from a preset. An objective with **attraction only** is what one might
# write down first: "the two vectors of a unit should be the same". Our own loop takes it:


# %%
def every(table, log_every):
    """Rows of `train_by_hand` put together as in a history: means over `log_every` steps."""
    return (
        table.groupby((table["step"] - 1) // log_every)
        .mean()
        .assign(step=lambda rows: (rows.index + 1) * log_every)
    )


_, attraction_only = train_by_hand(recordings, base, objective=lambda parts: parts.attraction)
runs = {"attraction only\n(no repulsion)": every(attraction_only, 5)}
runs |= {name: run.history for name, run in trained.items() if "\n" in name}
nl.plots.trouble(runs, healthy, collapsed)

# %%
every_run = {"as it should be": healthy, "10 times too high, with warm-up": warmed} | runs
late = pd.DataFrame(
    {
        name.replace("\n", " "): history.tail(max(1, len(history) // 4)).mean()
        for name, history in every_run.items()
    }
).T
late[
    ["loss", "attraction", "repulsion", "retrieval_accuracy", "retrieval_chance", "rank_me"]
].round(2)

# %% [markdown]
# How to read it, column by column, and what to do.
#
# - **Attraction only.** Attraction goes to 0, as asked, and the loss (drawn with its repulsion,
#   which nobody asked to go down) sits on the landmark. RankMe falls to 2. *Do*: change the
#   objective. This one is satisfied by giving all units one vector, and no rate helps. This is why
#   there are negatives. (VICReg, in `04_objective`, is another way.)
# - **A rate 50 times too high.** Within 60 steps all units have one vector: RankMe 1.0. The curve
#   looks *calm*: a loss that stands still at 4.29 has collapsed, not converged. *Do*: divide the
#   rate by 10 and start anew; this run did not come back, although its rate fell to 0 by the end.
#   If it goes further, to numbers that are not finite, `pretrain` stops and says so.
# - **Ten times too high, and no warm-up.** On the edge: in some runs all units end with one vector,
#   in others training only lags, with half of the dimensions or fewer; which of the two, the last
#   digits of a sum decide (another processor, another number of threads). The table has this rate
#   *with* warm-up too, which lags less. Warm-up moves the edge: at 20 times the rate both of two
#   seeds collapsed without it and neither with it, at 30 times three runs of four collapsed, with
#   or without (not in this notebook).
# - **200 times too low.** Nearly nothing moves: the loss creeps, RankMe stays where the random
#   weights put it. Too few steps look just the same. *Do*: raise the rate by 3, or train longer,
#   and see whether the loss ends lower. (That a curve flattens at its end says little: the schedule
#   takes the rate to 0 there.)
# - **Both views are the same window.** The finest curves of all: everybody finds itself, from the
#   first row on, and the loss is an eighth of the healthy one. Of course: a unit is recognised by
#   the very same spikes. *Do*: distrust what is too good. Look at how views are drawn, and at
#   recordings so short that two windows often overlap.
#
# **Retrieval alone says little.** Collapsed encoders find 5 to 6 % of the units where guessing
# finds 3 %: the nearest vector is still the nearest, however little it is nearer. Random weights
# find as many before any training, so "better than guessing" is no proof of learning. And the run
# that lags (ten times the rate, with warm-up) finds 10 % in this table, more than the healthy one's
# 9 %. Watch the loss against its landmark, its parts, *and* RankMe.
#
# How much did the fine curves of the last column teach? Ask the honest question, with two different
# windows, in newly drawn batches of the same animals:

# %%
fresh = nl.PairedViews(recordings, base.model, base.views, base.train.batch_size, seed + 1)
with torch.random.fork_rng():
    torch.manual_seed(seed)
    encoders = {"random weights": nl.NuCLR(base.model)}
encoders |= {
    name.replace("\n", " "): trained[name].encoder.cpu()
    for name in ("both views are\nthe same window", "as it should be")
}
n_batches = 2 if profile == "smoke" else 40
honest = {
    name: np.mean(
        [watched(one, pairs)["retrieval_accuracy"] for pairs in batches(fresh, n_batches)]
    )
    for name, one in encoders.items()
}
print({name: f"{found:.1%}" for name, found in honest.items()})

# %% [markdown]
# Nothing that this question can see: 100 % on its own question, and 5.4 % on the honest one, no
# more than random weights (6.2 %). The healthy run, which looked so modest, has 8.9 %. (40 batches,
# some 4,000 units: a standard error of about half a percentage point.)

# %%
rows = late.set_axis(["good", "warmed", "attraction", "high", "no warm-up", "low", "same"])
if profile == "laptop":
    gone = rows.loc[["attraction", "high"]]
    assert ((gone["loss"] - collapsed).abs() < 0.05).all()
    assert (gone["attraction"] < 0.02).all() and (gone["rank_me"] < 3).all()
    assert rows.loc["no warm-up", "rank_me"] < 0.7 * rows.loc["good", "rank_me"]
    assert rows.loc["warmed", "loss"] < collapsed - 0.05
    assert (
        rows.loc["good", "loss"] < rows.loc["low", "loss"] - 0.05 and rows.loc["low", "rank_me"] > 8
    )
    assert rows.loc["same", "retrieval_accuracy"] > 0.95
    assert honest["as it should be"] > honest["both views are the same window"]

# %% [markdown]
# ## 12 · The same in a minute: what `quick` does otherwise
#
# 3,200 such steps take minutes, and only then can the types be read well. Two changes make it a
# minute; nothing in the encoder or the loss is touched.
#
# **Muon** (Jordan et al. 2024) treats a weight matrix as what it is, a map, not as a heap of
# numbers. A gradient's singular values are very unequal: a few directions get nearly all of the
# step, and the rare ones, which may tell the types apart, wait. Muon keeps a running mean of the
# gradients, as Adam does, and makes it (nearly) *orthogonal*: the same directions, all singular
# values about 1. By hand: a step that is 3 along one direction and 0.01 along another becomes about
# 1 along both. It is for the hidden matrices of the encoder; AdamW keeps the rest.

# %%
lopsided = torch.tensor([[3.0, 0.0], [0.0, 0.01]])
[even] = orthogonal([lopsided])
print(even.round(decimals=2).tolist(), "singular values", torch.linalg.svdvals(even).tolist())
assert ((torch.linalg.svdvals(even) - 1).abs() < 0.35).all()

# %% [markdown]
# **Near views.** The second window starts at most 5 s from the first, so that the two share half of
# their time or more, and much of what the population did then: a hint about *company* that distant
# windows don't have. (At distance 0 they share every spike, and section 11 showed what is learned
# then: nothing.) How near is best is a matter of the data: real rats want them *far*. Unit dropout
# costs time here, and helps to carry over between real animals; `quick` leaves it out.
#
# The honest axis is *seconds*, and the honest score is of animals that took no part. Every
# checkpoint of three trainings, read off (14 other animals of the same kind to learn from, 6 new
# ones; seed 1):

# %%
n_learn, length = {"smoke": (2, 6), "laptop": (14, 300), "full": (14, 3200)}[profile]
others = nl.simulate_recordings(n_learn + (1 if profile == "smoke" else 6), seed=seed + 1)
units, new = nl.units_table(others), [recording.animal_id for recording in others[n_learn:]]
quick = nl.PRESETS["quick"].with_(
    steps=length, seed=seed, log_every=length // 3, checkpoint_every=length // 3
)
race = {
    "AdamW, the paper's views": quick.with_(**as_published),
    "Muon, the paper's views": quick.with_(**as_published | {"optimizer": "muon"}),
    "Muon, near views (quick)": quick,
}

# %%
curves = []
for name, recipe in race.items():
    with tempfile.TemporaryDirectory() as kept:
        started = time.process_time()  # of this process alone, whatever else the computer does
        nl.pretrain(others[:n_learn], recipe, kept, keep_all=True, device="cpu")
        took_s = time.process_time() - started
        curve = nl.learning_curve(kept, others, units["cell_type"], units["animal_id"], new)
    curves.append(curve.assign(series=name, seconds=curve["step"] * took_s / length))
curves = pd.concat(curves, ignore_index=True)
nl.plots.curves(
    curves,
    "seconds",
    by="series",
    xlabel="seconds of training (CPU, one thread)",
    doublings=False,
    title=f"cell type in {len(new)} new animals (simulated), {length} steps each",
)

# %% [markdown]
# `benchmarks/speedrun.py` asks how long each takes to a macro F1 of
# 0.90; [`results/speedrun.md`](../results/speedrun.md) has the answer, and everything that was
# tried, what failed too.

# %%
last = curves.groupby("series", sort=False).last()
if profile == "laptop":
    adamw_far, muon_far, near = last["estimate"]
    assert near > max(adamw_far, muon_far) + 0.1 and near > 0.75

# %% [markdown]
# ## 13 · The full thing
#
# The published recipe is a preset too. The loop is the same; what changes is size: a wider encoder,
# 128 pairs a step, 50,000 steps.

# %%
full = paper
print(full.model, full.views, full.train, sep="\n")
flop_a_step = 5.9e12  # counted, not measured: populations of 60 active units
for speed in (20e12, 100e12):
    print(
        f"at {speed / 1e12:.0f} TFLOP/s sustained:"
        f" {flop_a_step * full.train.steps / speed / 3600:.1f} h a seed"
    )
assert round(flop_a_step * full.train.steps / 1e15) == 295

# %% [markdown]
# 5.9 TFLOP a step (a TFLOP is $10^{12}$ additions or multiplications), $294 \cdot 10^{15}$ of them
# a seed, that is, in one whole training: **projected** from a count of operations
# (`benchmarks/cost.py`, `results/README.md`), since no GPU was at hand to measure on. On a laptop
# it is out of reach. On a GPU, once the recordings are converted, it is these three lines:
# ```python
# recordings = [nl.Recording.load(path) for path in sorted(Path("data/processed/allen").iterdir())]
# out_dir = "runs/paper-spikes-0"
# pretrained = nl.pretrain(recordings, "paper-spikes", out_dir=out_dir, workers=8, resume=True)
# pretrained.save("runs/paper-spikes-0/final")
# ```
# `resume=True` from the start: the same line begins and goes on. **Before you spend the hours,
# check**
#
# 1. that it runs at all: the whole recipe, two steps, a small batch (below);
# 2. that the first loss lies near the landmark of your populations' size, and leaves it within some
#    hundred steps;
# 3. that retrieval rises above what *random weights* reach (the first rows tell; guessing is too
#    low a bar), and that your two views rarely overlap;
# 4. that a stopped run resumes on *your* machine; the disk holds two checkpoints;
# 5. that the held-out animals are not in the list. Print the list.

# %%
rehearsal = full.with_(
    steps=2, batch_size=2, warmup_steps=1, log_every=1, checkpoint_every=1, precision="no"
)
if profile == "smoke":
    rehearsal = rehearsal.with_(dim=32, heads=2, head_dim=16)
dry = nl.pretrain(recordings[:2], rehearsal, device="cpu")
print(
    f"{sum(parameter.numel() for parameter in dry.encoder.parameters()) / 1e6:.2f} M parameters, "
    f"{dry.seconds / 2:.1f} s a step of 2 pairs on this CPU"
)
dry.history[["step", "loss", "attraction", "repulsion"]].round(2)

# %% [markdown]
# ## 14 · Which step to keep? The last
#
# One could score each checkpoint on the held-out animals and keep the best. Then they are held out
# no longer: the choice has seen them. How much does it flatter? Suppose training has converged, all
# checkpoints are equally good, and scores differ by luck alone, with a standard deviation of 0.02
# (about what six animals give: a 95 % interval some 0.08 wide). Made-up numbers:


# %%
def luck_of_choosing(n_checkpoints, sd, n_repeats, rng):
    """How far the best of equally good checkpoints seems above its true score, on average."""
    return rng.normal(0, sd, (n_repeats, n_checkpoints)).max(axis=1).mean()


rng = np.random.default_rng(seed)
flattery = {n: luck_of_choosing(n, 0.02, 20_000, rng) for n in (1, 5, 50)}
print({f"best of {n}": f"{gain:+.3f}" for n, gain in flattery.items()})
assert abs(flattery[1]) < 0.001 and 0.04 < flattery[50] < 0.05

# %% [markdown]
# The best of 50 seems better than it is by 0.045 of macro F1: the size of a result, from nothing.
# (Scores of neighbouring checkpoints go together, so that 50 of them are fewer in effect. The sign
# doesn't change.) So:
#
# - **The last step is the result.** The learning rate has come down to 0 there; nothing is left to
#   choose.
# - `pretrain` *can't* select: it knows no label and no animal outside its list.
# - If you must choose (a rate, a size), choose by what needs no held-out animal: by loss, retrieval
#   and RankMe together, or by labels of the *training* animals, cross-validated among them; and
#   write down what you tried. The authors' evaluation picks the epoch so, inside the training
#   animals; their later benchmark (BrainWideBench) removed the probing of held-out animals at each
#   epoch for this reason.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): ten times the loss
#
# Someone multiplies the loss by 10, so that all gradients are ten times as large, and makes ten
# steps of training. How far is the encoder from where it started (all weights together: the root of
# the summed squares of their changes), compared with ten steps of the ordinary loop?
#
# - `"a"`: more than five times as far: gradients ten times as large make steps ten times as large;
# - `"b"`: about as far, within a factor of 1.5;
# - `"c"`: less than half as far: clipping takes away what is too much, and more.
#
# Write the letter; and, for yourself, which of sections 3 and 5 it rests on. The check trains three
# times: as usual, with ten times the loss, and with ten times the learning rate.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION


# %% tags=["check"]
def distance_moved(encoder, preset):
    """Of all weights together, from where the preset's seed put them."""
    with torch.random.fork_rng():
        torch.manual_seed(preset.train.seed)
        start = nl.NuCLR(preset.model).state_dict()
    return math.sqrt(
        sum(
            float((value - start[name]).square().sum())
            for name, value in encoder.state_dict().items()
        )
    )


ten = two.with_(steps=10, dropout=0.0, log_every=10, checkpoint_every=10)
moved = {
    "ordinary": train_by_hand(recordings[:2], ten),
    "loss x 10": train_by_hand(recordings[:2], ten, lambda parts: 10 * parts.total),
    "rate x 10": train_by_hand(
        recordings[:2], ten.with_(learning_rate=10 * ten.train.learning_rate)
    ),
}
moved = {name: distance_moved(encoder, ten) for name, (encoder, _) in moved.items()}
print({name: round(distance, 2) for name, distance in moved.items()})
ratio = moved["loss x 10"] / moved["ordinary"]
right = "a" if ratio > 5 else "b" if 1 / 1.5 < ratio < 1.5 else "c" if ratio < 0.5 else "none"
assert prediction in ("a", "b", "c"), "prediction is one of the letters, as a string"
assert prediction == right, (
    "not what happened: see the distances above, and what AdamW divides by (section 3)"
)
print("exercise 1: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): the schedule
#
# Write the learning rate of section 4, from the formula. Mind the edges: $W = 0$ (no warm-up) must
# work, and so must $W = T$, where the rate rises to the end and never falls. Nothing may be divided
# by 0. The check compares it with the module's for all steps of several schedules; the figure below
# is the target.


# %% jupyter={"source_hidden": true} tags=["solution"]
def my_learning_rate(step, peak, steps, warmup):
    """The rate of one step.

    step : int, from 0. peak : the largest rate. steps : T, in all. warmup : W, steps of the linear
        rise, 0 to T.
    Returns a float.
    """
    ### BEGIN SOLUTION
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * (1 + math.cos(math.pi * done)) / 2
    ### END SOLUTION


# %% tags=["check"]
for peak, total, rise in ((1.0, 6, 2), (2e-3, 3200, 40), (5e-4, 50, 0), (0.1, 10, 10), (1.0, 1, 0)):
    recipe = preset.with_(learning_rate=peak, steps=total, warmup_steps=rise).train
    for step in range(total):
        mine, module_s = (
            my_learning_rate(step, peak, total, rise),
            learning_rate(step, recipe, rise),
        )
        assert math.isclose(mine, module_s, rel_tol=1e-9, abs_tol=1e-12), (
            f"step {step} of {total} with {rise} steps of warm-up: yours is {mine:g}, the module's"
            f" {module_s:g}"
        )
print("exercise 2: right")

# %% tags=["target"]
mine = {
    f"warm-up {rise}": [my_learning_rate(step, 2e-3, 400, rise) for step in range(400)]
    for rise in (0, 40, 200)
}
nl.plots.schedule(
    mine,
    {"warm-up 0": 0, "warm-up 40": 40, "warm-up 200": 200},
    title="Three warm-ups, peak 0.002, 400 steps",
)

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): a large batch on a small computer
#
# 128 pairs may not fit into memory. **Gradient accumulation** takes them one by one: `backward`
# *adds* to `.grad`, so that one can call it for each piece of a batch and step once at the end. In
# most contrastive methods this is not the same as one large batch, because a smaller batch has
# fewer negatives. Here it can be *exactly* the same, since negatives never leave their population.
# But not all pairs count alike in the loss of the whole batch (section 8 of `04_objective`): think
# about what each should count.
#
# `pairs_of` cuts a batch into batches of one pair. Fill in the rest; the check compares every
# gradient with that of the whole batch. (It can't see whether you saved memory. Adding up all
# losses and calling `backward` once would pass, and save none.)


# %%
def pairs_of(batch):
    """A batch of N pairs -> N batches of one pair each."""
    sizes = [batch.sizes_1.tolist(), batch.sizes_2.tolist()]
    columns = [column.split(sizes[which]) for column, which in zip(batch[:4], (0, 1, 0, 1))]
    return [
        Batch(*piece) for piece in zip(*columns, batch.sizes_1.split(1), batch.sizes_2.split(1))
    ]


print(
    [len(match_units(*piece[2:]).row_1) for piece in pairs_of(batch)],
    "units that both views show, pair by pair",
)


# %% jupyter={"source_hidden": true} tags=["solution"]
def accumulated_gradients(encoder, loss, batch):
    """Leave in .grad of encoder and loss what `loss(...).total.backward()` of the whole batch
    would, a pair at a time.

    encoder, loss : modules, their .grad empty. batch : Batch of N pairs. Uses `pairs_of`,
        `both_views`, `match_units`.
    """
    ### BEGIN SOLUTION
    pieces = pairs_of(batch)
    matched = [len(match_units(*piece[2:]).row_1) for piece in pieces]
    for piece, n in zip(pieces, matched):
        total = loss(*both_views(encoder, piece), *piece[2:]).total
        (total * n / sum(matched)).backward()
    ### END SOLUTION


# %% tags=["check"]
def gradients(modules):
    """All gradients of some modules, one after the other: (numbers,)."""
    return torch.cat(
        [parameter.grad.flatten() for module in modules for parameter in module.parameters()]
    )


modules = (by_hand.eval(), loss)
for module_ in modules:
    module_.zero_grad()
loss(*both_views(by_hand, batch), *batch[2:]).total.backward()
expected = gradients(modules)
for module_ in modules:
    module_.zero_grad()
accumulated_gradients(by_hand, loss, batch)
mine = gradients(modules)
off = ((mine - expected).norm() / expected.norm()).item()
assert off < 0.5, (
    f"far from it ({off:.0%} off): is each piece's backward called once, and the sum of the"
    " weights 1?"
)
assert off < 1e-4, (
    f"near, but {off:.2%} off: does each pair count for as much as in the loss of the whole batch?"
)
print(f"exercise 3: right ({off:.0e} off: rounding)")

# %% [markdown]
# ## What you should have seen
#
# A first loss of 4.27 (± 0.1), next to the landmark of collapse (4.30). After 600 steps at the
# `laptop` profile a loss of about 3.75 (± 0.15), a unit that finds itself in about 13 % of the
# cases (7 to 25 %; guessing: 3 %), and a RankMe that fell to about 5 and came back to about 7.
# Three runs that ended *on* the landmark. A stopped run that went on to the same bits. On another
# machine the numbers differ a little, within what stands in brackets; the picture should not.

# %%
folder.cleanup()
seen = {
    "first loss": table["loss"].iloc[0],
    "loss": learned["loss"].tail(10).mean(),
    "RankMe, least": learned["rank_me"].min(),
    "RankMe": learned["rank_me"].tail(10).mean(),
    "finds itself": learned["retrieval_accuracy"].tail(10).mean(),
}
print({name: round(value, 2) for name, value in seen.items()})
if profile == "laptop" and not training_steps:
    assert abs(seen["first loss"] - 4.27) < 0.1 and abs(seen["loss"] - 3.75) < 0.15, (
        "expected 4.27 and about 3.75"
    )
    assert 0.07 < seen["finds itself"] < 0.25 and seen["RankMe, least"] + 0.5 < seen["RankMe"] < 11

# %% [markdown]
# **Read**: Arora et al. 2025 (arXiv 2512.01199), section 3 and the appendix on training; Kingma and
# Ba 2015, *Adam*; Loshchilov and Hutter 2019, *Decoupled weight decay regularization*; Loshchilov
# and Hutter 2017, *SGDR* (where the cosine comes from); Pascanu et al. 2013, *On the difficulty of
# training recurrent neural networks* (clipping); Jordan et al. 2024, *Muon*;
# Garrido et al. 2023, *RankMe*.
#
# **Next:** `06_decoding`: what the vectors are good for, compared with what.
