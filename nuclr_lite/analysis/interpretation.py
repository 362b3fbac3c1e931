"""What an encoder's vectors rest on: the same unit at other times, among other units, with a
neighbour less; and who attends to whom.

Letters for shapes: U units of a recording, P populations, W units of the widest population, L
tokens in a window, D width of the model, H heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..embedding import embed_populations
from ..files.progress import progress
from ..model import NuCLR, Populations, SpatialAttention
from ..recording import Recording, as_list
from ..views import Windows


def embed_among(
    encoder: NuCLR,
    recordings: Recording | list[Recording],
    n_others: int,
    hosts: list[Recording] | None = None,
    *,
    seed: int = 0,
    grid_s: float | None = None,
    units_per_batch: int = 1024,
) -> pd.DataFrame:
    """Embed each unit as if only `n_others` other units had been recorded with it.

    Of its own population: the units of a recording are drawn into groups of n_others + 1, once for
    all windows, and a group is embedded by itself. (Where the last group is too small, units that
    have their vector already fill it up.) Of another: each unit is put alone among `n_others` units
    of the host, whose activity is of other times, in another animal.

    Parameters
    ----------
    n_others : 0: each unit alone. At most one less than the units of a recording; with hosts, the
        units of the smallest host. Those silent in a window are absent from it.
    hosts : one a recording, in their order, whose units take the place of a unit's own population;
        their windows are used in turn.
    seed : of who is with whom. grid_s, units_per_batch : as for `embed`.

    Returns
    -------
    DataFrame (units, dim) as `embed` gives it; the mean over the windows in which a unit is
    present.

    Raises
    ------
    ValueError : too few units; numbers of hosts and recordings that differ; a host that is the
        recording itself; no interval holds a window.
    """
    recordings = as_list(recordings, "embed")
    among: list[Recording | None] = [None] * len(recordings) if hosts is None else [*hosts]
    if len(among) != len(recordings):
        raise ValueError(
            f"there are {len(recordings)} recordings and {len(among)} hosts; give each recording"
            " one."
        )
    tables = {}
    for number, (recording, host) in enumerate(
        zip(progress(recordings, desc="embed among", unit="recording", leave=False), among)
    ):
        most = recording.n_units - 1 if host is None else host.n_units
        if not 0 <= n_others <= most:
            raise ValueError(f"{recording.recording_id}: n_others is {n_others}; use 0 to {most}.")
        if host is not None and host.animal_id == recording.animal_id:
            raise ValueError(
                f"{recording.recording_id}: the host {host.recording_id} is of the same animal;"
                " give a recording of another one."
            )
        rng = np.random.default_rng([seed, number])
        windows = _WindowTokens(recording, encoder, grid_s)
        if host is None:
            populations = _grouped(windows, _groups(recording.n_units, n_others + 1, rng))
        else:
            strangers = [rng.permutation(host.n_units)[:n_others] for _ in range(recording.n_units)]
            populations = _transplanted(windows, _WindowTokens(host, encoder, grid_s), strangers)
        total, seen = (
            np.zeros((recording.n_units, encoder.config.dim)),
            np.zeros(recording.n_units, dtype=np.int64),
        )
        for rows, vectors in chain.from_iterable(
            embed_populations(encoder, populations, units_per_batch)
        ):
            wanted = rows >= 0
            np.add.at(total, rows[wanted], vectors[wanted])
            np.add.at(seen, rows[wanted], 1)
        tables[recording.recording_id] = pd.DataFrame(
            total, index=recording.units.index, columns=[f"e{i:03d}" for i in range(total.shape[1])]
        ).div(seen, axis=0)[seen > 0]
    return pd.concat(tables, names=["recording_id", "unit_id"])


def _groups(n_units: int, size: int, rng: np.random.Generator) -> list[tuple[np.ndarray, int]]:
    """(members, how many of them count): random groups of `size`; each unit counts once, and those
    that only fill up come last.
    """
    order = rng.permutation(n_units)
    groups = [order[first : first + size] for first in range(0, n_units, size)]
    missing = size - len(groups[-1])
    return [(group, size) for group in groups[:-1]] + [
        (
            np.concatenate(
                [groups[-1], rng.permutation(order[: n_units - len(groups[-1])])[:missing]]
            ),
            len(groups[-1]),
        )
    ]


def _grouped(windows: _WindowTokens, groups) -> Iterator[tuple[np.ndarray, Tensor]]:
    """For `embed_populations`: each window's groups; rows that don't count are -1."""
    for tokens, place in windows:
        for members, counted in groups:
            rows = np.where(np.arange(len(members)) < counted, members, -1)
            active = place[members] >= 0
            yield rows[active], tokens[place[members[active]]]


def _transplanted(
    windows: _WindowTokens, host: _WindowTokens, strangers: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """For `embed_populations`: in each window, each unit by itself among its strangers."""
    for number, (tokens, place) in enumerate(windows):
        host_tokens, host_place = host[number % len(host)]
        for row in np.flatnonzero(place >= 0):
            others = host_place[strangers[row]]
            others = others[others >= 0]
            yield (
                np.concatenate([[row], np.full(len(others), -1)]),
                torch.cat([tokens[place[row]][None], host_tokens[others]]),
            )


def influence(
    encoder: NuCLR,
    recording: Recording,
    n_windows: int = 10,
    *,
    grid_s: float | None = None,
    units_per_batch: int = 1024,
) -> pd.DataFrame:
    """How far each unit's vector moves when one other unit is taken out of the population: an
    ablation by neuron.

    n_windows : evenly spread over the valid time (all, if there are fewer). grid_s, units_per_batch
        : as for `embed`.

    Returns
    -------
    DataFrame (U, U): row, whose vector moves; column, who is taken out. Vectors are means over the
    windows in which both are present; the distance is in units of the root-mean-square distance of
    the units' vectors from their mean, so that 1 is about as far as units lie apart. NaN on the
    diagonal and for pairs that never meet.

    Raises
    ------
    ValueError : n_windows below 1; fewer than 2 units; no interval holds a window.
    """
    if recording.n_units < 2:
        raise ValueError(
            f"{recording.recording_id} has a single unit; there is no other to take out."
        )
    n, dim = recording.n_units, encoder.config.dim
    moved, met = np.zeros((n, n, dim)), np.zeros((n, n))
    whole, seen = np.zeros((n, dim)), np.zeros(n)

    def populations():
        for tokens, place in _WindowTokens(recording, encoder, grid_s, n_windows):
            present = np.flatnonzero(place >= 0)
            for removed in (-1, *present):
                rest = present[present != removed]
                if len(rest):
                    yield np.stack([rest, np.full(len(rest), removed)], axis=1), tokens[place[rest]]

    for pairs, vectors in chain.from_iterable(
        embed_populations(encoder, populations(), units_per_batch)
    ):
        rows, removed = pairs.T
        full = removed < 0
        np.add.at(whole, rows[full], vectors[full])
        np.add.at(seen, rows[full], 1)
        if full.any():
            present, unchanged = rows[full], vectors[full]
            moved[np.ix_(present, present)] += unchanged[:, None]
            met[np.ix_(present, present)] += 1
        np.subtract.at(moved, (rows[~full], removed[~full]), vectors[~full])
    np.fill_diagonal(met, 0)
    vectors = whole[seen > 0] / seen[seen > 0, None]
    spread = np.sqrt(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).mean())
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.where(met > 0, np.linalg.norm(moved, axis=2) / met / spread, np.nan)
    index = recording.units.index
    return pd.DataFrame(distance, index=index.rename("moved"), columns=index.rename("taken out"))


@torch.no_grad()
def attention_weights(module: SpatialAttention, x: Tensor, populations: Populations) -> Tensor:
    """(P, L, H, W, W): what each unit (row) gives to each (column) of its population, at each
    token; rows sum to 1. Where a population has fewer than W units, 0.

    x : (units, L, D), what the module gets.
    """
    # (P, W, L, 3, H, C)
    qkv = populations.pad(module.qkv(module.norm(x))).unflatten(-1, (3, module.heads, -1))
    q, k, _ = qkv.permute(3, 0, 2, 4, 1, 5)  # each (P, L, H, W, C)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if populations.key_mask is None:
        return scores.softmax(dim=-1)
    there = populations.key_mask[:, None, None]  # (P, 1, 1, W)
    return (
        scores.masked_fill(~there[..., None, :], -torch.inf).softmax(dim=-1) * there[..., :, None]
    )


def spatial_attention(
    encoder: NuCLR,
    recording: Recording,
    n_windows: int = 20,
    *,
    grid_s: float | None = None,
    units_per_batch: int = 1024,
) -> np.ndarray:
    """How much each unit attends to each other one, in each spatial layer and head.

    n_windows : evenly spread over the valid time (all, if there are fewer). grid_s, units_per_batch
        : as for `embed`.

    Returns
    -------
    (layers, H, U, U) float64: layer, head, who attends (row of `recording.units`), to whom. Means
    over tokens and over the windows in which both are present; NaN where they never are. In one
    window a row sums to 1; here so only for units that meet all others in the same windows.

    Raises
    ------
    ValueError : an encoder without spatial attention; n_windows below 1; no interval holds a
        window.
    """
    modules = [module for module in encoder.modules() if isinstance(module, SpatialAttention)]
    if not modules:
        raise ValueError(
            "this encoder has no spatial attention (ModelConfig.spatial_attention=False, or no"
            " spatiotemporal layer); its units attend to nobody."
        )
    n = recording.n_units
    total, met = np.zeros((len(modules), encoder.config.heads, n, n)), np.zeros((n, n))
    caught: dict[int, np.ndarray] = {}

    def catch(layer):
        def hook(module, inputs, output):
            # (P, H, W, W)
            caught[layer] = attention_weights(module, *inputs).mean(dim=1).double().cpu().numpy()

        return hook

    handles = [module.register_forward_hook(catch(layer)) for layer, module in enumerate(modules)]
    try:
        windows = _WindowTokens(recording, encoder, grid_s, n_windows)
        for batch in embed_populations(
            encoder, _grouped(windows, [(np.arange(n), n)]), units_per_batch
        ):
            for at, (rows, _) in enumerate(batch):
                pairs = np.ix_(rows, rows)
                met[pairs] += 1
                for layer, weights in caught.items():
                    total[layer][:, pairs[0], pairs[1]] += weights[at][:, : len(rows), : len(rows)]
    finally:
        for handle in handles:
            handle.remove()
    return np.divide(total, met, out=np.full_like(total, np.nan), where=met > 0)


def between_kinds(matrix, kinds) -> pd.DataFrame:
    """From pairs of units to pairs of kinds, against an even share.

    matrix : (U, U), from `influence`, or a layer and head of `spatial_attention`. kinds : (U,) the
        kind of each unit. Of each row, the mean over the others of a kind
    is divided by the mean over all others, oneself left out; then rows of a kind are averaged. 1:
    as much as to anybody.

    Returns a DataFrame (kinds, kinds): row, the kind of the matrix's rows; column, of its columns.
    NaN where a pair of kinds has no two units. ValueError for lengths that differ.
    """
    matrix, kinds = np.array(matrix, dtype=np.float64), np.asarray(kinds, dtype=str)
    if matrix.shape != (len(kinds), len(kinds)):
        raise ValueError(
            f"the matrix has shape {matrix.shape}, and there are {len(kinds)} kinds; give one row,"
            " one column and one kind a unit."
        )
    np.fill_diagonal(matrix, np.nan)
    table = pd.DataFrame(matrix, index=kinds, columns=kinds)
    table = table.div(table.mean(axis=1), axis=0)
    return table.T.groupby(level=0).mean().T.groupby(level=0).mean()


class _WindowTokens:
    """Some or all windows of a recording, as the encoder reads them: a sequence of (tokens (active,
    L, samples), place (U,): each unit's row in them, or -1).
    """

    def __init__(
        self,
        recording: Recording,
        encoder: NuCLR,
        grid_s: float | None,
        n_windows: int | None = None,
    ):
        self.windows = Windows(recording, encoder.config, grid_s)
        starts = self.windows.tile()
        if not len(starts):
            raise ValueError(
                f"{recording.recording_id}: no valid interval holds a window of"
                f" {self.windows.window_s:g} s."
            )
        if n_windows is not None and n_windows < 1:
            raise ValueError(f"n_windows is {n_windows}; use at least 1.")
        if n_windows is not None and n_windows < len(starts):
            starts = starts[np.linspace(0, len(starts) - 1, n_windows).round().astype(int)]
        self.starts = starts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[Tensor, np.ndarray]:
        tokens, rows = self.windows.samples(self.starts[index])
        place = np.full(self.windows.recording.n_units, -1)
        place[rows] = np.arange(len(rows))
        return torch.from_numpy(tokens), place

    def __iter__(self) -> Iterator[tuple[Tensor, np.ndarray]]:
        return (self[index] for index in range(len(self)))
