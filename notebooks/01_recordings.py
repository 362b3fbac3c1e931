# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Recordings: what is in a session of the Allen Brain Observatory
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/01_recordings.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/01_recordings.ipynb
#
# **You will learn** what a Neuropixels session holds and how to get one;
# which units and which stretches of time are fit to learn from;
# and how cell types are read off light responses, without the light ever reaching the model.
#
# **Needs** nothing but this repository: by default the sessions are *simulated*, in the Allen
# Institute's own file format. With AllenSDK, a network and 3 GB of disk, `data_source = "allen"`
# runs the same cells on a real one. **Takes** under a minute on a laptop (2 cores), no GPU needed;
# with a real session, its download on top (1.7 to 3.3 GB).
#
# The Visual Coding set (Siegle et al. 2021, Nature 592:86): 58 mice that look at gratings, movies
# and other stimuli for 2.5 hours, while up to six Neuropixels probes listen to visual cortex,
# thalamus and hippocampus at once. In about half of the mice one kind of inhibitory cell also
# responds to blue light: these mice come from a *Cre line* (genes that switch something on in one
# cell type: Pvalb, Sst or Vip), crossed with *Ai32* (the something: channelrhodopsin, a channel
# that light opens). That is where the paper's cell-type labels come from.

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
profile = "laptop"  # "smoke": seconds; "laptop"; "full": longer simulated sessions
data_source = "simulated"  # "simulated", or "allen": AllenSDK and a download of 1.7 to 3.3 GB
# AllenSDK's cache folder, an old one or a new one (allen only)
cache_dir = "../data/raw/allen_neuropixels"
# which session to download; 0: the smallest one of an Sst or Pvalb line (allen only)
session_id = 0
seed = 0  # of the simulated sessions

# %% [markdown] tags=["slide"]
# The method again; in full colour, the part that this notebook is about. Everything else begins
# with a recording.

# %% tags=["slide"]
import nuclr_lite as nl

nl.plots.method("recording")

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from nuclr_lite.sources.allen import neuropixels
from nuclr_lite.sources.allen.session_file import QUALITY_LIMITS, open_session
from nuclr_lite.sources.allen.optotagging import optotag_units, select_pulses

# %% [markdown] tags=["slide"]
# ## 1 · List, choose, get
#
# `list_sessions` asks the Allen Institute's server, through AllenSDK, and says how large each file
# is *before* anything is downloaded. `download_session` resumes where a broken download stopped,
# and opens the file before it calls it done. (If you only want recordings, you need not download
# whole files: `stream_sessions` reads the needed tenth of each from the server; see the end of this
# notebook.) With simulated data, the cell below writes three sessions in the same format, one of
# each Cre line.

# %% tags=["slide"]
nl.plots.session_journey()

# %%
lines = ("Pvalb", "Sst", "Vip")
if data_source == "allen":
    sessions = neuropixels.list_sessions(cache_dir)
    lit = sessions[sessions["genotype"].str.contains("Sst|Pvalb") & sessions["has_light_pulses"]]
    chosen = session_id or lit["size_gb"].idxmin()
    paths = [neuropixels.download_session(chosen, cache_dir)]
elif data_source == "simulated":
    scratch = tempfile.TemporaryDirectory()  # gone with the kernel
    n_units, duration_s = {"smoke": (60, 240.0), "laptop": (160, 900.0), "full": (300, 3600.0)}[
        profile
    ]
    genotypes = [f"{line}-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt" for line in lines]
    paths = [
        nl.simulate_allen_session(
            Path(scratch.name) / f"{line}.nwb",
            genotype=genotype,
            n_units=n_units,
            duration_s=duration_s,
            seed=seed,
            animal=animal,
        )
        for animal, (line, genotype) in enumerate(zip(lines, genotypes))
    ]
else:
    raise ValueError(f"data_source is {data_source!r}; use 'simulated' or 'allen'.")


# %%
def overview(path):
    with open_session(path) as session:
        units = session.units(quality=None)
        return {
            "session": session.session_id,
            "animal": session.animal_id,
            "genotype": session.genotype,
            "units": len(units),
            "probes": units["probe_id"].nunique(),
            "light pulses": len(session.light_pulses()),
            "size (GB)": path.stat().st_size / 1e9,
        }


where = {"simulated": "simulated", "allen": "Allen Institute"}[data_source]
pd.DataFrame([overview(path) for path in paths]).round(3)

