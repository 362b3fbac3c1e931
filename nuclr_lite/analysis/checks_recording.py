"""What can be wrong with one recording: its clock, its fit to an encoder, units that are there
twice, light. `checks` has the whole list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, triu

from ..files.intervals import frame_ranges, is_whole
from ..files.seconds import REMEDY, clock_of
from ..files.tables import LIGHT
from ..model import ModelConfig
from ..recording import Recording


@dataclass(frozen=True)
class Check:
    """What one check says. found : is there something to look at?

    None: it could not be asked. sentence : what was seen, with numbers. remedy : what to do if it
    is a fault.
    """

    name: str
    found: bool | None
    sentence: str
    remedy: str

    @property
    def verdict(self) -> str:
        """'look here', 'fine' or 'not asked'."""
        return "not asked" if self.found is None else "look here" if self.found else "fine"

    def __str__(self) -> str:
        return f"{self.verdict}: {self.sentence}" + (f". {self.remedy}" if self.found else "")


def seconds(recording: Recording) -> Check:
    """Are times in seconds, on the clock of valid time?

    Looked at: what `files.seconds.clock_of` calls odd, as when a recording is made; nine spikes in
    ten outside valid time; below 0.5 or above 200 frames per second.
    """
    if recording.modality == "calcium":
        return Check(
            "seconds",
            not 0.5 <= recording.sampling_rate_hz <= 200,
            f"{recording.sampling_rate_hz:.4g} frames per second",
            "Give frames per second, not the length of a frame",
        )
    rows = np.asarray(recording.unit_rows)
    ends = np.bincount(rows, minlength=recording.n_units).cumsum()[:-1]
    # times are in order already
    trains = np.split(np.asarray(recording.times)[np.argsort(rows, kind="stable")], ends)
    odd, said = clock_of(trains, recording.valid_s, recording.bin_s)
    outside = recording.n_spikes_outside / (recording.n_spikes_outside + len(recording.times))
    return Check(
        "seconds",
        odd or outside > 0.9,
        f"{said}; {outside:.0%} of all spikes lie outside valid time",
        REMEDY,
    )


def encoder(recording: Recording, encoder) -> Check:
    """Does a recording have what an encoder (Pretrained, NuCLR, Preset or ModelConfig) was made
    for: modality, an interval as long as a window, frames of its length, time stamps finer than
    a bin?

    Stamps on a grid of half a bin or more leave some bins empty in all units at once: a comb that
    no neuron made. Spikes that came as counts (`bin_s`) may lie on one, as windows begin on it,
    where the encoder's bin is a whole number of theirs. Traces that were slower than the encoder's
    frames were stretched.
    """
    model = _config(encoder)
    if recording.modality != model.modality:
        return Check(
            "encoder",
            True,
            f"it holds {recording.modality}, but the encoder reads {model.modality}",
            f"Use an encoder for {recording.modality}",
        )
    longest = float(np.diff(recording.intervals, axis=1).max())
    if longest < model.window_s:
        return Check(
            "encoder",
            True,
            f"the longest valid interval has {longest:.3g} s, a window {model.window_s:.3g} s",
            "Use an encoder with shorter windows, or longer intervals",
        )
    if recording.modality == "calcium":
        was = recording.provenance.get("resampled_from_hz", recording.sampling_rate_hz)
        said = (
            f"{was:.4g} frames per second"
            + ", averaged" * (was != recording.sampling_rate_hz)
            + f"; the encoder's are {1 / model.sample_s:.4g}"
        )
        if was * model.sample_s < 0.99:
            return Check(
                "encoder",
                True,
                f"{was:.4g} frames per second, the encoder's are {1 / model.sample_s:.4g}: frames"
                " are stretched, and fast changes aren't there",
                "Train an encoder at this rate (sample_s)",
            )
        off = abs(recording.sampling_rate_hz * model.sample_s - 1) > 0.01
        return Check(
            "encoder",
            off,
            said + ": they will be averaged" * off,
            "Average them once, with nl.views.match_sampling(recording, sample_s), and keep the"
            " result",
        )
    if recording.bin_s is not None:
        return Check(
            "encoder",
            not is_whole(model.sample_s / recording.bin_s),
            f"spikes were counted in bins of {recording.bin_s:g} s; the encoder's have"
            f" {model.sample_s:g} s",
            "Train with a whole number of these bins (sample_s)",
        )
    steps = np.diff(np.unique(recording.times))
    finest = float(np.quantile(steps, 0.01)) if len(steps) else np.inf
    is_comb = (
        len(steps) >= 20
        and finest >= model.sample_s / 2
        and (np.abs(steps / finest - np.round(steps / finest)) < 0.05).mean() > 0.95
    )
    said = (
        f"time stamps lie on a grid of {finest:.2g} s"
        if is_comb
        else "modality, window and time stamps fit"
    )
    return Check(
        "encoder",
        bool(is_comb),
        f"{said}, a bin has {model.sample_s:g} s",
        "Go back to the times that the sorter wrote, or train with longer bins (sample_s)",
    )


def brightness(recording: Recording) -> Check:
    """Are traces raw fluorescence?

    A cell's baseline brightness never changes: it names the cell, and perhaps the line, without any
    activity.

    Looked at: the median unit's 10th percentile is more than twice as far above 0 as from its 90th
    (dF/F with the minimum as baseline reaches about 1).
    """
    if recording.modality == "spikes":
        return Check("brightness", None, "spikes have none", "")
    low, high = np.quantile(_some_frames(recording), [0.1, 0.9], axis=0)
    ratio = float(np.median(low / np.maximum(high - low, 1e-9)))
    return Check(
        "brightness",
        ratio > 2,
        f"the median unit's baseline lies {max(ratio, 0):.1f} times its range above 0",
        "Give dF/F or deconvolved events in place of raw fluorescence",
    )


def duplicates(recording: Recording, limit: float = 0.5, bin_s: float = 0.002) -> Check:
    """Is a unit there twice: do two units share more than `limit` of their spikes, or have traces
    that correlate above 0.95?

    Counted is in how many bins of `bin_s` both fire, beyond chance, over the bins of the unit with
    fewer (20, if it has less: five spikes say nothing). Chance is what two units of their rates
    would share. At 2 ms, copies up to 1 ms apart are found (of spikes that came as counts, those in
    the same bin); a neuron that was split in two without shared spikes is not.
    """
    if recording.modality == "calcium":
        # a constant trace correlates with nothing
        with np.errstate(invalid="ignore", divide="ignore"):
            together = np.corrcoef(_some_frames(recording), rowvar=False)
        pairs = np.argwhere(np.triu(np.nan_to_num(np.atleast_2d(together)), 1) > 0.95)
    else:
        bin_s = max(bin_s, recording.bin_s or 0.0)
        bins = np.unique(
            np.floor((np.asarray(recording.times) - recording.start_s) / bin_s).astype(np.int64),
            return_inverse=True,
        )[1]
        fired = csr_matrix(
            (np.ones(len(bins)), (recording.unit_rows, bins)),
            shape=(recording.n_units, bins.max() + 1),
        )
        fired.data[:] = 1  # (units, bins): fired or not
        n = np.asarray(fired.sum(axis=1)).ravel()
        shared = triu(fired @ fired.T, 1).tocoo()
        chance = n[shared.row] * n[shared.col] * bin_s / max(recording.valid_s, bin_s)
        fewer = np.maximum(np.minimum(n[shared.row], n[shared.col]), 20)
        pairs = np.stack([shared.row, shared.col], axis=1)[
            shared.data - chance > limit * np.maximum(fewer - chance, 1)
        ]
    ids = [tuple(recording.units.index[pair].tolist()) for pair in pairs[:3]]
    said = f"pairs that look like one unit, of {recording.n_units} units: {len(pairs)}"
    return Check(
        "duplicates",
        bool(len(pairs)),
        f"{said} {ids}" if ids else said,
        "Merge them, or drop one of each pair, before pretraining",
    )


def light(recording: Recording, pulses: pd.DataFrame | None = None, margin_s: float = 0.0) -> Check:
    """Do light pulses lie in valid time? With optotagging the label *is* the response to light.

    pulses : DataFrame start_s, stop_s. None: the epochs whose name speaks of light (opto, laser,
        LED, photostim, ...); `read_nwb` makes such epochs of the rows of `trials`, and of any other
        table, whose columns do. margin_s : time around each that counts too (the paper drops all
        from 300 s before the first pulse on).
    """
    remedy = "End valid time before the first pulse (`intervals`, or `intervals_from` of read_nwb)"
    if pulses is None:
        pulses = recording.epochs[
            recording.epochs["name"]
            .astype(str)
            .map(lambda name: bool(LIGHT.search(name)))
            .to_numpy(dtype=bool)
        ]
        if not len(pulses):
            return Check(
                "light", None, "no light pulses given, and no epoch's name speaks of light", remedy
            )
    start, stop = (
        pulses["start_s"].to_numpy()[:, None] - margin_s,
        pulses["stop_s"].to_numpy()[:, None] + margin_s,
    )
    # (pulses, intervals) -> ()
    n = int(
        ((start < recording.intervals[:, 1]) & (stop > recording.intervals[:, 0])).any(axis=1).sum()
    )
    return Check("light", n > 0, f"{n} of {len(pulses)} light pulses lie in valid time", remedy)


def _some_frames(recording: Recording) -> np.ndarray:
    """(frames, units) of valid time, at most some 20,000: enough for quantiles and correlations."""
    ranges = frame_ranges(recording.intervals, recording.sampling_rate_hz, recording.start_s)
    step = len(recording.traces) // 20_000 + 1
    return np.concatenate([recording.traces[first:stop:step] for first, stop in ranges])


def _config(encoder) -> ModelConfig:
    # a Pretrained has a preset, that has a model; a NuCLR has a config
    for part in ("preset", "model", "config"):
        encoder = getattr(encoder, part, encoder)
    if not isinstance(encoder, ModelConfig):
        raise TypeError(
            f"the encoder is a {type(encoder).__name__}; give a Pretrained, a NuCLR, a Preset or a"
            " ModelConfig."
        )
    return encoder
