"""Figures to aim at in the exercises of `01_recordings`, of `06_decoding` to `10_calcium`, and of
`12_what_it_learned`. Each returns a Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure


@styled_figure
def resampled(draws: dict, estimate: float, title: str = "") -> Figure:
    """A score when units, or animals, are drawn anew: a histogram each, with its 95 % interval.

    draws : what was drawn -> (n_resamples,) macro F1. estimate : the score of the units as they
        are.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    every = np.concatenate([np.asarray(scores) for scores in draws.values()])
    edges = np.linspace(every.min(), every.max() + 1e-9, 31)
    tallest = 0.0
    for (what, scores), colour in zip(draws.items(), PALETTE):
        share = np.histogram(scores, edges)[0] / len(scores)
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.35, label=what)
        axes.stairs(share, edges, color=colour, lw=1)
        tallest = max(tallest, share.max())
    for at, (scores, colour) in enumerate(zip(draws.values(), PALETTE)):
        low, high = np.quantile(scores, [0.025, 0.975])
        axes.plot(
            [low, high], [-(at + 1) * 0.07 * tallest] * 2, color=colour, lw=5, solid_capstyle="butt"
        )
    axes.axvline(estimate, color="0.3", ls="--", lw=1, label="as recorded")
    axes.set(
        xlabel="macro F1 (bars below: 95 % intervals)",
        ylabel="share of resamples",
        title=title,
        ylim=(-0.07 * tallest * (len(draws) + 1), 1.05 * tallest),
    )
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 1.05 * tallest])
    axes.locator_params(axis="x", nbins=5)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure


@styled_figure
def folds(animals, splits: dict, title: str = "") -> Figure:
    """Who is learned from, who is asked about: a row a fold, a column a unit, sorted by animal.

    animals : (units,) the animal of each unit. splits : protocol -> list of (train, test), row
        numbers of the units.
    """
    order = np.argsort(np.asarray(animals, dtype=str), kind="stable")
    names, place = np.unique(np.asarray(animals, dtype=str)[order], return_inverse=True)
    borders = np.flatnonzero(np.diff(place)) + 0.5
    figure, panels = plt.subplots(1, len(splits), figsize=(4.3 * len(splits), 3.2), squeeze=False)
    for axes, (protocol, pairs) in zip(panels[0], splits.items()):
        role = np.zeros((len(pairs), len(order)))
        for row, (train, test) in enumerate(pairs):
            role[row, np.asarray(train)], role[row, np.asarray(test)] = 1, 2
        shown = plt.matplotlib.colors.ListedColormap(["white", PALETTE[9], PALETTE[3]])
        axes.imshow(
            role[:, order], aspect="auto", cmap=shown, vmin=0, vmax=2, interpolation="nearest"
        )
        axes.vlines(borders, -0.5, len(pairs) - 0.5, color="black", lw=0.8)
        step = max(1, len(pairs) // 7)
        axes.set(
            xlabel=f"unit, in the order of its animal (of {len(names)})",
            ylabel="fold",
            title=protocol,
            yticks=range(0, len(pairs), step),
            xticks=[],
        )
    patches = [
        plt.matplotlib.patches.Patch(color=PALETTE[colour], label=what)
        for what, colour in (("learned from", 9), ("asked about", 3))
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=2, fontsize="small")
    figure.suptitle(title, fontsize="medium", fontweight="bold")
    return figure


@styled_figure
def gains_per_doubling(table: pd.DataFrame, title: str = "") -> Figure:
    """Macro F1 gained by each doubling of the animals. table : index "from n to m", a column a
    series.
    """
    tidy = (
        table.rename_axis("animals")
        .reset_index()
        .melt("animals", var_name="series", value_name="gain")
        .dropna()
    )
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    palette = dict(zip(table.columns, PALETTE))
    sns.barplot(
        data=tidy,
        x="animals",
        y="gain",
        hue="series",
        palette=palette,
        order=list(table.index),
        ax=axes,
    )
    axes.axhline(0, color="0.3", lw=1)
    axes.set(xlabel="animals", ylabel="macro F1 per doubling", title=title)
    axes.legend(
        loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", title="more animals for"
    )
    return figure


@styled_figure
def labels_needed(
    curve: pd.Series, all_labels: pd.Series, needed: pd.Series, title: str = ""
) -> Figure:
    """A method's curve over shares of the labels, and where it passes others that have them all.

    curve : share of the labels -> macro F1. all_labels : other method -> macro F1 with all labels.
        needed : other method -> the share from which on
    the curve stays above it, NaN: nowhere.
    """
    figure, axes = plt.subplots(figsize=(7, 3.8))
    axes.plot(
        curve.index, curve.to_numpy(), "o-", color=PALETTE[0], label=f"{curve.name}, this share"
    )
    axes.plot([], [], " ", label="with all labels:")
    strokes = iter(["-", "--", "-.", ":"] * len(all_labels))
    for (method, score), colour in zip(all_labels.items(), [*PALETTE[1:], *PALETTE[1:]]):
        axes.axhline(score, color=colour, lw=1.2, ls=next(strokes), label=method)
        if np.isfinite(needed[method]):
            axes.plot(needed[method], score, "s", color=colour, ms=7, mec="black", zorder=3)
    axes.set_xscale("log", base=2)
    axes.set(
        xticks=list(curve.index),
        xticklabels=[f"{share:g}" if share >= 1 else f"1/{1 / share:g}" for share in curve.index],
        ylim=(0, 1),
        xlabel="share of the labels (squares: above from here on)",
        ylabel="macro F1",
        title=title,
    )
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure


@styled_figure
def leak(moved_ms, auc, light_ms: float = 10.0, title: str = "") -> Figure:
    """How well tagged units are told from the others by their extra spikes, when the onsets of the
    light are taken elsewhere.

    moved_ms : (n,) ms, how much later than the light the onsets are taken; negative: earlier. auc :
        (n,), 0.5 is chance. light_ms : length of a pulse, ms.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.9))
    # The windows are as long as the pulse: 'after' is moved to moved + (0, length), 'before' to
    # moved + (-length, 0).
    axes.broken_barh(
        [(-light_ms, 2 * light_ms)],
        (1.12, 0.05),
        color=PALETTE[9],
        label=f"{light_ms:g} ms 'after' reach into the light",
    )
    axes.broken_barh(
        [(0, 2 * light_ms)],
        (1.05, 0.05),
        color="0.5",
        label=f"{light_ms:g} ms 'before' reach into the light",
    )
    axes.axhline(0.5, color="0.5", ls="--", lw=1, label="chance")
    axes.plot(moved_ms, auc, "o-", color=PALETTE[3], ms=4)
    axes.set(
        xlabel="onsets taken later than the light by (ms)",
        ylabel="AUC, tagged against others",
        yticks=[0, 0.25, 0.5, 0.75, 1],
        ylim=(-0.03, 1.2),
        title=title,
    )
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small"
    )
    return figure


@styled_figure
def found_among_nearest(curves: dict[str, np.ndarray], chance: float, title: str = "") -> Figure:
    """How often the right cell is among the k most alike, against k: a line a method.

    curves : method -> (n,) shares for k = 1 to n. chance : of one guess; k guesses have k times
        that.
    """
    figure, axes = plt.subplots(figsize=(7.6, 3.8))
    longest = max(len(curve) for curve in curves.values())
    for at, (name, curve) in enumerate(curves.items()):
        axes.plot(np.arange(1, len(curve) + 1), curve, "o-", ms=4, color=PALETTE[at], label=name)
    k = np.arange(1, longest + 1)
    axes.plot(k, np.minimum(k * chance, 1), color="0.5", ls="--", label="chance")
    step = -(-longest // 10)
    axes.set(
        xlabel="k, how many of the most alike are looked at",
        ylabel="share of cells found",
        ylim=(0, 1.03),
        title=title,
        xticks=[1, *range(step * (1 + (step == 1)), longest + 1, step)],
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure


@styled_figure
def two_less(table: pd.DataFrame, title: str = "") -> Figure:
    """What two units taken out together do to the vectors of the others, against the sum of what
    each does alone: a dot a pair.

    table : columns apart, together (distances, in units of the spread of the vectors) and pair (the
        kind of pair, for the colours).
    """
    figure, axes = plt.subplots(figsize=(4.8, 5.4))
    reach = 1.08 * float(table[["apart", "together"]].to_numpy().max())
    axes.plot([0, reach], [0, reach], color="0.5", ls="--", lw=1, label="as much as the sum")
    axes.fill_between(
        [0, reach],
        [0, reach],
        [reach, reach],
        color=PALETTE[8],
        alpha=0.15,
        lw=0,
        label="more: they covered for each other",
    )
    for (kind, mine), colour, marker in zip(table.groupby("pair"), (PALETTE[0], PALETTE[3]), "os"):
        axes.plot(
            mine["apart"], mine["together"], marker, color=colour, label=kind, ms=6, alpha=0.8
        )
    axes.set(
        xlabel="sum of what each does alone (spreads)",
        ylabel="what both do together (spreads)",
        xlim=(0, reach),
        ylim=(0, reach),
        aspect="equal",
        title=title,
    )
    axes.locator_params(nbins=5)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small"
    )
    return figure
