# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Your data: from your folder to a map of your neurons
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/11_your_data.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/11_your_data.ipynb
#
# **You will learn** to bring your own recordings in, as plain arrays, traces or NWB files, and what
# is said when something is wrong with them; to get a vector per unit, a map, a score with its
# controls, and labels for units without one, with "I don't know" among the answers; to look for the
# ways in which a good score can be worth nothing.
#
# **Needs** pynwb and pyarrow beside the repository; `06_decoding` explains the scores. By default
# all data are *simulated*, written to NWB files and read back; with `data_source = "nwb"` or
# `"saved"` the same cells read your folder, with `"rats"` eleven real rats. **Takes** about 2
# minutes on a laptop (2 cores) on simulated data; your own recordings train an encoder first,
# minutes more. GPU: not timed yet.

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
profile = "laptop"  # "smoke": seconds, to see that it runs; "laptop": minutes; "full": more of all
# "simulated": NWB files written here; "nwb": your NWB files; "saved": what recording.save wrote;
# "rats": real ones, 58 MB, downloaded once
data_source = "simulated"
data_dir = "../data"  # where the rats are kept
data_folder = ""  # folder of your files (absolute, or relative to notebooks/)
# what to decode: a column of the units table; units without a value there get a prediction; "":
# cell_type, the rats' region
label_column = ""
animal_column = ""  # column that names the animal; "": the file's subject_id
probe_column = ""  # column that names the probe; "": all units of a file are one population
keep = ""  # which units: an expression over their columns, such as depth > 100; "": all
# NWB table of times that gives the valid time ("epochs"); "": what the file says
intervals_from = ""
# "training": train here; a folder (absolute, or relative to notebooks/): a saved one; "":
# simulated: the repository's, else: train
encoder_from = ""
# where encoder and vectors are kept; "": ../runs/your_data, and nowhere for simulated data
out_folder = ""
# section 5: also fetch the authors' five encoders (spikes only; needs the network)
official_weights = False
training_steps = 0  # optimiser steps, to train here; 0: the profile's
seed = 0  # of the simulation, the training and the controls

# %%
import os
import tempfile
import warnings
from dataclasses import replace
from datetime import datetime, UTC
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import nuclr_lite as nl
from nuclr_lite import baselines, checks, export, zero_shot
from nuclr_lite.decoding import probe
from nuclr_lite.recording import match_sampling
from nuclr_lite.analysis.retrieval import nearest_units, neighbours_agree, within_recording
from nuclr_lite.sources.nwb import read_nwb
from nuclr_lite.sources.simulated import SPIKES
from nuclr_lite.analysis.wording import in_words
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# %% [markdown]
# ## 1 · Three lines for the impatient
#
# A recording, a vector a unit, a map. No label is needed. (With data of your own, write
# `read_nwb("my_file.nwb")` in place of `simulate_recordings`; the encoder comes with the
# repository, and has seen simulated animals only.) The rest of the notebook is about what goes in,
# and what may be said of what comes out.

# %%
[recording] = nl.simulate_recordings(1, seed=100 + seed, config=replace(SPIKES, duration_s=120.0))
# (units, 32), indexed by recording_id and unit_id
vectors = nl.embed(nl.example_encoder().encoder, recording)
nl.plots.map(vectors, title="the units of one recording (simulated)")

# %%
assert len(vectors) == recording.n_units and vectors.index.names == ["recording_id", "unit_id"]
vectors.iloc[:3, :5].round(2)

# %% [markdown]
# ## 2 · What you need
#
# - Spike times **in seconds**, or traces with their frame rate: a bin is 20 ms long, a window 10 s,
#   and the encoder knows only seconds. If yours are not: divide by 1000, or by the clock's rate.
# - **One clock** for all units, events and valid time: the encoder compares units at the same
#   instant. Align them first; two probes are two recordings anyway.
# - **One population**: units seen together, on one probe or in one plane, because a unit is
#   described by its company. One `Recording` for each probe, plane and day.
# - **Valid time**: when all units could be seen. Silence of a broken amplifier is not silence of a
#   neuron. Without it: everything from the first to the last spike.
# - An animal's name: animals, not units, are the independent samples.
# - Labels, of some units, to decode; pretraining never sees them. Without: a map and neighbours
#   still work.
#
# - **Gaps** need nothing but honest intervals: windows never reach across one.
# - **Silent units** may stay. A unit is absent from a window in which it doesn't fire; one that is
#   in no window gets no vector, and a warning counts them.
# - **Trials**: give the recording as one piece if you can. If only cut-out trials exist, make each
#   an interval, and take windows that fit: `nl.PRESETS["quick"].with_(tokens_per_window=2)` has
#   windows of two tokens, that is, 2 s (a *preset* is a named recipe of encoder and training, a
#   *token* the counts of one second). Embedding needs one window's length, pretraining two. If
#   trials were laid end to end, take windows of their length, and give it as `grid_s`
#   (`.with_(tokens_per_window=2, grid_s=2.0)`, and `nl.embed(..., grid_s=2.0)`): windows then begin
#   where trials do. In `00_quickstart` both are parameters.
#
# **By hand.** Three units, windows of 2 tokens, each token 2 samples of 0.5 s; valid from 0 to 4 s
# and from 6 to 9 s. Unit 0 fires at 0.2, 0.7, 3.1 and 6.5 s: in the window from 0 to 2 s its tokens
# are (1, 1) and (0, 0). Unit 1 fires at 1.1, 1.2 and 7.9 s: (0, 0) and (2, 0). Unit 2 fires at 8.4
# s only, and is absent. `embed` lays windows at 0, 2 and 6 s, and one more at 7 s, so that no end
# is lost. (Training draws its own: `02_views`.)

# %%
TOY = nl.ModelConfig(sample_s=0.5, samples_per_token=2, tokens_per_window=2)
toy = nl.Recording.from_spike_trains(
    [[0.2, 0.7, 3.1, 6.5], [1.1, 1.2, 7.9], [8.4]],
    intervals=[[0, 4], [6, 9]],
    recording_id="toy",
    animal_id="animal 1",
)
windows = nl.Windows(toy, TOY)
tokens, rows = windows.samples(0.0)  # (units with a spike, tokens, samples); which units
print(
    "units",
    rows.tolist(),
    "tokens",
    tokens.astype(int).tolist(),
    "windows",
    windows.tile().tolist(),
)
np.testing.assert_array_equal(tokens, [[[1, 1], [0, 0]], [[0, 0], [2, 0]]])
np.testing.assert_array_equal(rows, [0, 1])
np.testing.assert_array_equal(windows.tile(), [0, 2, 6, 7])

# %% [markdown]
# A larger one: the amplifier of a simulated animal is taken to have been off for 14 s, and the
# session ends with light pulses. The intervals keep both out.

# %%
small = replace(SPIKES, duration_s=120.0, n_units=(20, 20), stimulus_block_s=30.0, movie_s=15.0)
# to try things on, whatever the data
demo = nl.simulate_recordings(8, seed=100 + seed, config=small)
light = pd.DataFrame(
    {"start_s": np.arange(98.0, 118.0, 2.0), "stop_s": np.arange(98.0, 118.0, 2.0) + 0.5}
)
trains = [demo[0].spike_times(unit_id) for unit_id in demo[0].units.index]
gappy = nl.Recording.from_spike_trains(
    trains, demo[0].units, [[0, 41], [55, 90]], recording_id="simulated-gap", animal_id="one"
)
starts_s = nl.Windows(gappy, nl.PRESETS["quick"].model).tile()
print(gappy.n_spikes_outside, "spikes lie outside valid time;", gappy)
nl.plots.used_time(gappy, starts_s, 10.0, light, title="what is used of a session (simulated)")

