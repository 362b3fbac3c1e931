"""What 04_objective builds, on its own: the notebook's definitions against the module, on random
shapes.
"""

import math

import course
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given, strategies as st
from torch.testing import assert_close

import nuclr_lite as nl
from nuclr_lite.loss import match_units

lesson = course.definitions(course.HERE / "04_objective.py")
IDS = st.lists(st.integers(0, 7), unique=True, max_size=5)
# the ids that each view of each population shows
VIEWS = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=4)


def arguments(views, dim=6):
    """Random vectors with the ids and sizes of `views`, as ContrastiveLoss takes them."""
    generator = torch.Generator().manual_seed(0)
    ids = [
        torch.tensor([i for population in views for i in population[view]], dtype=torch.int64)
        for view in (0, 1)
    ]
    sizes = [torch.tensor([len(population[view]) for population in views]) for view in (0, 1)]
    return (
        *(torch.randn(len(view), dim, generator=generator, requires_grad=True) for view in ids),
        *ids,
        *sizes,
    )


def matched(views):
    return sum(len(set(one) & set(two)) for one, two in views)


@pytest.mark.parametrize("scale_within_view", [False, True])
@given(views=VIEWS)
@example(views=[([0], [0])])  # alone: no negative
@example(views=[([0], [0]), ([3, 1, 2], [2, 0])])
@example(views=[([0, 1], []), ([], [4]), ([3, 1], [1, 3])])  # views that show nobody
def test_the_loop_is_the_loss(views, scale_within_view):
    assume(matched(views))
    x1, x2, *about = arguments(views)
    loop = lesson["loss_by_loop"](
        F.normalize(x1, dim=1),
        F.normalize(x2, dim=1),
        *about,
        0.3,
        0.3 if scale_within_view else 1.0,
    )
    parts = lesson["bare_loss"](0.3, scale_within_view=scale_within_view)(x1, x2, *about)
    assert_close(torch.stack(loop), torch.stack(parts[1:]), atol=1e-5, rtol=1e-5)
    ours, theirs = (
        torch.autograd.grad(sum(loop), (x1, x2)),
        torch.autograd.grad(parts.total, (x1, x2)),
    )
    assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@given(one=IDS, two=IDS)
def test_matched_rows(one, two):
    one, two = (torch.tensor(ids, dtype=torch.int64) for ids in (one, two))
    theirs = match_units(one, two, torch.tensor([len(one)]), torch.tensor([len(two)]))
    assert lesson["matched_rows"](one, two) == list(
        zip(theirs.row_1.tolist(), theirs.row_2.tolist())
    )


@given(views=VIEWS)
def test_found_again_counts_as_the_module_does(views):
    x1, x2, *about = arguments(views[:1])
    assume(matched(views[:1]))
    found, chance = nl.retrieval_accuracy(x1, x2, *about)
    assert lesson["found_again"](x1, x2, *about[:2]) == pytest.approx((found.item(), chance))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (1, 4), (40, 8)])
def test_effective_dimensions(shape):
    vectors = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert_close(lesson["effective_dimensions"](vectors), nl.rank_me(vectors), atol=1e-3, rtol=1e-3)


@given(one=IDS, two=IDS)
@example(one=[3, 1, 2], two=[0, 2, 1, 5])
def test_all_at_once_and_info_nce(one, two):
    assume(set(one) & set(two) and len(one) + len(two) > 2)
    x1, x2, *about = arguments([(one, two)])
    z1, z2 = F.normalize(x1, dim=1), F.normalize(x2, dim=1)
    rows_1, rows_2 = torch.tensor(lesson["matched_rows"](*about[:2])).T
    negatives = lesson["similarity_to_negatives"]
    both = negatives(z1, z2, rows_1, rows_2, 0.3), negatives(z2, z1, rows_2, rows_1, 0.3)
    assert [matrix.shape for matrix in both] == [(len(rows_1), len(one) + len(two))] * 2
    assert all((matrix.isinf().sum(1) == 2).all() for matrix in both)
    repulsion = (
        sum((matrix.logsumexp(1) - math.log(len(one) + len(two))).mean() for matrix in both) / 2
    )
    assert_close(
        repulsion, lesson["bare_loss"](0.3)(x1, x2, *about).repulsion, atol=1e-5, rtol=1e-5
    )
    whole = lesson["info_nce"](z1, z2, rows_1, rows_2, 0.3) + lesson["info_nce_offset"](
        len(one), len(two), 0.3
    )
    assert_close(
        whole, lesson["bare_loss"](0.3, decoupled=False)(x1, x2, *about).total, atol=1e-5, rtol=1e-5
    )


def test_the_pull_fades_in_info_nce_only():
    cosines = torch.tensor([-0.5, 0.0, 0.9])
    pull = lesson["pull_on_match"]
    assert_close(pull(cosines, 5, 0.25, decoupled=True), torch.full((3,), 4.0))
    assert_close(pull(cosines, 5, 0.25, decoupled=False), 4.0 * 5 / (5 + (cosines / 0.25).exp()))


def test_landmarks_of_collapse_and_of_spread():
    ids, size = torch.arange(5), torch.tensor([5])
    eye = torch.eye(5)
    for vectors, expected in zip(
        (torch.ones(5, 5), eye, eye - 0.2), lesson["landmarks"](5, 0.2).values()
    ):
        assert lesson["bare_loss"](0.2)(
            vectors, vectors, ids, ids, size, size
        ).total.item() == pytest.approx(expected, abs=1e-5)


def test_descent_sorts_units_by_themselves():
    start = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
    losses, path = lesson["descend"](*start, 100, 0.2)
    assert losses[-1] < losses[0] - 1 and (path[-1][0] * path[-1][1]).sum(1).min() > 0.95
