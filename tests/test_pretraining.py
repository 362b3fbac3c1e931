"""Pretraining: what changes nothing, its history, and what stops it."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import training_runs
from helpers import TINY, spikes
from training_runs import ONE, Break, assert_same, checkpoint_names, interrupt

import nuclr_lite as nl

# fixtures: pytest looks for them here
recording, whole = training_runs.recording, training_runs.whole


# ---- what changes nothing


def test_workers_change_nothing(recording, whole):
    assert_same(nl.pretrain([recording], ONE, workers=2), whole)


def test_labels_change_nothing(recordings):
    def with_units(change):
        return [replace(recording, units=change(recording.units)) for recording in recordings]

    expected = nl.pretrain(recordings, TINY)
    shuffled = with_units(lambda units: units.sample(frac=1, random_state=0).set_index(units.index))
    assert not shuffled[0].units.equals(recordings[0].units)
    assert_same(nl.pretrain(shuffled, TINY), expected)
    assert_same(nl.pretrain(with_units(lambda units: units[[]]), TINY), expected)


@pytest.mark.parametrize(("dim", "expected"), [(32, 1), (256, 2)])
def test_small_encoders_take_one_thread(dim, expected, recording, monkeypatch):
    """While they train and embed; afterwards there are as many as before."""
    seen, forward, before = set(), nl.NuCLR.forward, torch.get_num_threads()

    def look(self, *args):
        seen.add(torch.get_num_threads())
        return forward(self, *args)

    monkeypatch.setattr(nl.NuCLR, "forward", look)
    torch.set_num_threads(2)
    try:
        trained = nl.pretrain([recording], ONE.with_(dim=dim, steps=1))
        nl.embed(trained.encoder, [recording])
        assert torch.get_num_threads() == 2 and seen == {expected}
    finally:
        torch.set_num_threads(before)


def test_it_neither_reads_nor_moves_global_random_state(recording, whole):
    torch.manual_seed(123), np.random.seed(123), random.seed(123)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    assert_same(nl.pretrain([recording], ONE), whole)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1]) and random.getstate() == before[2]


def test_global_random_state_is_put_back_after_an_error(recording, monkeypatch):
    before = torch.get_rng_state()
    with monkeypatch.context() as patch, pytest.raises(Break):
        interrupt(patch, 2)
        nl.pretrain([recording], ONE)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_changes_everything(recording, whole):
    other = nl.pretrain([recording], ONE.with_(seed=1))
    assert not torch.equal(other.encoder.read_in.weight, whole.encoder.read_in.weight)
    assert other.history["loss"].tolist() != whole.history["loss"].tolist()


def test_large_seeds_will_do(recording):
    assert len(nl.pretrain([recording], ONE.with_(steps=1, seed=2**33)).history) == 1


# ---- what comes out


def test_history(recordings):
    preset = TINY.with_(steps=9, log_every=3, checkpoint_every=3)
    history, fine = (
        nl.pretrain(recordings, p).history for p in (preset, preset.with_(log_every=1))
    )
    assert history.columns.tolist() == [
        "step",
        "epoch",
        "learning_rate",
        "loss",
        "attraction",
        "repulsion",
        "rank_me",
        "retrieval_accuracy",
        "retrieval_chance",
    ]
    assert history["step"].tolist() == [3, 6, 9]
    np.testing.assert_allclose(
        history["loss"], history["attraction"] + history["repulsion"], rtol=1e-5
    )
    for name in ("loss", "attraction", "repulsion"):  # means since the row before
        np.testing.assert_allclose(
            history[name], fine[name].to_numpy().reshape(3, 3).mean(1), rtol=1e-5
        )
    # of the row's own batch
    for name in ("rank_me", "retrieval_accuracy", "retrieval_chance", "learning_rate"):
        np.testing.assert_allclose(history[name], fine[name][2::3], rtol=1e-5)
    assert (
        history["rank_me"].between(1, 16.01).all()
        and history["retrieval_accuracy"].between(0, 1).all()
    )
    assert history["retrieval_chance"].between(1 / 12, 1 / 2).all()


def test_training_learns_and_ends_in_evaluation_mode(recordings):
    trained = nl.pretrain(recordings, TINY.with_(steps=60, log_every=20, checkpoint_every=20))
    assert trained.history["loss"].iloc[-1] < trained.history["loss"].iloc[0]
    assert not trained.encoder.training and not trained.loss.training and trained.seconds > 0


# ---- errors


def test_a_loss_that_is_not_finite(recording, tmp_path, monkeypatch):
    calls, forward = [], nl.ContrastiveLoss.forward

    def poisoned(self, *args):
        parts = forward(self, *args)
        calls.append(1)
        return parts if len(calls) < 5 else parts._replace(total=parts.total * math.nan)

    monkeypatch.setattr(nl.ContrastiveLoss, "forward", poisoned)
    with pytest.raises(
        FloatingPointError,
        match=(
            "the loss is nan at step 5; lower learning_rate, .* what that step saw: one. The last"
            " checkpoint, checkpoint-00000004, is from before"
        ),
    ):
        nl.pretrain([recording], ONE, tmp_path)
    assert checkpoint_names(tmp_path)[-1] == "checkpoint-00000004"
    assert all(
        torch.isfinite(value).all()
        for value in nl.Pretrained.load(tmp_path).encoder.state_dict().values()
    )


def test_a_loss_that_is_not_finite_stops_long_before_a_row_of_the_history_is_due(
    recordings, monkeypatch
):
    calls, forward = [], nl.ContrastiveLoss.forward

    def poisoned(self, *args):
        parts = forward(self, *args)
        calls.append(1)
        return parts if len(calls) != 17 else parts._replace(total=parts.total * math.inf)

    monkeypatch.setattr(nl.ContrastiveLoss, "forward", poisoned)
    with pytest.raises(
        FloatingPointError, match="at step 17; .* There is no checkpoint from before"
    ):
        nl.pretrain(
            recordings, TINY.with_(steps=400, batch_size=1, log_every=400, checkpoint_every=400)
        )
    assert len(calls) == 50


def test_batches_in_which_no_unit_is_in_both_views():
    recording = spikes(n_units=40, name="many")
    # 4 of 40 in each view: none in common in two thirds of the pairs
    some = TINY.with_(kept_share=(0.1, 0.1), min_units=1, batch_size=1, steps=20)
    with pytest.warns(UserWarning, match=r"\d+ batches were skipped: no unit was in both views"):
        assert np.isfinite(nl.pretrain([recording], some).history["loss"]).all()
    with pytest.raises(
        ValueError,
        match=r"batches were skipped: .* Raise views.kept_share \(it is \(0.025, 0.025\)\)",
    ):
        nl.pretrain([recording], some.with_(kept_share=(0.025, 0.025), steps=2000))


@pytest.mark.parametrize("learning_rate", [1e5, 1e20])
def test_training_that_diverges_says_so(learning_rate, recording, tmp_path):
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        nl.pretrain(
            [recording],
            ONE.with_(learning_rate=learning_rate, warmup_steps=0, log_every=1),
            tmp_path,
        )


def test_arguments_that_make_no_sense(recording, calcium_recordings):
    with pytest.raises(ValueError, match="there is no preset 'quik'; use one of .*'quick'"):
        nl.pretrain([recording], "quik")
    with pytest.raises(ValueError, match="there is no recording to train on; give at least one"):
        nl.pretrain([], TINY)
    with pytest.raises(ValueError, match="resume=True needs out_dir"):
        nl.pretrain([recording], TINY, resume=True)
    with pytest.raises(ValueError, match="holds calcium, the encoder reads spikes"):
        nl.pretrain(calcium_recordings, TINY)
    with pytest.raises(
        ValueError, match="no pair of views has 7 active units in both; lower views.min_units"
    ):
        nl.pretrain([recording], TINY.with_(min_units=7))
    with pytest.raises(ValueError, match="two windows"):
        nl.pretrain([recording], TINY.with_(tokens_per_window=400))


@pytest.mark.parametrize(
    "field, value",
    [
        ("steps", 0),
        ("batch_size", 0),
        ("log_every", 0),
        ("checkpoint_every", 30),
        ("precision", "int8"),
        ("warmup_steps", -1),
    ],
)
def test_impossible_configs(field, value):
    with pytest.raises(ValueError, match=field):
        replace(nl.TrainConfig(), **{field: value})
    with pytest.raises(ValueError, match="no preset has .'momentum'.; see"):
        TINY.with_(momentum=0.9)


def test_an_unknown_device_is_refused(recordings):
    with pytest.raises(ValueError, match="use 'cpu', or None"):
        nl.pretrain(recordings, TINY, device="cuda:7")
