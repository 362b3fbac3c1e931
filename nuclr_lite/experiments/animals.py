"""The animals of a notebook's experiments, in one word: 'simulated', 'rats', or a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Animals:
    """What experiments on the same animals have in common.

    choices : fields of `Experiment`. labels : columns worth decoding, () not known. short : part of
    the experiments' names. caption : of figures. changes : what the preset is changed by.
    """

    choices: dict
    labels: tuple[str, ...]
    short: str
    caption: str
    changes: dict = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        return self.choices["source"] == "simulated"

    def to_decode(self, chosen: str | list[str]) -> list[str]:
        """The chosen columns or, where none is, the usual ones; ValueError where none is known."""
        columns = [chosen] if isinstance(chosen, str) and chosen else list(chosen or self.labels)
        if not columns:
            raise ValueError(
                f"what should be decoded in {self.caption}? Name a column of its units table."
            )
        return columns


def animals(
    data_source: str,
    modality: str = "spikes",
    world: str = "one network",
    data_dir: str | Path = "../data",
) -> Animals:
    """What experiments on one data source have in common.

    Parameters
    ----------
    data_source : 'simulated'; 'rats', the first time downloaded (58 MB) and converted, see
        `sources.published.rat_decisions`, of which one group is held out; or a folder of saved
        recordings or NWB files.
    modality, world : of simulated ones, see `simulate_recordings`; modality of a folder, too.
    data_dir : the project's data/.

    Raises
    ------
    FileNotFoundError : no such folder. What `rat_decisions.prepared` raises.
    """
    ending = "" if modality == "spikes" else f"-{modality}"
    if data_source == "simulated":
        needs_depth = (modality, world) == ("spikes", "assemblies")
        return Animals(
            {
                "source": "simulated",
                "modality": modality,
                "world": world,
                "preset": "quick-assemblies" if needs_depth else f"quick{ending}",
            },
            ("cell_type", "area"),
            world.replace(" ", "-"),
            f"simulated, {world}",
        )
    if data_source == "rats":
        from ..sources.published import rat_decisions

        return Animals(
            {
                "source": str(rat_decisions.prepared(data_dir)),
                "held_out": rat_decisions.GROUPS[2],
                "preset": "laptop-trials",
            },
            ("region",),
            "rats",
            "rats, Luo, Kim et al. 2025",
            {"steps": 800},  # half of the preset's, and nearly as good: results/rats.md
        )
    folder = Path(data_source)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"data_source is {data_source!r}; give 'simulated', 'rats', or a folder of recordings"
            " that exists (absolute, or relative to notebooks/)."
        )
    return Animals(
        {"source": str(folder), "modality": modality, "preset": f"laptop{ending}"},
        (),
        folder.name,
        folder.name,
    )
