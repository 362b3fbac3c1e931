# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Views: what is one training sample?
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/02_views.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/02_views.ipynb
#
# **You will learn** to turn spikes, or calcium traces, into the numbers that the encoder reads; to
# draw the pairs of windows that training compares; to pack several populations into one batch; and
# to look for what could leak.
#
# **Needs** nothing but this repository. The animals are simulated, and gaps can be put where we
# want them. **Takes** about 20 seconds on a laptop (2 cores); no GPU needed.
#
# In most of machine learning a training sample is a picture or a sentence. Here it is a pair of
# [views](../docs/glossary.md#view): two windows of the same recording, some seconds apart, of the
# same [units](../docs/glossary.md#unit). All that the [encoder](../docs/glossary.md#encoder) can
# learn is in that pair, and so is any way to cheat. So we build one by hand, and compare each piece
# with the module `nuclr_lite.views`.

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
# "smoke": seconds, to see that it runs; "laptop": a minute; "full": longer recordings, more pairs
profile = "laptop"
seed = 0  # of the simulation and of all draws

# %%
import nuclr_lite as nl

# %% [markdown] tags=["slide"]
# This notebook builds the two parts in colour, from the spikes of a recording to whole batches.

# %% tags=["slide"]
nl.plots.method(["views", "tokens"])

# %%
import copy
import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch.testing import assert_close
from torch.utils.data import DataLoader

from nuclr_lite.sources.simulated import CALCIUM, SPIKES

# %% [markdown]
# The paper's recipe for spikes: [samples](../docs/glossary.md#sample) of 20 ms (from here on, one
# such count), [tokens](../docs/glossary.md#token) of 50 samples (1 s),
# [windows](../docs/glossary.md#window) of 10 tokens (10 s), a second view that starts at most 30 s
# from the first, half of the units or more in each. In the code below, `model` holds the encoder's
# settings and `views` those of the pairs.

# %%
duration_s, n_animals, n_epochs = {
    "smoke": (240.0, 2, 60),
    "laptop": (600.0, 3, 200),
    "full": (1800.0, 6, 1000),
}[profile]
recordings = nl.simulate_recordings(
    n_animals, seed=seed, config=replace(SPIKES, duration_s=duration_s)
)
preset = nl.PRESETS["paper-spikes"].with_(min_units=2)
model, views = preset.model, preset.views
assert (model.sample_s, model.samples_per_token, model.tokens_per_window) == (0.02, 50, 10)
assert model.window_s == 10.0
recordings

# %% [markdown] tags=["slide"]
# ## 1 · Counting
#
# A [spike train](../docs/glossary.md#spike-train) is a list of times, and a transformer wants
# numbers at regular places. So time is cut into bins of $\Delta$ = 20 ms, and sample $k$ of a
# window that starts at $t_0$ is a count:
#
# $$x_k = \#\{\text{spikes } t:\; t_0 + k\Delta \le t < t_0 + (k+1)\Delta\}$$
#
# The bins are **half-open**: the left edge belongs to the bin, the right one to the next. So bins
# that touch share no spike and lose none.
#
# Three units and six bins of 20 ms, from 1.10 s on. Unit 0 fires at 1.100, 1.105, 1.159 and 1.160
# s; unit 1 at 1.220 s; unit 2 at 1.120, 1.200 and 1.219 s. **Predict** before you run it: into
# which bin (0 to 5) does the spike at 1.160 s go, which lies on an edge? And the one at 1.220 s,
# where the window ends?


# %%
def count_in_bins(times_s, unit_rows, n_units, start_s, bin_s, n_bins, slack=0.0):
    """Spike by spike. times_s (S,) s, unit_rows (S,) who fired it -> counts (n_units, n_bins)."""
    counts = np.zeros((n_units, n_bins), dtype=np.int64)
    for time, unit in zip(times_s, unit_rows):
        at = int(np.floor((time - start_s) / bin_s + slack))
        if 0 <= at < n_bins:
            counts[unit, at] += 1
    return counts


trains = [
    np.array([1.100, 1.105, 1.159, 1.160]),
    np.array([1.220]),
    np.array([1.120, 1.200, 1.219]),
]
times = np.concatenate(trains)
unit_rows = np.repeat([0, 1, 2], [len(train) for train in trains])
count_in_bins(times, unit_rows, n_units=3, start_s=1.1, bin_s=0.02, n_bins=6)

# %% [markdown]
# Three spikes are in the wrong place, all of them on an edge. The one at 1.16 s should open bin 3,
# the one at 1.20 s bin 5; the one at 1.22 s lies outside. The formula is right, but a computer
# can't hold 1.1 or 1.16 exactly:

# %%
print((1.16 - 1.1) / 0.02, (1.20 - 1.1) / 0.02, (1.22 - 1.1) / 0.02)  # rather than 3, 5, 6

# %% [markdown] tags=["slide"]
# Spike times often come rounded, to the sampling clock or to a millisecond. Then many lie on edges,
# and rounding errors send them left or right. The remedy is a little **slack**: a millionth of a
# bin is added before rounding down.

# %%
SLACK = 1e-6  # of a bin: 20 ns, far below the resolution of any recording
counts = count_in_bins(times, unit_rows, n_units=3, start_s=1.1, bin_s=0.02, n_bins=6, slack=SLACK)
assert counts.tolist() == [[2, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 2]]
counts

# %% tags=["slide"]
nl.plots.spikes_in_bins(
    trains,
    1.1 + 0.02 * np.arange(7),
    counts,
    samples_per_token=3,
    title="three made-up units, two tokens of three samples",
)

# %% [markdown]
# Unit 1 has no spike in this window: its only one comes when the window is over. A silent unit is
# **absent** from the view: it gets no row. Two silent units would have the very same row, yet
# training would ask to tell them apart.
#
# The loop is easy to trust, but slow. A faster way: spikes are sorted, so the window is a slice;
# and a pair (unit, bin) is one number, so that counting is one `bincount`. On a whole window both
# must agree:


