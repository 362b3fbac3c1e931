"""What an experiment runs on: recordings on disk, who is learned from and who is held out; and the
record of how results were made.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..files.storage import atomic_directory, file_name, remove_abandoned
from ..recording import Recording
from ..sources.folder import SAVED, read_places, recognised, saved_in


def prepare(experiment, out_dir: Path) -> dict:
    """Recordings on disk, which processes open as memory maps, with their fingerprint; who is
    trained on and who is held out.

    Of what will be gone on with, half-written folders of processes that were killed are removed.
    """
    shared = ("recordings", "encoders", "features", f"{experiment.name}/cells")
    remove_abandoned(*(out_dir / name for name in shared))
    if experiment.source == "simulated":
        from ..sources.simulated import simulate_recordings

        dataset = (
            f"simulated {experiment.modality} ({experiment.world}), {experiment.n_animals} animals,"
            f" seed {experiment.data_seed}"
        )
        folder = (
            out_dir
            / "recordings"
            / f"simulated-{experiment.modality}-{experiment.world.replace(' ', '-')}"
            f"-{experiment.n_animals}-{experiment.data_seed}"
        )
        if not folder.exists():
            with atomic_directory(folder) as partial:
                for recording in simulate_recordings(
                    experiment.n_animals,
                    experiment.modality,
                    experiment.data_seed,
                    world=experiment.world,
                ):
                    recording.save(partial / file_name(recording.recording_id))
    else:
        folder = Path(experiment.source).expanduser()
        dataset = folder.name
        kind, places = recognised(folder)
        if kind.name != SAVED:
            folder = _converted(folder, places, out_dir)
    paths = saved_in(folder)
    if not paths:
        raise ValueError(
            f"{experiment.name}: {folder} is one recording; give the folder that holds several."
        )
    headers = [json.loads((path / "recording.json").read_text(encoding="utf-8")) for path in paths]
    sides = _sides(experiment, headers)
    animals = list(dict.fromkeys(sides))
    if experiment.held_out == ("labelled",):
        tables = [
            (side, Recording.load(path, verify=False).units) for path, side in zip(paths, sides)
        ]
        held_out = list(
            dict.fromkeys(
                animal
                for animal, units in tables
                if experiment.label in units and units[experiment.label].notna().any()
            )
        )
    else:
        held_out = (
            [
                side
                for side in animals
                if any(
                    known_as(header) & set(experiment.held_out)
                    for header, its in zip(headers, sides)
                    if its == side
                )
            ]
            if experiment.held_out
            else animals[max(len(animals) - experiment.n_held_out, 0) :]
        )
    learn = [animal for animal in animals if animal not in held_out]
    most = max(
        (
            *experiment.pretraining_animals,
            *experiment.label_animals,
            2 if experiment.protocol == "transductive zero-shot" else 1,
        )
    )
    if len(learn) < most or (experiment.protocol == "inductive zero-shot" and not held_out):
        raise ValueError(
            f"{experiment.name}: {len(learn)} animals to learn from and {len(held_out)} held out,"
            f" of {len(animals)}; too few for {experiment.protocol} with {most}. Change n_held_out,"
            " or give more animals."
        )
    if experiment.protocol == "across recordings" and len(set(sides)) == len(sides):
        raise ValueError(
            f"{experiment.name}: each animal has a single recording, and 'across recordings' learns"
            " from an animal's others; use another protocol."
        )
    contents = {
        header["recording_id"]: {name: file["sha256"] for name, file in header["files"].items()}
        for header in headers
    }
    return {
        "dataset": dataset,
        "paths": [(str(path), side) for path, side in zip(paths, sides)],
        "sides": {header["recording_id"]: side for header, side in zip(headers, sides)},
        "learn": learn,
        "held_out": held_out,
        "fingerprint": (
            hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
        ),
    }


def known_as(recording: Recording | dict) -> set[str]:
    """What a recording, or the header of a saved one, can be named by: its animal, its session
    where its source tells it (Allen, IBL's insertion), itself.
    """
    about = recording if isinstance(recording, dict) else vars(recording)
    told = (about["provenance"] or {}).items()
    sessions = {str(value) for name, value in told if name in ("session_id", "insertion")}
    return {about["animal_id"], about["recording_id"], *sessions} - {"None"}


def _sides(experiment, headers: list[dict]) -> list[str]:
    """To whom each recording belongs when animals are held out: its animal or, where single
    sessions or recordings of the animal are named, those of them that are.
    """
    named = set(experiment.held_out) - {"labelled"}
    unknown = named.difference(*map(known_as, headers))
    if unknown:
        raise ValueError(
            f"{experiment.name}: held_out names {sorted(unknown)}; name animals"
            f" ({', '.join(dict.fromkeys(header['animal_id'] for header in headers))}), sessions or"
            " recordings."
        )
    chosen = [bool(known_as(header) & named) for header in headers]
    partly = {header["animal_id"] for header, held in zip(headers, chosen) if not held}
    return [
        header["animal_id"] + ", held out" * (held and header["animal_id"] in partly)
        for header, held in zip(headers, chosen)
    ]


def _converted(folder: Path, places: list[Path], out_dir: Path) -> Path:
    """The recordings of a folder of other files, saved; read again when a file has changed."""
    # Not by what is in them: reading gigabytes each time an experiment is looked at would take
    # longer than the looking.
    files = {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for place in places
        for path in ([place] if place.is_file() else sorted(place.rglob("*")))
        if path.is_file()
    }
    target = (
        out_dir
        / "recordings"
        / f"{folder.name}-{hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12]}"
    )
    if not target.exists():
        with atomic_directory(target) as partial:
            for _, recordings in read_places(folder):
                for recording in recordings:
                    recording.save(partial / file_name(recording.recording_id))
    return target


def recordings_of(data: dict, animals=None) -> list[Recording]:
    return [
        Recording.load(path, verify=False)
        for path, animal in data["paths"]
        if animals is None or animal in animals
    ]


def part_of(data: dict, n: float, seed: int) -> list[str]:
    """n of the animals to learn from, the same for a seed whatever the method, and the fewer among
    the more; NaN: all.
    """
    order = np.random.default_rng([seed, 7]).permutation(len(data["learn"]))
    return [data["learn"][i] for i in (order if np.isnan(n) else order[: int(n)])]


def provenance(experiment, data: dict) -> dict:
    return {
        "experiment": asdict(experiment),
        "dataset": data["dataset"],
        "data_fingerprint": data["fingerprint"],
        "learn": data["learn"],
        "held_out": data["held_out"],
        **versions(),
    }


def versions() -> dict:
    """What computed a result: versions, the commit, the machine."""
    import sklearn

    from .. import __version__

    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "versions": {
            "nuclr_lite": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "pandas": pd.__version__,
            "scikit-learn": sklearn.__version__,
            "python": platform.python_version(),
        },
        "git": commit,
        "machine": (
            f"{os.cpu_count()} x {platform.machine()},"
            f" {'CUDA: ' + torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'}"
        ),
    }
