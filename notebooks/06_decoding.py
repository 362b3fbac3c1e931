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
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/06_decoding.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/06_decoding.ipynb
#
# **You will learn** to read a brain region from frozen vectors, to put an honest interval around
# the score, and to build the table that a sceptical reader asks for: baselines that could win,
# controls, differences with intervals.
#
# **Needs** a network the first time. **Takes** about 7 minutes on a laptop (2 cores) the first
# time, on a GPU: not timed yet. Its encoders are kept in `runs/`, shared with `07_zero_shot` and
# `09_label_efficiency`, and run again it takes seconds.
#
# **The animals** are real: eleven rats that decide on which side they heard more clicks (Luo, Kim
# et al. 2025, 58 MB, downloaded once). What is decoded is the brain region of each unit. With
# `data_source = "simulated"` the same cells run on simulated animals (`results/README.md`).
#
# A score alone says nothing. 0.6 is excellent for ten classes and poor for two; 0.9 is worthless if
# the most frequent class is 90 % of the units; and any score can come from something other than
# what you believe. So a score never stands alone here.
#
# **Predict**: the rats were implanted differently, and none has all six regions. How well could a
# classifier do that recognises the rat, but knows nothing about cells? (Section 4 answers: the rows
# *recording means*.)

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
# "smoke": seconds, to see that it runs; "laptop": minutes; "full": more animals, seeds and steps
profile = "laptop"
# "simulated"; "rats": real ones, 58 MB, downloaded once; or a folder of saved recordings
data_source = "rats"
data_dir = "../data"  # where the rats are kept
world = "one network"  # of simulated animals: "one network" or "assemblies", see data/README.md
modality = "spikes"  # "spikes" or "calcium"
label_columns = []  # what to decode; []: cell_type and area, the rats' region
runs_dir = "../runs"  # where results are kept; a run that was stopped goes on from there
jobs = 0  # processes; 0: one for each core
encoder_seeds = 0  # encoders of each kind, with seeds 0, 1, ...; 0: the profile's, two at "laptop"
training_steps = 0  # optimiser steps; 0: the profile's
scores_csv = ""  # also write the table of all results here; "": nowhere
seed = 0  # of the resampling below; the encoders have their own seeds

# %% [markdown] tags=["slide"]
# In colour, what this notebook is about: a classifier reads a label from the vectors. Here the
# animals aren't new: it is asked about other units of animals whose labels it knows.

# %% tags=["slide"]
import nuclr_lite as nl

nl.plots.method("decoding")

# %%
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from nuclr_lite import comparison, experiments
from nuclr_lite.experiments import methods

# %% [markdown] tags=["slide"]
# ## 1 · The experiment, as data
#
# In the *transductive* protocol all animals that are decoded took part in pretraining; no label
# did. The classifier then learns from four fifths of the units and is asked about the rest, in
# turn. It is the easiest of three protocols (`07_zero_shot` has the other two), and the right one
# for "I have labels for a part of my neurons; what are the rest?" (Four rats are left out
# altogether, so that the encoders are those of `07_zero_shot`.)
#
# Two encoders (two trainings of each here; `encoder_seeds` asks for more): NuCLR, and the same with
# spatial attention off, which makes what a transformer can of each unit's own activity, and never
# looks at a neighbour. And what needs no pretraining:
#
# - hand-crafted features look at each unit alone: its rate, its inter-spike intervals, its
#   autocorrelogram, and all of these together; *tuned* and *boosting* read the same features by a
#   classifier whose strength is chosen inside the training folds, and by boosted trees;
# - interval network: a supervised network on histograms of intervals, window by window, in the
#   spirit of LOLCAT, an earlier method;
# - coupling to the population: the correlation of a unit with the sum of the others, lag by
#   lag; also by hand, but it looks at the others;
# - recording means: each unit gets the mean of its recording, so that nothing is left of the
#   unit itself. What this row reaches, telling recordings apart can reach;
# - the untrained encoder has the architecture and random weights: how much comes from looking
#   at the population at all?
# - shuffled labels (within each animal): what the classifier scores when all that it can learn is
#   which labels an animal has; chance: a label drawn evenly, once for each seed. A classifier that
#   learned nothing can score below it: guesses that prefer one class have a lower macro F1.

