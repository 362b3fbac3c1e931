"""The objective: the same as the official one, and as ten lines of plain loops; and the two numbers
that watch it.
"""

import math

import numpy as np
import pytest
import torch
from helpers import randomise, relative_error, shared
from hypothesis import assume, example, given, strategies as st

import nuclr_lite as nl
from nuclr_lite.loss import VICReg

DIM = 6
IDS = st.lists(st.integers(0, 7), unique=True, max_size=5)  # in any order
# the ids that each view of each population shows
VIEWS = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=4)


def arguments(views, seed: int = 0):
    """Random embeddings with the ids and sizes of `views`, as ContrastiveLoss takes them."""
    generator = torch.Generator().manual_seed(seed)
    ids = [
        torch.tensor([i for population in views for i in population[view]], dtype=torch.int64)
        for view in (0, 1)
    ]
    sizes = [torch.tensor([len(population[view]) for population in views]) for view in (0, 1)]
    embeddings = [torch.randn(len(view), DIM, generator=generator) for view in ids]
    return *embeddings, *ids, *sizes


def project(loss: nl.ContrastiveLoss, x) -> np.ndarray:
    """LayerNorm, Linear, ReLU, Linear, unit length; written out in float64."""
    norm_weight, norm_bias, weight_1, bias_1, weight_2, bias_2 = (
        p.detach().double().numpy() for p in loss.projector.parameters()
    )
    x = x.detach().double().numpy()
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(
        x.var(1, keepdims=True) + 1e-5
    ) * norm_weight + norm_bias
    x = np.maximum(x @ weight_1.T + bias_1, 0) @ weight_2.T + bias_2
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def by_population(packed, sizes):
    return np.split(packed, np.cumsum(sizes)[:-1])


def naive_loss(loss, x1, x2, ids1, ids2, sizes1, sizes2) -> tuple[float, float, int]:
    """Attraction, repulsion and matched units, one unit at a time."""
    tau, own_tau = loss.temperature, loss.temperature if loss.scale_within_view else 1.0
    attraction, repulsion = [], []
    packed = (
        (project(loss, x1), sizes1),
        (project(loss, x2), sizes2),
        (ids1.numpy(), sizes1),
        (ids2.numpy(), sizes2),
    )
    for z1, z2, names1, names2 in zip(*(by_population(*one) for one in packed)):
        for i, name in enumerate(names1):
            for j in np.flatnonzero(names2 == name):
                attraction.append((1 - z1[i] @ z2[j]) / tau)
                for own, other, me, match in ((z1, z2, i, j), (z2, z1, j, i)):
                    similarities = [own[me] @ z / tau for k, z in enumerate(other) if k != match]
                    similarities += [own[me] @ z / own_tau for k, z in enumerate(own) if k != me]
                    similarities += (
                        [own[me] @ other[match] / tau]
                        if similarities and not loss.decoupled
                        else []
                    )
                    mean = sum(map(math.exp, similarities)) / (len(own) + len(other))
                    repulsion.append(math.log(mean) if similarities else 0.0)
    return float(np.mean(attraction or 0)), float(np.mean(repulsion or 0)), len(attraction)


def test_the_official_modules_give_the_same():
    case = np.load(shared("reference", "official_loss.npz"))
    given = {name: torch.from_numpy(case[name]) for name in case.files}
    loss = nl.ContrastiveLoss(given["view1"].shape[1], temperature=float(case["tau"]))
    loss.load_state_dict(
        {
            name.removeprefix("state/"): value
            for name, value in given.items()
            if name.startswith("state/")
        }
    )
    view_1 = given["view1"].requires_grad_()
    parts = loss(
        view_1,
        given["view2"],
        given["unit_ids1"],
        given["unit_ids2"],
        given["units_per_population1"],
        given["units_per_population2"],
    )
    parts.total.backward()
    for ours, theirs in zip(parts, ("loss", "numerator", "denominator")):
        assert ours.item() == pytest.approx(float(case[theirs]), rel=1e-5)
    assert relative_error(view_1.grad, case["view1_grad"]) <= 1e-4


@pytest.mark.parametrize(
    "scale_within_view, decoupled", [(False, True), (True, True), (True, False)]
)
@given(views=VIEWS)
@example(views=[([0], [0])])  # alone: no negative
@example(views=[([0], [0]), ([0, 1, 2], [2, 0])])  # alone, beside others
@example(views=[([0, 1], [2, 3]), ([0, 1], [1, 2])])  # no match in the first population
@example(views=[([0, 1], []), ([], [4]), ([3, 1], [1, 3])])  # views that show nobody
@example(views=[([0], [0, 1])])  # a negative in one view only
def test_plain_loops_give_the_same(views, scale_within_view, decoupled):
    loss = randomise(
        nl.ContrastiveLoss(
            DIM, temperature=0.3, scale_within_view=scale_within_view, decoupled=decoupled
        )
    )
    given = arguments(views)
    for x in given[:2]:
        x.requires_grad_()
    parts = loss(*given)
    attraction, repulsion, _ = naive_loss(loss, *given)
    assert parts.attraction.item() == pytest.approx(attraction, rel=1e-5, abs=1e-5)
    assert parts.repulsion.item() == pytest.approx(repulsion, rel=1e-5, abs=1e-5)
    assert parts.total.item() == (parts.attraction + parts.repulsion).item()
    parts.total.backward()
    assert all(torch.isfinite(x.grad).all() for x in (*given[:2], *loss.parameters()))


