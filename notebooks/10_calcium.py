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
# **You will learn** what changes when spikes become dF/F; how to ask whether vectors are worth anything without a single label, by finding the same cell again
# in another session; and why a label that all cells of a recording share must be read with care.
#
# **Needs** nothing but this repository: by default the experiments are *simulated*, in the Allen Institute's file format. With AllenSDK, a network and disk,
# `data_source = "allen"` runs the same cells on the Visual Coding two-photon set (de Vries et al. 2020, Nature Neuroscience 23:138). **Takes** about 5 minutes on a laptop (2 cores),
# and downloads on top.

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds; "laptop": minutes; "full": more animals and steps
data_source = "simulated"      # "simulated", or "allen": AllenSDK, a network, disk
cache_dir = "../data/raw/allen_two_photon"       # AllenSDK's cache folder; an existing one is used as it is (allen only)
area = "VISp"                  # imaged area (allen only)
training_steps = 0             # optimiser steps; 0: the profile's
seed = 0
scores_csv = ""                # also write the score table here; "": nowhere

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import nuclr_lite as nl
from nuclr_lite import baselines
from nuclr_lite.sources import allen_two_photon
from nuclr_lite.sources.simulated_two_photon import simulate_allen_experiment

# %% [markdown]
# ## 1 · Planes, sessions, containers
#
# A microscope images one plane of cortex in a mouse whose Cre line decides which cells carry the indicator: all Vip cells, say, or the excitatory cells of layers 2/3.
# One imaging session is an *experiment*; a *container* holds the sessions of the same plane on different days. Cells are matched across days by the Institute
# (`cell_specimen_id`). We take several animals a line, and two sessions of each.

# %%
lines = {"Cux2": "Cux2-CreERT2", "Pvalb": "Pvalb-IRES-Cre", "Sst": "Sst-IRES-Cre", "Vip": "Vip-IRES-Cre"}
animals_per_line = {"smoke": 2, "laptop": 4, "full": 8}[profile]

if data_source == "allen":
    experiments = allen_two_photon.list_experiments(cache_dir, cre_line=list(lines), area=area, session_type=["three_session_A", "three_session_B"])
    sessions_of = experiments[~experiments["failed"]].groupby(["cre_line", "animal_id", "experiment_container_id"]).size()
    both = sessions_of[sessions_of == 2].reset_index().drop_duplicates("animal_id")                  # one plane of each animal, with both sessions
    wanted = both.groupby("cre_line").head(animals_per_line)["experiment_container_id"]
    chosen = experiments[experiments["experiment_container_id"].isin(wanted)]
    paths = allen_two_photon.download_experiments(list(chosen.index), cache_dir, confirm=False)
elif data_source == "simulated":
    scratch = tempfile.TemporaryDirectory()            # gone with the kernel
    n_cells, duration_s = {"smoke": (14, 180.0), "laptop": (30, 900.0), "full": (60, 1800.0)}[profile]
    paths = [simulate_allen_experiment(Path(scratch.name) / f"{number}{session}.nwb", experiment_id=910_000 + 10 * number + at, container_id=700 + number,
                                       cre_line=line, session_type=f"three_session_{session}", n_cells=n_cells, duration_s=duration_s, seed=seed)
             for number, line in enumerate(list(lines.values()) * animals_per_line) for at, session in enumerate("AB")]
else:
    raise ValueError(f"data_source is {data_source!r}; use 'simulated' or 'allen'.")

# %%
recordings = [allen_two_photon.read_experiment(path) for path in paths]
units = nl.units_table(recordings)
where = {"simulated": "simulated", "allen": "Allen Institute"}[data_source]
units.groupby("cell_type").agg(animals=("animal_id", "nunique"), sessions=("experiment_id", "nunique"), cells=("roi_id", "size"))

# %% [markdown]
# ## 2 · From fluorescence to tokens
#
# **Slower.** The indicator's light fades over several tenths of a second (0.6 s in the simulation). 30 frames per second are more than it can follow: `read_experiment`
# averages seven, 30 Hz / 7 = 4.29 Hz. Four averaged frames make a token, 32 tokens a window of 30 s. A window of 10 s, as for spikes, would hold a handful of transients.
#
# **Cleaner time.** Frames that the microscope dropped, gaps in dF/F, and jerks of the animal (the image shifts by more than 10 um against the minute
# around it) enter no average, and are left out of the valid intervals.
#
# **One scale.** Views divide the dF/F of a recording by a single number, the 99th percentile over all its cells and frames: a bright cell stays
# brighter than a dim one.

# %%
one = next(recording for recording in recordings if recording.units["cell_type"].iloc[0] == "Pvalb")
print(f"a Pvalb plane: {one.sampling_rate_hz:.3f} Hz, 99th percentile of dF/F {one.trace_scale:.2f}, valid from {one.intervals[0, 0]:.1f} s on the microscope's clock")
nl.plots.activity(one, duration_s=150.0)

# %% [markdown]
# ## 3 · Pretraining, some animals held out
#
# The last animal of each line is held out: in the identity test of section 4 nobody has seen it. (`PRESETS["allen-two-photon"]` is the published size, for a GPU; here
# its small sister, `quick-calcium`.)

