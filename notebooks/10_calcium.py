# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Calcium: two-photon imaging, and a test that needs no label
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/10_calcium.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/10_calcium.ipynb
#
# **You will learn** what changes when spikes become dF/F; how to ask whether vectors are worth
# anything without a single label, by finding the same cell again in another session; and why a
# label that all cells of a recording share must be read with care.
#
# **Needs** nothing but this repository: by default the experiments are *simulated*, in the Allen
# Institute's file format. With AllenSDK, a network and disk, `data_source = "allen"` runs the same
# cells on the Visual Coding two-photon set (de Vries et al. 2020, Nature Neuroscience 23:138).
# **Takes** about 2 minutes on a laptop (2 cores), on a GPU: not timed yet; downloads on top.

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
profile = "laptop"  # "smoke": seconds; "laptop": minutes; "full": more animals and steps
data_source = "simulated"  # "simulated", or "allen": AllenSDK, a network, disk
# AllenSDK's cache folder, an old one or a new one (allen only)
cache_dir = "../data/raw/allen_two_photon"
area = "VISp"  # imaged area (allen only)
training_steps = 0  # optimiser steps; 0: the profile's
seed = 0  # of the simulation, the weights, the views and the controls
scores_csv = ""  # also write the score table here; "": nowhere

# %% [markdown] tags=["slide"]
# In colour, what is different in calcium imaging: the recording, and what a token is.

# %% tags=["slide"]
import nuclr_lite as nl

nl.plots.method(["recording", "tokens"])

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nuclr_lite import baselines, retrieval
from nuclr_lite.sources.allen import two_photon
from nuclr_lite.sources.simulated.allen_two_photon import simulate_allen_experiment

# %% [markdown] tags=["slide"]
# ## 1 · Planes, sessions, containers
#
# A microscope images one plane of cortex in a mouse whose Cre line decides which cells carry the
# indicator: all Vip cells, say, or the excitatory cells of layers 2/3. One imaging session is an
# *experiment*; a *container* holds the sessions of the same plane on different days. Cells are
# matched across days by the Institute (`cell_specimen_id`). We take several animals a line, and two
# sessions of each. (Cux2: excitatory cells of layers 2 to 4.)

# %%
lines = {
    "Cux2": "Cux2-CreERT2",
    "Pvalb": "Pvalb-IRES-Cre",
    "Sst": "Sst-IRES-Cre",
    "Vip": "Vip-IRES-Cre",
}
animals_per_line = {"smoke": 2, "laptop": 4, "full": 8}[profile]
if data_source not in ("simulated", "allen"):
    raise ValueError(f"data_source is {data_source!r}; use 'simulated' or 'allen'.")

# %%
if data_source == "allen":
    experiments = two_photon.list_experiments(
        cache_dir,
        cre_line=list(lines),
        area=area,
        session_type=["three_session_A", "three_session_B"],
    )
    plane = ["cre_line", "animal_id", "experiment_container_id"]
    sessions_of = experiments[~experiments["failed"]].groupby(plane).size()
    # one plane an animal
    both = sessions_of[sessions_of == 2].reset_index().drop_duplicates("animal_id")
    wanted = both.groupby("cre_line").head(animals_per_line)["experiment_container_id"]
    chosen = experiments[experiments["experiment_container_id"].isin(wanted)]
    paths = two_photon.download_experiments(list(chosen.index), cache_dir, confirm=False)

# %%
if data_source == "simulated":
    scratch = tempfile.TemporaryDirectory()  # gone with the kernel
    n_cells, duration_s = {"smoke": (14, 180.0), "laptop": (30, 900.0), "full": (60, 1800.0)}[
        profile
    ]
    paths = [
        simulate_allen_experiment(
            Path(scratch.name) / f"{number}{session}.nwb",
            experiment_id=910_000 + 10 * number + at,
            container_id=700 + number,
            cre_line=line,
            session_type=f"three_session_{session}",
            n_cells=n_cells,
            duration_s=duration_s,
            seed=seed,
        )
        for number, line in enumerate(list(lines.values()) * animals_per_line)
        for at, session in enumerate("AB")
    ]

