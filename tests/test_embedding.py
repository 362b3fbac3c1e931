"""Embedding: the mean over all windows, by unit, whatever the order and the batches."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, TINY_CALCIUM, clock, randomise, spikes
from torch import nn

import nuclr_lite as nl
from nuclr_lite.model import CPU_PIECE

# three windows of 2 s; too short; two and a rest; one
INTERVALS = [[0.0, 6.0], [6.5, 8.0], [10.0, 15.0], [20.0, 22.0]]
STARTS = [0.0, 2.0, 4.0, 10.0, 12.0, 13.0, 20.0]


@pytest.fixture(scope="module")
def encoder() -> nl.NuCLR:
    return randomise(nl.NuCLR(TINY.model))


def spiky(**options) -> nl.Recording:
    """Low rates, so that units are absent from some windows."""
    return spikes(n_units=7, rate_hz=0.7, duration_s=22.0, intervals=INTERVALS, **options)


def naive_embedding(encoder, windows) -> np.ndarray:
    """Mean over windows of the units that are present; `windows`: (tokens of all units, rows that
    are present).
    """
    vectors: dict[int, list] = {}
    for tokens, rows in windows:
        with torch.no_grad():
            out = encoder(
                torch.tensor(tokens[rows], dtype=torch.float32), torch.tensor([len(rows)])
            )
        for row, vector in zip(rows, out.double().numpy()):
            vectors.setdefault(row, []).append(vector)
    return np.stack([np.mean(vectors[row], axis=0) for row in sorted(vectors)])


def test_spikes_are_averaged_over_windows(encoder):
    recording = spiky()
    windows = []
    for start in STARTS:
        edges = start + 0.1 * np.arange(21)
        counts = np.stack(
            [np.histogram(recording.spike_times(unit), edges)[0] for unit in recording.units.index]
        )
        windows.append((counts.reshape(7, 4, 5), np.flatnonzero(counts.sum(1))))
    assert min(len(rows) for _, rows in windows) < 7
    table = nl.embed(encoder, recording)
    np.testing.assert_allclose(table, naive_embedding(encoder, windows), rtol=1e-5, atol=1e-5)
    assert table.index.tolist() == [("rec", unit) for unit in range(7)] and table.index.names == [
        "recording_id",
        "unit_id",
    ]
    assert table.shape == (7, 16) and (table.dtypes == np.float64).all()


def test_traces_are_averaged_over_windows(calcium_recordings):
    encoder = randomise(nl.NuCLR(TINY_CALCIUM.model))
    recording = replace(calcium_recordings[0], intervals=np.array(INTERVALS))
    windows = [
        (
            recording.traces[int(4 * start) : int(4 * start) + 8].T.reshape(12, 4, 2)
            / recording.trace_scale,
            np.arange(12),
        )
        for start in STARTS
    ]
    np.testing.assert_allclose(
        nl.embed(encoder, recording), naive_embedding(encoder, windows), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("step, starts", [(0.5, [0, 1, 2, 3, 3.5]), (0.9, [0, 1.8, 3.5])])
def test_windows_that_overlap(encoder, step, starts):
    """The last one ends where the recording does, as with windows end to end."""
    recording = spikes(n_units=5, rate_hz=0.7, duration_s=5.5)
    windows = nl.Windows(recording, TINY.model)
    np.testing.assert_allclose(windows.tile(step), starts, atol=1e-9)
    everyone = []
    for start in windows.tile(step):
        tokens, rows = windows.samples(start)
        all_tokens = np.zeros((5, *tokens.shape[1:]))
        all_tokens[rows] = tokens
        everyone.append((all_tokens, rows))
    table = nl.embed(encoder, recording, step=step)
    np.testing.assert_allclose(table, naive_embedding(encoder, everyone), rtol=1e-5, atol=1e-5)
    assert not np.allclose(table, nl.embed(encoder, recording), atol=1e-3)
    assert nl.embed(encoder, recording, step=1.0).equals(nl.embed(encoder, recording))


@pytest.mark.parametrize("step", [0, -0.5, 1.5, float("nan")])
def test_a_step_that_is_none(encoder, step):
    with pytest.raises(ValueError, match="step is .*at most 1"):
        nl.embed(encoder, spiky(), step=step)


def test_windows_on_a_grid(encoder):
    # valid from 0.5 to 9.5 s: windows start at 3 and 6 s
    recording = spikes(duration_s=9.0, start_s=0.5)
    on_grid = nl.embed(encoder, recording, grid_s=3.0)
    apart = [
        nl.embed(encoder, replace(recording, intervals=np.array([[start, start + 2.0]])))
        for start in (3.0, 6.0)
    ]
    np.testing.assert_allclose(on_grid, (apart[0] + apart[1]) / 2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("units_per_batch", [1, 10, 30, 10**6])
def test_batches_do_not_matter(units_per_batch, encoder):
    expected = nl.embed(encoder, spiky())
    np.testing.assert_allclose(
        nl.embed(encoder, spiky(), units_per_batch=units_per_batch), expected, rtol=1e-6, atol=1e-6
    )


def test_the_order_of_units_and_recordings_does_not_matter(encoder, recordings):
    expected = nl.embed(encoder, recordings)
    assert len(expected) == sum(recording.n_units for recording in recordings)
    shuffled = []
    for recording in recordings[::-1]:
        order = np.random.default_rng(0).permutation(recording.n_units)
        units = recording.units.iloc[order]
        trains = [recording.spike_times(unit_id) for unit_id in units.index]
        shuffled.append(
            nl.Recording.from_spike_trains(
                trains,
                units,
                recording.intervals,
                recording_id=recording.recording_id,
                animal_id="a",
            )
        )
    table = nl.embed(encoder, shuffled)
    assert table.index.tolist() != expected.index.tolist()
    pd.testing.assert_frame_equal(table.loc[expected.index], expected, rtol=1e-5, atol=1e-5)


def test_units_without_a_spike_in_any_window_get_no_row(encoder):
    # the last fires between the windows
    trains = [np.arange(0.5, 20), [], np.arange(0.5, 20), [6.6, 7.0]]
    recording = nl.Recording.from_spike_trains(
        trains, pd.DataFrame(index=list("abcd")), INTERVALS, recording_id="r", animal_id="a"
    )
    with pytest.warns(
        UserWarning, match="2 units have no spike in any window and get no embedding"
    ):
        table = nl.embed(encoder, [recording, spiky()])
    assert table.loc["r"].index.tolist() == ["a", "c"] and len(table) == 9


@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_is_left_as_it_was(training, encoder):
    model = nl.NuCLR(replace(TINY.model, dropout=0.5)).train(training)
    random_state = torch.get_rng_state()
    assert nl.embed(model, spiky()).equals(nl.embed(model, spiky()))  # no dropout
    with pytest.raises(ValueError):
        nl.embed(model, clock())
    assert model.training == training and all(
        module.training == training for module in model.modules()
    )
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_errors_name_the_remedy(encoder):
    with pytest.raises(
        TypeError,
        match="needs a NuCLR encoder, not Linear; of what pretrain returns, pass `.encoder`",
    ):
        nl.embed(nn.Linear(2, 2), spiky())
    with pytest.raises(
        ValueError,
        match="clock holds calcium, the encoder reads spikes; use an encoder for calcium",
    ):
        nl.embed(encoder, clock())
    with pytest.raises(
        ValueError,
        match="rec: no valid interval holds a window of 2 s; use an encoder with a shorter window",
    ):
        nl.embed(encoder, spikes(intervals=[[0, 1.9], [3, 4]]))
    with pytest.raises(ValueError, match="two recordings share an id"):
        nl.embed(encoder, [spiky(), spiky(seed=1)])
    with pytest.raises(ValueError, match="there is no recording to embed; give at least one"):
        nl.embed(encoder, [])


def test_units_table_lies_on_the_embedding_index(recordings):
    embedding, units = nl.embed(nl.NuCLR(TINY.model), recordings), nl.units_table(recordings)
    assert embedding.index.isin(units.index).all() and units.index.names == embedding.index.names
    assert units.loc[recordings[1].recording_id, "animal_id"].eq(recordings[1].animal_id).all()


def test_five_thousand_units_in_pieces(encoder):
    """A population of any size: the vectors are those of one pass, up to rounding."""
    torch.manual_seed(0)
    tokens = torch.randint(
        0, 3, (5000, encoder.config.tokens_per_window, encoder.config.samples_per_token)
    ).float()
    sizes = torch.tensor([5000])
    with torch.no_grad():
        whole, pieces = encoder(tokens, sizes), encoder(tokens, sizes, units_at_once=300)
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


PEAK = """
import re, sys, torch
from nuclr_lite import model
from pathlib import Path

