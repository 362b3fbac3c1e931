"""Features kept on disk, whole or not at all, beside the encoders that they come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ..files.storage import atomic_directory, check_seal, seal

AGAIN = "remove that folder and run the experiment again: only what is missing is computed"


def keep_features(target: Path, features: pd.DataFrame):
    """Write a table indexed by (recording_id, unit_id), unless another process was quicker."""
    try:
        with atomic_directory(target) as folder:
            np.save(folder / "values.npy", features.to_numpy())
            index = [features.index.get_level_values(level).tolist() for level in (0, 1)]
            (folder / "index.json").write_text(json.dumps([list(features.columns), *index]))
            seal(folder)
    except FileExistsError:
        pass  # with the same result


def kept_features(folder: Path) -> pd.DataFrame:
    """What `keep_features` wrote; ValueError where it isn't whole."""
    check_seal(folder, AGAIN)
    columns, index = kept_index(folder)
    return pd.DataFrame(
        np.load(folder / "values.npy", allow_pickle=False), columns=columns, index=index
    )


def kept_index(folder: Path) -> tuple[list[str], pd.MultiIndex]:
    """Columns and index alone."""
    columns, *index = json.loads((folder / "index.json").read_text())
    return columns, pd.MultiIndex.from_arrays(index, names=["recording_id", "unit_id"])
