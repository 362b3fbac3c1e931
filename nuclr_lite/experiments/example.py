"""The small encoders that come with the repository, so that what follows pretraining can be tried
without it.

One of the fourteen simulated animals that `nl.simulate_recordings(14, seed=0)` returns, by the
paper's recipe in small: unlike `quick`, whose views are near and show all units, it also tells what
is no neuron from what is one (`nl.ZeroShot`). And one of seven real rats, which leaves the four of
`rat_decisions.GROUPS[2]` to be read. To make them again, in some minutes each:

    python -m nuclr_lite.experiments.example simulated
    python -m nuclr_lite.experiments.example rats
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..decoding import decode
from ..embedding import embed
from ..files.storage import sha256
from ..presets import PRESETS, Preset
from ..pretrained import Pretrained
from ..pretraining import pretrain
from ..recording import Recording, units_table

# installed; in a checkout
PLACES = tuple(folder / "data" for folder in Path(__file__).parents[1:3])


@dataclass(frozen=True)
class Example:
    """folder : in data/. label : what its scores are of."""

    folder: str
    recipe: Preset
    label: str


EXAMPLES = {
    "simulated": Example(
        "example_encoder", PRESETS["laptop"].with_(optimizer="adamw", steps=3200), "cell_type"
    ),
    "rats": Example("rats_encoder", PRESETS["laptop-trials"], "region"),
}


def example_encoder(animals: str = "simulated", device: str = "cpu") -> Pretrained:
    """The encoder, its recipe, the history of its training and the animals that it was trained on
    (`.trained_on`).

    animals : 'simulated': it reads spikes at 20 ms, ten seconds at a time, and has seen nothing but
        simulated animals: on real recordings it shows how things are done, not how well they can
        be. 'rats': it reads spikes at 10 ms, five seconds at a time, and has seen trials of seven
        rats (Luo, Kim et al. 2025).

    Raises
    ------
    ValueError : other animals.
    FileNotFoundError : `nuclr_lite` was copied without the encoder's folder in `data/`.
    """
    if animals not in EXAMPLES:
        raise ValueError(f"there is no example encoder of {animals!r}; use one of {[*EXAMPLES]}.")
    name = EXAMPLES[animals].folder
    place = next((folder / name for folder in PLACES if (folder / name).is_dir()), None)
    if place is None:
        raise FileNotFoundError(
            f"{PLACES[1] / name} is missing: copy it from the repository, or make it with `python"
            f" -m nuclr_lite.experiments.example {animals}`."
        )
    return Pretrained.load(place, device)


def scores_of(pretrained: Pretrained, recordings: list[Recording], label: str) -> pd.DataFrame:
    """Of a label, inductive zero-shot: learned from the training's animals, read in the others."""
    units = units_table(recordings)
    held_out = sorted(set(units["animal_id"]) - set(pretrained.trained_on["animal_id"]))
    scores = decode(
        embed(pretrained.encoder, recordings),
        units[label],
        units["animal_id"],
        test_groups=held_out,
    ).scores
    return scores.assign(
        label=label, protocol=f"inductive zero-shot, {len(held_out)} animals held out"
    )


def animals_of(name: str) -> tuple[list[Recording], set[str]]:
    """Recordings of an example, and the animals among them that its encoder doesn't see."""
    if name == "simulated":
        from ..sources.simulated import simulate_recordings

        recordings = simulate_recordings(20, seed=0)
        return recordings, {recording.animal_id for recording in recordings[14:]}
    from ..sources.folder import read_folder
    from ..sources.published import rat_decisions

    return read_folder(rat_decisions.prepared(PLACES[1])), set(rat_decisions.GROUPS[2])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("animals", choices=EXAMPLES)
    name = parser.parse_args().animals
    example = EXAMPLES[name]
    recordings, held_out = animals_of(name)
    learned_from = [one for one in recordings if one.animal_id not in held_out]
    pretrained = pretrain(learned_from, example.recipe, device="cpu")
    scores = scores_of(pretrained, recordings, example.label)
    folder = pretrained.save(PLACES[1] / example.folder, overwrite=True, scores=scores)
    file = folder / "encoder.safetensors"
    print(
        f"{pretrained.seconds:.0f} s; {file}: {file.stat().st_size} bytes, SHA-256 {sha256(file)}"
    )


if __name__ == "__main__":
    main()
