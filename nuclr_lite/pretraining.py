"""Pretraining: a step budget, the paper's optimiser and schedule, checkpoints that lose nothing.

`pretrain` takes recordings and nothing else: it looks at no label, and an animal that isn't in the
list can't be reached. Source of the recipe: Arora et al. 2025 (arXiv 2512.01199), appendix; details
as in the authors' code.

From the command line, in one process or, under a launcher, in many:

    python -m nuclr_lite pretrain RECORDINGS --preset paper-spikes --out runs/mine --resume
    accelerate launch --num_processes 8 -m nuclr_lite pretrain RECORDINGS \\
        --preset paper-spikes --out runs/mine --resume
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pandas as pd
import torch

from .checkpoints import fingerprint, read_checkpoint, write_checkpoint
from .files.progress import progress
from .files.storage import check_writable, remove_abandoned
from .loss import ContrastiveLoss, VICReg, rank_me, retrieval_accuracy
from .model import NuCLR, suitable_threads
from .presets import PRESETS, Preset
from .pretrained import Pretrained, build, checkpoints_in, what_was_seen
from .recording import Recording, as_list
from .steps import Step, learning_rate, loader, optimizers, precision_of
from .views import PairedViews

CHECKED_EVERY = 50  # steps: reading a loss makes a GPU wait, so it is not done each time


def pretrain(
    recordings: list[Recording],
    preset: Preset | str = "quick",
    out_dir: str | Path | None = None,
    resume: bool = False,
    *,
    keep_all: bool = False,
    workers: int = 0,
    device: str | None = None,
) -> Pretrained:
    """Train an encoder on recordings, without labels.

    In one process, or in all that a launcher (`accelerate launch`, `torchrun`) started: each then
    takes its share of every batch, and the gradients are those of the whole batch in one process.
    Every process gets the same result; the first one writes the checkpoints.

    Parameters
    ----------
    recordings : list of Recording, all of the preset's modality. Hold animals out by leaving them
        off the list.
    preset : a `Preset`, or the name of one in `PRESETS`.
    out_dir : where checkpoints go, as `checkpoint-<step>`; the two newest are kept, and the one
        with the lowest loss (`checkpoints.best_checkpoint`). None: none are written.
    resume : go on from the newest checkpoint in `out_dir`, to the same numbers as without the
        break; from the beginning if there is none.
    keep_all : leave every checkpoint, for a learning curve (`nl.learning_curve`).
    workers : processes that cut views; the result doesn't depend on it.
    device : 'cpu' forces the CPU. None: what accelerate finds (CUDA, Apple MPS, else CPU).

    Raises
    ------
    FileExistsError : `out_dir` holds checkpoints and `resume` is False.
    ValueError : recordings that don't fit the preset; a checkpoint of another run.
    FloatingPointError : the loss stopped being finite: at which step, in which recordings. The last
        checkpoint stays.
    OSError : `out_dir` can't be written to; what is there stays whole.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(
                f"there is no preset {preset!r}; use one of {sorted(PRESETS)} or a Preset."
            )
        preset = PRESETS[preset]
    if device not in (None, "cpu"):
        raise ValueError(f"device is {device!r}; use 'cpu', or None for what accelerate finds.")
    recordings = as_list(recordings, "train on")
    out_dir = Path(out_dir) if out_dir is not None else None
    checkpoints = checkpoints_in(out_dir) if out_dir else []
    if checkpoints and not resume:
        raise FileExistsError(
            f"{out_dir} holds {checkpoints[-1].name} of an earlier run; pass resume=True to go on"
            " with it, or choose another folder."
        )
    if resume and out_dir is None:
        raise ValueError("resume=True needs out_dir, the folder with the checkpoints.")
    if out_dir:  # now, not after hours
        check_writable(out_dir)
        remove_abandoned(out_dir)

    # The generators of torch are global; what they were is put back when training ends.
    with torch.random.fork_rng(), suitable_threads(preset.model):
        torch.manual_seed(preset.train.seed)
        run = _Run(preset, recordings, device)
        if checkpoints:
            run.restore(checkpoints[-1])
        started = time.perf_counter()
        run.train(out_dir, workers, keep_all)
    encoder, loss = (
        run.accelerator.unwrap_model(module, keep_fp32_wrapper=False)
        for module in (run.encoder, run.loss)
    )
    return Pretrained(
        encoder.eval(), run.history, loss.eval(), preset, run.seen, time.perf_counter() - started
    )


