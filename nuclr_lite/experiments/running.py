"""Running an `Experiment`: it fills a folder that can be left at any moment, gone on with, read.

Its *cells* are the single results: one method, one seed, one number of animals or labels. `run`
computes the cells that its folder lacks, in parallel through joblib, and writes one table of all.
Encoders are kept beside and shared: cells that need the same one, of any experiment, train it once.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..decoding import decode, scores_of
from ..embedding import embed
from ..files.progress import progress
from ..files.storage import atomic_directory, atomic_file, check_seal, seal
from ..files.tables import within_recordings
from ..presets import Preset
from ..pretrained import Pretrained
from ..pretraining import pretrain
from ..recording import Recording, match_sampling, units_table
from .data import part_of, prepare, provenance, recordings_of
from .experiment import Experiment
from .kept import AGAIN, keep_features, kept_features, kept_index
from .methods import BESIDE, HAND, UNTRAINED, as_decoded, features_without_training


def run(experiment: Experiment, out_dir: str | Path, n_jobs: int = 1) -> pd.DataFrame:
    """Compute what is missing of an experiment, and return the table of all its results.

    Parameters
    ----------
    out_dir : gets `<name>/` with experiment.json, provenance.json, cells/, scores.csv, folds.csv;
        and, shared by experiments, recordings/, encoders/, features/.
    n_jobs : processes, as joblib counts them; a backend that the caller chose
        (`joblib.parallel_config`) is used. Cores are divided among them.

    Returns
    -------
    DataFrame, a row a cell: experiment, dataset, label, protocol, the columns of `cells`, and
    macro_f1, balanced_accuracy, each with _low and _high (95 %, animals resampled), n (units
    scored). Scores are computed once, over the pooled predictions of all folds; those lie in
    cells/<cell>/predictions.csv.

    Raises
    ------
    ValueError : the folder holds another experiment of this name; the recordings don't fit it.
    """
    from joblib import Parallel, delayed, effective_n_jobs

    out_dir = Path(out_dir)
    folder = out_dir / experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    _same_or_first(folder / "experiment.json", experiment)
    data = prepare(experiment, out_dir)
    cells = experiment.cells()
    todo = [
        row
        for row in cells.to_dict("records")
        if not cell_folder(experiment, out_dir, row).exists()
    ]
    if todo:  # what no training can mend is said before any
        units = units_table(recordings_of(data))
        animals = units.index.to_frame()["recording_id"].map(data["sides"])
        _tested(experiment, _labels(experiment, units), animals, data)
    threads = max(1, torch.get_num_threads() // effective_n_jobs(n_jobs))
    # Encoders and features that need none, each once; then the encoders' features; then everything
    # that is read off them. Encoders come first, as they take longest.
    vectors = {_feature_id(experiment, row, data): row for row in todo}
    vectors = {
        name: row for name, row in vectors.items() if not (out_dir / "features" / name).exists()
    }
    from_encoder = [row for row in vectors.values() if experiment.encoder_of(row["method"])]
    without = [row for row in vectors.values() if not experiment.encoder_of(row["method"])]
    encoders = {_encoder_id(experiment, row, data): row for row in from_encoder}
    encoders = {
        name: row for name, row in encoders.items() if not (out_dir / "encoders" / name).exists()
    }
    for works, what in (
        (
            [(train_encoder, row) for row in encoders.values()]
            + [(_describe, row) for row in without],
            "encoders and features without",
        ),
        ([(_describe, row) for row in from_encoder], "features of encoders"),
        ([(decode_cell, row) for row in todo], "cells"),
    ):
        if what == "cells" and works:
            data["common"] = _common_units(experiment, cells, data, out_dir)
        tasks = (delayed(work)(experiment, row, data, out_dir, threads) for work, row in works)
        # joblib replaces a worker that has grown or waited long, and says so each time
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore",
                message="A worker stopped while some jobs were given",
                category=UserWarning,
            )
            for _ in progress(
                Parallel(n_jobs=n_jobs, return_as="generator")(tasks),
                total=len(works),
                desc=f"{experiment.name}: {what}",
                disable=not works,
            ):
                pass
    _write(folder / "provenance.json", json.dumps(provenance(experiment, data), indent=1))
    scores, folds = [], []
    for row in cells.to_dict("records"):
        check_seal(cell_folder(experiment, out_dir, row), AGAIN)
        result = json.loads(
            (cell_folder(experiment, out_dir, row) / "result.json").read_text(encoding="utf-8")
        )
        common = {
            "experiment": experiment.name,
            "dataset": data["dataset"],
            "label": experiment.label,
            "protocol": experiment.protocol,
            **row,
        }
        scores.append(common | result["scores"])
        folds += [common | fold for fold in result["folds"]]
    for name, rows in (("scores", scores), ("folds", folds)):
        _write(folder / f"{name}.csv", pd.DataFrame(rows).to_csv(index=False))
    return pd.DataFrame(scores)


def _same_or_first(path: Path, experiment: Experiment):
    if path.exists():
        # Through from_json: fields that were added since have their defaults.
        if Experiment.from_json(path.read_text(encoding="utf-8")).to_json() != experiment.to_json():
            raise ValueError(
                f"{path.parent} holds another experiment of the name {experiment.name!r}; give this"
                " one a new name, or remove that folder."
            )
    else:
        _write(path, experiment.to_json())


def _write(path: Path, text: str):
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _cell_id(row: dict) -> str:
    parts = [
        row["method"].replace(" ", "-").replace(":", "").replace(",", ""),
        f"seed{row['seed']}",
    ]
    parts += [
        f"{name}{row[name]:.6g}"
        for name in ("pretraining_animals", "label_animals", "label_share", "draw")
        if not np.isnan(row[name])
    ]
    return "_".join(parts)


def cell_folder(experiment: Experiment, out_dir: str | Path, row) -> Path:
    """Where one row of the table that `run` returns keeps its predictions.csv and result.json."""
    return Path(out_dir) / experiment.name / "cells" / _cell_id(row)


def predictions(experiment: Experiment, out_dir: str | Path, row) -> pd.DataFrame:
    """Every scored unit of one row: true, predicted, fold, a probability a class, animal_id;
    indexed by (recording_id, unit_id).
    """
    folder = cell_folder(experiment, out_dir, row)
    check_seal(folder, AGAIN)
    return pd.read_csv(folder / "predictions.csv", index_col=["recording_id", "unit_id"])


def trained(
    experiment: Experiment, out_dir: str | Path, method: str = "NuCLR", seed: int | None = None
) -> Pretrained:
    """An encoder of an experiment, trained on all animals to learn from; trained now, and kept, if
    it wasn't yet. seed : None: the first.
    """
    if method not in experiment.encoders:
        raise ValueError(
            f"{experiment.name} has no encoder {method!r}; it has {', '.join(experiment.encoders)}."
        )
    data, row = (
        prepare(experiment, Path(out_dir)),
        {
            "method": method,
            "seed": experiment.seeds[0] if seed is None else seed,
            "pretraining_animals": float("nan"),
        },
    )
    folder = Path(out_dir) / "encoders" / _encoder_id(experiment, row, data)
    if not folder.exists():
        train_encoder(experiment, row, data, Path(out_dir), torch.get_num_threads())
    return Pretrained.load(folder)


def recordings(experiment: Experiment, out_dir: str | Path) -> tuple[list[Recording], list[str]]:
    """The recordings of an experiment, as memory maps, and the animals that are held out."""
    data = prepare(experiment, Path(out_dir))
    return recordings_of(data), data["held_out"]


def _recipe(experiment: Experiment, row: dict) -> Preset:
    """Of the encoder whose vectors the row's method uses."""
    encoder = experiment.encoder_of(row["method"])
    assert encoder is not None  # only rows with an encoder are asked about
    return experiment.recipe(encoder, row["seed"])


