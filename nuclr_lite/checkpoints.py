"""Checkpoints of a training: all that going on needs, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import torch
from torch import Tensor

from .files.storage import atomic_directory, seal
from .pretrained import Pretrained, checkpoints_in, write_model
from .recording import Recording

NEWEST_KEPT = 2


def write_checkpoint(
    out_dir: Path,
    pretrained: Pretrained,
    optimizers: list[torch.optim.Optimizer],
    place: dict,
    keep_all: bool = False,
):
    """Write `checkpoint-<step>`, and remove what is neither among the newest nor the best, unless
    all are to be kept.

    place : step, epoch, batch, recordings (their `fingerprint`), loss (mean since the checkpoint
        before).

    Raises
    ------
    OSError : it can't be written (a full disk, a folder without permission); the checkpoints before
        stay whole.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with atomic_directory(
            out_dir / f"checkpoint-{place['step']:08d}", overwrite=True
        ) as folder:
            write_model(folder, pretrained)
            state = {
                f"{number}.{index}.{name}": torch.as_tensor(value).contiguous()
                for number, optimizer in enumerate(optimizers)
                for index, entry in optimizer.state_dict()["state"].items()
                for name, value in entry.items()
            }
            save_file(state, folder / "optimizer.safetensors")
            (folder / "state.json").write_text(json.dumps(place), encoding="utf-8")
            seal(folder)
    except (OSError, SafetensorError) as error:
        # safetensors has an error of its own for a full disk
        kept = checkpoints_in(out_dir)[-1:]
        raise OSError(
            f"the checkpoint of step {place['step']} can't be written to {out_dir} ({error}); make"
            " room, then "
            + (
                f"go on with resume=True: {kept[0].name} is whole."
                if kept
                else "begin again: there is no checkpoint yet."
            )
        ) from error
    best = best_checkpoint(out_dir)
    for old in [] if keep_all else checkpoints_in(out_dir)[:-NEWEST_KEPT]:
        if old != best:  # renamed first: half a checkpoint must not look like one
            shutil.rmtree(old.rename(old.with_name(f".{old.name}.replaced")), ignore_errors=True)


def read_checkpoint(
    checkpoint: Path,
) -> tuple[Pretrained, dict[int, dict[int, dict[str, Tensor]]], dict]:
    """The model, the state of each optimiser, by number, and the place that `write_checkpoint` was
    given.
    """
    from safetensors.torch import load_file

    pretrained = Pretrained.load(checkpoint)  # compares the checksums of all files
    states: dict[int, dict[int, dict[str, Tensor]]] = {}
    for name, value in load_file(checkpoint / "optimizer.safetensors").items():
        # "optimiser.parameter.what"; the first number is missing where AdamW was the only choice
        *number, index, key = name.split(".")
        of_optimizer = states.setdefault(int(number[0]) if number else 0, {})
        of_optimizer.setdefault(int(index), {})[key] = value
    return pretrained, states, _place(checkpoint)


def best_checkpoint(out_dir: str | Path) -> Path:
    """The checkpoint before which the loss was lowest (mean since the one before it).

    It says nothing about labels, and with a rate that falls to 0 it is mostly the last.

    Raises FileNotFoundError where there is none.
    """
    checkpoints = checkpoints_in(Path(out_dir))
    if not checkpoints:
        raise FileNotFoundError(
            f"{out_dir} holds no checkpoint; give the folder that pretrain(out_dir=...) wrote."
        )
    return min(checkpoints, key=lambda checkpoint: _place(checkpoint)["loss"])


def fingerprint(recordings: list[Recording]) -> str:
    """Of what training sees: ids, valid time, amount of data. Cheap for recordings of any size."""
    digest = hashlib.sha256()
    for recording in recordings:
        amount = len(recording.times) if recording.modality == "spikes" else len(recording.traces)
        digest.update(f"{recording.recording_id} {recording.n_units} {amount}".encode())
        digest.update(recording.intervals.tobytes())
    return digest.hexdigest()


def _place(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