# %% [markdown]
# ## 3 · Bringing recordings in
#
# **From plain arrays.** One array of spike times a unit, and a table with a row a unit, in the same
# order. Any columns will do; a missing label is `None`.

# %%
rng = np.random.default_rng(seed)
units_of_mine = pd.DataFrame(
    {"cell_type": ["Exc", "Pvalb", None], "depth_um": [120.0, 340.0, 260.0]}, index=[11, 12, 17]
)
trains_of_mine = [np.sort(rng.uniform(0, 60, n)) for n in (300, 600, 90)]  # s
mine = nl.Recording.from_spike_trains(
    trains_of_mine,
    units_of_mine,
    intervals=[[0, 25], [30, 60]],
    recording_id="mouse1-day1",
    animal_id="mouse1",
)
print(mine)
mine.units

# %% [markdown]
# **From traces.** dF/F, or deconvolved events, as (frames, units), with the frames per second. Not
# raw fluorescence: the brightness of a cell is not its activity. Traces at another rate than the
# encoder's (a frame of 0.233 s in the calcium presets) are averaged to it, with a notice.

# %%
dff = rng.gamma(0.5, 0.4, size=(30 * 60, 5))  # (frames, units), made up
imaged = nl.Recording.from_traces(
    dff, sampling_rate_hz=30.0, recording_id="mouse2-plane1", animal_id="mouse2"
)
with warnings.catch_warnings(record=True) as notices:
    warnings.simplefilter("always")
    slower = match_sampling(imaged, nl.PRESETS["quick-calcium"].model.sample_s)
print(notices[0].message)
assert slower.traces.shape == (int(60 / 0.23344), 5)  # (257, 5)
np.testing.assert_allclose(slower.traces.mean(), dff[: int(257 * 0.23344 * 30)].mean(), rtol=0.01)

# %% [markdown]
# **From a table with a row a spike**, as other programs write it: every further column that is
# constant within a unit becomes a label. The same spikes, the same recording:

# %%
from nuclr_lite.sources.objects import from_long_table

long = pd.DataFrame(
    {
        "time_s": np.concatenate(trains_of_mine),
        "recording_id": "mouse1-day1",
        "animal_id": "mouse1",
        "unit_id": np.repeat(units_of_mine.index, [len(train) for train in trains_of_mine]),
    }
)
long["depth_um"] = long["unit_id"].map(units_of_mine["depth_um"])
[from_table] = from_long_table(long, intervals={"mouse1-day1": [[0, 25], [30, 60]]})
np.testing.assert_array_equal(from_table.times, mine.times)
from_table.units

# %% [markdown]
# **From a spike sorter.** A folder of Kilosort or Phy holds spike times as sample numbers, the
# cluster of each, and what a person thought of the clusters; `params.py` tells the sampling rate.
# It is a program, and is read, never run. Only clusters that are called good are taken
# (`groups=("good", "mua")` takes more); sample 0 is second 0. If several files were sorted as one,
# give `intervals`, one a file: windows must not lie across a joint.

# %%
from nuclr_lite.sources.phy import read_phy

sorted_folder = tempfile.TemporaryDirectory()
phy = Path(sorted_folder.name)
times_s, clusters = long.sort_values("time_s")[["time_s", "unit_id"]].to_numpy().T  # (spikes,) each
np.save(phy / "spike_times.npy", np.round(times_s * 30_000).astype(np.uint64))
np.save(phy / "spike_clusters.npy", clusters.astype(np.int32))
(phy / "params.py").write_text("dat_path = 'raw.bin'\nsample_rate = 30000.0\n")
# 17: several neurons
(phy / "cluster_group.tsv").write_text("cluster_id\tgroup\n11\tgood\n12\tgood\n17\tmua\n")
from_sorter = read_phy(phy, animal_id="mouse1", recording_id="mouse1-day1")
print(from_sorter)
assert np.abs(from_sorter.spike_times(12) - trains_of_mine[1]).max() < 1 / 30_000

# %% [markdown]
# **Labels of your own**, in a table indexed by unit id: `recording = replace(recording,
# units=recording.units.join(my_labels))`. In a Phy folder a `cluster_cell_type.tsv` with the
# columns cluster_id and cell_type becomes a column by itself.
#
# More doors (`help(...)` says what each wants; imported like `from nuclr_lite.sources.suite2p
# import read_suite2p`). `read_phy`, `from_spikeinterface` and `from_pynapple` return one recording,
# the others a list: collect them with `append`, or with `+=`.
#
# | you have | call, in `nuclr_lite.sources` |
# |---|---|
# | a SpikeInterface `Sorting` or `SortingAnalyzer` | `objects.from_spikeinterface` |
# | a pynapple `TsGroup` or `TsdFrame` | `objects.from_pynapple` |
# | a Suite2p folder; a CaImAn HDF5 file | `suite2p.read_suite2p`, `caiman.read_caiman` |
# | NWB at an address, such as one of DANDI | `nwb.read_nwb("https://...")`: only what it reads |
# | the paper's sets (`data/README.md`: from where) | `published.steinmetz`, `.ibl`, `.bugeon` |
# | the Allen Brain Observatory | `allen.neuropixels`, `allen.two_photon` |
# | data prepared for the authors' code (brainsets) | `published.brainsets.read_brainsets` |
#
# To take any of these through the rest of the notebook:
# `recording.save(Path("../data/processed/mine") / recording.recording_id)` for each, then
# `data_source = "saved"` and `data_folder = "../data/processed/mine"`. Give every recording an id
# of its own (`recording_id=...`): Kilosort calls each of its folders the same.
#
# **From NWB files** (Neurodata Without Borders, a format that many laboratories share).
# `read_nwb(folder)` returns a list of recordings, one a file, or one a probe with `probe_column`.
# First we write some files, of simulated animals. In the last two the cell types are left out; we
# keep the truth aside.


# %%
def write_nwb(recording, path, columns):
    """One recording of spikes as an NWB file, with its stimulus blocks and `columns` of its units
    table.
    """
    import pynwb

    start = datetime(2020, 1, 1, tzinfo=UTC)
    nwbfile = pynwb.NWBFile("simulated, not measured", recording.recording_id, start)
    nwbfile.subject = pynwb.file.Subject(subject_id=recording.animal_id, species="Mus musculus")
    for name in columns:
        nwbfile.add_unit_column(name, "a label")
    for unit_id, row in recording.units[columns].iterrows():
        # missing: ""
        labels, times = {name: row[name] or "" for name in columns}, recording.spike_times(unit_id)
        nwbfile.add_unit(id=unit_id, spike_times=times, obs_intervals=recording.intervals, **labels)
    for block in recording.epochs.itertuples():
        nwbfile.add_epoch(start_time=block.start_s, stop_time=block.stop_s, tags=[block.name])
    with pynwb.NWBHDF5IO(str(path), "w") as file:
        file.write(nwbfile)


# %%
sizes = {
    "smoke": (6, 60.0, (20, 26), 10),
    "laptop": (12, 600.0, (40, 52), 600),
    "full": (24, 600.0, (40, 52), 10_000),
}
# length of a recording, s; units of an animal, from and to
n_animals, duration_s, n_units, steps = sizes[profile]
steps, like = training_steps or steps, replace(SPIKES, duration_s=duration_s, n_units=n_units)
scratch = tempfile.TemporaryDirectory()  # gone with the kernel
truth = {}  # recording_id -> labels that the files don't tell
if data_source == "simulated":
    data_folder = scratch.name
    # The encoder that comes with the repository was trained on animals of seed 0.
    for number, recording in enumerate(
        nl.simulate_recordings(n_animals, seed=seed + 1, config=like)
    ):
        if number >= n_animals - 2:
            truth[recording.recording_id] = recording.units["cell_type"]
            recording = replace(recording, units=recording.units.assign(cell_type=None))
        write_nwb(
            recording, Path(data_folder) / f"{recording.recording_id}.nwb", ["cell_type", "area"]
        )
