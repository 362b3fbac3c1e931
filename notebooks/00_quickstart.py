# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Quickstart: what kind of neuron is each neuron?
#
# **You will learn** to go from recordings to one vector per neuron, to read a label from those vectors in animals whose
# labels nobody used, and to tell whether the result means anything.
#
# **Needs** nothing but this repository. **Takes** about 5 minutes on a laptop (2 cores); a GPU is used if there is one.
#
# The idea of NuCLR (Arora et al. 2025, arXiv 2512.01199): cut two windows of 10 s out of a recording, at most 30 s apart. A
# transformer looks at *all neurons of a window together* and gives each a vector. Training asks one thing of the vectors: that a
# neuron in one window can be found again among all neurons of the other. No label is involved. The bet is that what makes a
# neuron recognisable at any moment also says what kind it is.

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds, to see that it runs; "laptop": minutes; "full": more animals and steps
data_source = "simulated"      # "simulated", or "nwb" for your own files
nwb_folder = ""                # folder of .nwb files (absolute, or relative to notebooks/)
label_column = "cell_type"     # what to decode: a column of the units table
animal_column = ""             # column that names the animal; "": the file's subject_id
probe_column = ""              # column that names the probe, for one population a probe; "": all units of a file together
keep = ""                      # which units: an expression over their columns, such as depth > 100; "": all
held_out_animals = []          # animals that the encoder must not see; []: simulated: the last 30 %, nwb: none
intervals_from = ""            # NWB table of times that gives the valid time ("epochs"); "": what the file says, else everything
sample_s = 0.0                 # s, length of a spike-count bin or frame; 0: the preset's
samples_per_token = 0          # samples; 0: the preset's
tokens_per_window = 0          # tokens; 0: the preset's
grid_s = 0.0                   # s, windows start on multiples of this (trials laid end to end); 0: anywhere
max_distance_s = 0.0           # s, between the two windows of a pair; 0: the preset's
training_steps = 0             # optimiser steps; 0: the profile's
seed = 0
scores_csv = ""                # also write the score table here; "": nowhere

# %%
import pandas as pd
import torch

import nuclr_lite as nl

# %% [markdown]
# ## 1 · Recordings
#
# A `Recording` is the activity of one population of neurons ("units") seen together, a table with a row per unit, and the
# stretches of time that are valid. Here the animals are **simulated**: unit by unit, four cell types look alike; they
# differ in how each follows the population. (`data/README.md` explains the generator.) With
# `data_source = "nwb"` the same notebook runs on your own files.

# %%
n_animals = {"smoke": 6, "laptop": 20, "full": 40}[profile]
steps = training_steps or {"smoke": 40, "laptop": 3200, "full": 10_000}[profile]

if data_source == "simulated":
    recordings = nl.simulate_recordings(n_animals, seed=seed)
elif data_source == "nwb":
    from nuclr_lite.sources.nwb import read_nwb
    recordings = read_nwb(nwb_folder, animal=animal_column or None, intervals_from=intervals_from or None,
                          probe_column=probe_column or None, keep=keep or None)
else:
    raise ValueError(f"data_source is {data_source!r}; use 'simulated' or 'nwb'.")
recordings[:3]

# %%
units = nl.units_table(recordings)
if label_column not in units:
    raise ValueError(f"no unit has a column {label_column!r}; there are {sorted(units.columns)}.")
units.groupby(["animal_id", label_column]).size().unstack(fill_value=0)

# %%
nl.plots.activity(recordings[0], label=label_column, duration_s=20.0)

# %% [markdown]
# Can you tell the labels apart by eye? In the simulation, each unit's own statistics are nearly the same for all types. The
# figure below shows what differs. On the left, each unit is compared with itself; on the right, with everybody else.

# %%
nl.plots.alone_and_together(recordings[0], label=label_column)

# %% [markdown]
# ## 2 · Pretraining, without labels
#
# The recipe is a *preset*: encoder, views, optimiser, all printable. `pretrain` gets recordings and nothing else. In the
# simulation the last animals are held out: the encoder never sees them (*inductive zero-shot*). Your own files
# are usually too few for that, so all of them take part, but none of their labels does (*transductive zero-shot*), unless
# you name `held_out_animals`.

# %%
modality = recordings[0].modality
changes = {"sample_s": sample_s, "samples_per_token": samples_per_token, "tokens_per_window": tokens_per_window,
           "grid_s": grid_s, "max_distance_s": max_distance_s, "steps": steps, "seed": seed}
preset = nl.PRESETS["quick" if modality == "spikes" else "quick-calcium"]
preset = preset.with_(**{name: value for name, value in changes.items() if value or name == "seed"})
print(preset.model, preset.views, preset.train, sep="\n")

