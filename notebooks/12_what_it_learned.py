# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · What it learned: is it the population, and does it last?
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/12_what_it_learned.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/12_what_it_learned.ipynb
#
# **You will learn** to question a trained encoder: a score says that a unit's type can be read
# from its vector, and here we ask what from; to embed the same neuron alone, among strangers and
# in its own population, to see who attends to whom, and to take single neurons out; and to change
# the stimulus, and then the recipe, one choice at a time.
#
# **Needs** nothing but this repository; everything here is simulated: only there is it known what
# the rule was. With `data_source = "rats"` the same cells ask the same of eleven real rats (regions
# for types, thirds of a session for stimuli), where nobody knows it. **Takes** about 5 minutes on a
# laptop (2 cores), and the training of two encoders on top, unless `06_decoding` or `07_zero_shot`,
# run with `data_source = "simulated"`, left them in `runs/`. On a GPU: not timed yet.
#
# Each section has a question, a prediction, an experiment, a figure, and what may be concluded from
# it. Make your own prediction before you look.

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
# "smoke": seconds, to see that it runs; "laptop": minutes; "full": more of everything
profile = "laptop"
# "simulated": made here; "rats": eleven real rats, downloaded once (58 MB)
data_source = "simulated"
data_dir = "../data"  # rats: where they are kept, the project's data/
# where encoders and results are kept; a run that was stopped goes on from there
runs_dir = "../runs"
jobs = 0  # processes for the ablations of section 6; 0: one for each core
training_steps = 0  # optimiser steps of the encoders of sections 1 to 5; 0: the profile's
ablation_steps = 0  # optimiser steps of each recipe of section 6; 0: the profile's
seed = 0  # of who is with whom in section 2, and of the pairs in exercise 3
scores_csv = ""  # also write the table of section 6 here; "": nowhere

# %% [markdown] tags=["slide"]
# In colour, what this notebook questions: attention over units, and the vectors that come out.

# %% tags=["slide"]
import nuclr_lite as nl

nl.plots.method(["population", "vectors"])

# %%
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier

from nuclr_lite import baselines, comparison, experiments, interpretation, retrieval
from nuclr_lite.sources.allen import neuropixels
from nuclr_lite.sources.simulated import SPIKES

# %% [markdown]
# ## 1 · The encoder
#
# The one that `07_zero_shot` trains on simulated animals, and its twin without spatial attention:
# trained on all animals but the last six, which neither encoder nor classifier learns from. In what
# follows a classifier is fit on the animals to learn from, and scored on those six.
#
# In the simulation all units of an animal share two signals: a fast state (the ups and downs of
# the local network) and a slower drive (what arrives from outside, such as the stimulus). A cell
# type is a way of following the state: how closely, how late, with it or against it. An area is a
# way of following the drive.

# %%
size = {
    "smoke": dict(n_animals=5, n_held_out=2, changes={"steps": 10}),
    "laptop": dict(n_animals=20, n_held_out=6, changes={}),
    "full": dict(n_animals=40, n_held_out=12, changes={"steps": 10_000}),
}[profile]
source = experiments.animals(data_source, data_dir=data_dir)
[label, *_] = source.to_decode("")
size["changes"] = source.changes | size["changes"]
size["changes"] |= {"steps": training_steps} if training_steps else {}
both = {"NuCLR": {}, "without spatial attention": {"spatial_attention": False}}
choices = experiments.Experiment(
    name="what-it-learned", label=label, encoders=both, **source.choices, **size
)
encoder = experiments.trained(choices, runs_dir).encoder
without = experiments.trained(choices, runs_dir, "without spatial attention").encoder

# %%
# how many other units section 2 puts beside a unit: of its own population, of another animal's
own = {"smoke": (0, 3), "laptop": (0, 1, 3, 7, 15, 31), "full": (0, 1, 3, 7, 15, 31)}[profile]
foreign = {"smoke": (3,), "laptop": (3, 15), "full": (3, 15, 31)}[profile]
recordings, held_out = experiments.recordings(choices, runs_dir)
# of the held-out animals, populations that are large enough for that
recordings = [one for one in recordings if one.animal_id not in held_out or one.n_units > max(own)]
# a few an animal, the largest (the rats have up to twenty)
sizes = pd.DataFrame([(one.animal_id, one.n_units) for one in recordings], columns=["animal", "n"])
few = sizes.sort_values("n").groupby("animal").tail({"smoke": 1, "laptop": 3, "full": 99}[profile])
recordings = [recordings[at] for at in sorted(few.index)]
tested = [recording for recording in recordings if recording.animal_id in held_out]
units = nl.units_table(recordings)
kinds, animals = units[label], units["animal_id"]
what, where = label.replace("_", " "), f"{source.caption}, {len(held_out)} held-out animals"


