"""Steinmetz et al. 2019 (Nature 576:266): Neuropixels across the mouse brain, 39 sessions of 10
mice, from figshare 9598406.

A session is a folder of ALF files such as `Cori_2016-12-14`, all its probes together; units of a
probe were seen together, so each probe becomes a recording.

Protocols of the NuCLR paper: transductive, all sessions in pretraining, a fifth of the units held
out from the classifier, four regions. Its preprocessing keeps every cluster, whatever its
annotation (`min_annotation=None`); ours keeps the good ones unless told so.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.progress import progress
from ...recording import Recording
from ..reading import first_line, trains_of
from .alf import around, epochs_table, load_npy, read_npy, read_spikes, required, valid_time

# From the data's authors' code (nsteinme/steinmetz-et-al-2019, brainRegionGroups), as the NuCLR
# code uses it.
REGION_GROUPS = {
    "VIS": ("VISp", "VISrl", "VISam", "VISpm", "VISl", "VISa"),
    "TH": ("LP", "LD", "RT", "MD", "MG", "LGd", "VPM", "VPL", "PO", "POL"),
    "HPF": ("POST", "SUB", "DG", "CA1", "CA3"),
    "MB": ("MRN", "SCm", "SCs", "APN", "PAG"),
}
REGION_OF = {area: region for region, areas in REGION_GROUPS.items() for area in areas}
# clusters._phy_annotation: 0 noise, 1 multi-unit, 2 good, 3 unsorted; above 3, a quality score by
# hand
GOOD = 2
PASSIVE = ("passiveVisual", "passiveBeeps", "passiveValveClick", "passiveWhiteNoise")


def read_session(
    folder: str | Path, *, min_annotation: int | None = GOOD, animal: str | None = None
) -> list[Recording]:
    """The recordings of one session, one a probe.

    Valid time runs from the first to the last spike of a probe's chosen units, without silences of
    the whole probe longer than 1 s (and 1 s on either side).

    Parameters
    ----------
    folder : one that holds spikes.times.npy, spikes.clusters.npy, clusters.probes.npy,
        clusters.peakChannel.npy, clusters._phy_annotation.npy and channels.brainLocation.tsv; with
        clusters.depths.npy, channels.probe.npy, trials.*, spontaneous.*, passive* and sparseNoise.*
        used where they are.
    min_annotation : keep units annotated with at least this (2: good). None: all.
    animal : None: from the folder's name, `Cori_2016-12-14`, or from a path such as
        `Cori/2016-12-14/001/alf`.

    Returns
    -------
    list[Recording], by probe. recording_id is 'steinmetz-<animal>_<date>-probe<n>'; units are
    indexed by their number in the session (from 0). `.units` has brain_area (column allen_ontology
    of the channel with the largest waveform), region (VIS, TH, HPF, MB, or None for any other
    area), annotation, peak_channel (from 1, as in the file), depth_um (from the deepest site),
    ccf_ap, ccf_dv, ccf_lr (um). `.epochs` has 'task' (first to last trial), each 'trial',
    'spontaneous', 'passive' and 'sparse noise'.

    Raises
    ------
    FileNotFoundError : a file is missing, saying which and what it should hold. ValueError : a file
        that is damaged or of another session, or no unit is left.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; give one session, such as 'Cori_2016-12-14', unpacked."
        )
    named, session = _names(folder)
    animal = animal or named
    if animal is None:
        raise ValueError(
            f"{folder}: its name doesn't say which animal (expected 'Cori_2016-12-14', or"
            " 'Cori/2016-12-14/001/alf'); give animal='a name'."
        )

    times, clusters = read_spikes(
        required(folder, "spikes.times.npy", "the time of each spike, s"),
        required(folder, "spikes.clusters.npy", "the unit number of each spike, from 0"),
    )
    units = _units(folder, int(clusters.max()) + 1)
    chosen = units if min_annotation is None else units[units["annotation"] >= min_annotation]
    if not len(chosen):
        raise ValueError(
            f"{folder}: none of its {len(units)} units is annotated {min_annotation} or higher;"
            " lower min_annotation, or pass None."
        )
    epochs = _epochs(folder)

    recordings = []
    provenance = {
        "source": "Steinmetz et al. 2019, figshare 9598406",
        "folder": folder.name,
        "min_annotation": min_annotation,
    }
    probe_of_spike = units["probe"].to_numpy()[clusters]
    for probe, members in chosen.groupby("probe"):
        trains = trains_of(times, clusters, members.index.to_numpy())
        where = f"{folder}, probe {probe}"
        recordings.append(
            Recording.from_spike_trains(
                trains,
                members,
                valid_time(trains, times[probe_of_spike == probe], where),
                recording_id=f"steinmetz-{session}-probe{probe}",
                animal_id=animal,
                probe_id=str(probe),
                epochs=epochs,
                provenance=provenance,
            )
        )
    return recordings


