"""Labels for new animals: are the probabilities true, are strangers refused, and is it said why?"""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import spikes
from sklearn.calibration import calibration_curve
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nuclr_lite as nl
from nuclr_lite import zero_shot
from nuclr_lite.sources.simulated import SPIKES

CENTRES = {"Exc": (0, 0, 0), "Pvalb": (2.2, 0, 0), "Sst": (0, 2.2, 0)}


def drawn(
    n_animals: int,
    seed: int,
    shares=(0.7, 0.2, 0.1),
    n_units: int = 60,
    dim: int = 8,
    animal_sd: float = 0.5,
):
    """Vectors of three unequally common types around their centres, with an offset an animal;
    labels; animals.
    """
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [[f"r{seed}-{at}" for at in range(n_animals)], range(n_units)],
        names=["recording_id", "unit_id"],
    )
    kinds = rng.choice(list(CENTRES), len(index), p=shares)
    x = rng.standard_normal((len(index), dim)) + np.repeat(
        animal_sd * rng.standard_normal((n_animals, dim)), n_units, axis=0
    )
    x[:, :3] += [CENTRES[kind] for kind in kinds]
    animals = pd.Series(index.get_level_values(0).str.replace("r", "m"), index=index)
    return (
        pd.DataFrame(x, index=index, columns=[f"e{i:03d}" for i in range(dim)]),
        pd.Series(kinds, index=index),
        animals,
    )


def error_of(predictions: pd.DataFrame) -> float:
    return zero_shot.calibration_error(*zero_shot.sureness(predictions))


@pytest.fixture(scope="module")
def taught():
    return drawn(10, seed=0)


@pytest.fixture(scope="module")
def reader(taught):
    return nl.ZeroShot.fit(*taught)


# Probabilities


@pytest.mark.filterwarnings("ignore:.*its units lie")
def test_probabilities_hold_in_new_animals():
    """Of units with a probability of 0.8, some 80 % are right: five readers of ten animals each,
    asked about forty new ones.
    """
    errors = []
    for seed in range(5):
        taught, (new, truth, _) = drawn(10, seed=100 + seed), drawn(40, seed=1000 + seed)
        said = nl.ZeroShot.fit(*taught).predict(new).assign(true=truth)
        raw = nl.decoding.probe().fit(taught[0].to_numpy(), taught[1].to_numpy())
        p = raw.predict_proba(new.to_numpy())
        # not only of the likeliest
        of_each = [
            zero_shot.reliability(said[f"p_{name}"].to_numpy(), (truth == name).to_numpy())
            for name in CENTRES
        ]
        errors.append(
            [
                error_of(said),
                zero_shot.calibration_error(
                    p.max(axis=1), raw.classes_[p.argmax(axis=1)] == truth.to_numpy()
                ),
                max(np.average(np.abs(share - mean), weights=n) for share, mean, n in of_each),
            ]
        )
    ours, probe, of_each = np.mean(errors, axis=0)
    assert ours < 0.03 and of_each < 0.04
    assert probe > 2 * ours, "the probe weighs classes evenly; they aren't equally common"


def test_left_out_animals_show_overconfidence_that_left_out_units_do_not():
    embedding, labels, animals = drawn(6, seed=2, dim=40, animal_sd=1.5)
    new, truth, _ = drawn(30, seed=3, dim=40, animal_sd=1.5)
    x, y = embedding.to_numpy(), labels.to_numpy()
    by_animal, by_unit = (
        zero_shot.Calibrated().fit(x, y, animals.to_numpy()),
        zero_shot.Calibrated().fit(x, y),
    )
    assert by_animal.by_animal_ and by_animal.scale_ < by_unit.scale_
    error = [
        zero_shot.calibration_error(
            p.max(axis=1), by_unit.classes_[p.argmax(axis=1)] == truth.to_numpy()
        )
        for p in (one.predict_proba(new.to_numpy()) for one in (by_animal, by_unit))
    ]
    assert error[0] < 0.6 * error[1]


