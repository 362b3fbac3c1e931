"""nuclr_in_one_file.py computes what the module computes, fits on a few pages, and learns."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import time
from types import ModuleType

import course
import numpy as np
import pytest
import run
import torch
from helpers import randomise, relative_error
from hypothesis import assume, example, given, strategies as st

import nuclr_lite as nl

PATH = course.HERE / "nuclr_in_one_file.py"
TEXT = PATH.read_text(encoding="utf-8")
CONFIGS = st.builds(
    nl.ModelConfig,
    samples_per_token=st.integers(1, 5),
    tokens_per_window=st.integers(2, 7),
    dim=st.integers(3, 12),
    heads=st.integers(1, 3),
    head_dim=st.sampled_from([2, 4, 8, 16]),
    temporal_layers=st.integers(0, 2),
    spatiotemporal_layers=st.integers(0, 2),
    dropout=st.sampled_from([0.0, 0.3]),
)
SMALL = nl.PRESETS["laptop"].model
IDS = st.lists(st.integers(0, 9), min_size=1, max_size=8, unique=True)  # in any order


def load(**settings) -> ModuleType:
    """The file as a module of its own, with some of its settings changed."""
    spec = importlib.util.spec_from_file_location("one_file", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in settings.items():
        assert hasattr(module, name), name
        setattr(module, name, value)
    return module


def load_like(config: nl.ModelConfig) -> ModuleType:
    return load(
        P=config.samples_per_token,
        L=config.tokens_per_window,
        D=config.dim,
        H=config.heads,
        C=config.head_dim,
        TEMPORAL_BLOCKS=config.temporal_layers,
        SPATIOTEMPORAL_BLOCKS=config.spatiotemporal_layers,
        DROPOUT=config.dropout,
    )


def results(module: torch.nn.Module, call, inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `call(*inputs)` returns, scalars or tensors, and the gradients of a weighted sum of it
    with respect to inputs and parameters; dropout drawn from a fixed seed.
    """
    inputs = [one.clone().requires_grad_() for one in inputs]
    module.zero_grad()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        outputs = call(*inputs)
    generator = torch.Generator().manual_seed(2)
    sum((one * torch.randn(one.shape, generator=generator)).sum() for one in outputs).backward()
    return (
        {f"output {i}": one.detach() for i, one in enumerate(outputs)}
        | {f"input {i}": one.grad for i, one in enumerate(inputs)}
        | {name: parameter.grad for name, parameter in module.named_parameters()}
    )


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        # a gradient that is 0 but for rounding, such as that of a key's bias, has no relative error
        if not torch.allclose(ours[name], value, rtol=0, atol=1e-6):
            assert relative_error(ours[name], value) < 1e-5, name


@example(SMALL, [5], 0)
@example(SMALL, [12, 1, 7, 30], 1)
@example(SMALL, [1], 2)
@given(CONFIGS, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_the_encoder_is_the_modules(config, sizes, seed):
    one_file = load_like(config)
    # In float64: a LayerNorm over three numbers magnifies the rounding of float32.
    theirs = randomise(nl.NuCLR(config), seed).double().train()
    ours = one_file.NuCLR().double().train()
    ours.load_state_dict(theirs.state_dict())  # strict: the names are the same
    generator = torch.Generator().manual_seed(seed)
    shape = sum(sizes), config.tokens_per_window, config.samples_per_token
    tokens = torch.poisson(torch.ones(shape, dtype=torch.float64), generator)
    assert_same(
        results(ours, lambda x: [ours(x, sizes)], [tokens]),
        results(theirs, lambda x: [theirs(x, torch.tensor(sizes))], [tokens]),
    )


@example([([3, 0, 5, 1], [1, 5, 2, 7, 3]), ([4], [4]), ([2, 6], [6])], 0.2)  # one unit, twice
@example([([0, 1], [2, 3]), ([0, 1, 2], [2, 1, 0])], 0.2)  # nobody matched in the first
@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=4), st.sampled_from([0.05, 0.2, 1.0]))
def test_the_loss_is_the_modules(views, temperature):
    assume(any(set(one) & set(other) for one, other in views))
    one_file = load(D=SMALL.dim, TEMPERATURE=temperature)
    theirs = randomise(nl.ContrastiveLoss(SMALL.dim, temperature))
    ours = one_file.ContrastiveLoss()
    ours.load_state_dict(theirs.state_dict())
    ids = [torch.tensor([unit for pair in views for unit in pair[view]]) for view in (0, 1)]
    sizes = [[len(pair[view]) for pair in views] for view in (0, 1)]
    generator = torch.Generator().manual_seed(len(ids[0]))
    vectors = [torch.randn(len(one), SMALL.dim, generator=generator) for one in ids]
    assert_same(
        results(ours, lambda *x: ours(*x, *ids, *sizes), vectors),
        results(theirs, lambda *x: theirs(*x, *ids, *map(torch.tensor, sizes))[1:], vectors),
    )


def test_views_are_windows_of_the_same_animal_within_reach():
    one_file = load(BATCH_SIZE=3, REACH=800)
    rng = np.random.default_rng(0)
    animals = [one_file.simulate_animal(rng, seconds=60.0) for _ in range(2)]
    for animal in animals:
        animal.counts[:, :] = np.arange(animal.counts.shape[1])  # a sample tells its time
        animal.counts[3] = 0  # never in view
    animals[1].counts[:] += 10_000 * (animals[1].counts > 0)
    found, stream = [], one_file.batches(animals, rng)
    for _ in range(6):
        (tokens_1, ids_1, sizes_1), (tokens_2, ids_2, sizes_2) = next(stream)
        assert tokens_1.shape == (sum(sizes_1), 10, 50) and len(ids_1) == sum(sizes_1)
        assert 3 not in ids_1 and 3 not in ids_2 and len(sizes_1) == 3
        for one, other in zip(tokens_1.split(sizes_1), tokens_2.split(sizes_2)):
            assert (one == one[0]).all() and (one[0].flatten().diff()[1:] == 1).all()
            assert abs(one[0, 0, 1] - other[0, 0, 1]) <= 800
            found.append(int(one[0, 0, 1]))
    assert len(set(found)) > 9 and min(found) < 10_000 < max(found)


def test_the_form():
    lines = TEXT.splitlines()
    assert len(lines) <= 350 and max(map(len, lines)) <= 100
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(TEXT))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"numpy", "sklearn", "torch"}
    assert PATH not in run.sources()  # no notebook: nothing to publish or to pair


@pytest.mark.slow
def test_it_learns_in_minutes():
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, PATH],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - started < 180 and "simulated" in done.stdout
    score = dict(re.findall(r"macro F1 of cell type, (.+): ([\d.]+)", done.stdout))
    trained = float(score.pop("trained encoder"))
    assert trained > 0.6
    # a quarter is what guessing gives; a unit alone must not tell its type
    assert {"chance", "simple feature of a unit alone", "untrained encoder"} == set(score)
    assert max(map(float, score.values())) < trained - 0.2
    assert float(score["simple feature of a unit alone"]) < 0.35
