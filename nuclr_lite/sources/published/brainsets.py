"""Recordings from the .h5 files of brainsets and torch_brain (temporaldata.Data saved to HDF5):
what was prepared for the authors' code opens here. Needs h5py alone.

The layout (temporaldata's `to_hdf5`): each group names its class in the attribute `object`. `units`
is an ArrayDict, one row a unit, with `id`; `spikes` an IrregularTimeSeries with `timestamps` (s),
`unit_index` (the row in units) and an Interval `domain` (`start`, `end`); calcium an Irregular- or
RegularTimeSeries with `df_over_f` (frames, units). `session` and `subject` have an attribute `id`.
Texts are stored as ASCII bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ...files.identity import plain_id
from ...files.intervals import covered, inside
from ...files.progress import progress
from ...recording import Recording
from ..download.downloads import opens_as_hdf5
from ..reading import first_line, named, on_grid, trains_of
from .alf import epochs_table

SERIES = ("IrregularTimeSeries", "RegularTimeSeries")


def read_brainsets(
    path: str | Path,
    *,
    modality: str | None = None,
    probe_column: str | None = None,
    animal: str | None = None,
) -> list[Recording]:
    """The recordings in a processed .h5 file, or in all of a folder.

    Valid time is the data's `domain` within that of its spikes or traces. (Files of the authors'
    `*_probes` sets hold one probe each, and their domain has no silences in it.)

    Parameters
    ----------
    path : a file or a folder. modality : 'spikes' or 'calcium'. None: whichever the file holds.
    probe_column : a column of `units` such as 'probe_id' or 'pid': one recording for each of its
        values (spikes only). None: one a file.
    animal : None: the id of the file's `subject`.

    Returns
    -------
    list[Recording], in order of file name. recording_id is the id of the file's `session` (without
    one, the file's name), with '-' and the probe if there is a probe_column; units are indexed by
    their `id`, with every column of `units` that has one value a unit; `.epochs` has the file's
    other Intervals (trials, stimuli) by name.

    Raises
    ------
    FileNotFoundError : nothing at `path`, or no .h5 file in the folder. ValueError : naming the
        file and the remedy: damaged, or not temporaldata; neither or both modalities; no animal; a
        series that doesn't fit its units; and what `Recording` itself refuses.
    """
    if modality not in (None, "spikes", "calcium"):
        raise ValueError(
            f"modality is {modality!r}; use 'spikes', 'calcium', or None for whichever the file"
            " holds."
        )
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: nothing there; check the path, or prepare the data with brainsets first."
        )
    files = (
        sorted(file for file in path.glob("*.h5") if file.is_file() and file.name[0] != ".")
        if path.is_dir()
        else [path]
    )
    if not files:
        raise FileNotFoundError(
            f"{path}: there is no .h5 file in this folder; give the folder of processed files of"
            " one brainset, or one file."
        )
    return [
        recording
        for file in progress(
            files, desc="read brainsets", unit="file", leave=False, disable=len(files) == 1
        )
        for recording in _read_file(file, modality, probe_column, animal)
    ]


def _read_file(
    path: Path, modality: str | None, probe_column: str | None, animal: str | None
) -> list[Recording]:
    import h5py

    try:
        opens_as_hdf5(path)
    except ValueError as error:
        raise ValueError(
            f"{path}: {error}; copy it again, or prepare it again with brainsets."
        ) from error
    try:
        with h5py.File(path, "r") as file:
            return _recordings(file, path, modality, probe_column, animal)
    except (OSError, RuntimeError) as error:  # damaged data are met only when they are read
        raise ValueError(
            f"{path}: can't be read ({first_line(error)}): it is damaged; copy or prepare it again."
        ) from error


def _recordings(file, path: Path, modality, probe_column, animal) -> list[Recording]:
    kinds = {
        name: _text(item.attrs.get("object"))
        for name, item in file.items()
        if hasattr(item, "keys")
    }
    if _text(file.attrs.get("object")) != "Data" or kinds.get("units") != "ArrayDict":
        raise ValueError(
            f"{path}: isn't temporaldata.Data with a group `units` (ArrayDict); it has"
            f" {kinds or 'no group'}. Prepare it with brainsets, or use another source."
        )
    calcium = [name for name, kind in kinds.items() if kind in SERIES and "df_over_f" in file[name]]
    held = {"spikes": kinds.get("spikes") == "IrregularTimeSeries", "calcium": bool(calcium)}
    if modality is None and all(held.values()):
        raise ValueError(
            f"{path}: holds both spikes and calcium traces; choose with modality='spikes' or"
            " modality='calcium'."
        )
    if not (held[modality] if modality else any(held.values())):
        raise ValueError(
            f"{path}: holds no {modality or 'spikes and no calcium'}; looked for `spikes`"
            f" (timestamps, unit_index) and for a time series with df_over_f among {kinds}."
        )
    modality = modality or ("spikes" if held["spikes"] else "calcium")
    if modality == "calcium" and len(calcium) > 1:
        raise ValueError(f"{path}: holds df_over_f in {calcium}; keep one of them in the file.")
    if modality == "calcium" and probe_column is not None:
        raise ValueError(
            f"{path}: probe_column={probe_column!r} means nothing for calcium; leave it out."
        )

    units = _units(file["units"], path)
    session, subject = (
        _text(file[name].attrs.get("id")) if name in file else None
        for name in ("session", "subject")
    )
    if animal is None and not subject:
        raise ValueError(f"{path}: has no subject id; give animal='an id'.")
    epochs = epochs_table(
        {
            name: np.stack([file[name]["start"][:], file[name]["end"][:]], axis=1)
            for name, kind in kinds.items()
            if kind == "Interval" and not name.endswith("domain")
        },
        path,
    )
    brainset = _text(file["brainset"].attrs.get("id")) if "brainset" in file else None
    common = dict(
        animal_id=animal or subject,
        epochs=epochs,
        provenance={"source": "brainsets", "file": path.name, "brainset": brainset},
    )
    recording_id = session or path.stem
    whole = _domain(file, path)
    if modality == "spikes":
        return _spikes(file["spikes"], units, whole, probe_column, recording_id, common, path)
    series = file[calcium[0]]
    timestamps, traces, valid = _frames(series, len(units), whole, f"{path}: {calcium[0]}")
    there = inside(timestamps, valid + [-1e-6, 1e-6])
    if there.sum() < 2:
        raise ValueError(
            f"{path}: {calcium[0]} has {there.sum()} frames within its domain; check that both are"
            " in seconds on one clock."
        )
    grid, rate, start_s, intervals = on_grid(
        traces[there], timestamps[there], f"{path}: {calcium[0]}"
    )
    return [
        Recording.from_traces(
            grid, rate, units, intervals, recording_id=recording_id, start_s=start_s, **common
        )
    ]


def _spikes(
    group, units: pd.DataFrame, whole, probe_column, recording_id: str, common: dict, path: Path
) -> list[Recording]:
    if not {"timestamps", "unit_index"} <= set(group):
        raise ValueError(
            f"{path}: `spikes` has {sorted(group)}, and timestamps (s) and unit_index (the row in"
            " units) are needed; prepare it again."
        )
    times, rows = group["timestamps"][:], group["unit_index"][:].astype(np.int64)
    if len(times) != len(rows) or (len(rows) and not 0 <= rows.min() <= rows.max() < len(units)):
        raise ValueError(
            f"{path}: `spikes` has {len(times)} timestamps and {len(rows)} unit_index for"
            f" {len(units)} units; they don't belong together: prepare it again."
        )
    valid = _both(_domain(group, path), whole, path)
    trains = trains_of(times, rows, np.arange(len(units)))
    if probe_column is None:
        return [
            Recording.from_spike_trains(trains, units, valid, recording_id=recording_id, **common)
        ]
    if probe_column not in units.columns:
        raise ValueError(
            f"{path}: units has no column {probe_column!r}; there are {list(units.columns)}."
        )
    probes = units[probe_column].map(lambda value: str(plain_id(_text(value))))
    return [
        Recording.from_spike_trains(
            [trains[i] for i in np.flatnonzero(probes == probe)],
            units[(probes == probe).to_numpy()],
            valid,
            recording_id=f"{recording_id}-{probe}",
            probe_id=probe,
            **common,
        )
        for probe in sorted(probes.unique())
    ]


def _frames(series, n_units: int, whole, where: str):
    """Timestamps (frames,) s, traces (frames, units), and the (K, 2) intervals with frames, s."""
    traces = series["df_over_f"][:].astype(np.float32)
    domain = _domain(series, where)
    if traces.ndim != 2 or traces.shape[1] != n_units:
        raise ValueError(
            f"{where}: df_over_f has shape {traces.shape} for {n_units} units; (frames, units) is"
            " needed: prepare it again."
        )
    if "timestamps" in series:
        timestamps = series["timestamps"][:].astype(np.float64)
        if len(timestamps) != len(traces):
            raise ValueError(
                f"{where}: has {len(timestamps)} timestamps for {len(traces)} frames; prepare it"
                " again."
            )
    elif series.attrs.get("sampling_rate", 0) > 0 and domain is not None:
        timestamps = domain[0, 0] + np.arange(len(traces)) / float(series.attrs["sampling_rate"])
    else:
        raise ValueError(
            f"{where}: has neither timestamps nor a sampling_rate and a domain; prepare it again."
        )
    return timestamps, traces, _both(domain, whole, where)


def _domain(group, where) -> np.ndarray | None:
    """(K, 2), s; None for a group without one."""
    if "domain" not in group:
        return None
    domain = np.stack([group["domain"]["start"][:], group["domain"]["end"][:]], axis=1).astype(
        np.float64
    )
    if not len(domain) or not np.isfinite(domain).all():
        raise ValueError(
            f"{where}: its domain is empty or has no finite ends, so that no time is valid; prepare"
            " it again."
        )
    return domain


def _both(first, second, where) -> np.ndarray:
    """(K, 2), s: the time in both; where one is None, in the other."""
    given = [covered(domain) for domain in (first, second) if domain is not None]
    if not given:
        raise ValueError(f"{where}: has no domain (valid time); prepare it again.")
    valid = covered(np.concatenate(given), depth=len(given))
    if not len(valid):
        raise ValueError(
            f"{where}: the domains of the file and of its series share no time; prepare it again."
        )
    return valid


def _units(group, path: Path) -> pd.DataFrame:
    """The columns of `units` with one value a unit, indexed by `id`."""
    n_units = max(
        (item.shape[0] for item in group.values() if getattr(item, "shape", ())), default=0
    )
    columns = {
        name: named(item[:])
        for name, item in group.items()
        if getattr(item, "shape", ()) == (n_units,) and item.dtype.kind in "biufSO"
    }
    ids = columns.pop("id", np.arange(n_units))
    if "unit_id" in columns:  # Recording would take it for the index
        columns["unit_id_in_file"] = columns.pop("unit_id")
    index = [_text(unit_id) for unit_id in ids] if ids.dtype.kind in "SO" else ids
    return pd.DataFrame(columns, index=pd.Index(index, name="unit_id"))


def _text(value) -> str | None:
    return value.decode() if isinstance(value, bytes) else None if value is None else str(value)
