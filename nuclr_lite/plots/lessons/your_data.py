"""Figures of `11_your_data`: valid time, neighbours, how far to trust a prediction.

Each returns a Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...recording import Recording
from ..style import PALETTE, styled_figure


@styled_figure
def used_time(
    recording: Recording,
    starts_s: np.ndarray,
    window_s: float,
    light: pd.DataFrame | None = None,
    title: str = "",
) -> Figure:
    """What of a spike recording is used: its raster, valid time (shaded), and below it the windows
    that it is embedded in.

    starts_s : (n,) s, starts of the windows, each `window_s` long. light : start_s, stop_s of light
        pulses; None: none.
    """
    figure, (raster, below) = plt.subplots(
        2, 1, figsize=(9, 3.6), sharex=True, height_ratios=[3.2, 1]
    )
    raster.scatter(
        recording.times, recording.unit_rows, s=4, marker="|", linewidths=0.5, color="0.25"
    )
    spans = [("valid time", recording.intervals, PALETTE[2])]
    if light is not None:
        spans.append(("light pulses", light[["start_s", "stop_s"]].to_numpy(), PALETTE[3]))
    for name, rows, colour in spans:
        for at, (start, stop) in enumerate(rows):
            for axes in (raster, below):
                axes.axvspan(
                    start,
                    stop,
                    color=colour,
                    alpha=0.18 if name == "valid time" else 0.8,
                    lw=0,
                    label=name if at == 0 else None,
                )
    level = np.arange(len(starts_s)) % 2  # neighbours would run into each other
    below.barh(
        0.62 - 0.42 * level,
        window_s,
        0.34,
        left=starts_s,
        color=PALETTE[0],
        align="center",
        label=f"window of {window_s:g} s",
    )
    raster.set(ylabel="unit", ylim=(-1, recording.n_units), title=title)
    below.set(xlabel="time (s)", yticks=[], ylim=(0, 0.9))
    handles, names = below.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncol=len(names), fontsize="small")
    return figure


@styled_figure
def neighbour_agreement(table: pd.DataFrame, title: str = "") -> Figure:
    """How often a unit's nearest neighbour has the unit's label, beside what a neighbour drawn at
    random would give.

    table : one row a bar; columns vectors, where (neighbours are sought there), agree, chance:
        shares of units, 0 to 1.
    """
    figure, axes = plt.subplots(figsize=(7, 3.4))
    places, kinds = list(table["where"].unique()), list(table["vectors"].unique())
    width = 0.8 / len(kinds)
    for at, kind in enumerate(kinds):
        mine = table[table["vectors"] == kind].set_index("where").loc[places]
        x = np.arange(len(places)) + (at - (len(kinds) - 1) / 2) * width
        axes.bar(
            x,
            mine["agree"],
            0.92 * width,
            color=PALETTE[at] if at == 0 else ["0.55", "0.75"][(at - 1) % 2],
            label=kind,
        )
        axes.hlines(
            mine["chance"],
            x - 0.46 * width,
            x + 0.46 * width,
            color="0.1",
            ls="--",
            lw=1.4,
            label="drawn at random" if at == len(kinds) - 1 else "",
        )
        for left, share in zip(x, mine["agree"]):
            axes.text(left, share + 0.015, f"{share:.2f}", ha="center", va="bottom", size="small")
    axes.set(
        xticks=range(len(places)),
        xticklabels=places,
        ylim=(0, 1),
        xlabel="nearest neighbour sought in",
        ylabel="share of units whose\nneighbour has their label",
        title=title,
    )
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


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
        title="what does silence buy?",
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