elif data_source not in ("nwb", "saved", "rats"):
    raise ValueError(f"data_source is {data_source!r}; use 'simulated', 'nwb', 'saved' or 'rats'.")
label_column = label_column or ("region" if data_source == "rats" else "cell_type")
keep_in = Path(out_folder or (scratch.name if data_source == "simulated" else "../runs/your_data"))

# %%
if data_source in ("saved", "rats"):
    from nuclr_lite.sources.folder import read_folder
    from nuclr_lite.sources.published import rat_decisions

    rats = data_source == "rats"
    recordings = read_folder(rat_decisions.prepared(data_dir) if rats else data_folder)
    for at, recording in enumerate(recordings):
        if rats and recording.animal_id == "T249":  # a rat whose labels we lay aside
            truth[recording.recording_id] = recording.units["region"]
            recordings[at] = replace(recording, units=recording.units.assign(region=None))
else:
    recordings = read_nwb(
        data_folder,
        animal=animal_column or None,
        intervals_from=intervals_from or None,
        probe_column=probe_column or None,
        keep=keep or None,
    )
units = nl.units_table(recordings)
modality = recordings[0].modality
source = {"simulated": "simulated", "rats": "rats, Luo, Kim et al. 2025"}.get(
    data_source, f"{len(recordings)} recordings"
)
print(
    f"{units['animal_id'].nunique()} animals, {len(units)} units; columns {sorted(units.columns)}"
)
recordings[:2]

# %% [markdown]
# What was written comes back as it was, spike for spike:

# %%
if data_source == "simulated":
    [before] = nl.simulate_recordings(1, seed=seed + 1, config=like)
    np.testing.assert_array_equal(recordings[0].times, before.times)
    np.testing.assert_array_equal(recordings[0].intervals, before.intervals)
    assert list(recordings[0].units["cell_type"]) == list(before.units["cell_type"])

# %% [markdown]
# ### What goes wrong, and what is said
#
# A mistake that can be noticed is refused, or mended with a notice. We make the usual ones and
# print the answers. Fear those that say `nothing`: nothing was noticed.


