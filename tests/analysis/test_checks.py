"""The leak checklist, over recordings and as a whole: each check finds a planted fault and leaves
clean recordings alone, spikes and calcium.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import TINY, TINY_CALCIUM, from_trains, trains_of, two_units_each, with_trains

import nuclr_lite as nl
from nuclr_lite import checks
from nuclr_lite.sources.published import brainwidebench


@pytest.mark.parametrize(
    "train, test, found",
    [
        (["m1", "m2"], ["m3"], False),
        (["m1", "m2"], ["m2"], True),
        (["Mouse_07"], ["mouse07", "mouse08"], True),
        ([1, 2], [2], True),
        (["m1"], ["m11"], False),
        (["M-07"], ["m7"], True),
        (["1-11"], ["11-1"], False),
        (["m10"], ["m1"], False),
        (["m0"], ["m00"], True),
        (["m0"], ["m"], False),
        (["?"], ["!"], False),
        (["7.0"], [7], True),
        (["1.5"], ["15"], False),
        (["Größe 1"], ["größe_1"], True),
    ],
)
def test_split(train, test, found):
    assert checks.split(train, test).found is found


def test_seen(recordings):
    trained_on = nl.example_encoder().trained_on
    assert checks.seen(trained_on, recordings).sentence.startswith("3 of 3 animals"), (
        "the animals of seed 0"
    )
    fresh = [
        replace(recording, animal_id=f"mouse {at}", recording_id=f"r{at}")
        for at, recording in enumerate(recordings)
    ]
    assert not checks.seen(trained_on, fresh).found
    assert checks.seen(
        trained_on, [fresh[0], replace(fresh[1], animal_id="Animal0_5")]
    ).sentence.startswith("1 of 2"), "written otherwise"
    assert checks.seen(
        trained_on, [fresh[0], replace(recordings[1], animal_id="another name")]
    ).found, "the recording itself"


def test_seen_by_a_published_encoder(recordings):
    """24 of the 29 sessions that BrainWideBench evaluates are in the first NuCLR's list."""
    evaluated = brainwidebench.sessions().query("brainwidebench == 'eval'")
    table = evaluated.rename_axis("recording_id")[["animal_id"]]
    index = pd.MultiIndex.from_product([table.index, [0, 1]], names=["recording_id", "unit_id"])
    units = pd.DataFrame(
        {"animal_id": table["animal_id"].loc[index.get_level_values(0)].to_numpy()}, index=index
    )
    said = checks.seen(brainwidebench.trained_on("nuclr"), units)
    assert said.found and said.sentence.startswith("12 of 13 animals and 24 of 29 recordings were")
    said = checks.seen(brainwidebench.trained_on("brainwidebench"), units)
    assert not said.found and said.sentence.startswith("0 of 13 animals were")
    # a probe's recording, its mouse by another name
    one, other = evaluated.index[evaluated["nuclr"]][0], evaluated.index[~evaluated["nuclr"]][0]
    probes = [
        replace(recording, recording_id=name, animal_id=f"mouse {at}")
        for at, (recording, name) in enumerate(
            zip(recordings, [f"{one}-probe00", f"{one}_p1", f"{other}-probe00"])
        )
    ]
    said = checks.leaks(
        probes, TINY, trained_on=brainwidebench.trained_on("nuclr"), inductive=True
    ).set_index("check")
    assert said.loc["seen", "verdict"] == "look here"
    assert said.loc["seen", "found"].startswith("2 of 3 animals were")
    assert "transductive" in said.loc["seen", "to_do"]
    said = checks.leaks(
        probes[2:], TINY, trained_on=brainwidebench.trained_on("nuclr"), inductive=True
    ).set_index("check")
    assert said.loc["seen", "verdict"] == "fine"


def test_animals():
    labels, animals = (
        two_units_each({f"r{i}": "A" for i in range(5)}),
        two_units_each({f"r{i}": f"m{i}" for i in range(5)}),
    )
    assert (
        not checks.animals(labels, animals).found
        and checks.animals(labels, animals, fewest=6).found
    )
    labels.iloc[:6] = "B"
    assert (
        "{'A': 2, 'B': 3}" in checks.animals(labels, animals).sentence
        and checks.animals(labels, animals).found
    )
    labels.iloc[:6] = None
    assert (
        "{'A': 2}" in checks.animals(labels, animals).sentence
        and not checks.animals(labels, animals, fewest=2).found
    )
    labels[:] = None
    assert checks.animals(labels, animals).found is None


@pytest.fixture(scope="module")
def eight_recordings():
    """The index, the recording and a label for each of eight recordings of 30 units; a rate that
    tells recordings of B from those of A; vectors of which units tell and means don't.
    """
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [[f"r{i}" for i in range(8)], range(30)], names=["recording_id", "unit_id"]
    )
    recording = pd.Series(index.get_level_values(0), index=index)
    label = recording.map(dict(zip(recording.unique(), ["A", "B"] * 4)))
    is_b = label.eq("B").to_numpy()
    offset = pd.DataFrame({"rate": rng.standard_normal(240) + 0.8 * is_b}, index=index)
    # eight means in 41 dimensions are too few
    telling = pd.DataFrame(rng.standard_normal((240, 40)), index=index).assign(told=6.0 * is_b)
    return recording, label, offset, telling, rng


