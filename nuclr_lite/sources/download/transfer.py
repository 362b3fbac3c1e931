"""Requests that are tried again and answers that are checked: what `downloads` is made of."""

from __future__ import annotations

import errno
import json
import re
import shutil
import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time

CHUNK_BYTES = 2**17
LONGEST_WAIT_S = 60.0
DISK_MARGIN = 1.05


class DownloadError(OSError):
    """A file that could not be had: each address tried, what was wrong there, what to do."""


class Trouble(Exception):
    """Why one try failed; whether another may do better, and how long the server asked to be left
    alone, s.
    """

    def __init__(self, reason: str, again: bool = True, wait_s: float | None = None):
        super().__init__(reason)
        self.again, self.wait_s = again, wait_s


def remote_size(url: str, timeout_s: tuple[float, float] = (10.0, 60.0)) -> int | None:
    """Size of a file on a server in bytes, or None where the server can't be reached or doesn't
    say. Nothing is downloaded.
    """
    requests = import_requests()
    try:
        with requests.get(
            url,
            headers={"Range": "bytes=0-0", "Accept-Encoding": "identity"},
            stream=True,
            timeout=timeout_s,
        ) as response:
            return (
                total_bytes(response)
                if response.status_code in (200, 206) and not is_page(response)
                else None
            )
    except requests.RequestException:
        return None


def read_json(
    url: str,
    *,
    tries: int = 5,
    timeout_s: tuple[float, float] = (10.0, 60.0),
    back_off_s: float = 1.0,
):
    """The JSON that a server answers with; tried again as in `download`. Raises DownloadError."""
    requests = import_requests()

    def attempt():
        with requests.get(url, timeout=timeout_s) as response:
            if response.status_code != 200:
                raise refusal(response)
            try:
                return response.json()
            except ValueError as error:
                raise Trouble(f"the answer is not JSON: {response.text[:80]!r}") from error

    try:
        return persist(attempt, tries, back_off_s, threading.Event().wait)
    except Trouble as trouble:
        raise DownloadError(
            f"{url} could not be read: {trouble}. Check the network and run it again."
        ) from trouble


