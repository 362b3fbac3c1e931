"""Intervals: where several cover the same time."""

import numpy as np
from hypothesis import given, strategies as st

from nuclr_lite.files.intervals import covered


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=8), st.integers(1, 3))
def test_covered_is_counting(intervals, depth):
    """On a grid of half steps: between whole numbers an interval covers a half step or not."""
    found = covered(np.array(intervals, dtype=float).reshape(-1, 2), depth)
    middles = np.arange(12) + 0.5
    expected = (
        sum((middles > start) & (middles < stop) for start, stop in intervals) >= depth
        if intervals
        else np.zeros(12, bool)
    )
    np.testing.assert_array_equal(
        [any(start < m < stop for start, stop in found) for m in middles], expected
    )
    assert (found[:, 1] > found[:, 0]).all() and (found[1:, 0] > found[:-1, 1]).all()
