# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Scaling: what do more animals bring?
#
# **You will learn** to separate two things that usually come together: more animals to *pretrain* on, and more animals with *labels*. And to draw a curve with the uncertainty
# that it has.
#
# **Needs** nothing but this repository. **Takes** about 9 minutes on a laptop (2 cores) the first time; run again, it finds what it computed in `runs/`.
#
# **The claim** (Arora et al. 2025): doubling the animals to pretrain on helps cell-type decoding more than doubling the labels. Here it is tested on *simulated* animals, small encoders and
# few steps: at `laptop`, encoders are **under-trained**, all equally. What holds in the Allen data only the Allen data can say.
#
# **Predict**: the simulated types follow one rule in all animals. Does an encoder need many animals to find it? Does a classifier?

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds; "laptop": minutes; "full": more animals, seeds and steps
source = "simulated"           # "simulated", or a folder of saved recordings (one subfolder each)
modality = "calcium"           # "spikes" or "calcium"
label_column = "cell_type"     # what to decode
runs_dir = "../runs"           # where results are kept; a run that was stopped goes on from there
jobs = 0                       # processes; 0: one for each core
scores_csv = ""                # also write the table of all results here; "": nowhere

# %%
import numpy as np
import pandas as pd

import nuclr_lite as nl
from nuclr_lite import comparison, experiments

# %% [markdown]
# ## 1 · The experiment, as data
#
# Some animals are held out: neither encoder nor classifier sees them. Of the others, encoders get 2, 4, 8, ... (the fewer among the more), each *the same number of steps*. Three series:
#
# - **encoder**: pretrained on n animals; the classifier has the labels of all;
# - **labels**: pretrained on all; the classifier has the labels of n;
# - **both**: one has recorded n animals, and that is all.

# %%
size = {"smoke": dict(n_animals=6, n_held_out=2, changes={"steps": 10}, pretraining_animals=(1, 2), label_animals=(2,), seeds=(0,)),
        "laptop": dict(n_animals=22, n_held_out=6, changes={"steps": 500}, pretraining_animals=(2, 4, 8), label_animals=(2, 4, 8), seeds=(0, 1, 2)),
        "full": dict(n_animals=76, n_held_out=12, changes={"steps": 10_000}, pretraining_animals=(1, 2, 4, 8, 16, 32), label_animals=(2, 4, 8, 16, 32), seeds=(0, 1, 2, 3, 4))}[profile]
experiment = experiments.Experiment(
    name=f"scaling-{modality}-{label_column}-{profile}", label=label_column, source=source, modality=modality,
    preset="quick" if modality == "spikes" else "quick-calcium",
    baselines=("untrained encoder", "hand: all", "hand: coupling to the population", "NuCLR, shuffled labels", "chance"), **size)
print(len(experiment.cells()), "cells")

# %%
table = experiments.run(experiment, runs_dir, n_jobs=jobs or -1)
if scores_csv:
    table.round(4).to_csv(scores_csv, index=False)

# %%
n_learn = size["n_animals"] - size["n_held_out"]

def series(table, n_learn):
    mine = table[table["method"] == "NuCLR"]
    encoder, labels = mine["pretraining_animals"], mine["label_animals"]
    parts = {"encoder": mine[labels.isna()].assign(n=encoder), "labels": mine[encoder.isna()].assign(n=labels),
             "both": mine[encoder.isna() == labels.isna()].assign(n=encoder)}
    return pd.concat([part.assign(n=part["n"].fillna(n_learn), series=name) for name, part in parts.items()], ignore_index=True)

results = series(table, n_learn)
results.groupby(["series", "n"], sort=False)["macro_f1"].agg(["mean", "min", "max"]).round(3)

# %% [markdown]
# ## 2 · The curves
#
# Dots: seeds (of the weights, and of which animals are taken). Lines: a curve that levels off, $F_1 = a - b\,n^{-c}$, fitted to all dots; bands: the fit repeated with
# seeds resampled. Dotted: up to twice the largest n, and not a step further.

# %%
where = "simulated" if source == "simulated" else table["dataset"].iloc[0]
chance = table.loc[table["method"] == "chance", "macro_f1"].mean()
fits = {}
for name, part in results.groupby("series", sort=False):
    if part["n"].nunique() >= 3:
        fits[name] = comparison.saturating_curve(part["n"], part["macro_f1"], to=2 * part["n"].max())
nl.plots.curves(results, "n", by="series", fits=fits, xlabel="animals to learn from", chance=chance, title=f"{label_column}, held-out animals ({where})")

# %% [markdown]
# ## 3 · From fewest to all
#
# For each series and seed: the score with all animals minus that with the fewest. And, as the control that it is: the same for features made by hand, where only labels can make a difference.

# %%
def gain(part):
    wide = part.pivot_table(index="seed", columns="n", values="macro_f1")
    return wide[wide.columns.max()] - wide[wide.columns.min()]

gains = pd.DataFrame({name: gain(part) for name, part in results.groupby("series", sort=False)})
for method in ("hand: coupling to the population", "hand: all"):
    mine = table[(table["method"] == method)]
    gains[f"labels, {method}"] = gain(mine.assign(n=mine["label_animals"].fillna(n_learn)))
gains.agg(["mean", "min", "max"]).T.round(3)

# %% [markdown]
# Is the gain of the *encoder* series larger than that of the *labels* series, as the paper found in real data? Look at the two rows, and at their smallest and largest seeds. With three seeds a
# difference that changes its sign from seed to seed is no difference.
#
# ## What you should have seen
#
# At `laptop`, a rise when both grow; and, if the encoder alone changes, a smaller one: in the simulation the rule is the same in every animal.

# %%
print(gains.mean().round(3).to_dict())
if source == "simulated" and profile != "smoke" and (modality, label_column) == ("calcium", "cell_type"):
    assert gains["both"].mean() > 0.05, "expected a rise from the fewest animals to all"

# %% [markdown]
# **Next:** `09_label_efficiency` asks how few labels will do within the animals that one has.