# %%
def count_fast(times_s, unit_rows, n_units, start_s, bin_s, n_bins):
    """The same for times in order -> counts (n_units, n_bins)."""
    first, stop = np.searchsorted(times_s, start_s + bin_s * (np.array([0, n_bins]) - SLACK))
    at = ((times_s[first:stop] - start_s) / bin_s + SLACK).astype(np.int64).clip(0, n_bins - 1)
    flat = np.bincount(unit_rows[first:stop] * n_bins + at, minlength=n_units * n_bins)
    return flat.reshape(n_units, n_bins)  # (units * bins,) -> (units, bins)


one = recordings[0]
arguments = dict(
    n_units=one.n_units, start_s=100.0, bin_s=model.sample_s, n_bins=model.samples_per_window
)
slow = count_in_bins(one.times, one.unit_rows, **arguments, slack=SLACK)
assert_close(count_fast(one.times, one.unit_rows, **arguments), slow)

# %% [markdown]
# And as half-open bins promise, windows that lie end to end count every spike exactly once.

# %%
whole = [
    count_fast(one.times, one.unit_rows, **arguments | {"start_s": start}).sum()
    for start in np.arange(0, duration_s, 10.0)
]
assert sum(whole) == len(one.times)
print(f"{len(whole)} windows, {sum(whole):,} spikes, none lost, none twice")

# %% [markdown] tags=["slide"]
# ## 2 · Tokens
#
# The encoder's [attention](../docs/glossary.md#attention) (`03_transformer`) compares every element
# with every other. 500 samples a unit would make 500 × 500 comparisons. So 50 neighbouring samples
# become one token, and a unit a row of 10 tokens. From here on, a window has $L$ tokens of $P$
# samples. Cutting tokens is a `reshape`. By hand, with the tiny window ($L = 2$, $P = 3$):

# %% tags=["slide-code"]
present = counts.any(axis=1)
rows = np.flatnonzero(present)
tokens = counts[present].reshape(2, 2, 3)  # (present, L * P) -> (present, L, P)
assert rows.tolist() == [0, 2] and tokens[1].tolist() == [[0, 1, 0], [0, 0, 2]]
print("rows", rows, tokens, sep="\n")

# %% [markdown]
# The tensor has two rows, and the second belongs to unit 2. So `rows` must go with it: for each row
# of the tensor, the unit's row in the recording.
#
# Now all together; the module's version is `nl.Windows(recording, model).samples(start_s)`. The
# argument `rows` limits the view to some units, which section 5 needs.


# %%
def spike_tokens(recording, start_s, model, rows=None):
    """One view. rows: units to look at, ascending; None: all -> tokens (present, L, P), their rows
    (present,).
    """
    rows = np.arange(recording.n_units) if rows is None else rows
    counts = count_fast(
        recording.times,
        recording.unit_rows,
        recording.n_units,
        start_s,
        model.sample_s,
        model.samples_per_window,
    )[rows]  # (rows, L * P)
    present = counts.any(axis=1)
    # (present, L, P)
    tokens = counts[present].reshape(-1, model.tokens_per_window, model.samples_per_token)
    return tokens.astype(np.float32), rows[present]


tokens, rows = spike_tokens(one, 100.0, model)
expected_tokens, expected_rows = nl.Windows(one, model).samples(100.0)
assert_close(tokens, expected_tokens)
assert_close(rows, expected_rows)
print(f"tokens {tokens.shape}: {len(rows)} of {one.n_units} units are present")

# %% [markdown]
# What does a token hold? Fifty counts, most of them 0:

# %%
shares = pd.Series(tokens.ravel()).value_counts(normalize=True).sort_index()
print(shares.rename("share of samples").rename_axis("spikes in 20 ms").round(4))
in_token = tokens.sum(axis=2)  # (present, L): spikes in each second
print(
    f"spikes in a token of 1 s: mean {in_token.mean():.1f}, from {in_token.min():.0f} to"
    f" {in_token.max():.0f}"
)
assert shares.loc[0] > 0.7

# %% [markdown]
# So why not one number, the rate, for each token? Because a unit may lead the population or follow
# it by a tenth of a second, and a rate per second can't show that.
#
# ## 3 · The same for calcium
#
# [Two-photon imaging](../docs/glossary.md#two-photon) gives each unit a number a frame,
# [dF/F](../docs/glossary.md#dff), here every 0.233 s. A frame is a sample. In the paper's recipe
# four frames make a token and 32 tokens a window of 30 s; the preset `quick-calcium`, used here,
# has 8 and 8.
#
# What is missing is a common scale: dF/F depends on the indicator (the molecule that glows), the
# depth, the microscope. So a recording is divided by the 99th percentile of all its units and
# frames: one number for all units, so that those with larger transients keep them.

# %%
config = replace(CALCIUM, duration_s=2 * duration_s)
imaged = nl.simulate_recordings(1, "calcium", seed=seed, config=config)[0]
model_calcium = nl.PRESETS["quick-calcium"].model
scale = np.percentile(imaged.traces, 99)
assert np.isclose(scale, imaged.trace_scale)
spoiled = imaged.traces.copy()
spoiled[1000, 0] = 100.0  # one bright speck in one frame
print(f"99th percentile {scale:.2f}, with a speck {np.percentile(spoiled, 99):.2f}")
print(f"maximum {imaged.traces.max():.1f}, with a speck {spoiled.max():.0f}")
assert (
    abs(np.percentile(spoiled, 99) / scale - 1) < 0.001 and spoiled.max() > 2 * imaged.traces.max()
)

# %% [markdown]
# That is why it is a percentile and not the maximum: a single bad frame would press everything else
# towards 0.
#
# Traces are stored as (frames, units), tokens want (units, tokens, frames): first transpose, then
# reshape. Without the transpose the shape is right, but a unit's token mixes frames of several
# units. Two units, four frames, tokens of two frames:


