"""IBL's insertions as ONE lays them down: on folders that have the published layout and hold
simulated recordings.
"""

import re
import shutil
import sys
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from published_folders import pooled, same_spikes

from nuclr_lite.sources.published import ibl

CCF = {
    "VISp2/3": 821,
    "CA1": 382,
    "MRN": 128,
    "root": 997,
    "void": 0,
    "LP": 218,
    "fiber tracts": 1009,
}


def ibl_tree(
    cache,
    recording,
    probe="probe00",
    sorter="pykilosort",
    subject="ZM_2240",
    labels=None,
    revision=None,
):
    """An insertion as ONE lays it down; cluster 0 has no spike and no metrics."""
    pytest.importorskip("pyarrow", reason="IBL's tables are Parquet: pip install pyarrow")
    place = (
        cache / "mainenlab" / "Subjects" / subject / "2020-01-21" / "001" / "alf" / probe / sorter
    )
    times, clusters = pooled([recording])
    n = recording.n_units + 1
    in_revision = place / f"#{revision}#" if revision else place
    in_revision.mkdir(parents=True, exist_ok=True)
    np.save(in_revision / "spikes.times.npy", times)
    np.save(in_revision / "spikes.clusters.npy", (clusters + 1).astype(np.int32))
    labels = np.ones(n - 1) if labels is None else labels
    pd.DataFrame({"cluster_id": np.arange(1, n), "label": labels, "firing_rate": 1.0}).to_parquet(
        in_revision / "clusters.metrics.pqt"
    )
    np.save(place / "clusters.channels.npy", np.arange(n) % 7)
    np.save(place / "clusters.depths.npy", 20.0 * np.arange(n))
    pd.DataFrame({"uuids": [f"uuid-{i}" for i in range(n)]}).to_csv(
        place / "clusters.uuids.csv", index=False
    )
    np.save(
        place / "channels.brainLocationIds_ccf_2017.npy",
        np.array(list(CCF.values())) * np.r_[1, -1, np.ones(5, int)],
    )
    np.save(place / "channels.mlapdv.npy", np.arange(21).reshape(7, 3))
    alf = place.parents[0].parent if sorter else place.parent
    pd.DataFrame({"intervals_0": [2.0, 6.0], "intervals_1": [5.0, 9.0]}).to_parquet(
        alf / "_ibl_trials.table.pqt"
    )
    pd.DataFrame(
        {
            "passiveProtocol": [20.0, 58.0],
            "spontaneousActivity": [20.0, 40.0],
            "RFM": [41.0, 50.0],
            "taskReplay": [np.nan, np.nan],
        },
        index=["start", "stop"],
    ).to_csv(alf / "_ibl_passivePeriods.intervalsTable.csv")
    return alf / probe


def test_ibl_is_what_was_written(tmp_path, recordings):
    pytest.importorskip("iblatlas", reason="names of IBL's regions: pip install iblatlas")
    folder = ibl_tree(tmp_path, recordings[0], labels=np.r_[1, 2 / 3, np.ones(10)])
    recording = ibl.read_insertion(folder)
    assert (
        recording.recording_id == "ibl-ZM_2240-2020-01-21-001-probe00"
        and recording.animal_id == "ZM_2240"
        and recording.probe_id == "probe00"
    )
    same_spikes(recording, recordings[0], [1, *range(3, 13)], recordings[0].units.index.delete(1))
    # cluster 0 has no spike: it is no unit
    assert ibl.read_insertion(folder, good_only=False).units.index.tolist() == list(range(1, 13))
    units = recording.units
    assert units.loc[[1, 3, 4, 5, 6, 7], "acronym"].tolist() == [
        "CA1",
        "root",
        "void",
        "LP",
        "fiber tracts",
        "VISp2/3",
    ]
    assert units.loc[[1, 3, 4, 5, 6, 7], "beryl"].tolist() == [
        "CA1",
        "root",
        "void",
        "LP",
        "root",
        "VISp",
    ]
    assert units.loc[[1, 3, 4, 5, 6, 7], "region"].tolist() == [
        "HPF",
        None,
        None,
        "TH",
        None,
        "Isocortex",
    ]
    assert units.loc[
        1, ["atlas_id", "channel", "depth_um", "uuid", "ml_um", "ap_um", "dv_um"]
    ].tolist() == [-382, 1, 20, "uuid-1", 3, 4, 5]
    assert recording.epochs.values.tolist() == [
        [2, 5, "trial"],
        [2, 9, "task"],
        [6, 9, "trial"],
        [20, 40, "spontaneous"],
        [20, 58, "passive"],
        [41, 50, "receptive field mapping"],
    ]
    without = ibl.read_insertion(folder, regions=False).units
    assert "region" not in without and without["atlas_id"].equals(units["atlas_id"])


