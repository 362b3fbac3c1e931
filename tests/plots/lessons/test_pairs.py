"""Figures of pairs of views."""

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl

DISTANCES = np.array([-20, 0, 5, 20])
COUNTS = np.array([[9, 99, 0], [0, 9, 99], [0, 9, 99], [9, 0, 99]])  # the second and third alike


@pytest.mark.parametrize(
    "distance_s, starts, said, correlation",
    [(-20, 80, "not allowed", -0.5), (5, 105, "allowed", 1.0), (20, 120, "allowed", 0.5)],
)
def test_one_pair_says_where_it_lies_and_how_alike_it_is(distance_s, starts, said, correlation):
    figure = nl.plots.one_pair(
        100.0,
        DISTANCES,
        np.array([False, True, True, True]),
        COUNTS,
        distance_s,
        np.array([[90.0, 140.0]]),
        pd.DataFrame({"start_s": [0.0, 110.0], "stop_s": [110.0, 500.0], "name": ["dark", "film"]}),
        10.0,
        title="three units",
    )
    time, plane, line = figure.axes
    assert time.get_title() == f"view 2 starts at {starts} s: {said}"
    assert [text.get_text() for text in time.texts] == ["dark", "film"]
    [view_1, view_2] = time.patches[-2:]
    assert (view_1.get_x(), view_2.get_x()) == (100, starts) and view_2.get_width() == 10
    assert plane.get_title() == f"three units\ncorrelation {correlation:.2f}"
    [x], [y] = line.lines[-1].get_data()
    assert x == starts and y == pytest.approx(correlation)
    drawn = line.lines[0].get_ydata()
    assert np.isnan(drawn[0]) and not np.isnan(drawn[1:]).any(), "not allowed: not in colour"