# %%
def said(attempt, folder=""):
    """What Python says when `attempt()` runs: notices, and an error if it ends in one.

    `folder` is taken off paths.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            attempt()
            errors = []
        except (ValueError, KeyError, OSError) as error:
            errors = [f"{type(error).__name__}: {error}"]
    told = "; ".join([f"notice: {warning.message}" for warning in caught] + errors)
    return (told.replace(f"{folder}{os.sep}", "") if folder else told) or "nothing"


# %%
names = dict(recording_id="mouse1-day1", animal_id="mouse1")
# the session's clock reads 100 s at the start
in_ms = [1000 * (100 + train) for train in trains_of_mine]
blank = dff.copy()
blank[300, 2] = np.nan
spikes, frames = nl.Recording.from_spike_trains, nl.Recording.from_traces
mistakes = {
    "milliseconds, valid time in seconds": lambda: spikes(in_ms, intervals=[[100, 160]], **names),
    "milliseconds, no valid time given": lambda: spikes(in_ms, **names),
    "unsorted times": lambda: spikes([train[::-1] for train in trains_of_mine], **names),
    "a label too few": lambda: spikes(trains_of_mine, units_of_mine.iloc[:2], **names),
    "(units, frames)": lambda: frames(dff.T, 30.0, pd.DataFrame(index=range(5)), **names),
    "(units, frames), no table": lambda: frames(dff.T, 30.0, **names),
    "a NaN in valid time": lambda: frames(blank, 30.0, **names),
    "another sampling rate": lambda: match_sampling(imaged, 0.23344),
}
answers_to = {mistake: said(attempt) for mistake, attempt in mistakes.items()}
print(*(f"{mistake}\n    {answer}" for mistake, answer in answers_to.items()), sep="\n")

# %% [markdown]
# And two from files: a column and a folder that aren't there.

# %%
file_here = Path(scratch.name) / "demo.nwb"
write_nwb(demo[0], file_here, ["cell_type", "area"])
wrong_column = said(lambda: read_nwb(file_here, label_columns=("celltype",)), file_here.parent)
no_files = said(lambda: read_nwb(Path(scratch.name) / "no such folder"), scratch.name)
print(wrong_column, no_files, sep="\n")
assert "no column 'celltype'" in wrong_column and "nothing there" in no_files
assert "inside the valid intervals" in answers_to["milliseconds, valid time in seconds"]
assert "sorted the spike times" in answers_to["unsorted times"]
assert "resampled" in answers_to["another sampling rate"]
assert "transpose" in answers_to["(units, frames), no table"]
assert "are these seconds?" in answers_to["milliseconds, no valid time given"]

# %% [markdown]
# Milliseconds without valid time are a question, no error: 60 s become 17 hours of a very quiet
# brain, which may be. Section 7 asks again. And (units, frames) without a table is only a notice:
# there might be 1,800 cells in five frames. So print each recording, and read the line.
#
# ## 4 · An encoder
#
# Three ways to one:
#
# - **train it on your recordings**, without labels (what more animals bring: `08_scaling`):
#   `encoder_from = "training"`, which is also what happens to files of your own unless you name an
#   encoder;
# - **load one** that `Pretrained.save` or `pretrain(out_dir=...)` wrote (`encoder_from`), or that
#   somebody shared: `nl.Pretrained.from_pretrained("owner/name")` fetches it from the Hugging Face
#   hub, where `pretrained.push_to_hub("owner/name")` puts yours, with a card that says what it was
#   trained on. It must be of your modality;
# - **weights that the authors published**, five seeds, trained on spikes of the IBL Brain-wide Map:
#   `nl.load_official_weights(nl.download_official_weights(seed=42))` gives an encoder for
#   `nl.embed`; the last cells of section 5 do it for all five, if you set `official_weights =
#   True`.
#
# Here we load the one that comes with the repository, `nl.example_encoder()`: trained on fourteen
# simulated animals, of which ours are none.
#
# A classifier that has seen no label of an animal works **zero-shot** on it. If the encoder hasn't
# seen the animal either, that is **inductive**; if it took part in the training, without its
# labels, **transductive** (`07_zero_shot`). An encoder remembers whom it was trained on:
# `pretrained.trained_on`.

# %%
brings = data_source in ("simulated", "rats")  # an encoder comes with the repository
as_it_comes = brings and profile != "full" and not training_steps
saved = None
if encoder_from not in ("", "training"):
    saved = nl.Pretrained.load(encoder_from)
elif encoder_from == "" and as_it_comes:
    saved = nl.example_encoder(data_source)
# real recordings: the paper's views
kind = {"simulated": "quick", "rats": "laptop-trials"}.get(data_source, "laptop")
kind = kind if modality == "spikes" else f"{kind}-calcium"
recipe = nl.PRESETS[kind].with_(steps=steps, seed=seed)
preset = saved.preset if saved else recipe
model = preset.model
# once, not at each use
recordings = [match_sampling(recording, model.sample_s) for recording in recordings]
pretrained = saved or nl.pretrain(recordings, preset)
print(
    f"windows of {model.window_s:g} s; {'loaded' if saved else 'trained here'};"
    f" {preset.train.steps} steps; {pretrained.trained_on['animal_id'].nunique()} animals"
)
print(checks.seen(pretrained.trained_on, recordings).sentence)
nl.plots.history(pretrained.history)

# %% [markdown]
# `05_pretraining` explains the three panels. What must not happen: a loss that doesn't fall, or a
# right panel that ends near 1.
#
# Keep both, recordings and encoder: what is loaded again gives the same vectors, up to rounding.

# %%
kept = keep_in / "kept"
pretrained.save(kept / "encoder", overwrite=True)
recordings[0].save(kept / "recording", overwrite=True)
again = nl.Pretrained.load(kept / "encoder").encoder
reopened = nl.Recording.load(kept / "recording")  # arrays stay on disk, as memory maps
was, now = (
    torch.tensor(nl.embed(encoder, recording).to_numpy())  # (units, dim) each
    for encoder, recording in ((pretrained.encoder, recordings[0]), (again, reopened))
)
torch.testing.assert_close(now, was, rtol=1e-3, atol=1e-3)  # a GPU rounds otherwise
print(
    {
        folder.name: sorted(path.name for path in folder.iterdir())
        for folder in sorted(kept.iterdir())
    }
)

# %% [markdown]
# ## 5 · Vectors, map, neighbours, labels

# %%
embedding = nl.embed(pretrained.encoder, recordings)  # (units, dim)
labels = units.reindex(columns=[label_column]).loc[embedding.index, label_column]
animals = units.loc[embedding.index, "animal_id"]
print(
    f"{len(embedding)} of {len(units)} units have a vector, {labels.notna().sum()} of them a label"
)
nl.plots.map(embedding, labels, title=f"vectors of all units ({source})")

# %% [markdown]
# In the run shown here Sst and Vip have islands of their own, and Exc and Pvalb share one, in
# different parts. The small island of all colours is the 34 units that hardly fire (we looked them
# up). Vectors may also carry *whose* unit it is (exercise 1): remember that when a label goes with
# the animal.
#
# A map is for looking, not for measuring: t-SNE keeps who is near whom and little else. So ask the
# neighbours themselves. How alike two units are is the cosine of their vectors,
#
# $$\cos(a, b) = \frac{a \cdot b}{\lvert a\rvert\,\lvert b\rvert}.$$
#
# Does a unit's nearest neighbour have the unit's label more often than a unit drawn at random from
# the same candidates? By hand: $a = (1, 0)$, $b = (0.8, 0.6)$, $c = (0, 1)$ of types A, A, B. The
# cosines are 0.8 ($ab$), 0.6 ($bc$) and 0 ($ac$): $a$ and $b$ find each other, $c$ finds $b$. Two
# of three agree. Drawn at random: 1/2 for $a$, 1/2 for $b$, 0 for $c$, so 1/3.

# %%
index = pd.MultiIndex.from_product([["r"], list("abc")], names=["recording_id", "unit_id"])
by_hand = neighbours_agree(
    pd.DataFrame([[1, 0], [0.8, 0.6], [0, 1]], index), pd.Series(["A", "A", "B"], index)
)
np.testing.assert_allclose(by_hand, (2 / 3, 1 / 3))

# %% [markdown]
# We ask the vectors, and features made by hand of each unit alone (rate, intervals,
# autocorrelation). `within_recording` standardises both, each column over the units of a recording:
# no column drowns the others, and what all units of a recording share, the animal and the day, is
# taken off.

# %%
if labels.isna().all():
    raise ValueError(
        f"the map is all that can be drawn: no unit has a label in {label_column!r} (columns:"
        f" {sorted(units.columns)}); for neighbours, nearest_units(within_recording(embedding),"
        " units, unit)"
    )
hand = baselines.hand_features(recordings)
rows_of_figure = []
for name, features in {
    "NuCLR": embedding,
    "by hand, a unit alone": hand["all"].loc[embedding.index],
}.items():
    for where, across in {"its own recording": False, "other recordings": True}.items():
        agree, chance = neighbours_agree(within_recording(features[labels.notna()]), labels, across)
        rows_of_figure.append({"vectors": name, "where": where, "agree": agree, "chance": chance})
agreement = pd.DataFrame(rows_of_figure)
nl.plots.neighbour_agreement(agreement, title=f"is my neighbour of my kind? ({source})")

# %% [markdown]
# In the run shown, 90 % of the nearest neighbours in other recordings are of a unit's kind; by
# features made by hand 29 %, at random 28 %. (Recordings of the same animal count as other ones: a
# cell that was seen on two days may find itself there. Then keep one recording an animal.)
#
# And one unit's neighbours by name. Which units of *other* recordings are most like your favourite
# one?

# %%
favourite = embedding.index[labels.notna()][0]
print(favourite, labels[favourite])
if units["animal_id"].nunique() > 1:
    similar = nearest_units(
        within_recording(embedding), units[["animal_id", label_column]], favourite
    )
    print(similar.round(2).to_string())

# %% [markdown]
# ### Reading the label, one animal left out in turn
#
# The classifier, a logistic regression, learns from all animals but one and is asked about that
# one. We call it the **probe**. (In sections 2 and 3 a probe was an electrode.) The score is macro
# F1: hits against misses and false alarms, type by type, then the mean over types (`06_decoding`).
# Beside it, what a reader will ask for: features by hand of each unit alone, the correlation with
# the population by hand (in these simulated animals it is what makes a type, see `data/README.md`;
# in yours nobody knows), the mean over each recording (which can tell animals apart, and nothing
# else), shuffled labels, the commonest label for everybody (majority), and chance.

# %%
# of one animal, units are left out
protocol = "zero-shot" if animals[labels.notna()].nunique() > 1 else "transductive"
how = "one animal left out in turn" if protocol == "zero-shot" else "transductive"
features = {
    "NuCLR": embedding,
    **{f"hand: {name}": table.loc[embedding.index] for name, table in hand.items()},
    "coupling to the population": baselines.population_coupling(recordings).loc[embedding.index],
    "means of NuCLR over a recording": baselines.recording_means(embedding),
}
table, results = nl.score_table(features, labels, animals, protocol, seed=seed)
nl.plots.scores(table, title=f"{label_column}, {how} ({source})")

# %%
nl.plots.confusion(results["NuCLR"].predictions, title=f"NuCLR on {label_column} ({source})")

# %% [markdown]
# In the run shown: 0.92 for NuCLR (interval over animals 0.90 to 0.94), and at most 0.26 for
# everything that looks at a unit alone; 0.95 for the correlation with the population, made by hand
# by someone who knows this simulation.
#
# ### The published encoders
#
# The authors published five encoders, alike but for their seeds, trained on spikes of many brain
# areas (IBL Brain-wide Map). With `official_weights = True` the next cell fetches them from their
# home on the Hugging Face hub, embeds your recordings with each, and reads the label as above. Mind
# the authors' licence. What we know of it: the files' layout and the encoder's outputs, number by
# number, on the authors' reference cases. What we don't: we had no network, so the download has met
# a stand-in for the hub only, and no score of theirs is shown here. Don't expect them to read types
# of *simulated* neurons: whatever they learned, it wasn't this simulation.

# %%
if official_weights:
    read = {}
    for number in (42, 43, 44, 45, 46):
        theirs = nl.embed(
            nl.load_official_weights(nl.download_official_weights(seed=number)), recordings
        )
        known_to_them = labels.reindex(theirs.index), animals.reindex(theirs.index)
        read[f"published, seed {number}"] = (
            nl.decode(theirs, *known_to_them, protocol).scores.set_index("metric").loc["macro_f1"]
        )
    print(pd.DataFrame(read).T[["estimate", "low", "high"]].astype(float).round(3).to_string())

# %% [markdown]
# ## 6 · Units without a label, and "I don't know"
#
# A probability is worth something if, of all units whose label got 0.8, some 80 % are right. This
# is called *calibration*. One sorts the predictions by probability into bins with equally many
# units, and compares in each bin the mean probability with the share that is right. By hand: four
# units predicted with 0.9, three of them right, make one point at (0.9, 0.75). The mean distance of
# the points from the truth, over units, is the *calibration error*: here 0.15.

# %%
by_hand = np.full(4, 0.9), np.array([True, True, True, False])
share, mean, n_units = zero_shot.reliability(*by_hand, n_bins=1)
np.testing.assert_allclose((share[0], mean[0], n_units[0]), (0.75, 0.9, 4))
np.testing.assert_allclose(zero_shot.calibration_error(*by_hand, n_bins=1), 0.15)

# %% [markdown]
# If only sure predictions are given as answers, fewer units get one, and, one hopes, more of the
# answers are right. What does silence buy? By hand: probabilities 0.9, 0.6, 0.8, 0.5; right, wrong,
# right, right. Answering the surest one, two, three, all four, the accuracy is 1, 1, 2/3, 3/4.

# %%
by_hand = zero_shot.accuracy_when_answering(
    np.array([0.9, 0.6, 0.8, 0.5]), np.array([True, False, True, True])
)
np.testing.assert_allclose(by_hand["accuracy"], [1, 1, 2 / 3, 3 / 4])

# %% [markdown]
# We look at the probe, and at naive Bayes, which takes the dimensions of a vector for independent
# witnesses and so tends to be too sure. `zero_shot.Calibrated` mends that. Of the probabilities
# $p_k$ that a classifier gives to the labels $k$ it makes
#
# $$q_k \propto p_k^{\,s}\, e^{b_k},$$
#
# with one $s$ for all (below 1: it was too sure) and one $b_k$ a label: the probe weighs labels
# evenly, and they aren't equally common. The numbers are those under which the labels of units
# *left out* are likeliest. Left out must be *animals*, since it will be asked about a new one. By
# hand: 0.8 and 0.2, with $s = 1/2$ and no $b$, become $\sqrt{0.8} : \sqrt{0.2} = 2 : 1$, so 2/3 and
# 1/3.

# %%
bayes = make_pipeline(StandardScaler(), GaussianNB())
classifiers = {
    "probe": probe(),
    "naive Bayes": bayes,
    "naive Bayes, calibrated": zero_shot.Calibrated(bayes),
    "probe, calibrated": zero_shot.Calibrated(),
}
asked = {
    name: nl.decode(embedding, labels, animals, protocol, classifier=one, n_bootstrap=0, seed=seed)
    for name, one in classifiers.items()
}
pd.testing.assert_frame_equal(asked["probe"].predictions, results["NuCLR"].predictions)
sure = {name: zero_shot.sureness(result.predictions) for name, result in asked.items()}
error = {name: zero_shot.calibration_error(*pair) for name, pair in sure.items()}

# %%
coverage = {name: zero_shot.accuracy_when_answering(*pair) for name, pair in sure.items()}
lines = {
    name: {
        "calibration error": error[name],
        "macro F1": asked[name].score(),
        "accuracy": curve["accuracy"].iloc[-1],
        "of the surer half": curve["accuracy"].iloc[len(curve) // 2 - 1],
    }
    for name, curve in coverage.items()
}
pd.DataFrame(lines).T.round(3)

# %%
shown = ["probe, calibrated", "naive Bayes", "naive Bayes, calibrated"]
curves = {name: zero_shot.reliability(*sure[name]) for name in shown}
nl.plots.trust(
    curves, {name: coverage[name] for name in shown}, title=f"{label_column}, {how} ({source})"
)

# %% [markdown]
# In the run shown here the probe's probabilities are nearly true as they are, and calibration
# changes nothing about that: an error of 0.03 before and after. It does say the common label a
# little more often, and macro F1 goes from 0.92 to 0.90. Where naive Bayes is as good as certain,
# it is wrong too often; calibration takes its error from 0.10 to 0.05. So look first.
# `nl.ZeroShot`, below, calibrates in any case: where labels are less evenly common than here it
# matters (vectors drawn with shares of 70, 20 and 10 %: an error of 0.06 without, 0.02 with it, in
# forty new animals; `tests/test_zero_shot.py`).
#
# On the right, silence buys accuracy: the calibrated probe is right for 90 % of all units, and for
# all of the surer half.
#
# ### Strangers
#
# A classifier always answers, and it may be sure of units that are like nothing it was taught on:
# mains hum that passed for a unit, a type that had no label. Probability can't tell, distance may.
# How far is a unit from the five nearest training units, on average? A *stranger* lies farther than
# 99 % of the training units do themselves. (For those, only units of other animals count: a new
# unit meets no others.)
#
# `nl.ZeroShot` has all of it: the calibrated probe, the distance, and the rule. A unit gets its
# most probable label if that has a probability of at least `least` *and* the unit is no stranger;
# otherwise it gets NaN, "I don't know", and the reason: `too far` or `between classes`. The `least`
# is a choice, to be made on the animals that have labels: by the curve above.

# %%
least = 0.6  # smallest probability that gets an answer
known = labels.notna()
reader = nl.ZeroShot.fit(embedding, labels, animals, least=least)  # on all animals that have labels
print(f"taught on {known.sum()} units; no answer beyond a distance of {reader.farthest:.2f}")

# %% [markdown]
# Does it work? Into a copy of the last recording we put "units" that are no neurons, four of each
# kind: mains hum (a spike every 20 ms), bursts as from movement (30 spikes within 30 ms, every few
# seconds), and hash (every tenth spike of everybody, as when a spike sorter lumps what it can't
# tell apart). And what should *not* be refused: the labelled units, each animal left out in turn
# (`zero_shot.rehearsal`).


# %%
def told(reader, vectors):
    """What a ZeroShot says of the vectors; its notices are printed."""
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        answers = reader.predict(vectors)
    for notice in notices:
        print(f"notice: {notice.message}")
    return answers


rehearsed = None
if protocol == "zero-shot":
    rehearsed = zero_shot.rehearsal(embedding, labels, animals, least=least)
    print(rehearsed["reason"].replace("", "answered").value_counts().to_string())

# %%
distances = {} if rehearsed is None else {"units with a label": rehearsed["distance"]}
answers = reader.predict(embedding[~known])
if len(answers):
    distances["units without a label"] = answers["distance"]
artefacts = pd.DataFrame({"artefact": [], "reason": []})
if modality == "spikes":
    odd = zero_shot.with_artefacts(recordings[-1], 4, np.random.default_rng(seed))
    said_of_odd = told(reader, nl.embed(pretrained.encoder, odd)).join(
        odd.units["artefact"], on="unit_id"
    )
    artefacts = said_of_odd.dropna(subset=["artefact"])
    distances |= {
        name: part["distance"] for name, part in artefacts.groupby("artefact", sort=False)
    }
nl.plots.strangers(distances, reader.farthest, title=f"who is a stranger? ({source})")

# %% [markdown]
# In the run shown here all twelve artefacts lie beyond the limit, and of the units that should be
# answered 3 of 479 (each by the limit of the animals that it was left out from; by the line in the
# figure, which is that of all animals, some more), and 1 of 100. (How many artefacts would have got
# a type without it? See the figure of exercise 2.) The notice is right, too: in the company of
# twelve artefacts the real units' vectors are not what they were.
#
# These artefacts are crude; one that behaves like a cell isn't noticed. A population may also be
# odd *as a whole*, each unit by itself being near enough. Here every unit of the last recording
# keeps its intervals between spikes, in another order: each is still itself, but nobody goes with
# anybody any more. In the run shown 2 % of the units are too far; but the median of all lies
# farther than that of any recording that was taught, and `predict` says so. (By chance, a good
# recording does so too: one in n + 1, of n animals.)


# %%
def shuffled_intervals(recording, rng):
    """The recording with the intervals between each unit's spikes in another order."""
    trains = [recording.spike_times(unit_id) for unit_id in recording.units.index]
    # (spikes,) each
    trains = [train[:1] + np.r_[0, rng.permutation(np.diff(train)).cumsum()] for train in trains]
    return nl.Recording.from_spike_trains(
        trains,
        recording.units,
        recording.intervals,
        recording_id="shuffled",
        animal_id=recording.animal_id,
    )