def test_calibration_mends_naive_bayes_in_decode():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [[f"m{i}" for i in range(8)], range(60)], names=["recording_id", "unit_id"]
    )
    labels = pd.Series(rng.choice(["A", "B"], 480), index=index)
    witness = rng.standard_normal(480) + 1.0 * labels.eq("A").to_numpy()
    # one witness, heard twelve times
    features = pd.DataFrame(
        np.tile(witness[:, None], 12) + 0.1 * rng.standard_normal((480, 12)), index=index
    )
    animals, bayes = (
        pd.Series(index.get_level_values(0), index=index),
        make_pipeline(StandardScaler(), GaussianNB()),
    )
    error = {}
    for name, classifier in (("raw", bayes), ("calibrated", zero_shot.Calibrated(bayes))):
        result = nl.decode(features, labels, animals, classifier=classifier, n_bootstrap=0)
        probability, right = zero_shot.sureness(result.predictions)
        assert (
            np.isclose(right.mean(), result.score("accuracy"))
            and ((probability >= 0.5) & (probability <= 1)).all()
        )
        share, mean, n = zero_shot.reliability(probability, right)
        np.testing.assert_allclose(
            (share, mean), calibration_curve(right, probability, n_bins=6, strategy="quantile")
        )
        assert n.sum() == 480 and n.max() - n.min() <= 1
        error[name] = error_of(result.predictions)
        assert error[name] == pytest.approx(np.average(np.abs(share - mean), weights=n))
    assert error["calibrated"] < 0.06 < 0.15 < error["raw"]


def test_by_hand():
    share, mean, n = zero_shot.reliability(np.full(4, 0.9), np.array([True, True, True, False]), 1)
    np.testing.assert_allclose((share[0], mean[0], n[0]), (0.75, 0.9, 4))
    curve = zero_shot.accuracy_when_answering(
        np.array([0.9, 0.6, 0.8, 0.5]), np.array([True, False, True, True])
    )
    np.testing.assert_allclose(curve["accuracy"], [1, 1, 2 / 3, 3 / 4])
    np.testing.assert_allclose(curve["share"], [0.25, 0.5, 0.75, 1])


# Answers


def test_answers_follow_the_rule(taught, reader):
    new, truth, _ = drawn(3, seed=4)
    new.iloc[0] = 40.0
    said = reader.predict(new)
    p = said[["p_Exc", "p_Pvalb", "p_Sst"]]
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (said["likeliest"] == p.idxmax(axis=1).str.removeprefix("p_")).all() and np.allclose(
        said["probability"], p.max(axis=1)
    )
    far, unsure = said["distance"] > reader.farthest, said["probability"] < reader.least
    assert (
        said["reason"] == np.where(far, "too far", np.where(unsure, "between classes", ""))
    ).all() and (unsure & ~far).any()
    assert (
        said.loc[new.index[0], "reason"] == "too far"
        and (said["label"].isna() == (far | unsure)).all()
    )
    assert (
        said["label"].dropna() == said["likeliest"][said["label"].notna()]
    ).all() and said.index.equals(new.index)
    assert len(reader.predict(new.iloc[:0])) == 0 and list(
        reader.predict(new.iloc[:0]).columns
    ) == list(said.columns)


def test_silence_buys_accuracy(taught):
    new, truth, _ = drawn(20, seed=5)
    shares, accuracy = [], []
    for least in (0.0, 0.6, 0.9):
        said = nl.ZeroShot.fit(*taught, least=least).predict(new)["label"]
        shares.append(said.notna().mean())
        accuracy.append((said == truth)[said.notna()].mean())
    assert (
        accuracy == sorted(accuracy)
        and shares == sorted(shares, reverse=True)
        and accuracy[-1] > accuracy[0] + 0.05
    )


def test_distance(taught, reader):
    embedding, labels, animals = taught
    rows = reader.scaler.transform(embedding.to_numpy())
    by_hand = np.sort(np.linalg.norm(rows - rows[7], axis=1))[:5].mean() / 8**0.5
    assert reader.distance(embedding.iloc[[7]]).iloc[0] == pytest.approx(by_hand)
    new, _, _ = drawn(20, seed=6)
    assert (reader.distance(new) > reader.farthest).mean() < 0.04, (
        "99 % of the labelled units lie within, seen from other animals"
    )
    one = nl.ZeroShot.fit(embedding, labels, animals, within=0.5)
    assert (one.distance(new) > one.farthest).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.filterwarnings("ignore:a label occurs in one animal only", "ignore:.*its units lie")
def test_units_of_their_own_animal_do_not_bring_the_limit_closer():
    """Animals far apart, units of one close together: a new animal is as far as these are from each
    other.
    """
    embedding, labels, animals = drawn(8, seed=7, animal_sd=4.0)
    new, _, _ = drawn(8, seed=8, animal_sd=4.0)
    reader = nl.ZeroShot.fit(embedding, labels, animals)
    assert (reader.distance(new) > reader.farthest).mean() < 0.3
    as_one = nl.ZeroShot.fit(embedding, labels, animals.where(animals == "", "all"))
    assert (as_one.distance(new) > as_one.farthest).mean() > 0.6


