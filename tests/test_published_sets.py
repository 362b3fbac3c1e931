"""The data sets of the paper in their published form: on folders that have the published layout and
hold simulated recordings.
"""

import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
import warnings
import zipfile
from functools import partial
from pathlib import Path
from uuid import UUID

import h5py
import numpy as np
import pandas as pd
import pytest
from allen_server import Server
from helpers import TINY, shared

import nuclr_lite as nl
from nuclr_lite.sources import nwb
from nuclr_lite.sources.download import figshare
from nuclr_lite.sources.download.transfer import DownloadError
from nuclr_lite.sources.published import brainsets, bugeon, ibl, steinmetz

AREAS = ["VISp", "VISpm", "LP", "PO", "POST", "CA1", "MRN", "SCm", "SCs", "MOs", "root", "ACA"]
REGIONS = ["VIS", "VIS", "TH", "TH", "HPF", "HPF", "MB", "MB", "MB", None, None, None]


def pooled(recordings):
    """All spikes of several populations in order of time, and the number of the unit, counted
    through, that fired each.
    """
    firsts = np.cumsum([0, *(r.n_units for r in recordings)])
    times = np.concatenate([r.times for r in recordings])
    clusters = np.concatenate(
        [first + np.asarray(r.unit_rows) for first, r in zip(firsts, recordings)]
    )
    order = np.argsort(times, kind="stable")
    return times[order], clusters[order]


def same_spikes(recording, expected, unit_ids, expected_ids):
    assert recording.units.index.tolist() == list(unit_ids)
    for ours, theirs in zip(unit_ids, expected_ids):
        np.testing.assert_array_equal(recording.spike_times(ours), expected.spike_times(theirs))


# Steinmetz


def steinmetz_tree(folder, recordings, name="Cori_2016-12-14", annotations=None):
    """A session as it is published, each recording a probe; columns (n, 1), as MATLAB writes
    them.
    """
    folder = folder / name
    folder.mkdir(parents=True)
    times, clusters = pooled(recordings)
    probes = np.repeat(np.arange(len(recordings)), [r.n_units for r in recordings])
    n = len(probes)
    files = {
        "spikes.times": times,
        "spikes.clusters": clusters.astype(np.uint32),
        "clusters.probes": probes.astype(float),
        "clusters._phy_annotation": np.full(n, 2) if annotations is None else np.array(annotations),
        "clusters.peakChannel": 1.0 + np.arange(n)[::-1],
        "clusters.depths": 20.0 * np.arange(n),
        "channels.probe": probes[::-1].astype(float),
        "passiveVisual.times": np.array([50.0, 52.0]),
        "passiveBeeps.times": np.array([49.0, np.nan]),
        "passiveWhiteNoise.times": np.array([55.0]),
    }
    for file, array in files.items():
        np.save(folder / f"{file}.npy", array[:, None])
    np.save(folder / "trials.intervals.npy", np.array([[1.0, 4.0], [5.0, 9.0], [np.nan, np.nan]]))
    np.save(folder / "spontaneous.intervals.npy", np.array([[20.0, 45.0]]))
    # The largest waveform of unit i is on channel n - i: its area is that of row n - 1 - i.
    areas = [AREAS[i % 12] for i in range(n)][::-1]
    pd.DataFrame(
        {
            "ccf_ap": 100.0 * np.arange(n)[::-1],
            "ccf_dv": 1.0,
            "ccf_lr": 2.0,
            "allen_ontology": areas,
        }
    ).to_csv(folder / "channels.brainLocation.tsv", sep="\t", index=False)
    return folder


