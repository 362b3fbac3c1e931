"""Embedding: one vector a unit, the mean over all windows of its recording."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed, effective_n_jobs
from torch import Tensor

from .files.progress import progress
from .model import NuCLR, suitable_threads
from .recording import Recording, as_list, check_ids
from .views import Windows


def embed(
    encoder: NuCLR,
    recordings: Recording | list[Recording],
    *,
    step: float = 1.0,
    grid_s: float | None = None,
    units_per_batch: int = 1024,
    n_jobs: int = 1,
) -> pd.DataFrame:
    """Embed every unit of one or more recordings, in evaluation mode, on the encoder's device.

    Windows lie end to end from each valid interval's start, with one more that ends at its end
    where a rest remains; a unit's vector is the float64 mean over the windows in which it is
    present (paper, section 3.4). Memory doesn't grow with the length of a recording.

    Parameters
    ----------
    step : from one window to the next, in windows: 1.0 as said; 0.5 overlaps them by half, which
        takes twice as long (so the authors embedded for their later benchmark, BrainWideBench).
    grid_s : windows start on multiples of this, s. Pass the `views.grid_s` of the training: the
        encoder doesn't carry it.
    units_per_batch : about how many units of all windows together pass through the encoder at once;
        lower it to use less memory. A larger population passes in pieces wherever its units don't
        meet.
    n_jobs : processes that embed a recording each, as joblib counts them (-1: one a core), on the
        CPU. Cores are divided among them. A recording opened with `Recording.load` is a memory map,
        and costs nothing to hand over.

    Returns
    -------
    DataFrame (units, dim) float64, indexed by (recording_id, unit_id). A unit that is present in no
    window has no row, and a warning counts them.

    Raises
    ------
    TypeError : not an encoder. ValueError : another modality; no interval holds a window; two
        recordings share an id; several processes for an encoder on a GPU; a step not above
        0, or above 1.
    """
    if not isinstance(encoder, NuCLR):
        raise TypeError(
            f"embed needs a NuCLR encoder, not {type(encoder).__name__}; of what pretrain returns,"
            " pass `.encoder`."
        )
    recordings = as_list(recordings, "embed")
    if units_per_batch < 1:
        raise ValueError(f"units_per_batch is {units_per_batch}; give at least 1.")
    check_ids(recordings)
    if n_jobs != 1 and next(encoder.parameters()).is_cuda:
        raise ValueError(
            f"n_jobs is {n_jobs} and the encoder is on a GPU, which does one thing at a time; leave"
            " n_jobs at 1, or move the encoder: encoder.cpu()."
        )
    columns = [f"e{i:03d}" for i in range(encoder.config.dim)]
    threads = max(1, torch.get_num_threads() // effective_n_jobs(n_jobs))
    tasks = (
        delayed(_embed_one)(encoder, recording, step, grid_s, units_per_batch, columns, threads)
        for recording in recordings
    )
    tables = list(
        progress(
            Parallel(n_jobs=n_jobs, return_as="generator")(tasks),
            total=len(recordings),
            desc="embed",
            unit="recording",
            leave=False,
        )
    )
    table = pd.concat(tables)
    lost = sum(recording.n_units for recording in recordings) - len(table)
    if lost:
        warnings.warn(
            f"{lost} units have no spike in any window and get no embedding.", stacklevel=2
        )
    return table


def embed_populations(
    encoder: NuCLR, populations: Iterable[tuple[np.ndarray, Tensor]], units_per_batch: int
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Vectors of any populations, several at a time, in evaluation mode, on the encoder's device.

    populations : (key, tokens (units, L, P)), the key anything with an entry a unit. Those without
        a unit are passed over.
    units_per_batch : of all populations that pass through the encoder at once, unless one alone has
        more: it then passes in pieces wherever its units don't meet.

    Yields
    ------
    A list for each pass: (key, vectors (units, D) float64) of each of its populations.
    """
    batch: list[tuple[np.ndarray, Tensor]] = []
    size = 0
    for key, tokens in populations:
        if size + len(tokens) > units_per_batch and batch:
            yield _embed_batch(encoder, batch, units_per_batch)
            batch, size = [], 0
        if len(tokens):
            batch.append((key, tokens))
            size += len(tokens)
    if batch:
        yield _embed_batch(encoder, batch, units_per_batch)


@torch.no_grad()
def _embed_batch(
    encoder: NuCLR, batch: list[tuple[np.ndarray, Tensor]], units_per_batch: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    sizes = [len(tokens) for _, tokens in batch]
    was_training = encoder.training
    encoder.eval()
    try:
        tokens = torch.cat([tokens for _, tokens in batch]).to(next(encoder.parameters()).device)
        with suitable_threads(encoder.config):
            vectors = encoder(tokens, torch.tensor(sizes), units_per_batch).cpu().double().numpy()
    finally:
        encoder.train(was_training)
    return list(zip([key for key, _ in batch], np.split(vectors, np.cumsum(sizes)[:-1])))


def _embed_one(
    encoder: NuCLR,
    recording: Recording,
    step: float,
    grid_s,
    units_per_batch: int,
    columns: list[str],
    threads: int,
) -> pd.DataFrame:
    torch.set_num_threads(threads)
    windows = Windows(recording, encoder.config, grid_s)
    starts = windows.tile(step)
    if not len(starts):
        raise ValueError(
            f"{recording.recording_id}: no valid interval holds a window of {windows.window_s:g} s;"
            " use an encoder with a shorter window, or a longer recording."
        )
    windows.lasting(1)  # says so where that leaves most out
    total = np.zeros((recording.n_units, encoder.config.dim))
    present = np.zeros(recording.n_units, dtype=np.int64)
    # empty windows show nobody; of a long silence there may be millions
    if recording.modality == "spikes":
        times = np.asarray(recording.times)
        slack_s = windows.rounding_s + 1e-6 * windows.step_s
        starts = starts[
            np.searchsorted(times, starts - slack_s)
            < np.searchsorted(times, starts + windows.window_s + slack_s)
        ]
    populations = (
        (rows, torch.from_numpy(tokens)) for tokens, rows in map(windows.samples, starts)
    )
    for batch in embed_populations(encoder, populations, units_per_batch):
        for rows, vectors in batch:
            total[rows] += vectors
            present[rows] += 1
    seen = present > 0
    strange = int((~np.isfinite(total).all(axis=1)).sum())
    if strange:
        raise ValueError(
            f"{recording.recording_id}: the embeddings of {strange} units are not finite; look for"
            " extreme values in what was recorded (or an encoder whose training went wrong: NaN"
            " among its weights)."
        )
    index = pd.MultiIndex.from_arrays(
        [[recording.recording_id] * int(seen.sum()), recording.units.index[seen]],
        names=["recording_id", "unit_id"],
    )
    return pd.DataFrame(total[seen] / present[seen, None], index=index, columns=columns)
