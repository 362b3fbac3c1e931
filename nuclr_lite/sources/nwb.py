"""Recordings from NWB files, spikes or calcium traces: the door that your own data comes through."""
from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from ..intervals import covered, without
from ..progress import progress
from ..recording import Recording
from ..tables import tidy_units


def read_nwb(path: str | Path, *, modality: str | None = None, label_columns: tuple[str, ...] | None = None, animal: str | None = None,
             probe_column: str | None = None, series: str | None = None, intervals_from: str | None = None,
             keep: str | None = None) -> list[Recording]:
    """The recordings in an NWB file, or in all .nwb files of a folder.

    Spikes come from the units table; valid is the time that the `obs_intervals` of all units share or, where there are none, from
    the first to the last spike. Calcium comes from a RoiResponseSeries; with timestamps, frames are placed on a regular grid, and
    gaps are left out of valid time. So are the invalid_times that a file declares. Nothing else is cut out: end the valid time of a
    session with optotagging before the light pulses (`intervals_from`), or light responses give labels away.

    Parameters
    ----------
    path : a file or a folder. modality : 'spikes' or 'calcium'. None: whichever the file holds.
    label_columns : columns of the units (or ROI) table to keep. None: all with one value a unit, also `electrode_group` (its name)
        and `electrode_location`, where a unit's electrodes agree on one. A column `unit_id` becomes `unit_id_in_file`.
    animal : None: the file's subject_id. The name of a column that is constant within the file: its value. Else the id itself.
    probe_column : a column such as 'electrode_group': one recording for each of its values (spikes only). None: one a file.
    series : which RoiResponseSeries, by name or 'container/name'. None: the one inside a DfOverF, or else the only one.
    intervals_from : 'epochs', 'trials' or another table of intervals in the file: only its rows are valid time.
    keep : which units: a pandas expression over the columns, such as "quality == 'good' and depth > 100".

    Returns
    -------
    list[Recording], in order of file name. recording_id is the file's name without .nwb, with '-' and the probe if there is a
    probe_column; units are indexed by the table's id; times are in s on the file's clock; `.epochs` is the file's epochs table.

    Raises
    ------
    FileNotFoundError : nothing at `path`, or no .nwb file in the folder. ImportError : pynwb is not installed.
    ValueError : naming the file and the remedy: truncated or not NWB; neither or both modalities; no subject_id; a column, series
        or table that isn't there; no time that is valid for all units; and what `Recording` itself refuses.
    """
    if modality not in (None, "spikes", "calcium"):
        raise ValueError(f"modality is {modality!r}; use 'spikes', 'calcium', or None for whichever the file holds.")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: nothing there; check the path, or download the file first.")
    # Names that begin with a dot are what macOS leaves on other systems' disks.
    files = sorted(file for file in path.glob("*.nwb") if file.is_file() and file.name[0] != ".") if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"{path}: there is no .nwb file in this folder; give the folder that holds them, or one file.")
    recordings = []
    for file in progress(files, desc="read NWB", unit="file", leave=False, disable=len(files) == 1):
        with _opened(file) as nwbfile:
            recordings += _read_file(nwbfile, file, modality, label_columns, animal, probe_column, series, intervals_from, keep)
    return recordings


@contextmanager
def _opened(file: Path):
    """The NWBFile, open; ValueError where it, or later its data, can't be read."""
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ImportError("reading NWB files needs pynwb, which is not installed: pip install pynwb") from error
    broken = "{}: can't be read as NWB ({}): it is truncated or not NWB; download it again."
    with ExitStack() as closing:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Ignoring cached namespace")      # an older NWB version, and read all the same
                nwbfile = closing.enter_context(NWBHDF5IO(str(file), "r", load_namespaces=True)).read()
        except PermissionError:
            raise
        except Exception as error:        # h5py and hdmf raise all sorts here
            raise ValueError(broken.format(file, _first_line(error))) from error
        try:
            yield nwbfile
        except OSError as error:          # damaged data are met only when they are read
            raise ValueError(broken.format(file, _first_line(error))) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]


