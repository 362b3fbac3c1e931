"""Why an NWB file can't be read, and what to do: an old or a newer version of the format, parts in
another file that isn't there, a pointer in place of the file. What reads such files and what writes
results into them ask here.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path

TRUNCATED = "it is truncated or not NWB; download it again"
OUR_NAMESPACES = {"core", "hdmf-common", "hdmf-experimental"}
POINTERS = {
    b"version https://git-lfs": "a pointer of Git LFS: git lfs pull",
    b"/annex/objects": "a pointer of git-annex: datalad get, or git annex get",
}


def why_unreadable(source, error: Exception) -> str | None:
    """What is wrong with the file, and the remedy; None where nothing is known but `error`.

    source : a path, or an open h5py.File.
    """
    if isinstance(source, (str, Path)):
        if Path(source).is_dir():
            return None
        with open(source, "rb") as file:
            start = file.read(100)
        for pattern, said in POINTERS.items():
            if pattern in start:
                return f"it is not the file, but {said}"
    try:
        with _at_hand(source) as file:
            return (
                _old_version(file)
                or lost_parts(file)
                or (None if isinstance(error, OSError) else _version_or_standard(file, error))
            )
    except Exception:  # h5py meets all sorts in a damaged file
        return None


def lost_parts(source, place: str = "") -> str | None:
    """What a link leads to that isn't there, at `place` or below it ('': anywhere), and the remedy;
    None where all is there.

    place : as it ends in the file, such as 'units' or 'ophys/DfOverF/traces'.
    """
    import h5py

    lost = []
    with _at_hand(source) as file:

        def look(name, link):
            of_place = not place or f"/{place}/" in f"/{name}/" or f"/{place}".endswith(f"/{name}")
            if isinstance(link, h5py.HardLink) or not of_place:
                return
            try:
                file[name]
            except (KeyError, OSError):
                lost.append((name, link))

        file.visititems_links(look)
    if not lost:
        return None
    name, link = lost[0]
    if isinstance(link, h5py.SoftLink):
        return f"{name} is a link to {link.path}, which isn't in the file: write the file again"
    return (
        f"{name} is in another file, {link.filename} ({link.path}), that isn't there: copy it"
        " beside this one, as it was when the link was made"
    )


@contextmanager
def _at_hand(source):
    if isinstance(source, (str, Path)):
        import h5py

        with h5py.File(source, "r") as file:
            yield file
    else:
        yield source


def _version(file) -> str:
    """As the file states it: an attribute, in NWB 1 a dataset."""
    stated = file.attrs.get("nwb_version", file["nwb_version"][()] if "nwb_version" in file else "")
    return (stated.decode() if isinstance(stated, bytes) else str(stated)).removeprefix("NWB-")


def _old_version(file) -> str | None:
    version = _version(file)
    if not re.match(r"[01]\.", version) and not re.match(r"2\.0.*[ab]", version):
        return None
    trains = []
    file.visit(lambda name: trains.append(name) if name.endswith("/times") else None)
    where = f", such as {trains[0]}" if trains else ""
    return (
        f"it is NWB {version}, which pynwb doesn't read: convert it to NWB 2; or read its spike"
        f" times with h5py{where}, and give them to Recording.from_spike_trains"
    )


def _version_or_standard(file, error: Exception) -> str | None:
    return _newer_version(file) or _extension(file) or _against_the_standard(file, error)


def _newer_version(file) -> str | None:
    import pynwb

    known = pynwb.get_type_map().namespace_catalog.get_namespace("core")["version"]
    cached = list(file["specifications/core"]) if "specifications/core" in file else []
    newest = max([_version(file), *cached], key=_numbers)
    if _numbers(newest) <= _numbers(known):
        return None
    return (
        f"it is NWB {newest}, and the installed pynwb {pynwb.__version__} knows {known}: pip"
        " install --upgrade pynwb"
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _extension(file) -> str | None:
    used = set()
    file.visititems(lambda _, item: used.add(item.attrs.get("namespace")))
    unknown = sorted(used - OUR_NAMESPACES - {None} - set(file.get("specifications", ())))
    return (
        f"it uses {unknown[0]}, an extension of NWB that the file doesn't bring along: pip install"
        f" {unknown[0]}, and import it first"
        if unknown
        else None
    )


def _against_the_standard(file, error: Exception) -> str | None:
    version = _version(file)
    if not version or isinstance(error, (KeyError, RuntimeError)):
        return None
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause.__cause__, OSError):
        cause = cause.__cause__  # hdmf's own words are pages of the file's content
    return (
        f"it is whole, NWB {version}, but not as pynwb expects it"
        f" ({(str(cause).splitlines() or [''])[0][:150]}): see what python -m pynwb.validate says,"
        " and write it again"
    )
