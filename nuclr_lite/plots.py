"""The figures: one style, colours that the colour-blind can tell apart, units on every axis. Each returns a Figure."""
from __future__ import annotations

from functools import wraps
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .baselines import binned, population_coupling
from .decoding import DecodeResult
from .recording import Recording
from .sources.optotagging import OptotagConfig, select_pulses, spikes_around

PALETTE = sns.color_palette("colorblind")
STYLE = {**sns.axes_style("ticks"), **sns.plotting_context("notebook"), "figure.facecolor": "white", "figure.dpi": 90,
         "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": "medium", "axes.titleweight": "bold",
         "legend.frameon": False, "figure.constrained_layout.use": True}


def _styled(draw):
    """Draw in the common style, whatever the user's own settings, and don't show the figure twice in a notebook."""
    @wraps(draw)
    def styled(*args, **kwargs) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        plt.close(figure)
        return figure
    return styled


def colours(labels) -> dict:
    """Label -> colour, the same in every figure for the same set of labels."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(set(labels), key=str))}


def _named(recording: Recording) -> str:
    """The recording's id, for titles; simulated data say so."""
    said = f"{recording.provenance.get('source')} {recording.provenance.get('institution')} {recording.recording_id}"
    return recording.recording_id + (" (simulated)" if "simulated" in said and "simulated" not in recording.recording_id else "")


@_styled
def activity(recording: Recording, label: str | None = None, start_s: float | None = None, duration_s: float = 20.0) -> Figure:
    """Spike raster, or dF/F traces, of a stretch of a recording; units sorted and coloured by a column of the units table."""
    start_s = recording.intervals[0, 0] if start_s is None else start_s
    kinds = recording.units[label].fillna("unknown").astype(str) if label else pd.Series("units", index=recording.units.index)
    order = np.argsort(kinds.to_numpy(), kind="stable")
    place = np.argsort(order)
    palette = colours(kinds)
    figure, axes = plt.subplots(figsize=(8, 4.2))
    if recording.modality == "spikes":
        first, stop = np.searchsorted(recording.times, [start_s, start_s + duration_s])
        rows = np.asarray(recording.unit_rows[first:stop])
        axes.scatter(recording.times[first:stop], place[rows], s=6, marker="|", linewidths=0.8,
                     color=[palette[kind] for kind in kinds.to_numpy()[rows]])
    else:
        first = int((start_s - recording.start_s) * recording.sampling_rate_hz)
        frames = np.arange(first, min(first + int(duration_s * recording.sampling_rate_hz), len(recording.traces)))
        if recording.n_units > 60:                                      # lines would cover each other
            shade = np.asarray(recording.traces)[frames][:, order].T / recording.trace_scale
            axes.imshow(shade, aspect="auto", origin="lower", cmap="Greys", vmin=0, vmax=1, interpolation="nearest",
                        extent=(start_s, start_s + len(frames) / recording.sampling_rate_hz, -0.5, len(kinds) - 0.5))
        for row in order if recording.n_units <= 60 else ():
            axes.plot(recording.start_s + frames / recording.sampling_rate_hz,
                      place[row] + recording.traces[frames, row] / recording.trace_scale, color=palette[kinds.iloc[row]], lw=0.8)
    for kind, colour in palette.items():
        mine = place[(kinds == kind).to_numpy()]
        if label:
            axes.text(1.01, (mine.min() + mine.max()) / 2 / len(kinds), kind, color=colour, transform=axes.transAxes, va="center", weight="bold")
    kind_of_row = "unit" if recording.modality == "spikes" else "cell (one step: the 99th percentile of dF/F)"
    axes.set(xlabel="time (s)", ylabel=kind_of_row, xlim=(start_s, start_s + duration_s), ylim=(-1, len(kinds) + (recording.modality == "calcium")), title=_named(recording))
    return figure


