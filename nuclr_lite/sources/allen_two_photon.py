"""The Allen Visual Coding two-photon set: listed, downloaded, read as recordings; the same cell found again in another session.

One *experiment* is one imaging session of one plane in one animal; a *container* holds the sessions of the same plane on different
days, with different stimuli. What a plane's cells are is known from the animal's Cre line, which drives the indicator's expression.

Source: de Vries et al. 2020, Nature Neuroscience 23, 138 (the data set). Reading needs h5py; listing and downloading need AllenSDK.
"""
from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from ..recording import Recording, as_list
from ..retrieval import found_again
from .allen_client import two_photon_cache, two_photon_file_url, two_photon_path
from .allen_two_photon_file import read_experiment
from .downloads import Job, confirm_size, download_all, is_whole, remote_size

TYPICAL_BYTES = 0.3e9              # a guess, where the server doesn't say how large a file is


# Listing and downloading

def list_containers(cache_dir: str | Path, base_uri: str | None = None, *, cre_line: str | Sequence[str] | None = None,
                    area: str | Sequence[str] | None = None, depth_um: tuple[float, float] | None = None) -> pd.DataFrame:
    """The imaged planes, from AllenSDK's tables (downloaded to `cache_dir` on the first call, read from there afterwards).

    Parameters
    ----------
    cache_dir : an AllenSDK cache, or where to begin one. base_uri : of another warehouse; None: AllenSDK's.
    cre_line : one or several, in full ('Vip-IRES-Cre') or what precedes the first '-' ('Vip'). area : such as 'VISp'.
    depth_um : (lowest, highest) imaging depth, um, both included.

    Returns
    -------
    DataFrame, by container id: AllenSDK's columns (cre_line, targeted_structure, imaging_depth (um), donor_name, ...), animal_id (the
    donor's name) and failed (in quality control; AllenSDK leaves these out unless asked for).

    Raises
    ------
    ValueError : nothing matches; says which values there are. ImportError : AllenSDK is missing; says what to type.
    DownloadError : the tables could not be had.
    """
    rows = two_photon_cache(cache_dir, base_uri).get_experiment_containers(include_failed=True)
    return _chosen(rows, "container", cre_line=cre_line, targeted_structure=area, imaging_depth=depth_um)


def list_experiments(cache_dir: str | Path, base_uri: str | None = None, *, cre_line: str | Sequence[str] | None = None,
                     area: str | Sequence[str] | None = None, depth_um: tuple[float, float] | None = None,
                     session_type: str | Sequence[str] | None = None, container_id: int | Sequence[int] | None = None) -> pd.DataFrame:
    """The imaging sessions; as `list_containers`, by experiment id, with experiment_container_id and session_type ('three_session_A', ...)."""
    cache = two_photon_cache(cache_dir, base_uri)
    failed = {row["id"] for row in cache.get_experiment_containers(include_failed=True) if row["failed"]}
    rows = [row | {"failed": row["experiment_container_id"] in failed} for row in cache.get_ophys_experiments(include_failed=True)]
    return _chosen(rows, "experiment", cre_line=cre_line, targeted_structure=area, imaging_depth=depth_um, session_type=session_type,
                   experiment_container_id=container_id)


def _chosen(rows: list[dict], what: str, **wanted) -> pd.DataFrame:
    if not rows:
        raise ValueError(f"the warehouse lists no {what}; check base_uri.")
    table = pd.DataFrame(rows).set_index("id").sort_index().rename_axis(f"{what}_id")
    table["animal_id"] = table["donor_name"].astype(str)
    for column, values in wanted.items():
        if values is None:
            continue
        if column == "imaging_depth":
            if np.size(values) != 2:
                raise ValueError(f"depth_um is {values!r}; give (lowest, highest) in um.")
            matches = table[column].between(*values)
        else:
            values = [values] if np.ndim(values) == 0 else list(values)
            matches = table[column].isin(values)
            if column == "cre_line":
                matches |= table[column].str.split("-").str[0].isin(values)
        if not matches.any():
            raise ValueError(f"no {what} has {column} {values}; there are {sorted(table[column].dropna().unique().tolist())}.")
        table = table[matches]
    return table.copy()


def download_experiment(experiment_id: int, cache_dir: str | Path, base_uri: str | None = None, *, confirm: bool = False) -> Path:
    """`download_experiments` for one, without a question unless `confirm`."""
    return download_experiments([experiment_id], cache_dir, base_uri, confirm=confirm)[0]


