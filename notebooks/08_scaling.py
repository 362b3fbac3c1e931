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
# **Needs** nothing but this repository. **Takes** about 11 minutes on a laptop (2 cores) the first time; run again, it finds what it computed in `runs/`.
#
# **The claim** (Arora et al. 2025): doubling the animals to pretrain on helps cell-type decoding more than doubling the labels. Here it is tested on *simulated* animals, small encoders and
# few steps: at `laptop`, encoders get so few that **an encoder without any training does as well**. The curves then show how to compare, not what pretraining is worth. What holds in the Allen data only the Allen data can say.
#
# **Predict**: the simulated types follow one rule in all animals. Does an encoder need many animals to find it? Does a classifier?

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds; "laptop": minutes; "full": more animals, seeds and steps
source = "simulated"           # "simulated", or a folder of saved recordings (one subfolder each)
modality = "calcium"           # "spikes" or "calcium"
label_column = "cell_type"     # what to decode
runs_dir = "../runs"           # where results are kept; a run that was stopped goes on from there
jobs = 0                       # processes; 0: one for each core
training_steps = 0             # optimiser steps of each encoder; 0: the profile's (more than 1000 are needed to see what pretraining does)
scores_csv = ""                # also write the table of all results here; "": nowhere

# %%
import numpy as np
import pandas as pd

import nuclr_lite as nl
from nuclr_lite import comparison, experiments, methods

# %% [markdown]
# ## 1 · The experiment, as data
#
# Some animals are held out: neither encoder nor classifier sees them. Of the others, encoders get 2, 4, 8, ... (the fewer among the more), each *the same number of steps*. Three series:
#
# - **encoder**: pretrained on n animals; the classifier has the labels of all;
# - **labels**: pretrained on all; the classifier has the labels of n;
# - **both**: one has recorded n animals, and that is all.

# %%
size = {"smoke": dict(n_animals=4, n_held_out=1, changes={"steps": 5}, pretraining_animals=(1, 2), label_animals=(2,), seeds=(0,)),
        "laptop": dict(n_animals=22, n_held_out=6, changes={"steps": 300}, pretraining_animals=(2, 4, 8), label_animals=(2, 4, 8), seeds=(0, 1, 2)),
        "full": dict(n_animals=76, n_held_out=12, changes={"steps": 10_000}, pretraining_animals=(1, 2, 4, 8, 16, 32), label_animals=(2, 4, 8, 16, 32), seeds=(0, 1, 2, 3, 4))}[profile]
size["changes"] = {"steps": training_steps} if training_steps else size["changes"]
experiment = experiments.Experiment(
    name=f"scaling-{modality}-{label_column}-{profile}" + f"-{training_steps}" * bool(training_steps), label=label_column, source=source, modality=modality,
    preset="quick" if modality == "spikes" else "quick-calcium",
    baselines=methods.FEW, **size)
print(len(experiment.cells()), "results to compute: method x seed x part of the animals")

# %%
table = experiments.run(experiment, runs_dir, n_jobs=jobs or -1)
if scores_csv:
    table.round(4).to_csv(scores_csv, index=False)
where = "simulated" if source == "simulated" else table["dataset"].iloc[0]

# %% [markdown]
# From the table to three series. `draws` holds each score as it would be with other animals and other seeds (both drawn again and again, the same for all rows): what every
# interval below is made of.

# %%
n_learn = size["n_animals"] - size["n_held_out"]
rows, draws = comparison.summary_and_draws(experiment, runs_dir)


def as_series(rows, method="NuCLR"):
    """Rows of one method with n (animals) and series; a row with everything belongs to all three series."""
    encoder, labels = rows["pretraining_animals"], rows["label_animals"]
    mine = {"encoder": labels.isna(), "labels": encoder.isna(), "both": encoder.isna() == labels.isna()}
    n = {"encoder": encoder, "labels": labels, "both": encoder}
    return pd.concat([rows[keep & rows["method"].eq(method)].assign(n=n[name].fillna(n_learn), series=name) for name, keep in mine.items()])


results = as_series(rows)
results.pivot(index="n", columns="series", values="estimate")[["encoder", "labels", "both"]].round(3)

