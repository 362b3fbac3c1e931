"""Figures of `02_views`: bins, windows, batches; how far apart two views lie is in `pairs`. Each
returns a Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from ...recording import Recording
from ..style import PALETTE, named, styled_figure


@styled_figure
def spikes_in_bins(
    trains: list[np.ndarray],
    edges_s: np.ndarray,
    counts: np.ndarray,
    samples_per_token: int,
    title: str = "",
) -> Figure:
    """Spikes of a few units above the bins they are counted in; thick lines: where a token ends,
    dotted: where a bin does.

    trains : one array of spike times a unit, s. edges_s : (bins + 1,) s. counts : (units, bins).
    """
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.65 * len(trains)))
    edges_ms = 1000 * (edges_s - edges_s[0])
    for unit, train in enumerate(trains):
        at_ms = 1000 * (np.asarray(train) - edges_s[0])
        inside = (at_ms > -1e-6) & (at_ms < edges_ms[-1] - 1e-6)
        axes.vlines(at_ms[inside], unit - 0.4, unit, color=PALETTE[0], lw=2.5)
        axes.vlines(at_ms[~inside], unit - 0.4, unit, color=PALETTE[3], lw=2.5)
        for late in at_ms[~inside]:
            axes.text(late + 2, unit - 0.2, "outside", color=PALETTE[3], va="center", size="small")
        for bin_, middle in enumerate((edges_ms[:-1] + edges_ms[1:]) / 2):
            some = counts[unit, bin_] > 0
            axes.text(
                middle,
                unit + 0.25,
                counts[unit, bin_],
                ha="center",
                va="center",
                color="0.1" if some else "0.65",
                weight="bold" if some else None,
            )
    for bin_, edge in enumerate(edges_ms):
        is_token = bin_ % samples_per_token == 0
        axes.axvline(
            edge,
            color="0.55" if is_token else "0.7",
            lw=5 if is_token else 1,
            alpha=0.5 if is_token else 1,
            ls="-" if is_token else ":",
            zorder=0,
        )
    axes.set(
        xticks=edges_ms,
        yticks=range(len(trains)),
        yticklabels=[f"unit {unit}" for unit in range(len(trains))],
        ylim=(len(trains) - 0.4, -0.6),
        xlim=(edges_ms[0] - 4, edges_ms[-1] + 16),
        xlabel="time from the start of the window (ms)",
        title=title,
    )
    return figure


@styled_figure
def two_views(
    recording: Recording,
    starts_s: tuple[float, float],
    views: list,
    step_s: float,
    n_rows: int = 12,
    title: str = "",
) -> Figure:
    """A pair of views: the raster with both windows marked, and the first rows of both token
    tensors, a line from each unit to itself.

    starts_s : of the two windows, s. views : two pairs (tokens (units, L, P), ids (units,)), spike
        counts. step_s : length of a sample, s. n_rows : rows to draw of each.
    """
    n_tokens, token_s = views[0][0].shape[1], views[0][0].shape[2] * step_s
    window_s, colour = n_tokens * token_s, (PALETTE[0], PALETTE[3])
    figure = plt.figure(figsize=(10, 7))
    grid = figure.add_gridspec(2, 2, wspace=0.2)
    raster, panels = (
        figure.add_subplot(grid[0, :]),
        [figure.add_subplot(grid[1, at]) for at in (0, 1)],
    )
    first, stop = np.searchsorted(
        recording.times, [min(starts_s) - 4.0, max(starts_s) + window_s + 4.0]
    )
    raster.plot(
        recording.times[first:stop],
        recording.unit_rows[first:stop],
        "|",
        color="0.35",
        ms=2.6,
        mew=0.5,
    )
    most = max(np.asarray(tokens[:n_rows]).sum(axis=2).max() for tokens, _ in views)
    for at, (start_s, (tokens, ids), axes) in enumerate(zip(starts_s, views, panels)):
        raster.axvspan(start_s, start_s + window_s, color=colour[at], alpha=0.18, lw=0)
        raster.text(
            start_s + window_s / 2,
            -1.2,
            f"view {at + 1}",
            color=colour[at],
            weight="bold",
            ha="center",
            va="bottom",
        )
        counts, ids = np.asarray(tokens[:n_rows]), np.asarray(ids[:n_rows])
        axes.pcolormesh(
            np.arange(n_tokens + 1) * token_s,
            np.arange(len(ids) + 1) - 0.5,
            counts.sum(axis=2),
            cmap="Greys",
            vmin=0,
            vmax=2 * most,
            edgecolors="0.75",
            linewidth=0.8,
        )
        row, sample = np.nonzero(counts.reshape(len(ids), -1))
        axes.vlines((sample + 0.5) * step_s, row - 0.38, row + 0.38, color=colour[at], lw=0.8)
        axes.set(
            ylim=(len(ids) - 0.45, -0.55),
            xlim=(-0.02, window_s + 0.02),
            yticks=range(len(ids)),
            yticklabels=ids,
            xlabel=f"time in view {at + 1} (s)",
        )
        axes.set_title(
            f"{len(tokens)} of {recording.n_units} units; the first {len(ids)} rows",
            color=colour[at],
        )
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(left=False)
    for here, unit in enumerate(np.asarray(views[0][1][:n_rows])):
        for there in map(int, np.flatnonzero(np.asarray(views[1][1][:n_rows]) == unit)):
            figure.add_artist(
                ConnectionPatch(
                    (1.01, here),
                    (-0.11, there),
                    panels[0].get_yaxis_transform(),
                    panels[1].get_yaxis_transform(),
                    color=PALETTE[2],
                    lw=1.6,
                )
            )
    panels[0].set_ylabel("id: row in the recording")
    raster.set(
        xlim=(min(starts_s) - 4.0, max(starts_s) + window_s + 4.0),
        ylim=(recording.n_units, -1),
        xlabel="time (s)",
        ylabel="unit",
        yticks=range(0, recording.n_units, 10),
    )
    figure.suptitle(title or named(recording), weight="bold", size="medium")
    return figure


@styled_figure
def packing(sizes: np.ndarray, title: str = "") -> Figure:
    """The same populations padded to the widest (hatched: waste), and packed, one after the other.
    sizes : (N,) units.
    """
    figure, (padded, packed) = plt.subplots(2, 1, figsize=(8, 3.9), height_ratios=[len(sizes), 1.3])
    begin = np.concatenate([[0], np.cumsum(sizes)])
    for at, size in enumerate(sizes):
        for axes, y, left in ((padded, at, 0), (packed, 0, begin[at])):
            axes.barh(
                y, size, left=left, height=0.8, color=PALETTE[at % len(PALETTE)], edgecolor="white"
            )
            axes.text(
                left + size / 2, y, size, ha="center", va="center", color="white", weight="bold"
            )
        padded.barh(
            at,
            max(sizes) - size,
            left=size,
            height=0.8,
            facecolor="white",
            edgecolor="0.6",
            hatch="////",
            lw=0.8,
        )
    padded.set(
        ylabel="pair of views",
        yticks=range(len(sizes)),
        yticklabels=np.arange(len(sizes)) + 1,
        ylim=(len(sizes) - 0.5, -0.5),
        xlim=(0, max(sizes)),
        title=f"padded: {len(sizes)} x {max(sizes)} = {len(sizes) * max(sizes)} rows",
    )
    packed.set(
        yticks=[],
        xlim=(0, sum(sizes)),
        xlabel="rows of the tensor",
        title=f"packed: {sum(sizes)} rows",
    )
    figure.suptitle(title, weight="bold", size="medium")
    return figure
