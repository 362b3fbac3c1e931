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
# **You will learn** to question a trained encoder. A score says *that* a unit's type can be read from its vector; here we ask *what from*. The same neuron is embedded alone, among
# strangers and in its own population; we look at who attends to whom, take single neurons out, change the stimulus, and change the recipe.
#
# **Needs** nothing but this repository; everything here is *simulated*. **Takes** about 7 minutes on a laptop (2 cores), and the training of two encoders on top, unless
# `06_decoding` or `07_zero_shot` left them in `runs/`; run again, it finds the ablations there, too.
#
# Each section has a question, a prediction, an experiment, a figure, and what may be concluded from it. Make your own prediction before you look.

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds, to see that it runs; "laptop": minutes; "full": more animals and steps
runs_dir = "../runs"           # where encoders and results are kept; a run that was stopped goes on from there
jobs = 0                       # processes for the ablations of section 6; 0: one for each core
training_steps = 0             # optimiser steps of the encoders of sections 1 to 5; 0: the profile's
ablation_steps = 0             # optimiser steps of each recipe of section 6; 0: the profile's
scores_csv = ""                # also write the table of section 6 here; "": nowhere

# %%
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier

import nuclr_lite as nl
from nuclr_lite import baselines, comparison, experiments, interpretation
from nuclr_lite.sources import allen_neuropixels
from nuclr_lite.sources.simulated import SPIKES

# %% [markdown]
# ## 1 · The encoder
#
# The one of `07_zero_shot`, and its twin without spatial attention: trained on all animals but the last six, which neither encoder nor classifier learns from. In what
# follows a classifier is fit on the animals to learn from, and scored on those six.

# %%
size = {"smoke": dict(n_animals=5, n_held_out=2, changes={"steps": 10}), "laptop": dict(n_animals=20, n_held_out=6, changes={}),
        "full": dict(n_animals=40, n_held_out=12, changes={"steps": 10_000})}[profile]
size["changes"] = {"steps": training_steps} if training_steps else size["changes"]
choices = experiments.Experiment(name="what-it-learned", encoders={"NuCLR": {}, "without spatial attention": {"spatial_attention": False}}, **size)
encoder = experiments.trained(choices, runs_dir).encoder
without = experiments.trained(choices, runs_dir, "without spatial attention").encoder

# %%
recordings, held_out = experiments.recordings(choices, runs_dir)
tested = [recording for recording in recordings if recording.animal_id in held_out]
units = nl.units_table(recordings)
kinds, animals = units["cell_type"], units["animal_id"]

def decoded(learned_from, scored_on):
    """Fit on the animals to learn from, in one table; score the held-out animals in another."""
    learn, score = (table[animals[table.index].isin(held_out) == which] for table, which in ((learned_from, False), (scored_on, True)))
    return nl.decode(pd.concat([learn, score]), kinds, animals, test_groups=held_out)

# %%
full, plain = nl.embed(encoder, recordings), nl.embed(without, recordings)
scores = {"NuCLR": decoded(full, full), "without spatial attention": decoded(plain, plain)}
guesses = [DummyClassifier(strategy="uniform", random_state=seed) for seed in range(20)]
chance = np.mean([nl.decode(full, kinds, animals, test_groups=held_out, classifier=guess, n_bootstrap=1).score() for guess in guesses])
pd.concat({name: result.scores.set_index("metric").loc["macro_f1"] for name, result in scores.items()}, axis=1).T.round(3)

# %% [markdown]
# ## 2 · With and without its population
#
# **Question.** Does the vector of a neuron depend on who is around it? **Experiment.** Take a held-out neuron's spikes, always the same, and give them different company: nobody, a few
# neurons of its own population, drawn at random, or neurons of *another animal*, recorded at another time. The classifier stays the same: fit once, on vectors from whole populations.
#
# **Predict.** In this simulation a unit alone says nearly nothing about its type. How many neighbours are enough? And what will strangers do, whose activity has nothing to do with it?

# %%
own = {"smoke": (0, 3), "laptop": (0, 1, 3, 7, 15, 31), "full": (0, 1, 3, 7, 15, 31)}[profile]
foreign = {"smoke": (3,), "laptop": (3, 15), "full": (3, 15, 31)}[profile]
among = {others: interpretation.embed_among(encoder, tested, others) for others in own}
among["all"] = full[animals[full.index].isin(held_out)]
hosts = tested[1:] + tested[:1]                          # each animal's units visit the next one
strangers = {others: interpretation.embed_among(encoder, tested, others, hosts) for others in foreign}