# %%
def decoded(learned_from, scored_on, kinds, animals, held_out):
    """Fit on the animals to learn from, in one table; score the held-out animals in another.

    learned_from, scored_on : vectors of units. kinds, animals : the type and the animal of every
        unit.
    """
    learn = learned_from[~animals[learned_from.index].isin(held_out)]
    score = scored_on[animals[scored_on.index].isin(held_out)]
    return nl.decode(pd.concat([learn, score]), kinds, animals, test_groups=held_out)


def macro_f1(result):
    """Its estimate and 95 % interval over animals: one row of a table."""
    return result.scores.set_index("metric").loc["macro_f1"]


# %%
full, plain = nl.embed(encoder, recordings), nl.embed(without, recordings)
test = (kinds, animals, held_out)
scores = {
    "NuCLR": decoded(full, full, *test),
    "without spatial attention": decoded(plain, plain, *test),
}
guesses = [DummyClassifier(strategy="uniform", random_state=number) for number in range(20)]
chance = np.mean(
    [
        nl.decode(
            full, kinds, animals, test_groups=held_out, classifier=guess, n_bootstrap=1
        ).score()
        for guess in guesses
    ]
)
pd.concat({name: macro_f1(result) for name, result in scores.items()}, axis=1).T.round(3)

# %% [markdown] tags=["slide"]
# ## 2 · With and without its population
#
# **Question.** Does the vector of a neuron depend on who is around it? **Experiment.** Take a
# held-out neuron's spikes, always the same, and give them different company: nobody, a few neurons
# of its own population, drawn at random, or neurons of another animal, recorded at another time.
# The classifier stays the same: fit once, on vectors from whole populations.
#
# **Predict.** In this simulation a unit alone says nearly nothing about its type. How many
# neighbours are enough? And what will strangers do, whose activity has nothing to do with it?

# %%
among = {others: interpretation.embed_among(encoder, tested, others, seed=seed) for others in own}
among["all"] = full[animals[full.index].isin(held_out)]

# each animal's units visit the next one
in_turn = [tested[at + 1 :] + tested[:at] for at in range(len(tested))]
hosts = [
    next(other for other in others if other.animal_id != one.animal_id)
    for one, others in zip(tested, in_turn)
]
strangers = {
    others: interpretation.embed_among(encoder, tested, others, hosts, seed=seed)
    for others in foreign
}

# %% [markdown]
# One more line is needed. A unit with three others is unlike anything that the encoder was trained
# on (whole populations), and its vectors may lie where the classifier has never been. So a second
# classifier is fit on vectors made the same way (of the other held-out animals, one left out in
# turn): it finds what is in them, if anything is. At `laptop` it learns from five animals, the
# first from fourteen: with many neighbours it is the weaker one.

# %% tags=["slide"]
rows = []
for who, tables in (("its own population", among), ("another animal's units", strangers)):
    rows += [(who, others, decoded(full, table, *test)) for others, table in tables.items()]
    rows += [
        (f"{who}, classifier refit", others, nl.decode(table, kinds, animals))
        for others, table in tables.items()
    ]
rows += [("encoder without spatial attention", "all", scores["without spatial attention"])]
company = pd.DataFrame(
    [{"who": who, "others": others, **macro_f1(result)} for who, others, result in rows]
)
title = f"{what} of the same held-out units in different company ({where})"
nl.plots.neighbours(company, chance, title=title)

# %% [markdown]
# (Below chance: far from what it learned on, the first classifier calls nearly all the same.)

# %%
wide = company.pivot(index="who", columns="others", values="estimate")
wide.reindex(index=company["who"].unique(), columns=[*own, "all"]).round(2)

# %% tags=["slide"]
most = max(foreign)
shown = {
    "alone": among[0],
    f"among {most} of another animal": strangers[most],
    "in its own population": among["all"],
}
nl.plots.same_units(
    shown,
    kinds,
    full[~animals[full.index].isin(held_out)],
    title=f"the same spikes, three times ({where})",
)

# %% [markdown] tags=["slide"]
# In each panel the same units, with the same spikes; the axes (linear discriminants: the directions
# that separate the types most) were chosen on other animals. What separates them on the right can't
# be in a unit's own spike train: it is in how that train goes with its neighbours.
#
# Now four single units, the first held-out one of each type. What will the classifier that was fit
# on whole populations call each of them when it is alone, and how sure will it be? How many others
# must come until all four are right? Answer first; then run the cell and move its slider.