# %% tags=["slide"]
nl.plots.protocols("transductive")

# %%
source = experiments.animals(data_source, modality, world, data_dir)
label_columns = source.to_decode(label_columns)
size = {
    "smoke": dict(n_animals=5, n_held_out=2, changes={"steps": 10}),
    "laptop": dict(n_animals=20, n_held_out=6, changes={}),
    "full": dict(n_animals=40, n_held_out=12, changes={"steps": 10_000}),
}[profile]
usual_seeds = {"smoke": 1, "laptop": 2, "full": 5}[profile]
size["seeds"] = tuple(range(encoder_seeds or usual_seeds))
steps = {"steps": training_steps} if training_steps else size["changes"]
size["changes"] = source.changes | steps
encoders = {"NuCLR": {}, "without spatial attention": {"spatial_attention": False}}
usual = methods.usual_baselines(modality, label_of_recordings=not source.simulated)
baselines = methods.FEW if profile == "smoke" else usual
ending = f"{source.short}-{profile}-{len(size['seeds'])}" + f"-{training_steps}-steps" * bool(
    training_steps
)

# %%
todo = {
    label: experiments.Experiment(
        name=f"decoding-{modality}-{label}-{ending}",
        label=label,
        protocol="transductive",
        encoders=encoders,
        baselines=baselines,
        **source.choices,
        **size,
    )
    for label in label_columns
}
todo[label_columns[0]]

# %%
tables = {
    label: experiments.run(experiment, runs_dir, n_jobs=jobs or -1)
    for label, experiment in todo.items()
}
if scores_csv:
    pd.concat(tables.values()).round(4).to_csv(scores_csv, index=False)
where = source.caption

# %% [markdown] tags=["slide"]
# How NuCLR was trained. Left: the loss and its two parts; lower is better for each. Attraction:
# how far apart a unit's two vectors lie; it may rise if repulsion, how close other units come,
# falls more. Middle: how often a unit finds itself among the others; thin, single batches; thick,
# their running mean. Right: how many dimensions the vectors use
# ([RankMe](../docs/glossary.md#rankme)); near 1 is [collapse](../docs/glossary.md#collapse).

# %% tags=["slide"]
nl.plots.history(experiments.trained(todo[label_columns[0]], runs_dir).history)

# %% [markdown] tags=["slide"]
# ## 2 · The probe, and the metric by hand
#
# The classifier, a [linear probe](../docs/glossary.md#linear-probe), standardises each dimension
# and fits a logistic regression (L2, C = 1, classes balanced by weight). It is deliberately weak: a
# strong classifier could dig out of a vector what the encoder merely failed to destroy.
#
# **Macro F1**: for each class $F_1 = \dfrac{2\,\mathrm{hits}}{\mathrm{true} + \mathrm{predicted}}$,
# then the plain mean over classes, so that a rare type weighs as much as a frequent one. Six units,
# two types:

# %% tags=["slide-code"]
true = np.array(["Exc", "Exc", "Exc", "Exc", "Sst", "Sst"])
predicted = np.array(["Exc", "Exc", "Exc", "Sst", "Sst", "Exc"])
exc = 2 * 3 / (4 + 4)  # 3 hits, 4 true, 4 predicted
sst = 2 * 1 / (2 + 2)  # 1 hit, 2 true, 2 predicted
assert np.isclose((exc + sst) / 2, f1_score(true, predicted, average="macro"))
(exc + sst) / 2

# %% [markdown] tags=["slide"]
# We compute it **once, over the pooled predictions of all folds**. A rat has two or three of the
# regions, and an animal of the Allen data often one single labelled type; an F1 per fold and a mean
# over folds would be a number without meaning. Here are NuCLR's, pooled:

