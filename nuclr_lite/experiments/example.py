"""The small encoder that comes with the repository, so that what follows pretraining can be tried
without it.

Its recipe is the paper's in small (`RECIPE`), on the fourteen simulated animals that
`nl.simulate_recordings(14, seed=0)` returns: unlike `quick`, whose views are near and show all
units, it also tells what is no neuron from what is one (`nl.ZeroShot`). To make it again, in some
minutes:

    python -m nuclr_lite.experiments.example
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..decoding import decode
from ..embedding import embed
from ..files.storage import sha256
from ..presets import PRESETS
from ..pretrained import Pretrained
from ..pretraining import pretrain
from ..recording import Recording, units_table
from ..sources.simulated import simulate_recordings

NAME = "example_encoder"
RECIPE = PRESETS["laptop"].with_(optimizer="adamw", steps=3200)
# installed; in a checkout
PLACES = tuple(folder / "data" / NAME for folder in Path(__file__).parents[1:3])


def example_encoder(device: str = "cpu") -> Pretrained:
    """The encoder, its recipe, the history of its training and the animals that it was trained on
    (`.trained_on`).

    It reads spikes at 20 ms, ten seconds at a time. It has seen nothing but simulated animals: on
    real recordings it shows how things are done, not how well they can be.

    Raises
    ------
    FileNotFoundError : `nuclr_lite` was copied without `data/example_encoder`.
    """
    place = next((place for place in PLACES if place.is_dir()), None)
    if place is None:
        raise FileNotFoundError(
            f"{PLACES[1]} is missing: copy it from the repository, or make it with `python -m"
            " nuclr_lite.experiments.example`."
        )
    return Pretrained.load(place, device)


def scores_of(pretrained: Pretrained, recordings: list[Recording]) -> pd.DataFrame:
    """Cell type, inductive zero-shot: learned from the training's animals, read in the others."""
    units = units_table(recordings)
    held_out = sorted(set(units["animal_id"]) - set(pretrained.trained_on["animal_id"]))
    scores = decode(
        embed(pretrained.encoder, recordings),
        units["cell_type"],
        units["animal_id"],
        test_groups=held_out,
    ).scores
    return scores.assign(
        label="cell_type", protocol=f"inductive zero-shot, {len(held_out)} simulated animals"
    )


def main():
    recordings = simulate_recordings(20, seed=0)
    pretrained = pretrain(recordings[:14], RECIPE, device="cpu")
    file = (
        pretrained.save(PLACES[1], overwrite=True, scores=scores_of(pretrained, recordings))
        / "encoder.safetensors"
    )
    print(
        f"{pretrained.seconds:.0f} s; {file}: {file.stat().st_size} bytes, SHA-256 {sha256(file)}"
    )


if __name__ == "__main__":
    main()
