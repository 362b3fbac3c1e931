"""Files that are whole or absent: write beside the target, then rename."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
import zlib
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"
LONG_AGO_S = 86_400.0


@contextmanager
def atomic_directory(path: str | Path, overwrite: bool = False):
    """Yield a temporary folder that becomes `path` when the block ends, and vanishes when it fails.

    A kill at any moment leaves either what was there before or the complete new folder, and perhaps
    a `.partial` folder beside it, which nobody reads and `remove_abandoned` removes. Only between
    the two renames of a replacement is neither there; the old one then lies beside as
    `.<name>.<...>.replaced`. Of several processes that write the same `path` at once, the last one
    wins with `overwrite`, else the first.

    Raises
    ------
    FileExistsError : `path` exists and `overwrite` is False, or came to exist while the block ran.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise _exists(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, lock = _own_folder(path)
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                with open(file, "rb+") as handle:
                    os.fsync(handle.fileno())
        while not _moved(partial, path, overwrite):
            pass
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _own_folder(path: Path) -> tuple[Path, int | None]:
    """A new `.partial` folder for `path`, and the lock that says that its writer lives."""
    while True:
        partial = path.parent / f".{path.name}.{MACHINE}-{uuid4().hex[:8]}.partial"
        partial.mkdir()
        lock = _lock(partial, wait=True)
        if partial.is_dir():
            return partial, lock
        # Another process took it for abandoned, in the moment before the lock.
        if lock is not None:
            os.close(lock)


def _lock(folder: Path, wait: bool) -> int | None:
    """A handle that holds a folder until it is closed or the process ends, however it ends.

    None: another process has it, or the system has no such locks (Windows, some network disks).
    """
    if fcntl is None:
        return None
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return handle
    except OSError:
        if handle is not None:
            os.close(handle)
        return None


def remove_abandoned(*folders: Path):
    """Remove the `.partial` folders in these folders that processes left when they were killed.

    One that is being written is left alone: its writer holds a lock on it, which the system lets
    go when the process ends. Some disks keep locks to the machine that asked: so what another
    machine left must also have lain untouched for a day. Nothing is removed where there are no
    such locks (Windows).
    """
    for partial in (found for folder in folders for found in folder.glob(".*.partial")):
        lock = _lock(partial, wait=False) if partial.is_dir() else None
        if lock is None:
            continue
        try:
            if f".{MACHINE}-" in partial.name or _untouched_s(partial) > LONG_AGO_S:
                shutil.rmtree(partial, ignore_errors=True)
        finally:
            os.close(lock)


def is_leftover(path: Path) -> bool:
    """Is it named like what a killed writer leaves: half of the new, or all of the old?"""
    return path.name.startswith(".") and path.suffix in (".partial", ".replaced")


def _untouched_s(folder: Path) -> float:
    """How long nothing in a folder has been written, s; 0 where it can't be told."""
    try:
        return time.time() - max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return 0.0


def _moved(partial: Path, path: Path, overwrite: bool) -> bool:
    """Put a complete folder into its place; False where another process came in between and it must
    be tried again.
    """
    if not path.exists():
        try:
            partial.rename(path)
        except OSError:
            if path.exists():  # another process was quicker
                return False
            raise
        return True
    if not overwrite:
        raise _exists(path)
    replaced = path.parent / f".{path.name}.{uuid4().hex[:8]}.replaced"
    try:
        path.rename(replaced)
    except FileNotFoundError:
        return False
    try:
        partial.rename(path)
    except BaseException:
        if path.exists():  # what another process put there is newer than what was
            shutil.rmtree(replaced)
            return False
        replaced.rename(path)
        raise
    # the new one is in place: what is left of the old harms nobody
    shutil.rmtree(replaced, ignore_errors=True)
    return True


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(
        f"{path} exists already; choose another path, or pass overwrite=True to replace it."
    )


@contextmanager
def atomic_file(path: str | Path):
    """Yield a temporary path beside `path` that takes its place when the block ends, and is removed
    when it fails.

    A kill at any moment leaves what was there before or the complete new file, and perhaps a
    `.partial` file beside it.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        yield partial
        with open(partial, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(folder: Path):
    """OSError, before hours of work, where a folder can't be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise OSError(
            f"{folder} can't be written to ({error}); give a folder of yours, on a disk with room."
        ) from error


def file_name(text: str) -> str:
    """A text, such as an id out of somebody's file, as the name of a file or folder: it can't lead
    out of the folder it is put in.
    """
    name = quote(text, safe=" ()+,;=@[]{}~#&!'")
    return name.replace(".", "%2E") if not name.strip(". ") else name


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


SEAL = "checksums.json"


def describe_files(folder: Path, names) -> dict:
    """name -> bytes and SHA-256, for `check_files`."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in names
    }


def check_files(folder: Path, expected: dict, remedy: str, verify: bool = True):
    """ValueError at the first file of a folder that is missing, or not what `describe_files` saw;
    verify : read them and compare checksums too.
    """
    for name, file in expected.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != file["bytes"]:
            found = (
                "is missing" if size is None else f"has {size:,} bytes instead of {file['bytes']:,}"
            )
            raise ValueError(f"{path} {found}: the folder is incomplete; {remedy}.")
        if verify and sha256(path) != file["sha256"]:
            raise ValueError(
                f"{path} is not what was saved (SHA-256 differs): it was changed or damaged;"
                f" {remedy}."
            )


def seal(folder: Path, leave: tuple[str, ...] = ()):
    """Write down what lies in a complete folder, for `check_seal`; leave : files that people may
    change.
    """
    names = sorted(path.name for path in folder.iterdir() if path.name not in (SEAL, *leave))
    (folder / SEAL).write_text(
        json.dumps(describe_files(folder, names), indent=1), encoding="utf-8"
    )


def check_seal(folder: Path, remedy: str):
    """ValueError where a sealed folder is not as it was; one without a seal, from before there were
    any, passes.
    """
    try:
        expected = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        plain = all(
            Path(name).name == name and {"bytes", "sha256"} <= file.keys()
            for name, file in expected.items()
        )
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError):
        plain = False
    if not plain:
        raise ValueError(f"{folder / SEAL} can't be read: it was changed or damaged; {remedy}.")
    check_files(folder, expected, remedy)
