"""The Allen Visual Coding two-photon set: listed, downloaded, read as recordings.

One *experiment* is one imaging session of one plane in one animal; a *container* holds the sessions
of the same plane on different days, with different stimuli. What a plane's cells are is known from
the animal's Cre line, which drives the indicator's expression.

Source: de Vries et al. 2020, Nature Neuroscience 23, 138 (the data set). Reading needs h5py;
listing and downloading need AllenSDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from ..download.downloads import Job, confirm_size, download_all, is_whole
from ..download.transfer import remote_size
from .client import two_photon_cache, two_photon_file_url, two_photon_path
from .two_photon_file import read_experiment as read_experiment

TYPICAL_BYTES = 0.3e9  # a guess, where the server doesn't say how large a file is


# Listing and downloading


def list_containers(
    cache_dir: str | Path,
    base_uri: str | None = None,
    *,
    cre_line: str | Sequence[str] | None = None,
    area: str | Sequence[str] | None = None,
    depth_um: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """The imaged planes, from AllenSDK's tables (downloaded to `cache_dir` on the first call, read
    from there afterwards).

    Parameters
    ----------
    cache_dir : an AllenSDK cache, or where to begin one. base_uri : of another warehouse; None:
        AllenSDK's.
    cre_line : one or several, in full ('Vip-IRES-Cre') or what precedes the first '-' ('Vip'). area
        : such as 'VISp'.
    depth_um : (lowest, highest) imaging depth, um, both included.

    Returns
    -------
    DataFrame, by container id: AllenSDK's columns (cre_line, targeted_structure, imaging_depth
    (um), donor_name, ...), animal_id (the donor's name) and failed (in quality control; AllenSDK
    leaves these out unless asked for).

    Raises
    ------
    ValueError : nothing matches; says which values there are. ImportError : AllenSDK is missing;
        says what to type.
    DownloadError : the tables could not be had.
    """
    rows = two_photon_cache(cache_dir, base_uri).get_experiment_containers(include_failed=True)
    return _chosen(
        rows, "container", cre_line=cre_line, targeted_structure=area, imaging_depth=depth_um
    )


def list_experiments(
    cache_dir: str | Path,
    base_uri: str | None = None,
    *,
    cre_line: str | Sequence[str] | None = None,
    area: str | Sequence[str] | None = None,
    depth_um: tuple[float, float] | None = None,
    session_type: str | Sequence[str] | None = None,
    container_id: int | Sequence[int] | None = None,
) -> pd.DataFrame:
    """The imaging sessions; as `list_containers`, by experiment id, with experiment_container_id
    and session_type ('three_session_A', ...).
    """
    cache = two_photon_cache(cache_dir, base_uri)
    failed = {
        row["id"] for row in cache.get_experiment_containers(include_failed=True) if row["failed"]
    }
    rows = [
        row | {"failed": row["experiment_container_id"] in failed}
        for row in cache.get_ophys_experiments(include_failed=True)
    ]
    return _chosen(
        rows,
        "experiment",
        cre_line=cre_line,
        targeted_structure=area,
        imaging_depth=depth_um,
        session_type=session_type,
        experiment_container_id=container_id,
    )


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
            raise ValueError(
                f"no {what} has {column} {values}; there are"
                f" {sorted(table[column].dropna().unique().tolist())}."
            )
        table = table[matches]
    return table.copy()


def download_experiment(
    experiment_id: int, cache_dir: str | Path, base_uri: str | None = None, *, confirm: bool = False
) -> Path:
    """`download_experiments` for one, without a question unless `confirm`."""
    return download_experiments([experiment_id], cache_dir, base_uri, confirm=confirm)[0]


def download_experiments(
    experiment_ids: Sequence[int],
    cache_dir: str | Path,
    base_uri: str | None = None,
    parallel: int = 3,
    *,
    confirm: bool = True,
) -> list[Path]:
    """Download experiments into an AllenSDK cache, `parallel` at a time, those that aren't there.

    Run again, it resumes.

    The size of all that is missing is compared with the free disk, and stated; then, unless
    `confirm` is False, a question is asked. One file that fails doesn't stop the others.

    Returns
    -------
    list[Path], <cache_dir>/ophys_experiment_data/<id>.nwb, where AllenSDK looks for them.

    Raises
    ------
    ValueError : the warehouse has no such file. ImportError : as `list_containers`. DownloadError,
        OSError with errno ENOSPC : as `downloads.download`.
    """
    paths = {
        int(number): Path(cache_dir).expanduser() / "ophys_experiment_data" / f"{int(number)}.nwb"
        for number in experiment_ids
    }
    missing = [number for number, path in paths.items() if not is_whole(path)]
    if missing:
        cache = two_photon_cache(cache_dir, base_uri)
        # a cache's manifest may name other places
        paths |= {number: two_photon_path(cache, number) for number in missing}
        with ThreadPoolExecutor(max_workers=8) as pool:
            urls = list(pool.map(lambda number: two_photon_file_url(cache, number), missing))
            sizes = list(pool.map(remote_size, urls))
        what = f"{len(missing)} experiment{'s' * (len(missing) > 1)}"
        there = sum(
            Path(f"{paths[number]}.part").stat().st_size
            for number in missing
            if Path(f"{paths[number]}.part").is_file()
        )
        confirm_size(
            sum(size or TYPICAL_BYTES for size in sizes) - there, cache_dir, what, yes=not confirm
        )
        download_all([Job(url, paths[number]) for url, number in zip(urls, missing)], parallel)
    return list(paths.values())
