"""nuclr_lite: what kind of neuron each neuron is, from the activity of the population around it.

    recordings = nl.simulate_recordings(n_animals=8)
    pretrained = nl.pretrain(recordings, "quick")
    embedding = nl.embed(pretrained.encoder, recordings)
    units = nl.units_table(recordings)
    nl.decode(embedding, units["cell_type"], units["animal_id"]).scores

The method lies in this folder, a file a station, in the order of the paper: recording, views,
model, loss, presets, steps, pretraining, checkpoints, pretrained, official, embedding, decoding,
zero_shot, export. It imports `files/` and no other folder; the others serve it: `sources/`
(recordings from somewhere), `analysis/`, `experiments/`, `plots/`, and `commands/` (the command
`nuclr-lite`).
"""

from importlib import import_module

_WHERE = {
    "Recording": "recording",
    "units_table": "recording",
    "ViewConfig": "views",
    "PairedViews": "views",
    "Windows": "views",
    "Batch": "views",
    "ModelConfig": "model",
    "NuCLR": "model",
    "ContrastiveLoss": "loss",
    "LossParts": "loss",
    "rank_me": "loss",
    "retrieval_accuracy": "loss",
    "TrainConfig": "presets",
    "Preset": "presets",
    "PRESETS": "presets",
    "pretrain": "pretraining",
    "Pretrained": "pretrained",
    "load_official_weights": "official",
    "download_official_weights": "official",
    "embed": "embedding",
    "decode": "decoding",
    "DecodeResult": "decoding",
    "score_table": "decoding",
    "ZeroShot": "zero_shot",
    "learning_curve": "analysis.learning_curve",
    "multi_unit": "analysis.multi_unit",
    "simulate_recordings": "sources.simulated",
    "simulate_allen_session": "sources.simulated.allen_session",
    "Experiment": "experiments",
    "Method": "experiments",
    "example_encoder": "experiments.example",
    "pretrained_encoders": "experiments.encoders",
    "load_encoder": "experiments.encoders",
}
_MODULES = {
    name: name
    for name in (
        "decoding",
        "experiments",
        "export",
        "plots",
        "presets",
        "sources",
        "views",
        "zero_shot",
    )
} | {
    "baselines": "experiments.baselines",
    "comparison": "experiments.comparison",
    "checks": "analysis.checks",
    "interpretation": "analysis.interpretation",
    "retrieval": "analysis.retrieval",
}
__all__ = [*_WHERE, *_MODULES]
__version__ = "0.1.0"


def __getattr__(name: str):
    """Import a name's module when it is first used: figures and sources cost nothing to those who
    need none.
    """
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    raise AttributeError(f"nuclr_lite has no {name!r}; it has {', '.join(sorted(__all__))}.")


def __dir__():
    return sorted([*globals(), *__all__])
