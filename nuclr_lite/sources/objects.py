"""Recordings from what other tools hold in memory: SpikeInterface, pynapple, long pandas tables."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from ..files.identity import plain_id
from ..files.intervals import covered
from ..recording import Recording


def from_spikeinterface(
    sorting_or_analyzer,
    *,
    animal_id: str,
    recording_id: str,
    units=None,
    probe_id: str | None = None,
    epochs: pd.DataFrame | None = None,
) -> Recording:
    """From a SpikeInterface `Sorting` or `SortingAnalyzer`.

    All properties with one value a unit become columns; of an analyzer also its computed
    `quality_metrics` and `template_metrics`, and `unit_locations` as x_um, y_um, z_um (where a
    property has the name of a metric, the metric counts).

    Several segments are laid one after another, each with a valid interval of its own, so that no
    window lies across. A segment keeps its times where they come after those before it, and else
    begins where the one before ended; `provenance` says by how many seconds each was moved. Valid
    is a segment's whole length where its recording is known (registered with the sorting, or the
    analyzer's), else from the first to the last spike of all its units.

    Parameters
    ----------
    units : ids of the units to keep, such as `metrics.query("snr > 5").index`. None: all.
    probe_id, epochs : as in `Recording.from_spike_trains`.

    Raises
    ------
    ImportError : spikeinterface is not installed. TypeError : neither of the two classes.
    ValueError : unknown units; no spikes; and what `Recording` itself refuses.
    """
    try:
        from spikeinterface.core import BaseSorting, SortingAnalyzer
    except ImportError as error:
        raise ImportError(
            "this needs spikeinterface, which is not installed: pip install spikeinterface"
        ) from error
    if not isinstance(sorting_or_analyzer, (BaseSorting, SortingAnalyzer)):
        raise TypeError(
            f"{recording_id}: this is a {type(sorting_or_analyzer).__name__}; give a SpikeInterface"
            " Sorting or SortingAnalyzer."
        )
    analyzer = sorting_or_analyzer if isinstance(sorting_or_analyzer, SortingAnalyzer) else None
    sorting = sorting_or_analyzer if analyzer is None else analyzer.sorting
    labels = _labels(sorting, analyzer, recording_id)
    if units is not None:
        units = list(units)
        unknown = [unit_id for unit_id in units if unit_id not in labels.index]
        if unknown:
            raise ValueError(
                f"{recording_id}: the sorting has no unit {unknown[0]!r} ({len(unknown)} of"
                f" {len(units)} are unknown); its ids are in sorting.unit_ids."
            )
        labels = labels.loc[units]

    pieces: dict = {unit_id: [] for unit_id in labels.index}
    intervals, end_s = [], -np.inf
    moved_s: list[float | None] = []
    for segment in range(sorting.get_num_segments()):
        trains, valid = _segment(sorting, analyzer, segment)
        if valid is None:  # no spike and no known length
            moved_s.append(None)
            continue
        moved_s.append(max(0.0, end_s - valid[0]))
        for unit_id, parts in pieces.items():
            parts.append(trains[unit_id] + moved_s[-1])
        # Not below the end of the one before, which rounding might do.
        intervals.append([max(valid[0] + moved_s[-1], end_s), valid[1] + moved_s[-1]])
        end_s = intervals[-1][1]
    if not intervals:
        raise ValueError(f"{recording_id}: no unit of the sorting has a spike; check the sorting.")
    return Recording.from_spike_trains(
        [np.concatenate(parts) for parts in pieces.values()],
        labels,
        intervals,
        recording_id=recording_id,
        animal_id=animal_id,
        probe_id=probe_id,
        epochs=epochs,
        provenance={
            "source": "spikeinterface",
            "class": type(sorting_or_analyzer).__name__,
            "sampling_rate_hz": sorting.get_sampling_frequency(),
            "segments_moved_s": moved_s,
        },
    )


def _segment(sorting, analyzer, segment: int):
    """The spike times of every unit in one segment, s, and its valid interval (start, stop), s, or
    None.
    """
    rate = sorting.get_sampling_frequency()
    recording = sorting._recording
    if analyzer is not None and (analyzer.has_recording() or analyzer.has_temporary_recording()):
        recording = analyzer.recording
    if recording is not None:
        # Not get_unit_spike_train(return_times=True): it makes the times of all samples, for every
        # unit anew.
        last = recording.get_num_samples(segment_index=segment) - 1
        trains = {}
        for unit_id in sorting.unit_ids:
            samples = sorting.get_unit_spike_train(unit_id, segment_index=segment)
            known = np.clip(samples, 0, last)
            # A time vector ends where the recording does; spikes that a sorter put beyond it lie
            # outside valid time, where they are counted.
            trains[unit_id] = (
                recording.sample_index_to_time(known, segment_index=segment)
                + (samples - known) / rate
            )
        return trains, (
            recording.get_start_time(segment_index=segment),
            recording.get_end_time(segment_index=segment) + 1 / rate,
        )
    trains = {
        unit_id: sorting.get_unit_spike_train(unit_id, segment_index=segment, return_times=True)
        for unit_id in sorting.unit_ids
    }
    # one that was loaded without its recording still knows how long that was
    if analyzer is not None:
        return trains, (0.0, analyzer.get_num_samples(segment) / rate)
    times = np.concatenate(list(trains.values()) or [np.empty(0)])
    return trains, (times.min(), times.max()) if len(times) else None


def _labels(sorting, analyzer, recording_id: str) -> pd.DataFrame:
    """One row a unit: properties, and what the analyzer has computed."""
    columns = {name: sorting.get_property(name) for name in sorting.get_property_keys()}
    if analyzer is not None:
        for name in ("quality_metrics", "template_metrics"):
            if analyzer.has_extension(name):
                columns |= dict(
                    analyzer.get_extension(name).get_data().reindex(sorting.unit_ids).items()
                )
        if analyzer.has_extension("unit_locations"):
            columns |= dict(
                zip(("x_um", "y_um", "z_um"), analyzer.get_extension("unit_locations").get_data().T)
            )
    return one_value(columns, sorting.unit_ids, recording_id)


def one_value(columns: dict, ids, recording_id: str) -> pd.DataFrame:
    """The columns of one number or text a unit, by unit id; a warning names the others."""
    held = {}
    for name, column in columns.items():
        column = (
            pd.Series(list(column), index=ids)
            if np.ndim(column) != 1
            else pd.Series(getattr(column, "array", column), index=ids)
        )
        kinds = (
            {
                (
                    "text"
                    if isinstance(value, (str, bytes))
                    else "number"
                    if np.isscalar(value)
                    else "other"
                )
                for value in column[column.notna()]
            }
            if column.dtype == object
            else set()
        )
        if len(kinds) < 2 and "other" not in kinds and column.dtype.kind in "biufO":
            # the units table has its own unit_id
            held["unit_id_in_file" if name == "unit_id" else str(name)] = column
    left_out = [str(name) for name in columns if str(name) not in held and name != "unit_id"]
    if left_out:
        warnings.warn(
            f"{recording_id}: left out what has no one number or text a unit:"
            f" {', '.join(left_out)}.",
            stacklevel=4,
        )
    return pd.DataFrame(held, index=ids)


def from_pynapple(
    data,
    *,
    animal_id: str,
    recording_id: str,
    probe_id: str | None = None,
    epochs: pd.DataFrame | None = None,
) -> Recording:
    """From a pynapple `TsGroup` (spikes) or `TsdFrame` (dF/F or events, one column a unit).

    Metadata with one value a unit become columns. Valid is the `time_support`; of a TsdFrame only
    where it has frames: they are placed on a regular grid, and an epoch ends with its last frame.
    The sampling rate is that of the timestamps.

    Raises
    ------
    ImportError : pynapple is not installed. TypeError : neither of the two classes.
    ValueError : timestamps that are no regular series; and what `Recording` itself refuses.
    """
    try:
        import pynapple as nap
    except ImportError as error:
        raise ImportError(
            "this needs pynapple, which is not installed: pip install pynapple"
        ) from error
    if not isinstance(data, (nap.TsGroup, nap.TsdFrame)):
        raise TypeError(
            f"{recording_id}: this is a {type(data).__name__}; give a pynapple TsGroup (spikes) or"
            " TsdFrame (traces)."
        )
    ids = pd.Index(data.keys() if isinstance(data, nap.TsGroup) else data.columns)
    labels = one_value(
        {name: data.get_info(name).to_numpy() for name in data.metadata_columns}, ids, recording_id
    )
    support = np.asarray(data.time_support.values, dtype=np.float64)
    common: dict[str, Any] = dict(
        recording_id=recording_id,
        animal_id=animal_id,
        probe_id=probe_id,
        epochs=epochs,
        provenance={"source": "pynapple", "class": type(data).__name__},
    )
    if isinstance(data, nap.TsGroup):
        return Recording.from_spike_trains(
            [data[key].t for key in data.keys()], labels, support, **common
        )

    from .reading import on_grid

    times = np.asarray(data.t)
    traces, rate, start_s, present = on_grid(
        np.asarray(data.values, dtype=np.float32), times, f"{recording_id}: this TsdFrame"
    )
    intervals = []
    for start, stop in support:
        frames = times[(times >= start) & (times <= stop)]
        if len(frames):
            # A frame is valid for as long as it lasts; time_support knows only when the last one
            # begins.
            epoch = [frames[0], frames[-1] + 1 / rate]
            intervals += list(covered(np.concatenate([[epoch], present]), depth=2))
    for before, after in zip(intervals, intervals[1:]):
        before[1] = min(before[1], after[0])
    return Recording.from_traces(traces, rate, labels, intervals, start_s=start_s, **common)


def from_long_table(
    table: pd.DataFrame,
    *,
    unit: str = "unit_id",
    time: str = "time_s",
    recording: str = "recording_id",
    animal: str = "animal_id",
    probe: str | None = None,
    label_columns: tuple[str, ...] | None = None,
    intervals: dict | None = None,
) -> list[Recording]:
    """From a table with one row a spike.

    Every other column that is constant within each unit becomes a label; a warning names the
    others.

    Parameters
    ----------
    table : DataFrame. unit, time, recording, animal, probe : names of its columns; time in s. Where
        there is one recording or one animal, add it: `table.assign(recording_id="monday",
        animal_id="m1")`.
    probe : with it, unit ids may repeat across the probes of a recording, which then becomes one
        recording a probe, '<recording_id>-<probe>'.
    label_columns : which columns are labels, each constant within every unit. None: all that are.
    intervals : {recording_id: (K, 2) valid time in s}, by the ids in the table. None: each
        recording from its first to its last spike.

    Returns
    -------
    list[Recording], in the order in which they first appear in the table; so are the units of each.

    Raises
    ------
    ValueError : naming the column and the remedy: it isn't there; missing ids; times that are
        samples or dates; several animals in one recording; a label that changes within a unit; no
        intervals for a recording; and what `Recording` refuses.
    """
    if not isinstance(table, pd.DataFrame) or not len(table) or table.columns.has_duplicates:
        raise ValueError(
            "this is no DataFrame with one row a spike and one name a column, or it has no rows;"
            " check how it was read."
        )
    roles = [name for name in (unit, time, recording, animal, probe) if name is not None]
    for name in roles + list(label_columns or ()):
        if name not in table.columns:
            raise ValueError(
                f"the table has no column {name!r}; it has {list(table.columns)}. Name yours"
                f" (unit=..., time=...), or add it: table.assign({name}=...)."
            )
    for name in roles:
        if name != time and table[name].isna().any():
            raise ValueError(
                f"{int(table[name].isna().sum())} rows have no value in {name!r} (first: row"
                f" {int(table[name].isna().argmax())}); drop these rows, or fill them in."
            )
    if not (pd.api.types.is_float_dtype(table[time]) or table[time].dtype.kind == "m"):
        raise ValueError(
            f"the times in {time!r} are {table[time].dtype}, not seconds; divide samples by the"
            f" sampling rate (table[{time!r}] / 30000)."
        )
    places = [recording] if probe is None else [recording, probe]
    unit_of = table.groupby([*places, unit], sort=False, observed=True)
    candidates = (
        [name for name in table.columns if name not in roles]
        if label_columns is None
        else list(label_columns)
    )
    change = {name: _changes(unit_of, name, must=label_columns is not None) for name in candidates}
    held = [name for name, where in change.items() if not len(where)]
    _name_left_out({name: where for name, where in change.items() if len(where)}, unit_of.ngroups)
    labels = unit_of[held].first() if held else pd.DataFrame(index=unit_of.size().index)

    probes = table.groupby(recording, sort=False, observed=True)[probe or recording].nunique()
    recordings = []
    for place, rows in table.groupby(places, sort=False, observed=True):
        animals = rows[animal].unique()
        if len(animals) > 1:
            raise ValueError(
                f"{place[0]}: has {len(animals)} values in {animal!r}"
                f" ({', '.join(map(str, animals[:3]))}); a recording has one: give each its"
                f" own {recording!r}."
            )
        if intervals is not None and place[0] not in intervals:
            raise ValueError(
                f"{place[0]}: `intervals` has none for it; add them, or pass None for first to"
                " last spike."
            )
        trains = {
            unit_id: train.to_numpy()
            for unit_id, train in rows.groupby(unit, sort=False, observed=True)[time]
        }
        here = [(*place, unit_id) for unit_id in trains]
        own = labels.reindex(pd.MultiIndex.from_tuples(here)).set_axis(list(trains))
        names = [str(plain_id(name)) for name in place]
        recordings.append(
            Recording.from_spike_trains(
                list(trains.values()),
                own.rename(columns={"unit_id": "unit_id_in_file"}),
                None if intervals is None else intervals[place[0]],
                recording_id="-".join(names) if probes[place[0]] > 1 else names[0],
                animal_id=animals[0],
                probe_id=None if probe is None else place[1],
                provenance={"source": "table"},
            )
        )
    return recordings


def _changes(unit_of, name: str, must: bool) -> pd.Series:
    """How many values a column has in each unit, of those where it has several."""
    try:
        counts = unit_of[name].nunique(dropna=False)
    except TypeError:  # lists and arrays
        if must:
            raise ValueError(
                f"the label {name!r} holds lists or arrays; give one number or one text a row."
            ) from None
        return unit_of.size()
    counts = counts[counts > 1]
    if must and len(counts):
        *place, unit_id = counts.index.tolist()[0]
        raise ValueError(
            f"{'-'.join(map(str, place))}: unit {unit_id!r} has {counts.iloc[0]} values of the"
            f" label {name!r}; a unit has one: correct the table, or leave the label out."
        )
    return counts


def _name_left_out(change: dict[str, pd.Series], n_units: int):
    """A warning of the columns that change within units."""
    if not change:
        return
    said = ", ".join(f"{name!r} (in {len(units)})" for name, units in change.items())
    first, units = next(iter(change.items()))
    warnings.warn(
        f"left out {len(change)} columns without one number or text in each of the {n_units} units:"
        f" {said}; such as unit {units.index.tolist()[0][-1]!r}, with {units.iloc[0]} values of"
        f" {first!r}. Where two units have one id, as those of two probes, they were joined: name"
        " the column that tells them apart (probe=...), or give each its own id.",
        stacklevel=3,
    )