# %% [markdown] tags=["slide"]
# ## 2 · Units, and which of them to trust
#
# A *unit* is what spike sorting takes for one neuron. Three metrics say how far to believe it. Does
# it lose spikes below the detection threshold (`amplitude_cutoff`, at most 0.1)? Is it there
# throughout (`presence_ratio`, at least 0.95)? Does it fire twice within a neuron's refractory
# period (`isi_violations`, at most 0.5)? That is a ratio of two rates, not a share of spikes: the
# firing rate in the milliseconds just after a spike, where one neuron can't fire again, over the
# unit's overall rate. The limits are AllenSDK's defaults, and three more of its conditions
# leave out units inside the limits: a unit must be sorted as "good", lie on a working channel, and
# inside the brain.

# %% tags=["slide"]
path = paths[min(1, len(paths) - 1)]
with open_session(path) as session:
    everything, trusted = session.units(quality=None), session.units()
print(f"{len(everything)} units, {len(trusted)} trusted ({where})")
nl.plots.unit_quality(
    everything, trusted.index, QUALITY_LIMITS, title=f"session {session.session_id} ({where})"
)

# %% [markdown]
# Where are they? A probe passes through several areas; the acronym comes from registering its track
# in the Common Coordinate Framework (CCF).

# %%
trusted.groupby(["probe_description", "ecephys_structure_acronym"]).size().unstack(fill_value=0)

# %% [markdown] tags=["slide"]
# ## 3 · From a session to recordings
#
# NuCLR's population is *one probe*: its units were recorded on one clock, by one device, side by
# side. `read_session` gives one `Recording` a probe, with the visual areas only (as the paper
# does), or with any `structures=(...)` you name. Of the file's gigabytes it reads the spikes of
# these units and no more.

# %%
recordings = [recording for path in paths for recording in neuropixels.read_session(path)]
recordings

# %% tags=["slide"]
nl.plots.activity(recordings[0], label="ecephys_structure_acronym", duration_s=10.0)

# %% [markdown] tags=["slide"]
# ## 4 · Which time is valid?
#
# A window that the model sees must hold nothing but neurons at work. Out goes what the file itself
# declares invalid, for the whole session or for one probe; every silence of a whole probe of more
# than a second, with a second on either side; and all from **300 s before the first light pulse**
# on. What is left are the valid intervals, grey below; each window lies wholly inside one.

# %% tags=["slide"]
with open_session(path) as session:
    epochs, invalid, light = (
        session.stimulus_epochs(),
        session.invalid_times(),
        session.light_pulses(),
    )
of_session = [
    recording
    for recording in recordings
    if recording.provenance["session_id"] == session.session_id
]
nl.plots.session_timeline(of_session, epochs, light)

# %% [markdown]
# The gaps that the file declares invalid are in the table below; the first tag says whether the
# whole session is meant or one probe. A gap in the figure that isn't in the table is a silence of a
# probe that nobody declared (in the simulated session: probeA, at 12 minutes).

# %%
gaps = invalid.assign(
    minute=invalid["start_time"] / 60, seconds=invalid["stop_time"] - invalid["start_time"]
)
gaps[["minute", "seconds", "tags"]].round(1)

# %% [markdown] tags=["slide"]
# ## 5 · Cell types by light
#
# In an `Sst-IRES-Cre; Ai32` mouse the Sst cells, and only they, make channelrhodopsin: blue light
# opens it, and they fire within milliseconds. At the end of the session the cortex gets light
# pulses, and a unit that answers *fast* and *reliably*, *without being inhibited first*, is
# labelled Sst. One that doesn't answer is not labelled "not Sst": the light may not have reached
# it.
#
# `optotag` tests each trusted unit of visual cortex on the single 10 ms pulses (which test, which
# windows, whose criterion: `OptotagConfig`), and says in words why a unit was tagged or not. On
# real sessions expect few tagged units, in many sessions none: published tables of the `Pvalb` and
# `Sst` sessions name 31 (11 and 20; github.com/AllenInstitute/neuropixels_platform_paper,
# github.com/chenziao/Analyzing_Allen_Visual_Coding_Neuropixels_Dataset).

# %%
decisions = neuropixels.optotag(path)
decisions["why"].str.replace(r" \(.*", "", regex=True).value_counts()

# %%
light, trains = neuropixels.light_responses(path)
onsets = select_pulses(light)["start_time"].to_numpy()
is_tagged = decisions["cell_type"].notna()