# %%
tiny = np.array([[1, -1], [2, -2], [3, -3], [4, -4]])  # (frames, units)
right = tiny.T.reshape(2, 2, 2)  # (units, L, P)
wrong = tiny.reshape(2, 2, 2)  # the same shape ...
assert right.tolist() == [[[1, 2], [3, 4]], [[-1, -2], [-3, -4]]] and wrong[0].tolist() == [
    [1, -1],
    [2, -2],
]
print("tokens of the first unit:", right[0].tolist(), "  without the transpose:", wrong[0].tolist())


# %%
def frame_tokens(traces, scale, first_frame, n_tokens, frames_per_token):
    """One view of calcium traces. traces (frames, units) -> tokens (units, L, P); nobody is
    absent.
    """
    window = traces[first_frame : first_frame + n_tokens * frames_per_token]  # (L * P, units)
    return (window.T / np.float32(scale)).reshape(-1, n_tokens, frames_per_token)  # (units, L, P)


first = 1285  # frame; about 300 s
tokens_calcium = frame_tokens(
    imaged.traces, scale, first, model_calcium.tokens_per_window, model_calcium.samples_per_token
)
expected_tokens, expected_rows = nl.Windows(imaged, model_calcium).samples(
    first / imaged.sampling_rate_hz
)
assert_close(tokens_calcium, expected_tokens)
assert len(expected_rows) == imaged.n_units
token_s = model_calcium.samples_per_token / imaged.sampling_rate_hz
print(
    f"tokens {tokens_calcium.shape}: a token of {token_s:.2f} s, a window of"
    f" {model_calcium.window_s:.1f} s"
)

# %% [markdown]
# ## 4 · Pairs of views
#
# A pair is drawn in two steps.
#
# **First views** tile the [valid time](../docs/glossary.md#valid-time). Each interval is covered
# with windows end to end, beginning at a random offset between 0 and one window. One such tiling of
# all recordings is an epoch. Within it no first view overlaps another; over many epochs every start
# at which a window fits is used equally often. Intervals shorter than two windows are left out.
#
# As an example, the first 240 s of a recording, with three stretches declared invalid.


# %%
def long_enough(intervals, window_s):
    """The intervals (K, 2), s, that hold at least two windows."""
    return intervals[intervals[:, 1] - intervals[:, 0] >= 2 * window_s - 1e-9]


def first_starts(interval, window_s, offset_s):
    """Windows end to end from `offset_s` after the interval's start, as many as fit -> starts (n,),
    s.
    """
    start, stop = interval
    starts = start + offset_s + window_s * np.arange(int((stop - start) / window_s) + 1)
    return starts[starts + window_s <= stop + 1e-9]


assert first_starts((0.0, 35.0), 10.0, offset_s=4.0).tolist() == [4.0, 14.0, 24.0]
assert first_starts((0.0, 35.0), 10.0, offset_s=6.0).tolist() == [6.0, 16.0]
valid = np.array([[0.0, 110.0], [112.0, 118.0], [120.0, 170.0], [205.0, 240.0]])
print("used:", long_enough(valid, model.window_s).tolist())

# %% [markdown]
# The module, `nl.PairedViews`, draws its own offsets. Its `plan` has three columns: for each pair
# the recording, the pair's number and the first view's start. The first start in each interval
# tells the offset; the other starts must then be ours:

# %%
gapped = nl.Recording.from_spike_trains(
    [one.spike_times(unit) for unit in one.units.index],
    one.units,
    valid,
    recording_id="gapped (simulated)",
    animal_id="a",
)
# all first starts, s
plan = np.sort(nl.PairedViews([gapped], model, views, batch_size=4, seed=seed).plan[2])
for interval in long_enough(valid, model.window_s):
    theirs = plan[(plan >= interval[0]) & (plan < interval[1])]
    offset = theirs[0] - interval[0]
    assert 0 <= offset < model.window_s
    assert_close(first_starts(interval, model.window_s, offset), theirs)
    print(f"{interval}: offset {offset:.2f} s, {len(theirs)} first views")

# %% [markdown] tags=["slide"]
# **Second views** may start anywhere that is (1) at most 30 s before or after the first one's
# start, and (2) such that the window lies wholly inside one of the intervals in use. This may be
# another interval than the first view's. All such starts are equally likely.
#
# Take an interval from 0 to 95 s. By hand: if the first view starts at 40 s, the second may start
# from 10 to 70 s. If at 5 s, from 0 to 35 s. If at 80 s, from 50 to 85 s: the window must end at
# 95.


# %%
def is_allowed(second_s, start_s, intervals, window_s, reach_s):
    """Whether a second view may start at second_s, s; the definition, word for word."""
    in_reach = abs(second_s - start_s) <= reach_s
    return in_reach and any(
        low <= second_s and second_s + window_s <= high for low, high in intervals
    )


for start, low, high in ((40.0, 10.0, 70.0), (5.0, 0.0, 35.0), (80.0, 50.0, 85.0)):
    is_in = [
        is_allowed(second, start, [(0.0, 95.0)], 10.0, 30.0)
        for second in (low - 0.01, low, high, high + 0.01)
    ]
    assert is_in == [False, True, True, False]

# %% [markdown]
# Now in the recording with gaps: a first view at 125 s, and a second up to 30 s before or after.
# Where may it not lie? And do units' counts grow less alike with distance? Answer first; then run
# the cell and move its slider.

# %%
usable = long_enough(valid, model.window_s)
distances = np.arange(-30, 31)  # s
allowed = np.array(
    [is_allowed(125.0 + d, 125.0, usable, model.window_s, views.max_distance_s) for d in distances]
)
# spikes of each unit in each window: (distances, units)
in_window = np.stack(
    [
        count_fast(one.times, one.unit_rows, one.n_units, 125.0 + d, model.window_s, 1)[:, 0]
        for d in distances
    ]
)
nl.plots.slider(
    lambda distance_s: nl.plots.one_pair(
        125.0,
        distances,
        allowed,
        in_window,
        distance_s,
        valid,
        one.epochs,
        model.window_s,
        title="each unit (simulated)",
    ),
    "view 2 starts later by (s)",
    distances.tolist(),
    at=27,
)

