"""Pretraining: the recipe, and that a break changes nothing."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, TINY_CALCIUM, spikes
from torch.optim.optimizer import register_optimizer_step_pre_hook

import nuclr_lite as nl
from nuclr_lite import pretrained
from nuclr_lite.checkpoints import best_checkpoint

# 29 pairs (or so) an epoch of 8: 3 batches; 7 steps are two epochs and a bit.
ONE = TINY.with_(steps=7)


@pytest.fixture(scope="module")
def recording():
    return spikes(n_units=6, name="one")


@pytest.fixture(scope="module")
def whole(recording) -> nl.Pretrained:
    """ONE without a break."""
    return nl.pretrain([recording], ONE)


def assert_same(one: nl.Pretrained, other: nl.Pretrained):
    """Bit for bit: weights of the encoder and the projector, and the history."""
    for module in ("encoder", "loss"):
        state, expected = (getattr(pretrained, module).state_dict() for pretrained in (one, other))
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)


class Break(Exception):
    pass


def interrupt(patch, after_updates: int):
    """Let the optimiser step that follows `after_updates` others raise."""
    step, done = torch.optim.AdamW.step, []

    def failing(self, *args, **kwargs):
        if len(done) == after_updates:
            raise Break
        done.append(1)
        return step(self, *args, **kwargs)

    patch.setattr(torch.optim.AdamW, "step", failing)


# ---- breaks


@pytest.mark.parametrize("after", range(7))
def test_a_break_anywhere_changes_nothing(after, recording, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Break):
        interrupt(patch, after)
        nl.pretrain([recording], ONE, tmp_path)
    assert_same(nl.pretrain([recording], ONE, tmp_path, resume=True), whole)


def test_an_epoch_has_three_batches(recording, whole):
    """So the test above breaks in the middle of an epoch and at its end."""
    assert len(nl.PairedViews([recording], ONE.model, ONE.views, 8)) == 3
    assert whole.history["epoch"].tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_breaks_between_checkpoints_and_two_of_them(recordings, tmp_path, monkeypatch):
    preset = TINY.with_(steps=11, log_every=2, checkpoint_every=4, dropout=0.3)
    whole = nl.pretrain(recordings, preset)
    assert whole.history["step"].tolist() == [2, 4, 6, 8, 10, 11]
    for after in (6, 5):  # at step 6; then, from checkpoint 4, at step 9
        with monkeypatch.context() as patch, pytest.raises(Break):
            interrupt(patch, after)
            # the first finds nothing, and begins
            nl.pretrain(recordings, preset, tmp_path, resume=True)
    assert_same(nl.pretrain(recordings, preset, tmp_path, resume=True), whole)
    assert_same(nl.pretrain(recordings, preset, tmp_path, resume=True), whole)  # it is done already


def test_calcium_resumes_too(calcium_recordings, tmp_path, monkeypatch):
    preset = TINY_CALCIUM.with_(steps=5)
    with monkeypatch.context() as patch, pytest.raises(Break):
        interrupt(patch, 3)
        nl.pretrain(calcium_recordings, preset, tmp_path)
    assert_same(
        nl.pretrain(calcium_recordings, preset, tmp_path, resume=True),
        nl.pretrain(calcium_recordings, preset),
    )


def test_a_break_while_a_checkpoint_is_written(recording, whole, tmp_path, monkeypatch):
    write = pd.DataFrame.to_csv

    def failing(table, *args, **kwargs):
        if len(table) == 4:
            raise Break
        return write(table, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Break):
        patch.setattr(pd.DataFrame, "to_csv", failing)
        nl.pretrain([recording], ONE, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-00000002",
        "checkpoint-00000003",
    ]
    assert_same(nl.pretrain([recording], ONE, tmp_path, resume=True), whole)


@pytest.mark.slow
def test_killed_again_and_again(recordings, tmp_path):
    preset = TINY.with_(steps=400, log_every=4, checkpoint_every=4, dropout=0.3)
    folder = tmp_path / "run"
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest, nuclr_lite as nl
recordings = [nl.Recording.load(path) for path in sys.argv[2:]]
nl.pretrain(recordings, nl.Preset.from_json({preset.to_json()!r}), sys.argv[1], resume=True)
"""
    paths = [str(recording.save(tmp_path / recording.recording_id)) for recording in recordings]
    newest = lambda: max((path.name for path in folder.glob("checkpoint-*")), default="")
    rng, kills = random.Random(0), 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder), *paths],
            env=os.environ | {"TQDM_DISABLE": "1"},
        )
        try:
            if kills < 6:
                before, deadline = newest(), time.monotonic() + 120
                while newest() == before and process.poll() is None:
                    assert time.monotonic() < deadline, "no checkpoint in two minutes"
                    time.sleep(0.005)
                time.sleep(rng.uniform(0, 0.15))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
            if process.wait(timeout=300) == 0:
                break
            assert process.returncode == -signal.SIGKILL
        finally:
            process.kill()
            process.wait()
    assert kills >= 3, "the training was over before it could be killed: give it more steps"
    assert_same(nl.Pretrained.load(folder), nl.pretrain(recordings, preset))


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


