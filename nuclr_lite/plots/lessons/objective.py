"""Figures of `04_objective`: temperature, negatives, the gradient's pull. Each returns a Figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure


@styled_figure
def temperature_weights(
    cosines,
    weights: dict[float, object],
    soft_maximum: dict[float, float],
    temperature: float,
) -> Figure:
    """Which negatives a unit is pushed from at one temperature, a bar a negative; and what becomes
    of their cosines at all of them.

    cosines : (n,) of the unit with each negative. weights : temperature -> (n,) shares of the push,
        which sum to 1. soft_maximum : temperature -> the one number made of the cosines.
    """
    cosines, shares = np.asarray(cosines), np.asarray(weights[temperature])
    nearest, at = np.argmax(cosines), np.arange(len(cosines))
    figure, (bars, line) = plt.subplots(1, 2, figsize=(9, 3.3))
    bars.bar(at, shares, width=0.75, color=[PALETTE[3] if k == nearest else PALETTE[7] for k in at])
    for k in at:
        bars.text(k, shares[k] + 0.02, f"{shares[k]:.0%}", ha="center", size="small")
    bars.set(
        xticks=at,
        xticklabels=[f"{value:g}" for value in cosines.round(2)],
        ylim=(0, 1.1),
        yticks=(0, 0.5, 1),
        xlabel="cosine with the negative",
        ylabel="share of the push",
        title=f"temperature {temperature:g}: a push of {1 / temperature:.3g} in all",
    )
    for level, name in ((cosines.max(), "maximum"), (cosines.mean(), "mean")):
        line.axhline(level, color="0.5", lw=1, ls=":")
        line.text(max(soft_maximum), level + 0.02, name, ha="right", size="small", color="0.35")
    line.plot(list(soft_maximum), list(soft_maximum.values()), color=PALETTE[0], lw=2.2)
    line.plot(temperature, soft_maximum[temperature], "o", ms=11, color=PALETTE[3])
    ticks = (0.02, 0.05, 0.1, 0.2, 0.5, 1)
    line.set(
        xscale="log",
        xticks=ticks,
        xticklabels=[f"{tick:g}" for tick in ticks],
        ylim=(0, 1),
        xlabel="temperature",
        ylabel="soft maximum of the cosines",
        title=f"all {len(cosines)} cosines as one number: {soft_maximum[temperature]:.2f}",
    )
    line.minorticks_off()
    return figure


@styled_figure
def on_circle(panels: dict[str, tuple], ids_1, ids_2, title: str = "") -> Figure:
    """Units as points on the unit circle, view 1 drawn as discs on an inner ring, view 2 as squares
    on an outer one; one colour a unit, dots between its two.

    panels : panel title -> (view_1 (n1, 2), view_2 (n2, 2)), unit vectors; or with arrows, (view_1,
        view_2, arrows_1 (n1, 2), arrows_2 (n2, 2)), tangents of the
    circle, which are bent along it. ids_1 (n1,), ids_2 (n2,) : the unit of each row; one that only
    a single view shows is grey.
    """
    ids = [int(i) for i in ids_1], [int(i) for i in ids_2]
    shared = sorted(set(ids[0]) & set(ids[1]))
    palette = {name: PALETTE[[0, 1, 2, 4, 3, 5, 9, 6][at % 8]] for at, name in enumerate(shared)}
    figure, row = plt.subplots(
        1, len(panels), figsize=(0.3 + 3.1 * len(panels), 3.3), squeeze=False
    )
    turn = np.linspace(0, 2 * np.pi, 200)
    rings = (0.8, 1.05)
    for axes, (name, given) in zip(row[0], panels.items()):
        views = [np.asarray(view) for view in given[:2]]
        arrows = [np.asarray(drawn) for drawn in given[2:]] or [
            np.zeros_like(view) for view in views
        ]
        for radius in rings:
            axes.plot(radius * np.cos(turn), radius * np.sin(turn), color="0.88", lw=1.2, zorder=0)
        for unit in shared:
            ends = np.stack(
                [radius * view[mine.index(unit)] for radius, view, mine in zip(rings, views, ids)]
            )
            axes.plot(*ends.T, color=palette[unit], lw=1.4, ls=":", zorder=1)
        for radius, inwards, view, mine, pull, marker in zip(
            rings, (0.76, 1.19), views, ids, arrows, "os"
        ):
            for point, unit, arrow in zip(view, mine, pull):
                colour, angle = palette.get(unit, "0.45"), np.arctan2(point[1], point[0])
                axes.plot(
                    *(radius * point), marker, color=colour, ms=9, mec="white", mew=0.8, zorder=3
                )
                axes.text(
                    *(radius * inwards * point),
                    str(unit),
                    color=colour,
                    ha="center",
                    va="center",
                    size="small",
                    weight="bold",
                    zorder=4,
                )
                along = point[0] * arrow[1] - point[1] * arrow[0]  # rad, counter-clockwise
                if abs(along) > 0.03:
                    arc = angle + along * np.linspace(0, 1, 30)
                    tip = radius * np.stack([np.cos(arc), np.sin(arc)], axis=1)
                    axes.plot(*tip[:-2].T, color=colour, lw=2.2, zorder=2)
                    axes.annotate(
                        "",
                        tip[-1],
                        tip[-3],
                        arrowprops={
                            "arrowstyle": "-|>",
                            "color": colour,
                            "lw": 0,
                            "mutation_scale": 15,
                            "shrinkA": 0,
                            "shrinkB": 0,
                        },
                        zorder=2,
                    )
        axes.set(
            xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal", title=name, xticks=[], yticks=[]
        )
        for side in axes.spines.values():
            side.set_visible(False)
    for marker, label in zip("os", ("view 1", "view 2")):
        row[0, 0].plot([], [], marker, color="0.3", ms=8, label=label)
    row[0, 0].legend(loc="center", fontsize="small", handletextpad=0.2)
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def attraction_fades(
    cosines, pulls: dict[str, object], temperature: float, title: str = ""
) -> Figure:
    """How hard a unit's two vectors are drawn together, the nearer they are.

    cosines : (n,) between the two vectors. pulls : name -> (n,) the fall of the loss for one unit
        of cosine more (nats). temperature : 1 / temperature is the
    constant pull, marked on the right.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.7))
    for colour, style, (name, pull) in zip(
        (PALETTE[0], PALETTE[1], PALETTE[3], PALETTE[2]), ("-", "--", "-.", ":"), pulls.items()
    ):
        axes.plot(np.asarray(cosines), np.asarray(pull), color=colour, ls=style, lw=2.4, label=name)
    axes.set(
        xlabel="cosine of the unit's two vectors",
        ylabel="pull (nats per unit of cosine)",
        xlim=(-1, 1),
        ylim=(0, 1.12 / temperature),
        title=title,
    )
    axes.legend(fontsize="small", loc="lower left")
    return figure


@styled_figure
def pushes_of_views(cosines, shares: dict[str, object], title: str = "") -> Figure:
    """How much of the push away from others comes from one's own view.

    cosines : (n,) of the unit with its negatives, as many in its own view as in the other. shares :
        name -> (n,) share of the push that the own view's have.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.3))
    for colour, style, (name, share) in zip((PALETTE[0], PALETTE[1]), ("-", "--"), shares.items()):
        axes.plot(
            np.asarray(cosines), np.asarray(share), color=colour, ls=style, lw=2.4, label=name
        )
    axes.set(
        xlabel="cosine of the unit with its negatives",
        ylabel="share of the push that\nthe own view gives",
        xlim=(-1, 1),
        ylim=(0, 1),
        title=title,
    )
    axes.legend(fontsize="small", loc="upper right")
    return figure


@styled_figure
def sorting(losses: dict[str, np.ndarray], landmarks: dict[str, float], title: str = "") -> Figure:
    """Loss against step of gradient descent on free points.

    losses : start -> (steps,) total loss, nats. landmarks : name -> a loss to compare with, drawn
        as a level.
    """
    figure, axes = plt.subplots(figsize=(6.8, 3.5))
    for colour, style, (name, loss) in zip((PALETTE[0], PALETTE[1]), ("-", "--"), losses.items()):
        axes.plot(
            1 + np.arange(len(loss)), np.asarray(loss), color=colour, ls=style, lw=2.2, label=name
        )
    longest = max(len(loss) for loss in losses.values())
    for name, level in landmarks.items():
        axes.axhline(level, color="0.5", lw=1, ls=":")
        axes.text(
            1.02,
            level,
            name,
            color="0.35",
            size="small",
            va="center",
            transform=axes.get_yaxis_transform(),
        )
    axes.set(xscale="log", xlabel="step", ylabel="loss (nats)", xlim=(1, longest), title=title)
    axes.legend(fontsize="small", title="start")
    return figure


@styled_figure
def readable_parts(table: pd.DataFrame, title: str = "") -> Figure:
    """What can be read from vectors: a group a kind of vectors, a bar a thing, a dot a seed.

    table : columns vectors, what, r2 (share of the variance that a linear readout of other units
        explains).
    """
    figure, axes = plt.subplots(figsize=(7.2, 3.6))
    sns.barplot(
        table,
        x="vectors",
        y="r2",
        hue="what",
        palette=[PALETTE[0], PALETTE[1]],
        errorbar=None,
        ax=axes,
        alpha=0.55,
    )
    sns.stripplot(
        table,
        x="vectors",
        y="r2",
        hue="what",
        palette=[PALETTE[0], PALETTE[1]],
        dodge=True,
        legend=False,
        ax=axes,
        size=6,
        edgecolor="white",
        linewidth=0.8,
        jitter=False,
    )
    axes.axhline(0, color="0.3", lw=0.8)
    axes.set(
        xlabel="",
        ylabel="variance explained by\na linear readout ($R^2$)",
        ylim=(-0.1, 1.05),
        title=title,
    )
    axes.legend(title="", fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled_figure
def negatives(similarity, n_other: int, title: str = "") -> Figure:
    """Similarities of the matched units (rows) with all units of the other view and of their own
    (columns); what doesn't count stays white.

    similarity : (M, n2 + n1), -inf where a unit is no negative of the row's. n_other : n2, where
        the own view begins.
    """
    values = np.ma.masked_invalid(np.asarray(similarity, dtype=float))
    reach = float(np.abs(values).max())
    figure, axes = plt.subplots(
        figsize=(1.8 + 0.42 * values.shape[1], 1.5 + 0.42 * values.shape[0])
    )
    drawn = axes.pcolormesh(
        values, cmap="RdBu_r", vmin=-reach, vmax=reach, edgecolors="0.85", lw=0.5
    )
    for row, column in zip(*np.nonzero(np.ma.getmaskarray(values))):
        axes.text(
            column + 0.5,
            row + 0.5,
            "match" if column < n_other else "self",
            ha="center",
            va="center",
            size="x-small",
            color="0.35",
        )
    axes.axvline(n_other, color="0.2", lw=2)
    axes.set(
        xlabel=(
            f"row in the other view (left, {n_other}) and in its own (right,"
            f" {values.shape[1] - n_other})"
        ),
        ylabel="matched unit",
        title=title,
        xticks=np.arange(values.shape[1]) + 0.5,
        yticks=np.arange(values.shape[0]) + 0.5,
        xticklabels=[*range(n_other), *range(values.shape[1] - n_other)],
        yticklabels=range(values.shape[0]),
    )
    axes.invert_yaxis()
    figure.colorbar(drawn, label="similarity (log weight, nats)")
    return figure
