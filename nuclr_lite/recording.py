"""Recording: the activity of one population of units seen together, spikes or calcium traces.

A recording holds its units table (one row a unit: labels, positions, anything), the stretches of
time that are valid, and which animal and probe it comes from. Everything after it reads only this.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .files import values
from .files.carried_units import plain
from .files.intervals import check_intervals, covered, frame_ranges, inside
from .files.recording_files import read_recording, write_recording
from .files.seconds import by_unit, spikes_in_seconds
from .files.shown import ShownRecording
from .files.tables import tidy_epochs, tidy_name, tidy_units

OTHER_MODALITY: Any = None  # in place of what only a recording of the other modality has


@dataclass(frozen=True, eq=False, repr=False)
class Recording(ShownRecording):
    """One population. Make it with `from_spike_trains`, `from_counts`, `from_traces`, a source, or
    `load`.

    Attributes
    ----------
    modality : 'spikes' or 'calcium'
    recording_id, animal_id : str. probe_id : str or None.
    units : DataFrame, one row a unit, indexed by unit_id.
    intervals : (K, 2) float64, s; valid time, in order, without overlap; both ends belong to it.
    times : (S,) float64, s, all spikes in order of time (spikes only).
    unit_rows : (S,) int32, the row in `units` that fired each spike (spikes only).
    traces : (frames, units) float32, dF/F or events (calcium only). Frame i covers
        start_s + [i, i + 1) / sampling_rate_hz.
    sampling_rate_hz : frames a second (calcium only).
    bin_s : of spikes that came as counts, the bins' length, s: `times` are the middles of bins, and
        finer bins would be made up. None: the times are what the sorter wrote.
    start_s : when frame 0 or, of counts, the first bin begins, s.
    trace_scale : the number that views divide traces by (paper, section 4): their 99th percentile
        (calcium only).
    epochs : DataFrame start_s, stop_s, name: what happened when (stimulus blocks, ...). May be
        empty.
    n_spikes_outside : spikes that lay outside the valid intervals and were left out.
    provenance : dict, where this came from.

    What the other modality has is None.
    """

    modality: str
    recording_id: str
    animal_id: str
    units: pd.DataFrame
    intervals: np.ndarray
    probe_id: str | None = None
    times: np.ndarray = OTHER_MODALITY
    unit_rows: np.ndarray = OTHER_MODALITY
    traces: np.ndarray = OTHER_MODALITY
    sampling_rate_hz: float = OTHER_MODALITY
    bin_s: float | None = None
    start_s: float = 0.0
    trace_scale: float = OTHER_MODALITY
    epochs: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["start_s", "stop_s", "name"])
    )
    n_spikes_outside: int = 0
    provenance: dict = field(default_factory=dict)

    @classmethod
    def from_spike_trains(
        cls,
        spike_trains,
        units: pd.DataFrame | None = None,
        intervals=None,
        *,
        recording_id: str,
        animal_id: str,
        probe_id: str | None = None,
        epochs: pd.DataFrame | None = None,
        provenance: dict | None = None,
    ) -> Recording:
        """From one array of spike times a unit.

        Parameters
        ----------
        spike_trains : sequence of (n_i,) arrays, s, or {unit_id: array} (also a pynapple TsGroup).
            What carries its unit of time (neo, quantities, pint, pynapple) is converted. Negative
            times are fine, but for a single whole number (-1) that marks 'no spike', which is left
            out with a warning; a few unsorted ones are sorted, with a notice.
        units : DataFrame with one row a spike train, indexed by unit_id. None: units 0, 1, 2, ...,
            or the keys of a dict.
        intervals : (K, 2), s. None: from the first to the last spike. Spikes outside are left out
            and counted.

        Raises
        ------
        ValueError : with the remedy, for no units; NaN or infinite times; duplicate unit ids; a
            units table of another length; intervals that overlap, run backwards or are years long;
            no spike in valid time; times that are dates, counts, whole numbers throughout (sample
            numbers, as floats too), rows filled up with zeros or NaN, of a clock that starts again,
            or float32 where that is exact to no more than 10 ms.
        """
        recording_id = tidy_name(recording_id, "recording_id")
        trains, units = by_unit(spike_trains, units, recording_id)
        trains = spikes_in_seconds(trains, units.index, recording_id)
        options: dict[str, Any] = dict(probe_id=probe_id, epochs=epochs, provenance=provenance)
        return cls._of_trains(trains, units, intervals, recording_id, animal_id, **options)

    @classmethod
    def _of_trains(
        cls,
        trains: list[np.ndarray],
        units: pd.DataFrame,
        intervals,
        recording_id: str,
        animal_id: str,
        probe_id: str | None = None,
        epochs: pd.DataFrame | None = None,
        provenance: dict | None = None,
    ) -> Recording:
        """From trains that are known to be seconds, each in order, and a tidy units table."""
        times = np.concatenate(trains)
        rows = np.repeat(np.arange(len(trains), dtype=np.int32), [len(train) for train in trains])
        if not len(times):
            raise ValueError(
                f"{recording_id}: no unit has a spike; check that the times were read and are in"
                " seconds."
            )
        order = np.argsort(times, kind="stable")
        times, rows = times[order], rows[order]

        if intervals is None:
            intervals = [[times[0], times[-1]]]
        intervals = check_intervals(intervals, recording_id)
        is_inside = inside(times, intervals)
        n_outside = int((~is_inside).sum())
        if n_outside == len(times):
            raise ValueError(
                f"{recording_id}: none of its {len(times)} spikes lies inside the valid intervals"
                f" ({intervals[0, 0]:g} to {intervals[-1, 1]:g} s; spikes from {times[0]:g} to"
                f" {times[-1]:g} s); check that both use the same clock and unit (seconds)."
            )
        if n_outside:
            times, rows = times[is_inside], rows[is_inside]
        return cls(
            modality="spikes",
            recording_id=recording_id,
            animal_id=tidy_name(animal_id, f"{recording_id}: animal_id"),
            probe_id=None if probe_id is None else tidy_name(probe_id, f"{recording_id}: probe_id"),
            units=units,
            intervals=intervals,
            times=times,
            unit_rows=rows,
            n_spikes_outside=n_outside,
            epochs=tidy_epochs(epochs, recording_id),
            provenance=dict(provenance or {}),
        )

    @classmethod
    def from_counts(
        cls,
        counts,
        bin_s: float,
        units: pd.DataFrame | None = None,
        *,
        start_s=0.0,
        recording_id: str,
        animal_id: str,
        **options,
    ) -> Recording:
        """From spike counts in bins, where the spike times are not to be had.

        Spikes lie in the middle of their bin. Windows begin on bins, and an encoder's bin
        (`ModelConfig.sample_s`) must be a whole number of these.

        Parameters
        ----------
        counts : (bins, units), whole numbers; or a list of such pieces (trials, say), each a valid
            interval of its own.
        bin_s : length of a bin, s.
        start_s : when the first bin begins, s; of pieces, one start each, in order of time. All
            lie on one grid of bins: a piece begins up to a bin earlier than it did.
        units, and options (probe_id, epochs, provenance) : as in `from_spike_trains`.

        Raises
        ------
        ValueError : as `from_spike_trains`; also for counts that are negative, broken or missing,
            pieces of different units, and fewer or more starts than pieces.
        """
        name = tidy_name(recording_id, "recording_id")
        trains, intervals = values.trains_of_counts(
            values.count_values(counts, name), plain(bin_s), start_s, name
        )
        units = tidy_units(units, len(trains), name)
        recording = cls._of_trains(trains, units, intervals, name, animal_id, **options)
        return replace(recording, bin_s=float(plain(bin_s)), start_s=float(intervals[0][0]))

    @classmethod
    def from_traces(
        cls,
        traces,
        sampling_rate_hz: float,
        units: pd.DataFrame | None = None,
        intervals=None,
        *,
        recording_id: str,
        animal_id: str,
        probe_id: str | None = None,
        start_s: float = 0.0,
        epochs: pd.DataFrame | None = None,
        provenance: dict | None = None,
    ) -> Recording:
        """From traces (frames, units): dF/F, or deconvolved events.

        Parameters
        ----------
        traces : (frames, units). Frames that are NaN in all units are left out of valid time, with
            a notice; NaN in some of them is allowed outside the valid intervals only.
        sampling_rate_hz : frames a second. start_s : when frame 0 begins, s.
        units, intervals : as in `from_spike_trains`; None: all frames are valid.

        Raises
        ------
        ValueError : as `from_spike_trains`; also for a NaN of some units in valid time, for traces
            that are zero throughout, and for a few units a hundred times above all others, which
            would set `trace_scale` for all.
        """
        recording_id = tidy_name(recording_id, "recording_id")
        animal_id = tidy_name(animal_id, f"{recording_id}: animal_id")
        traces = values.trace_values(traces, recording_id)
        sampling_rate_hz, start_s = plain(sampling_rate_hz, "Hz"), plain(start_s)
        values.check_clock(sampling_rate_hz, start_s, recording_id)
        units = tidy_units(units, traces.shape[1], recording_id)
        if traces.shape[1] > len(traces):
            warnings.warn(
                f"{recording_id}: {traces.shape[1]} units and only {len(traces)} frames; traces are"
                " (frames, units): transpose them if that is the wrong way round.",
                stacklevel=2,
            )
        end_s = start_s + len(traces) / sampling_rate_hz
        intervals = check_intervals(
            [[start_s, end_s]] if intervals is None else intervals, recording_id
        )
        intervals, valid = values.valid_frames(
            traces, sampling_rate_hz, start_s, intervals, units.index, recording_id
        )
        scale = values.trace_scale(traces[valid], units.index, recording_id)
        return cls(
            modality="calcium",
            recording_id=recording_id,
            animal_id=animal_id,
            probe_id=None if probe_id is None else tidy_name(probe_id, f"{recording_id}: probe_id"),
            units=units,
            intervals=intervals,
            traces=traces,
            sampling_rate_hz=float(sampling_rate_hz),
            start_s=float(start_s),
            trace_scale=scale,
            epochs=tidy_epochs(epochs, recording_id),
            provenance=dict(provenance or {}),
        )

    @property
    def n_units(self) -> int:
        return len(self.units)

    @property
    def valid_s(self) -> float:
        """Valid time in all, s."""
        return float(np.diff(self.intervals, axis=1).sum())

    def spike_times(self, unit_id) -> np.ndarray:
        """Spike times of one unit within the valid intervals, (n,) float64, s.

        Raises KeyError for an unknown unit, ValueError for a calcium recording.
        """
        if self.modality != "spikes":
            raise ValueError(
                f"{self.recording_id} holds calcium traces, not spikes; use recording.traces."
            )
        if unit_id not in self.units.index:
            raise KeyError(
                f"{self.recording_id} has no unit {unit_id!r}; its ids are in"
                " recording.units.index."
            )
        return np.array(self.times[np.asarray(self.unit_rows) == self.units.index.get_loc(unit_id)])

    def during(self, names: str | list[str]) -> Recording:
        """The same units, with valid time cut down to the epochs of these names.

        Spikes outside are left out and counted; everything else, `trace_scale` and the epochs table
        among it, is kept.

        Raises
        ------
        ValueError : no epoch has one of the names; the epochs hold no valid time.
        """
        names = [names] if isinstance(names, str) else list(names)
        known = self.epochs["name"].unique().tolist()
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise ValueError(
                f"{self.recording_id} has no epoch"
                f" {', '.join(map(repr, unknown)) or 'without a name'}; it has"
                f" {', '.join(map(repr, known)) or 'none'}; choose among its epochs, or give some"
                " when you make it."
            )
        wanted = covered(
            self.epochs.loc[self.epochs["name"].isin(names), ["start_s", "stop_s"]].to_numpy(
                dtype=np.float64
            )
        )
        # One valid interval at a time: two that touch stay two, and no window will lie across.
        intervals = np.concatenate(
            [covered(np.concatenate([[interval], wanted]), depth=2) for interval in self.intervals]
        )
        usable = (
            intervals
            if self.modality == "spikes"
            else frame_ranges(intervals, self.sampling_rate_hz, self.start_s)
        )
        if not (np.diff(usable, axis=1) > 0).any():
            raise ValueError(
                f"{self.recording_id}: the epochs {', '.join(map(repr, names))} hold no valid time;"
                " choose others, or see recording.intervals."
            )
        cut: dict[str, Any] = {
            "intervals": intervals,
            "provenance": self.provenance | {"during": names},
        }
        if self.modality == "spikes":
            kept = inside(np.asarray(self.times), intervals)
            cut |= {
                "times": self.times[kept],
                "unit_rows": self.unit_rows[kept],
                "n_spikes_outside": self.n_spikes_outside + int((~kept).sum()),
            }
        return replace(self, **cut)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a folder `recording.json`, `units.csv`, `epochs.csv` and `.npy` arrays, atomically.

        Raises FileExistsError if something is there already, unless it is a recording and
        `overwrite`.
        """
        write_recording(self, Path(path), overwrite)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, verify: bool = True) -> Recording:
        """Open a saved recording; arrays stay on disk as memory maps.

        Parameters
        ----------
        verify : read every file once and compare its SHA-256. Sizes are checked in any case.

        Raises
        ------
        FileNotFoundError, ValueError : nothing there; not a recording; a newer format; truncated or
            changed files.
        """
        return cls(**read_recording(Path(path), verify))