def test_label_that_goes_with_the_animal(eight_recordings):
    animals, by_animal, offset, telling, rng = eight_recordings
    check = checks.label_and_animal
    assert check(by_animal, animals, offset).found and check(by_animal, animals).found, (
        "without vectors nobody can tell"
    )
    assert check(by_animal, animals, telling).found is False and check(
        by_animal, animals, telling
    ).sentence.startswith("100%")
    mixed = pd.Series(rng.choice(["A", "B"], 240), index=animals.index)
    assert check(mixed, animals, offset).found is False and check(
        mixed, animals
    ).sentence.startswith("0%")
    assert (
        "one animal only" in check(by_animal.where(animals != "r1", "C"), animals, offset).sentence
    )
    assert check(by_animal.where(rng.random(240) < 0.9), animals, offset).found, (
        "units without a label take no part"
    )
    assert check(by_animal.where(by_animal == "A"), animals, offset).found is None, "one label"
    lonely = mixed[mixed.index.get_level_values("unit_id") == 0]
    assert check(lonely, animals).found is False, "one unit can only have one label"


def test_label_that_goes_with_the_probe(eight_recordings):
    recording, by_probe, offset, telling, rng = eight_recordings
    # two probes an animal, one in each area
    animals = recording.map({f"r{i}": f"m{i // 2}" for i in range(8)})
    check = checks.label_and_probe
    assert (
        check(by_probe, animals, offset).found
        and "recordings" in check(by_probe, animals, offset).sentence
        and check(by_probe, animals).found
    )
    assert check(by_probe, animals, telling).found is False
    mixed = pd.Series(rng.choice(["A", "B"], 240), index=recording.index)
    assert check(mixed, animals, offset).found is False
    assert check(by_probe, recording, offset).found is None, (
        "with one label an animal the other check asks"
    )
    assert checks.label_and_animal(by_probe, animals, offset).found is False


def test_label_and_stimulus(recordings, calcium_recordings):
    check = checks.label_and_stimulus
    blocks = pd.DataFrame(
        {"start_s": [0.0, 30.0], "stop_s": [30.0, 60.0], "name": ["grey", "movie"]}
    )
    for some in (recordings, calcium_recordings):
        clean = [replace(recording, epochs=blocks) for recording in some]
        assert (
            check(clean, "cell_type").found is False
            and check([replace(clean[0], epochs=blocks.iloc[:0])], "cell_type").found is None
        )
        cut = [
            replace(recording.during(name), units=recording.units.assign(line=name))
            for recording, name in zip(clean, ["grey", "movie", "grey"])
        ]
        assert check(cut, "line").found and "100%" in check(cut, "line").sentence
    clean = replace(recordings[0], epochs=blocks)
    sst = (clean.units["cell_type"] == "Sst").to_numpy()
    gone = with_trains(
        [train[train < 30] if one else train for train, one in zip(trains_of(clean), sst)], clean
    )
    assert check(gone, "cell_type").found, "units of one label are there in one block only"


def test_quiet_units_are_not_missed_in_short_blocks():
    start = np.arange(0.0, 600.0, 2.0)
    epochs = pd.concat(
        [
            pd.DataFrame({"start_s": start, "stop_s": start + 0.2, "name": "flash"}),
            pd.DataFrame({"start_s": start + 0.2, "stop_s": start + 2, "name": "grey"}),
        ]
    )
    rng = np.random.default_rng(0)
    trains = [np.r_[1.0, np.sort(rng.uniform(1, 599, n)), 599.0] for n in (20, 20, 6000, 6000)]
    recording = from_trains(
        trains,
        units=pd.DataFrame({"kind": ["slow", "slow", "fast", "fast"]}),
        intervals=[[0, 600]],
        epochs=epochs,
    )
    assert checks.label_and_stimulus(recording, "kind").found is False


def test_time_by_block():
    epochs = pd.DataFrame(
        {"start_s": [0.0, 10.0, 20.0], "stop_s": [10.0, 20.0, 30.0], "name": ["a", "b", "a"]}
    )
    recording = from_trains(
        [[1.0, 25.0], [12.0, 14.0], []], intervals=[[0, 15], [22, 30]], epochs=epochs
    )
    np.testing.assert_allclose(
        checks.time_by_block(recording)[["a", "b"]], [[12, 5], [0, 2], [0, 0]]
    )


# The whole list


