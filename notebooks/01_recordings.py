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
# **You will learn** what a Neuropixels session holds and how to get one; which units and which stretches of time are fit to
# learn from; and how cell types are read off light responses, without the light ever reaching the model.
#
# **Needs** nothing but this repository: by default the sessions are *simulated*, in the Allen Institute's own file format. With AllenSDK,
# a network and 3 GB of disk, `data_source = "allen"` runs the same cells on a real one. **Takes** under a minute; with a
# real session, its download on top (1.7 to 3.3 GB).
#
# The Visual Coding set (Siegle et al. 2021, Nature 592:86): 58 mice that look at gratings, movies and other stimuli for 2.5 hours, while up to six Neuropixels
# probes listen to visual cortex, thalamus and hippocampus at once. In about half of the mice one kind of inhibitory cell also responds to blue light: these mice come
# from a *Cre line* (genes that switch something on in one cell type: Pvalb, Sst or Vip), crossed with *Ai32* (the something: channelrhodopsin, a channel
# that light opens). That is where the paper's cell-type labels come from.

# %% tags=["parameters"]
profile = "laptop"             # "smoke": seconds; "laptop"; "full": longer simulated sessions
data_source = "simulated"      # "simulated", or "allen": AllenSDK and a download of 1.7 to 3.3 GB
cache_dir = "../data/raw/allen_neuropixels"      # AllenSDK's cache folder; an existing one is used as it is (allen only)
session_id = 0                 # which session to download; 0: the smallest one of an Sst or Pvalb line (allen only)
seed = 0

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import nuclr_lite as nl
from nuclr_lite.sources import allen_neuropixels
from nuclr_lite.sources.allen_session_file import QUALITY_LIMITS, open_session
from nuclr_lite.sources.optotagging import select_pulses

# %% [markdown]
# ## 1 · List, choose, get
#
# `list_sessions` asks the Allen Institute's server, through AllenSDK, and says how large each file is *before* anything is
# downloaded. `download_session` resumes where a broken download stopped, and opens the file before it calls it done. The simulated
# branch writes three sessions, one of each Cre line, of the same schema.

# %%
lines = ("Pvalb", "Sst", "Vip")
if data_source == "allen":
    sessions = allen_neuropixels.list_sessions(cache_dir)
    lit = sessions[sessions["genotype"].str.contains("Sst|Pvalb") & sessions["has_light_pulses"]]
    chosen = session_id or lit["size_gb"].idxmin()
    paths = [allen_neuropixels.download_session(chosen, cache_dir)]
elif data_source == "simulated":
    scratch = tempfile.TemporaryDirectory()            # gone with the kernel
    n_units, duration_s = {"smoke": (60, 240.0), "laptop": (160, 900.0), "full": (300, 3600.0)}[profile]
    paths = [nl.simulate_allen_session(Path(scratch.name) / f"{line}.nwb", genotype=f"{line}-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt",
                                       n_units=n_units, duration_s=duration_s, seed=seed, animal=animal) for animal, line in enumerate(lines)]
else:
    raise ValueError(f"data_source is {data_source!r}; use 'simulated' or 'allen'.")

# %%
def overview(path):
    with open_session(path) as session:
        units = session.units(quality=None)
        return {"session": session.session_id, "animal": session.animal_id, "genotype": session.genotype, "units": len(units),
                "probes": units["probe_id"].nunique(), "light pulses": len(session.light_pulses()), "size (GB)": path.stat().st_size / 1e9}

where = {"simulated": "simulated", "allen": "Allen Institute"}[data_source]
pd.DataFrame([overview(path) for path in paths]).round(3)

# %% [markdown]
# ## 2 · Units, and which of them to trust
#
# A *unit* is what spike sorting takes for one neuron. Three metrics say how far to believe it. Does it lose spikes below the
# detection threshold (`amplitude_cutoff`, at most 0.1)? Is it there throughout (`presence_ratio`, at least 0.95)? Does it fire twice within a neuron's refractory period
# (`isi_violations`, at most 0.5)? The limits are AllenSDK's defaults, and so are the other conditions, because of which units inside the limits may be left out:
# sorted as "good", on a working channel, inside the brain.

