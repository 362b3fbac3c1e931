"""The published rows, unit by unit, against the published lists."""

import json
from pathlib import Path

import paper_recordings
import pytest

from nuclr_lite.experiments.paper import ROWS, table
from nuclr_lite.experiments.paper.running import _recordings, _units
from nuclr_lite.experiments.paper.scoring import our_folds

LISTS = Path(__file__).resolve().parents[4] / "shared" / "protocols"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """data set -> its recordings and what the lists say of them, made when first asked for."""
    made = {}

    def of(row):
        data = row.name.split("-")[0]
        if data not in made:
            folder = tmp_path_factory.mktemp(data)
            # Allen's and Bugeon's sessions need all of their types
            n_units = {"ibl": 3, "steinmetz": 5, "bugeon": 14, "allen": 6}[data]
            paper_recordings.save_all(data, folder, n_units=n_units)
            made[data] = _recordings(row, folder, incomplete=False)
        return made[data]

    return of


def prepared(name, folders):
    row = ROWS[name]
    recordings, sessions = folders(row)
    return row, sessions, _units(row, recordings, sessions)


def names(units, index):
    return set(units.loc[index, "name"])


# IBL's lists name hundreds of sessions: its folds take 20 s.
SOME_SLOW = [
    pytest.param(name, marks=[pytest.mark.slow] * name.startswith("ibl-regions")) for name in ROWS
]


@pytest.mark.parametrize("name", SOME_SLOW)
def test_no_fold_tests_or_chooses_by_what_it_learns_from(name, folders):
    row, _, units = prepared(name, folders)
    folds = row.folds(units)
    assert folds
    tested = [unit for fold in folds for unit in fold.test]
    assert len(tested) == len(set(tested))
    for fold in folds:
        assert not set(fold.fit) & set(fold.test)
        for fit, part in fold.choose:
            assert not set(fit) & set(part)
            if name != "bugeon-excitatory-inhibitory-inductive":  # theirs
                assert not set(fit) & set(fold.test)
            assert not set(part) & set(fold.test)


@pytest.mark.parametrize(
    "name", [name for name, row in ROWS.items() if "inductive" in row.protocol]
)
def test_we_would_test_no_animal_that_the_encoder_saw(name, folders):
    row, sessions, units = prepared(name, folders)
    published = row.folds(units)
    seen = set(sessions.loc[row.pretrained_on(sessions), "animal_id"])
    tested = published[0].test
    for fold in published[1:]:
        tested = tested.append(fold.test)
    folds = our_folds(units, row.protocol, tested, seen)
    assert folds
    for fold in folds:
        assert not set(units.loc[fold.test, "animal_id"]) & seen
        assert not set(units.loc[fold.test, "animal_id"]) & set(units.loc[fold.fit, "animal_id"])


def test_allen_pretrains_on_42_sessions_and_leaves_one_of_16_out_in_turn(folders):
    row, sessions, units = prepared("allen-cell-types", folders)
    lists = published("allen")["sessions"]
    test = {str(one[0]) for one in lists if one[4] == "test"}
    assert (
        set(sessions.loc[row.pretrained_on(sessions), "name"])
        == {str(one[0]) for one in lists} - test
    )
    folds = row.folds(units)
    assert [names(units, fold.test) for fold in folds] == [{one} for one in sorted(test)]
    for fold in folds:
        assert names(units, fold.fit) == test - names(units, fold.test)
        # four inner folds over sessions, all of the rest predicted once
        assert len(fold.choose) == 4
        chosen_by = [one for _, part in fold.choose for one in names(units, part)]
        assert sorted(chosen_by) == sorted(names(units, fold.fit))
    assert set(units["label"]) == {"Pvalb", "Sst", "Vip"}


def test_allen_scaling_lists(folders):
    facts = ROWS["allen-cell-types"].data.facts
    lists = published("allen")["sessions"]
    for name, column in (("tiny", 5), ("medium", 6)):
        row = ROWS[f"allen-cell-types-{name}"]
        theirs = {str(one[0]) for one in lists if one[column]}
        assert set(facts.index[row.pretrained_on(facts)]) == theirs
    assert facts.loc["762120172", "role"] == "test" and facts.loc["762120172", "tiny"] == "1"


def test_allen_areas_learn_from_fifteen_sessions_and_choose_nothing(folders):
    row, _, units = prepared("allen-areas", folders)
    folds = row.folds(units)
    assert len(folds) == 16 and not any(fold.choose for fold in folds)
    assert all(len(names(units, fold.fit)) == 15 for fold in folds)
    assert set(units["label"]) == {"VISp", "VISl", "VISal", "VISam", "VISpm", "VISrl"}
    assert not row.readout.standardise


def test_ibl_lists(folders):
    row, sessions, units = prepared("ibl-regions", folders)
    lists = published("ibl")
    by_eid = {one[0]: one for one in lists["sessions"]}
    [fold] = row.folds(units)
    [(fit, chosen_by)] = fold.choose
    for index, part in ((fold.fit, "train"), (chosen_by, "dev"), (fold.test, "test")):
        eids = set(units.loc[index, "session"])
        assert eids == {eid for eid, one in by_eid.items() if one[2] == part}
    assert fit.equals(fold.fit)  # the paper doesn't fit again
    for name in ("tiny", "medium", "large"):
        other = ROWS[f"ibl-regions-{name}"]
        assert other.pretrained_on(sessions).sum() == lists["counts"][name]["insertions"]
    assert row.pretrained_on(sessions).sum() == lists["counts"]["all"]["insertions"] == 553
    # their seven mice that the encoder never saw
    seen = set(sessions.loc[row.pretrained_on(sessions), "animal_id"])
    [ours] = our_folds(units, row.protocol, fold.test, seen)
    new = lists["checks"]["test_mice_never_in_all"]
    assert set(units.loc[ours.test, "mouse"]) == set(new)
    assert len(names(units, ours.test)) == sum(new.values()) == 15