# %% tags=["slide"]
first = tables[label_columns[0]].iloc[0]
predictions = experiments.predictions(todo[label_columns[0]], runs_dir, first)
assert np.isclose(
    f1_score(predictions["true"], predictions["predicted"], average="macro"), first["macro_f1"]
)
nl.plots.confusion(predictions, title=f"NuCLR on {label_columns[0]}, transductive ({where})")

# %% [markdown] tags=["slide"]
# ## 3 · How sure?
#
# The units of an animal share its state, its electrode and its surgeon. Resampling units pretends
# that they are independent and in general gives intervals that are too narrow; we resample
# animals. Both intervals, for NuCLR's score:


# %%
def interval_over_units(rows, n_resamples=300, seed=0):
    """95 % interval of macro F1 from resampling units, as if they were independent: (low, high)."""
    rng = np.random.default_rng(seed)
    draws = [rows.iloc[rng.integers(len(rows), size=len(rows))] for _ in range(n_resamples)]
    scores = [f1_score(draw["true"], draw["predicted"], average="macro") for draw in draws]
    return np.quantile(scores, [0.025, 0.975])


# %% tags=["slide"]
summaries = {label: comparison.summary(experiment, runs_dir) for label, experiment in todo.items()}
intervals = {
    "over units": interval_over_units(predictions, seed=seed),
    "over animals": first[["macro_f1_low", "macro_f1_high"]].to_numpy(float),
}
pd.DataFrame(intervals, index=["low", "high"]).T.round(3)

# %% [markdown] tags=["slide"]
# In the run shown here the interval over animals is six times as wide as that over units: rats
# differ, and have different regions. (Simulated animals are so alike that drawing whole animals
# changes little.)
#
# Neither interval knows that an encoder trained again, with another seed, is another encoder. Two
# of each kind were trained, and every interval below resamples seeds too. Two are few: they show
# that seeds differ, but hardly by how much.
#
# ## 4 · Compared with what?
#
# Dots: scores (means over seeds, where there are several). Bars: 95 % intervals over animals, and
# seeds. Dashed: the row chance.

# %% tags=["slide"]
nl.plots.scores(summaries[label_columns[0]], title=f"{label_columns[0]}, transductive ({where})")

# %%
for label in label_columns[1:]:
    display(nl.plots.scores(summaries[label], title=f"{label}, transductive ({where})"))

# %% [markdown] tags=["slide"]
# ## 5 · Is the difference real?
#
# Two intervals that overlap can still belong to methods that differ on every animal. So the
# question is put to the **difference**: the same animals and seeds are drawn for both methods,
# again and again. We call a difference significant if its 95 % interval leaves 0 out. (Each row by
# itself: if no method differed, about one row in twenty would still say so.)

# %% tags=["slide"]
differences = {
    label: comparison.against(experiment, runs_dir) for label, experiment in todo.items()
}
differences = pd.concat(differences, names=["label"])
differences.drop(columns=["significant"]).round(3)

# %% [markdown] tags=["slide"]
# A row in which NuCLR is worse stays in the table like any other. In the run shown here NuCLR is
# better than every other method except two, from which it can't be told apart: boosting on all
# hand-crafted features, and the means over recordings. The latter know nothing about the unit:
# recognising the recording is enough to get that far. (In the simulated animals it is the
# hand-crafted coupling to the population that can't be told apart from NuCLR: there identity is
# such a correlation.)
#
# ## 6 · Is it the label, or something that comes with it?
#
# A score shows that the vectors carry the label, not that they carry it for the reason you like.
# Units that were recorded together share the animal, the day, the depth of the probe, and, in these
# rats, often the region. So ask again with all of that taken away: only recordings that hold two
# labels or more count, and from every feature *its mean over the recording* is subtracted. Then
# units that were recorded together must be told apart.

