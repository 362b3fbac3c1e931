"""Transfers end with the whole file or say why not; what has come is never lost. Real requests to a
loopback server.
"""

import shutil

import one_file
import pytest
from allen_server import Fault, Server
from one_file import DEAD, HASTE, only_file, statuses, write

from nuclr_lite.sources.download import downloads
from nuclr_lite.sources.download.downloads import DownloadError, download
from nuclr_lite.sources.download.transfer import CHUNK_BYTES, remote_size

# fixtures: pytest looks for them here
source, server, target = one_file.source, one_file.server, one_file.target


def test_new_file_then_no_request(server, source, target):
    assert download(server.file, str(target), **HASTE) == target
    assert target.read_bytes() == source.read_bytes() and only_file(target)
    download(server.file, target, expected_bytes=source.stat().st_size, **HASTE)
    download("http://nowhere.invalid/file", target, **HASTE)
    assert statuses(server) == [200]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(status=408),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(page=True),
        Fault(truncate=True, after=0),
        Fault(drop=True, after=0),
        Fault(stall_s=0.6, after=0),
    ],
    ids=str,
)
def test_faults_that_pass(server, source, target, fault):
    """A 503 page, a page with status 200, a truncation, a dead connection and a stall, two in a
    row, never end up as the file.
    """
    server.faults = [fault, fault]
    download(server.file, target, **HASTE)
    assert (
        target.read_bytes() == source.read_bytes()
        and only_file(target)
        and len(server.file_requests) == 3
    )


@pytest.mark.parametrize(
    "fault",
    [
        Fault(truncate=True, after=500_000),
        Fault(drop=True, after=500_000),
        Fault(stall_s=0.6, after=500_000),
    ],
    ids=str,
)
def test_breaks_resume_where_they_were(server, source, target, fault):
    server.faults = [fault]
    download(server.file, target, **HASTE)
    assert (
        target.read_bytes() == source.read_bytes()
        and only_file(target)
        and statuses(server) == [200, 206]
    )
    assert server.file_requests[1].range == f"bytes={3 * CHUNK_BYTES}-"


def test_no_end_of_tries_while_there_is_progress(server, source, target):
    server.faults = [Fault(truncate=True, after=140_000)] * 5
    download(server.file, target, tries=2, **HASTE)
    assert target.read_bytes() == source.read_bytes() and len(server.file_requests) == 6


def test_failure_says_what_and_keeps_what_came(server, source, target):
    server.faults = [Fault(truncate=True, after=500_000)] + [Fault(status=503)] * 3
    with pytest.raises(
        DownloadError,
        match=(
            r"(?s)session\.nwb could not be downloaded:.*/file: the server answers 503.*0\.39 MB\)"
            r" is kept.*it resumes"
        ),
    ):
        download(server.file, target, tries=3, **HASTE)
    assert not target.exists()
    download(server.file, target, **HASTE)
    assert (
        target.read_bytes() == source.read_bytes()
        and server.file_requests[-1].range == f"bytes={3 * CHUNK_BYTES}-"
    )


def test_refusals_go_on_to_the_next_address(server, source, target):
    asked = []
    download(
        [
            f"{server.url}/absent",
            DEAD,
            "nonsense",
            lambda: asked.append(1) or server.file,
            lambda: asked.append(2),
        ],
        target,
        tries=2,
        **HASTE,
    )
    assert (
        target.read_bytes() == source.read_bytes()
        and statuses(server) == [404, 200]
        and asked == [1]
    )


def test_all_addresses_in_the_error(server, target):
    def look_up():
        raise ValueError("no such number")

    with pytest.raises(
        DownloadError,
        match=(
            r"(?s)/absent: the server answers 404.*:9/file: the connection failed.*address of the"
            r" file: no such number"
        ),
    ):
        download([f"{server.url}/absent", DEAD, look_up], target, tries=2, **HASTE)
    assert statuses(server) == [404]


