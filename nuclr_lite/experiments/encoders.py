"""Encoders that are there already, by name: those of this repository, and the authors' own.

    nl.pretrained_encoders()                      # what there is
    encoder = nl.load_encoder("simulated")        # or a folder, a checkpoint, 'hf:owner/name'

What is said of them here are facts about files that lie elsewhere; nothing is downloaded for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..model import NuCLR
from ..official import HOMES, SEEDS, download_official_weights, load_official_weights
from ..pretrained import Pretrained, downloaded
from .example import EXAMPLES, PLACES, example_encoder

OFFICIAL = "ibl-bwb-nuclr-"  # and the seed
HUB = "hf:"


@dataclass(frozen=True)
class Offer:
    """What is known of an encoder before it is opened."""

    name: str
    trained_on: str
    modality: str
    sample_s: float
    window_s: float
    dim: int
    parameters: int
    megabytes: float
    licence: str
    where: str


# Of the authors' five: model cards of huggingface.co/nerdslab/ibl-bwb-nuclr, and the code of
# brainbench-org/ibl-bwb (its recipe nuclr_10M; a checkpoint is the model, its projector and two
# moments of AdamW each, in float32).
OFFERS = (
    Offer(
        "simulated",
        "14 simulated animals: to see how things are done, not how well they can be",
        "spikes",
        0.02,
        10.0,
        32,
        86_272,
        0.4,
        "Apache-2.0",
        "in the package",
    ),
    Offer(
        "rats",
        "trials of 7 rats, frontal and motor cortex and striatum (Luo, Kim et al. 2025)",
        "spikes",
        0.01,
        5.0,
        32,
        85_472,
        0.4,
        "Apache-2.0",
        "in the package",
    ),
    *(
        Offer(
            f"{OFFICIAL}{seed}",
            "IBL Brain-wide Map: 423 sessions of 126 mice (BrainWideBench's pretraining part)",
            "spikes",
            0.02,
            20.0,
            256,
            10_542_336,
            128.1,
            "MIT",
            f"Hugging Face, {HOMES['nuclr']}, nuclr_{seed}.pt",
        )
        for seed in SEEDS
    ),
)


def pretrained_encoders() -> pd.DataFrame:
    """What encoders can be had by name, for `load_encoder`.

    The five of the authors differ in their seed and are downloaded from the Hugging Face hub when
    one is asked for (128 MB each, by huggingface_hub, kept in its cache). The first NuCLR's weights
    are published nowhere that is known here; of your own training with the authors' code
    (github.com/nerdslab/nuclr), give the checkpoint's path: `load_official_weights` reads both
    layouts.

    Returns
    -------
    DataFrame, by name: trained_on; modality; sample_s, window_s (s); dim; parameters; megabytes (of
    the file); licence; where it comes from; here (it needs no download).
    """
    table = pd.DataFrame([vars(offer) for offer in OFFERS]).set_index("name")
    return table.assign(here=[_is_here(name) for name in table.index])


def load_encoder(which: str | Path, device: str = "cpu") -> Pretrained | NuCLR:
    """An encoder, from wherever it is.

    Parameters
    ----------
    which : a name of `pretrained_encoders`; a folder that `Pretrained.save`, `ZeroShot.save` or
        `pretrain` wrote; a checkpoint of the authors' code (.pt); 'hf:owner/name', a repository of
        the Hugging Face hub.

    Returns
    -------
    Pretrained; of the authors' weights a NuCLR, which doesn't say whom it was trained on.

    Raises
    ------
    FileNotFoundError : nothing of that name. ImportError : huggingface_hub, for a download. What
        the readers raise.
    """
    path = place_of(which)
    name = str(which)
    if name in EXAMPLES:
        return example_encoder(name, device)
    if name in {offer.name for offer in OFFERS}:
        try:
            file = download_official_weights(int(name.removeprefix(OFFICIAL)))
        except ImportError as error:
            raise ImportError(
                f"{name} is downloaded by huggingface_hub, which is not installed: pip install"
                " huggingface_hub"
            ) from error
        return load_official_weights(file).to(device)
    if path.is_file():
        return load_official_weights(path).to(device)
    if path.is_dir():
        return Pretrained.load(path, device)
    raise FileNotFoundError(
        f"there is no encoder {name!r}: no folder or file of that name, nor one of"
        f" {', '.join(offer.name for offer in OFFERS)}."
    )


def place_of(which: str | Path) -> Path:
    """A path as it is; of 'hf:owner/name', the folder that it was downloaded to."""
    if str(which).startswith(HUB):
        return downloaded(str(which).removeprefix(HUB))
    return Path(which).expanduser()


def _is_here(name: str) -> bool:
    if name in EXAMPLES:
        return any((place / EXAMPLES[name].folder).is_dir() for place in PLACES)
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return False
    return isinstance(
        try_to_load_from_cache(HOMES["nuclr"], f"nuclr_{name.removeprefix(OFFICIAL)}.pt"), str
    )