# %% [markdown]
# Counts are most alike while the windows share spikes, up to 10 s. Beyond, distance tells little:
# a unit keeps to its rate, more or less.
#
# The most literal way to draw a second start: throw darts at the ±30 s until one is allowed.
# (Exercise 2 does it without darts, as the module does.)


# %%
def throw_darts(start_s, intervals, window_s, reach_s, rng):
    """A second start, uniform over the allowed ones, s.

    It ends: the first view's own place is always allowed.
    """
    while True:
        second_s = start_s + rng.uniform(-reach_s, reach_s)
        if is_allowed(second_s, start_s, intervals, window_s, reach_s):
            return second_s


rng = np.random.default_rng(seed)
first_s = np.concatenate(
    [
        first_starts(interval, model.window_s, rng.uniform(0, model.window_s))
        for _ in range(n_epochs)
        for interval in usable
    ]
)
second_s = np.array(
    [throw_darts(start, usable, model.window_s, views.max_distance_s, rng) for start in first_s]
)

# %% [markdown]
# How far apart do the two views start? Let $d$ be the second start minus the first. What to expect
# is an average over all first starts $s$, each allowed second start having the same weight:
#
# $$p(d) = \Big\langle \frac{\mathbb{1}[\,s + d \in A(s)\,]}{|A(s)|} \Big\rangle_{s}$$
#
# $A(s)$ is the set of starts allowed for a first view at $s$, and $|A(s)|$ its length in seconds.
# $\mathbb{1}[\ldots]$ is 1 where the statement holds, else 0; $\langle\ldots\rangle_s$ is the mean
# over first starts.


# %% tags=["slide"]
def expected_density(intervals, window_s, reach_s, step_s=0.25):
    """Density of (second start - first start), on a grid -> distances (n,), s; density (n,),
    1/s.
    """
    low, high = intervals[:, 0], intervals[:, 1] - window_s
    first = np.concatenate([np.arange(a, b, step_s) + step_s / 2 for a, b in zip(low, high)])
    distance = np.arange(-reach_s, reach_s, step_s) + step_s / 2
    second = (first[:, None] + distance)[..., None]  # (starts, distances, 1)
    allowed = ((second >= low) & (second <= high)).any(axis=-1)  # (starts, distances)
    return distance, (allowed / allowed.sum(axis=1, keepdims=True)).mean(axis=0) / step_s


expected = expected_density(usable, model.window_s, views.max_distance_s)
nl.plots.second_views(
    first_s, second_s, valid, model.window_s, expected, title="a simulated recording with gaps"
)

# %% [markdown]
# Left, each dot is a pair. Near an edge of valid time a diagonal cuts the band of ±30 s: just after
# a start, only later places are left, and just before an end, only earlier ones. The corner
# triangles to the left and right of 115 s are pairs that reach across the two short gaps. No pair
# reaches across the last gap: it is 35 s long.
#
# Right, why the distribution isn't flat: a long distance is possible only for first views far from
# the edges, a short one for all. In one long interval it is nearly flat (Exercise 3).
#
# Does the module draw the same? Its batches hold tokens and no times. So we give it a recording
# that is a clock: one "unit" whose value is the number of the frame. Its tokens tell where they
# were cut. (`read_clock` undoes the scaling of section 3.) Then darts and module are compared with
# the equation: what share of pairs has at most this distance?


# %%
def clock(stop_s, step_s, intervals):
    """A recording whose only trace is the number of the frame."""
    frames = np.arange(round(stop_s / step_s), dtype=np.float32)[:, None]  # (frames, 1)
    return nl.Recording.from_traces(
        frames, 1 / step_s, intervals=intervals, recording_id="clock", animal_id="none"
    )


def read_clock(tokens, recording):
    """When each window of a clock starts. tokens (windows, L, P) -> (windows,), s."""
    return (
        tokens[:, 0, 0].double() * recording.trace_scale
    ).round().numpy() / recording.sampling_rate_hz


def module_starts(recording, model, views, n_epochs, seed):
    """First and second starts of all pairs that the module draws from a clock in n_epochs -> (2,
    pairs), s.
    """
    # one batch an epoch
    pairs = nl.PairedViews([recording], model, views, batch_size=10_000, seed=seed)
    starts = []
    for epoch in range(n_epochs):
        pairs.set_epoch(epoch)
        starts.append([read_clock(tokens, recording) for tokens in pairs[0][:2]])
    return np.concatenate(starts, axis=1)  # (2, pairs)


# %%
clock_model = replace(model, modality="calcium")  # frames of 20 ms: the same window
clock_views = replace(views, kept_share=(1.0, 1.0), min_units=1)
first_m, second_m = module_starts(
    clock(240.0, model.sample_s, valid), clock_model, clock_views, n_epochs, seed
)
roomy = usable + [[-1e-6, 1e-6]]  # for rounding
assert all(
    is_allowed(second, first, roomy, 10.0, 30.0 + 1e-6) for first, second in zip(first_m, second_m)
)
at = expected[0] + 0.125  # right edges of the density's grid, s
formula = np.cumsum(expected[1]) * 0.25  # share of pairs with at most this distance
for name, distance in (("darts", second_s - first_s), ("module", second_m - first_m)):
    furthest = abs((distance <= at[:, None]).mean(axis=1) - formula).max()
    print(
        f"{name}: {len(distance)} pairs, largest difference from the expected share {furthest:.3f}"
    )
    assert furthest < 2 / np.sqrt(len(distance))  # what chance allows

