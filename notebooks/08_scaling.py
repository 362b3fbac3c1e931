# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Scaling: what do more animals add?
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/08_scaling.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/08_scaling.ipynb
#
# **You will learn** to separate two things that usually come together: more animals to *pretrain*
# on, and more animals with *labels*; to draw a curve with the uncertainty that it has, and to know
# which part of it is extrapolated; and to tell a rise from luck, and a rise that pretraining made
# from one that a classifier made.
#
# **Needs** a network the first time. **Takes** about 9 minutes on a laptop (2 cores) the first
# time; run again, it finds what it computed in `runs/`. GPU: not timed yet.
#
# **The claim** (Arora et al. 2025): doubling the animals to pretrain on helps cell-type decoding
# more than doubling the labels. Here it is tested on real rats (Luo, Kim et al. 2025, 58 MB,
# downloaded once), whose brain regions are decoded: seven to learn from, four held out. With
# `data_source = "simulated"` the same cells run on simulated animals of the world `assemblies`
# (`data/README.md`); what came out there is in `results/README.md`.
#
# **Predict**: what can an encoder not learn from a single rat with many sessions? And what can a
# classifier not learn from one, if no rat has all regions?

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
profile = "laptop"  # "smoke": seconds; "laptop": minutes; "full": more animals, seeds and steps
# "simulated"; "rats": real ones, 58 MB, downloaded once; or a folder of saved recordings
data_source = "rats"
data_dir = "../data"  # where the rats are kept
world = "assemblies"  # of simulated animals: "one network" or "assemblies", see data/README.md
modality = "spikes"  # "spikes" or "calcium"
label_column = ""  # what to decode; "": cell_type, the rats' region
runs_dir = "../runs"  # where results are kept; a run that was stopped goes on from there
jobs = 0  # processes; 0: one for each core
# optimiser steps of each encoder; 0: the profile's (600 for the world `assemblies`)
training_steps = 0
scores_csv = ""  # also write the table of all results here; "": nowhere

# %% [markdown] tags=["slide"]
# In colour, what this notebook varies: which animals are recorded, and whose labels are known.

# %% tags=["slide"]
import nuclr_lite as nl

nl.plots.method(["recording", "decoding"])

# %%
import numpy as np
import pandas as pd

from nuclr_lite import comparison, experiments
from nuclr_lite.experiments import methods

# %% [markdown] tags=["slide"]
# ## 1 · The experiment, as data
#
# Some animals are held out: neither encoder nor classifier sees them. Encoders are trained on 1, 2,
# 4 and so on of the others (nested: the one is among the two, the two among the four), each for
# *the same number of steps*. Three series:
#
# - **encoder**: pretrained on n animals; the classifier has the labels of all;
# - **labels**: pretrained on all; the classifier has the labels of n;
# - **both**: pretrained on n animals, and the classifier has the labels of the same n: as if no
#   more had been recorded.

# %%
size = {
    "smoke": dict(
        n_animals=4, n_held_out=1, pretraining_animals=(1, 2), label_animals=(2,), seeds=(0,)
    ),
    "laptop": dict(
        n_animals=22,
        n_held_out=6,
        pretraining_animals=(2, 6),
        label_animals=(2, 6),
        seeds=(0, 1),
    ),
    "full": dict(
        n_animals=76,
        n_held_out=12,
        pretraining_animals=(1, 2, 4, 8, 16, 32),
        label_animals=(2, 4, 8, 16, 32),
        seeds=(0, 1, 2, 3, 4),
    ),
}[profile]

# %%
source = experiments.animals(data_source, modality, world, data_dir)
label_column = source.to_decode(label_column)[0]
if not source.simulated and profile == "laptop":
    size |= dict(pretraining_animals=(1, 2, 4), label_animals=(1, 2, 4))
laptop_steps = source.changes.get("steps", nl.PRESETS[source.choices["preset"]].train.steps)
steps = training_steps or {"smoke": 5, "laptop": laptop_steps, "full": 10_000}[profile]
experiment = experiments.Experiment(
    name=f"scaling-{modality}-{label_column}-{source.short}-{profile}"
    + f"-{training_steps}" * bool(training_steps),
    label=label_column,
    changes={**source.changes, "steps": steps},
    baselines=methods.FEW,
    **source.choices,
    **size,
)
print(len(experiment.cells()), "results to compute: method x seed x part of the animals")

# %%
table = experiments.run(experiment, runs_dir, n_jobs=jobs or -1)
if scores_csv:
    table.round(4).to_csv(scores_csv, index=False)
where = source.caption

# %% [markdown]
# From the table to three series. `draws` holds each score as it would be with other animals and
# other seeds (both drawn again and again, the same for all rows): what every interval below is made
# of.

