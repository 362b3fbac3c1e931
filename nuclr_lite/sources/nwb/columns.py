"""Columns of an NWB table: those with one value a row, as labels of units; those with several."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from ...files.identity import plain_id, plain_index
from ...files.tables import plain_columns
from ..reading import first_line, named


def values_of(column):
    """The values of a column of a table, in memory; of an enumeration, their names."""
    values = column.data[:]
    elements = getattr(column, "elements", None)  # of hdmf's EnumData
    if not isinstance(values, np.ndarray):  # references to other objects of the file
        return values
    return named(values, None if elements is None else elements.data[:])


class Labels:
    """The columns of a table that hold one number or text a row.

    table : DataFrame, in the order of the rows, indexed by the table's id, which may repeat.
    flawed : {name of a column: what is wrong with it}, of those that could not be read.
    """

    def __init__(self, table, rows, file, more: dict[str, str]):
        """table : of the file. rows : of it. more : texts for all rows."""
        self._file, self.flawed = file, {}
        ids = plain_index(pd.Index(table.id[:][rows], name="unit_id"))
        columns: dict = {}
        for name in table.colnames:
            try:
                read = {
                    own: self._plain(own, values, rows, ids)
                    for own, values in _values_of(table[name], name).items()
                }
            except Exception as error:  # h5py, hdmf and numpy raise all sorts at a broken column
                self.flawed[_RENAMED.get(name, name)] = first_line(error)
                continue
            columns |= read
        columns |= {name: [text] * len(rows) for name, text in more.items() if name not in columns}
        self.table = pd.DataFrame(columns, index=ids)

    @staticmethod
    def _plain(name: str, values, rows, ids) -> pd.Series:
        if len(values) != len(ids) and len(values) <= max(rows, default=-1):
            raise ValueError(f"it has {len(values)} values, too few for the rows")
        column = pd.DataFrame({name: np.asarray(values)[rows]}, index=ids)
        return plain_columns(column, "the table")[name]

    def need(self, names):
        """ValueError where one of these columns is not among the labels."""
        for name in names:
            if name not in self.table.columns:
                why = f" ({self.flawed[name]})" if name in self.flawed else ""
                raise ValueError(
                    f"{self._file}: no column {name!r} that has one value a unit{why}; there are"
                    f" {list(self.table.columns)}."
                )

    def name_flawed(self):
        """A warning of the columns that could not be read."""
        if self.flawed:
            said = "; ".join(f"{name!r} ({why})" for name, why in self.flawed.items())
            warnings.warn(
                f"{self._file}: left out {len(self.flawed)} columns that can't be read: {said}."
                " Leave them out with label_columns=(...), or correct the file.",
                stacklevel=5,
            )


# The units table has an index unit_id of its own; of electrodes, it is the place that is shown.
_RENAMED = {"unit_id": "unit_id_in_file", "electrodes": "electrode_location"}


def _values_of(column, name: str) -> dict[str, np.ndarray]:
    """The labels that a column of the file gives, by name: mostly one, or none."""
    from hdmf.common import DynamicTableRegion, VectorIndex

    region = column.target if isinstance(column, VectorIndex) else column
    if name == "electrodes" and isinstance(region, DynamicTableRegion):
        if "location" not in region.table.colnames:
            return {}
        locations = np.asarray(values_of(region.table["location"]))
        electrodes = ragged(column)
        pointed = np.concatenate([*electrodes, np.empty(0)])
        outside = pointed[(pointed < 0) | (pointed >= len(locations))]
        if len(outside):
            raise ValueError(
                f"{len(outside)} of {len(pointed)} point to no row of the electrodes table, as to"
                f" {outside[0]:g} of {len(locations)}: were they counted from 1?"
            )
        places = [set(locations[rows]) for rows in electrodes]
        return {
            "electrode_location": np.array(
                [place.pop() if len(place) == 1 else None for place in places], dtype=object
            )
        }
    if name == "iscell" and column.data.shape[1:] == (2,):
        iscell = column.data[:]
        return {"is_cell": iscell[:, 0] > 0, "cell_probability": iscell[:, 1]}
    if isinstance(column, (VectorIndex, DynamicTableRegion)) or len(column.data.shape) != 1:
        return {}
    values = values_of(column)
    if name == "electrode_group":
        values = np.array([group.name for group in values], dtype=object)
    # Not compound values, nor references to other objects of the file.
    is_plain = isinstance(values, np.ndarray) and values.dtype.kind in "biufSUO"
    if is_plain and (
        values.dtype.kind != "O"
        or all(value is None or isinstance(value, (str, bytes)) for value in values)
    ):
        return {_RENAMED.get(name, name): values}
    return {}


def as_text(values: pd.Series) -> pd.Series:
    """As text, whole numbers without '.0'; missing stays missing."""
    return values.map(lambda value: str(plain_id(value)), na_action="ignore")


def ragged(column) -> list[np.ndarray]:
    """The values of each row of a column that may hold several a row."""
    if not hasattr(column, "target"):  # no VectorIndex: one a row
        return [np.atleast_1d(value) for value in values_of(column)]
    stops = np.asarray(column.data[:], dtype=np.int64)
    values = values_of(column.target)
    if (np.diff(stops, prepend=0) < 0).any() or stops[-1:] != len(values) and len(stops):
        raise ValueError(
            f"the index of {column.target.name!r} doesn't fit its {len(values)} values (it ends at"
            f" {stops[-1]})"
        )
    return [values[start:stop] for start, stop in zip(np.r_[0, stops[:-1]], stops)]