if modality == "spikes":
    alone = shuffled_intervals(recordings[-1], np.random.default_rng(seed))
    of_alone = told(reader, nl.embed(pretrained.encoder, alone))
    print(f"{(of_alone['reason'] == 'too far').mean():.0%} of the units are too far")

# %% [markdown]
# ### Answers

# %%
if len(answers):
    print(answers["label"].fillna("I don't know: " + answers["reason"]).value_counts().to_string())
    print(answers.head(6).round(2).to_string())

# %% [markdown]
# In the simulation, and of the rat whose labels were laid aside, we know what these units are, and
# can ask how good the answers were:

# %%
if truth:
    true = pd.concat(truth).loc[answers.index]
    right, speaks = answers["likeliest"] == true, answers["label"].notna()
    print(f"right: {right.mean():.0%} of all {len(true)}; {speaks.mean():.0%} got an answer")
    print(
        f"of these, right: {right[speaks].mean():.0%}" if speaks.any() else "nobody got an answer"
    )

# %% [markdown]
# **Back to your tools.** Vectors, and what was predicted from them, go where you work: beside the
# units' own columns in a Parquet file, which Python, R and MATLAB read; into a *copy* of the NWB
# file; as columns of Phy's cluster view (`export.to_phy`); as metadata of a pynapple group
# (`export.to_pynapple`). For Phy, one recording and its predictions:
# `export.to_phy(reader.predict(embedding)[["label", "reason"]], "/path/to/phy",
# recordings="mouse1-day1")`. Suite2p has no such door: use the Parquet file, in which unit_id is
# the row of `F.npy`. (The copy of an NWB file is made here of simulated data only; of your own,
# call `to_nwb` for each file.)