def test_retry_after_is_honoured_up_to_a_cap(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr(downloads._Meter, "wait", lambda self, seconds: waits.append(seconds))
    server.faults = [
        Fault(status=503, headers={"Retry-After": "7"}),
        Fault(status=429, headers={"Retry-After": "86400"}),
        Fault(status=503, headers={"Retry-After": "soon"}),
    ]
    download(server.file, target, timeout_s=(1, 1), back_off_s=0.5)
    assert waits == [7, 60, 2]


def test_server_without_range_starts_over(server, source, target):
    server.faults = [Fault(truncate=True, after=500_000), Fault(ignore_range=True)]
    download(server.file, target, **HASTE)
    assert target.read_bytes() == source.read_bytes() and statuses(server) == [200, 200]


@pytest.mark.parametrize(
    "etags, n_bytes", [(True, 800_000), (True, 900_000), (False, 900_000), (False, 300_000)]
)
def test_file_that_changed_between_two_parts(source, target, etags, n_bytes):
    """The server tells by its ETag; where it has none, another size does."""
    with Server(files={"/file": source}, etags=etags) as server:
        server.faults = [Fault(truncate=True, after=500_000)]
        with pytest.raises(DownloadError):
            download(f"{server.url}/file", target, tries=1, **HASTE)
        write(source, seed=5, n_bytes=n_bytes)
        download(f"{server.url}/file", target, **HASTE)
        assert target.read_bytes() == source.read_bytes() and only_file(target)
        if etags:
            assert statuses(server) == [200, 200]  # If-Range: one request, not three


@pytest.mark.parametrize("etags", [True, False])
def test_part_of_another_file_is_not_continued(source, target, etags):
    other = write(source.with_name("other.h5"), seed=1)
    with Server(files={"/file": source, "/other": other}, etags=etags) as server:
        server.faults = [Fault(truncate=True, after=500_000)]
        with pytest.raises(DownloadError):
            download(f"{server.url}/other", target, tries=1, **HASTE)
        download(f"{server.url}/file", target, **HASTE)
        assert target.read_bytes() == source.read_bytes()


def test_same_file_elsewhere_is_continued(server, source, target):
    server.faults = [Fault(truncate=True, after=500_000)]
    with Server(files={"/mirror": source}) as mirror:
        download([server.file, f"{mirror.url}/mirror"], target, tries=1, **HASTE)
        assert [request.range for request in mirror.log] == [f"bytes={3 * CHUNK_BYTES}-"]
    assert target.read_bytes() == source.read_bytes()


def test_parts_whose_notes_are_gone_or_wrong(server, source, target):
    target.parent.mkdir()
    part, note = target.with_name("session.nwb.part"), target.with_name("session.nwb.part.json")
    for content, text in [
        (b"what", None),
        (b"what", "{half"),
        (b"x" * 10**6, '{"url": "u", "validator": null, "bytes": 1000000}'),
    ]:
        part.write_bytes(content)
        note.unlink(missing_ok=True)
        if text:
            note.write_text(text)
        download(server.file, target, **HASTE)
        assert target.read_bytes() == source.read_bytes() and only_file(target)
        target.unlink()


def test_range_beyond_the_end(source, target):
    """416: whole already where the sizes agree; another file where they don't."""
    target.parent.mkdir()
    part, note = target.with_name("session.nwb.part"), target.with_name("session.nwb.part.json")
    with Server(files={"/file": source}, etags=False) as server:
        url = f"{server.url}/file"
        note.write_text(f'{{"url": "{url}", "validator": null, "bytes": null}}')
        shutil.copy(source, part)
        download(url, target, **HASTE)
        assert statuses(server) == [416] and target.read_bytes() == source.read_bytes()
        target.unlink()
        note.write_text(f'{{"url": "{url}", "validator": null, "bytes": null}}')
        part.write_bytes(b"x" * 10**6)
        download(url, target, **HASTE)
        assert statuses(server) == [416, 416, 200] and target.read_bytes() == source.read_bytes()


def test_another_size_than_expected(server, source, target):
    with pytest.raises(DownloadError, match="the file there has .* bytes instead of 5"):
        download(server.file, target, expected_bytes=5, tries=1, **HASTE)
    target.with_name("session.nwb.part").write_bytes(source.read_bytes())
    target.with_name("session.nwb.part.json").write_text(
        f'{{"url": "u", "validator": null, "bytes": {source.stat().st_size}}}'
    )
    with pytest.raises(DownloadError, match="bytes instead of 5"):
        download(server.file, target, expected_bytes=5, tries=1, **HASTE)
    write(target, seed=3, n_bytes=10)
    download(server.file, target, expected_bytes=source.stat().st_size, **HASTE)
    assert target.read_bytes() == source.read_bytes()


def test_remote_size(server, source):
    assert remote_size(server.file) == source.stat().st_size
    server.faults = [Fault(ignore_range=True)]
    assert remote_size(server.file) == source.stat().st_size
    assert remote_size(f"{server.url}/absent") is None and remote_size(DEAD) is None
