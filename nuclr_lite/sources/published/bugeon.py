"""Bugeon et al. 2022 (Nature 607:330): two-photon calcium of mouse V1, cells with transcriptomic
labels, from figshare 19448531.

    <folder>/SB025/2019-10-04/neuron.ttype.txt, neuron.UniqueID.npy, neuron.plane.npy, ...
    <folder>/SB025/2019-10-04/Drifting Gratings/01/frame.neuralActivity.npy, frame.times.npy, ...

No real file was at hand. Names and shapes are those that public code reads (NuCLR's
preprocess/bugeon, NeuPRINT's data_preprocess.py). Not verified: that neuralActivity is dF/F
(NuCLR's code calls it so) and not deconvolved; that frame.times, one a frame for all planes of a
session, counts seconds from the start of each experiment; units of positions and depth; how many
cells have NaN. Frames come at about 4.3 Hz.

Protocols of the NuCLR paper: excitatory against inhibitory, and five subclasses; transductive (a
fifth of the neurons held out) and inductive zero-shot (mouse SB028 held out). A cell may be in
several sessions of its mouse (`unique_id`), so only a split by mouse keeps the sides apart.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.progress import progress
from ...recording import Recording
from ..reading import on_grid
from .alf import load_npy, read_npy, required

# The NuCLR code's rule (preprocess/bugeon, src/evaluators/bugeon.py). What remains is Lamp5, Pvalb,
# Sncg, Sst and Vip. excitatory; inhibitory of no finer type; unknown; left out in the paper
NO_SUBCLASS = ("EC", "IN", "unknown", "Serpinf1")
GAP_S = 600.0
# What a units table takes from the session's files, where they are: column, file, which column of
# the file.
UNIT_FILES = (
    ("unique_id", "neuron.UniqueID.npy", None),
    ("plane", "neuron.plane.npy", None),
    ("depth", "neuron.depth.npy", None),
    ("stack_x", "neuron.stackPosCorrected.npy", 0),
    ("stack_y", "neuron.stackPosCorrected.npy", 1),
    ("receptive_field_x", "neuron.rfCenter_Xvis.npy", None),
    ("receptive_field_y", "neuron.rfCenter_Yvis.npy", None),
)


def labels_of(ttype: str) -> dict[str, str | None]:
    """The paper's labels of a type such as 'Pvalb-Tac1-Akr1c18': cell_class, EC or IN (everything
    else), and subclass, the name before the first '-', or None.
    """
    name = ttype.split("-")[0]
    return {
        "cell_class": "EC" if ttype == "EC" else "IN",
        "subclass": None if name in NO_SUBCLASS else name,
    }


def read_session(
    folder: str | Path, *, gap_s: float = GAP_S, animal: str | None = None
) -> Recording:
    """One session: its experiments, which show the same cells, one after another in the order of
    their names, `gap_s` apart.

    Parameters
    ----------
    folder : <animal>/<date>, with neuron.ttype.txt and a folder an experiment, <stimulus>/<number>,
        each with frame.neuralActivity.npy (frames, cells) and frame.times.npy.
    gap_s : time without frames between experiments, s: longer than the largest distance of two
        views (240 s in the paper), so that no pair has one in each.
    animal : None: the name of the folder above.

    Returns
    -------
    Recording with recording_id 'bugeon-<animal>_<date>'. `.units`, in the order of the files, has
    ttype, cell_class, subclass (`labels_of`) and what there is of unique_id (the same cell in other
    sessions), plane, depth, stack_x, stack_y, receptive_field_x and _y. `.epochs` has a row an
    experiment, its name the stimulus, with the experiment and first_frame_s, the time of its first
    frame in the file. An experiment of another number of cells, and cells with NaN, are left out
    with a warning.

    Raises
    ------
    FileNotFoundError : a file is missing, saying which and what it should hold. ValueError : a file
        is damaged, or of another session; experiments of different frame rates.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; give one session, such as 'SB025/2019-10-04'."
        )
    animal = animal or folder.absolute().parent.name
    units = _units(folder)
    experiments = sorted(file.parent for file in folder.glob("*/*/frame.neuralActivity.npy"))
    if not experiments:
        raise FileNotFoundError(
            f"{folder}: no experiment in it: no <stimulus>/<number>/frame.neuralActivity.npy, which"
            " should hold the activity (frames, cells). Unpack the archive again."
        )
    parts = [part for path in experiments if (part := _experiment(path, len(units)))]
    if not parts:
        raise ValueError(
            f"{folder}: none of its {len(experiments)} experiments has the {len(units)} cells of"
            " neuron.ttype.txt; unpack the archive again."
        )

    rates = np.array([part["rate"] for part in parts])
    rate = float(np.average(rates, weights=[len(part["traces"]) for part in parts]))
    if (np.abs(rates / rate - 1) > 0.01).any():
        raise ValueError(
            f"{folder}: its experiments have frame rates of {', '.join(f'{r:.4g}' for r in rates)}"
            " Hz; they can't be one recording. Keep those of one rate in the folder."
        )
    n_gap = int(np.ceil(gap_s * rate))
    firsts = np.cumsum([0, *(len(part["traces"]) + n_gap for part in parts)])
    traces = np.full((firsts[-1] - n_gap, len(units)), np.nan, dtype=np.float32)
    for first, part in zip(firsts, parts):
        traces[first : first + len(part["traces"])] = part["traces"]
    valid = np.concatenate(
        [
            ((part["intervals"] - part["start_s"]) * part["rate"] + first) / rate
            for first, part in zip(firsts, parts)
        ]
    )
    epochs = pd.DataFrame(
        [
            {
                "start_s": first / rate,
                "stop_s": (first + len(part["traces"])) / rate,
                "name": part["path"].parent.name,
                "experiment": part["path"].relative_to(folder).as_posix(),
                "first_frame_s": part["start_s"],
            }
            for first, part in zip(firsts, parts)
        ]
    )

    broken = np.any([part["broken"] for part in parts], axis=0)
    if broken.all():
        raise ValueError(
            f"{folder}: every cell has NaN or infinite activity somewhere; unpack the archive"
            " again."
        )
    if broken.any():
        warnings.warn(
            f"{folder}: left out {broken.sum()} of {len(units)} cells whose activity is NaN or"
            f" infinite somewhere (first: {np.flatnonzero(broken)[0]}).",
            stacklevel=2,
        )
    date = folder.absolute().name
    return Recording.from_traces(
        traces[:, ~broken],
        rate,
        units[~broken],
        valid,
        recording_id=f"bugeon-{animal}_{date}",
        animal_id=animal,
        epochs=epochs,
        provenance={
            "source": "Bugeon et al. 2022, figshare 19448531",
            "folder": f"{animal}/{date}",
            "gap_s": gap_s,
        },
    )


