"""What one optimiser step needs, made beforehand: by the processes that cut views, while the device is busy with the step before."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .loss import Pairing
from .model import Populations
from .views import PairedViews


class Step(NamedTuple):
    """Both views of a batch. They pass through the encoder together: populations don't see each other, and one large pass is quicker than two.

    Sizes that the step must know are plain numbers, and all indices tensors, so that a GPU is never asked for one in the middle of a step.
    """

    tokens: Tensor              # (U1 + U2, L, P) float32
    units: list[int]            # U1, U2
    populations: Populations    # of both views, one after the other
    pairing: Pairing


class Steps(Dataset):
    """The batches of `PairedViews`, each as a `Step`."""

    def __init__(self, views: PairedViews):
        self.views = views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Step:
        batch = self.views[index]
        return Step(torch.cat([batch.tokens_1, batch.tokens_2]), [len(batch.tokens_1), len(batch.tokens_2)],
                    Populations.of(torch.cat([batch.sizes_1, batch.sizes_2])), Pairing.of(batch.ids_1, batch.ids_2, batch.sizes_1, batch.sizes_2))
