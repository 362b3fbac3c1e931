"""Sentences for a paper: they say what was decoded, how, and against what."""

import pandas as pd
from helpers import two_units_each

from nuclr_lite.analysis.wording import in_words


def test_in_words():
    rows = {
        "NuCLR": 0.81,
        "hand: rate": 0.3,
        "hand: all": 0.4,
        "NuCLR, shuffled labels": 0.2,
        "chance": 0.25,
    }
    scores = pd.DataFrame(
        [
            {
                "method": name,
                "metric": "macro_f1",
                "estimate": value,
                "low": value - 0.1,
                "high": value + 0.1,
            }
            for name, value in rows.items()
        ]
    )
    labels, animals = (
        two_units_each({"r0": "A", "r1": "B"}),
        two_units_each({"r0": "m0", "r1": "m1"}),
    )
    words = in_words(scores, labels, animals, "zero-shot", False)
    for part in (
        "(A, B; 4 units of 2 animals)",
        "transductive zero-shot",
        "0.81 (95 % interval over animals 0.71 to 0.91)",
        "chance 0.25",
        "0.40 (all)",
    ):
        assert part in words
    assert "(inductive zero-shot" in in_words(scores, labels, animals, "zero-shot", True)
    bare = scores[~scores["method"].str.startswith("hand")]
    assert "(transductive)" in in_words(
        bare, labels, animals, "transductive", False
    ) and "unit alone" not in in_words(bare, labels, animals, "transductive", False)