def spikes_between(train, onsets, start_ms, stop_ms):
    """Spikes of a train (n,) s that lie from start_ms to stop_ms after the onsets (pulses,) s, all
    pulses together.
    """
    return (
        np.searchsorted(train, onsets + stop_ms / 1000)
        - np.searchsorted(train, onsets + start_ms / 1000)
    ).sum()


def extra_spikes(train, onsets):
    """More spikes in the 10 ms from an onset than in the 10 ms before, per onset."""
    return (spikes_between(train, onsets, 0, 10) - spikes_between(train, onsets, -10, 0)) / len(
        onsets
    )


# %% tags=["slide"]
others = decisions[~is_tagged].copy()
others["first_ms"] = [spikes_between(trains[unit], onsets, 0, 1) for unit in others.index]
silenced = (others["evoked_hz"] - others["baseline_hz"]).idxmin()
shown = [
    *decisions[is_tagged].nlargest(4, "reliability").index,
    *others.nsmallest(2, "p_value").index,
    silenced,
    others["first_ms"].idxmax(),
]
nl.plots.light_response(
    trains,
    light,
    dict.fromkeys(shown),
    decisions,
    title=f"light responses, session {session.session_id} ({where})",
)

# %% [markdown]
# First row: four units that were tagged. Second row, of those that were not: the two with the
# lowest p-values, the one that light silences most, and the one with most spikes in the first
# millisecond. That is too fast for a neuron: it is the light itself, picked up by the probe.
#
# A simulation knows the truth: which units really express the channel. (A real session doesn't;
# there you look at the rasters.)

# %%
if data_source == "simulated":
    from nuclr_lite.sources.simulated.allen_session import simulated_truth

    truth = simulated_truth(path).reindex(decisions.index)
    display(pd.crosstab(truth["light_response"], decisions["cell_type"].fillna("not tagged")))

# %% [markdown] tags=["slide"]
# ## 6 · The leak, shown and closed
#
# Now suppose the light stayed in. Then the label, which was *made* from the light response, can be
# read back from the same spikes by anything: below, one number for each unit, how many more spikes
# it fires in the 10 ms of a pulse than in the 10 ms before. It has nothing to do with how a neuron
# lives in its population, and tells tagged units from the others almost perfectly. A recording ends
# 300 s before the first pulse: this number can't be made from it. The nearest that one can get is
# to move the same pulses back into valid time, and that number is at chance.
#
# (AUC, area under the ROC curve: how often a tagged unit has a higher number than one that wasn't
# tagged. 0.5 is chance. It need not be 1 with the light: units that pick up the artefact have high
# numbers, too.)

# %%
shift_s = onsets[-1] - (light["start_time"].min() - 300.0) + 1.0
earlier = onsets - shift_s  # the last one ends before valid time does
clean = {
    unit: recording.spike_times(unit) for recording in of_session for unit in recording.units.index
}
sources = (("with the light", trains, onsets), ("in a recording", clean, earlier))
extra = pd.DataFrame(
    {name: {unit: extra_spikes(source[unit], at) for unit in clean} for name, source, at in sources}
)
is_tagged = is_tagged.reindex(extra.index)

# %% tags=["slide"]
if 0 < is_tagged.sum() < len(is_tagged):
    display(
        nl.plots.separation(extra, is_tagged, title=f"tagged or not, from one number ({where})")
    )
else:
    print("no unit of this session was tagged; try another session_id")

# %% [markdown] tags=["slide"]
# ## 7 · The same for two-photon imaging
#
# The Visual Coding two-photon set images calcium, one plane at a time, in mice of a dozen Cre
# lines. A `Recording` then holds dF/F (how much brighter a cell is than at rest), averaged from 30
# to about 4.3 Hz; the Cre line is the label. `10_calcium` goes on from here.

# %% tags=["slide"]
if data_source == "simulated":
    from nuclr_lite.sources.allen import two_photon
    from nuclr_lite.sources.simulated.allen_two_photon import simulate_allen_experiment

    file = simulate_allen_experiment(
        Path(scratch.name) / "two_photon.nwb", n_cells=24, duration_s=240.0, seed=seed
    )
    imaged = two_photon.read_experiment(file)
    display(nl.plots.activity(imaged, duration_s=120.0))

# %% [markdown]
# ## 8 · Keep what you made
#
# `convert_session` saves each recording as a folder of arrays that open as memory maps; labels go
# along as a column.

