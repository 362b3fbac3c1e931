# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Decoding: how good is it, compared with what?
#
# **You will learn** to read cell type and brain area from frozen vectors, to put an honest interval around the score, and
# to build the table that a sceptical reader asks for: baselines, controls, confusion.
#
# **Needs** `00_quickstart`. **Takes** about 2 minutes on a laptop (2 cores).
#
# A score alone says nothing. 0.6 is splendid for ten classes and poor for two; 0.9 is worthless if the most frequent class
# is 90 % of the units; and any score can come from something other than what you believe. So a score never stands alone here.

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds, to see that it runs; "laptop": minutes; "full": more animals and steps
modality = "spikes"            # "spikes" or "calcium"
training_steps = 0             # optimiser steps; 0: the profile's
seed = 0
scores_csv = ""                # also write the score table here; "": nowhere

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from sklearn.metrics import f1_score

import nuclr_lite as nl
from nuclr_lite import baselines

# %% [markdown]
# ## 1 · Vectors of units, made without labels
#
# In the *transductive* protocol all animals take part in pretraining; no label does. The classifier then learns from some units
# and is asked about others of the same animals. It is the easiest of three protocols (`07_zero_shot` has the other two), and the right one for
# "I have labels for a part of my neurons; what are the rest?"

# %%
n_animals = {"smoke": 4, "laptop": 12, "full": 24}[profile]
steps = training_steps or {"smoke": 40, "laptop": 2000, "full": 10_000}[profile]
recordings = nl.simulate_recordings(n_animals, modality, seed=seed)
preset = nl.PRESETS["quick" if modality == "spikes" else "quick-calcium"].with_(steps=steps, seed=seed)
pretrained = nl.pretrain(recordings, preset)

# %%
units = nl.units_table(recordings)
embedding = nl.embed(pretrained.encoder, recordings)
nl.plots.history(pretrained.history)

# %% [markdown]
# ## 2 · The probe
#
# Standardise each dimension, then a logistic regression (L2, C = 1, classes balanced by weight). It is deliberately weak: a strong
# classifier could dig out of a vector what the encoder merely failed to destroy.
#
# ## 3 · The metric, by hand
#
# **Macro F1**: for each class $F_1 = \dfrac{2\,\mathrm{hits}}{\mathrm{true} + \mathrm{predicted}}$, then the plain mean over classes, so that a
# rare type weighs as much as a frequent one. Six units, two types:

# %%
true = np.array(["Exc", "Exc", "Exc", "Exc", "Sst", "Sst"])
predicted = np.array(["Exc", "Exc", "Exc", "Sst", "Sst", "Exc"])
exc = 2 * 3 / (4 + 4)          # 3 hits, 4 true, 4 predicted
sst = 2 * 1 / (2 + 2)          # 1 hit, 2 true, 2 predicted
assert np.isclose((exc + sst) / 2, f1_score(true, predicted, average="macro"))
(exc + sst) / 2

# %% [markdown]
# We compute it **once, over the pooled predictions of all folds**. In the real data a left-out animal often has one single
# labelled type; an F1 per fold and a mean over folds would then be a number without meaning.

# %%
result = nl.decode(embedding, units["cell_type"], units["animal_id"], protocol="transductive", seed=seed)
result.scores.round(3)

# %%
result.per_class.round(2)

# %%
nl.plots.confusion(result, title=f"cell type, transductive ({modality}, simulated)")

# %% [markdown]
# ## 4 · How sure?
#
# The units of an animal share its state, its electrode and its surgeon. Resampling *units* pretends that they are independent
# and gives intervals that are too narrow; we resample **animals**. Look at the difference:

# %%
def interval_over_units(result, n_resamples=300, seed=0):
    """95 % interval of macro F1 from resampling units, as if they were independent: (low, high)."""
    rng = np.random.default_rng(seed)
    rows = result.predictions
    draws = [rows.iloc[rng.integers(len(rows), size=len(rows))] for _ in range(n_resamples)]
    return np.quantile([f1_score(draw["true"], draw["predicted"], average="macro") for draw in draws], [0.025, 0.975])