# %%
learn = full[~animals[full.index].isin(held_out)]
types, held = kinds[learn.index], kinds[among["all"].index]
classifier = nl.decoding.probe().fit(learn, types)
plane = LinearDiscriminantAnalysis(n_components=2).fit(learn, types)
four = [held.index[held == kind][0] for kind in classifier.classes_]
companies = {str(others): table.loc[four] for others, table in among.items()}
companies[f"{most} strangers"] = strangers[most].loc[four]
places = {company: plane.transform(table) for company, table in companies.items()}
given = {
    company: pd.DataFrame(classifier.predict_proba(table), classifier.classes_, classifier.classes_)
    for company, table in companies.items()
}
in_plane = plane.transform(learn)
nl.plots.slider(
    lambda company: nl.plots.in_company(
        places, given, company, in_plane, types, title=f"single units ({source.caption})"
    ),
    "others beside each unit",
    list(companies),
    at="3",
)

# %% [markdown]
# In the run shown here, with three others beside each, none of the four is called rightly, and two
# of the wrong answers come with 0.9: a classifier can be sure of vectors unlike any that it learned
# from. With more beside them they separate, three with 15 others, the `Vip` only in its whole
# population.
#
# **What follows:** the type is read from the relation to the population, and not just any
# population will do. What doesn't: that it is so in the brain. The simulation was built so that a
# unit alone says nearly nothing; in real recordings rate and regularity tell something, too (the
# paper's encoder without spatial attention is far above chance there).
#
# ## 3 · Who attends to whom
#
# **Question.** Spatial attention is the only place where units meet. Whom does it look at?
# **Predict.** `Exc` units follow the shared state weakly here (0.35), the other types closely (0.9
# and more; `Vip` with the opposite sign): whom would you ask, to know what the population does?
#
# **Experiment.** The weights, from the module itself, averaged over tokens and windows; then, for
# each pair of types, the weight that one unit gives another, divided by an even share. 1 is
# indifference; a unit's attention to itself is left out, and printed apart.

# %%
n_windows = {"smoke": 3, "laptop": 15, "full": 60}[profile]
# Each (layers, H, U, U).
attention = [
    interpretation.spatial_attention(encoder, recording, n_windows) for recording in tested
]


def mean_between_types(matrices, recordings, label):
    """Over recordings: from pairs of units, matrices (U, U), to pairs of types (the values of
    `label`), over an even share.
    """
    tables = [
        interpretation.between_kinds(matrix, recording.units[label])
        for matrix, recording in zip(matrices, recordings)
    ]
    return pd.concat(tables).groupby(level=0).mean()


# %% tags=["slide"]
attended, itself = {}, {}
for layer, head in np.ndindex(attention[0].shape[:2]):
    matrices, name = [one[layer, head] for one in attention], f"layer {layer + 1}, head {head + 1}"
    attended[name] = mean_between_types(matrices, tested, label)
    itself[name] = round(
        float(np.mean([np.nanmean(np.diag(matrix)) * len(matrix) for matrix in matrices])), 2
    )
print("to itself, over an even share:", itself)
nl.plots.between(
    attended,
    "who attends",
    "to whom",
    title=f"attention between types, over an even share ({where})",
)

# %% [markdown]
# The part of the drawing that this is about, with one head's attention in place of the symbols:

# %%
title = f"last layer, head 1, mean over windows ({source.caption}, held-out animal)"
nl.plots.method("population", {"population": attention[0][-1, 0]}, title=title)

# %% [markdown] tags=["slide"]
# Look at how far from 1 the numbers are. In the run shown here everybody looks at everybody nearly
# alike, at `Vip` units a few hundredths more: what a unit takes is close to a plain mean of its
# population. (The encoder has a single layer that looks at others. One of three blocks, of the same
# score, did so in its first layer, too; in its second, units looked at `Vip` and themselves more.)
#
# **What follows:** hardly anything, and that is the lesson. Without this layer everything is lost
# (section 1), and yet the map of its weights is almost blank: a weight says where a unit looks, not
# what it takes from there, nor what it does with it. And a mean over time hides when it looks. To
# know whether somebody matters, take them away.
#
# ## 4 · A neuron less
#
# **Question.** How far does a unit's vector move when one other unit is taken out? **Predict.**
# Whose absence moves the others most: of units that follow the state, of those that follow the
# drive, or of those that fire most?
#
# **Experiment.** All pairs of each held-out population. A distance of 1 is about as far as units
# lie apart from each other.