class _Run:
    """The state of one training run: what a checkpoint must bring back."""

    def __init__(self, preset: Preset, recordings: list[Recording], device: str | None):
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState

        # accelerate keeps one state a process and refuses another device or precision: in a
        # notebook, where trainings follow one another, each gets its own.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(
            mixed_precision=precision_of(preset.train.precision, device, preset.model),
            cpu=device == "cpu",
            # buffers are constants
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        self.n_processes, self.process = (
            self.accelerator.num_processes,
            self.accelerator.process_index,
        )
        if self.n_processes > 1 and preset.train.objective == "vicreg":
            raise ValueError(
                "VICReg takes variances over the whole batch; train it in one process."
            )
        # Numbers of units are counted on the CPU: a GPU need not wait for them.
        self.counting = (
            torch.distributed.new_group(backend="gloo") if self.n_processes > 1 else None
        )
        self.preset = preset
        self.views = PairedViews(
            recordings,
            preset.model,
            preset.views,
            preset.train.batch_size,
            preset.train.seed,
            share=(self.process, self.n_processes),
        )
        self.fingerprint, self.seen = fingerprint(recordings), what_was_seen(recordings)
        self.warmup = (
            preset.train.warmup_steps if preset.train.warmup_steps is not None else len(self.views)
        )
        self.encoder, self.loss = build(preset)
        made = optimizers(self.encoder, self.loss, preset.train)
        self.peaks = [group["lr"] for optimizer in made for group in optimizer.param_groups]
        self.encoder, self.loss, *self.optimizers = self.accelerator.prepare(
            self.encoder, self.loss, *made
        )
        # steps done; where in the data the next one begins
        self.step, self.epoch, self.batch = 0, 0, 0
        self.skipped = 0  # batches in which no unit is in both views
        self.rows: list[dict] = []

    def modules(self) -> tuple[NuCLR, ContrastiveLoss | VICReg]:
        """Encoder and objective of this process alone: calling them asks nothing of the others."""
        return tuple(self.accelerator.unwrap_model(module) for module in (self.encoder, self.loss))

    @property
    def history(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)

    def train(self, out_dir: Path | None, workers: int, keep_all: bool):
        train = self.preset.train
        self.encoder.train(), self.loss.train()
        parts, places = [], []  # of the steps since the last row; losses stay on the device
        bar = progress(
            total=train.steps,
            initial=self.step,
            desc="pretrain",
            unit="step",
            disable=not self.accelerator.is_main_process,
        )
        with bar:
            for batch, share in self._batches(workers):
                if self.step == train.steps:
                    break
                parts.append(torch.stack(self._update(batch, share)).detach() * share)
                places.append((self.epoch, self.batch - 1))
                self.step += 1
                bar.update()
                due = self.step % train.log_every == 0 or self.step == train.steps
                if due or len(parts) % CHECKED_EVERY == 0:
                    since = self.accelerator.reduce(torch.stack(parts), "sum")  # (steps, 3)
                    self._check(since, places, out_dir)
                if due:
                    self._log(since.mean(0).tolist(), batch)
                    if self.rows:
                        bar.set_postfix(
                            loss=f"{self.rows[-1]['loss']:.3f}",
                            found=f"{self.rows[-1]['retrieval_accuracy']:.0%}",
                        )
                    parts, places = [], []
                if out_dir and (
                    self.step % train.checkpoint_every == 0 or self.step == train.steps
                ):
                    self.save(out_dir, keep_all)
        if self.n_processes > 1:  # the history, which the first process kept
            from accelerate.utils import broadcast_object_list

            [self.rows] = broadcast_object_list([self.rows])
        if self.skipped and self.accelerator.is_main_process:
            warnings.warn(
                f"{self.skipped} batches were skipped: no unit was in both views of a pair.",
                stacklevel=3,
            )

    def _batches(self, workers: int):
        """Batches without end, from the place where training stands, each with the share of its
        matched units that is this process's.

        `epoch` and `batch` point at the next one. A batch in which no unit is in both views teaches
        nothing and is skipped.
        """
        from accelerate.utils import send_to_device

        found_any, device = False, self.accelerator.device
        while True:
            self.views.set_epoch(self.epoch)
            rest = range(self.batch, len(self.views))
            for index, batch in zip(rest, loader(self.views, rest, workers, device)):
                self.batch = index + 1
                matched = torch.tensor(
                    [batch.pairing.n_matched, len(batch.pairing.populations_1.occupied)]
                )
                everywhere = matched.clone()
                if self.counting:
                    torch.distributed.all_reduce(everywhere, group=self.counting)
                found_any |= bool(everywhere[1])
                if everywhere[0]:
                    yield (
                        send_to_device(batch, device, non_blocking=True),
                        float(matched[0] / everywhere[0]),
                    )
                    continue
                self.skipped += 1
                if found_any and self.skipped > max(100, 10 * self.step):
                    views = self.preset.views
                    raise ValueError(
                        f"{self.skipped} of {self.skipped + self.step} batches were skipped: no"
                        " unit was in both views of a pair. Raise views.kept_share (it is"
                        f" {views.kept_share}) or lower views.max_distance_s (it is"
                        f" {views.max_distance_s:g} s), or use recordings with more active units."
                    )
            if not found_any and not rest.start:
                raise ValueError(
                    f"no pair of views has {self.preset.views.min_units} active units in both;"
                    " lower views.min_units, or use more active units."
                )
            self.epoch, self.batch = self.epoch + 1, 0

    def _update(self, batch: Step, share: float):
        """One optimiser step.

        Seeded by its number (and the process's), so that dropout is the same after a resume.
        """
        train = self.preset.train
        torch.manual_seed(
            (((train.seed << 32) + self.step) * self.n_processes + self.process) % 2**63
        )
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, peak in zip(groups, self.peaks):
            group["lr"] = learning_rate(self.step, train, self.warmup, peak)
        with self.accelerator.autocast():
            parts = self.loss(
                *self.encoder(batch.tokens, batch.populations).split(batch.units), batch.pairing
            )
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        # A process's loss is a mean over its own matched units, and gradients are averaged over
        # processes: so weighted, the result is that of the mean over all units.
        self.accelerator.backward(parts.total * (share * self.n_processes))
        for module in (self.encoder, self.loss):
            self.accelerator.clip_grad_norm_(module.parameters(), train.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        return parts

    def _check(self, since: torch.Tensor, places: list[tuple[int, int]], out_dir: Path | None):
        """Stop at a loss that is not finite; since (steps, 3) are the losses of the last steps,
        places their epochs and batches.
        """
        bad = (~torch.isfinite(since[:, 0])).nonzero()
        if not len(bad):
            return
        first = int(bad[0])
        seen = self.views.recordings_of(*places[first])
        kept = checkpoints_in(out_dir)[-1:] if out_dir else []
        raise FloatingPointError(
            f"the loss is {float(since[first, 0])} at step {self.step - len(since) + first + 1};"
            " lower learning_rate, or look for extreme values in what that step saw:"
            f" {', '.join(seen)}. "
            + (
                f"The last checkpoint, {kept[0].name}, is from before."
                if kept
                else "There is no checkpoint from before."
            )
        )

    def _log(self, means: list[float], batch: Step):
        if not self.accelerator.is_main_process:
            return
        encoder, _ = self.modules()
        encoder.eval()
        with torch.no_grad():
            one, two = encoder(batch.tokens, batch.populations).split(batch.units)
            if not torch.isfinite(one).all():
                raise FloatingPointError(
                    f"the encoder's output stopped being finite by step {self.step}; lower"
                    " learning_rate."
                )
            found, chance = retrieval_accuracy(one, two, batch.pairing)
            rank = rank_me(one)
        encoder.train()
        self.rows.append(
            {
                "step": self.step,
                "epoch": self.epoch,
                "learning_rate": learning_rate(self.step - 1, self.preset.train, self.warmup),
                "loss": means[0],
                "attraction": means[1],
                "repulsion": means[2],
                "rank_me": float(rank),
                "retrieval_accuracy": float(found),
                "retrieval_chance": chance,
            }
        )

    def save(self, out_dir: Path, keep_all: bool):
        if not self.accelerator.is_main_process:
            return
        encoder, loss = self.modules()
        since = [
            row["loss"]
            for row in self.rows
            if row["step"] > self.step - self.preset.train.checkpoint_every
        ]
        place = {
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "recordings": self.fingerprint,
            "loss": sum(since) / len(since),
        }
        write_checkpoint(
            out_dir,
            Pretrained(encoder, self.history, loss, self.preset, trained_on=self.seen),
            self.optimizers,
            place,
            keep_all,
        )

    def restore(self, checkpoint: Path):
        saved, states, place = read_checkpoint(checkpoint)
        if saved.preset != self.preset:
            raise ValueError(
                f"{checkpoint} was made with another preset; pass that one"
                " (Pretrained.load(...).preset) to resume, or choose another out_dir."
            )
        if place["recordings"] != self.fingerprint:
            raise ValueError(
                f"{checkpoint} was made with other recordings; pass the same ones to resume, or"
                " choose another out_dir."
            )
        for module, kept in zip(self.modules(), (saved.encoder, saved.loss)):
            module.load_state_dict(kept.state_dict())
        for number, optimizer in enumerate(self.optimizers):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": states[number], "param_groups": groups})
        self.step, self.epoch, self.batch = place["step"], place["epoch"], place["batch"]
        self.rows = saved.history.to_dict("records")
