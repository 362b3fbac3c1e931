"""Results back to where people work: NWB, Phy, pynapple, Parquet.

All four take the table of results first: what `nl.embed` returns, the `.predictions` of a
`DecodeResult`, both joined (`embedding.join(result.predictions)`), or any other columns on the
index (recording_id, unit_id), or on unit ids alone. Rows are matched by unit id; units without one
get NaN or an empty text. In NWB, Phy and pynapple what is written is called `nuclr_...`, so that
nothing of yours has its name, and whatever is neither letter nor digit becomes '_': `p_L2/3` is
`nuclr_p_L2_3`.
"""

from __future__ import annotations

import re
import shutil
import warnings
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from .files.identity import alike, on_ids
from .files.nwb_files import TRUNCATED, why_unreadable
from .files.phy_folder import cluster_ids
from .files.storage import atomic_file
from .files.tables import plain_columns

PREFIX = "nuclr_"


def to_nwb(
    table: pd.DataFrame,
    source: str | Path,
    out: str | Path,
    *,
    recordings=None,
    into: str | None = None,
    overwrite: bool = False,
) -> Path:
    """A copy of an NWB file with the results as columns of its units table, or of its plane
    segmentation.

    Vectors are one two-dimensional column `nuclr_embedding`. Numbers that are missing become NaN,
    texts ''.

    Parameters
    ----------
    source : the file that the recordings came from; it is only read. out : the copy, another file.
    recordings : id, or ids, of the recordings in `table` that came from this file (several, if it
        was read probe by probe). None: the table holds only one.
    into : 'units', or the name of another table of units or of a plane segmentation. None: the only
        one of these in the file.
    overwrite : replace what is at `out`.

    Raises
    ------
    ImportError : pynwb is not installed. FileNotFoundError : no such `source`. FileExistsError :
        something is at `out`.
    ValueError : `out` is `source`; units that the file doesn't have; columns that it has already;
        which recording or table is meant is open; the file can't be read.
    """
    source, out = Path(source), Path(out)
    if not source.is_file():
        raise FileNotFoundError(
            f"{source}: there is no such file; give the NWB file that the recordings came from (not"
            " a folder of Zarr, which isn't written: see to_parquet)."
        )
    if out.exists() and out.samefile(source):
        raise ValueError(f"{out} is the file itself; results go to a copy: give another path.")
    _free(out, overwrite)
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ImportError(
            "writing NWB files needs pynwb, which is not installed: pip install pynwb"
        ) from error
    results = _of_recordings(table, recordings)
    for name in _recording_ids(table if recordings is None else _chosen(table, recordings)):
        # what read_nwb would have called it
        if name != source.stem and not str(name).startswith(f"{source.stem}-"):
            warnings.warn(
                f"{source}: takes the results of recording {name!r}, matched by unit id alone;"
                " check that it came from this file.",
                stacklevel=2,
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Ignoring .*cached namespace")
        shutil.copyfile(source, partial)
        with ExitStack() as closing:
            try:
                io = closing.enter_context(NWBHDF5IO(str(partial), "r+", load_namespaces=True))
                nwbfile = io.read()
            except Exception as error:  # h5py and hdmf raise all sorts here
                why = why_unreadable(source, error) or TRUNCATED
                raise ValueError(
                    f"{source}: can't be read as NWB ({type(error).__name__}): {why}."
                ) from error
            target = _target(nwbfile, into, source)
            columns = _columns(results, target.id[:], f"{source}: table {target.name!r}")
            taken = [name for name in columns if name in target.colnames]
            if taken:
                raise ValueError(
                    f"{source}: table {target.name!r} has a column {taken[0]!r} already; give the"
                    " original file as `source`."
                )
            for name, values in columns.items():
                target.add_column(
                    name,
                    f"nuclr_lite: {name.removeprefix(PREFIX)}",
                    data=list(values) if values.dtype == object else values,
                )
            io.write(nwbfile)
    return out


def to_phy(
    table: pd.DataFrame, folder: str | Path, *, recordings=None, overwrite: bool = False
) -> list[Path]:
    """`cluster_nuclr_<column>.tsv` in a Phy folder, one file a column, which Phy shows as columns
    of its cluster view.

    A cluster without a value has an empty one. Vectors are left out, with a warning: Phy shows one
    value a column. Phy's own files are never touched.

    Parameters
    ----------
    folder : as `read_phy` takes it. recordings : id of the recording in `table`; None: it holds
        only one.
    overwrite : replace files of an earlier export.

    Returns
    -------
    list[Path], the files. Either all of them are new or, where one can't be written, none.

    Raises
    ------
    FileNotFoundError : not a Phy folder. FileExistsError : a file is there. ValueError : clusters
        that the folder doesn't have; nothing but vectors.
    """
    folder = Path(folder)
    ids = cluster_ids(folder)
    columns = _columns(_of_recordings(table, recordings), ids, str(folder))
    if columns.pop(f"{PREFIX}embedding", None) is not None:
        warnings.warn(
            f"{folder}: vectors are left out, Phy shows one value a column; bring predictions, or a"
            " map of two columns.",
            stacklevel=2,
        )
    if not columns:
        raise ValueError(
            f"{folder}: the table has nothing but vectors; give columns of one value, such as"
            " predictions."
        )
    files = [folder / f"cluster_{name}.tsv" for name in columns]
    for file in files:
        _free(file, overwrite)
    with ExitStack() as all_or_none:
        for file, (name, values) in zip(files, columns.items()):
            # Every cluster has a row: SpikeInterface drops those that one of the tables lacks.
            pd.DataFrame({"cluster_id": ids, name: values}).to_csv(
                all_or_none.enter_context(atomic_file(file)),
                sep="\t",
                index=False,
                encoding="utf-8",
                lineterminator="\n",
            )
    return files


def to_pynapple(table: pd.DataFrame, data, *, recordings=None):
    """A pynapple `TsGroup` or `TsdFrame` with the results as metadata beside its own; `data` itself
    stays as it is.

    Vectors are one entry `nuclr_embedding`, an array a unit: `np.stack(group["nuclr_embedding"])`
    is (units, dim).

    Parameters
    ----------
    data : as `from_pynapple` takes it. recordings : id of the recording in `table`; None: it holds
        only one.

    Raises
    ------
    TypeError : neither of the two classes. ValueError : units that `data` doesn't have.
    """
    if not hasattr(data, "metadata_index"):
        raise TypeError(f"this is a {type(data).__name__}; give a pynapple TsGroup or TsdFrame.")
    columns = _columns(
        _of_recordings(table, recordings), data.metadata_index, f"this {type(data).__name__}"
    )
    result = data[list(data.keys())] if hasattr(data, "keys") else data[:, :]
    result.set_info(columns)
    return result


def to_parquet(
    table: pd.DataFrame,
    out: str | Path,
    *,
    units: pd.DataFrame | None = None,
    recordings=None,
    overwrite: bool = False,
) -> Path:
    """The results, beside the units' own columns, in one Parquet file; `pandas.read_parquet(out)`
    gives index, names and types back.

    Parameters
    ----------
    units : `nl.units_table(recordings)`; None: the results alone. Units without results are kept,
        with NaN.
    recordings : ids of the recordings to write. None: all.
    overwrite : replace what is at `out`.

    Raises
    ------
    ImportError : pyarrow is not installed. FileExistsError : something is at `out`. ValueError :
        results of units that `units` doesn't have; columns that are in both; columns or unit ids of
        mixed types.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            f"writing Parquet needs pyarrow, which can't be imported ({error}): pip install pyarrow"
        ) from error
    out = Path(out)
    _free(out, overwrite)
    _check_table(table)
    if recordings is not None:
        table = _chosen(table, recordings)
    if units is not None:
        unknown = table.index[~table.index.isin(units.index)]
        both = table.columns.intersection(units.columns)
        if len(unknown) or len(both):
            what = (
                f"units without {unknown.tolist()[0]!r}"
                if len(unknown)
                else f"a column {both[0]!r} as well as the results"
            )
            raise ValueError(
                f"{out}: `units` has {what}; give nl.units_table(recordings) of the same"
                " recordings, and rename columns that are in both."
            )
        if recordings is not None:
            units = _chosen(units, recordings)
        table = units.join(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out) as partial:
        try:
            table.to_parquet(partial, engine="pyarrow")
        except (
            pyarrow.ArrowInvalid,
            pyarrow.ArrowTypeError,
            pyarrow.ArrowNotImplementedError,
        ) as error:
            raise ValueError(
                f"{out}: a column, or the unit ids, are of mixed types"
                f" ({str(error).splitlines()[0]}); Parquet keeps one type a column: write the"
                " recordings apart, or make the values texts."
            ) from error
    return out


def _free(path: Path, overwrite: bool):
    if path.is_dir() or path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists already; choose another"
            f" path{'' if path.is_dir() else ', or pass overwrite=True to replace it'}."
        )


def _check_table(table):
    if not isinstance(table, pd.DataFrame):
        raise ValueError(
            f"the results are a {type(table).__name__}; give a DataFrame: what nl.embed returns, or"
            " the .predictions of a DecodeResult."
        )
    if table.index.has_duplicates or table.columns.has_duplicates:
        raise ValueError(
            "the results have two rows for one unit, or two columns of one name; make them unique"
            " first."
        )


def _chosen(table: pd.DataFrame, recordings) -> pd.DataFrame:
    """The rows of these recordings."""
    wanted = [recordings] if isinstance(recordings, str) else list(recordings)
    held = _recording_ids(table)
    unknown = [name for name in wanted if name not in held]
    if unknown or not wanted:
        raise ValueError(
            f"the table has no recording {', '.join(map(repr, unknown)) or 'without a name'}; "
            f"it has {', '.join(map(repr, held)) or 'no ids of recordings'}."
        )
    return table[table.index.get_level_values("recording_id").isin(wanted)]


def _recording_ids(table: pd.DataFrame) -> list:
    return list(table.index.unique("recording_id")) if "recording_id" in table.index.names else []


def _of_recordings(table: pd.DataFrame, recordings) -> pd.DataFrame:
    """The rows of one place, indexed by unit id alone."""
    _check_table(table)
    if recordings is not None:
        table = _chosen(table, recordings)
    if not len(table):
        raise ValueError("the table of results has no rows.")
    held = _recording_ids(table)
    if table.index.nlevels != 1 + bool(held):
        raise ValueError(
            f"the index of the results is {list(table.index.names)}; give (recording_id, unit_id),"
            " or unit ids alone."
        )
    if not held:
        return table
    if recordings is None and len(held) > 1:
        raise ValueError(
            f"the table holds {len(held)} recordings"
            f" ({', '.join(map(repr, held[:5]))}{', ...' * (len(held) > 5)}); say which ones belong"
            f" here: recordings={held[0]!r}."
        )
    table = table.droplevel("recording_id")
    if table.index.has_duplicates:
        raise ValueError(
            f"unit {table.index[table.index.duplicated()].tolist()[0]!r} is in several of the"
            " recordings; they can't all belong here: check recordings=..."
        )
    return table


def _columns(results: pd.DataFrame, ids, where: str) -> dict[str, np.ndarray]:
    """{name: one value or vector for each of `ids`}: NaN, or '' in texts, where there is none."""
    ids = pd.Index(ids)
    if ids.has_duplicates:
        raise ValueError(
            f"{where} has unit {ids[ids.duplicated()].tolist()[0]!r} twice, so that results can't"
            " be told apart; give the units ids of their own there first."
        )
    rows = on_ids(pd.Series(range(len(ids)), ids), results.index)
    if rows is None:
        known = results.index.isin(ids)
        unknown = results.index[~known].tolist()[0]
        raise ValueError(
            f"{where} has no unit {unknown!r} ({(~known).sum()} of the"
            f" {len(results)} units with results aren't there); are they of another recording?"
            + alike(unknown, ids)
        )
    results = results.set_axis(ids[rows], axis=0).reindex(ids)
    results = plain_columns(results, "the table of results")
    vector = [name for name in results if re.fullmatch(r"e\d{3,}", name)]
    columns = {f"{PREFIX}embedding": results[vector].to_numpy(dtype=np.float64)} if vector else {}
    for name in results.columns.drop(vector):
        safe = re.sub(r"\W", "_", f"{PREFIX}{name}")  # HDF5 can't have '/', nor can names of files
        if safe.casefold() in map(str.casefold, columns):  # some disks don't tell A from a
            raise ValueError(
                f"two columns of the results would both be called {safe!r}; rename one."
            )
        values = results[name].to_numpy()
        columns[safe] = (
            values
            if values.dtype != object
            else np.array([value or "" for value in values], dtype=object)
        )
    return columns


def _target(nwbfile, into: str | None, source: Path):
    """The units table or plane segmentation that gets the columns."""
    from pynwb.misc import Units
    from pynwb.ophys import PlaneSegmentation

    tables: dict = {Units: {}, PlaneSegmentation: {}}
    for item in nwbfile.objects.values():
        for kind, named in tables.items():
            if isinstance(item, kind):
                named[item.name] = item
    # of several tables of units, read_nwb reads the file's own, too
    usual = tables[PlaneSegmentation] | (
        tables[Units] if nwbfile.units is None else {"units": nwbfile.units}
    )
    if into is None and len(usual) == 1:
        return next(iter(usual.values()))
    named = tables[Units] | usual
    if into not in named:
        problem = "which table is meant is open" if into is None else f"there is no table {into!r}"
        raise ValueError(f"{source}: {problem}; choose with into= one of {sorted(named)}.")
    return named[into]
