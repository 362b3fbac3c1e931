"""One experiment of the Allen Visual Coding two-photon set, read from its file (NWB 1.0, plain
HDF5) with h5py alone.
"""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from ...recording import Recording
from ..reading import first_line, frame_places, kept_rows

PIPELINE = "processing/brain_observatory_pipeline"
DFF, SEGMENTATION = f"{PIPELINE}/DfOverF/imaging_plane_1", f"{PIPELINE}/ImageSegmentation"
# Sweeps of one stimulus that lie at most so many frames apart are one block. As in AllenSDK, so
# that blocks are the same.
FRAMES_BETWEEN_SWEEPS = {
    "three_session_A": 39,
    "three_session_B": 15,
    "three_session_C": 7,
    "three_session_C2": 7,
}
MOTION_WINDOW_S = 60.0  # slower than this, a shift is drift, which the registration has undone
READ_BYTES = 16 * 2**20  # of dF/F in memory at once


def read_experiment(
    path: str | Path,
    *,
    frame_s: float = 0.23344,
    max_motion_um: float | None = 10.0,
    keep: str | None = None,
) -> Recording:
    """The population of one experiment, its dF/F averaged to about `frame_s` a frame.

    A whole number of frames is averaged, round(frame_s * rate): 7 of the 30 Hz frames by default,
    which makes 4.29 Hz and is within 0.1 % of what the calcium presets expect. A frame is left out
    for all cells where the microscope dropped it, where any cell's dF/F is NaN, and where the image
    had moved; an averaged frame is the mean of the others, and is valid where they are at least
    half. (Without that half, one bad frame of 33 ms would cut a session in two.) dF/F is not
    normalised: views divide by the recording's `trace_scale`.

    Parameters
    ----------
    path : the experiment's .nwb file (NWB 1.0). frame_s : length of an averaged frame, s.
    max_motion_um : a frame has moved where its shift (x, y) lies further than this from the median
        shift of the minute around it, um. Registration undoes the shift, but not what goes with a
        jerk: other depths, a distorted image. A running median as in suite2p (Pachitariu et al.
        2017), which takes 101 frames; 10 um is about one cell body. None: motion is not looked at.
    keep : which cells: a pandas expression over the columns of `.units`, such as "imaging_depth_um
        < 300".

    Returns
    -------
    Recording. `.units`, indexed by cell_specimen_id: cell_type ('Vip', what precedes the first '-'
    of cre_line), cre_line ('Vip-IRES-Cre', as in `list_experiments`), area, imaging_depth_um,
    roi_id, centroid_x_um and centroid_y_um in the field of view, experiment_id, container_id,
    session_type. `.epochs`: the stimulus blocks, as AllenSDK's `get_stimulus_epoch_table`.
    animal_id: the donor's name.

    Raises
    ------
    FileNotFoundError : nothing at `path`. ImportError : h5py is not installed.
    ValueError : naming the file: truncated, or another kind of file; timestamps that don't
        increase; no cells; no valid time.
    """
    if not frame_s > 0:
        raise ValueError(
            f"frame_s is {frame_s}; give the length of an averaged frame in s, such as 0.23344."
        )
    path = Path(path).expanduser()
    with _opened(path) as file:
        session = _session(file, path)
        timestamps, dff = file[f"{DFF}/timestamps"][()], file[f"{DFF}/data"]
        cells = _cells(file, session, path)
        if dff.shape != (len(cells), len(timestamps)):
            raise ValueError(
                f"{path}: dF/F has shape {dff.shape} for {len(cells)} cells and {len(timestamps)}"
                " timestamps; download the file again."
            )
        rows = kept_rows(cells, keep, path)
        if len(timestamps) < 2 or not (np.diff(timestamps) > 0).all():
            raise ValueError(
                f"{path}: the timestamps of its {len(timestamps)} frames don't increase throughout;"
                " download the file again."
            )
        place, rate = frame_places(timestamps, f"{path}: dF/F")
        missing, n_missing = _missing(dff, rows)
        blank = n_missing == len(timestamps)
        if blank.all():
            raise ValueError(
                f"{path}: the dF/F of all {len(rows)} cells is NaN throughout; choose another"
                " experiment."
            )
        if blank.any():
            warnings.warn(
                f"{path}: left out {blank.sum()} of {len(rows)} cells, whose dF/F is NaN throughout"
                f" (first: {cells.index[rows[blank][0]]}).",
                stacklevel=2,
            )
        rows = rows[~blank]
        moved = (
            np.zeros(len(timestamps), dtype=bool)
            if max_motion_um is None
            else _moved(file, timestamps, rate, max_motion_um, session, path)
        )
        n_average = max(1, round(frame_s * rate))
        traces, valid = _averaged(dff, rows, place, ~missing & ~moved, n_average)
        if not valid.any():
            if not len(traces):
                raise ValueError(
                    f"{path}: its {len(timestamps)} frames are fewer than the {n_average} of one"
                    " averaged frame; choose a shorter frame_s."
                )
            worst = cells.index[rows[n_missing[~blank].argmax()]]
            raise ValueError(
                f"{path}: no time is valid: of {len(timestamps)} frames {missing.sum()} have a cell"
                f" without dF/F and {moved.sum()} have moved; leave the worst cell out"
                f" (keep='unit_id != {worst}', {n_missing[~blank].max()} frames), or allow more"
                " motion (max_motion_um)."
            )
        epochs = _epochs(file, timestamps, rate, session["session_type"])
    edges = np.flatnonzero(np.diff(valid, prepend=False, append=False)).reshape(-1, 2)
    return Recording.from_traces(
        traces,
        rate / n_average,
        cells.iloc[rows],
        timestamps[0] + edges * n_average / rate,
        recording_id=f"allen-two-photon-{session['experiment_id']}",
        animal_id=session["donor_name"],
        start_s=float(timestamps[0]),
        epochs=epochs,
        provenance={
            "source": "allen_two_photon",
            "file": path.name,
            **session,
            "frame_rate_hz": rate,
            "frames_averaged": n_average,
            "max_motion_um": max_motion_um,
            "frames": len(timestamps),
            "frames_dropped": int(place[-1] + 1 - len(np.unique(place))),
            "frames_missing": int(missing.sum()),
            "frames_moved": int(moved.sum()),
        },
    )


