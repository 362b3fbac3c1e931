"""Recordings from a folder, whatever wrote it: which reader it is for is found out, not asked."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..files.storage import is_leftover
from ..recording import Recording

DEEPEST = 3  # folders below the one that is given


@dataclass(frozen=True)
class Kind:
    """What a folder may hold. name : in the plural. found : files or folders that one call of the
    reader takes. reader : 'module:function' within `sources`; gives a Recording, or a list.
    """

    name: str
    found: Callable[[Path], list[Path]]
    reader: str

    def read(self, place: Path, **options) -> list[Recording]:
        """The recordings of one place; ValueError for options that this reader doesn't have."""
        module, _, name = self.reader.partition(":")
        reader = getattr(import_module(f".{module}", __package__), name)
        known = list(inspect.signature(reader).parameters)[1:]
        if "animal_id" in known:  # what tells no animal
            options["animal_id"] = options.pop("animal")
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ValueError(
                f"{place} holds {self.name}, whose reader knows no {', '.join(unknown)}; give it"
                f" {', '.join(known) or 'nothing'}."
            )
        read = reader(place, **options)
        return [read] if isinstance(read, Recording) else read


def read_folder(folder: str | Path, verify: bool = False, **options) -> list[Recording]:
    """All recordings of a folder or a file, in the order of their names.

    Known are: recordings that `Recording.save` wrote (opened as memory maps, so that hundreds take
    seconds and hardly any memory), Allen session and experiment files, NWB files, the published
    sets of Steinmetz, IBL, Bugeon and Luo and Kim, Phy or Kilosort folders, Suite2p folders, CaImAn
    files, files of brainsets. They may lie up to three folders deep; what lies highest counts, and
    of several kinds the first in this order (NWB files beside saved recordings are named).

    Parameters
    ----------
    verify : compare the checksums of saved recordings, which reads all of them once. Sizes are
        checked in any case.
    options : what the reader takes beside the place, such as `animal`, `sampling_rate_hz`, `groups`
        (Phy) or `keep`. Where a format doesn't say whose recordings they are (Phy, Suite2p,
        CaImAn), the animal is called like the folder, with a notice.

    Raises
    ------
    FileNotFoundError : the folder holds nothing of that, or isn't there. ValueError : an option
        that the reader doesn't have. What the reader raises.
    """
    return [one for _, read in read_places(folder, verify, **options) for one in read]


def read_places(
    folder: str | Path, verify: bool = False, **options
) -> Iterator[tuple[Path, list[Recording]]]:
    """As `read_folder`, place by place: the file or folder, and the recordings in it."""
    folder = Path(folder).expanduser()
    kind, places = recognised(folder)
    if kind.name == SAVED:
        options["verify"] = verify
        if sessions := _nwb(folder):
            warnings.warn(
                f"{folder}: {len(places)} saved recordings are read, {len(sessions)} NWB files"
                f" beside them are not ({sessions[0].name}, ...); read these with nwb.read_nwb.",
                stacklevel=3,
            )
    for place in places:
        named = _named(kind, folder, place, len(places), options) if kind.name in NAMELESS else {}
        yield place, kind.read(place, **named | options)


def recognised(folder: Path) -> tuple[Kind, list[Path]]:
    """What a folder or file is, and the places to read; FileNotFoundError for nothing."""
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: nothing there; check the path.")
    for kind in KINDS:
        places = kind.found(folder)
        if places:
            return kind, places
    raise FileNotFoundError(
        f"{folder} holds no saved recording and no NWB file, nor anything else that is known"
        f" ({', '.join(kind.name for kind in KINDS[1:])}); save some with recording.save(folder /"
        " name)."
    )


def saved_in(folder: Path) -> list[Path]:
    """The saved recordings of a folder, by name."""
    found = (header.parent for header in folder.glob("*/recording.json"))
    return sorted(path for path in found if not is_leftover(path))


def _named(kind: Kind, folder: Path, place: Path, n_places: int, options: dict) -> dict:
    """Names for what doesn't say its own: the animal is the first folder on the way to the place,
    the recording the whole way.
    """
    way = [*place.relative_to(folder).parts]
    own = place.resolve()
    if place.is_file():
        way, own = [*way[:-1], *([place.stem] if way else [])], own.with_suffix("")
    elif own.name == "suite2p":
        way, own = way[:-1], own.parent
    animal = way[0] if n_places > 1 and way else own.name
    if "animal" not in options:
        warnings.warn(
            f"{place}: {kind.name} don't say which animal they are of; it is called {animal!r}."
            " Give animal='...' (--animal) if that is wrong.",
            stacklevel=4,
        )
    return {"animal": animal} | ({"recording_id": "-".join(way)} if n_places > 1 else {})