# ---- the recipe


@pytest.fixture
def steps(monkeypatch):
    """What every optimiser step sees: groups, and the gradient norms of encoder and projector."""
    seen, modules = [], {}

    class SpiedEncoder(nl.NuCLR):
        def __init__(self, config):
            super().__init__(config)
            modules["encoder"] = self

    class SpiedLoss(nl.ContrastiveLoss):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            modules["projector"] = self

    def look(optimizer, args, kwargs):
        norms = {
            name: math.sqrt(sum(float(p.grad.square().sum()) for p in module.parameters()))
            for name, module in modules.items()
        }
        seen.append(
            {
                "optimizer": optimizer,
                "rates": {group["lr"] for group in optimizer.param_groups},
                **norms,
            }
        )

    monkeypatch.setattr(pretrained, "NuCLR", SpiedEncoder)
    monkeypatch.setattr(pretrained, "ContrastiveLoss", SpiedLoss)
    handle = register_optimizer_step_pre_hook(look)
    yield seen, modules
    handle.remove()


@pytest.mark.parametrize("warmup", [0, 1, 4, None])
def test_learning_rates(warmup, recording, steps):
    history = nl.pretrain([recording], ONE.with_(warmup_steps=warmup, learning_rate=0.01)).history
    rise = 3 if warmup is None else warmup  # None: the batches of an epoch
    expected = [
        (
            0.01 * (step + 1) / rise
            if step < rise
            else 0.005 * (1 + math.cos(math.pi * (step - rise) / (7 - rise)))
        )
        for step in range(7)
    ]
    assert history["learning_rate"].tolist() == pytest.approx(expected)
    # of all groups
    assert [rate for step in steps[0] for rate in step["rates"]] == pytest.approx(expected)


def test_decay_of_matrices_only(recording, steps):
    seen, modules = steps
    nl.pretrain([recording], ONE.with_(steps=1, weight_decay=0.07))
    names = {
        id(p): f"{part}.{name}"
        for part, module in modules.items()
        for name, p in module.named_parameters()
    }
    decay = {
        names[id(p)]: group["weight_decay"]
        for group in seen[0]["optimizer"].param_groups
        for p in group["params"]
    }
    assert decay.keys() == set(names.values()) and isinstance(
        seen[0]["optimizer"], torch.optim.AdamW
    )
    for name, value in decay.items():
        spared = (
            name.endswith("bias") or ".norm." in name or name.startswith("projector.projector.0")
        )
        assert value == (0.0 if spared else 0.07), name
    assert 0 < sum(decay.values()) < 0.07 * len(decay)


def test_encoder_and_projector_are_clipped_apart(recording, steps):
    nl.pretrain([recording], ONE.with_(gradient_clip=1e-3))
    for step in steps[0]:
        assert step["encoder"] == pytest.approx(1e-3, rel=1e-2) and step[
            "projector"
        ] == pytest.approx(1e-3, rel=1e-2)


def test_small_gradients_are_not_clipped(recording, steps):
    nl.pretrain([recording], ONE.with_(gradient_clip=1e6, steps=1))
    nl.pretrain([recording], ONE.with_(gradient_clip=2e6, steps=1))
    one, other = steps[0]
    assert (
        one["encoder"] == other["encoder"] > 1e-3 and one["projector"] == other["projector"] > 1e-3
    )


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


# ---- folders


def checkpoint_names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_two_newest_checkpoints_and_the_best_are_kept(recording, whole, tmp_path):
    nl.pretrain([recording], ONE.with_(checkpoint_every=2), tmp_path / "run")
    loss = whole.history["loss"].to_numpy()  # a row a step
    since = {
        "checkpoint-00000002": loss[:2].mean(),
        "checkpoint-00000004": loss[2:4].mean(),
        "checkpoint-00000006": loss[4:6].mean(),
        "checkpoint-00000007": loss[6],
    }
    best = min(since, key=since.get)
    assert best not in ("checkpoint-00000006", "checkpoint-00000007")  # or this tests nothing
    assert checkpoint_names(tmp_path / "run") == sorted(
        [best, "checkpoint-00000006", "checkpoint-00000007"]
    )
    assert best_checkpoint(tmp_path / "run").name == best
    assert_same(nl.Pretrained.load(tmp_path / "run"), replace(whole, preset=None))  # the newest


