"""International Brain Laboratory, Brain-wide Map: Neuropixels insertions from the ALF files that
ONE downloads.

    <cache>/<lab>/Subjects/<subject>/<date>/<number>/alf/probe00/pykilosort/spikes.times.npy ...

Reading needs files alone, pandas with pyarrow for the .pqt tables and, for region names, iblatlas;
`download_insertion` needs ONE-api. What was written for the real server was tested with a stand-in
for it and with ONE on local files: no network was at hand.

Protocol of the NuCLR paper: inductive zero-shot, held-out insertions in neither pretraining nor the
classifier's training (its repository lists them); ten regions (`REGIONS`); units of quality
label 1. One script of the authors' reads the regions from the Allen hierarchy, a later one through
the Cosmos mapping, as here.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from ...recording import Recording
from ..download.transfer import check_disk
from ..reading import trains_of
from .alf import newest, read_spikes, required, valid_time
from .ibl_tables import epochs_of, file_of, units_of

# The Cosmos mapping of iblatlas without 'root' and 'void' (fibre tracts, ventricles, outside);
# src/evaluators/ibl_bwm.py of the NuCLR code names the same ten.
REGIONS = ("CB", "CNU", "CTXsp", "HB", "HPF", "HY", "Isocortex", "MB", "OLF", "TH")
# the release's first, a later one, and the oldest: in the probe's folder itself
SORTERS = ("pykilosort", "iblsorter", "")
FILES = (
    "spikes.times.npy",
    "spikes.clusters.npy",
    "clusters.channels.npy",
    "clusters.metrics.pqt",
    "clusters.depths.npy",
    "clusters.uuids.csv",
    "channels.brainLocationIds_ccf_2017.npy",
    "channels.mlapdv.npy",
)
SESSION_FILES = ("_ibl_trials.table.pqt", "_ibl_passivePeriods.intervalsTable.csv")
# public, as IBL's documentation gives it
SERVER = {"base_url": "https://openalyx.internationalbrainlab.org", "password": "international"}


def read_insertion(
    folder: str | Path,
    *,
    good_only: bool = True,
    sorter: str | None = None,
    regions: bool = True,
    animal: str | None = None,
    insertion: str | None = None,
) -> Recording:
    """The recording of one probe insertion.

    Where a file is in several revision folders (`#2024-05-06#`), the newest counts, file by file.
    Valid time runs from the first to the last spike of the chosen units, without silences of the
    whole probe longer than 1 s (and 1 s on either side).

    Parameters
    ----------
    folder : the probe's, `.../<subject>/<date>/<number>/alf/probe00`.
    good_only : keep units of quality label 1 (they pass all three of IBL's metrics), as the paper
        does. False: all.
    sorter : the subfolder with the spikes. None: the first there is of pykilosort, iblsorter and
        the probe's own folder.
    regions : name the regions, which needs iblatlas. False: `.units` has atlas_id alone.
    animal : None: the subject in the path.
    insertion : its id (pid), kept in the provenance: published lists go by it, and files don't know
        it.

    Returns
    -------
    Recording. recording_id is 'ibl-<subject>-<date>-<number>-<probe>'; units are indexed by cluster
    number. `.units` has label, channel, depth_um (from the tip), uuid, atlas_id (Allen CCF 2017;
    negative on the left), ml_um, ap_um, dv_um (from bregma), acronym, beryl, cosmos, and region:
    cosmos, None for root and void. `.epochs` has 'task', each 'trial', and the passive periods,
    where the session's files are there.

    Raises
    ------
    FileNotFoundError, ValueError : naming the file that is missing, damaged or of another sorting,
        and what it should hold. ImportError : pyarrow or iblatlas is not installed.
    """
    folder = Path(folder).expanduser().absolute()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; give a probe's, such as '.../2020-01-21/001/alf/probe00'."
        )
    path = re.search(r"([^/]+)/(\d{4}-\d\d-\d\d)/(\d+)/alf/([^/]+)$", folder.as_posix())
    if path is None:
        raise ValueError(
            f"{folder}: isn't '.../<subject>/<date>/<number>/alf/<probe>', the path that tells"
            " animal and session; keep ONE's folders as they are."
        )
    subject, date, number, probe = path.groups()
    place = _sorting(folder, sorter)

    times, clusters = read_spikes(
        required(place, "spikes.times.npy", "the time of each spike, s"),
        required(place, "spikes.clusters.npy", "the cluster number of each spike, from 0"),
    )
    units = units_of(place, int(clusters.max()) + 1)
    if regions and "atlas_id" in units:
        units = units.assign(**region_names(units["atlas_id"]))
    # A cluster number without a spike is no unit (merged away when sorting), and has no metrics.
    units = units[np.bincount(clusters, minlength=len(units)) > 0]
    chosen = units[units["label"] == 1] if good_only else units
    if not len(chosen):
        raise ValueError(
            f"{place}: none of its {len(units)} units has quality label 1; leave this insertion"
            " out, or pass good_only=False."
        )
    trains = trains_of(times, clusters, chosen.index.to_numpy())
    files = [
        file.relative_to(folder).as_posix() for name in FILES if (file := file_of(place, name))
    ]
    return Recording.from_spike_trains(
        trains,
        chosen,
        valid_time(trains, times, place),
        recording_id=f"ibl-{subject}-{date}-{number}-{probe}",
        animal_id=animal or subject,
        probe_id=probe,
        epochs=epochs_of(folder.parent),
        provenance={
            "source": "IBL Brain-wide Map",
            "insertion": insertion,
            "files": files,
            "good_only": good_only,
        },
    )


def find_insertions(folder: str | Path) -> list[Path]:
    """The probe folders below `folder` that hold spikes, in order: `for path in
    find_insertions(cache): read_insertion(path).save(...)`.

    Raises FileNotFoundError if there is none.
    """
    folder = Path(folder).expanduser()
    found = {
        place
        for file in folder.rglob("spikes.times*.npy")
        for place in file.parents
        if place.parent.name == "alf"
    }
    if not found:
        raise FileNotFoundError(
            f"{folder}: no insertion in it (no .../alf/probe.../spikes.times.npy); give ONE's cache"
            " folder, or run download_insertion first."
        )
    return sorted(found)


def download_insertion(
    insertion: str,
    cache_dir: str | Path,
    probe: str | None = None,
    *,
    sorter: str | None = None,
    one=None,
) -> Path:
    """Download what `read_insertion` needs of one insertion with ONE, some 0.1 to 1 GB; returns its
    probe folder. What is there already is not downloaded again.

    ONE checks sizes and hashes, and downloads each file's default revision. It finds insertions,
    too: `one.search_insertions(project="brainwide")`.

    Parameters
    ----------
    insertion : the insertion's id (pid); or the session's (eid), with `probe`, such as 'probe00'.
    cache_dir : ONE's cache folder, for a server of its own; `one`, if given, knows its own.
    sorter : as in `read_insertion`.
    one : a ONE instance. None: one on the public server.

    Raises
    ------
    ImportError : ONE-api is not installed. ValueError : an unknown insertion, or a needed file that
        the server lacks. OSError with errno ENOSPC : no room for it.
    """
    if one is None:
        try:
            from one.api import ONE
        except ImportError as error:
            raise ImportError(
                "downloading from IBL needs ONE, which is not installed: pip install ONE-api"
            ) from error
        one = ONE(cache_dir=Path(cache_dir).expanduser(), silent=True, **SERVER)
    eid = insertion
    if probe is None:
        eid, probe = one.pid2eid(insertion)
        if eid is None:
            raise ValueError(
                f"{insertion}: the server knows no such insertion; for a session's id (eid) give"
                " probe='probe00' too."
            )
    listed = one.list_datasets(eid, collection="alf*", details=True, default_revisions_only=True)
    there = {path: size for path, size in zip(listed["rel_path"], listed["file_size"])}
    wanted = {
        path: (match[2] or "", match[3])
        for path in there
        if (
            match := re.fullmatch(
                rf"alf/({re.escape(probe)}/)(?:([^/#]+)/)?(?:#[^/]+#/)?([^/]+)", path
            )
        )
        and match[3] in FILES
    }
    sorters = {place for place, name in wanted.values() if name == "spikes.times.npy"}
    chosen = next(
        (place for place in (SORTERS if sorter is None else (sorter,)) if place in sorters), None
    )
    if chosen is None:
        raise ValueError(
            f"{insertion}: the server has no spikes.times.npy of {probe}"
            + (
                f" sorted by {sorter!r}; there is {sorted(sorters)}."
                if sorter
                else "; choose another insertion."
            )
        )
    paths = [
        path
        for path, (place, name) in wanted.items()
        if place == chosen or (place == "" and name.startswith("channels."))
    ]
    lacking = {"spikes.clusters.npy", "clusters.channels.npy", "clusters.metrics.pqt"} - {
        wanted[path][1] for path in paths
    }
    if lacking:
        raise ValueError(
            f"{insertion}: the server lacks {sorted(lacking)} of {probe}; choose another insertion"
            " or sorter."
        )
    paths += [
        path
        for path in there
        if re.fullmatch(r"alf/(?:#[^/]+#/)?[^/]+", path)
        and path.rsplit("/", 1)[-1] in SESSION_FILES
    ]
    root = Path(one.eid2path(eid))
    check_disk(
        root,
        sum(there[path] for path in paths if not (root / path).is_file()),
        f"insertion {insertion}",
    )
    files, _ = one.load_datasets(eid, paths, download_only=True)
    failed = [path for path, file in zip(paths, files) if file is None]
    if failed:
        raise ValueError(
            f"{insertion}: could not be downloaded: {failed}; check the network and run it again:"
            " what has come is kept."
        )
    return root / "alf" / probe


def _sorting(folder: Path, sorter: str | None) -> Path:
    """The folder with the spikes."""
    for name in SORTERS if sorter is None else (sorter,):
        if newest(folder / name, "spikes.times.npy"):
            return folder / name
    looked = ", ".join(
        str(folder / name / "spikes.times.npy")
        for name in (SORTERS if sorter is None else (sorter,))
    )
    raise FileNotFoundError(
        f"{folder}: no spikes.times.npy (the time of each spike, s); looked for {looked}. Run "
        "download_insertion, or check the path and sorter."
    )


def region_names(atlas_ids) -> dict[str, list]:
    """acronym, beryl, cosmos and region (cosmos, None for root and void) of Allen CCF 2017 ids, by
    iblatlas; None for an id that it doesn't know, with a warning.
    """
    try:
        from iblatlas.regions import BrainRegions
    except ImportError as error:
        raise ImportError(
            "naming regions needs iblatlas, which is not installed: pip install iblatlas pyarrow"
            " (or regions=False)"
        ) from error
    atlas = BrainRegions()
    # By a table of our own: iblatlas drops unknown ids without a word, and every later unit would
    # get its neighbour's region.
    row_of = {int(number): row for row, number in enumerate(atlas.id)}
    rows = [row_of.get(int(number)) for number in atlas_ids]
    unknown = sorted({int(number) for number, row in zip(atlas_ids, rows) if row is None})
    if unknown:
        warnings.warn(
            f"iblatlas doesn't know the atlas ids {unknown[:5]} ({rows.count(None)} units): they"
            " have no region.",
            stacklevel=2,
        )
    names = {
        column: [
            None if row is None else str(atlas.acronym[atlas.mappings[mapping][row]])
            for row in rows
        ]
        for column, mapping in (("acronym", "Allen"), ("beryl", "Beryl"), ("cosmos", "Cosmos"))
    }
    return names | {"region": [name if name in REGIONS else None for name in names["cosmos"]]}
