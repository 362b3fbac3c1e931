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


def test_units_in_company():
    """The units where they are in this company, with those before; probabilities side by side."""
    rng = np.random.default_rng(0)
    types = pd.Series(list("xy") * 20)
    places = {"0": np.array([[0.0, 0.0], [9.0, 9.0]]), "all": np.array([[3.0, 1.0], [2.0, 5.0]])}
    share = pd.DataFrame([[0.75, 0.25], [0.5, 0.5]], index=["x", "y"], columns=["x", "y"])
    learned, frames = rng.standard_normal((40, 2)), []
    for company, trail in (("0", 1), ("all", 2)):
        plane, bars = nl.plots.in_company(
            places, {company: share}, company, learned, types, title="two units"
        ).axes
        assert plane.get_title() == f"two units\nothers beside each: {company}"
        dots = [line.get_xydata() for line in plane.lines if line.get_marker() == "o"]
        assert np.array_equal(np.concatenate(dots), places[company])
        trails = [line for line in plane.lines if line.get_marker() == "."]
        assert [len(line.get_xdata()) for line in trails] == [trail] * 2
        assert [bar.get_width() for bar in bars.patches] == [0.75, 0.5, 0.25, 0.5]
        assert [bar.get_x() for bar in bars.patches] == [0, 0, 0.75, 0.5]
        frames.append((plane.get_xlim(), plane.get_ylim()))
    assert frames[0] == frames[1] and frames[0][0][1] > 9, "the same frame in all companies"
