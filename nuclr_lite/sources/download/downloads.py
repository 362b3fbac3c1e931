"""Files from the network that are whole or absent: resumed, retried, checked, and only then put in
their place.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...files.progress import progress
from .transfer import (
    DownloadError,
    Part,
    Trouble,
    check_disk,
    fetch,
    free_bytes,
    persist,
    readable_size,
)

TYPICAL_BYTES_PER_S = 10e6  # only for the estimate of how long a download takes
_ONE_BAR_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Job:
    """One file for `download_all`; the fields are those of `download`. check : None: as for all."""

    urls: str | Sequence[str | Callable[[], str]]
    path: str | Path
    expected_bytes: int | None = None
    check: Callable[[Path], None] | None = None


def opens_as_hdf5(path: str | Path) -> None:
    """ValueError, saying what it is instead, unless the file opens as HDF5 in its full length."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            list(file)
    except (FileNotFoundError, PermissionError, BlockingIOError):
        raise
    except (OSError, RuntimeError) as error:
        with open(path, "rb") as handle:
            start = handle.read(200)
        if not start:
            what = "is empty"
        elif start.startswith(b"\x89HDF\r\n\x1a\n"):
            what = f"is truncated or damaged ({error})"
        elif start.lstrip()[:1] in (b"<", b"{"):
            what = (
                "is a web page or a message instead of data:"
                f" {start.decode(errors='replace')[:80]!r}"
            )
        else:
            what = "is not an HDF5 file"
        raise ValueError(f"{Path(path).name} {what}") from error


def is_whole(path: str | Path) -> bool:
    """Whether there is a file that opens as HDF5."""
    try:
        opens_as_hdf5(path)
    except (OSError, ValueError):
        return False
    return True


def download(
    urls: str | Sequence[str | Callable[[], str]],
    path: str | Path,
    *,
    expected_bytes: int | None = None,
    check: Callable[[Path], None] = opens_as_hdf5,
    tries: int = 5,
    timeout_s: tuple[float, float] = (10.0, 60.0),
    back_off_s: float = 1.0,
    disable_bar: bool = False,
) -> Path:
    """Download a file unless it is there already; run again, it resumes where it stopped.

    What comes is written to `<path>.part`, with a note beside it of which file it is the beginning
    of, and renamed onto `path` only when its size is right and `check` passes. A file that is there
    but fails is left alone until a whole one can replace it. Of two processes that want one file,
    the second waits for the first (`<path>.lock`).

    Parameters
    ----------
    urls : where the file may be had, in the order to try. A function is called for its address when
        its turn comes.
    expected_bytes : the size, if known; a file of another size isn't the one that is wanted.
    check : called with the path of a file of the right size; raises ValueError, saying what is
        wrong.
    tries : how often in a row an address may fail without anything new having come.
    timeout_s : longest wait for a connection, and for the next bytes.
    back_off_s : wait after the first failure, doubled after each (60 s at most); a server's
        Retry-After counts where it is longer.

    Raises
    ------
    DownloadError : no address had the whole file. OSError with errno ENOSPC : the disk has, or had,
        no room for it.
    """
    meter = _Meter(Path(path).name, disable_bar)
    with meter:
        return _download(
            Job(urls, path, expected_bytes), check, tries, timeout_s, back_off_s, meter
        )


def download_all(
    jobs: Sequence[Job],
    parallel: int = 3,
    *,
    check: Callable[[Path], None] = opens_as_hdf5,
    tries: int = 5,
    timeout_s: tuple[float, float] = (10.0, 60.0),
    back_off_s: float = 1.0,
    disable_bar: bool = False,
) -> list[Path]:
    """`download` several files, `parallel` at a time, with a bar for each and one for all.

    One that fails doesn't stop the others.

    Raises
    ------
    DownloadError : at the end, with what was wrong with each file that failed.
    """
    jobs, stopped, failed = list(jobs), threading.Event(), {}
    overall = progress(
        desc=f"{len(jobs)} files",
        total=0,
        unit="B",
        unit_scale=True,
        unit_divisor=1000,
        disable=disable_bar,
    )

    def one(job: Job) -> Path:
        with _Meter(Path(job.path).name, disable_bar, overall, stopped) as meter:
            return _download(job, job.check or check, tries, timeout_s, back_off_s, meter)

    with overall, ThreadPoolExecutor(max_workers=parallel) as pool:
        running = [pool.submit(one, job) for job in jobs]
        try:
            for job, future in zip(jobs, running):
                try:
                    future.result()
                except (OSError, ValueError) as error:
                    failed[job.path] = error
        except BaseException:  # an interrupted cell must not wait for gigabytes
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        raise DownloadError(
            f"{len(failed)} of {len(jobs)} files could not be downloaded.\n"
            + "\n".join(map(str, failed.values()))
        )
    return [Path(job.path) for job in jobs]


