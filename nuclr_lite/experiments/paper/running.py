"""Running a published row: an encoder with its checkpoints, their vectors, scores in two ways.

All of it is kept, and a run that was stopped goes on where it was; rows with the same encoder share
it.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ...checkpoints import fingerprint
from ...decoding import scores_of
from ...embedding import embed
from ...files.progress import progress
from ...files.storage import atomic_file
from ...pretrained import Pretrained, checkpoints_in
from ...pretraining import pretrain
from ...recording import Recording, match_sampling, units_table
from ...sources.folder import saved_in
from ..data import versions
from ..kept import keep_features, kept_features
from ..running import digest
from .row import INDUCTIVE, SEED, Row
from .scoring import OURS, Fold, check_folds, our_folds, predicted

AS_PUBLISHED, AS_WE_WOULD = "as published", "as we would"


def run_row(
    row: Row,
    source: str | Path,
    out_dir: str | Path = "runs",
    *,
    seeds: tuple[int, ...] = (SEED,),
    n_checkpoints: int = 20,
    incomplete: bool = False,
    device: str | None = None,
    **changes,
) -> pd.DataFrame:
    """Train what a row trains, and score it as published and as we would.

    Parameters
    ----------
    source : folder of saved recordings of the row's data set, made as `row.data.how` says.
    out_dir : gets paper/<row>/ with scores.csv, predictions.csv, provenance.json and, shared by
        rows, paper/encoders/ (a checkpoint of the published size takes 76 MB), paper/features/.
    seeds : of encoders. The authors' configs have one, 42.
    n_checkpoints : among which the epoch is chosen, evenly over the training; theirs have one an
        epoch, about 300.
    incomplete : go on where sessions of the lists are missing, with those there are.
    device : 'cpu', or None for what accelerate finds.
    changes : fields of the recipe, such as steps=10_000: no longer the published one.

    Returns
    -------
    DataFrame: row, way ('as published', 'as we would'), label_share, seed, macro_f1, low, high
    (95 %, animals resampled), n (units scored), n_animals, steps (the encoders' that were chosen),
    published (macro F1).

    Raises
    ------
    ValueError : before anything is computed: no recording of this data set, sessions that are
        missing, units without the label, a class that a fold can't learn.
    """
    out_dir = Path(out_dir) / "paper"
    recordings, sessions = _recordings(row, Path(source), incomplete)
    trained_on = [
        recording for recording, chosen in zip(recordings, row.pretrained_on(sessions)) if chosen
    ]
    if not trained_on:
        raise ValueError(f"{row.name}: none of its sessions to pretrain on is in {source}.")
    units = _units(row, recordings, sessions)
    seen = {recording.animal_id for recording in trained_on}
    published = row.folds(units)
    check_folds(row.name, published, units["label"])
    tested = units.index[units.index.isin(np.concatenate([fold.test for fold in published]))]
    ours = our_folds(units, row.protocol, tested, seen)
    _say_who_was_seen(row, sessions, units.loc[tested], ours)
    ways = {AS_PUBLISHED: (published, row.readout), AS_WE_WOULD: (ours, OURS)}
    described = [
        recording
        for recording in recordings
        if recording.recording_id in set(units.index.get_level_values(0))
    ]
    train = row.recipe(**changes).train
    every = max(1, train.steps // n_checkpoints)
    log_every = min(train.log_every, every)
    every -= every % log_every
    rows, tables = [], []
    for seed in seeds:
        recipe = row.recipe(seed, **changes).with_(checkpoint_every=every, log_every=log_every)
        features = _features(recipe, trained_on, described, out_dir, device)
        common = units.loc[
            [all(unit in table.index for table in features.values()) for unit in units.index]
        ]
        for way, (folds, readout) in ways.items():
            for share in row.shares if folds else ():
                predictions = predicted(
                    features,
                    common["label"],
                    [_part(fold, common, share) for fold in folds],
                    readout,
                )
                score = scores_of(
                    predictions,
                    common.loc[predictions.index, "animal_id"],
                    sorted(common["label"].unique()),
                    1000,
                    0,
                ).iloc[0]
                about = {"row": row.name, "way": way, "label_share": share, "seed": seed}
                chosen = sorted(predictions["step"].unique())
                rows.append(
                    about
                    | {
                        "macro_f1": score["estimate"],
                        "low": score["low"],
                        "high": score["high"],
                        "n": len(predictions),
                        "n_animals": common.loc[predictions.index, "animal_id"].nunique(),
                        "steps": " ".join(map(str, chosen)),
                        "published": row.published if row.published and share == 1 else np.nan,
                    }
                )
                tables.append(predictions.reset_index().assign(**about))
    table = pd.DataFrame(rows)
    _write(
        out_dir / row.name, table, pd.concat(tables), _provenance(row, recipe, sessions, trained_on)
    )
    return table


def _recordings(row: Row, source: Path, incomplete: bool) -> tuple[list[Recording], pd.DataFrame]:
    """The recordings that the row's lists name, as memory maps, and what the lists say of each:
    the facts, and `name`, recording_id, animal_id.
    """
    facts, found = row.data.facts, []
    paths = saved_in(source)
    for path in paths:
        header = json.loads((path / "recording.json").read_text(encoding="utf-8"))
        name = row.data.name_of(header)
        if name in facts.index:
            found.append((path, name))
    if not found:
        raise ValueError(
            f"{row.name}: none of the {len(paths)} recordings in {source} is of a session of"
            f" {row.data.name} that the paper lists; make them with {row.data.how}, and save each"
            " with recording.save(folder / name)."
        )
    needed = facts.index[row.pretrained_on(facts) | row.scored(facts)]
    missing = [name for name in needed if name not in {name for _, name in found}]
    if missing:
        what = (
            f"{row.name}: {len(missing)} of the {len(needed)} it needs are missing in {source}"
            f" (first: {', '.join(missing[:3])})"
        )
        if not incomplete:
            raise ValueError(
                f"{what}; get them with {row.data.how}, or pass incomplete=True for a row of those"
                " that are there."
            )
        warnings.warn(f"{what}; the row is of the others.", stacklevel=3)
    recordings = [Recording.load(path, verify=False) for path, _ in found]
    sessions = facts.loc[[name for _, name in found]].rename_axis("name").reset_index()
    return recordings, sessions.assign(
        recording_id=[recording.recording_id for recording in recordings],
        animal_id=[recording.animal_id for recording in recordings],
    )


def _units(row: Row, recordings: list[Recording], sessions: pd.DataFrame) -> pd.DataFrame:
    """The units that count, in the order of their ids, with `label` and what the lists say."""
    units = units_table(recordings)
    if row.label not in units:
        raise ValueError(
            f"{row.name}: no unit has a column {row.label!r}; there are {sorted(units.columns)}."
        )
    lists = sessions.drop(columns="animal_id").set_index("recording_id")
    units = units[units.columns.difference(lists.columns)].join(lists, on="recording_id")
    units["label"] = row.labels(units)
    units = units[units["label"].notna()].sort_index()
    if not len(units):
        raise ValueError(
            f"{row.name}: no unit of the sessions that count has one of the labels"
            f" {', '.join(row.classes) or row.label!r}."
        )
    return units.astype({"label": str})


def _say_who_was_seen(row: Row, sessions: pd.DataFrame, tested: pd.DataFrame, ours: list[Fold]):
    """A warning where an inductive row tests sessions or animals that its encoder saw."""
    trained = sessions[row.pretrained_on(sessions)]
    same = sorted(set(tested["name"]) & set(trained["name"]))
    animals = sorted(set(tested["animal_id"]) & set(trained["animal_id"]))
    if row.protocol == INDUCTIVE and animals:
        new = tested["animal_id"].nunique() - len(animals)
        what = f"{len(same)} of the tested sessions ({', '.join(same[:3])})" if same else "sessions"
        warnings.warn(
            f"{row.name}: as published, the encoder is trained on {what} of {len(animals)} tested"
            f" animals; {AS_WE_WOULD!r} tests the {new} that it never saw"
            + ("." if ours else ": nothing."),
            stacklevel=3,
        )


def _features(
    recipe, trained_on: list[Recording], described: list[Recording], out_dir: Path, device
) -> dict[int, pd.DataFrame]:
    """step -> vectors of the described recordings, for each checkpoint of one training."""
    encoder = digest(recipe.to_json(), fingerprint(trained_on))
    folder = out_dir / "encoders" / encoder
    last = folder / f"checkpoint-{recipe.train.steps:08d}"
    if not last.exists():
        pretrain(trained_on, recipe, folder, resume=True, keep_all=True, device=device)
    what = digest(fingerprint(described))
    features = {}
    for checkpoint in progress(checkpoints_in(folder), desc="embed", unit="checkpoint"):
        step = int(checkpoint.name.rpartition("-")[2])
        target = out_dir / "features" / f"{encoder}-{step}-{what}"
        if not target.exists():
            saved = Pretrained.load(checkpoint).encoder
            sampled = [match_sampling(recording, recipe.model.sample_s) for recording in described]
            keep_features(target, embed(saved, sampled, grid_s=recipe.views.grid_s))
        features[step] = kept_features(target)
    return features


def _part(fold: Fold, units: pd.DataFrame, share: float) -> Fold:
    """A fold of the units that have vectors, with a share of its training labels: the first ones
    after a permutation by numpy's seed 0, as in the authors' notebook, which keeps all labels that
    choose the epoch.
    """

    def described(index: pd.Index) -> pd.Index:
        return index[index.isin(units.index)]

    fit = described(fold.fit)
    if share == 1:
        choose = tuple((described(learn), described(part)) for learn, part in fold.choose)
        return Fold(fit, described(fold.test), choose)
    order = np.random.RandomState(0).permutation(len(fit))
    fit = fit[np.sort(order[: max(1, int(share * len(fit)))])]
    return Fold(fit, described(fold.test), tuple((fit, described(part)) for _, part in fold.choose))


def _provenance(row: Row, recipe, sessions: pd.DataFrame, trained_on: list[Recording]) -> dict:
    return {
        "row": row.name,
        "data": row.data.name,
        "protocol": row.protocol,
        "recipe": json.loads(recipe.to_json()),
        "differs": row.differs,
        "trained_on": [recording.recording_id for recording in trained_on],
        "sessions": sessions["name"].unique().tolist(),
        **versions(),
    }


def _write(folder: Path, table: pd.DataFrame, predictions: pd.DataFrame, provenance: dict):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("scores.csv", table.to_csv(index=False)),
        ("predictions.csv", predictions.to_csv(index=False)),
        ("provenance.json", json.dumps(provenance, indent=1)),
    ):
        with atomic_file(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