# %%
steps = training_steps or {"smoke": 20, "laptop": 2400, "full": 10_000}[profile]
preset = nl.PRESETS["quick-calcium"].with_(steps=steps, seed=seed)
last = units.drop_duplicates("animal_id").groupby("cre_line")["animal_id"].last()
training = [recording for recording in recordings if recording.animal_id not in set(last)]
pretrained = nl.pretrain(training, preset)
nl.plots.history(pretrained.history)

# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    untrained = nl.NuCLR(preset.model)
features = {"NuCLR": nl.embed(pretrained.encoder, recordings), "untrained encoder": nl.embed(untrained, recordings)}
features |= {f"hand: {name}": table for name, table in baselines.hand_features(recordings).items()}
features["hand: coupling to the population"] = baselines.population_coupling(recordings)

# %% [markdown]
# ## 4 · The same cell, another day
#
# Here is a test that needs no label. A cell of session A has a vector; which cell of session B, on another day and with other stimuli, has the nearest one? If vectors
# say something lasting about a cell, it is the same cell. Three cells, by hand: A's vectors below are nearest to B's first, third and third. Two of
# three are right, and guessing finds one in three.

# %%
a = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]])
b = np.array([[0.9, 0.1], [0.6, 0.4], [-0.7, 0.7]])
cosine = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
assert cosine.argmax(axis=1).tolist() == [0, 2, 2]
pd.DataFrame(cosine, index=["A's cell 1", "A's cell 2", "A's cell 3"], columns=["B's 1", "B's 2", "B's 3"]).round(2)

# %% [markdown]
# `identity_score` does it for each pair of sessions of a container, both ways, after standardising each session (or else what sets two days apart would count).

# %%
unseen = [recording for recording in recordings if recording.animal_id in set(last)]
identity = pd.concat({name: allen_two_photon.identity_score(table, unseen) for name, table in features.items()}, names=["method"]).reset_index("method")
identity = identity.merge(units.drop_duplicates("container_id")[["container_id", "cell_type"]])
identity.pivot_table(index="method", columns="cell_type", values="top1", sort=False).assign(mean=lambda table: table.mean(axis=1)).round(2)

# %%
nl.plots.identity(identity, title=f"the same cell on another day, held-out animals ({where})")

# %% [markdown]
# A dot is a pair of sessions, and at `laptop` rests on one animal with 21 shared cells: one cell more or less moves it by 0.05. Look at the whole row. The hand-made
# correlation with the population is the best of what was not learned.
#
# ## 5 · The Cre line, and what it can't show
#
# The Cre line labels cells without any optotagging. But *all cells of a recording have the same one*. Something that merely tells recordings apart (brightness, noise, how
# active the mouse was) can then seem to tell cell types apart. So each animal is decoded by a classifier that saw only the labels of *other* animals (the encoder saw the activity of most of
# them, never a label: *transductive zero-shot*). And one row more knows nothing of single cells: each cell gets the *mean* vector of its
# recording. Where that does as well, the score says how populations differ, not how cells do.

# %%
features["NuCLR, mean of the recording"] = baselines.recording_means(features["NuCLR"])
table, results = nl.score_table(features, units["cell_type"], units["animal_id"], seed=seed)
if scores_csv:
    both = identity.groupby("method", sort=False)["top1"].agg(["mean", "size"]).reset_index()
    both = both.assign(metric="identity_top1").rename(columns={"mean": "estimate", "size": "n"})
    pd.concat([table, both]).assign(label="cell_type", seed=seed).round(4).to_csv(scores_csv, index=False)
nl.plots.scores(table, title=f"Cre line, one animal left out in turn ({where})")

# %%
nl.plots.confusion(results["NuCLR"].predictions, title=f"NuCLR on the Cre line ({where})")

# %% [markdown]
# (*majority* is 0 because the line that is most frequent among the other animals is never that of the one left out.)
#
# In the simulation a line shows only in how its cells go with each other: excitatory cells each mostly alone, Pvalb together, Sst together but each with a lag of its
# own, Vip in two camps. The encoder is never asked to tell lines apart: its negatives are the *other cells of the same recording*, which are of the
# same line. That the line can be read all the same is a by-product. Compare the rows: if the mean of the recording does about as well as single cells, what is read is how *populations* differ.
# The same holds for any set, simulated or real, in which a recording has one label. What training improves most directly is what it trains, telling the cells
# of one population apart: section 4.
#
# ## What you should have seen
#
# Cells of held-out animals found again on another day several times as often as by guessing, and more often than by an encoder that was not trained (not at `smoke`,
# where it hardly trains).

# %%
top1 = identity.groupby("method")["top1"].mean()
print(f"found again: NuCLR {top1['NuCLR']:.3f}, untrained {top1['untrained encoder']:.3f}, guessing {identity['chance'].mean():.3f}")
if data_source == "simulated" and profile != "smoke" and not training_steps:
    assert top1["NuCLR"] > 3 * identity["chance"].mean() and top1["NuCLR"] > 1.5 * top1["untrained encoder"]

# %% [markdown]
# **Next:** `06_decoding` with `modality = "calcium"`, where one recording holds several types; `00_quickstart` for your own imaging in NWB.
