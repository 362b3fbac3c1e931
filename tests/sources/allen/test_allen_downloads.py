"""AllenSDK's real clients against a loopback stand-in for the warehouse: sessions are listed,
downloaded, and shared with AllenSDK's own cache.
"""

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from allen_server import Fault, Server, neuropixels_models, two_photon_models

from nuclr_lite.sources.allen import client, neuropixels
from nuclr_lite.sources.allen.client import (
    neuropixels_cache,
    neuropixels_session_path,
    neuropixels_session_urls,
    two_photon_cache,
    two_photon_file_url,
    two_photon_path,
)
from nuclr_lite.sources.allen.neuropixels import download_session, download_sessions, list_sessions
from nuclr_lite.sources.download import downloads, transfer
from nuclr_lite.sources.download.downloads import DownloadError, download
from nuclr_lite.sources.download.transfer import readable_size
from nuclr_lite.sources.simulated.allen_session import simulate_allen_session

pytest.importorskip("allensdk")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*pkg_resources:UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:allensdk.*"),
]
SST, WILD, VIP = 715093703, 719161530, 721123822
DEAD = "127.0.0.1:9"
GENOTYPES = {SST: None, WILD: "wt/wt", VIP: "Vip-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt"}


@pytest.fixture(scope="module")
def session_file(tmp_path_factory) -> Path:
    return simulate_allen_session(
        tmp_path_factory.mktemp("allen") / "session.nwb", n_units=24, duration_s=60.0
    )


@pytest.fixture(scope="module")
def models(session_file) -> dict:
    """Three sessions; units, channels and probes of the second and third are those of the first
    under other numbers.
    """
    models = neuropixels_models(SST, session_file, specimen_id=11)
    for k, (number, genotype) in enumerate(GENOTYPES.items()):
        if genotype is not None:
            other = neuropixels_models(number, session_file, specimen_id=11 + k, genotype=genotype)
            other["EcephysSession"][0]["stimulus_name"] = "functional_connectivity"
            for rows, columns in [
                ("EcephysProbe", ["id"]),
                ("EcephysChannel", ["id", "ecephys_probe_id"]),
                ("EcephysUnit", ["id", "ecephys_channel_id"]),
                ("EcephysUnitMetricBundle", ["id", "ecephys_unit_id"]),
            ]:
                for row in other[rows]:
                    row |= {
                        column: type(row[column])(int(row[column]) + k * 10**9)
                        for column in columns
                    }
            for name, rows in other.items():
                models[name] = models[name] + rows
    return models


@pytest.fixture
def server(models, session_file):
    with Server(
        models, {("EcephysSession", number): session_file for number in GENOTYPES}
    ) as server:
        server.at = {"scheme": "http", "host": server.host}
        yield server


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    """Waits are for real servers."""
    monkeypatch.setattr(transfer, "LONGEST_WAIT_S", 0.01)
    # download's defaults, for those who call it without any; it is the sockets that matter here
    monkeypatch.setitem(downloads.download.__kwdefaults__, "timeout_s", (1.0, 0.4))


def sdk_cache(folder: Path, host: str = DEAD):
    """AllenSDK's own."""
    project = client.import_allensdk("allensdk.brain_observatory.ecephys.ecephys_project_cache")
    return project.EcephysProjectCache.from_warehouse(
        scheme="http", host=host, manifest=str(folder / "manifest.json"), timeout=5
    )


# Listing


