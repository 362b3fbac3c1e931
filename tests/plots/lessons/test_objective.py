"""Figures of the objective."""

import numpy as np
import pytest

import nuclr_lite as nl


def test_shares_of_the_push_are_those_of_the_temperature_shown():
    weights = {0.1: np.array([0.1, 0.9]), 1.0: np.array([0.4, 0.6])}
    for temperature, push in ((0.1, "10"), (1.0, "1")):
        bars, line = nl.plots.temperature_weights(
            [0.0, 0.8], weights, {0.1: 0.7, 1.0: 0.5}, temperature
        ).axes
        assert [bar.get_height() for bar in bars.patches] == list(weights[temperature])
        assert [text.get_text() for text in bars.texts] == [
            f"{share:.0%}" for share in weights[temperature]
        ]
        assert bars.get_title() == f"temperature {temperature:g}: a push of {push} in all"
        assert [level.get_ydata()[0] for level in line.lines[:2]] == pytest.approx([0.8, 0.4])
        [x], [y] = line.lines[-1].get_data()
        assert (x, y) == (temperature, {0.1: 0.7, 1.0: 0.5}[temperature])
