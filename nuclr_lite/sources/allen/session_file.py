"""One session file of the Allen Visual Coding Neuropixels set, read with h5py alone, and of it only
what is asked for.

AllenSDK's `EcephysSession` reads the spikes, amplitudes and mean waveforms of all units, gigabytes,
before it returns the first; here a unit's spikes are one slice of one array. Values and names are
AllenSDK's (the tests compare them), so that its documentation holds for these tables too.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from ..download.remote import RemoteFile
from ..download.transfer import DownloadError
from .session_trains import SpikeTrains

# AllenSDK's defaults, and the limits that the set's documentation recommends.
QUALITY_LIMITS = {
    "amplitude_cutoff_maximum": 0.1,
    "presence_ratio_minimum": 0.95,
    "isi_violations_maximum": 0.5,
}
_RENAMED = {
    "l_ratio": "L_ratio",
    "PT_ratio": "waveform_PT_ratio",
    **{
        name: f"waveform_{name}"
        for name in (
            "amplitude",
            "recovery_slope",
            "repolarization_slope",
            "spread",
            "velocity_above",
            "velocity_below",
        )
    },
}
_CHANNEL_COLUMNS = {
    "location": "ecephys_structure_acronym",
    "probe_id": "probe_id",
    "group_name": "probe_description",
    "probe_vertical_position": "probe_vertical_position",
    "probe_horizontal_position": "probe_horizontal_position",
    "x": "anterior_posterior_ccf_coordinate",
    "y": "dorsal_ventral_ccf_coordinate",
    "z": "left_right_ccf_coordinate",
}

# AllenSDK's names for what some files call otherwise.
_STANDARD_NAMES = {
    "": "spontaneous",
    "natural_movie_1": "natural_movie_one",
    "natural_movie_3": "natural_movie_three",
    "Natural Images": "natural_scenes",
    "flash_250ms": "flashes",
    "gabor_20_deg_250ms": "gabors",
    "contrast_response": "drifting_gratings_contrast",
    "Natural_Images_Shuffled": "natural_scenes_shuffled",
    "Natural_Images_Sequential": "natural_scenes_sequential",
    "natural_movie_1_more_repeats": "natural_movie_one",
    "natural_movie_shuffled": "natural_movie_one_shuffled",
    "motion_stimulus": "dot_motion",
    "drifting_gratings_more_repeats": "drifting_gratings_75_repeats",
}


def place_of(source: str | Path | RemoteFile) -> Path:
    """Where a session's file lies, or would lie."""
    return source.path if isinstance(source, RemoteFile) else Path(source).expanduser()


@contextmanager
def open_session(source: str | Path | RemoteFile):
    """An open `SessionFile`, of a file on disk or on a server; what is wrong with the file is a
    ValueError that names it, also where its data are met damaged later.

    Raises
    ------
    FileNotFoundError : nothing there. ImportError : h5py is missing. ValueError : truncated, not
        HDF5, or no session of this set. DownloadError : what `RemoteFile` raises.
    """
    path, remote = place_of(source), source if isinstance(source, RemoteFile) else None
    if remote is None and not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; download the session first (neuropixels.download_session)."
        )
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "reading Allen sessions needs h5py, which is not installed: pip install h5py"
        ) from error
    try:
        with h5py.File(remote or path, "r") as file:
            missing = [
                name
                for name in (
                    "units/spike_times",
                    "units/spike_times_index",
                    "general/extracellular_ephys/electrodes/probe_id",
                    "general/subject/genotype",
                )
                if name not in file
            ]
            if missing:
                raise ValueError(
                    f"{path}: is no session of the Allen Visual Coding Neuropixels set (no"
                    f" {missing[0]}); read other NWB files with nwb.read_nwb."
                )
            yield SessionFile(file, path, remote)
    except DownloadError:
        raise
    except KeyError as error:
        raise ValueError(
            f"{path}: lacks something that sessions of this set have ({str(error)[:120]}); download"
            " it again."
        ) from error
    except (OSError, RuntimeError) as error:
        # h5py's words for a truncated or foreign file, or a damaged chunk
        raise ValueError(
            f"{path}: can't be read ({str(error).splitlines()[0][:120]}): it is truncated or"
            " damaged; download it again."
        ) from error


