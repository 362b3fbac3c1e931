"""The definitions of notebook 11, and what it imports for neighbours and for words; its checks and
its reader have `test_checks` and `test_zero_shot`.
"""

from dataclasses import replace

import course
import jupytext
import numpy as np
import pandas as pd
import pytest
from helpers import spikes, trains_of, two_units_each, with_trains
from test_official import checkpoint, model, official_state

import nuclr_lite as nl
from nuclr_lite.analysis.retrieval import nearest_units, neighbours_agree, within_recording
from nuclr_lite.analysis.wording import in_words

lesson = course.definitions(course.HERE / "11_your_data.py")


# Exercises


def test_presence(recordings):
    check, clean = lesson["check_presence"], recordings[0]
    clean = with_trains(
        [np.union1d(train, np.arange(0.5, 60, 5)) for train in trains_of(clean)], clean
    )
    sst = (clean.units["cell_type"] == "Sst").to_numpy()
    fading = with_trains(
        [train[train < 30] if one else train for train, one in zip(trains_of(clean), sst)], clean
    )
    assert check(clean, "cell_type").verdict == "fine" and str(
        check(fading, "cell_type")
    ).startswith("look here: units of Sst")


def test_answer():
    p = pd.DataFrame({"A": [0.7, 0.4, 0.9], "B": [0.3, 0.6, 0.1]}, index=[5, 6, 7])
    given = lesson["answer"](p, np.array([1.0, 1.0, 9.0]), least=0.6, farthest=2.0)
    assert given.to_dict() == {5: "A", 6: "B", 7: "I don't know"}


def test_shuffled_intervals_keep_each_unit_as_it_is():
    recording = nl.Recording.from_spike_trains(
        [*trains_of(spikes(3)), [], [4.0]], intervals=[[-10, 70]], recording_id="r", animal_id="a"
    )
    after = lesson["shuffled_intervals"](recording, np.random.default_rng(0))
    for unit in range(5):
        before, now = np.diff(recording.spike_times(unit)), np.diff(after.spike_times(unit))
        np.testing.assert_allclose(np.sort(now), np.sort(before), atol=1e-9)
    assert not np.allclose(after.spike_times(0), recording.spike_times(0)) and after.spike_times(
        4
    ) == [4.0]


# Neighbours


def test_neighbours():
    vectors = pd.DataFrame(
        [[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], index=two_units_each({"r0": 0, "r1": 1}).index
    )
    one = vectors.set_axis(
        pd.MultiIndex.from_product([["r"], range(4)], names=["recording_id", "unit_id"])
    )
    kinds = ["A", "A", "B", "B"]
    assert neighbours_agree(one, pd.Series(kinds, one.index)) == pytest.approx((1, 1 / 3))
    assert np.isnan(neighbours_agree(one, pd.Series(kinds, one.index), across=True)).all()
    other = vectors.iloc[[0, 2, 1, 3]].set_axis(vectors.index)
    assert neighbours_agree(
        other, pd.Series(["A", "B", "A", "B"], vectors.index), across=True
    ) == pytest.approx((1, 1 / 2))
    assert neighbours_agree(one, pd.Series(["A", "A", "B", None], one.index)) == pytest.approx(
        (2 / 3, 1 / 3)
    ), "a unit without a label is nobody's neighbour"
    index = pd.MultiIndex.from_product([["r"], range(200)], names=["recording_id", "unit_id"])
    scores = np.array(
        [
            neighbours_agree(
                pd.DataFrame(rng.standard_normal((200, 3)), index),
                pd.Series(rng.choice(["A", "B"], 200), index),
            )
            for rng in map(np.random.default_rng, range(20))
        ]
    )
    assert abs(scores[:, 0].mean() - scores[:, 1].mean()) < 0.03, (
        "of noise, neighbours agree as often as at random"
    )


def test_within_recording_takes_off_what_a_recording_shares():
    features = pd.DataFrame(
        {"x": [1.0, 3.0, 11.0, 13.0], "constant": 2.0},
        index=two_units_each({"r0": 0, "r1": 0}).index,
    )
    np.testing.assert_allclose(within_recording(features), [[-1, 0], [1, 0], [-1, 0], [1, 0]])


def test_nearest_units_are_of_other_recordings():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [["r0", "r1", "r2"], range(10)], names=["recording_id", "unit_id"]
    )
    embedding = pd.DataFrame(rng.standard_normal((30, 4)), index=index)
    found = nearest_units(embedding, pd.DataFrame({"k": range(30)}, index=index), ("r1", 3))
    assert (
        len(found) == 5
        and "r1" not in found.index.get_level_values(0)
        and found["cosine"].is_monotonic_decreasing
    )
    a, b = embedding.loc[("r1", 3)], embedding.loc[found.index[0]]
    assert found["cosine"].iloc[0] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    with pytest.raises(KeyError, match="has no vector"):
        nearest_units(embedding, embedding, ("r9", 3))
    with pytest.raises(ValueError, match="no recording beside"):
        nearest_units(embedding.loc[["r1"]], embedding, ("r1", 3))


