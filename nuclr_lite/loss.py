"""The objective: find yourself in the other view, among the other units of your own population.

Shapes: U1, U2 units present in view 1 and view 2 (all populations, packed), D width, N populations,
W1, W2 units of the widest population, M matched units (present in both views).

Source: Arora et al. 2025 (arXiv 2512.01199), section 3.3: a decoupled contrastive loss
(Yeh et al. 2022) whose negatives are the other units of the same recording.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import Populations


class LossParts(NamedTuple):
    """`total = attraction + repulsion`, each a scalar tensor."""

    total: Tensor
    attraction: Tensor
    repulsion: Tensor


class Matches(NamedTuple):
    """Where the units that both views share lie. All tensors are on the CPU; M matched units."""

    row_1: Tensor           # (M,) row in view 1
    row_2: Tensor           # (M,) row in view 2
    population: Tensor      # (M,) which population


def match_units(ids_1: Tensor, ids_2: Tensor, sizes_1: Tensor, sizes_2: Tensor) -> Matches:
    """Pair up the units that are present in both views of the same population.

    Parameters
    ----------
    ids_1, ids_2 : (U1,), (U2,) int64, unique within a population.
    sizes_1, sizes_2 : (N,) int64, units of each population; all on the CPU.
    """
    if len(sizes_1) != len(sizes_2):
        raise ValueError(f"view 1 has {len(sizes_1)} populations and view 2 has {len(sizes_2)}; "
                         "both views show the same populations.")
    for view, ids, sizes in ((1, ids_1, sizes_1), (2, ids_2, sizes_2)):
        if int(sizes.sum()) != len(ids):
            raise ValueError(f"view {view}: population sizes sum to {int(sizes.sum())}, but there are {len(ids)} unit ids.")
    if not len(ids_1) or not len(ids_2):
        none = torch.zeros(0, dtype=torch.int64)
        return Matches(none, none, none)
    population_1 = torch.repeat_interleave(torch.arange(len(sizes_1)), sizes_1)
    population_2 = torch.repeat_interleave(torch.arange(len(sizes_2)), sizes_2)
    span = int(torch.maximum(ids_1.max(), ids_2.max())) + 1
    key_1, key_2 = population_1 * span + ids_1, population_2 * span + ids_2      # one number per (population, id)
    sorted_2, order_2 = key_2.sort()
    for view, key in ((1, key_1.sort().values), (2, sorted_2)):
        if bool((key[1:] == key[:-1]).any()):
            raise ValueError(f"view {view}: a unit id occurs twice in a population; ids must be unique within one.")
    slot = torch.searchsorted(sorted_2, key_1).clamp(max=len(sorted_2) - 1)
    row_1 = (sorted_2[slot] == key_1).nonzero().squeeze(1)
    return Matches(row_1, order_2[slot[row_1]], population_1[row_1])


def match_embeddings(embedding_1: Tensor, embedding_2: Tensor, ids_1: Tensor, ids_2: Tensor, sizes_1: Tensor, sizes_2: Tensor) -> Matches:
    """`match_units`, after a look whether there is one vector a unit."""
    matches = match_units(ids_1, ids_2, sizes_1, sizes_2)
    for view, embedding, ids in ((1, embedding_1, ids_1), (2, embedding_2, ids_2)):
        if len(embedding) != len(ids):
            raise ValueError(f"embedding_{view} has {len(embedding)} rows for {len(ids)} unit ids; give one row a unit.")
    return matches


def projector(dim: int) -> nn.Sequential:
    """(..., dim) -> (..., dim): what stands between encoder and objective in pretraining, and is thrown away after it."""
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))


class ContrastiveLoss(nn.Module):
    """Decoupled contrastive loss with its projector. Takes the encoder's outputs of two views.

    With z the projected, L2-normalised vectors, tau the temperature and i a matched unit:

    - attraction = 1/tau - mean_i cos(z1_i, z2_i) / tau
    - repulsion = mean_i of log( sum_k exp(s_ik) / (n1 + n2) ), k over the units of both views (n1 and n2 of them) except
      i itself and its own match; averaged over the two directions (i in view 1, i in view 2).
      s_ik = cos(z_i, z_k) / tau across views, cos(z_i, z_k) within a view.
      "Decoupled": the positive pair is not in the sum, so that attraction doesn't fade as it succeeds.

    Units that only one view shows serve as negatives. A unit without any negative has repulsion 0.

    Parameters
    ----------
    dim : width D of the encoder's output and of the projector.
    temperature : tau.
    scale_within_view : divide similarities *within* a view by tau as well. That is the textbook form.
        The authors' code, from which the published numbers come, scales only those across views.
    decoupled : False leaves the positive pair in the sum, as InfoNCE does (van den Oord et al. 2018).
    """

    def __init__(self, dim: int, temperature: float = 0.2, scale_within_view: bool = False, decoupled: bool = True):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}; it must be above 0.")
        self.temperature = temperature
        self.scale_within_view = scale_within_view
        self.decoupled = decoupled
        self.projector = projector(dim)

    def forward(self, embedding_1: Tensor, embedding_2: Tensor, unit_ids_1: Tensor, unit_ids_2: Tensor,
                population_sizes_1: Tensor, population_sizes_2: Tensor) -> LossParts:
        """Means over all matched units of the batch, which weights each population by its matches.

        Parameters
        ----------
        embedding_1, embedding_2 : (U1, D), (U2, D) encoder outputs.
        unit_ids_1, unit_ids_2 : (U1,), (U2,) int64 on the CPU, unique within a population.
        population_sizes_1, population_sizes_2 : (N,) int64 on the CPU.
        """
        matches = match_embeddings(embedding_1, embedding_2, unit_ids_1, unit_ids_2, population_sizes_1, population_sizes_2)
        z1, z2 = self.projector(embedding_1), self.projector(embedding_2)
        if not len(matches.row_1):                                  # nothing to learn from, and no 0/0 either
            nothing = 0.0 * (z1.sum() + z2.sum())
            return LossParts(nothing, nothing, nothing)
        with torch.autocast(z1.device.type, enabled=False):         # similarities need full precision
            z1, z2 = F.normalize(z1.float(), dim=-1), F.normalize(z2.float(), dim=-1)
            device = z1.device
            row_1, row_2 = (rows.to(device, non_blocking=True) for rows in (matches.row_1, matches.row_2))
            cosine = (z1.index_select(0, row_1) * z2.index_select(0, row_2)).sum(-1)        # (M,)
            attraction = (1 - cosine.mean()) / self.temperature

            one, other = (z1, population_sizes_1, matches.row_1), (z2, population_sizes_2, matches.row_2)
            repulsion = (self._repulsion(one, other, matches.population)
                         + self._repulsion(other, one, matches.population)) / 2
        return LossParts(attraction + repulsion, attraction, repulsion)

    def _repulsion(self, own, other, population: Tensor) -> Tensor:
        """One direction: matched units of view `own` against everybody else in both views."""
        (z_own, sizes_own, row_own), (z_other, sizes_other, row_other) = own, other
        device = z_own.device
        matched = len(row_own)
        # Whether there is any negative depends on the sizes alone: take those units out beforehand,
        # since the gradient of an empty log-sum-exp is not a number.
        units = sizes_own + sizes_other                                                     # (N,)
        keep = units[population] > 2
        population, row_own, row_other = population[keep], row_own[keep], row_other[keep]
        if not len(population):
            return 0.0 * z_own.sum()
        start_own, start_other = sizes_own.cumsum(0) - sizes_own, sizes_other.cumsum(0) - sizes_other
        own_slot, other_slot = row_own - start_own[population], row_other - start_other[population]
        padded_own, width_own = _side_by_side(z_own, sizes_own)                             # (N, W1, D)
        padded_other, width_other = _side_by_side(z_other, sizes_other)                     # (N, W2, D)

        anchor = torch.arange(len(population))
        absent = torch.cat([torch.arange(width_other) >= sizes_other[population, None],
                            torch.arange(width_own) >= sizes_own[population, None]], dim=1)  # (M, W2 + W1)
        absent[anchor, other_slot] |= self.decoupled                # its own match
        absent[anchor, width_other + own_slot] = True               # itself
        index = (population * width_own + own_slot).to(device, non_blocking=True)

        across = torch.bmm(padded_own, padded_other.mT) / self.temperature                  # (N, W1, W2)
        within = torch.bmm(padded_own, padded_own.mT)                                       # (N, W1, W1)
        if self.scale_within_view:
            within = within / self.temperature
        similarity = torch.cat([across, within], dim=2).flatten(0, 1).index_select(0, index)  # (M, W2 + W1)
        similarity = similarity.masked_fill(absent.to(device, non_blocking=True), float("-inf"))
        log_units = units[population].float().log().to(device, non_blocking=True)
        return (similarity.logsumexp(dim=1) - log_units).sum() / matched


def _side_by_side(packed: Tensor, sizes: Tensor) -> tuple[Tensor, int]:
    """(U, D) -> (N, W, D), empty populations kept so that their index stays."""
    populations = Populations(sizes, packed.device, keep_empty=True)
    return populations.pad(packed), populations.widest


@torch.no_grad()
def retrieval_accuracy(embedding_1: Tensor, embedding_2: Tensor, unit_ids_1: Tensor, unit_ids_2: Tensor,
                       population_sizes_1: Tensor, population_sizes_2: Tensor) -> tuple[Tensor, float]:
    """How often a unit's nearest neighbour (cosine) among its population in view 2 is itself.

    Same arguments as `ContrastiveLoss`. Returns the share of the matched units for which it is
    (a scalar tensor), and the share that guessing would reach (the mean of 1 / units in view 2).
    """
    matches = match_units(unit_ids_1, unit_ids_2, population_sizes_1, population_sizes_2)
    if not len(matches.row_1):
        return embedding_1.new_tensor(float("nan")), float("nan")
    device = embedding_1.device
    padded, width = _side_by_side(F.normalize(embedding_2.float(), dim=-1), population_sizes_2)     # (N, W2, D)
    anchors, width_1 = _side_by_side(F.normalize(embedding_1.float(), dim=-1), population_sizes_1)  # (N, W1, D)
    start_1 = population_sizes_1.cumsum(0) - population_sizes_1
    at = matches.population * width_1 + matches.row_1 - start_1[matches.population]
    sizes = population_sizes_2[matches.population]                                                  # (M,)
    similarity = torch.bmm(anchors, padded.mT).flatten(0, 1).index_select(0, at.to(device))         # (M, W2)
    absent = torch.arange(width) >= sizes[:, None]
    nearest = similarity.masked_fill(absent.to(device), float("-inf")).argmax(dim=1)
    start = population_sizes_2.cumsum(0) - population_sizes_2
    itself = (matches.row_2 - start[matches.population]).to(device)
    return (nearest == itself).float().mean(), float((1 / sizes).mean())


@torch.no_grad()
def rank_me(embedding: Tensor) -> Tensor:
    """RankMe (Garrido et al. 2023): the effective number of dimensions in use, from 1 to min(U, D).

    The exponential of the entropy of the normalised singular values of (U, D) vectors. A fall
    towards 1 during training is the sign of collapse.
    """
    singular = torch.linalg.svdvals(embedding.float())
    share = singular / singular.sum().clamp(min=1e-12) + 1e-7
    return torch.exp(-(share * share.log()).sum())