row = result.scores.set_index("metric").loc["macro_f1"]
low, high = interval_over_units(result)
print(f"macro F1 {row.estimate:.3f}; over animals {row.low:.3f} to {row.high:.3f}; over units {low:.3f} to {high:.3f}")

# %% [markdown]
# In the simulation animals differ only mildly, and the two can come out alike. Neither interval knows of the luck of one training run.
#
# ## 5 · Compared with what?
#
# - **hand features** look at each unit alone: its rate, its inter-spike intervals, its autocorrelogram, all of them;
# - **coupling to the population** is made by hand too, by someone who knows how this simulation works: the correlation of a unit with the
#   sum of the others, lag by lag;
# - the **untrained encoder** has the architecture and random weights: how much comes from looking at the population at all?
# - **shuffled labels** (within each animal): what the probe can make out of noise;
# - **majority** and **chance**: what needs no data.

# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    untrained = nl.NuCLR(preset.model)
features = {"NuCLR": embedding, "untrained encoder": nl.embed(untrained, recordings)}
features |= {f"hand: {name}": table for name, table in baselines.hand_features(recordings).items()}
features["hand: coupling to the population"] = baselines.population_coupling(recordings)
tables = {}
for label in ("cell_type", "area"):
    tables[label], _ = nl.score_table(features, units[label], units["animal_id"], protocol="transductive", seed=seed)
both = pd.concat(tables, names=["label"]).reset_index(level=0)
if scores_csv:
    both.assign(seed=seed).round(4).to_csv(scores_csv, index=False)
both.query("metric == 'macro_f1'").pivot(index="method", columns="label", values="estimate").round(3)

# %%
nl.plots.scores(tables["cell_type"], title=f"cell type, transductive ({modality}, simulated)")

# %%
nl.plots.scores(tables["area"], title=f"area, transductive ({modality}, simulated)")

# %% [markdown]
# ## 6 · Is it the label, or something that comes with it?
#
# A score shows that the vectors *carry* the label, not that they carry it for the reason you like. In a simulation we know the
# truth and can look: is a unit's true coupling to its population in its vector, among units of one cell type and one animal?

# %%
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict


def read_coupling(embedding, units, cell_type):
    """Correlation of true and predicted coupling strength among units of one type, animal means taken off; other animals predict."""
    mine = units["cell_type"].eq(cell_type) & units.index.isin(embedding.index)
    x, y, animal = embedding.loc[mine[mine].index], units.loc[mine, "state_coupling"], units.loc[mine, "animal_id"]
    guess = cross_val_predict(RidgeCV(np.logspace(-1, 4, 11)), x, y, groups=animal, cv=GroupKFold(min(5, animal.nunique())))
    within = pd.DataFrame({"guess": guess, "true": y.to_numpy(), "animal_id": animal.to_numpy()})
    return (within[["guess", "true"]] - within.groupby("animal_id")[["guess", "true"]].transform("mean")).corr().iloc[0, 1]


pd.Series({kind: read_coupling(embedding, units, kind) for kind in sorted(units["cell_type"].unique())}, name="correlation").round(2)

# %% [markdown]
# Coupling strength varies little within a type (a standard deviation of 0.05, cut off at 0.98). A correlation above 0 says that the vector
# carries graded coupling, not only the type.
#
# ## What you should have seen
#
# Both labels are read far better from the population-aware vectors than from anything that looks at a unit alone, and shuffled labels
# fall to chance. The hand-made coupling reads them too, and may well read them better: in this simulation identity *is* a
# correlation with the population. NuCLR was not told so.

# %%
wide = both.query("metric == 'macro_f1'").pivot(index="method", columns="label", values="estimate")
best_alone = wide.loc[[f"hand: {name}" for name in baselines.hand_features(recordings[:1])]].max()
print("gain over the best features of a unit alone:", (wide.loc["NuCLR"] - best_alone).round(3).to_dict())
if profile != "smoke" and not training_steps:
    assert ((wide.loc["NuCLR"] - best_alone) > 0.25).all(), "expected a gain above 0.25 for both labels"

# %% [markdown]
# **Next:** `07_zero_shot`: animals that neither the encoder nor the classifier has seen.
