"""Figures about sessions: the same cell found again, and what tells types apart."""

import pandas as pd

import nuclr_lite as nl


def test_identity_and_separation_panels():
    scores = pd.DataFrame(
        {
            "method": ["NuCLR", "NuCLR", "hand"],
            "cell_type": ["Sst", "Vip", "Sst"],
            "top1": [0.5, 0.4, 0.1],
            "chance": 0.05,
        }
    )
    assert [
        text.get_text()
        for text in nl.plots.identity(scores, title="simulated").axes[0].get_yticklabels()
    ] == ["NuCLR", "hand"]
    values = pd.DataFrame({"light": [1.0, 0.9, 0.0, 0.1], "none": [0.0, 0.1, 0.1, 0.0]})
    titles = [
        axes.get_title()
        for axes in nl.plots.separation(values, pd.Series([True, True, False, False])).axes
    ]
    assert titles == ["light: AUC 1.00 (chance 0.5)", "none: AUC 0.50 (chance 0.5)"]
