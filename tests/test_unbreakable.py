"""Whatever comes in, what comes out is right or an error that says what to do: no NaN, no hang, no
warning of numpy's, no label in another's place.

Each property is tried on generated cases (`fuzz.cases`), against a simple second way to the same
answer.
"""

import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fuzz import (
    MODEL,
    MODEL_CALCIUM,
    NAMES,
    OFFSETS_S,
    Refused,
    cases,
    imaged,
    intervals_ms,
    recording_of,
    recording_of_traces,
    trains_ms,
)
from helpers import TINY, randomise, spikes
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import nuclr_lite as nl
from nuclr_lite.views import PairedViews, ViewConfig, Windows

# Ours are UserWarnings; everybody else's are failures.
# where its own warnings are: numpy 2, numpy 1
NUMPYS = "numpy.exceptions" if hasattr(np, "exceptions") else "numpy"
pytestmark = [
    pytest.mark.filterwarnings(f"error::{name}")
    for name in (
        "RuntimeWarning",
        "FutureWarning",
        f"{NUMPYS}.ComplexWarning",
        f"{NUMPYS}.VisibleDeprecationWarning",
    )
] + [
    pytest.mark.filterwarnings(f"ignore:{words}:UserWarning")
    for words in (
        ".*no spike in any window",
        ".*scaled by that of their positive",
        ".*traces resampled",
        ".*transpose them",
    )
]
ENCODER, ENCODER_CALCIUM = (randomise(nl.NuCLR(config)) for config in (MODEL, MODEL_CALCIUM))
REMEDIES = "give|use|check|remove|make|drop|choose|lower|raise|leave|divide|add|read|look|decode|change|rename|merge|keep|encode|see"


