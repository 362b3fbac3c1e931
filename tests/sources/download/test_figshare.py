"""figshare: an article is downloaded once and checked, and unpacking stays in its folder."""

import hashlib
import io
import json
import re
import tarfile
import zipfile
from functools import partial

import pytest
from allen_server import Server
from published_folders import same_spikes, steinmetz_tree

from nuclr_lite.sources.download import figshare
from nuclr_lite.sources.download.transfer import DownloadError
from nuclr_lite.sources.published import steinmetz


def archive_of(folder, path):
    """As the Steinmetz set is packed: a zip that holds allData.tar, which holds a .tar a
    session.
    """
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as all_data:
        for session in sorted(folder.iterdir()):
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w") as tar:
                for file in sorted(session.iterdir()):
                    tar.add(file, file.name)
            member = tarfile.TarInfo(f"{session.name}.tar")
            member.size = len(data.getvalue())
            all_data.addfile(member, io.BytesIO(data.getvalue()))
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("allData.tar", inner.getvalue())
    return path


@pytest.fixture
def article(tmp_path, recordings):
    """A server that answers as figshare does, and what its article holds."""
    steinmetz_tree(tmp_path / "sessions", recordings[:2])
    steinmetz_tree(tmp_path / "sessions", recordings[2:], "Muller_2017-01-07")
    packed = archive_of(tmp_path / "sessions", tmp_path / "spikeAndBehavioralData.zip")
    page, listing = tmp_path / "article.json", tmp_path / "files.json"
    with Server(
        files={"/7": page, "/7/files?page_size=1000": listing, "/download/1": packed}
    ) as server:
        page.write_text(
            json.dumps({"title": "Dataset", "license": {"name": "some licence"}, "doi": "10.1/x"})
        )
        entry = {
            "name": packed.name,
            "size": packed.stat().st_size,
            "computed_md5": hashlib.md5(packed.read_bytes()).hexdigest(),
            "download_url": f"{server.url}/download/1",
            "is_link_only": False,
        }
        server.list = lambda **change: listing.write_text(json.dumps([entry | change]))
        server.list()
        yield server


@pytest.mark.filterwarnings("ignore:.*epochs 'trial'")
def test_figshare_to_recordings(tmp_path, article, recordings, capsys):
    [path] = figshare.download_article(7, tmp_path / "raw", confirm=False, api=article.url)
    assert (
        path == tmp_path / "raw" / "spikeAndBehavioralData.zip"
        and "Dataset. Licence: some licence. 10.1/x" in capsys.readouterr().out
    )
    n_requests = len(article.log)
    # there, and whole: nobody is asked
    assert figshare.download_article(7, tmp_path / "raw", api=article.url) == [path]
    assert [request.path for request in article.log[n_requests:]] == [
        "/7",
        "/7/files?page_size=1000",
    ]
    folder = figshare.unpack(path)
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_dir()) == [
        "allData",
        "allData/Cori_2016-12-14",
        "allData/Muller_2017-01-07",
    ]
    assert not list(folder.rglob("*.tar"))
    first, second, third = steinmetz.read_steinmetz(folder)
    same_spikes(third, recordings[2], range(12), recordings[2].units.index)
    assert third.animal_id == "Muller"
    with pytest.raises(FileExistsError, match="spikeAndBehavioralData exists already"):
        figshare.unpack(path)


def test_figshare_refusals(tmp_path, article, monkeypatch):
    monkeypatch.setattr(figshare, "download", partial(figshare.download, tries=1))
    with pytest.raises(
        ValueError,
        match=r"no file is called '\*\.tar'; there are \['spikeAndBehavioralData\.zip'\]",
    ):
        figshare.download_article(7, tmp_path / "raw", names="*.tar", api=article.url)
    with pytest.raises(
        DownloadError, match="/8: figshare gave no usable answer .*check the article's number"
    ):
        figshare.download_article(8, tmp_path / "raw", api=article.url)
    article.list(name="../evil.zip")
    with pytest.raises(
        ValueError, match=r"a file is called '\.\./evil\.zip', which is no plain name"
    ):
        figshare.download_article(7, tmp_path / "raw", confirm=False, api=article.url)
    article.list(computed_md5="0" * 32)
    with pytest.raises(DownloadError, match="its MD5 is .* instead of 000"):
        figshare.download_article(7, tmp_path / "raw", confirm=False, api=article.url)
    assert not (tmp_path / "raw" / "spikeAndBehavioralData.zip").exists()


def test_unpacking_stays_in_its_folder(tmp_path):
    outside = tmp_path / "outside.txt"

    def tar(name, member):
        with tarfile.open(tmp_path / name, "w") as file:
            file.addfile(member, io.BytesIO(b"x" * member.size))

    for name, target in [
        ("dots", "../outside.txt"),
        ("deep", "a/../../outside.txt"),
        ("absolute", str(outside)),
    ]:
        member = tarfile.TarInfo(target)
        member.size = 1
        tar(f"{name}.tar", member)
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as file:
            file.writestr(target, "x")
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "../outside.txt"
    tar("link.tar", link)
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04" + b"0" * 50)
    (tmp_path / "page.tar").write_bytes(b"<html>")
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as file:
        file.writestr("good.txt", "x")
        file.write(tmp_path / "dots.tar", "inner/dots.tar")
    for name in (
        "dots.zip",
        "deep.zip",
        "absolute.zip",
        "dots.tar",
        "deep.tar",
        "link.tar",
        "torn.zip",
        "page.tar",
        "nested.zip",
    ):
        with pytest.raises(
            ValueError, match=rf"{re.escape(name)}: can't be unpacked \(.*\); nothing was"
        ):
            figshare.unpack(tmp_path / name, tmp_path / "here" / name)
    # tar strips the root: within the folder
    figshare.unpack(tmp_path / "absolute.tar", tmp_path / "here" / "absolute")
    assert not outside.exists() and [p.name for p in (tmp_path / "here").iterdir()] == ["absolute"]
    content = b"x"
    for depth in range(7):
        with zipfile.ZipFile(tmp_path / "russian.zip", "w") as file:
            file.writestr("doll.zip" if depth else "doll.txt", content)
        content = (tmp_path / "russian.zip").read_bytes()
    with pytest.raises(ValueError, match="archives in archives, more than 5 deep"):
        figshare.unpack(tmp_path / "russian.zip", tmp_path / "here" / "russian")
    assert not (tmp_path / "here" / "russian").exists()
    with pytest.raises(ValueError, match=r"isn't a \.zip, \.tar"):
        figshare.unpack(outside)
