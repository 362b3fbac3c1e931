"""Calcium traces in an NWB file: which series to read, and its frames on a regular grid."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import numpy as np

from ..reading import on_grid


def place_of(item) -> str:
    """'module/container/name' of something in the file (which itself has no parent)."""
    return "" if item.parent is None else f"{place_of(item.parent)}/{item.name}".lstrip("/")


def in_order(candidates: dict) -> dict:
    """By place, plane10 after plane9: pynwb has no order."""
    return {
        place: candidates[place]
        for place in sorted(
            candidates,
            key=lambda place: [
                (int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d*)", place)
            ],
        )
    }


def chosen_series(candidates: dict, wanted: str | Sequence[str] | None, file) -> dict[str, str]:
    """{place: name of its plane} of the RoiResponseSeries to read; '' where it is but one."""
    if wanted is None:
        chosen = [
            place for place, item in candidates.items() if type(item.parent).__name__ == "DfOverF"
        ] or list(candidates)
        problem = "several series of traces" if len(chosen) > 1 else None
    else:
        chosen, problem = [], None
        for name in [wanted] if isinstance(wanted, str) else wanted:
            called = [place for place in candidates if f"/{place}".endswith(f"/{name}")]
            found = called or [
                place for place in candidates if f"/{place.rpartition('/')[0]}".endswith(f"/{name}")
            ]
            if len(called) > 1 or not found:
                problem = f"{len(called)} series of traces called {name!r}"
            chosen += [place for place in found if place not in chosen]
    if problem or not chosen:
        raise ValueError(
            f"{file}: there are {problem or 'no series chosen'}; choose with series='name' one of"
            f" {sorted(candidates)}. Several names, or that of a container that holds several, give"
            " one recording each."
        )
    return dict(
        zip(
            chosen,
            _plane_names([candidates[place] for place in chosen]) if len(chosen) > 1 else [""],
        )
    )


def _plane_names(series: list) -> list[str]:
    """What tells the series apart, in words: their imaging planes, or else their own names, or else
    their places.
    """
    planes = [imaging_plane_of(item).get("imaging_plane", "") for item in series]
    own, places = (
        [item.name for item in series],
        [place_of(item).replace("/", "-") for item in series],
    )
    return next(
        names for names in (planes, own, places) if all(names) and len(set(names)) == len(names)
    )


def imaging_plane_of(series) -> dict[str, str]:
    """Columns for the units: where the series was imaged."""
    plane = getattr(series.rois.table, "imaging_plane", None)
    return (
        {}
        if plane is None
        else {"imaging_plane": plane.name, "imaging_plane_location": plane.location}
    )


def frames_of(series, n_rois: int, where: str):
    """Traces (frames, ROIs) float32, frames a second, when frame 0 begins (s), and the (K, 2)
    intervals that have frames, s.
    """
    traces = np.asarray(series.data, dtype=np.float32)
    if not traces.size:
        raise ValueError(
            f"{where} has no frames: its shape is {traces.shape}; choose another series='name', or"
            " another file."
        )
    traces = traces.reshape(len(traces), -1)  # one ROI may be stored flat
    if traces.shape[1] != n_rois and len(traces) == n_rois:
        warnings.warn(
            f"{where} is stored as (ROIs, frames), against the standard; it was transposed.",
            stacklevel=2,
        )
        traces = traces.T
    if traces.shape[1] != n_rois:
        raise ValueError(
            f"{where} has shape {series.data.shape} for {n_rois} ROIs; (frames, ROIs) is needed:"
            " write the file again."
        )
    if (series.conversion, series.offset) != (1.0, 0.0):
        traces = traces * np.float32(series.conversion) + np.float32(series.offset)
    if series.rate is None:
        return on_grid(traces, np.asarray(series.timestamps, dtype=np.float64), where)
    if not series.rate > 0:
        raise ValueError(
            f"{where} has a rate of {series.rate} Hz; write the file again with the true rate, or"
            " with timestamps."
        )
    start_s = float(series.starting_time or 0.0)
    return (
        traces,
        float(series.rate),
        start_s,
        np.array([[start_s, start_s + len(traces) / series.rate]]),
    )
