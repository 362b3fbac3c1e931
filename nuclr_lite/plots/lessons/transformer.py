"""Figures of `03_transformer`: rotary positions, permuted rows, what reaches a unit, what a window
costs; attention itself is in `attention`. Each returns a Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure


@styled_figure
def rotary_hands(hands, periods, title: str = "") -> Figure:
    """Pairs of dimensions as hands of clocks: where each points at each token; and how alike two
    tokens' hands are, against the time between them.

    hands : (pairs, L, 2), a hand of length 1 turned to each token's angle. periods : (pairs,)
        tokens a full turn.
    """
    hands, periods = np.asarray(hands), np.asarray(periods)
    n_pairs, n_tokens = hands.shape[:2]
    figure = plt.figure(figsize=(9, 1.5 + 1.25 * n_pairs))
    grid = figure.add_gridspec(n_pairs, 2, width_ratios=[1, 2.5], wspace=0.06)
    right = figure.add_subplot(grid[:, 1])
    for row, (hand, period) in enumerate(zip(hands, periods)):
        colour = PALETTE[row]
        axes = figure.add_subplot(grid[row, 0])
        axes.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.85"))
        for token, (a, b) in enumerate(hand):
            axes.plot([0, a], [0, b], color=colour, lw=2, alpha=1 - 0.8 * token / n_tokens)
        for token in (0, 1) if np.linalg.norm(hand[1] - hand[0]) > 0.5 else (0, n_tokens - 1):
            axes.annotate(
                str(token),
                1.28 * hand[token],
                ha="center",
                va="center",
                size=11,
                weight="bold",
                color=colour,
            )
        axes.annotate(
            f"a turn in\n{period:.1f} tokens", (1.6, 0), va="center", size=10, color=colour
        )
        axes.set(xlim=(-1.45, 3.6), ylim=(-1.45, 1.45), aspect="equal")
        axes.set_axis_off()
        difference = np.subtract.outer(np.arange(n_tokens), np.arange(n_tokens))
        similarity = hand @ hand.T  # (L, L)
        fine = np.linspace(1 - n_tokens, n_tokens - 1, 400)
        right.plot(fine, np.cos(2 * np.pi * fine / period), color=colour, lw=1.2, alpha=0.6)
        right.scatter(
            difference.ravel(),
            similarity.ravel(),
            color=colour,
            s=34,
            marker="os^Dv"[row % 5],
            zorder=3,
            linewidths=0,
        )
    right.set(
        xlabel=f"time difference (tokens); a mark for each of {n_tokens} × {n_tokens} pairs",
        ylabel="similarity of two tokens' hands\n(dot product)",
        xticks=range(1 - n_tokens, n_tokens, 3),
        ylim=(-1.15, 1.15),
    )
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def rows_permuted(x, x_shuffled, y, y_shuffled, order, title: str = "") -> Figure:
    """Permutation equivariance as a picture: what goes in, as it was and shuffled, and what comes
    out; a line joins the two rows of each unit.

    x, x_shuffled : (U, D) in. y, y_shuffled : (U, D) out. order : (U,) the shuffled rows are
        x[order]. Lines on the right join rows that are equal in `y`, found by comparing them.
    """
    x, x_shuffled, y, y_shuffled, order = (
        np.asarray(a) for a in (x, x_shuffled, y, y_shuffled, order)
    )
    figure, panels = plt.subplots(
        1, 7, figsize=(10.5, 3.3), width_ratios=[4, 1.5, 4, 0.9, 4, 1.5, 4]
    )
    for first, (before, after) in ((0, (x, x_shuffled)), (4, (y, y_shuffled))):
        reach = np.abs(before).max()
        # Rows are found by what they hold: nothing is drawn that isn't so.
        found = np.linalg.norm(before[:, None] - after[None], axis=-1).argmin(axis=1)
        for axes, values, rows in (
            (panels[first], before, np.arange(len(x))),
            (panels[first + 2], after, order),
        ):
            axes.imshow(
                values,
                aspect="auto",
                cmap="RdBu_r",
                vmin=-reach,
                vmax=reach,
                interpolation="nearest",
            )
            axes.set(
                xticks=[], yticks=range(len(x)), yticklabels=rows, xlabel=f"{x.shape[1]} dimensions"
            )
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0, pad=2)
            for tick, row in zip(axes.get_yticklabels(), rows):
                tick.set(color=PALETTE[row % len(PALETTE)], weight="bold")
            for at in np.arange(1, len(x)) - 0.5:
                axes.axhline(at, color="white", lw=2)
        between = panels[first + 1]
        for row, to in enumerate(found):
            between.plot(
                [0, 1], [row, to], color=PALETTE[row % len(PALETTE)], lw=2.5, solid_capstyle="round"
            )
        between.set(xlim=(0, 1), ylim=(len(x) - 0.5, -0.5))
        between.set_axis_off()
    panels[3].set_axis_off()
    panels[3].annotate(
        "",
        (1.0, 0.5),
        (-0.1, 0.5),
        xycoords="axes fraction",
        arrowprops=dict(arrowstyle="-|>", lw=2.5, color="0.3"),
    )
    for at, name in (
        (0, "in: $x$"),
        (2, "in: $\\Pi x$"),
        (4, "out: $f(x)$"),
        (6, "out: $f(\\Pi x)$"),
    ):
        panels[at].set_title(name)
    panels[0].set_ylabel("unit")
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def what_reaches(reached: dict, sizes, unit: int, token: int, title: str = "") -> Figure:
    """A panel a layer: which tokens of which units have an effect on one (ringed).

    reached : name -> (U, L) bool. sizes : (N,) units of each population, which a line divides.
    """
    sizes = np.asarray(sizes)
    figure, panels = plt.subplots(
        1, len(reached), figsize=(0.8 + 2.55 * len(reached), 3.3), sharey=True, squeeze=False
    )
    for axes, (name, cells) in zip(panels[0], reached.items()):
        cells = np.asarray(cells)
        n_units, n_tokens = cells.shape
        grid = np.stack(np.meshgrid(np.arange(n_tokens), np.arange(n_units)), axis=-1).reshape(
            -1, 2
        )
        for yes, colour in ((True, PALETTE[0]), (False, "0.9")):
            axes.scatter(
                *grid[cells.ravel() == yes].T, s=95, marker="s", color=colour, linewidths=0
            )
        axes.scatter(
            token, unit, s=210, marker="s", facecolors="none", edgecolors="0.1", linewidths=2
        )
        for edge in sizes.cumsum()[:-1]:
            axes.axhline(edge - 0.5, color="0.1", lw=1.5)
        axes.set(
            title=name,
            xlabel="token",
            xticks=range(0, n_tokens, 3),
            yticks=range(n_units),
            xlim=(-0.7, n_tokens - 0.3),
            ylim=(n_units - 0.4, -0.6),
        )
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
    panels[0, 0].set_ylabel("unit", labelpad=8)
    starts = sizes.cumsum() - sizes
    for number, (start, size) in enumerate(zip(starts, sizes), start=1):
        panels[0, -1].annotate(
            f"population {number}",
            (1.02, start + (size - 1) / 2),
            xycoords=("axes fraction", "data"),
            rotation=270,
            va="center",
            size=10,
            color="0.3",
        )
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def multiplications(tables: dict[str, pd.DataFrame], title: str = "") -> Figure:
    """What a window costs, by part: a panel for each thing that grows.

    A column named 'not used' in brackets is dashed.

    tables : axis label -> DataFrame, index: how many; columns: parts; values: multiplications.
    """
    figure, panels = plt.subplots(
        1, len(tables), figsize=(1.5 + 4.2 * len(tables), 3.6), sharey=True, squeeze=False
    )
    for axes, (label, table) in zip(panels[0], tables.items()):
        for at, part in enumerate(table.columns):
            unused = "(not used)" in part
            axes.plot(
                table.index,
                table[part],
                marker=None if unused else "o",
                ms=5,
                lw=2,
                ls="--" if unused else "-",
                color="0.5" if unused else PALETTE[at],
                label=part.replace(" (", "\n("),
            )
        axes.set(xscale="log", yscale="log", xlabel=label)
    panels[0, 0].set_ylabel("multiplications a window")
    panels[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    figure.suptitle(title, weight="bold", size="medium")
    return figure
