"""What each neuron is: labels, probabilities and "don't know", for any folder of recordings.

By what `ZeroShot.save` wrote, one folder that holds encoder, classifier and calibration:

    nuclr-lite predict RECORDINGS --labels-from mine --out labels.tsv

By an encoder (a name of `nuclr-lite info --encoders`, a folder, 'hf:owner/name' on the Hugging
Face hub) and recordings in which a column tells the labels; without --taught-on, the units of
RECORDINGS that have one teach the others. --save keeps the result for the next time:

    nuclr-lite predict NEW --labels-from simulated --taught-on OLD --label cell_type --save mine

Without --out, results go where you work: `cluster_nuclr_label.tsv` and others into a Phy folder, a
copy of each NWB file with new columns into a folder `nuclr` beside it, else a table
`nuclr_labels.csv` into the folder. --out takes .csv, .tsv, .parquet or, of one NWB file, .nwb.

Exit code 1: no unit got a label, or more than half of the recordings lie farther from those that
were taught than any of these from the others (of n animals like them, one in n + 1 does by chance).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import options as shared

DONT_KNOW = "don't know"
IN_PHY = ["label", "likeliest", "probability", "reason"]


def add_options(parser: argparse.ArgumentParser) -> None:
    shared.add_recordings(parser)
    parser.add_argument(
        "--labels-from",
        required=True,
        metavar="ENCODER_OR_ZEROSHOT",
        help="a folder that ZeroShot.save wrote; or an encoder: a name, a folder; or hf:owner/name",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help=".csv, .tsv, .parquet or .nwb")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument(
        "--label", metavar="COLUMN", help="of an encoder: the column that tells the labels"
    )
    parser.add_argument(
        "--taught-on",
        type=Path,
        metavar="FOLDER",
        help="of an encoder: recordings that have the labels (default: RECORDINGS themselves)",
    )
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="keep what was taught, for --labels-from"
    )
    parser.add_argument(
        "--encoder", help="of a ZeroShot that was saved without its encoder: that encoder"
    )
    parser.add_argument(
        "--least",
        type=float,
        default=0.6,
        metavar="P",
        help="of an encoder: smallest probability that gets a label (default: %(default)s)",
    )
    shared.add_batch(parser)
    shared.add_device(parser)


def run(options: argparse.Namespace) -> int | None:
    import pandas as pd

    from ..files.progress import progress
    from ..sources.folder import read_places, recognised
    from .tables import NWB, PHY, check_beside, check_out, place_beside, write_beside, write_table

    folder = options.recordings.expanduser()
    kind, places = recognised(folder)
    is_copy = options.out is not None and options.out.suffix == ".nwb"
    if is_copy and (kind.name != NWB or len(places) != 1):
        raise ValueError(
            f"{options.out}: {folder} holds {len(places)} {kind.name}; a copy is made of one NWB"
            " file: give that file, or leave --out away."
        )
    in_place = options.out is None and kind.name in (PHY, NWB)
    out = options.out or place_beside(kind, folder, places[0], "nuclr_labels.csv")
    if in_place:
        for place in places:
            check_beside(kind, place_beside(kind, folder, place, ""), options.overwrite, IN_PHY)
    else:
        check_out(out, options.overwrite, (".nwb",))
    reader, encoder, taught = _reader(options)
    pieces, written, far = [], [], []
    names: set[str] = set()
    embedding = {
        "grid_s": shared.grid_of(encoder),
        "units_per_batch": options.units_per_batch,
    }
    found = read_places(folder, **shared.reader_options(options))
    for place, recordings in progress(found, total=len(places), desc="predict", unit="place"):
        for recording in recordings:
            if recording.recording_id in names:
                raise ValueError(
                    f"{place}: a second recording called {recording.recording_id!r}; give folders"
                    " whose files have different names, one after the other."
                )
            names.add(recording.recording_id)
        said = reader.read(recordings, shared.network_of(encoder), **embedding)
        if taught is not None:  # whoever was taught with its own label isn't asked
            said = said[~said.index.isin(taught)]
        if not len(said):
            continue
        far += list(reader.far(said["distance"]).index)
        said = said.assign(label=said["label"].fillna(DONT_KNOW))
        pieces.append(said)
        if in_place:
            target = place_beside(kind, folder, place, "")
            written += write_beside(kind, target, place, said, options.overwrite, IN_PHY)
    if not pieces:
        raise ValueError(
            f"{folder}: every unit has a label in {options.label!r}, and teaches; give recordings"
            " without labels, or others with --taught-on."
        )
    table = pd.concat(pieces)
    if is_copy:
        written = write_beside(kind, out, places[0], table, options.overwrite, IN_PHY)
    elif not in_place:
        written = [write_table(table, out, options.overwrite, digits=6)]
    print(_summary(table, kind.name, len(places)))
    for path in written:
        print(path)
    return 1 if 2 * len(far) > len(names) or table["label"].eq(DONT_KNOW).all() else None


def _reader(options: argparse.Namespace):
    """The ZeroShot, the encoder that it goes with, and the units that it was taught on here (None:
    it was taught elsewhere).
    """
    from ..embedding import embed
    from ..experiments.encoders import load_encoder, place_of
    from ..pretrained import Pretrained
    from ..recording import units_table
    from ..sources.folder import read_folder
    from ..zero_shot import ZeroShot

    device = shared.device(options)
    place = place_of(options.labels_from)
    if (place / "zero_shot.json").is_file():
        for name in ("label", "taught_on", "save"):
            if getattr(options, name) is not None:
                raise ValueError(
                    f"--{name.replace('_', '-')} is for an encoder; {options.labels_from} is a"
                    " ZeroShot, which has been taught already: leave it away."
                )
        reader = ZeroShot.load(place, device)
        encoder = load_encoder(options.encoder, device) if options.encoder else reader.pretrained
        return reader, encoder, None
    encoder = load_encoder(options.labels_from, device)
    if options.label is None:
        raise ValueError(
            f"{options.labels_from} is an encoder, which knows no labels; say with --label which"
            " column tells them, and with --taught-on in which recordings."
        )
    if options.save is not None and options.save.exists():
        raise FileExistsError(f"{options.save} exists already; choose another folder for --save.")
    given = shared.reader_options(options)
    recordings = (
        read_folder(options.recordings, **given)
        if options.taught_on is None
        else read_folder(options.taught_on)
    )
    units = units_table(recordings)
    if options.label not in units:
        raise ValueError(f"no unit has a column {options.label!r}; there are {sorted(units)}.")
    embedding = embed(
        shared.network_of(encoder),
        recordings,
        grid_s=shared.grid_of(encoder),
        units_per_batch=options.units_per_batch,
    )
    units = units.loc[embedding.index]
    reader = ZeroShot.fit(
        embedding,
        units[options.label],
        units["animal_id"],
        least=options.least,
        pretrained=encoder if isinstance(encoder, Pretrained) else None,
    )
    if options.save is not None:
        reader.save(options.save)
    taught = units.index[units[options.label].notna()]
    return reader, encoder, taught if options.taught_on is None else None


def _summary(table, kind: str, n_places: int) -> str:
    counts = table["label"].value_counts()
    why = table.loc[table["label"] == DONT_KNOW, "reason"].value_counts()
    labels = ", ".join(f"{name} {n}" for name, n in counts.items() if name != DONT_KNOW)
    silent = (
        f"{DONT_KNOW} {counts[DONT_KNOW]} ({', '.join(f'{name} {n}' for name, n in why.items())})"
        if DONT_KNOW in counts
        else ""
    )
    n = table.index.get_level_values("recording_id").nunique()
    return (
        f"{len(table)} units of {n} recording{'s' * (n > 1)} ({kind}: {n_places}):"
        f" {', '.join(filter(None, (labels, silent)))}"
    )