# %%
results_folder = keep_in / "results"
in_one = export.to_parquet(
    embedding.join(answers[["label", "reason"]]),
    results_folder / "vectors.parquet",
    units=units,
    overwrite=True,
)
first = embedding.index[0][0]
in_copy = (
    export.to_nwb(
        embedding,
        Path(data_folder) / f"{first}.nwb",
        results_folder / f"{first}.nwb",
        recordings=first,
    )
    if data_source == "simulated"
    else None
)
print(
    pd.read_parquet(in_one).shape,
    "a row a unit;",
    in_copy and f"{in_copy.name}, a copy with a column nuclr_embedding",
)

# %% [markdown]
# ## 7 · The leak checklist
#
# A score can be high for reasons that have nothing to do with cells. `nl.checks` has a function for
# each reason that we could think of. Each returns a `Check`: what was seen, in a sentence, and what
# to do about it. Printed, it begins with `fine`, `look here`, or `not asked`. A check proves
# nothing: `fine` means that this fault wasn't found. And each is itself checked here, on a
# recording with the fault planted and on a clean one (both simulated).


# %%
def both_ways(planted, clean):
    """Print two checks: the first must say look here, the second fine."""
    print(planted, clean, sep="\n")
    assert planted.found and clean.found is False


# %% [markdown]
# **Are the times in seconds?** A neuron now and then fires twice within half a second; in
# milliseconds, or samples, no two of its spikes are half a unit of time apart: it needs more than
# that to recover. Hardly an interval below 0.5 s, units that are there for a small part of more
# than a day, a median unit above 200 spikes/s, or nearly all spikes outside valid time: each is
# possible, and another unit or clock is likelier. (All but the last is asked when a recording is
# made, too.)

# %%
clean_trains = [demo[0].spike_times(unit_id) for unit_id in demo[0].units.index]
with warnings.catch_warnings(action="ignore"):
    slow = nl.Recording.from_spike_trains([1000 * train for train in clean_trains], **names)
both_ways(checks.seconds(slow), checks.seconds(demo[0]))

# %% [markdown]
# **Does the recording fit the encoder?** Modality, intervals as long as a window, frames of the
# right length; and, for spikes, time stamps finer than a bin. Stamps rounded to 50 ms, in bins of
# 20 ms, leave three bins in five empty in all units at once: a comb that no neuron made.

# %%
quick, quick_calcium = nl.PRESETS["quick"], nl.PRESETS["quick-calcium"]
coarse = nl.Recording.from_spike_trains(
    [np.round(train / 0.05) * 0.05 for train in clean_trains], **names
)
both_ways(checks.encoder(coarse, quick), checks.encoder(demo[0], quick))
both_ways(checks.encoder(imaged, quick_calcium), checks.encoder(slower, quick_calcium))
assert checks.encoder(imaged, quick).found

# %% [markdown]
# **Raw fluorescence.** A cell's brightness at rest stays the same all day. It gives the cell away
# without any activity, and perhaps the label too, where lines differ in how strongly they express
# the indicator.

# %%
raw = 300.0 * rng.uniform(0.5, 1.5, dff.shape[1]) * (1 + 0.2 * dff)  # (frames, units), counts
both_ways(
    checks.brightness(nl.Recording.from_traces(raw, 30.0, **names)), checks.brightness(imaged)
)

# %% [markdown]
# **The same unit twice.** A spike sorter may give one neuron two numbers, and a cell may be
# outlined twice. Then pretraining pushes a unit away from itself; and where units, not animals, are
# left out, one copy is learned and the other tested. Counted is how many spikes of the sparser unit
# share 2 ms with the other's, beyond chance. (A neuron split in two *without* shared spikes isn't
# found this way.)

# %%
# nine spikes in ten, 20 us later
copy = clean_trains[3][rng.random(len(clean_trains[3])) < 0.9] + 2e-5
doubled = nl.Recording.from_spike_trains([*clean_trains, copy], **names)
both_ways(checks.duplicates(doubled), checks.duplicates(demo[0]))
assert "(3, 20)" in checks.duplicates(doubled).sentence

# %% [markdown]
# **Light pulses in valid time.** With optotagging, the label *is* the response to light, and where
# pulses lie in valid time it can be read off. (The paper drops all from 300 s before the first
# pulse on: `01_recordings`.) If you give no pulses, they are the stimulus blocks whose name speaks
# of light; if there are none, the check is `not asked`.

# %%
both_ways(checks.light(demo[0], light), checks.light(gappy, light))
assert checks.light(demo[0]).verdict == "not asked"

# %% [markdown]
# **The same animal on both sides.** Units of one animal share its state, its electrode and its day.
# Names that differ only in writing (`M-07`, `m7`) are the usual way in. The same goes for an
# encoder: it remembers whom it was trained on, and a score on these animals isn't inductive.

# %%
both_ways(checks.split(["M-06", "M-07"], ["m7", "M-08"]), checks.split(["M-06"], ["M-07", "M-08"]))
both_ways(
    checks.seen(nl.example_encoder().trained_on, nl.simulate_recordings(1, config=small)),
    checks.seen(nl.example_encoder().trained_on, demo),
)

# %% [markdown]
# **Too few animals.** Three animals tell you little about a fourth. If luck alone decided, all of n
# animals would come out above chance with a probability of $2^{-n}$: below 5 % from five animals
# on. So five, of each label.