@given(VIEWS)
def test_populations_weigh_by_their_matches(views):
    loss = randomise(nl.ContrastiveLoss(DIM))
    *embeddings, ids_1, ids_2, sizes_1, sizes_2 = arguments(views)
    whole, apart, matched = loss(*embeddings, ids_1, ids_2, sizes_1, sizes_2), 0.0, 0
    packed = [
        x.split(sizes.tolist())
        for x, sizes in zip((*embeddings, ids_1, ids_2), 2 * (sizes_1, sizes_2))
    ]
    for x1, x2, i1, i2 in zip(*packed):
        common = len(set(i1.tolist()) & set(i2.tolist()))
        part = loss(x1, x2, i1, i2, torch.tensor([len(i1)]), torch.tensor([len(i2)]))
        apart, matched = apart + common * part.total.item(), matched + common
    assume(matched)
    assert whole.total.item() == pytest.approx(apart / matched, rel=1e-5, abs=1e-5)


def test_the_projectors_layer_norm_has_its_own_weight_and_bias():
    loss, (x, *_) = nl.ContrastiveLoss(DIM), arguments([([0, 1, 2], [])])
    plain = loss.projector(x).detach()
    randomise(loss.projector[0])
    ours = torch.nn.functional.normalize(loss.projector(x), dim=1)
    assert relative_error(ours, project(loss, x)) <= 1e-5
    assert relative_error(ours, torch.nn.functional.normalize(plain, dim=1)) > 0.01
    assert [type(layer).__name__ for layer in loss.projector] == [
        "LayerNorm",
        "Linear",
        "ReLU",
        "Linear",
    ]


def test_scaling_within_views_matters():
    given = arguments([([0, 1, 2], [2, 1])])
    one, other = (
        randomise(nl.ContrastiveLoss(DIM, scale_within_view=scale))(*given)
        for scale in (False, True)
    )
    assert one.attraction.item() == other.attraction.item()
    assert abs((one.repulsion - other.repulsion).item()) > 0.01


def test_the_same_vectors_attract_fully():
    x = torch.randn(4, DIM, generator=torch.Generator().manual_seed(0))
    ids, sizes = torch.arange(4), torch.tensor([4])
    parts = nl.ContrastiveLoss(DIM)(x, x[[2, 0, 3, 1]], ids, ids[[2, 0, 3, 1]], sizes, sizes)
    assert parts.attraction.item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("objective", [nl.ContrastiveLoss, VICReg])
@pytest.mark.parametrize(
    "change, words",
    [
        (dict(ids_1=[0, 0, 1]), "view 1: a unit id occurs twice"),
        (dict(ids_2=[2, 1, 2]), "view 2: a unit id occurs twice"),
        (dict(sizes_1=[2]), "view 1: population sizes sum to 2"),
        (dict(sizes_2=[4]), "view 2: population sizes sum to 4"),
        (dict(sizes_1=[1, 2]), "both views show the same populations"),
        (dict(rows_1=5), "embedding"),
        (dict(rows_2=2), "embedding"),
        (dict(rows_1=5, ids_2=[5, 6, 7]), "embedding"),
    ],
)  # not even where nothing matches
def test_arguments_that_do_not_fit(change, words, objective):
    good = (
        dict(rows_1=3, rows_2=3, ids_1=[0, 1, 2], ids_2=[0, 1, 2], sizes_1=[3], sizes_2=[3])
        | change
    )
    values = [
        torch.randn(value, DIM) if name.startswith("rows") else torch.tensor(value)
        for name, value in good.items()
    ]
    with pytest.raises(ValueError, match=words):
        objective(DIM)(*values)


def test_ids_may_repeat_in_another_population():
    given = arguments([([0, 1], [0, 1]), ([0, 1], [1, 0])])
    assert all(torch.isfinite(part) for part in nl.ContrastiveLoss(DIM)(*given))


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match="above 0"):
        nl.ContrastiveLoss(DIM, temperature=0.0)


# ---- VICReg