def test_list_sessions(server, tmp_path, session_file):
    table = list_sessions(tmp_path, **server.at)
    assert (
        table.index.name == "id"
        and table.index.dtype == np.int64
        and table.index.tolist() == [SST, WILD, VIP]
    )
    expected = sdk_cache(tmp_path).get_session_table().loc[table.index]
    for column in expected:
        assert table[column].map(str).equals(expected[column].map(str)), column
    assert table["animal_id"].tolist() == ["11", "12", "13"] and table[
        "has_light_pulses"
    ].tolist() == [True, False, True]
    assert (
        table["genotype"].tolist()[1:] == ["wt/wt", GENOTYPES[VIP]]
        and "Sst" in table["genotype"].iloc[0]
    )
    assert (
        "VISp" in table["structures"].iloc[0].split(", ")
        and "nan" not in table["structures"].iloc[0]
    )
    np.testing.assert_array_equal(table["size_gb"], session_file.stat().st_size / 1e9)
    assert {request.range for request in server.file_requests} == {"bytes=0-0"} and len(
        server.file_requests
    ) == 3

    n = len(server.log)
    # tables and sizes are remembered
    np.testing.assert_array_equal(list_sessions(tmp_path, **server.at)["size_gb"], table["size_gb"])
    assert len(server.log) == n


def test_filters(server, tmp_path):
    def ids(**filters):
        return list_sessions(tmp_path, **server.at, sizes=False, **filters).index.tolist()

    assert (
        ids(genotype="Sst") == [SST]
        and ids(genotype="Ai32") == [SST, VIP]
        and ids(genotype="wt") == [WILD]
    )
    assert ids(session_type="functional_connectivity") == [WILD, VIP] and ids(animal="12") == ids(
        animal=12
    ) == [WILD]
    assert ids(genotype="Vip", session_type="functional_connectivity") == [VIP]
    for filters, message in [
        ({"genotype": "Pvalb"}, r"no session has genotype 'Pvalb'; there are .*'wt/wt'"),
        ({"animal": 99}, "animal_id 99; there are .'11', '12', '13'"),
        ({"session_type": "movies"}, "session_type 'movies'; there are .*functional_connectivity"),
    ]:
        with pytest.raises(ValueError, match=message):
            ids(**filters)
    assert server.file_requests == []
    assert list_sessions(tmp_path, **server.at, sizes=False)["size_gb"].isna().all()


def test_size_on_disk_and_unknown_sizes(server, tmp_path, session_file):
    path = neuropixels_session_path(tmp_path, WILD)
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["x"] = 1
    (tmp_path / "session_sizes.json").write_text("{half")
    server.faults = [Fault(status=404)] * 2
    sizes = list_sessions(tmp_path, **server.at)["size_gb"]
    assert sizes[WILD] == path.stat().st_size / 1e9 and sizes.isna().tolist() == [True, False, True]
    assert list_sessions(tmp_path, **server.at)["size_gb"][SST] == session_file.stat().st_size / 1e9
    assert json.loads((tmp_path / "session_sizes.json").read_text()).keys() == {str(SST), str(VIP)}


def test_table_queries_with_faults(server, tmp_path):
    server.query_faults = [Fault(status=503), Fault(status=502), None, Fault(status=503)]
    server.page_rows = 30  # several pages
    assert len(list_sessions(tmp_path, **server.at, sizes=False)) == 3
    server.query_faults = [Fault(no_rows=True)] * 9
    with pytest.raises(DownloadError, match=r"sent 0 of \d+ rows and then none"):
        list_sessions(tmp_path / "b", **server.at)
    server.query_faults = [Fault(status=503)] * 20
    with pytest.raises(DownloadError, match=r"model::EcephysSession.* the server answers 503"):
        list_sessions(tmp_path / "c", **server.at)
    assert not (tmp_path / "c" / "sessions.csv").exists()
    with (
        Server(models={"EcephysSession": []}) as empty,
        pytest.raises(DownloadError, match="has no sessions"),
    ):
        list_sessions(tmp_path / "d", "http", empty.host)