# %% tags=["slide"]
n_windows = {"smoke": 2, "laptop": 6, "full": 30}[profile]
moved = [interpretation.influence(encoder, recording, n_windows) for recording in tested]
print(
    f"one neuron less moves a vector by {np.mean([np.nanmean(one) for one in moved]):.3f} "
    f"of the distance between units (mean over pairs, {source.caption})"
)
by_type = mean_between_types(moved, tested, label)
nl.plots.between(
    {"": by_type},
    "whose vector moves",
    "who is taken out",
    title=f"how far it moves, over an even share ({source.caption})",
)

# %% [markdown]
# Read it by columns. In the run shown here, without an `Exc` unit the others move less than on
# average; `Vip` units move each other most.

# %% tags=["slide"]
if source.simulated:
    what_is_true = ["state_coupling", "drive_coupling", "base_rate_hz"]
    truth = units.loc[animals.isin(held_out), what_is_true]
else:  # nothing is known but what can be counted
    n_spikes = [np.bincount(one.unit_rows, minlength=one.n_units) / one.valid_s for one in tested]
    truth = pd.DataFrame({"rate_hz": np.concatenate(n_spikes)}, units[animals.isin(held_out)].index)
# over the mean of its population
truth["influence"] = np.concatenate([one.mean() / np.nanmean(one) for one in moved])
known = truth.dropna()
nl.plots.against_truth(
    known["influence"],
    known.drop(columns="influence"),
    kinds[known.index],
    "influence (1: average)",
    title=f"who matters, and what is true of it ({where})",
)

# %% [markdown] tags=["slide"]
# `state_coupling` is the simulation's own number for how closely a unit follows the state that all
# share, from which its type is to be read. (It is always positive; that `Vip` goes against the
# state is another column.) Most of its rank correlation lies between `Exc` and the other types:
# look within one colour. And a rank correlation tells of one direction only: on the right the
# loudest units matter much, and so do some of the nearly silent.
#
# **What follows:** the encoder relies on some units more than on others, and no label told it on
# which. On average one neuron among nearly fifty moves a vector by little, but a few move one some
# four times as far (exercise 1 prints the farthest of one animal): a vector rests on many units,
# not on all equally. What doesn't: that the rest of the rank correlation is error; two units that
# carry the same information can replace each other, and then taking out either one shows nothing.
#
# ## 5 · Across stimuli
#
# **Question.** The paper's abstract claims representations that hold across stimuli. Do they?
# **Experiment.** The same animals are simulated anew, with three stimuli in turn: spontaneous
# activity and a movie, as in training, and gratings (2 s on, 1 s off), which the encoder never
# saw. Each stimulus has two blocks. First, without labels: a unit of one block seeks itself in
# another, among the units of its animal. Then the classifier is fit in one stimulus (animals to
# learn from), and tested in another (held-out animals).
#
# **Predict.** The drive of the gratings repeats every 3 s, for all units that follow it. What will
# that do to the relations between units?
#
# (The rats know one task only. With them, thirds of each session take the stimuli's place: does a
# vector last?)

# %%
stimuli = ("spontaneous", "natural_movie", "drifting_gratings")
block_s = {"smoke": 30.0, "laptop": 100.0, "full": 300.0}[profile]
other_stimuli = replace(
    SPIKES, stimuli=stimuli, stimulus_block_s=block_s, duration_s=6 * block_s, movie_s=block_s / 2
)
if source.simulated:
    shown = nl.simulate_recordings(size["n_animals"], config=other_stimuli)
    for one, other in zip(shown, recordings):
        assert one.units[label].equals(other.units[label]), "expected the same animals"
else:
    stimuli, shown = ("first_third", "middle", "last_third"), []
    for one in recordings:
        edges = np.linspace(one.intervals[0, 0], one.intervals[-1, 1], 7)
        sixths = {"name": np.repeat(stimuli, 2), "start_s": edges[:-1], "stop_s": edges[1:]}
        shown.append(replace(one, epochs=pd.DataFrame(sixths)))


def numbered(recording):
    """'spontaneous' -> 'spontaneous 1', 'spontaneous 2', ...: each block by itself."""
    count = recording.epochs.groupby("name").cumcount() + 1
    return replace(
        recording,
        epochs=recording.epochs.assign(name=recording.epochs["name"] + " " + count.astype(str)),
    )


# %%
# Who is silent through a block has no vector in it, and takes no part.
warnings.filterwarnings("ignore", message=".* have no spike in any window")
shown = [numbered(recording) for recording in shown]
embedded, by_hand, coupling = {}, {}, {}
for block in [f"{stimulus} {number}" for stimulus in stimuli for number in (1, 2)]:
    cut = [recording.during(block) for recording in shown]
    embedded[block] = nl.embed(encoder, cut)
    coupling[block] = baselines.population_coupling(cut)
    by_hand[block] = baselines.hand_features([one for one in cut if one.animal_id in held_out])[
        "all"
    ]