def _read_file(nwbfile, file, modality, label_columns, animal, probe_column, series, intervals_from, keep) -> list[Recording]:
    from pynwb.ophys import RoiResponseSeries

    candidates = {_place(item): item for item in nwbfile.objects.values() if isinstance(item, RoiResponseSeries)}
    held = {"spikes": nwbfile.units is not None and "spike_times" in nwbfile.units.colnames, "calcium": bool(candidates)}
    if modality is None and all(held.values()):
        raise ValueError(f"{file}: holds both spikes and calcium traces; choose with modality='spikes' or modality='calcium'.")
    if not (held[modality] if modality else any(held.values())):
        raise ValueError(f"{file}: holds no {modality or 'spikes and no calcium'}; looked for a units table with spike_times, and for a "
                         "RoiResponseSeries in processing modules and acquisition. Choose another file or modality.")
    modality = modality or ("spikes" if held["spikes"] else "calcium")
    other, value = ("series", series) if modality == "spikes" else ("probe_column", probe_column)
    if value is not None:
        raise ValueError(f"{file}: {other}={value!r} means nothing for {modality}; leave it out, or choose the other modality.")

    if modality == "spikes":
        table, rows = nwbfile.units, np.arange(len(nwbfile.units))
    else:
        place = _choose(candidates, series, file)
        table, rows = candidates[place].rois.table, np.asarray(candidates[place].rois.data[:])
    labels = _one_value_columns(table, rows, file)
    kept = _kept(labels, keep, file)
    labels = labels.iloc[kept]
    shown = [label_columns] if isinstance(label_columns, str) else list(labels.columns if label_columns is None else label_columns)
    for name in shown + [probe_column] * (probe_column is not None):
        if name not in labels.columns:
            raise ValueError(f"{file}: no column {name!r} that has one value a unit; there are {list(labels.columns)}.")
    provenance = {"source": "nwb", "file": file.name, "identifier": nwbfile.identifier, "session_description": nwbfile.session_description,
                  "subject": {name: str(getattr(nwbfile.subject, name)) for name in ("species", "genotype", "sex", "age")
                              if getattr(nwbfile.subject, name, None)}}
    common = dict(animal_id=_animal_id(nwbfile, labels, animal, file), epochs=_epochs(nwbfile, file))

    if modality == "calcium":
        traces, rate, start_s, valid = _frames(candidates[place], len(rows), f"{file}: {place}")
        return [Recording.from_traces(traces if keep is None else traces[:, kept], rate, labels[shown],
                                      _restrict(valid, nwbfile, intervals_from, file), recording_id=file.stem, start_s=start_s,
                                      provenance=provenance | {"series": place}, **common)]

    trains = _ragged(table["spike_times"])
    observed = _ragged(table["obs_intervals"]) if "obs_intervals" in table.colnames else None
    probes = _text(labels[probe_column]) if probe_column else pd.Series("", index=labels.index)
    if probes.isna().any():
        raise ValueError(f"{file}: {int(probes.isna().sum())} units have no value in probe_column={probe_column!r}; "
                         "leave them out with keep='...', or choose another column.")
    recordings = []
    for probe in probes.unique():
        of_probe = np.flatnonzero(probes == probe)
        members = kept[of_probe]
        if observed is not None and any(len(observed[i]) for i in members):
            valid = _all_observed([observed[i] for i in members], labels.index[of_probe], file)
        elif intervals_from is None:
            times = np.concatenate([trains[i] for i in members])
            valid = np.array([[times.min(initial=np.inf), times.max(initial=-np.inf)]])
        else:
            valid = np.array([[-np.inf, np.inf]])
        recordings.append(Recording.from_spike_trains(
            [trains[i] for i in members], labels[shown].iloc[of_probe], _restrict(valid, nwbfile, intervals_from, file),
            recording_id=file.stem + (f"-{probe}" if probe_column else ""), probe_id=probe or None, provenance=provenance, **common))
    return recordings


def _place(item) -> str:
    """'module/container/name' of something in the file (which itself has no parent)."""
    return "" if item.parent is None else f"{_place(item.parent)}/{item.name}".lstrip("/")


def _choose(candidates: dict, wanted: str | None, file) -> str:
    """The place of the RoiResponseSeries to read."""
    if wanted is not None:
        found = [place for place in candidates if f"/{place}".endswith(f"/{wanted}")]
    else:
        found = [place for place, item in candidates.items() if type(item.parent).__name__ == "DfOverF"] or list(candidates)
    if len(found) != 1:
        what = "several series of traces" if wanted is None else f"{len(found)} series of traces called {wanted!r}"
        raise ValueError(f"{file}: there are {what}; choose with series='name' one of {sorted(candidates)}.")
    return found[0]