# %% [markdown] tags=["slide"]
# Some pairs **overlap**: less than 10 s lie between their starts. In a long interval distances are
# uniform over ±30 s, so that is $10/30$, a third of the pairs. (Above it is 44 %: short intervals
# have more short distances.) An overlapping pair shares half a window on average. So in a long
# interval a third of a half is shared: a sixth.
#
# The recipe sets a greatest distance, no smallest one. So short intervals can be used, too; but a
# pair that overlaps is an easy one. Section 8 shows how easy.
#
# ## 5 · Unit dropout
#
# Each view keeps its own random subset of the units: first how many, uniform between half and all
# of them, then which ([unit dropout](../docs/glossary.md#unit-dropout)). Why leave units out?
#
# - The encoder will meet populations of any size. It should not get used to one.
# - A unit must be recognisable in any company, not by the presence of one neighbour, which may be
#   missing.
# - A unit that is in one view only can't be found again, but the others must still be told apart
#   from it. So the same two windows make another task each time.


# %%
def kept_rows(n_units, share, rng):
    """A random subset, its size uniform between the two shares of n_units -> rows, ascending."""
    fewest, most = (int(np.ceil(part * n_units - 1e-9)) for part in share)
    shuffled = rng.permutation(n_units)
    return np.sort(shuffled[: rng.integers(fewest, most + 1)])


rng = np.random.default_rng(seed)
n_units, n_draws = 40, 4000
kept = np.zeros((2, n_draws, n_units), dtype=bool)  # view, draw, unit
for view, draw in np.ndindex(2, n_draws):
    kept[view, draw, kept_rows(n_units, views.kept_share, rng)] = True
print(f"kept in one view {kept[0].mean():.3f}, in both {(kept[0] & kept[1]).mean():.3f}")
print(f"between {kept.sum(axis=2).min()} and {kept.sum(axis=2).max()} of {n_units} units")

# %% [markdown]
# By hand: a view keeps three quarters of the units on average. The two draw independently, so a
# unit is in both with $0.75^2 = 0.5625$. Only these units are
# [matched](../docs/glossary.md#matched-unit). Silent units fall out afterwards. If fewer than
# `min_units` are then left in either view, the pair is dropped: 2 here, 11 in the paper's presets.

# %%
assert abs((kept[0] & kept[1]).mean() - 0.5625) < 0.01
assert kept.sum(axis=2).min() == 20 and kept.sum(axis=2).max() == 40

# %% [markdown]
# Each row carries its unit's **id**: the row number in the recording, not in the view (until now,
# `rows`). Ids are how the loss knows who is who; the encoder never gets them. Here is a whole pair,
# one training sample:

# %% tags=["slide"]
rng = np.random.default_rng(seed + 4)
starts_s = (100.0, 117.3)  # any two within reach
pair = [
    spike_tokens(one, start, model, kept_rows(one.n_units, views.kept_share, rng))
    for start in starts_s
]
matched = np.intersect1d(pair[0][1], pair[1][1])
print(
    f"{one.n_units} units; view 1: {pair[0][0].shape}, view 2: {pair[1][0].shape}; {len(matched)}"
    " are in both"
)
nl.plots.two_views(
    one,
    starts_s,
    pair,
    model.sample_s,
    title=f"one training sample: two views of {one.recording_id}",
)

# %% [markdown] tags=["slide"]
# The lower panels are the first rows of both tensors. A line joins a unit with itself: same id,
# often another row. These lines are the only supervision.
#
# (In the authors' code for calcium, unit dropout does not reach the array that the model reads. So
# the preset `paper-calcium` keeps all units.)
#
# ## 6 · Several populations in one tensor
#
# A batch holds several pairs, mostly from different recordings, and after dropout no two views have
# the same number of units. They could be padded with empty rows to the size of the largest. We
# [pack](../docs/glossary.md#packing) them instead: the $U$ rows of all populations one after the
# other, `(U, L, P)`, and beside them how many belong to each.

# %% tags=["slide"]
nl.plots.packed_populations(["recorded", "packed"])

# %% [markdown]
# By hand, with populations of 2, 1 and 3 units:


# %%
def pack(samples):
    """[(tokens (u, L, P), rows (u,)), ...] -> tokens (U, L, P), ids (U,), sizes (N,): U is the sum
    of all u.
    """
    tokens = torch.from_numpy(np.concatenate([tokens for tokens, _ in samples]))
    ids = torch.from_numpy(np.concatenate([rows for _, rows in samples]))
    return tokens, ids, torch.tensor([len(rows) for _, rows in samples])


tiny = [
    (np.full((len(rows), 2, 3), value), np.array(rows))
    for value, rows in ((1.0, [0, 2]), (2.0, [5]), (3.0, [0, 1, 4]))
]
tokens, ids, sizes = pack(tiny)
print("tokens", tuple(tokens.shape), "  ids", ids.tolist(), "  sizes", sizes.tolist())
parts = tokens.split(sizes.tolist())  # (6, 2, 3) -> (2, 2, 3), (1, 2, 3), (3, 2, 3)
assert [len(part) for part in parts] == [2, 1, 3] and (parts[2] == 3).all()

# %% [markdown]
# Id 0 occurs twice, in different populations: an id is unique within a population only.
#
# To compare with the module's `Batch` we leave nothing to chance: all units kept, and a reach of 0
# s, so that the second view is the first. What must be in the first batch is then known.

# %%
certain = replace(views, max_distance_s=0.0, kept_share=(1.0, 1.0))
pairs = nl.PairedViews(recordings, model, certain, batch_size=6, seed=seed)
# recording and first start (s) of six pairs
which, _, start = (column[:6] for column in pairs.plan)
by_hand = pack([spike_tokens(recordings[i], s, model) for i, s in zip(which, start)])
batch = pairs[0]
for ours, theirs in zip(by_hand, (batch.tokens_1, batch.ids_1, batch.sizes_1)):
    assert_close(ours, theirs)