@given(views=VIEWS)
@example(views=[([0], [0]), ([1], [1])])  # nothing varies within a population
@example(views=[([0, 1], []), ([3, 1], [1, 3])])
def test_vicreg_as_plain_loops(views):
    loss, given = randomise(VICReg(DIM)), arguments(views)
    for x in given[:2]:
        x.requires_grad_()
    parts = loss(*given)
    parts.total.backward()
    assert all(torch.isfinite(x.grad).all() for x in (*given[:2], *loss.parameters()))
    pairs = []  # by population, the (view 1, view 2) vectors of its matched units
    packed = [
        by_population(x, given[4 + k % 2])
        for k, x in enumerate(
            (
                *(loss.projector(x).detach().double().numpy() for x in given[:2]),
                *(ids.numpy() for ids in given[2:4]),
            )
        )
    ]
    for z1, z2, names1, names2 in zip(*packed):
        common = sorted(set(names1) & set(names2))
        pairs += (
            [
                [
                    np.array([z[list(names).index(name)] for name in common])
                    for z, names in ((z1, names1), (z2, names2))
                ]
            ]
            if common
            else []
        )
    free = sum(len(z1) - 1 for z1, _ in pairs)
    if not free:
        assert parts.total.item() == 0
        return
    attraction = 25 * np.mean(np.concatenate([(z1 - z2) ** 2 for z1, z2 in pairs]))
    repulsion = 0.0
    for view in (0, 1):
        covariance = (
            sum(
                (pair[view] - pair[view].mean(0)).T @ (pair[view] - pair[view].mean(0))
                for pair in pairs
            )
            / free
        )
        repulsion += 25 * np.mean(
            [max(0, 1 - math.sqrt(covariance[d, d] + 1e-4)) for d in range(DIM)]
        )
        repulsion += (
            sum(covariance[d, e] ** 2 for d in range(DIM) for e in range(DIM) if d != e) / DIM
        )
    assert parts.attraction.item() == pytest.approx(
        attraction, rel=1e-4
    ) and parts.repulsion.item() == pytest.approx(repulsion, rel=1e-4)


def test_vicreg_is_not_satisfied_by_telling_populations_apart():
    """Vectors that are alike within each population, however far apart populations are: as bad as
    all alike.
    """
    loss, (*_, ids_1, ids_2, sizes_1, sizes_2) = (
        VICReg(DIM),
        arguments([([0, 1, 2], [0, 1, 2])] * 2),
    )
    loss.projector = torch.nn.Identity()
    apart = torch.tensor([[5.0] * DIM] * 3 + [[-5.0] * DIM] * 3)
    assert loss(apart, apart, ids_1, ids_2, sizes_1, sizes_2).repulsion.item() == pytest.approx(
        2 * 25 * 0.99
    )
    varied = apart + torch.randn(6, DIM, generator=torch.Generator().manual_seed(0))
    assert loss(varied, varied, ids_1, ids_2, sizes_1, sizes_2).repulsion.item() < 30


# ---- the numbers that watch training


@given(VIEWS)
@example([([0], [0])])
@example([([0, 1], []), ([2, 0, 1], [1, 0])])
def test_retrieval_accuracy_is_counted_right(views):
    x1, x2, ids_1, ids_2, sizes_1, sizes_2 = given = arguments(views)
    hits, chances = [], []
    for one, other, names_1, names_2 in zip(
        *(
            by_population(x.numpy(), sizes)
            for x, sizes in ((x1, sizes_1), (x2, sizes_2), (ids_1, sizes_1), (ids_2, sizes_2))
        )
    ):
        for vector, name in zip(one, names_1):
            if name in names_2:
                cosines = [vector @ z / np.linalg.norm(vector) / np.linalg.norm(z) for z in other]
                hits.append(names_2[int(np.argmax(cosines))] == name)
                chances.append(1 / len(other))
    accuracy, chance = nl.retrieval_accuracy(*given)
    if hits:
        assert float(accuracy) == pytest.approx(np.mean(hits)) and chance == pytest.approx(
            np.mean(chances)
        )
    else:
        assert math.isnan(accuracy) and math.isnan(chance)


def test_retrieval_is_perfect_for_equal_views():
    x = torch.randn(9, DIM, generator=torch.Generator().manual_seed(0))
    ids, sizes = torch.arange(9), torch.tensor([4, 5])
    assert float(nl.retrieval_accuracy(x, 3 * x, ids, ids, sizes, sizes)[0]) == 1.0


def test_rank_me_counts_directions():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(500, 8, generator=generator)
    # one direction
    assert float(nl.rank_me(vectors[:, :1] * torch.ones(8))) == pytest.approx(1.0, abs=1e-3)
    assert float(nl.rank_me(torch.eye(8).repeat(5, 1))) == pytest.approx(8.0, abs=1e-3)  # all alike
    # three of eight
    assert float(nl.rank_me(vectors[:, :3] @ torch.randn(3, 8, generator=generator))) < 3.001
    share = np.linalg.svd(vectors.numpy(), compute_uv=False)
    share = share / share.sum()
    assert float(nl.rank_me(7 * vectors)) == pytest.approx(
        math.exp(-(share * np.log(share)).sum()), rel=1e-4
    )