# %%
recordings, held_out = experiments.recordings(experiment, runs_dir)
n_learn = len({recording.animal_id for recording in recordings} - set(held_out))
rows, draws = comparison.summary_and_draws(experiment, runs_dir)


def as_series(rows, n_learn, method="NuCLR"):
    """Rows of one method with n (animals) and series; a row with everything (n_learn) is in all
    three.
    """
    encoder, labels = rows["pretraining_animals"], rows["label_animals"]
    mine = {
        "encoder": labels.isna(),
        "labels": encoder.isna(),
        "both": encoder.isna() == labels.isna(),
    }
    n = {"encoder": encoder, "labels": labels, "both": encoder}
    mine = {name: keep & rows["method"].eq(method) for name, keep in mine.items()}
    return pd.concat(
        [rows[keep].assign(n=n[name].fillna(n_learn), series=name) for name, keep in mine.items()]
    )


results = as_series(rows, n_learn)
results.pivot(index="n", columns="series", values="estimate")[["encoder", "labels", "both"]].round(
    3
)

# %% [markdown] tags=["slide"]
# ## 2 · The curves
#
# Dots: single seeds (of the weights, and of which animals are taken). Squares: their means, with 95
# % intervals over the held-out animals and seeds. Lines: a curve that levels off,
# $F_1 = a - b\,n^{-c}$, fitted to the means. Dotted: up to twice the largest n, and not a step
# further. (A curve with three parameters through so few points is there to guide the eye; that it
# levels off was assumed. Its own uncertainty, the fit repeated with animals and seeds drawn anew,
# is in the table below.) *Untrained encoder*: random weights, labels of n animals.

# %% tags=["slide"]
chance = rows.loc[rows["method"] == "chance", "estimate"].mean()
fits = {
    name: comparison.saturating_curve(
        part["n"], part["estimate"], draws[part.index][:, :200], to=2 * part["n"].max()
    )
    for name, part in results.groupby("series", sort=False)
    if part["n"].nunique() >= 3
}
shuffled = as_series(rows, n_learn, "NuCLR, shuffled labels").query("series == 'both'")
untrained = as_series(rows, n_learn, "untrained encoder").query("series == 'labels'")
shown = pd.concat(
    [
        results,
        untrained.assign(series="labels, untrained encoder"),
        shuffled.assign(series="both, shuffled labels"),
    ]
)
nl.plots.curves(
    shown,
    "n",
    by="series",
    dots=as_series(table, n_learn),
    fits=fits,
    chance=chance,
    xlabel="animals to learn from",
    title=f"{label_column}, held-out animals ({where})",
)

# %% tags=["slide"]
pd.DataFrame({name: fit.iloc[[-1]].squeeze() for name, fit in fits.items()}).T.round(3).rename_axis(
    "the curve at its end"
)

# %% [markdown] tags=["slide"]
# ## 3 · From fewest to all
#
# For each series the score with all animals minus that with the fewest, with its interval; and, as
# controls, the same for features made by hand and for an untrained encoder, where only labels can
# make a difference, and for an encoder whose classifier gets labels shuffled within each animal:
# that shows what comes from knowing which labels there are. It may rise, because more rats have
# more regions.


# %% tags=["slide"]
def gain(part, draws):
    """Score with all animals minus score with the fewest: estimate, low, high."""
    first, last = part.loc[part["n"].idxmin()], part.loc[part["n"].idxmax()]
    change = draws[last.name] - draws[first.name]
    low, high = np.quantile(change, [0.025, 0.975])
    return pd.Series({"gain": last["estimate"] - first["estimate"], "low": low, "high": high})


rows_of = {f"{name}": part for name, part in results.groupby("series", sort=False)}
for method in (
    "untrained encoder",
    "hand: coupling to the population",
    "hand: all",
    "NuCLR, shuffled labels",
):
    rows_of[f"labels, {method}"] = as_series(rows, n_learn, method).query("series == 'labels'")
gains = pd.DataFrame(
    {name: gain(part.reset_index().set_index("index"), draws) for name, part in rows_of.items()}
).T
gains.round(3)

# %% [markdown] tags=["slide"]
# And NuCLR against each other method, with the labels and the animals of all (difference with its
# interval):

# %% tags=["slide"]
comparison.against(experiment, runs_dir).drop(columns=["significant"]).round(3)

# %% [markdown] tags=["slide"]
# ## 4 · Which matters more, animals for the encoder or labels?
#
# The claim as a number. With half the animals to *pretrain* on and all labels, or with all animals
# to pretrain on and half the *labelled* ones: the second score minus the first. Above 0: animals to
# pretrain on are worth more, as the paper found in real data.

