"""The leak checklist: ways in which a good score can be worth nothing, each a function that looks
for one of them.

    checks.leaks(
        recordings, pretrained, "cell_type", embedding=embedding, predictions=result.predictions
    )

`fine` means that this fault was not found, not that it is not there. A limit is where one should
look, not where a fault begins; each is explained at its function.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ..decoding import decode
from ..files.identity import words
from ..files.intervals import covered
from ..recording import Recording, as_list, units_table
from .checks_recording import Check, brightness, duplicates, encoder, light, seconds

UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def split(train_animals, test_animals) -> Check:
    """Is an animal, however its name is written (M-07, m7), both learned from and tested on?"""
    learned = {words(name) for name in set(train_animals)}
    both = sorted({str(name) for name in set(test_animals) if words(name) in learned})
    return Check(
        "split",
        bool(both),
        f"animals on both sides: {len(both)}" + f" {both[:3]}" * bool(both),
        "Leave whole animals out (protocol='zero-shot'), or call the score transductive",
    )


def seen(trained_on: pd.DataFrame, recordings: Recording | list[Recording] | pd.DataFrame) -> Check:
    """Was the encoder trained on these animals, or these recordings? A score on an animal that it
    has seen is transductive, not inductive.

    trained_on : with recording_id and animal_id: `Pretrained.trained_on`, or of a published encoder
        `sources.published.brainwidebench.trained_on`. recordings : or a table of units with
        recording_id (also in its index) and animal_id. A recording is one of the list's also where
        the uuid of one of them is part of its id, as in `<session>-<probe>`.
    """
    if isinstance(recordings, pd.DataFrame):
        both = recordings.reset_index()[["recording_id", "animal_id"]].drop_duplicates()
        pairs = [*both.astype(str).itertuples(index=False, name=None)]
    else:
        pairs = [(one.recording_id, str(one.animal_id)) for one in as_list(recordings, "check")]
    animals_known = {words(name) for name in trained_on["animal_id"]}
    known = set(trained_on["recording_id"].astype(str))
    again = {name for name, _ in pairs if name in known or set(UUID.findall(str(name))) & known}
    met = {one for name, one in pairs if words(one) in animals_known or name in again}
    of_animals = f"{len(met)} of {len({one for _, one in pairs})}"
    of_recordings = f"{len(again)} of {len(dict(pairs))}"
    return Check(
        "seen",
        bool(met),
        f"{of_animals} animals"
        + f" and {of_recordings} recordings" * bool(again and of_recordings != of_animals)
        + f" were in the encoder's training {sorted(met)[:3] or ''}".rstrip(),
        "Call the score transductive, or take an encoder that hasn't seen them",
    )


def animals(labels: pd.Series, animals: pd.Series, fewest: int = 5) -> Check:
    """Does every label occur in `fewest` animals or more? labels (missing ones don't count),
    animals : Series on one index.

    If luck alone decided, n of n animals would come out above chance with a probability of 2^-n:
    below 5 % from five animals on.
    """
    given = labels.dropna().astype(str)
    count = animals.loc[given.index].groupby(given).nunique()
    if not len(count):
        return Check("animals", None, "no unit has a label", "")
    return Check(
        "animals",
        bool((count < fewest).any()),
        f"animals with each label: {count.to_dict()}; {fewest} are needed at least",
        "Record more animals, or claim less: show them one by one, and call it an example",
    )


def label_and_animal(
    labels: pd.Series,
    animals: pd.Series,
    embedding: pd.DataFrame | None = None,
    margin: float = 0.1,
) -> Check:
    """Does a label go with the animal, as with one Cre line an animal?

    Then telling animals apart passes for telling cells apart, and leaving animals out is not
    enough.

    Looked at where half of the animals, or more, have one label (of those with two labelled units
    at least). With `embedding`, it is fine if its macro F1, animals left out in turn, is `margin`
    above that of the means over each animal, which know nothing of single cells. labels, animals :
    Series on the embedding's
        index; without a label: not counted.
    """
    return _goes_with(
        "label and animal",
        "animals",
        labels,
        animals,
        animals,
        embedding,
        margin,
        "Show the means over animals beside the score; look for animals that have two labels, and"
        " score within them",
    )


def label_and_probe(
    labels: pd.Series,
    animals: pd.Series,
    embedding: pd.DataFrame | None = None,
    margin: float = 0.1,
) -> Check:
    """Does a label go with the recording within animals, as where each probe or plane lies in one
    area? Then whatever tells probes apart (noise, depth, number of units) gives the area away.

    As `label_and_animal`, with means over each recording, among animals that have two labels. The
    index of labels and animals begins with recording_id.
    """
    several = labels.groupby(animals.reindex(labels.index).to_numpy()).transform("nunique") > 1
    recordings = pd.Series(labels.index.get_level_values(0), index=labels.index)
    return _goes_with(
        "label and probe",
        "recordings",
        labels[several],
        animals,
        recordings,
        embedding,
        margin,
        "Show the means over recordings beside the score; score recordings that hold two labels, or"
        " swap probes between areas",
    )


def label_and_stimulus(
    recordings: Recording | list[Recording], label_column: str, limit: float = 0.2
) -> Check:
    """Do labels differ in which stimulus blocks their units were recorded in, by more than `limit`
    of their time?

    A unit counts as recorded from its first to its last spike: a quiet one isn't missed in short
    blocks, nor one that a stimulus silences; one that drifted away is.
    """
    recordings = [recording for recording in as_list(recordings, "check") if len(recording.epochs)]
    if not recordings:
        return Check("label and stimulus", None, "no stimulus blocks given", "")
    labels = pd.concat(
        [recording.units.reindex(columns=[label_column]) for recording in recordings]
    )[label_column]
    # (units, blocks)
    seconds_there = pd.concat([time_by_block(recording) for recording in recordings]).fillna(0.0)
    total = seconds_there.groupby(labels.to_numpy()).sum()  # (labels, blocks)
    share = total.div(total.sum(axis=1).clip(lower=1e-9), axis=0)
    spread = share.max() - share.min()
    if len(share) < 2 or not len(spread):
        return Check(
            "label and stimulus", None, f"{len(share)} label has units with stimulus blocks", ""
        )
    return Check(
        "label and stimulus",
        bool(spread.max() > limit),
        f"labels differ by up to {spread.max():.0%} in their share of time in {spread.idxmax()!r}",
        "Cut all recordings to blocks that every label has (recording.during)",
    )


def time_by_block(recording: Recording) -> pd.DataFrame:
    """(units, names of blocks), s: valid time in blocks of each name, from a unit's first to its
    last spike; of traces, all of it.
    """
    first, last = np.full(recording.n_units, -np.inf), np.full(recording.n_units, np.inf)
    if recording.modality == "spikes":
        rows, times = np.asarray(recording.unit_rows), np.asarray(recording.times)
        last[:] = -np.inf  # a silent unit was never there
        (fired, begins), (_, ends) = (
            np.unique(rows, return_index=True),
            np.unique(rows[::-1], return_index=True),
        )
        first[fired], last[fired] = times[begins], times[::-1][ends]
    names = {}
    for name, blocks in recording.epochs.groupby("name"):
        pieces = covered(
            np.concatenate(
                [
                    recording.intervals,
                    covered(blocks[["start_s", "stop_s"]].to_numpy(dtype=np.float64)),
                ]
            ),
            depth=2,
        )
        # (units, pieces)
        low, high = (
            np.maximum(pieces[:, 0], first[:, None]),
            np.minimum(pieces[:, 1], last[:, None]),
        )
        names[name] = np.clip(high - low, 0, None).sum(axis=1)
    return pd.DataFrame(names, index=recording.units.index)


def leaks(
    recordings: Recording | list[Recording],
    encoder_or_config=None,
    label_column: str | None = None,
    *,
    embedding: pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
    pulses: dict[str, pd.DataFrame] | None = None,
    trained_on: pd.DataFrame | None = None,
    inductive: bool = False,
) -> pd.DataFrame:
    """The whole list, as far as what you give allows.

    Parameters
    ----------
    encoder_or_config : Pretrained (whose `trained_on` is read too), NuCLR, Preset or ModelConfig.
        label_column : of the units tables.
    embedding : from `embed`. predictions : `DecodeResult.predictions`, with its folds. pulses :
        recording_id -> light pulses, DataFrame start_s, stop_s.
    trained_on : see `seen`; None: the Pretrained's.
    inductive : the claim is that the encoder has never seen the animals tested.

    Returns
    -------
    DataFrame, one row a check: check; verdict ('fine', 'look here', 'not asked'); found; where (of
    the checks that look at recordings one by one: how many to look at, and the first three; `found`
    is the first one's); to_do (empty unless there is something to look at).

    Raises
    ------
    ValueError : no recording; a label column that no units table has; pulses or predictions of
        other recordings.
    """
    recordings = as_list(recordings, "check")
    pulses, units = pulses or {}, units_table(recordings)
    if label_column is not None and label_column not in units:
        raise ValueError(
            f"no unit has a column {label_column!r}; there are {sorted(units.columns)}."
        )
    foreign = set(pulses) - {recording.recording_id for recording in recordings}
    if predictions is not None:
        foreign |= set(predictions.index.get_level_values(0)) - set(units.index.get_level_values(0))
    if foreign:
        raise ValueError(
            "pulses or predictions are of recordings that weren't given:"
            f" {sorted(map(str, foreign))[:3]}; give these too, or leave them out."
        )
    singly = {
        "seconds": seconds,
        "brightness": brightness,
        "duplicates": duplicates,
        "light": lambda recording: light(recording, pulses.get(recording.recording_id)),
    }
    if encoder_or_config is not None:
        singly["encoder"] = lambda recording: encoder(recording, encoder_or_config)
    # each with the recordings to look at, where it was asked of every one
    rows: list[Check | tuple[Check, str]] = [
        _worst([(recording.recording_id, check(recording)) for recording in recordings])
        for check in singly.values()
    ]
    rows += [] if encoder_or_config is not None else [_not_asked("encoder", "give the encoder")]
    sides = (
        []
        if predictions is None or "fold" not in predictions
        else _sides(predictions, units["animal_id"])
    )
    by_fold = [split(*pair) for pair in sides]
    by_fold = by_fold or [
        _not_asked("split", "give predictions with two folds or more, or ask checks.split")
    ]
    rows.append(next((check for check in by_fold if check.found), by_fold[0]))
    if trained_on is None:
        trained_on = getattr(encoder_or_config, "trained_on", None)
    if trained_on is None:
        rows.append(_not_asked("seen", "give the Pretrained, or trained_on of a published encoder"))
    else:
        tested = set((units if predictions is None else predictions).index.get_level_values(0))
        said = seen(
            trained_on, [recording for recording in recordings if recording.recording_id in tested]
        )
        rows.append(
            said
            if inductive or not said.found
            else _not_asked("seen", f"{said.sentence}: scores on them are transductive")
        )
    if label_column is None:
        rows += [
            _not_asked(name, "give label_column")
            for name in ("animals", "label and animal", "label and probe", "label and stimulus")
        ]
    else:
        labels, animal = units[label_column], units["animal_id"]
        if embedding is not None:
            labels = labels.loc[units.index.intersection(embedding.index, sort=False)]
        rows += [
            animals(labels, animal),
            label_and_animal(labels, animal, embedding),
            label_and_probe(labels, animal, embedding),
            label_and_stimulus(recordings, label_column),
        ]
    return pd.DataFrame(
        [
            {
                "check": check.name,
                "verdict": check.verdict,
                "found": check.sentence,
                "where": where,
                "to_do": check.remedy if check.found else "",
            }
            for check, where in (row if isinstance(row, tuple) else (row, "") for row in rows)
        ]
    )


def _not_asked(name: str, why: str) -> Check:
    return Check(name, None, why, "")


def _worst(said: list[tuple[str, Check]]) -> tuple[Check, str]:
    """The first check that found something, or else the first that was asked; and the recordings to
    look at.
    """
    worries = [(name, check) for name, check in said if check.found]
    if not worries:
        return next((check for _, check in said if check.found is not None), said[0][1]), ""
    return worries[0][1], f"{len(worries)} of {len(said)} recordings: " + ", ".join(
        name for name, _ in worries[:3]
    ) + ", ..." * (len(worries) > 3)


def _sides(predictions: pd.DataFrame, animal: pd.Series) -> list[tuple[pd.Series, pd.Series]]:
    """For each of two folds or more: the animals learned from, and those tested.

    Of a single fold, who was learned from isn't in the table.
    """
    tested, fold = animal.loc[predictions.index], predictions["fold"]
    return (
        [(tested[fold != one], tested[fold == one]) for one in fold.unique()]
        if fold.nunique() > 1
        else []
    )


def _goes_with(
    name: str, groups_are: str, labels, animals, groups, embedding, margin: float, remedy: str
) -> Check:
    """The two checks on labels that are constant within a group: an animal, or a recording."""
    given = labels.dropna().astype(str)
    if given.nunique() < 2:
        return Check(
            name,
            None,
            (
                "no animal has two labels"
                if groups_are == "recordings"
                else f"{given.nunique()} label is there"
            ),
            "",
        )
    groups, animals = groups.loc[given.index], animals.loc[given.index]
    by_group = given.groupby(groups.to_numpy())
    large = by_group.size() > 1  # one unit can only have one label
    single = float((by_group.nunique()[large] == 1).mean()) if large.any() else 0.0
    said = f"{single:.0%} of the {groups_are} have a single label"
    if single < 0.5:
        return Check(name, False, said, remedy)
    if animals.groupby(given).nunique().min() < 2:
        return Check(
            name,
            True,
            f"{said}, and a label occurs in one animal only: nobody can tell the two apart",
            remedy,
        )
    if embedding is None:
        return Check(
            name,
            True,
            f"{said}; whether vectors tell more than that, they say only if you give the embedding",
            remedy,
        )
    own = embedding.loc[given.index]
    means = own.groupby(groups.to_numpy()).transform("mean")
    units, means = (decode(table, given, animals, n_bootstrap=0).score() for table in (own, means))
    return Check(
        name,
        units < means + margin,
        f"{said}; macro F1 of units {units:.2f}, of means over {groups_are} {means:.2f}",
        remedy,
    )
