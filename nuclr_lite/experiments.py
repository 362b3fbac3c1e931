"""Experiments as data: a small table of choices, and a folder that running it fills, that can be stopped at any moment, resumed, and read.

An `Experiment` says which recordings, which label, which protocol, which methods and seeds. Its *cells* are the single results: one method,
one seed, one number of animals or labels. `run` computes the cells that its folder lacks, in parallel through joblib, and writes one table of all.
Encoders are kept beside and shared: cells that need the same one, of any experiment, train it once.
"""
from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .decoding import decode
from .embedding import embed
from .methods import CHANCE, COUPLING, UNTRAINED, as_decoded, features_without_training, split
from .presets import PRESETS, Preset
from .pretraining import Pretrained, pretrain
from .progress import progress
from .recording import Recording, units_table
from .storage import atomic_directory, atomic_file

PROTOCOLS = ("transductive", "transductive zero-shot", "inductive zero-shot")


@dataclass(frozen=True)
class Experiment:
    """What is compared, on what. Prints as itself; `to_json` and `from_json` are exact.

    name : the folder of its results. label : the column to decode. protocol : one of `PROTOCOLS` (see 07_zero_shot).
    source : 'simulated', or a folder of saved recordings, one subfolder each. modality, n_animals, data_seed : of simulated ones.
    n_held_out : animals that are only tested on, the last ones (inductive zero-shot).
    preset : name in `PRESETS`. changes : fields of it that differ, such as {'steps': 400}.
    encoders : method -> further changes; {'NuCLR': {}, 'without spatial attention': {'spatial_attention': False}}.
    baselines : further methods, by the names that `methods` explains: 'hand: all, tuned', 'NuCLR, shuffled labels', 'chance', ...
    seeds : of the encoders' weights and views, and of the animals that a part of them is drawn from.
    pretraining_animals : numbers of animals that encoders are trained on, all animals' labels being used.
    label_animals : numbers of animals whose labels are used, the encoder being trained on all. A number in both: also encoder and labels of the same animals.
    label_shares : shares of the labels, from 0 to 1, drawn within each class, `draws` times.
    """

    name: str
    label: str = "cell_type"
    protocol: str = "inductive zero-shot"
    source: str = "simulated"
    modality: str = "spikes"
    n_animals: int = 20
    n_held_out: int = 6
    data_seed: int = 0
    preset: str = "quick"
    changes: dict = field(default_factory=dict)
    encoders: dict = field(default_factory=lambda: {"NuCLR": {}})
    baselines: tuple[str, ...] = (UNTRAINED, "hand: all", COUPLING, "NuCLR, shuffled labels", CHANCE)
    seeds: tuple[int, ...] = (0,)
    pretraining_animals: tuple[int, ...] = ()
    label_animals: tuple[int, ...] = ()
    label_shares: tuple[float, ...] = ()
    draws: int = 1

    def __post_init__(self):
        for name in ("baselines", "seeds", "pretraining_animals", "label_animals", "label_shares"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"{self.name}: protocol is {self.protocol!r}; use one of {PROTOCOLS}.")
        if self.preset not in PRESETS:
            raise ValueError(f"{self.name}: there is no preset {self.preset!r}; use one of {sorted(PRESETS)}.")
        for method in (*self.encoders, *self.baselines):
            if split(method)[1] and method in self.encoders:
                raise ValueError(f"{self.name}: {method!r} can't be an encoder's name: it has a comma.")
        if not self.encoders or not self.seeds:
            raise ValueError(f"{self.name}: give at least one encoder and one seed.")
        if (self.pretraining_animals or self.label_animals or self.label_shares) and self.protocol != "inductive zero-shot":
            raise ValueError(f"{self.name}: parts of the animals or labels are taken from those to learn from: use protocol='inductive zero-shot'.")
        if any(not 0 < share <= 1 for share in self.label_shares):
            raise ValueError(f"{self.name}: label_shares are {self.label_shares}; give shares above 0, up to 1.")
        self.recipe(next(iter(self.encoders)), self.seeds[0])              # an unknown field is an error now, not after an hour

    def encoder_of(self, method: str) -> str | None:
        """The encoder whose vectors a method uses; chance takes the first one's units."""
        features = split(method)[0]
        return features if features in self.encoders else next(iter(self.encoders)) if features == CHANCE else None

    def recipe(self, encoder: str, seed: int) -> Preset:
        return PRESETS[self.preset].with_(**{**self.changes, **self.encoders[encoder], "seed": seed})

    def cells(self) -> pd.DataFrame:
        """One row a result: method, seed, and which part of animals and labels (NaN: all)."""
        rows = []
        for seed in self.seeds:
            for method in (*self.encoders, *self.baselines):
                rows.append({"method": method, "seed": seed})
                if split(method)[0] in self.encoders:
                    rows += [{"method": method, "seed": seed, "pretraining_animals": n} for n in self.pretraining_animals]
                    rows += [{"method": method, "seed": seed, "pretraining_animals": n, "label_animals": n} for n in self.pretraining_animals if n in self.label_animals]
                if method != CHANCE:
                    rows += [{"method": method, "seed": seed, "label_animals": n} for n in self.label_animals]
                    rows += [{"method": method, "seed": seed, "label_share": share, "draw": draw} for share in self.label_shares if share < 1 for draw in range(self.draws)]
        return pd.DataFrame(rows, columns=["method", "seed", "pretraining_animals", "label_animals", "label_share", "draw"]).astype(
            {"pretraining_animals": float, "label_animals": float, "label_share": float, "draw": float})

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        return cls(**json.loads(text))