# %%
recordings = [two_photon.read_experiment(path) for path in paths]
units = nl.units_table(recordings)
where = {"simulated": "simulated", "allen": "Allen Institute"}[data_source]
units.groupby("cell_type").agg(
    animals=("animal_id", "nunique"),
    sessions=("experiment_id", "nunique"),
    cells=("roi_id", "size"),
)

# %% [markdown] tags=["slide"]
# ## 2 · From fluorescence to tokens
#
# **Slower.** The indicator's light fades over several tenths of a second (0.6 s in the simulation).
# 30 frames per second are more than it can follow: `read_experiment` averages seven, 30 Hz / 7 =
# 4.29 Hz. Four averaged frames make a token, 32 tokens a window of 30 s. A window of 10 s, as for
# spikes, would hold a handful of transients.
#
# **Cleaner time.** Frames that the microscope dropped, gaps in dF/F, and jerks of the animal (the
# image shifts by more than 10 um against the minute around it) enter no average, and are left out
# of the valid intervals.
#
# **One scale.** Views divide the dF/F of a recording by a single number, the 99th percentile over
# all its cells and frames: a cell with large transients keeps them larger than the others'.

# %% tags=["slide"]
one = next(recording for recording in recordings if recording.units["cell_type"].iloc[0] == "Pvalb")
print(
    f"a Pvalb plane: {one.sampling_rate_hz:.3f} Hz, 99th percentile of dF/F {one.trace_scale:.2f}, "
    f"valid from {one.intervals[0, 0]:.1f} s on the microscope's clock"
)
nl.plots.activity(one, duration_s=150.0)

# %% [markdown] tags=["slide"]
# ## 3 · Pretraining, some animals held out
#
# The last animal of each line is held out: in the identity test of section 4 the encoder has never
# seen it. (`PRESETS["allen-two-photon"]` is the published size and recipe, for a GPU; here the
# small encoder of `quick-calcium`, one block, with that recipe's tokens and second views up to four
# minutes away, unit dropout, and a third of the rate for Muon: what is asked below is what *lasts*.
# `results/speedrun.md` says what recipes nearer to it do here.)

# %% tags=["slide"]
steps = training_steps or {"smoke": 20, "laptop": 800, "full": 10_000}[profile]
preset = nl.PRESETS["laptop-calcium"].with_(
    temporal_layers=0,
    spatiotemporal_layers=1,
    muon_learning_rate=1e-3,
    learning_rate=1e-3,
    warmup_steps=100,
    steps=steps,
    seed=seed,
)
last = units.drop_duplicates("animal_id").groupby("cre_line")["animal_id"].last()
training = [recording for recording in recordings if recording.animal_id not in set(last)]
pretrained = nl.pretrain(training, preset)
nl.plots.history(pretrained.history)

# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    untrained = nl.NuCLR(preset.model)
features = {
    "NuCLR": nl.embed(pretrained.encoder, recordings),
    "untrained encoder": nl.embed(untrained, recordings),
}
features |= {f"hand: {name}": table for name, table in baselines.hand_features(recordings).items()}
features["hand: coupling to the population"] = baselines.population_coupling(recordings)

# %% [markdown] tags=["slide"]
# ## 4 · The same cell, another day
#
# Here is a test that needs no label. A cell of session A has a vector; which cell of session B, on
# another day and with other stimuli, has the nearest one? If vectors say something lasting about a
# cell, it is the same cell. Three cells, by hand: A's vectors below are nearest to B's first, third
# and third. Two of three are right; chance is one in three.

# %% tags=["slide"]
a = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]])
b = np.array([[0.9, 0.1], [0.6, 0.4], [-0.7, 0.7]])
cosine = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (
    b / np.linalg.norm(b, axis=1, keepdims=True)
).T
assert cosine.argmax(axis=1).tolist() == [0, 2, 2]
pd.DataFrame(
    cosine, index=["A's cell 1", "A's cell 2", "A's cell 3"], columns=["B's 1", "B's 2", "B's 3"]
).round(2)

