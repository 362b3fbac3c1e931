"""Recordings from Phy and Kilosort folders."""

from __future__ import annotations

import ast
import warnings
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from ..files.identity import plain_index
from ..files.phy_folder import phy_spikes
from ..recording import Recording
from .reading import trains_of


def read_phy(
    folder: str | Path,
    *,
    animal_id: str,
    recording_id: str | None = None,
    probe_id: str | None = None,
    groups: tuple[str, ...] | None = ("good",),
    sampling_rate_hz: float | None = None,
    intervals=None,
    epochs: pd.DataFrame | None = None,
) -> Recording:
    """The recording in a folder that Kilosort wrote, or that was curated in Phy.

    Units are the clusters that have spikes, by cluster id; merged and deleted ones, which only the
    tables still name, are not among them. Every `cluster_*.tsv` becomes columns of the units table.
    Where two files give the same column, the file named after it counts, then the others, then
    `cluster_info.tsv`. The column `group` is what a person decided in Phy; a cluster that nobody
    judged has Kilosort's `KSLabel` there, or else 'unsorted'.

    Parameters
    ----------
    folder : holds spike_times.npy (samples), spike_clusters.npy (or spike_templates.npy) and,
        usually, params.py, which is read as text and never executed.
    animal_id : the folder doesn't say. recording_id : None: the folder's name; give one where all
        your folders are called `kilosort4`.
    groups : which clusters: ('good',), ('good', 'mua'), ...; None: all, noise among them.
    sampling_rate_hz : samples a second. None: `sample_rate` of params.py.
    intervals : (K, 2), s; valid time. None: from the first to the last spike in the folder, all
        clusters together.
    epochs : as in `Recording.from_spike_trains`. Times are in s; sample 0 is at 0 s.

    Returns
    -------
    Recording; units are indexed by cluster id.

    Raises
    ------
    FileNotFoundError : no such folder; no spike_times.npy; neither clusters nor templates.
    ValueError : naming the file and the remedy: no sampling rate; times that aren't samples; arrays
        of different lengths or shapes; damaged files; a table without cluster_id; no cluster in
        `groups`; and what `Recording` itself refuses.
    """
    folder = Path(folder)
    times, clusters = phy_spikes(folder)
    early = times < 0
    if early.any():
        warnings.warn(
            f"{folder}: left out {early.sum()} of {len(times)} spikes with negative samples, as"
            f" {times[early][0]:g}: nothing was recorded before sample 0.",
            stacklevel=2,
        )
        times, clusters = times[~early], clusters[~early]
    rate = _sampling_rate(folder, sampling_rate_hz)
    ids = np.unique(clusters)
    trains = trains_of(times / rate, clusters, ids)
    units = _tables(folder).reindex(ids)
    units["group"] = _groups(units)
    if groups is not None:
        wanted = {groups} if isinstance(groups, str) else set(groups)
        kept = np.flatnonzero(units["group"].isin(wanted))
        if not len(kept):
            counts = ", ".join(f"{name}: {n}" for name, n in units["group"].value_counts().items())
            raise ValueError(
                f"{folder}: none of its {len(ids)} clusters is in groups={tuple(sorted(wanted))};"
                f" there are {counts}. Choose among these, or pass groups=None for all clusters."
            )
        units, trains = units.iloc[kept], [trains[i] for i in kept]
    if intervals is None:
        intervals = [[times.min() / rate, times.max() / rate]]
    name = folder.resolve().name
    return Recording.from_spike_trains(
        trains,
        units,
        intervals,
        recording_id=name if recording_id is None else recording_id,
        animal_id=animal_id,
        probe_id=probe_id,
        epochs=epochs,
        provenance={"source": "phy", "folder": name, "sampling_rate_hz": rate},
    )


