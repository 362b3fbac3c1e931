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
# **You will learn** to ask what pretraining saves: the encoder never sees a label, so how many does the classifier on top of it still need, against
# features that had no pretraining? And how to compare two methods on the same animals, with an interval.
#
# **Needs** `06_decoding`, whose encoders it uses. **Takes** about 1 minute on a laptop (2 cores) after it, 12 without; run again, it finds what it computed in
# `runs/` and takes seconds.
#
# **The claim** (Arora et al. 2025): one eighth of the labels beats the baselines with all of them. It was made for real recordings; here we test the same sentence on *simulated* ones, as a number.
#
# **Predict** before you go on: in this simulation a unit's type shows only in how it goes with the population. What will happen to features of single units when
# they get more labels? And to the hand-made correlation with the population?

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds; "laptop": minutes; "full": more animals, draws and steps
source = "simulated"           # "simulated", or a folder of saved recordings (one subfolder each)
modality = "spikes"            # "spikes" or "calcium"
label_column = "cell_type"     # what to decode
runs_dir = "../runs"           # where results are kept; a run that was stopped goes on from there
jobs = 0                       # processes; 0: one for each core
scores_csv = ""                # also write the table of all results here; "": nowhere

# %%
import nuclr_lite as nl
from nuclr_lite import comparison, experiments, methods

# %% [markdown]
# ## 1 · The experiment, as data
#
# An `Experiment` is a small table of choices: which recordings, which label, which methods, which shares of the labels. Labels are drawn within each class, at least one of each;
# several draws, because one is luck. The encoder is trained once, without labels, on the animals to learn from; the animals that are scored were seen by neither encoder nor classifier
# (*inductive zero-shot*).

# %%
size = {"smoke": dict(n_animals=5, n_held_out=2, changes={"steps": 10}, label_shares=(0.25,), draws=1),
        "laptop": dict(n_animals=20, n_held_out=6, changes={}, label_shares=(1 / 16, 1 / 8, 1 / 4, 1 / 2), draws=3, seeds=(0, 1)),
        "full": dict(n_animals=40, n_held_out=12, changes={"steps": 10_000}, label_shares=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2), draws=20, seeds=(0, 1, 2, 3, 4))}[profile]
experiment = experiments.Experiment(
    name=f"label-efficiency-{modality}-{label_column}-{profile}", label=label_column, source=source, modality=modality,
    preset="quick" if modality == "spikes" else "quick-calcium",
    encoders={"NuCLR": {}, "without spatial attention": {"spatial_attention": False}}, baselines=methods.usual_baselines(modality) if profile != "smoke" else methods.FEW, **size)
print(len(experiment.cells()), "results to compute: method x seed x part of the labels;", experiment.cells()["method"].nunique(), "methods")

# %%
table = experiments.run(experiment, runs_dir, n_jobs=jobs or -1)
rows = comparison.summary(experiment, runs_dir)
table["share"], rows["share"] = table["label_share"].fillna(1.0), rows["label_share"].fillna(1.0)
if scores_csv:
    table.round(4).to_csv(scores_csv, index=False)
where = "simulated" if source == "simulated" else table["dataset"].iloc[0]
recordings, held_out = experiments.recordings(experiment, runs_dir)
labelled = nl.units_table(recordings).query("animal_id not in @held_out")[label_column].notna().sum()
print(f"all labels: {labelled} units of {len(recordings) - len(held_out)} recordings; 1/8 is about {labelled / 8:.0f}, 1/16 about {labelled / 16:.0f}")

# %% [markdown]
# ## 2 · The curve
#
# Means over seeds of the encoder and draws of the labels; bands: 95 %, animals and seeds resampled. Shown are NuCLR, its controls, and the best that looks at a unit alone; the table
# below has everything.

# %%
wide = rows[rows["method"] != "chance"].pivot(index="method", columns="share", values="estimate").loc[[name for name in rows["method"].unique() if name != "chance"]]
shown = ["NuCLR", "NuCLR, shuffled labels", "without spatial attention", "untrained encoder", methods.COUPLING]
shown.append(wide[1.0].drop(shown).idxmax())
chance = rows.loc[rows["method"] == "chance", "estimate"].mean()
nl.plots.curves(rows[rows["method"].isin(shown)], "share", xlabel="share of the labels", chance=chance, title=f"{label_column}, held-out animals ({where})")

# %%
wide.round(3)

# %% [markdown]
# ## 3 · One eighth against all
#
# The claim is about a *difference*, so we put an interval on the difference: the same animals and seeds are drawn for both methods, again and again. An animal in which everything is easy
# then cancels. The row *NuCLR* compares it with itself, given all labels. A difference is called significant if 0 lies outside the 95 % interval; six animals and two seeds are few, and the interval is as wide as it is for a reason.

# %%
eighth = min(rows["share"], key=lambda share: abs(share - 1 / 8))
differences = comparison.against(experiment, runs_dir, label_share=eighth)
print(f"NuCLR with {eighth:g} of the labels ({where}) minus each method with all, macro F1:")
differences.drop(columns=["significant"]).round(3)

# %% [markdown]
# Read the rows. Against features of single units the claim holds in this simulation, and means little: their curves are flat, because labels can't teach what isn't there. Against
# the hand-made correlation with the population look at the interval. Those features were made by someone who knows what the simulation hides, and
# need few labels themselves. What a learned encoder saves is the knowing.
#
# ## What you should have seen
#
# A curve for NuCLR that is nearly as high with an eighth of the labels as with all, and flat curves near chance for everything that looks at one unit alone.

# %%
alone = [name for name in wide.index if name.startswith(("hand: ", "interval network", "without")) and name != methods.COUPLING]
print(f"NuCLR with {eighth:g} of the labels {wide.loc['NuCLR', eighth]:.3f}, with all {wide.loc['NuCLR', 1.0]:.3f}; best that looks at a unit alone, with all, {wide.loc[alone, 1.0].max():.3f}")
if source == "simulated" and profile != "smoke" and (modality, label_column) == ("spikes", "cell_type"):
    assert wide.loc["NuCLR", eighth] > wide.loc[alone, 1.0].max() + 0.2, "expected an eighth of the labels to beat all labels on what looks at a unit alone"

# %% [markdown]
# **Next:** `12_what_it_learned` asks what in the population it is that the encoder reads. For your own recordings: save them with `Recording.save` into one folder, and give it as `source`.