# %% [markdown]
# One more line is needed. A unit with three others is unlike anything that the encoder was trained on (unit dropout leaves at least half), and its vectors may lie where the classifier has
# never been. So a second classifier is fit on vectors *made the same way* (of the other held-out animals, one left out in turn): it finds what is in them, if anything is.

# %%
rows = [("its own population", others, decoded(full, table)) for others, table in among.items()]
rows += [("its own population, classifier refit", others, nl.decode(table, kinds, animals)) for others, table in among.items()]
rows += [("another animal's units", others, decoded(full, table)) for others, table in strangers.items()]
rows += [("another animal's units, classifier refit", others, nl.decode(table, kinds, animals)) for others, table in strangers.items()]
rows += [("encoder without spatial attention", "all", scores["without spatial attention"])]
company = pd.DataFrame([{"who": who, "others": others, **result.scores.set_index("metric").loc["macro_f1"]} for who, others, result in rows])
nl.plots.neighbours(company, chance, title=f"cell type of the same held-out units in different company (simulated, {len(held_out)} animals)")

# %% [markdown]
# (The classifier that stays can fall *below* guessing: where all vectors lie in one corner, it calls them all the same.)

# %%
company.pivot(index="who", columns="others", values="estimate").reindex(index=company["who"].unique(), columns=[*own, "all"]).round(2)

# %%
most = max(foreign)
shown = {"alone": among[0], f"among {most} of another animal": strangers[most], f"among {most} of its own": among[most], "in its own population": among["all"]}
nl.plots.same_units(shown, kinds, full[~animals[full.index].isin(held_out)], title="the same spikes, four times (simulated, held-out animals)")

# %% [markdown]
# In each panel the same units, with the same spikes; the axes were chosen on other animals, where the types lie apart. What pulls them apart on the right can't be in a unit's own
# spike train: it is in how that train goes with *its* neighbours.
#
# **What follows:** the type is read from the relation to the population, and not just any population will do. **What doesn't:** that it is so in the brain. The simulation was built so
# that a unit alone is nearly blank; in real recordings rate and regularity tell something, too (the paper's encoder without spatial attention is far above chance there).
#
# ## 3 · Who attends to whom
#
# **Question.** Spatial attention is the only place where units meet. Whom does it look at? **Predict.** `Exc` units follow the shared state weakly here (0.35), the other types
# closely (0.9 and more; `Vip` with the opposite sign): whom would you ask, to know what the population does?
#
# **Experiment.** The weights, from the module itself, averaged over tokens and windows; then, for each pair of types, the weight that one unit gives another, over an even share. 1 is
# indifference; a unit's attention to itself is left out, and printed apart.

# %%
n_windows = {"smoke": 3, "laptop": 15, "full": 60}[profile]
attention = [interpretation.spatial_attention(encoder, recording, n_windows) for recording in tested]
heads = [(layer, head) for layer in range(attention[0].shape[0]) for head in range(attention[0].shape[1])]
attended = {f"layer {layer + 1}, head {head + 1}": pd.concat([interpretation.between_kinds(one[layer, head], recording.units["cell_type"])
            for one, recording in zip(attention, tested)]).groupby(level=0).mean() for layer, head in heads}
itself = {f"layer {layer + 1}, head {head + 1}": np.mean([np.nanmean(np.diag(one[layer, head])) * len(one[layer, head]) for one in attention]) for layer, head in heads}
print("to itself, over an even share:", {name: round(float(share), 2) for name, share in itself.items()})
nl.plots.between(attended, "who attends", "to whom", title="attention between types, over an even share (simulated, held-out animals)")

# %% [markdown]
# Look at how far from 1 the numbers are. In the run shown here the first layer looks at everybody alike; in the second, units look more at themselves, and heads tell types apart, above all `Vip`, which goes
# against the state that all others follow.
#
# **What follows:** in the second layer, attention depends on type. No more than that: a weight says where a unit looks, not what it takes from there, nor what it does with it. And a mean over time hides *when* it looks.
# To know whether somebody matters, take them away.
#
# ## 4 · A neuron less
#
# **Question.** How far does a unit's vector move when one other unit is taken out? **Predict.** Whose absence moves the others most: of units that follow the state, of those that follow the
# drive, or of those that fire most?
#
# **Experiment.** All pairs of each held-out population. A distance of 1 is about as far as units lie apart from each other.