@contextmanager
def _opened(path: Path):
    """The file, open; ValueError where it, or later its data, can't be read, or where it holds
    something else.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "reading Allen two-photon files needs h5py, which is not installed: pip install h5py"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; check the path, or download it first with download_experiment."
        )
    try:
        with h5py.File(path, "r") as file:
            yield file
    except PermissionError:
        raise
    except OSError as error:
        raise ValueError(
            f"{path}: can't be read as HDF5 ({first_line(error)}): it is truncated, or something"
            " else; download it again."
        ) from error
    except KeyError as error:
        raise ValueError(
            f"{path}: is not an Allen two-photon file ({first_line(error)}); for other NWB files,"
            " use sources.nwb."
        ) from error


def _session(file, path: Path) -> dict:
    """What the file says of the session."""

    def text(place):
        value = file[place][()] if place in file else b""
        return (value.decode() if isinstance(value, bytes) else str(value)) or None

    plane = "general/optophysiology/imaging_plane_1"
    specimen, depth = (
        text("general/specimen_name"),
        re.match(r"\d+", text(f"{plane}/imaging depth") or ""),
    )
    if not specimen:
        raise ValueError(
            f"{path}: is not an Allen two-photon file (no general/specimen_name); for other NWB"
            " files, use sources.nwb."
        )
    # 'Vip-IRES-Cre/wt;Ai148(TIT2L-GC6f-ICL-tTA2)/wt': the first allele of each pair names the line.
    # As AllenSDK's lists, the first that has a Cre.
    lines = [pair.split("/")[0] for pair in (text("general/subject/genotype") or "").split(";")]
    cre_line = next((line for line in lines if "Cre" in line), None)
    fov = re.match(r"(\d+)x\d+ microns \((\d+) x \d+ pixels\)", text("general/fov") or "")
    return {
        "experiment_id": int(file["general/session_id"][()]),
        "container_id": int(file["general/experiment_container_id"][()]),
        "session_type": text("general/session_type"),
        "donor_name": specimen.rsplit("-", 1)[-1],
        "cre_line": cre_line,
        "cell_type": cre_line and cre_line.split("-")[0],
        "area": text(f"{plane}/location"),
        "imaging_depth_um": int(depth[0]) if depth else np.nan,
        "institution": text("general/institution"),
        "um_per_pixel": int(fov[1]) / int(fov[2]) if fov else np.nan,
    }


def _cells(file, session: dict, path: Path) -> pd.DataFrame:
    """The units table, one row a row of dF/F."""
    segmentation = file[SEGMENTATION]
    ids = segmentation["cell_specimen_ids"][()]
    if not len(ids):
        raise ValueError(f"{path}: holds no cells; choose another experiment.")
    plane = segmentation["imaging_plane_1"]
    masks = (plane[name]["img_mask"][()] for name in plane["roi_list"][()])
    # (cells, (y, x)), pixels
    centroids = np.array([[axis.mean() for axis in np.nonzero(mask)] for mask in masks])
    names = (
        "cell_type",
        "cre_line",
        "area",
        "imaging_depth_um",
        "experiment_id",
        "container_id",
        "session_type",
    )
    return pd.DataFrame(
        {name: session[name] for name in names}
        | {
            "roi_id": segmentation["roi_ids"][()],
            "centroid_x_um": centroids[:, 1] * session["um_per_pixel"],
            "centroid_y_um": centroids[:, 0] * session["um_per_pixel"],
        },
        index=pd.Index(ids, name="unit_id"),
    )


def _blocks(dff, rows: np.ndarray):
    """(positions in `rows`, their dF/F (cells, frames)), a few cells of the file at a time."""
    at_once = max(1, READ_BYTES // (dff.shape[1] * dff.dtype.itemsize))
    if dff.chunks:  # whole chunks, or compressed ones would be unpacked again and again
        at_once = -(-at_once // dff.chunks[0]) * dff.chunks[0]
    for first in range(0, dff.shape[0], at_once):
        here = np.flatnonzero((rows >= first) & (rows < first + at_once))
        if len(here):
            block = dff[first : first + at_once]
            yield here, block if len(here) == len(block) else block[rows[here] - first]


def _missing(dff, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(frames,) bool: in which frames a cell has no dF/F, of the cells that have any; and (cells,)
    how many frames each lacks.
    """
    frames, counts = np.zeros(dff.shape[1], dtype=bool), np.zeros(len(rows), dtype=np.int64)
    for here, block in _blocks(dff, rows):
        lacking = ~np.isfinite(block)
        counts[here] = lacking.sum(axis=1)
        frames |= lacking[counts[here] < dff.shape[1]].any(axis=0)
    return frames, counts