def test_ibl_newest_revision_and_sorter(tmp_path, recordings):
    ibl_tree(tmp_path, recordings[1], revision="2023-01-01")
    folder = ibl_tree(tmp_path, recordings[0], revision="2024-05-06")
    ibl_tree(tmp_path, recordings[2], sorter="iblsorter")
    # as on the server, with the data set's UUID in the name
    for file in ("spikes.times", "spikes.clusters"):
        path = folder / "pykilosort" / "#2024-05-06#" / f"{file}.npy"
        path.rename(path.with_name(f"{file}.0a1b2c3d-0000-4000-8000-0123456789ab.npy"))
    # the original is older than any revision
    np.save(folder / "pykilosort" / "spikes.times.npy", np.arange(3.0))
    np.save(folder / "pykilosort" / "spikes.times_old.npy", np.arange(3.0))  # another attribute
    recording = ibl.read_insertion(folder, regions=False)
    same_spikes(recording, recordings[0], range(1, 13), recordings[0].units.index)
    assert "pykilosort/#2024-05-06#/clusters.metrics.pqt" in recording.provenance["files"]
    same_spikes(
        ibl.read_insertion(folder, sorter="iblsorter", regions=False),
        recordings[2],
        range(1, 13),
        recordings[2].units.index,
    )
    with pytest.raises(FileNotFoundError, match=r"no spikes\.times\.npy .*looked for .*ks4"):
        ibl.read_insertion(folder, sorter="ks4")
    # the oldest sortings lie in the probe's folder
    other = ibl_tree(tmp_path, recordings[1], probe="probe01", sorter="")
    assert ibl.find_insertions(tmp_path) == [folder, other]
    same_spikes(
        ibl.read_insertion(other, regions=False),
        recordings[1],
        range(1, 13),
        recordings[1].units.index,
    )


def test_ibl_bad_files(tmp_path, recordings):
    with pytest.raises(FileNotFoundError, match="no insertion in it"):
        ibl.find_insertions(tmp_path)
    folder = ibl_tree(tmp_path, recordings[0])
    place = folder / "pykilosort"
    with pytest.raises(ValueError, match=r"isn't '\.\.\./<subject>/<date>/<number>/alf/<probe>'"):
        ibl.read_insertion(tmp_path)
    with pytest.raises(FileNotFoundError, match="probe07: no such folder"):
        ibl.read_insertion(folder.parent / "probe07")

    def refuses(file, content, error, message, **options):
        kept = (place / file).read_bytes()
        content(place / file)
        with pytest.raises(error, match=message):
            ibl.read_insertion(folder, **{"regions": False} | options)
        (place / file).write_bytes(kept)

    for file in ("spikes.clusters.npy", "clusters.channels.npy", "clusters.metrics.pqt"):
        refuses(
            file, Path.unlink, FileNotFoundError, rf"{re.escape(file)}: missing; it should hold"
        )
    refuses(
        "clusters.metrics.pqt",
        lambda p: p.write_bytes(b"<html>"),
        ValueError,
        r"clusters\.metrics\.pqt: can't be read as a Parquet table",
    )
    refuses(
        "clusters.metrics.pqt",
        lambda p: pd.DataFrame({"a": [1]}).to_parquet(p),
        ValueError,
        r"columns \['a'\], and cluster_id and label are needed",
    )
    refuses(
        "clusters.channels.npy",
        lambda p: np.save(p, np.arange(5)),
        ValueError,
        r"has 5 clusters, and spikes\.clusters\.npy speaks of cluster 12",
    )
    refuses(
        "clusters.depths.npy",
        lambda p: np.save(p, np.arange(5)),
        ValueError,
        r"clusters\.depths\.npy: has shape \(5,\) instead of \(13,\)",
    )
    refuses(
        "clusters.uuids.csv",
        lambda p: p.write_text("uuids\nx\n"),
        ValueError,
        r"clusters\.uuids\.csv: has 1 rows for 13 clusters",
    )
    refuses(
        "channels.brainLocationIds_ccf_2017.npy",
        lambda p: np.save(p, np.arange(3)),
        ValueError,
        "has 3 channels, and clusters.channels.npy speaks of channel 6",
    )
    metrics = pd.read_parquet(place / "clusters.metrics.pqt")
    refuses(
        "clusters.metrics.pqt",
        lambda p: metrics.assign(label=0.3).to_parquet(p),
        ValueError,
        "none of its 12 units has quality label 1",
    )
    (place / "channels.brainLocationIds_ccf_2017.npy").unlink()
    with pytest.warns(UserWarning, match="its units have no region"):
        assert "region" not in ibl.read_insertion(folder).units