def run(experiment: Experiment, out_dir: str | Path, n_jobs: int = 1) -> pd.DataFrame:
    """Compute what is missing of an experiment, and return the table of all its results.

    Parameters
    ----------
    out_dir : gets `<name>/` with experiment.json, provenance.json, cells/, scores.csv, folds.csv; and, shared by experiments, recordings/, encoders/, features/.
    n_jobs : processes, as joblib counts them; a backend that the caller chose (`joblib.parallel_config`) is used. Cores are divided among them.

    Returns
    -------
    DataFrame, a row a cell: experiment, dataset, label, protocol, the columns of `cells`, and macro_f1, balanced_accuracy, each with _low and _high (95 %,
    animals resampled), n (units scored). Scores are computed once, over the pooled predictions of all folds; those lie in cells/<cell>/predictions.csv.

    Raises
    ------
    ValueError : the folder holds another experiment of this name; the recordings don't fit it.
    """
    from joblib import Parallel, delayed, effective_n_jobs

    out_dir = Path(out_dir)
    folder = out_dir / experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    _same_or_first(folder / "experiment.json", experiment)
    data = _prepare(experiment, out_dir)
    cells = experiment.cells()
    todo = [row for row in cells.to_dict("records") if not cell_folder(experiment, out_dir, row).exists()]
    threads = max(1, torch.get_num_threads() // effective_n_jobs(n_jobs))
    # First the encoders, each once; then features, each once; then everything that is read off them.
    vectors = {_feature_id(experiment, row, data): row for row in todo}
    vectors = {name: row for name, row in vectors.items() if not (out_dir / "features" / name).exists()}
    trained = {_encoder_id(experiment, row, data): row for row in vectors.values() if experiment.encoder_of(row["method"])}
    trained = {name: row for name, row in trained.items() if not (out_dir / "encoders" / name).exists()}
    for work, rows, what in ((_train, [*trained.values()], "encoder"), (_describe, [*vectors.values()], "feature set"), (_cell, todo, "cell")):
        tasks = (delayed(work)(experiment, row, data, out_dir, threads) for row in rows)
        for _ in progress(Parallel(n_jobs=n_jobs, return_as="generator")(tasks), total=len(rows), desc=f"{experiment.name}: {what}s", unit=what, disable=not rows):
            pass
    _write(folder / "provenance.json", json.dumps(_provenance(experiment, data), indent=1))
    scores, folds = [], []
    for row in cells.to_dict("records"):
        result = json.loads((cell_folder(experiment, out_dir, row) / "result.json").read_text(encoding="utf-8"))
        common = {"experiment": experiment.name, "dataset": data["dataset"], "label": experiment.label, "protocol": experiment.protocol, **row}
        scores.append(common | result["scores"])
        folds += [common | fold for fold in result["folds"]]
    for name, rows in (("scores", scores), ("folds", folds)):
        _write(folder / f"{name}.csv", pd.DataFrame(rows).to_csv(index=False))
    return pd.DataFrame(scores)


def _same_or_first(path: Path, experiment: Experiment):
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8")) != json.loads(experiment.to_json()):
            raise ValueError(f"{path.parent} holds another experiment of the name {experiment.name!r}; give this one a new name, or remove that folder.")
    else:
        _write(path, experiment.to_json())


def _write(path: Path, text: str):
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _prepare(experiment: Experiment, out_dir: Path) -> dict:
    """Recordings on disk, which processes open as memory maps, with their fingerprint; who is trained on and who is held out."""
    if experiment.source == "simulated":
        from .sources.simulated import simulate_recordings

        dataset = f"simulated {experiment.modality}, {experiment.n_animals} animals, seed {experiment.data_seed}"
        folder = out_dir / "recordings" / f"simulated-{experiment.modality}-{experiment.n_animals}-{experiment.data_seed}"
        if not folder.exists():
            with atomic_directory(folder) as partial:
                for recording in simulate_recordings(experiment.n_animals, experiment.modality, experiment.data_seed):
                    recording.save(partial / recording.recording_id)
    else:
        folder = Path(experiment.source)
        dataset = folder.name
    paths = sorted(header.parent for header in folder.glob("*/recording.json"))
    if not paths:
        raise ValueError(f"{experiment.name}: there is no saved recording in {folder}; save some with Recording.save(folder / name).")
    headers = [json.loads((path / "recording.json").read_text(encoding="utf-8")) for path in paths]
    animals = list(dict.fromkeys(header["animal_id"] for header in headers))
    held_out = animals[len(animals) - experiment.n_held_out :] if experiment.protocol == "inductive zero-shot" else []
    learn = [animal for animal in animals if animal not in held_out]
    most = max((*experiment.pretraining_animals, *experiment.label_animals, 1))
    if len(learn) < max(most, 1 + (not held_out)):
        raise ValueError(f"{experiment.name}: {len(learn)} animals to learn from and {len(held_out)} held out, of {len(animals)}; too few for "
                         f"{experiment.protocol} with {most}.")
    contents = {header["recording_id"]: {name: file["sha256"] for name, file in header["files"].items()} for header in headers}
    return {"dataset": dataset, "paths": [(str(path), header["animal_id"]) for path, header in zip(paths, headers)], "learn": learn, "held_out": held_out,
            "fingerprint": hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]}


