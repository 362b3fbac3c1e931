"""Whatever comes in, what comes out is right or an error that says what to do: no NaN, no hang, no
warning of numpy's, no label in another's place. Here: vectors, features,
predictions, training.

Each property is tried on generated cases (`fuzz.cases`), against a simple second way to the same
answer.
"""

import warnings

import numpy as np
import pandas as pd
import torch
from fuzz import (
    MODEL,
    MODEL_CALCIUM,
    NAMES,
    OFFSETS_S,
    cases,
    imaged,
    intervals_ms,
    recording_of,
    recording_of_traces,
    trains_ms,
)
from helpers import TINY
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from unbreakable import ENCODER, ENCODER_CALCIUM, STRICT, refusals

import nuclr_lite as nl
from nuclr_lite.views import Windows

pytestmark = STRICT


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
