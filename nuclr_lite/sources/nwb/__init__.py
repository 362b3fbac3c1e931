"""Neurodata Without Borders: `read_nwb` reads files, folders and addresses, spikes or calcium.

Lives here: `read`, which makes recordings; `opening`, of files and addresses; `columns`, the labels
of units; `spikes`, tables of units and their trains; `times`, epochs and valid time; `traces`,
frames and planes. May import what `sources/`
may; pynwb and fsspec only where a file is opened.
"""

from .read import read_nwb

__all__ = ["read_nwb"]
