"""Steps: learning rates, decay, clipping, precision."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import training_runs
from helpers import relative_error
from torch.optim.optimizer import register_optimizer_step_pre_hook
from training_runs import ONE

import nuclr_lite as nl
from nuclr_lite import pretrained, steps as module_of_steps
from nuclr_lite.steps import Muon, has_amx, orthogonal, precision_of

# a fixture: pytest looks for it here
recording = training_runs.recording


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


def test_muon_takes_the_hidden_matrices_and_adamw_the_rest(recording, steps):
    seen, modules = steps
    changes = dict(optimizer="muon", learning_rate=0.01, muon_learning_rate=0.03, warmup_steps=4)
    nl.pretrain([recording], ONE.with_(**changes))
    by_kind = {type(step["optimizer"]): step for step in seen[-2:]}
    assert by_kind.keys() == {torch.optim.AdamW, Muon}
    taken = {
        kind: [id(p) for group in step["optimizer"].param_groups for p in group["params"]]
        for kind, step in by_kind.items()
    }
    everything = [id(p) for module in modules.values() for p in module.parameters()]
    assert sorted(sum(taken.values(), [])) == sorted(everything)
    hidden = {
        id(p)
        for name, p in modules["encoder"].named_parameters()
        if name.endswith(("qkv.weight", "out.weight", "widen.weight", "narrow.weight"))
    }
    assert set(taken[Muon]) == hidden
    rates = [
        [rate for step in seen if type(step["optimizer"]) is kind for rate in step["rates"]]
        for kind in (torch.optim.AdamW, Muon)
    ]
    assert rates[1] == pytest.approx([3 * rate for rate in rates[0]])  # one schedule, two peaks


@pytest.mark.parametrize("shape", [(3, 3), (4, 9), (9, 4), (1, 6)])
def test_muon_makes_steps_orthogonal(shape):
    generator = torch.Generator().manual_seed(0)
    given = [scale * torch.randn(shape, generator=generator) for scale in (1e-6, 1.0, 1e6)]
    for matrix, step in zip(given, orthogonal(given)):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        # the same singular vectors, and singular values about 1 (those that were tiny lag behind)
        core = left.T @ step @ right.T
        assert (core - core.diag().diag()).abs().max() < 0.05
        assert (core.diag()[values > 0.1 * values.max()] - 1).abs().max() < 0.35
    assert orthogonal([torch.zeros(shape)])[0].abs().max() == 0


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9 has no Muon")
def test_muon_is_torchs():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in ((8, 6), (6, 8), (5, 20))]
    ours, theirs = ([torch.nn.Parameter(one.clone()) for one in start] for _ in range(2))
    mine = Muon(ours, 0.02, 0.1)
    yours = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        for one, other in zip(ours, theirs):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        mine.step(), yours.step()
    for one, other, first in zip(ours, theirs, start):
        # torch's works in bfloat16, which has three digits
        assert relative_error(one.detach() - first, other.detach() - first) < 0.02


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


@pytest.mark.parametrize("amx", [False, True])
def test_a_cpu_takes_half_precision_for_wide_encoders_where_it_has_amx(monkeypatch, amx):
    monkeypatch.setattr(module_of_steps, "has_amx", lambda: amx)
    published, small = nl.PRESETS["paper-spikes"].model, nl.PRESETS["quick"].model
    assert precision_of("auto", "cpu", published) == ("bf16" if amx else "no")
    assert precision_of("auto", "cpu", small) == "no"
    assert precision_of("no", "cpu", published) == "no"
    assert precision_of("bf16", "cpu", small) == "bf16"


@pytest.mark.slow
@pytest.mark.skipif(not has_amx(), reason="this CPU has no AMX: it would emulate bfloat16")
def test_half_precision_on_a_cpu_ends_as_well(recording):
    """What allows precision='auto' to take it: vectors that agree, trainings that end alike."""
    recordings = nl.simulate_recordings(8, seed=201)
    units, new = nl.units_table(recordings), ["animal201-006", "animal201-007"]
    wide = dict(dim=128, heads=4, head_dim=32, temporal_layers=1, spatiotemporal_layers=2)
    preset = nl.PRESETS["quick"].with_(**wide, steps=250)
    scores = {}
    for precision in ("no", "auto"):
        trained = nl.pretrain(recordings[:-2], preset.with_(precision=precision), device="cpu")
        vectors = nl.embed(trained.encoder, recordings)
        result = nl.decode(vectors, units["cell_type"], units["animal_id"], test_groups=new)
        scores[precision] = result.scores.set_index("metric").loc["macro_f1", "estimate"]
    sizes = torch.tensor([len(recording.units)])
    generator = torch.Generator().manual_seed(0)
    tokens = torch.poisson(torch.full((int(sizes), 10, 50), 0.1), generator)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        halved = trained.encoder(tokens, sizes).float()
    with torch.no_grad():
        assert relative_error(halved, trained.encoder(tokens, sizes)) < 1e-2
    assert scores["no"] > 0.7 and abs(scores["no"] - scores["auto"]) < 0.06, scores