assert_close(batch.tokens_1, batch.tokens_2)
print("recordings", which, " sizes", batch.sizes_1.tolist(), " tokens", tuple(batch.tokens_1.shape))

# %% [markdown] tags=["slide"]
# And with unit dropout, what would padding waste?

# %% tags=["slide"]
pairs = nl.PairedViews(recordings, model, views, batch_size=6, seed=seed)
# (batches, pairs in a batch)
sizes = np.stack([pairs[index].sizes_1 for index in range(len(pairs))])
waste = 1 - sizes.sum(axis=1) / (6 * sizes.max(axis=1))
print(
    f"share of rows that would be empty if padded: {waste.mean():.0%} on average over {len(waste)}"
    " batches"
)
usual = np.argsort(waste)[len(waste) // 2]
nl.plots.packing(sizes[usual], title="a typical batch: the first views of six pairs (simulated)")

# %% [markdown]
# Most layers of the encoder treat each row by itself. Only attention between units needs to know
# who belongs together: `03_transformer`.
#
# ## 7 · The same pair, whoever asks
#
# A batch may be made by any of several worker processes, on any of several machines, or after a run
# was stopped and resumed. If draws came from one running generator, they would depend on who asks
# and when. Worse, each worker begins with a copy of it, and all draw the same numbers:

# %%
rng = np.random.default_rng(seed)
workers = [copy.deepcopy(rng) for _ in range(2)]
print([worker.uniform(-30, 30, size=3).round(2).tolist() for worker in workers])

# %% [markdown]
# So each pair gets a generator of its own, made from who it is: (seed, epoch, recording, pair).
# (SHA-256 makes a number of a name; Python's own `hash` differs from one process to the next.)


# %%
def generator_for(seed, epoch, purpose, recording_id, *numbers):
    """The generator of one purpose ('tiling', 'pair') in one epoch of one recording."""
    digest = hashlib.sha256(f"{purpose}/{recording_id}".encode()).digest()
    name = int.from_bytes(digest[:8], "little")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, name, *numbers)))


def tiling(recording, model, seed, epoch):
    """All first starts of a recording in one epoch, s."""
    intervals = long_enough(recording.intervals, model.window_s)
    rng = generator_for(seed, epoch, "tiling", recording.recording_id)
    offsets = rng.uniform(0, model.window_s, len(intervals))
    return np.concatenate(
        [
            first_starts(interval, model.window_s, offset)
            for interval, offset in zip(intervals, offsets)
        ]
    )


# %%
recordings_and_gaps = [*recordings, gapped]
pairs = nl.PairedViews(recordings_and_gaps, model, views, batch_size=4, seed=seed)
for epoch in (0, 1, 7):
    pairs.set_epoch(epoch)
    which, _, start = pairs.plan
    for index, recording in enumerate(recordings_and_gaps):
        assert_close(tiling(recording, model, seed, epoch), np.sort(start[which == index]))
print("epochs 0, 1 and 7: all first views are where they should be")

# %% [markdown]
# Now we know the offsets, and a recording's pairs don't depend on the other recordings. The proof
# for whole batches: two workers against none, and forwards against backwards.


# %%
def assert_same(batches, others):
    """Every tensor of every batch is the same, bit for bit."""
    assert len(batches) == len(others)
    for batch, other in zip(batches, others):
        for ours, theirs in zip(batch, other):
            assert_close(ours, theirs, rtol=0, atol=0)


some = range(6)
alone = [pairs[index] for index in some]
backwards = [pairs[index] for index in reversed(some)][::-1]
two_workers = list(DataLoader(pairs, batch_size=None, sampler=some, num_workers=2))
assert_same(alone, backwards)
assert_same(alone, two_workers)
print("the same six batches, three ways")

# %% [markdown] tags=["slide"]
# ## 8 · What can leak?
#
# A [label](../docs/glossary.md#label) that gets into training would be fatal. A shortcut, by which
# the task is solved without knowing what kind of neuron it is, is a matter of degree.
#
# **Labels.** A batch has six tensors: tokens, ids and sizes of both views. Take all labels away,
# and nothing changes:

# %%
unlabelled = [
    replace(recording, units=recording.units[[]], animal_id="nobody")
    for recording in recordings_and_gaps
]
assert all(recording.units.shape[1] == 0 for recording in unlabelled)
blind = nl.PairedViews(unlabelled, model, views, batch_size=4, seed=seed)
blind.set_epoch(7)
assert_same(alone, [blind[index] for index in some])
print(nl.Batch._fields)

# %% [markdown]
# What this can't rule out is a label in the spikes themselves. Where it was made from activity, as
# with light pulses, that activity must be cut out of the valid time: see `01_recordings`.
#
# **A shortcut.** Two views that overlap have the spikes of the shared seconds in common. One can
# then find a unit by copying: lay its counts over everybody's counts of the other view, try all
# shifts, take the best fit.


# %%
def found_by_copying(view_1, view_2):
    """Share of matched units that fit themselves best, over all shifts.

    A view: tokens (u, L, P), rows (u,).
    """
    x, y = (torch.from_numpy(tokens).flatten(1) for tokens, _ in (view_1, view_2))  # (u, L * P)
    x, y = ((z - z.mean(dim=1, keepdim=True)) / z.std(dim=1, keepdim=True) for z in (x, y))
    length = 2 * x.shape[1]  # twice as long, so that no shift wraps around
    # (u1, u2, frequencies)
    spectra = torch.fft.rfft(x, length)[:, None] * torch.fft.rfft(y, length).conj()
    best = torch.fft.irfft(spectra, length).amax(dim=2)  # (u1, u2): correlation at the best shift
    guess = view_2[1][best.argmax(dim=1).numpy()]
    return (guess == view_1[1])[np.isin(view_1[1], view_2[1])].mean()


