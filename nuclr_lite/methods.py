"""Methods by name: what an experiment compares. A name is a set of features, and perhaps, behind a comma, what is done with it.

Features: the name of an encoder of the experiment; 'untrained encoder'; 'hand: <set>' of `baselines.hand_features`; 'hand: coupling to the population';
'hand: waveform'; 'interval network' (supervised); 'chance'.

Behind the comma: 'tuned' or 'boosting' (a classifier tuned inside the training animals, see `decoding.tuned`); 'recording means' (each unit gets the mean of its
recording: what telling recordings apart can reach); 'shuffled labels' (must be at chance, or something leaks).
"""
from __future__ import annotations

import re

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier

from . import baselines
from .decoding import shuffled, tuned
from .embedding import embed
from .interval_network import IntervalNetwork, interval_windows
from .model import NuCLR
from .presets import Preset
from .recording import Recording

UNTRAINED, CHANCE, NETWORK = "untrained encoder", "chance", "interval network"
COUPLING, WAVEFORM = "hand: coupling to the population", "hand: waveform"
FEW = (UNTRAINED, "hand: all", COUPLING, "NuCLR, shuffled labels", CHANCE)        # one of each kind
VARIANTS = ("", "tuned", "boosting", "recording means", "shuffled labels")


def split(method: str) -> tuple[str, str]:
    """'NuCLR, shuffled labels' -> ('NuCLR', 'shuffled labels')."""
    features, _, variant = method.partition(", ")
    if variant not in VARIANTS:
        raise ValueError(f"{method!r}: what follows the comma is not known; use one of {VARIANTS[1:]}.")
    return features, variant


def usual_baselines(modality: str, waveforms: bool = False, label_of_recordings: bool = False) -> tuple[str, ...]:
    """Everything that a result on this modality has to beat, then the controls.

    waveforms : the units have waveform columns. label_of_recordings : all units of a recording have one label, so that telling recordings apart may do.
    """
    alone = ("rate", "intervals", "autocorrelation") if modality == "spikes" else ("level", "distribution", "autocorrelation")
    names = [UNTRAINED, *(f"hand: {name}" for name in (*alone, "all")), "hand: all, tuned", "hand: all, boosting"]
    names += [NETWORK] * (modality == "spikes") + [WAVEFORM] * waveforms + [COUPLING]
    names += ["NuCLR, recording means", "hand: all, recording means"] * label_of_recordings
    return (*names, "NuCLR, shuffled labels", CHANCE)


def draws_nothing(method: str, encoders) -> bool:
    """Whether a method gives the same for every seed: features and classifier without randomness."""
    features, variant = split(method)
    return features not in (UNTRAINED, CHANCE, NETWORK, *encoders) and variant != "shuffled labels"


def feature_set(name: str) -> str:
    """The features that have to be computed for a method's: the sets made by hand of a unit alone are columns of one table."""
    return name if name in (COUPLING, WAVEFORM) or not name.startswith("hand: ") else "hand: all"


def features_without_training(name: str, recordings: list[Recording], recipe: Preset, seed: int) -> pd.DataFrame:
    """The features `name`, (recording_id, unit_id) -> columns; `recipe` and `seed` make the untrained encoder. ValueError for a name that isn't known."""
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
    if name != "hand: all":
        raise ValueError(f"there are no features {name!r}; use 'hand: all', {COUPLING!r}, {WAVEFORM!r}, {UNTRAINED!r} or {NETWORK!r}.")
    return baselines.hand_features(recordings)["all"]


def as_decoded(method: str, features: pd.DataFrame, labels: pd.Series, animals: pd.Series, seed: int, rng: np.random.Generator):
    """What `decode` gets for a method: features, labels (NaN: not used), classifier (None: the usual one)."""
    name, variant = split(method)
    if feature_set(name) == "hand: all" != name:
        sets = list(dict.fromkeys(column.rpartition("_")[0] for column in features))
        features = features.filter(regex=f"^{re.escape(name.removeprefix('hand: '))}_[0-9]+$")
        if not len(features.columns):
            raise ValueError(f"there is no method {name!r}; what is made by hand of a unit alone: {', '.join(sets)}, all.")
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
