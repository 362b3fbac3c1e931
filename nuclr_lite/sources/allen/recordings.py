"""From a session file of the Allen Visual Coding Neuropixels set to recordings, one a probe, and to
cell types by optotagging. Needs h5py alone.

No spike from 300 s before the first light pulse on, and no column that tells of it, reaches a
recording: the cell types are made from the light responses.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.intervals import inside, without
from ...files.storage import file_name
from ...recording import Recording
from ..download.remote import RemoteFile
from .optotagging import DEFAULTS, OptotagConfig, cell_type_of_genotype, optotag_units
from .session_file import QUALITY_LIMITS, SessionFile, open_session, place_of

LIGHT_MARGIN_S = 300.0  # before the first light pulse, as in the paper
# What a recording's units table takes from the file. Not more: a column that somebody added may
# tell how a unit responds to light.
UNIT_COLUMNS = (
    "ecephys_structure_acronym",
    "probe_id",
    "probe_description",
    "peak_channel_id",
    "probe_vertical_position",
    "probe_horizontal_position",
    "anterior_posterior_ccf_coordinate",
    "dorsal_ventral_ccf_coordinate",
    "left_right_ccf_coordinate",
    "session_id",
    "genotype",
    "quality",
    *(
        f"waveform_{name}"
        for name in (
            "duration",
            "halfwidth",
            "PT_ratio",
            "amplitude",
            "spread",
            "recovery_slope",
            "repolarization_slope",
            "velocity_above",
            "velocity_below",
        )
    ),
    "snr",
    "amplitude_cutoff",
    "presence_ratio",
    "isi_violations",
    "isolation_distance",
    "L_ratio",
    "d_prime",
    "nn_hit_rate",
    "nn_miss_rate",
    "silhouette_score",
    "max_drift",
    "cumulative_drift",
)
SILENCE_S = 1.0  # no spike of a whole probe for longer than this: it wasn't recording


def read_session(
    path: str | Path | RemoteFile,
    structures: tuple[str, ...] | None = None,
    *,
    quality: dict | None = QUALITY_LIMITS,
    cell_types: pd.DataFrame | pd.Series | None = None,
    until_s: float | None = None,
) -> list[Recording]:
    """The recordings of one session file, one a probe.

    Valid time runs from the first to the last spike of a probe's chosen units, without: the invalid
    times that the file declares for the session or for this probe, whatever their label; silences
    of the whole probe (its units of other structures too) longer than 1 s, with 1 s on either side;
    and, where there were light pulses, everything from 300 s before the first one on, or a light
    response would give the label away.

    Parameters
    ----------
    path : session_<id>.nwb, as `download_session` returns it, or what `remote_session` returns.
    structures : acronyms, exactly these. None: the visual areas (VIS...). (): all.
    quality : limits of unit metrics, see `SessionFile.units`; AllenSDK's by default (limits of the
        paper's own are not known to us). None: every unit.
    cell_types : what `optotag` returned for this file: its `cell_type` becomes a column (None: not
        tagged, or not tested).
    until_s : use nothing later (s); needed where an animal with Ai32 has no table of light pulses
        in its file.

    Returns
    -------
    list[Recording], by probe. recording_id is 'allen-<session>-<probe>', animal_id the file's
    subject. `.units` has ecephys_structure_acronym, probe_id, positions on the probe and CCF
    coordinates (um), waveform and quality metrics, firing_rate (Hz, in valid time), genotype,
    session_id; `.epochs` the stimulus blocks. The quality metrics are the file's, over the whole
    session with its light: for choosing units, not for decoding cell types.

    Raises
    ------
    ValueError : no unit is left, naming the structures there are; no probe has valid time (a single
        one is left out, with a warning); what `open_session` and `Recording` refuse.
    """
    return list(_probe_recordings(path, structures, quality, cell_types, until_s))


def convert_session(
    path: str | Path | RemoteFile,
    folder: str | Path,
    structures: tuple[str, ...] | None = None,
    *,
    quality: dict | None = QUALITY_LIMITS,
    cell_types: pd.DataFrame | pd.Series | None = None,
    until_s: float | None = None,
    overwrite: bool = False,
) -> list[Recording]:
    """As `read_session`, but each recording is saved as `folder/<recording_id>` and opened from
    there: one probe at a time is in memory.

    All of a session or nothing: recordings appear in `folder` when the last one is saved, and with
    `overwrite` take the place of all that were there of this session. Raises FileExistsError,
    before anything is read, where there are some already and `overwrite` is False.
    """
    folder = Path(folder).expanduser()
    with open_session(path) as session:
        there = saved_of(folder, session.session_id)
    if there and not overwrite:
        raise FileExistsError(
            f"{there[0]} exists already; open it with Recording.load, choose another folder, or"
            " pass overwrite=True."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as scratch:
        saved = [
            recording.save(Path(scratch) / file_name(recording.recording_id))
            for recording in _probe_recordings(path, structures, quality, cell_types, until_s)
        ]
        for old in there:
            shutil.rmtree(old)
        return [Recording.load(new.rename(folder / new.name)) for new in saved]


def optotag(
    path: str | Path | RemoteFile,
    structures: tuple[str, ...] | None = None,
    *,
    quality: dict | None = QUALITY_LIMITS,
    config: OptotagConfig = DEFAULTS,
) -> pd.DataFrame:
    """Which units of a session respond to light as cells that express channelrhodopsin do: their
    cell type.

    Parameters are those of `read_session`; the criterion and its sources are those of
    `optotagging.optotag_units`.

    Returns
    -------
    DataFrame indexed by unit_id: cell_type (Pvalb, Sst, Vip, or None), why, and the numbers behind
    it.

    Raises
    ------
    ValueError : the session has no light pulses, or its genotype no cell type that light drives.
    """
    with open_session(path) as session:
        light, trains = _light_responses(session, structures, quality)
        cell_type = cell_type_of_genotype(session.genotype)
        if cell_type is None:
            raise ValueError(
                f"{session.path}: animals of genotype {session.genotype!r} have no cell type that"
                " light drives; optotag sessions of Pvalb-, Sst- or Vip-Cre; Ai32 animals."
            )
    return optotag_units(trains, light, cell_type, config)


def light_responses(
    path: str | Path | RemoteFile,
    structures: tuple[str, ...] | None = None,
    *,
    quality: dict | None = QUALITY_LIMITS,
):
    """The light pulses (DataFrame) and, by unit_id, the spike times around them (s): what `optotag`
    decides on and `plots.light_response` draws.
    """
    with open_session(path) as session:
        return _light_responses(session, structures, quality)


def _light_responses(session: SessionFile, structures, quality) -> tuple[pd.DataFrame, dict]:
    light = session.light_pulses()
    if not len(light):
        raise ValueError(
            f"{session.path}: there are no light pulses in this session; list_sessions tells which"
            " have them (has_light_pulses)."
        )
    start, stop = light["start_time"].min() - 10.0, light["stop_time"].max() + 10.0
    trains = {}
    chosen = _chosen_units(session.units(quality), structures, quality, session.path).index
    session.bring(chosen)
    for unit_id in chosen:
        times = session.spike_times(unit_id)
        first, last = np.searchsorted(times, [start, stop])
        trains[unit_id] = times[first:last].copy()  # a view would keep the whole train in memory
    return light, trains


def _recording_id(session_id: int, probe: str) -> str:
    return f"allen-{session_id}-{probe}"


def saved_of(folder: str | Path, session_id: int) -> list[Path]:
    """The recordings of a session that a folder has."""
    headers = Path(folder).expanduser().glob(f"{_recording_id(session_id, '*')}/recording.json")
    return sorted(header.parent for header in headers)


def _chosen_units(units: pd.DataFrame, structures, quality, path: Path) -> pd.DataFrame:
    units = units[[name for name in UNIT_COLUMNS if name in units]]
    area = units["ecephys_structure_acronym"]
    if isinstance(structures, str):
        raise ValueError(
            f"structures is {structures!r}; give a tuple of acronyms, such as ({structures!r},)."
        )
    structures = None if structures is None else tuple(structures)
    chosen = (
        area.fillna("").str.startswith("VIS")
        if structures is None
        else area.isin(structures)
        if structures
        else area.notna() | (quality is None)
    )
    if not chosen.any():
        raise ValueError(
            f"{path}: none of its {len(units)} units lies in {structures or 'a visual area'}; there"
            f" are {area.value_counts().to_dict()}. Choose structures=(...), () for all, or looser"
            " quality limits."
        )
    return units[chosen]


def _probe_recordings(source, structures, quality, cell_types, until_s):
    path = place_of(source)
    with open_session(source) as session:
        trusted = session.units(quality)
        units = _chosen_units(trusted, structures, quality, path)
        if cell_types is not None:
            units = units.assign(cell_type=_labels(cell_types, units.index, path))
        end_s = _end_s(session, until_s)
        invalid = session.invalid_times().fillna({"stop_time": np.inf})
        epochs = session.stimulus_epochs().rename(
            columns={"start_time": "start_s", "stop_time": "stop_s", "stimulus_name": "name"}
        )
        epochs = (
            epochs[epochs["start_s"] < end_s]
            .drop(columns="duration")
            .assign(stop_s=lambda table: table["stop_s"].clip(upper=end_s))
        )
        provenance = {
            "source": "allen_neuropixels",
            "file": path.name,
            "session_id": session.session_id,
            "session_type": session.session_type,
            "institution": session.institution,
            "genotype": session.genotype,
            "specimen_name": session.specimen_name,
            "structures": structures,
            "quality": quality,
        }
        empty = []
        session.bring(units.index, end_s)
        for probe, members in units.groupby("probe_description", sort=True):
            trains = [session.spike_times(unit_id, end_s) for unit_id in members.index]
            concerned = [
                _concerns(tags, probe, members["probe_id"].iloc[0]) for tags in invalid["tags"]
            ]
            others = trusted.index[trusted["probe_description"] == probe].difference(members.index)
            silences = _silences(trains, partial(session.spikes_within, others))
            intervals = _valid_time(
                trains,
                np.concatenate(
                    [
                        np.sort(invalid.loc[concerned, ["start_time", "stop_time"]], axis=1),
                        silences,
                        [[end_s, np.inf]],
                    ]
                ),
            )
            if not len(intervals):
                empty.append(probe)
                continue
            seconds = np.diff(intervals).sum()
            members = members.assign(
                firing_rate=[inside(train, intervals).sum() / seconds for train in trains]
            )
            yield Recording.from_spike_trains(
                trains,
                members,
                intervals,
                recording_id=_recording_id(session.session_id, probe),
                animal_id=session.animal_id,
                probe_id=probe,
                epochs=epochs,
                provenance=provenance,
            )
        none = (
            f"{path}: no valid time on {', '.join(empty)}: no spike outside invalid times,"
            f" silences, and the time from {LIGHT_MARGIN_S:g} s before the light pulses on"
        )
        if len(empty) == units["probe_description"].nunique():
            raise ValueError(f"{none}; choose other structures or another session.")
        if empty:
            warnings.warn(f"{none}; left out.", stacklevel=3)


def _end_s(session: SessionFile, until_s: float | None) -> float:
    """The last moment that may be used, s.

    Where light is to be expected and its times are not known, none is: better no recording than a
    leak.
    """
    starts = session.light_pulses()["start_time"].to_numpy(dtype=np.float64)
    unknown = (
        "has a light pulse without a time"
        if not np.isfinite(starts).all()
        else "is of an animal with Ai32, and has no table of light pulses"
    )
    if until_s is None and (
        not np.isfinite(starts).all() or (not len(starts) and "Ai32" in session.genotype)
    ):
        raise ValueError(
            f"{session.path}: {unknown}: when the light began is not known. Say with until_s=..."
            " (s) up to when the session may be used."
        )
    known = starts[np.isfinite(starts)]
    return min(
        known.min() - LIGHT_MARGIN_S if len(known) else np.inf,
        np.inf if until_s is None else until_s,
    )


def _labels(cell_types, unit_ids: pd.Index, path: Path) -> pd.Series:
    labels = cell_types if isinstance(cell_types, pd.Series) else cell_types["cell_type"]
    if not labels.index.isin(unit_ids).any():
        raise ValueError(
            f"{path}: cell_types holds none of the {len(unit_ids)} chosen units; give what optotag"
            " returned for this file and these structures."
        )
    return labels.reindex(unit_ids)


def _concerns(tags: list[str], probe: str, probe_id: int) -> bool:
    """Whether an invalid time with these tags (scope, its id, label) is one of this probe: all but
    those of another probe are.
    """
    of_a_probe = "EcephysProbe" in tags or any(
        tag.startswith("probe") and tag != "all_probes" for tag in tags
    )
    return not of_a_probe or probe in tags or str(probe_id) in tags


def _silences(trains: list[np.ndarray], others_within) -> np.ndarray:
    """(K, 2), s: where the whole probe is silent, with 1 s on either side.

    `others_within(gaps)` : spike times of its other units inside (K, 2) gaps, s; asked for only if
        these are silent.
    """
    times = np.sort(np.concatenate(trains), kind="stable")
    last = np.flatnonzero(np.diff(times) > SILENCE_S)
    if len(last):
        others = others_within(np.stack([times[last], times[last + 1]], axis=1))
        times = np.sort(np.concatenate([times, others]), kind="stable")
        last = np.flatnonzero(np.diff(times) > SILENCE_S)
    return np.stack([times[last] - 1.0, times[last + 1] + 1.0], axis=1)


def _valid_time(trains: list[np.ndarray], left_out: np.ndarray) -> np.ndarray:
    """(K, 2), s: from the first to the last spike, without what is left out."""
    ends = [train[[0, -1]] for train in trains if len(train)]
    return without(np.array([[np.min(ends), np.max(ends)]]), left_out) if ends else np.empty((0, 2))
