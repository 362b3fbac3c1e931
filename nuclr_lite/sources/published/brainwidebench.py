"""IBL BrainWideBench (arXiv 2609.22064): its sessions, and the tables of their units. `embeddings`
has the vectors that were published of these units, `experiments.brainwidebench` scores them.

    units = brainwidebench.read_units("data/raw/brainwidebench")

The tables lie in the sessions' files in a public bucket, each with all the spikes of a session, and
only the parts of a file are fetched that hold the table. No network was at hand when this was
written: it was tested against a stand-in for the bucket, made by the published layout, and has
never met the real one.

`ibl_sessions.csv` lists the 459 sessions of IBL's Brain-wide Map (release 2023_12) with their mice
(github int-brain-lab/paper-brain-wide-map, brainwidemap/fixtures/2023_12_bwm_release.csv), what
each is in the benchmark (its lists of recording ids: 423 to pretrain on, 29 to evaluate, none of
the same mice) and whether it is in the pretraining list of the first NuCLR (github nerdslab/nuclr,
configs/data/train_dataset/ibl_bwm_probes_all.yaml).
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.progress import progress
from ...files.storage import atomic_directory, atomic_file, check_seal, seal
from ...files.tables import read_table, write_table
from ..download.downloads import confirm_size
from ..download.remote import RemoteFile
from ..download.transfer import DownloadError
from ..reading import first_line

BUCKET = "https://brain-wide-bench.s3.amazonaws.com"
KEY = "brainsets/selected_units/ibl_brain_wide_bench_2026/{regime}/{session}.h5"
# for a table of 400 units, with what HDF5 reads to find it; measured on a stand-in
TYPICAL_BYTES = 300_000
COLUMNS = {  # in `units`, one value a unit -> here
    "id": "unit_id",
    "probe_id": "probe_id",
    "region_cosmos": "region",
    "label": "label",
    "firing_rate": "firing_rate_hz",
    "depths": "depth_um",
    "qc_neural": "qc_neural",
    "qc_neural_alignment": "qc_neural_alignment",
}
NUMBERS = ("label", "firing_rate_hz", "depth_um")
OF_PROBES = ("qc_neural", "qc_neural_alignment")  # may be in `probes` alone
UNITS = ["recording_id", "unit_id", "regime", "animal_id", *list(COLUMNS.values())[1:]]
SESSIONS = ["recording_id", "tag", "version", "n_units"]


def sessions() -> pd.DataFrame:
    """The 459 sessions, indexed by session_id: animal_id, brainwidebench ('pretrain', 'eval', or ''
    for the seven that it leaves out), nuclr (bool: the first NuCLR was pretrained on it).
    """
    table = pd.read_csv(
        Path(__file__).with_name("ibl_sessions.csv"), index_col="session_id", keep_default_na=False
    )
    return table.assign(nuclr=table["nuclr"].astype(bool))


def trained_on(encoder: str) -> pd.DataFrame:
    """What a published encoder was pretrained on: recording_id and animal_id, for `nl.checks`.

    encoder : 'nuclr', of the first paper (24 of the benchmark's 29 evaluation sessions are in its
        list); 'brainwidebench', of the benchmark (none is).
    """
    table = sessions()
    kept = {"nuclr": table["nuclr"], "brainwidebench": table["brainwidebench"] == "pretrain"}
    if encoder not in kept:
        raise ValueError(f"encoder is {encoder!r}; use one of {sorted(kept)}.")
    chosen = table[kept[encoder]].rename_axis("recording_id")
    return chosen.reset_index()[["recording_id", "animal_id"]]


# ---- unit tables


def read_units(
    cache_dir: str | Path,
    wanted: Iterable[str] | None = None,
    *,
    refresh: bool = False,
    at_once: int = 4,
    url: str = BUCKET,
    disable_bar: bool = False,
    **options,
) -> pd.DataFrame:
    """The unit tables of the benchmark's sessions (its build of selected units).

    They are fetched once, and kept as one table, `<cache_dir>/brainwidebench_units`: from then on
    no network is needed. Stopped, it goes on where it was.

    Parameters
    ----------
    wanted : session ids. None: all 452, to pretrain on and to evaluate.
    refresh : ask the bucket whether each file is still the one that was read (they are rebuilt
        under the same names), and read those anew that are not.
    at_once : sessions at a time, a process each.
    options : tries, timeout_s, back_off_s, as of `RemoteFile`.

    Returns
    -------
    DataFrame indexed by (recording_id, unit_id), the session's id and IBL's of the unit: regime
    ('pretrain' or 'eval'), animal_id, probe_id, region (Cosmos acronym), label (share of IBL's
    three criteria passed), firing_rate_hz, depth_um (along the probe), qc_neural and
    qc_neural_alignment ('PASS', 'WARNING', 'FAIL').

    Raises
    ------
    ValueError : a session that isn't the benchmark's; a damaged cache. DownloadError : after all
        others have been read, which sessions could not be, and why.
    """
    known = sessions()
    known = known[known["brainwidebench"] != ""]["brainwidebench"]
    wanted = list(known.index) if wanted is None else list(dict.fromkeys(wanted))
    unknown = [name for name in wanted if name not in known.index]
    if unknown:
        raise ValueError(
            f"{len(unknown)} sessions aren't of the benchmark (first: {unknown[0]!r}); `sessions()`"
            " lists them."
        )
    folder = Path(cache_dir).expanduser() / "brainwidebench_units"
    units, read = _cached(folder)
    missing = wanted if refresh else [name for name in wanted if name not in read.index]
    if missing:
        jobs = [
            (f"{url}/{KEY.format(regime=known[name], session=name)}", name, known[name])
            for name in missing
        ]
        pool = {"at_once": at_once, "refresh": refresh, "disable_bar": disable_bar}
        units, read, failed = _fetch(jobs, folder, units, read, options, **pool)
        if failed:
            raise DownloadError(
                f"the unit tables of {len(failed)} of {len(wanted)} sessions could not be read:\n"
                + "\n".join(f"  {text}" for text in failed[:10])
                + "\n  ..." * (len(failed) > 10)
                + "\nWhat has come is kept. Run it again: it asks for these alone; or pass `wanted`"
                " without them."
            )
    versions = read.loc[wanted, "version"].value_counts()
    if len(versions) > 1:
        warnings.warn(
            f"the sessions are of {len(versions)} versions of the data set ({versions.to_dict()});"
            " read them with refresh=True.",
            stacklevel=2,
        )
    place = {name: at for at, name in enumerate(wanted)}
    at = units["recording_id"].map(place)
    chosen = units.assign(_at=at)[at.notna()].sort_values("_at", kind="stable")
    return chosen.drop(columns="_at").set_index(["recording_id", "unit_id"])


def session_units(source: str | Path | RemoteFile, session: str, regime: str = "") -> pd.DataFrame:
    """The columns `UNITS` of one session's file, on disk or where it lies; `attrs` has `version`.

    Raises
    ------
    FileNotFoundError : nothing there. ValueError : not HDF5, damaged, not that session, or a column
        is missing or doesn't fit. DownloadError : what `RemoteFile` raises.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "reading unit tables needs h5py, which is not installed: pip install h5py"
        ) from error
    remote = source if isinstance(source, RemoteFile) else None
    try:
        with h5py.File(source, "r") as file:
            return _units_in(file, session, regime, remote)
    except (DownloadError, FileNotFoundError):
        raise
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{session}: its file can't be read ({first_line(error)}): it is truncated or damaged,"
            " or isn't HDF5."
        ) from error
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{session}: its file isn't laid out as published ({type(error).__name__}: {error})."
        ) from error


