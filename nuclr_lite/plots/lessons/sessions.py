"""Figures of sessions of the Allen Brain Observatory: which units and which time to trust, light
responses, the same cell on another day.
"""

from __future__ import annotations

from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ...recording import Recording
from ...sources.allen.optotagging import DEFAULTS, OptotagConfig, select_pulses, spikes_around
from ..style import PALETTE, colours, named, styled_figure


@styled_figure
def light_response(
    spike_trains,
    pulses: pd.DataFrame,
    unit_ids,
    decisions: pd.DataFrame | None = None,
    window_ms: tuple[float, float] = (-20, 30),
    config: OptotagConfig = DEFAULTS,
    title: str = "",
) -> Figure:
    """To check optotagging by eye: each unit's spikes around the light pulses (raster; the first
    pulse on top) above their rate (PSTH, 1 ms bins).

    Dashed: the rate at rest, from `decisions`.

    Parameters
    ----------
    spike_trains : unit_id -> (n,) spike times, s, in order.
    pulses : AllenSDK's optogenetic table; those that `config` selects are drawn.
    unit_ids : the units to draw, a pair of panels each; 4 to 8 are legible.
    decisions : what `optotag_units` returned, for the headings and the rate at rest.
    """
    unit_ids = list(unit_ids)
    unknown = [
        unit_id
        for unit_id in unit_ids
        if unit_id not in spike_trains or (decisions is not None and unit_id not in decisions.index)
    ]
    if unknown:
        raise ValueError(
            f"no spike train or no decision for units {unknown}; choose among those that were"
            " tested."
        )
    if not unit_ids:
        raise ValueError("no units to draw: unit_ids is empty.")
    pulses = select_pulses(pulses, config)
    duration_ms = 1000 * pulses["duration"].to_numpy()
    unit, pulse, time_ms = spikes_around(
        {unit_id: spike_trains[unit_id] for unit_id in unit_ids},
        pulses["start_time"].to_numpy(),
        *window_ms,
    )
    artefact = (np.abs(time_ms) < config.artefact_ms) | (
        np.abs(time_ms - duration_ms[pulse]) < config.artefact_ms
    )
    evoked = (time_ms >= config.evoked_ms[0]) & (time_ms < config.evoked_ms[1]) & ~artefact
    edges = np.arange(window_ms[0], window_ms[1] + 0.5)
    light: dict[str, Any] = dict(color=PALETTE[9], alpha=0.22, lw=0)
    hatched: dict[str, Any] = dict(facecolor="none", edgecolor="0.55", hatch="//////", lw=0)
    n_columns = min(4, len(unit_ids))
    n_rows = -(-len(unit_ids) // n_columns)
    figure = plt.figure(figsize=(0.6 + 2.9 * n_columns, 3.7 * n_rows))
    grid = figure.add_gridspec(2 * n_rows, n_columns, height_ratios=[1.6, 1] * n_rows)
    for at, unit_id in enumerate(unit_ids):
        row, column = divmod(at, n_columns)
        raster = figure.add_subplot(grid[2 * row, column])
        rate = figure.add_subplot(grid[2 * row + 1, column], sharex=raster)
        for axes in (raster, rate):
            axes.axvspan(0, np.median(duration_ms), zorder=0, **light)
            for middle in (0, *np.unique(duration_ms.round(1))):
                axes.axvspan(
                    middle - config.artefact_ms, middle + config.artefact_ms, zorder=0.5, **hatched
                )
        mine, below = unit == at, np.zeros(len(edges) - 1)
        for chosen, colour in ((mine & ~evoked, "0.3"), (mine & evoked, PALETTE[3])):
            raster.vlines(
                time_ms[chosen], pulse[chosen] + 0.5, pulse[chosen] + 1.5, color=colour, lw=1.8
            )
            hertz = np.histogram(time_ms[chosen], edges)[0] / len(pulses) * 1000
            rate.bar(edges[:-1], hertz, width=1, align="edge", color=colour, lw=0, bottom=below)
            below = below + hertz
        heading, is_tagged = f"unit {unit_id}", False
        if decisions is not None:
            decision = decisions.loc[unit_id]
            is_tagged = decision["why"] == "tagged"
            heading += "\n" + fill(
                f"tagged: {decision['cell_type']}" if is_tagged else decision["why"], 34
            )
            rate.axhline(decision["baseline_hz"], color="0.3", ls="--", lw=1)
        raster.set_title(
            heading, color=PALETTE[2] if is_tagged else "0.2", fontsize="small", loc="left"
        )
        raster.set(
            xlim=window_ms, ylim=(len(pulses) + 0.5, 0.5), ylabel="pulse" if column == 0 else None
        )
        raster.tick_params(bottom=False, labelbottom=False)
        raster.spines["bottom"].set_visible(False)
        rate.set(
            xlabel="time from light onset (ms)" if at + n_columns >= len(unit_ids) else None,
            ylabel="spikes/s" if column == 0 else None,
            ylim=(0, max(20, 1.05 * rate.get_ylim()[1])),
        )
    patches = [
        Patch(label="light", **light),
        Patch(label="artefact, not counted", **hatched),
        Patch(label="counted as evoked", color=PALETTE[3]),
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize="small")
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def session_timeline(
    recordings: list[Recording], epochs: pd.DataFrame, light: pd.DataFrame
) -> Figure:
    """What of an Allen session is used: its stimulus blocks and light pulses, above the firing and
    the valid time of each probe.

    recordings : those of one session. epochs, light : its `SessionFile.stimulus_epochs()` and
        `.light_pulses()`.
    """
    stop_s = max(
        [
            *(recording.intervals.max() for recording in recordings),
            *epochs["stop_time"],
            *light["stop_time"],
        ]
    )
    figure, axes = plt.subplots(figsize=(9, 1.7 + 0.55 * len(recordings)))
    names = [name for name in epochs["stimulus_name"].unique() if name != "invalid_presentation"]
    for name, colour in zip(names, sns.color_palette("pastel", len(names))):
        mine = epochs[epochs["stimulus_name"] == name]
        axes.broken_barh(
            list(zip(mine["start_time"] / 60, mine["duration"] / 60)),
            (0.1, 0.8),
            color=colour,
            label=name.replace("_", " "),
        )
    if len(light):
        first_s = light["start_time"].min()
        axes.broken_barh(
            [(first_s / 60, (light["stop_time"].max() - first_s) / 60)],
            (0.1, 0.8),
            color=PALETTE[9],
            label="light pulses",
        )
        axes.annotate(
            "",
            xy=(first_s / 60 - 5, 0.5),
            xytext=(first_s / 60, 0.5),
            arrowprops={"arrowstyle": "<->", "color": "0.3"},
        )
        axes.text(
            first_s / 60 - 2.5,
            0.42,
            "300 s left out",
            ha="center",
            va="bottom",
            size="small",
            color="0.3",
        )
    for at, recording in enumerate(recordings, start=1):
        axes.broken_barh(
            [(start / 60, (stop - start) / 60) for start, stop in recording.intervals],
            (at + 0.1, 0.8),
            color="0.85",
            label="valid time" if at == 1 else None,
        )
        edges = np.arange(0.0, recording.intervals.max() + 1.0)
        spikes = np.histogram(recording.times, edges)[0]
        axes.plot(
            edges[:-1] / 60,
            at + 0.85 - 0.7 * spikes / spikes.max(),
            color="0.25",
            lw=0.4,
            label="spikes/s, each probe to its own maximum" if at == 1 else None,
        )
    axes.set(
        yticks=0.5 + np.arange(len(recordings) + 1),
        yticklabels=["session", *(recording.probe_id for recording in recordings)],
        ylim=(len(recordings) + 1, 0),
        xlim=(0, stop_s / 60),
        xlabel="time (min)",
        title=named(recordings[0]).replace(f"-{recordings[0].probe_id}", ""),
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), ncol=3, fontsize="small")
    return figure


