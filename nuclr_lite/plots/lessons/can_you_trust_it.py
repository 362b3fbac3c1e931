"""Figures of `13_can_you_trust_it`: true probabilities, strangers, "I don't know". Each returns a
Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure


@styled_figure
def trust(
    reliability: dict[str, tuple], coverage: dict[str, pd.DataFrame], title: str = ""
) -> Figure:
    """Left: is a probability of 0.8 right in 80 % of cases?

    Right: how good are the answers if only the surest units get one?

    reliability : name -> (share right, mean probability, units), each (bins,). coverage : name ->
        DataFrame share (of units answered, 0 to 1), accuracy.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    left.plot([0, 1], [0, 1], color="0.6", ls="--", lw=1, label="perfectly true")
    for (name, (right_share, probability, n_units)), colour, marker in zip(
        reliability.items(), (PALETTE[0], PALETTE[1], PALETTE[2]), "osD"
    ):
        error = np.sqrt(np.maximum(right_share * (1 - right_share), 1e-9) / n_units)
        left.errorbar(
            probability,
            right_share,
            error,
            color=colour,
            marker=marker,
            ms=5,
            lw=1.4,
            elinewidth=1,
            label=name,
        )
    left.set(
        xlabel="probability of the predicted label",
        ylabel="share right",
        xlim=(0.2, 1.02),
        ylim=(0.2, 1.02),
        title="are the probabilities true?",
    )
    for (name, table), colour in zip(coverage.items(), (PALETTE[0], PALETTE[1], PALETTE[2])):
        shown = table[table["share"] >= 0.05]  # the first few units say little
        right.plot(shown["share"], shown["accuracy"], color=colour, label=name)
        right.axhline(table["accuracy"].iloc[-1], color=colour, ls=":", lw=1)
    right.set(
        xlabel="share of units that get an answer, surest first",
        ylabel="accuracy of the answers",
        xlim=(0, 1),
        ylim=(None, 1.01),
        title="accuracy of those that are named",
    )
    figure.legend(
        *left.get_legend_handles_labels(), fontsize="small", loc="outside lower center", ncol=4
    )
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def strangers(distances: dict[str, np.ndarray], farthest: float, title: str = "") -> Figure:
    """How far units lie from the training units, group by group, with the distance beyond which no
    answer is given.

    distances : group -> (units,) distance to the nearest training units, in standard deviations of
        a dimension. farthest : that distance.
    """
    figure, axes = plt.subplots(figsize=(7.4, 0.9 + 0.75 * len(distances)))
    rng = np.random.default_rng(0)
    for at, values in enumerate(distances.values()):
        beyond = np.asarray(values) > farthest
        height = at + rng.uniform(-0.28, 0.28, len(values))
        axes.scatter(
            values,
            height,
            s=14,
            linewidths=0,
            alpha=0.7,
            color=np.where(beyond[:, None], PALETTE[3], PALETTE[0]),
        )
        axes.text(
            1.01,
            at,
            f"{beyond.mean():.0%} beyond",
            transform=axes.get_yaxis_transform(),
            va="center",
            size="small",
        )
    axes.axvline(farthest, color="0.3", ls="--", lw=1)
    axes.text(farthest, -0.62, " no answer beyond", size="small", color="0.3", va="center")
    axes.set(
        yticks=range(len(distances)),
        yticklabels=distances,
        ylim=(len(distances) - 0.5, -0.85),
        xlim=(0, None),
        xlabel=(
            "distance to the nearest units with a known label\n(standard deviations of a dimension)"
        ),
        title=title,
    )
    return figure


@styled_figure
def abstaining(table: pd.DataFrame, title: str = "") -> Figure:
    """What a rule "answer only if ..." does to units that have a label, and to what is no neuron of
    any label.

    table : least (smallest probability that gets an answer), answered (share of labelled units),
        accuracy (of those answers), and strangers, strangers_near (share of artefacts answered, by
        probability alone, and where the distance counts too); shares from 0 to 1.
    """
    figure, axes = plt.subplots(figsize=(6, 4.6))
    for name, label, style in (
        ("accuracy", "accuracy of the answers", dict(color=PALETTE[0], lw=2.2)),
        ("answered", "units with a label: answered", dict(color=PALETTE[2], ls="--")),
        (
            "strangers",
            "artefacts answered, by probability alone",
            dict(color=PALETTE[3], ls=":", lw=2),
        ),
        (
            "strangers_near",
            "artefacts answered, near enough too",
            dict(color=PALETTE[3], marker="o", ms=4),
        ),
    ):
        axes.plot(table["least"], table[name], label=label, **style)
    axes.set(
        xlabel="smallest probability that gets an answer",
        ylabel="share of units",
        ylim=(-0.03, 1.03),
        title=title,
    )
    figure.legend(
        *axes.get_legend_handles_labels(), fontsize="small", loc="outside lower center", ncol=1
    )
    return figure
