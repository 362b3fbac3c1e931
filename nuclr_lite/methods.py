"""Methods by name: what an experiment compares. A name is a set of features, and perhaps, behind a comma, what is done with it.

Features: the name of an encoder of the experiment; 'untrained encoder'; 'hand: <set>' of `baselines.hand_features`; 'hand: coupling to the population';
'hand: waveform'; 'interval network' (supervised); 'chance'.

Behind the comma: 'tuned' or 'boosting' (a classifier tuned inside the training animals, see `decoding.tuned`); 'recording means' (each unit gets the mean of its
recording: what telling recordings apart can reach); 'shuffled labels' (must be at chance, or something leaks).
"""
from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier

from . import baselines
from .decoding import shuffled, tuned
from .embedding import embed
from .interval_network import IntervalNetwork, interval_windows
from .model import ModelConfig, NuCLR
from .recording import Recording

UNTRAINED, CHANCE, NETWORK = "untrained encoder", "chance", "interval network"
COUPLING, WAVEFORM = "hand: coupling to the population", "hand: waveform"
VARIANTS = ("", "tuned", "boosting", "recording means", "shuffled labels")


def split(method: str) -> tuple[str, str]:
    """'NuCLR, shuffled labels' -> ('NuCLR', 'shuffled labels')."""
    features, _, variant = method.partition(", ")
    if variant not in VARIANTS:
        raise ValueError(f"{method!r}: what follows the comma is not known; use one of {VARIANTS[1:]}.")
    return features, variant


def features_without_training(name: str, recordings: list[Recording], model: ModelConfig, seed: int) -> pd.DataFrame:
    """The features `name`, (recording_id, unit_id) -> columns; `model` and `seed` make the untrained encoder. ValueError for a name that isn't known."""
    if name == UNTRAINED:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return embed(NuCLR(model), recordings)
    if name == COUPLING:
        return baselines.population_coupling(recordings)
    if name == NETWORK:
        return interval_windows(recordings)
    if name == WAVEFORM:
        waveforms = baselines.waveform_features(recordings)
        if waveforms is None:
            raise ValueError(f"the units have no waveform columns; leave {name!r} out.")
        return waveforms
    sets = baselines.hand_features(recordings)
    if name.removeprefix("hand: ") not in sets:
        raise ValueError(f"there is no method {name!r}; hand-made feature sets are {[f'hand: {name}' for name in sets]}.")
    return sets[name.removeprefix("hand: ")]


def as_decoded(method: str, features: pd.DataFrame, labels: pd.Series, animals: pd.Series, seed: int, rng: np.random.Generator):
    """What `decode` gets for a method: features, labels (NaN: not used), classifier (None: the usual one)."""
    name, variant = split(method)
    if variant == "recording means":
        features = baselines.recording_means(features)
    if variant == "shuffled labels":
        known = labels.dropna().astype(str)
        labels = shuffled(known, animals[known.index], rng).reindex(labels.index)
    classifier = tuned("boosting" if variant == "boosting" else "logistic") if variant in ("tuned", "boosting") else None
    if name == CHANCE:
        classifier = DummyClassifier(strategy="uniform", random_state=seed)
    elif name == NETWORK:
        classifier = IntervalNetwork(seed=seed)
    return features, labels, classifier
