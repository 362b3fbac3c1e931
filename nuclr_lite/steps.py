"""What one optimiser step needs: both views, made beforehand by the processes that cut them; its
learning rate; which parameters decay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .loss import ContrastiveLoss, Pairing, VICReg
from .model import NuCLR, Populations
from .presets import TrainConfig
from .views import PairedViews


class Step(NamedTuple):
    """Both views of a batch.

    They pass through the encoder together: populations don't see each other, and one large pass is
    quicker than two.

    Sizes that the step must know are plain numbers, and all indices tensors, so that a GPU is never
    asked for one in the middle of a step.
    """

    tokens: Tensor  # (U1 + U2, L, P) float32
    units: list[int]  # U1, U2
    populations: Populations  # of both views, one after the other
    pairing: Pairing


class Steps(Dataset):
    """The batches of `PairedViews`, each as a `Step`."""

    def __init__(self, views: PairedViews):
        self.views = views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Step:
        batch = self.views[index]
        return Step(
            torch.cat([batch.tokens_1, batch.tokens_2]),
            [len(batch.tokens_1), len(batch.tokens_2)],
            Populations.of(torch.cat([batch.sizes_1, batch.sizes_2])),
            Pairing.of(batch.ids_1, batch.ids_2, batch.sizes_1, batch.sizes_2),
        )


def loader(
    views: PairedViews, batches: Sequence[int], workers: int, device: torch.device
) -> DataLoader:
    """These batches of `PairedViews`, by number, as `Step`s, made by so many other processes (0: by
    this one); in pinned memory where a GPU is to read them.
    """
    return DataLoader(
        Steps(views),
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )


def learning_rate(step: int, train: TrainConfig, warmup: int) -> float:
    """Of step number `step` (from 0): a linear rise over `warmup` steps, then a cosine to 0."""
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(train.steps - warmup, 1)
    return train.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def parameter_groups(
    encoder: NuCLR, loss: ContrastiveLoss | VICReg, weight_decay: float
) -> list[dict]:
    """Weight decay for matrices only.

    (The authors' code goes by name and also decays the projector's LayerNorm weight.)
    """
    parameters = [*encoder.parameters(), *loss.parameters()]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def precision_of(precision: str, device: str | None) -> str:
    """What accelerate is told for `TrainConfig.precision`."""
    if precision != "auto":
        return precision
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "no"