# %%
def pairwise(names, score):
    """A table of score(row, column) for all pairs of names."""
    return pd.DataFrame(
        [[score(row, column) for column in names] for row in names], index=names, columns=names
    )


def sought(tables, stimuli, animals, held_out):
    """Rows: a unit's vector in the first block of a stimulus; columns: sought in the second block
    of another.

    tables : block -> vectors of units. Means over held-out animals.
    """
    chosen = {block: table[animals[table.index].isin(held_out)] for block, table in tables.items()}
    return pairwise(
        stimuli,
        lambda here, there: retrieval.found_again_in_each(
            chosen[f"{here} 1"], chosen[f"{there} 2"]
        )["top1"].mean(),
    )


# %% tags=["slide"]
tables = {"NuCLR": embedded, "hand: all, of a unit alone": by_hand, "hand: coupling": coupling}
found = {name: sought(blocks, stimuli, animals, held_out) for name, blocks in tables.items()}
by_chance = np.mean(
    [1 / recording.n_units for recording in shown if recording.animal_id in held_out]
)
nl.plots.across_blocks(
    found,
    "first block",
    "second block",
    title=f"share of units found again ({where}; chance {by_chance:.2f})",
)


# %% tags=["slide"]
def across(tables, stimuli, kinds, animals, held_out):
    """Rows: the stimulus in which the classifier is fit; columns: in which it is tested.

    tables : block -> vectors of units. A unit's vector is the mean over both blocks of a stimulus.
    """
    whole = {
        stimulus: pd.concat([tables[f"{stimulus} 1"], tables[f"{stimulus} 2"]])
        for stimulus in stimuli
    }
    whole = {
        stimulus: both.groupby(level=[0, 1], sort=False).mean() for stimulus, both in whole.items()
    }
    return pairwise(
        stimuli,
        lambda here, there: decoded(whole[here], whole[there], kinds, animals, held_out).score(),
    )


carried = {
    "NuCLR": across(embedded, stimuli, *test),
    "hand: coupling": across(coupling, stimuli, *test),
}
nl.plots.across_blocks(
    carried,
    "fit in",
    "tested in",
    title=f"macro F1, {what} ({where}; chance {chance:.2f})",
)

# %% [markdown]
# On the diagonal the stimulus is the same; that is what the other entries have to be compared with,
# not 1. The upper left four are the stimuli of training.
#
# In the lower figure, compare the entries of each column with the one on the diagonal. If they are
# as high, the classifier carries over. If only the diagonal is high, it doesn't. If the whole
# column is low, its diagonal too, it isn't the classifier that fails: the type is harder to read
# from vectors of that stimulus, wherever the classifier was fit. In the run shown here the
# encoder's gratings column is low throughout: the type is harder to read there. In the gratings
# column of the hand-made coupling only the diagonal is high: that classifier doesn't carry over to
# gratings, though between the other two stimuli it does. And mind that the features of the right
# panel were made by somebody who knew the rule of this simulation.
#
# **What follows:** as far as entries off the diagonal are like those on it, vectors hold across
# these stimuli. What doesn't: that they hold across all. Finding a unit again and reading its
# type are different things, too: the first needs what is its own, the second what it shares with
# others of its type.
#
# The same on a session in the Allen Institute's format (simulated as well), where blocks come from
# the file's stimulus tables: the claim in the form in which it can be asked of a real session,
# without any label. Three stimuli, one probe; blocks of different length, so that the rows are not
# equally hard. (`invalid_presentation`: time that the file declares invalid. Units that pass the
# quality limits and lie in visual cortex take part. The session is simulated whatever
# `data_source` says.)

# %%
n_units, duration_s = {"smoke": (36, 240.0), "laptop": (72, 900.0), "full": (120, 1800.0)}[profile]
with tempfile.TemporaryDirectory() as scratch:
    one_after_another = replace(
        SPIKES, stimuli=("spontaneous", "natural_movie", "drifting_gratings", "natural_movie")
    )
    path = nl.simulate_allen_session(
        Path(scratch) / "session.nwb",
        n_units=n_units,
        n_probes=1,
        duration_s=duration_s,
        genotype="wt/wt",
        animal=7,
        config=one_after_another,
    )
    [session] = neuropixels.read_session(path)
lasted = session.epochs["stop_s"] - session.epochs["start_s"]
lasted.groupby(session.epochs["name"], sort=False).sum().rename("s").to_frame().T.round(0)