# %%
with tempfile.TemporaryDirectory() as folder:
    saved = neuropixels.convert_session(path, folder, cell_types=decisions)
    for recording in saved:
        print(recording, recording.units["cell_type"].value_counts().to_dict())

# %% [markdown]
# ## Exercises
#
# All three go on from sections 5 and 6: the light pulses, the units that were tagged, and what can
# be read from their spikes.

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): tagging in the dark
#
# Section 6 moved the pulses back into valid time, where there was no light. Suppose `optotag` is
# asked about those times. Each unit is tested at p = 0.01, corrected for the number of units
# tested. How many units of this session will it tag?
#
# - `"a"`: none;
# - `"b"`: one or two: 1 % of the units it tests;
# - `"c"`: about as many as with the light: it is a property of the cell.
#
# The check asks it.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "a"
### END SOLUTION

# %% tags=["check"]
assert prediction in ("a", "b", "c"), "write one of the letters, such as prediction = 'b'"
dark = light.assign(
    start_time=light["start_time"] - shift_s, stop_time=light["stop_time"] - shift_s
)
in_the_dark = optotag_units(clean, dark, "tagged")
n_dark, n_lit = in_the_dark["cell_type"].notna().sum(), is_tagged.sum()
uncorrected, corrected = ((in_the_dark[p] < 0.01).sum() for p in ("p_value", "p_adjusted"))
print(
    f"1 % by chance alone would be {0.01 * len(in_the_dark):.1f} units; the test is cautious where"
    " spikes are few"
)
print(
    f"{n_dark} of {len(in_the_dark)} units tagged in the dark, {n_lit} with the light; "
    f"with p below 0.01 before the correction: {uncorrected}, after it: {corrected}"
)
came_out = "a" if n_dark == 0 else "b" if n_dark <= 2 else "c"
assert prediction == came_out, (
    "not so; what does a correction for the number of units promise, and for what?"
)
print("exercise 1: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): the AUC, by counting pairs
#
# The panels of section 6 are headed by an AUC. Write it as section 6 says it: take every pair of a
# tagged unit and one that isn't; in what share of the pairs has the tagged one the higher number? A
# tie counts one half. By hand: tagged units with 3 and 1, others with 0, 1 and 2 make six pairs. 3
# wins three times; 1 wins once and ties once. That is 4.5 of 6, or 0.75.


# %% jupyter={"source_hidden": true} tags=["solution"]
def auc(values, is_positive):
    """How often a positive unit has the higher value.

    values : (units,) numbers. is_positive : (units,) bool. Returns a float: the share of (positive,
        other) pairs in
    which the positive one is higher, a tie counting one half.
    """
    ### BEGIN SOLUTION
    values, is_positive = np.asarray(values), np.asarray(is_positive, dtype=bool)
    difference = values[is_positive][:, None] - values[~is_positive][None]  # (positive, others)
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())
    ### END SOLUTION


# %% tags=["check"]
by_hand = auc(np.array([3.0, 1.0, 0.0, 1.0, 2.0]), np.array([True, True, False, False, False]))
assert abs(by_hand - 0.75) < 1e-9, (
    f"the example in the text gives 4.5 of 6 pairs, 0.75; yours gives {by_hand}"
)
assert auc(np.zeros(4), np.array([True, False, False, True])) == 0.5, (
    "where all are alike, every pair is a tie"
)
if 0 < is_tagged.sum() < len(is_tagged):
    for name in extra:
        expected = roc_auc_score(is_tagged, extra[name])
        mine = auc(extra[name].to_numpy(), is_tagged.to_numpy(dtype=bool))
        assert abs(mine - expected) < 1e-9, f"{name}: not yet scikit-learn's"