# Files, errors, words


def test_nwb_round_trip(tmp_path, recordings):
    pytest.importorskip("pynwb")
    recording = replace(
        recordings[0],
        units=recordings[0].units.assign(cell_type=[None, *recordings[0].units["cell_type"][1:]]),
    )
    lesson["write_nwb"](recording, tmp_path / "one.nwb", ["cell_type", "area"])
    [back] = lesson["read_nwb"](tmp_path)
    np.testing.assert_array_equal(back.times, recording.times)
    np.testing.assert_array_equal(back.intervals, recording.intervals)
    assert (
        back.units["cell_type"].tolist() == recording.units["cell_type"].tolist()
        and back.animal_id == recording.animal_id
    )
    pd.testing.assert_frame_equal(back.epochs, recording.epochs)


def test_said_catches_notices_and_errors():
    said = lesson["said"]
    assert said(lambda: None) == "nothing"
    assert (
        said(lambda: nl.Recording.load("/no/such"), "/no")
        == "FileNotFoundError: such: nothing there; save a recording to it first."
    )
    assert said(
        lambda: nl.Recording.from_spike_trains([[2.0, 1.0]], recording_id="r", animal_id="a")
    ).startswith("notice: r: sorted")
    with pytest.raises(ZeroDivisionError):
        said(lambda: 1 / 0)


def test_in_words():
    rows = {
        "NuCLR": 0.81,
        "hand: rate": 0.3,
        "hand: all": 0.4,
        "NuCLR, shuffled labels": 0.2,
        "chance": 0.25,
    }
    scores = pd.DataFrame(
        [
            {
                "method": name,
                "metric": "macro_f1",
                "estimate": value,
                "low": value - 0.1,
                "high": value + 0.1,
            }
            for name, value in rows.items()
        ]
    )
    labels, animals = (
        two_units_each({"r0": "A", "r1": "B"}),
        two_units_each({"r0": "m0", "r1": "m1"}),
    )
    words = in_words(scores, labels, animals, "zero-shot", False)
    for part in (
        "(A, B; 4 units of 2 animals)",
        "transductive zero-shot",
        "0.81 (95 % interval over animals 0.71 to 0.91)",
        "chance 0.25",
        "0.40 (all)",
    ):
        assert part in words
    assert "(inductive zero-shot" in in_words(scores, labels, animals, "zero-shot", True)
    bare = scores[~scores["method"].str.startswith("hand")]
    assert "(transductive)" in in_words(
        bare, labels, animals, "transductive", False
    ) and "unit alone" not in in_words(bare, labels, animals, "transductive", False)


# The published encoders


def test_the_cell_that_decodes_with_the_published_encoders(
    recordings, tmp_path, monkeypatch, capsys
):
    """With files of the authors' layout in place of theirs: encoders of their window, small and
    untrained.
    """
    asked = []

    def fetched(seed):
        asked.append(seed)
        return checkpoint(
            tmp_path / f"nuclr_{seed}.pt",
            official_state(model(), "brainwidebench"),
            "brainwidebench",
        )

    monkeypatch.setattr(nl, "download_official_weights", fetched, raising=False)
    [cell] = [
        cell.source
        for cell in jupytext.read(course.HERE / "11_your_data.py").cells
        if "nl.download_official_weights(seed=number)" in cell.source and cell.cell_type == "code"
    ]
    units = nl.units_table(recordings)
    exec(
        cell,
        {
            "nl": nl,
            "pd": pd,
            "recordings": recordings,
            "labels": units["cell_type"],
            "animals": units["animal_id"],
            "protocol": "zero-shot",
            "official_weights": True,
        },
    )
    assert asked == [42, 43, 44, 45, 46]
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0].split() == ["estimate", "low", "high"]
        and len(lines) == 6
        and all(0 <= float(line.split()[-3]) <= 1 for line in lines[1:])
    )
