"""nuclr_lite: what kind of neuron each neuron is, from the activity of the population around it.

    recordings = nl.simulate_recordings(n_animals=8)
    pretrained = nl.pretrain(recordings, "quick")
    embedding = nl.embed(pretrained.encoder, recordings)
    units = nl.units_table(recordings)
    nl.decode(embedding, units["cell_type"], units["animal_id"]).scores

Data flows one way, a file a station: sources, recording, views, model + loss, pretraining, embedding, decoding, zero_shot, plots;
checks look at all of it.
"""
from importlib import import_module

_WHERE = {
    "Recording": "recording", "units_table": "recording", "simulate_recordings": "sources.simulated",
    "ViewConfig": "views", "PairedViews": "views", "Windows": "views", "Batch": "views",
    "ModelConfig": "model", "NuCLR": "model",
    "ContrastiveLoss": "loss", "LossParts": "loss", "rank_me": "loss", "retrieval_accuracy": "loss",
    "load_official_weights": "official", "download_official_weights": "official",
    "TrainConfig": "presets", "Preset": "presets", "PRESETS": "presets",
    "pretrain": "pretraining", "Pretrained": "pretrained", "example_encoder": "example",
    "embed": "embedding", "Experiment": "experiments", "simulate_allen_session": "sources.simulated_allen", "decode": "decoding", "DecodeResult": "decoding", "score_table": "decoding",
    "ZeroShot": "zero_shot",
}
_MODULES = ("baselines", "checks", "comparison", "decoding", "experiments", "export", "interpretation", "plots", "retrieval", "sources", "views", "presets", "zero_shot")
__all__ = [*_WHERE, *_MODULES]
__version__ = "0.1.0"


def __getattr__(name: str):
    """Import a name's module when it is first used: figures and sources cost nothing to those who need none."""
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"nuclr_lite has no {name!r}; it has {', '.join(sorted(__all__))}.")


def __dir__():
    return sorted([*globals(), *__all__])
