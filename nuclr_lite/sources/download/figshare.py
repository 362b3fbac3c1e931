"""Data sets on figshare: an article's files, checked against the MD5 that figshare publishes, and
unpacked where they are archives.

Written from figshare's public API (version 2); tested against a stand-in on this machine, as no
network was at hand.
"""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import re
import tarfile
import zipfile
import zlib
from pathlib import Path

from ...files.storage import atomic_directory
from ..reading import first_line
from .downloads import confirm_size, download
from .transfer import DownloadError, check_disk, import_requests

API = "https://api.figshare.com/v2/articles"
STEINMETZ, BUGEON = 9598406, 19448531  # Steinmetz et al. 2019; Bugeon et al. 2022
DEPTH = 5  # of archives in archives
_ARCHIVE = re.compile(r"\.(tar\.gz|tgz|tar|zip)$", re.IGNORECASE)


def download_article(
    article_id: int, folder: str | Path, *, names: str = "*", confirm: bool = True, api: str = API
) -> list[Path]:
    """Download the files of an article, resumed and checked as `downloads.download` does; what is
    there already and whole is not downloaded again.

    Says the article's title, licence and size first.

    Parameters
    ----------
    names : which files, a pattern such as '*.zip'. confirm : ask before downloading. api :
        figshare's address.

    Returns
    -------
    list[Path], in figshare's order.

    Raises
    ------
    DownloadError : figshare doesn't answer, knows no such article, or a file could not be had
        whole. ValueError : no file has such a name. What `confirm_size` raises.
    """
    folder = Path(folder).expanduser()
    article = _ask(f"{api}/{article_id}")
    listed = _ask(f"{api}/{article_id}/files?page_size=1000")
    files = [
        file
        for file in listed
        if fnmatch.fnmatch(file["name"], names) and not file.get("is_link_only")
    ]
    if not files:
        raise ValueError(
            f"figshare {article_id}: no file is called {names!r}; there are"
            f" {[file['name'] for file in listed]}."
        )
    for file in files:
        if re.search(r"[/\\\0]|^\.{0,2}$", file["name"]):
            raise ValueError(
                f"figshare {article_id}: a file is called {file['name']!r}, which is no plain name;"
                " download it by hand."
            )
    print(
        f"{article.get('title')}. Licence:"
        f" {(article.get('license') or {}).get('name', 'not said')}. {article.get('doi', '')}"
    )
    missing = sum(file["size"] for file in files if not (folder / file["name"]).is_file())
    if missing:
        confirm_size(missing, folder, f"figshare {article_id}", yes=not confirm)
    return [
        download(
            file["download_url"],
            folder / file["name"],
            expected_bytes=file["size"],
            check=_md5_check(file),
        )
        for file in files
    ]


def unpack(archive: str | Path, folder: str | Path | None = None) -> Path:
    """Unpack a .zip, .tar, .tar.gz or .tgz, and the archives in it, each into a folder of its name;
    returns the folder, which is whole or absent.

    Parameters
    ----------
    folder : None: beside the archive. The archive stays.

    Raises
    ------
    FileExistsError : the folder is there already. ValueError : no archive, a damaged one, or one
        with a member that would leave its folder. OSError with errno ENOSPC : no room.
    """
    archive = Path(archive).expanduser()
    if not _ARCHIVE.search(archive.name):
        raise ValueError(
            f"{archive}: isn't a .zip, .tar, .tar.gz or .tgz file; give one that is, or use it as"
            " it is."
        )
    folder = (
        archive.with_name(_ARCHIVE.sub("", archive.name))
        if folder is None
        else Path(folder).expanduser()
    )
    with atomic_directory(folder) as partial:
        _extract(archive, partial, archive)
        for depth in range(DEPTH + 1):
            inner = [
                file
                for file in partial.rglob("*")
                if _ARCHIVE.search(file.name) and file.is_file() and file.name[:2] != "._"
            ]
            if inner and depth == DEPTH:  # an archive may be made to hold itself
                raise ValueError(
                    f"{archive}: holds archives in archives, more than {DEPTH} deep; look at it by"
                    " hand."
                )
            for file in inner:
                into = file.with_name(_ARCHIVE.sub("", file.name))
                if into.exists():
                    raise ValueError(
                        f"{archive}: holds both {into.name} and {file.name}; unpack it by hand."
                    )
                into.mkdir()
                _extract(file, into, archive)
                file.unlink()
    return folder


def _ask(url: str):
    requests = import_requests()
    try:
        answer = requests.get(url, timeout=(10, 60))
        answer.raise_for_status()
        return answer.json()
    except (requests.RequestException, ValueError) as error:
        raise DownloadError(
            f"{url}: figshare gave no usable answer ({first_line(error)}); check the article's "
            "number and the network, and try again."
        ) from error


def _md5_check(file: dict):
    expected = file.get("computed_md5") or file.get("supplied_md5")

    def check(path: Path) -> None:
        if expected:
            with open(path, "rb") as handle:
                found = hashlib.file_digest(handle, "md5").hexdigest()
            if found != expected:
                raise ValueError(f"its MD5 is {found} instead of {expected}")

    return check


def _extract(archive: Path, into: Path, whole: Path) -> None:
    """The members of one archive; nothing is written outside `into`."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                outside = [
                    name
                    for name in zipped.namelist()
                    if re.search(r"^[/\\]|^[^/]*:|(^|[/\\])\.\.([/\\]|$)", name)
                ]
                if outside:
                    raise ValueError(f"its member {outside[0]!r} would leave the folder")
                check_disk(
                    into,
                    sum(member.file_size for member in zipped.infolist()),
                    f"unpacking {archive.name}",
                )
                zipped.extractall(into)
        else:
            with tarfile.open(archive) as opened:
                check_disk(into, sum(member.size for member in opened), f"unpacking {archive.name}")
                opened.extractall(into, filter="data")
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        gzip.BadGzipFile,
        ValueError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(
            f"{whole}: can't be unpacked ({archive.name}: "
            f"{first_line(error)}); nothing was. "
            "Download it again, or look at it by hand."
        ) from error
