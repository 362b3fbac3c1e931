"""Views: from a recording to the tokens that the encoder reads.

A window is cut into L tokens of P samples; a sample is a spike-count bin or an imaging frame. For
pretraining, windows come in pairs: the first views tile the valid time, the second lies near.

Source: Arora et al. 2025 (arXiv 2512.01199), section 3.1; details as in the authors' code.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .files.intervals import frame_ranges, is_whole, rounding_s
from .model import ModelConfig
from .recording import Recording, match_sampling


@dataclass(frozen=True)
class ViewConfig:
    """How pairs of views are drawn.

    max_distance_s : the second view starts at most this far from the start of the first, before or
        after, s. The two may overlap.
    kept_share : each view keeps a random subset of the units, its size uniform in this range (unit
        dropout).
    min_units : a pair in which either view shows fewer active units is dropped.
    grid_s : windows start on multiples of this, s, for recordings laid out in trials. None:
        anywhere.
    """

    max_distance_s: float = 30.0
    kept_share: tuple[float, float] = (0.5, 1.0)
    min_units: int = 2
    grid_s: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "kept_share", tuple(self.kept_share))  # JSON gives a list
        low, high = self.kept_share
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"kept_share is {self.kept_share}; give (low, high) with 0 < low <= high <= 1."
            )
        if not self.max_distance_s >= 0:
            raise ValueError(
                f"max_distance_s is {self.max_distance_s}; it is a duration, at least 0 s."
            )
        if self.min_units < 1:
            raise ValueError(f"min_units is {self.min_units}; a view needs at least 1 unit.")
        if self.grid_s is not None and not 0 < self.grid_s < np.inf:
            raise ValueError(f"grid_s is {self.grid_s}; it is a duration above 0 s, or None.")


class Batch(NamedTuple):
    """Both views of several populations, packed.

    Sizes and ids stay on the CPU (see `NuCLR`, `ContrastiveLoss`).
    """

    tokens_1: Tensor  # (U1, L, P) float32
    tokens_2: Tensor  # (U2, L, P)
    ids_1: Tensor  # (U1,) int64, row of the unit in its recording
    ids_2: Tensor  # (U2,)
    sizes_1: Tensor  # (N,) int64
    sizes_2: Tensor  # (N,)


class Windows:
    """Cuts windows out of one recording.

    Parameters
    ----------
    recording : resampled to the encoder's frame length, with a notice, if its traces have another.
    model : the encoder's config, which fixes sample, token and window.
    grid_s : see `ViewConfig`; spikes only. Windows of traces start on frames, those of counts on
        bins, from the recording's `start_s` on.

    Attributes
    ----------
    step_s, window_s : length of a sample and of a window, s. stride_s : from one window to the next
        that does not overlap it, s.

    Raises
    ------
    ValueError : the recording's modality is not the encoder's; a grid for traces; a bin or grid
        that is no whole number of the bins in which spikes were counted.
    """

    def __init__(self, recording: Recording, model: ModelConfig, grid_s: float | None = None):
        if recording.modality != model.modality:
            raise ValueError(
                f"{recording.recording_id} holds {recording.modality}, the encoder reads"
                f" {model.modality}; use an encoder for {recording.modality} (preset"
                f" {'quick' if recording.modality == 'spikes' else 'quick-calcium'!r})."
            )
        self.recording = match_sampling(recording, model.sample_s)
        self.model = model
        if grid_s is not None and model.modality == "calcium":
            raise ValueError(
                f"grid_s is {grid_s}, but windows of traces start on frames; leave it None."
            )
        self.intervals = self.recording.intervals
        self.origin_s, self.grid_s, self.step_s = 0.0, grid_s, model.sample_s
        if model.modality == "calcium":
            # All arithmetic in frames of this recording, whose length may differ slightly from
            # sample_s.
            rate, self.origin_s = self.recording.sampling_rate_hz, self.recording.start_s
            self.grid_s = self.step_s = 1 / rate
            self.intervals = self.origin_s + self.step_s * frame_ranges(
                self.intervals, rate, self.origin_s
            )
        elif recording.bin_s is not None:
            self.origin_s, self.grid_s = recording.start_s, grid_s or recording.bin_s
            for name, length_s in (("sample_s", self.step_s), ("grid_s", self.grid_s)):
                if not is_whole(length_s / recording.bin_s):
                    raise ValueError(
                        f"{recording.recording_id}: its spikes were counted in bins of"
                        f" {recording.bin_s:g} s, and {name} is {length_s:g} s; use a whole number"
                        " of bins."
                    )
        self.rounding_s = rounding_s(self.intervals)
        self.window_s = model.samples_per_window * self.step_s
        self.stride_s = self._whole_steps(self.window_s)

    def _whole_steps(self, length_s: float) -> float:
        """A length, or where windows start on a grid, the next of whole steps of it, s."""
        if self.grid_s is None:
            return length_s
        return float(max(np.ceil(length_s / self.grid_s - 1e-6), 1.0) * self.grid_s)

    def snap(self, start_s: np.ndarray, up: bool = True) -> np.ndarray:
        """The next (or previous) time at which a window may start, s."""
        start_s = np.asarray(start_s, dtype=np.float64)
        if self.grid_s is None:
            return start_s
        place, slack = (
            (start_s - self.origin_s) / self.grid_s,
            max(1e-6, self.rounding_s / self.grid_s),
        )
        return self.origin_s + self.grid_s * (
            np.ceil(place - slack) if up else np.floor(place + slack)
        )

    def starts_between(
        self, low_s: np.ndarray, high_s: np.ndarray, rng: np.random.Generator
    ) -> float | None:
        """One start, uniform over the allowed ones in all [low, high]; None if there is none."""
        low_s = self.snap(low_s)
        high_s = self.snap(high_s, up=False)
        span, step = high_s - low_s, self.grid_s
        if step is None:
            # a single allowed instant still counts
            weight = np.where(span >= -self.rounding_s, np.maximum(span, 1e-9), 0.0)
        else:
            weight = np.maximum(np.floor(span / step + max(1e-6, self.rounding_s / step)) + 1, 0.0)
        total = weight.cumsum()
        if not total[-1] > 0:
            return None
        at = rng.random() * total[-1]
        which = int(np.searchsorted(total, at, side="right"))
        into = at - (total[which] - weight[which])
        offset = min(into, max(span[which], 0.0)) if step is None else np.floor(into) * step
        return float(low_s[which] + offset)

    def samples(
        self, start_s: float, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """One window's tokens.

        Parameters
        ----------
        start_s : the window is [start_s, start_s + window_s).
        rows : (n,) units to look at, rows of `recording.units`, ascending. None: all.

        Returns
        -------
        tokens (active, L, P) float32, and their rows (active,) int64. Spikes: units without a spike
        in the window are absent. Calcium: divided by the recording's `trace_scale`; nobody is
        absent.
        """
        recording, n_samples = self.recording, self.model.samples_per_window
        values: np.ndarray  # (active, samples)
        rows = np.arange(recording.n_units) if rows is None else rows
        if self.model.modality == "calcium":
            first = int(round((start_s - recording.start_s) / self.step_s))
            traces = recording.traces[first : first + n_samples][:, rows].T
            values = traces / np.float32(recording.trace_scale)
        else:
            # A millionth of a bin of slack: times that were rounded to the bin grid (10 ms, say)
            # must not fall on either side of an edge by chance.
            slack_s = max(1e-6 * self.step_s, self.rounding_s)
            # no copy; plain arrays index faster than maps
            times, unit_rows = np.asarray(recording.times), np.asarray(recording.unit_rows)
            first, stop = np.searchsorted(
                times, [start_s - slack_s, start_s + self.window_s - slack_s]
            )
            place = np.full(recording.n_units, -1, dtype=np.int64)
            place[rows] = np.arange(len(rows))
            unit = place[unit_rows[first:stop]]
            sample = ((times[first:stop] - start_s + slack_s) / self.step_s).astype(np.int64)
            sample = np.clip(sample, 0, n_samples - 1)
            kept = unit >= 0
            counts = np.bincount(
                unit[kept] * n_samples + sample[kept], minlength=len(rows) * n_samples
            )
            counts = counts.reshape(len(rows), n_samples)
            active = counts.any(axis=1)
            values, rows = counts[active], rows[active]
        tokens = values.reshape(
            len(rows), self.model.tokens_per_window, self.model.samples_per_token
        )
        return np.ascontiguousarray(tokens, dtype=np.float32), rows

    def lasting(self, n_windows: int) -> np.ndarray:
        """(K, 2) valid intervals that are at least `n_windows` long, s; a notice where most of the
        valid time lies in shorter ones, and won't be used.
        """
        length = np.diff(self.intervals, axis=1)[:, 0]
        lasts = length >= n_windows * self.window_s - max(1e-9, self.rounding_s)
        if lasts.any() and length[lasts].sum() < length.sum() / 2:
            warnings.warn(
                f"{self.recording.recording_id}: {length[lasts].sum():.0f} of {length.sum():.0f} s"
                f" of valid time are used; {(~lasts).sum()} of {len(length)} intervals are shorter"
                f" than {n_windows * self.window_s:g} s ({n_windows} windows). Shorter windows use"
                " more.",
                stacklevel=3,
            )
        return self.intervals[lasts]

    def tile(self, step: float = 1.0) -> np.ndarray:
        """(n,) start of windows that cover the valid time, s (for embedding).

        From each interval's start, one every `step` windows (1.0: end to end; 0.5: each overlaps
        the next by half; rounded up to whole steps of the grid); one more that ends at its end
        where a rest remains. Intervals shorter than a window are skipped.

        Raises ValueError for a step that is not above 0 and at most 1.
        """
        if not 0 < step <= 1:
            raise ValueError(
                f"step is {step}; give a share of a window: above 0, at most 1 (end to end)."
            )
        stride_s = self._whole_steps(self.window_s * step)
        starts, slack_s = [np.zeros(0)], max(1e-9, self.rounding_s)
        for start, stop in self.intervals:
            first, last = float(self.snap(start)), float(self.snap(stop - self.window_s, up=False))
            if last < first - slack_s:
                continue
            n_strides = int((last - first) / stride_s + max(1e-6, slack_s / stride_s))
            regular = self.snap(first + stride_s * np.arange(n_strides + 1))
            regular = regular[regular <= last + slack_s]
            starts.append(regular)
            if last - regular[-1] > 1e-6:
                starts.append(np.array([last]))
        return np.concatenate(starts)


class PairedViews(Dataset):
    """Batches of view pairs for pretraining: item i of epoch e is the same whoever asks for it.

    Every draw comes from (seed, epoch, recording_id, pair index), so neither the number of workers
    nor the order of asking changes anything. Labels are nowhere in reach.

    Parameters
    ----------
    recordings : list of Recording.
    model, views : the configs.
    batch_size : window pairs a batch.
    share : (k, n): of every batch only its pairs k, k + n, k + 2n, ...; for process k of n.

    Raises
    ------
    ValueError : two recordings share an id; no recording has an interval of at least two windows.
    """

    def __init__(
        self,
        recordings: list[Recording],
        model: ModelConfig,
        views: ViewConfig,
        batch_size: int,
        seed: int = 0,
        share: tuple[int, int] = (0, 1),
    ):
        ids = [recording.recording_id for recording in recordings]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(
                f"recording ids occur twice: {twice[:3]}; give every recording its own."
            )
        self.views, self.batch_size, self.seed, self.share = views, batch_size, seed, share
        self.windows = [Windows(recording, model, views.grid_s) for recording in recordings]
        self.usable = [w.lasting(2) for w in self.windows]
        if not any(len(usable) for usable in self.usable):
            longest = max(
                (float(np.diff(w.intervals, axis=1).max()) for w in self.windows), default=0.0
            )
            raise ValueError(
                f"no valid interval is as long as two windows ({2 * model.window_s:g} s; the"
                f" longest has {longest:g} s); use a shorter window (fewer or shorter tokens) or"
                " longer recordings."
            )
        unused = [
            w.recording.recording_id
            for w, usable in zip(self.windows, self.usable)
            if not len(usable)
        ]
        if unused:
            warnings.warn(
                f"{len(unused)} recordings have no valid interval of two windows"
                f" ({2 * model.window_s:g} s) and are not used (first: {unused[0]}).",
                stacklevel=2,
            )
        self.set_epoch(0)
        if not self.n_pairs:
            raise ValueError(
                f"no window of {model.window_s:g} s fits on the grid of {views.grid_s} s (grid_s);"
                " choose another, or longer recordings."
            )

    def set_epoch(self, epoch: int):
        """Tile all recordings anew and shuffle."""
        self.epoch = epoch
        recording, pair, start = [], [], []
        for index, (windows, usable) in enumerate(zip(self.windows, self.usable)):
            if not len(usable):
                continue
            rng = self._generator("tiling", windows.recording.recording_id)
            firsts = []
            for (low, high), offset in zip(usable, rng.uniform(0, windows.stride_s, len(usable))):
                # every place is as likely, the first too
                begin = windows.snap(windows.snap(low) + offset, up=False)
                tiles = windows.snap(
                    begin + windows.stride_s * np.arange(int((high - low) / windows.stride_s) + 1),
                    up=False,
                )
                firsts.append(
                    tiles[tiles + windows.window_s <= high + max(1e-9, windows.rounding_s)]
                )
            first = np.concatenate(firsts)
            start.append(first)
            pair.append(np.arange(len(first)))
            recording.append(np.full(len(first), index))
        plan = np.concatenate(recording), np.concatenate(pair), np.concatenate(start)
        order = self._generator("order", "").permutation(len(plan[0]))
        self.plan = tuple(column[order] for column in plan)

    @property
    def n_pairs(self) -> int:
        return len(self.plan[0])

    def __len__(self) -> int:
        """Whole batches in this epoch; an incomplete last one is dropped, unless it is alone."""
        return max(self.n_pairs // self.batch_size, 1)

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        which, processes = self.share
        at = slice(index * self.batch_size + which, (index + 1) * self.batch_size, processes)
        pairs = [self._pair(*row) for row in zip(*(column[at] for column in self.plan))]
        pairs = [pair for pair in pairs if pair is not None]
        L, P = self.windows[0].model.tokens_per_window, self.windows[0].model.samples_per_token

        def view(which):
            tokens = [pair[which][0] for pair in pairs] or [np.zeros((0, L, P), dtype=np.float32)]
            ids = [pair[which][1] for pair in pairs] or [np.zeros(0, dtype=np.int64)]
            sizes = [len(pair[which][1]) for pair in pairs]
            return (
                torch.from_numpy(np.concatenate(tokens)),
                torch.from_numpy(np.concatenate(ids)),
                torch.tensor(sizes, dtype=torch.int64),
            )

        (tokens_1, ids_1, sizes_1), (tokens_2, ids_2, sizes_2) = view(0), view(1)
        return Batch(tokens_1, tokens_2, ids_1, ids_2, sizes_1, sizes_2)

    def recordings_of(self, epoch: int, index: int) -> list[str]:
        """Ids of the recordings in a batch, of all processes. Leaves the plan at that epoch."""
        self.set_epoch(epoch)
        rows = self.plan[0][index * self.batch_size : (index + 1) * self.batch_size]
        return list(dict.fromkeys(self.windows[row].recording.recording_id for row in rows))

    def _pair(self, recording: int, pair: int, start_s: float):
        """The two views of one pair, or None where it must be dropped."""
        windows = self.windows[recording]
        rng = self._generator("pair", windows.recording.recording_id, int(pair))
        second = self._second_start(recording, start_s, rng)
        if second is None:
            return None
        views = [
            windows.samples(start, self._kept_rows(windows.recording.n_units, rng))
            for start in (start_s, second)
        ]
        return None if min(len(rows) for _, rows in views) < self.views.min_units else views

    def _second_start(
        self, recording: int, start_s: float, rng: np.random.Generator
    ) -> float | None:
        """Uniform over the starts within reach whose window lies wholly in one usable interval."""
        windows, usable = self.windows[recording], self.usable[recording]
        low = np.maximum(usable[:, 0], start_s - self.views.max_distance_s)
        high = np.minimum(usable[:, 1] - windows.window_s, start_s + self.views.max_distance_s)
        return windows.starts_between(low, high, rng)

    def _kept_rows(self, n_units: int, rng: np.random.Generator) -> np.ndarray:
        low, high = (int(np.ceil(share * n_units - 1e-9)) for share in self.views.kept_share)
        return np.sort(rng.permutation(n_units)[: rng.integers(low, high + 1)])

    def _generator(self, purpose: str, recording_id: str, *numbers: int) -> np.random.Generator:
        name = int.from_bytes(
            hashlib.sha256(f"{purpose}/{recording_id}".encode()).digest()[:8], "little"
        )
        return np.random.default_rng(
            np.random.SeedSequence(self.seed, spawn_key=(self.epoch, name, *numbers))
        )
