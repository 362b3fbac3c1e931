"""The figures: units on every axis, one style (`figure_style`). Each returns a Figure. Those of single notebooks are in files of their own (`plots_views`, `plots_transformer`, ...), and here by name."""
from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from .baselines import binned, population_coupling
from .figure_style import PALETTE, STYLE, colours, named, styled_figure  # noqa: F401 (STYLE is for figures of one's own)
from .plots_context import across_blocks, against_truth, between, neighbours, same_units, variants  # noqa: F401
from .plots_exercises import folds, found_among_nearest, gains_per_doubling, labels_needed, leak, resampled, two_less  # noqa: F401
from .plots_objective import attraction_fades, negatives, on_circle, pushes_of_views, readable_parts, sorting, temperature_weights  # noqa: F401
from .plots_sessions import identity, light_response, separation, session_timeline, unit_quality  # noqa: F401
from .plots_training import good_curve, gradient_norms, resumed, schedule, trouble  # noqa: F401
from .plots_transformer import attention_matrices, multiplications, rotary_hands, rows_permuted, two_attentions, what_reaches  # noqa: F401
from .plots_views import distances, found_by_copying, packing, second_views, spikes_in_bins, two_views  # noqa: F401
from .plots_your_data import abstaining, neighbour_agreement, strangers, trust, used_time  # noqa: F401
from .recording import Recording


@styled_figure
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
    axes.set(xlabel="time (s)", ylabel=kind_of_row, xlim=(start_s, start_s + duration_s), ylim=(-1, len(kinds) + (recording.modality == "calcium")), title=named(recording))
    return figure


@styled_figure
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


@styled_figure
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
    if "chance" in set(rows["method"]):
        axes.axvline(rows.set_index("method").loc["chance", "estimate"], color="0.5", ls="--", lw=1, zorder=0)
    axes.set(yticks=range(len(rows)), yticklabels=rows["method"], xlim=(0, 1.08), xlabel=metric.replace("_", " ").replace("f1", "F1"), title=title)
    axes.invert_yaxis()
    return figure


@styled_figure
def confusion(predictions: pd.DataFrame, title: str = "") -> Figure:
    """Share of each true class (row) that was predicted as each class (column), with counts. predictions : with columns true and predicted, as `decode` gives them."""
    classes = sorted(set(predictions["true"]) | set(predictions["predicted"]))
    counts = pd.crosstab(predictions["true"], predictions["predicted"]).reindex(index=classes, columns=classes, fill_value=0)
    share = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    figure, axes = plt.subplots(figsize=(1.9 + 0.75 * len(counts), 1.3 + 0.65 * len(counts)))
    notes = share.applymap("{:.0%}".format) if hasattr(share, "applymap") else share.map("{:.0%}".format)
    notes = notes + "\n" + counts.astype(str)
    sns.heatmap(share, annot=notes, fmt="", vmin=0, vmax=1, cmap="Blues", ax=axes, cbar=False, annot_kws={"size": 9})
    axes.set(title=title)
    axes.tick_params(axis="both", rotation=0)
    return figure


@styled_figure
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


@styled_figure
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


@styled_figure
def curves(table: pd.DataFrame, x: str, by: str = "method", dots: pd.DataFrame | None = None, fits: dict[str, pd.DataFrame] | None = None, xlabel: str = "",
           chance: float | None = None, title: str = "") -> Figure:
    """A score against a number or a share: a line through the means with its band (95 %), or means with intervals and the curve in `fits`, and a dot for each single result.

    table : rows as `comparison.summary` returns them, with columns `x`, `by`, estimate, low, high. dots : rows as `experiments.run` returns them, with `x` and `by`: one a seed and
    draw. fits : `by` -> `comparison.saturating_curve`; dotted beyond the largest x.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    for at, (kind, colour) in enumerate(zip(table[by].unique(), PALETTE)):
        mine = table[table[by] == kind].sort_values(x)
        beside = 2 ** (0.05 * at) if fits else 1.0                              # intervals at the same x would cover each other
        if dots is not None:
            single = dots[dots[by] == kind]
            axes.plot(single[x] * beside, single["macro_f1"], "o", color=colour, ms=3, alpha=0.35)
        if fits and kind in fits:
            fit, known = fits[kind], fits[kind]["n"] <= mine[x].max() * 1.0001
            axes.errorbar(mine[x] * beside, mine["estimate"], [mine["estimate"] - mine["low"], mine["high"] - mine["estimate"]], fmt="s", color=colour, ms=4, lw=1)
            axes.plot(fit["n"][known], fit["score"][known], color=colour, label=kind)
            axes.plot(fit["n"][~known], fit["score"][~known], color=colour, ls=":")
        else:
            axes.fill_between(mine[x], mine["low"], mine["high"], color=colour, alpha=0.12, lw=0)
            axes.plot(mine[x], mine["estimate"], color=colour, marker="os^DvP*X"[at % 8], ms=4, label=kind)
    if chance is not None:
        axes.axhline(chance, color="0.5", ls="--", lw=1, label="chance")
    axes.set_xscale("log", base=2)
    ticks = sorted(table[x].unique())
    reach = (min(table["low"].min(), chance if chance is not None else 1) - 0.05, table["high"].max() + 0.05)
    axes.set(xticks=ticks, xticklabels=[f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks], ylim=(max(reach[0], 0), min(reach[1], 1)), xlabel=xlabel or x, ylabel="macro F1", title=title)
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure
