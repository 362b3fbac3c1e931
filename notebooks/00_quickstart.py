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
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/00_quickstart.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/00_quickstart.ipynb
#
# **You will learn** to go from recordings to one vector per neuron, without any label;
# to read a label from those vectors in animals whose labels nobody used;
# and to tell whether the result means anything.
#
# **Needs** a network the first time (58 MB of real recordings), or `data_source = "simulated"`.
# **Takes** about three minutes on a laptop (2 cores), four more with `encoder_from = "training"`;
# on a GPU: not timed yet (one is used if there is one).
#
# The idea of NuCLR (Arora et al. 2025, arXiv 2512.01199): cut two windows, a few seconds long and
# not far apart, out of a recording. A transformer looks at all neurons of a window together and
# gives each a vector. Training asks one thing of the vectors: that a neuron in one window can be
# found again among all neurons of the other. No label is involved. The bet is that what makes a
# neuron recognisable at any moment also says what kind it is.

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
# "simulated"; "rats": real ones, 58 MB, downloaded once; or "nwb" for your own files
data_source = "rats"
data_dir = "../data"  # where the rats are kept
nwb_folder = ""  # folder of .nwb files (absolute, or relative to notebooks/)
label_column = ""  # what to decode: a column of the units table; "": cell_type, the rats' region
animal_column = ""  # column that names the animal; "": the file's subject_id
# column that names the probe, for one population a probe; "": a file is one population
probe_column = ""
keep = ""  # which units: an expression over their columns, such as depth > 100; "": all
# animals that the encoder must not see; []: four of the rats, the last 30 % of simulated ones, of
# your files none
held_out_animals = []
# NWB table of times that gives the valid time ("epochs"); "": what the file says
intervals_from = ""
sample_s = 0.0  # s, length of a spike-count bin or frame; 0: the preset's
samples_per_token = 0  # samples; 0: the preset's
tokens_per_window = 0  # tokens; 0: the preset's
grid_s = 0.0  # s, windows start on multiples of this (trials laid end to end); 0: anywhere
max_distance_s = 0.0  # s, between the two windows of a pair; 0: the preset's
# "training": train here, minutes; a folder: a saved one; "": the repository's, your files: train
encoder_from = ""
training_steps = 0  # optimiser steps, to train here; 0: the profile's
seed = 0  # of the simulation, the weights, the views and the controls
scores_csv = ""  # also write the score table here; "": nowhere

# %% [markdown] tags=["slide"]
# In eight steps, all of it; the notebooks that follow build them one by one. ([Glossary of the
# terms](../docs/glossary.md).)

# %% tags=["slide"]
import nuclr_lite as nl

nl.plots.method()

# %%
import numpy as np
import pandas as pd
import torch

# %% [markdown] tags=["slide"]
# ## 1 · Recordings
#
# A `Recording` is the activity of one population of neurons ("units") seen together, a table with a
# row per unit, and the stretches of time that are valid. Here the animals are eleven rats that
# decide on which side they heard more clicks (Luo, Kim et al. 2025): 112 sessions, spike counts in
# bins of 10 ms, trials laid end to end. The label is the brain region of each unit: frontal
# cortex (FOF, dmFC, mPFC), motor cortex (M1), dorsal and ventral striatum (dStr, vStr).
#
# With `data_source = "simulated"` the animals come out of a generator (`data/README.md`), and the
# label is a cell type; with `data_source = "nwb"` the notebook runs on your own files.

# %%
n_animals = {"smoke": 6, "laptop": 20, "full": 40}[profile]

if data_source == "simulated":
    recordings = nl.simulate_recordings(n_animals, seed=seed)
elif data_source == "rats":
    from nuclr_lite.sources.folder import read_folder
    from nuclr_lite.sources.published import rat_decisions

    recordings = read_folder(rat_decisions.prepared(data_dir))
elif data_source == "nwb":
    from nuclr_lite.sources.nwb import read_nwb

    recordings = read_nwb(
        nwb_folder,
        animal=animal_column or None,
        intervals_from=intervals_from or None,
        probe_column=probe_column or None,
        keep=keep or None,
    )