def test_rehearsal_is_each_animal_left_out(taught):
    embedding, labels, animals = taught
    some = embedding[animals.isin(["m0-0", "m0-1", "m0-2", "m0-3"])]
    labels = labels.where(np.arange(len(labels)) % 7 > 0)
    said = zero_shot.rehearsal(some, labels, animals)
    assert (
        said.index.equals(some.index[labels.loc[some.index].notna()])
        and said["fold"].nunique() == 4
    )
    assert said["true"].equals(labels.loc[said.index])
    out = animals.loc[some.index] == "m0-2"
    alone = nl.ZeroShot.fit(some[~out], labels, animals).predict(
        some[out & labels.loc[some.index].notna()]
    )
    pd.testing.assert_frame_equal(said.loc[alone.index, alone.columns], alone)
    with pytest.raises(ValueError, match="one animal"):
        zero_shot.rehearsal(some[out], labels, animals)


@pytest.mark.filterwarnings("ignore:a label occurs in one animal only")
def test_a_label_of_one_animal_is_never_heard_of_by_the_others(taught):
    embedding, labels, animals = taught
    labels = labels.where(~((animals == "m0-3") & (labels == "Sst")), "Vip")
    said = zero_shot.rehearsal(embedding, labels, animals)
    assert said.loc[animals == "m0-3", "p_Vip"].eq(0).all() and not said.filter(
        like="p_"
    ).isna().any(axis=None)


# What can go wrong


def test_few_units_one_animal_one_label(taught):
    embedding, labels, animals = taught
    mine = animals == "m0-0"
    with pytest.warns(UserWarning, match="calibrated on units left out"):
        reader = nl.ZeroShot.fit(embedding[mine], labels, animals)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reader.predict(embedding[mine])["label"].notna().any(), (
            "of one animal nobody knows what is usual"
        )
    with pytest.raises(ValueError, match="1 class"):
        nl.ZeroShot.fit(embedding, labels.where(labels == "Exc"), animals)
    with pytest.raises(ValueError, match="6 at the very least"):
        nl.ZeroShot.fit(embedding.iloc[:5], labels, animals)


@pytest.mark.filterwarnings(
    "ignore:The least populated class", "ignore:a label occurs", "ignore:Number of classes"
)
def test_a_class_of_one_unit_spoils_nothing(taught):
    embedding, labels, animals = taught
    new, truth, _ = drawn(20, seed=9)
    labels = labels.copy()
    labels.iloc[3] = "Lamp5"
    said = nl.ZeroShot.fit(embedding, labels, animals).predict(new).assign(true=truth)
    assert error_of(said) < 0.08 and said["likeliest"].ne("Lamp5").mean() > 0.99


def test_bad_input_is_named(taught, reader):
    embedding, labels, animals = taught
    with pytest.raises(ValueError, match="the same encoder"):
        reader.predict(embedding.iloc[:, :5])
    with pytest.raises(ValueError, match="the same encoder"):
        reader.predict(embedding.iloc[:, ::-1])
    with pytest.raises(ValueError, match="NaN"):
        reader.predict(embedding.where(embedding > -1))
    with pytest.raises(ValueError, match="least is 60"):
        nl.ZeroShot.fit(*taught, least=60)
    with pytest.raises(ValueError, match="labels lack"):
        nl.ZeroShot.fit(embedding, labels.iloc[:10], animals)


def test_order_changes_nothing(taught, reader):
    embedding, labels, animals = taught
    new, _, _ = drawn(2, seed=10)
    turned = (
        nl.ZeroShot.fit(embedding, labels.iloc[::-1], animals.iloc[::-1])
        .predict(new.iloc[::-1])
        .iloc[::-1]
    )
    pd.testing.assert_frame_equal(turned, reader.predict(new))


# From recordings to refusals, by the encoder that comes with the repository


@pytest.fixture(scope="module")
def simulated():
    """Twelve simulated animals that the example encoder has not seen, the last two of them for
    questions; a reader taught on the others.
    """
    encoder = nl.example_encoder().encoder
    recordings = nl.simulate_recordings(
        12, seed=1, config=replace(SPIKES, duration_s=120.0, n_units=(30, 40))
    )
    embedding, units = nl.embed(encoder, recordings), nl.units_table(recordings)
    old = embedding.loc[[recording.recording_id for recording in recordings[:10]]]
    return (
        encoder,
        recordings,
        embedding,
        units,
        nl.ZeroShot.fit(old, units["cell_type"], units["animal_id"]),
    )