print("exercise 2: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): how far does the light reach?
#
# A recording ends 300 s before the first pulse. How fast does the leak itself fade? Write the
# function that pretends that the pulses came `moved_s` earlier than they did, and computes the AUC
# of the extra spikes again: at 0 it is that of the left panel of section 6. The cell below the
# check draws it from 30 ms earlier to 20 ms later; its figure is what you should get.
#
# Before you look at it: what will come out where the times are taken 10 ms *later* than the light,
# so that the answer to the light falls into what should be "before"? And if the light is out of
# sight after a few milliseconds, why keep 300 s away? (This curve shows one number in 10 ms. What
# else may differ around the pulses?)


# %% jupyter={"source_hidden": true} tags=["solution"]
def auc_when_moved(trains, onsets, is_tagged, moved_s):
    """The AUC of `extra_spikes`, with the onsets taken `moved_s` (s) earlier than they were;
    negative: later.

    trains : unit -> (n,) spike times, s. onsets : (pulses,) s. is_tagged : Series of bool on the
        units.
    Returns a float. Use your `auc`, or scikit-learn's roc_auc_score(is_positive, values).
    """
    ### BEGIN SOLUTION
    values = [extra_spikes(trains[unit], onsets - moved_s) for unit in is_tagged.index]
    return float(roc_auc_score(is_tagged, values))
    ### END SOLUTION


# %% tags=["check"]
# light at 1 s and at 2 s
example = {"lit": np.array([1.004, 2.003, 3.0]), "dark": np.array([0.5, 2.7])}
which = pd.Series({"lit": True, "dark": False})
answers = [
    auc_when_moved(example, np.array([1.0, 2.0]), which, moved_s) for moved_s in (0.0, -0.01, 0.5)
]
assert answers[0] == 1.0, "two spikes that follow the light within 10 ms: at 0 the AUC is 1"
assert answers[1] == 0.0, (
    "10 ms later the same two spikes lie *before* the onset: the AUC is 0; is your sign right?"
)
assert answers[2] != 1.0, "half a second earlier those spikes are out of sight"
if 0 < is_tagged.sum() < len(is_tagged):
    for name, source, moved_s in (
        ("with the light", trains, 0.0),
        ("in a recording", clean, shift_s),
    ):
        got = auc_when_moved(source, onsets, is_tagged, moved_s)
        assert abs(got - roc_auc_score(is_tagged, extra[name])) < 1e-9, (
            f"{name}: not the AUC of section 6"
        )
print("exercise 3: right")

# %% tags=["target"]
if 0 < is_tagged.sum() < len(is_tagged):
    moved_ms = np.arange(-20, 31)
    reach = [auc_when_moved(trains, onsets, is_tagged, ms / 1000) for ms in moved_ms]
    display(nl.plots.leak(-moved_ms, reach, title=f"tagged or not, around the light ({where})"))

# %% [markdown] tags=["slide"]
# ## What you should have seen
#
# Valid time that ends 300 s before the light. In the simulation: most units of the Cre line tagged,
# each with spikes at a fixed few milliseconds; an AUC near 1 with the light, and near 0.5 without
# it. In the last figure, an answer out of sight within milliseconds. It shows one number only: what
# changes more slowly around the light, such as the animal's arousal, isn't in it; the 300 s are a
# margin against that.

# %%
if data_source == "simulated":
    direct, tagged = truth["light_response"] == "direct", decisions["cell_type"].notna()
    assert (direct & tagged).sum() >= 0.7 * direct.sum(), (
        "expected most truly responsive units to be tagged"
    )
    assert not (tagged & ~direct).any(), "expected no other unit to be tagged"
    assert extra["with the light"][is_tagged].min() > extra["with the light"][~is_tagged].median()
assert (
    max(recording.intervals.max() for recording in of_session) <= light["start_time"].min() - 300.0
)

# %% [markdown]
# **The whole set.** The 58 sessions are 146.5 GB without LFP (local field potentials, which nothing
# here uses). What recordings need of them is a tenth: tables, and the spike times of units in
# visual areas. `list_sessions`, then `stream_sessions(ids, folder, cache_dir)`, reads just that
# from the Institute's public bucket, resumable, and saves the same recordings that
# `download_session` and `convert_session` would (with `first_hours=1`, of the first hour alone).
# The paper's labels are a published list (that of LOLCAT, an earlier method); these are computed.
# They will differ, and a table must say so.
#
# **Read** Siegle et al. 2021, Nature 592:86 (the data); Jun et al. 2017, Nature 551:232 (the
# probe); Hill, Mehta & Kleinfeld 2011, Journal of Neuroscience 31:8699 (how far to trust a unit);
# Lima et al. 2009, PLoS ONE 4:e6099, and Kvitsiani et al. 2013, Nature 498:363 (types by light);
# Madisen et al. 2012, Nature Neuroscience 15:793 (Ai32). In the paper (Arora et al. 2025, arXiv
# 2512.01199), the section on experiments.
#
# **Next:** `02_views` cuts recordings into what the encoder reads. For your own files,
# `00_quickstart` with `data_source = "nwb"`.
