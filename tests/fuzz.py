"""Generated input for tests: how many cases, and what spike trains, traces and names may look
like.
"""

import os
from functools import wraps

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import nuclr_lite as nl

# NUCLR_FUZZ=100: a hundred times the cases of the slow tests, others each time
MORE = int(os.environ.get("NUCLR_FUZZ", "0"))
# Windows of 3 s for spikes, of 2 s for calcium; an encoder that embeds in a millisecond.
SHAPE = dict(dim=8, heads=1, head_dim=8, temporal_layers=1, spatiotemporal_layers=1, dropout=0.0)
MODEL = nl.ModelConfig("spikes", 0.1, 5, 6, **SHAPE)
MODEL_CALCIUM = nl.ModelConfig("calcium", 0.25, 2, 4, **SHAPE)


class Refused(Exception):
    """The case ended in an error that says what to do."""


def cases(n: int, least: float = 0.15, **arguments):
    """Run a test on n generated cases; among the slow tests, on ten times as many. least : share of
    the cases that must not be refused.
    """

    def decorate(test):
        answered = []

        @wraps(test)
        def attempt(**drawn):
            try:
                test(**drawn)
                answered.append(1)
            except Refused:
                answered.append(0)

        @pytest.mark.parametrize("examples", [n, pytest.param(10 * n, marks=pytest.mark.slow)])
        def run(examples):
            longer = MORE if examples > n else 0
            answered.clear()
            settings(
                max_examples=examples * max(longer, 1),
                derandomize=not longer,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )(given(**arguments)(attempt))()
            assert len(answered) >= 0.9 * n and np.mean(answered) >= least, (
                f"{np.mean(answered):.0%} of {len(answered)} cases had an answer"
            )

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


# ---- spikes

# Seconds since 1970, and further than any clock; and times before zero.
OFFSETS_S = st.sampled_from([0.0, -57.25, 1234.5, 1.7e9, -1.7e9])
NAMES = st.text(min_size=1, max_size=8).filter(lambda text: text.replace("\0", ""))


@st.composite
def trains_ms(draw, max_units: int = 4, duration_ms: int = 12_000):
    """Spike times of some units in whole ms, in order: none, one, all at once, doubled, regular, or
    anywhere.
    """
    anywhere = st.integers(0, duration_ms)
    one = st.one_of(
        st.just([]),
        anywhere.map(lambda time: [time]),
        anywhere.map(lambda time: [time] * 50),
        st.lists(anywhere, max_size=25),
        st.integers(1, 900).map(
            lambda step: list(range(0, duration_ms, step * max(1, 60 // step)))
        ),
    )
    return [sorted(train) for train in draw(st.lists(one, min_size=1, max_size=max_units))]


class Milliseconds:
    """Times that carry their unit, as quantities and neo have them; an array of it keeps none."""

    units = "ms"

    def __init__(self, magnitude):
        self.magnitude = np.asarray(magnitude, dtype=float)

    def __array__(self, dtype=None, copy=None):
        return self.magnitude

    def rescale(self, units):
        assert units == "s"
        return Milliseconds(self.magnitude / 1000)


# What the same seconds, one array a unit from unit 0 on, may come as.
FORMS = st.sampled_from(
    [
        tuple,
        lambda trains: dict(enumerate(trains)),
        lambda trains: {f"{n}.0": train for n, train in enumerate(trains)},
        lambda trains: pd.Series(trains, index=np.arange(len(trains), dtype=float)),
        lambda trains: [train.tolist() for train in trains],
        lambda trains: [train.astype(object) for train in trains],
        lambda trains: [train[::-1] for train in trains],
        lambda trains: [Milliseconds(1000 * train) for train in trains],
        lambda trains: [
            Milliseconds(1000 * train) if n % 2 else train for n, train in enumerate(trains)
        ],
        lambda trains: [(1e9 * train).round().astype("timedelta64[ns]") for train in trains],
        lambda trains: [np.r_[train, -9.0, -9.0] for train in trains],
    ]
)


@st.composite
def intervals_ms(draw, duration_ms: int = 12_000):
    """Valid time: None, all of it, or stretches in order, which may touch or be empty."""
    edges = sorted(draw(st.lists(st.integers(-500, duration_ms + 500), min_size=2, max_size=6)))
    pairs = list(zip(edges[::2], edges[1::2]))
    everything = [(-500, duration_ms + 500)]
    return draw(st.sampled_from([None, everything, everything, pairs, pairs]))


def recording_of(
    trains,
    intervals=None,
    offset_s: float = 0.0,
    scale: float = 1e-3,
    name="rec",
    animal="a",
    **options,
) -> nl.Recording:
    """A recording of spike trains in ms."""
    seconds = [offset_s + scale * np.array(train, dtype=float) for train in trains]
    if intervals is not None:
        intervals = [
            [offset_s + scale * start, offset_s + scale * stop] for start, stop in intervals
        ]
    return nl.Recording.from_spike_trains(
        seconds,
        options.pop("units", None),
        intervals,
        recording_id=name,
        animal_id=animal,
        **options,
    )


# ---- traces


@st.composite
def imaged(draw):
    """Traces (frames, units), their rate, start and intervals (None: all frames): constant or not,
    some frames NaN outside the intervals.
    """
    rate, offset = (
        draw(st.sampled_from([1.0, 4.0, 3.7, 1 / 0.23344, 30.0, 7.5, 31.25])),
        draw(OFFSETS_S),
    )
    n_frames, n_units = draw(st.integers(1, int(14 * rate))), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    traces = draw(
        st.sampled_from(
            [
                rng.normal(0.2, 1.0, (n_frames, n_units)),
                np.full((n_frames, n_units), 0.7),
                rng.exponential(1.0, (n_frames, n_units))
                * (rng.random((n_frames, n_units)) < 0.05),
            ]
        )
    )
    edges = sorted(draw(st.lists(st.integers(0, 4 * n_frames), min_size=2, max_size=6)))
    # in quarters of a frame: some cut one
    quarters = draw(st.sampled_from([None, list(zip(edges[::2], edges[1::2]))]))
    if quarters is not None:
        valid = np.zeros(n_frames, dtype=bool)
        for start, stop in quarters:
            valid[-(-start // 4) : stop // 4] = True
        traces = np.where(valid[:, None], traces, np.nan)
    return traces.astype(np.float32), rate, offset, quarters


def recording_of_traces(traces, rate, offset_s, quarters, name="rec", **options) -> nl.Recording:
    intervals = (
        None
        if quarters is None
        else [[offset_s + start / 4 / rate, offset_s + stop / 4 / rate] for start, stop in quarters]
    )
    return nl.Recording.from_traces(
        traces,
        rate,
        intervals=intervals,
        start_s=offset_s,
        recording_id=name,
        animal_id="a",
        **options,
    )