def _moved(
    file, timestamps: np.ndarray, rate: float, max_motion_um: float, session: dict, path: Path
) -> np.ndarray:
    """(frames,) bool: see `read_experiment`."""
    if f"{PIPELINE}/MotionCorrection/2p_image_series" not in file:
        raise ValueError(
            f"{path}: has no motion correction, so motion can't be told; pass max_motion_um=None."
        )
    series = file[f"{PIPELINE}/MotionCorrection/2p_image_series"]
    # files of pipeline 0.9 have the plural
    motion = series["xy_translation" if "xy_translation" in series else "xy_translations"]
    if np.isnan(session["um_per_pixel"]):
        raise ValueError(
            f"{path}: general/fov doesn't tell the size of a pixel, so motion can't be told in um;"
            " pass max_motion_um=None."
        )
    names = [name.decode()[0] for name in motion["feature_description"][()]]
    shift = pd.DataFrame(
        motion["data"][()][:, [names.index("x"), names.index("y")]] * session["um_per_pixel"]
    )
    around = shift.rolling(int(MOTION_WINDOW_S * rate) | 1, center=True, min_periods=1).median()
    distance = np.hypot(*(shift - around).to_numpy().T)
    # NaN has moved, too
    return ~(np.interp(timestamps, motion["timestamps"][()], distance) <= max_motion_um)


def _averaged(
    dff, rows: np.ndarray, place: np.ndarray, good: np.ndarray, n_average: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means of the good frames among each `n_average` places, (averaged frames, cells) float32, NaN
    where not valid; which are valid.
    """
    used, first, count = np.unique(place[good] // n_average, return_index=True, return_counts=True)
    whole = (place[-1] + 1) // n_average
    enough = (2 * count >= n_average) & (used < whole)
    traces = np.full((whole, len(rows)), np.nan, dtype=np.float32)
    if enough.any():
        for here, block in _blocks(dff, rows):
            sums = np.add.reduceat(block[:, good], first, axis=1, dtype=np.float64)
            traces[used[enough][:, None], here] = (sums / count).T[enough]
    valid = np.zeros(whole, dtype=bool)
    valid[used[enough]] = True
    return traces, valid


def _epochs(file, timestamps: np.ndarray, rate: float, session_type: str) -> pd.DataFrame:
    """The stimulus blocks; the file counts in imaging frames."""
    times = np.append(timestamps, timestamps[-1] + 1 / rate)
    epochs = []
    for name, stimulus in file.get("stimulus/presentation", {}).items():
        sweeps = stimulus["frame_duration"][()].astype(np.int64)
        # rows are not sweeps here, but the turns of one: on (1), off (-1)
        if name.startswith("spontaneous"):
            turn = stimulus["data"][()]
            on, off = sweeps[turn == 1, 0], sweeps[turn == -1, 0]
            sweeps = np.column_stack([on[: len(off)], off[: len(on)]])
        if not len(sweeps):
            continue
        sweeps = sweeps[np.lexsort(sweeps.T[::-1])]
        apart = (
            np.flatnonzero(
                sweeps[1:, 0] - sweeps[:-1, 1] > FRAMES_BETWEEN_SWEEPS.get(session_type, 39)
            )
            + 1
        )
        for block in np.split(sweeps, apart):
            start, stop = times[np.clip([block[0, 0], block[-1, 1]], 0, len(timestamps))]
            epochs.append((start, stop, name.replace("_stimulus", "")))
    return pd.DataFrame(sorted(epochs), columns=["start_s", "stop_s", "name"])
