"""A file on a server of which only the parts are fetched that are read; they are kept on disk until
it is done with, so that whoever was stopped goes on.
"""

from __future__ import annotations

import io
import json
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from ...files.progress import progress
from ...files.storage import atomic_file
from .transfer import (
    DownloadError,
    Trouble,
    check_disk,
    import_requests,
    is_page,
    persist,
    refusal,
    total_bytes,
    validator,
)

BLOCK_BYTES = 2**14
LONGEST_GAP = 1  # blocks between two parts that are fetched with them, rather than asked for apart
LONGEST_REQUEST = 512  # blocks: what a broken connection may cost


class RemoteFile(io.RawIOBase):
    """To be read as a file is, by `h5py.File` for one.

    What has come lies in `<path>.blocks`, a sparse file, with a note beside it of which file on the
    server it is of and which blocks there are; made again, it goes on from there. One process at a
    time.

    Parameters
    ----------
    urls : where the file may be had, in the order to try; a function is called for its address when
        its turn comes.
    path : where the whole file would lie: names it, and says where the blocks go.
    tries, timeout_s, back_off_s : as in `downloads.download`.
    at_once : requests at a time in `fetch`.

    Attributes
    ----------
    path, size (bytes), received (bytes that came over the network, since it was made), tag (of the
        version that is there: the server's ETag or, without one, the file's date; None without
        either).

    Raises
    ------
    DownloadError : no address gives parts of the file; later, while it is read: the connection
        failed for good, or the server has another file there now (what had come is then discarded).
    """

    def __init__(
        self,
        urls: str | Sequence[str | Callable[[], str]],
        path: str | Path,
        *,
        tries: int = 5,
        timeout_s: tuple[float, float] = (10.0, 60.0),
        back_off_s: float = 1.0,
        at_once: int = 4,
        disable_bar: bool = False,
    ):
        super().__init__()
        self.path = Path(path)
        self._data, self._note = Path(f"{path}.blocks"), Path(f"{path}.blocks.json")
        self._persist = partial(
            persist, tries=tries, back_off_s=back_off_s, wait=threading.Event().wait
        )
        self._timeout_s, self._at_once, self._at = timeout_s, at_once, 0
        self._sessions, self._storing = threading.local(), threading.Lock()
        self.received, self._changed = 0, False
        self._url, self.size, self.tag = self._first_answer(urls)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._have = self._blocks_there()
        self._file = open(self._data, "r+b" if self._data.exists() else "w+b")
        self._file.truncate(self.size)
        self._bar = progress(
            desc=self.path.name,
            unit="B",
            unit_scale=True,
            unit_divisor=1000,
            disable=disable_bar,
        )

    def fetch(self, ranges) -> None:
        """Have these parts come, those that lie close together in one request, some requests at a
        time; then reading them waits for nothing. ranges : (start, stop) pairs, bytes.
        """
        requests_ = self._missing(ranges)
        check_disk(self.path.parent, sum(stop - start for start, stop in requests_), self.path.name)
        self._bar.total = (self._bar.n or 0) + sum(stop - start for start, stop in requests_)
        with ThreadPoolExecutor(max_workers=self._at_once) as pool:
            running = [pool.submit(self._bring, *one) for one in requests_]
            try:
                for one in running:
                    one.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                self._remember()

    def discard(self) -> None:
        """Close it, and remove what has come."""
        self.close()
        self._remove()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def readinto(self, buffer) -> int:
        stop = min(self._at + len(buffer), self.size)
        # in this thread: where h5py reads it holds a lock that a thread of ours might come to need
        for one in self._missing([(self._at, stop)]):
            self._bring(*one)
        with self._storing:
            self._file.seek(self._at)
            n_bytes = self._file.readinto(memoryview(buffer)[: max(stop - self._at, 0)])
        self._at += n_bytes
        return n_bytes

    def close(self) -> None:
        if not self.closed and hasattr(self, "_bar"):
            self._remember()
            self._file.close()
            self._bar.close()
            if self._changed:
                self._remove()
        super().close()

    def _remove(self) -> None:
        # first: blocks without a note are never used, a note without blocks is harmless
        self._data.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _missing(self, ranges) -> list[tuple[int, int]]:
        """What has to be asked for, (start, stop) in bytes."""
        wanted = np.zeros(len(self._have), dtype=bool)
        for start, stop in ranges:
            wanted[start // BLOCK_BYTES : -(-stop // BLOCK_BYTES)] = stop > start
        at = np.flatnonzero(wanted & ~self._have)
        # of a block that is there nothing is asked for again, however short the gap is
        there = np.concatenate([[0], np.cumsum(self._have)])
        apart = (np.diff(at) > LONGEST_GAP + 1) | (np.diff(there[at]) > 0)
        found = []
        for run in np.split(at, np.flatnonzero(apart) + 1):
            for first in range(int(run[0]), int(run[-1]) + 1, LONGEST_REQUEST) if len(run) else ():
                last = min(first + LONGEST_REQUEST - 1, int(run[-1]))
                found.append((first * BLOCK_BYTES, min((last + 1) * BLOCK_BYTES, self.size)))
        return found

    def _bring(self, start: int, stop: int) -> None:
        try:
            self._persist(partial(self._request, start, stop))
        except Trouble as trouble:
            what = (
                "What had come is discarded. Run it again: it starts over"
                if self._changed
                else "What has come is kept. Check the network and run it again: it goes on"
            )
            raise DownloadError(f"{self.path.name}: {self._url}: {trouble}. {what}.") from trouble

    def _request(self, start: int, stop: int) -> None:
        with self._ask(self._url, start, stop) as response:
            if (total_bytes(response), validator(response)) != (self.size, self.tag):
                self._changed = True
                raise Trouble("the file there is not the one that was begun", again=False)
            content = response.content
        if len(content) != stop - start:
            raise Trouble(f"{len(content):,} bytes came instead of {stop - start:,}")
        with self._storing:
            self._file.seek(start)
            self._file.write(content)
            self._have[start // BLOCK_BYTES : -(-stop // BLOCK_BYTES)] = True
            self.received += len(content)
            self._bar.update(len(content))

    def _ask(self, url: str, start: int, stop: int):
        """The answer to a request for a part, that part and nothing else; Trouble otherwise."""
        requests = import_requests()
        if not hasattr(self._sessions, "one"):
            self._sessions.one = requests.Session()
        response = self._sessions.one.get(
            url,
            headers={"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
            stream=True,
            timeout=self._timeout_s,
        )
        given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        try:
            if response.status_code not in (200, 206):
                raise refusal(response)
            if is_page(response):
                raise Trouble("a web page came instead of the file")
            if response.status_code == 200 or given is None or int(given[1]) != start:
                raise Trouble("the server doesn't give the part of the file that was asked for")
        except Trouble:
            response.close()
            raise
        return response

    def _first_answer(self, urls) -> tuple[str, int, str | None]:
        problems = []
        for url in [urls] if isinstance(urls, str) else urls:
            name = url if isinstance(url, str) else "address of the file"
            try:
                name = address = url if isinstance(url, str) else url()
                with self._persist(partial(self._ask, address, 0, 1)) as response:
                    size = total_bytes(response)
                    if size:
                        return address, size, validator(response)
                problems.append(f"  {name}: the server doesn't say how large the file is")
            # the function that looks up an address raises the last two
            except (Trouble, ValueError, DownloadError) as error:
                problems.append(f"  {name}: {error}")
        raise DownloadError(
            f"{self.path.name} can't be read where it lies:\n"
            + "\n".join(problems)
            + "\nCheck the network and run it again, or download the whole file."
        )

    def _blocks_there(self) -> np.ndarray:
        """(blocks,) bool; none, where the note is of another file, or there is none."""
        n = -(-self.size // BLOCK_BYTES)
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            packed = np.frombuffer(bytes.fromhex(note["blocks"]), dtype=np.uint8)
            same = (note["bytes"], note["validator"]) == (self.size, self.tag)
            if same and self._data.stat().st_size == self.size and len(packed) == -(-n // 8):
                return np.unpackbits(packed, count=n).astype(bool)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._remove()
        return np.zeros(n, dtype=bool)

    def _remember(self) -> None:
        """Write down which blocks there are, once they are on disk."""
        if self._file.closed:
            return
        with self._storing:
            self._file.flush()
            os.fsync(self._file.fileno())
            note = {
                "url": self._url,
                "validator": self.tag,
                "bytes": self.size,
                "blocks": np.packbits(self._have).tobytes().hex(),
            }
        with atomic_file(self._note) as partial_note:
            partial_note.write_text(json.dumps(note), encoding="utf-8")