# %%
within = {
    label: replace(
        experiment,
        name=f"{experiment.name}-within",
        within_recordings=True,
        baselines=methods.FEW,
    )
    for label, experiment in todo.items()
}
for experiment in within.values():
    experiments.run(experiment, runs_dir, n_jobs=jobs or -1)

# %%
label = label_columns[0]
less_means = comparison.summary(within[label], runs_dir)
both = {"whole": summaries[label], "within recordings": less_means}
pd.DataFrame(
    {name: rows.set_index("method")["estimate"] for name, rows in both.items()}
).dropna().reindex(less_means["method"]).round(3)

# %%
comparison.against(within[label], runs_dir).drop(columns=["significant"]).round(3)

# %% [markdown] tags=["slide"]
# In the run shown here NuCLR falls from 0.49 to 0.31, hand features from 0.43 to 0.34, and which of
# the two is better can't be told any more; nor whether spatial attention helps (0.29 without). Both
# are far above shuffled labels (0.13), so something about single units is there. But **most of what
# NuCLR has over hand features, in these rats, is about what the units of a recording have in
# common**. Two recordings of one rat on two days lie at about the same place; that is knowledge,
# and worth having, if it is place that you want to know. It is not knowledge about cells.
#
# In a simulation we know the truth and can look further: is a unit's true coupling to its
# population in its vector, among units of one cell type and one animal? (The next two cells print
# something with `data_source = "simulated"` only. A correlation clearly above 0 says that the
# vector carries graded coupling: more than the label, and what the label may be read from.)

# %%
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict


def read_coupling(embedding, units, cell_type):
    """Correlation of true and predicted coupling strength among units of one type, within animals.

    Other animals predict; animal means are taken off.
    """
    mine = units["cell_type"].eq(cell_type) & units.index.isin(embedding.index)
    x, y, animal = (
        embedding.loc[mine[mine].index],
        units.loc[mine, "state_coupling"],
        units.loc[mine, "animal_id"],
    )
    ridge, folds = RidgeCV(np.logspace(-1, 4, 11)), GroupKFold(min(5, animal.nunique()))
    guess = cross_val_predict(ridge, x, y, groups=animal, cv=folds)
    pairs = pd.DataFrame({"guess": guess, "true": y.to_numpy()})  # (units of the type, 2)
    return (pairs - pairs.groupby(animal.to_numpy()).transform("mean")).corr().iloc[0, 1]


# %%
recordings, _ = experiments.recordings(todo[label_columns[0]], runs_dir)
units = nl.units_table(recordings)
if "state_coupling" in units:
    embedding = nl.embed(experiments.trained(todo[label_columns[0]], runs_dir).encoder, recordings)
    kinds = sorted(units["cell_type"].unique())
    print({kind: round(read_coupling(embedding, units, kind), 2) for kind in kinds})

# %% [markdown]
# ## Exercises
#
# Three, on the predictions of section 2. None trains anything; each takes seconds.

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (fill in): two metrics from one table
#
# A confusion table has all that a score needs. Write a function that takes the counts (a row a true
# class, a column a predicted one) and returns **macro F1**, as in section 2, and **balanced
# accuracy**: of each class the share that was found, then the plain mean over classes. No loop is
# needed.
#
# By hand first. Ten `Exc`, of which 8 are called `Exc` and 2 `Sst`; two `Sst`, of which one is
# called `Exc` and one `Sst`: macro F1 is 0.621, balanced accuracy 0.650. Do your numbers agree? A
# class that is never predicted must not make you divide by 0.


# %% jupyter={"source_hidden": true} tags=["solution"]
def two_metrics(counts):
    """Macro F1 and balanced accuracy of a confusion table.

    counts (classes, classes): units by true class (row) and predicted class (column); every class
    has units. Returns (macro F1, balanced accuracy).
    """
    ### BEGIN SOLUTION
    # (classes,) each
    hits, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return np.mean(2 * hits / (true + predicted)), np.mean(hits / true)
    ### END SOLUTION


# %% tags=["check"]
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

