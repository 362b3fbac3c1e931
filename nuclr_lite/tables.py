"""The units table: checked when a recording is made, and the same again after a round trip through CSV."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def tidy_units(units: pd.DataFrame | None, n_units: int, recording_id: str) -> pd.DataFrame:
    """A copy indexed by unit_id whose columns are plain int, float, bool or str (missing: None).

    Raises
    ------
    ValueError : no units; another length than the data; duplicate ids; columns of arrays or mixed types.
    """
    if n_units == 0:
        raise ValueError(f"{recording_id}: there are no units; check the filter that selected them.")
    if units is None:
        return pd.DataFrame(index=pd.RangeIndex(n_units, name="unit_id").astype("int64"))
    if not isinstance(units, pd.DataFrame):
        raise ValueError(f"{recording_id}: units is a {type(units).__name__}; give a DataFrame with one row a unit.")
    units = units.set_index("unit_id") if "unit_id" in units.columns else units.copy()
    if len(units) != n_units:
        raise ValueError(f"{recording_id}: the units table has {len(units)} rows (labels) for {n_units} units of data; give one row a unit, in the same order.")
    if units.index.has_duplicates:
        twice = units.index[units.index.duplicated()].unique()
        raise ValueError(f"{recording_id}: {len(twice)} unit ids occur twice (first: {twice[0]!r}); make them unique, "
                         "for example by putting the probe's name in front.")
    index = units.index
    if not pd.api.types.is_integer_dtype(index):
        if index.isna().any():
            raise ValueError(f"{recording_id}: a unit id is missing; give every unit one.")
        index = pd.Index([str(unit_id) for unit_id in index], dtype=object)
    units.index = index.rename("unit_id")
    units.columns = [str(column) for column in units.columns]
    if not units.columns.is_unique:
        raise ValueError(f"{recording_id}: two columns of the units table have the same name; rename one.")
    return pd.DataFrame({name: _plain(column, recording_id) for name, column in units.items()}, index=units.index)


def _plain(column: pd.Series, recording_id: str) -> pd.Series:
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return column.astype(bool)
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return column.astype("int64")
    if pd.api.types.is_numeric_dtype(column):
        return column.astype("float64")
    present = [value for value in column if not _missing(value)]
    if all(isinstance(value, (str, bytes)) for value in present):
        # An empty string is a missing label: CSV could not tell them apart.
        return pd.Series([None if _missing(value) else value.decode() if isinstance(value, bytes) else str(value)
                          for value in column], index=column.index, dtype=object)
    if all(isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)) for value in present):
        return pd.Series([np.nan if _missing(value) else float(value) for value in column], index=column.index)
    raise ValueError(f"{recording_id}: column {column.name!r} of the units table holds arrays or a mixture of types; "
                     "give one number or one text a unit, or drop the column.")


def _missing(value) -> bool:
    return value is None or value is pd.NA or value == "" or value == b"" or (isinstance(value, float) and np.isnan(value))


def write_table(table: pd.DataFrame, path: Path) -> dict:
    """Write a CSV; returns the dtypes that CSV itself does not keep."""
    table.to_csv(path, encoding="utf-8")
    kind = {"i": "int64", "f": "float64", "b": "bool", "O": "str"}
    return {"index": kind[table.index.dtype.kind], "columns": {name: kind[column.dtype.kind] for name, column in table.items()}}


def read_table(path: Path, dtypes: dict) -> pd.DataFrame:
    """Read what `write_table` wrote, value for value."""
    raw = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")

    def typed(values, kind):
        if kind == "str":
            return np.array([value or None for value in values], dtype=object)
        if kind == "bool":
            return np.array([value == "True" for value in values], dtype=bool)
        if kind == "float64":
            return np.array([float(value) if value else np.nan for value in values], dtype=np.float64)
        return np.array([int(value) for value in values], dtype=np.int64)

    name = raw.columns[0]
    index = pd.Index(typed(raw.iloc[:, 0], dtypes["index"]), name=None if name == "Unnamed: 0" else name)
    columns = {name: typed(raw.iloc[:, 1 + i], kind) for i, (name, kind) in enumerate(dtypes["columns"].items())}
    return pd.DataFrame(columns, index=index)