# %% [markdown]
# `identity_score` does it for each pair of sessions of a container, both ways, after standardising
# each session (otherwise what differs between the two days would count).

# %%
unseen = [recording for recording in recordings if recording.animal_id in set(last)]
identity = {name: retrieval.identity_score(table, unseen) for name, table in features.items()}
identity = pd.concat(identity, names=["method"]).reset_index("method")
identity = identity.merge(units.drop_duplicates("container_id")[["container_id", "cell_type"]])
by_line = identity.pivot_table(index="method", columns="cell_type", values="top1", sort=False)
by_line.assign(mean=by_line.mean(axis=1)).round(2)

# %% tags=["slide"]
nl.plots.identity(identity, title=f"the same cell on another day, held-out animals ({where})")

# %% [markdown] tags=["slide"]
# A dot is one pair of sessions of one animal, at `laptop` with 21 shared cells: one cell more or
# less moves it by 0.05. Look at the whole row. The hand-made correlation with the population is the
# best of what was not learned.
#
# ## 5 · The Cre line, and what it can't show
#
# The Cre line labels cells without any optotagging. But *all cells of a recording have the same
# one*. Something that merely tells recordings apart (brightness, noise, how active the mouse was)
# can then seem to tell cell types apart. So each animal is decoded by a classifier that saw only
# the labels of *other* animals (the encoder saw the activity of most of them, never a label:
# *transductive zero-shot*). And one row more knows nothing of single cells: each cell gets the
# *mean* vector of its recording. Where that does as well, the score says how populations differ,
# not how cells do.

# %% tags=["slide"]
features["NuCLR, mean of the recording"] = baselines.recording_means(features["NuCLR"])
table, results = nl.score_table(features, units["cell_type"], units["animal_id"], seed=seed)
if scores_csv:
    both = identity.groupby("method", sort=False)["top1"].agg(["mean", "size"]).reset_index()
    both = both.assign(metric="identity_top1").rename(columns={"mean": "estimate", "size": "n"})
    pd.concat([table, both]).assign(label="cell_type", seed=seed).round(4).to_csv(
        scores_csv, index=False
    )
nl.plots.scores(table, title=f"Cre line, one animal left out in turn ({where})")

# %% tags=["slide"]
nl.plots.confusion(results["NuCLR"].predictions, title=f"NuCLR on the Cre line ({where})")

# %% [markdown]
# (*majority* is 0 because the line that is most frequent among the other animals is never that of
# the one left out.)
#
# In the simulation a line shows only in how its cells go with each other: excitatory cells each
# mostly alone, Pvalb together, Sst together but each with a lag of its own, Vip in two camps. The
# encoder is never asked to tell lines apart: its negatives are the *other cells of the same
# recording*, which are of the same line. That the line can be read all the same is a by-product.
# Here the mean of the recording does as well as single cells, and random weights do better: what is
# read is how *populations* differ, which any mixing of their activity shows. The same holds for any
# set, simulated or real, in which a recording has one label. What training improves most directly
# is what it trains, telling the cells of one population apart: section 4.

# %% [markdown] tags=["slide"]
# The drawing again, with a plane and the scores of this notebook in place of the symbols:

# %% tags=["slide"]
shown = ["NuCLR", "NuCLR, mean of the recording", "hand: all", "chance"]
filled = {"recording": one, "decoding": {name: results[name].score() for name in shown}}
nl.plots.method(["recording", "decoding"], filled, title=f"Cre line ({where})")

# %% [markdown]
# ## Exercises
#
# The first is about the scale of section 2, the others about the test of section 4. None trains
# anything.

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): a stronger indicator, a stronger cell
#
# `one` is the Pvalb plane of section 2. First all its dF/F are doubled, as by an indicator that
# answers twice as strongly (a brighter laser would change nothing: dF/F is relative to rest). Then
# the dF/F of *a single cell* are doubled, the first in the table. In which case does that first
# cell's vector change?
#
# - `"a"`: in neither: views are scaled;
# - `"b"`: only where it alone is doubled;
# - `"c"`: in both.
#
# The check embeds the plane three times.