def match_sampling(recording: Recording, sample_s: float) -> Recording:
    """The recording with traces of `sample_s` a frame; spikes, and rates within 1 %, as they are.

    A new frame is the mean of the old signal over its length, so that nothing faster folds back. It
    is valid where it lies wholly in valid time. Gaps of valid time that are shorter than a new
    frame, such as single dropped frames, are bridged by a straight line first, with a notice.
    """
    if recording.modality == "spikes" or abs(recording.sampling_rate_hz * sample_s - 1) <= 0.01:
        return recording
    old, new, start_s = recording.sampling_rate_hz, 1 / sample_s, recording.start_s
    name, provenance = recording.recording_id, recording.provenance | {"resampled_from_hz": old}
    warnings.warn(
        f"{name}: traces resampled from {old:.4g} to {new:.4g} Hz, as the encoder expects.",
        stacklevel=3,
    )
    traces, intervals, n_bridged = values.bridged(
        recording.traces, recording.intervals, old, start_s, sample_s, name
    )
    if n_bridged:
        provenance["frames_bridged"] = n_bridged
    length = sample_s * old
    traces = values.averaged(
        traces, np.arange(int(len(traces) / length + 1e-6) + 1) * length, length
    )
    # Whole old frames only: one that an interval cuts may be NaN.
    intervals = np.minimum(
        start_s + frame_ranges(intervals, old, start_s) / old, start_s + len(traces) * sample_s
    )
    return Recording.from_traces(
        traces,
        new,
        recording.units,
        intervals[intervals[:, 1] > intervals[:, 0]],
        recording_id=name,
        animal_id=recording.animal_id,
        probe_id=recording.probe_id,
        start_s=start_s,
        epochs=recording.epochs,
        provenance=provenance,
    )


def as_list(recordings: Recording | list[Recording], purpose: str) -> list[Recording]:
    """One or several recordings as a list; ValueError for none."""
    recordings = [recordings] if isinstance(recordings, Recording) else list(recordings)
    if not recordings:
        raise ValueError(f"there is no recording to {purpose}; give at least one.")
    return recordings


def check_ids(recordings: list[Recording]):
    """ValueError where two recordings share an id."""
    ids = [recording.recording_id for recording in recordings]
    if len(set(ids)) < len(ids):
        raise ValueError(
            f"two recordings share an id, {max(ids, key=ids.count)!r}, their units could not be"
            " told apart; give every recording its own (recording_id=...)."
        )


def units_table(recordings: list[Recording]) -> pd.DataFrame:
    """The units of several recordings under each other, on the index that `embed` gives, with a
    column animal_id. ValueError where two recordings share an id.
    """
    check_ids(recordings)
    tables = {
        recording.recording_id: recording.units.assign(animal_id=recording.animal_id)
        for recording in recordings
    }
    return pd.concat(tables, names=["recording_id", "unit_id"])