def read_steinmetz(folder: str | Path, *, min_annotation: int | None = GOOD) -> list[Recording]:
    """All recordings of a folder of sessions, at any depth, in the order of their paths.

    The whole set takes some GB of memory; `read_session` and `Recording.save` go one session at a
    time.

    Raises
    ------
    FileNotFoundError : no session in the folder, or only packed ones. What `read_session` raises.
    """
    folder = Path(folder).expanduser()
    sessions = sorted(file.parent for file in folder.rglob("spikes.times.npy"))
    if not sessions:
        packed = sorted(file for kind in ("*.tar", "*.zip") for file in folder.rglob(kind))
        what = (
            f"it holds {len(packed)} packed files: unpack them, for example with"
            f" nuclr_lite.sources.download.figshare.unpack({str(packed[0])!r})"
            if packed
            else "give the folder that holds session folders such as 'Cori_2016-12-14'"
        )
        raise FileNotFoundError(f"{folder}: no session in it (no spikes.times.npy); {what}.")
    return [
        recording
        for session in progress(sessions, desc="read Steinmetz", unit="session", leave=False)
        for recording in read_session(session, min_annotation=min_annotation)
    ]


def _names(folder: Path) -> tuple[str | None, str]:
    """The animal that the folder's name tells of, if it does, and the session's name."""
    # an archive may hold files, or a folder of files
    for place in (folder.absolute(), folder.absolute().parent):
        named = re.fullmatch(r"(.+)_(\d{4}-\d\d-\d\d)", place.name)
        if named:
            return named[1], named[0]
    tree = re.search(r"([^/]+)/(\d{4}-\d\d-\d\d)(?:/\d+)?(?:/alf)?$", folder.absolute().as_posix())
    return (tree[1], f"{tree[1]}_{tree[2]}") if tree else (None, folder.name)


def _units(folder: Path, at_least: int) -> pd.DataFrame:
    """One row a unit of the session, indexed by its number."""
    file = required(folder, "clusters.probes.npy", "the probe of each unit")
    probes = read_npy(file, "the probe of each unit").astype(np.int64)
    if len(probes) < at_least:
        raise ValueError(
            f"{file}: has {len(probes)} units, and spikes.clusters.npy speaks of unit"
            f" {at_least - 1} (counted from 0); download the session again."
        )

    def column(name, holds):
        return read_npy(required(folder, f"clusters.{name}.npy", holds), holds, length=len(probes))

    annotation = column(
        "_phy_annotation", "how well each unit is isolated (2 or more: good)"
    ).astype(np.int64)
    peak_channel = column(
        "peakChannel", "the channel, from 1, with the largest waveform of each unit"
    ).astype(np.int64)
    units = pd.DataFrame(
        {"probe": probes, "annotation": annotation, "peak_channel": peak_channel},
        index=pd.RangeIndex(len(probes), name="unit_id"),
    )
    if (folder / "clusters.depths.npy").is_file():
        units["depth_um"] = column("depths", "the depth of each unit on its probe, um").astype(
            np.float64
        )

    file = required(
        folder,
        "channels.brainLocation.tsv",
        "the brain area (allen_ontology) and place (ccf_ap, ccf_dv, ccf_lr) of each channel",
    )
    try:
        channels = pd.read_csv(file, sep="\t", encoding="utf-8")
    except (ValueError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"{file}: can't be read as a table ({first_line(error)}); unpack or download it again."
        ) from error
    if "allen_ontology" not in channels:
        raise ValueError(
            f"{file}: has the columns {list(channels)}, and 'allen_ontology' (the brain area) is"
            " needed; download it again."
        )
    row = units["peak_channel"].to_numpy() - 1
    known = (row >= 0) & (row < len(channels))
    if not known.all():
        warnings.warn(
            f"{folder}: {(~known).sum()} of {len(units)} units peak on a channel that"
            " channels.brainLocation.tsv doesn't have; their brain_area is None.",
            stacklevel=4,
        )
    located = channels.reindex(np.where(known, row, -1))
    units["brain_area"] = [
        area.strip() if isinstance(area, str) else None for area in located["allen_ontology"]
    ]
    units["region"] = [REGION_OF.get(area) for area in units["brain_area"]]
    for name in ("ccf_ap", "ccf_dv", "ccf_lr"):
        if name in channels:
            units[name] = located[name].to_numpy(dtype=np.float64)

    if (folder / "channels.probe.npy").is_file():
        channel_probes = read_npy(
            folder / "channels.probe.npy", "the probe of each channel", length=len(channels)
        )
        elsewhere = (channel_probes[row[known]] != probes[known]).sum()
        if elsewhere:
            warnings.warn(
                f"{folder}: {elsewhere} of {known.sum()} units peak on a channel of another probe"
                " than theirs; don't trust their brain_area.",
                stacklevel=4,
            )
    return units


def _epochs(folder: Path) -> pd.DataFrame:
    parts = {}
    for name, file in (
        ("trial", "trials.intervals.npy"),
        ("spontaneous", "spontaneous.intervals.npy"),
    ):
        if (folder / file).is_file():
            parts[name] = read_npy(folder / file, "a start and a stop a row, s", columns=2)
    if "trial" in parts:
        parts["task"] = around(parts["trial"])
    for name, objects in (("passive", PASSIVE), ("sparse noise", ("sparseNoise",))):
        files = [
            folder / f"{item}.times.npy"
            for item in objects
            if (folder / f"{item}.times.npy").is_file()
        ]
        if files:
            parts[name] = around(
                np.concatenate(
                    [np.ravel(load_npy(file, "when each stimulus came, s")) for file in files]
                )
            )
    return epochs_table(parts, folder)
