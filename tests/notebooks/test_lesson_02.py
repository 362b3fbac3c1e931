"""What 02_views builds by hand does what nuclr_lite.views does, on random recordings."""

from dataclasses import replace

import course
import numpy as np
import pytest
import torch
from helpers import TINY, TINY_CALCIUM, clock, spikes

import nuclr_lite as nl

SEEDS = range(5)
# windows are 2 s: the second is too short
GAPS = [[0.0, 22.0], [22.5, 25.0], [25.5, 40.0], [90.0, 99.0]]


@pytest.fixture(scope="module")
def lesson():
    return course.definitions(course.HERE / "02_views.py")


def recording(seed: int, **options) -> nl.Recording:
    """Half of the spikes lie on the millisecond, where edges of bins do, too."""
    made = spikes(n_units=9, duration_s=100.0, rate_hz=1.5, seed=seed, **options)
    trains = [
        np.r_[train[::2], train[1::2].round(3)]
        for train in (made.spike_times(unit) for unit in made.units.index)
    ]
    return nl.Recording.from_spike_trains(
        [np.sort(train) for train in trains],
        made.units,
        made.intervals,
        recording_id=made.recording_id,
        animal_id="a",
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_both_ways_of_counting_are_the_modules(lesson, seed):
    rng, one = np.random.default_rng(seed), recording(seed)
    for start_s in np.r_[rng.uniform(0, 98, 10), rng.uniform(0, 98, 10).round(1)]:
        arguments = dict(n_units=9, start_s=start_s, bin_s=0.1, n_bins=20)
        slow = lesson["count_in_bins"](one.times, one.unit_rows, **arguments, slack=lesson["SLACK"])
        np.testing.assert_array_equal(
            lesson["count_fast"](one.times, one.unit_rows, **arguments), slow
        )
        rows = np.sort(rng.permutation(9)[:5])
        tokens, present = lesson["spike_tokens"](one, start_s, TINY.model, rows)
        theirs, their_rows = nl.Windows(one, TINY.model).samples(start_s, rows)
        np.testing.assert_array_equal(tokens, theirs)
        np.testing.assert_array_equal(present, their_rows)
        assert tokens.dtype == theirs.dtype and set(present) <= set(rows)


def test_without_slack_counting_goes_wrong_and_the_lesson_says_so(lesson):
    times = np.array([1.16, 1.20, 1.22])
    right, wrong = (
        lesson["count_in_bins"](times, [0, 0, 0], 1, 1.1, 0.02, 6, slack=slack)[0].tolist()
        for slack in (lesson["SLACK"], 0.0)
    )
    assert right == [0, 0, 0, 1, 0, 1] and wrong == [0, 0, 1, 0, 1, 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_are_the_modules(lesson, seed):
    traces = np.random.default_rng(seed).normal(size=(200, 6)).astype(np.float32)
    imaged = nl.Recording.from_traces(traces, 4.0, recording_id="r", animal_id="a")
    model, first = TINY_CALCIUM.model, 17 * seed
    tokens, rows = nl.Windows(imaged, model).samples(first / 4.0)
    np.testing.assert_array_equal(
        lesson["frame_tokens"](
            traces, imaged.trace_scale, first, model.tokens_per_window, model.samples_per_token
        ),
        tokens,
    )
    assert rows.tolist() == list(range(6))


@pytest.mark.parametrize("seed", SEEDS)
def test_first_views_are_the_modules(lesson, seed):
    one = recording(seed, intervals=GAPS)
    pairs = nl.PairedViews([one], TINY.model, TINY.views, batch_size=4, seed=seed)
    for epoch in (0, 3):
        pairs.set_epoch(epoch)
        np.testing.assert_allclose(
            lesson["tiling"](one, TINY.model, seed, epoch),
            np.sort(pairs.plan[2]),
            rtol=0,
            atol=1e-9,
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_batches_are_redrawn(lesson, seed):
    """All of it together: tiling, second starts, unit dropout, counts, packing."""
    views = replace(TINY.views, max_distance_s=9.0)
    many = [
        recording(10 * seed + at, intervals=GAPS if at else None, name=f"r{at}") for at in range(3)
    ]
    pairs = nl.PairedViews(many, TINY.model, views, batch_size=8, seed=seed)
    pairs.set_epoch(2)
    for index in range(len(pairs)):
        plan = zip(*(column[8 * index : 8 * index + 8] for column in pairs.plan))
        redrawn = [
            lesson["redraw"](
                many[i], start, pair, seed, 2, TINY.model, views, lesson["allowed_starts"]
            )
            for i, pair, start in plan
        ]
        (tokens_1, ids_1, sizes_1), (tokens_2, ids_2, sizes_2) = (
            lesson["pack"]([both[at] for both in redrawn]) for at in (0, 1)
        )
        lesson["assert_same"](
            [(tokens_1, tokens_2, ids_1, ids_2, sizes_1, sizes_2)], [pairs[index]]
        )


@pytest.mark.parametrize("smallest_s", [0.0, 1.0, 2.0, 5.0])
def test_starts_are_the_definition(lesson, smallest_s):
    usable = lesson["long_enough"](np.array(GAPS), 2.0)
    assert len(usable) == 3
    for start_s in (0.0, 5.3, 19.9, 26.0, 90.0, 96.9):
        low, high = lesson["starts_apart"](start_s, usable, 2.0, 9.0, smallest_s)
        for second_s in np.arange(-15.03, 110.0, 0.1):
            wanted = (
                lesson["is_allowed"](second_s, start_s, usable, 2.0, 9.0)
                and abs(second_s - start_s) >= smallest_s
            )
            assert ((low <= second_s) & (second_s <= high)).any() == wanted, (start_s, second_s)
        drawn = lesson["uniform_over"](low, high, np.random.default_rng(0))
        assert drawn is None or (
            lesson["is_allowed"](drawn, start_s, usable, 2.0, 9.0)
            and abs(drawn - start_s) >= smallest_s
        )


def test_darts_density_and_module_agree(lesson):
    model, views = (
        TINY_CALCIUM.model,
        replace(TINY_CALCIUM.views, max_distance_s=9.0, kept_share=(1.0, 1.0), min_units=1),
    )
    intervals, rng = np.array([[0.0, 30.0], [33.0, 50.0]]), np.random.default_rng(0)
    made = lesson["clock"](50.0, 0.25, intervals)
    first, second = lesson["module_starts"](made, model, views, n_epochs=200, seed=0)
    assert all(
        lesson["is_allowed"](b, a, intervals + [[-1e-6, 1e-6]], model.window_s, 9.0 + 1e-6)
        for a, b in zip(first, second)
    )
    darts = np.array(
        [lesson["throw_darts"](start, intervals, model.window_s, 9.0, rng) for start in first]
    )
    distance, density = lesson["expected_density"](intervals, model.window_s, 9.0, step_s=0.05)
    assert np.isclose(density.sum() * 0.05, 1.0)
    for drawn in (second - first, darts - first):
        share = (drawn <= (distance + 0.025)[:, None]).mean(axis=1)
        # frames of 0.25 s are steps of the module's shares
        assert abs(share - np.cumsum(density) * 0.05).max() < 0.04


def test_the_clock_tells_the_time(lesson):
    made = clock(n_units=1, rate_hz=4.0)
    tokens, _ = nl.Windows(made, TINY_CALCIUM.model).samples(30.0)
    assert lesson["read_clock"](torch.from_numpy(tokens), made).tolist() == [30.0]


@pytest.mark.parametrize("share", [(0.5, 1.0), (1.0, 1.0), (0.3, 0.3)])
def test_unit_dropout_is_the_modules(lesson, share):
    pairs = nl.PairedViews(
        [recording(0)], TINY.model, replace(TINY.views, kept_share=share), batch_size=4
    )
    for seed in range(50):
        np.testing.assert_array_equal(
            lesson["kept_rows"](21, share, np.random.default_rng(seed)),
            pairs._kept_rows(21, np.random.default_rng(seed)),
        )


def test_copies_are_found(lesson):
    one = spikes(n_units=12, duration_s=60.0, rate_hz=20.0)
    view, shifted, later = (
        lesson["spike_tokens"](one, start, TINY.model) for start in (10.0, 10.4, 30.0)
    )
    assert lesson["found_by_copying"](view, view) == 1.0
    assert (
        lesson["found_by_copying"](view, shifted)
        > 0.8
        > 0.4
        > lesson["found_by_copying"](view, later)
    )
