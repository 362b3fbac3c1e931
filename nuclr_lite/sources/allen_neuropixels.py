"""The Allen Visual Coding Neuropixels set: its sessions listed, downloaded, read as recordings; cell types by optotagging.

Source: Siegle et al. 2021, Nature 592, 86 (the data set). Listing and downloading need AllenSDK, the rest h5py alone.
"""
from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd

from ..intervals import without
from ..recording import Recording
from .allen_client import neuropixels_cache, neuropixels_session_path, neuropixels_session_urls
from .allen_session_file import QUALITY_LIMITS, SessionFile, open_session
from .downloads import Job, confirm_size, download, download_all, is_whole, remote_size
from .optotagging import OptotagConfig, cell_type_of_genotype, optotag_units

TYPICAL_SESSION_BYTES = 2.5e9      # 146.5 GB in 58 sessions (AllenSDK's documentation), where the server doesn't say
SIZES_FILE = "session_sizes.json"
LIGHT_MARGIN_S = 300.0             # before the first light pulse, as in the paper
SILENCE_S = 1.0                    # no spike of a whole probe for longer than this: it wasn't recording


# Listing

def list_sessions(cache_dir: str | Path, scheme: str | None = None, host: str | None = None, *, genotype: str | None = None,
                  session_type: str | None = None, animal: str | int | None = None, sizes: bool = True) -> pd.DataFrame:
    """The sessions there are, from AllenSDK's tables (58 MB, downloaded to `cache_dir` on the first call).

    Parameters
    ----------
    cache_dir : an AllenSDK cache, or where to begin one. scheme, host : of another warehouse; None: AllenSDK's.
    genotype : a part of the genotype, such as 'Pvalb'; 'wt': animals without any transgene.
    session_type : the set of stimuli, 'brain_observatory_1.1' or 'functional_connectivity'. animal : its animal_id.
    sizes : False: don't ask the server for sizes.

    Returns
    -------
    DataFrame, by session id. AllenSDK's columns and animal_id (its specimen_id), genotype, structures (acronyms, as text), has_light_pulses (the
    animal has Ai32, the channel for optotagging), size_gb (10^9 bytes; of the file that is there, or as the server says; NaN: it doesn't).

    Raises
    ------
    ValueError : no session matches; says which values there are. ImportError : AllenSDK is missing; says what to type.
    DownloadError : the tables could not be had.
    """
    cache = neuropixels_cache(cache_dir, scheme, host)
    table = cache.get_session_table().sort_index()
    table["animal_id"] = table["specimen_id"].astype(str)
    table["genotype"] = table["full_genotype"]
    table["structures"] = [", ".join(sorted(name for name in np.atleast_1d(names) if isinstance(name, str))) for names in table["ecephys_structure_acronyms"]]
    table["has_light_pulses"] = table["genotype"].str.contains("Ai32", regex=False)
    if genotype == "wt":
        matches = ~table["genotype"].str.contains("[^wt/;]")
    else:
        matches = table["genotype"].str.contains(genotype or "", regex=False)
    table = _choose(table, "genotype", matches, genotype)
    table = _choose(table, "session_type", table["session_type"] == session_type, session_type)
    table = _choose(table, "animal_id", table["animal_id"] == str(animal), animal)
    table["size_gb"] = np.array(_session_bytes(cache, cache_dir, table.index, ask=sizes)) / 1e9
    return table


def _choose(table: pd.DataFrame, column: str, matches: pd.Series, wanted) -> pd.DataFrame:
    if wanted is None:
        return table
    if not matches.any():
        raise ValueError(f"no session has {column} {wanted!r}; there are {sorted(table[column].unique())}.")
    return table[matches].copy()


