# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · Label efficiency: how few labels will do?
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/09_label_efficiency.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/09_label_efficiency.ipynb
#
# **You will learn** to ask what pretraining saves: the encoder never sees a label,
# so how many does the classifier on top of it still need, against features that had no pretraining?
# And how to compare two methods on the same animals, with an interval.
#
# **Needs** `06_decoding`, whose encoders it uses. **Takes** about 1 minute on a laptop (2 cores)
# after it, 7 without; on a GPU: not timed yet. Run again, it finds what it computed in `runs/` and
# takes seconds.
#
# **The claim** (Arora et al. 2025): one eighth of the labels beats the baselines with all of them.
# Here we test the same sentence, as a number, on other animals: eleven real rats (Luo, Kim et al.
# 2025, 58 MB, downloaded once), whose brain regions are decoded. With `data_source = "simulated"`
# the same cells run on simulated animals; what came out there is in `results/README.md`.
#
# **Predict** before you go on: a region is a property of *place*, and units of one place are many.
# With only an eighth of the labels, how much will be lost, and will NuCLR lose more than the other
# methods?

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
profile = "laptop"  # "smoke": seconds; "laptop": minutes; "full": more animals, draws and steps
# "simulated"; "rats": real ones, 58 MB, downloaded once; or a folder of saved recordings
data_source = "rats"
data_dir = "../data"  # where the rats are kept
world = "one network"  # of simulated animals: "one network" or "assemblies", see data/README.md
modality = "spikes"  # "spikes" or "calcium"
label_column = ""  # what to decode; "": cell_type, the rats' region
runs_dir = "../runs"  # where results are kept; a run that was stopped goes on from there
jobs = 0  # processes; 0: one for each core
encoder_seeds = 0  # encoders of each kind, with seeds 0, 1, ...; 0: the profile's, two at "laptop"
scores_csv = ""  # also write the table of all results here; "": nowhere
seed = 0  # of the draws in the exercises; the encoders have their own seeds

# %% [markdown] tags=["slide"]
# In colour, what this notebook is about: how many labels does the classifier need?

# %% tags=["slide"]
import nuclr_lite as nl

nl.plots.method("decoding")

# %%
import numpy as np
import pandas as pd

from nuclr_lite import comparison, experiments
from nuclr_lite.experiments import methods

# %% [markdown] tags=["slide"]
# ## 1 · The experiment, as data
#
# An `Experiment` is a small table of choices: which recordings, which label, which methods, which
# shares of the labels. Labels are drawn within each class, at least one of each; several draws,
# because one is luck. The encoder is trained once, without labels, on the animals to learn from;
# the animals that are scored were seen by neither encoder nor classifier (*inductive zero-shot*).

# %% tags=["slide"]
nl.plots.protocols("inductive zero-shot")

# %%
source = experiments.animals(data_source, modality, world, data_dir)
label_column = source.to_decode(label_column)[0]
shares = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
size = {
    "smoke": dict(n_animals=5, n_held_out=2, changes={"steps": 10}, label_shares=(0.25,), draws=1),
    "laptop": dict(n_animals=20, n_held_out=6, changes={}, label_shares=shares, draws=4),
    "full": dict(
        n_animals=40,
        n_held_out=12,
        changes={"steps": 10_000},
        label_shares=(1 / 32, *shares),
        draws=20,
    ),
}[profile]
usual_seeds = {"smoke": 1, "laptop": 2, "full": 5}[profile]
size["seeds"] = tuple(range(encoder_seeds or usual_seeds))
size["changes"] = source.changes | size["changes"]
encoders = {"NuCLR": {}, "without spatial attention": {"spatial_attention": False}}
usual = methods.usual_baselines(modality, label_of_recordings=not source.simulated)
if profile == "laptop":  # what takes minutes to teach so often
    slow = methods.BOOSTING, methods.TUNED, methods.NETWORK
    usual = tuple(one for one in usual if not {one.features, one.readout} & {*slow})
baselines = methods.FEW if profile == "smoke" else usual

# %%
experiment = experiments.Experiment(
    name=f"label-efficiency-{modality}-{label_column}-{source.short}-{profile}"
    f"-{len(size['seeds'])}",
    label=label_column,
    encoders=encoders,
    baselines=baselines,
    **source.choices,
    **size,
)
cells = experiment.cells()
print(
    len(cells),
    "results to compute: method x seed x part of the labels;",
    cells["method"].nunique(),
    "methods",
)

# %%
table = experiments.run(experiment, runs_dir, n_jobs=jobs or -1)
rows = comparison.summary(experiment, runs_dir)
table["share"], rows["share"] = table["label_share"].fillna(1.0), rows["label_share"].fillna(1.0)
if scores_csv:
    table.round(4).to_csv(scores_csv, index=False)
where = source.caption

