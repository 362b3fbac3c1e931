"""Labels for units without one, in new animals: calibrated probabilities, and "I don't know".

    reader = nl.ZeroShot.fit(embedding, labels, animals)          # units with a label
    answers = reader.predict(new_embedding)                       # label, or NaN and the reason
    nl.zero_shot.rehearsal(embedding, labels, animals)            # what to expect of new animals

Saved with its encoder, a reader is one folder that labels recordings wherever it is copied to:

    nl.ZeroShot.fit(embedding, labels, animals, pretrained=pretrained).save("labels-v1")
    nl.ZeroShot.load("labels-v1").read(recordings)
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import calibration_curve
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from .decoding import inner_folds, probe
from .embedding import embed
from .files.shown import ShownZeroShot
from .files.storage import atomic_directory, seal
from .files.tables import aligned
from .files.zero_shot_files import read_zero_shot, restore, write_zero_shot
from .model import NuCLR
from .pretrained import Pretrained, Shared, model_card, write_model
from .recording import Recording, as_list, units_table

TOO_FAR, BETWEEN, NO_VECTOR = "too far", "between classes", "no vector"
N_NEIGHBOURS = 5


class Calibrated(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are mended on animals left out of its training; also for
    `nl.decode`.

    Of the logarithm of its probabilities, one number scales all classes (below 1: it was too sure)
    and one a class is added (the probe weighs classes evenly; they aren't equally common). The
    numbers are those under which the labels of left-out animals are likeliest. That is fewer than a
    curve a class, as scikit-learn's CalibratedClassifierCV fits, and classes stay weighed against
    each other.

    classifier : None: `probe`. classes_ : (classes,). scale_ : float. offsets_ : (classes,).
        by_animal_ : were whole animals left out?
    """

    def __init__(self, classifier=None):
        self.classifier = classifier

    def fit(self, x, y, groups=None) -> Calibrated:
        """x: (units, columns). y: (units,) labels. groups: (units,) animals; None: units are left
        out.
        """
        y = np.asarray(y)
        classifier = probe() if self.classifier is None else self.classifier
        folds = inner_folds(y, groups, n_folds=8)
        groups = np.arange(len(y)) if groups is None else np.asarray(groups)
        self.by_animal_ = all(not set(groups[train]) & set(groups[test]) for train, test in folds)
        self.fitted_ = clone(classifier).fit(x, y)
        self.classes_ = self.fitted_.classes_
        # (units, classes)
        logs = _logs(cross_val_predict(classifier, x, y, cv=folds, method="predict_proba"))
        truth = np.searchsorted(self.classes_, y)
        # whose class has no other unit was asked without being taught
        told = np.bincount(truth)[truth] > 1
        logs, truth = logs[told], truth[told]

        def cost(numbers):
            said = log_softmax(np.exp(numbers[0]) * logs + numbers[1:], axis=1)
            error = np.exp(said)
            error[np.arange(len(truth)), truth] -= 1  # what said is off by
            # A weak pull towards no change: of a few units, any numbers would do.
            slopes = (
                np.r_[np.exp(numbers[0]) * (error * logs).sum(), error.sum(axis=0)] + 2 * numbers
            )
            return -said[np.arange(len(truth)), truth].sum() + (numbers**2).sum(), slopes

        numbers = minimize(cost, np.zeros(1 + len(self.classes_)), jac=True, method="L-BFGS-B").x
        self.scale_, self.offsets_ = float(np.exp(numbers[0])), numbers[1:]
        return self

    def predict_proba(self, x) -> np.ndarray:
        """(units, classes)."""
        return softmax(self.scale_ * _logs(self.fitted_.predict_proba(x)) + self.offsets_, axis=1)

    def predict(self, x) -> np.ndarray:
        """(units,) labels."""
        return self.classes_[self.predict_proba(x).argmax(axis=1)]