def _sampling_rate(folder: Path, given: float | None) -> float:
    """Samples a second: as given, or else from params.py, whose lines are read as literals."""
    stated = set()
    file = folder / "params.py"
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            name, equals, value = line.partition("=")
            if equals and name.strip() == "sample_rate":
                try:
                    stated.add(float(ast.literal_eval(value.strip())))
                except (
                    ValueError,
                    TypeError,
                    SyntaxError,
                    OverflowError,
                    MemoryError,
                    RecursionError,
                ):
                    stated.add(np.nan)  # an expression, not a number
    if given is not None:
        if stated and stated != {given}:
            warnings.warn(
                f"{file} says sample_rate = {', '.join(map(str, stated))}; the {given} Hz that were"
                " passed are used.",
                stacklevel=3,
            )
        stated = {given}
    rate = float(stated.pop()) if len(stated) == 1 else np.nan
    if not (np.isfinite(rate) and rate > 0):
        what = (
            f"sampling_rate_hz is {given}"
            if given is not None
            else (
                f"{file} gives no sample_rate as one plain number"
                if file.is_file()
                else "there is no params.py"
            )
        )
        raise ValueError(
            f"{folder}: spike times are in samples, and {what}; pass sampling_rate_hz=30000, or"
            " what yours was recorded with."
        )
    return rate


def _tables(folder: Path) -> pd.DataFrame:
    """All columns of all cluster_*.tsv, indexed by cluster id.

    Of what stands in several files the most authoritative counts.
    """
    files = sorted(
        file for pattern in ("cluster_*.tsv", "cluster_*.csv") for file in folder.glob(pattern)
    )
    columns: dict[str, tuple[int, Path, pd.Series]] = {}
    for file in files:
        for name, column in _table(file).items():
            # cluster_info is Phy's summary of the others when it last saved. Kilosort writes
            # KSLabel into cluster_group, too.
            rank = (
                0
                if file.stem == "cluster_info"
                else 2
                if file.stem in (f"cluster_{name}", f"cluster_{name}s")
                else 1
            )
            if name not in columns:
                columns[name] = (rank, file, column)
                continue
            (_, second, lower), (rank, first, upper) = sorted(
                [columns[name], (rank, file, column)], key=lambda found: found[0]
            )
            both = upper.index[upper.notna()].intersection(lower.index[lower.notna()])
            differ = int((upper[both] != lower[both]).sum())
            # of numbers, the summary has fewer digits
            if differ and not pd.api.types.is_numeric_dtype(upper):
                warnings.warn(
                    f"{folder}: {first.name} and {second.name} disagree in {name!r} about {differ}"
                    f" clusters; {first.name} is used.",
                    stacklevel=3,
                )
            columns[name] = (rank, first, upper.combine_first(lower))
    return pd.DataFrame(
        {name: column for name, (_, _, column) in columns.items()},
        index=None if columns else pd.Index([], dtype="int64"),
    )


def _table(file: Path) -> pd.DataFrame:
    """One file, indexed by cluster id."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        # old versions of Phy put tabs into .csv
        separator = "\t" if "\t" in text.partition("\n")[0] else ","
        table = pd.read_csv(StringIO(text), sep=separator, low_memory=False)
        # as old versions of Phy had it
        table = table.rename(columns={} if "cluster_id" in table else {"id": "cluster_id"})
        ids = plain_index(pd.Index(table.get("cluster_id", [])))
        if "cluster_id" not in table or len(ids) and ids.dtype != "int64":
            raise ValueError("no column cluster_id of whole numbers")
    except ValueError as error:
        # also what pandas raises for empty and ragged files, and wrong encodings
        raise ValueError(
            f"{file}: can't be read as a table of clusters ({error}); save again in Phy, or move"
            " the file away."
        ) from error
    # without a row, pandas doesn't know that they are whole numbers
    table["cluster_id"] = ids.astype("int64")
    # the units table has its own
    table = table.set_index("cluster_id").rename(columns={"unit_id": "unit_id_in_file"})
    if table.index.has_duplicates:
        raise ValueError(
            f"{file}: cluster {table.index[table.index.duplicated()][0]} has two rows; save again"
            " in Phy, or remove one."
        )
    return table


def _groups(units: pd.DataFrame) -> pd.Series:
    """What a person said, else what Kilosort said, else 'unsorted'."""
    group = pd.Series("unsorted", index=units.index, dtype=object)
    for name in ("KSLabel", "group"):
        if name in units:
            group = units[name].where(units[name].notna(), group)
    return group.astype(str).str.strip()