# %% tags=["slide"]
half = {
    name: part[part["n"] < n_learn].nlargest(1, "n").iloc[0]
    for name, part in results.groupby("series", sort=False)
}
change = draws[half["labels"].name] - draws[half["encoder"].name]
low, high = np.quantile(change, [0.025, 0.975])
verdict = (
    "pretraining animals are worth more"
    if low > 0
    else "labels are worth more"
    if high < 0
    else "can't tell"
)
difference = half["labels"]["estimate"] - half["encoder"]["estimate"]
print(
    f"{difference:+.3f} [{low:.3f}, {high:.3f}] at n = {half['labels']['n']:g} of {n_learn}"
    f" ({where}): {verdict}"
)

# %% [markdown]
# ## Exercises

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): a rise out of nothing
#
# Suppose that more animals add nothing at all: with 2, 4, 8 and 16 animals the true macro F1 is
# 0.5, and each measured score lies off by a normal error with a standard deviation of 0.04. How
# often does the score with 16 animals come out more than 0.05 above the score with 2?
#
# - `"a"`: hardly ever, less than one time in fifty;
# - `"b"`: about one time in five;
# - `"c"`: about half of the times.
#
# The check measures 5000 times.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION

# %% tags=["check"]
measured = np.random.default_rng(0).normal(0.5, 0.04, size=(5000, 4))  # (times, numbers of animals)
risen = np.mean(measured[:, 3] - measured[:, 0] > 0.05)
print(f"more than 0.05 above: {risen:.0%} of the times")
happened = "a" if risen < 0.02 else "c" if risen > 0.4 else "b"
assert prediction == happened, (
    "a difference of two scores lies off by more than each of them: by how much?"
)
print("exercise 1: right. A rise needs an interval before it needs an explanation.")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): fit the curve
#
# $F_1 = a - b\,n^{-c}$ has three unknowns, but for a *given* $c$ it is a straight line in
# $x = n^{-c}$: its top $a$ and gap $b$ come from ordinary least squares (`np.linalg.lstsq`). So try
# each $c$ of a list, and keep the one that leaves the smallest sum of squared errors. By hand: with
# $a = 0.9$, $b = 0.6$, $c = 0.5$, the scores at 4 and 16 animals are 0.60 and 0.75; each fourfold
# number of animals halves what is missing to 0.9.


# %% jupyter={"source_hidden": true} tags=["solution"]
def fit_rise(n, score, rates):
    """Fit score = top - gap * n ** -rate by least squares, the rate being one of `rates`.

    n, score (results,) float; rates (tries,) float. Returns (top, gap, rate).
    """
    ### BEGIN SOLUTION
    best, smallest = None, np.inf
    for rate in rates:
        design = np.stack([np.ones(len(n)), -(n**-rate)], axis=1)  # (results, 2): of top, of gap
        top_and_gap = np.linalg.lstsq(design, score, rcond=None)[0]
        error = np.sum((design @ top_and_gap - score) ** 2)
        if error < smallest:
            best, smallest = (*top_and_gap, rate), error
    return best
    ### END SOLUTION


# %% tags=["check"]
def off_by(n, score, top, gap, rate):
    """Root mean squared distance of scores (results,) from a curve."""
    return np.sqrt(np.mean((top - gap * n**-rate - score) ** 2))


rates, at = np.linspace(0.05, 4, 80), np.array([2.0, 4.0, 8.0, 16.0])
found = fit_rise(at, 0.9 - 0.6 * at**-0.5, rates)
assert np.allclose(found, (0.9, 0.6, 0.5), atol=1e-3), (
    f"from scores without noise: 0.9, 0.6, 0.5; yours {found}"
)
for name, fit in fits.items():
    part = results[results["series"] == name]
    n, score = part["n"].to_numpy(float), part["estimate"].to_numpy(float)
    mine, modules = off_by(n, score, *fit_rise(n, score, rates)), off_by(n, score, **fit.attrs)
    assert mine < modules + 0.002, (
        f"{name}: your curve is off by {mine:.4f}, that of the module by {modules:.4f}"
    )
