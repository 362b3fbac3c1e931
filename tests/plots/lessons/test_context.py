"""Figures about company: who attends to whom, the same units alone and together."""

import numpy as np
import pandas as pd

import nuclr_lite as nl


def test_figures():
    kinds, rng = ["a", "b"], np.random.default_rng(0)
    square = pd.DataFrame([[1.0, 0.5], [2.0, np.nan]], index=kinds, columns=kinds)
    one = nl.plots.between(
        {"head 1": square, "head 2": square}, "who attends", "to whom", title="simulated"
    )
    assert [axes.get_title() for axes in one.axes] == ["head 1", "head 2"] and {
        text.get_text() for text in one.axes[0].texts
    } == {"1.00", "0.50", "2.00"}
    assert [
        text.get_text()
        for text in nl.plots.across_blocks({"": square / 2}, "fit in", "tested in").axes[0].texts
    ] == ["0.50", "0.25", "1.00"]
    company = pd.DataFrame(
        {
            "who": ["own", "own", "own", "other"],
            "others": ["all", 0, 15, 15],
            "estimate": 0.5,
            "low": 0.4,
            "high": 0.6,
        }
    ).iloc[[1, 2, 0, 3]]
    axes = nl.plots.neighbours(company, 0.25).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "15", "all"]
    table = pd.DataFrame(rng.standard_normal((30, 4)))
    labels = pd.Series(rng.choice(["x", "y", "z"], 30))
    panels = nl.plots.same_units(
        {"alone": table[20:], "together": table[20:] + 1}, labels, table[:20]
    ).axes
    assert (
        len(panels) == 2
        and sum(len(points.get_offsets()) for points in panels[0].collections) == 10
    )
    many, more = (
        pd.DataFrame(rng.standard_normal((60, 4))),
        pd.Series(rng.choice(["x", "y", "z"], 61)),
    )
    crowd, outlier = nl.plots.same_units(
        {"crowd": many, "outlier": 1e4 + pd.DataFrame(np.eye(4)[:1], index=[60])}, more, many
    ).axes
    assert "(1 of 1 lie outside)" in outlier.get_xlabel() and np.ptp(crowd.get_xlim()) < 20
    shown = nl.plots.against_truth(
        table[0], pd.DataFrame({"same": table[0], "opposite": -table[0]}), labels, "influence"
    ).axes
    assert [axes.get_title() for axes in shown] == [
        "rank correlation +1.00",
        "rank correlation -1.00",
    ]
