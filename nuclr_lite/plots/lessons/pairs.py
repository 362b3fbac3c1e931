"""Figures of pairs of views, for `02_views`: how far apart the two are drawn, and what that leaves
to find. Each returns a Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure


@styled_figure
def second_views(
    first_s: np.ndarray,
    second_s: np.ndarray,
    intervals: np.ndarray,
    window_s: float,
    expected: tuple[np.ndarray, np.ndarray],
    title: str = "",
) -> Figure:
    """Where second views start: against where the first does, and how far from it, with the density
    that was expected.

    first_s, second_s : (pairs,) s. intervals : (K, 2) valid time, s. expected : distances, s, and
        their density, 1/s.
    """
    figure, (plane, histogram) = plt.subplots(1, 2, figsize=(10, 3.9), width_ratios=[1.25, 1])
    distance, overlaps = second_s - first_s, np.abs(second_s - first_s) < window_s
    for start, stop in intervals:
        plane.axvspan(start, stop, ymin=0, ymax=0.035, color="0.35", lw=0)
    for mine, colour, label in (
        (overlaps, PALETTE[1], "overlap"),
        (~overlaps, PALETTE[0], "apart"),
    ):
        plane.plot(
            first_s[mine],
            distance[mine],
            ".",
            ms=1.6,
            color=colour,
            label=f"{label}: {mine.mean():.0%} of pairs",
            rasterized=True,
        )
    plane.set(
        xlabel="start of the first view (s); grey: valid time",
        ylabel="second view starts later by (s)",
        title=title,
    )
    plane.margins(y=0.1)
    plane.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=2,
        markerscale=5,
        fontsize="small",
        columnspacing=1,
    )
    bins = np.linspace(expected[0].min(), expected[0].max(), 41)
    histogram.hist(distance, bins=bins, density=True, color="0.8", label="drawn")
    histogram.plot(*expected, color=PALETTE[3], label="expected")
    histogram.set(
        xlabel="second view starts later by (s)", ylabel="density (1/s)", title="how far apart"
    )
    histogram.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize="small")
    return figure


@styled_figure
def one_pair(
    start_s: float,
    distances_s: np.ndarray,
    allowed: np.ndarray,
    counts: np.ndarray,
    distance_s: float,
    valid: np.ndarray,
    epochs: pd.DataFrame,
    window_s: float,
    title: str = "each unit",
) -> Figure:
    """A first view and a second one at `distance_s` from it: where both lie in the recording, and
    how alike they are.

    start_s : of the first view. distances_s (n,) : all that the second may be moved to, 0 among
        them. allowed (n,) : whether it may start there. counts (n, units) : spikes of each unit in
    the window there. valid : (K, 2), s. epochs : start_s, stop_s and name of each stimulus.
    """
    logs = np.log10(1 + counts)
    alike = np.array([np.corrcoef(logs[distances_s == 0][0], one)[0, 1] for one in logs])
    [at] = np.flatnonzero(distances_s == distance_s)
    second_s, colour = start_s + distance_s, PALETTE[2] if allowed[at] else PALETTE[3]
    figure, panels = plt.subplot_mosaic(
        [["time", "counts"], ["alike", "counts"]],
        figsize=(10, 3.8),
        width_ratios=(1.7, 1),
        height_ratios=(1.5, 1),
    )
    time, line, plane = panels["time"], panels["alike"], panels["counts"]
    left, right = start_s + distances_s.min() - 5, start_s + distances_s.max() + window_s + 5
    for name, spans in epochs.groupby("name", sort=False)[["start_s", "stop_s"]]:
        for begin, end in np.clip(spans.to_numpy(), left, right):
            if end > begin:
                time.text((begin + end) / 2, 3.4, name, ha="center", va="center", size="small")
                time.plot([begin, begin], [3, 3.8], color="0.6", lw=1)
    for begin, end in valid:
        time.barh(2.4, end - begin, left=begin, height=0.7, color="0.82")
    for begin, height, shade in ((start_s, 1.4, PALETTE[0]), (second_s, 0.4, colour)):
        time.barh(height, window_s, left=begin, height=0.8, color=shade)
    time.set(
        xlim=(left, right),
        ylim=(-0.2, 3.9),
        yticks=(3.4, 2.4, 1.4, 0.4),
        yticklabels=("stimulus", "valid time", "view 1", "view 2"),
        title=f"view 2 starts at {second_s:g} s: {'allowed' if allowed[at] else 'not allowed'}",
    )
    time.tick_params(axis="both", length=0, labelbottom=False)
    time.get_yticklabels()[-1].set_color(colour)
    line.plot(start_s + distances_s, np.where(allowed, alike, np.nan), color=PALETTE[2], lw=2)
    line.plot(start_s + distances_s, alike, color="0.6", lw=1, ls=":")
    line.plot(second_s, alike[at], "o", ms=9, color=colour)
    line.set(
        xlim=(left, right),
        ylim=(0, 1.08),
        xlabel="time (s); below, where view 2 starts (dotted: not allowed)",
        ylabel="correlation\nof counts",
    )
    plane.plot(logs[distances_s == 0][0], logs[at], "o", ms=4, color=colour, alpha=0.7)
    plane.plot([0, 3], [0, 3], color="0.6", lw=1)
    plane.set(
        xticks=range(4),
        yticks=range(4),
        xticklabels=(1, 10, 100, 1000),
        yticklabels=(1, 10, 100, 1000),
        xlabel="spikes in view 1, plus one",
        ylabel="spikes in view 2, plus one",
        title=f"{title}\ncorrelation {alike[at]:.2f}",
    )
    return figure


@styled_figure
def distances(drawn: dict[str, np.ndarray], window_s: float, title: str = "") -> Figure:
    """How far apart the two views of a pair start, for several ways of drawing them: a panel each.
    drawn : name -> (pairs,) s, signed.
    """
    figure, panels = plt.subplots(
        len(drawn),
        1,
        figsize=(6.6, 0.9 + 1.15 * len(drawn)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    reach = max(np.abs(values).max() for values in drawn.values())
    for axes, (name, values) in zip(panels[:, 0], drawn.items()):
        shared = np.clip(1 - np.abs(values) / window_s, 0, None).mean()
        axes.axvspan(-window_s, window_s, color=PALETTE[1], alpha=0.12, lw=0)
        axes.hist(values, bins=np.linspace(-reach, reach, 61), density=True, color=PALETTE[0])
        axes.text(
            1.01,
            0.5,
            f"{name}\n{np.mean(np.abs(values) < window_s - 1e-9):.0%} of pairs"
            f" overlap\n{shared:.0%} of the time is shared",
            transform=axes.transAxes,
            va="center",
            size="small",
        )
        axes.set(yticks=[])
    panels[-1, 0].set(xlabel="second view starts later by (s); shaded: the two overlap")
    figure.supylabel("density", size="medium")
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def found_by_copying(table: pd.DataFrame, window_s: float, title: str = "") -> Figure:
    """How many units are found again from their raw counts alone, against the distance of the two
    views. table : columns distance_s, found, chance (shares); a row a pair.
    """
    figure, axes = plt.subplots(figsize=(6.6, 3.6))
    axes.axvspan(0, window_s, color=PALETTE[1], alpha=0.12, lw=0)
    axes.text(
        window_s / 2,
        1.03,
        "the views overlap",
        color=PALETTE[1],
        ha="center",
        va="bottom",
        weight="bold",
        size="small",
    )
    axes.text(
        (window_s + table["distance_s"].max()) / 2,
        1.03,
        "they don't",
        color="0.35",
        ha="center",
        va="bottom",
        weight="bold",
        size="small",
    )
    axes.plot(
        table["distance_s"],
        table["found"],
        "o",
        color=PALETTE[0],
        ms=4,
        alpha=0.7,
        label="a pair of views",
    )
    axes.axhline(table["chance"].mean(), color="0.4", ls="--", lw=1, label="chance")
    axes.set(
        xlabel="distance of the starts (s)",
        ylabel="share of units found",
        ylim=(-0.02, 1.13),
        yticks=np.linspace(0, 1, 6),
        xlim=(0, None),
    )
    axes.set_title(title)
    axes.legend(fontsize="small", loc="center right")
    return figure
