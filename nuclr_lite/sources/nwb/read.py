"""Recordings from NWB files, spikes or calcium traces: the door that your own data come through."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.progress import progress
from ...recording import Recording
from ..reading import first_line, kept_rows
from .columns import Labels, as_text
from .opening import all_here, is_address, is_zarr, name_in, opened, reads_zarr, without_secrets
from .spikes import chosen_table, no_data, spike_recordings, unit_tables
from .times import epochs_of, restricted
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
    units_table: str | None = None,
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
    units_table : which table of units, by name, of a file that has several. None: the file's own,
        or else the only one in a processing module or elsewhere.

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
        fsspec for an address, hdmf-zarr for Zarr, is not installed.
    ValueError : naming the file and the remedy: truncated, not NWB, of a version that pynwb doesn't
        read, with parts in another file that isn't there, or a broken connection; neither
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
                else (file, file.stem.removesuffix(".nwb"))
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
                units_table,
            )
    return recordings


def _files_at(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: nothing there; check the path, or download the file first."
        )
    if not path.is_dir() or is_zarr(path):
        return [path]
    # Names that begin with a dot are what macOS leaves on other systems' disks.
    named = sorted(
        item
        for pattern in ("*.nwb", "*.nwb.zarr")
        for item in path.glob(pattern)
        if item.name[0] != "."
    )
    unread = {
        "as Zarr (pip install hdmf-zarr, or export to HDF5)": [
            item for item in named if is_zarr(item) and not reads_zarr()
        ],
        "a link to nothing here (datalad get, git annex get)": [
            item for item in named if item.is_symlink() and not item.exists()
        ],
        "in subfolders (read each)": [
            item for item in sorted(path.glob("*/*.nwb")) if item.name[0] != "."
        ],
    }
    said = "; ".join(
        f"{len(items)} {what}, such as {items[0].relative_to(path)}"
        for what, items in unread.items()
        if items
    )
    left_out = {item for items in unread.values() for item in items}
    files = [item for item in named if item not in left_out and (item.is_file() or is_zarr(item))]
    if not files:
        raise FileNotFoundError(
            f"{path}: there is no .nwb file in this folder"
            + (f" that can be read: {said}." if said else "; give")
            + ("" if said else " the folder that holds them, or one file.")
        )
    if said:
        warnings.warn(
            f"{path}: {len(files)} NWB files are read; left out are {said}.", stacklevel=3
        )
    return files


def _read_file(
    nwbfile,
    file,
    name,
    modality,
    label_columns,
    animal,
    probe_column,
    series,
    intervals_from,
    keep,
    units_table,
) -> list[Recording]:
    from pynwb.ophys import RoiResponseSeries

    candidates = in_order(
        {
            place_of(item): item
            for item in nwbfile.objects.values()
            if isinstance(item, RoiResponseSeries)
        }
    )
    tables = unit_tables(nwbfile)
    held = {"spikes": bool(tables), "calcium": bool(candidates)}
    if modality is None and all(held.values()):
        raise ValueError(
            f"{file}: holds both spikes and calcium traces; choose with modality='spikes' or"
            " modality='calcium'."
        )
    if not (held[modality] if modality else any(held.values())):
        raise ValueError(no_data(nwbfile, file, modality))
    modality = modality or ("spikes" if held["spikes"] else "calcium")
    foreign = (
        {"series": series}
        if modality == "spikes"
        else {"probe_column": probe_column, "units_table": units_table}
    )
    for other, value in foreign.items():
        if value is not None:
            raise ValueError(
                f"{file}: {other}={value!r} means nothing for {modality}; leave it out, or choose"
                " the other modality."
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
    try:
        epochs = epochs_of(nwbfile, file)
    except Exception as error:  # h5py, hdmf and numpy raise all sorts at a broken table
        warnings.warn(
            f"{file}: left out its epochs, which can't be read ({first_line(error)}).", stacklevel=3
        )
        epochs = None

    if modality == "calcium":
        recordings = []
        for place, plane in chosen_series(candidates, series, file).items():
            rois = candidates[place].rois
            rows = np.asarray(rois.data[:])
            where = f"{file}: {place}" if plane else file
            all_here(file, place)
            labels = Labels(rois.table, rows, where, imaging_plane_of(candidates[place]))
            kept, shown = _chosen_units(labels, keep, label_columns, None, where)
            units = labels.table.iloc[kept]
            traces, rate, start_s, valid = frames_of(
                candidates[place], len(rows), f"{file}: {place}"
            )
            recordings.append(
                Recording.from_traces(
                    traces if keep is None else traces[:, kept],
                    rate,
                    units[shown],
                    restricted(valid, nwbfile, intervals_from, file),
                    recording_id=name + (f"-{plane}" if plane else ""),
                    start_s=start_s,
                    animal_id=_animal_id(nwbfile, units, animal, where),
                    provenance=provenance | {"series": place},
                    epochs=epochs,
                )
            )
        return recordings

    place, table = chosen_table(tables, units_table, file)
    all_here(file, place)
    labels = Labels(table, np.arange(len(table)), file, {})
    chosen = _chosen_units(labels, keep, label_columns, probe_column, file)
    return spike_recordings(
        nwbfile,
        table,
        chosen,
        labels,
        probe_column,
        intervals_from,
        file,
        name,
        animal_id=_animal_id(nwbfile, labels.table.iloc[chosen[0]], animal, file),
        provenance=provenance | ({} if place == "units" else {"units_table": place}),
        epochs=epochs,
    )


def _chosen_units(
    labels: Labels, keep, label_columns, probe_column, where
) -> tuple[np.ndarray, list[str]]:
    """Positions of the units to keep, and the names of the columns to show."""
    labels.need([name for name in labels.flawed if re.search(rf"\b{name}\b", keep or "")])
    kept = kept_rows(labels.table, keep, where)
    if label_columns is None:
        labels.name_flawed()
    shown = (
        [label_columns]
        if isinstance(label_columns, str)
        else list(labels.table.columns if label_columns is None else label_columns)
    )
    labels.need(shown + [probe_column] * (probe_column is not None))
    return kept, shown


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
