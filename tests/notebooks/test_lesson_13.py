"""The definitions of notebook 13; its checks and its reader have `test_checks` and
`test_zero_shot`, its words `test_wording`.
"""

import course
import jupytext
import numpy as np
import pandas as pd
from helpers import spikes, trains_of, with_trains
from official_files import checkpoint, model, official_state

import nuclr_lite as nl

lesson = course.definitions(course.HERE / "13_can_you_trust_it.py")


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
        for cell in jupytext.read(course.HERE / "13_can_you_trust_it.py").cells
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
