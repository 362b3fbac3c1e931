"""Methods: what an experiment compares.

A method is a set of features, and what a label is read from them with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier

from ..decoding import boosting, shuffled, tuned
from ..embedding import embed
from ..model import NuCLR
from ..presets import Preset
from ..recording import Recording
from . import baselines
from .interval_network import IntervalNetwork, interval_windows

HAND, UNTRAINED, CHANCE, NETWORK = "hand: all", "untrained encoder", "chance", "interval network"
COUPLING, WAVEFORM = "hand: coupling to the population", "hand: waveform"
# Sets of `baselines.hand_features`, which look at a unit alone: spikes have the first three,
# calcium traces the others; both have all.
ALONE = {
    f"hand: {name}": name
    for name in ("rate", "intervals", "autocorrelation", "level", "distribution", "all")
}
WITHOUT_ENCODER = (UNTRAINED, *ALONE, COUPLING, WAVEFORM, NETWORK, CHANCE)
TUNED, BOOSTING, MEANS, SHUFFLED = "tuned", "boosting", "recording means", "shuffled labels"
BESIDE = "with hand-crafted features"
READOUTS = ("", TUNED, BOOSTING, BESIDE, MEANS, SHUFFLED)


@dataclass(frozen=True)
class Method:
    """Prints as its name: 'hand: all, tuned'.

    features : the name of an encoder of the experiment; or one of `WITHOUT_ENCODER`: 'untrained
        encoder'; 'hand: <set>' of `baselines.hand_features`; 'hand: coupling to the population';
        'hand: waveform'; 'interval network' (supervised); 'chance'.
    readout : '', logistic regression; 'tuned', its strength chosen inside the training animals;
        'boosting', boosted trees (all three of `decoding`); 'with hand-crafted features', the
        columns of 'hand: all' beside its own; 'recording means', each unit gets the
        mean of its recording: what telling recordings apart can reach; 'shuffled labels', which
        must be at chance, or something leaks.
    """

    features: str
    readout: str = ""

    def __post_init__(self):
        if self.readout not in READOUTS:
            raise ValueError(
                f"method {self.features!r}: the readout {self.readout!r} is not known; use one of"
                f" {READOUTS}."
            )
        if self.readout == BESIDE and self.features in (*ALONE, NETWORK, CHANCE):
            raise ValueError(
                f"method {self.features!r}: it has hand-crafted features already, or reads none, so"
                f" that the readout {BESIDE!r} would add nothing; use it with an encoder."
            )

    def __str__(self) -> str:
        return f"{self.features}, {self.readout}" if self.readout else self.features

    def draws_nothing(self, encoders) -> bool:
        """Whether it gives the same for every seed: features and classifier without randomness."""
        return (
            self.features not in (UNTRAINED, CHANCE, NETWORK, *encoders)
            and self.readout != SHUFFLED
        )

    @property
    def computed(self) -> str:
        """The features that have to be computed: the sets that look at a unit alone are columns of
        one table.
        """
        return HAND if self.features in ALONE else self.features


# One of each kind.
FEW = (
    Method(UNTRAINED),
    Method(HAND),
    Method(COUPLING),
    Method("NuCLR", SHUFFLED),
    Method(CHANCE),
)


def usual_baselines(
    modality: str, waveforms: bool = False, label_of_recordings: bool = False
) -> tuple[Method, ...]:
    """Everything that a result on this modality has to beat, then the controls.

    waveforms : the units have waveform columns. label_of_recordings : all units of a recording have
        one label, so that telling recordings apart may do.
    """
    alone = (
        ("rate", "intervals", "autocorrelation")
        if modality == "spikes"
        else ("level", "distribution", "autocorrelation")
    )
    methods = [
        Method(UNTRAINED),
        *(Method(f"hand: {name}") for name in (*alone, "all")),
        Method(HAND, TUNED),
        Method(HAND, BOOSTING),
    ]
    methods += (
        [Method(NETWORK)] * (modality == "spikes")
        + [Method(WAVEFORM)] * waveforms
        + [Method(COUPLING)]
    )
    methods += [Method("NuCLR", MEANS), Method(HAND, MEANS)] * label_of_recordings
    return (*methods, Method("NuCLR", SHUFFLED), Method(CHANCE))


def features_without_training(
    name: str, recordings: list[Recording], recipe: Preset, seed: int
) -> pd.DataFrame:
    """The features `name` of `Method.computed`, (recording_id, unit_id) -> columns; `recipe` and
    `seed` make the untrained encoder.
    """
    if name == UNTRAINED:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return embed(NuCLR(recipe.model), recordings, grid_s=recipe.views.grid_s)
    if name == COUPLING:
        return baselines.population_coupling(recordings)
    if name == NETWORK:
        return interval_windows(recordings)
    if name == WAVEFORM:
        waveforms = baselines.waveform_features(recordings)
        if waveforms is None:
            raise ValueError(f"the units have no waveform columns; leave {name!r} out.")
        return waveforms
    return baselines.hand_features(recordings)["all"]


def as_decoded(
    method: Method,
    features: pd.DataFrame,
    labels: pd.Series,
    animals: pd.Series,
    seed: int,
    rng: np.random.Generator,
):
    """What `decode` gets: features, labels (NaN: not used), classifier (None: the usual one)."""
    if method.features != method.computed:
        features = features[
            [column for column in features if column.startswith(f"{ALONE[method.features]}_")]
        ]
        if not len(features.columns):
            raise ValueError(
                f"recordings of this modality have no features {method.features!r}; leave that"
                " method out."
            )
    if method.readout == MEANS:
        features = baselines.recording_means(features)
    if method.readout == SHUFFLED:
        known = labels.dropna().astype(str)
        labels = shuffled(known, animals[known.index], rng).reindex(labels.index)
    classifier = {TUNED: tuned(), BOOSTING: boosting()}.get(method.readout)
    if method.features == CHANCE:
        classifier = DummyClassifier(strategy="uniform", random_state=seed)
    elif method.features == NETWORK:
        classifier = IntervalNetwork(seed=seed)
    return features, labels, classifier