def _session_bytes(cache, cache_dir: str | Path, session_ids, ask: bool = True) -> list[float]:
    """Size of each session's file in bytes: on disk, remembered, or as the first address that knows says; else NaN."""
    memory = Path(cache_dir) / SIZES_FILE
    try:
        known = {int(number): int(size) for number, size in json.loads(memory.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        known = {}
    paths = {number: neuropixels_session_path(cache_dir, number) for number in session_ids}
    on_disk = {number: path.stat().st_size for number, path in paths.items() if is_whole(path)}
    unknown = [number for number in session_ids if number not in on_disk and number not in known] if ask else []

    def size_of(number) -> int | None:
        for url in neuropixels_session_urls(cache, number):
            try:
                size = remote_size(url if isinstance(url, str) else url())
            except (OSError, ValueError):                 # the warehouse doesn't know, or doesn't answer
                continue
            if size is not None:
                return size
        return None

    if unknown:
        with ThreadPoolExecutor(max_workers=8) as pool:
            found = {int(number): size for number, size in zip(unknown, pool.map(size_of, unknown)) if size is not None}
        if found:
            known |= found
            partial = memory.with_name(f".{SIZES_FILE}.{uuid4().hex[:8]}.partial")
            partial.write_text(json.dumps(known), encoding="utf-8")
            os.replace(partial, memory)
    return [float(on_disk.get(number, known.get(number, np.nan))) for number in session_ids]


# Downloading

def download_session(session_id: int, cache_dir: str | Path, scheme: str | None = None, host: str | None = None, *,
                     confirm: bool = False) -> Path:
    """Download one session (1.7 to 3.3 GB) into an AllenSDK cache, unless it is there: then nothing is asked of any server.

    From the public bucket or, where that fails or another `host` is given, by the warehouse's link (`allen_client.neuropixels_session_urls`).
    The size is shown in the bar; the download doesn't begin where the disk hasn't the room; run again, it resumes.

    Parameters
    ----------
    session_id : from `list_sessions`. cache_dir, scheme, host : as there.
    confirm : True: say how large it is, and ask first.

    Returns
    -------
    Path, <cache_dir>/session_<id>/session_<id>.nwb, where AllenSDK looks for it.

    Raises
    ------
    ValueError : there is no such session. DownloadError, OSError with errno ENOSPC : as `downloads.download`. ImportError : as `list_sessions`.
    """
    path = neuropixels_session_path(cache_dir, session_id)
    if is_whole(path):
        return path
    cache = neuropixels_cache(cache_dir, scheme, host)
    _check_ids(cache, [session_id])
    if confirm:
        _confirm(cache, cache_dir, [session_id], ask=True)
    return download(neuropixels_session_urls(cache, session_id), path)


def download_sessions(session_ids: Sequence[int], cache_dir: str | Path, scheme: str | None = None, host: str | None = None, *,
                      confirm: bool = True, parallel: int = 3) -> list[Path]:
    """`download_session` for several, `parallel` at a time. One that fails doesn't stop the others.

    The size of all that is missing is compared with the free disk, and stated; then, unless `confirm` is False, a question is asked.
    """
    session_ids = [int(number) for number in session_ids]
    paths = [neuropixels_session_path(cache_dir, number) for number in session_ids]
    missing = [number for number, path in zip(session_ids, paths) if not is_whole(path)]
    if missing:
        cache = neuropixels_cache(cache_dir, scheme, host)
        _check_ids(cache, missing)
        _confirm(cache, cache_dir, missing, ask=confirm)
        download_all([Job(neuropixels_session_urls(cache, number), neuropixels_session_path(cache_dir, number)) for number in missing], parallel)
    return paths


def _check_ids(cache, session_ids) -> None:
    try:
        known = cache.session_ids()
    except OSError:                    # the bucket may answer where the warehouse doesn't; it is asked for the file all the same
        return
    unknown = [number for number in session_ids if number not in known]
    if unknown:
        raise ValueError(f"there is no session {', '.join(map(str, unknown))}; list_sessions shows the {len(known)} that there are (first: {known[0]}).")


def _confirm(cache, cache_dir: str | Path, session_ids: Sequence[int], ask: bool) -> None:
    sizes = np.nan_to_num(_session_bytes(cache, cache_dir, session_ids), nan=TYPICAL_SESSION_BYTES)
    parts = [Path(f"{neuropixels_session_path(cache_dir, number)}.part") for number in session_ids]
    to_come = sizes.sum() - sum(part.stat().st_size for part in parts if part.is_file())
    confirm_size(max(0.0, to_come), cache_dir, f"{len(session_ids)} session{'s' * (len(session_ids) > 1)}", yes=not ask)


# Reading

def read_session(path: str | Path, structures: tuple[str, ...] | None = None, *, quality: dict | None = QUALITY_LIMITS,
                 cell_types: pd.DataFrame | None = None) -> list[Recording]:
    """The recordings of one session file, one a probe.

    Valid time runs from the first to the last spike of a probe's chosen units, without: the invalid times that the file declares for the session or for this
    probe, whatever their label; silences of the whole probe (its units of other structures too) longer than 1 s, with 1 s on either side; and, where there were
    light pulses, everything from 300 s before the first one on, or a light response would give the label away.

    Parameters
    ----------
    path : session_<id>.nwb, as `download_session` returns it.
    structures : acronyms, exactly these. None: the visual areas (VIS...). (): all.
    quality : limits of unit metrics, see `SessionFile.units`; AllenSDK's by default. None: every unit.
    cell_types : what `optotag` returned for this file: its `cell_type` becomes a column (None: not tagged).

    Returns
    -------
    list[Recording], by probe. recording_id is 'allen-<session>-<probe>', animal_id the file's subject. `.units` has ecephys_structure_acronym, probe_id, positions on the
    probe and CCF coordinates (um), waveform and quality metrics, genotype, session_id; `.epochs` the stimulus blocks. firing_rate and the other metrics are the file's, over the
    whole session with its light: good for describing units, wrong for decoding cell types.

    Raises
    ------
    ValueError : no unit is left, naming the structures there are; no probe has valid time (a single one is left out, with a warning); what `open_session` and `Recording` refuse.
    """
    return list(_probe_recordings(Path(path), structures, quality, cell_types))


def convert_session(path: str | Path, folder: str | Path, structures: tuple[str, ...] | None = None, *, quality: dict | None = QUALITY_LIMITS,
                    cell_types: pd.DataFrame | None = None, overwrite: bool = False) -> list[Recording]:
    """As `read_session`, but each recording is saved as `folder/<recording_id>` and opened from there: one probe at a time is in memory.

    Raises FileExistsError, before anything is read, where recordings of this session are there already and `overwrite` is False.
    """
    folder = Path(folder)
    with open_session(path) as session:
        there = sorted(folder.glob(f"{_recording_id(session, '*')}/recording.json"))
    if there and not overwrite:
        raise FileExistsError(f"{there[0].parent} exists already; open it with Recording.load, choose another folder, or pass overwrite=True.")
    recordings = _probe_recordings(Path(path), structures, quality, cell_types)
    return [Recording.load(recording.save(folder / recording.recording_id, overwrite=overwrite)) for recording in recordings]


def optotag(path: str | Path, structures: tuple[str, ...] | None = None, *, quality: dict | None = QUALITY_LIMITS,
            config: OptotagConfig = OptotagConfig()) -> pd.DataFrame:
    """Which units of a session respond to light as cells that express channelrhodopsin do: their cell type.

    Parameters are those of `read_session`; the criterion and its sources are those of `optotagging.optotag_units`.

    Returns
    -------
    DataFrame indexed by unit_id: cell_type (Pvalb, Sst, Vip, or None), why, and the numbers behind it.

    Raises
    ------
    ValueError : the session has no light pulses, or its genotype no cell type that light drives.
    """
    light, trains = light_responses(path, structures, quality=quality)
    with open_session(path) as session:
        cell_type = cell_type_of_genotype(session.genotype)
        if cell_type is None:
            raise ValueError(f"{session.path}: animals of genotype {session.genotype!r} have no cell type that light drives; optotag sessions of Pvalb-, Sst- or Vip-Cre; Ai32 animals.")
    return optotag_units(trains, light, cell_type, config)


def light_responses(path: str | Path, structures: tuple[str, ...] | None = None, *, quality: dict | None = QUALITY_LIMITS):
    """The light pulses (DataFrame) and, by unit_id, the spike times around them (s): what `optotag` decides on and `plots.light_response` draws."""
    with open_session(path) as session:
        light = session.light_pulses()
        if not len(light):
            raise ValueError(f"{session.path}: there are no light pulses in this session; list_sessions tells which have them (has_light_pulses).")
        start, stop = light["start_time"].min() - 10.0, light["stop_time"].max() + 10.0
        trains = {}
        for unit_id in _chosen_units(session, structures, quality).index:
            times = session.spike_times(unit_id)
            first, last = np.searchsorted(times, [start, stop])
            trains[unit_id] = times[first:last].copy()            # a view would keep the whole train in memory
    return light, trains


def _recording_id(session: SessionFile, probe: str) -> str:
    return f"allen-{session.session_id}-{probe}"


def _chosen_units(session: SessionFile, structures, quality) -> pd.DataFrame:
    units = session.units(quality)
    area = units["ecephys_structure_acronym"]
    if isinstance(structures, str):
        raise ValueError(f"structures is {structures!r}; give a tuple of acronyms, such as ({structures!r},).")
    chosen = area.fillna("").str.startswith("VIS") if structures is None else area.isin(structures) if len(structures) else area.notna() | (quality is None)
    if not chosen.any():
        raise ValueError(f"{session.path}: none of its {len(units)} units lies in {structures or 'a visual area'}; there are {area.value_counts().to_dict()}. "
                         "Choose structures=(...), () for all, or looser quality limits.")
    return units[chosen]


def _probe_recordings(path: Path, structures, quality, cell_types):
    with open_session(path) as session:
        units, trusted = _chosen_units(session, structures, quality), session.units(quality)
        if cell_types is not None:
            units = units.assign(cell_type=cell_types["cell_type"].reindex(units.index))
        light = session.light_pulses()
        end_s = light["start_time"].min() - LIGHT_MARGIN_S if len(light) else np.inf
        invalid = session.invalid_times()
        epochs = session.stimulus_epochs().rename(columns={"start_time": "start_s", "stop_time": "stop_s", "stimulus_name": "name"})
        epochs = epochs[epochs["start_s"] < end_s].drop(columns="duration").assign(stop_s=lambda table: table["stop_s"].clip(upper=end_s))
        provenance = {"source": "allen_neuropixels", "file": path.name, "session_id": session.session_id, "session_type": session.session_type,
                      "institution": session.institution, "genotype": session.genotype, "specimen_name": session.specimen_name, "structures": structures, "quality": quality}
        empty = []
        for probe, members in units.groupby("probe_description", sort=True):
            trains = [_until(session.spike_times(unit_id), end_s) for unit_id in members.index]
            concerned = [_concerns(tags, probe, members["probe_id"].iloc[0]) for tags in invalid["tags"]]
            others = trusted.index[trusted["probe_description"] == probe].difference(members.index)
            silences = _silences(trains, (_until(session.spike_times(unit_id), end_s) for unit_id in others))
            intervals = _valid_time(trains, np.concatenate([invalid.loc[concerned, ["start_time", "stop_time"]].to_numpy(), silences]))
            if not len(intervals):
                empty.append(probe)
                continue
            yield Recording.from_spike_trains(trains, members, intervals, recording_id=_recording_id(session, probe), animal_id=session.animal_id,
                                              probe_id=probe, epochs=epochs, provenance=provenance)
        none = f"{path}: no valid time on {', '.join(empty)}: no spike outside invalid times, silences, and the time from {LIGHT_MARGIN_S:g} s before the light pulses on"
        if len(empty) == units["probe_description"].nunique():
            raise ValueError(f"{none}; choose other structures or another session.")
        if empty:
            warnings.warn(f"{none}; left out.", stacklevel=3)


def _concerns(tags: list[str], probe: str, probe_id: int) -> bool:
    """Whether an invalid time with these tags (scope, its id, label) is one of this probe: all but those of another probe are."""
    of_a_probe = "EcephysProbe" in tags or any(tag.startswith("probe") and tag != "all_probes" for tag in tags)
    return not of_a_probe or probe in tags or str(probe_id) in tags


def _until(train: np.ndarray, end_s: float) -> np.ndarray:
    """The spikes before `end_s`: of the others not even the number is kept."""
    return train[: np.searchsorted(train, end_s)]


def _silences(trains: list[np.ndarray], others) -> np.ndarray:
    """(K, 2), s: where the whole probe is silent, with 1 s on either side. `others`, the spike times of its other units, are read only if these are silent."""
    times = np.sort(np.concatenate(trains), kind="stable")
    if (np.diff(times) > SILENCE_S).any():
        times = np.sort(np.concatenate([times, *others]), kind="stable")
    last = np.flatnonzero(np.diff(times) > SILENCE_S)
    return np.stack([times[last] - 1.0, times[last + 1] + 1.0], axis=1)


def _valid_time(trains: list[np.ndarray], left_out: np.ndarray) -> np.ndarray:
    """(K, 2), s: from the first to the last spike, without what is left out."""
    ends = [train[[0, -1]] for train in trains if len(train)]
    return without(np.array([[np.min(ends), np.max(ends)]]), left_out) if ends else np.empty((0, 2))