# %% tags=["slide"]
n_tries = {"smoke": 20, "laptop": 80, "full": 200}[profile]
rng = np.random.default_rng(seed)
table = []
for distance in np.linspace(0.1, 20.0, n_tries):
    start = rng.uniform(0, duration_s - 30.0)
    view_1, view_2 = (spike_tokens(one, at, model) for at in (start, start + distance))
    found = found_by_copying(view_1, view_2)
    table.append({"distance_s": distance, "found": found, "chance": 1 / len(view_2[1])})
table = pd.DataFrame(table)
stretches = pd.cut(table["distance_s"], [0, 2, 4, 6, 8, 10, 20])
print(table.groupby(stretches, observed=True)["found"].mean().round(2))
nl.plots.found_by_copying(
    table, model.window_s, title="finding a unit by copying its spikes (simulated)"
)

# %% [markdown]
# While the views share nearly all of their time, nearly every unit is found. With half the window
# shared, somewhat more than half of the units are; with less than two seconds shared, no more than
# by [chance](../docs/glossary.md#chance).
#
# Is that a problem? Overlapping pairs hold something easier to go by than identity. But the encoder
# must make each view's vectors without seeing the other view, and pairs that don't overlap reward
# only what still holds 10 to 30 s later. Whether forbidding overlap makes better vectors is a
# question for an experiment, which Exercise 3 prepares.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): how many pairs an epoch?
#
# A recording has one valid interval of 95 s; windows are 10 s long; first views are laid end to end
# from a random offset between 0 and 10 s, new each epoch. How many pairs does an epoch have?
#
# - `"a"`: 9, in every epoch
# - `"b"`: 9 or 10, about half of the epochs each
# - `"c"`: 8 or 9, about half of the epochs each
# - `"d"`: 8, in every epoch
#
# Write the letter, and for yourself the reason. The check asks the module for 400 epochs.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "c"
### END SOLUTION

# %% tags=["check"]
assert prediction in ("a", "b", "c", "d"), "write one of the letters a, b, c, d, in quotes"
numbers = []
drawn = nl.PairedViews(
    [clock(95.0, 0.02, [[0.0, 95.0]])], clock_model, clock_views, batch_size=1, seed=seed
)
for epoch in range(400):
    drawn.set_epoch(epoch)
    numbers.append(drawn.n_pairs)
shares = pd.Series(numbers).value_counts(normalize=True).to_dict()
truth = {(9,): "a", (9, 10): "b", (8, 9): "c", (8,): "d"}[tuple(sorted(shares))]
assert prediction == truth, (
    "400 epochs say otherwise; where does the last window end for an offset of 2 s, of 8 s?"
)
print("exercise 1: right; share of epochs with so many pairs:", shares)

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): where may the second view start?
#
# Darts are wasteful. Better: work out the allowed starts (section 4, "second views"). In each
# interval they are one stretch from `low` to `high`, or none. Write the function that returns these
# stretches, one for each interval, as two arrays. If an interval has no allowed start, let its
# `high` be below its `low`. A loop is fine.
#
# To draw from stretches, lay them end to end and pick one place; that part is given below
# (`uniform_over`). [0, 10] and [20, 25] are 15 s end to end; the place 12 s from the beginning is
# at 22 s.
#
# The check compares with `is_allowed` on a fine grid. Then it redraws batches of the module with
# your function, bit for bit.


# %%
def uniform_over(low_s, high_s, rng):
    """One place, uniform over all stretches [low, high] together, s; None if all are empty. low_s,
    high_s (n,).
    """
    length = np.clip(high_s - low_s, 0.0, None)
    if not length.sum() > 0:
        return None
    ends = length.cumsum()
    place = rng.random() * ends[-1]
    which = np.searchsorted(ends, place, side="right")
    return low_s[which] + place - (ends[which] - length[which])


low, high = np.array([0.0, 20.0]), np.array([10.0, 25.0])
for number in range(100):
    theirs = nl.Windows(one, model).starts_between(low, high, np.random.default_rng(number))
    assert np.isclose(uniform_over(low, high, np.random.default_rng(number)), theirs)


# %% jupyter={"source_hidden": true} tags=["solution"]
def allowed_starts(start_s, intervals, window_s, reach_s):
    """Where the second view may start, given that the first starts at start_s.

    start_s : s. intervals : (K, 2) valid time, s, each at least two windows long. window_s : s.
    reach_s : greatest distance of the two starts, s.
    Returns low (K,) and high (K,), s; high < low: none in this interval.
    """
    ### BEGIN SOLUTION
    low = np.maximum(intervals[:, 0], start_s - reach_s)
    high = np.minimum(intervals[:, 1] - window_s, start_s + reach_s)
    return low, high
    ### END SOLUTION


# %%
def redraw(recording, start_s, pair, seed, epoch, model, views, allowed):
    """Both views of one pair, from the pair's own generator: [(tokens, rows), (tokens, rows)]."""
    rng = generator_for(seed, epoch, "pair", recording.recording_id, int(pair))
    usable = long_enough(recording.intervals, model.window_s)
    low, high = allowed(start_s, usable, model.window_s, views.max_distance_s)
    starts = (start_s, uniform_over(low, high, rng))
    return [
        spike_tokens(recording, start, model, kept_rows(recording.n_units, views.kept_share, rng))
        for start in starts
    ]


# %% tags=["check"]
for start in (0.0, 5.0, 95.0, 125.0, 160.0, 229.9):
    low, high = allowed_starts(start, usable, 10.0, 30.0)
    assert isinstance(low, np.ndarray) and isinstance(high, np.ndarray), (
        "return two arrays: np.array(...) of a list"
    )
    for second in np.arange(-20.0, 280.0, 0.25):
        inside = bool(((low <= second) & (second <= high)).any())
        wanted = is_allowed(second, start, usable, 10.0, 30.0)
        assert inside == wanted, (
            f"first view at {start:g} s: your function says {inside} for {second:.1f} s"
        )

