"""What vectors rest on: the same units at other times and in other company, attention as the module
computes it, a neuron less.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, TINY_CALCIUM, clock, randomise, spikes
from torch.nn import functional as F

import nuclr_lite as nl
from nuclr_lite import interpretation, retrieval
from nuclr_lite.model import Populations, SpatialAttention
from nuclr_lite.sources.simulated import populations as simulated

BLOCKS = pd.DataFrame(
    {
        "start_s": [0.0, 20.0, 30.0, 50.0],
        "stop_s": [20.0, 30.0, 50.0, 60.0],
        "name": ["grey", "movie", "grey", "gratings"],
    }
)


@pytest.fixture(scope="module")
def encoder() -> nl.NuCLR:
    return randomise(nl.NuCLR(TINY.model))


def sparse(
    name: str = "rec", n_units: int = 6, duration_s: float = 12.0, **options
) -> nl.Recording:
    """So few spikes that units are absent from some windows."""
    return spikes(n_units=n_units, rate_hz=0.7, duration_s=duration_s, name=name, **options)


# Recording.during


def test_during_keeps_the_epochs_of_a_name_and_nothing_else():
    recording = replace(
        spikes(intervals=[[0, 12], [15, 25], [25, 58]]), epochs=BLOCKS, n_spikes_outside=5
    )
    grey = recording.during("grey")
    assert grey.intervals.tolist() == [[0, 12], [15, 20], [30, 50]]
    expected = [
        time for time in recording.times if time <= 12 or 15 <= time <= 20 or 30 <= time <= 50
    ]
    assert grey.times.tolist() == expected and len(grey.unit_rows) == len(expected) < len(
        recording.times
    )
    assert grey.n_spikes_outside == 5 + len(recording.times) - len(expected)
    # what touched before stays apart
    assert recording.during(["movie", "gratings"]).intervals.tolist() == [
        [20, 25],
        [25, 30],
        [50, 58],
    ]
    assert (
        grey.recording_id == recording.recording_id
        and grey.units is recording.units
        and grey.provenance["during"] == ["grey"]
    )
    assert sum(
        recording.during(name).valid_s for name in ("grey", "movie", "gratings")
    ) == pytest.approx(recording.valid_s)


def test_epochs_of_a_name_that_touch_or_overlap_are_one_stretch():
    epochs = pd.DataFrame(
        {"start_s": [0.0, 10.0, 15.0], "stop_s": [10.0, 18.0, 22.0], "name": "trial"}
    )
    assert replace(spikes(), epochs=epochs).during("trial").intervals.tolist() == [[0, 22]]


def test_during_keeps_the_scale_of_traces():
    recording = replace(clock(), epochs=BLOCKS)  # 400 frames at 4 Hz; dF/F rises with time
    movie = recording.during("movie")
    assert (
        movie.trace_scale == recording.trace_scale
        and movie.traces is recording.traces
        and movie.intervals.tolist() == [[20, 30]]
    )
    tokens, _ = nl.Windows(movie, TINY_CALCIUM.model).samples(
        nl.Windows(movie, TINY_CALCIUM.model).tile()[0]
    )
    assert tokens[0, 0, 0] == pytest.approx(80 / recording.trace_scale)


def test_during_errors():
    recording = replace(spikes(intervals=[[0, 45]]), epochs=BLOCKS)
    with pytest.raises(
        ValueError, match="rec has no epoch 'night'; it has 'grey', 'movie', 'gratings'"
    ):
        recording.during(["grey", "night"])
    with pytest.raises(ValueError, match="has no epoch 'grey'; it has none"):
        spikes().during("grey")
    with pytest.raises(ValueError, match="the epochs 'gratings' hold no valid time"):
        recording.during("gratings")
    with pytest.raises(ValueError, match="without a name"):
        recording.during([])
    # between two frames
    brief = pd.DataFrame({"start_s": [1.05], "stop_s": [1.2], "name": ["flash"]})
    with pytest.raises(ValueError, match="'flash' hold no valid time"):
        replace(clock(), epochs=brief).during("flash")


# The simulated stimuli

SHORT = replace(
    simulated.SPIKES, duration_s=60.0, n_units=(12, 12), stimulus_block_s=20.0, movie_s=5.0
)


def test_the_usual_stimuli_are_what_they_were():
    """Encoders in caches, and published numbers, rest on these recordings: every second block is
    the movie, to the last bit, and the others are untouched.
    """
    drive, movie = np.random.default_rng(0).standard_normal((2, 5500)).astype(np.float32)
    expected, movie = drive.copy(), movie[:500]
    expected[2100:4100] = np.resize((movie - movie.mean()) / movie.std(), 2000)
    epochs = simulated._movie_into(drive, movie, 100, replace(SHORT, duration_s=54.0))
    np.testing.assert_array_equal(drive, expected)
    assert epochs.to_dict("list") == {
        "start_s": [0, 20, 40],
        "stop_s": [20, 40, 54],
        "name": ["spontaneous", "natural_movie", "spontaneous"],
    }


def test_gratings_repeat_every_three_seconds():
    config = replace(SHORT, stimuli=("spontaneous", "natural_movie", "drifting_gratings"))
    drive, movie = np.random.default_rng(0).standard_normal((2, 6000)).astype(np.float32)
    before = drive.copy()
    epochs = simulated._movie_into(drive, movie[:500], 0, config)
    assert epochs["name"].tolist() == list(config.stimuli) and epochs["stop_s"].tolist() == [
        20,
        40,
        60,
    ]
    np.testing.assert_array_equal(drive[:2000], before[:2000])
    gratings = drive[4000:]
    np.testing.assert_array_equal(gratings[300:], gratings[:-300])
    assert np.ptp(gratings[200:300]) == 0 and np.ptp(gratings[:200]) > 1  # 2 s on, 1 s off
    assert gratings[:300].mean() == pytest.approx(0, abs=1e-5) and gratings[
        :300
    ].var() == pytest.approx(1, abs=1e-3)
    same = nl.simulate_recordings(1, config=config)[0].units
    # the same animal, another stimulus
    pd.testing.assert_frame_equal(same, nl.simulate_recordings(1, config=SHORT)[0].units)
    with pytest.raises(ValueError, match="stimuli are .*'silence'.*; give one or more of"):
        nl.simulate_recordings(1, config=replace(SHORT, stimuli=("silence",)))


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


# Other company


def test_among_all_others_is_what_embed_gives(encoder):
    recordings = [sparse(), sparse("other", 9, seed=1)]
    expected = nl.embed(encoder, recordings[0])
    np.testing.assert_allclose(
        interpretation.embed_among(encoder, recordings[0], 5), expected, rtol=1e-6, atol=1e-6
    )
    some = interpretation.embed_among(encoder, recordings, 3)
    assert some.index.equals(nl.embed(encoder, recordings).index) and list(some.columns) == list(
        expected.columns
    )
    assert np.abs(some.loc["rec"].to_numpy() - expected.to_numpy()).max() > 0.01
    pd.testing.assert_frame_equal(
        interpretation.embed_among(encoder, recordings, 3, units_per_batch=1),
        some,
        rtol=1e-5,
        atol=1e-6,
    )


def test_alone_is_a_recording_of_one_unit(encoder):
    recording = sparse()
    alone = interpretation.embed_among(encoder, recording, 0)
    for unit in recording.units.index:
        single = nl.Recording.from_spike_trains(
            [recording.spike_times(unit)],
            recording.units.loc[[unit]],
            recording.intervals,
            recording_id="rec",
            animal_id="a",
        )
        np.testing.assert_allclose(
            alone.loc[[("rec", unit)]], nl.embed(encoder, single), rtol=1e-5, atol=1e-6
        )


def test_a_group_is_a_recording_of_its_members(encoder):
    """Also the last group: four units, two of which had their vector in the first, and keep it."""
    recording = sparse()
    table = interpretation.embed_among(encoder, recording, 3, seed=5)
    groups = interpretation._groups(6, 4, np.random.default_rng([5, 0]))
    for members, counted in groups:
        trains = [recording.spike_times(unit) for unit in members]
        group = nl.Recording.from_spike_trains(
            trains, None, recording.intervals, recording_id="rec", animal_id="a"
        )
        mine = [("rec", unit) for unit in members[:counted]]
        np.testing.assert_allclose(
            table.loc[mine], nl.embed(encoder, group).iloc[:counted], rtol=1e-5, atol=1e-6
        )
    assert [counted for _, counted in groups] == [4, 2]


@pytest.mark.parametrize("n_units, size", [(7, 3), (6, 3), (5, 5), (5, 4), (4, 1)])
def test_every_unit_counts_once_in_a_group_of_the_right_size(n_units, size):
    groups = interpretation._groups(n_units, size, np.random.default_rng(0))
    assert sorted(np.concatenate([members[:counted] for members, counted in groups])) == list(
        range(n_units)
    )
    assert all(len(set(members)) == size for members, _ in groups)


def test_a_unit_among_strangers(encoder):
    """Its vector is that of a recording of itself and the host's units, at the host's times; and it
    doesn't depend on its own population.
    """
    guest, host = sparse(seed=1), sparse("host", 4, seed=2, start_s=100.0)
    table = interpretation.embed_among(encoder, guest, 4, [host])
    for unit in guest.units.index:
        trains = [
            guest.spike_times(unit),
            *(host.spike_times(other) - 100.0 for other in host.units.index),
        ]
        mixed = nl.Recording.from_spike_trains(
            trains, None, guest.intervals, recording_id="rec", animal_id="a"
        )
        np.testing.assert_allclose(
            table.loc[[("rec", unit)]], nl.embed(encoder, mixed).iloc[[0]], rtol=1e-5, atol=1e-6
        )
    np.testing.assert_allclose(
        interpretation.embed_among(encoder, guest, 0, [host]),
        interpretation.embed_among(encoder, guest, 0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_errors_of_company(encoder):
    with pytest.raises(ValueError, match="rec: n_others is 6; use 0 to 5"):
        interpretation.embed_among(encoder, sparse(), 6)
    with pytest.raises(ValueError, match="1 recordings and 0 hosts"):
        interpretation.embed_among(encoder, sparse(), 1, [])
    with pytest.raises(ValueError, match="the host rec is of the same animal"):
        interpretation.embed_among(encoder, sparse(), 1, [sparse()])
    with pytest.raises(ValueError, match="no valid interval holds a window of 2 s"):
        interpretation.embed_among(encoder, sparse(intervals=[[0, 1]]), 1)
    with pytest.raises(ValueError, match="n_windows is 0"):
        interpretation.influence(encoder, sparse(), 0)
    with pytest.raises(ValueError, match="single unit"):
        interpretation.influence(encoder, sparse(n_units=1))


# A neuron less


def test_influence_is_how_far_the_others_move(encoder):
    recording = spikes(n_units=4, duration_s=8.0)  # everybody present in all four windows
    table = interpretation.influence(encoder, recording)
    whole = nl.embed(encoder, recording).to_numpy()
    spread = np.sqrt(((whole - whole.mean(axis=0)) ** 2).sum(axis=1).mean())
    rest = [unit for unit in recording.units.index if unit != 2]
    without = nl.Recording.from_spike_trains(
        [recording.spike_times(unit) for unit in rest],
        None,
        recording.intervals,
        recording_id="r",
        animal_id="a",
    )
    expected = np.linalg.norm(whole[rest] - nl.embed(encoder, without).to_numpy(), axis=1) / spread
    np.testing.assert_allclose(table.loc[rest, 2], expected, rtol=1e-4)
    assert np.isnan(np.diag(table)).all() and (expected > 1e-3).all()


def test_who_never_meets_has_no_influence_and_units_apart_none_at_all(encoder):
    # the last two never share a window of 2 s
    trains = [np.arange(0.1, 8), np.arange(0.2, 8), [0.5, 1.0], [6.5, 7.0]]
    recording = nl.Recording.from_spike_trains(
        trains, None, [[0, 8]], recording_id="r", animal_id="a"
    )
    table = interpretation.influence(encoder, recording)
    assert (
        np.isnan(table.loc[2, 3]) and np.isnan(table.loc[3, 2]) and table.notna().sum().sum() == 10
    )
    apart = randomise(nl.NuCLR(replace(TINY.model, spatial_attention=False)))
    assert interpretation.influence(apart, recording).max().max() < 1e-5


# Attention


def test_weights_are_those_of_the_module():
    """Rows sum to 1, and weights times values, through the last layer, are what the module gives;
    with populations of different sizes.
    """
    module, sizes = randomise(SpatialAttention(TINY.model)), torch.tensor([3, 5])
    x, populations = (
        torch.randn(8, 4, 16, generator=torch.Generator().manual_seed(0)),
        Populations.of(sizes),
    )
    weights = interpretation.attention_weights(module, x, populations)
    assert weights.shape == (2, 4, 2, 5, 5)
    np.testing.assert_allclose(weights.sum(dim=-1)[1], 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(dim=-1)[0, :, :, :3], 1, rtol=1e-5)
    assert not weights[0, ..., 3:].any() and not weights[0, ..., 3:, :].any()
    # (P, L, H, W, C)
    values = (
        populations.pad(module.qkv(module.norm(x)))[..., 2 * 16 :]
        .unflatten(-1, (2, 8))
        .permute(0, 2, 3, 1, 4)
    )
    read = populations.unpad((weights @ values).permute(0, 3, 1, 2, 4).flatten(3))
    with torch.no_grad():
        torch.testing.assert_close(
            F.linear(read, module.out.weight, module.out.bias),
            module(x, populations),
            rtol=1e-4,
            atol=1e-5,
        )


def test_spatial_attention_of_a_recording(encoder):
    everybody = spikes(n_units=5, duration_s=8.0)
    whole = interpretation.spatial_attention(encoder, everybody)
    assert whole.shape == (1, 2, 5, 5)
    np.testing.assert_allclose(whole.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        interpretation.spatial_attention(encoder, everybody, units_per_batch=1), whole, rtol=1e-5
    )
    assert np.ptp(whole) > 0.01 and not any(module._forward_hooks for module in encoder.modules())
    apart = [
        interpretation.spatial_attention(
            encoder, replace(everybody, intervals=np.array([[start, start + 2.0]]))
        )
        for start in (0.0, 2.0, 4.0, 6.0)
    ]
    np.testing.assert_allclose(np.mean(apart, axis=0), whole, rtol=1e-5)
    one = interpretation.spatial_attention(encoder, everybody, 1)
    np.testing.assert_allclose(one, apart[0], rtol=1e-5)


def test_attention_is_averaged_where_both_are_present(encoder):
    trains = [np.arange(0.1, 8), [0.5, 1.0], [6.5, 7.0]]
    recording = nl.Recording.from_spike_trains(
        trains, None, [[0, 8]], recording_id="r", animal_id="a"
    )
    weights = interpretation.spatial_attention(encoder, recording)[0]
    assert (
        np.isnan(weights[:, 1, 2]).all()
        and np.isnan(weights[:, 2, 1]).all()
        and np.isfinite(weights).sum() == 14
    )
    # unit 1 meets unit 0 only, and in one window
    np.testing.assert_allclose(weights[:, 1, 0] + weights[:, 1, 1], 1, rtol=1e-5)
    with pytest.raises(ValueError, match="no spatial attention"):
        interpretation.spatial_attention(
            nl.NuCLR(replace(TINY.model, spatial_attention=False)), recording
        )


def test_between_kinds_by_hand():
    matrix = [[9, 1, 3], [2, 9, 6], [5, 5, 9]]  # the diagonal doesn't count
    table = interpretation.between_kinds(matrix, ["a", "a", "b"])
    expected = pd.DataFrame(
        [[(1 / 2 + 2 / 4) / 2, (3 / 2 + 6 / 4) / 2], [1.0, np.nan]],
        index=["a", "b"],
        columns=["a", "b"],
    )
    pd.testing.assert_frame_equal(table, expected)
    assert matrix[0][0] == 9
    with pytest.raises(ValueError, match="3 kinds; give one"):
        interpretation.between_kinds(np.eye(2), ["a", "a", "b"])


@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_is_left_as_it_was(training):
    model = nl.NuCLR(replace(TINY.model, dropout=0.5)).train(training)
    # no dropout
    assert interpretation.embed_among(model, sparse(), 2).equals(
        interpretation.embed_among(model, sparse(), 2)
    )
    interpretation.spatial_attention(model, sparse())
    assert all(module.training == training for module in model.modules()) and all(
        p.requires_grad for p in model.parameters()
    )


# Figures


def test_figures():
    kinds, rng = ["a", "b"], np.random.default_rng(0)
    square = pd.DataFrame([[1.0, 0.5], [2.0, np.nan]], index=kinds, columns=kinds)
    one = nl.plots.between(
        {"head 1": square, "head 2": square}, "who attends", "to whom", title="simulated"
    )
    assert [axes.get_title() for axes in one.axes] == ["head 1", "head 2"] and {
        text.get_text() for text in one.axes[0].texts
    } == {"1.00", "0.50", "2.00"}
    assert [
        text.get_text()
        for text in nl.plots.across_blocks({"": square / 2}, "fit in", "tested in").axes[0].texts
    ] == ["0.50", "0.25", "1.00"]
    company = pd.DataFrame(
        {
            "who": ["own", "own", "own", "other"],
            "others": ["all", 0, 15, 15],
            "estimate": 0.5,
            "low": 0.4,
            "high": 0.6,
        }
    ).iloc[[1, 2, 0, 3]]
    axes = nl.plots.neighbours(company, 0.25).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "15", "all"]
    table = pd.DataFrame(rng.standard_normal((30, 4)))
    labels = pd.Series(rng.choice(["x", "y", "z"], 30))
    panels = nl.plots.same_units(
        {"alone": table[20:], "together": table[20:] + 1}, labels, table[:20]
    ).axes
    assert (
        len(panels) == 2
        and sum(len(points.get_offsets()) for points in panels[0].collections) == 10
    )
    many, more = (
        pd.DataFrame(rng.standard_normal((60, 4))),
        pd.Series(rng.choice(["x", "y", "z"], 61)),
    )
    crowd, outlier = nl.plots.same_units(
        {"crowd": many, "outlier": 1e4 + pd.DataFrame(np.eye(4)[:1], index=[60])}, more, many
    ).axes
    assert "(1 of 1 lie outside)" in outlier.get_xlabel() and np.ptp(crowd.get_xlim()) < 20
    shown = nl.plots.against_truth(
        table[0], pd.DataFrame({"same": table[0], "opposite": -table[0]}), labels, "influence"
    ).axes
    assert [axes.get_title() for axes in shown] == [
        "rank correlation +1.00",
        "rank correlation -1.00",
    ]