@pytest.mark.filterwarnings("ignore:.*left out 1 of 3 epochs 'trial'")
def test_steinmetz_is_what_was_written(tmp_path, recordings):
    folder = steinmetz_tree(tmp_path, recordings[:2])
    first, second = steinmetz.read_session(folder)
    assert [r.recording_id for r in (first, second)] == [
        "steinmetz-Cori_2016-12-14-probe0",
        "steinmetz-Cori_2016-12-14-probe1",
    ]
    assert {r.animal_id for r in (first, second)} == {"Cori"} and (
        first.probe_id,
        second.probe_id,
    ) == ("0", "1")
    same_spikes(first, recordings[0], range(12), recordings[0].units.index)
    same_spikes(second, recordings[1], range(12, 24), recordings[1].units.index)
    for recording in (first, second):
        assert (
            recording.units["brain_area"].tolist() == AREAS
            and recording.units["region"].tolist() == REGIONS
        )
        np.testing.assert_array_equal(
            recording.intervals, [[recording.times[0], recording.times[-1]]]
        )
        assert recording.n_spikes_outside == 0
    assert second.units.loc[12, ["depth_um", "ccf_ap", "peak_channel"]].tolist() == [240, 1200, 12]
    assert first.epochs.values.tolist() == [
        [1, 4, "trial"],
        [1, 9, "task"],
        [5, 9, "trial"],
        [20, 45, "spontaneous"],
        [49, 55, "passive"],
    ]
    assert first.during("spontaneous").valid_s == 25
    again = steinmetz.read_session(folder)[0].save(tmp_path / "saved")
    assert type(first).load(again).units.equals(first.units)


@pytest.mark.filterwarnings("ignore:.*epochs 'trial'")
def test_steinmetz_good_units_and_silences(tmp_path, recordings):
    annotations = [2, 3, 0, 1, 4, 2, 2, 2, 2, 2, 2, 2]
    folder = steinmetz_tree(tmp_path, recordings[:1], annotations=annotations)
    [good] = steinmetz.read_session(folder)
    assert (
        good.units.index.tolist() == [0, 1, *range(4, 12)] and (good.units["annotation"] >= 2).all()
    )
    same_spikes(good, recordings[0], good.units.index, recordings[0].units.index[good.units.index])
    assert steinmetz.read_session(folder, min_annotation=None)[0].n_units == 12
    assert steinmetz.read_session(folder, min_annotation=4)[0].units.index.tolist() == [4]
    with pytest.raises(
        ValueError, match="none of its 12 units is annotated 5 or higher; lower min_annotation"
    ):
        steinmetz.read_session(folder, min_annotation=5)
    # A unit that isn't good tells that the probe was recording: only where it is silent too is time
    # left out.
    times, clusters = pooled(recordings[:1])
    kept = ((times < 10) | (times > 20)) & ((times < 30) | (times > 40) | (clusters == 2))
    extra = np.arange(30, 40, 0.5)
    order = np.argsort(np.r_[times[kept], extra], kind="stable")
    np.save(folder / "spikes.times.npy", np.r_[times[kept], extra][order])
    np.save(folder / "spikes.clusters.npy", np.r_[clusters[kept], np.full(len(extra), 2)][order])
    [good] = steinmetz.read_session(folder)
    before, after = times[times < 10][-1], times[times > 20][0]
    np.testing.assert_allclose(
        good.intervals, [[good.intervals[0, 0], before - 1], [after + 1, good.intervals[-1, 1]]]
    )


@pytest.mark.filterwarnings("ignore:.*epochs 'trial'")
def test_steinmetz_folders(tmp_path, recordings):
    with pytest.raises(FileNotFoundError, match="no session in it"):
        steinmetz.read_steinmetz(tmp_path)
    (tmp_path / "Cori_2016-12-14.tar").write_bytes(b"")
    with pytest.raises(
        FileNotFoundError,
        match=(
            r"it holds 1 packed files: unpack them, .*figshare\.unpack\('.*Cori_2016-12-14\.tar'\)"
        ),
    ):
        steinmetz.read_steinmetz(tmp_path)
    steinmetz_tree(tmp_path / "b", recordings[:1], "Muller_2017-01-07")
    steinmetz_tree(tmp_path / "a", recordings[:2])
    # the layout of the ALF release, figshare 9974357
    steinmetz_tree(tmp_path / "c" / "Hench" / "2017-06-15" / "001", recordings[2:], "alf")
    found = steinmetz.read_steinmetz(tmp_path)
    assert [r.recording_id for r in found] == [
        "steinmetz-Cori_2016-12-14-probe0",
        "steinmetz-Cori_2016-12-14-probe1",
        "steinmetz-Muller_2017-01-07-probe0",
        "steinmetz-Hench_2017-06-15-probe0",
    ]
    assert [r.animal_id for r in found] == ["Cori", "Cori", "Muller", "Hench"]
    odd = steinmetz_tree(tmp_path / "d", recordings[:1], "mine")
    with pytest.raises(ValueError, match="mine: its name doesn't say which animal.*give animal="):
        steinmetz.read_session(odd)
    assert steinmetz.read_session(odd, animal="me")[0].animal_id == "me"