def peak_kb():      # of this program alone; getrusage would remember the process that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
model.CPU_PIECE = int(sys.argv[2])
encoder = model.NuCLR(model.ModelConfig()).eval()               # the published size
before = peak_kb()
with torch.no_grad():
    encoder(torch.zeros(5000, 10, 50), torch.tensor([5000]), units_at_once=int(sys.argv[1]))
print((peak_kb() - before) / 1e6)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_the_memory_for_five_thousand_units():
    def peak_gb(units_at_once: int, cpu_piece: int) -> float:
        command = [sys.executable, "-c", PEAK, str(units_at_once), str(cpu_piece)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    unlimited = 10**12
    whole, pieces = peak_gb(5000, unlimited), peak_gb(256, unlimited)
    on_a_cpu = peak_gb(5000, CPU_PIECE)
    print(
        f"peak beside the libraries: {whole:.2f} GB in one pass, {pieces:.2f} GB in pieces of 256"
        f" units, {on_a_cpu:.2f} GB in the pieces that a CPU takes unasked"
    )
    assert pieces < 0.8 and pieces < 0.75 * whole
    assert on_a_cpu < 0.8


def test_several_processes_give_what_one_gives(encoder, tmp_path):
    made = [spikes(n_units=5 + k, name=f"r{k}", seed=k) for k in range(3)]
    saved = [
        nl.Recording.load(recording.save(tmp_path / recording.recording_id)) for recording in made
    ]
    threads = torch.get_num_threads()
    alone = nl.embed(encoder, saved)
    pd.testing.assert_frame_equal(nl.embed(encoder, saved, n_jobs=2), alone, rtol=1e-6, atol=1e-7)
    assert torch.get_num_threads() == threads
