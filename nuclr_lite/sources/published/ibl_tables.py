"""The tables of an IBL insertion from its ALF files: its units, its epochs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..reading import first_line
from .alf import around, epochs_table, newest, read_npy, required

PASSIVE_NAMES = {
    "passiveProtocol": "passive",
    "spontaneousActivity": "spontaneous",
    "RFM": "receptive field mapping",
    "taskReplay": "task replay",
}


def units_of(place: Path, at_least: int) -> pd.DataFrame:
    """One row a cluster number: label, channel and, where the files are there, depth_um, uuid,
    atlas_id, ml_um, ap_um, dv_um.

    Raises ValueError where there are fewer than `at_least` clusters, or the files don't fit
    together.
    """
    file = required(
        place,
        "clusters.channels.npy",
        "the channel, from 0, with the largest waveform of each cluster",
    )
    channels = read_npy(file, "the channel of each cluster").astype(np.int64)
    if len(channels) < at_least:
        raise ValueError(
            f"{file}: has {len(channels)} clusters, and spikes.clusters.npy speaks of cluster"
            f" {at_least - 1} (counted from 0): they are of different sortings or revisions;"
            " download the insertion again."
        )
    file = required(
        place,
        "clusters.metrics.pqt",
        "quality metrics, one row a cluster: cluster_id, label (1: passes all)",
    )
    metrics = _table(file, "quality metrics, one row a cluster")
    if not {"cluster_id", "label"} <= set(metrics.columns):
        raise ValueError(
            f"{file}: has the columns {list(metrics.columns)}, and cluster_id and label are needed;"
            " download it again."
        )
    label = (
        metrics.drop_duplicates("cluster_id")
        .set_index("cluster_id")["label"]
        .reindex(range(len(channels)))
    )
    units = pd.DataFrame(
        {"label": label.to_numpy(dtype=np.float64), "channel": channels},
        index=pd.RangeIndex(len(channels), name="unit_id"),
    )
    if depths := file_of(place, "clusters.depths.npy"):
        units["depth_um"] = read_npy(
            depths, "the depth of each cluster, um", length=len(channels)
        ).astype(np.float64)
    if uuids := file_of(place, "clusters.uuids.csv"):
        names = pd.read_csv(uuids, dtype=str).iloc[:, 0].tolist()
        if len(names) != len(channels):
            raise ValueError(
                f"{uuids}: has {len(names)} rows for {len(channels)} clusters; it should hold one"
                " id a cluster. Download the insertion again."
            )
        units["uuid"] = names
    located = file_of(place, "channels.brainLocationIds_ccf_2017.npy")
    if located is None:
        warnings.warn(
            f"{place}: no channels.brainLocationIds_ccf_2017.npy (the atlas id of each channel):"
            " its units have no region.",
            stacklevel=3,
        )
        return units
    return _locate(units, place, located)


def _locate(units: pd.DataFrame, place: Path, file: Path) -> pd.DataFrame:
    """The units with atlas ids and places."""
    holds = "the Allen CCF id of each channel's place"
    atlas_id = read_npy(file, holds).astype(np.int64)
    channels = units["channel"].to_numpy()
    if channels.max() >= len(atlas_id) or channels.min() < 0:
        raise ValueError(
            f"{file}: has {len(atlas_id)} channels, and clusters.channels.npy speaks of channel"
            f" {channels.max()} (counted from 0); it should hold {holds}. Download the insertion"
            " again."
        )
    units["atlas_id"] = atlas_id[channels]
    if mlapdv := file_of(place, "channels.mlapdv.npy"):
        positions = read_npy(
            mlapdv, "the place of each channel, um from bregma", length=len(atlas_id), columns=3
        )
        units["ml_um"], units["ap_um"], units["dv_um"] = positions[channels].astype(np.float64).T
    return units


def epochs_of(alf: Path) -> pd.DataFrame:
    """'task', each 'trial' and the passive periods, where the session's files are there."""
    parts = {}
    if trials := newest(alf, "_ibl_trials.table.pqt"):
        table = _table(trials, "one row a trial")
        if {"intervals_0", "intervals_1"} <= set(table.columns):
            parts["trial"] = table[["intervals_0", "intervals_1"]].to_numpy(dtype=np.float64)
            parts["task"] = around(parts["trial"])
    if passive := newest(alf, "_ibl_passivePeriods.intervalsTable.csv"):
        table = pd.read_csv(passive, index_col=0)
        # Two rows, start and stop, and one column a period; a period that was not run is empty.
        if {"start", "stop"} <= set(table.index):
            parts |= {
                PASSIVE_NAMES.get(name, name): (
                    column[["start", "stop"]].to_numpy(dtype=np.float64)[None]
                )
                for name, column in table.items()
                if column.notna().all()
            }
    return epochs_table(parts, alf)


def file_of(place: Path, name: str) -> Path | None:
    """`newest`; channels.* may lie in the probe's folder, where the alignment wrote them."""
    return newest(place, name) or (
        newest(place.parent, name)
        if name.startswith("channels.") and place.parent.name != "alf"
        else None
    )


def _table(file: Path, holds: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except ImportError as error:
        raise ImportError(
            "reading .pqt tables needs pyarrow, which is not installed: pip install pyarrow (with"
            " numpy 1: 'pyarrow<26')"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{file}: can't be read as a Parquet table ({first_line(error)}); it should hold"
            f" {holds}. Download it again."
        ) from error
