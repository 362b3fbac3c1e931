"""The objectives.

The paper's: find yourself in the other view, among the other units of your own population.

Shapes: U1, U2 units present in view 1 and view 2 (all populations, packed), D width, N populations,
W1, W2 units of the widest population, M matched units (present in both views).

Source: Arora et al. 2025 (arXiv 2512.01199), section 3.3: a decoupled contrastive loss (Yeh et
al. 2022) whose negatives are the other units of the same recording. `VICReg`, without negatives, is
here to be compared with it (`12_what_it_learned`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import Populations

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0  # weights of the terms of VICReg


class LossParts(NamedTuple):
    """`total = attraction + repulsion`, each a scalar tensor."""

    total: Tensor
    attraction: Tensor
    repulsion: Tensor


class Matches(NamedTuple):
    """Where the units that both views share lie, on the CPU; M matched units."""

    row_1: Tensor  # (M,) row in view 1
    row_2: Tensor  # (M,) row in view 2
    population: Tensor  # (M,) which population


def match_units(ids_1: Tensor, ids_2: Tensor, sizes_1: Tensor, sizes_2: Tensor) -> Matches:
    """Pair up the units that are present in both views of the same population.

    Parameters
    ----------
    ids_1, ids_2 : (U1,), (U2,) int64, unique within a population.
    sizes_1, sizes_2 : (N,) int64, units of each population; all on the CPU.
    """
    if len(sizes_1) != len(sizes_2):
        raise ValueError(
            f"view 1 has {len(sizes_1)} populations and view 2 has {len(sizes_2)}; "
            "both views show the same populations."
        )
    for view, ids, sizes in ((1, ids_1, sizes_1), (2, ids_2, sizes_2)):
        if int(sizes.sum()) != len(ids):
            raise ValueError(
                f"view {view}: population sizes sum to {int(sizes.sum())}, but there are {len(ids)}"
                " unit ids."
            )
    if not len(ids_1) or not len(ids_2):
        none = torch.zeros(0, dtype=torch.int64)
        return Matches(none, none, none)
    population_1 = torch.repeat_interleave(torch.arange(len(sizes_1)), sizes_1)
    population_2 = torch.repeat_interleave(torch.arange(len(sizes_2)), sizes_2)
    span = int(torch.maximum(ids_1.max(), ids_2.max())) + 1
    # one number per (population, id)
    key_1, key_2 = population_1 * span + ids_1, population_2 * span + ids_2
    sorted_2, order_2 = key_2.sort()
    for view, key in ((1, key_1.sort().values), (2, sorted_2)):
        if bool((key[1:] == key[:-1]).any()):
            raise ValueError(
                f"view {view}: a unit id occurs twice in a population; ids must be unique within"
                " one."
            )
    slot = torch.searchsorted(sorted_2, key_1).clamp(max=len(sorted_2) - 1)
    row_1 = (sorted_2[slot] == key_1).nonzero().squeeze(1)
    return Matches(row_1, order_2[slot[row_1]], population_1[row_1])


class Pairing(NamedTuple):
    """What ids and sizes say about two views: who is whom, and where everybody stands when
    populations are set side by side (empty ones too).

    Index tensors and nothing else: made on the CPU, by the process that prepares data where there
    is one, and then sent to the device.
    """

    n_matched: int  # M
    n_populations: int  # those with a matched unit
    row_1: Tensor  # (M,) row in view 1
    row_2: Tensor  # (M,) row in view 2
    population: Tensor  # (M,) which population
    slot_1: Tensor  # (M,) which of the population's units in view 1
    slot_2: Tensor  # (M,) and in view 2
    populations_1: Populations  # of view 1, N by W1
    populations_2: Populations  # of view 2, N by W2

    @classmethod
    def of(
        cls,
        ids_1: Tensor,
        ids_2: Tensor,
        sizes_1: Tensor,
        sizes_2: Tensor,
        device: torch.device | str = "cpu",
    ) -> Pairing:
        """Arguments as of `match_units`."""
        row_1, row_2, population = match_units(ids_1, ids_2, sizes_1, sizes_2)
        slot_1, slot_2 = (
            row - (sizes.cumsum(0) - sizes)[population]
            for row, sizes in ((row_1, sizes_1), (row_2, sizes_2))
        )
        n_populations = len(population.unique())  # here, not on a device that would be waited for
        row_1, row_2, population, slot_1, slot_2 = (
            tensor.to(device, non_blocking=True)
            for tensor in (row_1, row_2, population, slot_1, slot_2)
        )
        return cls(
            len(row_1),
            n_populations,
            row_1,
            row_2,
            population,
            slot_1,
            slot_2,
            Populations.of(sizes_1, device, keep_empty=True),
            Populations.of(sizes_2, device, keep_empty=True),
        )


def paired(
    embedding_1: Tensor, embedding_2: Tensor, unit_ids_1: Tensor | Pairing, *rest: Any
) -> Pairing:
    """The `Pairing` that an objective was given, or that of the ids and sizes it was given, after a
    look whether there is one vector a unit.
    """
    if isinstance(unit_ids_1, Pairing):
        pairing = unit_ids_1
    else:
        ids_2, sizes_1, sizes_2 = rest
        pairing = Pairing.of(unit_ids_1, ids_2, sizes_1, sizes_2, embedding_1.device)
    for view, embedding, populations in (
        (1, embedding_1, pairing.populations_1),
        (2, embedding_2, pairing.populations_2),
    ):
        if len(embedding) != len(populations.rows):
            raise ValueError(
                f"embedding_{view} has {len(embedding)} rows for {len(populations.rows)} unit ids;"
                " give one row a unit."
            )
    return pairing


def projector(dim: int) -> nn.Sequential:
    """(..., dim) -> (..., dim): what stands between encoder and objective in pretraining, and is
    thrown away after it.
    """
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))


class ContrastiveLoss(nn.Module):
    """Decoupled contrastive loss with its projector. Takes the encoder's outputs of two views.

    With z the projected, L2-normalised vectors, tau the temperature and i a matched unit:

    - attraction = 1/tau - mean_i cos(z1_i, z2_i) / tau
    - repulsion = mean_i of log( sum_k exp(s_ik) / (n1 + n2) ), k over the units of both views (n1
      and n2 of them) except i itself and its own match; averaged over the two directions (i in view
      1, i in view 2). s_ik = cos(z_i, z_k) / tau across views, cos(z_i, z_k) within a view.
      "Decoupled": the positive pair is not in the sum, so that attraction doesn't fade as it
      succeeds.

    Units that only one view shows serve as negatives. A unit without any negative has repulsion 0.

    Parameters
    ----------
    dim : width D of the encoder's output and of the projector.
    temperature : tau.
    scale_within_view : divide similarities *within* a view by tau as well. That is the textbook
        form. The authors' code, from which the published numbers come, scales only those across
        views.
    decoupled : False leaves the positive pair in the sum, as InfoNCE does (van den Oord et al.
        2018).
    """

    def __init__(
        self,
        dim: int,
        temperature: float = 0.2,
        scale_within_view: bool = False,
        decoupled: bool = True,
    ):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}; it must be above 0.")
        self.temperature = temperature
        self.scale_within_view = scale_within_view
        self.decoupled = decoupled
        self.projector = projector(dim)

    def forward(
        self,
        embedding_1: Tensor,
        embedding_2: Tensor,
        unit_ids_1: Tensor | Pairing,
        unit_ids_2: Tensor | None = None,
        population_sizes_1: Tensor | None = None,
        population_sizes_2: Tensor | None = None,
    ) -> LossParts:
        """Means over all matched units of the batch, which weights each population by its matches.

        Parameters
        ----------
        embedding_1, embedding_2 : (U1, D), (U2, D) encoder outputs.
        unit_ids_1, unit_ids_2 : (U1,), (U2,) int64 on the CPU, unique within a population.
        population_sizes_1, population_sizes_2 : (N,) int64 on the CPU. In place of the four, a
            `Pairing` on the embeddings' device.
        """
        pairing = paired(
            embedding_1, embedding_2, unit_ids_1, unit_ids_2, population_sizes_1, population_sizes_2
        )
        z1, z2 = self.projector(embedding_1), self.projector(embedding_2)
        if not pairing.n_matched:  # nothing to learn from, and no 0/0 either
            nothing = 0.0 * (z1.sum() + z2.sum())
            return LossParts(nothing, nothing, nothing)
        with torch.autocast(z1.device.type, enabled=False):  # similarities need full precision
            z1, z2 = F.normalize(z1.float(), dim=-1), F.normalize(z2.float(), dim=-1)
            # (M,)
            cosine = (z1.index_select(0, pairing.row_1) * z2.index_select(0, pairing.row_2)).sum(-1)
            attraction = (1 - cosine.mean()) / self.temperature

            one, other = (
                (z1, pairing.populations_1, pairing.slot_1),
                (
                    z2,
                    pairing.populations_2,
                    pairing.slot_2,
                ),
            )
            repulsion = (
                self._repulsion(one, other, pairing) + self._repulsion(other, one, pairing)
            ) / 2
        return LossParts(attraction + repulsion, attraction, repulsion)

    def _repulsion(self, own, other, pairing: Pairing) -> Tensor:
        """One direction: matched units of view `own` against everybody else in both views."""
        (z_own, of_own, slot_own), (z_other, of_other, slot_other) = own, other
        # (N, W1, D), (N, W2, D)
        padded_own, padded_other = of_own.pad(z_own), of_other.pad(z_other)
        width_own, width_other, population = (
            padded_own.shape[1],
            padded_other.shape[1],
            pairing.population,
        )
        across = torch.bmm(padded_own, padded_other.mT) / self.temperature  # (N, W1, W2)
        within = torch.bmm(padded_own, padded_own.mT)  # (N, W1, W1)
        if self.scale_within_view:
            within = within / self.temperature
        # (M, W2 + W1)
        similarity = (
            torch.cat([across, within], dim=2)
            .flatten(0, 1)
            .index_select(0, population * width_own + slot_own)
        )

        # (M, W2 + W1)
        present = torch.cat([of_other.occupied, of_own.occupied], dim=1).index_select(0, population)
        units = present.sum(dim=1)  # (M,) in both views
        if self.decoupled:
            present.scatter_(1, slot_other[:, None], False)  # its own match
        present.scatter_(1, (width_other + slot_own)[:, None], False)  # itself
        # A unit without any negative repels nobody; the gradient of an empty log-sum-exp would not
        # be a number.
        lonely = units <= 2
        summed = similarity.masked_fill(~(present | lonely[:, None]), float("-inf")).logsumexp(
            dim=1
        )
        return torch.where(lonely, 0.0, summed - units.float().log()).sum() / pairing.n_matched


class VICReg(nn.Module):
    """An objective without negatives: agree across views, vary over units, don't repeat yourself
    over dimensions.

    For the projected vectors z of M matched units, D wide:

    - attraction = 25 * mean over units and dimensions of (z1 - z2)^2
    - repulsion = sum over the two views of 25 * mean_d max(0, 1 - sqrt(C_dd + 1e-4)) + sum_{d != e}
      C_de^2 / D

    C is the covariance of a view's units *within their populations*: each population is centred
    first. Otherwise vectors that tell recordings apart, and no two units of one, would count as
    varied. Units that only one view shows take no part. Vectors are not normalised. It has the
    projector and the arguments of `ContrastiveLoss`. Source: Bardes, Ponce, LeCun 2022 (arXiv
    2105.04906), equations 1 to 6, with their weights.

    dim : width D of the encoder's output and of the projector.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.projector = projector(dim)

    def forward(
        self,
        embedding_1: Tensor,
        embedding_2: Tensor,
        unit_ids_1: Tensor | Pairing,
        unit_ids_2: Tensor | None = None,
        population_sizes_1: Tensor | None = None,
        population_sizes_2: Tensor | None = None,
    ) -> LossParts:
        """Same arguments as `ContrastiveLoss`: encoder outputs (U1, D), (U2, D); ids (U1,), (U2,)
        and sizes (N,) int64 on the CPU.
        """
        pairing = paired(
            embedding_1, embedding_2, unit_ids_1, unit_ids_2, population_sizes_1, population_sizes_2
        )
        z1, z2 = self.projector(embedding_1), self.projector(embedding_2)
        with torch.autocast(z1.device.type, enabled=False):  # variances need full precision
            z1, z2 = (
                z1.float().index_select(0, pairing.row_1),
                z2.float().index_select(0, pairing.row_2),
            )
            # degrees of freedom of the pooled covariance
            free = pairing.n_matched - pairing.n_populations
            if free < 1:  # no population with two matched units: nothing varies
                nothing = 0.0 * (z1.sum() + z2.sum())
                return LossParts(nothing, nothing, nothing)
            counts = (
                pairing.populations_1.occupied.new_zeros(
                    len(pairing.populations_1.occupied), dtype=z1.dtype
                )
                .index_add(
                    0, pairing.population, torch.ones_like(pairing.population, dtype=z1.dtype)
                )
                .clamp(min=1)
            )
            attraction = INVARIANCE * F.mse_loss(z1, z2)
            spread_1, spread_2 = (_spread(z, pairing.population, counts, free) for z in (z1, z2))
            repulsion = spread_1 + spread_2
        return LossParts(attraction + repulsion, attraction, repulsion)