class SessionFile(SpikeTrains):
    """Tables and spike trains of an open session file; `open_session` makes it.

    Attributes
    ----------
    path, session_id (int), genotype, specimen_name, session_type, institution; animal_id, the
    subject's id or, without one, the specimen's name: from the file alone, so that it is the same
    wherever the file lies.
    """

    def __init__(self, file, path: Path, remote: RemoteFile | None = None):
        super().__init__(file["units"], path, remote)
        self._file = file
        self._lasts_s: float | None = None
        subject = file["general/subject"]
        self.genotype = _text(subject["genotype"][()])
        self.specimen_name = _text(subject.attrs.get("specimen_name", "")) or None
        identifier = _text(file["identifier"][()])
        if not identifier.isdigit():
            raise ValueError(
                f"{path}: its identifier {identifier!r} is no session number; read other NWB files"
                " with nwb.read_nwb."
            )
        self.session_id = int(identifier)
        self.animal_id = (
            _text(subject["subject_id"][()]) if "subject_id" in subject else ""
        ) or self.specimen_name
        self.session_type = (
            _text(file["general/stimulus"][()]) if "general/stimulus" in file else None
        )
        self.institution = (
            _text(file["general/institution"][()]) if "general/institution" in file else None
        )
        if self.animal_id is None:
            raise ValueError(
                f"{path}: neither subject_id nor specimen_name says which animal this is; download"
                " the file again."
            )

    def units(self, quality: dict | None = QUALITY_LIMITS) -> pd.DataFrame:
        """Units with their metrics and the place of their peak channel, indexed by unit_id; columns
        named as in AllenSDK's `session.units`.

        Parameters
        ----------
        quality : limits with the names of `QUALITY_LIMITS` (any subset); units that are not 'good',
            on an invalid channel or outside the brain are left out too, as AllenSDK does. None:
            every unit in the file.
        """
        table = _columns(self._units)
        electrodes = self._file["general/extracellular_ephys/electrodes"]
        channels = _columns(electrodes)
        table = table.join(
            channels[[name for name in _CHANNEL_COLUMNS if name in channels]].rename(
                columns=_CHANNEL_COLUMNS
            ),
            on="peak_channel_id",
        )
        valid = (
            channels["valid_data"].astype(bool).reindex(table["peak_channel_id"]).to_numpy()
            if "valid_data" in channels
            else True
        )
        area = table["ecephys_structure_acronym"].map(
            lambda name: None if name in ("", "None") or pd.isna(name) else name
        )
        table = table.rename(columns=_RENAMED).assign(ecephys_structure_acronym=area)
        self._mend_coordinates(table)
        table["session_id"], table["genotype"] = self.session_id, self.genotype
        if quality is None:
            return table
        unknown = set(quality) - set(QUALITY_LIMITS)
        if unknown:
            raise ValueError(
                f"quality has unknown limits {sorted(unknown)}; there are {list(QUALITY_LIMITS)}."
            )
        keep = (table["quality"] == "good") & valid & area.notna()
        for name, limit in quality.items():
            metric, side = name.rsplit("_", 1)
            keep &= table[metric] <= limit if side == "maximum" else table[metric] >= limit
        return table[keep]

    def _mend_coordinates(self, table: pd.DataFrame):
        """CCF coordinates (um), in place: NaN where there are none.

        Released files have the depth again in place of the left-right coordinate; the right one is
        in AllenSDK's table of channels, where the file lies in its cache.
        """
        names = [name for name in table if name.endswith("_ccf_coordinate")]
        at_fault = len(names) == 3 and (table[names[1]] == table[names[2]]).all()
        channels = self._cached_table("channels.csv", names) if at_fault else None
        if channels is not None:
            table[names] = channels[names].reindex(table["peak_channel_id"]).to_numpy()
        elif at_fault:
            table[names[2]] = np.nan
        table[names] = table[names].where(table[names] >= 0)

    def _cached_table(self, name: str, columns: list[str]) -> pd.DataFrame | None:
        """Columns of one of AllenSDK's tables, where the file lies in its cache."""
        table = self.path.absolute().parent.parent / name
        if not table.is_file():
            return None
        try:
            return pd.read_csv(table, index_col="id")[columns].astype(float)
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(
                f"{table} is not read ({type(error).__name__}: {str(error)[:80]}): it is damaged,"
                " or no table of AllenSDK's.",
                stacklevel=2,
            )
            return None

    def _lasts(self) -> float:
        """How long the session lasts, s, as far as stimuli and light tell; 0: they don't."""
        if self._lasts_s is None:
            tables = self.stimulus_epochs(), self.light_pulses()
            last = pd.to_numeric(pd.Series([table["stop_time"].max() for table in tables]))
            self._lasts_s = float(np.nanmax([*last, 0.0]))
        return self._lasts_s

    def invalid_times(self) -> pd.DataFrame:
        """start_time, stop_time (s) and tags [scope, its id, label], as AllenSDK's
        `get_invalid_times()`.
        """
        group = self._file.get("intervals/invalid_times")
        if group is None or not len(group["id"]):
            return pd.DataFrame(
                {
                    "start_time": pd.Series(dtype=float),
                    "stop_time": pd.Series(dtype=float),
                    "tags": pd.Series(dtype=object),
                }
            )
        table = _columns(group)[["start_time", "stop_time"]]
        if "tags_index" not in group:
            return table.assign(tags=[[] for _ in range(len(table))])
        ends = group["tags_index"][:].astype(np.int64)
        tags = [_text(tag) for tag in group["tags"][:]]
        return table.assign(
            tags=[tags[start:stop] for start, stop in zip(np.r_[0, ends[:-1]], ends)]
        )

    def light_pulses(self) -> pd.DataFrame:
        """start_time, stop_time, duration (s), condition, level, stimulus_name of each light pulse;
        empty where there were none.
        """
        group = self._file.get("processing/optotagging/optogenetic_stimulation")
        names = ["start_time", "condition", "level", "stop_time", "stimulus_name", "duration"]
        return (
            pd.DataFrame(columns=names) if group is None else _columns(group).reindex(columns=names)
        )

    def stimulus_epochs(self) -> pd.DataFrame:
        """Stretches of one stimulus: start_time, stop_time, duration (s), stimulus_name,
        stimulus_block (NaN: none), as `get_stimulus_epochs()`.

        Presentations that overlap an invalid time tagged 'stimulus' are 'invalid_presentation'.
        """
        wanted = ["start_time", "stop_time", "stimulus_name", "stimulus_block"]
        tables = [
            _columns(group, wanted)
            for name, group in sorted(self._file.get("intervals", {}).items())
            if name.endswith("_presentations")
        ]
        tables = [table.reindex(columns=wanted) for table in tables if len(table)]
        if not tables:
            return pd.DataFrame(
                {
                    name: pd.Series(dtype=object if name == "stimulus_name" else float)
                    for name in (
                        "start_time",
                        "stop_time",
                        "duration",
                        "stimulus_name",
                        "stimulus_block",
                    )
                }
            )
        shown = pd.concat(tables).sort_values("start_time", kind="stable").reset_index(drop=True)
        shown["stimulus_name"] = shown["stimulus_name"].map(
            lambda name: _STANDARD_NAMES.get(name, name)
        )
        # 'null' is none
        block = pd.to_numeric(shown["stimulus_block"], errors="coerce").to_numpy(dtype=np.float64)
        block = np.where(np.isnan(block), -1.0, block)
        invalid = self.invalid_times()
        for start, stop in (
            invalid.loc[
                ["stimulus" in tags for tags in invalid["tags"]], ["start_time", "stop_time"]
            ]
            .fillna(np.inf)
            .to_numpy()
        ):
            hit = (shown["start_time"] <= stop) & (shown["stop_time"] >= start)
            shown.loc[hit, "stimulus_name"] = "invalid_presentation"
            block[hit] = -2.0
        first = np.flatnonzero(np.diff(block, prepend=np.nan) != 0)
        last = np.r_[first[1:], len(block)] - 1
        epochs = pd.DataFrame(
            {
                "start_time": shown["start_time"].to_numpy()[first],
                "stop_time": shown["stop_time"].to_numpy()[last],
                "stimulus_name": shown["stimulus_name"].to_numpy()[first],
                "stimulus_block": np.where(block[first] < 0, np.nan, block[first]),
            }
        )
        epochs.insert(2, "duration", epochs["stop_time"] - epochs["start_time"])
        return epochs


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _columns(group, wanted: list[str] | None = None) -> pd.DataFrame:
    """The columns of an NWB table that hold one number or text a row, indexed by its id; the wanted
    ones of them.
    """
    import h5py

    columns = {}
    for name, column in group.items():
        is_plain = (
            isinstance(column, h5py.Dataset)
            and column.ndim == 1
            and f"{name}_index" not in group
            and not name.endswith("_index")
        )
        if name == "id" or (wanted and name not in wanted):
            continue
        if not is_plain or h5py.check_ref_dtype(column.dtype):
            continue
        values = column[:]
        columns[name] = (
            np.array([_text(value) for value in values], dtype=object)
            if values.dtype.kind in "OS"
            else values
        )
    return pd.DataFrame(
        columns,
        index=pd.Index(
            group["id"][:].astype("int64"), name="unit_id" if "spike_times" in group else "id"
        ),
    )