# %%
tagged = nl.units_table(demo)
three = tagged[tagged["animal_id"].isin(sorted(set(tagged["animal_id"]))[:3])]
both_ways(
    checks.animals(three["cell_type"], three["animal_id"]),
    checks.animals(tagged["cell_type"], tagged["animal_id"]),
)

# %% [markdown]
# **A label that goes with the animal.** Where all units of an animal carry one label, as with one
# Cre line an animal, telling *animals* apart passes for telling *cells* apart. Leaving animals out
# isn't enough: if all Pvalb animals were recorded on warmer days, that carries over to the next
# one. The mean over an animal knows nothing of its single cells. If it scores as well as the
# vectors, the score is no evidence about cells.

# %%
rates = baselines.hand_features(demo)["rate"]  # (units, 1)
animal_rate = rates.iloc[:, 0].groupby(level="recording_id").transform("mean")
# the animal's, called a type
lively = (animal_rate > animal_rate.median()).map({True: "type A", False: "type B"})
both_ways(
    checks.label_and_animal(lively, tagged["animal_id"], rates),
    checks.label_and_animal(tagged["cell_type"], tagged["animal_id"], rates),
)

# %% [markdown]
# **A label that goes with the probe.** The same in small: each probe, or imaging plane, of an
# animal lies in one area. Then whatever sets probes apart (noise, depth, how many units) gives the
# area away. Here we call every second animal the second probe of the one before it. (The means over
# recordings read nothing here, 0.50, and neither do the vectors: `look here` says that the vectors
# tell no more than the means do.)

# %%
two_probes = tagged["animal_id"].map(
    {name: f"animal {at // 2}" for at, name in enumerate(tagged["animal_id"].unique())}
)
first_probe = two_probes.groupby(two_probes.to_numpy()).transform(
    lambda part: part.index.get_level_values(0)[0]
)
area = pd.Series(
    np.where(tagged.index.get_level_values(0) == first_probe, "area 1", "area 2"),
    index=tagged.index,
)
both_ways(
    checks.label_and_probe(area, two_probes, rates),
    checks.label_and_probe(tagged["cell_type"], two_probes, rates),
)

# %% [markdown]
# **A label that goes with the stimulus.** If units of one label were recorded during gratings and
# those of another in darkness, the score may rest on the stimulus. The check adds up the time that
# the units of each label spent in each block. A unit counts as there from its first spike to its
# last.

# %%
marked = [
    replace(recording, units=recording.units.assign(line="AB"[at % 2]))
    for at, recording in enumerate(demo)
]
halves = [
    recording.during("natural_movie" if at % 2 else "spontaneous")
    for at, recording in enumerate(marked)
]
both_ways(checks.label_and_stimulus(halves, "line"), checks.label_and_stimulus(marked, "line"))

# %% [markdown]
# ### All of it, on the recordings of this notebook
#
# `checks.leaks` asks all that it can from what it is given, a row a check. Of the checks that look
# at one recording, the first that says `look here` is shown, with how many do. `inductive` says
# what you claim: that the encoder has never seen these animals.

# %%
inductive = not checks.seen(pretrained.trained_on, recordings).found
report = checks.leaks(
    recordings,
    pretrained,
    label_column,
    embedding=embedding,
    predictions=results["NuCLR"].predictions,
    inductive=inductive,
)
for row in report.itertuples():
    print(
        f"{row.check}: {row.verdict}: {row.found}",
        *(f"    {more}" for more in (row.where, row.to_do) if more),
        sep="\n",
    )
if data_source == "simulated" and profile != "smoke":
    assert "look here" not in set(report["verdict"])

# %% [markdown]
# ## 8 · What to write in the paper
#
# - **Protocol**: which animals took part in pretraining, which in fitting the classifier, which
#   were tested; *transductive* or *inductive* (section 4).
# - **How many** animals and units, in all and for each label. Animals are what counts.
# - **The metric**, and how it was pooled: macro F1 over the predictions of all folds together.
# - **An interval** from resampling animals, and seeds where you trained several encoders. With a
#   handful of animals it is rough: say so, and show them one by one.
# - **Beside it, on the same units**: chance, shuffled labels, features of a unit alone, the
#   correlation with the population by hand, means over recordings.
# - **What was cut**: valid time, quality limits, what was done about light pulses; how many units
#   had no vector.
# - **What was tried**: a window or a rate chosen by a look at test labels is part of the training.
#
# Two sentences to start with (the last bracket names the best features by hand):

# %%
print(in_words(table, labels[known], animals[known], protocol, inductive))

# %% [markdown]
# ## Exercises
#
# They run on what was made above.

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): a coin for each animal
#
# Toss a coin for each animal and call all its units `heads` or `tails`. The label says nothing
# about cells. You decode it from the vectors, twice: *transductive* (four fifths of the units are
# learned from, of all animals, and the rest is tested) and *zero-shot* (one animal left out in
# turn). What are the two macro F1, chance being 0.5? ("Near" is below 0.6.)
#
# - `"a"`: both near 0.5 or below: there is nothing to be learned;
# - `"b"`: transductive above, zero-shot near 0.5 or below;
# - `"c"`: both above.
#
# Write the letter; and, for yourself, what on the map of section 5 bears on it. The check does the
# experiment, over five tosses. (On data of your own it takes any letter: compare the numbers
# yourself.)

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION


# %% tags=["check"]
def coin_scores(embedding, animals, protocol, n_tosses=5):
    """Mean macro F1 of decoding a coin that is tossed once an animal (half of the animals get
    heads).
    """
    names, scores = sorted(set(animals)), []
    for toss in range(n_tosses):
        sides = np.random.default_rng(toss).permutation(np.resize(["heads", "tails"], len(names)))
        coin = animals.map(dict(zip(names, sides)))
        scores.append(nl.decode(embedding, coin, animals, protocol, n_bootstrap=0).score())
    return float(np.mean(scores))


assert prediction in ("a", "b", "c"), "set prediction to 'a', 'b' or 'c'"
if animals.nunique() >= 4:
    coins = {name: coin_scores(embedding, animals, name) for name in ("transductive", "zero-shot")}
    print({name: round(score, 2) for name, score in coins.items()})
    outcome = "a" if max(coins.values()) < 0.6 else "b" if coins["zero-shot"] < 0.6 else "c"
    hint = "not so: think of what the units of one animal have in common, and of who is tested"
    assert prediction == outcome or data_source != "simulated", hint
print(
    "exercise 1: right"
    if data_source == "simulated"
    else "exercise 1: compare the numbers with your letter"
)

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (fill in): the rule for "I don't know"
#
# Write the rule of section 6 as a function: a unit gets the most probable label if that label has a
# probability of at least `least` *and* the unit's distance is at most `farthest`; otherwise `"I
# don't know"`. A distance that is NaN counts as too far. Write it from this text, without a look
# into `zero_shot.py`.
#
# The figure below the check is drawn with your function. What does each of the two conditions do
# that the other can't? Look at the dotted line, and at the accuracy.


# %% jupyter={"source_hidden": true} tags=["solution"]
def answer(probabilities, distance, least, farthest):
    """What to say of each unit.

    probabilities : DataFrame (units, classes); its columns are the labels. distance : (units,).
        least, farthest : numbers.
    Returns a Series on the index of probabilities: a label, or "I don't know".
    """
    ### BEGIN SOLUTION
    sure_enough = probabilities.max(axis=1) >= least
    near_enough = np.asarray(distance) <= farthest  # False for NaN
    return probabilities.idxmax(axis=1).where(sure_enough & near_enough, "I don't know")
    ### END SOLUTION


