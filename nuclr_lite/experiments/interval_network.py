"""A supervised network on distributions of inter-spike intervals: what a neuron's own spike times
can tell.

In the spirit of LOLCAT (Schneider et al. 2023, Cell Reports 42:112318): intervals are described
stretch by stretch of the recording, and attention learns which stretches tell cell types apart. A
unit's spikes are cut into windows, each window's interval distribution goes through the same small
MLP, attention weighs the windows, a linear layer classifies. The sizes and the windows are ours,
chosen for hundreds of labelled units; it stands for the idea, not for the published numbers.

    features = interval_windows(recordings)
    nl.decode(features, units["cell_type"], units["animal_id"], classifier=IntervalNetwork())
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ..decoding import inner_folds
from ..files.progress import progress
from ..recording import Recording, as_list
from .baselines import INTERVAL_EDGES_S

N_BINS = len(INTERVAL_EDGES_S) - 1
VALIDATION_FOLDS = 5  # one fifth of the training units decides when to stop


def interval_windows(
    recordings: Recording | list[Recording], window_s: float = 10.0, n_windows: int = 32
) -> pd.DataFrame:
    """The distribution of each unit's inter-spike intervals in each of several windows.

    Parameters
    ----------
    window_s : length of a window, s of valid time. An interval counts where both of its spikes lie
        in the window; none spans a gap.
    n_windows : windows spread evenly over valid time, the first at its start, the last at its end.
        They overlap where it is short.

    Returns
    -------
    DataFrame float32 indexed by (recording_id, unit_id), n_windows * 24 columns, window by window:
    the share of the window's
        intervals in each of 24 log-spaced bins from 1 ms to 10 s (shorter and longer ones in the
        outermost); zeros where there is none.

    Raises
    ------
    ValueError : calcium recordings; a recording with less valid time than one window.
    """
    recordings = as_list(recordings, "describe")
    columns = [f"window{window}_bin{i}" for window in range(n_windows) for i in range(N_BINS)]
    tables = []
    for recording in progress(recordings, desc="interval windows", unit="recording", leave=False):
        if recording.modality != "spikes":
            raise ValueError(
                f"{recording.recording_id} holds calcium traces, which have no intervals between"
                " spikes; use baselines.hand_features."
            )
        if recording.valid_s < window_s:
            raise ValueError(
                f"{recording.recording_id} has {recording.valid_s:g} s of valid time, less than one"
                f" window; choose a shorter window_s than {window_s:g}."
            )
        counts = _window_counts(
            recording, np.linspace(0, recording.valid_s - window_s, n_windows), window_s
        )
        shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
        index = pd.MultiIndex.from_product(
            [[recording.recording_id], recording.units.index], names=["recording_id", "unit_id"]
        )
        tables.append(
            pd.DataFrame(
                shares.reshape(len(index), -1).astype(np.float32), index=index, columns=columns
            )
        )
    return pd.concat(tables)


def _window_counts(recording: Recording, starts_s: np.ndarray, window_s: float) -> np.ndarray:
    """(units, windows, bins) intervals. starts_s: (windows,), s of valid time since its beginning,
    in order.
    """
    order = np.argsort(recording.unit_rows, kind="stable")  # unit by unit, each in order of time
    rows, times = (
        np.asarray(recording.unit_rows)[order].astype(np.int64),
        np.asarray(recording.times)[order],
    )
    stretch = np.searchsorted(recording.intervals[:, 0], times, side="right") - 1
    lengths = np.diff(recording.intervals, axis=1)[:, 0]
    valid_time = times - recording.intervals[stretch, 0] + (np.cumsum(lengths) - lengths)[stretch]
    unbroken = (np.diff(rows) == 0) & (np.diff(stretch) == 0)
    rows, opens, closes = rows[:-1][unbroken], valid_time[:-1][unbroken], valid_time[1:][unbroken]
    bins = np.clip(
        np.searchsorted(INTERVAL_EDGES_S, np.diff(times)[unbroken], side="right") - 1, 0, N_BINS - 1
    )
    # The windows that hold an interval are consecutive: from the first that ends after it to the
    # last that starts before it.
    first = np.searchsorted(starts_s, closes - window_s, side="left")
    n = np.maximum(np.searchsorted(starts_s, opens, side="right") - first, 0)
    each = np.repeat(np.arange(len(rows)), n)
    window = first[each] + np.arange(len(each)) - (np.cumsum(n) - n)[each]
    shape = (recording.n_units, len(starts_s), N_BINS)
    return np.bincount(
        (rows[each] * shape[1] + window) * N_BINS + bins[each], minlength=math.prod(shape)
    ).reshape(shape)


class IntervalNetwork(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier of `interval_windows`: a shared MLP, attention over windows, a
    linear layer.

    Class-balanced cross-entropy, AdamW. Training stops when the loss on held-out training units, of
    other animals where `fit` gets `groups`, no longer falls, and returns to where it was lowest.
    Each step sees a random half of the windows.

    Parameters
    ----------
    n_windows : as in `interval_windows`. width : of the MLP.
    epochs : at most. patience : epochs without a lower held-out loss before training stops.
    learning_rate : of AdamW. batch_size : units a step.
    seed : of the initial weights and the order of units; torch's global random state is neither
        read nor changed.

    Attributes
    ----------
    classes_ : (classes,). best_epoch_ : the epoch, from 1, that was kept. network_ : torch module.
    """

    def __init__(
        self,
        n_windows: int = 32,
        width: int = 32,
        epochs: int = 100,
        patience: int = 15,
        learning_rate: float = 3e-3,
        batch_size: int = 64,
        seed: int = 0,
    ):
        self.n_windows = n_windows
        self.width = width
        self.epochs = epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.seed = seed

    def fit(self, x, y, groups=None) -> IntervalNetwork:
        """x: (units, n_windows * bins). y: (units,) labels. groups: (units,) animals, or None:
        held-out units are then any.
        """
        generator = torch.Generator().manual_seed(self.seed)
        self.classes_, number = np.unique(y, return_inverse=True)
        windows, target = self._windows(x), torch.as_tensor(number)
        train, held_out = map(torch.as_tensor, inner_folds(y, groups, VALIDATION_FOLDS)[0])
        self.mean_ = windows[train].mean(dim=(0, 1))
        self.spread_ = windows[train].std(dim=(0, 1)).clamp_min(1e-3)
        windows = (windows - self.mean_) / self.spread_
        weight = 1 / target[train].bincount(minlength=len(self.classes_)).clamp_min(1)
        self.network_ = _Network(windows.shape[2], self.width, len(self.classes_), generator)
        optimizer = torch.optim.AdamW(
            self.network_.parameters(), lr=self.learning_rate, weight_decay=0.01
        )
        lowest = np.inf
        for epoch in range(1, self.epochs + 1):
            for rows in train[torch.randperm(len(train), generator=generator)].split(
                self.batch_size
            ):
                seen = torch.randperm(self.n_windows, generator=generator)[
                    : max(self.n_windows // 2, 1)
                ]
                loss = F.cross_entropy(self.network_(windows[rows][:, seen]), target[rows], weight)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                held_out_loss = F.cross_entropy(
                    self.network_(windows[held_out]), target[held_out], weight
                ).item()
            if held_out_loss < lowest:
                lowest, self.best_epoch_, best = (
                    held_out_loss,
                    epoch,
                    copy.deepcopy(self.network_.state_dict()),
                )
            elif epoch - self.best_epoch_ >= self.patience:
                break
        self.network_.load_state_dict(best)
        return self

    @torch.no_grad()
    def predict_proba(self, x) -> np.ndarray:
        """(units, classes) float64, in the order of `classes_`."""
        check_is_fitted(self)
        return (
            self.network_((self._windows(x) - self.mean_) / self.spread_)
            .double()
            .softmax(dim=1)
            .numpy()
        )

    def predict(self, x) -> np.ndarray:
        """(units,) labels."""
        return self.classes_[self.predict_proba(x).argmax(axis=1)]

    def _windows(self, x) -> torch.Tensor:
        # a copy: torch takes no read-only array, which parallel workers are given
        x = np.array(x, dtype=np.float32)
        if x.shape[1] % self.n_windows:
            raise ValueError(
                f"{x.shape[1]} columns don't divide into {self.n_windows} windows; give"
                " IntervalNetwork the n_windows of interval_windows."
            )
        return torch.as_tensor(x.reshape(len(x), self.n_windows, -1))


class _Network(nn.Module):
    """(units, windows, bins) -> (units, classes)."""

    def __init__(self, bins: int, width: int, n_classes: int, generator: torch.Generator):
        super().__init__()
        self.embed = nn.Sequential(
            _linear(bins, width, generator), nn.GELU(), _linear(width, width, generator), nn.GELU()
        )
        self.attend = _linear(width, 1, generator)
        self.classify = _linear(width, n_classes, generator)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(windows)
        return self.classify((self.attend(tokens).softmax(dim=1) * tokens).sum(dim=1))


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with weights from this generator: torch's own initialisation draws from the
    global one.
    """
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    with torch.no_grad():
        for values in layer.parameters():
            values.uniform_(-1 / math.sqrt(n_in), 1 / math.sqrt(n_in), generator=generator)
    return layer
