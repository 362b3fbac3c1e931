"""Spike times as they come in: what carries a unit is converted, what can't be the seconds of one
session is refused or named with the number that gave it away, and good recordings pass in silence.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from fuzz import FORMS, Refused, cases, trains_ms
from helpers import from_trains, spikes, trains_of

import nuclr_lite as nl
from nuclr_lite.analysis import checks
from nuclr_lite.files.carried_units import plain
from nuclr_lite.files.seconds import clock_of


def poisson(n_units=4, duration_s=600.0, rate_hz=5.0, seed=0):
    return trains_of(spikes(n_units, duration_s, rate_hz, seed))


class Quantity:
    """What quantities and neo have: `rescale`; an array of it keeps no unit."""

    def __init__(self, magnitude, units):
        self.magnitude, self.units = np.asarray(magnitude, dtype=float), units

    def __array__(self, dtype=None, copy=None):
        return self.magnitude

    def rescale(self, units):
        factor = {("ms", "s"): 1e-3, ("s", "s"): 1.0, ("kHz", "Hz"): 1e3}
        return Quantity(self.magnitude * factor[self.units, units], units)


class Pint(Quantity):
    """What pint and unyt have: `to`."""

    def to(self, units):
        return Quantity.rescale(self, units)

    rescale = property(doc="not there")


class Astropy:
    """What astropy has: `to`, `unit` and `value`."""

    def __init__(self, value, unit):
        self.value, self.unit = np.asarray(value, dtype=float), unit

    def to(self, unit):
        return Astropy(self.value * {("ms", "s"): 1e-3}[self.unit, unit], unit)


# ---- units that are carried


@pytest.mark.parametrize("kind", [Quantity, Pint, Astropy])
def test_milliseconds_that_say_so_are_converted(kind, recwarn):
    trains = poisson()
    recording = from_trains([kind(1000 * train, "ms") for train in trains])
    np.testing.assert_allclose(recording.spike_times(2), trains[2])
    # beside plain seconds
    mixed = from_trains([kind(1000 * trains[0], "ms"), trains[1]])
    assert mixed.valid_s == pytest.approx(600, abs=5) and not recwarn.list


def test_intervals_bins_and_rates_are_converted_too():
    trains = poisson(2)
    assert (
        from_trains(trains, intervals=[[Quantity(0, "ms"), Quantity(300e3, "ms")]]).valid_s == 300
    )
    assert from_trains(trains, intervals=Quantity([[0, 300e3]], "ms")).valid_s == 300
    ids = dict(recording_id="r", animal_id="a")
    counts = nl.Recording.from_counts(
        np.ones((9, 2), dtype=int), Quantity(500, "ms"), start_s=Quantity(1000, "ms"), **ids
    )
    assert counts.bin_s == 0.5 and counts.intervals.tolist() == [[1.0, 5.5]]
    traces = nl.Recording.from_traces(
        np.ones((30, 2)), Quantity(0.03, "kHz"), start_s=Quantity(500, "ms"), **ids
    )
    assert traces.sampling_rate_hz == 30 and traces.intervals.tolist() == [[0.5, 1.5]]


def test_another_kind_of_unit_is_refused():
    with pytest.raises(ValueError, match="carries the unit 'mV', which can't be converted to s"):
        from_trains([Quantity([1.5, 2.5], "mV")])


def test_neo_quantities_and_time_differences():
    trains = poisson(2)
    given = [pd.to_timedelta(train, unit="s") for train in trains]
    np.testing.assert_allclose(from_trains(given).times, from_trains(trains).times, atol=1e-6)
    pq, neo = pytest.importorskip("quantities"), pytest.importorskip("neo")
    for given in (
        [neo.SpikeTrain(1000 * train, units="ms", t_stop=600e3) for train in trains],
        [1000 * train * pq.ms for train in trains],
        [list(1000 * train[:50] * pq.ms) for train in trains],
    ):
        assert from_trains(given).spike_times(0)[:50] == pytest.approx(trains[0][:50])


def test_plain_numbers_stay_as_they_are():
    for value in (None, 3.0, [1.0, 2.0], [[0, 1]], np.arange(3), pd.Series([1.0]), "text", []):
        assert plain(value) is value


def test_trains_by_unit():
    trains = poisson(2)
    recording = from_trains({7: trains[0], 3: trains[1]})
    assert recording.units.index.tolist() == [7, 3]
    assert recording.spike_times(3).tolist() == trains[1].tolist()
    labels = pd.DataFrame({"area": ["CA1", "CA3"]}, index=[3.0, 7.0])  # in another order, as floats
    recording = from_trains({"7.0": trains[0], "3": trains[1]}, units=labels.set_axis(["3", "7"]))
    assert recording.units["area"].to_dict() == {"3": "CA1", "7": "CA3"}
    assert recording.spike_times("7").tolist() == trains[0].tolist()
    with pytest.raises(ValueError, match=r"1 of the 2 units .* no spike train \(first: 4; .*7, 3"):
        from_trains({7: trains[0], 3: trains[1]}, units=labels.set_axis([3, 4]))
    assert from_trains(pd.Series({"a": trains[0]})).units.index.tolist() == ["a"]
    nap = pytest.importorskip("pynapple")
    group = {n: nap.Ts(train) for n, train in enumerate(trains)}
    for given in (list(group.values()), group, nap.TsGroup(group)):
        assert from_trains(given).times == pytest.approx(from_trains(trains).times, abs=1e-6)


@cases(60, least=0.5, trains=trains_ms(), form=FORMS)
def test_the_same_seconds_in_any_form(trains, form):
    # off the second, off the day's start
    seconds = [np.array(train, dtype=float) / 1000 + 0.0625 for train in trains]
    if not any(map(len, seconds)):
        raise Refused
    expected = from_trains(seconds)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(sorted the spike|mark for 'no spike)")
        recording = from_trains(form(seconds))
    assert recording.units.index.tolist() == list(range(len(trains)))
    np.testing.assert_allclose(recording.times, expected.times, atol=1e-8)
    np.testing.assert_allclose(recording.intervals, expected.intervals, atol=1e-8)


# ---- what can't be seconds


def filled(trains, with_what):
    rows = np.full((len(trains), max(map(len, trains))), with_what)
    for row, train in zip(rows, trains):
        row[: len(train)] = train
    return rows


def counts(mean, n_bins=800):
    return np.random.default_rng(0).poisson(mean, (4, n_bins)).astype(float)


def trials(n_trials, n_spikes, start_s=-0.5, stop_s=0.5):
    rng = np.random.default_rng(0)
    return [
        np.concatenate([np.sort(rng.uniform(start_s, stop_s, n_spikes)) for _ in range(n_trials)])
        for _ in range(4)
    ]


TRAINS = poisson()
LATER = poisson(seed=1, duration_s=60)


@pytest.mark.parametrize(
    "trains, words",
    [
        ([np.round(30_000 * train) for train in TRAINS], r"all 1\d,\d+ spike times are whole num"),
        ([np.round(1000 * train[:9]).tolist() for train in TRAINS], "all 36 spike times are whole"),
        ([*TRAINS, np.round(1000 * TRAINS[0])], "times of a unit are whole numbers, up to 599"),
        (filled(TRAINS, 0.0), r"of 3 of 4 units are filled up with zeros \(unit 0: \d+ beside"),
        (np.sort(filled(TRAINS, 0.0)), "units are filled up with zeros"),
        (filled(TRAINS, np.nan), r"units are filled up with NaN .*train\[~np.isnan\(train\)\]"),
        (counts(0.5), r"whole numbers from 0 to 5 that fall \d+ times .* Recording\.from_counts"),
        (counts(0.02), "as counts in bins do"),
        (counts(0.5).astype(np.uint8), "as counts in bins do"),
        (counts(0.5) > 0, "they are bool, a bin each.*from_counts"),
        (trials(100, 8), r"clock starts again in 4 of 4 units \(unit 0 runs backwards 99 times"),
        (trials(20, 2), "clock starts again in 4 of 4 units"),
        (trials(200, 60, -1, 13), "clock starts again in 4 of 4 units.*Add to each trial"),
        ([np.r_[a, b] for a, b in zip(TRAINS, LATER)], "runs backwards 1 times, as from 5.*% of"),
    ],
)
def test_no_seconds_of_one_session(trains, words):
    with pytest.raises(ValueError, match=words):
        from_trains(trains)


@pytest.mark.parametrize("marker, n", [(-1.0, 2), (-1.0, 1), (-999.0, 40)])
def test_a_mark_for_no_spike_is_no_spike(marker, n):
    trains = [np.r_[TRAINS[0], [marker] * n], *TRAINS[1:]]
    with pytest.warns(UserWarning, match=rf"left out {n} spike times of {marker:g} s in 1 of 4"):
        recording = from_trains(trains)
    assert recording.spike_times(0).tolist() == TRAINS[0].tolist() and recording.intervals[0, 0] > 0


def test_times_before_zero_are_no_marks(recwarn):
    for trains in ([train - 300 for train in TRAINS], [np.r_[-0.5, -0.5, TRAINS[0]]]):
        assert len(from_trains(trains).times) == sum(map(len, trains))
    assert not recwarn.list


# ---- what is odd, and what is in disorder


@pytest.mark.parametrize(
    "trains, number",
    [
        ([1000 * train for train in TRAINS], "in 59.... s"),
        ([1000 * train for train in poisson(10, 60, 1)], "0.2% of the intervals"),
        ([30_000 * train for train in TRAINS], "0.0% of the intervals"),
        ([train / 60 for train in TRAINS], r"fires at 3e\+02 spikes/s, in 10 s"),
        ([*TRAINS, 1001 * TRAINS[0]], "in 60.... s"),
    ],
)
def test_another_clock_is_named(trains, number):
    with pytest.warns(UserWarning, match=f"r: are these seconds.*{number}"):
        recording = from_trains(trains)
    assert checks.seconds(recording).found, "the check asks the same"


def test_trains_the_wrong_way_round_are_turned():
    with pytest.warns(UserWarning, match=r"sorted the spike times of 4 units .* \(first: 0\)\.$"):
        assert from_trains([train[::-1] for train in TRAINS]).times[0] == min(map(min, TRAINS))


def test_merged_units_are_sorted_with_a_word():
    trains = [np.r_[TRAINS[0], TRAINS[1]], *TRAINS[1:]]
    with pytest.warns(
        UserWarning, match="units are merged: unit 0 runs backwards 1 times, as from"
    ):
        assert (np.diff(from_trains(trains).spike_times(0)) >= 0).all()


def test_swapped_spikes_stay_a_notice():
    rng = np.random.default_rng(0)
    trains = [train.copy() for train in poisson(rate_hz=0.5)]
    for train in trains:
        for i in rng.integers(0, len(train) - 1, 20):
            train[[i, i + 1]] = train[[i + 1, i]]
    with pytest.warns(UserWarning, match=r"sorted the spike times of 4 units .* \(first: 0\)\.$"):
        from_trains(trains)


@pytest.mark.parametrize(
    "trains",
    [
        poisson(4, 2.0),
        poisson(1),
        poisson(3, 600, 0.005),
        poisson(40, 3600, 0.03),
        poisson(2, 7200, 0.02),
        poisson(4, 60, 190),
        [1.7e9 + train for train in TRAINS],
        [np.round(train, 2) for train in TRAINS],
        [np.round(2 * train) / 2 for train in TRAINS],
        [train.astype(np.float32) for train in TRAINS],
        [np.arange(0.0, 100)],  # a toy
        [np.arange(0.0, 100), np.arange(3.0, 99, 4)],
        [np.array([4.0, 5.0, 9.0]), np.array([])],
        [np.cumsum(np.random.default_rng(0).normal(1.0, 0.1, 2000))],  # a slow pacemaker
    ],
)
def test_good_recordings_pass_in_silence(trains):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording = from_trains(trains)
    assert len(recording.times) == sum(map(len, trains)) and not checks.seconds(recording).found


@pytest.mark.parametrize("bin_s", [0.02, 0.5, 1.0, 2.0, 60.0])
def test_counts_pass_in_silence(bin_s, recwarn):
    counted = np.random.default_rng(0).poisson(0.5, (600, 4))
    recording = nl.Recording.from_counts(counted, bin_s, recording_id="r", animal_id="a")
    assert len(recording.times) == counted.sum() and not recwarn.list
    assert not checks.seconds(recording).found


def test_simulated_animals_pass_in_silence(recordings):
    for recording in recordings:
        assert not clock_of(trains_of(recording))[0]
