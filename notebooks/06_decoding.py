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
# to build the table that a sceptical reader asks for: baselines that could win, controls, differences with intervals.
#
# **Needs** nothing but this repository. **Takes** about 11 minutes on a laptop (2 cores) the first time; its encoders are kept in `runs/`, shared with `07_zero_shot`,
# `09_label_efficiency` and `12_what_it_learned`, and run again it takes seconds.
#
# A score alone says nothing. 0.6 is splendid for ten classes and poor for two; 0.9 is worthless if the most frequent class
# is 90 % of the units; and any score can come from something other than what you believe. So a score never stands alone here.
#
# **Predict**: in these *simulated* animals a unit's type shows in how it goes with the population, and hardly in anything of its own. Which rows of the table below will be at chance?

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds, to see that it runs; "laptop": minutes; "full": more animals, seeds and steps
source = "simulated"           # "simulated", or a folder of saved recordings (one subfolder each)
modality = "spikes"            # "spikes" or "calcium"
label_columns = ["cell_type", "area"]   # what to decode
runs_dir = "../runs"           # where results are kept; a run that was stopped goes on from there
jobs = 0                       # processes; 0: one for each core
training_steps = 0             # optimiser steps; 0: the profile's
scores_csv = ""                # also write the table of all results here; "": nowhere

# %%
import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

import nuclr_lite as nl
from nuclr_lite import comparison, experiments, methods

# %% [markdown]
# ## 1 · The experiment, as data
#
# In the *transductive* protocol all animals that are decoded took part in pretraining; no label did. The classifier then learns from four fifths of the units
# and is asked about the rest, in turn. It is the easiest of three protocols (`07_zero_shot` has the other two), and the right one for
# "I have labels for a part of my neurons; what are the rest?" (Six animals are left out altogether, so that the encoders are those of `07_zero_shot`.)
#
# Two encoders, each with several seeds: NuCLR, and the same with spatial attention off, which reads each unit's own activity with everything that a transformer can
# make of it, and never looks at a neighbour. And what needs no pretraining:
#
# - **hand features** look at each unit alone: its rate, its inter-spike intervals, its autocorrelogram, all of them; *tuned* and *boosting*: with a classifier that is
#   chosen inside the training folds;
# - **interval network**: a supervised network on histograms of intervals, window by window, in the spirit of LOLCAT;
# - **coupling to the population**: the correlation of a unit with the sum of the others, lag by lag; also by hand, but by someone who knows how this simulation works;
# - the **untrained encoder** has the architecture and random weights: how much comes from looking at the population at all?
# - **shuffled labels** (within each animal): what the probe makes of noise; **chance**: a label drawn evenly, once a seed (expected here: 0.24 for four types, 0.33 for three areas; the rest is luck). What learned
#   nothing can score *below* it: guesses that prefer one class have a lower macro F1 (always `Exc`: 0.14).

# %%
size = {"smoke": dict(n_animals=5, n_held_out=2, changes={"steps": 10}, seeds=(0,)),
        "laptop": dict(n_animals=20, n_held_out=6, changes={}, seeds=(0, 1)),
        "full": dict(n_animals=40, n_held_out=12, changes={"steps": 10_000}, seeds=(0, 1, 2, 3, 4))}[profile]
size["changes"] = {"steps": training_steps} if training_steps else size["changes"]
todo = {label: experiments.Experiment(
    name=f"decoding-{modality}-{label}-{profile}" + f"-{training_steps}" * bool(training_steps), label=label, protocol="transductive", source=source, modality=modality,
    preset="quick" if modality == "spikes" else "quick-calcium",
    encoders={"NuCLR": {}, "without spatial attention": {"spatial_attention": False}}, baselines=methods.usual_baselines(modality) if profile != "smoke" else methods.FEW, **size) for label in label_columns}
todo[label_columns[0]]

# %%
tables = {label: experiments.run(experiment, runs_dir, n_jobs=jobs or -1) for label, experiment in todo.items()}
if scores_csv:
    pd.concat(tables.values()).round(4).to_csv(scores_csv, index=False)
where = "simulated" if source == "simulated" else tables[label_columns[0]]["dataset"].iloc[0]

# %% [markdown]
# How NuCLR's first seed was trained.
# Left: the loss and its two parts; lower is better for each. *Attraction*: how far apart a unit's two vectors lie; it may rise if *repulsion*, how close other units come, falls more. Middle: thin, single
# batches; thick, their running mean. Right: how many dimensions the vectors use (RankMe); near 1 is collapse.

# %%
nl.plots.history(experiments.trained(todo[label_columns[0]], runs_dir).history)