# %% [markdown]
# ## 2 · The curves
#
# Dots: single seeds (of the weights, and of which animals are taken). Squares: their means, with 95 % intervals over animals and seeds. Lines: a curve that levels off,
# $F_1 = a - b\,n^{-c}$, fitted to the means. Dotted: up to twice the largest n, and not a step further. (A curve with three parameters through four points is there to guide the eye; that it levels
# off was assumed. Its own uncertainty, the fit repeated with animals and seeds drawn anew, is in the table below.) *Untrained encoder*: random weights, labels of n animals.

# %%
chance = rows.loc[rows["method"] == "chance", "estimate"].mean()
fits = {name: comparison.saturating_curve(part["n"], part["estimate"], draws[part.index][:, :200], to=2 * part["n"].max())
        for name, part in results.groupby("series", sort=False) if part["n"].nunique() >= 3}
shuffled = as_series(rows, "NuCLR, shuffled labels").query("series == 'both'").assign(series="both, shuffled labels")
untrained = as_series(rows, "untrained encoder").query("series == 'labels'").assign(series="labels, untrained encoder")
nl.plots.curves(pd.concat([results, untrained, shuffled]), "n", by="series", dots=as_series(table), fits=fits, xlabel="animals to learn from", chance=chance,
                title=f"{label_column}, held-out animals ({where})")

# %%
pd.DataFrame({name: fit.iloc[[-1]].squeeze() for name, fit in fits.items()}).T.round(3).rename_axis("the curve at its end")

# %% [markdown]
# ## 3 · From fewest to all
#
# For each series the score with all animals minus that with the fewest, with its interval; and, as controls, the same for features made by hand, where only labels can make a
# difference, and for an encoder whose classifier gets shuffled labels, where nothing may.

# %%
def gain(part, draws):
    """Score with all animals minus score with the fewest: estimate, low, high."""
    first, last = part.loc[part["n"].idxmin()], part.loc[part["n"].idxmax()]
    change = draws[last.name] - draws[first.name]
    return pd.Series({"gain": last["estimate"] - first["estimate"], "low": np.quantile(change, 0.025), "high": np.quantile(change, 0.975)})


rows_of = {f"{name}": part for name, part in results.groupby("series", sort=False)}
for method in ("untrained encoder", "hand: coupling to the population", "hand: all", "NuCLR, shuffled labels"):
    rows_of[f"labels, {method}"] = as_series(rows, method).query("series == 'labels'")
gains = pd.DataFrame({name: gain(part.reset_index().set_index("index"), draws) for name, part in rows_of.items()}).T
gains.round(3)

# %% [markdown]
# ## 4 · Encoder or labels: which half would you rather lose?
#
# The claim as a number. With half the animals to *pretrain* on and all labels, or with all animals to pretrain on and half the *labelled* ones: the second score minus the first.
# Above 0: animals to pretrain on are worth more, as the paper found in real data.

# %%
half = {name: part[part["n"] == part["n"][part["n"] < n_learn].max()].iloc[0] for name, part in results.groupby("series", sort=False)}
change = draws[half["labels"].name] - draws[half["encoder"].name]
low, high = np.quantile(change, [0.025, 0.975])
verdict = "pretraining animals are worth more" if low > 0 else "labels are worth more" if high < 0 else "can't tell"
print(f"{half['labels']['estimate'] - half['encoder']['estimate']:+.3f} [{low:.3f}, {high:.3f}] at n = {half['labels']['n']:g} of {n_learn} ({where}): {verdict}")

# %% [markdown]
# ## What you should have seen
#
# At `laptop`, a rise when both grow. Compare it with the *untrained* encoder, whose score rises with labels as well, and in the run shown here higher. What rises here is what a classifier gains from labels;
# nothing follows about pretraining before NuCLR is above the untrained encoder. (`-p training_steps 1200` takes half an hour, and lets it be.)

# %%
print(gains["gain"].round(3).to_dict())
if source == "simulated" and profile != "smoke" and (modality, label_column) == ("calcium", "cell_type"):
    assert gains.loc["both", "gain"] > 0.05, "expected a rise from the fewest animals to all"

# %% [markdown]
# **Next:** `09_label_efficiency` asks how few labels will do within the animals that one has.