# %%
def stronger(recording, factors):
    """The same plane with the dF/F of each cell multiplied; factors (cells,)."""
    traces = recording.traces * np.asarray(factors, dtype=np.float32)  # (frames, cells) * (cells,)
    return nl.Recording.from_traces(
        traces,
        recording.sampling_rate_hz,
        recording.units,
        recording.intervals,
        start_s=recording.start_s,
        recording_id=recording.recording_id,
        animal_id=recording.animal_id,
    )


# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION

# %% tags=["check"]
assert prediction in ("a", "b", "c"), "write one of the letters, such as prediction = 'a'"
first_only = np.where(np.arange(one.n_units) == 0, 2.0, 1.0)
made = {
    "all doubled": stronger(one, np.full(one.n_units, 2.0)),
    "one doubled": stronger(one, first_only),
}
scales = {name: round(plane.trace_scale, 2) for name, plane in {"as it was": one, **made}.items()}
print("99th percentiles of dF/F:", scales)
before = nl.embed(pretrained.encoder, one)
spread = ((before - before.mean()) ** 2).sum(axis=1).mean() ** 0.5
moved = {
    name: (nl.embed(pretrained.encoder, plane) - before).iloc[0] for name, plane in made.items()
}
moved = {name: float(np.linalg.norm(vector)) / spread for name, vector in moved.items()}
print(
    "moved by, over the spread of all cells:",
    {name: round(float(how_far), 4) for name, how_far in moved.items()},
)
came_out = "a" if max(moved.values()) < 0.001 else "b" if moved["all doubled"] < 0.001 else "c"
assert prediction == came_out, (
    "not so: what are views divided by, and over which cells is it taken?"
)
print("exercise 1: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): how alike are the cells of two days?
#
# Write what stands behind `identity_score`: standardise each session by itself, each dimension over
# all *its* cells; keep the cells that both sessions share; and compare them by the cosine. The
# check compares the share found again with the table of section 4, and shifts and stretches a
# session, which must change nothing.


# %% jupyter={"source_hidden": true} tags=["solution"]
def likeness(first, second):
    """Cosines between the cells of two sessions.

    first, second : DataFrames (cells, D), indexed by cell id, of the two sessions; some cells are
        in one only.
    Returns (shared, shared): row, a cell in the first session; column, a cell in the second; both
    in the order of first.index.intersection(second.index).
    """
    ### BEGIN SOLUTION
    shared = first.index.intersection(second.index)
    sides = []
    for table in (first, second):
        z = ((table - table.mean()) / table.std(ddof=0).replace(0, 1)).loc[shared].to_numpy()
        sides.append(z / np.linalg.norm(z, axis=1, keepdims=True))  # (shared, D), each of length 1
    return sides[0] @ sides[1].T  # (shared, shared)
    ### END SOLUTION


# %% tags=["check"]
one_day = pd.DataFrame([[2.0, 1.0], [0.0, 3.0], [-2.0, -4.0]], index=["p", "q", "r"])
other_day = pd.DataFrame([[3.0, 1.0], [1.0, -1.0], [-4.0, 0.0]], index=["q", "p", "s"])
tiny = likeness(one_day, other_day)
assert np.allclose(tiny, [[0, 0.82], [-0.96, 0.77]], atol=0.01), (
    "over all cells, shared or not; row: first session"
)
pair = identity[identity["method"] == "NuCLR"].iloc[0]
first, second = (features["NuCLR"].loc[pair[name]] for name in ("recording_1", "recording_2"))
cosine = likeness(first, second)
n_cells = pair["n_cells"]
assert cosine.shape == (n_cells, n_cells), f"{n_cells} cells are shared; yours is {cosine.shape}"
assert np.abs(cosine).max() < 1 + 1e-9, "a cosine is never above 1: are all vectors of length 1?"
stretch = np.linspace(0.5, 5.0, second.shape[1])
stretched = likeness(first, second * stretch + 3.0)
assert np.allclose(stretched, cosine), "a shifted and stretched session changes your numbers"
itself = np.arange(len(cosine))
share = np.mean([(cosine.argmax(axis=axis) == itself).mean() for axis in (0, 1)])
assert abs(share - pair["top1"]) < 1e-9, (
    "not yet that of identity_score; over which cells is standardised?"
)
print("exercise 2: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): not the first, but among the first few
#
# A cell that comes second among 21 counts for nothing in section 4, like one that comes last. Ask
# less strictly: in what share of the cells is the right one among the $k$ most alike? For $k = 1$
# that is section 4; with $k$ as large as the number of cells it is 1, and chance is $k / n$. By
# hand, with the three cells of section 4: the second cell of A finds itself only at $k = 2$, the
# others at once. So the curve is 2/3, 1, 1. The figure below is what you should get.


# %% jupyter={"source_hidden": true} tags=["solution"]
def found_within(cosine):
    """The share of cells found among the k most alike, for k = 1 to n.

    cosine : (n, n); cell i of the first session (row) and cell i of the second (column) are the
        same cell.
    Returns (n,): entry k - 1 is the mean of both ways, rows that seek their column and columns that
    seek their row.
    """
    ### BEGIN SOLUTION
    own = np.diag(cosine)
    # (2, n); 0: first
    ranks = np.stack([(cosine > own[:, None]).sum(axis=1), (cosine > own[None]).sum(axis=0)])
    return np.array([(ranks < k).mean() for k in range(1, len(cosine) + 1)])
    ### END SOLUTION


# %% tags=["check"]
a = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]])  # the three cells of section 4
b = np.array([[0.9, 0.1], [0.6, 0.4], [-0.7, 0.7]])
a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (a, b))
by_hand = found_within(a @ b.T)
assert np.shape(by_hand) == (3,) and np.allclose(by_hand, [2 / 3, 1, 1]), (
    f"expected 2/3, 1, 1, not {by_hand}"
)
lopsided = np.array([[0.5, 0.9], [0.1, 0.95]])
assert np.allclose(found_within(lopsided), [0.75, 1]), (
    "rows and columns both seek: one row and both columns succeed"
)
curve = found_within(likeness(first, second))
assert abs(curve[0] - pair["top1"]) < 1e-9 and curve[-1] == 1 and (np.diff(curve) >= 0).all()
print("exercise 3: right")