def test_simulated_animals_left_out(simulated):
    _, recordings, embedding, units, _ = simulated
    said = zero_shot.rehearsal(
        embedding.loc[[recording.recording_id for recording in recordings[:8]]],
        units["cell_type"],
        units["animal_id"],
    )
    right = said["label"].eq(said["true"])[said["label"].notna()]
    assert error_of(said) < 0.06
    assert (
        said["label"].notna().mean() > 0.6
        and right.mean() > zero_shot.sureness(said)[1].mean() + 0.01
    )


def shuffled_intervals(train, rng):
    """The same intervals between spikes in another order: a unit keeps its own statistics and loses
    the others.
    """
    return train[:1] + np.r_[0, np.cumsum(rng.permutation(np.diff(train)))] if len(train) else train


@pytest.mark.filterwarnings("ignore:.*its units lie")
def test_strangers_are_refused(simulated):
    """At least 95 % of what is no neuron, or has the statistics of another modality."""
    encoder, recordings, _, _, reader = simulated
    rng, refused = np.random.default_rng(0), {}
    for recording in recordings[10:]:
        odd = zero_shot.with_artefacts(recording, 5, rng)
        said = reader.predict(nl.embed(encoder, odd)).join(odd.units["artefact"], on="unit_id")
        for kind, part in said.groupby("artefact"):
            refused.setdefault(kind, []).extend(part["reason"] == "too far")
        [imaged] = nl.simulate_recordings(
            1, "calcium", seed=5, config=replace(nl.sources.simulated.CALCIUM, duration_s=120.0)
        )
        z = (imaged.traces - imaged.traces.mean(axis=0)) / imaged.traces.std(axis=0)
        events = [
            np.repeat(
                np.arange(len(z)) / imaged.sampling_rate_hz,
                np.maximum(np.round(3 * unit), 0).astype(int),
            )
            for unit in z.T
        ]
        poisson = [
            np.sort(rng.uniform(0, 120, len(recording.spike_times(unit))))
            for unit in recording.units.index
        ]
        for kind, trains in {"traces as spikes": events, "Poisson": poisson}.items():
            other = nl.Recording.from_spike_trains(
                trains, intervals=[[0, 120]], recording_id="r", animal_id="a"
            )
            refused.setdefault(kind, []).extend(
                reader.predict(nl.embed(encoder, other))["reason"] == "too far"
            )
    rates = {kind: np.mean(values) for kind, values in refused.items()}
    assert len(rates) == 5 and min(rates.values()) >= 0.95, rates


def test_real_units_are_not(simulated):
    _, recordings, embedding, _, reader = simulated
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = reader.predict(
            embedding.loc[[recording.recording_id for recording in recordings[10:]]]
        )
    assert (said["reason"] == "too far").mean() < 0.05 and said["label"].notna().mean() > 0.6


def test_a_population_that_has_lost_its_company_is_noticed_as_a_whole(simulated):
    """Shuffled intervals: each unit may still lie near enough, all together do not, and a warning
    says so.
    """
    encoder, recordings, _, _, reader = simulated
    rng = np.random.default_rng(0)
    for recording in recordings[8:]:
        trains = [
            shuffled_intervals(recording.spike_times(unit), rng) for unit in recording.units.index
        ]
        alone = nl.Recording.from_spike_trains(
            trains, intervals=[[-10, 130]], recording_id="shuffled", animal_id="a"
        )
        with pytest.warns(UserWarning, match="shuffled: its units lie"):
            reader.predict(nl.embed(encoder, alone))


def test_artefacts_are_added_to_the_real_units():
    recording = spikes(5)
    odd = zero_shot.with_artefacts(recording, 2, np.random.default_rng(0))
    assert odd.n_units == 11 and odd.units["artefact"].value_counts().to_dict() == {
        "mains hum": 2,
        "bursts": 2,
        "hash": 2,
    }
    np.testing.assert_array_equal(odd.spike_times(3), recording.spike_times(3))
    np.testing.assert_allclose(np.diff(odd.spike_times(5)), 0.02)


# Three lines for the impatient


def test_one_recording_without_labels():
    recording = nl.Recording.from_spike_trains(
        [spikes(8).spike_times(unit) for unit in range(8)], recording_id="mine", animal_id="mouse"
    )
    embedding = nl.embed(nl.example_encoder().encoder, recording)
    assert len(embedding) == 8
    figure = nl.plots.map(embedding)
    assert (
        len(figure.axes[0].collections[0].get_offsets()) == 8
        and figure.axes[0].get_legend() is None
    )