def download_experiments(experiment_ids: Sequence[int], cache_dir: str | Path, base_uri: str | None = None, parallel: int = 3, *,
                         confirm: bool = True) -> list[Path]:
    """Download experiments into an AllenSDK cache, `parallel` at a time, those that aren't there. Run again, it resumes.

    The size of all that is missing is compared with the free disk, and stated; then, unless `confirm` is False, a question is asked.
    One file that fails doesn't stop the others.

    Returns
    -------
    list[Path], <cache_dir>/ophys_experiment_data/<id>.nwb, where AllenSDK looks for them.

    Raises
    ------
    ValueError : the warehouse has no such file. ImportError : as `list_containers`. DownloadError, OSError with errno ENOSPC : as `downloads.download`.
    """
    paths = {int(number): Path(cache_dir).expanduser() / "ophys_experiment_data" / f"{int(number)}.nwb" for number in experiment_ids}
    missing = [number for number, path in paths.items() if not is_whole(path)]
    if missing:
        cache = two_photon_cache(cache_dir, base_uri)
        paths |= {number: two_photon_path(cache, number) for number in missing}        # a cache's manifest may name other places
        with ThreadPoolExecutor(max_workers=8) as pool:
            urls = list(pool.map(lambda number: two_photon_file_url(cache, number), missing))
            sizes = list(pool.map(remote_size, urls))
        what = f"{len(missing)} experiment{'s' * (len(missing) > 1)}"
        there = sum(Path(f"{paths[number]}.part").stat().st_size for number in missing if Path(f"{paths[number]}.part").is_file())
        confirm_size(sum(size or TYPICAL_BYTES for size in sizes) - there, cache_dir, what, yes=not confirm)
        download_all([Job(url, paths[number]) for url, number in zip(urls, missing)], parallel)
    return list(paths.values())


# The same cell in other sessions

def match_cells(recordings: list[Recording]) -> pd.DataFrame:
    """Which cell was seen in which session.

    Parameters
    ----------
    recordings : from `read_experiment`, usually those of one container.

    Returns
    -------
    DataFrame of bool, indexed by cell_specimen_id, one column a recording_id.

    Raises
    ------
    ValueError : a recording from elsewhere, or given twice.
    """
    recordings = as_list(recordings, "match cells over")
    seen = {}
    for recording in recordings:
        if "container_id" not in recording.units.columns:
            raise ValueError(f"{recording.recording_id} has no container_id in its units; give recordings that read_experiment made.")
        seen[recording.recording_id] = pd.Series(True, index=recording.units.index)
    if len(seen) < len(recordings):
        raise ValueError("two recordings share an id; give each experiment once.")
    return pd.DataFrame(seen).notna().rename_axis(index="cell_specimen_id", columns="recording_id")


def identity_score(embedding: pd.DataFrame, recordings: list[Recording]) -> pd.DataFrame:
    """Is a cell, by its vector, nearest to itself in another session of the same plane? A test that needs no label.

    Vectors are standardised within each session and compared by their cosine; each shared cell seeks itself among the shared cells of the other session, both ways
    (`retrieval.found_again`).

    Parameters
    ----------
    embedding : what `embed` gives, or any features, indexed by (recording_id, unit_id). recordings : those embedded; of at least one container, two.

    Returns
    -------
    DataFrame, one row a pair of sessions of a container: container_id, recording_1, recording_2, n_cells (shared, with a vector in
    both), top1 (share of cells found, mean of both ways), chance (1 / n_cells). Pairs with fewer than 2 shared cells are left out.

    Raises
    ------
    ValueError : a recording has no row in `embedding`; no pair shares 2 cells.
    """
    recordings = as_list(recordings, "test identity in")
    match_cells(recordings)                            # refuses other recordings and doubles
    for recording in recordings:
        if recording.recording_id not in embedding.index.get_level_values(0):
            raise ValueError(f"the embedding has no row of {recording.recording_id}; embed all of the recordings first.")
    rows = []
    for one, two in combinations(recordings, 2):
        if not one.units.index.isin(two.units.index).any():
            continue                                   # of two containers: a cell is of one animal
        found = found_again(embedding.loc[one.recording_id], embedding.loc[two.recording_id])
        if found.n_units > 1:
            rows.append((one.units["container_id"].iloc[0], one.recording_id, two.recording_id, *found))
    if not rows:
        raise ValueError("no two of these recordings share 2 cells; read the other sessions of a container "
                         "(list_experiments(..., container_id=...)).")
    return pd.DataFrame(rows, columns=["container_id", "recording_1", "recording_2", "n_cells", "top1", "chance"])
