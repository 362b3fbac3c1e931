"""Luo, Kim et al. 2025 (Nature): 115 Neuropixels sessions of twelve rats that decide on which side
more clicks were heard, with a brain region for each unit; 58 MB, Apache-2.0, no account.

    <folder>/T176_2018_05_03.mat, T176_2018_05_04.mat, ...

From the repository of the paper's code, Brody-Lab/decision_dynamics_commitment, at one commit. What
it holds are spike counts in bins of 10 ms, a trial at a time: from the first click to just before
the movement, 1 s at most, some five seconds apart. Its units are those that the authors used
(enough spikes, selective for the choice). Implants were chronic: a neuron may be in several
sessions of its rat, so only a split by rat keeps the sides apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.intervals import on_bins
from ...files.progress import progress
from ...files.storage import atomic_directory, file_name
from ...recording import Recording
from ..download.downloads import Job, confirm_size, download_all
from ..reading import first_line

REPOSITORY = "Brody-Lab/decision_dynamics_commitment"
COMMIT = "532b308672f0bc17e1b4c763eb546815633b936d"
ADDRESS = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}/data/processed_data/recordings"
BIN_S = 0.01
# Frontal cortex (dorsomedial, medial prefrontal, frontal orienting fields), motor cortex, striatum.
REGIONS = ("dmFC", "mPFC", "FOF", "M1", "dStr", "vStr")
# Rats of the same regions were implanted alike. Each group holds some of each, so that whichever is
# left out, the others have every region. T224, with six units in one session, is in none.
GROUPS = (
    ("T176", "T264", "T274", "X046"),
    ("T212", "T219", "X062"),
    ("T223", "T240", "T249", "X087"),
)


def list_sessions() -> pd.DataFrame:
    """All sessions, indexed by session_id ('T176_2018_05_03'): animal_id, date, n_units, n_trials,
    duration_s (of all trials, s), units of each region, bytes and git_blob_sha1 of the file.
    """
    table = pd.read_csv(Path(__file__).with_name("rat_decisions.csv"), index_col="session_id")
    named = table.index.to_series().str.partition("_")
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "animal_id": named[0],
                    "date": named[2].str.replace("_", "-"),
                    "n_units": table[list(REGIONS)].sum(axis=1),
                    "n_trials": table["trials"],
                    "duration_s": (table["bins"] * BIN_S).round(2),
                }
            ),
            table[[*REGIONS, "bytes", "git_blob_sha1"]],
        ],
        axis=1,
    )


def download(
    folder: str | Path,
    sessions: Iterable[str] | None = None,
    *,
    address: str = ADDRESS,
    confirm: bool = True,
) -> list[Path]:
    """Download sessions (None: all, 58 MB), resumed, each checked against its size and git's SHA-1;
    what is there already and whole is not downloaded again.

    Parameters
    ----------
    address : where the files lie, if not in the repository: a mirror's folder. confirm : ask
        before downloading.

    Returns
    -------
    list[Path], in the order of the sessions.

    Raises
    ------
    ValueError : an unknown session. DownloadError : a file could not be had whole. What
        `confirm_size` raises.
    """
    folder, table = Path(folder).expanduser(), list_sessions()
    wanted = list(table.index if sessions is None else sessions)
    unknown = [session for session in wanted if session not in table.index]
    if unknown:
        raise ValueError(
            f"there is no session {', '.join(map(repr, unknown))}; list_sessions() has them all,"
            f" such as {table.index[0]!r}."
        )
    jobs = [
        Job(
            f"{address}/{session}.mat",
            folder / f"{session}.mat",
            int(table["bytes"][session]),
            partial(_check_blob, expected=table["git_blob_sha1"][session]),
        )
        for session in wanted
    ]
    missing = sum(job.expected_bytes or 0 for job in jobs if not Path(job.path).is_file())
    if missing:
        confirm_size(missing, folder, f"rats deciding ({REPOSITORY})", yes=not confirm)
    return download_all(jobs)


def read_session(file: str | Path, *, join_trials: bool = True) -> Recording:
    """One session.

    Parameters
    ----------
    file : such as T176_2018_05_03.mat; its name says the rat and the date.
    join_trials : lay all trials end to end, as one interval from 0 s on. Windows of several seconds
        need that, and cross from one trial to the next, some five seconds later, at the same
        places for all units. False: each trial is a valid interval of its own, of 1 s at most, at
        its time in the session.

    Returns
    -------
    Recording of counts, with recording_id 'T176_2018_05_03' and units indexed by the authors'
    number. `.units` has region. `.epochs` has a row a trial: choice (1: right), gamma (log of the
    ratio of click rates, right over left) and session_s, when it began in the session, s.

    Raises
    ------
    FileNotFoundError : no such file. ValueError : it is not one of these files, or damaged.
    """
    file = Path(file).expanduser()
    session = file.stem
    neurons, trials = _load(file)
    animal, _, date = session.partition("_")
    if not date:
        raise ValueError(
            f"{file}: its name doesn't say which rat; call it as it was, such as"
            " 'T176_2018_05_03.mat'."
        )
    try:
        units = pd.DataFrame(
            {"region": [str(neuron.brainarea) for neuron in neurons]},
            index=pd.Index([int(neuron.neuronindex) for neuron in neurons], name="unit_id"),
        )
        pieces = [np.stack(_trains(trial.spiketrains, len(neurons)), axis=1) for trial in trials]
        began_s = np.array([float(trial.stereoclick_time_s) for trial in trials])
        told = pd.DataFrame(
            {
                "choice": [int(trial.choice) for trial in trials],
                "gamma": [float(trial.gamma) for trial in trials],
            }
        )
        steps = [int(trial.ntimesteps) for trial in trials]
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file}: its neurons and trials are not as in the published files"
            f" ({first_line(error)}); download it again."
        ) from error
    bins = [len(piece) for piece in pieces]
    if bins != steps:
        odd = int(np.flatnonzero(np.array(bins) != steps)[0])
        raise ValueError(
            f"{file}: trial {odd} says {steps[odd]} bins and has {bins[odd]}; download it again."
        )
    if not (np.diff(began_s) > 0).all():
        raise ValueError(f"{file}: its trials are not in order of time; download it again.")
    if join_trials:
        pieces, starts = [np.concatenate(pieces)], np.zeros(1)
        trial_s = BIN_S * (np.cumsum(bins) - bins)
    else:
        starts = trial_s = on_bins(began_s, BIN_S)
    return Recording.from_counts(
        pieces,
        BIN_S,
        units,
        start_s=starts,
        recording_id=session,
        animal_id=animal,
        epochs=told.assign(
            start_s=trial_s,
            stop_s=trial_s + BIN_S * np.array(bins),
            name="trial",
            session_s=began_s,
        ),
        provenance={
            "source": f"Luo, Kim et al. 2025, {REPOSITORY} at {COMMIT[:12]}",
            "file": file.name,
            "trials": "joined" if join_trials else "apart",
        },
    )


def read(folder: str | Path, *, min_units: int = 8, join_trials: bool = True) -> list[Recording]:
    """The sessions of a folder with at least `min_units` units, in the order of their names (of all
    115, 112 have 8 or more: those of eleven rats).

    Raises
    ------
    FileNotFoundError : no session in the folder. What `read_session` raises.
    """
    folder, known = Path(folder).expanduser(), list_sessions()["n_units"]
    files = [folder / f"{session}.mat" for session in known.index[known >= min_units]]
    files = [file for file in files if file.is_file()]
    if not files:
        raise FileNotFoundError(
            f"{folder}: no session in it (such as T176_2018_05_03.mat); download some with"
            " rat_decisions.download."
        )
    return [
        read_session(file, join_trials=join_trials)
        for file in progress(files, desc="read rats", unit="session", leave=False)
    ]


def prepared(data_dir: str | Path, *, address: str = ADDRESS) -> Path:
    """A folder of saved recordings, for `Experiment.source`: all sessions of 8 units or more, their
    trials end to end. The first time they are downloaded and converted.

    Parameters
    ----------
    data_dir : the project's data/; gets raw/rat_decisions and processed/rat_decisions.

    Raises
    ------
    What `download` and `read` raise.
    """
    data_dir = Path(data_dir)
    folder = data_dir / "processed" / "rat_decisions"
    if not folder.exists():
        raw = data_dir / "raw" / "rat_decisions"
        download(raw, address=address, confirm=False)
        with atomic_directory(folder) as partial_folder:
            for recording in read(raw):
                recording.save(partial_folder / file_name(recording.recording_id))
    return folder


def _check_blob(file: Path, expected: str) -> None:
    """ValueError unless git would call the content so."""
    content = file.read_bytes()
    found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise ValueError(f"its git SHA-1 is {found} instead of {expected}")


def _load(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The neurons and trials of a file, an object each."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(
            "reading MATLAB files needs scipy, which is not installed: pip install scipy"
        ) from error
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; download it with rat_decisions.download, or check the path."
        )
    try:
        held = loadmat(file, squeeze_me=True, struct_as_record=False)
    except PermissionError:
        raise
    except Exception as error:  # of scipy, for whatever the bytes may be
        raise ValueError(
            f"{file}: can't be read as a MATLAB 5 file ({first_line(error)}); download it again."
        ) from error
    if "neurons" not in held or "trials" not in held:
        names = sorted(name for name in held if not name.startswith("__"))
        raise ValueError(
            f"{file}: holds {names}, and 'neurons' and 'trials' are needed; it is not one of these"
            " sessions."
        )
    return np.atleast_1d(held["neurons"]), np.atleast_1d(held["trials"])


def _trains(trains, n_units: int) -> list[np.ndarray]:
    """A trial's counts, an array a unit: of a single unit, or of single bins, MATLAB's reader gives
    something flatter.
    """
    trains = [trains] if n_units == 1 else list(trains)
    if len(trains) != n_units:
        raise ValueError(f"a trial has spike trains of {len(trains)} units instead of {n_units}")
    return [np.atleast_1d(train) for train in trains]