@pytest.fixture(scope="module")
def decoded():
    """Ten small simulated animals, features of each unit, and the label read from them."""
    config = replace(
        nl.sources.simulated.SPIKES, duration_s=40.0, n_units=(12, 12), stimulus_block_s=10.0
    )
    recordings = nl.simulate_recordings(6, config=config)
    units, features = nl.units_table(recordings), nl.baselines.hand_features(recordings)["rate"]
    return (
        recordings,
        units,
        features,
        nl.decode(features, units["cell_type"], units["animal_id"], n_bootstrap=0).predictions,
    )


def test_clean_recordings_are_fine(decoded):
    recordings, _, features, predictions = decoded
    said = checks.leaks(
        recordings, TINY, "cell_type", embedding=features, predictions=predictions
    ).set_index("check")
    assert list(said.columns) == ["verdict", "found", "where", "to_do"]
    assert set(said.index[said["verdict"] == "not asked"]) == {
        "brightness",
        "light",
        "seen",
    } and "look here" not in set(said["verdict"])
    assert (said["to_do"] == "").all() and (said["found"] != "").all()


def test_calcium_recordings_are_fine(calcium_recordings):
    said = checks.leaks(calcium_recordings, TINY_CALCIUM, "cell_type").set_index("check")["verdict"]
    assert (
        said[
            [
                "seconds",
                "brightness",
                "duplicates",
                "encoder",
                "label and animal",
                "label and stimulus",
            ]
        ]
        .eq("fine")
        .all()
    )
    assert said["animals"] == "look here", "there are two"


def test_faults_are_found_and_named(decoded):
    recordings, units, features, predictions = decoded
    trains = trains_of(recordings[3])
    doubled = nl.Recording.from_spike_trains(
        [*trains, trains[0]],
        intervals=recordings[3].intervals,
        recording_id=recordings[3].recording_id,
        animal_id="x",
    )
    pulses = {recordings[1].recording_id: pd.DataFrame({"start_s": [3.0], "stop_s": [3.1]})}
    said = checks.leaks([*recordings[:3], doubled], pulses=pulses).set_index("check")
    assert (
        said.loc["duplicates", "verdict"] == "look here"
        and said.loc["duplicates", "where"] == f"1 of 4 recordings: {doubled.recording_id}"
    )
    assert (
        "(0, 12)" in said.loc["duplicates", "found"] and "Merge" in said.loc["duplicates", "to_do"]
    )
    assert said.loc["light", "verdict"] == "look here" and said.loc["light", "where"].startswith(
        "1 of 4"
    )
    assert said["verdict"].eq("not asked").sum() == 8, (
        "brightness, encoder, split, seen and four about labels"
    )
    by_unit = nl.decode(
        features,
        units["cell_type"],
        units["animal_id"],
        protocol="transductive",
        n_folds=2,
        n_bootstrap=0,
    ).predictions
    said = checks.leaks(
        recordings,
        nl.example_encoder(),
        "cell_type",
        embedding=features,
        predictions=by_unit,
        inductive=True,
    ).set_index("check")
    assert said.loc[["split", "seen"], "verdict"].eq("look here").all() and said.loc[
        "seen", "found"
    ].startswith("6 of 6")
    said = checks.leaks(
        recordings, nl.example_encoder(), "cell_type", predictions=predictions
    ).set_index("check")
    assert (
        said.loc["seen", "verdict"] == "not asked" and "transductive" in said.loc["seen", "found"]
    )


def test_every_claim_is_about_the_animals_tested(decoded):
    recordings, units, features, _ = decoded
    fresh = [
        replace(recording, animal_id=f"new {at}", recording_id=f"new {at}") if at > 2 else recording
        for at, recording in enumerate(recordings)
    ]
    units = nl.units_table(fresh)
    features = features.set_axis(units.index)
    predictions = nl.decode(
        features,
        units["cell_type"],
        units["animal_id"],
        test_groups=["new 3", "new 4", "new 5"],
        n_bootstrap=0,
    ).predictions
    said = checks.leaks(
        fresh, nl.example_encoder(), predictions=predictions, inductive=True
    ).set_index("check")
    assert said.loc["seen", "verdict"] == "fine" and said.loc["seen", "found"].startswith("0 of 3")
    assert said.loc["split", "verdict"] == "not asked", (
        "of one fold, the table doesn't say who was learned from"
    )


def test_bad_input_is_named(recordings):
    with pytest.raises(ValueError, match="no unit has a column 'celltype'"):
        checks.leaks(recordings, label_column="celltype")
    with pytest.raises(ValueError, match="at least one"):
        checks.leaks([])
    with pytest.raises(ValueError, match="weren't given.*'other'"):
        checks.leaks(recordings, pulses={"other": pd.DataFrame()})
    some = [
        recordings[0],
        replace(recordings[1], units=recordings[1].units.drop(columns="cell_type")),
    ]
    said = checks.leaks(some, label_column="cell_type").set_index("check")
    assert "'Exc': 1" in said.loc["animals", "found"], (
        "a recording without the column has no labels"
    )