def read_bugeon(folder: str | Path, *, gap_s: float = GAP_S) -> list[Recording]:
    """All sessions of the unpacked archive, one recording each, in the order of their paths.

    Raises FileNotFoundError if there is none, and what `read_session` raises.
    """
    folder = Path(folder).expanduser()
    sessions = sorted(file.parent for file in folder.rglob("neuron.ttype.txt"))
    if not sessions:
        raise FileNotFoundError(
            f"{folder}: no session in it (no <animal>/<date>/neuron.ttype.txt); unpack the archive,"
            " and give the folder that holds the animals' folders."
        )
    return [
        read_session(session, gap_s=gap_s)
        for session in progress(sessions, desc="read Bugeon", unit="session", leave=False)
    ]


def _units(folder: Path) -> pd.DataFrame:
    file = required(folder, "neuron.ttype.txt", "the transcriptomic type of each cell, one a line")
    ttypes = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    while ttypes and not ttypes[-1]:
        ttypes.pop()
    if not ttypes or not all(ttypes):
        raise ValueError(
            f"{file}: has {len(ttypes)} lines, {ttypes.count('')} of them empty; it should hold the"
            " transcriptomic type of each cell, one a line. Unpack the archive again."
        )
    units = pd.DataFrame(
        [{"ttype": ttype, **labels_of(ttype)} for ttype in ttypes],
        index=pd.RangeIndex(len(ttypes), name="unit_id"),
    )
    for column, name, place in UNIT_FILES:
        if (folder / name).is_file():
            values = read_npy(
                folder / name,
                f"{column} of each cell",
                length=len(units),
                columns=None if place is None else 2,
            )
            units[column] = values if place is None else values[:, place]
    return units


def _experiment(path: Path, n_cells: int) -> dict | None:
    """Traces on a regular grid, its rate (Hz) and start (s), valid intervals (s), and which cells
    are NaN; None, with a warning, if it has other cells.
    """
    file = path / "frame.neuralActivity.npy"
    traces = load_npy(file, "the activity (frames, cells)")
    if traces.ndim != 2 or traces.dtype.kind not in "iuf":
        raise ValueError(
            f"{file}: holds {traces.dtype} of shape {traces.shape}; it should hold the activity"
            " (frames, cells). Unpack the archive again."
        )
    if traces.shape[1] != n_cells:
        warnings.warn(
            f"{path}: left out: frame.neuralActivity.npy has {traces.shape[1]} cells, and"
            f" neuron.ttype.txt {n_cells}.",
            stacklevel=3,
        )
        return None
    holds = "the time of each frame, s, one for all planes"
    times = read_npy(required(path, "frame.times.npy", holds), holds, length=len(traces))
    finite = np.isfinite(traces)
    # Frames that are broken in all cells are no cell's fault: `Recording` leaves them out.
    broken = ~(finite | ~finite.any(axis=1, keepdims=True)).all(axis=0)
    grid, rate, start_s, intervals = on_grid(
        traces.astype(np.float32), times.astype(np.float64), str(path)
    )
    return {
        "path": path,
        "traces": grid,
        "rate": rate,
        "start_s": start_s,
        "intervals": intervals,
        "broken": broken,
    }
