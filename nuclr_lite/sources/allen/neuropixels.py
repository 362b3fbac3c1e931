"""The Allen Visual Coding Neuropixels set: its sessions listed and downloaded here; read as
recordings and optotagged in `allen_recordings`.

Source: Siegle et al. 2021, Nature 592, 86 (the data set). Listing and downloading need AllenSDK,
the rest h5py alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.progress import progress
from ...files.storage import atomic_file
from ...recording import Recording
from ..download.downloads import Job, confirm_size, download, download_all, is_whole
from ..download.remote import RemoteFile
from ..download.transfer import DownloadError, remote_size
from .client import neuropixels_cache, neuropixels_session_path, neuropixels_session_urls
from .optotagging import cell_type_of_genotype
from .recordings import (
    convert_session as convert_session,
    light_responses as light_responses,
    optotag as optotag,
    read_session as read_session,
    saved_of,
)
from .session_file import QUALITY_LIMITS, open_session

# 146.5 GB in 58 sessions (AllenSDK's documentation), where the server doesn't say
TYPICAL_SESSION_BYTES = 2.5e9
SIZES_FILE = "session_sizes.json"
STREAMED_SHARE = 0.12  # of a file, for the visual areas: benchmarks/allen_stream.py
AT_ONCE = 8  # questions to the server


# Listing


def list_sessions(
    cache_dir: str | Path,
    scheme: str | None = None,
    host: str | None = None,
    *,
    genotype: str | None = None,
    session_type: str | None = None,
    animal: str | int | None = None,
    sizes: bool = True,
) -> pd.DataFrame:
    """The sessions there are, from AllenSDK's tables (58 MB, downloaded to `cache_dir` on the first
    call).

    Parameters
    ----------
    cache_dir : an AllenSDK cache, or where to begin one. scheme, host : of another warehouse; None:
        AllenSDK's.
    genotype : a part of the genotype, such as 'Pvalb'; 'wt': animals without any transgene.
    session_type : the set of stimuli, 'brain_observatory_1.1' or 'functional_connectivity'. animal
        : its animal_id.
    sizes : False: don't ask the server for sizes.

    Returns
    -------
    DataFrame, by session id. AllenSDK's columns and animal_id (its specimen_id; a recording's is
    the subject that the file names, which may be another number: hold out by session id), genotype,
    structures (acronyms, as text), has_light_pulses (the animal has Ai32, the channel for
    optotagging), size_gb (10^9 bytes; of the file that is there, or as the server says; NaN: it
    doesn't).

    Raises
    ------
    ValueError : no session matches; says which values there are. ImportError : AllenSDK is missing;
        says what to type.
    DownloadError : the tables could not be had.
    """
    cache = neuropixels_cache(cache_dir, scheme, host)
    table = cache.get_session_table().sort_index()
    table["animal_id"] = table["specimen_id"].astype(str)
    table["genotype"] = table["full_genotype"]
    table["structures"] = [
        ", ".join(sorted(name for name in np.atleast_1d(names) if isinstance(name, str)))
        for names in table["ecephys_structure_acronyms"]
    ]
    table["has_light_pulses"] = table["genotype"].str.contains("Ai32", regex=False)
    if genotype == "wt":
        matches = ~table["genotype"].str.contains("[^wt/;]")
    else:
        matches = table["genotype"].str.contains(genotype or "", regex=False)
    table = _choose(table, "genotype", matches, genotype)
    table = _choose(table, "session_type", table["session_type"] == session_type, session_type)
    table = _choose(table, "animal_id", table["animal_id"] == str(animal), animal)
    table["size_gb"] = np.array(_session_bytes(cache, cache_dir, table.index, ask=sizes)) / 1e9
    return table


def _choose(table: pd.DataFrame, column: str, matches: pd.Series, wanted) -> pd.DataFrame:
    if wanted is None:
        return table
    if not matches.any():
        raise ValueError(
            f"no session has {column} {wanted!r}; there are {sorted(table[column].unique())}."
        )
    return table[matches].copy()


def _session_bytes(cache, cache_dir: str | Path, session_ids, ask: bool = True) -> list[float]:
    """Size of each session's file in bytes: on disk, remembered, or as the first address that knows
    says; else NaN.
    """
    memory = Path(cache_dir).expanduser() / SIZES_FILE
    try:
        known = {
            int(number): int(size)
            for number, size in json.loads(memory.read_text(encoding="utf-8")).items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        known = {}
    paths = {number: neuropixels_session_path(cache_dir, number) for number in session_ids}
    on_disk = {number: path.stat().st_size for number, path in paths.items() if is_whole(path)}
    unknown = (
        [number for number in session_ids if number not in on_disk and number not in known]
        if ask
        else []
    )

    answered: list[int] = []
    silent: list[int] = []

    def size_of(number) -> int | None:
        # Without a network each question takes many seconds: a round without any answer is enough.
        for url in (
            neuropixels_session_urls(cache, number) if answered or len(silent) < AT_ONCE else []
        ):
            try:
                size = remote_size(url if isinstance(url, str) else url())
            except (OSError, ValueError):  # the warehouse doesn't know, or doesn't answer
                continue
            if size is not None:
                answered.append(number)
                return size
        silent.append(number)
        return None

    if unknown:
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            found = {
                int(number): size
                for number, size in zip(unknown, pool.map(size_of, unknown))
                if size is not None
            }
        if found:
            known |= found
            # a shared cache may be one that one may only read
            with suppress(OSError), atomic_file(memory) as partial:
                partial.write_text(json.dumps(known), encoding="utf-8")
    return [float(on_disk.get(number, known.get(number, np.nan))) for number in session_ids]


# Downloading


def download_session(
    session_id: int,
    cache_dir: str | Path,
    scheme: str | None = None,
    host: str | None = None,
    *,
    confirm: bool = False,
) -> Path:
    """Download one session (1.7 to 3.3 GB) into an AllenSDK cache, unless it is there: then nothing
    is asked of any server.

    From the public bucket or, where that fails or another `host` is given, by the warehouse's link
    (`client.neuropixels_session_urls`). The size is shown in the bar; the download doesn't
    begin where the disk hasn't the room; run again, it resumes.

    Parameters
    ----------
    session_id : from `list_sessions`. cache_dir, scheme, host : as there.
    confirm : True: say how large it is, and ask first.

    Returns
    -------
    Path, <cache_dir>/session_<id>/session_<id>.nwb, where AllenSDK looks for it.

    Raises
    ------
    ValueError : there is no such session. DownloadError, OSError with errno ENOSPC : as
        `downloads.download`. ImportError : as `list_sessions`.
    """
    session_id = int(session_id)
    path = neuropixels_session_path(cache_dir, session_id)
    if is_whole(path):
        return path
    cache = neuropixels_cache(cache_dir, scheme, host)
    _check_ids(cache, [session_id])
    if confirm:
        _confirm(cache, cache_dir, [session_id], ask=True)
    return download(neuropixels_session_urls(cache, session_id), path)


def download_sessions(
    session_ids: Sequence[int],
    cache_dir: str | Path,
    scheme: str | None = None,
    host: str | None = None,
    *,
    confirm: bool = True,
    parallel: int = 3,
) -> list[Path]:
    """`download_session` for several, `parallel` at a time. One that fails doesn't stop the others.

    The size of all that is missing is compared with the free disk, and stated; then, unless
    `confirm` is False, a question is asked.
    """
    session_ids = [int(number) for number in session_ids]
    paths = [neuropixels_session_path(cache_dir, number) for number in session_ids]
    missing = [number for number, path in zip(session_ids, paths) if not is_whole(path)]
    if missing:
        cache = neuropixels_cache(cache_dir, scheme, host)
        _check_ids(cache, missing)
        _confirm(cache, cache_dir, missing, ask=confirm)
        download_all(
            [
                Job(
                    neuropixels_session_urls(cache, number),
                    neuropixels_session_path(cache_dir, number),
                )
                for number in missing
            ],
            parallel,
        )
    return paths


def remote_session(
    session_id: int, cache_dir: str | Path, scheme: str | None = None, host: str | None = None
) -> RemoteFile:
    """A session's file where it lies, for `read_session`, `convert_session`, `optotag` and
    `light_responses` in place of a path: they fetch what they need of it, and nothing else.

    What has come is kept in `cache_dir` until `.discard()`, and used again. Parameters and errors
    are those of `download_session`.
    """
    session_id = int(session_id)
    cache = neuropixels_cache(cache_dir, scheme, host)
    _check_ids(cache, [session_id])
    return RemoteFile(
        neuropixels_session_urls(cache, session_id), neuropixels_session_path(cache_dir, session_id)
    )


def stream_session(
    session_id: int,
    folder: str | Path,
    cache_dir: str | Path,
    scheme: str | None = None,
    host: str | None = None,
    *,
    structures: tuple[str, ...] | None = None,
    quality: dict | None = QUALITY_LIMITS,
    tag: bool = True,
    first_hours: float | None = None,
    overwrite: bool = False,
) -> list[Recording]:
    """Recordings of a session without downloading it: of its file only tables and the spike times
    of the chosen units are fetched, a tenth or so.

    Equal to what `convert_session` makes of the whole file, and saved as it does. Stopped and run
    again, it goes on; what was fetched is removed when the recordings are saved. A session whose
    file is in the cache is read from there.

    Parameters
    ----------
    session_id, cache_dir, scheme, host : as in `download_session`. folder, structures, quality,
        overwrite : as in `convert_session`.
    tag : where light pulses tell a cell type, make it (`optotag`); its column is cell_type. That
        takes the spikes at the session's end, too.
    first_hours : use no more than this from the session's beginning, h.

    Raises
    ------
    DownloadError : the file can't be read where it lies. What `convert_session` raises.
    """
    whole = neuropixels_session_path(cache_dir, int(session_id))
    source = whole if is_whole(whole) else remote_session(session_id, cache_dir, scheme, host)
    try:
        with open_session(source) as session:
            tells = len(session.light_pulses()) and cell_type_of_genotype(session.genotype)
        labels = optotag(source, structures, quality=quality) if tag and tells else None
        recordings = convert_session(
            source,
            folder,
            structures,
            quality=quality,
            cell_types=labels,
            until_s=None if first_hours is None else 3600.0 * first_hours,
            overwrite=overwrite,
        )
    except BaseException:
        if isinstance(source, RemoteFile):
            source.close()
        raise
    if isinstance(source, RemoteFile):
        source.discard()
    return recordings


def stream_sessions(
    session_ids: Sequence[int],
    folder: str | Path,
    cache_dir: str | Path,
    scheme: str | None = None,
    host: str | None = None,
    *,
    confirm: bool = True,
    **options,
) -> list[Recording]:
    """`stream_session` for several, one after the other; those whose recordings are in `folder`
    already are opened from there. About how much will be fetched is said first; then, unless
    `confirm` is False, a question is asked. One that fails doesn't stop the others.

    options : those of `stream_session`.

    Raises
    ------
    DownloadError : at the end, with what was wrong with each session that failed.
    """
    session_ids = [int(number) for number in session_ids]
    again = options.get("overwrite", False)
    missing = [number for number in session_ids if again or not saved_of(folder, number)]
    if missing:
        cache = neuropixels_cache(cache_dir, scheme, host)
        _check_ids(cache, missing)
        sizes = np.nan_to_num(_session_bytes(cache, cache_dir, missing), nan=TYPICAL_SESSION_BYTES)
        confirm_size(
            STREAMED_SHARE * sizes.sum(),
            cache_dir,
            f"about {STREAMED_SHARE:.0%} of {len(missing)} sessions",
            yes=not confirm,
        )
    failed = {}
    for number in progress(missing, desc="sessions", unit="session"):
        try:
            stream_session(number, folder, cache_dir, scheme, host, **options)
        except (OSError, ValueError) as error:
            failed[number] = error
    if failed:
        raise DownloadError(
            f"{len(failed)} of {len(session_ids)} sessions could not be had; the others are in"
            f" {folder}.\n" + "\n".join(map(str, failed.values()))
        )
    saved = [path for number in session_ids for path in saved_of(folder, number)]
    return [Recording.load(path) for path in saved]


def _check_ids(cache, session_ids) -> None:
    try:
        known = cache.session_ids()
    except OSError:
        # the bucket may answer where the warehouse doesn't; it is asked for the file all the same
        return
    unknown = [number for number in session_ids if number not in known]
    if unknown:
        raise ValueError(
            f"there is no session {', '.join(map(str, unknown))}; list_sessions shows the"
            f" {len(known)} that there are (first: {known[0]})."
        )


def _confirm(cache, cache_dir: str | Path, session_ids: Sequence[int], ask: bool) -> None:
    sizes = np.nan_to_num(_session_bytes(cache, cache_dir, session_ids), nan=TYPICAL_SESSION_BYTES)
    parts = [Path(f"{neuropixels_session_path(cache_dir, number)}.part") for number in session_ids]
    to_come = sizes.sum() - sum(part.stat().st_size for part in parts if part.is_file())
    confirm_size(
        max(0.0, to_come),
        cache_dir,
        f"{len(session_ids)} session{'s' * (len(session_ids) > 1)}",
        yes=not ask,
    )