@_styled
def history(history: pd.DataFrame) -> Figure:
    """Loss and its parts; how often a unit finds itself; how many dimensions are in use."""
    figure, (loss, found, rank) = plt.subplots(1, 3, figsize=(10, 3))
    dots = "." if len(history) < 10 else None                     # a line of one point would not show
    for name, colour in (("loss", PALETTE[0]), ("attraction", PALETTE[2]), ("repulsion", PALETTE[3])):
        loss.plot(history["step"], history[name], color=colour, label=name, marker=dots)
    loss.set(xlabel="step", ylabel="nats", title="objective")
    loss.legend(fontsize="small")
    # A row of the history is one batch, and batches differ more than neighbouring steps do.
    found.plot(history["step"], history["retrieval_accuracy"], color=PALETTE[0], marker=dots, alpha=0.3, lw=0.8)
    found.plot(history["step"], history["retrieval_accuracy"].rolling(max(1, len(history) // 12), min_periods=1, center=True).mean(), color=PALETTE[0],
               marker=dots, label="encoder (mean)")
    found.plot(history["step"], history["retrieval_chance"], color="0.5", ls="--", label="guessing")
    found.set(xlabel="step", ylabel="share of units", ylim=(0, None), title="finds itself in the other view")
    found.legend(fontsize="small")
    rank.plot(history["step"], history["rank_me"], color=PALETTE[0], marker=dots)
    rank.set(xlabel="step", ylabel="RankMe (dimensions)", ylim=(0, None), title="dimensions in use")
    return figure


@_styled
def scores(table: pd.DataFrame, metric: str = "macro_f1", title: str = "", highlight: str = "NuCLR") -> Figure:
    """One row a method: estimate and 95 % interval over animals. `table` as from `score_table`."""
    rows = table[table["metric"] == metric]
    figure, axes = plt.subplots(figsize=(7, 0.9 + 0.33 * len(rows)))
    for at, row in enumerate(rows.itertuples()):
        colour = PALETTE[0] if row.method == highlight else "0.35"
        if np.isfinite(row.low):
            axes.plot([row.low, row.high], [at, at], color=colour, lw=2, alpha=0.5)
        axes.plot(row.estimate, at, "o", color=colour)
        axes.text(max(row.estimate, row.high if np.isfinite(row.high) else 0) + 0.02, at, f"{row.estimate:.2f}", va="center", color=colour, size="small")
    axes.set(yticks=range(len(rows)), yticklabels=rows["method"], xlim=(0, 1.08), xlabel=metric.replace("_", " ").replace("f1", "F1"), title=title)
    axes.invert_yaxis()
    return figure


@_styled
def confusion(result: DecodeResult, title: str = "") -> Figure:
    """Share of each true class (row) that was predicted as each class (column), with counts."""
    counts = result.confusion
    share = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    figure, axes = plt.subplots(figsize=(1.9 + 0.75 * len(counts), 1.3 + 0.65 * len(counts)))
    notes = share.applymap("{:.0%}".format) if hasattr(share, "applymap") else share.map("{:.0%}".format)
    notes = notes + "\n" + counts.astype(str)
    sns.heatmap(share, annot=notes, fmt="", vmin=0, vmax=1, cmap="Blues", ax=axes, cbar=False, annot_kws={"size": 9})
    axes.set(title=title)
    axes.tick_params(axis="both", rotation=0)
    return figure


@_styled
def map(embedding: pd.DataFrame, labels: pd.Series | None = None, title: str = "", seed: int = 0) -> Figure:
    """A two-dimensional map of embeddings (t-SNE): units that are alike lie close. Distances across the map mean little.

    labels : Series on the embedding's index, for the colours.
    """
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    if len(embedding) < 4:
        raise ValueError(f"a map of {len(embedding)} units says nothing; embed at least 4.")
    flat = TSNE(perplexity=min(30, (len(embedding) - 1) / 3), init="pca", learning_rate="auto",
                random_state=seed).fit_transform(StandardScaler().fit_transform(embedding))
    figure, axes = plt.subplots(figsize=(5.4, 4.2))
    kinds = pd.Series("units", index=embedding.index) if labels is None else labels.reindex(embedding.index).fillna("unlabelled").astype(str)
    for kind, colour in colours(kinds).items():
        mine = (kinds == kind).to_numpy()
        axes.scatter(*flat[mine].T, s=14, color=colour, label=f"{kind} ({mine.sum()})", linewidths=0)
    if labels is not None:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8)
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2", title=title)
    return figure


@_styled
def alone_and_together(recording: Recording, label: str = "cell_type", max_lag_s: float = 3.0, step_s: float = 0.05) -> Figure:
    """Why context matters: autocorrelation of single units beside their correlation with everybody else, by label.

    Curves are means over the units of a label; bands one standard deviation over units.
    """
    if recording.modality == "calcium":
        step_s, max_lag_s = 1 / recording.sampling_rate_hz, 4 * max_lag_s
    together = population_coupling(recording, step_s, max_lag_s).to_numpy()             # (units, lags)
    z = np.concatenate(binned(recording, step_s), axis=1)
    z = (z - z.mean(axis=1, keepdims=True)) / np.maximum(z.std(axis=1, keepdims=True), 1e-9)
    lags = np.arange(together.shape[1]) - together.shape[1] // 2
    alone = np.stack([(z[:, abs(lag):] * z[:, : z.shape[1] - abs(lag)]).mean(axis=1) for lag in lags], axis=1)
    alone[:, lags == 0] = np.nan                                     # 1 by definition
    kinds = recording.units[label].astype(str).to_numpy()
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
    for axes, curves, title in zip(panels, (alone, together), ("a unit alone: its autocorrelation", "a unit and the others: cross-correlation")):
        for kind, colour in colours(kinds).items():
            mine = curves[kinds == kind]
            axes.plot(lags * step_s, mine.mean(axis=0), color=colour, label=kind)
            axes.fill_between(lags * step_s, mine.mean(axis=0) - mine.std(axis=0), mine.mean(axis=0) + mine.std(axis=0), color=colour, alpha=0.15, lw=0)
        axes.axhline(0, color="0.7", lw=0.8, zorder=0)
        axes.set(xlabel="lag (s)", ylabel="correlation", title=title)
    panels[1].legend(fontsize="small", title=label)
    return figure


@_styled
def light_response(spike_trains, pulses: pd.DataFrame, unit_ids, decisions: pd.DataFrame | None = None, window_ms: tuple[float, float] = (-20, 30),
                   config: OptotagConfig = OptotagConfig(), title: str = "") -> Figure:
    """To check optotagging by eye: each unit's spikes around the light pulses (raster; the first pulse on top) above their rate (PSTH, 1 ms bins).

    Dashed: the rate at rest, from `decisions`.

    Parameters
    ----------
    spike_trains : unit_id -> (n,) spike times, s, in order.
    pulses : AllenSDK's optogenetic table; those that `config` selects are drawn.
    unit_ids : the units to draw, a pair of panels each; 4 to 8 are legible.
    decisions : what `optotag_units` returned, for the headings and the rate at rest.
    """
    unit_ids = list(unit_ids)
    unknown = [unit_id for unit_id in unit_ids if unit_id not in spike_trains or (decisions is not None and unit_id not in decisions.index)]
    if unknown:
        raise ValueError(f"no spike train or no decision for units {unknown}; choose among those that were tested.")
    if not unit_ids:
        raise ValueError("no units to draw: unit_ids is empty.")
    pulses = select_pulses(pulses, config)
    duration_ms = 1000 * pulses["duration"].to_numpy()
    unit, pulse, time_ms = spikes_around({unit_id: spike_trains[unit_id] for unit_id in unit_ids}, pulses["start_time"].to_numpy(), *window_ms)
    artefact = (np.abs(time_ms) < config.artefact_ms) | (np.abs(time_ms - duration_ms[pulse]) < config.artefact_ms)
    evoked = (time_ms >= config.evoked_ms[0]) & (time_ms < config.evoked_ms[1]) & ~artefact
    edges = np.arange(window_ms[0], window_ms[1] + 0.5)
    light, hatched = dict(color=PALETTE[9], alpha=0.22, lw=0), dict(facecolor="none", edgecolor="0.55", hatch="//////", lw=0)
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
                axes.axvspan(middle - config.artefact_ms, middle + config.artefact_ms, zorder=0.5, **hatched)
        mine, below = unit == at, np.zeros(len(edges) - 1)
        for chosen, colour in ((mine & ~evoked, "0.3"), (mine & evoked, PALETTE[3])):
            raster.vlines(time_ms[chosen], pulse[chosen] + 0.5, pulse[chosen] + 1.5, color=colour, lw=1.8)
            hertz = np.histogram(time_ms[chosen], edges)[0] / len(pulses) * 1000
            rate.bar(edges[:-1], hertz, width=1, align="edge", color=colour, lw=0, bottom=below)
            below = below + hertz
        heading, is_tagged = f"unit {unit_id}", False
        if decisions is not None:
            decision = decisions.loc[unit_id]
            is_tagged = decision["why"] == "tagged"
            heading += "\n" + fill(f"tagged: {decision['cell_type']}" if is_tagged else decision["why"], 34)
            rate.axhline(decision["baseline_hz"], color="0.3", ls="--", lw=1)
        raster.set_title(heading, color=PALETTE[2] if is_tagged else "0.2", fontsize="small", loc="left")
        raster.set(xlim=window_ms, ylim=(len(pulses) + 0.5, 0.5), ylabel="pulse" if column == 0 else None)
        raster.tick_params(bottom=False, labelbottom=False)
        raster.spines["bottom"].set_visible(False)
        rate.set(xlabel="time from light onset (ms)" if at + n_columns >= len(unit_ids) else None, ylabel="spikes/s" if column == 0 else None,
                 ylim=(0, max(20, 1.05 * rate.get_ylim()[1])))
    patches = [Patch(label="light", **light), Patch(label="artefact, not counted", **hatched), Patch(label="counted as evoked", color=PALETTE[3])]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize="small")
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@_styled
def session_timeline(recordings: list[Recording], epochs: pd.DataFrame, light: pd.DataFrame) -> Figure:
    """What of an Allen session is used: its stimulus blocks and light pulses, above the firing and the valid time of each probe.

    recordings : those of one session. epochs, light : its `SessionFile.stimulus_epochs()` and `.light_pulses()`.
    """
    stop_s = max([*(recording.intervals.max() for recording in recordings), *epochs["stop_time"], *light["stop_time"]])
    figure, axes = plt.subplots(figsize=(9, 1.7 + 0.55 * len(recordings)))
    names = [name for name in epochs["stimulus_name"].unique() if name != "invalid_presentation"]
    for name, colour in zip(names, sns.color_palette("pastel", len(names))):
        mine = epochs[epochs["stimulus_name"] == name]
        axes.broken_barh(list(zip(mine["start_time"] / 60, mine["duration"] / 60)), (0.1, 0.8), color=colour, label=name.replace("_", " "))
    if len(light):
        first_s = light["start_time"].min()
        axes.broken_barh([(first_s / 60, (light["stop_time"].max() - first_s) / 60)], (0.1, 0.8), color=PALETTE[9], label="light pulses")
        axes.annotate("", xy=(first_s / 60 - 5, 0.5), xytext=(first_s / 60, 0.5), arrowprops={"arrowstyle": "<->", "color": "0.3"})
        axes.text(first_s / 60 - 2.5, 0.42, "300 s kept away from", ha="center", va="bottom", size="small", color="0.3")
    for at, recording in enumerate(recordings, start=1):
        axes.broken_barh([(start / 60, (stop - start) / 60) for start, stop in recording.intervals], (at + 0.1, 0.8), color="0.85", label="valid time" if at == 1 else None)
        edges = np.arange(0.0, recording.intervals.max() + 1.0)
        spikes = np.histogram(recording.times, edges)[0]
        axes.plot(edges[:-1] / 60, at + 0.85 - 0.7 * spikes / spikes.max(), color="0.25", lw=0.4, label="spikes/s, each probe to its own maximum" if at == 1 else None)
    axes.set(yticks=0.5 + np.arange(len(recordings) + 1), yticklabels=["session", *(recording.probe_id for recording in recordings)], ylim=(len(recordings) + 1, 0),
             xlim=(0, stop_s / 60), xlabel="time (min)", title=_named(recordings[0]).replace(f"-{recordings[0].probe_id}", ""))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), ncol=3, fontsize="small")
    return figure