# %% tags=["target"]
n_shared, within = int(identity["n_cells"].min()), {}
for name in ("NuCLR", "untrained encoder", "hand: coupling to the population"):
    pairs = identity.loc[identity["method"] == name, ["recording_1", "recording_2"]].to_numpy()
    sides = [[features[name].loc[recording_id] for recording_id in pair] for pair in pairs]
    within[name] = np.mean(
        [found_within(likeness(*both_days))[:n_shared] for both_days in sides], axis=0
    )
nl.plots.found_among_nearest(
    within,
    identity["chance"].mean(),
    title=f"the same cell on another day, held-out animals ({where})",
)

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# Cells of held-out animals found again on another day several times as often as by chance, and more
# often than by an encoder that was not trained (not at `smoke`, where it hardly trains).

# %%
top1 = identity.groupby("method")["top1"].mean()
print(
    f"found again: NuCLR {top1['NuCLR']:.3f}, untrained {top1['untrained encoder']:.3f}, "
    f"chance {identity['chance'].mean():.3f}"
)
if data_source == "simulated" and profile != "smoke" and not training_steps:
    assert (
        top1["NuCLR"] > 3 * identity["chance"].mean()
        and top1["NuCLR"] > 1.5 * top1["untrained encoder"]
    )

# %% [markdown]
# **Read** de Vries et al. 2020, Nature Neuroscience 23:138 (the data); Chen et al. 2013, Nature
# 499:295 (an indicator, and how fast it is); Bugeon et al. 2022, Nature 607:330 (the calcium
# recordings of the paper, with cell types by gene expression); Pachitariu et al. 2017, bioRxiv
# 061507 (suite2p: from images to traces). In the paper (Arora et al. 2025, arXiv 2512.01199),
# section 4.
#
# **Next:** `06_decoding` with `modality = "calcium"`, where one recording holds several types;
# `11_your_data` for your own imaging.