@dataclass(frozen=True, eq=False, repr=False)
class ZeroShot(ShownZeroShot, Shared):
    """Reads labels from vectors, in animals whose labels nobody used. Make it with `fit`.

    classifier : Calibrated. known : (units, dim), the standardised vectors that it was taught on;
        scaler does that. least : smallest probability that gets an answer.
    farthest : largest distance that does (see `distance`). usual : the largest median distance of a
        recording to the units of other animals; NaN where there is one animal.
    pretrained : the encoder that made the vectors, if it was given.
    """

    classifier: Calibrated
    scaler: StandardScaler
    known: np.ndarray
    columns: list
    least: float
    farthest: float
    usual: float
    pretrained: Pretrained | None = None

    @classmethod
    def fit(
        cls,
        embedding: pd.DataFrame,
        labels: pd.Series,
        animals: pd.Series,
        *,
        least: float = 0.6,
        within: float = 0.99,
        pretrained: Pretrained | None = None,
    ) -> ZeroShot:
        """From units with a label.

        Parameters
        ----------
        embedding : DataFrame (units, dim), from `embed`. labels, animals : Series on its index;
            units without a label take no part.
        least : smallest probability that gets an answer: a choice, to be made by a look at
            `rehearsal`.
        within : the share of the labelled units that lie near enough, each measured to the units of
            *other* animals.
        pretrained : the encoder that made the embedding, to be kept beside.

        Raises
        ------
        ValueError : `least` or `within` not from 0 to 1; fewer than two labels, or six units with
            one; and what `decode` refuses.
        """
        for name, share in (("least", least), ("within", within)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}; it is a share, from 0 to 1.")
        if pretrained is not None and pretrained.preset.model.dim != embedding.shape[1]:
            raise ValueError(
                f"vectors have {embedding.shape[1]} columns, those of `pretrained` have"
                f" {pretrained.preset.model.dim}; give the encoder that made them."
            )
        embedding, labels, animals = aligned(embedding, labels, animals)
        if len(embedding) <= N_NEIGHBOURS:
            raise ValueError(
                f"{len(embedding)} units have a label; give {N_NEIGHBOURS + 1} at the very least,"
                " better dozens."
            )
        x = embedding.to_numpy(dtype=np.float64)
        classifier = Calibrated().fit(x, labels.to_numpy(), animals.to_numpy())
        if not classifier.by_animal_:
            warnings.warn(
                "a label occurs in one animal only, or there is only one: probabilities are"
                " calibrated on units left out, not on animals, and will be too sure in a new"
                " animal.",
                stacklevel=2,
            )
        scaler = StandardScaler().fit(x)
        known = scaler.transform(x)
        distance = pd.Series(_own_distances(known, animals.to_numpy()), index=embedding.index)
        usual = float(_medians(distance).max()) if animals.nunique() > 1 else np.nan
        return cls(
            classifier,
            scaler,
            known,
            list(embedding.columns),
            least,
            float(np.quantile(distance, within)),
            usual,
            pretrained,
        )

    def distance(self, embedding: pd.DataFrame) -> pd.Series:
        """How far each unit is from the five nearest units that it was taught on, on average, in
        standard deviations of a dimension.
        """
        if list(embedding.columns) != self.columns:
            raise ValueError(
                f"these vectors have {embedding.shape[1]} columns that aren't the"
                f" {len(self.columns)} that were taught; embed both with the same encoder."
            )
        if not np.isfinite(embedding.to_numpy(dtype=np.float64)).all():
            raise ValueError("a vector holds NaN or infinite numbers; drop that unit.")
        x = embedding.to_numpy(dtype=np.float64)
        return pd.Series(
            _mean_distance(self.known, self.scaler.transform(x)) if len(x) else np.zeros(0),
            index=embedding.index,
            name="distance",
        )

    def far(self, distance: pd.Series) -> pd.Series:
        """The recordings that lie farther than any that was taught did from the others, with their
        median `distance`; of five units or more.
        """
        medians = _medians(distance)
        return medians[medians > self.usual]

    def predict(self, embedding: pd.DataFrame) -> pd.DataFrame:
        """What each unit is.

        Warns where a recording as a whole lies farther than any that was taught did from the
        others: its units may be recorded, sorted or binned otherwise, or have lost each other's
        time, though each alone is near enough. Of n animals like those taught, one in n + 1 does so
        by chance.

        Returns a DataFrame on the embedding's index: label (NaN: "I don't know"); reason for a NaN
        ('too far', 'between classes', '' where there is a label); likeliest label and its
        probability, whatever the reason; distance (see `distance`); a column p_ for each label, in
        the order of the alphabet.
        """
        distance = self.distance(embedding)
        for name, median in self.far(distance).items():
            warnings.warn(
                f"{name}: its units lie {median:.2f} from those that were taught (median), "
                f"no recording among these farther than {self.usual:.2f} from the others; "
                "look at nl.checks.leaks and a raster before you believe the labels.",
                stacklevel=2,
            )
        classes = self.classifier.classes_
        p = (
            self.classifier.predict_proba(embedding.to_numpy(dtype=np.float64))
            if len(embedding)
            else np.zeros((0, len(classes)))
        )
        likeliest, probability = classes[p.argmax(axis=1)], p.max(axis=1)
        reason = np.where(
            distance > self.farthest, TOO_FAR, np.where(probability < self.least, BETWEEN, "")
        )
        said = pd.DataFrame(
            {
                "label": likeliest,
                "reason": reason,
                "likeliest": likeliest,
                "probability": probability,
                "distance": distance,
            },
            index=embedding.index,
        )
        said["label"] = said["label"].where(said["reason"] == "")
        return said.join(
            pd.DataFrame(p, index=embedding.index, columns=[f"p_{name}" for name in classes])
        )

    def read(
        self, recordings: Recording | list[Recording], encoder: NuCLR | None = None, **options
    ) -> pd.DataFrame:
        """What each unit of recordings is: embedded, and `predict`ed.

        encoder : None: the one that was kept with it. options : of `embed`. Returns what `predict`
        does, with a row for every unit; one that has no spike in any window has the reason 'no
        vector'. ValueError where there is no encoder.
        """
        if encoder is None and self.pretrained is not None:
            encoder = self.pretrained.encoder
            options = {"grid_s": self.pretrained.preset.views.grid_s} | options
        if encoder is None:
            raise ValueError(
                "this ZeroShot was made without its encoder; embed the recordings with the one that"
                " made its vectors and use predict, or give that one."
            )
        recordings = as_list(recordings, "label")
        said = self.predict(embed(encoder, recordings, **options))
        said = said.reindex(units_table(recordings).index)
        return said.assign(reason=said["reason"].fillna(NO_VECTOR))

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a folder: `zero_shot.json`, the numbers as safetensors, the files of
        `Pretrained.save` where there is an encoder, and a card. Atomic.

        The folder holds the vectors of the units that were taught, and none of their labels.
        """
        with atomic_directory(path, overwrite) as folder:
            if self.pretrained is not None:
                write_model(folder, self.pretrained)
            before = "" if self.pretrained is None else model_card(self.pretrained)
            write_zero_shot(self, folder, before)
            seal(folder, leave=("README.md",))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> ZeroShot:
        """Read what `save` wrote; it predicts the same, to the last digit.

        device : of the encoder. Checksums are compared, nothing in the folder is executed.

        Raises
        ------
        FileNotFoundError : no ZeroShot there. ValueError : a file is missing or damaged, or of a
            newer version.
        """
        path = Path(path)
        header, arrays = read_zero_shot(path)
        classifier, scaler = Calibrated(), StandardScaler()
        classifier.fitted_ = probe()
        standard, regression = classifier.fitted_
        restore(scaler, arrays, "known")
        restore(standard, arrays, "probe")
        classifier.classes_ = regression.classes_ = np.array(header["classes"])
        # laid out in memory as scikit-learn's own are: sums come out the same to the last digit
        regression.coef_ = np.asfortranarray(arrays["coefficients"])
        regression.intercept_ = arrays["intercepts"]
        regression.n_features_in_ = len(header["columns"])
        classifier.scale_, classifier.offsets_ = header["scale"], arrays["offsets"]
        classifier.by_animal_ = bool(header["by_animal"])
        pretrained = None
        if (path / "preset.json").is_file():
            pretrained = Pretrained.load(path, device)
        return cls(
            classifier,
            scaler,
            arrays["known"],
            header["columns"],
            header["least"],
            header["farthest"],
            header["usual"],
            pretrained,
        )


def rehearsal(
    embedding: pd.DataFrame, labels: pd.Series, animals: pd.Series, **options
) -> pd.DataFrame:
    """Each animal left out in turn: what `ZeroShot.fit` on the others says of it, beside the truth.

    This is what to expect of a new animal, as far as those at hand go. Returns the columns of
    `predict`, with 'true', and 'fold', a number an animal. options : of `ZeroShot.fit`. ValueError
    for one animal.
    """
    embedding, labels, animals = aligned(embedding, labels, animals)
    if animals.nunique() < 2:
        raise ValueError(
            "there is one animal with labels, so that none can be left out; add another."
        )
    pieces = []
    for fold, animal in enumerate(animals.unique()):
        out = animals == animal
        reader = ZeroShot.fit(embedding[~out], labels[~out], animals[~out], **options)
        with warnings.catch_warnings():
            # one animal is the farthest of all
            warnings.filterwarnings("ignore", message=".*its units lie")
            told = reader.predict(embedding[out])
        pieces.append(told.assign(true=labels[out], fold=fold))
    said = pd.concat(pieces).loc[embedding.index]
    p = [column for column in said if column.startswith("p_")]
    # a label that only the animal left out has was never heard of
    return said.assign(**said[p].fillna(0.0))


def sureness(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(units,) probability of the likeliest label, and whether it is right; from
    `DecodeResult.predictions` or `rehearsal`.
    """
    said = predictions["predicted" if "predicted" in predictions else "likeliest"]
    return (
        predictions.filter(regex="^p_").max(axis=1).to_numpy(),
        predictions["true"].eq(said).to_numpy(),
    )


