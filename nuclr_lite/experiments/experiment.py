"""Experiments as data: a small table of choices. `running.run` computes what they ask for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace

import pandas as pd

from ..presets import PRESETS, Preset
from ..sources.simulated.worlds import WORLDS
from .methods import BESIDE, CHANCE, FEW, HAND, WITHOUT_ENCODER, Method

# Learned from are other units of the same recordings; nine tenths of each animal's recordings;
# other animals; other animals, and the encoder hasn't seen the tested ones either.
PROTOCOLS = (
    "transductive",
    "across recordings",
    "transductive zero-shot",
    "inductive zero-shot",
)


@dataclass(frozen=True)
class Experiment:
    """What is compared, on what. Prints as itself; `to_json` and `from_json` are exact.

    name : the folder of its results. label : the column to decode; classes : those of its values
        that count, () all. protocol : one of `PROTOCOLS` (see 07_zero_shot).
    source : 'simulated', a folder of saved recordings, one subfolder each, or a folder of NWB
        files. modality, n_animals, data_seed, world : of simulated ones, see
        `simulate_recordings`.
    n_held_out : animals that no encoder and no classifier learns from, the last ones. 'inductive
        zero-shot' is scored on them; the other protocols leave them out, and so can share encoders
        with it. held_out : names, instead of a number: of animals, or of sessions or recordings,
        whose animals then are on both sides; ('labelled',): all animals that have a label. Where no
        other animal has one, the classifier leaves one of the held-out animals out in turn (as the
        paper does on the Allen sessions, of which few are optotagged).
    within_recordings : only recordings that hold two classes or more count, and features are what
        they are less their mean over the recording: units are told apart that were seen together,
        and what a whole recording has in common (its animal, its depth, its day) tells nothing.
    preset : name in `PRESETS`. changes : fields of it that differ, such as {'steps': 400}.
    encoders : method -> further changes; {'NuCLR': {}, 'without spatial attention':
        {'spatial_attention': False}}.
    baselines : further methods: `Method("hand: all", "tuned")`, `Method("NuCLR", "shuffled
        labels")`, ... A name alone stands for its features, read out by logistic regression.
    seeds : of the encoders' weights and views, and of the animals that a part of them is drawn
        from.
    pretraining_animals : numbers of animals that encoders are trained on, all animals' labels being
        used.
    label_animals : numbers of animals whose labels are used, the encoder being trained on all. A
        number in both: also encoder and labels of the same animals.
    label_shares : shares of the labels, from 0 to 1, drawn within each class, `draws` times.
    """

    name: str
    label: str = "cell_type"
    classes: tuple[str, ...] = ()
    protocol: str = "inductive zero-shot"
    source: str = "simulated"
    modality: str = "spikes"
    n_animals: int = 20
    n_held_out: int = 6
    held_out: tuple[str, ...] = ()
    within_recordings: bool = False
    data_seed: int = 0
    world: str = "one network"
    preset: str = "quick"
    changes: dict = field(default_factory=dict)
    encoders: dict = field(default_factory=lambda: {"NuCLR": {}})
    baselines: tuple[Method, ...] = FEW
    seeds: tuple[int, ...] = (0,)
    pretraining_animals: tuple[int, ...] = ()
    label_animals: tuple[int, ...] = ()
    label_shares: tuple[float, ...] = ()
    draws: int = 1

    def __post_init__(self):
        for name in (
            "classes",
            "held_out",
            "seeds",
            "pretraining_animals",
            "label_animals",
            "label_shares",
        ):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"{self.name}: protocol is {self.protocol!r}; use one of {PROTOCOLS}.")
        if self.preset not in PRESETS:
            raise ValueError(
                f"{self.name}: there is no preset {self.preset!r}; use one of {sorted(PRESETS)}."
            )
        if self.source == "simulated" and self.world not in WORLDS:
            raise ValueError(
                f"{self.name}: there is no world {self.world!r}; use one of {sorted(WORLDS)}."
            )
        object.__setattr__(
            self, "baselines", tuple(_as_method(method) for method in self.baselines)
        )
        for method in self.baselines:
            if method.features not in (*self.encoders, *WITHOUT_ENCODER):
                raise ValueError(
                    f"{self.name}: there are no features {method.features!r}; use an encoder"
                    f" ({', '.join(self.encoders)}) or one of {WITHOUT_ENCODER}."
                )
        if any(method.readout == BESIDE for method in self.baselines) and HAND not in self.methods:
            raise ValueError(
                f"{self.name}: a method has the readout {BESIDE!r}; give {HAND!r} as a method, too:"
                " what these add is seen beside what they reach alone."
            )
        if not self.encoders or not self.seeds:
            raise ValueError(f"{self.name}: give at least one encoder and one seed.")
        if (
            self.pretraining_animals or self.label_animals or self.label_shares
        ) and self.protocol != "inductive zero-shot":
            raise ValueError(
                f"{self.name}: parts of the animals or labels are taken from those to learn from:"
                " use protocol='inductive zero-shot'."
            )
        if any(not 0 < share <= 1 for share in self.label_shares):
            raise ValueError(
                f"{self.name}: label_shares are {self.label_shares}; give shares above 0, up to 1."
            )
        # an unknown field is an error now, not after an hour
        self.recipe(next(iter(self.encoders)), self.seeds[0])

    @property
    def methods(self) -> dict[str, Method]:
        """All that is compared, by name: the encoders, then the baselines."""
        return {str(method): method for method in (*map(Method, self.encoders), *self.baselines)}

    def encoder_of(self, method: str) -> str | None:
        """The encoder whose vectors a method uses; chance takes the first one's units."""
        features = self.methods[method].features
        return (
            features
            if features in self.encoders
            else next(iter(self.encoders))
            if features == CHANCE
            else None
        )

    def recipe(self, encoder: str, seed: int) -> Preset:
        return PRESETS[self.preset].with_(
            **{**self.changes, **self.encoders[encoder], "seed": seed}
        )

    def cells(self) -> pd.DataFrame:
        """One row a result: method, seed, and which part of animals and labels (NaN: all).

        What draws nothing has the first seed only.
        """
        rows = []
        for seed in self.seeds:
            for method, value in self.methods.items():
                if seed == self.seeds[0] or not value.draws_nothing(self.encoders):
                    rows.append({"method": method, "seed": seed})
                if value.features in self.encoders:
                    rows += [
                        {"method": method, "seed": seed, "pretraining_animals": n}
                        for n in self.pretraining_animals
                    ]
                    rows += [
                        {
                            "method": method,
                            "seed": seed,
                            "pretraining_animals": n,
                            "label_animals": n,
                        }
                        for n in self.pretraining_animals
                        if n in self.label_animals
                    ]
                if method != CHANCE:
                    rows += [
                        {"method": method, "seed": seed, "label_animals": n}
                        for n in self.label_animals
                    ]
                    rows += [
                        {"method": method, "seed": seed, "label_share": share, "draw": draw}
                        for share in self.label_shares
                        if share < 1
                        for draw in range(self.draws)
                    ]
        return pd.DataFrame(
            rows,
            columns=[
                "method",
                "seed",
                "pretraining_animals",
                "label_animals",
                "label_share",
                "draw",
            ],
        ).astype(
            {
                "pretraining_animals": float,
                "label_animals": float,
                "label_share": float,
                "draw": float,
            }
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        return cls(**json.loads(text))

    def each_group(self, groups: list[str | tuple[str, ...]]) -> list[Experiment]:
        """One experiment a group of animals, or a single one, which holds that group out; for sets
        too small to hold several out for good. `comparison.summary` takes them together.
        """
        together = [(group,) if isinstance(group, str) else tuple(group) for group in groups]
        return [
            replace(self, name=f"{self.name}-without-{'-'.join(group)}", held_out=group)
            for group in together
        ]


def _as_method(given: Method | dict | str) -> Method:
    """A dict is what JSON makes of one."""
    return (
        given
        if isinstance(given, Method)
        else Method(**given)
        if isinstance(given, dict)
        else Method(given)
    )