else:
    raise ValueError(f"data_source is {data_source!r}; use 'simulated', 'rats' or 'nwb'.")
recordings[:3]

# %%
units = nl.units_table(recordings)
label_column = label_column or ("region" if data_source == "rats" else "cell_type")
if label_column not in units:
    raise ValueError(f"no unit has a column {label_column!r}; there are {sorted(units.columns)}.")
units.groupby(["animal_id", label_column]).size().unstack(fill_value=0)

# %% tags=["slide"]
nl.plots.activity(recordings[0], label=label_column, duration_s=20.0)

# %% [markdown] tags=["slide"]
# Can you tell the labels apart by eye? The figure below shows correlations in the first recording
# (of a rat with two of the six regions): on the left of each unit with itself, earlier and later;
# on the right with all the others. Bands are one standard deviation over units: they overlap almost
# everywhere. (In the simulated animals the left panel is the same for all types, and
# the right one is not: there a type is how a unit goes with the others.)

# %% tags=["slide"]
nl.plots.alone_and_together(recordings[0], label=label_column)

# %% [markdown] tags=["slide"]
# ## 2 · Pretraining, without labels
#
# The recipe is a *preset*: encoder, views, optimiser, all printable. `nl.pretrain(recordings,
# preset)` gets recordings and nothing else, no label. Four of the rats (of the simulated animals
# the last six) are held out: the encoder never sees them (*inductive zero-shot*). Your own files
# are usually too few for that, so all of them take part, but none of their labels does
# (*transductive zero-shot*), unless you name `held_out_animals`.
#
# So that you needn't wait, `nl.example_encoder("rats")` loads an encoder that was trained on the
# other seven rats by the preset `laptop-trials` (1,600 steps, four minutes of one core); it comes
# with the repository. With `encoder_from = "training"` the same is trained here, before your eyes.

# %%
modality = recordings[0].modality
# real recordings: the paper's views
kind = {"simulated": "quick", "rats": "laptop-trials"}.get(data_source, "laptop")
recipe = nl.PRESETS[kind if modality == "spikes" else f"{kind}-calcium"]
steps = training_steps or {"smoke": 40, "laptop": recipe.train.steps, "full": 10_000}[profile]
changes = {
    "sample_s": sample_s,
    "samples_per_token": samples_per_token,
    "tokens_per_window": tokens_per_window,
    "grid_s": grid_s,
    "max_distance_s": max_distance_s,
    "steps": steps,
    "seed": seed,
}
recipe = recipe.with_(**{name: value for name, value in changes.items() if value or name == "seed"})

# %%
as_it_comes = data_source != "nwb" and profile != "full" and not training_steps
saved = None
if encoder_from not in ("", "training"):
    saved = nl.Pretrained.load(encoder_from)
elif encoder_from == "" and as_it_comes:
    saved = nl.example_encoder(data_source)
preset = saved.preset if saved else recipe
print(preset.model, preset.views, preset.train, sep="\n")

# %%
# Once, not at each use.
recordings = [nl.views.match_sampling(recording, preset.model.sample_s) for recording in recordings]
animals = list(dict.fromkeys(recording.animal_id for recording in recordings))
if isinstance(held_out_animals, str) or set(held_out_animals) - set(animals):
    raise ValueError(f"held_out_animals is {held_out_animals!r}; give a list of some of {animals}.")
if len(animals) < 2:
    raise ValueError(
        f"there is one animal, {animals[0]!r}; section 4 leaves animals out: add recordings of"
        " another."
    )