# %% tags=["check"]
questions = pd.DataFrame(
    {"Exc": [0.9, 0.5, 0.2, 0.1], "Sst": [0.1, 0.5, 0.8, 0.9]}, index=list("wxyz")
)
given = answer(questions, np.array([1.0, 1.0, 3.0, np.nan]), least=0.6, farthest=2.0)
assert isinstance(given, pd.Series) and list(given.index) == list("wxyz"), (
    "return a Series on the index of probabilities"
)
assert given["w"] == "Exc", "unit w is sure and near"
assert given["x"] == "I don't know", "no label of unit x has a probability of 0.6"
assert given["y"] == "I don't know" == given["z"], (
    "units y and z are too far: 3 is beyond 2, and NaN is nowhere"
)
at_the_limits = answer(questions, np.full(4, 2.0), 0.8, 2.0)
assert list(at_the_limits) == [
    "Exc",
    "I don't know",
    "Sst",
    "Sst",
], "the limits themselves still get an answer"
print("exercise 2: right")

# %% tags=["target"]
left_out = (
    reader.predict(embedding[known]).assign(true=labels[known]) if rehearsed is None else rehearsed
)
p_known = left_out.filter(regex="^p_").rename(columns=lambda name: name.removeprefix("p_"))
near_known = left_out["distance"].to_numpy()
p_odd = artefacts.filter(regex="^p_").rename(columns=lambda name: name.removeprefix("p_"))
lines = []
for least_p in np.arange(0.3, 0.96, 0.05):
    told = answer(p_known, near_known, least_p, reader.farthest)
    labelled = told != "I don't know"
    accuracy = (told == left_out["true"])[labelled].mean() if labelled.sum() >= 10 else np.nan
    row = {"least": least_p, "answered": labelled.mean(), "accuracy": accuracy}
    strangers = [
        (
            np.nan
            if artefacts.empty
            else (answer(p_odd, artefacts["distance"], least_p, limit) != "I don't know").mean()
        )
        for limit in (np.inf, reader.farthest)
    ]
    lines.append(row | {"strangers": strangers[0], "strangers_near": strangers[1]})
nl.plots.abstaining(pd.DataFrame(lines), title=f"the rule of exercise 2 ({source})")

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (extend): units that come and go
#
# The electrode drifts, and units appear and vanish. If those of one label do so more than others,
# their absence gives the label away. Add a check to the list. `check_presence` cuts valid time
# (here: one interval) into `parts` pieces of equal length. In which share of the pieces does each
# unit fire? Take the mean of that over the units of each label, and say `look here` if two labels
# differ by more than `limit`. Units without a label don't count; the wording is yours. It is right
# if it finds the fault planted below (the Sst units fall silent half-way) and leaves the clean
# recording alone.


# %% jupyter={"source_hidden": true} tags=["solution"]
def check_presence(recording, label_column, parts=10, limit=0.3):
    """Do labels differ in how much of a spike recording their units are present, by more than
    `limit`?

    Returns a `checks.Check(name, found, sentence, remedy)`. A unit is present in a part if it fires
    in it. parts: pieces of valid time of equal length (here: one valid interval).
    """
    ### BEGIN SOLUTION
    edges = np.linspace(recording.intervals[0, 0], recording.intervals[-1, 1], parts + 1)
    # (spikes,)
    part = np.clip(np.searchsorted(edges, recording.times, side="right") - 1, 0, parts - 1)
    fired = np.zeros((recording.n_units, parts), dtype=bool)
    fired[recording.unit_rows, part] = True
    present = pd.Series(fired.mean(axis=1)).groupby(recording.units[label_column].to_numpy()).mean()
    low, high = present.idxmin(), present.idxmax()
    said = (
        f"units of {low} are present in {present[low]:.0%} of the time, those of {high} in"
        f" {present[high]:.0%}"
    )
    return checks.Check(
        "presence",
        bool(present[high] - present[low] > limit),
        said,
        "Keep units that are there throughout",
    )
    ### END SOLUTION


# %% tags=["check"]
trains = [demo[1].spike_times(unit) for unit in demo[1].units.index]
is_sst = demo[1].units["cell_type"] == "Sst"
fading = [train[train < 60] if sst else train for train, sst in zip(trains, is_sst)]
fading = nl.Recording.from_spike_trains(fading, demo[1].units, demo[1].intervals, **names)
said_of_both = [check_presence(recording, "cell_type") for recording in (fading, demo[1])]
print(*said_of_both, sep="\n")
assert all(isinstance(check, checks.Check) for check in said_of_both), "return a checks.Check"
assert said_of_both[0].verdict == "look here", (
    "the Sst units are gone after 60 of 120 s, and the check said fine"
)
assert said_of_both[1].verdict == "fine", "nothing is wrong with the clean recording"
assert check_presence(fading, "cell_type", limit=0.9).verdict == "fine", "limit should decide"
early = [train[train < 10] if sst else train for train, sst in zip(trains, is_sst)]
early = nl.Recording.from_spike_trains(early, demo[1].units, demo[1].intervals, **names)
coarse, fine = (check_presence(early, "cell_type", parts, limit=0.6) for parts in (2, 12))
assert (coarse.verdict, fine.verdict) == (
    "fine",
    "look here",
), "10 of 120 s: present in 1 of 2 parts, or in 1 of 12"
print("exercise 3: right")

# %% [markdown]
# ## What you should have seen
#
# On the simulated animals at the `laptop` profile, with the encoder that comes with the repository:
#
# | | here | the cell asks for |
# |---|---|---|
# | macro F1 of four cell types, one of ten animals left out in turn | 0.92 | above 0.8 |
# | the best that looks at a unit alone | 0.26 | below 0.4 |
# | nearest neighbour elsewhere is of the same type (at random: 0.28) | 0.90 | above 0.8 |
# | calibration error of the probe | 0.03 | below 0.06 |
# | calibration error of naive Bayes | 0.10 | above that of the probe |
# | artefacts recognised as strangers | 12 of 12 | 10 of 12 |
# | units without a label: right | 97 % | |
# | right of those that got an answer (92 %) | 100 % | no fewer |

# %%
macro_f1 = table[table["metric"] == "macro_f1"].set_index("method")["estimate"]
best_alone = macro_f1[macro_f1.index.str.startswith("hand: ")].max()
print(
    f"macro F1: NuCLR {macro_f1['NuCLR']:.2f}, best of a unit alone {best_alone:.2f}, chance"
    f" {macro_f1['chance']:.2f}"
)
as_printed = (
    data_source == "simulated"
    and label_column == "cell_type"
    and not (encoder_from or training_steps)
)
if as_printed and profile == "laptop":
    across = agreement[agreement["where"] == "other recordings"].set_index("vectors")["agree"]
    assert macro_f1["NuCLR"] > 0.8 and best_alone < 0.4, "expected above 0.8 and below 0.4"
    assert (
        across["NuCLR"] > 0.8
        and error["probe, calibrated"] < 0.06
        and error["naive Bayes"] > error["probe"]
    )
    assert (artefacts["reason"] == "too far").sum() >= 10 and right[speaks].mean() >= right.mean()

# %% [markdown]
# **Read**: Arora et al. 2025 (arXiv 2512.01199), sections 3.4 and 4, for embedding and protocols;
# Rübel et al. 2022, *eLife* 11:e78362, for NWB; Niculescu-Mizil and Caruana 2005 (ICML),
# *Predicting good probabilities with supervised learning*, for calibration curves; Kaufman et al.
# 2012 (ACM TKDD 6:15), *Leakage in data mining*, for how labels get where they shouldn't be.
#
# **Next:** `12_what_it_learned` asks what the vectors rest on: which neighbours, which stimuli,
# which parts of the model. For your own files: `.venv/bin/python notebooks/run.py --only 11 -p
# data_source nwb -p data_folder /path/to/files -p label_column region`.
