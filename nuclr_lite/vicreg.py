"""VICReg, an objective without negatives: agree across views, vary over units, don't repeat yourself over dimensions.

Source: Bardes, Ponce, LeCun 2022 (arXiv 2105.04906), equations 1 to 6, with their weights. It is here to be compared with the contrastive
loss of the paper (`12_what_it_learned`), so it has the same projector and takes the same arguments.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .loss import LossParts, Pairing, paired, projector

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0


class VICReg(nn.Module):
    """For the projected vectors z of M matched units, D wide:

    - attraction = 25 * mean over units and dimensions of (z1 - z2)^2
    - repulsion = sum over the two views of 25 * mean_d max(0, 1 - sqrt(C_dd + 1e-4)) + sum_{d != e} C_de^2 / D

    C is the covariance of a view's units *within their populations*: each population is centred first. Otherwise vectors that tell recordings apart, and no two units
    of one, would count as varied. Units that only one view shows take no part. Vectors are not normalised.

    dim : width D of the encoder's output and of the projector.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.projector = projector(dim)

    def forward(self, embedding_1: Tensor, embedding_2: Tensor, unit_ids_1: Tensor | Pairing, unit_ids_2: Tensor | None = None,
                population_sizes_1: Tensor | None = None, population_sizes_2: Tensor | None = None) -> LossParts:
        """Same arguments as `ContrastiveLoss`: encoder outputs (U1, D), (U2, D); ids (U1,), (U2,) and sizes (N,) int64 on the CPU."""
        pairing = paired(embedding_1, embedding_2, unit_ids_1, unit_ids_2, population_sizes_1, population_sizes_2)
        z1, z2 = self.projector(embedding_1), self.projector(embedding_2)
        with torch.autocast(z1.device.type, enabled=False):                       # variances need full precision
            z1, z2 = z1.float().index_select(0, pairing.row_1), z2.float().index_select(0, pairing.row_2)
            free = pairing.n_matched - pairing.n_populations                      # degrees of freedom of the pooled covariance
            if free < 1:                                                          # no population with two matched units: nothing varies
                nothing = 0.0 * (z1.sum() + z2.sum())
                return LossParts(nothing, nothing, nothing)
            counts = (pairing.populations_1.occupied.new_zeros(len(pairing.populations_1.occupied), dtype=z1.dtype)
                      .index_add(0, pairing.population, torch.ones_like(pairing.population, dtype=z1.dtype)).clamp(min=1))
            attraction = INVARIANCE * F.mse_loss(z1, z2)
            repulsion = sum(_spread(z, pairing.population, counts, free) for z in (z1, z2))
        return LossParts(attraction + repulsion, attraction, repulsion)


def _spread(z: Tensor, population: Tensor, counts: Tensor, free: int) -> Tensor:
    """Variance and covariance terms of one view: z (M, D), population (M,), counts (N,) units of each."""
    means = z.new_zeros(len(counts), z.shape[1]).index_add(0, population, z) / counts[:, None]      # (N, D)
    centred = z - means.index_select(0, population)
    covariance = centred.T @ centred / free                                                        # (D, D)
    variance = covariance.diagonal()
    too_little = F.relu(1 - (variance + 1e-4).sqrt()).mean()
    return VARIANCE * too_little + COVARIANCE * (covariance.square().sum() - variance.square().sum()) / z.shape[1]
