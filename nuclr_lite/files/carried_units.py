"""Numbers that carry their unit of measure, of whatever package, as plain numbers: nothing is
imported for it.
"""

from __future__ import annotations

import numpy as np


def plain(value, unit: str = "s"):
    """`value` as plain numbers in `unit` ('s' or 'Hz') where it carries a unit of its own (neo,
    quantities, pint, astropy, timedelta64), else as it is. ValueError for a unit of another kind.
    """
    if isinstance(value, (list, tuple)):
        return [plain(item, unit) for item in value] if value and _carries(value[0]) else value
    if not _carries(value):
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") == "m":
        return np.asarray(value) / np.timedelta64(1, "s")
    if hasattr(value, "time_support"):  # pynapple: always in seconds
        return np.asarray(value.t)
    try:
        converted = value.rescale(unit) if hasattr(value, "rescale") else value.to(unit)
        return np.asarray(
            converted.magnitude if hasattr(converted, "magnitude") else converted.value
        )
    except Exception as error:  # whatever these packages raise
        own = getattr(value, "units", getattr(value, "unit", "none"))
        raise ValueError(
            f"a number carries the unit {str(own)!r}, which can't be converted to {unit}; give"
            f" plain numbers in {unit}."
        ) from error


def _carries(value) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and _carries(value[0])
    return (
        hasattr(value, "rescale")
        or hasattr(value, "to")
        and (hasattr(value, "units") or hasattr(value, "unit"))
        or hasattr(value, "time_support")
        and hasattr(value, "t")
        or getattr(getattr(value, "dtype", None), "kind", "") == "m"
    )
