"""Recordings of spike counts: they come out of every window as they went in, and nothing reads them
finer than they are.
"""

import json

import numpy as np
import pytest
from helpers import TINY
from hypothesis import given, settings, strategies as st
from two_units import IDS, from_spikes

import nuclr_lite as nl
from nuclr_lite.analysis import checks_recording

BIN_S = 0.02
COUNTS = np.random.default_rng(0).poisson(0.4, (600, 4))  # (bins, units), 12 s


def from_counts(counts=COUNTS, bin_s=BIN_S, units=None, **options):
    return nl.Recording.from_counts(counts, bin_s, units, **(IDS | options))


@given(
    st.integers(0, 1000), st.sampled_from([1, 2, 5]), st.sampled_from([0.0, 0.013, 1e4 / 3, -7.7])
)
@settings(max_examples=40, deadline=None)
def test_windows_hold_the_counts(first, bins_a_sample, start_s):
    model = nl.ModelConfig(sample_s=BIN_S * bins_a_sample, samples_per_token=5, tokens_per_window=4)
    first = first % (len(COUNTS) - 20 * bins_a_sample + 1)
    recording = from_counts(start_s=start_s)
    tokens, rows = nl.Windows(recording, model).samples(start_s + first * BIN_S)
    expected = COUNTS[first : first + 20 * bins_a_sample]
    expected = expected.reshape(20, bins_a_sample, 4).sum(axis=1).T
    assert rows.tolist() == np.flatnonzero(expected.any(axis=1)).tolist()
    np.testing.assert_array_equal(tokens.reshape(-1, 20), expected[rows])


def test_every_view_begins_on_a_bin():
    recording = from_counts(np.tile(COUNTS, (5, 1)), start_s=3.007)
    views = nl.ViewConfig(max_distance_s=9.0)
    pairs = nl.PairedViews([recording], TINY.model, views, batch_size=1)
    starts = list(pairs.plan[2])
    rng = np.random.default_rng(0)
    starts += [pairs._second_start(0, start, rng) for start in starts for _ in range(20)]
    assert len(set(starts)) > 50
    places = (np.array(starts) - 3.007) / BIN_S
    np.testing.assert_allclose(places, np.round(places), atol=1e-6)


def test_pieces_are_intervals_on_one_grid():
    pieces = [COUNTS[:50], COUNTS[50:130], COUNTS[130:180]]
    recording = from_counts(pieces, start_s=[10.0, 12.513, 30.0])
    np.testing.assert_allclose(recording.intervals, [[10, 11], [12.5, 14.1], [30, 31]])
    assert len(recording.times) == COUNTS[:180].sum() and recording.n_spikes_outside == 0
    model = nl.ModelConfig(sample_s=0.02, samples_per_token=5, tokens_per_window=4)
    windows = nl.Windows(recording, model)  # of 0.4 s
    tokens, rows = windows.samples(windows.tile()[4])  # the second of the second piece
    np.testing.assert_array_equal(tokens.reshape(-1, 20), COUNTS[70:90].T[rows])


def test_pieces_that_touch_do_not_overlap_on_the_grid():
    recording = from_counts([COUNTS[:50]] * 3, start_s=[0.013, 1.0135, 2.0312])
    assert (recording.intervals[1:, 0] >= recording.intervals[:-1, 1] - 1e-9).all()


def test_saved_and_read_again(tmp_path):
    recording = from_counts(start_s=5.0)
    again = nl.Recording.load(recording.save(tmp_path / "r"))
    assert again.bin_s == BIN_S and again.start_s == 5.0
    assert "in bins of 0.02 s" in repr(again) and "bins" not in repr(from_spikes())


def test_a_folder_from_before_there_were_counts(tmp_path):
    folder = from_spikes().save(tmp_path / "r")
    header = json.loads((folder / "recording.json").read_text())
    del header["sha256"], header["bin_s"]
    (folder / "recording.json").write_text(json.dumps(header | {"version": 1}))
    assert nl.Recording.load(folder).bin_s is None


def test_training_and_embedding(tmp_path):
    rng = np.random.default_rng(0)
    long = [rng.poisson(0.4, (1000, 6)) for _ in range(2)]
    recordings = [
        nl.Recording.from_counts(one, 0.05, recording_id=f"r{i}", animal_id=f"a{i}")
        for i, one in enumerate(long)
    ]
    trained = nl.pretrain(recordings, TINY.with_(steps=2, warmup_steps=1))
    assert nl.embed(trained.encoder, recordings).shape == (12, 16)


@pytest.mark.parametrize(
    "sample_s, grid_s, message",
    [
        (0.03, None, "counted in bins of 0.02 s, and sample_s is 0.03 s; use a whole number"),
        (0.01, None, "sample_s is 0.01 s"),
        (0.02, 0.05, "grid_s is 0.05 s"),
    ],
)
def test_finer_or_crooked_bins_are_refused(sample_s, grid_s, message):
    model = nl.ModelConfig(sample_s=sample_s, samples_per_token=5, tokens_per_window=4)
    with pytest.raises(ValueError, match=f"rec: its spikes were.*{message}"):
        nl.Windows(from_counts(), model, grid_s)


def test_checks_know_bins():
    recording = from_counts()
    fits = nl.ModelConfig(sample_s=0.02, samples_per_token=5, tokens_per_window=4)
    assert checks_recording.encoder(recording, fits).found is False
    crooked = nl.ModelConfig(sample_s=0.025, samples_per_token=5, tokens_per_window=4)
    assert checks_recording.encoder(recording, crooked).found is True
    # Busy units share many bins of 20 ms by chance; they are no copies of each other.
    assert checks_recording.duplicates(recording).found is False
    doubled = from_counts(np.column_stack([COUNTS, COUNTS[:, 0]]))
    assert checks_recording.duplicates(doubled).found is True


@pytest.mark.parametrize(
    "counts, options, message",
    [
        (-COUNTS, {}, "the counts are not all whole numbers from 0 on"),
        (COUNTS * 0.3, {}, "not all whole numbers"),
        (np.where(COUNTS > 2, np.nan, COUNTS), {}, "not all whole numbers"),
        (np.ma.masked_greater(COUNTS, 2), {}, "not all whole numbers"),
        (COUNTS[:, 0], {}, r"shape \(600,\); give \(bins, units\)"),
        ([["a", "b"], ["c", "d"]], {}, "can't be read as numbers"),
        ([COUNTS, COUNTS[:, :3]], {"start_s": [0, 100]}, r"pieces have \[3, 4\] units"),
        ([COUNTS, -COUNTS], {"start_s": [0, 100]}, "the counts of piece 1 are not all"),
        ([COUNTS, COUNTS], {}, "each of the 2 pieces begins"),
        ([COUNTS, COUNTS], {"start_s": [0, 5]}, "overlap"),
        (COUNTS, {"start_s": np.nan}, "start_s is nan"),
        (COUNTS, {"bin_s": 0}, "bin_s is 0; give the length of a bin"),
        (COUNTS * 0, {}, "no unit has a spike"),
        (COUNTS, {"units": None, "animal_id": ""}, "animal_id"),
    ],
)
def test_broken_counts(counts, options, message):
    with pytest.raises(ValueError, match=f"rec.*{message}"):
        from_counts(counts, **options)
