"""Figures are drawn for every kind of input, with units on their axes, and leave the user's
settings alone.
"""

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import nuclr_lite as nl
from nuclr_lite.sources.simulated import CALCIUM, SPIKES


@pytest.mark.parametrize("config, modality", [(SPIKES, "spikes"), (CALCIUM, "calcium")])
def test_recordings(config, modality):
    recording = nl.simulate_recordings(1, modality, config=replace(config, duration_s=60.0))[0]
    for label in ("cell_type", None):
        axes = nl.plots.activity(recording, label, duration_s=10).axes[0]
        assert axes.get_xlabel() == "time (s)" and axes.get_ylabel().startswith(
            "unit" if modality == "spikes" else "cell"
        )
        assert {text.get_text() for text in axes.texts} == (
            set(recording.units["cell_type"]) if label else set()
        )
    left, right = nl.plots.alone_and_together(recording).axes
    assert left.get_xlabel() == "lag (s)" and len(right.get_legend().get_texts()) == 4


def test_many_traces_are_an_image():
    recording = nl.Recording.from_traces(
        np.random.default_rng(0).random((200, 70)), 4.0, recording_id="r", animal_id="a"
    )
    assert len(nl.plots.activity(recording).axes[0].images) == 1


def test_scores_confusion_history_and_map():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [["r0", "r1", "r2"], range(12)], names=["recording_id", "unit_id"]
    )
    features = pd.DataFrame(rng.standard_normal((36, 3)), index=index)
    labels = pd.Series(rng.choice(["A", "B"], 36), index=index)
    table, results = nl.score_table(
        {"NuCLR": features}, labels, pd.Series(index.get_level_values(0), index=index)
    )
    axes = nl.plots.scores(table).axes[0]
    assert axes.get_xlabel() == "macro F1" and [
        t.get_text() for t in axes.get_yticklabels()
    ] == list(results)
    assert "%" in nl.plots.confusion(results["NuCLR"].predictions).axes[0].texts[0].get_text()
    assert nl.plots.map(features).axes[0].get_legend() is None
    # A, B, unlabelled
    assert len(nl.plots.map(features, labels.iloc[:30]).axes[0].get_legend().get_texts()) == 3
    with pytest.raises(ValueError, match="at least 4"):
        nl.plots.map(features.iloc[:3])
    history = pd.DataFrame(
        {
            name: [1.0, 0.5]
            for name in (
                "step",
                "loss",
                "attraction",
                "repulsion",
                "retrieval_accuracy",
                "retrieval_chance",
                "rank_me",
            )
        }
    )
    assert [axes.get_xlabel() for axes in nl.plots.history(history).axes] == ["step"] * 3


def test_settings_and_open_figures_are_left_alone():
    before, figures = dict(matplotlib.rcParams), plt.get_fignums()
    nl.plots.map(pd.DataFrame(np.eye(8)))
    assert dict(matplotlib.rcParams) == before and plt.get_fignums() == figures


def test_simulated_recordings_say_so(recordings, calcium_recordings):
    assert "simulated" in nl.plots.activity(recordings[0]).axes[0].get_title()
    disguised = replace(
        recordings[0],
        recording_id="allen-1-probeA",
        provenance={"institution": "simulated by nuclr_lite"},
    )
    assert nl.plots.activity(disguised).axes[0].get_title() == "allen-1-probeA (simulated)"


def test_curves_show_bands_dots_and_where_nothing_is_known():
    table = pd.DataFrame(
        {
            "method": ["NuCLR"] * 3 + ["hand"] * 3,
            "n": [1, 2, 4] * 2,
            "estimate": [0.2, 0.4, 0.5, 0.3, 0.3, 0.3],
        }
    )
    table = table.assign(low=table["estimate"] - 0.1, high=table["estimate"] + 0.1)
    draws = table["estimate"].to_numpy()[:3, None] + np.random.default_rng(0).normal(
        0, 0.02, (3, 20)
    )
    fit = nl.comparison.saturating_curve([1, 2, 4], table["estimate"][:3], draws, to=8)
    axes = nl.plots.curves(
        table,
        "n",
        dots=table.assign(macro_f1=table["estimate"]),
        fits={"NuCLR": fit},
        chance=0.25,
        title="simulated",
    ).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "NuCLR",
        "hand",
        "chance",
    ]
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert len(dotted) == 1 and dotted[0].get_xdata().min() > 4


def test_single_results_beside_their_means():
    table = pd.DataFrame(
        {
            "method": ["NuCLR", "VICReg", "chance"],
            "metric": "macro_f1",
            "estimate": [0.5, 0.4, 0.25],
            "low": 0.2,
            "high": 0.6,
        }
    )
    single = pd.DataFrame({"method": ["NuCLR", "NuCLR"], "macro_f1": [0.45, 0.55]})
    axes = nl.plots.scores(table, dots=single).axes[0]
    assert axes.get_xlabel() == "macro F1 (small dots: single seeds)"
    assert [0.45, 0.55] in [list(line.get_xdata()) for line in axes.lines]
    assert {0.25, 0.5} <= {
        line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1
    }
