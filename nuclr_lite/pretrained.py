"""A trained encoder and what belongs to it: its recipe, what it was trained on, how training went.

Saved and loaded as a folder, and shared through the Hugging Face hub.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .files.shown import ShownPretrained
from .files.storage import SEAL, atomic_directory, check_seal, seal
from .files.zero_shot_files import HEADER, NUMBERS
from .loss import ContrastiveLoss, VICReg
from .model import NuCLR
from .presets import Preset
from .recording import Recording

NEEDED = [
    "encoder.safetensors",
    "projector.safetensors",
    "preset.json",
    "history.csv",
    "trained_on.csv",
]
FILES = [*NEEDED, HEADER, NUMBERS, SEAL, "README.md"]  # of an encoder, and of what reads labels
REMEDY = "copy the whole folder again"


class Shared:
    """What is saved as a folder, and can be shared through the Hugging Face hub."""

    def push_to_hub(
        self: Any,
        repo_id: str,
        *,
        private: bool = True,
        token: str | None = None,
        endpoint: str | None = None,
        **options,
    ) -> str:
        """Put what `save` writes into a repository of the Hugging Face hub, made if it isn't there;
        returns its address.

        repo_id : 'owner/name'. private : only of a repository that is made now. token : None: the
            one of `hf auth login`. options : of `save`.
        """
        from huggingface_hub import HfApi

        hub = HfApi(endpoint=endpoint, token=token)
        with tempfile.TemporaryDirectory() as folder:
            saved = self.save(Path(folder) / "saved", **options)
            address = hub.create_repo(repo_id, private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=repo_id,
                folder_path=saved,
                commit_message=f"A {type(self).__name__} of nuclr_lite",
            )
        return str(address)

    @classmethod
    def from_pretrained(
        cls: Any,
        repo_id: str,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        device: str = "cpu",
        token: str | None = None,
        endpoint: str | None = None,
    ):
        """Download what `push_to_hub` put there, into the hub's cache, and load it.

        Nothing in it is executed.

        revision : a commit or a branch; name a commit if others are to get the same weights.
        """
        return cls.load(downloaded(repo_id, revision, cache_dir, token, endpoint), device)


def downloaded(
    repo_id: str,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> Path:
    """The folder of a repository of the hub, in the hub's cache: parameters as in
    `Shared.from_pretrained`. ImportError without huggingface_hub.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError(
            f"{repo_id} is downloaded by huggingface_hub, which is not installed: pip install"
            " huggingface_hub"
        ) from error
    return Path(
        snapshot_download(
            repo_id,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            endpoint=endpoint,
            allow_patterns=FILES,
        )
    )


@dataclass(repr=False)
class Pretrained(ShownPretrained, Shared):
    """What pretraining returns.

    encoder : NuCLR in evaluation mode, on the device it was trained on.
    history : DataFrame, a row every `log_every` steps: step, epoch, learning_rate; loss,
        attraction, repulsion (means since the row before); and of the row's own batch: rank_me,
        retrieval_accuracy (how often a unit's nearest neighbour in the other view is itself),
        retrieval_chance. The two views may overlap, and in a recording of few windows often do:
        then a unit can be found by the very same events.
    loss : the objective with its projector. preset : the recipe.
    trained_on : DataFrame, a row a recording: recording_id, animal_id, n_units, valid_s (s), source
        ('simulated' and the like, as the recording's provenance says). An animal that isn't in it
        is one that the encoder never saw.
    seconds : wall time of this call's training.
    """

    encoder: NuCLR
    history: pd.DataFrame
    loss: ContrastiveLoss | VICReg
    preset: Preset
    trained_on: pd.DataFrame
    seconds: float = float("nan")

    def save(
        self, path: str | Path, overwrite: bool = False, scores: pd.DataFrame | None = None
    ) -> Path:
        """Write a folder: weights as safetensors, `preset.json`, `history.csv`, `trained_on.csv`,
        and a model card. Atomic.

        scores : a table for the card, such as the one of `nl.score_table`.
        """
        with atomic_directory(path, overwrite) as folder:
            write_model(folder, self)
            (folder / "README.md").write_text(model_card(self, scores), encoding="utf-8")
            seal(folder, leave=("README.md",))  # a card is there to be written on
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> Pretrained:
        """Read what `save` wrote, a checkpoint, or the newest checkpoint of a training folder.

        Checksums are compared, nothing in the folder is executed.

        Raises
        ------
        FileNotFoundError : no encoder there, or a file of it is missing. ValueError : a file is
            damaged, or isn't what its name says.
        """
        from safetensors.torch import load_file

        path = Path(path)
        checkpoints = checkpoints_in(path)
        if not (path / "preset.json").is_file():
            if not checkpoints:
                raise FileNotFoundError(
                    f"{path} holds no pretrained encoder (no preset.json, no checkpoint); "
                    "give the folder that Pretrained.save or pretrain(out_dir=...) wrote."
                )
            path = checkpoints[-1]
        for name in NEEDED:
            if not (path / name).is_file():
                raise FileNotFoundError(f"{path / name} is missing; copy the whole folder.")
        check_seal(path, REMEDY)
        preset, encoder, loss = _read_model(path)
        for module, name in ((encoder, "encoder"), (loss, "projector")):
            file = path / f"{name}.safetensors"
            try:
                module.load_state_dict(load_file(file))
            except Exception as error:
                raise ValueError(
                    f"{file} can't be read as this preset's weights ({error}); it is truncated or"
                    " from another model."
                ) from error
        tables = []
        for name, columns in (
            ("history", ["step", "epoch", "loss"]),
            ("trained_on", ["recording_id", "animal_id", "n_units", "valid_s", "source"]),
        ):
            try:
                raw = pd.read_csv(path / f"{name}.csv", dtype=str, keep_default_na=False)
                if not set(columns) <= set(raw):
                    raise ValueError(f"it lacks the columns {sorted(set(columns) - set(raw))}")
                texts = {"recording_id", "animal_id", "source"}
                # By Python's own float: to the last digit, whatever version of pandas.
                tables.append(
                    pd.DataFrame(
                        {
                            column: (
                                pd.Series(list(values), dtype=object)
                                if column in texts
                                else [float(value or "nan") for value in values]
                            )
                            for column, values in raw.items()
                        }
                    ).astype(
                        {
                            column: "int64"
                            for column in ("step", "epoch", "n_units")
                            if column in raw
                        }
                    )
                )
            except ValueError as error:
                raise ValueError(
                    f"{path / name}.csv can't be read ({error}); it was changed or damaged:"
                    f" {REMEDY}."
                ) from error
        return cls(encoder.to(device).eval(), tables[0], loss.to(device).eval(), preset, tables[1])


def _read_model(path: Path) -> tuple[Preset, NuCLR, ContrastiveLoss | VICReg]:
    """The recipe beside the weights, built; ValueError where it isn't one, or asks for more than
    its weights hold (memory, or years of building layers).
    """
    file = path / "preset.json"
    try:
        preset = Preset.from_json(file.read_text(encoding="utf-8"))
        model, held = preset.model, (path / "encoder.safetensors").stat().st_size
        attention, feed_forward = 4 * model.dim * model.heads * model.head_dim, 12 * model.dim**2
        least = (
            model.dim * model.samples_per_token
            + model.temporal_layers * (attention + feed_forward)
            + model.spatiotemporal_layers * (attention + 2 * feed_forward)
        )  # parameters
        if least > held or model.samples_per_window * model.head_dim > 1e8:
            raise ValueError(
                f"it asks for {least:,} parameters or more, {file.parent.name}/encoder.safetensors"
                f" has {held:,} bytes; it is from another model"
            )
        return preset, *build(preset)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
        RuntimeError,
    ) as error:
        raise ValueError(
            f"{file} can't be read as a preset ({type(error).__name__}: {error}); it was changed or"
            f" damaged, or is from another version: {REMEDY}."
        ) from error