def confirm_size(n_bytes: float, folder: str | Path, what: str, yes: bool = False) -> None:
    """Say how much a download takes and how much room there is; ask, unless `yes`.

    Raises
    ------
    OSError with errno ENOSPC : there isn't the room. DownloadError : the answer was no.
    RuntimeError : nobody is there to answer.
    """
    check_disk(Path(folder), n_bytes, what)
    minutes = n_bytes / TYPICAL_BYTES_PER_S / 60
    print(
        f"{what}: {readable_size(n_bytes)} to download to {folder}"
        f" ({readable_size(free_bytes(Path(folder)))} free); about"
        f" {f'{minutes / 60:.1f} h' if minutes > 90 else f'{max(minutes, 1):.0f} min'} at"
        f" {TYPICAL_BYTES_PER_S / 1e6:g} MB/s."
    )
    if yes:
        return
    nobody = (
        f"{what}: there is nobody to ask whether to download {readable_size(n_bytes)}; pass"
        " confirm=False to download without a question."
    )
    if not (sys.stdin is not None and sys.stdin.isatty()) and "ipykernel" not in sys.modules:
        raise RuntimeError(nobody)
    try:
        answer = input("Download? [y/N] ")
    except (EOFError, NotImplementedError) as error:  # a notebook that is executed, not used
        raise RuntimeError(nobody) from error
    if answer.strip().lower() not in ("y", "yes"):
        raise DownloadError(f"{what}: not downloaded, as you answered.")


class _Meter:
    """The bytes of one file, in its own bar and in that for all files; says when to stop."""

    def __init__(
        self, name: str, disable: bool, overall=None, stopped: threading.Event | None = None
    ):
        self.bar = progress(
            desc=name,
            total=0,
            unit="B",
            unit_scale=True,
            unit_divisor=1000,
            leave=overall is None,
            disable=disable,
        )
        self.overall, self.stopped = overall, stopped or threading.Event()
        self.done = self.total = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def start(self, done: int, total: int | None) -> None:
        total = total or 0
        self.bar.total = total
        if self.overall is not None:
            with _ONE_BAR_AT_A_TIME:
                self.overall.total += total - self.total
        self.total = total
        self.add(done - self.done)

    def add(self, n_bytes: int) -> None:
        self.done += n_bytes
        with _ONE_BAR_AT_A_TIME:
            for bar in (self.bar, self.overall):
                if bar is not None:
                    bar.update(n_bytes)
        self.check()

    def check(self) -> None:
        if self.stopped.is_set():
            raise DownloadError("stopped; what has come is kept, and running it again resumes.")

    def wait(self, seconds: float) -> None:
        self.stopped.wait(seconds)
        self.check()


def _download(job: Job, check, tries: int, timeout_s, back_off_s: float, meter: _Meter) -> Path:
    path, urls = Path(job.path), [job.urls] if isinstance(job.urls, str) else list(job.urls)
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder, and a file of that name is to be downloaded; move the folder"
            " away."
        )
    # before the lock: a cache may be read-only
    if _wrong_with(path, job.expected_bytes, check) is None:
        meter.start(path.stat().st_size, path.stat().st_size)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, meter):
        wrong = _wrong_with(path, job.expected_bytes, check)
        if wrong is None:
            return path
        part, problems = Part(path), []
        for url in urls:
            name = url if isinstance(url, str) else "address of the file"
            try:
                name = url = url if isinstance(url, str) else url()
                persist(
                    partial(fetch, url, part, job.expected_bytes, check, timeout_s, meter),
                    tries,
                    back_off_s,
                    meter.wait,
                    lambda: part.size,
                )
            except Trouble as trouble:
                problems.append(f"  {name}: {trouble}")
            except (ValueError, DownloadError) as error:  # the function that looks up an address
                meter.check()
                problems.append(f"  {name}: {error}")
            else:
                with open(part.file, "rb+") as handle:
                    os.fsync(handle.fileno())
                os.replace(part.file, path)
                part.note.unlink(missing_ok=True)
                return path
        kept = (
            f"What has come ({readable_size(part.size)}) is kept in {part.file.name}. "
            if part.size
            else ""
        )
        old = f"The file that is there is left as it was ({wrong}). " if path.exists() else ""
        raise DownloadError(
            f"{path} could not be downloaded:\n"
            + "\n".join(problems)
            + f"\n{old}{kept}Check the network and run it again: it resumes."
        )


def _wrong_with(path: Path, expected_bytes: int | None, check) -> str | None:
    """What is wrong with the file that should be at `path`; None if nothing is."""
    if not path.exists():
        return "there is none"
    if expected_bytes is not None and path.stat().st_size != expected_bytes:
        return f"it has {path.stat().st_size:,} bytes instead of {expected_bytes:,}"
    try:
        return check(path)
    except ValueError as error:
        return str(error)


@contextmanager
def _locked(path: Path, meter: _Meter):
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            meter.bar.set_description(f"{path.name}: waiting for another process that downloads it")
            meter.check()
    try:
        meter.bar.set_description(path.name)
        yield
    finally:
        lock.release()
