"""The same seed gives the same numbers: with any number of workers, in another process, in whatever
order recordings and units come.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, relative_error

import nuclr_lite as nl

RECIPE = TINY.with_(steps=2, dropout=0.2)
SCRIPT = """
import json, sys
import numpy as np, torch
import nuclr_lite as nl
from helpers import TINY
if __name__ == "__main__":
    torch.set_num_threads(1)
    recordings = [nl.Recording.load(path) for path in sys.argv[2:]]
    trained = nl.pretrain(recordings, TINY.with_(steps=2, dropout=0.2), workers=int(sys.argv[1]))
    table = nl.embed(trained.encoder, recordings)
    units = nl.units_table(recordings)
    result = nl.decode(table, units["area"], units["animal_id"], "transductive", n_bootstrap=20)
    scores = result.scores[["estimate", "low", "high"]]
    tables = (trained.history, table, scores)
    print(json.dumps([numbers.to_numpy().tolist() for numbers in tables]))
"""


@pytest.fixture(scope="module")
def trained(recordings) -> nl.Pretrained:
    return nl.pretrain(recordings, RECIPE)


def numbers(recordings, trained) -> list:
    table, units = nl.embed(trained.encoder, recordings), nl.units_table(recordings)
    result = nl.decode(table, units["area"], units["animal_id"], "transductive", n_bootstrap=20)
    return [
        trained.history.to_numpy().tolist(),
        table.to_numpy().tolist(),
        result.scores[["estimate", "low", "high"]].to_numpy().tolist(),
    ]


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing_bit_for_bit(workers, recordings, trained):
    other = nl.pretrain(recordings, RECIPE, workers=workers)
    assert numbers(recordings, other) == numbers(recordings, trained)
    assert all(
        torch.equal(value, other.encoder.state_dict()[name])
        for name, value in trained.encoder.state_dict().items()
    )


@pytest.mark.parametrize(
    "workers, hash_seed", [(0, "1"), pytest.param(2, "2", marks=pytest.mark.slow)]
)
def test_another_process_gives_the_same_bit_for_bit(
    workers, hash_seed, recordings, trained, tmp_path
):
    """With another seed of Python's own hashes, by which sets are ordered."""
    (tmp_path / "script.py").write_text(SCRIPT)
    saved = [str(recording.save(tmp_path / recording.recording_id)) for recording in recordings]
    environment = os.environ | {
        "PYTHONHASHSEED": hash_seed,
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(workers), *saved],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == numbers(recordings, trained)


def shuffled_units(recording: nl.Recording, rng) -> nl.Recording:
    order = rng.permutation(recording.n_units)
    return nl.Recording.from_spike_trains(
        [recording.spike_times(recording.units.index[i]) for i in order],
        recording.units.iloc[order],
        recording.intervals,
        recording_id=recording.recording_id,
        animal_id=recording.animal_id,
    )


@pytest.mark.parametrize("protocol", ["zero-shot", "transductive"])
@pytest.mark.parametrize("classifier", [None, nl.decoding.tuned, nl.decoding.boosting])
def test_orders_of_recordings_and_units_change_nothing(protocol, classifier, recordings, trained):
    """Neither vectors, nor predictions and probabilities, nor intervals."""
    tables = []
    for rng in (None, np.random.default_rng(3)):
        chosen = (
            recordings if rng is None else [shuffled_units(recordings[i], rng) for i in (2, 0, 1)]
        )
        embedding, units = nl.embed(trained.encoder, chosen), nl.units_table(chosen)
        embedding = embedding.round(4)  # so that what is seen below is decoding's doing
        result = nl.decode(
            embedding,
            units["area"],
            units["animal_id"],
            protocol,
            n_bootstrap=50,
            classifier=classifier and classifier(),
        )
        tables.append(
            (
                embedding.sort_index(),
                result.predictions.drop(columns="fold").sort_index(),
                result.scores,
            )
        )
        assert result.predictions.index.equals(embedding.index)
    for one, other in zip(*tables):
        pd.testing.assert_frame_equal(one, other, atol=1e-5)


def test_the_controls_do_not_depend_on_order_either(recordings, trained):
    """Shuffled labels and drawn ones are drawn for a unit, not for a row."""
    tables = []
    for order in ([0, 1, 2], [2, 1, 0]):
        chosen = [recordings[i] for i in order]
        embedding, units = nl.embed(trained.encoder, chosen), nl.units_table(chosen)
        tables.append(
            nl.decoding.score_table(
                {"NuCLR": embedding}, units["area"], units["animal_id"], n_bootstrap=50
            )[0]
        )
    pd.testing.assert_frame_equal(*tables, atol=1e-5)


def test_a_population_in_pieces_is_the_same(recordings, trained):
    whole = nl.embed(trained.encoder, recordings)
    for units_per_batch in (1, 5, 10_000):
        assert (
            relative_error(
                nl.embed(trained.encoder, recordings, units_per_batch=units_per_batch), whole
            )
            < 1e-5
        )
