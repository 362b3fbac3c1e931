"""Figures of what an encoder's vectors rest on: neighbours, attention, a neuron less, other
stimuli, other recipes. Each returns a Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..style import PALETTE, colours, styled_figure


@styled_figure
def neighbours(table: pd.DataFrame, chance: float, title: str = "") -> Figure:
    """Macro F1 against the number of other units beside each unit: a line for each `who`, with its
    95 % interval over animals.

    table : columns who, others (a number, or 'all', which comes last), estimate, low, high. chance
        : the macro F1 of chance.
    """
    order = sorted(set(table["others"]) - {"all"}) + ["all"] * ("all" in set(table["others"]))
    figure, axes = plt.subplots(figsize=(8.5, 3.8))
    for at, (who, mine) in enumerate(table.groupby("who", sort=False)):
        # intervals side by side
        x = np.array([order.index(others) for others in mine["others"]]) + 0.05 * at
        estimate = mine["estimate"].to_numpy()
        errors = [estimate - mine["low"].to_numpy(), mine["high"].to_numpy() - estimate]
        axes.errorbar(
            x,
            estimate,
            errors,
            fmt="o-" if len(mine) > 1 else "o",
            color=PALETTE[at],
            label=who,
            ms=5,
            elinewidth=1.2,
        )
    axes.axhline(chance, color="0.5", ls="--", lw=1, label="chance")
    axes.set(
        xticks=range(len(order)),
        xticklabels=order,
        ylim=(0, 1),
        xlabel="other units beside it",
        ylabel="macro F1",
        title=title,
    )
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled_figure
def same_units(
    tables: dict[str, pd.DataFrame], labels: pd.Series, learned_from: pd.DataFrame, title: str = ""
) -> Figure:
    """The same units with different company: a panel a table, all seen from one side, on which the
    kinds lie farthest apart in `learned_from`.

    tables : name -> vectors of the units to show. labels : the kind of every unit. learned_from :
        vectors of other units, by which alone the two axes are chosen (linear discriminants).
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    view = LinearDiscriminantAnalysis(n_components=2).fit(
        learned_from, labels.loc[learned_from.index]
    )
    figure, panels = plt.subplots(
        1,
        len(tables),
        figsize=(0.6 + 3.3 * len(tables), 3.6),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    palette = colours(labels.loc[pd.concat(tables.values()).index])
    # The frame is that of the units learned from: vectors far out would press the others into a
    # spot, and are counted.
    edges = np.quantile(view.transform(learned_from), [0.01, 0.99], axis=0)
    (left, low), (right, high) = edges + 0.3 * np.ptp(edges, axis=0) * [[-1], [1]]
    for axes, (name, table) in zip(panels[0], tables.items()):
        at, kinds = view.transform(table), labels.loc[table.index].to_numpy()
        outside = ((at < [left, low]) | (at > [right, high])).any(axis=1).sum()
        for kind, colour in palette.items():
            axes.scatter(
                *at[kinds == kind].T, s=12, color=colour, alpha=0.8, linewidths=0, label=kind
            )
        axes.set(
            title=name,
            xlabel=f"discriminant 1\n({outside} of {len(at)} lie outside)",
            xlim=(left, right),
            ylim=(low, high),
        )
    panels[0, 0].set_ylabel("discriminant 2")
    panels[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8)
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def in_company(
    places: dict,
    probabilities: dict,
    company: str,
    learned: np.ndarray,
    types: pd.Series,
    title: str = "units",
) -> Figure:
    """A few units in one company: where their vectors lie among the types (shaded: two standard
    deviations; small dots: in the companies before), and what the classifier makes of them.

    places : company -> (n, 2) the units in the plane. probabilities : company -> DataFrame (n,
        types), indexed by the type that each unit is. learned (units, 2), types : the units that
    plane and classifier were fit on.
    """
    figure, (plane, bars) = plt.subplots(1, 2, figsize=(9.5, 3.6), width_ratios=(1.1, 1))
    table, palette = probabilities[company], colours(types)
    angle = np.linspace(0, 2 * np.pi, 60)
    for kind, colour in palette.items():
        mine = learned[(types == kind).to_numpy()]
        spread = np.linalg.cholesky(np.cov(mine.T))
        ring = mine.mean(axis=0) + 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ spread.T
        plane.fill(*ring.T, color=colour, alpha=0.18, lw=0)
        plane.text(*mine.mean(axis=0), kind, color=colour, ha="center", va="center", weight="bold")
    every = np.array(list(places.values()))  # (companies, n, 2)
    plane.plot(*every.reshape(-1, 2).T, alpha=0)  # the same frame for all of them
    trail = every[: list(places).index(company) + 1]
    for row, kind in enumerate(table.index):
        plane.plot(*trail[:, row].T, ".-", color=palette[kind], lw=1, ms=5)
        plane.plot(*trail[-1, row], "o", color=palette[kind], ms=10, mec="black", mew=1.2)
    plane.set(
        xlabel="discriminant 1",
        ylabel="discriminant 2",
        title=f"{title}\nothers beside each: {company}",
    )
    ends = table.to_numpy().cumsum(axis=1)
    for kind, end in zip(table, ends.T):
        bars.barh(
            range(len(table)), table[kind], left=end - table[kind], color=palette[kind], label=kind
        )
    bars.set(
        yticks=range(len(table)),
        yticklabels=[f"one that is {kind}" for kind in table.index],
        xlim=(0, 1),
        xlabel="probability given to each type",
    )
    bars.invert_yaxis()
    bars.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, fontsize="small")
    return figure


