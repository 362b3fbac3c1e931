"""Figures of results: how training went, scores of methods, what is taken for what, scores against
a number.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..decoding import confusion_table
from .style import PALETTE, styled_figure


@styled_figure
def history(history: pd.DataFrame) -> Figure:
    """Loss and its parts; how often a unit finds itself; how many dimensions are in use."""
    figure, (loss, found, rank) = plt.subplots(1, 3, figsize=(10, 3))
    dots = "." if len(history) < 10 else None  # a line of one point would not show
    for name, colour in (
        ("loss", PALETTE[0]),
        ("attraction", PALETTE[2]),
        ("repulsion", PALETTE[3]),
    ):
        loss.plot(history["step"], history[name], color=colour, label=name, marker=dots)
    loss.set(xlabel="step", ylabel="nats", title="objective")
    below = dict(loc="upper center", bbox_to_anchor=(0.5, -0.2))  # curves may be anywhere
    loss.legend(fontsize="small", ncols=3, columnspacing=1, frameon=False, **below)
    # A row of the history is one batch, and batches differ more than neighbouring steps do.
    found.plot(
        history["step"],
        history["retrieval_accuracy"],
        color=PALETTE[0],
        marker=dots,
        alpha=0.3,
        lw=0.8,
    )
    found.plot(
        history["step"],
        history["retrieval_accuracy"]
        .rolling(max(1, len(history) // 12), min_periods=1, center=True)
        .mean(),
        color=PALETTE[0],
        marker=dots,
        label="encoder (mean)",
    )
    found.plot(history["step"], history["retrieval_chance"], color="0.5", ls="--", label="chance")
    found.set(
        xlabel="step",
        ylabel="share of units",
        ylim=(0, None),
        title="finds itself in the other view",
    )
    found.legend(fontsize="small", ncols=2, columnspacing=1, frameon=False, **below)
    rank.plot(history["step"], history["rank_me"], color=PALETTE[0], marker=dots)
    rank.set(xlabel="step", ylabel="RankMe (dimensions)", ylim=(0, None), title="dimensions in use")
    return figure


@styled_figure
def scores(
    table: pd.DataFrame,
    metric: str = "macro_f1",
    title: str = "",
    highlight: str = "NuCLR",
    dots: pd.DataFrame | None = None,
) -> Figure:
    """One row a method: estimate and 95 % interval, and a line through chance where it is among the
    methods.

    table : as from `score_table` or `comparison.summary`. dots : rows as `experiments.run` returns
        them: a small dot for each, and a line through `highlight`.
    """
    rows = table[table["metric"] == metric]
    estimates = rows.set_index("method")["estimate"]
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.33 * len(rows)))
    for at, row in enumerate(rows.itertuples()):
        colour = PALETTE[0] if row.method == highlight else "0.35"
        if np.isfinite(row.low):
            axes.plot([row.low, row.high], [at, at], color=colour, lw=2, alpha=0.5)
        if dots is not None:
            single = dots.loc[dots["method"] == row.method, metric]
            axes.plot(single, np.full(len(single), at + 0.22), ".", color=colour, ms=4, alpha=0.6)
        axes.plot(row.estimate, at, "o", color=colour)
        axes.text(
            max(row.estimate, row.high if np.isfinite(row.high) else 0) + 0.02,
            at,
            f"{row.estimate:.2f}",
            va="center",
            color=colour,
            size="small",
        )
    if "chance" in estimates.index:
        axes.axvline(estimates["chance"], color="0.5", ls="--", lw=1, zorder=0)
    if dots is not None and highlight in estimates.index:
        axes.axvline(estimates[highlight], color=PALETTE[0], lw=0.8, zorder=0)
    of = metric.replace("_", " ").replace("f1", "F1") + (
        " (small dots: single seeds)" if dots is not None else ""
    )
    axes.set(
        yticks=range(len(rows)), yticklabels=rows["method"], xlim=(0, 1.08), xlabel=of, title=title
    )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    return figure


@styled_figure
def confusion(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Share of each true class (row) that was predicted as each class (column), with counts.
    predictions : with columns true and predicted, as `decode` gives them.
    """
    counts = confusion_table(predictions)
    share = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    figure, axes = plt.subplots(figsize=(1.9 + 0.75 * len(counts), 1.3 + 0.65 * len(counts)))
    notes = share.map("{:.0%}".format) + "\n" + counts.astype(str)
    sns.heatmap(
        share,
        annot=notes,
        fmt="",
        vmin=0,
        vmax=1,
        cmap="Blues",
        ax=axes,
        cbar=False,
        annot_kws={"size": 9},
    )
    axes.set(title=title)
    axes.tick_params(axis="both", rotation=0)
    return figure


@styled_figure
def curves(
    table: pd.DataFrame,
    x: str,
    by: str = "method",
    dots: pd.DataFrame | None = None,
    fits: dict[str, pd.DataFrame] | None = None,
    xlabel: str = "",
    chance: float | None = None,
    title: str = "",
    doublings: bool = True,
) -> Figure:
    """A score against a number or a share: a line through the means with its band (95 %), or means
    with intervals and the curve in `fits`, and a dot for each single result.

    table : rows as `comparison.summary` returns them, with columns `x`, `by`, estimate, low, high.
        dots : rows as `experiments.run` returns them, with `x` and `by`: one a seed and
    draw. fits : `by` -> `comparison.saturating_curve`; dotted beyond the largest x.
    doublings : each doubling of x is as wide as the next, with a tick for each x; else x is linear.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    for at, (kind, colour) in enumerate(zip(table[by].unique(), PALETTE)):
        mine = table[table[by] == kind].sort_values(x)
        beside = 2 ** (0.05 * at) if fits else 1.0  # intervals at the same x would cover each other
        if dots is not None:
            single = dots[dots[by] == kind]
            axes.plot(single[x] * beside, single["macro_f1"], "o", color=colour, ms=3, alpha=0.35)
        if fits and kind in fits:
            fit, known = fits[kind], fits[kind]["n"] <= mine[x].max() * 1.0001
            axes.errorbar(
                mine[x] * beside,
                mine["estimate"],
                [mine["estimate"] - mine["low"], mine["high"] - mine["estimate"]],
                fmt="s",
                color=colour,
                ms=4,
                lw=1,
            )
            axes.plot(fit["n"][known], fit["score"][known], color=colour, label=kind)
            axes.plot(fit["n"][~known], fit["score"][~known], color=colour, ls=":")
        else:
            axes.fill_between(mine[x], mine["low"], mine["high"], color=colour, alpha=0.12, lw=0)
            axes.plot(
                mine[x], mine["estimate"], color=colour, marker="os^DvP*X"[at % 8], ms=4, label=kind
            )
    if chance is not None:
        axes.axhline(chance, color="0.5", ls="--", lw=1, label="chance")
    # intervals of a single animal are NaN
    ends = table[["low", "estimate", "high"]]
    reach = (
        min(ends.min(axis=None), chance if chance is not None else 1) - 0.05,
        ends.max(axis=None) + 0.05,
    )
    if doublings:
        ticks = sorted(table[x].unique())
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{at:g}" if at >= 1 else f"1/{1 / at:g}" for at in ticks])
    else:
        axes.locator_params(axis="x", nbins=6, steps=[1, 2, 5, 10])
    axes.set(
        ylim=(max(reach[0], 0), min(reach[1], 1)),
        xlabel=xlabel or x,
        ylabel="macro F1",
        title=title,
    )
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure
