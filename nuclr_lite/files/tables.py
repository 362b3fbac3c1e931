"""Tables of units: checked when a recording is made, the same again after a round trip through CSV,
aligned with features and labels to decode.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd

from .identity import alike, on_ids, plain_id, plain_index

# Names of epochs, tables and columns that speak of light pulses, whose responses give labels away.
LIGHT = re.compile(
    r"opto(?!kinetic|motor|type)|laser|photo[-_ ]?(?:stim|inhib|activ|tag|sil)"
    r"|(?<![a-z])light|(?<![a-z])led(?![a-z])",
    re.IGNORECASE,
)


def tidy_units(units: pd.DataFrame | None, n_units: int, recording_id: str) -> pd.DataFrame:
    """A copy indexed by unit_id whose columns are plain int, float, bool or str (missing: None).

    Ids that are whole numbers, also those that became floats (2.0, '2.0'), are int.

    Raises
    ------
    ValueError : no units; another length than the data; duplicate ids; columns of arrays or mixed
        types.
    """
    if n_units == 0:
        raise ValueError(
            f"{recording_id}: there are no units; check the filter that selected them."
        )
    if units is None:
        return pd.DataFrame(index=pd.RangeIndex(n_units, name="unit_id").astype("int64"))
    if not isinstance(units, pd.DataFrame):
        raise ValueError(
            f"{recording_id}: units is a {type(units).__name__}; give a DataFrame with one row a"
            " unit."
        )
    if "unit_id" in units.columns:
        if not isinstance(units.index, pd.RangeIndex):
            raise ValueError(
                f"{recording_id}: the units table has a column unit_id beside an index of its own;"
                " keep one of them."
            )
        units = units.set_index("unit_id")
    if len(units) != n_units:
        raise ValueError(
            f"{recording_id}: the units table has {len(units)} rows (labels) for {n_units} units of"
            " data; give one row a unit, in the same order."
        )
    index = plain_index(units.index)
    if pd.api.types.is_integer_dtype(index):
        if len(index) and int(index.max()) > np.iinfo(np.int64).max:
            raise ValueError(
                f"{recording_id}: unit id {index.max()} is too large for a 64-bit integer; make the"
                " ids texts (str)."
            )
        index = index.astype("int64")
    else:
        index = pd.Index(
            [None if _missing(unit_id) else _text(unit_id) for unit_id in index], dtype=object
        )
        if index.isna().any():
            raise ValueError(f"{recording_id}: a unit id is missing; give every unit one.")
    if index.has_duplicates:
        twice = index[index.duplicated()].unique()
        raise ValueError(
            f"{recording_id}: {len(twice)} unit ids occur twice (first: {twice.tolist()[0]!r});"
            " make them unique, for example by putting the probe's name in front."
        )
    return plain_columns(
        units.set_axis(index.rename("unit_id"), axis=0), f"{recording_id}: the units table"
    )


def tidy_name(value, what: str) -> str:
    """An id as text, 2.0 and '2.0' as '2'; ValueError for a missing one: None would become the
    animal 'None'.
    """
    if _missing(value):
        raise ValueError(f"{what} is {value!r}; give a name or a number.")
    return _text(plain_id(value))


def tidy_epochs(epochs: pd.DataFrame | None, recording_id: str) -> pd.DataFrame:
    """A copy with start_s, stop_s (s), name and whatever else there is; empty for None."""
    if epochs is None:
        return pd.DataFrame(
            {
                "start_s": pd.Series(dtype=float),
                "stop_s": pd.Series(dtype=float),
                "name": pd.Series(dtype=object),
            }
        )
    missing = {"start_s", "stop_s", "name"} - set(epochs.columns)
    if missing:
        raise ValueError(
            f"{recording_id}: epochs lack the columns {sorted(missing)}; give start_s, stop_s (s)"
            " and name."
        )
    return plain_columns(epochs.reset_index(drop=True), f"{recording_id}: the epochs table")


def plain_columns(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """The same table with plain columns; ValueError for two of one name, or one that holds arrays
    or a mixture.
    """
    names = [str(column) for column in table.columns]
    if len(set(names)) < len(names):
        raise ValueError(f"{where} has two columns of the same name; rename one.")
    return pd.DataFrame(
        {name: _plain(table.iloc[:, i], name, where) for i, name in enumerate(names)},
        index=table.index,
    )


def _plain(column: pd.Series, name: str, where: str) -> pd.Series:
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return column.astype(bool)
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        if len(column) and int(column.max()) > np.iinfo(np.int64).max:
            raise ValueError(
                f"{where} has a column {name!r} with {column.max()}, too large for a 64-bit"
                " integer; make it text (str)."
            )
        return column.astype("int64")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return column.astype("float64")
    if pd.api.types.is_datetime64_any_dtype(column):
        column = column.astype(object).map(str)
    present = [value for value in column if not _missing(value)]
    if all(isinstance(value, (str, bytes)) for value in present):
        return pd.Series(
            [None if _missing(value) else _text(value) for value in column],
            index=column.index,
            dtype=object,
        )
    if all(
        isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))
        for value in present
    ):
        return pd.Series(
            [np.nan if _missing(value) else float(value) for value in column], index=column.index
        )
    raise ValueError(
        f"{where} has a column {name!r} of arrays or of mixed types; give one number or one text a"
        " row, or drop the column."
    )


def _missing(value) -> bool:
    """Also an empty text (CSV could not tell them apart) and NaT."""
    if isinstance(value, (str, bytes)):
        return not _text(value)
    return value is None or bool(np.ndim(value) == 0 and pd.isna(value))


def _text(value) -> str:
    """As str, without the NUL characters that pad texts in HDF5 files and end them in CSV."""
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
        text.encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise ValueError(
            f"{value!r} can't be written as UTF-8 ({error.reason}); decode or rename it first."
        ) from error
    return text.replace("\0", "")


def aligned(
    features: pd.DataFrame, labels: pd.Series, groups: pd.Series
) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """The labelled units, in the features' order, labels as text; ValueError for what doesn't fit
    together.
    """
    if features.index.has_duplicates:
        raise ValueError("a unit occurs twice in the features; give each one row.")
    found = {}
    for name, series in (("labels", labels), ("groups", groups)):
        if not isinstance(series, pd.Series):
            raise ValueError(
                f"{name} is a {type(series).__name__}; give a Series on the features' index."
            )
        if series.index.has_duplicates:
            raise ValueError(f"a unit occurs twice in {name}; give each one row.")
        found[name] = on_ids(series, features.index)
        if found[name] is None:
            missing = features.index.difference(series.index)
            raise ValueError(
                f"{name} lack {len(missing)} of {len(features)} units (first:"
                f" {missing.tolist()[0]!r}); give a Series on the features' index."
                + alike(missing.tolist()[0], series.index)
            )
    labels, groups = found["labels"], found["groups"]
    labelled = labels.notna().to_numpy()
    if groups[labelled].isna().any():
        raise ValueError("a labelled unit has no animal (group); give every unit one.")
    features, labels, groups = features[labelled], labels[labelled], groups[labelled]
    bad = ~(np.abs(features.to_numpy(dtype=np.float64)) < 1e100)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{int(bad.any(axis=1).sum())} units have NaN or infinite features (first: unit"
            f" {features.index.tolist()[row]!r}, column {features.columns[column]!r}); drop or fill"
            " them."
        )
    if labels.nunique() < 2:
        raise ValueError(
            f"the labels have {labels.nunique()} class; decoding needs at least two: add units with"
            " other labels."
        )
    if labels.astype(str).nunique() < labels.nunique():
        raise ValueError(
            "two labels are the same as text (1 and '1', say); make all labels texts, or all"
            " numbers."
        )
    if groups.map(lambda name: isinstance(name, str)).nunique() > 1:
        raise ValueError("some animals (groups) are texts and some are not; make them all texts.")
    return features, labels.astype(str), groups


def in_order(index: pd.Index) -> np.ndarray:
    """(n,) positions that put an index in the order of its ids, level by level."""
    return np.lexsort(
        [
            pd.factorize(index.get_level_values(level), sort=True)[0]
            for level in reversed(range(index.nlevels))
        ]
    )


def write_table(table: pd.DataFrame, path: Path) -> dict:
    """Write a CSV; returns the dtypes that CSV itself does not keep."""
    # quoted, or a lone carriage return ends the row
    table.to_csv(path, encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC)
    kind = {"i": "int64", "f": "float64", "b": "bool", "O": "str"}
    return {
        "index": kind[table.index.dtype.kind],
        "columns": {name: kind[column.dtype.kind] for name, column in table.items()},
    }


def read_table(path: Path, dtypes: dict) -> pd.DataFrame:
    """Read what `write_table` wrote, value for value."""
    raw = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")

    def typed(values, kind):
        if kind == "str":
            # an array would become a type of its own in pandas 3
            return pd.Index([value or None for value in values], dtype=object)
        if kind == "bool":
            return np.array([value == "True" for value in values], dtype=bool)
        if kind == "float64":
            return np.array(
                [float(value) if value else np.nan for value in values], dtype=np.float64
            )
        if kind == "int64":
            return np.array([int(value) for value in values], dtype=np.int64)
        raise ValueError(
            f"{path} has a column of type {kind!r}; only str, bool, int64 and float64 are ever"
            " written"
        )

    if raw.shape[1] != 1 + len(dtypes["columns"]):
        raise ValueError(
            f"{path} has {raw.shape[1]} columns instead of {1 + len(dtypes['columns'])}"
        )
    name = raw.columns[0]
    index = pd.Index(
        typed(raw.iloc[:, 0], dtypes["index"]), name=None if name == "Unnamed: 0" else name
    )
    columns = {
        name: typed(raw.iloc[:, 1 + i], kind)
        for i, (name, kind) in enumerate(dtypes["columns"].items())
    }
    return pd.DataFrame(columns, index=index)


def recording_means(features: pd.DataFrame) -> pd.DataFrame:
    """Each unit with the mean over all units of its recording: what telling recordings apart can
    reach.

    features : DataFrame indexed by (recording_id, unit_id). Where a label goes with the recording,
        a method must beat these to have told cells apart.
    """
    return features.groupby(level="recording_id", sort=False).transform("mean")


def within_recordings(features: pd.DataFrame, labels: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    """Features less their means over recordings, and labels, None where a unit's recording holds no
    two: what is left tells units apart that were seen together.
    """
    mixed = labels.groupby(level="recording_id").transform("nunique") > 1
    return features - recording_means(features), labels.where(mixed)