@styled_figure
def unit_quality(units: pd.DataFrame, trusted, limits: dict[str, float], title: str = "") -> Figure:
    """Histograms of the metrics in `limits` (such as `QUALITY_LIMITS`), with the limits; `trusted`:
    the unit ids that pass all conditions.
    """
    figure, panels = plt.subplots(1, len(limits), figsize=(10, 3))
    for axes, (name, limit) in zip(panels, limits.items()):
        metric = name.rsplit("_", 1)[0]
        bins = np.linspace(units[metric].min(), units[metric].quantile(0.995), 30)
        axes.hist(
            [units.loc[units.index.isin(trusted) == kept, metric] for kept in (True, False)],
            bins=bins,
            stacked=True,
            color=[PALETTE[0], "0.7"],
            label=["trusted", "left out, for this or another reason"],
        )
        axes.axvline(limit, color=PALETTE[3], ls="--", label="limit")
        axes.set(
            xlabel=metric.replace("_", " ").replace(
                "isi violations", "ISI violations (ratio of rates)"
            ),
            ylabel="units",
        )
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncol=3, fontsize="small"
    )
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@styled_figure
def identity(scores: pd.DataFrame, title: str = "") -> Figure:
    """The same cell found again in another session: one row for each method, one dot for each pair
    of sessions.

    scores : as `retrieval.identity_score`, with the columns `method` and `cell_type` beside.
    """
    order, kinds = list(scores["method"].unique()), colours(scores["cell_type"])
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.38 * len(order)))
    for at, (kind, colour) in enumerate(kinds.items()):
        mine = scores[scores["cell_type"] == kind]
        # side by side, not on each other
        row = mine["method"].map(order.index) + 0.4 * (at / max(len(kinds) - 1, 1) - 0.5)
        axes.plot(mine["top1"], row, "o", color=colour, label=kind, ms=5)
    axes.axvline(scores["chance"].mean(), color="0.5", ls="--", label="chance")
    axes.set(
        yticks=range(len(order)),
        yticklabels=order,
        xlim=(-0.02, 1),
        xlabel="share of cells whose nearest is themselves",
        title=title,
    )
    axes.invert_yaxis()
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled_figure
def separation(values: pd.DataFrame, is_positive: pd.Series, title: str = "") -> Figure:
    """How well one number tells positive units from the others: a panel for each column of
    `values`, a dot for each unit, the AUC.
    """
    from sklearn.metrics import roc_auc_score

    figure, panels = plt.subplots(
        1,
        values.shape[1],
        figsize=(4.5 * values.shape[1], 3.2),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, name in zip(panels[0], values):
        for row, kind in enumerate((False, True)):
            mine = values.loc[is_positive == kind, name]
            axes.plot(
                mine,
                row + np.linspace(-0.25, 0.25, len(mine)),
                "o",
                ms=4,
                alpha=0.7,
                color=PALETTE[3 if kind else 0],
            )
        axes.axvline(0, color="0.7", lw=0.8, zorder=0)
        axes.set(
            title=f"{name}: AUC {roc_auc_score(is_positive, values[name]):.2f} (chance 0.5)",
            xlabel="extra spikes per pulse",
            yticks=[0, 1],
            yticklabels=["not tagged", "tagged"],
        )
    figure.suptitle(title, weight="bold", size="medium")
    return figure
