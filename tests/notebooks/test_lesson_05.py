"""What `05_pretraining` defines: its loop is the module's, and its helpers and exercises do what
they say.
"""

import math

import course
import pandas as pd
import pytest
import torch
from helpers import TINY
from torch.testing import assert_close

import nuclr_lite as nl
from nuclr_lite.steps import learning_rate


@pytest.fixture(scope="module")
def lesson() -> dict:
    return course.definitions(course.HERE / "05_pretraining.py")


@pytest.fixture(scope="module")
def batch(recordings) -> nl.Batch:
    return nl.PairedViews(recordings, TINY.model, TINY.views, 4)[0]


@pytest.fixture
def modules():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nl.NuCLR(TINY.model), nl.ContrastiveLoss(TINY.model.dim)


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(dropout=0.3, seed=5),
        dict(steps=30, warmup_steps=None),
        dict(temperature=0.5, scale_within_view=True),
        dict(gradient_clip=1e-3, weight_decay=0.3),
    ],
    ids=str,
)
def test_the_loop_is_the_module_s(changes, lesson, recordings):
    preset = TINY.with_(**changes)
    encoder, table = lesson["train_by_hand"](recordings, preset)
    module = nl.pretrain(recordings, preset, device="cpu")
    names = [
        "step",
        "loss",
        "attraction",
        "repulsion",
        "rank_me",
        "retrieval_accuracy",
        "retrieval_chance",
    ]
    pd.testing.assert_frame_equal(table[names], module.history[names], check_exact=True)
    assert all(
        torch.equal(encoder.state_dict()[name], value)
        for name, value in module.encoder.state_dict().items()
    )
    assert not encoder.training


def test_the_loop_passes_over_batches_without_a_pair(lesson, recordings):
    """min_units so high that many pairs, and with batches of one pair many batches, are dropped."""
    preset = TINY.with_(batch_size=1, min_units=10, steps=5)
    _, table = lesson["train_by_hand"](recordings, preset)
    assert (
        table["loss"].tolist()
        == nl.pretrain(recordings, preset, device="cpu").history["loss"].tolist()
    )


def test_another_objective(lesson, recordings):
    preset = TINY.with_(steps=20, learning_rate=1e-2)
    _, table = lesson["train_by_hand"](recordings, preset, objective=lambda parts: parts.attraction)
    assert table["attraction"].iloc[-5:].mean() < table["attraction"].iloc[0]


def test_rows_put_together_are_those_of_a_history(lesson, recordings):
    preset = TINY.with_(steps=6, log_every=3, checkpoint_every=3)
    rows = lesson["every"](lesson["train_by_hand"](recordings, preset)[1], 3)
    history = nl.pretrain(recordings, preset, device="cpu").history
    assert rows["step"].tolist() == history["step"].tolist()
    assert_close(
        rows[["loss", "rank_me", "retrieval_accuracy"]].to_numpy(),
        history[["loss", "rank_me", "retrieval_accuracy"]].to_numpy(),
        rtol=1e-5,
        atol=1e-6,
    )


def test_decay_on_matrices_only(lesson, modules):
    decayed, spared = lesson["adamw"](modules, TINY.train).param_groups
    assert decayed["weight_decay"] == TINY.train.weight_decay and spared["weight_decay"] == 0.0
    assert all(parameter.ndim >= 2 for parameter in decayed["params"]) and all(
        parameter.ndim < 2 for parameter in spared["params"]
    )
    assert len(decayed["params"]) + len(spared["params"]) == sum(
        len(list(module.parameters())) for module in modules
    )


@pytest.mark.parametrize("n_units", [2, 3, 40])
@pytest.mark.parametrize("temperature", [0.1, 0.2, 1.0])
def test_the_loss_of_collapse(n_units, temperature, lesson):
    same, ids, size = torch.ones(n_units, 8), torch.arange(n_units), torch.tensor([n_units])
    total = nl.ContrastiveLoss(8, temperature)(same, same, ids, ids, size, size).total.item()
    assert total == pytest.approx(lesson["collapsed_loss"](n_units, temperature), rel=1e-4)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_stop_button(steps, lesson):
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer, done = torch.optim.AdamW([parameter], lr=0.1), 0
    parameter.grad = torch.ones(2)
    with pytest.raises(KeyboardInterrupt), lesson["stop_button"](steps):
        for _ in range(10):
            optimizer.step()
            done += 1
    assert done == steps
    optimizer.step()  # the hook is gone


@pytest.mark.parametrize("steps, warmup", [(1, 0), (6, 2), (10, 10), (50, 0), (40, 39)])
def test_the_schedule(steps, warmup, lesson):
    recipe = TINY.with_(steps=steps, warmup_steps=warmup, learning_rate=0.3).train
    assert [
        lesson["my_learning_rate"](step, 0.3, steps, warmup) for step in range(steps)
    ] == pytest.approx([learning_rate(step, recipe, warmup) for step in range(steps)])


def test_pairs_of_a_batch(lesson, batch):
    pieces = lesson["pairs_of"](batch)
    assert len(pieces) == len(batch.sizes_1) == 4
    for name in ("tokens_1", "tokens_2", "ids_1", "ids_2", "sizes_1", "sizes_2"):
        assert torch.equal(
            torch.cat([getattr(piece, name) for piece in pieces]), getattr(batch, name)
        )
    assert all(
        len(piece.tokens_1) == piece.sizes_1.item() and len(piece.ids_2) == piece.sizes_2.item()
        for piece in pieces
    )


def test_accumulated_gradients(lesson, batch, modules):
    encoder, loss = modules
    parameters = [*encoder.parameters(), *loss.parameters()]
    whole = torch.autograd.grad(
        loss(*lesson["both_views"](encoder, batch), *batch[2:]).total, parameters
    )
    lesson["accumulated_gradients"](encoder, loss, batch)
    assert_close([parameter.grad for parameter in parameters], list(whole), rtol=1e-4, atol=1e-6)
    pieces = [
        loss(*lesson["both_views"](encoder, piece), *piece[2:]).total
        for piece in lesson["pairs_of"](batch)
    ]
    plain = torch.autograd.grad(sum(pieces) / len(pieces), parameters)
    far = math.sqrt(
        sum(float((a - b).square().sum()) for a, b in zip(plain, whole))
        / sum(float(b.square().sum()) for b in whole)
    )
    assert far > 1e-3, "a plain mean would pass the exercise's check"


def test_luck_of_choosing(lesson):
    import numpy as np

    rng = np.random.default_rng(0)
    # of two normal draws
    assert lesson["luck_of_choosing"](2, 1.0, 100_000, rng) == pytest.approx(
        1 / math.sqrt(math.pi), abs=0.01
    )
