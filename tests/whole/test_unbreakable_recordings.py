"""Whatever comes in, what comes out is right or an error that says what to do: no NaN, no hang, no
warning of numpy's, no label in another's place. Here: recordings, windows, views and files.

Each property is tried on generated cases (`fuzz.cases`), against a simple second way to the same
answer.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fuzz import MODEL, NAMES, OFFSETS_S, cases, intervals_ms, recording_of, trains_ms
from hypothesis import strategies as st
from unbreakable import ENCODER, STRICT, VALUES, refusals

import nuclr_lite as nl
from nuclr_lite.views import PairedViews, ViewConfig, Windows

pytestmark = STRICT


# ---- recordings of spikes


@cases(80, trains=trains_ms(), intervals=intervals_ms(), offset_s=OFFSETS_S)
def test_a_spike_is_in_valid_time_or_counted(trains, intervals, offset_s):
    with refusals():
        recording = recording_of(trains, intervals, offset_s)
    if intervals is None:
        everything = [time for train in trains for time in train]
        intervals = [(min(everything), max(everything))]
    kept = [
        [time for time in train if any(start <= time <= stop for start, stop in intervals)]
        for train in trains
    ]
    for unit, train in enumerate(kept):
        np.testing.assert_allclose(
            recording.spike_times(unit),
            offset_s + 1e-3 * np.array(train),
            rtol=0,
            atol=1e-9 + 1e-15 * abs(offset_s),
        )
    assert recording.n_spikes_outside == sum(map(len, trains)) - sum(map(len, kept))
    assert (np.diff(recording.times) >= 0).all() and recording.valid_s == pytest.approx(
        sum(stop - start for start, stop in intervals) * 1e-3, abs=1e-5
    )


@cases(
    50,
    least=0.04,
    trains=trains_ms(),
    intervals=intervals_ms(),
    epochs=st.lists(
        st.tuples(st.integers(-500, 13_000), st.integers(-500, 13_000), st.sampled_from("ab")),
        max_size=5,
    ),
    name=st.sampled_from(["a", "b", ["a", "b"]]),
)
def test_during_keeps_what_lies_in_both(trains, intervals, epochs, name):
    table = pd.DataFrame(
        [(1e-3 * start, 1e-3 * stop, what) for start, stop, what in epochs],
        columns=["start_s", "stop_s", "name"],
    )
    with refusals():
        whole = recording_of(trains, intervals, epochs=table)
        part = whole.during(name)
    wanted = [(start, stop) for start, stop, what in epochs if what in name and start < stop]
    valid = [(1000 * start, 1000 * stop) for start, stop in whole.intervals]

    def both(time):
        """In a stretch that is longer than nothing of valid time and of the union of the epochs."""
        return any(
            low - 1e-6 <= time <= high + 1e-6
            and max(low, start) < min(high, stop)
            and start <= time <= stop
            for low, high in valid
            for start, stop in wanted
        )

    for unit in range(len(trains)):
        before = np.round(1000 * whole.spike_times(unit))
        assert np.round(1000 * part.spike_times(unit)).tolist() == [
            time for time in before if both(time)
        ]
    assert part.n_spikes_outside - whole.n_spikes_outside == len(whole.times) - len(part.times)
    grid = np.arange(-1000, 14_000) + 0.5  # between ms, where no edge lies
    inside = [
        np.array([any(low < time < high for low, high in stretches) for time in grid])
        for stretches in (valid, wanted, 1000 * part.intervals)
    ]
    np.testing.assert_array_equal(inside[0] & inside[1], inside[2])


# ---- windows and views


def counted(trains, start_ms, model, n_bins):
    """Spikes a bin, (units, bins), by a loop over spikes in whole ms; one at an edge belongs to the
    later bin.
    """
    width = round(1000 * model.sample_s)
    counts = np.zeros((len(trains), n_bins))
    for unit, train in enumerate(trains):
        for time in train:
            if 0 <= (time - start_ms) // width < n_bins:
                counts[unit, (time - start_ms) // width] += 1
    return counts


@cases(60, trains=trains_ms(), intervals=intervals_ms(), offset_s=OFFSETS_S)
def test_windows_tile_valid_time_and_count_every_spike(trains, intervals, offset_s):
    with refusals():
        recording = recording_of(trains, intervals, offset_s)
    windows = Windows(recording, MODEL)
    starts = np.round(1000 * (windows.tile() - offset_s)).astype(int)
    length = round(1000 * MODEL.window_s)
    expected = []
    for low, high in np.round(1000 * (recording.intervals - offset_s)).astype(int):
        regular = list(range(low, high - length + 1, length))
        expected += regular + [high - length] * bool(regular and regular[-1] + length < high)
    assert starts.tolist() == expected
    kept = [
        np.round(1000 * (recording.spike_times(unit) - offset_s)).astype(int).tolist()
        for unit in range(recording.n_units)
    ]
    for start, start_ms in zip(windows.tile(), starts):
        tokens, rows = windows.samples(start)
        counts = counted(kept, start_ms, MODEL, MODEL.samples_per_window)
        assert rows.tolist() == np.flatnonzero(counts.any(axis=1)).tolist()
        np.testing.assert_array_equal(
            tokens.reshape(len(rows), MODEL.samples_per_window), counts[rows]
        )


@cases(
    40,
    trains=trains_ms(),
    intervals=intervals_ms(),
    offset_s=OFFSETS_S,
    seed=st.integers(0, 2**63),
    distance_s=st.sampled_from([0.0, 1.0, 1e6, np.inf]),
    kept=st.sampled_from([(1.0, 1.0), (0.5, 1.0), (0.01, 0.3)]),
    min_units=st.integers(1, 3),
)
def test_both_views_of_a_pair_are_windows_of_one_interval(
    trains, intervals, offset_s, seed, distance_s, kept, min_units
):
    with refusals():
        recording = recording_of(trains, intervals, offset_s)
        views = PairedViews(
            [recording], MODEL, ViewConfig(distance_s, kept, min_units), batch_size=3, seed=seed
        )
    slack = 1e-6 + 1e-15 * abs(offset_s) * 10
    for _, pair, start in zip(*views.plan):
        second = views._second_start(0, start, np.random.default_rng(pair))
        if second is None:  # every first start may be its own second
            raise AssertionError("no second view")
        assert abs(second - start) <= distance_s + slack
        assert any(
            low - slack <= min(start, second)
            and max(start, second) + MODEL.window_s <= high + slack
            for low, high in recording.intervals
        )
    for index in range(len(views)):
        batch = views[index]
        for tokens, ids, sizes in (
            (batch.tokens_1, batch.ids_1, batch.sizes_1),
            (batch.tokens_2, batch.ids_2, batch.sizes_2),
        ):
            assert (
                len(tokens) == len(ids) == int(sizes.sum())
                and torch.isfinite(tokens).all()
                and (not len(sizes) or int(sizes.min()) >= min_units)
            )
            assert (tokens.sum(dim=(1, 2)) > 0).all() and len(sizes) <= 3
            for population in ids.split(sizes.tolist()):
                assert (population.diff() > 0).all() and len(population) <= np.ceil(
                    kept[1] * recording.n_units - 1e-9
                )


# ---- files


@cases(60, trains=trains_ms(max_units=3), names=st.tuples(NAMES, NAMES, NAMES), data=st.data())
def test_what_is_saved_is_what_is_loaded(trains, names, data):
    """Ids and columns in any script, values of any kind; what CSV can't hold is refused
    beforehand.
    """
    ids = data.draw(st.lists(NAMES, min_size=len(trains), max_size=len(trains), unique=True))
    columns = data.draw(
        st.dictionaries(
            st.text(max_size=5),
            st.one_of(
                [
                    st.lists(kind, min_size=len(trains), max_size=len(trains))
                    for kind in (
                        st.text(max_size=6),
                        st.integers(0, 2**64 - 1),
                        st.floats(),
                        st.booleans(),
                        VALUES,
                    )
                ]
            ),
            max_size=3,
        )
    )
    table = pd.DataFrame(
        {
            name: pd.Series(values, dtype=object).infer_objects().to_numpy()
            for name, values in columns.items()
        },
        index=pd.Index(ids, dtype=object),
    )
    with refusals():
        recording = recording_of(
            trains,
            None,
            units=table,
            name=names[0],
            animal=names[1],
            probe_id=names[2],
            provenance={names[0]: names[1:]},
        )
    assert (recording.recording_id, recording.animal_id, recording.probe_id) == tuple(
        name.replace("\0", "") for name in names
    )
    for name, values in columns.items():  # numbers stay themselves: nothing wraps around
        if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            assert recording.units[name].tolist() == values
    with tempfile.TemporaryDirectory() as folder:
        loaded = nl.Recording.load(recording.save(Path(folder) / "rec"))
        pd.testing.assert_frame_equal(loaded.units, recording.units, check_exact=True)
        assert (loaded.recording_id, loaded.animal_id, loaded.probe_id) == (
            recording.recording_id,
            recording.animal_id,
            recording.probe_id,
        )
        for name in ("times", "unit_rows", "intervals"):
            np.testing.assert_array_equal(getattr(loaded, name), getattr(recording, name))
        embedded = (
            [nl.embed(ENCODER, one) for one in (loaded, recording)]
            if len(Windows(recording, MODEL).tile())
            else [recording.units] * 2
        )
    pd.testing.assert_frame_equal(*embedded)