@styled_figure
def between(tables: dict[str, pd.DataFrame], rows: str, columns: str, title: str = "") -> Figure:
    """Heatmaps of kinds against kinds, from `interpretation.between_kinds`; white: an even share.

    tables : panel title -> DataFrame (kinds, kinds). rows, columns : what they are ("who attends").
    """
    reach = max(np.nanmax(np.abs(np.log2(table.to_numpy()))) for table in tables.values())
    figure, panels = plt.subplots(
        1, len(tables), figsize=(1.2 + 2.3 * len(tables), 3.0), sharey=True, squeeze=False
    )
    for axes, (name, table) in zip(panels[0], tables.items()):
        sns.heatmap(
            np.log2(table),
            annot=table,
            fmt=".2f",
            cmap="RdBu_r",
            vmin=-reach,
            vmax=reach,
            square=True,
            cbar=False,
            ax=axes,
            annot_kws={"size": 9},
        )
        axes.set(title=name, xlabel=columns, ylabel=rows if axes is panels[0, 0] else "")
        axes.tick_params(axis="both", rotation=0)
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def against_truth(
    values: pd.Series, truth: pd.DataFrame, kinds: pd.Series, ylabel: str, title: str = ""
) -> Figure:
    """One number a unit against what is true of it: a panel for each column of `truth`, a dot a
    unit, with Spearman's rank correlation.
    """
    figure, panels = plt.subplots(
        1, truth.shape[1], figsize=(0.9 + 3.6 * truth.shape[1], 3.4), sharey=True, squeeze=False
    )
    for axes, name in zip(panels[0], truth):
        for kind, colour in colours(kinds).items():
            mine = (kinds == kind).to_numpy()
            axes.scatter(
                truth.loc[mine, name],
                values[mine],
                s=12,
                color=colour,
                alpha=0.8,
                linewidths=0,
                label=kind,
            )
        axes.set(
            xlabel=name,
            title=f"rank correlation {truth[name].corr(values, method='spearman'):+.2f}",
        )
    panels[0, 0].set_ylabel(ylabel)
    panels[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8)
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def across_blocks(
    tables: dict[str, pd.DataFrame], rows: str, columns: str, title: str = ""
) -> Figure:
    """Heatmaps of scores from 0 to 1, stimulus by stimulus: fit on the row's, tested on the
    column's, or sought from one in the other.
    """
    figure, panels = plt.subplots(
        1, len(tables), figsize=(1.4 + 3.0 * len(tables), 3.7), sharey=True, squeeze=False
    )
    for axes, (name, table) in zip(panels[0], tables.items()):
        plain = table.rename(
            index=lambda text: text.replace("_", "\n"), columns=lambda text: text.replace("_", "\n")
        )
        sns.heatmap(
            plain,
            annot=True,
            fmt=".2f",
            cmap="Blues",
            vmin=0,
            vmax=1,
            square=True,
            cbar=False,
            ax=axes,
            annot_kws={"size": 9},
        )
        axes.set(title=name, xlabel=columns, ylabel=rows if axes is panels[0, 0] else "")
        axes.tick_params(axis="both", rotation=0, labelsize="x-small")
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def known_beforehand(counts: pd.DataFrame, scores: pd.DataFrame, title: str = "") -> Figure:
    """What can be known of a unit before looking at it: which labels each animal has, and how far
    that goes.

    counts : (animals, labels) number of units. scores : (what is known, protocols) macro F1.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.0, 0.9 + 0.27 * max(len(counts), 9)), width_ratios=(1, 1.25)
    )
    sns.heatmap(
        counts,
        annot=counts.astype(object).where(counts > 0, ""),
        fmt="",
        cmap="Blues",
        norm=plt.matplotlib.colors.LogNorm(0.3, max(counts.max(axis=None), 2)),
        mask=counts.eq(0),
        cbar=False,
        linewidths=0.5,
        linecolor="0.9",
        annot_kws={"size": 8},
        ax=left,
    )
    left.set(xlabel="", ylabel="", title="units of each label, animal by animal")
    left.tick_params(axis="both", rotation=0, length=0)
    long = scores.rename_axis(index="known", columns="protocol").stack().rename("macro F1")
    sns.barplot(long.reset_index(), y="known", x="macro F1", hue="protocol", ax=right)
    for bars in right.containers:
        right.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
    right.set(ylabel="", title="read from that alone", xlim=(0, 1.08))
    right.legend(loc="lower right", fontsize="small")
    figure.suptitle(title, weight="bold", size="medium")
    return figure