def _one_value_columns(table, rows, file) -> pd.DataFrame:
    """The columns of `table` that hold one number or text a row, at `rows`, indexed by the table's id."""
    from hdmf.common import DynamicTableRegion, VectorIndex

    columns = {}
    for name in table.colnames:
        column = table[name]
        if name == "electrodes" and isinstance(column, VectorIndex) and "location" in column.target.table.colnames:
            locations = np.asarray(column.target.table["location"].data[:])
            places = [set(locations[electrodes]) for electrodes in _ragged(column)]
            columns["electrode_location"] = np.array([place.pop() if len(place) == 1 else None for place in places], dtype=object)[rows]
        if isinstance(column, (VectorIndex, DynamicTableRegion)) or len(column.data.shape) != 1:
            continue
        values = column.data[:]
        if name == "electrode_group":
            values = np.array([group.name for group in values], dtype=object)
        # Not compound values, nor references to other objects of the file.
        is_plain = isinstance(values, np.ndarray) and values.dtype.kind in "biufSUO"
        if is_plain and (values.dtype.kind != "O" or all(isinstance(value, (str, bytes)) for value in values)):
            # tidy_units would take a column `unit_id` for the index, which here is the table's own id.
            columns[name if name != "unit_id" else "unit_id_in_file"] = values[rows]
    ids = table.id[:][rows]
    return tidy_units(pd.DataFrame(columns, index=ids), len(ids), str(file))


def _kept(labels: pd.DataFrame, keep: str | None, file) -> np.ndarray:
    """Positions of the units for which the expression `keep` holds."""
    if keep is None:
        return np.arange(len(labels))
    try:
        kept = np.flatnonzero(labels.eval(keep).to_numpy(dtype=bool))
    except Exception as error:            # whatever may be wrong in an expression
        raise ValueError(f"{file}: keep={keep!r} failed ({_first_line(error)}); the columns are {list(labels.columns)}.") from error
    if not len(kept):
        raise ValueError(f"{file}: keep={keep!r} holds for none of its {len(labels)} units; loosen it.")
    return kept


def _text(values: pd.Series) -> pd.Series:
    """As text, whole numbers without '.0'; missing stays missing."""
    return values.map(lambda value: str(int(value)) if isinstance(value, float) and value.is_integer() else str(value), na_action="ignore")


def _animal_id(nwbfile, labels: pd.DataFrame, animal: str | None, file) -> str:
    if animal is None:
        if nwbfile.subject is None or not nwbfile.subject.subject_id:
            raise ValueError(f"{file}: has no subject_id; give animal='an id', or the name of a column that holds it.")
        return nwbfile.subject.subject_id
    if animal not in labels.columns:
        return str(animal)
    values = _text(labels[animal]).unique()
    if len(values) != 1 or pd.isna(values[0]):
        raise ValueError(f"{file}: column {animal!r} has the values {list(values[:5])}, and one animal a file is needed; "
                         "choose the units of one with keep='...', or give animal='an id'.")
    return values[0]


def _frames(series, n_rois: int, where: str):
    """Traces (frames, ROIs) float32, frames a second, when frame 0 begins (s), and the (K, 2) intervals that have frames, s."""
    traces = np.asarray(series.data, dtype=np.float32)
    traces = traces.reshape(len(traces), -1)           # one ROI may be stored flat
    if traces.shape[1] != n_rois and len(traces) == n_rois:
        warnings.warn(f"{where} is stored as (ROIs, frames), against the standard; it was transposed.", stacklevel=2)
        traces = traces.T
    if traces.shape[1] != n_rois:
        raise ValueError(f"{where} has shape {series.data.shape} for {n_rois} ROIs; (frames, ROIs) is needed: write the file again.")
    if (series.conversion, series.offset) != (1.0, 0.0):
        traces = traces * np.float32(series.conversion) + np.float32(series.offset)
    if series.rate is None:
        return _on_grid(traces, np.asarray(series.timestamps, dtype=np.float64), where)
    if not series.rate > 0:
        raise ValueError(f"{where} has a rate of {series.rate} Hz; write the file again with the true rate, or with timestamps.")
    start_s = float(series.starting_time or 0.0)
    return traces, float(series.rate), start_s, np.array([[start_s, start_s + len(traces) / series.rate]])


def _on_grid(traces: np.ndarray, timestamps: np.ndarray, where: str):
    """As `_frames`: frame i of the result begins at timestamps[0] + i / rate; frames that are missing are NaN."""
    steps = np.diff(timestamps)
    if len(timestamps) != len(traces) or len(steps) == 0 or not (steps > 0).all() or not np.isfinite(timestamps).all():
        raise ValueError(f"{where} needs one timestamp a frame, in seconds, each later than the one before; it has {len(timestamps)} for "
                         f"{len(traces)} frames, {int((~(steps > 0)).sum())} of them not later: write the file again.")
    is_gap = steps > 1.5 * np.median(steps)
    # The median step finds the gaps, the mean gives the rate: of times rounded to 1 ms, the median may be off by a percent.
    rate = float(1 / steps[~is_gap].mean())
    gaps = np.flatnonzero(is_gap) + 1
    grid_starts, intervals, free = [], [], 0
    for first, stop in zip(np.r_[0, gaps], np.r_[gaps, len(traces)]):
        # A stretch begins on the nearest frame of the grid; within it, frames follow each other whatever their jitter.
        grid_starts.append(max(free, round((timestamps[first] - timestamps[0]) * rate)))
        free = grid_starts[-1] + stop - first
        intervals.append([timestamps[0] + grid_starts[-1] / rate, timestamps[0] + free / rate])
    if free > 100 * len(traces):
        raise ValueError(f"{where} has {len(traces)} frames in {timestamps[-1] - timestamps[0]:g} s at {rate:g} Hz, nearly all of it gaps; "
                         "check that its timestamps are all in seconds and on one clock.")
    grid = np.full((free, traces.shape[1]), np.nan, dtype=np.float32)
    for at, part in zip(grid_starts, np.split(traces, gaps)):
        grid[at : at + len(part)] = part
    return grid, rate, float(timestamps[0]), covered(np.array(intervals))


def _ragged(column) -> list[np.ndarray]:
    """The values of each row of a column that may hold several a row."""
    if not hasattr(column, "target"):               # no VectorIndex: one a row
        return [np.atleast_1d(value) for value in column.data[:]]
    stops = np.asarray(column.data[:], dtype=np.int64)
    values = column.target.data[:]
    return [values[start:stop] for start, stop in zip(np.r_[0, stops[:-1]], stops)]


def _epochs(nwbfile, file) -> pd.DataFrame | None:
    table = nwbfile.epochs
    if table is None:
        return None
    times, known = _start_stop(table, file)
    column = next((name for name in ("tags", "label", "name") if name in table.colnames), None)
    names = [", ".join(map(str, tags)) or "epoch" for tags in _ragged(table[column])] if column else ["epoch"] * len(known)
    names = np.array(names, dtype=object)
    return pd.DataFrame({"start_s": times[:, 0], "stop_s": times[:, 1], "name": names[known]})


def _start_stop(table, file) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2), s, of the rows that have both times, in order; and which rows those are."""
    times = np.stack([table["start_time"].data[:], table["stop_time"].data[:]], axis=1).astype(np.float64)
    sound = np.isfinite(times).all(axis=1) & (times[:, 1] >= times[:, 0])
    if not sound.all():
        warnings.warn(f"{file}: left out {(~sound).sum()} of {len(sound)} rows of {table.name!r}: no time, or backwards.", stacklevel=2)
    return times[sound], sound


def _all_observed(observed: list[np.ndarray], unit_ids, file) -> np.ndarray:
    """(K, 2), s: the time that the obs_intervals of all units share."""
    shared = np.array([[-np.inf, np.inf]])
    for unit_id, rows in zip(unit_ids, observed):
        shared = covered(np.concatenate([shared, covered(rows.reshape(-1, 2))]), depth=2)
        if not len(shared):
            problem = "share no time with those of the units before it" if len(rows) else "are empty"
            raise ValueError(f"{file}: the obs_intervals of unit {unit_id} {problem}, so that no time is valid for all units; "
                             "read the probes apart with probe_column='...', or leave units out with keep='...'.")
    return shared


def _restrict(valid: np.ndarray, nwbfile, intervals_from: str | None, file) -> np.ndarray:
    """(K, 2), s: what of `valid` lies in the table `intervals_from` and outside the file's invalid_times."""
    from pynwb.epoch import TimeIntervals

    restricted = {}
    if intervals_from is not None:
        tables = {item.name: item for item in nwbfile.objects.values() if isinstance(item, TimeIntervals)}
        if intervals_from not in tables:
            raise ValueError(f"{file}: no table of intervals {intervals_from!r}; there are {sorted(tables)}.")
        restricted[intervals_from] = lambda time: covered(np.concatenate([time, covered(_start_stop(tables[intervals_from], file)[0])]), depth=2)
    if nwbfile.invalid_times is not None:
        restricted["invalid_times"] = lambda time: without(time, _start_stop(nwbfile.invalid_times, file)[0])
    for name, restrict in restricted.items():
        valid = restrict(valid)
        if not len(valid):
            raise ValueError(f"{file}: table {name!r} leaves no valid time; check that it uses the data's clock (s), or choose another.")
    return valid