def _units_in(file, session: str, regime: str, remote: RemoteFile | None) -> pd.DataFrame:
    if "session" in file and _text(file["session"].attrs.get("id", session)) != session:
        raise ValueError(
            f"{session}: the file is of session {_text(file['session'].attrs['id'])!r}."
        )
    group, probes = file["units"], file["probes"]
    of_probes = [name for name in OF_PROBES if name not in group]
    lacking = [f"units/{name}" for name in COLUMNS if name not in group and name not in of_probes]
    lacking += [f"probes/{name}" for name in ("id", *of_probes) if name not in probes]
    if lacking:
        raise ValueError(f"{session}: its file lacks {', '.join(lacking)}.")
    wanted = [group[name] for name in COLUMNS if name in group]
    wanted += [probes[name] for name in ("id", *of_probes)]
    # side by side; those that HDF5 keeps elsewhere (texts of any length) come one by one
    if remote is not None:
        starts = [(one.id.get_offset(), one.id.get_storage_size()) for one in wanted]
        remote.fetch([(start, start + size) for start, size in starts if start is not None])
    n_units = group["id"].shape[0]
    table = {}
    for name, ours in COLUMNS.items():
        if name in of_probes:
            continue
        if group[name].shape != (n_units,):
            raise ValueError(
                f"{session}: units/{name} has shape {group[name].shape} for {n_units} units."
            )
        values = group[name][:]
        table[ours] = values.astype(np.float64) if ours in NUMBERS else [*map(_text, values)]
    ids = [_text(value) for value in probes["id"][:]]
    strange = sorted(set(table["probe_id"]) - set(ids))
    if strange or len(set(ids)) < len(ids) or len(set(table["unit_id"])) < n_units:
        raise ValueError(
            f"{session}: its units and probes don't fit together (probes {ids}, of units also"
            f" {strange}; {n_units} units of {len(set(table['unit_id']))} names)."
        )
    for name in of_probes:  # by name: older files have their probes in another order
        quality = dict(zip(ids, map(_text, probes[name][:])))
        table[name] = [quality[probe] for probe in table["probe_id"]]
    animal = _text(file["subject"].attrs["id"])
    found = pd.DataFrame(table).assign(recording_id=session, regime=regime, animal_id=animal)[UNITS]
    brainset = file["brainset"].attrs if "brainset" in file else {}
    found.attrs["version"] = _text(brainset.get("derived_version", ""))
    return found


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _cached(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was read before: the units, with `UNITS` as columns; the sessions, by id."""
    remedy = f"delete {folder} and run it again: it is fetched anew"
    if not folder.exists():
        tables = [pd.DataFrame(columns=UNITS, dtype=object), pd.DataFrame(columns=SESSIONS)]
    else:
        check_seal(folder, remedy)
        try:
            tables = [
                read_table(folder / f"{name}.csv", dtypes)
                for name, dtypes in json.loads((folder / "types.json").read_text()).items()
            ]
            tables = [tables[0][UNITS], tables[1][SESSIONS]]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{folder} can't be read ({error!r}); {remedy}.") from error
    return tables[0], tables[1].set_index("recording_id")


def _fetch(jobs, folder: Path, units, read, options: dict, *, at_once, refresh, disable_bar):
    """The tables of `_cached` with those sessions read anew, and what went wrong, a text each."""
    from joblib import Parallel, delayed

    parts, failed = folder.with_name(f"{folder.name}.parts"), []
    parts.mkdir(parents=True, exist_ok=True)
    # of a run that was stopped
    fresh = {} if refresh else {path.stem: path for path in parts.glob("*.units")}
    jobs = [job for job in jobs if job[1] not in fresh]
    if jobs:
        place = jobs[0][0].rsplit("/", 2)[0]
        what = f"Unit tables of {len(jobs)} sessions (parts of their files at {place}; an estimate)"
        confirm_size(TYPICAL_BYTES * len(jobs), folder.parent, what, yes=True)
    # processes: HDF5 reads one file at a time in each
    results = Parallel(n_jobs=min(at_once, max(len(jobs), 1)), return_as="generator_unordered")(
        delayed(_bring)(job, parts, read["tag"].get(job[1]), options) for job in jobs
    )
    bar = progress(desc="unit tables", unit="B", unit_scale=True, disable=disable_bar)
    with bar:
        for n, (session, received, trouble) in enumerate(results, 1):
            bar.update(received)
            bar.set_postfix_str(f"{n} of {len(jobs)} sessions")
            failed += [trouble] * bool(trouble)
            part = parts / f"{session}.units"
            fresh |= {session: part} if part.exists() else {}
    if fresh:
        found = {name: json.loads(path.read_text("utf-8")) for name, path in fresh.items()}
        units, read = _put(folder, units, read, found)
    if not failed:
        shutil.rmtree(parts)
    else:  # what has come of the others' files stays
        for path in fresh.values():
            path.unlink()
    return units, read, failed


def _put(folder: Path, units, read, found: dict[str, dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `_cached` with those sessions in them or in the place of older ones, written
    down.
    """
    tables = [units[~units["recording_id"].isin(found)]]
    tables += [pd.DataFrame(one["units"], columns=UNITS) for one in found.values()]
    filled = [table for table in tables if len(table)]
    units = pd.concat(filled, ignore_index=True) if filled else units
    units = units.astype({name: np.float64 for name in NUMBERS})
    rows = pd.DataFrame([one["session"] for one in found.values()], columns=SESSIONS)
    read = pd.concat([read[~read.index.isin(found)], rows.set_index("recording_id")])
    with atomic_directory(folder, overwrite=True) as new:
        types = {
            name: write_table(table, new / f"{name}.csv")
            for name, table in (("units", units), ("sessions", read.reset_index()))
        }
        (new / "types.json").write_text(json.dumps(types))
        seal(new)
    return units, read


def _bring(job, parts: Path, tag: str | None, options: dict) -> tuple[str, int, str]:
    """Read one session's table and leave it in `parts`, unless its file still has that tag; its id,
    the bytes that came, and what went wrong.
    """
    url, session, regime = job
    received = 0
    try:
        with RemoteFile(url, parts / f"{session}.h5", disable_bar=True, **options) as remote:
            if tag is None or remote.tag != tag:
                try:
                    units = session_units(remote, session, regime)
                except ValueError:
                    remote.discard()  # or the same parts would be read again
                    raise
                row = {
                    "recording_id": session,
                    "tag": remote.tag or "",
                    "version": units.attrs["version"],
                    "n_units": len(units),
                }
                part = {"session": row, "units": units.to_dict("list")}
                with atomic_file(parts / f"{session}.units") as partial:
                    partial.write_text(json.dumps(part), encoding="utf-8")
            received = remote.received
            remote.discard()
    except (OSError, ValueError) as error:
        return session, received, str(error)
    return session, received, ""