def test_ibl_transductive_takes_every_insertion_and_shares_of_units(folders):
    row, sessions, units = prepared("ibl-regions-transductive", folders)
    assert row.pretrained_on(sessions).all() and len(sessions) == 698
    [fold] = row.folds(units)
    [(_, chosen_by)] = fold.choose
    shares = [len(part) / len(units) for part in (fold.fit, chosen_by, fold.test)]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.005)
    by_region = units.loc[fold.test, "label"].value_counts() / units["label"].value_counts()
    assert by_region.between(0.18, 0.22).all()


def test_steinmetz_lists(folders):
    lists = published("steinmetz")
    row, sessions, units = prepared("steinmetz-inductive", folders)
    [fold] = row.folds(units)
    held_out = {mouse.capitalize() for mouse in lists["held_out_mice"]}
    assert set(units.loc[fold.test, "mouse"]) == held_out
    assert not set(sessions.loc[row.pretrained_on(sessions), "mouse"]) & held_out
    inner = [
        sorted({mouse.lower() for mouse in units.loc[part, "mouse"]}) for _, part in fold.choose
    ]
    assert inner == lists["inductive_inner_folds"]["validation_mice"]
    row, _, units = prepared("steinmetz-zero-shot", folders)
    folds = row.folds(units)
    tested = [sorted(set(units.loc[fold.test, "mouse"])) for fold in folds]
    assert tested == [[mouse.capitalize()] for mouse in lists["transductive_zero_shot_folds"]]
    for fold in folds:
        [(fit, chosen_by)] = fold.choose
        # the epoch is chosen on units of the mice learned from, and the last fit is on all of them
        assert set(fit) | set(chosen_by) == set(fold.fit)
        assert len(chosen_by) / len(fold.fit) == pytest.approx(0.2, abs=0.02)
    row, _, units = prepared("steinmetz-transductive", folders)
    [fold] = row.folds(units)
    [(_, chosen_by)] = fold.choose
    shares = [len(part) / len(units) for part in (fold.fit, chosen_by, fold.test)]
    assert shares == pytest.approx([0.64, 0.16, 0.2], abs=0.01)


def test_bugeon_lists(folders):
    lists = published("bugeon")
    folder_of = {one[0]: one[1].replace("/", "_") for one in lists["sessions"]}
    dev = {folder_of[one] for one in lists["dev_sessions"]}
    row, sessions, units = prepared("bugeon-subclass-inductive", folders)
    [fold] = row.folds(units)
    assert names(units, fold.test) == {folder_of[one] for one in lists["inductive_test_sessions"]}
    encoder = {folder_of[one] for one in lists["inductive_encoder_sessions"]}
    assert set(sessions.loc[row.pretrained_on(sessions), "name"]) == encoder
    assert names(units, fold.fit) == encoder
    inner = [set(units.loc[part, "mouse"]) for _, part in fold.choose]
    assert inner == [{"SB025"}, {"SB026"}, {"SB030"}]
    assert set(units["label"]) == {"Pvalb", "Sst", "Vip", "Lamp5", "Sncg"}

    row, _, units = prepared("bugeon-excitatory-inhibitory-transductive", folders)
    [fold] = row.folds(units)
    assert not names(units, fold.test) & dev
    assert names(units, fold.test) == {
        folder_of[one] for one in lists["transductive_test_units_from"]
    }
    assert len(fold.test) / len(units) == pytest.approx(0.2, abs=0.01)
    row, _, units = prepared("bugeon-excitatory-inhibitory-zero-shot", folders)
    folds = row.folds(units)
    assert len(folds) == 4 and not any(names(units, fold.test) & dev for fold in folds)
    assert all(len(fold.choose) == 3 for fold in folds)
    # the dev sessions of the other mice are learned from, and choose
    assert all(len(names(units, fold.fit) & dev) == 3 for fold in folds)


def test_excitatory_against_inhibitory_is_chosen_with_labels_of_the_tested_mouse(folders):
    row, _, units = prepared("bugeon-excitatory-inhibitory-inductive", folders)
    [fold] = row.folds(units)
    assert not set(units.loc[fold.fit, "mouse"]) & {"SB028"}
    assert all("SB028" in set(units.loc[fit, "mouse"]) for fit, _ in fold.choose)


def test_the_same_cell_of_two_sessions_is_on_one_side_as_we_would(folders):
    row, _, units = prepared("bugeon-subclass-transductive", folders)
    for fold in our_folds(units, row.protocol, units.index, set()):
        sides = [
            {tuple(one) for one in units.loc[index, ["mouse", "unique_id"]].dropna().to_numpy()}
            for index in (fold.fit, fold.test)
        ]
        assert all(sides) and not sides[0] & sides[1]


def test_the_table_names_every_row_and_what_it_needs():
    rows = table()
    assert list(rows.index) == list(ROWS)
    assert rows.loc["allen-cell-types", "published"] == 0.72
    assert rows["published"].notna().sum() == 8
    assert (rows[["get", "gigabytes"]] != "").all(axis=None)


def published(data):
    if not LISTS.is_dir():
        pytest.skip(f"the published lists are not at {LISTS}")
    return json.loads((LISTS / f"{data}.json").read_text(encoding="utf-8"))