# %% [markdown]
# ## 2 · The probe, and the metric by hand
#
# The probe standardises each dimension and fits a logistic regression (L2, C = 1, classes balanced by weight). It is deliberately weak: a strong
# classifier could dig out of a vector what the encoder merely failed to destroy.
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
# labelled type; an F1 per fold and a mean over folds would then be a number without meaning. Here are the predictions of the first seed, pooled:

# %%
first = tables[label_columns[0]].iloc[0]
predictions = experiments.predictions(todo[label_columns[0]], runs_dir, first)
assert np.isclose(f1_score(predictions["true"], predictions["predicted"], average="macro"), first["macro_f1"])
nl.plots.confusion(predictions, title=f"NuCLR on {label_columns[0]}, transductive ({where})")

# %% [markdown]
# ## 3 · How sure?
#
# The units of an animal share its state, its electrode and its surgeon. Resampling *units* pretends that they are independent
# and in general gives intervals that are too narrow; we resample **animals**. And an encoder trained again with another seed is another encoder: where there are several seeds, we
# resample **seeds** too. Two intervals for the first seed's score, and one for the mean over seeds:

# %%
def interval_over_units(rows, n_resamples=300, seed=0):
    """95 % interval of macro F1 from resampling units, as if they were independent: (low, high)."""
    rng = np.random.default_rng(seed)
    draws = [rows.iloc[rng.integers(len(rows), size=len(rows))] for _ in range(n_resamples)]
    return np.quantile([f1_score(draw["true"], draw["predicted"], average="macro") for draw in draws], [0.025, 0.975])


summaries = {label: comparison.summary(experiment, runs_dir) for label, experiment in todo.items()}
both = summaries[label_columns[0]].iloc[0]
pd.DataFrame({"units, first seed": interval_over_units(predictions), "animals, first seed": first[["macro_f1_low", "macro_f1_high"]].to_numpy(float),
              "animals and seeds": both[["low", "high"]].to_numpy(float)}, index=["low", "high"]).T.round(3)

# %% [markdown]
# In the run shown here the interval over animals is *not* wider: simulated animals are so alike that drawing whole animals changes little. In real data, where animals differ, it is. Two seeds are few: the third row is a hint of what training adds, not a measurement.
#
# ## 4 · Compared with what?

# %%
nl.plots.scores(summaries[label_columns[0]], title=f"{label_columns[0]}, transductive ({where})")

# %%
nl.plots.scores(summaries[label_columns[-1]], title=f"{label_columns[-1]}, transductive ({where})")

# %% [markdown]
# ## 5 · Is the difference real?
#
# Two intervals that overlap can still belong to methods that differ on *every* animal. So the question is put to the **difference**: the same animals and seeds are drawn for both
# methods, again and again. We call a difference significant if its 95 % interval leaves 0 out. (Each row by itself: if no method differed, about one row in twenty would still say so.)

# %%
differences = pd.concat({label: comparison.against(experiment, runs_dir) for label, experiment in todo.items()}, names=["label"])
differences.drop(columns=["significant"]).round(3)

# %% [markdown]
# Where a row says that NuCLR is *worse*, it is worse. In this simulation identity *is* a correlation with the population, so the feature made by someone who
# knows that is hard to beat. NuCLR was not told so. In the run shown here it finds nearly all of it for the cell type (0.96 against 0.98), and much less for the area (0.68 against 0.99). In real data nobody knows what to write down by hand.
#
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


recordings, _ = experiments.recordings(todo[label_columns[0]], runs_dir)
units = nl.units_table(recordings)
if "state_coupling" in units:
    embedding = nl.embed(experiments.trained(todo[label_columns[0]], runs_dir).encoder, recordings)
    print({kind: round(read_coupling(embedding, units, kind), 2) for kind in sorted(units["cell_type"].unique())})

# %% [markdown]
# Coupling strength varies little within a type (a standard deviation of 0.05, cut off at 0.98). A correlation clearly above 0 says that the vector
# carries graded coupling, not only the type. With some 190 units of a type, one below about 0.15 (here `Sst`) could be luck.
#
# ## What you should have seen
#
# Both labels are read far better from NuCLR's vectors than from anything that looks at a unit alone, and shuffled labels
# fall to chance or below. The hand-made coupling reads them too, and may well read them better.

# %%
wide = pd.DataFrame({label: summary.set_index("method")["estimate"] for label, summary in summaries.items()})
alone = [name for name in wide.index if name.startswith(("hand: ", "interval network", "without")) and name != methods.COUPLING]
gain = wide.loc["NuCLR"] - wide.loc[alone].max()
print("gain over the best that looks at a unit alone:", gain.round(3).to_dict())
if source == "simulated" and profile != "smoke" and not training_steps and modality == "spikes":
    assert (gain > 0.2).all(), "expected a gain above 0.2 for both labels"

# %% [markdown]
# **Next:** `07_zero_shot`: animals that neither the encoder nor the classifier has seen.
