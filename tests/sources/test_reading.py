"""What readers share: frames on a grid by their timestamps, names in place of codes, rates."""

import numpy as np
import pytest

from nuclr_lite.sources.reading import agreed_rate, frame_places, named, on_grid, one_number


def flash(timestamps, k, n_units=2) -> np.ndarray:
    """Traces that are 1 in frame k, else 0."""
    traces = np.zeros((len(timestamps), n_units), dtype=np.float32)
    traces[k] = 1
    return traces


def wandering(n=12_000):
    """18 to 22 Hz."""
    return np.r_[0, np.cumsum(1 / (20 + 2 * np.sin(np.arange(n) / n * 2 * np.pi)))[:-1]]


CHANGING = {
    "30, then 25 Hz": np.r_[np.arange(9000) / 30, 300 + np.arange(7500) / 25],
    "30, then 15 Hz": np.r_[np.arange(9000) / 30, 300 + np.arange(4500) / 15],
    "15, then 30 Hz": 1.7e9 + np.r_[np.arange(4500) / 15, 300 + np.arange(9000) / 30],
    "wandering": wandering(),
    "with pauses": np.r_[wandering(), 700 + np.arange(5000) / 22, 2000.02 + np.arange(300) / 20],
    "a clock that is off by 1 % for a while": np.r_[
        np.arange(6000) / 30, 200 + np.arange(6000) / 30.3, 398.02 + np.arange(6000) / 30
    ],
}


@pytest.mark.parametrize("name", CHANGING)
def test_frames_stay_at_their_time_where_the_rate_changes(name):
    timestamps = CHANGING[name]
    for share in (0.1, 0.3, 0.5, 0.6, 0.85, 0.99):
        k = int(share * len(timestamps))
        with pytest.warns(UserWarning, match=f"{name}: its frames come at .*averaged to"):
            grid, rate, start_s, intervals = on_grid(flash(timestamps, k), timestamps, name)
        at = start_s + (np.nanargmax(grid[:, 0]) + 0.5) / rate
        frame_s = max(1 / rate, timestamps[k + 1] - timestamps[k])
        assert abs(at - timestamps[k]) < 1.5 * frame_s
        # nothing is lost: the flash lasts a frame
        assert np.nansum(grid[:, 0]) / rate == pytest.approx(
            timestamps[k + 1] - timestamps[k], rel=0.15
        )
        inside = np.zeros(len(grid), dtype=bool)
        for first, stop in np.round((intervals - start_s) * rate).astype(int):
            inside[first:stop] = True
        np.testing.assert_array_equal(np.isfinite(grid).all(axis=1), inside)
    steps = np.diff(timestamps)
    pauses = steps[steps > 1].sum()
    assert len(intervals) == 1 + (steps > 1).sum()
    lasted = timestamps[-1] - timestamps[0] - pauses
    assert np.diff(intervals).sum() == pytest.approx(lasted, abs=0.5)


def test_a_mean_where_the_rate_changes():
    """A ramp in time comes out as a ramp."""
    timestamps = CHANGING["30, then 15 Hz"]
    ramp = timestamps[:, None].astype(np.float32)
    with pytest.warns(UserWarning, match="averaged"):
        grid, rate, start_s, _ = on_grid(ramp, timestamps, "ramp")
    middle_of_slots = start_s + (np.arange(len(grid)) + 0.5) / rate
    # an old frame stands for the time that it lasts, from its timestamp on: half a frame late
    assert np.abs(grid[:, 0] + 0.025 - middle_of_slots).max() < 0.05


@pytest.mark.parametrize(
    "timestamps",
    [
        np.arange(3000) / 30,
        np.round(5 + np.arange(30_000) / 30, 3),
        5 + (np.arange(3000) + 0.3 * np.sin(np.arange(3000))) / 30,
        np.delete(np.arange(3000) / 30, [50, 51, 700, 2000]),
        np.r_[np.arange(300) / 30, 17.01 + np.arange(300) / 30, 40 + np.arange(300) / 30],
        1.7e9 + np.arange(3000) / 4.28,
    ],
)
def test_an_even_rate_is_left_as_it_is(timestamps, recwarn):
    traces = np.random.default_rng(0).random((len(timestamps), 2)).astype(np.float32)
    grid, rate, start_s, intervals = on_grid(traces, timestamps, "even")
    assert not recwarn.list and start_s == timestamps[0]
    np.testing.assert_array_equal(grid[np.isfinite(grid[:, 0])], traces)
    place, same_rate = frame_places(timestamps, "even")
    assert rate == same_rate
    np.testing.assert_array_equal(place, np.flatnonzero(np.isfinite(grid[:, 0])))
    assert np.abs(start_s + place / rate - timestamps).max() * rate < 1


