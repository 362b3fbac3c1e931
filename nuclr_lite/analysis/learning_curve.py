"""How a score rises while an encoder learns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..decoding import decode
from ..embedding import embed
from ..files.progress import progress
from ..pretrained import Pretrained, checkpoints_in
from ..recording import Recording


def learning_curve(
    out_dir: str | Path,
    recordings: list[Recording],
    labels: pd.Series,
    groups: pd.Series,
    test_groups: list[str],
) -> pd.DataFrame:
    """Inductive zero-shot decoding of every checkpoint of a training.

    It is for looking at, not for choosing a checkpoint: one chosen by its score on held-out animals
    has seen them.

    Parameters
    ----------
    out_dir : as given to `pretrain`, with keep_all=True.
    recordings : those trained on and those held out. labels, groups, test_groups : as for `decode`.

    Returns
    -------
    DataFrame: step, and estimate, low, high of macro F1 in the test groups.

    Raises
    ------
    FileNotFoundError : there is no checkpoint.
    """
    kept = checkpoints_in(Path(out_dir))
    if not kept:
        raise FileNotFoundError(
            f"there is no checkpoint in {out_dir}; train with"
            " nl.pretrain(..., out_dir=..., keep_all=True)."
        )
    rows = []
    for folder in progress(kept, desc="learning curve", unit="checkpoint", leave=False):
        saved = Pretrained.load(folder)
        vectors = embed(saved.encoder, recordings, grid_s=saved.preset.views.grid_s)
        scores = decode(vectors, labels, groups, test_groups=test_groups).scores
        score = scores.set_index("metric").loc["macro_f1"]
        rows.append({"step": int(folder.name.rpartition("-")[2]), **score})
    return pd.DataFrame(rows)