by_hand, never_sst = np.array([[8, 2], [1, 1]]), np.array([[8, 0], [4, 0]])
assert np.allclose(two_metrics(by_hand), (0.621, 0.650), atol=0.001), (
    "not the two numbers found by hand"
)
assert np.allclose(two_metrics(never_sst), (0.4, 0.5)), "a class that is never predicted counts too"
true, predicted = predictions["true"], predictions["predicted"]
mine = two_metrics(confusion_matrix(true, predicted))
sklearns = f1_score(true, predicted, average="macro"), balanced_accuracy_score(true, predicted)
assert np.allclose(mine, sklearns), (
    f"yours {mine} on NuCLR's predictions, scikit-learn's {sklearns}"
)
print("exercise 1: right; macro F1 {:.3f}, balanced accuracy {:.3f}".format(*mine))

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (extend): the interval over animals
#
# Section 3 wrote the interval over units out and took the one over animals from the table. Write
# the second: as many animals as there are, drawn with replacement; all units of each drawn animal,
# **twice if it was drawn twice**; one macro F1 over all of them; again and again. The 95 % interval
# of these scores must be the one in the table, up to the luck of the draws (with more than eight
# animals the check allows 0.015 at either end; with the seven rats here the ends jump, so compare
# them yourself).


# %% jupyter={"source_hidden": true} tags=["solution"]
def over_animals(rows, n_resamples, rng):
    """Macro F1 with animals drawn anew.

    rows : DataFrame, a row a unit: true, predicted, animal_id. rng : np.random.Generator.
    Returns (n_resamples,) float.
    """
    ### BEGIN SOLUTION
    of_animal = [part for _, part in rows.groupby("animal_id")]
    scores = []
    for _ in range(n_resamples):
        drawn = pd.concat([of_animal[i] for i in rng.integers(len(of_animal), size=len(of_animal))])
        scores.append(f1_score(drawn["true"], drawn["predicted"], average="macro"))
    return np.array(scores)
    ### END SOLUTION


# %% [markdown]
# The check's first part has three animals of four units: one in which all is right, one in which
# all is wrong, one in which all are called `Exc`. Three drawn of three give ten different handfuls,
# and nine different scores.

# %% tags=["check"]
toy = pd.DataFrame(
    {
        "true": ["Exc", "Exc", "Sst", "Sst"] * 3,
        "animal_id": list("aaaabbbbcccc"),
        "predicted": ["Exc", "Exc", "Sst", "Sst", "Sst", "Sst", "Exc", "Exc"] + ["Exc"] * 4,
    }
)
few_scores = over_animals(toy, 300, np.random.default_rng(seed))
assert np.shape(few_scores) == (300,), f"expected 300 scores, got the shape {np.shape(few_scores)}"
expected = {0.0, 0.143, 0.25, 0.333, 0.486, 0.625, 0.667, 0.829, 1.0}
assert set(np.round(few_scores, 3)) == expected, (
    "other scores than three animals drawn of three can give"
)

animal_scores = over_animals(predictions, 200, np.random.default_rng(seed))
assert animal_scores.min() <= first["macro_f1"] <= animal_scores.max(), (
    "the score itself lies outside"
)
low, high = np.quantile(animal_scores, [0.025, 0.975])
if predictions["animal_id"].nunique() > 8:  # with fewer, the ends of the interval jump
    assert np.allclose([low, high], intervals["over animals"], atol=0.015), (
        "not the interval in the table"
    )
print(f"exercise 2: right; 95 % interval over animals {low:.3f} to {high:.3f}")

