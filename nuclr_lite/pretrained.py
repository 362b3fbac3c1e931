"""A trained encoder and what belongs to it: its recipe, what it was trained on, how training went. Saved and loaded as a folder."""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .loss import ContrastiveLoss
from .model import NuCLR
from .presets import Preset
from .recording import Recording
from .storage import atomic_directory
from .vicreg import VICReg


@dataclass
class Pretrained:
    """What pretraining returns.

    encoder : NuCLR in evaluation mode, on the device it was trained on.
    history : DataFrame, a row every `log_every` steps: step, epoch, learning_rate; loss, attraction, repulsion (means since
        the row before); and of the row's own batch: rank_me, retrieval_accuracy (how often a unit's nearest
        neighbour in the other view is itself), retrieval_chance. The two views may overlap, and in a recording of few windows often do: then a unit can be
        found by the very same events.
    loss : the objective with its projector. preset : the recipe.
    trained_on : DataFrame, a row a recording: recording_id, animal_id, n_units, valid_s (s). An animal that isn't in it is one that the encoder never saw.
    seconds : wall time of this call's training.
    """

    encoder: NuCLR
    history: pd.DataFrame
    loss: ContrastiveLoss | VICReg
    preset: Preset
    trained_on: pd.DataFrame
    seconds: float = float("nan")

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a folder: weights as safetensors, `preset.json`, `history.csv`, `trained_on.csv`. Atomic."""
        with atomic_directory(path, overwrite) as folder:
            write_model(folder, self)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Pretrained:
        """Read what `save` wrote, a checkpoint, or the newest checkpoint of a training folder."""
        from safetensors.torch import load_file

        path = Path(path)
        checkpoints = checkpoints_in(path)
        if not (path / "preset.json").is_file():
            if not checkpoints:
                raise FileNotFoundError(f"{path} holds no pretrained encoder (no preset.json, no checkpoint); "
                                        "give the folder that Pretrained.save or pretrain(out_dir=...) wrote.")
            path = checkpoints[-1]
        preset = Preset.from_json((path / "preset.json").read_text(encoding="utf-8"))
        encoder, loss = build(preset)
        for module, name in ((encoder, "encoder"), (loss, "projector")):
            file = path / f"{name}.safetensors"
            try:
                module.load_state_dict(load_file(file))
            except FileNotFoundError:
                raise FileNotFoundError(f"{file} is missing; copy the whole folder.") from None
            except Exception as error:
                raise ValueError(f"{file} can't be read as this preset's weights ({error}); it is truncated or from another model.") from error
        tables = []
        for name in ("history", "trained_on"):
            try:
                tables.append(pd.read_csv(path / f"{name}.csv", float_precision="round_trip", keep_default_na=name == "history",
                                          dtype={"recording_id": str, "animal_id": str}))
            except FileNotFoundError:
                raise FileNotFoundError(f"{path / name}.csv is missing; copy the whole folder.") from None
        return cls(encoder.to(device).eval(), tables[0], loss.to(device).eval(), preset, tables[1])


def build(preset: Preset) -> tuple[NuCLR, ContrastiveLoss | VICReg]:
    """Encoder and objective of a recipe, with random weights (from torch's generator)."""
    train, dim = preset.train, preset.model.dim
    encoder = NuCLR(preset.model)
    if train.objective == "vicreg":
        return encoder, VICReg(dim)
    return encoder, ContrastiveLoss(dim, train.temperature, train.scale_within_view, decoupled=train.objective == "decoupled")


def what_was_seen(recordings: list[Recording]) -> pd.DataFrame:
    """The table `Pretrained.trained_on`."""
    return pd.DataFrame([{"recording_id": str(recording.recording_id), "animal_id": str(recording.animal_id), "n_units": recording.n_units,
                          "valid_s": round(float((recording.intervals[:, 1] - recording.intervals[:, 0]).sum()), 3)} for recording in recordings])


def write_model(folder: Path, pretrained: Pretrained):
    """The files of `Pretrained.save`, into an existing folder."""
    from safetensors.torch import save_file

    for module, name in ((pretrained.encoder, "encoder"), (pretrained.loss, "projector")):
        save_file({key: value.contiguous().cpu() for key, value in module.state_dict().items()}, folder / f"{name}.safetensors")
    (folder / "preset.json").write_text(pretrained.preset.to_json(), encoding="utf-8")
    pretrained.history.to_csv(folder / "history.csv", index=False)
    pretrained.trained_on.to_csv(folder / "trained_on.csv", index=False)


def checkpoints_in(out_dir: Path) -> list[Path]:
    """Complete checkpoints in order of steps. (They are complete because they were renamed into place.)"""
    if not out_dir.is_dir():
        return []
    return sorted(path for path in out_dir.iterdir() if re.fullmatch(r"checkpoint-\d{8}", path.name))