# %%
left_out = held_out_animals
if not left_out and data_source == "simulated":
    left_out = animals[-max(1, len(animals) * 3 // 10) :]
elif not left_out and data_source == "rats":
    left_out = rat_decisions.GROUPS[2]
training = [recording for recording in recordings if recording.animal_id not in left_out]
pretrained = saved or nl.pretrain(training, preset)
took = "loaded" if saved else f"{pretrained.seconds:.0f} s"
print(f"{preset.train.steps} steps on {len(pretrained.trained_on)} recordings ({took})")

# %% tags=["slide"]
nl.plots.history(pretrained.history)

# %% [markdown]
# Left, the number that training makes small, and its two parts (`04_objective`). Middle: how often
# a unit's nearest neighbour in the other window is itself. It has to find itself among dozens, some
# of them of its own kind, so it will not come near 100 %, and need not; and it swings from batch to
# batch. Right, RankMe: how many dimensions the vectors use. A fall towards 1 would be
# [collapse](../docs/glossary.md#collapse): all units with the same vector. (`05_pretraining` shows
# how trouble looks.)
#
# A saved encoder lists the animals that it was trained on. So which animals are new to it can be
# looked up, and need not be taken on trust:

# %%
seen = set(pretrained.trained_on["animal_id"])
held_out = [animal for animal in animals if animal not in seen]
if set(held_out_animals) - set(held_out):
    raise ValueError(
        f"the encoder was trained on {sorted(set(held_out_animals) & seen)}, so they can't be held"
        " out."
    )
print(f"never seen by the encoder: {', '.join(held_out) or 'none'}")

# %% [markdown] tags=["slide"]
# ## 3 · One vector per unit
#
# Windows lie end to end over the whole recording; a unit's vector is its mean over all of them.

# %% tags=["slide"]
embedding = nl.embed(pretrained.encoder, recordings, grid_s=grid_s or None)
source = {"simulated": "simulated", "rats": "rats, Luo, Kim et al. 2025"}.get(
    data_source, f"{len(recordings)} NWB files"
)
nl.plots.map(embedding, units[label_column], title=f"{len(animals)} animals ({source})")

# %% [markdown] tags=["slide"]
# ## 4 · Reading the label
#
# A logistic regression learns the label from some animals and is asked about others. The score to
# look at is [macro F1](../docs/glossary.md#macro-f1): 1 is perfect, and rare labels count as much
# as common ones. Beside NuCLR, in the same table and on the same units: hand-crafted features
# (*baselines*), the same encoder before training, and *controls*:
#
# - *recording means*: each unit gets the mean of its recording, so that nothing is left of the unit
#   itself; *within recordings*: the opposite, every vector less that mean, where a recording holds
#   two labels or more. Between them they say what is about cells, and what about recordings.
# - *shuffled labels* (within each animal): what is known from the animal alone; *majority* (always
#   the most frequent label) and *chance*: what a classifier scores that knows nothing.
#
# All hand-crafted features but one look at a unit alone (*intervals*: those between its spikes).
# The exception, *coupling to the population*, is the correlation of a unit with the sum of the
# others, lag by lag. (In the simulated animals it is just what distinguishes the types, and hard to
# beat.) Intervals: 95 %, animals resampled.

# %%
from nuclr_lite import baselines

with torch.random.fork_rng():
    torch.manual_seed(seed)
    untrained = nl.NuCLR(preset.model)
features = {
    "NuCLR": embedding,
    "untrained encoder": nl.embed(untrained, recordings, grid_s=grid_s or None),
}
features |= {f"hand: {name}": table for name, table in baselines.hand_features(recordings).items()}
features["hand: coupling to the population"] = baselines.population_coupling(recordings)

# %%
asked = held_out if 0 < len(held_out) < len(animals) else None  # None: each animal in turn
table, results = nl.score_table(
    features,
    units[label_column],
    units["animal_id"],
    test_groups=asked,
    recordings=data_source != "simulated",
    seed=seed,
)
if scores_csv:
    table.assign(label=label_column, seed=seed).round(4).to_csv(scores_csv, index=False)
table.pivot(index="method", columns="metric", values="estimate").loc[
    table["method"].unique()
].round(3)

# %% tags=["slide"]
protocol = "inductive zero-shot" if held_out else "transductive zero-shot"
protocol += "" if asked else ", one animal left out in turn"
nl.plots.scores(table, title=f"{label_column}, {protocol} ({source})")

# %% tags=["slide"]
nl.plots.confusion(results["NuCLR"].predictions, title=f"NuCLR on {label_column} ({source})")

# %% [markdown]
# The last two steps of the drawing again, with what came out here in place of the symbols:

# %% tags=["slide"]
shown = ["NuCLR", "untrained encoder", "hand: all", "chance"]
filled = {
    "recording": recordings[0],
    "vectors": embedding.loc[recordings[0].recording_id],
    "decoding": {name: results[name].score() for name in shown},
}
nl.plots.method(["vectors", "decoding"], filled, title=source)

# %% [markdown]
# ## Exercises
#
# All three use what this notebook holds; none trains anything. Where a cell says "your answer" or
# "your code here", write it; the cell after it says whether it is right. (In a copy without
# solutions *Run All* stops at the first exercise that has no answer: go on from there.)

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): what a vector depends on
#
# Take the last recording, and change one thing at a time:
#
# - `"a"`: its units are listed in reverse order;
# - `"b"`: its clock is put forward by an hour;
# - `"c"`: every other unit is taken out.
#
# Each unit that is still there keeps its own activity. In *one* of the three its vector changes. In
# which, and why not in the other two? Write the letter. The check embeds the recording again, three
# times, and says how far vectors moved; 1 is about as far as units lie apart.


# %%
def changed(recording, rows, later_s=0.0):
    """The units in these rows, in this order, on a clock that is `later_s` (s) ahead."""
    kept, intervals = recording.units.iloc[rows], recording.intervals + later_s
    names = {"recording_id": recording.recording_id, "animal_id": recording.animal_id}
    if recording.modality == "calcium":
        return nl.Recording.from_traces(
            recording.traces[:, rows],
            recording.sampling_rate_hz,
            kept,
            intervals,
            start_s=recording.start_s + later_s,
            **names,
        )
    trains = [recording.spike_times(unit) + later_s for unit in kept.index]
    return nl.Recording.from_spike_trains(trains, kept, intervals, **names)


def mean_distance(before, after):
    """Between the vectors of the units that both tables have, over the spread of the first."""
    spread = ((before - before.mean()) ** 2).sum(axis=1).mean() ** 0.5
    both = before.index.intersection(after.index)
    return float((((after.loc[both] - before.loc[both]) ** 2).sum(axis=1) ** 0.5).mean() / spread)


# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "c"
### END SOLUTION

# %% tags=["check"]
assert prediction in ("a", "b", "c"), "write one of the letters, such as prediction = 'a'"
rows = np.arange(recordings[-1].n_units)
trials = {"a": (rows[::-1],), "b": (rows, 3600.0), "c": (rows[::2],)}
as_it_was = nl.embed(pretrained.encoder, recordings[-1])
distance = {
    letter: mean_distance(as_it_was, nl.embed(pretrained.encoder, changed(recordings[-1], *how)))
    for letter, how in trials.items()
}
print("vectors moved by", {letter: round(how_far, 4) for letter, how_far in distance.items()})
assert prediction == max(distance, key=distance.get), (
    "look at the numbers: one is far above the others; why that one?"
)
assert sorted(distance.values())[1] < 0.1 * max(distance.values())
print("exercise 1: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): from windows to one vector a unit
#
# The encoder gives a unit one vector in *each window*. A unit without a spike in a window is absent
# from it, and has none there. Write the mean over the windows in which a unit is present. The cell
# below makes what you need: for each window the vectors of the units that are there, and which
# units these are. (In its comments L is the tokens of a window, P the samples of a token, D the
# length of a vector.)
#
# By hand: unit 0 has the vectors (1, 0) and (3, 0) in two windows, so its mean is (2, 0). Unit 1 is
# in the first only, with (2, 2), so that is its mean. The check begins with these, then compares
# yours with the table of section 3, which `nl.embed` made.

# %%
windows = nl.views.Windows(recordings[-1], pretrained.encoder.config, grid_s or None)
# a window: tokens (active, L, P), rows (active,)
cut = [windows.samples(start_s) for start_s in windows.tile()]
cut = [(tokens, rows) for tokens, rows in cut if len(rows)]
fewest = min(len(rows) for _, rows in cut)
device = next(pretrained.encoder.parameters()).device
with torch.no_grad():
    in_window = [
        pretrained.encoder.eval()(torch.from_numpy(tokens).to(device), torch.tensor([len(rows)]))
        for tokens, rows in cut
    ]  # each (active, D)
in_window = [vectors.double().cpu().numpy() for vectors in in_window]
print(
    f"{len(cut)} windows, {recordings[-1].n_units} units, of which at least {fewest} in each window"
)


# %% jupyter={"source_hidden": true} tags=["solution"]
def mean_over_windows(vectors, rows, n_units):
    """One vector a unit: its mean over the windows in which it is present.

    vectors : list of (active, D) arrays, one a window. rows : list of (active,) int arrays, the
        unit of each vector.
    Returns (n_units, D); NaN for a unit that is present in no window.
    """
    ### BEGIN SOLUTION
    total, seen = np.zeros((n_units, vectors[0].shape[1])), np.zeros(n_units)
    for here, who in zip(vectors, rows):
        total[who] += here  # no unit occurs twice in a window
        seen[who] += 1
    return np.where(seen[:, None] > 0, total / np.maximum(seen, 1)[:, None], np.nan)
    ### END SOLUTION


# %% tags=["check"]
# Two windows: units 0, 1, 2 in the first, 0 and 2 in the second; unit 3 in none.
first, second = np.array([[1.0, 0.0], [2.0, 2.0], [0.0, 4.0]]), np.array([[3.0, 0.0], [0.0, 2.0]])
tiny = np.asarray(mean_over_windows([first, second], [np.array([0, 1, 2]), np.array([0, 2])], 4))
assert tiny.shape == (4, 2), f"expected one row for each of 4 units, not {tiny.shape}"
assert np.allclose(tiny[[0, 2]], [[2, 0], [0, 3]]), (
    "units 0 and 2 are in both windows: (2, 0) and (0, 3)"
)
assert np.allclose(tiny[1], [2, 2]), (
    "unit 1 is in one window: its mean is what it was there, (2, 2)"
)
assert np.isnan(tiny[3]).all(), "unit 3 is in no window: its row is NaN"
mine = mean_over_windows(in_window, [rows for _, rows in cut], recordings[-1].n_units)
there = recordings[-1].units.index.isin(embedding.loc[recordings[-1].recording_id].index)
assert np.allclose(mine[there], embedding.loc[recordings[-1].recording_id], atol=1e-3), (
    "not yet what nl.embed gives"
)
print("exercise 2: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): a decoder without a classifier
#
# If vectors say what kind a unit is, then the *most alike unit of any other animal* should be of
# the same kind. No classifier, nothing to fit. Standardise the dimensions over all units (mean 0,
# standard deviation 1), compare by the cosine, and let no unit choose one of its own animal: units
# of an animal share its peculiarities, and that likeness isn't the question. The figure below is
# what you should get. Compare its share with chance: with these rats, a unit drawn at random from
# the other animals is of the same region in 13 % of the cases. (Not in 1 of 6: regions are not
# equally frequent, nor evenly spread over the rats.)


# %% jupyter={"source_hidden": true} tags=["solution"]
def nearest_elsewhere(vectors, animals):
    """The most alike unit of any other animal.

    vectors : DataFrame (units, D). animals : Series (units,), the animal of each unit, in the same
        order.
    Returns (units,) int: the row of the unit whose standardised vector has the largest cosine with
    this one's.
    """
    ### BEGIN SOLUTION
    z = ((vectors - vectors.mean()) / vectors.std(ddof=0).replace(0, 1)).to_numpy()
    z = z / np.linalg.norm(z, axis=1, keepdims=True)  # (units, D), each of length 1
    alike = z @ z.T  # (units, units)
    names = animals.to_numpy()
    alike[names[:, None] == names[None]] = -np.inf
    return alike.argmax(axis=1)
    ### END SOLUTION


# %% tags=["check"]
# Six units of two animals. The second dimension has large numbers; standardised, it weighs no more
# than the first.
tiny = pd.DataFrame(
    [[-5.0, 340.0], [2.0, 340.0], [1.0, 310.0], [-1.0, 260.0], [3.0, 310.0], [-2.0, 310.0]]
)
chosen = np.asarray(nearest_elsewhere(tiny, pd.Series(list("AAABBB")))).tolist()
among_the_others = {*chosen[:3]} <= {3, 4, 5} and {*chosen[3:]} <= {0, 1, 2}
assert among_the_others, "units of A must choose among those of B, and the reverse"
assert chosen != [5, 4, 3, 2, 1, 0], "standardise over all units, not within each animal"
assert chosen != [
    5,
    4,
    4,
    2,
    1,
    0,
], "not standardised (mean 0 and standard deviation 1), or not the cosine"
assert chosen != [
    5,
    4,
    4,
    2,
    2,
    2,
], "only centred (divide by the standard deviation, too), or not the cosine"
assert chosen == [5, 4, 4, 2, 2, 0], f"units 0 to 5 should choose 5, 4, 4, 2, 2, 0, not {chosen}"
labelled = embedding[units.loc[embedding.index, label_column].notna()]
kinds, owners = (units.loc[labelled.index, name] for name in (label_column, "animal_id"))
nearest = np.asarray(nearest_elsewhere(labelled, owners))
assert nearest.shape == (len(labelled),) and (owners.to_numpy()[nearest] != owners.to_numpy()).all()
print("exercise 3: right")

# %% tags=["target"]
pairs = pd.DataFrame(
    {"true": kinds.astype(str).to_numpy(), "predicted": kinds.astype(str).to_numpy()[nearest]}
)
print(
    f"of the same kind: {(pairs['true'] == pairs['predicted']).mean():.0%} of the nearest in other"
    " animals"
)
nl.plots.confusion(
    pairs,
    title=f"{label_column} of a unit (row) and of the\nmost alike elsewhere (column; {source})",
)

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# In four rats that the encoder never saw, and whose labels the classifier never had, the region of
# a unit is read with a macro F1 of 0.40: not much, but far more than from the other features (0.27
# from the best features of a unit alone, 0.25 from the same encoder untrained, 0.14 by chance).
# dmFC and mPFC, which were recorded in other rats than the four other regions, are told apart from
# these four (85 % of their units). Within each of these two groups regions are mixed up: more than
# half of the units of dorsal striatum are called cortex (FOF or M1).
#
# Now read the controls. Even with *shuffled* labels the score is 0.29: as labels are shuffled
# within each animal, the classifier still learns which regions the *other* rats have together.
# *Within recordings* only 0.20 is left, and recording means alone reach 0.22: much of the 0.40 is
# not about single units, and neither part explains it by itself. `06_decoding` and `07_zero_shot`
# look into that. (Simulated animals, `laptop`, seed 0: 0.92, where everything that looks at one
# unit alone stays at 0.25 or below. The cell below checks both.)

# %%
macro_f1 = table[table["metric"] == "macro_f1"].set_index("method")["estimate"]
best_alone = macro_f1[[f"hand: {name}" for name in baselines.hand_features(recordings[:1])]].max()
print(
    f"macro F1: NuCLR {macro_f1['NuCLR']:.3f}, best features of a unit alone {best_alone:.3f}, "
    f"chance {macro_f1['chance']:.3f}"
)
expected = {"simulated": (0.8, 0.45), "rats": (0.35, 0.33)}.get(data_source)  # above, below
usual_label = label_column in ("cell_type", "region")
if expected and usual_label and profile == "laptop" and seed == 0 and as_it_comes:
    assert macro_f1["NuCLR"] > expected[0] and best_alone < expected[1], f"expected {expected}"

# %% [markdown]
# **Read** the paper, sections 3 (method) and 4 (experiments): Arora et al. 2025, arXiv 2512.01199.
# On training by telling things apart: van den Oord et al. 2018, arXiv 1807.03748, and Chen et al.
# 2020, arXiv 2002.05709. On units and their population: Okun et al. 2015, Nature 521:511. On
# RankMe: Garrido et al. 2023, arXiv 2210.02885.
#
# **Next:** `01_recordings` to `05_pretraining` build all of this step by step. In a hurry?
# `06_decoding` asks how much of it is real, with all controls; `07_zero_shot` compares ways of
# holding animals out. For your own recordings `11_your_data`, or `python notebooks/run.py --only 00
# -p data_source nwb -p nwb_folder /path/to/files -p label_column region`.
