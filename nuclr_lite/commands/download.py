"""Public data sets, from their home to this machine: resumed, checked, the size said first.

    nuclr-lite download rats --to data
    nuclr-lite download allen --list
    nuclr-lite download allen 715093703 --to data/processed/allen
    nuclr-lite download allen-two-photon 501559087
    nuclr-lite download ibl SESSION_ID --probe probe00

What is there already is not fetched again. Of an Allen session the part that recordings need is
read where it lies, a tenth, and saved as recordings; --whole downloads the file. Licences and
sizes: data/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SETS = {
    "rats": "Luo, Kim et al. 2025: 115 sessions of twelve rats, 58 MB; as saved recordings",
    "allen": "Allen Visual Coding Neuropixels: give session ids",
    "allen-two-photon": "Allen Visual Coding two-photon: give experiment ids",
    "steinmetz": "Steinmetz et al. 2019: 39 sessions of 10 mice, from figshare",
    "bugeon": "Bugeon et al. 2022: 17 sessions of 4 mice, from figshare",
    "ibl": "IBL Brain-wide Map: give insertion ids, or session ids and --probe",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "set",
        choices=SETS,
        metavar="SET",
        help="; ".join(f"{name}: {what}" for name, what in SETS.items()),
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="sessions, experiments, insertions")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where it goes (default: below data/)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="AllenSDK's cache (default: data/raw/allen_neuropixels or allen_two_photon)",
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    parser.add_argument("--whole", action="store_true", help="of Allen sessions, the whole file")
    parser.add_argument("--probe", help="of an IBL session")
    parser.add_argument("--yes", action="store_true", help="download without a question")


def run(options: argparse.Namespace) -> None:
    needs_ids = options.set in ("allen", "allen-two-photon", "ibl")
    if not options.list and needs_ids != bool(options.ids):
        options.error(
            f"{options.set} takes {'ids, of what is wanted' if needs_ids else 'no ids'}"
            f"{': --list shows them.' if needs_ids and options.set != 'ibl' else '.'}"
        )
    try:
        {"rats": _rats, "ibl": _ibl}.get(
            options.set, _allen if options.set.startswith("allen") else _figshare
        )(options)
    except RuntimeError as error:
        if "nobody to ask" not in str(error):
            raise
        options.error(f"{str(error).partition(';')[0]}; give --yes to download without a question.")


def _rats(options: argparse.Namespace) -> None:
    from ..sources.published import rat_decisions

    if options.list:
        print(rat_decisions.list_sessions().drop(columns="git_blob_sha1").to_string())
        return
    to = options.to or Path("data")
    print(rat_decisions.prepared(to))


def _allen(options: argparse.Namespace) -> None:
    from ..sources.allen import neuropixels, two_photon

    spikes = options.set == "allen"
    cache = options.cache or Path("data/raw", "allen_neuropixels" if spikes else "allen_two_photon")
    if options.list:
        columns = (
            ["animal_id", "genotype", "session_type", "has_light_pulses", "size_gb"]
            if spikes
            else ["animal_id", "cre_line", "targeted_structure", "imaging_depth", "session_type"]
        )
        listed = neuropixels.list_sessions if spikes else two_photon.list_experiments
        print(listed(cache)[columns].to_string())
        return
    ids = [_number(text) for text in options.ids]
    ask = not options.yes
    if not spikes:
        paths = two_photon.download_experiments(ids, cache, confirm=ask)
        print("\n".join(map(str, paths)))
    elif options.whole:
        paths = neuropixels.download_sessions(ids, cache, confirm=ask)
        print("\n".join(map(str, paths)))
    else:
        to = options.to or Path("data/processed/allen")
        for recording in neuropixels.stream_sessions(ids, to, cache, confirm=ask):
            print(recording)
        print(to)


def _figshare(options: argparse.Namespace) -> None:
    from ..sources.download import figshare

    article = {"steinmetz": figshare.STEINMETZ, "bugeon": figshare.BUGEON}[options.set]
    to = options.to or Path("data/raw", options.set)
    if options.list:
        print(f"figshare {article}: {SETS[options.set]}; figshare says its size before it begins.")
        return
    for path in figshare.download_article(article, to, confirm=not options.yes):
        print(figshare.unpack(path) if path.suffix in (".zip", ".tar", ".gz", ".tgz") else path)


def _ibl(options: argparse.Namespace) -> None:
    from ..sources.published import ibl

    if options.list:
        print("ONE lists insertions: one.search_insertions(project='brainwide').")
        return
    for insertion in options.ids:
        print(ibl.download_insertion(insertion, options.to or Path("data/raw/ibl"), options.probe))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no id; the Allen Institute's are whole numbers.")
    return int(text)
