"""Who is found again: the same units at another time, the same cell in another session; and who is
near whom.
"""

import numpy as np
import pandas as pd
import pytest
import two_photon_files
from helpers import two_units_each

import nuclr_lite as nl
from nuclr_lite import retrieval
from nuclr_lite.analysis.retrieval import nearest_units, neighbours_agree, within_recording

container_files, container = two_photon_files.container_files, two_photon_files.container


# The same units again


def test_found_again_by_hand():
    first = pd.DataFrame([[1.0, 0], [0, 1], [-1, -1]], index=list("abc"))
    assert retrieval.found_again(first, first.iloc[::-1]) == (3, 1.0, pytest.approx(1 / 3))
    # what a table has in common doesn't count
    assert retrieval.found_again(first, 5 * first + 2).top1 == 1
    swapped = first.rename(index={"a": "b", "b": "a"})
    assert retrieval.found_again(first, swapped).top1 == pytest.approx(1 / 3)
    with_nan = pd.concat([first, pd.DataFrame([[np.nan, 0]], index=["d"])])
    assert retrieval.found_again(with_nan, with_nan) == retrieval.found_again(first, first)
    nobody = retrieval.found_again(first, first.rename(index=str.upper))
    assert nobody.n_units == 0 and np.isnan(nobody.top1)


def test_found_again_counts_both_ways():
    """By brute force, on tables in which the two ways differ."""
    rng = np.random.default_rng(3)
    # a dimension that would drown the others
    first, second = (pd.DataFrame(rng.standard_normal((9, 3)) * [100, 1, 1]) for _ in range(2))
    z1, z2 = ((table - table.mean()) / table.std(ddof=0) for table in (first, second))
    cosine = [
        [np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for b in z2.to_numpy()]
        for a in z1.to_numpy()
    ]
    forth = np.mean([np.argmax(row) == i for i, row in enumerate(cosine)])
    back = np.mean([np.argmax([row[i] for row in cosine]) == i for i in range(9)])
    assert forth != back and retrieval.found_again(first, second).top1 == pytest.approx(
        (forth + back) / 2
    )


def test_found_again_in_each_recording():
    table = pd.DataFrame(
        np.random.default_rng(0).standard_normal((10, 4)),
        index=pd.MultiIndex.from_product([["r", "s"], range(5)]),
    )
    mixed = pd.concat(
        [table.loc[["r"]], table.loc[["s"]].iloc[[1, 0, 2, 3, 4]].set_axis(table.loc[["s"]].index)]
    )
    found = retrieval.found_again_in_each(table, mixed)
    assert found.to_dict("list") == {
        "recording_id": ["r", "s"],
        "n_units": [5, 5],
        "top1": [1.0, 0.6],
        "chance": [0.2, 0.2],
    }
    with pytest.raises(ValueError, match="no recording in common"):
        retrieval.found_again_in_each(table.loc[["r"]], table.loc[["s"]])


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


# The same cell in other sessions


def test_match_cells(container):
    seen = retrieval.match_cells(container)
    assert (
        list(seen.columns) == [recording.recording_id for recording in container]
        and seen.index.name == "cell_specimen_id"
    )
    assert len(seen) == 7 + 3 * 3 + 8 and seen.dtypes.eq(bool).all()
    for recording in container:
        assert set(seen.index[seen[recording.recording_id]]) == set(recording.units.index)
    assert (
        seen.iloc[:, :3].all(axis=1).sum() == 7
        and not (seen.iloc[:, 3] & seen.iloc[:, :3].any(axis=1)).any()
    )
    with pytest.raises(ValueError, match="share an id"):
        retrieval.match_cells(container[:1] * 2)
    with pytest.raises(ValueError, match="has no container_id"):
        retrieval.match_cells([nl.simulate_recordings(1, "calcium")[0]])


def planted(container, noise, seed=0):
    """Vectors that tell each cell, up to a shift and a scale of the session's own."""
    rng = np.random.default_rng(seed)
    ids = retrieval.match_cells(container).index
    true = pd.DataFrame(rng.standard_normal((len(ids), 12)), index=ids)
    parts = {
        recording.recording_id: (
            (true.loc[recording.units.index] + noise * rng.standard_normal((recording.n_units, 12)))
            * rng.uniform(0.1, 10, 12)
            + rng.uniform(-50, 50, 12)
        )
        for recording in container
    }
    return pd.concat(parts, names=["recording_id", "unit_id"])


def test_identity_score(container):
    # in any order
    found = retrieval.identity_score(
        planted(container, 0.0).sample(frac=1, random_state=0), container
    )
    ids = [recording.recording_id for recording in container]
    assert found[["recording_1", "recording_2"]].values.tolist() == [
        ids[:2],
        [ids[0], ids[2]],
        ids[1:3],
    ]
    assert (
        (found["container_id"] == 910000001).all()
        and (found["n_cells"] == 7).all()
        and np.allclose(found["chance"], 1 / 7)
    )
    assert found["top1"].mean() > 0.95
    by_chance = [
        retrieval.identity_score(planted(container, 1e6, seed), container)["top1"].mean()
        for seed in range(60)
    ]
    assert np.mean(by_chance) == pytest.approx(1 / 7, abs=0.03)
    without_one = planted(container, 0.0)
    shared = container[0].units.index.intersection(container[1].units.index)[0]
    without_one.loc[(ids[0], shared)] = np.nan  # a cell without a vector doesn't spoil the others
    found = retrieval.identity_score(without_one, container)
    assert found["n_cells"].tolist() == [6, 6, 7] and found["top1"].mean() > 0.95
    constant = planted(container, 0.0) * 0 + 1
    assert np.allclose(retrieval.identity_score(constant, container)["top1"], 1 / 7)


@pytest.mark.parametrize("seed", range(3))
def test_identity_counts_both_ways(container, seed):
    """Against a loop over cells."""
    pair = container[:2]
    table = planted(pair, 0.6, seed)
    standard = [
        (table.loc[r.recording_id] - table.loc[r.recording_id].mean())
        / table.loc[r.recording_id].std(ddof=0)
        for r in pair
    ]
    shared = [cell for cell in pair[0].units.index if cell in pair[1].units.index]

    def found(vectors, others):
        nearest = [
            max(
                shared,
                key=lambda other: (
                    np.dot(vectors.loc[cell], others.loc[other]) / np.linalg.norm(others.loc[other])
                ),
            )
            for cell in shared
        ]
        return np.mean([near == cell for near, cell in zip(nearest, shared)])

    [score] = retrieval.identity_score(table, pair).to_dict("records")
    ways = [found(*standard), found(*standard[::-1])]
    assert score["top1"] == pytest.approx(np.mean(ways)) and score["n_cells"] == len(shared) == 7
    assert ways[0] != ways[1]


def test_identity_needs_a_pair(container):
    table = planted(container, 0.0)
    with pytest.raises(
        ValueError,
        match="no two of these recordings share 2 cells; read the other sessions of a container",
    ):
        retrieval.identity_score(table, [container[0], container[3]])
    with pytest.raises(ValueError, match=f"no row of {container[1].recording_id}"):
        retrieval.identity_score(table.drop(index=container[1].recording_id), container)