# %%
n_windows = {"smoke": 2, "laptop": 6, "full": 30}[profile]
moved = [interpretation.influence(encoder, recording, n_windows) for recording in tested]
print(f"one neuron less moves a vector by {np.mean([np.nanmean(one) for one in moved]):.3f} of the distance between units (mean over pairs, simulated)")
by_type = pd.concat([interpretation.between_kinds(one, recording.units["cell_type"]) for one, recording in zip(moved, tested)]).groupby(level=0).mean()
nl.plots.between({"": by_type}, "whose vector moves", "who is taken out", title="over an even share (simulated)")

# %%
truth = units[animals.isin(held_out)][["state_coupling", "drive_coupling", "base_rate_hz", "cell_type"]]
truth["influence"] = np.concatenate([one.mean() / np.nanmean(one) for one in moved])         # over the mean of its own population
known = truth.dropna()
nl.plots.against_truth(known["influence"], known[["state_coupling", "drive_coupling", "base_rate_hz"]], known["cell_type"],
                            "influence (1: average)", title="who matters, and what is true of it (simulated, held-out animals)")

# %% [markdown]
# `state_coupling` is the simulation's own number for how closely a unit follows the state that all share, from which its type is to be read. (It is always positive; that `Vip` goes against the state is another column.) Most of its
# rank correlation lies *between* `Exc` and the other types: look within one colour. And a rank correlation near 0 isn't "no relation": on the right, both the loudest and the nearly silent units matter much. (The
# latter are measured only in the few windows in which they fire.)
#
# **What follows:** the encoder weighs its witnesses, and no label told it how. Since one neuron among nearly fifty moves a vector by little, it doesn't hang on any single one. **What doesn't:** that the rest
# of the rank correlation is error; two units that say the same cover for each other, and then taking out either one shows nothing.
#
# ## 5 · Across stimuli
#
# **Question.** The paper's abstract claims representations that hold across stimuli. Do they? **Experiment.** The same animals are simulated anew, with three stimuli in turn: spontaneous
# activity and a movie, as in training, and *gratings* (2 s on, 1 s off), which the encoder never saw. Each stimulus has two blocks. First, without labels: a unit of
# one block seeks itself in another, among the units of its animal. Then the classifier is fit in one stimulus (animals to learn from), and tested in another (held-out animals).
#
# **Predict.** The drive of the gratings repeats every 3 s, for all units that follow it. What will that do to the relations between units?

# %%
stimuli = ("spontaneous", "natural_movie", "drifting_gratings")
block_s = {"smoke": 30.0, "laptop": 100.0, "full": 300.0}[profile]
shown = nl.simulate_recordings(size["n_animals"], config=replace(SPIKES, stimuli=stimuli, stimulus_block_s=block_s, duration_s=6 * block_s, movie_s=block_s / 2))
assert all(one.units["cell_type"].equals(other.units["cell_type"]) for one, other in zip(shown, recordings)), "expected the same animals"

def numbered(recording):
    """'spontaneous' -> 'spontaneous 1', 'spontaneous 2', ...: each block by itself."""
    count = recording.epochs.groupby("name").cumcount() + 1
    return replace(recording, epochs=recording.epochs.assign(name=recording.epochs["name"] + " " + count.astype(str)))

# %%
warnings.filterwarnings("ignore", message=".* have no spike in any window")          # who is silent through a block has no vector in it, and takes no part
shown = [numbered(recording) for recording in shown]
blocks = [f"{stimulus} {number}" for stimulus in stimuli for number in (1, 2)]
embedded = {block: nl.embed(encoder, [recording.during(block) for recording in shown]) for block in blocks}
later = [recording for recording in shown if recording.animal_id in held_out]
by_hand = {block: baselines.hand_features([recording.during(block) for recording in later])["all"] for block in blocks}
coupling = {block: baselines.population_coupling([recording.during(block) for recording in shown]) for block in blocks}

