"""Parts of a file on a server: the bytes are the file's, whatever goes wrong on the way."""

import h5py
import numpy as np
import one_file
import pytest
from allen_server import Fault
from one_file import DEAD, HASTE, write

from nuclr_lite.sources.download import remote
from nuclr_lite.sources.download.remote import BLOCK_BYTES, RemoteFile
from nuclr_lite.sources.download.transfer import DownloadError

source, server, target = one_file.source, one_file.server, one_file.target
AT = 300_000  # of the part that the tests read
QUICK = {**HASTE, "disable_bar": True}


def part(file, at=AT, n=5000) -> bytes:
    file.seek(at)
    return file.read(n)


def test_parts_are_those_of_the_file(server, source, target):
    whole, rng = source.read_bytes(), np.random.default_rng(0)
    with RemoteFile(server.file, target, **QUICK) as file:
        assert file.size == len(whole) and file.readable() and file.seekable()
        for _ in range(40):
            at, n = int(rng.integers(0, len(whole))), int(rng.integers(0, 90_000))
            assert part(file, at, n) == whole[at : at + n] and file.tell() == min(at + n, file.size)
        file.seek(-10, 2)
        assert file.read() == whole[-10:] and file.read(5) == b""
        file.seek(0)
        assert file.read() == whole
        assert file.received == len(whole)  # no byte twice


def test_what_lies_close_together_comes_in_one_request(server, target):
    with RemoteFile(server.file, target, **QUICK) as file:
        before = len(server.file_requests)
        block = BLOCK_BYTES
        # a gap of one block, then one of ten; the first block is there already
        file.fetch([(0, 1)])
        parts = [(0, 10), (block, 2 * block), (3 * block, 3 * block + 1), (14 * block, 15 * block)]
        file.fetch(parts)
        assert {request.range for request in server.file_requests[before:]} == {
            f"bytes=0-{block - 1}",
            f"bytes={block}-{4 * block - 1}",
            f"bytes={14 * block}-{15 * block - 1}",
        }
        n = len(server.file_requests)
        part(file, block, 3 * block)
        assert len(server.file_requests) == n


def test_stopped_and_gone_on_with(server, source, target):
    with RemoteFile(server.file, target, **QUICK) as file:
        first = part(file)
        file.fetch([(0, 3 * BLOCK_BYTES)])
    with RemoteFile(server.file, target, **QUICK) as file:
        n = len(server.file_requests)
        assert part(file) == first == source.read_bytes()[AT : AT + 5000]
        assert part(file, 0, 3 * BLOCK_BYTES) == source.read_bytes()[: 3 * BLOCK_BYTES]
        assert len(server.file_requests) == n and file.received == 0
        file.discard()
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("damage", ["note", "no note", "size", "no blocks"])
def test_blocks_that_cannot_be_trusted_are_fetched_again(server, source, target, damage):
    with RemoteFile(server.file, target, **QUICK) as file:
        part(file)
    blocks, note = (target.with_name(f"{target.name}.blocks{end}") for end in ("", ".json"))
    if damage == "note":
        note.write_text(note.read_text()[:40])
    elif damage == "no note":
        note.unlink()
    elif damage == "size":
        blocks.write_bytes(b"")
    else:
        blocks.unlink()
    with RemoteFile(server.file, target, **QUICK) as file:
        assert part(file) == source.read_bytes()[AT : AT + 5000] and file.received > 0


FAULTS = {
    "503": Fault(status=503),
    "retry later": Fault(status=429, headers={"Retry-After": "0"}),
    "stall": Fault(stall_s=1.0, after=100),
    "truncated": Fault(truncate=True, after=100),
    "connection lost": Fault(drop=True, after=100),
    "range ignored": Fault(ignore_range=True),
    "a page": Fault(page=True),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at_opening", [True, False])
def test_faults_that_pass(server, source, target, fault, at_opening):
    server.faults = [FAULTS[fault], FAULTS[fault]] if at_opening else []
    with RemoteFile(server.file, target, **QUICK) as file:
        server.faults = server.faults or [FAULTS[fault]] * 3
        assert part(file) == source.read_bytes()[AT : AT + 5000]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_that_stay(server, source, target, fault):
    with RemoteFile(server.file, target, **QUICK) as file:
        first = part(file, 0, 10)
        server.faults = [FAULTS[fault]] * 50
        with pytest.raises(DownloadError, match="What has come is kept"):
            file.fetch([(AT, AT + 5 * BLOCK_BYTES)])
        with pytest.raises(DownloadError, match="run it again: it goes on"):
            part(file)
        assert part(file, 0, 10) == first
    server.faults = []
    with RemoteFile(server.file, target, **QUICK) as file:
        assert part(file) == source.read_bytes()[AT : AT + 5000]


def test_another_file_there_now(server, source, target):
    """Another day, or under way: never a mixture of two files."""
    with RemoteFile(server.file, target, **QUICK) as file:
        part(file)
        server.files["/file"] = write(source.with_name("newer.h5"), seed=2)
        with pytest.raises(DownloadError, match="not the one that was begun.*starts over"):
            file.fetch([(0, 5 * BLOCK_BYTES), (AT + 7 * BLOCK_BYTES, AT + 9 * BLOCK_BYTES)])
    assert list(target.parent.iterdir()) == []
    with RemoteFile(server.file, target, **QUICK) as file:
        assert part(file) == server.files["/file"].read_bytes()[AT : AT + 5000]
    server.files["/file"] = source
    with RemoteFile(server.file, target, **QUICK) as file:
        assert part(file) == source.read_bytes()[AT : AT + 5000]


def test_addresses_in_their_order(server, source, target):
    def unknown():
        raise ValueError("nobody knows")

    with RemoteFile([f"{server.url}/nothing", unknown, server.file], target, **QUICK) as file:
        assert part(file) == source.read_bytes()[AT : AT + 5000]
    with pytest.raises(DownloadError, match="can't be read where it lies") as raised:
        RemoteFile([f"{server.url}/nothing", unknown, DEAD], target, **QUICK)
    for words in ("404", "nobody knows", DEAD, "download the whole file"):
        assert words in str(raised.value)


def test_read_by_h5py(server, source, target, monkeypatch):
    monkeypatch.setattr(remote, "LONGEST_REQUEST", 2)
    with h5py.File(source) as file:
        expected = file["x"][1000:300_000]
    with RemoteFile(server.file, target, **QUICK) as remote_file:
        with h5py.File(remote_file, "r") as file:
            np.testing.assert_array_equal(file["x"][1000:300_000], expected)
        server.faults = [Fault(status=503)] * 20
        with h5py.File(remote_file, "r") as file:
            with pytest.raises(DownloadError, match="503"):
                file["x"][500_000:]
