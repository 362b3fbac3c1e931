"""One way to write an id: 2, 2.0 and '2.0' are unit 2, whoever made a float or a text of it.

`plain_id` and `plain_index` are for what comes in, `on_ids` for tables that find each other by
their ids, `alike` for the error where they don't.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

WHOLE_FLOAT = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")
EXACT = 2**53  # whole floats from here on may have been another number


def plain_id(value):
    """Whole floats, and texts that hold one ('2.0'), without their '.0'; all else as it is."""
    if isinstance(value, str):
        found = WHOLE_FLOAT.fullmatch(value)
        return found[1] if found else value
    if isinstance(value, (float, np.floating)) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return value


def plain_index(index: pd.Index) -> pd.Index:
    """An index of ids, level by level: int64 where all of them are whole numbers (2, 2.0, or '2.0'
    beside '3.0'), else as they are but for `plain_id`. Texts such as '2' or '02' stay texts.
    """
    if isinstance(index, pd.MultiIndex):
        levels = [plain_index(index.get_level_values(i)) for i in range(index.nlevels)]
        return pd.MultiIndex.from_arrays(levels, names=index.names)
    if pd.api.types.is_integer_dtype(index):
        return index
    given = list(index)
    plain = [plain_id(value) for value in given]
    if plain and all(
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        or isinstance(value, str)
        and value is not original
        for value, original in zip(plain, given)
    ):
        whole = [int(value) for value in plain]
        if max(map(abs, whole)) < 2**63:
            return pd.Index(whole, dtype="int64", name=index.name)
    return pd.Index(plain, dtype=object, name=index.name, tupleize_cols=False)


def on_ids(table, ids: pd.Index):
    """The rows of a Series or DataFrame for these ids, in their order and written as they are
    there; None where one is missing, or can't be told apart from another.
    """
    if not ids.difference(table.index).empty:
        ids, own = _as_text(wanted := ids), _as_text(table.index)
        if own.has_duplicates or not ids.difference(own).empty:
            return None
        return table.set_axis(own).loc[ids].set_axis(wanted)
    return None if table.index.has_duplicates else table.loc[ids]


def _as_text(index: pd.Index) -> pd.Index:
    if isinstance(index, pd.MultiIndex):
        return pd.MultiIndex.from_arrays(
            [_as_text(index.get_level_values(i)) for i in range(index.nlevels)]
        )
    return pd.Index([str(plain_id(value)) for value in index], dtype=object)


def alike(unknown, known: pd.Index) -> str:
    """' Is it ...? ...' where one of `known` is written nearly as `unknown` is: padding, case, a
    probe's name before or after it; '' where none is.
    """
    several = unknown if isinstance(unknown, tuple) else (unknown,)
    for other in known:
        others = other if isinstance(other, tuple) else (other,)
        if len(several) == len(others) and all(map(_near, several, others)):
            return (
                f" Is it {other!r} there? Write ids alike: without padding, and with the probe's"
                " name in both or in neither."
            )
    return ""


def _near(one, other) -> bool:
    first, second = words(one), words(other)
    short, long = sorted((first, second), key=len)
    return short in (long[: len(short)], long[len(long) - len(short) :])


def words(name) -> tuple[str, ...]:
    """A name's words and numbers, without case, separators, leading zeros and the '.0' of floats:
    what is left where two people write it each in their way.
    """
    parts = re.findall(r"\d+|[^\W\d_]+", str(plain_id(name)).casefold())
    return tuple(part.lstrip("0") or part[-1] for part in parts) or (str(name),)