def _encoder_id(experiment: Experiment, row: dict, data: dict) -> str:
    return digest(
        _recipe(experiment, row).to_json(),
        data["fingerprint"],
        sorted(part_of(data, row["pretraining_animals"], row["seed"])),
    )


def digest(*what) -> str:
    """A name for what JSON can hold."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:20]


def train_encoder(experiment: Experiment, row: dict, data: dict, out_dir: Path, threads: int):
    """Train and keep one encoder, on the recordings of the animals to learn from and no others."""
    torch.set_num_threads(threads)
    recordings = recordings_of(data, part_of(data, row["pretraining_animals"], row["seed"]))
    trained = pretrain(recordings, _recipe(experiment, row))
    try:
        trained.save(out_dir / "encoders" / _encoder_id(experiment, row, data))
    except FileExistsError:
        pass  # another process was quicker, with the same result


def _feature_id(experiment: Experiment, row: dict, data: dict) -> str:
    """Rows with the same have the same features: those that differ only in the labels used."""
    if experiment.encoder_of(row["method"]):
        return _encoder_id(experiment, row, data)
    features = experiment.methods[row["method"]].computed
    return digest(
        features,
        data["fingerprint"],
        (
            experiment.recipe(next(iter(experiment.encoders)), row["seed"]).to_json()
            if features == UNTRAINED
            else None
        ),
    )


def _describe(experiment: Experiment, row: dict, data: dict, out_dir: Path, threads: int):
    """Keep one feature set."""
    torch.set_num_threads(threads)
    recipe = experiment.recipe(
        experiment.encoder_of(row["method"]) or next(iter(experiment.encoders)), row["seed"]
    )
    recordings = [
        match_sampling(recording, recipe.model.sample_s) for recording in recordings_of(data)
    ]
    if experiment.encoder_of(row["method"]):
        encoder = Pretrained.load(out_dir / "encoders" / _encoder_id(experiment, row, data)).encoder
        features = embed(encoder, recordings, grid_s=recipe.views.grid_s)
    else:
        features = features_without_training(
            experiment.methods[row["method"]].computed, recordings, recipe, row["seed"]
        )
    keep_features(out_dir / "features" / _feature_id(experiment, row, data), features)


def _common_units(
    experiment: Experiment, cells: pd.DataFrame, data: dict, out_dir: Path
) -> pd.MultiIndex:
    """Units that every feature set of the experiment describes (a unit that never fires in a window
    has no embedding).
    """
    names = dict.fromkeys(_feature_id(experiment, row, data) for row in cells.to_dict("records"))
    return reduce(
        lambda common, index: common.intersection(index, sort=False),
        (kept_index(out_dir / "features" / name)[1] for name in names),
    )


def _labels(experiment: Experiment, units: pd.DataFrame) -> pd.Series:
    """What is to be decoded of each unit."""
    if experiment.label not in units:
        raise ValueError(
            f"{experiment.name}: no unit has a column {experiment.label!r}; there are"
            f" {sorted(units.columns)}."
        )
    labels = units[experiment.label]
    return labels.where(labels.isin(experiment.classes)) if experiment.classes else labels


def _tested(experiment: Experiment, labels: pd.Series, animals: pd.Series, data: dict) -> list[str]:
    """The held-out animals that can be scored."""
    if experiment.protocol != "inductive zero-shot":
        return []
    labelled = set(animals[labels.notna()])
    tested = [animal for animal in data["held_out"] if animal in labelled]
    if not tested:
        raise ValueError(
            f"{experiment.name}: none of the held-out animals"
            f" ({', '.join(map(str, data['held_out']))}) has a unit with a label to be scored"
            f" by ({experiment.label}); hold out animals that have some."
        )
    return tested


def decode_cell(experiment: Experiment, row: dict, data: dict, out_dir: Path, threads: int):
    """Decode one cell and write its result and predictions.

    All methods of an experiment are scored on the same units: those that each of them describes.
    """
    torch.set_num_threads(threads)
    features = kept_features(out_dir / "features" / _feature_id(experiment, row, data))
    features = features.loc[features.index.isin(data["common"])]
    method = experiment.methods[row["method"]]
    if method.readout == BESIDE:
        hand = _feature_id(experiment, row | {"method": HAND}, data)
        features = features.join(kept_features(out_dir / "features" / hand))
    units = units_table(recordings_of(data)).loc[features.index]
    labels = _labels(experiment, units)
    rng = np.random.default_rng([row["seed"], 11, 0 if np.isnan(row["draw"]) else int(row["draw"])])
    if experiment.within_recordings:
        features, labels = within_recordings(features, labels)
    recording = units.index.to_frame()["recording_id"]
    animals = recording.map(data["sides"])
    learn = animals.isin(part_of(data, row["label_animals"], row["seed"]))
    tested = _tested(experiment, labels, animals, data)
    labels = labels.where(learn | animals.isin(tested))
    # nothing to learn from elsewhere: one of the held-out animals is left out in turn
    tested = tested if labels[learn].notna().any() else []
    if row["label_share"] < 1:
        labels = labels.where(
            ~learn
            | labels.index.isin(drawn_labels(labels[learn].dropna(), row["label_share"], rng))
        )
    features, labels, classifier = as_decoded(method, features, labels, animals, row["seed"], rng)
    result = decode(
        features,
        labels,
        _tenths(recording, animals) if experiment.protocol == "across recordings" else animals,
        "transductive" if experiment.protocol == "transductive" else "zero-shot",
        test_groups=tested or None,
        seed=row["seed"],
        classifier=classifier,
        n_bootstrap=0,
    )
    # whatever is left out in turn, intervals are over animals
    scored_animals = animals.loc[result.predictions.index].rename("animal_id")
    scores = scores_of(result.predictions, scored_animals, result.classes, 1000, row["seed"])
    scores = scores.set_index("metric")
    flat = {
        f"{metric}{end}": scores.loc[metric, column]
        for metric in ("macro_f1", "balanced_accuracy")
        for end, column in (("", "estimate"), ("_low", "low"), ("_high", "high"))
    }
    right = (
        (result.predictions["true"] == result.predictions["predicted"])
        .groupby(result.predictions["fold"])
        .agg(["mean", "size"])
    )
    folds = [
        {"fold": int(fold), "accuracy": float(one["mean"]), "n": int(one["size"])}
        for fold, one in right.iterrows()
    ]
    with atomic_directory(cell_folder(experiment, out_dir, row)) as folder:
        result.predictions.join(scored_animals).to_csv(folder / "predictions.csv")
        (folder / "result.json").write_text(
            json.dumps(
                {
                    "scores": {
                        **{name: float(value) for name, value in flat.items()},
                        "n": len(result.predictions),
                    },
                    "folds": folds,
                }
            )
        )
        seal(folder)


def _tenths(recordings: pd.Series, animals: pd.Series) -> pd.Series:
    """Ten parts, each with a tenth of every animal's recordings; fewer where no animal has ten."""
    own = pd.DataFrame({"recording": recordings, "animal": animals}).drop_duplicates()
    part = own.groupby("animal").cumcount() % 10
    return recordings.map(dict(zip(own["recording"], part.astype(str))))


def drawn_labels(labels: pd.Series, share: float, rng: np.random.Generator) -> pd.Index:
    """A share of the labelled units, within each class, at least one of each."""
    drawn = [
        unit
        for _, part in labels.groupby(labels)
        for unit in part.index[rng.permutation(len(part))[: max(1, round(share * len(part)))]]
    ]
    return pd.Index(drawn)
