"""The list of the rows, and what each needs."""

from __future__ import annotations

import pandas as pd

from . import allen, bugeon, ibl, steinmetz
from .row import Row

ROWS: dict[str, Row] = {
    row.name: row for module in (allen, ibl, steinmetz, bugeon) for row in module.ROWS
}
# Seconds a window pair, forward and backward, of a population of 60 units at the published size on
# two CPU cores (results/benchmark_encoder.csv: 8 populations of 10 tokens; calcium has 32).
PAIR_S = {"spikes": 2 * 1.77 / 8, "calcium": 2 * 1.77 / 8 * 3.2}


def table() -> pd.DataFrame:
    """A row a published experiment, indexed by its name.

    Columns: data, task, protocol; published (macro F1, second-hand from notes on the paper; NaN: no
    number is known); sessions to pretrain on and to score (of IBL insertions); gigabytes to
    download; steps; cpu_days, the training on two CPU cores, projected from
    results/benchmark_encoder.csv (on a GPU it hasn't been timed); get, the calls that download and
    convert; differs, what in ours is known to differ.
    """
    rows = {}
    for name, row in ROWS.items():
        facts, recipe = row.data.facts, row.recipe()
        seconds = PAIR_S[recipe.model.modality] * recipe.train.batch_size * recipe.train.steps
        rows[name] = {
            "data": row.data.name,
            "task": row.task,
            "protocol": row.protocol,
            "published": row.published,
            "pretrained on": int(row.pretrained_on(facts).sum()),
            "scored": int(row.scored(facts).sum()),
            "gigabytes": row.data.gigabytes,
            "steps": recipe.train.steps,
            "cpu_days": round(seconds / 86400),
            "get": row.data.how,
            "differs": row.differs,
        }
    return pd.DataFrame(rows).T.rename_axis("row").astype({"published": float})
