"""Results as files: tables by suffix, or where the recordings came from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..export import to_nwb, to_parquet, to_phy
from ..files.storage import atomic_file, check_writable
from ..sources.folder import NAMELESS, SAVED, Kind

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PHY = NAMELESS[0]
NWB = "NWB files"


def check_out(out: Path, overwrite: bool, endings: tuple[str, ...] = ()) -> None:
    """Before hours of work: ValueError for an ending that isn't known, FileExistsError, OSError
    where nothing can be written.
    """
    known = (*SEPARATORS, ".parquet", *endings)
    if out.suffix not in known:
        raise ValueError(f"{out}: its name must end in one of {', '.join(known)}.")
    if out.is_dir() or out.exists() and not overwrite:
        raise FileExistsError(
            f"{out} exists already; choose another name, or pass --overwrite to replace it."
        )
    check_writable(out.parent)


def write_table(table: pd.DataFrame, out: Path, overwrite: bool, digits: int | None = None) -> Path:
    """CSV, TSV or Parquet, by the ending; digits : of numbers in the first two (None: all)."""
    check_out(out, overwrite)
    if out.suffix == ".parquet":
        return to_parquet(table, out, overwrite=overwrite)
    with atomic_file(out) as partial:
        table.to_csv(
            partial,
            sep=SEPARATORS[out.suffix],
            float_format=None if digits is None else f"%.{digits}g",
            encoding="utf-8",
            lineterminator="\n",
        )
    return out


def place_beside(kind: Kind, folder: Path, place: Path, name: str) -> Path:
    """Where results of a place go if nothing is said: into Phy's own folder; into a copy of an NWB
    file, in a folder `nuclr` beside it; else a table in the folder that was given, or beside it.
    """
    if kind.name == PHY:
        return place
    if kind.name == NWB:
        return place.parent / "nuclr" / place.name
    if folder.is_file() or kind.name == SAVED and place == folder:
        return folder.parent / f"{folder.stem}_{name}"
    return folder / name


def check_beside(kind: Kind, target: Path, overwrite: bool, narrow: list[str]) -> None:
    """FileExistsError, before hours of work, where something is at a place of `write_beside`."""
    names = [f"cluster_nuclr_{name}.tsv" for name in narrow]
    there = [target / name for name in names] if kind.name == PHY else [target]
    for file in there if not overwrite else []:
        if file.exists():
            raise FileExistsError(f"{file} exists already; pass --overwrite to replace it.")


def write_beside(
    kind: Kind, target: Path, place: Path, table: pd.DataFrame, overwrite: bool, narrow: list[str]
) -> list[Path]:
    """Results of one Phy folder or NWB file, at its `place_beside`. narrow : the columns that Phy
    shows.
    """
    ids = list(table.index.unique("recording_id"))
    if kind.name == PHY:
        return to_phy(table[narrow], target, recordings=ids, overwrite=overwrite)
    return [to_nwb(table, place, target, recordings=ids, overwrite=overwrite)]