def test_ibl_optional_packages(tmp_path, recordings, monkeypatch):
    folder = ibl_tree(tmp_path, recordings[0])
    monkeypatch.setitem(sys.modules, "iblatlas.regions", None)
    with pytest.raises(ImportError, match="pip install iblatlas"):
        ibl.read_insertion(folder)
    ibl.read_insertion(folder, regions=False)
    monkeypatch.setitem(sys.modules, "one.api", None)
    with pytest.raises(ImportError, match="pip install ONE-api"):
        ibl.download_insertion("pid", tmp_path)


def test_ibl_regions_are_cosmos_in_the_real_atlas():
    regions = pytest.importorskip(
        "iblatlas.regions", reason="the real tables of regions: pip install iblatlas"
    )
    atlas = regions.BrainRegions()
    assert set(atlas.acronym[atlas.mappings["Cosmos"]]) == {*ibl.REGIONS, "root", "void"}
    assert {name: int(atlas.acronym2id(name)[0]) for name in CCF} == CCF
    names = ibl.region_names(atlas.id)  # every id there is, left and right
    assert (
        names["acronym"] == atlas.acronym.tolist()
        and names["beryl"] == atlas.id2acronym(atlas.id, mapping="Beryl").tolist()
    )
    # What the NuCLR code's own table says of some areas.
    for area, region in {
        "APN": "MB",
        "CP": "CNU",
        "BLAp": "CTXsp",
        "COApl": "OLF",
        "DCO": "HB",
        "ENTl5": "HPF",
        "LHA": "HY",
        "PL6a": "Isocortex",
        "SIM": "CB",
        "ZI": "HY",
        "PVT": "TH",
    }.items():
        assert ibl.region_names(atlas.acronym2id(area))["region"] == [region]
    with pytest.warns(UserWarning, match=r"doesn't know the atlas ids \[123456789\] \(1 units\)"):
        names = ibl.region_names([382, 123456789, 128])
    assert names["region"] == ["HPF", None, "MB"]  # not shifted


EID, PID = UUID(int=1), str(UUID(int=2))


class StandInOne:
    """The part of ONE on the public server that download_insertion uses: downloads are copies from
    `server`.
    """

    def __init__(self, server, cache, failing=()):
        self.server, self.cache, self.failing = server, cache, failing
        self.session = next(server.glob("*/Subjects/*/*/*")).relative_to(server)
        self.downloaded = []

    def pid2eid(self, pid):
        return (EID, "probe00") if pid == PID else (None, None)

    def eid2path(self, eid):
        assert eid == EID
        return self.cache / self.session

    def list_datasets(self, eid, collection, details, default_revisions_only):
        assert (eid, collection, details, default_revisions_only) == (EID, "alf*", True, True)
        files = [
            file
            for file in sorted((self.server / self.session).rglob("*"))
            if file.is_file() and "2023" not in str(file)
        ]
        return pd.DataFrame(
            {
                "rel_path": [
                    file.relative_to(self.server / self.session).as_posix() for file in files
                ],
                "file_size": [file.stat().st_size for file in files],
            }
        )

    def load_datasets(self, eid, datasets, download_only):
        assert eid == EID and download_only
        for path in datasets:
            (self.cache / self.session / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.server / self.session / path, self.cache / self.session / path)
        self.downloaded += datasets
        return [
            None if path.rsplit("/", 1)[-1] in self.failing else self.cache / self.session / path
            for path in datasets
        ], None