def _saved(folder: Path) -> list[Path]:
    return [folder] if (folder / "recording.json").is_file() else saved_in(folder)


def _files(name: str, ending: str, is_one: Callable[[Path], bool] = lambda _: True):
    """Finds files whose names match; in a folder, those that lie highest."""

    def found(place: Path) -> list[Path]:
        if place.is_file():
            fits = place.suffix == ending and re.fullmatch(name, place.stem) and is_one(place)
            return [place] if fits else []
        return _highest(
            place, f"*{ending}", lambda file: bool(re.fullmatch(name, file.stem)) and is_one(file)
        )

    return found


def _folders(sign: str, up: int = 0, is_one: Callable[[Path], bool] = lambda _: True):
    """Finds folders that hold a file of this name; `up` : or rather the folder that many above."""

    def found(place: Path) -> list[Path]:
        signs = _highest(place, sign, is_one) if place.is_dir() else []
        return sorted({file.parents[up] for file in signs})

    return found


def _highest(folder: Path, pattern: str, is_one: Callable[[Path], bool]) -> list[Path]:
    for depth in range(DEEPEST + 1):
        # Names that begin with a dot are what macOS leaves on other systems' disks.
        found = [
            file
            for file in folder.glob("*/" * depth + pattern)
            if file.name[0] != "."
            and file.is_file()
            and not any(map(is_leftover, file.relative_to(folder).parents))
            and is_one(file)
        ]
        if found:
            return sorted(found)
    return []


def _nwb(place: Path) -> list[Path]:
    """NWB files, and Zarr folders that hold NWB."""
    if place.name.endswith(".nwb.zarr"):
        return [place]
    return _files(".*", ".nwb")(place) or sorted(place.glob("*.nwb.zarr"))


def _planes(folder: Path) -> list[Path]:
    """Suite2p folders: of one plane, if it is that, else of all planes of a session."""
    if (folder / "F.npy").is_file():
        return [folder]
    return _folders("plane*/F.npy", up=1)(folder)


def _insertions(folder: Path) -> list[Path]:
    """IBL: the probe's folder, in alf/."""
    files = folder.rglob("spikes.times*.npy") if folder.is_dir() else []
    return sorted({way for file in files for way in file.parents if way.parent.name == "alf"})


def _has(group: str, **attributes) -> Callable[[Path], bool]:
    """Is it an HDF5 file with this group and these attributes, or one that can't be read?"""

    def is_one(file: Path) -> bool:
        try:
            import h5py

            with h5py.File(file, "r") as opened:
                said = {name: opened.attrs.get(name) for name in attributes}
                return group in opened and all(
                    (value.decode() if isinstance(value, bytes) else value) == attributes[name]
                    for name, value in said.items()
                )
        except (ImportError, OSError, RuntimeError):
            return True  # the reader says what is wrong with it

    return is_one


SAVED = "saved recordings"
NAMELESS = ("Phy or Kilosort folders", "Suite2p folders", "CaImAn files")
NUMBER = r"\d{8,10}"  # the Allen Institute's
KINDS = (
    Kind(SAVED, _saved, "folder:load"),
    Kind(
        "Allen Neuropixels sessions",
        _files(f"session_{NUMBER}", ".nwb"),
        "allen.recordings:read_session",
    ),
    Kind(
        "Allen two-photon experiments",
        _files(NUMBER, ".nwb"),
        "allen.two_photon_file:read_experiment",
    ),
    Kind("NWB files", _nwb, "nwb:read_nwb"),
    Kind(
        "sessions of Steinmetz et al.",
        _folders("clusters._phy_annotation.npy"),
        "published.steinmetz:read_session",
    ),
    Kind("IBL insertions", _insertions, "published.ibl:read_insertion"),
    Kind(
        "sessions of Bugeon et al.", _folders("neuron.ttype.txt"), "published.bugeon:read_session"
    ),
    Kind(
        "sessions of Luo, Kim et al.",
        _files(r"[A-Z]\d{3}_\d{4}_\d\d_\d\d", ".mat"),
        "published.rat_decisions:read_session",
    ),
    Kind(NAMELESS[0], _folders("spike_times.npy"), "phy:read_phy"),
    Kind(NAMELESS[1], _planes, "suite2p:read_suite2p"),
    Kind(NAMELESS[2], _files(".*", ".hdf5", _has("estimates")), "caiman:read_caiman"),
    Kind(
        "files of brainsets",
        _files(".*", ".h5", _has("units", object="Data")),
        "published.brainsets:read_brainsets",
    ),
)


def load(place: Path, verify: bool = True) -> Recording:
    """`Recording.load`."""
    return Recording.load(place, verify)
