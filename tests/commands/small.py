"""What the tests of single commands share: a small world on disk, and the command line called."""

import numpy as np
import pandas as pd
from helpers import TINY

import nuclr_lite as nl
from nuclr_lite.commands.line import main


def code_of(*arguments) -> int:
    """The exit code of the command line."""
    try:
        main(list(map(str, arguments)))
    except SystemExit as left:
        return left.code
    return 0


def labelled(n_animals: int, seed: int, name: str = "r", share: float = 1.0) -> list[nl.Recording]:
    """Recordings of 16 units and 40 s, half of them slow, half fast, which a column `speed` says
    (of a `share` of the units; the others have none).
    """
    rng, recordings = np.random.default_rng(seed), []
    for number in range(n_animals):
        kinds = np.array(["slow", "fast"] * 8)
        trains = [
            np.sort(rng.uniform(0, 40, rng.poisson(40 * (3 if kind == "slow" else 20))))
            for kind in kinds
        ]
        told = np.where(np.arange(16) < 16 * share, kinds, None)
        recordings.append(
            nl.Recording.from_spike_trains(
                trains,
                pd.DataFrame({"speed": told}),
                [[0, 40]],
                recording_id=f"{name}{number}",
                animal_id=f"mouse {name}{number}",
            )
        )
    return recordings


def saved(folder, recordings):
    for recording in recordings:
        recording.save(folder / recording.recording_id)
    return folder


def encoder_of(recordings) -> nl.Pretrained:
    return nl.pretrain(recordings, TINY.with_(steps=2))