@pytest.mark.parametrize("name", ["units.csv", "sessions.csv", "manifest.json"])
def test_half_a_table_is_fetched_again(server, tmp_path, name):
    """AllenSDK reads what a kill left of a table, and lists less."""
    whole = list_sessions(tmp_path, **server.at, sizes=False)
    content = (tmp_path / name).read_bytes()
    for half in (b"", content[: len(content) * 2 // 3], content[:-1]):
        (tmp_path / name).write_bytes(half)
        if name != "manifest.json":
            with pytest.raises(DownloadError):
                list_sessions(tmp_path, "http", DEAD, sizes=False)
            assert (tmp_path / name).read_bytes() == half
        assert (
            list_sessions(tmp_path, **server.at, sizes=False).astype(str).equals(whole.astype(str))
        )
        assert (tmp_path / name).read_bytes() == content


# Downloading


def test_download_is_the_file_and_in_the_cache_of_allensdk(server, tmp_path, session_file):
    path = download_session(SST, tmp_path, **server.at)
    assert (
        path == tmp_path / f"session_{SST}" / f"session_{SST}.nwb"
        and path.read_bytes() == session_file.read_bytes()
    )
    assert [request.path.split(",")[0] for request in server.queries] == [
        "/api/v2/data/query.json?criteria=model::EcephysSession",
        "/api/v2/data/query.json?criteria=model::WellKnownFile",
    ]
    assert download_session(SST, tmp_path, "http", DEAD) == path  # no request: nobody is there
    list_sessions(tmp_path, **server.at)
    session = sdk_cache(tmp_path).get_session_data(SST)
    assert len(session.units) > 0


def test_cache_of_allensdk_is_used(server, tmp_path, session_file):
    cache = sdk_cache(tmp_path, server.host)
    cache.get_session_table()
    cache.get_session_data(SST)
    n = len(server.log)
    path = download_session(SST, tmp_path, "http", DEAD)
    assert (
        path.read_bytes() == session_file.read_bytes()
        and list_sessions(tmp_path, "http", DEAD, sizes=False)["unit_count"].gt(0).all()
    )
    assert len(server.log) == n


FAULTS = {
    "503 page": Fault(status=503),
    "page": Fault(page=True),
    "truncated": Fault(truncate=True, after=200_000),
    "dead": Fault(drop=True, after=200_000),
    "stall": Fault(stall_s=0.6, after=200_000),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("by", ["us", "AllenSDK"])
def test_faults(server, tmp_path, session_file, fault, by):
    """Also when AllenSDK's own method downloads, through the cache that we hand it."""
    server.faults = [FAULTS[fault]] * 2
    if by == "us":
        download_session(SST, tmp_path, **server.at)
    else:
        neuropixels_cache(tmp_path, **server.at).get_session_data(SST)
    assert (
        neuropixels_session_path(tmp_path, SST).read_bytes() == session_file.read_bytes()
        and len(server.file_requests) == 3
    )


def test_unreadable_cached_file(server, tmp_path, session_file):
    path = neuropixels_session_path(tmp_path, SST)
    path.parent.mkdir()
    path.write_bytes(session_file.read_bytes()[:1000])
    with pytest.raises(DownloadError, match="left as it was"):
        download_session(SST, tmp_path, "http", DEAD)
    assert path.stat().st_size == 1000
    assert download_session(SST, tmp_path, **server.at).read_bytes() == session_file.read_bytes()


def test_what_allensdk_cannot_read_is_not_deleted(server, tmp_path):
    """HDF5, but no session: AllenSDK itself deletes it, downloads it twice and fails, as with
    versions of hdmf that don't fit.
    """
    path = neuropixels_session_path(tmp_path, SST)
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["x"] = 1
    content = path.read_bytes()
    with pytest.warns(UserWarning, match="valid Neurodata"), pytest.raises(Exception, match="NWB"):
        neuropixels_cache(tmp_path, **server.at).get_session_data(SST)
    assert path.read_bytes() == content and server.file_requests == []


def test_full_disk(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match="has 0.00 MB free; make room, or choose another folder"):
        download_session(SST, tmp_path, **server.at)
    with pytest.raises(OSError, match="3 sessions: .* has 0.00 MB free"):
        download_sessions(list(GENOTYPES), tmp_path, **server.at, confirm=False)


def test_several_sessions(server, tmp_path, session_file, monkeypatch, capsys):
    first = download_session(WILD, tmp_path, **server.at)
    path = neuropixels_session_path(tmp_path, SST)
    path.parent.mkdir()
    path.write_bytes(b"<html>503</html>")  # says nothing of the size of the session
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    size = readable_size(2 * session_file.stat().st_size)
    with pytest.raises(
        RuntimeError,
        match=f"2 sessions: there is nobody to ask whether to download {size}; pass confirm=False",
    ):
        download_sessions(list(GENOTYPES), tmp_path, **server.at)
    paths = download_sessions(list(GENOTYPES), tmp_path, **server.at, confirm=False)
    assert (
        paths == [neuropixels_session_path(tmp_path, number) for number in GENOTYPES]
        and paths[1] == first
    )
    assert (
        all(path.read_bytes() == session_file.read_bytes() for path in paths)
        and "2 sessions: " in capsys.readouterr().out
    )
    assert download_sessions(list(GENOTYPES), tmp_path, "http", DEAD) == paths


def test_unknown_session(server, tmp_path):
    with pytest.raises(
        ValueError,
        match=f"there is no session 5; list_sessions shows the 3 that there are .first: {SST}",
    ):
        download_session(5, tmp_path, **server.at)
    with pytest.raises(ValueError, match="there is no session 5, 6;"):
        download_sessions([5, SST, 6], tmp_path, **server.at)
    assert server.file_requests == []


def test_bucket_first_then_the_warehouse(server, tmp_path, session_file):
    cache = neuropixels_cache(tmp_path, **server.at)
    assert len(neuropixels_session_urls(cache, SST)) == 1  # another warehouse: not Allen's bucket
    bucket, link = neuropixels_session_urls(neuropixels_cache(tmp_path), SST)
    assert (
        bucket
        == "https://allen-brain-observatory.s3.us-west-2.amazonaws.com/"
        "visual-coding-neuropixels/ecephys-cache/"
        f"session_{SST}/session_{SST}.nwb"
        and callable(link)
    )
    [link] = neuropixels_session_urls(cache, SST)
    assert link().startswith(f"http://{server.host}/api/v2/well_known_file_download/")
    download([f"http://{server.host}/bucket/session.nwb", link], tmp_path / "a.nwb")
    assert (tmp_path / "a.nwb").read_bytes() == session_file.read_bytes() and [
        request.status for request in server.file_requests
    ] == [404, 200]


def test_warehouse_that_is_down_does_not_stop_the_bucket(
    server, tmp_path, session_file, monkeypatch
):
    monkeypatch.setattr(client, "WAREHOUSE", DEAD)
    monkeypatch.setitem(neuropixels_session_urls.__globals__, "BUCKET", "")
    monkeypatch.setattr(neuropixels_session_urls, "__defaults__", (f"http://{server.host}/bucket",))
    server.files[f"/bucket/session_{SST}/session_{SST}.nwb"] = session_file
    assert (
        download_session(SST, tmp_path).read_bytes() == session_file.read_bytes()
        and server.queries == []
    )


# Two-photon


def test_two_photon(tmp_path, session_file):
    """Any HDF5 file will do here: it is the way that counts."""
    experiments = [
        {"id": 501, "container_id": 51},
        {"id": 502, "container_id": 51, "session_type": "three_session_B"},
        {
            "id": 503,
            "container_id": 52,
            "cre_line": "Sst-IRES-Cre",
            "area": "VISl",
            "depth_um": 275,
        },
    ]
    with Server(two_photon_models(experiments), {("OphysExperiment", 501): session_file}) as server:
        server.query_faults = [Fault(status=503), None, Fault(status=503)]
        cache = two_photon_cache(tmp_path, server.url)
        from allensdk.core.brain_observatory_cache import BrainObservatoryCache

        assert isinstance(cache, BrainObservatoryCache) and cache.get_all_cre_lines() == [
            "Sst-IRES-Cre",
            "Vip-IRES-Cre",
        ]
        assert [one["id"] for one in cache.get_ophys_experiments(cre_lines=["Vip-IRES-Cre"])] == [
            501,
            502,
        ]
        assert two_photon_path(cache, 501) == tmp_path / "ophys_experiment_data" / "501.nwb"
        with pytest.raises(ValueError, match="no file of experiment 502"):
            two_photon_file_url(cache, 502)
        download(two_photon_file_url(cache, 501), two_photon_path(cache, 501))
        n = len(server.log)
        # what get_ophys_experiment_data does first
        cache.api.save_ophys_experiment_data(501, str(two_photon_path(cache, 501)), strategy="lazy")
        assert (
            len(server.log) == n
            and two_photon_path(cache, 501).read_bytes() == session_file.read_bytes()
        )
        two_photon_path(cache, 501).unlink()
        server.faults = [Fault(status=503), Fault(truncate=True, after=200_000)]
        cache.api.save_ophys_experiment_data(501, str(two_photon_path(cache, 501)))
        assert two_photon_path(cache, 501).read_bytes() == session_file.read_bytes()
        whole = (tmp_path / "ophys_experiments.json").read_text()
    offline = two_photon_cache(tmp_path, f"http://{DEAD}")
    assert (
        len(offline.get_ophys_experiments()) == 3 and len(offline.get_experiment_containers()) == 2
    )
    theirs = BrainObservatoryCache(manifest_file=str(tmp_path / "manifest.json"))
    assert {one["id"] for one in theirs.get_experiment_containers()} == {51, 52}
    for half in ("", whole[:-10]):
        (tmp_path / "ophys_experiments.json").write_text(half)
        with pytest.raises(DownloadError, match="could not be read"):
            offline.get_ophys_experiments()
    with Server(two_photon_models(experiments)) as server:
        assert len(two_photon_cache(tmp_path, server.url).get_ophys_experiments()) == 3


# AllenSDK missing, or in need of help


@pytest.mark.parametrize(
    "version, message",
    [
        (
            (3, 11, 7),
            (
                r"is not installed\. On this Python: pip install -r requirements\.txt \(which has"
                r" allensdk==2\.16\.2"
            ),
        ),
        (
            (3, 13, 0),
            (
                r"is not installed\. .*pip install -r requirements\.txt and then pip install"
                r" --no-deps allensdk==2\.16\.2"
            ),
        ),
    ],
)
def test_missing_allensdk(tmp_path, monkeypatch, version, message):
    for name in [name for name in sys.modules if name.split(".")[0] == "allensdk"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "allensdk", None)
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(ImportError, match=message):
        neuropixels.list_sessions(tmp_path)
    with pytest.raises(ImportError, match="AllenSDK, which is not installed"):
        client.import_allensdk("allensdk.core")


def test_numpy_names_that_are_gone_are_put_back(monkeypatch):
    for name in ("string_", "unicode_", "NaN"):
        monkeypatch.delattr(np, name, raising=False)
    client.import_allensdk()
    assert (
        np.string_ is np.bytes_
        and np.unicode_ is np.str_
        and np.isnan(np.NaN)
        and issubclass(np.VisibleDeprecationWarning, Warning)
    )


def test_without_a_network_a_full_table_lists_quickly(server, tmp_path, monkeypatch):
    """One round of questions about sizes, not one for each session."""
    list_sessions(tmp_path, sizes=False, **server.at)
    asked = []
    monkeypatch.setattr(
        neuropixels,
        "neuropixels_session_urls",
        lambda cache, number: asked.append(number) or ["http://127.0.0.1:9/none"],
    )
    monkeypatch.setattr(neuropixels, "AT_ONCE", 1)
    listed = list_sessions(tmp_path, **server.at)
    assert listed["size_gb"].isna().all() and len(listed) > 1 and len(asked) == 1
