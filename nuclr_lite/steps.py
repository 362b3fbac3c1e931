"""What one optimiser step needs: both views, made beforehand by the processes that cut them; its
learning rate; which parameters decay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .loss import ContrastiveLoss, Pairing, VICReg
from .model import WORTH_THREADS, ModelConfig, NuCLR, Populations
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


def learning_rate(step: int, train: TrainConfig, warmup: int, peak: float | None = None) -> float:
    """Of step number `step` (from 0): a linear rise over `warmup` steps to `peak` (None: AdamW's),
    then a cosine to 0.
    """
    peak = train.learning_rate if peak is None else peak
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(train.steps - warmup, 1)
    return peak * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def optimizers(
    encoder: NuCLR, loss: ContrastiveLoss | VICReg, train: TrainConfig
) -> list[torch.optim.Optimizer]:
    """AdamW, or Muon for the encoder's hidden matrices and AdamW for the rest; weight decay for
    matrices only.

    (The authors' code goes by name and also decays the projector's LayerNorm weight.)
    """
    hidden = []
    if train.optimizer == "muon":
        hidden = [
            parameter
            for name, parameter in encoder.named_parameters()
            if parameter.ndim == 2 and not name.startswith("read_in.")
        ]
    taken = set(map(id, hidden))
    rest = [p for p in (*encoder.parameters(), *loss.parameters()) if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": train.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=train.learning_rate, fused=True)
    ]
    if hidden:
        made.append(Muon(hidden, train.muon_learning_rate, train.weight_decay))
    return made


class Muon(torch.optim.Optimizer):
    """Gradient descent with momentum whose step, for each matrix, is made (nearly) orthogonal: all
    directions of a matrix learn at one speed, the rare ones too.

    Source: Jordan et al. 2024, Muon; coefficients and scale (0.2 sqrt(larger side), so that a step
    is as long as AdamW's usually are) as in torch.optim.Muon with adjust_lr_fn="match_rms_adamw".
    That one works in bfloat16, which a CPU without instructions for it takes seven times as long
    over, and matrix by matrix; here matrices of one shape are taken together, in float32.

    parameters : matrices. weight_decay : decoupled. momentum : Nesterov's.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        learning_rate: float,
        weight_decay: float,
        momentum: float = 0.95,
    ):
        super().__init__(
            parameters, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum}
        )

    @torch.no_grad()
    def step(self, closure=None):
        """One step; `closure` is not used."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)
            for matrices in alike.values():
                steps = orthogonal([self._direction(matrix, group) for matrix in matrices])
                for matrix, step in zip(matrices, steps):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(step, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)

    def _direction(self, matrix: Tensor, group: dict) -> Tensor:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        gradient = matrix.grad
        assert gradient is not None  # matrices without one take no step
        mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(mean, group["momentum"])


def orthogonal(matrices: list[Tensor]) -> list[Tensor]:
    """Each of some matrices (A, B) or (B, A), brought near the orthogonal matrix of the same
    singular vectors: five Newton-Schulz steps, after which singular values lie around 1.
    """
    flat = torch.stack([m if m.shape[0] <= m.shape[1] else m.T for m in matrices])  # (M, A, B)
    flat = flat.float() / (flat.float().norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = flat @ flat.mT
        polynomial = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        flat = torch.baddbmm(flat, polynomial, flat, beta=3.4445)
    return [one if one.shape == m.shape else one.T for m, one in zip(matrices, flat)]


def precision_of(precision: str, device: str | None, config: ModelConfig) -> str:
    """What accelerate is told for `TrainConfig.precision`.

    On a CPU bfloat16 is worth it where its matrix unit has it (AMX) and the encoder's width gives
    it something to do.
    """
    if precision != "auto":
        return precision
    if device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    return "bf16" if has_amx() and config.dim >= WORTH_THREADS else "no"


def has_amx() -> bool:
    """Whether this CPU multiplies matrices of bfloat16 in hardware of its own."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