def test_nan_of_one_unit_stays_nan_where_frames_are_averaged():
    timestamps = CHANGING["30, then 25 Hz"]
    traces = np.ones((len(timestamps), 2), dtype=np.float32)
    traces[100, 1] = np.nan
    with pytest.warns(UserWarning, match="averaged"):
        grid, *_ = on_grid(traces, timestamps, "nan")
    assert np.isfinite(grid[:, 0]).all() and 1 <= np.isnan(grid[:, 1]).sum() <= 2
    np.testing.assert_allclose(grid[np.isfinite(grid)], 1, rtol=1e-6)


def test_places_are_in_order_where_the_rate_changes():
    with pytest.warns(UserWarning, match="averaged"):
        place, rate = frame_places(CHANGING["30, then 15 Hz"], "x")
    assert (np.diff(place) >= 0).all()
    assert np.abs(place / rate - CHANGING["30, then 15 Hz"]).max() * rate <= 0.5 + 1e-6


def test_timestamps_that_are_not_one_a_frame():
    times, traces = np.arange(1000) / 10, np.arange(1000.0)[:, None].repeat(2, axis=1)
    for given, words, kept in [
        (np.arange(1003) / 10, "3 timestamps more than frames: the last were left out", 1000),
        (times[:-2], "2 timestamps fewer than frames: the last frames were left out", 998),
        (np.r_[times[:-5], [np.nan] * 5], "5 frames without a time", 995),
        (np.r_[times[:400], [np.nan] * 3, times[403:]], "3 frames without a time", 1000),
        (np.r_[times[:400], times[399], times[401:]], "1 frames no later than the one", 1000),
    ]:
        with pytest.warns(UserWarning, match=rf"file: r has {words}.*\(of 1000 frames\)"):
            grid, rate, start_s, _ = on_grid(traces, given, "file: r")
        assert len(grid) == kept and rate == pytest.approx(10) and start_s == 0
        finite = np.isfinite(grid[:, 0])
        np.testing.assert_array_equal(grid[finite, 0], np.flatnonzero(finite))
    for given, words in [
        (np.arange(2000) / 20, "has 1000 timestamps more than frames.*of all planes"),
        (times[:900], "has 100 timestamps fewer than frames .900 for 1000 frames., and which"),
        (
            np.r_[times[:500], times[:500]],
            "500 of them not later .such as frame 500, at 0 s, after",
        ),
        (np.round(times), "899 of them not later.*too coarse"),
        (np.full(1000, np.nan), "has 0 frames with a timestamp"),
        (np.full(1000, 5.0), "has 1000 frames with a timestamp, 1 of them later"),
        (times[:0], "1000 timestamps fewer"),
    ]:
        with pytest.raises(ValueError, match=rf"file: r {words}|file: r .*{words}") as refused:
            on_grid(traces, given, "file: r")
        assert "nl.Recording.from_traces" in str(refused.value)


def test_names_of_codes():
    h5py = pytest.importorskip("h5py")
    codes = np.array([0, 2, 1, 7])
    assert named(codes, ["a", b"b", "c"]).tolist() == ["a", "c", "b", None]
    kind = h5py.enum_dtype({"Sst": 2, "Vip": 5}, basetype="i1")
    values = np.array([5, 2, 2], dtype=kind)
    assert named(values).tolist() == ["Vip", "Sst", "Sst"]
    assert named(codes) is codes


def test_rates(recwarn):
    assert one_number(np.array([[15]])) == 15 and one_number(np.float32(2.5)) == 2.5
    assert [one_number(x) for x in (None, "15", np.nan, [1, 2], [], {})] == [None] * 6
    for given, said in [(30, None), (30, 30.2), (30, "fast"), (30, 0)]:
        assert agreed_rate(given, said, "file", "fs") == given
    assert not recwarn.list
    with pytest.warns(UserWarning, match="file: sampling_rate_hz is 30, as given, but fs is 15"):
        assert agreed_rate(30, 15, "file", "fs") == 30
