"""NWB's groups and tables written by h5py, whole columns at a time: seconds where pynwb and
AllenSDK, row by row, take minutes.
"""

from __future__ import annotations

import uuid

import numpy as np


class NwbTables:
    """An NWB file that is being written.

    `session` names it: the same name gives the same object ids, and so the same file.
    """

    def __init__(self, file, session: str):
        self.file, self.session_name = file, session
        self.typed(file, "NWBFile", nwb_version="2.7.0")

    def typed(self, item, kind: str, namespace: str = "core", **attributes):
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.session_name}{item.name}")
        for key, value in {
            "neurodata_type": kind,
            "namespace": namespace,
            "object_id": str(name),
            **attributes,
        }.items():
            item.attrs[key] = value
        return item

    def column(
        self, group, name: str, data, description: str = "no description", kind: str = "VectorData"
    ):
        import h5py

        data = np.asarray(data)
        if data.dtype.kind in "OU" and kind != "reference":
            data = data.astype(h5py.string_dtype())
        column = group.create_dataset(
            name, data=data, dtype=h5py.ref_dtype if kind == "reference" else None
        )
        described = {} if kind == "ElementIdentifiers" else {"description": description}
        return self.typed(
            column, kind if kind != "reference" else "VectorData", "hdmf-common", **described
        )

    def table(
        self,
        place: str,
        columns: dict,
        ids,
        kind: str = "DynamicTable",
        description: str = "simulated",
    ):
        group = self.file.require_group(place)
        self.typed(
            group,
            kind,
            "hdmf-common" if kind == "DynamicTable" else "core",
            colnames=list(columns),
            description=description,
        )
        self.column(group, "id", np.asarray(ids, dtype="int64"), kind="ElementIdentifiers")
        for name, data in columns.items():
            self.column(group, name, data)
        return group

    def index(self, group, name: str, ends):
        """Make the column `name` ragged: row i ends before ends[i]."""
        index = self.column(
            group,
            f"{name}_index",
            np.asarray(ends, dtype="uint64"),
            f"Index for VectorData '{name}'",
            kind="VectorIndex",
        )
        index.attrs["target"] = group[name].ref

    def series(self, group, name: str, timestamps, data, unit: str):
        series = self.typed(
            group.create_group(name), "TimeSeries", comments="none", description="simulated"
        )
        series.create_dataset("data", data=data).attrs.update(
            unit=unit, conversion=1.0, offset=0.0, resolution=-1.0
        )
        series.create_dataset("timestamps", data=timestamps).attrs.update(
            unit="seconds", interval=1
        )
        return series
