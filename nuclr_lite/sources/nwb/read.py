"""Recordings from NWB files, spikes or calcium traces: the door that your own data come through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.progress import progress
from ...recording import Recording
from ..reading import kept_rows
from .columns import as_text, one_value_columns, ragged
from .opening import is_address, name_in, opened, without_secrets
from .times import all_observed, epochs_of, restricted
from .traces import chosen_series, frames_of, imaging_plane_of, in_order, place_of


def read_nwb(
    path: str | Path,
    *,
    modality: str | None = None,
    label_columns: tuple[str, ...] | None = None,
    animal: str | None = None,
    probe_column: str | None = None,
    series: str | Sequence[str] | None = None,
    intervals_from: str | None = None,
    keep: str | None = None,
) -> list[Recording]:
    """The recordings in an NWB file, in all .nwb files of a folder, or in a file at an address.

    Spikes come from the units table; valid is the time that the `obs_intervals` of all units share
    or, where there are none, from the first to the last spike. Calcium comes from a
    RoiResponseSeries; with timestamps, frames are placed on a regular grid (averaged to it, with a
    notice, where the frame rate changes), and gaps are left out of valid time. So are frames that
    are NaN in all ROIs, and the invalid_times that a file declares. Nothing else is cut out: end
    the valid time of a session with optotagging before the light pulses (`intervals_from`), or
    light responses give labels away.

    Parameters
    ----------
    path : a file, a folder, or an address: 'https://...' (such as DANDI gives for each of its
        files) or 's3://...' in a public bucket. Of a file at an address only the parts are fetched
        that are read, and nothing is kept; to read it often, download it.
    modality : 'spikes' or 'calcium'. None: whichever the file holds.
    label_columns : columns of the units (or ROI) table to keep. None: all with one value a unit,
        also `electrode_group` (its name) and `electrode_location`, where a unit's electrodes agree
        on one; of ROIs also `imaging_plane` (its name) and `imaging_plane_location` (believe it
        only if you know who wrote it: Suite2p's own NWB files all say V1). A column `unit_id`
        becomes `unit_id_in_file`; Suite2p's `iscell`, `is_cell` and `cell_probability`.
    animal : None: the file's subject_id. The name of a column that is constant within the file: its
        value. Else the id itself.
    probe_column : a column such as 'electrode_group': one recording for each of its values (spikes
        only). None: one a file.
    series : which RoiResponseSeries, by name or 'container/name'. None: the one inside a DfOverF,
        or else the only one. Several names, or the name of a container such as 'DfOverF': one
        recording for each series, as a rule an imaging plane.
    intervals_from : 'epochs', 'trials' or another table of intervals in the file: only its rows are
        valid time.
    keep : which units: a pandas expression over the columns, such as "quality == 'good' and depth >
        100".

    Returns
    -------
    list[Recording], in order of file name. recording_id is the file's name without .nwb (at an
    address that has none: the file's identifier), with '-' and the probe or plane where they make
    several recordings of a file; units are indexed by the table's id; times are in s on the file's
    clock; `.epochs` is the file's epochs table, and what speaks of light: rows of `trials` with
    photostimulation, say ('trials: photostim_onset'), for `checks.light` to find.

    Raises
    ------
    FileNotFoundError : nothing at `path`, or no .nwb file in the folder. ImportError : pynwb, or
        fsspec for an address, is not installed.
    ValueError : naming the file and the remedy: truncated, not NWB, or a broken connection; neither
        or both modalities; no subject_id; a column, series or table that isn't there; no time that
        is valid for all units; and what `Recording` itself refuses.
    """
    if modality not in (None, "spikes", "calcium"):
        raise ValueError(
            f"modality is {modality!r}; use 'spikes', 'calcium', or None for whichever the file"
            " holds."
        )
    files = [path] if is_address(path) else _files_at(Path(path))
    recordings = []
    for file in progress(files, desc="read NWB", unit="file", leave=False, disable=len(files) == 1):
        with opened(file) as nwbfile:
            shown, name = (
                (without_secrets(file), name_in(file) or nwbfile.identifier)
                if is_address(file)
                else (file, file.stem)
            )
            recordings += _read_file(
                nwbfile,
                shown,
                name,
                modality,
                label_columns,
                animal,
                probe_column,
                series,
                intervals_from,
                keep,
            )
    return recordings


def _files_at(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: nothing there; check the path, or download the file first."
        )
    # Names that begin with a dot are what macOS leaves on other systems' disks.
    files = (
        sorted(file for file in path.glob("*.nwb") if file.is_file() and file.name[0] != ".")
        if path.is_dir()
        else [path]
    )
    if not files:
        raise FileNotFoundError(
            f"{path}: there is no .nwb file in this folder; give the folder that holds them, or one"
            " file."
        )
    return files


def _read_file(
    nwbfile, file, name, modality, label_columns, animal, probe_column, series, intervals_from, keep
) -> list[Recording]:
    from pynwb.ophys import RoiResponseSeries

    candidates = in_order(
        {
            place_of(item): item
            for item in nwbfile.objects.values()
            if isinstance(item, RoiResponseSeries)
        }
    )
    held = {
        "spikes": nwbfile.units is not None and "spike_times" in nwbfile.units.colnames,
        "calcium": bool(candidates),
    }
    if modality is None and all(held.values()):
        raise ValueError(
            f"{file}: holds both spikes and calcium traces; choose with modality='spikes' or"
            " modality='calcium'."
        )
    if not (held[modality] if modality else any(held.values())):
        raise ValueError(
            f"{file}: holds no {modality or 'spikes and no calcium'}; looked for a units table with"
            " spike_times, and for a RoiResponseSeries in processing modules and acquisition."
            " Choose another file or modality."
        )
    modality = modality or ("spikes" if held["spikes"] else "calcium")
    other, value = ("series", series) if modality == "spikes" else ("probe_column", probe_column)
    if value is not None:
        raise ValueError(
            f"{file}: {other}={value!r} means nothing for {modality}; leave it out, or choose the"
            " other modality."
        )

    provenance = {
        "source": "nwb",
        "file": file.name if isinstance(file, Path) else file,
        "identifier": nwbfile.identifier,
        "session_description": nwbfile.session_description,
        "subject": {
            name: str(getattr(nwbfile.subject, name))
            for name in ("species", "genotype", "sex", "age")
            if getattr(nwbfile.subject, name, None)
        },
    }
    epochs = epochs_of(nwbfile, file)

    if modality == "calcium":
        recordings = []
        for place, plane in chosen_series(candidates, series, file).items():
            rois = candidates[place].rois
            rows = np.asarray(rois.data[:])
            where = f"{file}: {place}" if plane else file
            labels = one_value_columns(rois.table, rows, where, imaging_plane_of(candidates[place]))
            kept, labels, shown = _chosen_units(labels, keep, label_columns, None, where)
            traces, rate, start_s, valid = frames_of(
                candidates[place], len(rows), f"{file}: {place}"
            )
            recordings.append(
                Recording.from_traces(
                    traces if keep is None else traces[:, kept],
                    rate,
                    labels[shown],
                    restricted(valid, nwbfile, intervals_from, file),
                    recording_id=name + (f"-{plane}" if plane else ""),
                    start_s=start_s,
                    animal_id=_animal_id(nwbfile, labels, animal, where),
                    provenance=provenance | {"series": place},
                    epochs=epochs,
                )
            )
        return recordings

    table = nwbfile.units
    labels = one_value_columns(table, np.arange(len(table)), file, {})
    kept, labels, shown = _chosen_units(labels, keep, label_columns, probe_column, file)
    animal_id = _animal_id(nwbfile, labels, animal, file)
    trains = ragged(table["spike_times"])
    observed = ragged(table["obs_intervals"]) if "obs_intervals" in table.colnames else None
    probes = as_text(labels[probe_column]) if probe_column else pd.Series("", index=labels.index)
    if probes.isna().any():
        raise ValueError(
            f"{file}: {int(probes.isna().sum())} units have no value in"
            f" probe_column={probe_column!r}; leave them out with keep='...', or choose another"
            " column."
        )
    recordings = []
    for probe in probes.unique():
        of_probe = np.flatnonzero(probes == probe)
        members = kept[of_probe]
        if observed is not None and any(len(observed[i]) for i in members):
            valid = all_observed([observed[i] for i in members], labels.index[of_probe], file)
        elif intervals_from is None:
            times = np.concatenate([trains[i] for i in members])
            valid = np.array([[times.min(initial=np.inf), times.max(initial=-np.inf)]])
        else:
            valid = np.array([[-np.inf, np.inf]])
        recordings.append(
            Recording.from_spike_trains(
                [trains[i] for i in members],
                labels[shown].iloc[of_probe],
                restricted(valid, nwbfile, intervals_from, file),
                recording_id=name + (f"-{probe}" if probe_column else ""),
                probe_id=probe or None,
                animal_id=animal_id,
                provenance=provenance,
                epochs=epochs,
            )
        )
    return recordings


def _chosen_units(
    labels: pd.DataFrame, keep, label_columns, probe_column, where
) -> tuple[np.ndarray, pd.DataFrame, list[str]]:
    """Positions of the units to keep, their labels, and the names of the columns to show."""
    kept = kept_rows(labels, keep, where)
    shown = (
        [label_columns]
        if isinstance(label_columns, str)
        else list(labels.columns if label_columns is None else label_columns)
    )
    for name in shown + [probe_column] * (probe_column is not None):
        if name not in labels.columns:
            raise ValueError(
                f"{where}: no column {name!r} that has one value a unit; there are"
                f" {list(labels.columns)}."
            )
    return kept, labels.iloc[kept], shown


def _animal_id(nwbfile, labels: pd.DataFrame, animal: str | None, file) -> str:
    if animal is None:
        if nwbfile.subject is None or not nwbfile.subject.subject_id:
            raise ValueError(
                f"{file}: has no subject_id; give animal='an id', or the name of a column that"
                " holds it."
            )
        return nwbfile.subject.subject_id
    if animal not in labels.columns:
        return str(animal)
    values = as_text(labels[animal]).unique()
    if len(values) != 1 or pd.isna(values[0]):
        raise ValueError(
            f"{file}: column {animal!r} has the values {list(values[:5])}, and one animal a file is"
            " needed; choose the units of one with keep='...', or give animal='an id'."
        )
    return values[0]