def _recordings(data: dict, animals=None) -> list[Recording]:
    return [Recording.load(path, verify=False) for path, animal in data["paths"] if animals is None or animal in animals]


def _part(data: dict, n: float, seed: int) -> list[str]:
    """n of the animals to learn from, the same for a seed whatever the method, and the fewer among the more; NaN: all."""
    order = np.random.default_rng([seed, 7]).permutation(len(data["learn"]))
    return [data["learn"][i] for i in (order if np.isnan(n) else order[: int(n)])]


def _cell_id(row: dict) -> str:
    parts = [row["method"].replace(" ", "-").replace(":", "").replace(",", ""), f"seed{row['seed']}"]
    parts += [f"{name}{row[name]:.6g}" for name in ("pretraining_animals", "label_animals", "label_share", "draw") if not np.isnan(row[name])]
    return "_".join(parts)


def cell_folder(experiment: Experiment, out_dir: str | Path, row) -> Path:
    """Where one row of the table that `run` returns keeps its predictions.csv and result.json."""
    return Path(out_dir) / experiment.name / "cells" / _cell_id(row)


def _encoder_id(experiment: Experiment, row: dict, data: dict) -> str:
    recipe = experiment.recipe(experiment.encoder_of(row["method"]), row["seed"])
    return _digest(recipe.to_json(), data["fingerprint"], sorted(_part(data, row["pretraining_animals"], row["seed"])))


def _digest(*what) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:20]


def _train(experiment: Experiment, row: dict, data: dict, out_dir: Path, threads: int):
    """Train and keep one encoder, on the recordings of the animals to learn from and no others."""
    torch.set_num_threads(threads)
    recordings = _recordings(data, _part(data, row["pretraining_animals"], row["seed"]))
    trained = pretrain(recordings, experiment.recipe(experiment.encoder_of(row["method"]), row["seed"]))
    try:
        trained.save(out_dir / "encoders" / _encoder_id(experiment, row, data))
    except FileExistsError:
        pass                               # another process was quicker, with the same result


def _feature_id(experiment: Experiment, row: dict, data: dict) -> str:
    """Rows with the same have the same features: those that differ only in the labels used."""
    if experiment.encoder_of(row["method"]):
        return _encoder_id(experiment, row, data)
    features = split(row["method"])[0]
    return _digest(features, data["fingerprint"], experiment.recipe(next(iter(experiment.encoders)), row["seed"]).to_json() if features == UNTRAINED else None)