@contextmanager
def refusals():
    """What can't be done ends here: an error of a kind that callers expect, with words that say
    what to do.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        words = str(error)
        assert any(remedy in words.lower() for remedy in REMEDIES.split("|")), (
            f"no remedy: {error!r}"
        )
        assert len(words) < 600
        raise Refused from error


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
    windows = views.windows[0]
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


# ---- embedding


@cases(
    50, trains=trains_ms(), intervals=intervals_ms(), offset_s=OFFSETS_S, seed=st.integers(0, 99)
)
def test_embeddings_follow_the_units_whatever_their_order_and_clock(
    trains, intervals, offset_s, seed
):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(trains))
    units = pd.DataFrame(index=[f"unit {i}" for i in range(len(trains))])
    with refusals():
        table = nl.embed(ENCODER, recording_of(trains, intervals, units=units))
    assert np.isfinite(table.to_numpy()).all() and table.shape[1] == MODEL.dim
    other = recording_of([trains[i] for i in order], intervals, offset_s, units=units.iloc[order])
    again = nl.embed(ENCODER, [recording_of([[0, 5000]], name="another"), other], units_per_batch=1)
    again = again[again.index.get_level_values("recording_id") == "rec"]
    assert set(again.index) == set(table.index)
    np.testing.assert_allclose(again.loc[table.index], table, atol=1e-5, rtol=0)


@cases(50, given=imaged(), seed=st.integers(0, 99))
def test_traces_of_any_rate_embed_the_same_whatever_the_order_and_clock(given, seed):
    traces, rate, offset_s, quarters = given
    with refusals():
        recording = recording_of_traces(traces, rate, 0.0, quarters)
        table = nl.embed(ENCODER_CALCIUM, recording)
    assert np.isfinite(table.to_numpy()).all() and len(table) == traces.shape[1]
    order = np.random.default_rng(seed).permutation(traces.shape[1])
    moved = nl.embed(
        ENCODER_CALCIUM, recording_of_traces(traces[:, order], rate, offset_s, quarters)
    )
    np.testing.assert_allclose(moved.to_numpy(), table.to_numpy()[order], atol=1e-5, rtol=0)
    windows = Windows(recording, MODEL_CALCIUM)
    for start in windows.tile():
        tokens, _ = windows.samples(start)
        assert np.isfinite(tokens).all()
        if np.nanmax(traces) == np.nanmin(traces):  # a constant stays one, at whatever rate
            np.testing.assert_allclose(tokens, 1.0, rtol=1e-5)


# ---- features by hand


@cases(
    40, trains=trains_ms(), intervals=intervals_ms(), offset_s=OFFSETS_S, seed=st.integers(0, 99)
)
def test_features_by_hand_are_finite_and_follow_the_units(trains, intervals, offset_s, seed):
    order = np.random.default_rng(seed).permutation(len(trains))
    with refusals():
        recording = recording_of(trains, intervals)
    moved = recording_of([trains[i] for i in order], intervals, offset_s)
    for name, features in nl.baselines.hand_features(recording).items():
        values = features.to_numpy()
        assert np.isfinite(values).all(), name
        if name == "rate":
            counts = [len(recording.spike_times(unit)) for unit in range(len(trains))]
            np.testing.assert_allclose(
                values[:, 0], np.log(np.array(counts) / max(recording.valid_s, 1e-9) + 0.01)
            )
        # on another clock, gaps of exactly 1 ms may fall on either side of that edge
        if offset_s == 0 or name == "rate":
            np.testing.assert_allclose(
                nl.baselines.hand_features(moved)[name].to_numpy(),
                values[order],
                atol=1e-6,
                rtol=1e-5,
            )
    with refusals():
        coupling = nl.baselines.population_coupling(recording, max_lag_s=0.5)
    assert np.isfinite(coupling.to_numpy()).all()
    np.testing.assert_allclose(
        nl.baselines.population_coupling(moved, max_lag_s=0.5).to_numpy(),
        coupling.to_numpy()[order],
        atol=1e-5,
    )


@cases(30, given=imaged())
def test_features_of_traces_are_finite(given):
    with refusals():
        recording = recording_of_traces(*given)
    for features in nl.baselines.hand_features(recording).values():
        assert np.isfinite(features.to_numpy()).all()


# ---- files

VALUES = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.just([1, 2]),
    st.dates(),
)


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


# ---- decoding


@cases(
    50,
    seed=st.integers(0, 999),
    n_animals=st.integers(1, 5),
    classes=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    protocol=st.sampled_from(["zero-shot", "transductive"]),
    kind=st.sampled_from(["text", "number", "category"]),
    unlabelled=st.booleans(),
    constant=st.booleans(),
)
def test_predictions_are_those_of_scikit_learn_in_whatever_order(
    seed, n_animals, classes, protocol, kind, unlabelled, constant
):
    """Against a plain loop over animals; classes may be absent from training, an animal may have
    one, units come in any order.
    """
    rng = np.random.default_rng(seed)
    n = 12 * n_animals
    index = pd.MultiIndex.from_arrays(
        [np.repeat([f"r{i}" for i in range(n_animals)], 12), np.tile(np.arange(12), n_animals)],
        names=["recording_id", "unit_id"],
    )
    groups = pd.Series(np.repeat([f"a{i}" for i in range(n_animals)], 12), index)
    # 8, 9, 10: as text, 10 is first
    values = (
        [classes[i] for i in rng.integers(0, len(classes), n)]
        if kind != "number"
        else rng.integers(8, 8 + len(classes), n)
    )
    labels = pd.Series(values, index, dtype="category" if kind == "category" else None)
    labels = labels.where(rng.random(n) > 0.2) if unlabelled else labels
    features = pd.DataFrame(rng.normal(size=(n, 3)) * (0.0 if constant else 1.0) + 5.0, index)
    with refusals():
        result = nl.decode(features, labels, groups, protocol, n_bootstrap=20)
    known = labels.dropna().astype(str)
    table = result.predictions
    assert (
        table.index.tolist() == known.index.tolist()
        and table["true"].tolist() == known.tolist()
        and result.classes == sorted(set(known))
    )
    probability = table[[f"p_{name}" for name in result.classes]].to_numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert [result.classes[i] for i in probability.argmax(axis=1)] == table[
        "predicted"
    ].tolist() or constant
    if protocol == "zero-shot":
        for animal in groups[known.index].unique():
            test = (groups[known.index] == animal).to_numpy()
            x, y = features.loc[known.index].to_numpy(), known.to_numpy()
            scaler = StandardScaler().fit(x[~test])
            model = LogisticRegression(class_weight="balanced", max_iter=2000).fit(
                scaler.transform(x[~test]), y[~test]
            )
            expected = pd.DataFrame(
                0.0, index=known.index[test], columns=[f"p_{name}" for name in result.classes]
            )
            expected[[f"p_{name}" for name in model.classes_]] = model.predict_proba(
                scaler.transform(x[test])
            )
            np.testing.assert_allclose(
                table.loc[known.index[test], expected.columns], expected, atol=1e-5
            )
    order = rng.permutation(n)
    again = nl.decode(features.iloc[order], labels, groups, protocol, n_bootstrap=20)
    np.testing.assert_allclose(
        again.predictions.loc[known.index, [f"p_{name}" for name in result.classes]],
        probability,
        atol=1e-5,
    )
    pd.testing.assert_frame_equal(again.scores, result.scores, atol=1e-9)


# ---- the objective


@cases(
    40,
    seed=st.integers(0, 999),
    sizes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=3),
    within=st.booleans(),
    decoupled=st.booleans(),
    alike=st.booleans(),
)
def test_the_loss_is_finite_and_nobodys_place_counts(seed, sizes, within, decoupled, alike):
    torch.manual_seed(seed)
    loss = nl.ContrastiveLoss(4, scale_within_view=within, decoupled=decoupled)
    ids = [[torch.randperm(6)[: size[view]] for size in sizes] for view in (0, 1)]
    vectors = [
        [torch.zeros(len(one), 4) if alike else torch.randn(len(one), 4) for one in view]
        for view in ids
    ]

    def of(populations, shuffle=False):
        chosen = []
        for view in (0, 1):
            order = [
                torch.randperm(len(ids[view][p])) if shuffle else torch.arange(len(ids[view][p]))
                for p in populations
            ]
            chosen.append(
                [
                    torch.cat([what[view][p][o] for p, o in zip(populations, order)])
                    for what in (vectors, ids)
                ]
                + [torch.tensor([len(o) for o in order])]
            )
        (x1, i1, s1), (x2, i2, s2) = chosen
        return loss(x1.requires_grad_(), x2.requires_grad_(), i1, i2, s1, s2), (x1, x2)

    parts, inputs = of(range(len(sizes)))
    parts.total.backward()
    assert all(torch.isfinite(part) for part in parts) and all(
        torch.isfinite(x.grad).all() for x in inputs if x.grad is not None
    )
    other, _ = of(list(range(len(sizes)))[::-1], shuffle=True)
    torch.testing.assert_close(other.total, parts.total, atol=1e-5, rtol=1e-5)


# ---- pretraining


@cases(
    6,
    many=st.lists(
        st.tuples(trains_ms(duration_ms=15_000), intervals_ms(duration_ms=15_000)),
        min_size=1,
        max_size=3,
    ),
    seed=st.integers(0, 99),
    solid=st.sampled_from([True, True, False]),
)
def test_a_few_steps_on_anything(many, seed, solid):
    with refusals():
        recordings = [
            recording_of([range(0, 15_000, 70), range(30, 15_000, 200)], name="solid")
        ] * solid
        recordings += [
            recording_of(trains, intervals, name=f"r{i}")
            for i, (trains, intervals) in enumerate(many)
        ]
        with warnings.catch_warnings():
            # some are too short, some batches show nobody twice
            warnings.simplefilter("ignore", UserWarning)
            trained = nl.pretrain(
                recordings, TINY.with_(steps=2, seed=seed, dim=8, heads=1, batch_size=2)
            )
    assert np.isfinite(
        trained.history[["loss", "attraction", "repulsion"]].to_numpy()
    ).all() and trained.history["step"].tolist() == [1, 2]
    assert all(torch.isfinite(parameter).all() for parameter in trained.encoder.parameters())


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
    traces = np.ma.array(np.ones((8, 1)), mask=[[frame == 3] for frame in range(8)])
    with pytest.raises(ValueError, match="frame 3 .* is NaN"):
        nl.Recording.from_traces(traces, 4.0, recording_id="rec", animal_id="a")


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
