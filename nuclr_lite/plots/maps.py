"""Figures of recordings and of embeddings: activity, correlations alone and together, a map."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..experiments.baselines import binned, population_coupling
from ..recording import Recording
from .style import colours, named, styled_figure


@styled_figure
def activity(
    recording: Recording,
    label: str | None = None,
    start_s: float | None = None,
    duration_s: float = 20.0,
) -> Figure:
    """Spike raster, or dF/F traces, of a stretch of a recording; units sorted and coloured by a
    column of the units table.
    """
    start_s = recording.intervals[0, 0] if start_s is None else start_s
    kinds = (
        recording.units[label].fillna("unknown").astype(str)
        if label
        else pd.Series("units", index=recording.units.index)
    )
    order = np.argsort(kinds.to_numpy(), kind="stable")
    place = np.argsort(order)
    palette = colours(kinds)
    figure, axes = plt.subplots(figsize=(8, 4.2))
    if recording.modality == "spikes":
        first, stop = np.searchsorted(recording.times, [start_s, start_s + duration_s])
        rows = np.asarray(recording.unit_rows[first:stop])
        axes.scatter(
            recording.times[first:stop],
            place[rows],
            s=6,
            marker="|",
            linewidths=0.8,
            color=[palette[kind] for kind in kinds.to_numpy()[rows]],
        )
    else:
        first = int((start_s - recording.start_s) * recording.sampling_rate_hz)
        frames = np.arange(
            first, min(first + int(duration_s * recording.sampling_rate_hz), len(recording.traces))
        )
        if recording.n_units > 60:  # lines would cover each other
            shade = np.asarray(recording.traces)[frames][:, order].T / recording.trace_scale
            axes.imshow(
                shade,
                aspect="auto",
                origin="lower",
                cmap="Greys",
                vmin=0,
                vmax=1,
                interpolation="nearest",
                extent=(
                    start_s,
                    start_s + len(frames) / recording.sampling_rate_hz,
                    -0.5,
                    len(kinds) - 0.5,
                ),
            )
        for row in order if recording.n_units <= 60 else ():
            axes.plot(
                recording.start_s + frames / recording.sampling_rate_hz,
                place[row] + recording.traces[frames, row] / recording.trace_scale,
                color=palette[kinds.iloc[row]],
                lw=0.8,
            )
    for kind, colour in palette.items():
        mine = place[(kinds == kind).to_numpy()]
        if label:
            axes.text(
                1.01,
                (mine.min() + mine.max()) / 2 / len(kinds),
                kind,
                color=colour,
                transform=axes.transAxes,
                va="center",
                weight="bold",
            )
    kind_of_row = (
        "unit" if recording.modality == "spikes" else "cell (one step: the 99th percentile of dF/F)"
    )
    axes.set(
        xlabel="time (s)",
        ylabel=kind_of_row,
        xlim=(start_s, start_s + duration_s),
        ylim=(-1, len(kinds) + (recording.modality == "calcium")),
        title=named(recording),
    )
    return figure


@styled_figure
def alone_and_together(
    recording: Recording, label: str = "cell_type", max_lag_s: float = 3.0, step_s: float = 0.05
) -> Figure:
    """Why context matters: autocorrelation of single units beside their correlation with everybody
    else, by label.

    Curves are means over the units of a label; bands one standard deviation over units.
    """
    if recording.modality == "calcium":
        step_s, max_lag_s = 1 / recording.sampling_rate_hz, 4 * max_lag_s
    together = population_coupling(recording, step_s, max_lag_s).to_numpy()  # (units, lags)
    z = np.concatenate(binned(recording, step_s), axis=1)
    z = (z - z.mean(axis=1, keepdims=True)) / np.maximum(z.std(axis=1, keepdims=True), 1e-9)
    lags = np.arange(together.shape[1]) - together.shape[1] // 2
    alone = np.stack(
        [(z[:, abs(lag) :] * z[:, : z.shape[1] - abs(lag)]).mean(axis=1) for lag in lags], axis=1
    )
    alone[:, lags == 0] = np.nan  # 1 by definition
    kinds = recording.units[label].astype(str).to_numpy()
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
    for axes, curves, title in zip(
        panels,
        (alone, together),
        ("a unit alone: its autocorrelation", "a unit and the others: cross-correlation"),
    ):
        for kind, colour in colours(kinds).items():
            mine = curves[kinds == kind]
            axes.plot(lags * step_s, mine.mean(axis=0), color=colour, label=kind)
            axes.fill_between(
                lags * step_s,
                mine.mean(axis=0) - mine.std(axis=0),
                mine.mean(axis=0) + mine.std(axis=0),
                color=colour,
                alpha=0.15,
                lw=0,
            )
        axes.axhline(0, color="0.7", lw=0.8, zorder=0)
        axes.set(xlabel="lag (s)", ylabel="correlation", title=title)
    panels[1].legend(fontsize="small", title=label)
    return figure


@styled_figure
def map(
    embedding: pd.DataFrame, labels: pd.Series | None = None, title: str = "", seed: int = 0
) -> Figure:
    """A two-dimensional map of embeddings (t-SNE): units that are alike lie close.

    Distances across the map mean little.

    labels : Series on the embedding's index, for the colours.
    """
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    if len(embedding) < 4:
        raise ValueError(f"a map of {len(embedding)} units says nothing; embed at least 4.")
    flat = TSNE(
        perplexity=min(30, (len(embedding) - 1) / 3),
        init="pca",
        learning_rate="auto",
        random_state=seed,
    ).fit_transform(StandardScaler().fit_transform(embedding))
    figure, axes = plt.subplots(figsize=(5.4, 4.2))
    kinds = (
        pd.Series("units", index=embedding.index)
        if labels is None
        else labels.reindex(embedding.index).fillna("unlabelled").astype(str)
    )
    for kind, colour in colours(kinds).items():
        mine = (kinds == kind).to_numpy()
        axes.scatter(
            flat[mine, 0],
            flat[mine, 1],
            s=14,
            color=colour,
            label=f"{kind} ({mine.sum()})",
            linewidths=0,
        )
    if labels is not None:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8)
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2", title=title)
    return figure
