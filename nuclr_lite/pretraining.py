"""Pretraining: a step budget, the paper's optimiser and schedule, and checkpoints that lose nothing.

`pretrain` takes recordings and nothing else: it looks at no label, and an animal that isn't in the list
can't be reached. Source of the recipe: Arora et al. 2025 (arXiv 2512.01199), appendix; details as in the authors' code.
"""
from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import DataLoader

from .loss import ContrastiveLoss, rank_me, retrieval_accuracy
from .model import NuCLR
from .presets import PRESETS, Preset, TrainConfig
from .pretrained import Pretrained, build, checkpoints_in, what_was_seen, write_model
from .progress import progress
from .recording import Recording, as_list
from .storage import atomic_directory
from .vicreg import VICReg
from .views import Batch, PairedViews

KEPT_CHECKPOINTS = 2


def pretrain(recordings: list[Recording], preset: Preset | str = "quick", out_dir: str | Path | None = None,
             resume: bool = False, *, workers: int = 0, device: str | None = None) -> Pretrained:
    """Train an encoder on recordings, without labels, in this process.

    Parameters
    ----------
    recordings : list of Recording, all of the preset's modality. Hold animals out by leaving them off the list.
    preset : a `Preset`, or the name of one in `PRESETS`.
    out_dir : where checkpoints go, as `checkpoint-<step>`. None: none are written.
    resume : go on from the newest checkpoint in `out_dir`, to the same numbers as without the break; from
        the beginning if there is none.
    workers : processes that cut views; the result doesn't depend on it.
    device : 'cpu' forces the CPU. None: what accelerate finds (CUDA, Apple MPS, else CPU).

    Raises
    ------
    FileExistsError : `out_dir` holds checkpoints and `resume` is False.
    ValueError : recordings that don't fit the preset; a checkpoint of another run.
    FloatingPointError : the loss stopped being finite. The last checkpoint stays.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"there is no preset {preset!r}; use one of {sorted(PRESETS)} or a Preset.")
        preset = PRESETS[preset]
    if device not in (None, "cpu"):
        raise ValueError(f"device is {device!r}; use 'cpu', or None for what accelerate finds.")
    recordings = as_list(recordings, "train on")
    out_dir = Path(out_dir) if out_dir is not None else None
    checkpoints = checkpoints_in(out_dir) if out_dir else []
    if checkpoints and not resume:
        raise FileExistsError(f"{out_dir} holds {checkpoints[-1].name} of an earlier run; pass resume=True to go on with it, or choose another folder.")
    if resume and out_dir is None:
        raise ValueError("resume=True needs out_dir, the folder with the checkpoints.")

    train = preset.train
    views = PairedViews(recordings, preset.model, preset.views, train.batch_size, train.seed)
    # The generators of torch are global; what they were is put back when training ends.
    with torch.random.fork_rng():
        torch.manual_seed(train.seed)
        run = _Run(preset, views, recordings, device)
        if checkpoints:
            run.restore(checkpoints[-1])
        started = time.perf_counter()
        run.train(out_dir, workers)
    encoder, loss = (run.accelerator.unwrap_model(module, keep_fp32_wrapper=False) for module in (run.encoder, run.loss))
    return Pretrained(encoder.eval(), run.history, loss.eval(), preset, run.seen, time.perf_counter() - started)


class _Run:
    """The state of one training run: what a checkpoint must bring back."""

    def __init__(self, preset: Preset, views: PairedViews, recordings: list[Recording], device: str | None):
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        # accelerate keeps one state a process and refuses another device or precision: in a notebook, where
        # trainings follow one another, each gets its own.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.preset, self.views = preset, views
        self.fingerprint, self.seen = _fingerprint(recordings), what_was_seen(recordings)
        self.warmup = preset.train.warmup_steps if preset.train.warmup_steps is not None else len(views)
        self.accelerator = Accelerator(mixed_precision=_precision(preset.train.precision, device), cpu=device == "cpu")
        if self.accelerator.num_processes > 1:
            raise RuntimeError("pretrain runs in one process for now; start it without a launcher.")
        self.encoder, self.loss = build(preset)
        self.optimizer = torch.optim.AdamW(_groups(self.encoder, self.loss, preset.train.weight_decay), lr=preset.train.learning_rate, fused=True)
        self.encoder, self.loss, self.optimizer = self.accelerator.prepare(self.encoder, self.loss, self.optimizer)
        self.step, self.epoch, self.batch = 0, 0, 0           # steps done; where in the data the next one begins
        self.rows: list[dict] = []

    @property
    def history(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)

    def train(self, out_dir: Path | None, workers: int):
        train = self.preset.train
        self.encoder.train(), self.loss.train()
        parts = []                                             # on the device: reading them each step would stall it
        bar = progress(total=train.steps, initial=self.step, desc="pretrain", unit="step")
        with bar:
            for batch in self._batches(workers):
                if self.step == train.steps:
                    break
                parts.append(torch.stack(self._update(batch)).detach())
                self.step += 1
                bar.update()
                if self.step % train.log_every == 0 or self.step == train.steps:
                    self._log(torch.stack(parts).mean(0).tolist(), batch)
                    bar.set_postfix(loss=f"{self.rows[-1]['loss']:.3f}", found=f"{self.rows[-1]['retrieval_accuracy']:.0%}")
                    parts = []
                if out_dir and (self.step % train.checkpoint_every == 0 or self.step == train.steps):
                    self.save(out_dir)

    def _batches(self, workers: int):
        """Batches without end, from the place where training stands; `epoch` and `batch` point at the next one."""
        found_any = False
        while True:
            self.views.set_epoch(self.epoch)
            rest = range(self.batch, len(self.views))
            for self.batch, batch in zip((index + 1 for index in rest),
                                         DataLoader(self.views, batch_size=None, sampler=rest, num_workers=workers)):
                if len(batch.sizes_1):
                    found_any = True
                    yield batch
            if not found_any and not rest.start:
                raise ValueError(f"no pair of views has {self.preset.views.min_units} active units in both; lower views.min_units, or use more active units.")
            self.epoch, self.batch = self.epoch + 1, 0

    def _update(self, batch: Batch):
        """One optimiser step. Seeded by its number, so that dropout is the same after a resume."""
        train = self.preset.train
        torch.manual_seed(((train.seed << 32) + self.step) % 2**63)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, train, self.warmup)
        with self.accelerator.autocast():
            parts = self.loss(*self._encode(batch), batch.ids_1, batch.ids_2, batch.sizes_1, batch.sizes_2)
        self.optimizer.zero_grad()
        self.accelerator.backward(parts.total)
        for module in (self.encoder, self.loss):
            self.accelerator.clip_grad_norm_(module.parameters(), train.gradient_clip)
        self.optimizer.step()
        return parts

    def _encode(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        """Both views, (U1, D) and (U2, D), in one pass: populations don't see each other, and one large pass is quicker than two."""
        tokens, sizes = torch.cat([batch.tokens_1, batch.tokens_2]), torch.cat([batch.sizes_1, batch.sizes_2])
        return self.encoder(tokens.to(self.accelerator.device, non_blocking=True), sizes).split([len(batch.tokens_1), len(batch.tokens_2)])

    def _log(self, means: list[float], batch: Batch):
        if not math.isfinite(means[0]):
            raise FloatingPointError(f"the loss is {means[0]} at step {self.step}; lower learning_rate, or look for extreme values in the "
                                     "recordings. The last checkpoint is from before.")
        self.encoder.eval()
        with torch.no_grad():
            one, two = self._encode(batch)
            if not torch.isfinite(one).all():
                raise FloatingPointError(f"the encoder's output stopped being finite by step {self.step}; lower learning_rate.")
            found, chance = retrieval_accuracy(one, two, batch.ids_1, batch.ids_2, batch.sizes_1, batch.sizes_2)
            rank = rank_me(one)
        self.encoder.train()
        self.rows.append({"step": self.step, "epoch": self.epoch,
                          "learning_rate": learning_rate(self.step - 1, self.preset.train, self.warmup),
                          "loss": means[0], "attraction": means[1], "repulsion": means[2], "rank_me": float(rank),
                          "retrieval_accuracy": float(found), "retrieval_chance": chance})

    def save(self, out_dir: Path):
        from safetensors.torch import save_file

        with atomic_directory(out_dir / f"checkpoint-{self.step:08d}", overwrite=True) as folder:
            write_model(folder, Pretrained(self.encoder, self.history, self.loss, self.preset, trained_on=self.seen))
            state = {f"{index}.{name}": torch.as_tensor(value).contiguous()
                     for index, entry in self.optimizer.state_dict()["state"].items() for name, value in entry.items()}
            save_file(state, folder / "optimizer.safetensors")
            place = {"step": self.step, "epoch": self.epoch, "batch": self.batch, "recordings": self.fingerprint}
            (folder / "state.json").write_text(json.dumps(place), encoding="utf-8")
        for old in checkpoints_in(out_dir)[:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old)

    def restore(self, checkpoint: Path):
        from safetensors.torch import load_file

        place = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        preset = (checkpoint / "preset.json").read_text(encoding="utf-8")
        if Preset.from_json(preset) != self.preset:
            raise ValueError(f"{checkpoint} was made with another preset; pass that one (Pretrained.load(...).preset) to resume, or choose another out_dir.")
        if place["recordings"] != self.fingerprint:
            raise ValueError(f"{checkpoint} was made with other recordings; pass the same ones to resume, or choose another out_dir.")
        saved = Pretrained.load(checkpoint)
        self.accelerator.unwrap_model(self.encoder).load_state_dict(saved.encoder.state_dict())
        self.accelerator.unwrap_model(self.loss).load_state_dict(saved.loss.state_dict())
        state: dict[int, dict] = {}
        for name, value in load_file(checkpoint / "optimizer.safetensors").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.step, self.epoch, self.batch = place["step"], place["epoch"], place["batch"]
        self.rows = saved.history.to_dict("records")


def learning_rate(step: int, train: TrainConfig, warmup: int) -> float:
    """Of the step with this number (from 0): a linear rise over `warmup` steps, then a cosine to 0."""
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(train.steps - warmup, 1)
    return train.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def _groups(encoder: NuCLR, loss: ContrastiveLoss | VICReg, weight_decay: float) -> list[dict]:
    """Weight decay for matrices only. (The authors' code goes by name and also decays the projector's LayerNorm weight.)"""
    parameters = [*encoder.parameters(), *loss.parameters()]
    return [{"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}]


def _precision(precision: str, device: str | None) -> str:
    if precision != "auto":
        return precision
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "no"


def _fingerprint(recordings: list[Recording]) -> str:
    """Of what training sees: ids, valid time and amount of data; cheap for recordings of any size."""
    digest = hashlib.sha256()
    for recording in recordings:
        amount = len(recording.times) if recording.modality == "spikes" else len(recording.traces)
        digest.update(f"{recording.recording_id} {recording.n_units} {amount}".encode())
        digest.update(recording.intervals.tobytes())
    return digest.hexdigest()
