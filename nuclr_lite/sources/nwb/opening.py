"""An NWB file opened for reading, on disk or at an address."""

from __future__ import annotations

import gc
import warnings
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard
from urllib.parse import quote, unquote, urlsplit

from ...files.nwb_files import TRUNCATED, lost_parts, why_unreadable
from ..reading import first_line

# what one request of a remote file asks for, and how many answers stay in memory
BLOCK_BYTES, KEPT_BLOCKS = 2**20, 128
SILENCE_S = 60.0  # a server that says nothing for so long won't


def is_address(path) -> TypeGuard[str]:
    """Whether this is an address, not a path; ValueError for one of a kind that isn't read."""
    if not isinstance(path, str) or "://" not in path:
        return False
    if urlsplit(path).scheme not in ("http", "https", "s3"):
        raise ValueError(
            f"{path!r}: addresses begin with https://, http:// or s3://; download the file first,"
            " and give its path."
        )
    return True


def without_secrets(address: str) -> str:
    """The address for people to read and for provenance: without a password, and without the query,
    where signatures stand.
    """
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def name_in(address: str) -> str | None:
    """'sub-1_ses-2' of '.../sub-1_ses-2.nwb'; None where the address ends in no name of a file,
    such as DANDI's '.../download/'.
    """
    name = unquote(urlsplit(address).path).rpartition("/")[2]
    return Path(name).stem if name.endswith(".nwb") and name != ".nwb" else None


@contextmanager
def opened(file: Path | str):
    """The NWBFile, open; ValueError where it, or later its data, can't be read."""
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ImportError(
            "reading NWB files needs pynwb, which is not installed: pip install pynwb"
        ) from error
    broken: tuple[type[Exception], ...] = (OSError,)
    passed_on: tuple[type[Exception], ...] = (PermissionError,)
    shown, secret, remedy = str(file), "", TRUNCATED
    if is_address(file):
        # What a lost connection raises while the data are read. asyncio's TimeoutError is an
        # OSError.
        broken, secret = (OSError, _network().ClientError), urlsplit(file).query
        shown = without_secrets(file)
        remedy = (
            "it is truncated or not NWB, or the connection failed; try again, or download it first"
        )
        passed_on = (PermissionError, FileNotFoundError, ImportError)
    make_io = NWBHDF5IO if is_address(file) or not is_zarr(Path(file)) else _zarr_io(shown)
    with ExitStack() as closing:
        if is_address(file):
            closing.enter_context(_without_garbage_collection())
        source = file
        try:
            with warnings.catch_warnings():
                # an older NWB version, and read all the same
                warnings.filterwarnings("ignore", message="Ignoring .*cached namespace")
                if is_address(file):
                    source = _remote(file, shown, closing)
                given = {"file": source} if is_address(file) else {"path": str(file)}
                nwbfile = closing.enter_context(
                    make_io(**given, mode="r", load_namespaces=True)
                ).read()
        except passed_on:
            raise
        except Exception as error:  # h5py, hdmf and fsspec raise all sorts here
            why = None if is_address(source) else why_unreadable(source, error)
            raise ValueError(
                f"{shown}: can't be read as NWB ({first_line(error, secret)}): {why or remedy}."
            ) from error
        try:
            yield nwbfile
        except broken as error:
            # damaged data, and broken connections, are met only when the data are read
            raise ValueError(
                f"{shown}: can't be read as NWB ({first_line(error, secret)}): {remedy}."
            ) from error


def is_zarr(path: Path) -> bool:
    """Whether this is a folder that Zarr wrote: one NWB session, not a folder of them."""
    return any((path / name).is_file() for name in (".zgroup", ".zmetadata", "zarr.json"))


def all_here(file, place: str):
    """ValueError where what lies at `place` of a file on disk, or below it, is only a link to what
    isn't there: pynwb would read it as nothing.
    """
    lost = lost_parts(file, place) if isinstance(file, Path) and file.is_file() else None
    if lost:
        raise ValueError(f"{file}: {lost}.")


def reads_zarr() -> bool:
    return find_spec("hdmf_zarr") is not None


def _zarr_io(shown: str):
    try:
        from hdmf_zarr import NWBZarrIO
    except ImportError as error:
        raise ImportError(
            f"{shown}: is NWB as Zarr, which needs hdmf-zarr, which is not installed: pip install"
            " hdmf-zarr; or export it to HDF5 where that is installed."
        ) from error
    return NWBZarrIO


def _remote(address: str, shown: str, closing: ExitStack):
    """The h5py.File at an address, of which only the parts are fetched that are read."""
    import h5py
    from fsspec.implementations.http import HTTPFileSystem

    if address.startswith("s3://"):
        bucket, _, key = address.removeprefix("s3://").partition("/")
        # what a public bucket serves to everybody, without an account
        address = f"https://{bucket}.s3.amazonaws.com/{quote(key)}"
    timeout = _network().ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
    web = HTTPFileSystem(client_kwargs={"timeout": timeout})
    try:
        stream = web.open(
            address,
            "rb",
            block_size=BLOCK_BYTES,
            cache_type="blockcache",
            cache_options={"maxblocks": KEPT_BLOCKS},
        )
    except FileNotFoundError as error:
        # fsspec calls everything so that keeps it from asking for the size
        if getattr(error.__cause__, "status", None) in (404, 410):
            raise FileNotFoundError(f"{shown}: nothing there; check the address.") from error
        cause = error.__cause__ or error  # what fsspec hides behind it
        raise cause from cause.__cause__
    if not stream.seekable():
        raise ValueError("the server doesn't give parts of a file")
    return closing.enter_context(h5py.File(closing.enter_context(stream), "r"))


@contextmanager
def _without_garbage_collection():
    """While HDF5 waits for the network it holds its lock.

    Were Python's collector to start in the network's thread just then, and to meet an HDF5 object
    there, it would wait for that lock: a standstill, until the timeout.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _network():
    """aiohttp, which fsspec uses for addresses."""
    try:
        import aiohttp
        import fsspec.implementations.http  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "reading NWB from an address needs fsspec and aiohttp: pip install 'fsspec[http]'; "
            "or download the file, and give its path."
        ) from error
    return aiohttp