@pytest.mark.filterwarnings("ignore:.*epochs 'trial'")
def test_steinmetz_bad_files(tmp_path, recordings):
    def broken(change):
        shutil.rmtree(tmp_path / "Cori_2016-12-14", ignore_errors=True)
        folder = steinmetz_tree(tmp_path, recordings[:1])
        change(folder)
        return folder

    for name, holds in [
        ("spikes.times.npy", "the time of each spike, s"),
        ("clusters.peakChannel.npy", "the channel, from 1"),
        ("clusters.probes.npy", "the probe of each unit"),
        ("clusters._phy_annotation.npy", "how well each unit is isolated"),
        ("channels.brainLocation.tsv", r"the brain area \(allen_ontology\)"),
    ]:
        with pytest.raises(
            FileNotFoundError, match=rf"{re.escape(name)}: missing; it should hold {holds}"
        ):
            steinmetz.read_session(broken(lambda folder: (folder / name).unlink()))

    def save(name, array):
        return lambda folder: np.save(folder / name, array)

    n = len(recordings[0].times)
    for change, message in [
        (
            save("spikes.clusters.npy", np.zeros(5, int)),
            rf"spikes\.clusters\.npy: has shape \(5,\) instead of \({n},\)",
        ),
        (
            save("spikes.clusters.npy", np.full(n, 99)),
            r"clusters\.probes\.npy: has 12 units, and spikes\.clusters\.npy speaks of unit 99",
        ),
        (
            save("spikes.clusters.npy", np.full(n, 0.5)),
            r"spikes\.clusters\.npy: holds something other than unit numbers",
        ),
        (
            save("spikes.times.npy", np.r_[np.zeros(n - 1), np.nan]),
            r"spikes\.times\.npy: 1 spike times are NaN",
        ),
        (
            save("trials.intervals.npy", np.zeros(7)),
            r"trials\.intervals\.npy: has shape \(7,\) instead of \(n, 2\)",
        ),
        # a pickle: never opened
        (
            save("spikes.times.npy", np.array([{}], dtype=object)),
            r"spikes\.times\.npy: can't be read as \.npy",
        ),
        (
            lambda f: (f / "spikes.times.npy").write_bytes(
                (f / "spikes.times.npy").read_bytes()[:1000]
            ),
            r"spikes\.times\.npy: can't be read",
        ),
        (lambda f: (f / "spikes.times.npy").write_bytes(b""), r"spikes\.times\.npy: can't be read"),
        (
            lambda f: (f / "channels.brainLocation.tsv").write_text("a\tb\n1\t2\n"),
            r"brainLocation\.tsv: has the columns \['a', 'b'\], and 'allen_ontology'",
        ),
        (
            lambda f: (f / "channels.brainLocation.tsv").write_text(""),
            r"brainLocation\.tsv: can't be read as a table",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            steinmetz.read_session(broken(change))
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        steinmetz.read_session(tmp_path / "nowhere")
    with pytest.warns(
        UserWarning,
        match="2 of 12 units peak on a channel that channels.brainLocation.tsv doesn't have",
    ):
        [recording] = steinmetz.read_session(
            broken(save("clusters.peakChannel.npy", np.r_[0, 13, 10:0:-1]))
        )
    assert recording.units["brain_area"].isna().tolist() == [True] * 2 + [False] * 10
    with pytest.warns(UserWarning, match="12 of 12 units peak on a channel of another probe"):
        steinmetz.read_session(broken(save("channels.probe.npy", np.ones(12))))


def test_steinmetz_regions_agree_with_the_real_excerpts():
    """The excerpts that the course exported carry the same four groups."""
    for recording in nwb.read_nwb(shared("real", "steinmetz_snippets")):
        assert (
            recording.units["brain_area"].map(steinmetz.REGION_OF).tolist()
            == recording.units["region"].tolist()
        )


# IBL

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
            f"alf/probe00/pykilosort/{'#2024-05-06#/' * name.startswith(('spikes', 'clusters.metrics'))}{name}"
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


# Bugeon

TTYPES = [
    "EC",
    "IN",
    "Pvalb-Tac1-Akr1c18",
    "Sst-Calb2-Pdlim5",
    "Vip-Crispld2-Htr2c",
    "Lamp5-Plch2-Dock5",
    "Sncg-Vip-Itih5",
    "Serpinf1-Clrn1",
    "unknown",
    "EC",
    "Sst-Chodl",
    "EC",
]


def bugeon_tree(folder, recording, session="SB025/2019-10-04"):
    """A session as public code reads it: the recording's frames in two experiments, each on a clock
    of its own. Returns where the second begins.
    """
    folder, n, half = folder / session, recording.n_units, len(recording.traces) // 2
    folder.mkdir(parents=True)
    (folder / "neuron.ttype.txt").write_text("\n".join(TTYPES[:n]) + "\n")
    for name, array in [
        ("UniqueID", np.where(np.arange(n) < 2, np.nan, np.arange(n))[:, None]),
        ("plane", np.arange(n)[:, None] % 3),
        ("depth", np.arange(n)[:, None] * 10.0),
        ("stackPosCorrected", np.arange(2 * n).reshape(n, 2)),
    ]:
        np.save(folder / f"neuron.{name}.npy", array)
    jitter = 0.01 * np.sin(np.arange(len(recording.traces)))
    for place, frames, offset in [
        ("Drifting Gratings/01", slice(0, half), 3.5),
        ("Natural Scenes/01", slice(half, None), 0.0),
    ]:
        (folder / place).mkdir(parents=True)
        traces = recording.traces[frames]
        np.save(folder / place / "frame.neuralActivity.npy", traces.astype(np.float64))
        np.save(
            folder / place / "frame.times.npy",
            (
                offset
                + np.arange(len(traces)) / recording.sampling_rate_hz
                + jitter[frames]
                - jitter[frames][0]
            )[:, None],
        )
    return folder, half


def test_bugeon_is_what_was_written(tmp_path, calcium_recordings):
    expected = calcium_recordings[0]
    folder, half = bugeon_tree(tmp_path, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording = bugeon.read_session(folder, gap_s=300)
    assert recording.recording_id == "bugeon-SB025_2019-10-04" and recording.animal_id == "SB025"
    rate = recording.sampling_rate_hz
    assert rate == pytest.approx(expected.sampling_rate_hz, rel=1e-3)
    second = len(recording.traces) - (len(expected.traces) - half)
    assert second - half == np.ceil(300 * rate)
    np.testing.assert_array_equal(recording.traces[:half], expected.traces[:half])
    np.testing.assert_array_equal(recording.traces[second:], expected.traces[half:])
    assert np.isnan(recording.traces[half:second]).all()
    np.testing.assert_allclose(
        recording.intervals * rate, [[0, half], [second, len(recording.traces)]], atol=1e-6
    )
    assert recording.epochs["name"].tolist() == [
        "Drifting Gratings",
        "Natural Scenes",
    ] and recording.epochs["experiment"].tolist() == ["Drifting Gratings/01", "Natural Scenes/01"]
    assert recording.epochs["first_frame_s"].tolist() == [3.5, 0.0]
    assert recording.during("Natural Scenes").intervals.tolist() == [
        recording.intervals[1].tolist()
    ]
    units = recording.units
    assert units["cell_class"].tolist() == ["EC", *["IN"] * 8, "EC", "IN", "EC"]
    assert units["subclass"].tolist() == [
        None,
        None,
        "Pvalb",
        "Sst",
        "Vip",
        "Lamp5",
        "Sncg",
        None,
        None,
        None,
        "Sst",
        None,
    ]
    assert (
        units["unique_id"].isna().tolist() == [True] * 2 + [False] * 10
        and units["plane"].tolist() == [0, 1, 2] * 4
    )
    assert units.loc[3, ["depth", "stack_x", "stack_y"]].tolist() == [30, 6, 7]
    bugeon_tree(tmp_path, calcium_recordings[1], "SB028/2019-11-06")
    assert [r.animal_id for r in bugeon.read_bugeon(tmp_path)] == ["SB025", "SB028"]


def test_bugeon_odd_experiments(tmp_path, calcium_recordings):
    folder, half = bugeon_tree(tmp_path, calcium_recordings[0])
    # public code says of some that their cells are others
    second = folder / "Drifting Gratings" / "02"
    second.mkdir()
    np.save(second / "frame.neuralActivity.npy", np.zeros((50, 5)))
    with pytest.warns(
        UserWarning,
        match=r"02: left out: frame\.neuralActivity\.npy has 5 cells, and neuron\.ttype\.txt 12",
    ):
        assert len(bugeon.read_session(folder).epochs) == 2
    shutil.rmtree(second)
    file = folder / "Drifting Gratings" / "01" / "frame.neuralActivity.npy"
    traces = np.load(file)
    traces[7, 4] = np.nan
    np.save(file, traces)
    with pytest.warns(
        UserWarning,
        match=r"left out 1 of 12 cells whose activity is NaN or infinite somewhere \(first: 4\)",
    ):
        recording = bugeon.read_session(folder)
    assert recording.units.index.tolist() == [0, 1, 2, 3, *range(5, 12)]
    np.testing.assert_array_equal(
        recording.traces[:half], np.delete(calcium_recordings[0].traces[:half], 4, axis=1)
    )
    times = folder / "Natural Scenes" / "01" / "frame.times.npy"
    np.save(times, 2 * np.load(times))
    with pytest.raises(
        ValueError, match="experiments have frame rates of .* Hz; they can't be one recording"
    ):
        bugeon.read_session(folder)


def test_bugeon_bad_files(tmp_path, calcium_recordings):
    with pytest.raises(FileNotFoundError, match="no session in it"):
        bugeon.read_bugeon(tmp_path)
    folder, half = bugeon_tree(tmp_path, calcium_recordings[0])
    first = folder / "Drifting Gratings" / "01"
    np.save(first / "frame.times.npy", np.arange(5.0))
    with pytest.raises(
        ValueError,
        match=(
            rf"frame\.times\.npy: has shape \(5,\) instead of \({half},\); it should hold the time"
            r" of each frame, s, one for all planes"
        ),
    ):
        bugeon.read_session(folder)
    (first / "frame.times.npy").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"frame\.times\.npy: missing; it should hold the time of each frame",
    ):
        bugeon.read_session(folder)
    np.save(folder / "neuron.plane.npy", np.arange(3))
    with pytest.raises(
        ValueError, match=r"neuron\.plane\.npy: has shape \(3,\) instead of \(12,\)"
    ):
        bugeon.read_session(folder)
    (folder / "neuron.ttype.txt").write_text("EC\n\nIN\n")
    with pytest.raises(ValueError, match=r"neuron\.ttype\.txt: has 3 lines, 1 of them empty"):
        bugeon.read_session(folder)
    (folder / "neuron.ttype.txt").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"neuron\.ttype\.txt: missing; it should hold the transcriptomic type",
    ):
        bugeon.read_session(folder)
    (tmp_path / "SB1" / "2020-01-01").mkdir(parents=True)
    (tmp_path / "SB1" / "2020-01-01" / "neuron.ttype.txt").write_text("EC\n")
    with pytest.raises(FileNotFoundError, match="no experiment in it"):
        bugeon.read_session(tmp_path / "SB1" / "2020-01-01")


# figshare


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


# brainsets, written by temporaldata itself


def description(**attributes):
    """What brainsets' descriptions become in a file: a Data of attributes."""
    temporaldata = pytest.importorskip(
        "temporaldata", reason="the writer of brainsets' files: pip install temporaldata"
    )
    return temporaldata.Data(**attributes)


def write_brainset(path, recording=None, calcium=None, regular=False, subject="mouse1", **more):
    temporaldata = pytest.importorskip(
        "temporaldata", reason="the writer of brainsets' files: pip install temporaldata"
    )
    source = recording or calcium
    units = temporaldata.ArrayDict(
        id=np.array([f"s_u{i}" for i in range(source.n_units)]),
        brain_area=np.array(AREAS[: source.n_units]),
        probe_id=np.arange(source.n_units) % 2,
        probe=np.array([f"probe0{i % 2}" for i in range(source.n_units)]),
        waveform=np.zeros((source.n_units, 5)),
    )
    parts = dict(brainset=description(id="set"), session=description(id="s"), units=units)
    if subject:
        parts["subject"] = description(id=subject)
    if recording is not None:
        starts, ends = recording.intervals.T
        parts["spikes"] = temporaldata.IrregularTimeSeries(
            timestamps=np.array(recording.times),
            unit_index=np.array(recording.unit_rows, dtype=np.int64),
            domain=temporaldata.Interval(start=starts.copy(), end=ends.copy()),
        )
    if calcium is not None:
        series = dict(df_over_f=np.array(calcium.traces))
        if regular:
            parts["calcium_traces"] = temporaldata.RegularTimeSeries(
                **series, sampling_rate=calcium.sampling_rate_hz, domain_start=5.0
            )
        else:
            parts["calcium_traces"] = temporaldata.IrregularTimeSeries(
                **series,
                timestamps=5 + np.arange(len(calcium.traces)) / calcium.sampling_rate_hz,
                domain="auto",
            )
    domain = (
        more.pop("domain", None)
        or (parts["spikes"] if recording is not None else parts["calcium_traces"]).domain
    )
    with h5py.File(path, "w") as file:
        temporaldata.Data(**parts, **more, domain=domain).to_hdf5(file)
    return path


def test_brainsets_spikes(tmp_path, recordings):
    temporaldata = pytest.importorskip(
        "temporaldata", reason="the writer of brainsets' files: pip install temporaldata"
    )
    trials = temporaldata.Interval(
        start=np.array([1.0, 5.0]), end=np.array([3.0, 9.0]), contrast=np.array([0.5, 1.0])
    )
    path = write_brainset(tmp_path / "a.h5", recordings[0], trials=trials)
    [recording] = brainsets.read_brainsets(path)
    assert (
        recording.recording_id == "s"
        and recording.animal_id == "mouse1"
        and recording.provenance["brainset"] == "set"
    )
    np.testing.assert_array_equal(recording.times, recordings[0].times)
    np.testing.assert_array_equal(recording.intervals, recordings[0].intervals)
    same_spikes(recording, recordings[0], [f"s_u{i}" for i in range(12)], recordings[0].units.index)
    assert recording.units["brain_area"].tolist() == AREAS and list(recording.units) == [
        "brain_area",
        "probe",
        "probe_id",
    ]
    assert recording.epochs.values.tolist() == [[1, 3, "trials"], [5, 9, "trials"]]
    odd, even = brainsets.read_brainsets(path, probe_column="probe_id")[::-1]
    assert (even.recording_id, odd.probe_id) == ("s-0", "1")
    assert [part.recording_id for part in brainsets.read_brainsets(path, probe_column="probe")] == [
        "s-probe00",
        "s-probe01",
    ]
    same_spikes(
        odd, recordings[0], [f"s_u{i}" for i in range(1, 12, 2)], recordings[0].units.index[1::2]
    )
    with h5py.File(path) as file:  # temporaldata reads the same
        data = temporaldata.Data.from_hdf5(file, lazy=False)
        np.testing.assert_array_equal(data.spikes.timestamps, recording.times)
        assert data.units.id.tolist() == recording.units.index.tolist()


def test_brainsets_domains(tmp_path, recordings):
    temporaldata = pytest.importorskip(
        "temporaldata", reason="the writer of brainsets' files: pip install temporaldata"
    )
    domain = temporaldata.Interval(start=np.array([-5.0, 30.0]), end=np.array([10.0, 45.0]))
    [recording] = brainsets.read_brainsets(
        write_brainset(tmp_path / "a.h5", recordings[0], domain=domain)
    )
    np.testing.assert_allclose(recording.intervals, [[recordings[0].intervals[0, 0], 10], [30, 45]])
    assert recording.n_spikes_outside + len(recording.times) == len(recordings[0].times)
    domain = temporaldata.Interval(start=np.array([100.0]), end=np.array([200.0]))
    with pytest.raises(
        ValueError, match=r"b\.h5: the domains of the file and of its series share no time"
    ):
        brainsets.read_brainsets(write_brainset(tmp_path / "b.h5", recordings[0], domain=domain))


@pytest.mark.parametrize("regular", [False, True])
def test_brainsets_calcium(tmp_path, calcium_recordings, regular):
    expected = calcium_recordings[0]
    path = write_brainset(tmp_path / "a.h5", calcium=expected, regular=regular)
    [recording] = brainsets.read_brainsets(path)
    np.testing.assert_array_equal(recording.traces, expected.traces)
    assert recording.start_s == 5 and recording.sampling_rate_hz == pytest.approx(
        expected.sampling_rate_hz
    )
    np.testing.assert_allclose(
        recording.intervals, [[5, 5 + len(expected.traces) / expected.sampling_rate_hz]]
    )
    with pytest.raises(ValueError, match="probe_column='probe_id' means nothing for calcium"):
        brainsets.read_brainsets(path, probe_column="probe_id")


def test_brainsets_calcium_with_an_hour_between(tmp_path, calcium_recordings):
    """As the authors' Bugeon files: experiments an hour apart in one series, a domain of several
    intervals.
    """
    temporaldata = pytest.importorskip(
        "temporaldata", reason="the writer of brainsets' files: pip install temporaldata"
    )
    traces, rate = np.array(calcium_recordings[0].traces), calcium_recordings[0].sampling_rate_hz
    half = len(traces) // 2
    timestamps = np.arange(len(traces)) / rate + np.where(
        np.arange(len(traces)) >= half, 3600.0, 0.0
    )
    series = temporaldata.IrregularTimeSeries(
        timestamps=timestamps,
        df_over_f=traces,
        domain=temporaldata.Interval(start=timestamps[[0, half]], end=timestamps[[half - 1, -1]]),
    )
    data = temporaldata.Data(
        session=description(id="sb025"),
        subject=description(id="SB025"),
        calcium_traces=series,
        domain=series.domain,
        units=temporaldata.ArrayDict(id=np.array([f"u{i}" for i in range(12)])),
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data.to_hdf5(file)
    [recording] = brainsets.read_brainsets(tmp_path)
    second = len(recording.traces) - (len(traces) - half)
    np.testing.assert_array_equal(recording.traces[:half], traces[:half])
    np.testing.assert_array_equal(recording.traces[second:], traces[half:])
    np.testing.assert_allclose(recording.intervals[:, 0], timestamps[[0, half]], atol=1 / rate)
    assert len(recording.intervals) == 2 and recording.valid_s == pytest.approx(
        len(traces) / rate, rel=1e-6
    )


def test_brainsets_calcium_within_its_domain(tmp_path, calcium_recordings):
    temporaldata = pytest.importorskip(
        "temporaldata", reason="the writer of brainsets' files: pip install temporaldata"
    )
    expected = calcium_recordings[0]
    domain = temporaldata.Interval(start=np.array([5.0, 65.0]), end=np.array([35.0, 200.0]))
    [recording] = brainsets.read_brainsets(
        write_brainset(tmp_path / "a.h5", calcium=expected, domain=domain)
    )
    rate, n_frames = expected.sampling_rate_hz, len(expected.traces)
    np.testing.assert_allclose(
        recording.intervals, [[5, 35], [65, 5 + n_frames / rate]], atol=1 / rate
    )
    first = int(np.ceil((recording.intervals[1, 0] - 5) * rate - 1e-6))
    np.testing.assert_array_equal(recording.traces[first:], expected.traces[first:])


def test_brainsets_bad_files(tmp_path, recordings, calcium_recordings):
    with pytest.raises(FileNotFoundError, match=r"there is no \.h5 file in this folder"):
        brainsets.read_brainsets(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no\.h5: nothing there"):
        brainsets.read_brainsets(tmp_path / "no.h5")
    path = write_brainset(tmp_path / "whole.h5", recordings[0])
    for name, content, message in [
        ("cut", path.read_bytes()[:5000], "is truncated or damaged"),
        ("empty", b"", "is empty"),
        ("page", b"<html>", "is a web page"),
    ]:
        (tmp_path / f"{name}.h5").write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.h5 {message}.*prepare it again"):
            brainsets.read_brainsets(tmp_path / f"{name}.h5")
    with pytest.raises(ValueError, match=r"both\.h5: holds both spikes and calcium"):
        brainsets.read_brainsets(
            write_brainset(tmp_path / "both.h5", recordings[0], calcium_recordings[0])
        )
    assert (
        brainsets.read_brainsets(tmp_path / "both.h5", modality="calcium")[0].modality == "calcium"
    )
    assert brainsets.read_brainsets(tmp_path / "both.h5", modality="spikes")[0].modality == "spikes"
    with pytest.raises(ValueError, match=r"whole\.h5: holds no calcium; looked for"):
        brainsets.read_brainsets(path, modality="calcium")
    with pytest.raises(ValueError, match=r"nobody\.h5: has no subject id; give animal="):
        brainsets.read_brainsets(
            write_brainset(tmp_path / "nobody.h5", recordings[0], subject=None)
        )
    assert brainsets.read_brainsets(tmp_path / "nobody.h5", animal="m")[0].animal_id == "m"
    with pytest.raises(
        ValueError,
        match=r"units has no column 'shank'; there are \['brain_area', 'probe', 'probe_id'\]",
    ):
        brainsets.read_brainsets(path, probe_column="shank")

    def changed(change, message):
        shutil.copy(path, tmp_path / "changed.h5")
        with h5py.File(tmp_path / "changed.h5", "r+") as file:
            change(file)
        with pytest.raises(ValueError, match=rf"changed\.h5.*{message}"):
            brainsets.read_brainsets(tmp_path / "changed.h5")

    def high(file):
        file["spikes/unit_index"][0] = 12

    def empty(file):
        del file["domain/start"], file["domain/end"]
        file["domain/start"] = file["domain/end"] = np.empty(0)

    changed(high, "unit_index for 12 units; they don't belong together")
    changed(empty, "its domain is empty")
    changed(
        lambda file: file.__delitem__("units"), r"isn't temporaldata\.Data with a group `units`"
    )
    changed(
        lambda file: file["spikes"].__delitem__("unit_index"),
        "timestamps .* and unit_index .* are needed",
    )
    changed(lambda file: file.attrs.__delitem__("object"), r"isn't temporaldata\.Data")


def test_brainsets_file_without_its_writer(tmp_path, recordings):
    """The layout by hand, as files of older versions have it: only the groups that matter, texts as
    ASCII bytes.
    """
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["object"] = "Data"
        for name, kind in [
            ("units", "ArrayDict"),
            ("spikes", "IrregularTimeSeries"),
            ("spikes/domain", "Interval"),
            ("subject", "Data"),
            ("train_domain", "Interval"),
        ]:
            file.create_group(name).attrs["object"] = kind
        file["subject"].attrs["id"] = "m"
        file["units/id"] = np.array([f"u{i}" for i in range(12)], dtype="S")
        file["units/unit_id"] = np.arange(12)
        file["spikes/timestamps"], file["spikes/unit_index"] = (
            recordings[0].times,
            recordings[0].unit_rows,
        )
        file["spikes/domain/start"], file["spikes/domain/end"] = recordings[0].intervals.T
        file["train_domain/start"], file["train_domain/end"] = [0.0], [1.0]
    [recording] = brainsets.read_brainsets(tmp_path)
    assert (
        recording.recording_id == "old"
        and recording.units["unit_id_in_file"].tolist() == list(range(12))
        and not len(recording.epochs)
    )
    same_spikes(recording, recordings[0], [f"u{i}" for i in range(12)], recordings[0].units.index)
    np.testing.assert_array_equal(recording.intervals, recordings[0].intervals)


def test_what_was_read_trains_an_encoder(tmp_path, recordings):
    """One of the sources from end to end: nothing in its tables or intervals stands in the way of
    embedding.
    """
    with pytest.warns(UserWarning, match="left out 1 of 3 epochs 'trial'"):
        read = steinmetz.read_session(steinmetz_tree(tmp_path, recordings[:2]))
    encoder = nl.pretrain(read, TINY.with_(steps=1)).encoder
    assert nl.embed(encoder, read).notna().all(axis=None)
