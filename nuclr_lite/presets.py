"""Presets: complete, printable recipes for a model. How much data is run is not their business."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from .files.shown import ShownPreset
from .model import ModelConfig
from .views import ViewConfig


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation. Defaults are the paper's for spikes.

    steps : optimiser steps in all.
    batch_size : window pairs a step.
    optimizer : 'adamw' (the paper's) or 'muon': Muon for the encoder's hidden matrices, that is all
        its matrices but the read-in, and AdamW for everything else.
    learning_rate : AdamW's peak; rises linearly over `warmup_steps` (None: one epoch of the given
        recordings, the paper's choice), then falls as a cosine to 0.
    muon_learning_rate : Muon's peak, on the same schedule.
    weight_decay : of both; none on norms and biases.
    gradient_clip : largest gradient norm, for the encoder and, separately, for the projector.
    objective : 'decoupled' (the paper's), 'info-nce' (the positive pair stays in the sum of the
        negatives) or 'vicreg' (no negatives; see `loss.VICReg`).
    temperature, scale_within_view : see `ContrastiveLoss`; False is what the published numbers come
        from.
    precision : 'auto' (bf16 on a GPU that has it and, for encoders of width 96 or more, on a CPU
        that has AMX; else float32), 'bf16' or 'no'.
    seed : of the weights, the views and the dropout.
    log_every : steps a row of the history covers.
    checkpoint_every : steps between checkpoints, a multiple of log_every.
    """

    steps: int = 50_000
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 5e-4
    muon_learning_rate: float = 6e-3
    warmup_steps: int | None = None
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    objective: str = "decoupled"
    temperature: float = 0.2
    scale_within_view: bool = False
    precision: str = "auto"
    seed: int = 0
    log_every: int = 50
    checkpoint_every: int = 1000

    def __post_init__(self):
        for name in ("steps", "batch_size", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.checkpoint_every % self.log_every:
            raise ValueError(
                f"checkpoint_every ({self.checkpoint_every}) must be a multiple of log_every"
                f" ({self.log_every})."
            )
        for name in ("learning_rate", "muon_learning_rate", "gradient_clip", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0.")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be at least 0.")
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer is {self.optimizer!r}; use 'adamw' or 'muon'.")
        if self.objective not in ("decoupled", "info-nce", "vicreg"):
            raise ValueError(
                f"objective is {self.objective!r}; use 'decoupled', 'info-nce' or 'vicreg'."
            )
        if self.precision not in ("auto", "bf16", "no"):
            raise ValueError(f"precision is {self.precision!r}; use 'auto', 'bf16' or 'no'.")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}; give 0 or more, or None for one epoch."
            )


@dataclass(frozen=True)
class Preset(ShownPreset):
    """A model recipe: the encoder, the views it learns from, the optimisation.

    Change one with `dataclasses.replace`, or `preset.with_(steps=100, dropout=0.1)`.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def with_(self, **changes) -> Preset:
        """A copy with fields of any of the three parts changed, by name."""
        parts = {}
        for part in ("model", "views", "train"):
            values = asdict(getattr(self, part))
            mine = {name: changes.pop(name) for name in list(changes) if name in values}
            parts[part] = type(getattr(self, part))(**(values | mine))
        if changes:
            raise ValueError(
                f"no preset has {sorted(changes)}; see ModelConfig, ViewConfig and TrainConfig."
            )
        return Preset(**parts)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Preset:
        parts = json.loads(text)
        return cls(
            ModelConfig(**parts["model"]),
            ViewConfig(**parts["views"]),
            TrainConfig(**parts["train"]),
        )


_NARROW: dict[str, Any] = dict(dim=32, heads=2, head_dim=16, dropout=0.0)
_SMALL: dict[str, Any] = dict(temporal_layers=1, spatiotemporal_layers=2, **_NARROW)
_ONE_BLOCK: dict[str, Any] = dict(temporal_layers=0, spatiotemporal_layers=1, **_NARROW)
_SHORT: dict[str, Any] = dict(
    batch_size=4,
    optimizer="muon",
    learning_rate=2e-3,
    warmup_steps=40,
    log_every=20,
    checkpoint_every=200,
)

#: Every preset by its name, which `pretrain` takes too.
#:
#: :meta hide-value:
PRESETS = {
    # A laptop, the simulated animals of the world `one network`, half a minute: there one question
    # to the population and one look back over time are enough. Chosen on data seeds 101 and 102;
    # what was tried is in results/speedrun.md.
    "quick": Preset(
        ModelConfig(**_ONE_BLOCK),
        ViewConfig(max_distance_s=5.0, kept_share=(1.0, 1.0)),
        TrainConfig(steps=600, muon_learning_rate=0.012, **_SHORT),
    ),
    # As in the paper, calcium wants a lower rate than spikes.
    "quick-calcium": Preset(
        ModelConfig("calcium", 0.23344, 8, 8, **_ONE_BLOCK),
        ViewConfig(max_distance_s=7.5, kept_share=(1.0, 1.0)),
        TrainConfig(steps=400, muon_learning_rate=0.003, **_SHORT),
    ),
    # A laptop, real recordings, minutes: the paper's views, second ones from farther away and units
    # left out, which cost time on the simulated animals and help to carry over between real ones.
    "laptop": Preset(ModelConfig(**_SMALL), ViewConfig(), TrainConfig(steps=2400, **_SHORT)),
    "laptop-calcium": Preset(
        ModelConfig("calcium", 0.23344, 4, 32, **_SMALL),
        ViewConfig(max_distance_s=240.0),
        TrainConfig(steps=1200, muon_learning_rate=0.003, **_SHORT),
    ),
    # Trials of a second or so: short tokens, which say what came when within one (results/rats.md).
    "laptop-trials": Preset(
        ModelConfig("spikes", 0.01, 25, 20, **_SMALL),
        ViewConfig(),
        TrainConfig(steps=1600, **_SHORT),
    ),
    # The published recipes.
    "paper-spikes": Preset(
        ModelConfig(), ViewConfig(max_distance_s=30.0, min_units=11), TrainConfig()
    ),
    # The official unit dropout doesn't reach the calcium traces, so the published numbers were made
    # without.
    "paper-calcium": Preset(
        ModelConfig("calcium", 0.23344, 4, 32),
        ViewConfig(max_distance_s=240.0, min_units=11, kept_share=(1.0, 1.0)),
        TrainConfig(batch_size=16, learning_rate=1.25e-4),
    ),
    # The same for one plane of the Allen two-photon set (7 frames of 30 Hz: 0.2333 s). A plane of
    # Pvalb, Sst or Vip cells may hold fewer than 11.
    "allen-two-photon": Preset(
        ModelConfig("calcium", 0.23344, 4, 32),
        ViewConfig(max_distance_s=240.0, min_units=2, kept_share=(1.0, 1.0)),
        TrainConfig(batch_size=16, learning_rate=1.25e-4),
    ),
}
# Spikes of the world `assemblies`, where a unit must first find out to whom it belongs, which one
# block doesn't learn from them. Windows of 5 s reach the same score in half the time.
PRESETS["quick-assemblies"] = PRESETS["quick"].with_(tokens_per_window=5, **_SMALL)
# The published size and views with Muon and a fifth of the steps. Nobody has run them yet.
PRESETS |= {
    f"fast-{kind}": PRESETS[f"paper-{kind}"].with_(optimizer="muon", steps=10_000)
    for kind in ("spikes", "calcium")
}
