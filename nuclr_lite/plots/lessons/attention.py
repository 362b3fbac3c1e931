"""Figures of `03_transformer`: who asks whom, and with what weight. Each returns a Figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from ..style import PALETTE, styled_figure


@styled_figure
def two_attentions(
    over_time, over_units, unit: int, token: int, names=None, words=None, title: str = ""
) -> Figure:
    """Whom one token of one unit asks: left, over time, along its row; right, over units, along its
    column. Lines are as thick as their weight.

    over_time : (U, L, L) weights; unit, token that asks, token that is asked. over_units : (L, U,
        U) weights; token, unit that asks, unit that is asked.
    unit, token : who asks. names : of the units; None: their numbers. words : (U, L) what stands in
        each cell; with them, weights are written beside the cells.
    """
    over_time, over_units = np.asarray(over_time), np.asarray(over_units)
    n_units, n_tokens = len(over_time), len(over_units)
    names = list(range(n_units)) if names is None else names
    large = words is not None
    size = 2300 if large else 110
    figure, panels = plt.subplots(
        1, 2, figsize=(9, 1.7 + 1.15 * n_units if large else 4.4), sharey=True
    )
    here = (token, unit)
    cells = {
        "ask yourself, over time": (
            [((t, unit), weight) for t, weight in enumerate(over_time[unit, token])],
            PALETTE[0],
            (0, -38),
        ),
        "ask the others, at each moment": (
            [((token, u), weight) for u, weight in enumerate(over_units[token, unit])],
            PALETTE[1],
            (48, 0),
        ),
    }
    for axes, (name, (asked, colour, beside)) in zip(panels, cells.items()):
        largest = max(weight for _, weight in asked)
        grid = np.stack(np.meshgrid(np.arange(n_tokens), np.arange(n_units)), axis=-1).reshape(
            -1, 2
        )
        axes.scatter(*grid.T, s=size, color="0.9", zorder=0, linewidths=0)
        for place, weight in asked:
            if place != here:
                away = max(abs(place[0] - token), abs(place[1] - unit))
                _arc(
                    axes,
                    here,
                    place,
                    bend=0 if away == 1 else -0.35 if place[0] > token or place[1] < unit else 0.35,
                    lw=(26 if large else 7) * weight / largest,
                    color=colour,
                    alpha=0.55,
                )
            # so that no line shines through
            axes.scatter(*place, s=size, color="white", zorder=2, linewidths=0)
            axes.scatter(
                *place,
                s=size,
                color=colour,
                alpha=0.2 + 0.6 * weight / largest,
                zorder=3,
                linewidths=0,
            )
            if large:
                axes.annotate(
                    f"{weight:.2f}",
                    place,
                    beside,
                    textcoords="offset points",
                    ha="center",
                    va="center",
                    size=14,
                    weight="bold",
                    color="0.15",
                    zorder=5,
                )
        axes.scatter(
            *here,
            s=1.15 * size + 90,
            facecolors="none",
            edgecolors="0.1",
            linewidths=2.5 if large else 2,
            zorder=4,
        )
        for at in grid if large else ():
            axes.annotate(
                words[at[1]][at[0]], at, ha="center", va="center", size=12, color="0.1", zorder=6
            )
        margin = 0.6 if large else 0.9
        axes.set(
            title=name,
            xlabel="token",
            xticks=range(n_tokens),
            yticks=range(n_units),
            yticklabels=names,
            xlim=(-margin, n_tokens - 1 + margin),
            ylim=(n_units - 1 + margin, -margin),
        )
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
    panels[0].set_ylabel("unit")
    figure.suptitle(
        f"{title} (ringed: who asks)" if title else "ringed: who asks", size="medium", weight="bold"
    )
    return figure


@styled_figure
def attention_matrices(weights: dict, kinds, title: str = "") -> Figure:
    """Who attends to whom, units sorted by kind: a panel a head; 1, white, is an even share.

    weights : name -> (U, U) shares of attention; row, who asks; rows sum to 1. kinds : (U,) the
        kind of each unit.
    """
    kinds = np.asarray(kinds, dtype=str)
    order = np.argsort(kinds, kind="stable")
    names, first = np.unique(kinds[order], return_index=True)
    edges = np.append(first, len(kinds))
    shares = {name: np.asarray(w)[np.ix_(order, order)] * len(kinds) for name, w in weights.items()}
    reach = max(np.abs(np.log2(share)).max() for share in shares.values())
    figure, panels = plt.subplots(
        1, len(weights), figsize=(1.6 + 3.5 * len(weights), 3.9), sharey=True, squeeze=False
    )
    for axes, (name, share) in zip(panels[0], shares.items()):
        image = axes.imshow(
            np.log2(share), cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest"
        )
        for edge in first[1:]:
            axes.axhline(edge - 0.5, color="0.2", lw=1)
            axes.axvline(edge - 0.5, color="0.2", lw=1)
        middle = (edges[:-1] + edges[1:] - 1) / 2
        axes.set(
            title=name,
            xticks=middle,
            xticklabels=names,
            yticks=middle,
            yticklabels=names,
            xlabel="who is asked (unit)",
        )
        axes.tick_params(length=0)
    panels[0, 0].set_ylabel("who asks (unit)")
    bar = figure.colorbar(image, ax=panels[0].tolist(), shrink=0.85, pad=0.02)
    bar.set_ticks([-reach, 0, reach], labels=[f"{2**-reach:.2f}", "1", f"{2**reach:.2f}"])
    bar.set_label("attention / even share")
    figure.suptitle(title, weight="bold", size="medium")
    return figure


def _arc(axes, start, stop, bend, **style):
    """A bent line from one point of a grid to another."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            stop,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-",
            capstyle="round",
            shrinkA=0,
            shrinkB=0,
            zorder=1,
            **style,
        )
    )
