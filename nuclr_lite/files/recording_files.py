"""The files of a saved recording: `recording.json`, `units.csv`, `epochs.csv` and arrays as `.npy`,
in a folder that is whole or absent.

`Recording.save` and `Recording.load` are the way in; here is how.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from glob import escape
from pathlib import Path

import numpy as np

from .intervals import check_intervals
from .storage import atomic_directory, check_files, describe_files
from .tables import read_table, write_table

FORMAT = "nuclr_lite recording"
FORMAT_VERSION = 3  # 1 had no checksum of the header itself, 2 no bin_s
# name: kind, dimensions
ARRAYS = {
    "spikes": {"intervals": ("f8", 2), "times": ("f8", 1), "unit_rows": ("i4", 1)},
    "calcium": {"intervals": ("f8", 2), "traces": ("f4", 2)},
}
TABLES = ("units", "epochs")
PLAIN = (
    "modality",
    "recording_id",
    "animal_id",
    "probe_id",
    "sampling_rate_hz",
    "bin_s",
    "start_s",
    "trace_scale",
    "n_spikes_outside",
    "provenance",
)
REMEDY = "copy, download or convert it again"


def write_recording(recording, path: Path, overwrite: bool):
    """The work of `Recording.save`."""
    if path.exists() and overwrite and not (path / "recording.json").is_file():
        raise FileExistsError(
            f"{path} exists and is not a recording; it won't be replaced. Choose another path."
        )
    names = ARRAYS[recording.modality]
    with atomic_directory(path, overwrite) as folder:
        for name in names:
            np.save(folder / f"{name}.npy", getattr(recording, name), allow_pickle=False)
        tables = {
            name: write_table(getattr(recording, name), folder / f"{name}.csv") for name in TABLES
        }
        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **{name: getattr(recording, name) for name in PLAIN},
            "units_of_measure": {"times": "s", "intervals": "s"},
            "tables": tables,
            "files": describe_files(folder, _file_names(recording.modality)),
        }
        header = json.loads(json.dumps(header, default=str))  # as it will be read
        header["sha256"] = header_checksum(header)
        (folder / "recording.json").write_text(
            json.dumps(header, indent=1, ensure_ascii=False), encoding="utf-8"
        )


def read_recording(path: Path, verify: bool) -> dict:
    """The work of `Recording.load`: the fields of a Recording, arrays as memory maps.

    Where another process replaces the folder meanwhile, it is read again: never half of one and
    half of the other.
    """
    deadline = time.monotonic() + 2
    while True:
        before, error = _header(path), None
        try:
            fields = _read(path, before[0], verify)
        except (ValueError, FileNotFoundError) as caught:
            error = caught
        if before == _header(path) and not _between_renames(path):
            if error is None:
                return fields
            raise error
        if time.monotonic() > deadline:
            raise error or ValueError(
                f"{path} was replaced again and again while it was read; load it again."
            )
        time.sleep(0.01)


def _read(path: Path, text: str | None, verify: bool) -> dict:
    if not path.exists():
        left = _between_renames(path)
        raise FileNotFoundError(
            f"{path}: nothing there; "
            + (
                f"it was being replaced when something went wrong: rename {left[-1].name} beside it"
                f" to {path.name}."
                if left
                else "save a recording to it first."
            )
        )
    try:
        header = json.loads(text or "")
        known = header["format"] == FORMAT
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        raise ValueError(
            f"{path} is not a recording that nuclr_lite saved (no readable recording.json); "
            "make one with Recording.from_spike_trains, from_traces or a source, then .save()."
        )
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(
            f"{path / 'recording.json'} has no format version: it was changed or damaged; {REMEDY}."
        )
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, this nuclr_lite reads up to {FORMAT_VERSION};"
            " update nuclr_lite."
        )
    if version != 1 and header.pop("sha256", None) != header_checksum(header):
        raise ValueError(
            f"{path / 'recording.json'} is not what was saved (SHA-256 differs): it was changed or"
            f" damaged; {REMEDY}."
        )
    try:
        header = {"bin_s": None} | header if version < 3 else header
        fields = {name: header[name] for name in PLAIN}
        names, listed = ARRAYS[header["modality"]], header["files"]
        if set(listed) != set(_file_names(header["modality"])):
            raise ValueError(f"it lists the files {', '.join(sorted(listed))}")
        check_files(path, listed, REMEDY, verify)
        for name, (kind, dimensions) in names.items():
            fields[name] = array = np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            if (
                not isinstance(array, np.ndarray)
                or array.dtype.str[1:] != kind
                or array.ndim != dimensions
            ):
                raise ValueError(
                    f"{name}.npy holds no array of kind {kind} with {dimensions} dimensions"
                )
        for name in TABLES:
            fields[name] = read_table(path / f"{name}.csv", header["tables"][name])
        fields["intervals"] = check_intervals(fields["intervals"], header["recording_id"])
        _check_lengths(fields, verify)
    except OSError:
        raise
    except Exception as error:  # of numpy, pandas and tokenize, which parse what may be anything
        if REMEDY in str(error):
            raise
        raise ValueError(
            f"{path} can't be read as a recording ({type(error).__name__}: {error}); it was changed"
            f" or damaged: {REMEDY}."
        ) from error
    return fields


def _check_lengths(fields: dict, verify: bool):
    n_units = len(fields["units"])
    if fields["modality"] == "calcium":
        if fields["traces"].shape[1] != n_units:
            raise ValueError(
                f"traces of {fields['traces'].shape[1]} units, but {n_units} rows in units.csv"
            )
    elif len(fields["times"]) != len(fields["unit_rows"]):
        raise ValueError(
            f"{len(fields['times'])} spike times, but {len(fields['unit_rows'])} unit rows"
        )
    elif (
        verify
        and len(fields["unit_rows"])
        and not 0 <= fields["unit_rows"].min() <= fields["unit_rows"].max() < n_units
    ):
        raise ValueError(f"a spike of a unit that is not among the {n_units} rows of units.csv")


def _file_names(modality: str) -> list[str]:
    return [f"{name}.npy" for name in ARRAYS[modality]] + [f"{name}.csv" for name in TABLES]


def _header(path: Path) -> tuple[str | None, tuple | None]:
    """The header's text, None where it can't be read, and which file of all that were ever there it
    came from.
    """
    try:
        with open(path / "recording.json", encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            return file.read(), (status.st_ino, status.st_mtime_ns)
    except (OSError, ValueError):
        return None, None


def header_checksum(header: dict) -> str:
    """SHA-256 of what the header says (not of how it is laid out)."""
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


def _between_renames(path: Path) -> list[Path]:
    """Where a folder is absent: what `atomic_directory` moved away and hasn't replaced."""
    return [] if path.exists() else sorted(path.parent.glob(f".{escape(path.name)}.*.replaced"))
