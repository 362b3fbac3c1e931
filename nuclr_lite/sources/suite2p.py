"""Calcium recordings from the folders that Suite2p writes, one a plane."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..files.values import check_clock
from ..recording import Recording
from .reading import agreed_rate, first_line, kept_rows
from .suite2p_settings import rate_of, said_of, sessions_of

BASELINE_S, BASELINE_PERCENTILE, BASELINE_STEP_S = 60.0, 8.0, 10.0
SMALLEST_BASELINE = 0.1  # of the uncorrected fluorescence (median over time)


def read_suite2p(
    folder: str | Path,
    *,
    animal_id: str,
    recording_id: str | None = None,
    sampling_rate_hz: float | None = None,
    signal: str = "dff",
    keep: str | None = "is_cell",
    neuropil_coefficient: float = 0.7,
) -> list[Recording]:
    """The recordings in a Suite2p folder: one for each plane.

    Suite2p's arrays `F.npy`, `Fneu.npy`, `spks.npy`, `iscell.npy` and `redcell.npy` are read, and
    of `ops.npy` (Suite2p 1: `settings.npy`, `db.npy` and `reg_outputs.npy`), `stat.npy` and
    `Fall.mat`: the frame rate, the bad frames, where sessions were joined, and the places of the
    cells. The former are pickles, which can run code when they are opened as usual; here only
    numbers, texts and arrays are made of them.

    Bad frames (Suite2p's `badframes`: those that somebody listed in a bad_frames.npy, and those
    that registration found) are left out of valid time, and no window lies across the border of two
    sessions (`frames_per_folder`); a notice says how many there are.

    dF/F is computed here, for Suite2p stores none: F - 0.7 Fneu (the neuropil's part), and of that
    (F - F0) / F0. The baseline F0 is the 8th percentile of the 60 s around a frame, which follows
    bleaching and drift but not transients of some seconds; window and percentile are Suite2p's own
    defaults (win_baseline, prctile_baseline). It is computed every 10 s and joined by straight
    lines, of each session by itself, without bad frames. Where subtracting the neuropil leaves a
    baseline below a tenth of a cell's fluorescence, dF/F would be noise divided by next to nothing:
    such cells are left out, with a warning.

    Stimulus blocks, and times on another clock: Suite2p tells nothing of them. Give them to
    `Recording.from_traces(r.traces, r.sampling_rate_hz, r.units, r.intervals, epochs=epochs,
    recording_id=r.recording_id, animal_id=r.animal_id)`.

    Parameters
    ----------
    folder : the `suite2p` folder with plane0, plane1, ...; the session folder that holds it; or one
        plane's folder. Suite2p's folder `combined` holds the same cells a second time, and is left
        aside.
    recording_id : None: the session folder's name with '-' and the plane. Given: as it is for one
        plane, with '-' and the plane for several.
    sampling_rate_hz : volumes a second, that is, frames a second of one plane (Suite2p's `fs`).
        None: Suite2p's. Given: this one, with a notice where Suite2p's is another.
    signal : 'dff', or 'spks' (Suite2p's deconvolved activity, arbitrary units).
    keep : which ROIs: a pandas expression over the columns, such as "is_cell and cell_probability >
        0.8". None: all ROIs. Other than the default, it must hold for some ROI of each plane.
    neuropil_coefficient : 0.7 is Suite2p's default; 0 subtracts nothing (and needs no Fneu.npy).

    Returns
    -------
    list[Recording], in order of plane; units are indexed by the ROI's number (the row in F.npy),
    with the columns is_cell and cell_probability, is_red and red_probability (where there is a
    redcell.npy), centroid_y_px and centroid_x_px (where stat.npy or Fall.mat has them). Times are
    in s from the first frame: Suite2p knows no other clock, and no lost frames.

    Raises
    ------
    FileNotFoundError : no F.npy where it is looked for. ImportError : only a Fall.mat has the rate,
        and scipy is not installed.
    ValueError : naming the file and the remedy: no rate; a damaged file; arrays that don't fit each
        other; no unit left; and what `Recording` itself refuses.

    Source: Suite2p's documentation of its outputs and settings; Pachitariu et al. 2017,
    bioRxiv 061507.
    """
    if signal not in ("dff", "spks"):
        raise ValueError(
            f"signal is {signal!r}; use 'dff', or 'spks' for the deconvolved activity."
        )
    if not 0 <= neuropil_coefficient <= 1:
        raise ValueError(
            f"neuropil_coefficient is {neuropil_coefficient}; give a number from 0 (subtract"
            " nothing) to 1."
        )
    planes = _planes(Path(folder).resolve())
    recordings = []
    for plane in planes:
        name = (
            _name(plane)
            if recording_id is None
            else str(recording_id) + (f"-{plane.name}" if len(planes) > 1 else "")
        )
        recording = _read_plane(
            plane, name, animal_id, sampling_rate_hz, signal, keep, neuropil_coefficient
        )
        recordings += [recording] if recording else []
    if not recordings:
        raise ValueError(
            f"{folder}: keep={keep!r} holds for no ROI; loosen it, or curate the cells in Suite2p's"
            " window."
        )
    return recordings


def _planes(folder: Path) -> list[Path]:
    if folder.name == "combined":
        raise ValueError(
            f"{folder}: holds the cells of all planes a second time; give the folder above it, or"
            " one plane's."
        )
    if (folder / "F.npy").is_file():
        return [folder]
    if (folder / "suite2p").is_dir():
        folder = folder / "suite2p"
    planes = [
        plane
        for plane in folder.glob("plane*")
        if re.fullmatch(r"plane\d+", plane.name) and (plane / "F.npy").is_file()
    ]
    if not planes:
        raise FileNotFoundError(
            f"{folder}: no F.npy, neither here nor in plane0, plane1, ...; give the folder that"
            " Suite2p wrote."
        )
    return sorted(planes, key=lambda plane: int(plane.name.removeprefix("plane")))


def _name(plane: Path) -> str:
    """'session-plane0' of '.../session/suite2p/plane0'; the folder's own name where it isn't called
    a plane.
    """
    if not re.fullmatch(r"plane\d+", plane.name):
        return plane.name
    session = plane.parent.parent if plane.parent.name == "suite2p" else plane.parent
    return f"{session.name}-{plane.name}"


def _read_plane(
    plane: Path, name: str, animal_id, rate, signal, keep, neuropil_coefficient
) -> Recording | None:
    """None where the plane has no cell, by the default `keep`."""
    fluorescence = _array(plane / "F.npy")
    if fluorescence.ndim != 2 or not fluorescence.shape[1]:
        raise ValueError(
            f"{plane / 'F.npy'}: has shape {fluorescence.shape}, where (ROIs, frames) is needed."
        )
    if not len(fluorescence):
        warnings.warn(f"{name}: left out, Suite2p found no ROI in this plane.", stacklevel=3)
        return None
    said = said_of(plane, len(fluorescence), rate_needed=rate is None)
    rate = (
        rate_of(said, plane)
        if rate is None
        else agreed_rate(rate, said.get("fs"), plane, "Suite2p's fs")
    )
    check_clock(rate, 0.0, name)
    good, sessions = sessions_of(said, fluorescence.shape[1], name)
    units = pd.DataFrame(index=pd.RangeIndex(len(fluorescence), name="unit_id"))
    for file, columns in [
        ("iscell.npy", ("is_cell", "cell_probability")),
        ("redcell.npy", ("is_red", "red_probability")),
    ]:
        if (plane / file).is_file():
            judged = _array(plane / file, len(units)).reshape(len(units), -1)
            units[columns[0]] = judged[:, 0] > 0
            if judged.shape[1] > 1:
                units[columns[1]] = judged[:, 1]
    if "centroids" in said:
        units["centroid_y_px"], units["centroid_x_px"] = said["centroids"].T
    if keep == "is_cell" and "is_cell" not in units:
        raise ValueError(
            f"{plane}: no iscell.npy, which says which ROIs are cells; run Suite2p's classifier, or"
            " take every ROI with keep=None."
        )
    if keep == "is_cell" and not units["is_cell"].any():
        warnings.warn(
            f"{name}: left out, none of its {len(units)} ROIs is a cell (iscell.npy).", stacklevel=3
        )
        return None
    kept = kept_rows(units, keep, plane)
    provenance = {"source": "suite2p", "folder": plane.name, "signal": signal, "keep": keep}
    if signal == "spks":
        traces = _array(plane / "spks.npy", *fluorescence.shape)[kept].T
    else:
        raw = np.asarray(fluorescence[kept], dtype=np.float32).T
        corrected = raw
        if neuropil_coefficient:
            neuropil = _array(plane / "Fneu.npy", *fluorescence.shape)[kept].T
            corrected = raw - np.float32(neuropil_coefficient) * neuropil
        whole = good & np.isfinite(corrected).any(axis=1)
        baseline = _baseline(corrected, rate, whole, sessions)
        brightness = np.maximum(np.median(raw[whole], axis=0), 0)
        too_low = (baseline <= SMALLEST_BASELINE * brightness).any(axis=0)
        if too_low.all():
            raise ValueError(
                f"{plane}: no cell has a baseline well above zero (F - {neuropil_coefficient:g}"
                " Fneu), so that dF/F means nothing; use signal='spks', or a smaller"
                " neuropil_coefficient."
            )
        if too_low.any():
            warnings.warn(
                f"{name}: left out {too_low.sum()} of {len(kept)} cells whose baseline after"
                " neuropil subtraction is below a tenth of their fluorescence (first: ROI"
                f" {kept[too_low][0]}); signal='spks' has them all.",
                stacklevel=3,
            )
        kept, corrected, baseline = kept[~too_low], corrected[:, ~too_low], baseline[:, ~too_low]
        traces = (corrected - baseline) / baseline
        provenance |= {
            "neuropil_coefficient": neuropil_coefficient,
            "baseline": {
                "percentile": BASELINE_PERCENTILE,
                "window_s": BASELINE_S,
                "step_s": BASELINE_STEP_S,
            },
        }
    runs = [
        first + np.flatnonzero(np.diff(good[first:stop], prepend=False, append=False))
        for first, stop in sessions
    ]
    return Recording.from_traces(
        traces,
        rate,
        units.iloc[kept],
        np.concatenate(runs).reshape(-1, 2) / rate,
        recording_id=name,
        animal_id=animal_id,
        provenance=provenance,
    )


def _baseline(traces: np.ndarray, rate: float, good: np.ndarray, sessions) -> np.ndarray:
    """`running_baseline` of each session's good frames; bad ones have that of the next good one."""
    baseline = np.full(traces.shape, np.nan, dtype=np.float32)
    for first, stop in sessions:
        frames = first + np.flatnonzero(good[first:stop])
        if len(frames):
            following = np.searchsorted(frames, np.arange(first, stop)).clip(max=len(frames) - 1)
            baseline[first:stop] = running_baseline(traces[frames], rate)[following]
    return baseline


def running_baseline(traces: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """The 8th percentile of the 60 s around each frame, (frames, units) float32; near the ends, of
    the first or last 60 s.
    """
    check_clock(sampling_rate_hz, 0.0, "running_baseline")
    n_frames = len(traces)
    window = int(np.clip(round(BASELINE_S * sampling_rate_hz), 1, n_frames))
    step = max(1, round(BASELINE_STEP_S * sampling_rate_hz))
    starts = np.append(np.arange(0, n_frames - window, step), n_frames - window)
    levels = np.stack(
        [
            np.percentile(traces[start : start + window], BASELINE_PERCENTILE, axis=0)
            for start in starts
        ]
    )
    middles = starts + (window - 1) / 2
    return np.stack(
        [np.interp(np.arange(n_frames), middles, level) for level in levels.T], axis=1
    ).astype(np.float32)


def _array(file: Path, *shape: int) -> np.ndarray:
    """A plain array, on disk; ValueError for none, or for other first dimensions than `shape`."""
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: nothing there; Suite2p writes it with the others, so copy the whole folder."
        )
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{file}: can't be read as a plain array ({first_line(error)}): it is damaged, or a"
            " pickle, which is not opened; copy it again, or run Suite2p again."
        ) from error
    if array.dtype.kind not in "biuf" or array.shape[: len(shape)] != shape:
        raise ValueError(
            f"{file}: is an array {array.shape} of {array.dtype}, which doesn't fit F.npy ({shape}"
            " is needed): the files are not of one run of Suite2p."
        )
    return array
