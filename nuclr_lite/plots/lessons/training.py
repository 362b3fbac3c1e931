"""Figures of `05_pretraining`: the schedule, gradient norms, a run resumed, trouble.

Each returns a Figure.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure


@styled_figure
def schedule(
    rates: dict[str, list[float]], warmup_steps: dict[str, int], title: str = ""
) -> Figure:
    """Learning rate by step: schedules of one length share a panel, others get one each.

    The warm-up is shaded.

    rates : name -> (steps,) learning rate of each step. warmup_steps : name -> steps of its linear
        rise.
    """
    one_panel = len({len(values) for values in rates.values()}) == 1
    groups = [list(rates)] if one_panel else [[name] for name in rates]
    figure, panels = plt.subplots(
        1, len(groups), figsize=(5.6 if one_panel else 4.4 * len(groups), 3.0), squeeze=False
    )
    hues = dict(zip(rates, PALETTE))
    for axes, names in zip(panels[0], groups):
        for name in names:
            steps = len(rates[name])
            axes.plot(np.arange(1, steps + 1), rates[name], color=hues[name], lw=2, label=name)
            if warmup_steps[name]:
                axes.axvspan(0, warmup_steps[name], color=hues[name], alpha=0.15, lw=0)
        peak = max(max(rates[name]) for name in names)
        axes.set(
            xlabel="step",
            ylabel="learning rate",
            xlim=(-0.01 * steps, 1.01 * steps),
            ylim=(0, 1.08 * peak),
            title="" if one_panel else f"{names[0]}: {steps:,} steps",
        )
        axes.xaxis.set_major_locator(plt.MaxNLocator(4))
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
        if one_panel:
            axes.legend(fontsize="small")
        elif warmup_steps[names[0]] / steps > 0.004:
            axes.annotate(
                f"warm-up,\n{warmup_steps[names[0]]:,} steps",
                (warmup_steps[names[0]], 0.35 * peak),
                (0.1 * steps, 0.28 * peak),
                color=hues[names[0]],
                fontsize="small",
                arrowprops={"arrowstyle": "->", "color": hues[names[0]]},
            )
    if title:
        figure.suptitle(title, weight="bold", fontsize="medium")
    return figure


@styled_figure
def gradient_norms(norms: pd.DataFrame, clip: float, title: str = "") -> Figure:
    """Gradient norm of each part by step, before clipping; filled dots are those that were clipped.

    norms : a column `step`, and one column a part with its norm. clip : the largest norm that is
        let through.
    """
    figure, (axes, spread) = plt.subplots(
        1, 2, figsize=(8.2, 3.1), width_ratios=[3, 1], sharey=True
    )
    parts = [name for name in norms if name != "step"]
    for at, (name, colour, mark) in enumerate(
        zip(parts, (PALETTE[0], PALETTE[1], PALETTE[2]), "os^")
    ):
        over = norms[name] > clip
        axes.plot(norms["step"], norms[name], color=colour, lw=0.8, alpha=0.5)
        axes.plot(norms["step"][over], norms[name][over], mark, color=colour, ms=4, label=name)
        axes.plot(norms["step"][~over], norms[name][~over], mark, color=colour, ms=4, mfc="white")
        low, middle, high = np.quantile(norms[name], [0.25, 0.5, 0.75])
        spread.plot([at, at], [norms[name].min(), norms[name].max()], color=colour, lw=1)
        spread.plot([at, at], [low, high], color=colour, lw=6, solid_capstyle="butt")
        spread.plot(at, middle, mark, color="white", mec=colour, ms=6)
    for panel in (axes, spread):
        panel.axhline(clip, color="0.4", ls="--", lw=1, zorder=0)
    axes.plot([], [], color="0.4", ls="--", lw=1, label="clipped above (filled)")
    axes.set(xlabel="step", ylabel="gradient norm", yscale="log", title=title)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_yticks([0.1, 0.3, 1, 3, 10])
    axes.minorticks_off()
    axes.set_ylim(0.8 * norms[parts].min().min(), 2.4 * max(norms[parts].max().max(), clip))
    spread.set(
        xticks=range(len(parts)),
        xticklabels=parts,
        xlim=(-0.6, len(parts) - 0.4),
        title="quartiles, range",
    )
    axes.legend(
        fontsize="small",
        loc="upper left",
        ncols=len(parts) + 1,
        columnspacing=1.0,
        handletextpad=0.4,
    )
    return figure


@styled_figure
def resumed(
    whole: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, title: str = ""
) -> Figure:
    """A run without a break, wide and grey, and on it one that went on from its checkpoint.

    whole, after : histories of the two complete runs. before : the history in the checkpoint.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    axes.plot(
        whole["step"],
        whole["loss"],
        color="0.75",
        lw=8,
        solid_capstyle="round",
        label="without a break",
        zorder=0,
    )
    rest = after[after["step"] > before["step"].iloc[-1]]
    axes.plot(
        before["step"], before["loss"], "o-", color=PALETTE[0], ms=5, label="up to the checkpoint"
    )
    axes.plot(rest["step"], rest["loss"], "s--", color=PALETTE[3], ms=5, label="resumed from it")
    axes.axvline(before["step"].iloc[-1], color="0.4", ls=":", lw=1)
    axes.text(
        before["step"].iloc[-1],
        0.02,
        " checkpoint",
        color="0.4",
        fontsize="small",
        transform=axes.get_xaxis_transform(),
    )
    axes.set(xlabel="step", ylabel="loss (nats)", title=title)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@styled_figure