# %%
names = ("spontaneous", "natural_movie_one", "drifting_gratings")
names = [name for name in names if name in set(session.epochs["name"])]
of_session = {name: nl.embed(encoder, session.during(name)) for name in names}
pd.DataFrame(
    [
        {
            "from": here,
            "to": there,
            **retrieval.found_again(of_session[here], of_session[there])._asdict(),
        }
        for at, here in enumerate(names)
        for there in names[at + 1 :]
    ]
).round(3)

# %% [markdown] tags=["slide"]
# ## 6 · Ablations: what in the recipe matters?
#
# **Question.** Of all the choices in the recipe, which does the result hang on? **Experiment.** One
# choice is changed at a time; everything else, the number of steps among it, stays. (What costs
# time only, optimiser and near views: `05`, section 12.)
#
# - without spatial attention: only the attention along time is left. with unit dropout: each
#   view shows a random half of the units or more, as in the paper.
# - InfoNCE: the positive pair stays among the negatives. VICReg: no negatives at all;
#   dimensions are kept apart instead.
# - both views the same window, instead of two within 5 s.
#
# **Predict** which one will hurt most, and which you won't be able to tell from the original.

# %%
steps, seeds = {"smoke": (4, (0,)), "laptop": (300, (0, 1)), "full": (3000, (0, 1, 2, 3, 4))}[
    profile
]
recipes = {
    "NuCLR": {},
    "without spatial attention": {"spatial_attention": False},
    "with unit dropout": {"kept_share": [0.5, 1.0]},
    "InfoNCE": {"objective": "info-nce"},
    "VICReg": {"objective": "vicreg"},
    "both views the same window": {"max_distance_s": 0.0},
}
if not source.simulated:  # another recipe to begin with, which leaves units out
    recipes["without unit dropout"] = {"kept_share": [1.0, 1.0]}
    del recipes["with unit dropout"]
    if not ablation_steps:  # so few steps teach nothing here: the encoders of `07`, at their length
        recipes, steps = both, size["changes"].get("steps", 2400)
steps = ablation_steps or steps
recipes = dict(list(recipes.items())[:3]) if profile == "smoke" else recipes

# %%
ablation = experiments.Experiment(
    name=f"ablations-{source.short}-{profile}-{steps}",
    label=label,
    encoders=recipes,
    baselines=("untrained encoder", nl.Method("NuCLR", "shuffled labels"), "chance"),
    seeds=seeds,
    **source.choices,
    **{**size, "changes": {"steps": steps}},
)
single = experiments.run(ablation, runs_dir, n_jobs=jobs or -1)

# %% tags=["slide"]
table = comparison.summary(ablation, runs_dir)
if scores_csv:
    table.assign(steps=steps).round(4).to_csv(scores_csv, index=False)
title = f"one choice changed, {steps} steps each ({where}, seeds {', '.join(map(str, seeds))})"
nl.plots.scores(table, title=title, dots=single)

# %% [markdown]
# Intervals that overlap don't mean "no difference": the same animals and seeds are behind all rows,
# and what is hard for one is hard for all. So the differences have intervals of their own (animals
# and seeds drawn, the same for both methods). Look at the untrained encoder before any other row:
# a recipe that is not clearly above it has only begun to learn, or can't.

# %% tags=["slide"]
differences = comparison.against(ablation, runs_dir)
differences.drop(columns="significant").round(3)

# %% [markdown]
# In the run shown here nothing is learned without spatial attention, nor when both views are the
# same window: the result hangs on these two. With unit dropout an encoder of a single block learns
# next to nothing (0.42 [0.36, 0.50] lower). InfoNCE can't be told from the paper's form of the
# loss; without negatives (VICReg) much is missing. What of it is lost for good, and what costs time
# only: in [`results/README.md`](../results/README.md#what-it-rests-on-simulated), curves of 1,600
# steps.
#
# "In words" says better or worse where the interval of the difference leaves 0 out; of many rows,
# one may do so by luck. Where it says "can't tell", that is the result. What matters on real data
# is another question; for the rats, the page just named has a table. (With them as `data_source`
# this section shows the two encoders of `07` alone, unless `ablation_steps` asks for more.)

# %% [markdown]
# ## Exercises
#
# Three about section 4. They use its encoders and the first held-out animal; none trains anything.

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): a neuron less, for the twin
#
# The full encoder has a twin without spatial attention (section 1). It was trained on the same
# recordings, by the same objective: find each unit again among all others of its recording. Take
# one unit out of a population. How far do the vectors of the others move, in the twin?
#
# - `"a"`: about as far as in the full one: the loss compared units, so it has learned their
#   relations;
# - `"b"`: less far, but they do move;
# - `"c"`: not at all.
#
# Write the letter, and for yourself the reason. The check runs `influence` of section 4 on both
# encoders.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "c"
### END SOLUTION

# %% tags=["check"]
assert prediction in ("a", "b", "c"), "write one of the letters, such as prediction = 'a'"
farthest = {
    name: float(np.nanmax(interpretation.influence(which, tested[0], 2)))
    for name, which in (("NuCLR", encoder), ("without spatial attention", without))
}
print("the farthest that one unit less moves any other:")
print({name: round(how_far, 5) for name, how_far in farthest.items()})
ratio = farthest["without spatial attention"] / farthest["NuCLR"]
came_out = "c" if ratio < 1e-3 else "b" if ratio < 0.5 else "a"
assert prediction == came_out, (
    "not so: through which part of the encoder could one unit hear of another?"
)
print("exercise 1: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): take some out, and measure
#
# `influence` takes out one unit at a time. Write the same for any set of units: embed the whole
# population, embed it without them, and say how far each of those that stay has moved. The
# yardstick is that of section 4: the root-mean-square distance of the whole population's vectors
# from their mean. To be quick, one minute of the first held-out animal will do (`excerpt`). The
# check compares a single unit's column with `interpretation.influence`.


# %%
def remaining(recording, out=(), duration_s=60.0):
    """The first `duration_s` (s) of a recording of spikes, without the units `out` (unit ids)."""
    stay = [unit for unit in recording.units.index if unit not in set(out)]
    start_s = recording.intervals[0, 0]
    return nl.Recording.from_spike_trains(
        [recording.spike_times(unit) for unit in stay],
        recording.units.loc[stay],
        [[start_s, start_s + duration_s]],
        recording_id=recording.recording_id,
        animal_id=recording.animal_id,
    )


most_kinds = max(tested, key=lambda one: one.units[label].nunique())
excerpt = remaining(most_kinds)
excerpt


# %% jupyter={"source_hidden": true} tags=["solution"]
def moved_without(encoder, recording, out):
    """How far each unit that stays is moved when the units `out` (a list of unit ids) are taken
    out.

    Returns a Series, unit id -> distance between its two vectors, over the root-mean-square
    distance of the whole population's vectors from their mean. `remaining(recording, out)` and
    `nl.embed(encoder, recording)` are there to be used; of an embedded recording,
    `.loc[recording.recording_id]` is the table by unit.
    """
    ### BEGIN SOLUTION
    whole = nl.embed(encoder, recording).loc[recording.recording_id]  # (units, D)
    # (those that stay, D)
    rest = nl.embed(encoder, remaining(recording, out)).loc[recording.recording_id]
    spread = ((whole - whole.mean()) ** 2).sum(axis=1).mean() ** 0.5
    return ((rest - whole.loc[rest.index]) ** 2).sum(axis=1) ** 0.5 / spread
    ### END SOLUTION


# %% tags=["check"]
# there in every window
fires_most = max(excerpt.units.index, key=lambda unit: len(excerpt.spike_times(unit)))
got = moved_without(encoder, excerpt, [fires_most])
assert fires_most not in got.index, "who was taken out has no second vector, and no row"
# 100: all its windows
expected = interpretation.influence(encoder, excerpt, 100)[fires_most].dropna()
assert got.index.equals(expected.index.rename(got.index.name)), (
    "expected one row for each unit that stays"
)
ratio = float(np.median(got.to_numpy() / expected.to_numpy()))
assert np.allclose(got, expected, rtol=1e-3, atol=1e-5), (
    f"yours over the module's: {ratio:.3f}; over which spread?"
)
assert np.allclose(moved_without(encoder, excerpt, []), 0, atol=1e-4), (
    "if nobody is taken out, nobody moves"
)
print("exercise 2: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): two neurons less
#
# Section 4 ended with a doubt: two units that carry the same information cover for each other, so
# that taking out either one shows little. It can be tested. Take out two at once, and compare with
# the sum of what each does alone. Above the diagonal of the figure below, the pair matters more
# than its parts: each covered for the other. Below it is where one expects a pair that doesn't
# cover for each other: lengths don't add up unless their directions agree, and two steps of length
# 1 at a right angle lead 1.4 away, not 2.
#
# Write the table for given pairs. Then look at pairs of one type, and of two. One animal, one
# minute, 12 pairs: what may be concluded? (In the run shown here all pairs lie below the line: none
# covered for each other. Twelve pairs of one minute, some with a unit in common, don't settle it.)

# %%
# Six pairs of one type, six of two; units that fire at least once a second, so that they are there
# to be missed.
rng, candidates = np.random.default_rng(seed), excerpt.units.index
candidates = np.array([unit for unit in candidates if len(excerpt.spike_times(unit)) >= 60])
drawn = [tuple(rng.choice(candidates, 2, replace=False).tolist()) for _ in range(200)]
type_of = excerpt.units[label]
alike = [pair for pair in drawn if type_of[pair[0]] == type_of[pair[1]]][:6]
unlike = [pair for pair in drawn if type_of[pair[0]] != type_of[pair[1]]][:6]
print("of one type:", alike, "of two:", unlike, sep="\n")


# %% jupyter={"source_hidden": true} tags=["solution"]
def two_less(encoder, recording, pairs):
    """What two units do together, and one by one, to those that stay when both are gone.

    pairs : list of (unit id, unit id). Returns a DataFrame, one row a pair in the order given, with
        the columns
    'apart' : the distance that one alone moves a unit plus that which the other alone does, mean
    over those that stay; 'together' : the distance that taking out both moves it, mean over the
    same units.
    """
    ### BEGIN SOLUTION
    rows = []
    for one, other in pairs:
        both = moved_without(encoder, recording, [one, other])
        alone = [moved_without(encoder, recording, [unit]).loc[both.index] for unit in (one, other)]
        rows.append({"apart": (alone[0] + alone[1]).mean(), "together": both.mean()})
    return pd.DataFrame(rows)
    ### END SOLUTION


# %% tags=["check"]
pairs = alike + unlike
taken = two_less(encoder, excerpt, pairs)
assert list(taken.columns) == ["apart", "together"], "expected the columns apart and together"
assert len(taken) == len(pairs), "expected one row for each pair"
one, other, pair = (
    moved_without(encoder, excerpt, list(out)) for out in (pairs[0][:1], pairs[0][1:], pairs[0])
)
assert np.isclose(taken["together"].iloc[0], pair.mean(), rtol=1e-3), (
    "together: both taken out at once"
)
expected = (one + other).loc[pair.index].mean()
assert np.isclose(taken["apart"].iloc[0], expected, rtol=1e-3), "apart: a sum; over which units?"
nothing = two_less(without, excerpt, pairs[:1]).to_numpy()
assert np.allclose(nothing, 0, atol=1e-4), "for the twin of exercise 1, nobody is missed"
print("exercise 3: right")

# %% tags=["target"]
taken["pair"] = ["of one type"] * len(alike) + ["of two types"] * len(unlike)
print(taken.groupby("pair").mean().round(4))
nl.plots.two_less(taken, title=f"two neurons less ({source.caption}, one held-out animal)")

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# The type of the same unit at or below chance alone and among strangers, and read well in its own
# population; attention that looks at everybody nearly alike; `Exc` units, which follow the shared
# state weakly, matter less to others than the other types do; a classifier that carries over
# between stimuli of the training; and a table of ablations with as many *can't tell* as it
# deserves.

# %%
if source.simulated and profile == "laptop" and not training_steps:
    reached = company.set_index(["who", "others"])["estimate"]
    own_population, strange = (
        reached["its own population", "all"],
        reached["another animal's units", most],
    )
    alone = reached["its own population, classifier refit", 0]
    carries_over = carried["NuCLR"].loc["spontaneous", "natural_movie"]
    print(
        f"macro F1 in its own population {own_population:.2f}, among strangers {strange:.2f}, alone"
        f" {alone:.2f}; movie, fit on spontaneous {carries_over:.2f}"
    )
    assert own_population > max(strange, alone) + 0.2, "expected the own population to matter"
    assert carries_over > alone + 0.15 and found["NuCLR"].to_numpy().min() > 2 * by_chance
    assert truth["state_coupling"].corr(truth["influence"], method="spearman") > 0.1

# %% [markdown]
# **Read** on populations: Okun et al. 2015, Nature 521:511; Averbeck, Latham & Pouget 2006, Nature
# Reviews Neuroscience 7:358. On what attention shows: Jain & Wallace 2019, arXiv 1902.10186, and
# the answer, Wiegreffe & Pinter 2019, arXiv 1908.04626. On the objectives of section 6: van den
# Oord et al. 2018, arXiv 1807.03748 (InfoNCE); Yeh et al. 2022, arXiv 2110.06848 (decoupled);
# Bardes et al. 2022, arXiv 2105.04906 (VICReg). In the paper (Arora et al. 2025, arXiv 2512.01199),
# the ablations in the section on experiments.
#
# **Next:** `13_can_you_trust_it`: what is a score worth? For your own recordings (`11_your_data`
# reads them), `Recording.during` and
# `retrieval.found_again` ask the question of section 5 without any label.