# %%
def sought(tables):
    """Rows: a unit's vector in the first block of a stimulus; columns: sought in the second block of another; means over held-out animals."""
    chosen = {block: table[animals[table.index].isin(held_out)] for block, table in tables.items()}
    return pd.DataFrame({there: {here: interpretation.found_again_in_each(chosen[f"{here} 1"], chosen[f"{there} 2"])["top1"].mean() for here in stimuli} for there in stimuli})

found = {"NuCLR": sought(embedded), "hand: all, of a unit alone": sought(by_hand), "hand: coupling": sought(coupling)}
by_guessing = np.mean([1 / recording.n_units for recording in later])
nl.plots.across_blocks(found, "first block", "second block", title=f"share of units found again (simulated, held-out animals; guessing {by_guessing:.2f})")

# %%
def across(tables):
    """Rows: the stimulus in which the classifier is fit; columns: in which it is tested. A unit's vector is the mean over both blocks."""
    whole = {stimulus: pd.concat([tables[f"{stimulus} 1"], tables[f"{stimulus} 2"]]).groupby(level=[0, 1], sort=False).mean() for stimulus in stimuli}
    return pd.DataFrame({there: {here: decoded(whole[here], whole[there]).score() for here in stimuli} for there in stimuli})

carried = {"NuCLR": across(embedded), "hand: coupling": across(coupling)}
nl.plots.across_blocks(carried, "fit in", "tested in", title=f"macro F1, cell type of held-out animals (simulated; guessing {chance:.2f})")

# %% [markdown]
# On the diagonal the stimulus is the same; that is what the other cells have to be compared with, not 1. The upper left four are the stimuli of training.
#
# In the lower figure, read each *column* from its diagonal. Where the other cells of the column are as high, the classifier carries over. Where the whole column is low, its diagonal too, it isn't the classifier that
# fails: the type is harder to read from vectors of that stimulus, wherever one learned to. Which of the two are the gratings? And read the right panel as fairly as the left one: those
# features were made by somebody who knew what this simulation hides.
#
# **What follows:** as far as cells off the diagonal are like those on it, vectors hold across *these* stimuli. **What doesn't:** that they hold across all. Finding a unit again and reading its type
# are different things, too: the first needs what is its own, the second what it shares with others of its type.
#
# The same on a session in the Allen Institute's format (simulated as well), where blocks come from the file's stimulus tables: the claim in the form in which it can be
# asked of a real session, without any label. Three stimuli, one probe; blocks of different length, so that the cells are not equally hard. (`invalid_presentation`: time that the file
# declares invalid. Units that pass the quality limits and lie in visual cortex take part.)

# %%
n_units, duration_s = {"smoke": (36, 240.0), "laptop": (72, 900.0), "full": (120, 1800.0)}[profile]
with tempfile.TemporaryDirectory() as scratch:
    path = nl.simulate_allen_session(Path(scratch) / "session.nwb", n_units=n_units, n_probes=1, duration_s=duration_s, genotype="wt/wt", animal=7,
                                     config=replace(SPIKES, stimuli=("spontaneous", "natural_movie", "drifting_gratings", "natural_movie")))
    [session] = allen_neuropixels.read_session(path)
session.epochs.groupby("name", sort=False).apply(lambda rows: (rows["stop_s"] - rows["start_s"]).sum()).rename("s").to_frame().T.round(0)

# %%
names = [name for name in ("spontaneous", "natural_movie_one", "drifting_gratings") if name in set(session.epochs["name"])]
of_session = {name: nl.embed(encoder, session.during(name)) for name in names}
pd.DataFrame([{"from": here, "to": there, **interpretation.found_again(of_session[here], of_session[there])._asdict()}
              for at, here in enumerate(names) for there in names[at + 1:]]).round(3)

# %% [markdown]
# ## 6 · Ablations: what in the recipe matters?
#
# **Question.** Of all the choices in the recipe, which does the result hang on? **Experiment.** One choice is changed at a time; everything else, the number of steps among it, stays. To fit into minutes, all have one
# spatiotemporal block and no other, and are trained for few steps at twice the usual learning rate. *All are small and under-trained, all equally*: this is a lesson in how to compare, and
# its ranks need not be those of the larger encoder after 3200 steps, let alone 50,000.
#
# - *without spatial attention*: units never meet. *without unit dropout*: every view shows all units.
# - *textbook temperature*: similarities within a view are divided by the temperature, too (the official code divides only those across views).
# - *InfoNCE*: the positive pair stays among the negatives. *VICReg*: no negatives at all; dimensions are kept apart instead.
# - *second view within 5 s, 120 s* instead of 30 s; *windows of 5 s, 20 s* instead of 10 s.
#
# **Predict** which one will hurt most, and which you won't be able to tell from the original with six animals and these seeds.