# %%
recordings, held_out = experiments.recordings(experiment, runs_dir)
labelled = (
    nl.units_table(recordings).query("animal_id not in @held_out")[label_column].notna().sum()
)
print(
    f"all labels: {labelled} units of {len(recordings) - len(held_out)} recordings; "
    f"1/8 is about {labelled / 8:.0f}, 1/16 about {labelled / 16:.0f}"
)

# %% [markdown] tags=["slide"]
# ## 2 · The curve
#
# Means over draws of the labels and seeds of the encoder; bands: 95 %, animals and seeds resampled.
# Shown are NuCLR, its controls, the hand-crafted coupling to the population, and the best of the
# other rows (here the recording means of the hand-crafted features); the table below has
# everything.

# %% tags=["slide"]
chance = rows.loc[rows["method"] == "chance", "estimate"].mean()
learned = rows[rows["method"] != "chance"]
wide = learned.pivot(index="method", columns="share", values="estimate").loc[
    learned["method"].unique()
]
shown = [
    "NuCLR",
    "NuCLR, shuffled labels",
    "without spatial attention",
    "untrained encoder",
    methods.COUPLING,
]
shown.append(wide[1.0].drop(shown).idxmax())
nl.plots.curves(
    rows[rows["method"].isin(shown)],
    "share",
    xlabel="share of the labels",
    chance=chance,
    title=f"{label_column}, held-out animals ({where})",
)

# %% tags=["slide"]
wide.round(3)

# %% [markdown] tags=["slide"]
# ## 3 · One eighth against all
#
# The claim is about a *difference*, so we put an interval on the difference: the same animals are
# drawn for both methods, again and again. An animal in which everything is easy then cancels. The
# row *NuCLR* compares it with itself, given all labels. A difference is called significant if 0
# lies outside the 95 % interval. The intervals are wide because four animals are few, and two
# encoders say little about the next.

# %% tags=["slide"]
eighth = min(rows["share"], key=lambda share: abs(share - 1 / 8))
differences = comparison.against(experiment, runs_dir, label_share=eighth)
print(f"NuCLR with {eighth:g} of the labels ({where}) minus each method with all, macro F1:")
differences.drop(columns=["significant"]).round(3)

# %% [markdown] tags=["slide"]
# In the run shown here NuCLR with an eighth of the labels (0.34) scores higher than every other set
# of features with all of them (0.30 at best), but no higher than NuCLR itself with all labels
# shuffled within each rat (0.35): so beating the others proves little about single units. With four
# held-out rats the interval leaves 0 out in some rows only; where it doesn't, the claim is neither
# refuted nor shown. And an eighth is not free: with all labels NuCLR is better by 0.10,
# significantly. Of the rarest region (FOF, 52 units) an eighth is six labels.

# %% [markdown]
# ## Exercises

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): labels drawn blindly
#
# Of some recordings 160 units have a label, and one in twenty of them, eight, is `Vip` (made-up
# numbers). Somebody draws 1/16 of the labels, ten units, without looking at the classes. How often
# will there be no `Vip` among the ten, so that no classifier that learns from them can ever say
# `Vip`?
#
# - `"a"`: hardly ever, less than one time in twenty;
# - `"b"`: about one time in five;
# - `"c"`: more than half of the times.
#
# Work it out roughly on paper before you write the letter. The check draws 2,000 times.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "c"
### END SOLUTION

# %% tags=["check"]
rng = np.random.default_rng(seed)
of_ten = rng.hypergeometric(ngood=8, nbad=152, nsample=10, size=2000)  # (2000,) Vip among the ten
without_vip = np.mean(of_ten == 0)
print(f"no Vip in {without_vip:.0%} of the draws")
happened = "a" if without_vip < 0.05 else "c" if without_vip > 0.5 else "b"
assert prediction == happened, (
    "each of the ten is Vip with a chance of about 1/20; and none of them?"
)
print("exercise 1: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): labels drawn within each class
#
# This is how the experiment above draws them. Write it: of a class with n labelled units
# `round(share * n)` are kept, but at least one; none twice; chosen at random among the units of the
# class, by the generator `rng` and nothing else, so that the same seed gives the same draw.


# %% jupyter={"source_hidden": true} tags=["solution"]
def draw_within_classes(labels, share, rng):
    """A share of the labelled units of each class, at least one of each.

    labels : Series, unit -> class; rng : np.random.Generator. Returns the index of the units drawn.
    """
    ### BEGIN SOLUTION
    drawn = []
    for _, part in labels.groupby(labels):
        n = max(1, round(share * len(part)))
        drawn.extend(part.index[rng.permutation(len(part))[:n]])
    return labels.loc[drawn].index
    ### END SOLUTION


# %% tags=["check"]
toy = pd.Series(["Exc"] * 40 + ["Sst"] * 24 + ["Vip"] * 3)
counts = toy[draw_within_classes(toy, 1 / 8, np.random.default_rng(0))].value_counts().to_dict()
assert counts == {
    "Exc": 5,
    "Sst": 3,
    "Vip": 1,
}, f"1/8 of 40, 24 and 3 is 5, 3 and, at least, 1; yours {counts}"
units = nl.units_table(recordings).query("animal_id not in @held_out")
labels = units[label_column].dropna()
one, again, other = (
    draw_within_classes(labels, 1 / 4, np.random.default_rng(draw)) for draw in (0, 0, 1)
)
assert one.is_unique and one.isin(labels.index).all(), "a unit twice, or one that isn't there"
assert set(one) == set(again) and set(one) != set(other), (
    "the draw must come from rng, and from nothing else"
)
kept, there = labels[one].value_counts().to_dict(), labels.value_counts().to_dict()
assert kept == {name: max(1, round(n / 4)) for name, n in there.items()}, f"kept {kept} of {there}"
print("exercise 2: right;", kept, "of", there)

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): from which share on is a baseline passed?
#
# Section 3 asked about one eighth. Ask it the other way round, as one would when planning: how few
# labels does NuCLR need to be **above** another method that has them all, at this share *and at
# every larger one*? (A curve that passes and falls back hasn't passed.) Write it for one curve and
# one score, then see the figure.