def test_ibl_download_from_a_stand_in(tmp_path, recordings):
    ibl_tree(tmp_path / "server", recordings[0], revision="2024-05-06")
    ibl_tree(tmp_path / "server", recordings[1], revision="2023-01-01")
    ibl_tree(tmp_path / "server", recordings[2], sorter="iblsorter")
    probe = ibl_tree(tmp_path / "server", recordings[2], probe="probe01")
    (probe.parent / "probe00" / "pykilosort" / "spikes.amps.npy").write_bytes(
        b"large, and not needed"
    )
    one = StandInOne(tmp_path / "server", tmp_path / "cache")
    folder = ibl.download_insertion(PID, tmp_path / "cache", one=one)
    same_spikes(
        ibl.read_insertion(folder, regions=False),
        recordings[0],
        range(1, 13),
        recordings[0].units.index,
    )
    assert sorted(one.downloaded) == sorted(
        ["alf/_ibl_passivePeriods.intervalsTable.csv", "alf/_ibl_trials.table.pqt"]
        + [
            "alf/probe00/pykilosort/"
            + "#2024-05-06#/" * name.startswith(("spikes", "clusters.metrics"))
            + name
            for name in ibl.FILES
        ]
    )
    folder = ibl.download_insertion(EID, tmp_path / "cache", "probe01", one=one)
    assert folder.name == "probe01" and ibl.read_insertion(folder, regions=False).n_units == 12
    assert len(ibl.find_insertions(tmp_path / "cache")) == 2
    # where the alignment to the atlas may have put them
    for name in ("channels.brainLocationIds_ccf_2017.npy", "channels.mlapdv.npy"):
        (probe / "pykilosort" / name).rename(probe / name)
    one = StandInOne(tmp_path / "server", tmp_path / "other cache")
    assert {"atlas_id", "ml_um"} <= set(
        ibl.read_insertion(
            ibl.download_insertion(EID, tmp_path, "probe01", one=one), regions=False
        ).units
    )
    with pytest.raises(ValueError, match="nobody: the server knows no such insertion"):
        ibl.download_insertion("nobody", tmp_path / "cache", one=one)
    with pytest.raises(
        ValueError,
        match=(
            r"no spikes\.times\.npy of probe00 sorted by 'ks4'; there is \['iblsorter',"
            r" 'pykilosort'\]"
        ),
    ):
        ibl.download_insertion(PID, tmp_path / "cache", sorter="ks4", one=one)
    with pytest.raises(
        ValueError,
        match=(
            r"could not be downloaded:"
            r" \['alf/probe00/pykilosort/#2024-05-06#/spikes\.clusters\.npy'\]"
        ),
    ):
        ibl.download_insertion(
            PID,
            tmp_path / "cache",
            one=StandInOne(
                tmp_path / "server", tmp_path / "cache", failing=["spikes.clusters.npy"]
            ),
        )
    for file in (tmp_path / "server").rglob("clusters.metrics.pqt"):
        file.unlink()
    with pytest.raises(
        ValueError, match=r"the server lacks \['clusters\.metrics\.pqt'\] of probe00"
    ):
        ibl.download_insertion(PID, tmp_path / "cache", one=one)


def test_ibl_download_with_the_real_client_on_local_files(tmp_path, recordings):
    """ONE itself, without a server: its own tables of a folder, its listing, its choice of
    files.
    """
    api = pytest.importorskip("one.api", reason="IBL's client: pip install ONE-api")
    from one.alf.cache import make_parquet_db

    written = ibl_tree(tmp_path, recordings[0], revision="2024-05-06")
    (written / "pykilosort" / "spikes.amps.npy").write_bytes(b"not needed")
    make_parquet_db(tmp_path)
    one = api.One(cache_dir=tmp_path)
    # the server's tables have this column, tables made locally don't
    one._cache["datasets"]["default_revision"] = True
    eid = one.search()[0]
    assert Path(ibl.download_insertion(eid, tmp_path, "probe00", one=one)) == written
    with pytest.raises(ValueError, match=r"no spikes\.times\.npy of probe03"):
        ibl.download_insertion(eid, tmp_path, "probe03", one=one)