def _spread(z: Tensor, population: Tensor, counts: Tensor, free: int) -> Tensor:
    """Variance and covariance terms of a view: z (M, D), population (M,), counts (N,) of units."""
    # (N, D)
    means = z.new_zeros(len(counts), z.shape[1]).index_add(0, population, z) / counts[:, None]
    centred = z - means.index_select(0, population)
    covariance = centred.T @ centred / free  # (D, D)
    variance = covariance.diagonal()
    too_little = F.relu(1 - (variance + 1e-4).sqrt()).mean()
    return (
        VARIANCE * too_little
        + COVARIANCE * (covariance.square().sum() - variance.square().sum()) / z.shape[1]
    )


@torch.no_grad()
def retrieval_accuracy(
    embedding_1: Tensor,
    embedding_2: Tensor,
    unit_ids_1: Tensor | Pairing,
    unit_ids_2: Tensor | None = None,
    population_sizes_1: Tensor | None = None,
    population_sizes_2: Tensor | None = None,
) -> tuple[Tensor, float]:
    """How often a unit's nearest neighbour (cosine) among its population in view 2 is itself.

    Same arguments as `ContrastiveLoss`. Returns the share of the matched units for which it is
    (a scalar tensor), and the share that guessing would reach (the mean of 1 / units in view 2).
    """
    pairing = paired(
        embedding_1, embedding_2, unit_ids_1, unit_ids_2, population_sizes_1, population_sizes_2
    )
    if not pairing.n_matched:
        return embedding_1.new_tensor(float("nan")), float("nan")
    anchors = pairing.populations_1.pad(F.normalize(embedding_1.float(), dim=-1))  # (N, W1, D)
    padded = pairing.populations_2.pad(F.normalize(embedding_2.float(), dim=-1))  # (N, W2, D)
    at = pairing.population * anchors.shape[1] + pairing.slot_1
    similarity = torch.bmm(anchors, padded.mT).flatten(0, 1).index_select(0, at)  # (M, W2)
    present = pairing.populations_2.occupied.index_select(0, pairing.population)
    nearest = similarity.masked_fill(~present, float("-inf")).argmax(dim=1)
    return (nearest == pairing.slot_2).float().mean(), float((1 / present.sum(dim=1)).mean())


@torch.no_grad()
def rank_me(embedding: Tensor) -> Tensor:
    """RankMe (Garrido et al. 2023): the effective number of dimensions in use, from 1 to min(U, D).

    The exponential of the entropy of the normalised singular values of (U, D) vectors. A fall
    towards 1 during training is the sign of collapse.
    """
    singular = torch.linalg.svdvals(embedding.float())
    share = singular / singular.sum().clamp(min=1e-12) + 1e-7
    return torch.exp(-(share * share.log()).sum())
