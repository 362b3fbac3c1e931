"""Sentences for a methods section, with the numbers filled in."""

from __future__ import annotations

import pandas as pd


def in_words(
    scores: pd.DataFrame,
    labels: pd.Series,
    animals: pd.Series,
    protocol: str,
    inductive: bool,
    method: str = "NuCLR",
) -> str:
    """Two sentences on how a label was decoded, and how well.

    scores : `score_table`'s table, with rows 'hand: ...' for features of a unit alone. labels,
        animals : Series of the labelled units. protocol : as in `decode`. inductive : the encoder
        has never seen these animals (see `checks.seen`).
    """
    rows = scores[scores["metric"] == "macro_f1"].set_index("method")
    f1, mine = rows["estimate"].round(2), rows.loc[method]
    alone = f1[f1.index.str.startswith("hand: ")]
    kind = "transductive"
    if protocol == "zero-shot":
        kind = (
            f"{'inductive' if inductive else 'transductive'} zero-shot, one animal left out in turn"
        )
    who = (
        f"{', '.join(sorted(set(labels.astype(str))))}; {len(labels)} units of {animals.nunique()}"
        " animals"
    )
    interval = f"95 % interval over animals {mine['low']:.2f} to {mine['high']:.2f}"
    beside = (
        f", best features of a unit alone {alone.max():.2f}"
        f" ({alone.idxmax().removeprefix('hand: ')})"
        if len(alone)
        else ""
    )
    return (
        f"The label ({who}) was predicted by logistic regression from frozen vectors ({kind}):"
        f" macro F1 {mine['estimate']:.2f} ({interval}). On the same units: chance"
        f" {f1['chance']:.2f}, shuffled labels {f1[f'{method}, shuffled labels']:.2f}{beside}."
    )