def build(preset: Preset) -> tuple[NuCLR, ContrastiveLoss | VICReg]:
    """Encoder and objective of a recipe, with random weights (from torch's generator)."""
    train, dim = preset.train, preset.model.dim
    encoder = NuCLR(preset.model)
    if train.objective == "vicreg":
        return encoder, VICReg(dim)
    return encoder, ContrastiveLoss(
        dim, train.temperature, train.scale_within_view, decoupled=train.objective == "decoupled"
    )


def what_was_seen(recordings: list[Recording]) -> pd.DataFrame:
    """The table `Pretrained.trained_on`."""
    return pd.DataFrame(
        [
            {
                "recording_id": recording.recording_id,
                "animal_id": recording.animal_id,
                "n_units": recording.n_units,
                "valid_s": round(recording.valid_s, 3),
                "source": str(recording.provenance.get("source", "")),
            }
            for recording in recordings
        ]
    )


def write_model(folder: Path, pretrained: Pretrained):
    """The files of `Pretrained.save`, into an existing folder."""
    from safetensors.torch import save_file

    for module, name in ((pretrained.encoder, "encoder"), (pretrained.loss, "projector")):
        save_file(
            {key: value.contiguous().cpu() for key, value in module.state_dict().items()},
            folder / f"{name}.safetensors",
        )
    (folder / "preset.json").write_text(pretrained.preset.to_json(), encoding="utf-8")
    pretrained.history.to_csv(folder / "history.csv", index=False)
    pretrained.trained_on.to_csv(folder / "trained_on.csv", index=False)


def checkpoints_in(out_dir: Path) -> list[Path]:
    """Complete checkpoints in order of steps.

    (They are complete because they were renamed into place.)
    """
    if not out_dir.is_dir():
        return []
    return sorted(
        path for path in out_dir.iterdir() if re.fullmatch(r"checkpoint-\d{8}", path.name)
    )


def model_card(pretrained: Pretrained, scores: pd.DataFrame | None = None) -> str:
    """What somebody who finds the weights must know, in the form that the Hugging Face hub reads:
    Markdown after a header in YAML.
    """
    model, train, seen, last = (
        pretrained.preset.model,
        pretrained.preset.train,
        pretrained.trained_on,
        pretrained.history.iloc[-1],
    )
    parameters = sum(parameter.numel() for parameter in pretrained.encoder.parameters())
    sources = ", ".join(sorted(set(seen["source"]) - {""})) or "not recorded"
    table = (
        "None were given when it was saved."
        if scores is None
        else "```\n" + scores.round(3).to_string(index=False) + "\n```"
    )
    return f"""---
library_name: nuclr_lite
tags:
- neuroscience
- self-supervised
- neuron-identity
---

# A NuCLR encoder for {model.modality}

One vector of {model.dim} numbers for each neuron, from its own activity and that of the population
around it. {parameters:,} parameters. The method is that of Arora et al. 2025 (arXiv 2512.01199), in
the independent implementation nuclr_lite.

```python
import nuclr_lite as nl

pretrained = nl.Pretrained.load("this folder")  # or nl.Pretrained.from_pretrained("owner/name")
embedding = nl.embed(pretrained.encoder, recordings)
```

## Trained on

{seen["animal_id"].nunique()} animals, {len(seen)} recordings, {seen["n_units"].sum():,} units,
{seen["valid_s"].sum() / 3600:.2f} h of valid time; source: {sources}. No label was used.
Which animals, recording by recording, is in `trained_on.csv`: scores on any of them are not
*inductive*.

## Recipe

{train.steps:,} steps of {train.batch_size} pairs of windows, seed {train.seed};
a window is {model.window_s:g} s long, a sample {model.sample_s:g} s. All of it is in `preset.json`,
how training went in `history.csv`: at the end a unit's nearest neighbour in the other view was
itself in {last["retrieval_accuracy"]:.0%} of the cases (chance: {last["retrieval_chance"]:.1%}),
and the vectors used {last["rank_me"]:.1f} dimensions of {model.dim} (RankMe).

## Scores

{table}

## Limits

A vector depends on the company: on which units were recorded together, and how many. The encoder
reads {model.modality} at {model.sample_s:g} s a sample and nothing else. What it was not trained on
(other species, areas, probes, states) it has not been tested on, unless a score above says so.
"""