# %% tags=["target"]
rng = np.random.default_rng(seed)
drawn = [
    predictions.iloc[rng.integers(len(predictions), size=len(predictions))] for _ in range(200)
]
unit_scores = [f1_score(one["true"], one["predicted"], average="macro") for one in drawn]
nl.plots.resampled(
    {"units drawn": unit_scores, "animals drawn": animal_scores},
    first["macro_f1"],
    title=f"NuCLR on {label_columns[0]}, transductive ({where})",
)

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (predict): every unit ten times
#
# By a slip somebody decodes windows instead of units: each unit stands in the table ten times,
# each time with the same prediction. The score stays as it is. What becomes of its two intervals?
#
# - `"a"`: both stay as they are;
# - `"b"`: both become narrower, about three times;
# - `"c"`: the one over units becomes narrower, about three times; the one over animals stays as it
#   is;
# - `"d"`: the one over animals becomes narrower; the one over units stays as it is.
#
# Before you write the letter, say for each interval what is drawn, and of how many. The check runs
# it, with your function of exercise 2.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "c"
### END SOLUTION


# %% tags=["check"]
def widths(rows, n_resamples, seed):
    """How wide the 95 % intervals over units and over animals are: (2,)."""
    of_animals = np.quantile(
        over_animals(rows, n_resamples, np.random.default_rng(seed)), [0.025, 0.975]
    )
    return np.diff([interval_over_units(rows, n_resamples, seed), of_animals]).ravel()


once, tenfold = widths(predictions, 50, seed), widths(pd.concat([predictions] * 10), 50, seed)
print(
    "over units {:.3f}, tenfold {:.3f}; over animals {:.3f}, tenfold {:.3f}".format(
        *np.stack([once, tenfold], 1).ravel()
    )
)
narrower = tuple(bool(one) for one in tenfold < 0.7 * once)
happened = {(False, False): "a", (True, True): "b", (True, False): "c", (False, True): "d"}
assert prediction == happened[narrower], (
    "look at the four numbers above, and ask what is drawn each time"
)
print(
    "exercise 3: right. More rows are not more evidence: draw what the statement is about, other"
    " animals."
)

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# The region of a unit is read from NuCLR's vectors with a macro F1 of 0.49, significantly better
# than from anything that looks at a unit alone but boosting (0.48: these seven rats don't tell the
# two apart, all eleven do, `results/README.md`), than without spatial attention (0.33), and than
# from the same encoder untrained (0.41: much comes from looking at the population at all). Means
# over recordings reach 0.46. Shuffled labels are at 0.35, far above chance (0.14): they were
# shuffled within each rat, and which regions a rat has was left to be learned. And within
# recordings the lead is gone.
#
# (Simulated animals: 0.96 for the cell type, where everything that looks at a unit alone is at 0.29
# or below; 0.75 for the area. There the cell below asks for a gain of 0.2.)

# %%
wide = pd.DataFrame(
    {label: summary.set_index("method")["estimate"] for label, summary in summaries.items()}
)
alone = [
    name
    for name in wide.index
    if name.startswith(("hand: ", "interval network", "without"))
    and name != methods.COUPLING
    and not name.endswith(methods.MEANS)
]
gain = wide.loc["NuCLR"] - wide.loc[alone].max()
print("gain over the best that looks at a unit alone:", gain.round(3).to_dict())
if source.simulated and profile != "smoke" and not training_steps and modality == "spikes":
    assert (gain > 0.2).all(), "expected a gain above 0.2 for both labels"

# %% [markdown]
# **Read** Arora et al. 2025 (arXiv 2512.01199), the experiments: which methods they compare with,
# by which metric. On macro F1 and the two things that go by this name: Opitz & Burst 2019 (arXiv
# 1911.03347). On units that are not independent: Lazic 2010, *The problem of pseudoreplication in
# neuroscientific studies*, BMC Neuroscience 11:5; Saravanan, Berman & Sober 2020, *Application of
# the hierarchical bootstrap to multi-level data in neuroscience*. On what a probe proves: Hewitt &
# Liang 2019, *Designing and interpreting probes with control tasks*. On coupling to the population:
# Okun et al. 2015, *Diverse coupling of neurons to populations in sensory cortex*, Nature 521.
#
# **Next:** `07_zero_shot`: animals that neither the encoder nor the classifier has seen.