def _describe(experiment: Experiment, row: dict, data: dict, out_dir: Path, threads: int):
    """Keep one feature set."""
    torch.set_num_threads(threads)
    recordings, recipe = _recordings(data), experiment.recipe(experiment.encoder_of(row["method"]) or next(iter(experiment.encoders)), row["seed"])
    if experiment.encoder_of(row["method"]):
        features = embed(Pretrained.load(out_dir / "encoders" / _encoder_id(experiment, row, data)).encoder, recordings)
    else:
        features = features_without_training(split(row["method"])[0], recordings, recipe.model, row["seed"])
    target = out_dir / "features" / _feature_id(experiment, row, data)
    try:
        with atomic_directory(target) as folder:
            np.save(folder / "values.npy", features.to_numpy())
            (folder / "index.json").write_text(json.dumps([list(features.columns), *(features.index.get_level_values(level).tolist() for level in (0, 1))]))
    except FileExistsError:
        pass                               # another process was quicker, with the same result


def _kept_features(experiment: Experiment, row: dict, data: dict, out_dir: Path) -> pd.DataFrame:
    folder = out_dir / "features" / _feature_id(experiment, row, data)
    columns, *index = json.loads((folder / "index.json").read_text())
    return pd.DataFrame(np.load(folder / "values.npy"), columns=columns, index=pd.MultiIndex.from_arrays(index, names=["recording_id", "unit_id"]))


def _cell(experiment: Experiment, row: dict, data: dict, out_dir: Path, threads: int):
    """Decode one cell and write its result and predictions."""
    torch.set_num_threads(threads)
    features = _kept_features(experiment, row, data, out_dir)
    units = units_table(_recordings(data)).loc[features.index]
    if experiment.label not in units:
        raise ValueError(f"{experiment.name}: no unit has a column {experiment.label!r}; there are {sorted(units.columns)}.")
    labels, rng = units[experiment.label], np.random.default_rng([row["seed"], 11, 0 if np.isnan(row["draw"]) else int(row["draw"])])
    learn = units["animal_id"].isin(_part(data, row["label_animals"], row["seed"]))
    labels = labels.where(learn | units["animal_id"].isin(data["held_out"]))
    if row["label_share"] < 1:
        labels = labels.where(~learn | labels.index.isin(_drawn(labels[learn].dropna(), row["label_share"], rng)))
    features, labels, classifier = as_decoded(row["method"], features, labels, units["animal_id"], row["seed"], rng)
    protocol = "transductive" if experiment.protocol == "transductive" else "zero-shot"
    result = decode(features, labels, units["animal_id"], protocol, test_groups=data["held_out"] or None, seed=row["seed"], classifier=classifier)
    scores = result.scores.set_index("metric")
    flat = {f"{metric}{end}": scores.loc[metric, column] for metric in ("macro_f1", "balanced_accuracy") for end, column in (("", "estimate"), ("_low", "low"), ("_high", "high"))}
    right = (result.predictions["true"] == result.predictions["predicted"]).groupby(result.predictions["fold"]).agg(["mean", "size"])
    folds = [{"fold": int(fold), "accuracy": float(one["mean"]), "n": int(one["size"])} for fold, one in right.iterrows()]
    with atomic_directory(cell_folder(experiment, out_dir, row)) as folder:
        result.predictions.join(result.groups.rename("animal_id")).to_csv(folder / "predictions.csv")
        (folder / "result.json").write_text(json.dumps({"scores": {**{name: float(value) for name, value in flat.items()}, "n": len(result.predictions)}, "folds": folds}))


def _drawn(labels: pd.Series, share: float, rng: np.random.Generator) -> pd.Index:
    """A share of the labelled units, within each class, at least one of each."""
    return pd.Index([unit for _, part in labels.groupby(labels) for unit in part.index[rng.permutation(len(part))[: max(1, round(share * len(part)))]]])


def _provenance(experiment: Experiment, data: dict) -> dict:
    import sklearn

    from . import __version__
    try:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True, cwd=Path(__file__).parent).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {"experiment": asdict(experiment), "dataset": data["dataset"], "data_fingerprint": data["fingerprint"], "learn": data["learn"], "held_out": data["held_out"],
            "versions": {"nuclr_lite": __version__, "torch": torch.__version__, "numpy": np.__version__, "pandas": pd.__version__,
                         "scikit-learn": sklearn.__version__, "python": platform.python_version()},
            "git": commit, "machine": f"{os.cpu_count()} x {platform.machine()}, {'CUDA: ' + torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'}"}