pairs.set_epoch(7)
for index in range(8):
    plan = zip(*(column[4 * index : 4 * index + 4] for column in pairs.plan))  # four pairs a batch
    redrawn = [
        redraw(recordings_and_gaps[i], start, pair, seed, 7, model, views, allowed_starts)
        for i, pair, start in plan
    ]
    (tokens_1, ids_1, sizes_1), (tokens_2, ids_2, sizes_2) = (
        pack([both[at] for both in redrawn]) for at in (0, 1)
    )
    assert_same([(tokens_1, tokens_2, ids_1, ids_2, sizes_1, sizes_2)], [pairs[index]])
print("exercise 2: right; eight batches of the module, redrawn bit for bit")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): views that never overlap
#
# Give the second view a smallest distance, too. The stretches now lie on both sides of the first
# view, so there may be two in each interval. Return them all, in any order.
#
# The check compares your stretches with `is_allowed`. Then the cell after it draws from them, and
# measures what share of pairs overlaps and how much time they share, for a smallest distance of 0,
# 5 and 10 s. Before you run it: which three shares of overlapping pairs do you expect? And what
# becomes of an interval that is just two windows long?
#
# To take it further: write a subclass of `nl.PairedViews` that draws second starts this way,
# pretrain with both, and compare.


# %% jupyter={"source_hidden": true} tags=["solution"]
def starts_apart(start_s, intervals, window_s, reach_s, smallest_s):
    """Where the second view may start if the two starts must lie at least smallest_s and at most
    reach_s apart.

    start_s, window_s, reach_s, smallest_s : s. intervals : (K, 2) valid time, s.
    Returns low (n,) and high (n,), s, for as many stretches n as needed; high < low: an empty one.
    """
    ### BEGIN SOLUTION
    first, last = intervals[:, 0], intervals[:, 1] - window_s
    # before, after
    low = [np.maximum(first, start_s - reach_s), np.maximum(first, start_s + smallest_s)]
    high = [np.minimum(last, start_s - smallest_s), np.minimum(last, start_s + reach_s)]
    return np.concatenate(low), np.concatenate(high)
    ### END SOLUTION


# %% tags=["check"]
for smallest in (0.0, 5.0, 10.0):
    for start in (0.0, 5.0, 95.0, 125.0, 160.0, 229.9):
        low, high = starts_apart(start, usable, 10.0, 30.0, smallest)
        for second in np.arange(-20.03, 280.0, 0.3):
            inside = bool(((low <= second) & (second <= high)).any())
            wanted = (
                is_allowed(second, start, usable, 10.0, 30.0) and abs(second - start) >= smallest
            )
            assert inside == wanted, (
                f"at least {smallest:g} s apart, first view at {start:g} s: may the second start at"
                f" {second:.1f} s? Your function says {inside}"
            )
low, high = starts_apart(4.0, np.array([[0.0, 20.0]]), 10.0, 30.0, 10.0)
drawn = uniform_over(low, high, np.random.default_rng(0))
assert drawn is None, "in an interval of two windows, with the first at 4 s, no place is left"
print("exercise 3: right")

# %% tags=["target"]
long = np.array([[0.0, 600.0]])
rng = np.random.default_rng(seed)
drawn = {}
for smallest in (0.0, 5.0, 10.0):
    offsets = rng.uniform(0, 10.0, size=n_epochs // 2)
    first = np.concatenate([first_starts(long[0], 10.0, offset) for offset in offsets])
    second = np.array(
        [uniform_over(*starts_apart(start, long, 10.0, 30.0, smallest), rng) for start in first]
    )
    drawn[f"at least {smallest:g} s"] = second - first
nl.plots.distances(drawn, window_s=10.0, title="one interval of 600 s, second view within 30 s")

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# The drawing at the top, filled with the pair of section 5:

# %% tags=["slide"]
nl.plots.method(
    ["views", "tokens"],
    {"views": pair, "tokens": pair[0][0]},
    title="a pair of views (simulated)",
)

# %% [markdown]
# About 85 % of the counts are 0. About 56 % of the units are kept in both views of a pair. In a
# long interval a third of the pairs overlap; over all pairs, a sixth of the time is shared. Copying
# finds nearly every unit when the starts are less than 1 s apart; without overlap, no more than
# chance does. The cell below checks it.

# %%
long = np.array([[0.0, 600.0]])
rng = np.random.default_rng(seed)
offsets = rng.uniform(0, 10.0, size=n_epochs // 2)
first_s = np.concatenate([first_starts(long[0], 10.0, offset) for offset in offsets])
distance = np.abs([throw_darts(start, long, 10.0, 30.0, rng) - start for start in first_s])
near, far = table[table["distance_s"] < 1], table[table["distance_s"] > 10]
seen = {
    "samples that are 0": ((spike_tokens(one, 100.0, model)[0] == 0).mean(), 0.85, 0.06),
    "units in both views": ((kept[0] & kept[1]).mean(), 0.5625, 0.01),
    "pairs that overlap": ((distance < 10).mean(), 0.34, 0.03),
    "time shared": (np.clip(1 - distance / 10, 0, None).mean(), 0.17, 0.02),
    "found by copying, below 1 s": (near["found"].mean(), 0.98, 0.05),
    "found by copying, beyond 10 s": (far["found"].mean(), 0.03, 0.04),
}
for name, (value, about, tolerance) in seen.items():
    print(f"{name}: {value:.3f} (expected {about:g} ± {tolerance:g})")
    assert abs(value - about) < tolerance, name

# %% [markdown]
# **Read** Arora et al. 2025 (arXiv 2512.01199), section 3.1, on views and unit dropout. On pairs of
# views without labels in images: Chen et al. 2020 (SimCLR, arXiv 2002.05709). On contrast between
# time windows: van den Oord et al. 2018 (arXiv 1807.03748). On tokens made of neighbouring samples:
# Nie et al. 2023 (arXiv 2211.14730).
#
# **Next:** `03_transformer` reads these tokens, along time and across units.