def test_no_checkpoint_is_best_where_there_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        best_checkpoint(tmp_path)


def test_an_existing_run_is_not_overwritten(recording, tmp_path):
    nl.pretrain([recording], ONE, tmp_path)
    before = checkpoint_names(tmp_path)
    with pytest.raises(
        FileExistsError, match="checkpoint-00000007 of an earlier run; pass resume=True"
    ):
        nl.pretrain([recording], ONE, tmp_path)
    assert checkpoint_names(tmp_path) == before


@pytest.mark.parametrize(
    "change", [dict(dim=24), dict(max_distance_s=3.0), dict(learning_rate=0.1), dict(steps=20)]
)
def test_resuming_with_another_preset(change, recording, tmp_path):
    nl.pretrain([recording], ONE.with_(steps=2), tmp_path)
    with pytest.raises(
        ValueError, match="made with another preset; pass that one .* or choose another out_dir"
    ):
        nl.pretrain([recording], ONE.with_(steps=2).with_(**change), tmp_path, resume=True)


def test_resuming_with_other_recordings(recordings, tmp_path):
    nl.pretrain(recordings, TINY, tmp_path)
    for others in (
        recordings[:2],
        recordings[::-1],
        [*recordings[:2], spikes()],
        [*recordings[:2], replace(recordings[2], intervals=np.array([[0.0, 50.0]]))],
    ):
        with pytest.raises(
            ValueError, match="made with other recordings; pass the same ones to resume"
        ):
            nl.pretrain(others, TINY, tmp_path, resume=True)


def test_saving_and_loading(recordings, tmp_path):
    trained = nl.pretrain(recordings, TINY)
    loaded = nl.Pretrained.load(trained.save(tmp_path / "model"))
    assert_same(loaded, trained)
    assert loaded.preset == trained.preset and not loaded.encoder.training
    pd.testing.assert_frame_equal(
        nl.embed(loaded.encoder, recordings),
        nl.embed(trained.encoder, recordings),
        check_exact=True,
    )
    with pytest.raises(FileExistsError, match="overwrite=True"):
        trained.save(tmp_path / "model")
    trained.save(tmp_path / "model", overwrite=True)


@pytest.mark.parametrize("name", ["encoder.safetensors", "projector.safetensors"])
def test_damaged_weights(name, whole, tmp_path):
    file = whole.save(tmp_path / "model") / name
    content = file.read_bytes()
    for length in (0, 4, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(
            ValueError, match=f"{name} has .* bytes instead of .*copy the whole folder again"
        ):
            nl.Pretrained.load(tmp_path / "model")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing; copy the whole folder"):
        nl.Pretrained.load(tmp_path / "model")


def test_weights_of_another_shape_and_foreign_folders(whole, tmp_path):
    folder = whole.save(tmp_path / "model")
    (folder / "preset.json").write_text(ONE.with_(dim=24).to_json())
    with pytest.raises(
        ValueError, match="preset.json is not what was saved .*copy the whole folder again"
    ):
        nl.Pretrained.load(folder)
    (folder / "checksums.json").unlink()  # as folders were before there were any
    with pytest.raises(ValueError, match="from another model"):
        nl.Pretrained.load(folder)
    for foreign in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(
            FileNotFoundError, match="holds no pretrained encoder .*; give the folder"
        ):
            nl.Pretrained.load(foreign)


# ---- precision


def test_precisions_may_follow_one_another(recording):
    losses = [
        nl.pretrain([recording], ONE.with_(precision=precision)).history["loss"]
        for precision in ("no", "bf16", "no")
    ]
    assert losses[0].equals(losses[2]) and not losses[0].equals(losses[1])
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)


def test_an_encoder_trained_in_half_precision_is_the_one_that_is_saved(recording, tmp_path):
    trained = nl.pretrain([recording], ONE.with_(precision="bf16"))
    loaded = nl.Pretrained.load(trained.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(
        nl.embed(trained.encoder, recording), nl.embed(loaded.encoder, recording), check_exact=True
    )


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