print("exercise 2: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): what a doubling adds, from the file
#
# All single scores lie in a file, `scores.csv`, in the experiment's folder: a row a method, seed
# and part of the animals; an empty `pretraining_animals` or `label_animals` means *all*. From it,
# compute for one method what **one doubling** of the animals adds, from each number to the next,
# when one of the two columns varies and the other is *all*: the difference of the means over seeds,
# divided by the number of doublings (from 4 to 16 there are two).


# %% jupyter={"source_hidden": true} tags=["solution"]
def gain_per_doubling(scores, method, varied, fixed, n_all):
    """Macro F1 gained by each doubling of the animals.

    scores : DataFrame method, seed, pretraining_animals, label_animals, macro_f1.
    varied, fixed : names of the two columns of animals. n_all : how many an empty entry (NaN) of
        `varied` means.
    Returns Series "4 to 16" -> gain, in order.
    """
    ### BEGIN SOLUTION
    mine = scores[scores["method"].eq(method) & scores[fixed].isna()]
    mean = mine["macro_f1"].groupby(mine[varied].fillna(n_all)).mean()  # n, ascending -> score
    steps = [f"{few:g} to {more:g}" for few, more in zip(mean.index[:-1], mean.index[1:])]
    return pd.Series(np.diff(mean) / np.diff(np.log2(mean.index)), index=steps)
    ### END SOLUTION


# %% tags=["check"]
toy = pd.DataFrame(
    {
        "method": ["A"] * 6 + ["B"],
        "seed": [0, 0, 0, 1, 1, 0, 0],
        "pretraining_animals": [2, 4, None, 2, 4, 4, 4],
        "label_animals": [None] * 5 + [4, None],
        "macro_f1": [0.2, 0.4, 0.8, 0.4, 0.4, 0.0, 0.9],
    }
)
mine = gain_per_doubling(toy, "A", "pretraining_animals", "label_animals", 16)
assert list(mine.index) == [
    "2 to 4",
    "4 to 16",
], f"expected '2 to 4' and '4 to 16', got {list(mine.index)}"
assert np.allclose(mine, [0.1, 0.2]), (
    f"0.3 (a mean), 0.4, 0.8 at 2, 4, 16 animals: 0.1, 0.2; yours {mine.to_list()}"
)

# %% tags=["check"]
columns = {
    "encoder": ("pretraining_animals", "label_animals"),
    "labels": ("label_animals", "pretraining_animals"),
}
scores = pd.read_csv(f"{runs_dir}/{experiment.name}/scores.csv")
doublings = pd.concat(
    {name: gain_per_doubling(scores, "NuCLR", *pair, n_learn) for name, pair in columns.items()},
    axis=1,
)
for name in columns:
    part = results[results["series"] == name].sort_values("n")
    parts = doublings[name].dropna() * np.diff(np.log2(part["n"].to_numpy(float)))
    rise = part["estimate"].iloc[-1] - part["estimate"].iloc[0]
    assert np.isclose(parts.sum(), rise, atol=1e-4), (
        f"{name}: steps add up to {parts.sum():.3f}, the rise is {rise:.3f}"
    )
print("exercise 3: right")

# %% tags=["target"]
nl.plots.gains_per_doubling(doublings, title=f"NuCLR on {label_column}, held-out animals ({where})")

# %% [markdown]
# Single steps jump: with few seeds and animals, the differences of sections 3 and 4, with their
# intervals, are the safer reading.

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# At `laptop`, the more rats an encoder has seen, the better it is, at the same number of steps:
# 0.34 from one, 0.42 from two, 0.44 from four, 0.45 from seven; and every point lies above the
# untrained encoder with the labels of all (0.28). With two encoder seeds the gain has an interval
# that just touches 0 (+0.11 [-0.01, 0.18]); with three it leaves 0 out (`results/README.md`: +0.07
# [0.01, 0.13]). With *labels* of few rats much more is lost. But look at what is missing there: a
# rat has two or three of the six regions, and no classifier names a region that it was never shown.
# The curve of shuffled labels rises nearly as much (+0.23; labels +0.30), that of the untrained
# encoder more than half as much (+0.16), none of them significantly. So the claim's second half,
# which of the two is worth more, can't be tested fairly on these rats; section 4 says *can't tell*.
#
# (Simulated animals of the world `assemblies`: 0.61 from two animals, 0.60 from sixteen. Over
# many trainings, too, two animals pretrain as well as sixteen there: `results/README.md`.)

# %%
print(gains["gain"].round(3).to_dict())
if (
    source.simulated
    and world == "assemblies"
    and profile != "smoke"
    and (modality, label_column) == ("spikes", "cell_type")
):
    learned = rows.loc[rows["method"] == "NuCLR", "estimate"]
    random = rows.loc[rows["method"] == "untrained encoder", "estimate"]
    assert learned.min() > random.max() + 0.1, "expected every point above random weights"
    assert gains.loc["labels", "gain"] > 0.05, "expected a rise with more labels"

# %% [markdown]
# **Read** Arora et al. 2025 (arXiv 2512.01199), on scaling. On curves that level off, and how far
# they may be trusted: Figueroa et al. 2012, *Predicting sample size required for classification
# performance*, BMC Medical Informatics and Decision Making 12:8; Hestness et al. 2017, *Deep
# learning scaling is predictable, empirically* (arXiv 1712.00409); Viering & Loog 2023, *The shape
# of learning curves: a review* (IEEE TPAMI).
#
# **Next:** `09_label_efficiency` asks how few labels will do within the animals that one has.
