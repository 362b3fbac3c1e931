"""IBL Brain-wide Map: ten regions, split by session.

57 of the 64 mice of the test list have other sessions in pretraining. As published, the whole list
is tested; as we would, the seven mice (15 insertions) that the encoder never saw.
"""

from __future__ import annotations

import pandas as pd

from ...sources.published.ibl import REGIONS
from .row import (
    INDUCTIVE,
    TRANSDUCTIVE,
    ZERO_SHOT,
    DataSet,
    Row,
    drawn,
    everything,
    facts_of,
)
from .scoring import Fold, Readout

LISTS = ("tiny", "medium", "large", "all")  # each holds those before it
SHARES = (1.0, 0.5, 0.25, 0.025)  # of the training labels, in their notebook
DIFFERS = (
    "regions by the Cosmos mapping (one script of theirs goes by the atlas' tree); the last 300 s"
    " of a session, which theirs mean to cut and don't, are kept"
)


def insertion_of(header: dict) -> str | None:
    return header["provenance"].get("insertion")


IBL = DataSet(
    "IBL Brain-wide Map",
    facts_of("ibl", "insertion"),
    insertion_of,
    "paper-spikes",
    "ibl.download_insertion(insertion, cache), then ibl.read_insertion(path, insertion=insertion)",
    "some 70 to 700, not known",
)


def _pretraining_list(name: str):
    def pretrained_on(table: pd.DataFrame) -> pd.Series:
        return table["smallest_list"].isin(LISTS[: LISTS.index(name) + 1]) & _listed(table)

    return pretrained_on


def _listed(table: pd.DataFrame) -> pd.Series:
    return table["listed"] == "1"


def _three_parts(units: pd.DataFrame) -> list[Fold]:
    fit, choose, test = (units.index[units["split"] == part] for part in ("train", "dev", "test"))
    return [Fold(fit, test, ((fit, choose),))]


def _drawn_units(units: pd.DataFrame) -> list[Fold]:
    """70, 10 and 20 % of the units of each region."""
    rest, test = drawn(units, 0.2)
    fit, choose = drawn(units.loc[rest], 0.125)
    return [Fold(fit, test, ((fit, choose),))]


def _regions(name: str, protocol: str = INDUCTIVE, pretrained_on=None, **options) -> Row:
    return Row(
        name,
        IBL,
        f"{len(REGIONS)} regions",
        "region",
        protocol,
        pretrained_on or _pretraining_list("all"),
        _listed,
        _three_parts,
        Readout("lbfgs", 1e-5, oversample=True),
        classes=REGIONS,
        **{"differs": DIFFERS} | options,
    )


ROWS = (
    _regions("ibl-regions", published=0.530, shares=SHARES),
    _regions(
        "ibl-regions-without-spatial-attention",
        published=0.36,
        changes={"spatial_attention": False},
    ),
    _regions("ibl-regions-zero-shot", ZERO_SHOT, everything),
    Row(
        "ibl-regions-transductive",
        IBL,
        f"{len(REGIONS)} regions",
        "region",
        TRANSDUCTIVE,
        everything,
        everything,
        _drawn_units,
        Readout("lbfgs", 1e-5, oversample=True),
        classes=REGIONS,
        differs=DIFFERS + "; which units were drawn depends on the order of their files",
    ),
    *(
        _regions(f"ibl-regions-{name}", pretrained_on=_pretraining_list(name))
        for name in LISTS[:-1]
    ),
)