# %% jupyter={"source_hidden": true} tags=["solution"]
def share_needed(curve, score):
    """The smallest share from which on a curve stays above a score.

    curve : Series, share of the labels (ascending) -> macro F1; score : float. Returns the share,
        or nan: nowhere.
    """
    ### BEGIN SOLUTION
    above = (curve > score).to_numpy()
    stays = np.logical_and.accumulate(above[::-1])[::-1]  # (shares,) from here on always
    return float(curve.index[stays][0]) if stays.any() else float("nan")
    ### END SOLUTION


# %% tags=["check"]
toy = pd.Series([0.3, 0.6, 0.5, 0.8], index=[1 / 8, 1 / 4, 1 / 2, 1.0])
assert share_needed(toy, 0.45) == 1 / 4, "above 0.45 from 1/4 on"
assert share_needed(toy, 0.55) == 1.0, "0.55 is passed at 1/4, but not for good"
assert share_needed(toy, 0.2) == 1 / 8, "above 0.2 everywhere"
assert np.isnan(share_needed(toy, 0.8)), "equal is not above: nan"
others = wide[1.0].drop(["NuCLR", "NuCLR, shuffled labels"])
needed = pd.Series(
    {method: share_needed(wide.loc["NuCLR"], score) for method, score in others.items()}
)
for method, share in needed.dropna().items():
    assert (wide.loc["NuCLR", share:] > others[method]).all(), f"below {method} later on"
print("exercise 3: right")

# %% tags=["target"]
drawn = [
    methods.COUPLING,
    "untrained encoder",
    others.drop([methods.COUPLING, "untrained encoder"]).idxmax(),
]
nl.plots.labels_needed(
    wide.loc["NuCLR"],
    others[drawn],
    needed[drawn],
    title=f"{label_column}, held-out animals ({where})",
)

# %% [markdown]
# A line without a square is passed at no share; a square at the left edge means: at this share or a
# smaller one. The squares are read off means. Whether a method is *passed*, given these few
# animals, only the interval of the difference says: section 3.

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# A curve for NuCLR that rises with the labels, from 0.32 with 1/16 to 0.44 with all, and lies above
# every other at each share. Curves of hand-crafted features of a unit alone are nearly flat: what
# they can tell, they tell from few labels. Shuffled labels rise, too (0.27 to 0.35): the more there
# are, the better they say which regions occur together in a rat. (Simulated animals: 0.86 with
# 1/16, 0.95 with all, hand-crafted features of a unit alone at 0.26 or below.)

# %%
alone = [
    name
    for name in wide.index
    if name.startswith(("hand: ", "interval network", "without"))
    and name != methods.COUPLING
    and not name.endswith(methods.MEANS)
]
with_eighth, with_all, best_alone = (
    wide.loc["NuCLR", eighth],
    wide.loc["NuCLR", 1.0],
    wide.loc[alone, 1.0].max(),
)
print(
    f"NuCLR with {eighth:g} of the labels {with_eighth:.3f}, with all {with_all:.3f}; "
    f"best that looks at a unit alone, with all, {best_alone:.3f}"
)
if source.simulated and profile != "smoke" and (modality, label_column) == ("spikes", "cell_type"):
    assert with_eighth > best_alone + 0.2, (
        "expected 1/8 of the labels to beat all labels on a unit alone"
    )

# %% [markdown]
# **Read** Arora et al. 2025 (arXiv 2512.01199), on label efficiency. The same question for
# pictures: Chen et al. 2020, *A simple framework for contrastive learning of visual
# representations* (SimCLR, ICML); Hénaff et al. 2020, *Data-efficient image recognition with
# contrastive predictive coding* (ICML). On drawing within classes: Cochran 1977, *Sampling
# techniques*, the chapter on stratified random sampling.
#
# **Next:** `12_what_it_learned` asks what in the population it is that the encoder reads. For your
# own recordings: `11_your_data` reads and saves them; give the saved folder as `data_source`.