# %%
recipes = {"NuCLR": {}, "without spatial attention": {"spatial_attention": False}, "without unit dropout": {"kept_share": [1.0, 1.0]},
           "textbook temperature": {"scale_within_view": True}, "InfoNCE": {"objective": "info-nce"}, "VICReg": {"objective": "vicreg"},
           "second view within 5 s": {"max_distance_s": 5.0}, "second view within 120 s": {"max_distance_s": 120.0},
           "windows of 5 s": {"tokens_per_window": 5}, "windows of 20 s": {"tokens_per_window": 20}}
recipes = dict(list(recipes.items())[:3]) if profile == "smoke" else recipes
smaller = {"temporal_layers": 0, "spatiotemporal_layers": 1, "learning_rate": 4e-3}
steps, seeds = {"smoke": (4, (0,)), "laptop": (300, (0, 1, 2)), "full": (3000, (0, 1, 2, 3, 4))}[profile]
steps = ablation_steps or steps
ablation = experiments.Experiment(name=f"ablations-{profile}-{steps}", encoders=recipes, baselines=("untrained encoder", "NuCLR, shuffled labels", "chance"),
                                  seeds=seeds, **{**size, "changes": {"steps": steps, **smaller}})
single = experiments.run(ablation, runs_dir, n_jobs=jobs or -1)

# %%
table = comparison.summary(ablation, runs_dir)
if scores_csv:
    table.assign(steps=steps).round(4).to_csv(scores_csv, index=False)
guessing = table.set_index("method").loc["chance", "estimate"]
nl.plots.variants(table[table["method"] != "chance"], single, guessing,
                       title=f"one choice changed, {steps} steps each (simulated, {len(held_out)} held-out animals, seeds {', '.join(map(str, seeds))})")

# %% [markdown]
# Intervals that overlap don't mean "no difference": the same animals and seeds are behind all rows, and what is hard for one is hard for all. So the differences have intervals of their
# own (animals and seeds drawn, the same for both methods). Look at the *untrained encoder* before any other row: where NuCLR is not clearly above it, and in the run shown here it isn't, training has only begun,
# and the rows compare beginnings.

# %%
differences = comparison.against(ablation, runs_dir)
differences.drop(columns="significant").round(3)

# %% [markdown]
# *In words* says better or worse where the interval of the difference leaves 0 out; with a dozen rows, one may do so by luck, and those whose interval nearly touches 0 are the candidates. Where it says *can't tell*, that is
# the result: six animals, these seeds and this few steps don't decide it. No row says what would be best after a full training, or on real data.
#
# ## What you should have seen
#
# The type of the same unit at or below chance alone and among strangers, and read well in its own population; attention that tells types apart in its second layer only; units that follow the shared state matter more to
# others than those that don't; a classifier that carries over between stimuli of the training; and a table of ablations with as many *can't tell* as it deserves.

# %%
if profile == "laptop" and not training_steps:
    reached = company.set_index(["who", "others"])["estimate"]
    own_population, strange, alone = reached["its own population", "all"], reached["another animal's units", most], reached["its own population, classifier refit", 0]
    print(f"macro F1 in its own population {own_population:.2f}, among strangers {strange:.2f}, alone {alone:.2f}; movie, fit on spontaneous {carried['NuCLR'].loc['spontaneous', 'natural_movie']:.2f}")
    assert own_population > max(strange, alone) + 0.2, "expected the own population to matter"
    assert carried["NuCLR"].loc["spontaneous", "natural_movie"] > alone + 0.15 and found["NuCLR"].to_numpy().min() > 2 * by_guessing
    assert truth["state_coupling"].corr(truth["influence"], method="spearman") > 0.1

# %% [markdown]
# **Next:** `08_scaling` on what more animals bring; for your own recordings, `Recording.during` and `interpretation.found_again` ask the question of section 5 without any label.