@_styled
def unit_quality(units: pd.DataFrame, trusted, limits: dict[str, float], title: str = "") -> Figure:
    """Histograms of the metrics in `limits` (such as `QUALITY_LIMITS`), with the limits; `trusted`: the unit ids that pass all conditions."""
    figure, panels = plt.subplots(1, len(limits), figsize=(10, 3))
    for axes, (name, limit) in zip(panels, limits.items()):
        metric = name.rsplit("_", 1)[0]
        bins = np.linspace(units[metric].min(), units[metric].quantile(0.995), 30)
        axes.hist([units.loc[units.index.isin(trusted) == kept, metric] for kept in (True, False)], bins=bins, stacked=True,
                  color=[PALETTE[0], "0.7"], label=["trusted", "left out, for this or another reason"])
        axes.axvline(limit, color=PALETTE[3], ls="--", label="limit")
        axes.set(xlabel=metric.replace("_", " ").replace("isi violations", "ISI violations (ratio of rates)"), ylabel="units")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncol=3, fontsize="small")
    figure.suptitle(title, weight="bold", size="medium")
    return figure


@_styled
def identity(scores: pd.DataFrame, title: str = "") -> Figure:
    """The same cell found again in another session: one row for each method, one dot for each pair of sessions.

    scores : as `allen_two_photon.identity_score`, with the columns `method` and `cell_type` beside.
    """
    order, kinds = list(scores["method"].unique()), colours(scores["cell_type"])
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.38 * len(order)))
    for at, (kind, colour) in enumerate(kinds.items()):
        mine = scores[scores["cell_type"] == kind]
        row = mine["method"].map(order.index) + 0.4 * (at / max(len(kinds) - 1, 1) - 0.5)              # side by side, not on each other
        axes.plot(mine["top1"], row, "o", color=colour, label=kind, ms=5)
    axes.axvline(scores["chance"].mean(), color="0.5", ls="--", label="guessing")
    axes.set(yticks=range(len(order)), yticklabels=order, xlim=(-0.02, 1), xlabel="share of cells whose nearest is themselves", title=title)
    axes.invert_yaxis()
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@_styled
def separation(values: pd.DataFrame, is_positive: pd.Series, title: str = "") -> Figure:
    """How well one number tells positive units from the others: a panel for each column of `values`, a dot for each unit, the AUC."""
    from sklearn.metrics import roc_auc_score

    figure, panels = plt.subplots(1, values.shape[1], figsize=(4.5 * values.shape[1], 3.2), sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(panels[0], values):
        for row, kind in enumerate((False, True)):
            mine = values.loc[is_positive == kind, name]
            axes.plot(mine, row + np.linspace(-0.25, 0.25, len(mine)), "o", ms=4, alpha=0.7, color=PALETTE[3 if kind else 0])
        axes.axvline(0, color="0.7", lw=0.8, zorder=0)
        axes.set(title=f"{name}: AUC {roc_auc_score(is_positive, values[name]):.2f} (chance 0.5)", xlabel="extra spikes per pulse", yticks=[0, 1], yticklabels=["not tagged", "tagged"])
    figure.suptitle(title, weight="bold", size="medium")
    return figure
