"""The embeddings that NuCLR's authors published of the units of IBL BrainWideBench: a vector a
unit, of NuCLR and of NEMO, five seeds each, on the Hugging Face hub.

    path = download_embeddings(seed=42)          # some 0.14 GB, once
    vectors = read_embeddings(path).vectors      # as `nl.embed` gives them

Regions, mice, probes and depths aren't in them: `brainwidebench.read_units` has those. No network
was at hand when this was written: it was tested against a stand-in for the hub and files by the
published layout, and has never met the real ones.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.torch_version import TorchVersion

from ...official import published_file
from ..reading import first_line

TYPICAL_BYTES = 143e6  # of a file of NuCLR, by the published number of units
NAME = "{model}_embeddings_{{seed}}.pt"


class Embeddings(NamedTuple):
    """vectors : DataFrame (units, dim), as `nl.embed` gives it, in the file's order and precision.
    dropped : rows whose vector was not finite. seed : of the pretraining, None if it isn't told.
    """

    vectors: pd.DataFrame
    dropped: int
    seed: int | None


def download_embeddings(
    seed: int = 42,
    model: str = "nuclr",
    cache_dir: str | Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """The published embeddings of one of the five seeds, 42 to 46, for `read_embeddings`: from the
    Hugging Face hub, through its own client, kept in the hub's cache.

    model : 'nuclr' (256 dimensions) or 'nemo' (768: of autocorrelograms and waveforms).
    """
    return published_file(model, NAME.format(model=model), seed, cache_dir, endpoint)


def read_embeddings(path: str | Path) -> Embeddings:
    """A file of published embeddings. Nothing in it is executed: besides tensors, numbers and texts
    only arrays of texts are let in, as numpy 1 or 2 wrote them.

    Rows that aren't finite are dropped and counted: units of probes that failed quality control
    have NaN there.

    Raises
    ------
    FileNotFoundError : no such file. ValueError : truncated, or something else; names and vectors
        that don't fit together. ImportError : torch is older than 2.6.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; download it with download_embeddings.")
    if TorchVersion(torch.__version__) < TorchVersion("2.6"):
        raise ImportError(
            f"to open such a file without executing what is in it takes torch 2.6 or later; this is"
            f" {torch.__version__}: pip install --upgrade torch"
        )
    rebuild = np.zeros(0, dtype="U1").__reduce__()[0]
    allowed: list = [
        (rebuild, "numpy._core.multiarray._reconstruct"),
        (rebuild, "numpy.core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        type(np.dtype("U1")),
        type(np.dtype("O")),  # of texts, if the names were ever an index of pandas
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: isn't a file of embeddings, as it holds more than tensors and texts, or is"
            f" damaged ({first_line(error)}); download it again, and don't open it otherwise."
        ) from error
    except Exception as error:  # whatever may be wrong in a file
        raise ValueError(
            f"{path}: can't be read ({type(error).__name__}: {first_line(error)}): it is truncated"
            " or isn't what torch.save wrote; delete it and download it again."
        ) from error
    parts = [_part(held, name, path) for name in ("train", "eval")]
    if parts[0].shape[1] != parts[1].shape[1]:
        raise ValueError(
            f"{path}: vectors to train on have {parts[0].shape[1]} dimensions, those to evaluate"
            f" {parts[1].shape[1]}; download it again."
        )
    vectors = pd.concat(parts)
    if vectors.index.has_duplicates:
        twice = vectors.index[vectors.index.duplicated()]
        raise ValueError(
            f"{path}: {len(twice)} units are in it twice (first: {twice[0]}); download it again."
        )
    finite = np.isfinite(vectors.to_numpy()).all(axis=1)
    seed = held.get("run_seed")
    return Embeddings(vectors[finite], int((~finite).sum()), seed)


def _part(held, name: str, path: Path) -> pd.DataFrame:
    keys = (f"{name}_embs", f"{name}_uids")
    if not isinstance(held, dict) or not set(keys) <= set(held):
        found = sorted(map(str, held)) if isinstance(held, dict) else type(held).__name__
        raise ValueError(f"{path}: isn't a file of embeddings: {keys} are needed, it has {found}.")
    vectors, names = (held[key] for key in keys)
    if not torch.is_tensor(vectors) or not isinstance(names, (np.ndarray, list, tuple)):
        what = (
            keys[1] + " holds no names"
            if torch.is_tensor(vectors)
            else keys[0] + " holds no tensor"
        )
        raise ValueError(f"{path}: {what}; download it again.")
    vectors = vectors.detach()
    # numpy has no bfloat16
    vectors = (vectors.float() if vectors.dtype == torch.bfloat16 else vectors).numpy()
    names = [str(text).split("/") for text in names]
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) != len(names):
        raise ValueError(
            f"{path}: {keys[0]} has shape {vectors.shape} and type {vectors.dtype} for"
            f" {len(names)} names; (units, dimensions) is needed: download it again."
        )
    strange = [name for name in names if len(name) != 2]
    if strange:
        raise ValueError(
            f"{path}: {len(strange)} names in {keys[1]} aren't '<session>/<unit>' (first:"
            f" {'/'.join(strange[0])!r}), so that they can't be told apart; download it again."
        )
    index = pd.MultiIndex.from_tuples(map(tuple, names), names=["recording_id", "unit_id"])
    columns = [f"e{i:03d}" for i in range(vectors.shape[1])]
    return pd.DataFrame(vectors, index=index, columns=columns)