# %%
path = paths[min(1, len(paths) - 1)]
with open_session(path) as session:
    everything, trusted = session.units(quality=None), session.units()
print(f"{len(everything)} units, {len(trusted)} trusted ({where})")
nl.plots.unit_quality(everything, trusted.index, QUALITY_LIMITS, title=f"session {session.session_id} ({where})")

# %% [markdown]
# Where are they? A probe passes through several areas; the acronym comes from registering its track in the Common Coordinate Framework (CCF).

# %%
trusted.groupby(["probe_description", "ecephys_structure_acronym"]).size().unstack(fill_value=0)

# %% [markdown]
# ## 3 · From a session to recordings
#
# NuCLR's population is *one probe*: its units were recorded on one clock, by one device, side by side. `read_session` gives one `Recording` a
# probe, with the visual areas only (as the paper does), or with any `structures=(...)` you name. Of the file's gigabytes it reads the spikes of these units and no more.

# %%
recordings = [recording for path in paths for recording in allen_neuropixels.read_session(path)]
recordings

# %%
nl.plots.activity(recordings[0], label="ecephys_structure_acronym", duration_s=10.0)

# %% [markdown]
# ## 4 · Which time is valid?
#
# A window that the model sees must hold nothing but neurons at work. Out goes what the file itself declares invalid, for the whole session or for one probe;
# every silence of a whole probe of more than a second, with a second on either side; and all from **300 s before the first light pulse** on. What is left are
# the valid intervals, grey below; each window lies wholly inside one.

# %%
with open_session(path) as session:
    epochs, invalid, light = session.stimulus_epochs(), session.invalid_times(), session.light_pulses()
    of_session = [recording for recording in recordings if recording.provenance["session_id"] == session.session_id]
nl.plots.session_timeline(of_session, epochs, light)

# %% [markdown]
# The gaps: what the file declares invalid (below; the third tag says for whom), and one silence that nobody declared.

# %%
invalid.assign(minute=invalid["start_time"] / 60, seconds=invalid["stop_time"] - invalid["start_time"])[["minute", "seconds", "tags"]].round(1)

# %% [markdown]
# ## 5 · Cell types by light
#
# In a `Sst-IRES-Cre; Ai32` mouse the Sst cells, and only they, make channelrhodopsin: blue light opens it, and they fire within milliseconds. At the end of
# the session the cortex gets light pulses, and a unit that answers *fast* and *reliably*, *without being inhibited first*, is labelled Sst. One that
# doesn't answer is not labelled "not Sst": the light may not have reached it.
#
# `optotag` tests each unit on the single 10 ms pulses (which test, which windows, whose criterion: `OptotagConfig`), and says in words why a unit was tagged or
# not. On real sessions expect few tagged units, in many sessions none: a published analysis found 31 in the whole set.

# %%
decisions = allen_neuropixels.optotag(path)
decisions["why"].str.replace(r" \(.*", "", regex=True).value_counts()

# %%
light, trains = allen_neuropixels.light_responses(path)
onsets = select_pulses(light)["start_time"].to_numpy()
is_tagged = decisions["cell_type"].notna()

def spikes_between(train, onsets, start_ms, stop_ms):
    return (np.searchsorted(train, onsets + stop_ms / 1000) - np.searchsorted(train, onsets + start_ms / 1000)).sum()

# %%
others = decisions[~is_tagged].copy()
others["first_ms"] = [spikes_between(trains[unit], onsets, 0, 1) for unit in others.index]
silenced = (others["evoked_hz"] - others["baseline_hz"]).idxmin()
shown = [*decisions[is_tagged].nlargest(4, "reliability").index, *others.nsmallest(2, "p_value").index, silenced, others["first_ms"].idxmax()]
nl.plots.light_response(trains, light, dict.fromkeys(shown), decisions, title=f"light responses, session {session.session_id} ({where})")

# %% [markdown]
# First row: four units that were tagged. Second row, of those that were not: the two with the lowest p-values, the one that light silences most, and the one with most spikes in the
# first millisecond. That is too fast for a neuron: it is the light itself, picked up by the probe.
#
# A simulation knows the truth: which units really express the channel. (A real session doesn't; there you look at the rasters.)