# %%
recordings = [nl.views.match_sampling(recording, preset.model.sample_s) for recording in recordings]     # once, not at each use
animals = list(dict.fromkeys(recording.animal_id for recording in recordings))
if isinstance(held_out_animals, str) or set(held_out_animals) - set(animals):
    raise ValueError(f"held_out_animals is {held_out_animals!r}; give a list of some of {animals}.")
if len(animals) < 2:
    raise ValueError(f"there is one animal, {animals[0]!r}, and the last section leaves animals out; add recordings of another.")
held_out = list(held_out_animals) or (animals[-max(1, len(animals) * 3 // 10):] if data_source == "simulated" else [])
training = [recording for recording in recordings if recording.animal_id not in held_out]
print(f"{len(training)} recordings to pretrain on; held out: {', '.join(held_out) or 'none'}")

# %%
pretrained = nl.pretrain(training, preset)
print(f"{steps} steps in {pretrained.seconds:.0f} s")
nl.plots.history(pretrained.history)

# %% [markdown]
# On the right, RankMe: how many dimensions the vectors use; a fall towards 1 is the sign of collapse. The middle panel is the number
# to watch: how often a unit's nearest neighbour in the other window is itself. It has to
# find itself among dozens, some of them of its own kind, so it will not come near 100 %, and need not.
#
# ## 3 · One vector per unit
#
# Windows lie end to end over the whole recording; a unit's vector is its mean over all of them.

# %%
embedding = nl.embed(pretrained.encoder, recordings, grid_s=grid_s or None)
nl.plots.map(embedding, units[label_column], title=f"{len(animals)} animals, {data_source}")

# %% [markdown]
# ## 4 · Reading the label
#
# A logistic regression learns the label from some animals and is asked about others. Beside it, in the same table and
# on the same units: features made by hand (*baselines*), the same encoder before training, and what guessing, or a classifier
# taught with shuffled labels, would score (*controls*: they must be at chance, or something leaks). Intervals: 95 %, animals resampled.
#
# All hand features but one look at a unit alone. The exception, *coupling to the population*, is the correlation of a unit with the
# sum of the others, lag by lag: just what distinguishes the types in this simulation, made by someone who knows it. Expect it to be
# hard to beat here. The simulation shows that NuCLR finds such a thing without being told, not that it is the only way to find it.

# %%
from nuclr_lite import baselines

with torch.random.fork_rng():
    torch.manual_seed(seed)
    untrained = nl.NuCLR(preset.model)
features = {"NuCLR": embedding, "untrained encoder": nl.embed(untrained, recordings, grid_s=grid_s or None)}
features |= {f"hand: {name}": table for name, table in baselines.hand_features(recordings).items()}
features["hand: coupling to the population"] = baselines.population_coupling(recordings)

# %%
table, results = nl.score_table(features, units[label_column], units["animal_id"], test_groups=held_out or None, seed=seed)
if scores_csv:
    table.assign(label=label_column, seed=seed).round(4).to_csv(scores_csv, index=False)
table.pivot(index="method", columns="metric", values="estimate").loc[table["method"].unique()].round(3)

# %%
protocol = "inductive zero-shot" if held_out else "transductive zero-shot, one animal left out in turn"
source = "simulated data" if data_source == "simulated" else f"{len(recordings)} NWB files"
nl.plots.scores(table, title=f"{label_column}, {protocol} ({source})")

# %%
nl.plots.confusion(results["NuCLR"].predictions, title=f"NuCLR on {label_column} ({source})")

# %% [markdown]
# ## What you should have seen
#
# On the simulated animals at the `laptop` profile, cell types of animals that the encoder never saw are read with a macro F1
# of about 0.9, where everything that looks at one unit alone stays near chance (0.25). The cell below checks it.

# %%
macro_f1 = table[table["metric"] == "macro_f1"].set_index("method")["estimate"]
best_alone = macro_f1[[f"hand: {name}" for name in baselines.hand_features(recordings[:1])]].max()
print(f"macro F1: NuCLR {macro_f1['NuCLR']:.3f}, best features of a unit alone {best_alone:.3f}, chance {macro_f1['chance']:.3f}")
if data_source == "simulated" and label_column == "cell_type" and profile != "smoke" and not training_steps:
    assert macro_f1["NuCLR"] > 0.8 and best_alone < 0.45, "expected above 0.8 and below 0.45"

# %% [markdown]
# **Next:** `06_decoding` asks how much of this is real, with all controls; `07_zero_shot` holds animals out in earnest.
# For your own recordings: `python notebooks/run.py --only 00 -p data_source nwb -p nwb_folder /path/to/files -p label_column region`.
