"""Spikes of an NWB file: which table of units, their trains, and what else looked like spikes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.nwb_files import lost_parts
from ...files.seconds import spikes_in_seconds
from ...recording import Recording
from .columns import Labels, as_text, ragged
from .times import all_observed, restricted
from .traces import place_of

# Neurodata types that have to do with spikes, but are no sorted units.
NO_UNITS = (
    "Clustering",
    "EventDetection",
    "EventWaveform",
    "FeatureExtraction",
    "SpikeEventSeries",
)


def unit_tables(nwbfile) -> dict:
    """{place: table} of the units with spike times, wherever they lie."""
    from pynwb.misc import Units

    tables = {} if nwbfile.units is None else {"units": nwbfile.units}
    tables |= {
        place_of(item): item
        for item in nwbfile.objects.values()
        if isinstance(item, Units) and item is not nwbfile.units
    }
    return {place: table for place, table in tables.items() if "spike_times" in table.colnames}


def no_data(nwbfile, file, modality: str | None) -> str:
    """Of a file without what was asked for: what was looked for, and what is there instead."""
    there = [
        f"{item.neurodata_type} at {place_of(item)}"
        for item in nwbfile.objects.values()
        if item.neurodata_type in NO_UNITS
    ]
    if nwbfile.units is not None and modality != "calcium":
        there.insert(0, f"units without spike_times (columns {list(nwbfile.units.colnames)})")
    lost = lost_parts(file) if isinstance(file, Path) and file.is_file() else None
    return (
        f"{file}: holds no {modality or 'spikes and no calcium'}; looked for a units table with"
        " spike_times, and for a RoiResponseSeries in processing modules and acquisition."
        + (f" But {lost}." if lost else "")
        + (
            f" There is {', '.join(there[:3])}: read it with pynwb, and give one array of spike"
            " times a unit to Recording.from_spike_trains."
            if there and modality != "calcium"
            else ""
            if lost
            else " Choose another file or modality."
        )
    )


def chosen_table(tables: dict, wanted: str | None, file):
    """(place, table) of the units to read; a warning names tables that are left out."""
    called = [
        place for place in tables if wanted is not None and f"/{place}".endswith(f"/{wanted}")
    ]
    if wanted is None:
        called = ["units"] if "units" in tables else list(tables)
    if len(called) != 1:
        problem = "no table" if not called else f"{len(called)} tables"
        raise ValueError(
            f"{file}: there are {problem} of units"
            + (f" called {wanted!r}" if wanted is not None else "")
            + f"; choose with units_table= one of {sorted(tables)}."
        )
    others = [place for place in tables if place != called[0]]
    if wanted is None and others:
        warnings.warn(
            f"{file}: {len(others)} more tables of units were left out ({', '.join(others[:3])});"
            " choose one with units_table=.",
            stacklevel=5,
        )
    return called[0], tables[called[0]]


def spike_recordings(
    nwbfile, table, chosen, labels: Labels, probe_column, intervals_from, file, name, **common
) -> list[Recording]:
    """One recording for each value of `probe_column`, or one.

    chosen : positions of the units to keep, and the names of the columns to show. labels : all.
    common : what the recordings share.
    """
    kept, shown = chosen
    units = labels.table.iloc[kept]
    probes = as_text(units[probe_column]) if probe_column else pd.Series("", index=units.index)
    if probes.isna().any():
        raise ValueError(
            f"{file}: {int(probes.isna().sum())} units have no value in"
            f" probe_column={probe_column!r}; leave them out with keep='...', or choose another"
            " column."
        )
    try:
        trains = ragged(table["spike_times"])
        observed = ragged(table["obs_intervals"]) if "obs_intervals" in table.colnames else None
    except ValueError as error:
        raise ValueError(f"{file}: {error}; write the file again.") from error
    recordings = []
    for probe in probes.unique():
        of_probe = np.flatnonzero(probes == probe)
        members, own = kept[of_probe], units.iloc[of_probe]
        recording_id = name + (f"-{probe}" if probe_column else "")
        if own.index.has_duplicates:
            twice = own.index[own.index.duplicated()].unique()
            apart = [
                column
                for column in units
                if column != probe_column
                and not units.set_index(column, append=True).index.has_duplicates
            ]
            raise ValueError(
                f"{file}: {len(twice)} unit ids occur twice (first: {twice.tolist()[0]!r});"
                + (
                    f" the column {apart[0]!r} tells them apart: probe_column={apart[0]!r}, or"
                    " keep='...'."
                    if apart
                    else " make them unique, or leave some out with keep='...'."
                )
            )
        times = spikes_in_seconds([trains[i] for i in members], own.index, recording_id)
        if observed is not None and any(len(observed[i]) for i in members):
            valid = all_observed([observed[i] for i in members], own.index, file)
        elif intervals_from is None:
            together = np.concatenate(times)
            valid = np.array([[together.min(initial=np.inf), together.max(initial=-np.inf)]])
        else:
            valid = np.array([[-np.inf, np.inf]])
        recordings.append(
            Recording.from_spike_trains(
                times,
                own[shown],
                restricted(valid, nwbfile, intervals_from, file),
                recording_id=recording_id,
                probe_id=probe or None,
                **common,
            )
        )
    return recordings