def reliability(
    probability: np.ndarray, right: np.ndarray, n_bins: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share right, mean probability and number of units (bins,), in bins of about equal size."""
    share, mean = calibration_curve(right, probability, n_bins=n_bins, strategy="quantile")
    edges = np.quantile(probability, np.linspace(0, 1, n_bins + 1))
    counts = np.bincount(np.searchsorted(edges[1:-1], probability), minlength=n_bins)
    return share, mean, counts[counts > 0]


def calibration_error(probability: np.ndarray, right: np.ndarray, n_bins: int = 6) -> float:
    """How far probabilities are from the share that is right, on average over units in the bins of
    `reliability` (the expected calibration error).
    """
    share, mean, n = reliability(probability, right, n_bins)
    return float(np.average(np.abs(share - mean), weights=n))


def accuracy_when_answering(probability: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """Accuracy among the surest units, for every share answered: DataFrame share, accuracy."""
    order = np.argsort(-probability, kind="stable")
    n = np.arange(1, len(order) + 1)
    return pd.DataFrame({"share": n / len(order), "accuracy": right[order].cumsum() / n})


def with_artefacts(recording: Recording, n_each: int, rng: np.random.Generator) -> Recording:
    """A copy of a spike recording with strangers in it, to see whether they are refused; its units
    have a column artefact (None: real).

    n_each of: mains hum (a spike every 20 ms), bursts as from movement (30 spikes within 30 ms,
    every 4 s on average), hash (every tenth spike of everybody, as when a sorter lumps what it
    can't tell apart).
    """
    start, stop = recording.intervals[0, 0], recording.intervals[-1, 1]
    trains = [recording.spike_times(unit_id) for unit_id in recording.units.index]
    kinds: list[str | None] = [None] * len(trains)
    for _ in range(n_each):
        at = start + rng.exponential(4.0, int((stop - start) / 4)).cumsum()
        hum = np.arange(start + rng.uniform(0, 0.02), stop, 0.02)
        # (bursts, 30) -> (spikes,)
        bursts = (at[:, None] + rng.uniform(0, 0.03, (len(at), 30))).ravel()
        trains += [hum, np.sort(bursts), recording.times[rng.random(len(recording.times)) < 0.1]]
        kinds += ["mains hum", "bursts", "hash"]
    return Recording.from_spike_trains(
        trains,
        pd.DataFrame({"artefact": kinds}),
        recording.intervals,
        recording_id=f"{recording.recording_id}-artefacts",
        animal_id=recording.animal_id,
    )


def _logs(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p, 1e-12))


def _mean_distance(known: np.ndarray, new: np.ndarray | None = None) -> np.ndarray:
    """(units,) to the nearest of `known`; new None: of known units, each to the others."""
    n = min(N_NEIGHBOURS, len(known) - (new is None))
    return (
        NearestNeighbors(n_neighbors=n).fit(known).kneighbors(new)[0].mean(axis=1)
        / known.shape[1] ** 0.5
    )


def _medians(distance: pd.Series) -> pd.Series:
    """Median distance of each recording of five units or more: fewer say little about one."""
    by_recording = distance.groupby(level=0, sort=False)
    return by_recording.median()[by_recording.size() >= 5]


def _own_distances(known: np.ndarray, animals: np.ndarray) -> np.ndarray:
    """(units,) each to the units of other animals: a new unit meets no others.

    Of a single animal, to the others of its own.
    """
    names, distance = np.unique(animals), np.zeros(len(known))
    if len(names) == 1:
        return _mean_distance(known)
    for name in names:
        mine = animals == name
        distance[mine] = _mean_distance(known[~mine], known[mine])
    return distance
