"""Columns of an NWB table: those with one value a row, as labels of units; those with several."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...files.tables import tidy_units
from ..reading import named


def values_of(column):
    """The values of a column of a table, in memory; of an enumeration, their names."""
    values = column.data[:]
    elements = getattr(column, "elements", None)  # of hdmf's EnumData
    if not isinstance(values, np.ndarray):  # references to other objects of the file
        return values
    return named(values, None if elements is None else elements.data[:])


def one_value_columns(table, rows, file, more: dict[str, str]) -> pd.DataFrame:
    """The columns of `table` that hold one number or text a row, at `rows`, indexed by the table's
    id; `more`: texts for all rows.
    """
    from hdmf.common import DynamicTableRegion, VectorIndex

    columns = {}
    for name in table.colnames:
        column = table[name]
        region = column.target if isinstance(column, VectorIndex) else column
        if (
            name == "electrodes"
            and isinstance(region, DynamicTableRegion)
            and "location" in region.table.colnames
        ):
            locations = np.asarray(values_of(region.table["location"]))
            places = [set(locations[electrodes]) for electrodes in ragged(column)]
            columns["electrode_location"] = np.array(
                [place.pop() if len(place) == 1 else None for place in places], dtype=object
            )[rows]
        if name == "iscell" and column.data.shape[1:] == (2,):
            iscell = column.data[:][rows]
            columns |= {"is_cell": iscell[:, 0] > 0, "cell_probability": iscell[:, 1]}
        if isinstance(column, (VectorIndex, DynamicTableRegion)) or len(column.data.shape) != 1:
            continue
        values = values_of(column)
        if name == "electrode_group":
            values = np.array([group.name for group in values], dtype=object)
        # Not compound values, nor references to other objects of the file.
        is_plain = isinstance(values, np.ndarray) and values.dtype.kind in "biufSUO"
        if is_plain and (
            values.dtype.kind != "O"
            or all(value is None or isinstance(value, (str, bytes)) for value in values)
        ):
            # tidy_units would take a column `unit_id` for the index, which here is the table's own
            # id.
            columns[name if name != "unit_id" else "unit_id_in_file"] = values[rows]
    columns |= {name: [text] * len(rows) for name, text in more.items() if name not in columns}
    ids = table.id[:][rows]
    return tidy_units(pd.DataFrame(columns, index=ids), len(ids), str(file))


def as_text(values: pd.Series) -> pd.Series:
    """As text, whole numbers without '.0'; missing stays missing."""
    return values.map(
        lambda value: (
            str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        ),
        na_action="ignore",
    )


def ragged(column) -> list[np.ndarray]:
    """The values of each row of a column that may hold several a row."""
    if not hasattr(column, "target"):  # no VectorIndex: one a row
        return [np.atleast_1d(value) for value in values_of(column)]
    stops = np.asarray(column.data[:], dtype=np.int64)
    values = values_of(column.target)
    return [values[start:stop] for start, stop in zip(np.r_[0, stops[:-1]], stops)]