def trouble(
    runs: dict[str, pd.DataFrame],
    healthy: pd.DataFrame,
    collapsed: float,
    title: str = "What goes wrong, and where it shows (simulated)",
) -> Figure:
    """Small multiples: a column a run, and loss, finding itself and RankMe below each other; the
    healthy run in grey in each.

    A row has one scale, that of the healthy run and of collapse; a run that leaves it far behind
    gets a scale of its own, with its numbers in its colour.
    runs : what was changed -> history, as `pretrain` gives it. healthy : the history with nothing
        changed.
    collapsed : the loss of vectors that are all the same (nats).
    """

    def smooth(history, kind):
        """Batches differ more than neighbouring steps do: a running mean."""
        return history[kind].rolling(max(1, len(history) // 6), min_periods=1, center=True).mean()

    rows = {
        "loss": (
            "loss (nats)",
            (min(smooth(healthy, "loss").min(), collapsed) - 0.1, collapsed + 0.1),
        ),
        "retrieval_accuracy": (
            "finds itself\n(share of units)",
            (0, 2.2 * smooth(healthy, "retrieval_accuracy").max()),
        ),
        "rank_me": ("RankMe\n(dimensions)", (0, 1.25 * smooth(healthy, "rank_me").max())),
    }
    figure, panels = plt.subplots(
        3, len(runs), figsize=(2.3 * len(runs) + 0.8, 6.2), sharex=True, squeeze=False
    )
    for at, (name, run) in enumerate(runs.items()):
        for axes, (kind, (label, (low, high))) in zip(panels[:, at], rows.items()):
            curve, last = smooth(run, kind), smooth(run, kind).iloc[-1]
            axes.plot(
                healthy["step"],
                smooth(healthy, kind),
                color="0.65",
                lw=2.5,
                marker="." if len(run) < 5 else None,
            )
            axes.plot(
                run["step"], curve, color=PALETTE[3], lw=2, marker="." if len(run) < 5 else None
            )
            own_scale = last < low or last > high
            axes.set_ylim(
                (min(low, curve.min() - 0.15) if low else 0, max(high, 1.06 * curve.max()))
                if own_scale
                else (low, high)
            )
            axes.tick_params(
                axis="y",
                labelleft=own_scale or at == 0,
                labelcolor=PALETTE[3] if own_scale else "0.15",
            )
            if at == 0:
                axes.set_ylabel(label)
            if kind == "retrieval_accuracy":
                axes.axhline(healthy["retrieval_chance"].mean(), color="black", ls="--", lw=1)
            else:
                axes.axhline(collapsed if kind == "loss" else 1, color="black", ls=":", lw=1.2)
            axes.xaxis.set_major_locator(plt.MaxNLocator(3))
        panels[0, at].set_title(name, fontsize="small")
        panels[-1, at].set_xlabel("step")
    lines = [
        plt.Line2D([], [], color="0.65", lw=2.5),
        plt.Line2D([], [], color=PALETTE[3], lw=2),
        plt.Line2D([], [], color="black", ls=":"),
        plt.Line2D([], [], color="black", ls="--"),
    ]
    figure.legend(
        lines,
        ["as it should be", "in trouble", "all vectors the same", "chance"],
        loc="outside lower center",
        ncols=4,
        fontsize="small",
    )
    figure.suptitle(title, weight="bold", fontsize="medium")
    return figure


@styled_figure
def good_curve(history: pd.DataFrame, collapsed: float, title: str = "") -> Figure:
    """What one watches, on scales on which one sees it: thin, the rows of the history; thick, their
    running mean.

    history : as `pretrain` gives it. collapsed : the loss of vectors that are all the same (nats).
    """
    smooth = history.rolling(max(1, len(history) // 6), min_periods=1, center=True).mean()
    figure, (loss, parts, found, rank) = plt.subplots(1, 4, figsize=(11, 2.9))
    dots = "." if len(history) < 5 else None

    def both(axes, name, colour, shift=0.0, **options):
        axes.plot(history["step"], history[name] - shift, color=colour, lw=0.8, alpha=0.35)
        axes.plot(
            history["step"], smooth[name] - shift, color=colour, lw=2.2, marker=dots, **options
        )

    both(loss, "loss", PALETTE[0])
    loss.axhline(collapsed, color="black", ls=":", lw=1.2)
    loss.annotate(
        "collapsed",
        (0.98, collapsed),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize="small",
    )
    loss.set(ylabel="nats", title="loss", ylim=(history["loss"].min() - 0.05, collapsed + 0.12))
    for name, colour in (("attraction", PALETTE[2]), ("repulsion", PALETTE[3])):
        both(parts, name, colour, history[name].iloc[0])
        parts.text(
            0.98,
            0.93 if name == "attraction" else 0.02,
            name,
            color=colour,
            fontsize="small",
            ha="right",
            transform=parts.transAxes,
        )
    parts.axhline(0, color="0.7", lw=0.8, zorder=0)
    parts.margins(y=0.18)
    parts.set(ylabel="change (nats)", title="its two parts")
    both(found, "retrieval_accuracy", PALETTE[0])
    found.plot(history["step"], history["retrieval_chance"], color="black", ls="--", lw=1)
    found.annotate(
        "chance",
        (history["step"].iloc[-1], history["retrieval_chance"].mean()),
        xytext=(0, -11),
        textcoords="offset points",
        ha="right",
        fontsize="x-small",
    )
    found.set(ylabel="share of units", title="finds itself", ylim=(0, None))
    both(rank, "rank_me", PALETTE[0])
    rank.axhline(1, color="black", ls=":", lw=1.2)
    rank.annotate(
        "collapsed",
        (0.98, 1),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize="small",
    )
    rank.set(ylabel="dimensions", title="RankMe", ylim=(0, None))
    for axes in (loss, parts, found, rank):
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(plt.MaxNLocator(4))
    if title:
        figure.suptitle(title, weight="bold", fontsize="medium")
    return figure
