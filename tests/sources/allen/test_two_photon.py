"""The Allen two-photon set: what it is to an encoder; lists and downloads through its real
client.
"""

import sys
import warnings

import pandas as pd
import pytest
import two_photon_files
from allen_server import Fault, Server, two_photon_models
from two_photon_files import allensdk

import nuclr_lite as nl
from nuclr_lite import retrieval
from nuclr_lite.recording import units_table
from nuclr_lite.sources.allen import client, two_photon

# fixtures: pytest looks for them here
container_files, container = two_photon_files.container_files, two_photon_files.container


def test_embeds_without_resampling(container):
    encoder = nl.NuCLR(
        nl.PRESETS["allen-two-photon"]
        .with_(dim=16, heads=2, head_dim=8, temporal_layers=1, spatiotemporal_layers=1)
        .model
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = nl.embed(encoder, container)
    assert len(table) == 38 and table.notna().all(axis=None)
    scores = retrieval.identity_score(table, container)
    assert list(scores["n_cells"]) == [7, 7, 7] and scores["top1"].between(0, 1).all()
    assert units_table(container).loc[table.index, "cell_type"].eq("Vip").all()


def test_preset_takes_small_planes():
    preset, paper = nl.PRESETS["allen-two-photon"], nl.PRESETS["paper-calcium"]
    assert preset.views.min_units == 2 and preset.with_(min_units=paper.views.min_units) == paper


# Lists and downloads, by AllenSDK's client from a server of our own


@pytest.fixture
def warehouse(container_files):
    allensdk("brain_observatory_cache")
    given = [
        dict(id=1, container_id=11, session_type="three_session_A"),
        dict(id=2, container_id=11, session_type="three_session_B"),
        dict(id=3, container_id=12, cre_line="Sst-IRES-Cre", area="VISl", depth_um=275),
        dict(id=4, container_id=13, cre_line="Cux2-CreERT2", depth_um=350),
    ]
    models = two_photon_models(given)
    models["ExperimentContainer"][2]["failed"] = models["OphysExperiment"][3][
        "experiment_container"
    ]["failed"] = True
    with Server(
        models, {("OphysExperiment", i + 1): path for i, path in enumerate(container_files[:2])}
    ) as server:
        yield server


def test_lists_as_allensdk_does(warehouse, tmp_path):
    experiments = two_photon.list_experiments(tmp_path, warehouse.url)
    containers = two_photon.list_containers(tmp_path, warehouse.url)
    assert list(experiments.index) == [1, 2, 3, 4] and list(containers.index) == [11, 12, 13]
    assert list(experiments["animal_id"]) == ["11", "11", "12", "13"] and list(
        experiments["failed"]
    ) == [False, False, False, True]
    assert list(containers["failed"]) == [False, False, True]
    cache = allensdk("brain_observatory_cache").BrainObservatoryCache(
        manifest_file=str(tmp_path / "manifest.json"), base_uri=warehouse.url
    )
    for ours, theirs in (
        (experiments, cache.get_ophys_experiments()),
        (containers, cache.get_experiment_containers()),
    ):
        theirs = pd.DataFrame(theirs).set_index("id")
        pd.testing.assert_frame_equal(
            ours[~ours["failed"]][list(theirs.columns)], theirs, check_names=False
        )
    n_queries = len(warehouse.queries)
    # nobody is there, and nobody is asked
    two_photon.list_containers(tmp_path, "http://127.0.0.1:9")
    two_photon.list_experiments(tmp_path, "http://127.0.0.1:9")
    assert len(warehouse.queries) == n_queries


def test_list_filters(warehouse, tmp_path):
    def ids(**options):
        return list(two_photon.list_experiments(tmp_path, warehouse.url, **options).index)

    assert ids(cre_line="Vip-IRES-Cre") == ids(cre_line="Vip") == ids(container_id=11) == [1, 2]
    assert ids(cre_line=("Vip", "Sst-IRES-Cre")) == ids(container_id=[11, 12]) == [1, 2, 3]
    assert ids(cre_line="Vip", session_type="three_session_B") == [2] and ids(area="VISl") == ids(
        depth_um=(200, 275)
    ) == [3]
    assert ids(depth_um=(175, 350)) == [1, 2, 3, 4]
    assert list(
        two_photon.list_containers(tmp_path, warehouse.url, area="VISp", depth_um=(300, 400)).index
    ) == [13]
    for options, message in [
        (
            {"cre_line": "Pvalb"},
            r"cre_line \['Pvalb'\]; there are \['Cux2-CreERT2', 'Sst-IRES-Cre', 'Vip-IRES-Cre'\]",
        ),
        (
            {"area": "VISp", "depth_um": (200, 300)},
            r"imaging_depth \(200, 300\); there are \[175, 350\]",
        ),
        ({"container_id": 5}, r"experiment_container_id \[5\]; there are \[11, 12, 13\]"),
    ]:
        with pytest.raises(ValueError, match=f"no experiment has {message}"):
            ids(**options)
    with pytest.raises(ValueError, match="no container has"):
        two_photon.list_containers(tmp_path, warehouse.url, area="VISrl")


def test_empty_warehouse(tmp_path):
    allensdk("brain_observatory_cache")
    with (
        Server({"ExperimentContainer": [], "OphysExperiment": []}) as server,
        pytest.raises(ValueError, match="lists no experiment; check base_uri"),
    ):
        two_photon.list_experiments(tmp_path, server.url)


def test_downloads_where_allensdk_looks(warehouse, container_files, tmp_path, capsys):
    path = two_photon.download_experiment(1, tmp_path, warehouse.url)
    assert (
        path == tmp_path / "ophys_experiment_data" / "1.nwb"
        and path.read_bytes() == container_files[0].read_bytes()
    )
    assert "1 experiment:" in capsys.readouterr().out
    # the size; then a connection that breaks
    warehouse.faults = [None, Fault(drop=True, after=50_000)]
    paths = two_photon.download_experiments([2, 1], tmp_path, warehouse.url, confirm=False)
    assert [path.name for path in paths] == ["2.nwb", "1.nwb"] and paths[
        0
    ].read_bytes() == container_files[1].read_bytes()
    n_requests = len(warehouse.log)
    assert (
        two_photon.download_experiments([1, 2], tmp_path, warehouse.url) == paths[::-1]
        and len(warehouse.log) == n_requests
    )
    assert two_photon.read_experiment(paths[0]).units["experiment_id"].iloc[0] == 900000002
    cache = allensdk("brain_observatory_cache").BrainObservatoryCache(
        manifest_file=str(tmp_path / "manifest.json"), base_uri=warehouse.url
    )
    assert (
        cache.get_ophys_experiment_data(1).get_session_type() == "three_session_A"
        and len(warehouse.log) == n_requests
    )
    with pytest.raises(ValueError, match="no file of experiment 3"):
        two_photon.download_experiment(3, tmp_path, warehouse.url)


def test_asks_before_it_downloads(warehouse, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # else a notebook is who to ask
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(RuntimeError, match="2 experiments.*confirm=False"):
        two_photon.download_experiments([1, 2], tmp_path, warehouse.url)
    assert not list(tmp_path.glob("ophys_experiment_data/*.nwb"))


def test_allensdk_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "allensdk", None)
    monkeypatch.setitem(sys.modules, "allensdk.core.brain_observatory_cache", None)
    client._two_photon_classes.cache_clear()
    with pytest.raises(ImportError, match="pip install"):
        two_photon.list_experiments(tmp_path)
