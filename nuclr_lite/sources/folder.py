"""Recordings from a folder: those that `Recording.save` wrote, a subfolder each, or NWB files."""

from __future__ import annotations

import warnings
from pathlib import Path

from ..recording import Recording


def saved_in(folder: Path) -> list[Path]:
    """The saved recordings of a folder, by name."""
    return sorted(header.parent for header in folder.glob("*/recording.json"))


def read_folder(folder: str | Path, verify: bool = False) -> list[Recording]:
    """All recordings of a folder, in the order of their names.

    Saved recordings are opened as memory maps, so that hundreds take seconds and hardly any memory;
    NWB files are read whole. Where there are both, the saved recordings count, with a warning.

    Parameters
    ----------
    verify : compare the checksums of saved recordings, which reads all of them once. Sizes are
        checked in any case.

    Raises
    ------
    FileNotFoundError : the folder holds neither.
    """
    folder = Path(folder)
    saved, sessions = saved_in(folder), sorted([*folder.glob("*.nwb"), *folder.glob("*.nwb.zarr")])
    if saved:
        if sessions:
            warnings.warn(
                f"{folder}: {len(saved)} saved recordings are read, {len(sessions)} NWB files"
                f" beside them are not ({sessions[0].name}, ...); read these with nwb.read_nwb.",
                stacklevel=2,
            )
        return [Recording.load(path, verify) for path in saved]
    if sessions:
        from .nwb import read_nwb

        return read_nwb(folder)
    raise FileNotFoundError(
        f"{folder} holds no saved recording and no NWB file; save some with recording.save(folder /"
        " name)."
    )