# %%
if data_source == "simulated":
    from nuclr_lite.sources.simulated_allen import simulated_truth
    truth = simulated_truth(path).reindex(decisions.index)
    display(pd.crosstab(truth["light_response"], decisions["cell_type"].fillna("not tagged")))

# %% [markdown]
# ## 6 · The leak, shown and closed
#
# Now suppose the light stayed in. Then the label, which was *made* from the light response, can be read back from the same spikes
# by anything: below, one number for each unit, how many more spikes it fires in the 10 ms of a pulse than in the 10 ms before. It has nothing to do with how a neuron
# lives in its population, and tells tagged units from the others almost perfectly. A recording ends 300 s before the first pulse: this number can't be made from
# it. The nearest one can do, the same pulses moved back into valid time, is at chance.
#
# (AUC, area under the ROC curve: how often a tagged unit has a higher number than one that wasn't tagged. 0.5 is chance. It need not be 1 with the light: units that pick up the
# artefact have high numbers, too.)

# %%
shift_s = onsets[-1] - (light["start_time"].min() - 300.0) + 1.0
earlier = onsets - shift_s                                                     # the last one ends before valid time does
clean = {unit: recording.spike_times(unit) for recording in of_session for unit in recording.units.index}
extra = pd.DataFrame({name: {unit: (spikes_between(source[unit], at, 0, 10) - spikes_between(source[unit], at, -10, 0)) / len(at) for unit in clean}
                      for name, source, at in (("with the light", trains, onsets), ("in a recording", clean, earlier))})
is_tagged = is_tagged.reindex(extra.index)

# %%
if 0 < is_tagged.sum() < len(is_tagged):
    display(nl.plots.separation(extra, is_tagged, title=f"tagged or not, from one number ({where})"))
else:
    print("no unit of this session was tagged; try another session_id")

# %% [markdown]
# ## 7 · The same for two-photon imaging
#
# The Visual Coding two-photon set images calcium, one plane at a time, in mice of a dozen Cre lines. A `Recording` then holds dF/F (how much brighter a cell is than at
# rest), averaged from 30 to about 4.3 Hz; the Cre line is the label. `10_calcium` goes on from here.

# %%
if data_source == "simulated":
    from nuclr_lite.sources import allen_two_photon
    from nuclr_lite.sources.simulated_two_photon import simulate_allen_experiment
    imaged = allen_two_photon.read_experiment(simulate_allen_experiment(Path(scratch.name) / "two_photon.nwb", n_cells=24, duration_s=240.0, seed=seed))
    display(nl.plots.activity(imaged, duration_s=120.0))

# %% [markdown]
# ## 8 · Keep what you made
#
# `convert_session` saves each recording as a folder of arrays that open as memory maps; labels go along as a column.

# %%
with tempfile.TemporaryDirectory() as folder:
    saved = allen_neuropixels.convert_session(path, folder, cell_types=decisions)
    for recording in saved:
        print(recording, recording.units["cell_type"].value_counts().to_dict())

# %% [markdown]
# ## What you should have seen
#
# Valid time that ends 300 s before the light. In the simulation: most units of the Cre line tagged, each with spikes at a fixed few milliseconds; an AUC near 1 with the light,
# and near 0.5 without it.

# %%
if data_source == "simulated":
    direct, tagged = truth["light_response"] == "direct", decisions["cell_type"].notna()
    assert (direct & tagged).sum() >= 0.7 * direct.sum() and not (tagged & ~direct).any(), "expected most truly responsive units to be tagged, and no other"
    assert extra["with the light"][is_tagged].min() > extra["with the light"][~is_tagged].median()
assert max(recording.intervals.max() for recording in of_session) <= light["start_time"].min() - 300.0

# %% [markdown]
# **The whole set.** `list_sessions` then `download_sessions` for the 58 sessions: 146.5 GB without LFP (local field potentials, which nothing here uses), from the Institute's public bucket, resumable. The paper's
# labels are a published list (that of LOLCAT, an earlier method); these are computed. They will differ, and a table must say so.
#
# **Next:** `06_decoding` on simulated animals; for your own files, `00_quickstart` with `data_source = "nwb"`.
