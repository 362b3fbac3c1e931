"""What Suite2p says of a plane beside its traces: the frame rate, bad frames, where sessions were
joined, and where the cells are.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from .pickles import plain_object
from .reading import first_line, one_number

# What is asked of which pickles; of two that say the same, the later one counts.
SAID = ("fs", "badframes", "frames_per_folder")
PICKLES = ("ops.npy", "settings.npy", "db.npy", "reg_outputs.npy", "stat.npy")


def said_of(plane: Path, n_rois: int, rate_needed: bool) -> dict:
    """`SAID` as far as Suite2p's pickles have them or, where they don't, its Fall.mat; and
    `centroids`, (ROIs, 2), y and x in pixels. A notice where none can be read.
    """
    said: dict = {}
    unreadable = []
    for file in (plane / name for name in PICKLES if (plane / name).is_file()):
        try:
            said |= _named(plain_object(file), n_rois)
        except Exception as error:  # of pickle and numpy, which read what may be anything
            unreadable.append(f"{file.name} ({first_line(error)})")
    if not {*SAID, "centroids"} <= set(said):
        matlab = _matlab(plane / "Fall.mat", rate_needed and "fs" not in said)
        said = _named(matlab.get("ops"), n_rois) | _named(matlab.get("stat"), n_rois) | said
    if unreadable and not said:
        warnings.warn(
            f"{plane}: can't be read as plain data: {', '.join(unreadable)}; bad frames and joined"
            " sessions are not known.",
            stacklevel=4,
        )
    return said


def _named(held, n_rois: int) -> dict:
    """What `said_of` is asked for, of a dictionary of settings or a list of ROIs."""
    if isinstance(held, dict) and "med" not in held:  # of a single ROI, Fall.mat has no list
        return {name: held[name] for name in SAID if held.get(name) is not None}
    try:
        found = np.array([np.asarray(roi["med"]) for roi in np.atleast_1d(held)], dtype=np.float64)
    except (KeyError, TypeError, ValueError, IndexError):
        return {}
    return {"centroids": found} if found.shape == (n_rois, 2) else {}


def sessions_of(said: dict, n_frames: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(frames,) bool: which are not bad; and (sessions, 2), the first and one-past-last frame of
    each. A notice counts them, or says what doesn't fit the traces.
    """
    notices = []
    bad = np.ravel(said.get("badframes", np.zeros(n_frames))) != 0
    if len(bad) != n_frames:
        notices.append(f"badframes has {len(bad)} entries for {n_frames} frames, and is not used")
        bad = np.zeros(n_frames, dtype=bool)
    if bad.all():
        raise ValueError(
            f"{name}: Suite2p marks all {n_frames} frames as bad (badframes); run it again with a"
            " higher th_badframes, or another bad_frames.npy."
        )
    if bad.any():
        notices.append(f"{bad.sum()} of {n_frames} frames are bad, and left out of valid time")
    lengths = np.ravel(said.get("frames_per_folder", n_frames))
    lengths = lengths.astype(np.int64)[lengths > 0]
    if lengths.sum() != n_frames:
        notices.append(
            f"frames_per_folder has {lengths.sum()} frames, not {n_frames}, so that where sessions"
            " were joined is not known"
        )
        lengths = np.array([n_frames])
    if len(lengths) > 1:
        notices.append(f"{len(lengths)} sessions were joined, and no window lies across a border")
    if notices:
        warnings.warn(f"{name}: by Suite2p, {'; '.join(notices)}.", stacklevel=4)
    stops = np.cumsum(lengths)
    return ~bad, np.stack([stops - lengths, stops], axis=1)


def _matlab(file: Path, rate_needed: bool) -> dict:
    """`ops` and `stat` of a Fall.mat; empty where it is absent, or unreadable and not needed."""
    if not file.is_file():
        return {}
    try:
        from scipy.io import loadmat
    except ImportError as error:
        if not rate_needed:
            return {}
        raise ImportError(
            f"reading the frame rate in {file} needs scipy: pip install scipy; or give"
            " sampling_rate_hz."
        ) from error
    try:
        return loadmat(file, variable_names=["ops", "stat"], simplify_cells=True)
    except Exception as error:  # scipy raises all sorts here
        if rate_needed:
            raise ValueError(
                f"{file}: can't be read ({first_line(error)}): it is damaged, or a MATLAB 7.3 file;"
                " give sampling_rate_hz (Suite2p's ops['fs']), or save it again from Suite2p."
            ) from error
        warnings.warn(
            f"{file}: can't be read ({first_line(error)}), so that bad frames and joined sessions"
            " are not known, and the cells have no centroids.",
            stacklevel=5,
        )
        return {}


def rate_of(said: dict, plane: Path) -> float:
    """Frames a second, as Suite2p says."""
    rate = one_number(said.get("fs"))
    if rate is None:
        raise ValueError(
            f"{plane}: no frame rate, neither in ops.npy (Suite2p 1: settings.npy) nor in Fall.mat;"
            " copy these too, or give sampling_rate_hz, volumes a second. You find it in Suite2p's"
            " window as `fs`."
        )
    return rate
