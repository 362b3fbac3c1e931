"""Whatever comes in, what comes out is right or an error that says what to do: no NaN, no hang, no
warning of numpy's, no label in another's place. Here: what makes no sense, and what
generated cases meet seldom.

Each property is tried on generated cases (`fuzz.cases`), against a simple second way to the same
answer.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from fuzz import MODEL, NAMES, cases
from helpers import randomise, spikes
from hypothesis import strategies as st
from unbreakable import ENCODER, ENCODER_CALCIUM, STRICT, VALUES, refusals

import nuclr_lite as nl
from nuclr_lite.views import Windows

pytestmark = STRICT


# ---- what makes no sense

JUNK = st.one_of(
    VALUES,
    st.lists(VALUES, max_size=3),
    st.floats(width=32).map(np.float32),
    st.sampled_from(
        [
            np.zeros((2, 2)),
            np.array(["a"]),
            np.array([1.0, np.nan]),
            np.array(["2020-01-01"], dtype="datetime64[s]"),
            np.array([1 + 2j]),
            np.array([True, False]),
            np.array([3, 1], dtype=np.uint8),
            np.array([None, 1.0]),
            pd.Series([1.0, 2.0], index=[5, 6]),
            np.ma.array([1.0, 2.0], mask=[True, False]),
            np.array([1e300, -1e300]),
            np.array([1.7e9], dtype=np.float32),
            {},
            {1: 2},
            object(),
        ]
    ),
)


@cases(
    100,
    least=0,
    trains=st.lists(JUNK, max_size=3),
    intervals=st.one_of(st.none(), JUNK),
    animal=st.one_of(st.none(), NAMES, st.just(float("nan"))),
)
def test_junk_for_spike_trains(trains, intervals, animal):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*sorted the spike times", category=UserWarning)
        with refusals():
            recording = nl.Recording.from_spike_trains(
                trains, None, intervals, recording_id="rec", animal_id=animal
            )
    assert (
        np.isfinite(recording.times).all()
        and recording.animal_id not in ("None", "nan")
        and recording.valid_s < 1e8
    )
    if len(Windows(recording, MODEL).tile()):
        assert np.isfinite(nl.embed(ENCODER, recording).to_numpy()).all()


@cases(
    60,
    least=0,
    traces=st.one_of(
        JUNK,
        st.lists(st.lists(st.floats(width=32), min_size=2, max_size=2), min_size=1, max_size=20),
    ),
    rate=st.one_of(st.floats(), st.sampled_from([1.0, 4.0])),
    start_s=st.floats(),
    intervals=st.one_of(st.none(), JUNK),
)
def test_junk_for_traces(traces, rate, start_s, intervals):
    with refusals():
        recording = nl.Recording.from_traces(
            traces, rate, None, intervals, recording_id="rec", animal_id="a", start_s=start_s
        )
        table = nl.embed(ENCODER_CALCIUM, recording)
    assert np.isfinite(table.to_numpy()).all() and recording.trace_scale > 0


# ---- what generated cases meet seldom


@pytest.mark.parametrize(
    "train, words",
    [
        (
            np.arange(0, 90_000, 300),
            r"are integers \(int64\), as sample numbers are; divide them by the sampling rate",
        ),
        (
            np.array([1.7e9, 1.7e9 + 60], dtype=np.float32),
            "float32, which near 1700000000 s is exact to 1.3e.02 s only; read them as float64",
        ),
        (
            np.array([0.0, 1e8]),
            (
                "1e.08 s in all; that is more than a recording can have. Give seconds, not samples"
                " or milliseconds"
            ),
        ),
        (np.array([1.7e12, 1.7e12 + 60]), "Give seconds, not samples or milliseconds"),
        (
            np.array(["2020-01-01"], dtype="datetime64[s]"),
            "can't be read as numbers .*give one flat array of seconds",
        ),
        (["1.0", "2.0"], "can't be read as numbers"),
        ([1 + 1j], "can't be read as numbers"),
        (np.array([True, False]), "can't be read as numbers"),
    ],
)
def test_times_that_are_not_seconds(train, words):
    with pytest.raises(ValueError, match=words):
        recording_of_seconds([train, []])


def recording_of_seconds(trains, intervals=None, **options) -> nl.Recording:
    return nl.Recording.from_spike_trains(
        trains, None, intervals, recording_id="rec", animal_id="a", **options
    )


def test_float32_seconds_are_those_numbers():
    train = np.sort(np.random.default_rng(0).uniform(0, 3600, 200)).astype(np.float32)
    np.testing.assert_array_equal(
        recording_of_seconds([train]).spike_times(0), train.astype(np.float64)
    )


def test_large_unsigned_numbers_do_not_wrap_around():
    units = pd.DataFrame({"key": np.array([2**63 + 5, 1], dtype=np.uint64)})
    with pytest.raises(
        ValueError,
        match="'key' with 9223372036854775813, too large for a 64-bit integer; make it text",
    ):
        nl.Recording.from_spike_trains([[1.0], [2.0]], units, recording_id="rec", animal_id="a")


def test_masked_values_are_not_used():
    assert recording_of_seconds(
        [np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])]
    ).spike_times(0).tolist() == [1.0, 3.0]
    traces = np.ma.array(np.ones((8, 2)), mask=[[False, frame == 3] for frame in range(8)])
    with pytest.raises(ValueError, match="frame 3 .* is NaN"):
        nl.Recording.from_traces(traces, 4.0, recording_id="rec", animal_id="a")
    traces.mask[3] = True
    with pytest.warns(UserWarning, match="left 1 of 8 frames out"):
        recording = nl.Recording.from_traces(traces, 4.0, recording_id="rec", animal_id="a")
    assert recording.intervals.tolist() == [[0, 0.75], [1, 2]]


def test_broken_frames_are_noticed_before_they_are_numbers():
    traces = np.full((400, 2), 0.5)
    traces[7, 1] = 1e20
    with pytest.raises(ValueError, match="the traces reach 1e.20, .*Look for broken frames"):
        nl.Recording.from_traces(traces, 4.0, recording_id="rec", animal_id="a")


def test_an_encoder_with_nan_among_its_weights_embeds_nothing():
    encoder = randomise(nl.NuCLR(MODEL))
    encoder.read_in.weight.data[0, 0] = float("nan")
    with pytest.raises(
        ValueError, match="rec: the embeddings of 4 units are not finite; look for extreme values"
    ):
        nl.embed(encoder, spikes())


def test_a_silence_of_months_takes_no_time():
    recording = recording_of_seconds([[0.0, 1.0, 2e7], [0.5, 2e7 - 1]])
    table = nl.embed(ENCODER, recording)
    starts = Windows(recording, MODEL).tile()
    shown = [Windows(recording, MODEL).samples(start) for start in (starts[0], *starts[-2:])]
    expected = sum(
        ENCODER(torch.from_numpy(tokens), torch.tensor([len(tokens)])).detach().numpy()
        for tokens, rows in shown
        if len(rows)
    )
    assert (
        sum(len(rows) > 0 for _, rows in shown) <= 3
        and np.isfinite(table.to_numpy()).all()
        and expected.shape == table.shape
    )


def test_a_burst_of_a_unit_takes_no_time():
    """Every pair of its spikes is near: n^2 of them."""
    rng = np.random.default_rng(0)
    train = np.sort(rng.uniform(0, 2, 300_000))
    features = nl.baselines.hand_features(recording_of_seconds([train], [[0, 60]]))
    assert np.isfinite(features["all"].to_numpy()).all()
    few = np.sort(rng.uniform(0, 4, 300))
    gaps = np.array([b - a for i, a in enumerate(few) for b in few[i + 1 :]])
    np.testing.assert_array_equal(
        nl.baselines.autocorrelogram(few, np.ones(300)),
        np.histogram(gaps[gaps < 2], nl.baselines.LAG_EDGES_S)[0],
    )


def test_labels_and_animals_that_can_be_taken_for_one_another():
    index = pd.RangeIndex(8)
    features = pd.DataFrame(np.random.default_rng(0).normal(size=(8, 2)), index)
    groups = pd.Series(list("aabbccdd"), index)
    with pytest.raises(ValueError, match="two labels are the same as text"):
        nl.decode(features, pd.Series([1, "1", 2, 2, 1, "1", 2, 2], index), groups)
    with pytest.raises(ValueError, match="some animals .* are texts and some are not"):
        nl.decode(
            features,
            pd.Series(list("xyxyxyxy"), index),
            pd.Series([1, 1, "1", "1", 2, 2, 3, 3], index, dtype=object),
        )
    with pytest.raises(ValueError, match="a unit occurs twice in labels"):
        nl.decode(features, pd.Series(list("xyxyxyxyx"), [*index, 0]), groups)
    assert set(
        nl.decode(
            features, pd.Series(list("xyxyxyxy"), index), groups, test_groups="a", n_bootstrap=0
        ).groups
    ) == {"a"}


@pytest.mark.slow
def test_ten_million_spikes():
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, 3600, size)) for size in (5_000_000, 4_999_000, 990, 10)]
    recording = recording_of_seconds(trains, [[0, 3600]])
    assert len(recording.times) == 10_000_000
    for unit, train in enumerate(trains):
        np.testing.assert_array_equal(recording.spike_times(unit), train)
    windows = Windows(recording, MODEL)
    total = np.zeros(4)
    for start in windows.tile():
        tokens, rows = windows.samples(start)
        total[rows] += tokens.sum(axis=(1, 2))
    assert total.tolist() == [len(train) for train in trains]
    assert np.isfinite(nl.embed(ENCODER, recording).to_numpy()).all()
    assert np.isfinite(nl.baselines.hand_features(recording)["all"].to_numpy()).all()


@pytest.mark.slow
def test_five_thousand_units_in_whatever_order():
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, 6, rng.integers(0, 20))) for _ in range(5000)]
    order = rng.permutation(5000)
    names = pd.DataFrame(index=[f"u{i:04d}" for i in range(5000)])
    one = nl.embed(
        ENCODER,
        nl.Recording.from_spike_trains(trains, names, [[0, 6]], recording_id="rec", animal_id="a"),
    )
    two = nl.embed(
        ENCODER,
        nl.Recording.from_spike_trains(
            [trains[i] for i in order],
            names.iloc[order],
            [[0, 6]],
            recording_id="rec",
            animal_id="a",
        ),
    )
    assert len(one) == sum(len(train) > 0 for train in trains)
    np.testing.assert_allclose(two.loc[one.index], one, atol=1e-5, rtol=0)