class Part:
    """What has come of a file, and the note that says of which file on the server."""

    def __init__(self, path: Path):
        self.file, self.note = Path(f"{path}.part"), Path(f"{path}.part.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def origin(self) -> dict:
        try:
            origin = json.loads(self.note.read_text(encoding="utf-8"))
            return {
                "url": origin["url"],
                "validator": origin["validator"],
                "bytes": origin["bytes"],
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {"url": None, "validator": None, "bytes": None}

    def begin(self, url: str, validator: str | None, n_bytes: int | None) -> None:
        self.discard()
        self.note.write_text(
            json.dumps({"url": url, "validator": validator, "bytes": n_bytes}), encoding="utf-8"
        )

    def discard(self) -> None:
        # first: a part without a note is never resumed, a note without a part is harmless
        self.file.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def persist(
    attempt: Callable,
    tries: int,
    back_off_s: float,
    wait: Callable[[float], object],
    reached: Callable[[], int] = lambda: 0,
):
    """What `attempt` returns; the last Trouble when it failed `tries` times in a row without
    getting further than ever before.
    """
    requests = import_requests()
    failures, furthest = 0, reached()
    while True:
        try:
            return attempt()
        except Trouble as error:
            trouble = error
        except (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
        ) as error:
            trouble = Trouble(str(error), again=False)
        except requests.ConnectTimeout:
            trouble = Trouble("no connection in time")
        except requests.RequestException as error:
            trouble = Trouble(
                "no data in time"
                if "timed out" in str(error).lower()
                else f"the connection failed or broke off ({error})"
            )
        failures = 1 if reached() > furthest else failures + 1
        furthest = max(furthest, reached())
        if not trouble.again or failures >= tries:
            raise trouble
        wait(min(LONGEST_WAIT_S, max(back_off_s * 2 ** (failures - 1), trouble.wait_s or 0)))


def fetch(
    url: str,
    part: Part,
    expected_bytes: int | None,
    check: Callable[[Path], None],
    timeout_s,
    meter,
) -> None:
    """One request for what is missing, added to the part; Trouble unless it is then whole."""
    origin = part.origin()
    if not part.size or part.size != origin["bytes"]:
        _request_rest(url, part, origin, expected_bytes, timeout_s, meter)
    try:
        if expected_bytes not in (None, part.size):
            raise ValueError(f"the file has {part.size:,} bytes instead of {expected_bytes:,}")
        check(part.file)
    except ValueError as error:
        part.discard()
        raise Trouble(str(error)) from error


def _request_rest(
    url: str, part: Part, origin: dict, expected_bytes: int | None, timeout_s, meter
) -> None:
    have, headers = part.size, {"Accept-Encoding": "identity"}
    # Without a validator nothing but the address says that the two halves are of one file.
    if have and (origin["validator"] or origin["url"] == url):
        headers["Range"] = f"bytes={have}-"
        if origin["validator"]:
            headers["If-Range"] = origin["validator"]
    with import_requests().get(url, headers=headers, stream=True, timeout=timeout_s) as response:
        total = total_bytes(response)
        if response.status_code == 416 and have:
            if total != have:
                part.discard()
                raise Trouble("the file there is not the one that has come in part; starting over")
            return
        if response.status_code not in (200, 206):
            raise refusal(response)
        if is_page(response):
            raise Trouble("a web page came instead of the file")
        if expected_bytes is not None and total not in (None, expected_bytes):
            raise Trouble(f"the file there has {total:,} bytes instead of {expected_bytes:,}")
        if response.status_code == 200:
            part.begin(url, validator(response), total)
            have = 0
        elif not _continues(response, have, total, origin):
            part.discard()
            raise Trouble("what came doesn't continue what has come in part; starting over")
        if total is not None:
            check_disk(part.file.parent, total - have, part.file.name)
        meter.start(have, total)
        _append(response, part, meter)
    total = expected_bytes if total is None else total
    if total is not None and part.size != total:
        if part.size > total:
            part.discard()
        raise Trouble(f"the file ended after {part.size:,} of {total:,} bytes")


def _append(response, part: Part, meter) -> None:
    try:
        with open(part.file, "ab") as handle:
            for chunk in response.iter_content(CHUNK_BYTES):
                handle.write(chunk)
                meter.add(len(chunk))
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise OSError(
                errno.ENOSPC,
                f"the disk is full; {readable_size(part.size)} are kept in {part.file}: "
                "make room and run it again, it resumes",
            ) from error
        raise


def _continues(response, have: int, total: int | None, origin: dict) -> bool:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    same = origin["validator"] is None or validator(response) in (None, origin["validator"])
    return (
        start is not None
        and int(start[1]) == have
        and have > 0
        and total == origin["bytes"]
        and same
    )


def validator(response) -> str | None:
    """What If-Range takes: a strong ETag, or else the date of the file."""
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag


def total_bytes(response) -> int | None:
    """Size of the whole file."""
    if response.status_code == 200:
        text = response.headers.get("Content-Length", "")
    else:
        text = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isdigit() else None


def is_page(response) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/html")


def refusal(response) -> Trouble:
    status, after = response.status_code, response.headers.get("Retry-After", "")
    try:
        wait_s = (
            float(after)
            if after.replace(".", "").isdigit()
            else parsedate_to_datetime(after).timestamp() - time()
        )
    except (ValueError, TypeError, IndexError):
        wait_s = None
    return Trouble(
        f"the server answers {status} {response.reason}",
        not 400 <= status < 500 or status in (408, 416, 429),
        wait_s,
    )


def check_disk(folder: Path, n_bytes: float, what: str) -> None:
    free = free_bytes(folder)
    if free < n_bytes * DISK_MARGIN:
        raise OSError(
            errno.ENOSPC,
            f"{what}: {readable_size(n_bytes)} are still to come, and {folder} has"
            f" {readable_size(free)} free; make room, or choose another folder. What has come is"
            " kept",
        )


def free_bytes(folder: Path) -> int:
    """Free space of the disk that the folder is, or will be, on."""
    folder = folder.resolve()
    return shutil.disk_usage(
        next(place for place in (folder, *folder.parents) if place.exists())
    ).free


def readable_size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e7 else f"{n_bytes / 1e6:.2f} MB"


def import_requests():
    try:
        import requests
    except ImportError as error:
        raise ImportError(
            "downloading needs requests, which is not installed: pip install requests"
        ) from error
    return requests
