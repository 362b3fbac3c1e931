"""Files that are whole or absent: write beside the target, then rename."""
from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_directory(path: str | Path, overwrite: bool = False):
    """Yield a temporary folder that becomes `path` when the block ends, and vanishes when it fails.

    A kill at any moment leaves either what was there before or the complete new folder, and perhaps
    a `.partial` folder beside it, which nobody reads. Only between the two renames of a replacement is
    neither there; the old one then lies beside as `.<name>.<...>.replaced`.

    Raises
    ------
    FileExistsError : `path` exists and `overwrite` is False.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; choose another path, or pass overwrite=True to replace it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name}.{uuid4().hex[:8]}.partial"
    partial.mkdir()
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                with open(file, "rb+") as handle:
                    os.fsync(handle.fileno())
        if path.exists():
            replaced = path.parent / f".{path.name}.{uuid4().hex[:8]}.replaced"
            path.rename(replaced)
            try:
                partial.rename(path)
            except BaseException:
                replaced.rename(path)
                raise
            shutil.rmtree(replaced)
        else:
            partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def atomic_file(path: str | Path):
    """Yield a temporary path beside `path` that takes its place when the block ends, and is removed when it fails.

    A kill at any moment leaves what was there before or the complete new file, and perhaps a `.partial` file beside it.
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


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
