"""Figures of `11_your_data`: valid time, and whether neighbours share a label. Each returns a
Figure.
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
