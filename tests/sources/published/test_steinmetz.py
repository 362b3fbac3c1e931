"""The Steinmetz set in its published form: on folders that have the published layout and hold
simulated recordings.
"""

import re
import shutil

import numpy as np
import pytest
from helpers import TINY, shared
from published_folders import AREAS, REGIONS, pooled, same_spikes, steinmetz_tree

import nuclr_lite as nl
from nuclr_lite.sources import nwb
from nuclr_lite.sources.published import steinmetz


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
            steinmetz.read_session(broken(lambda folder, name=name: (folder / name).unlink()))

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


def test_what_was_read_trains_an_encoder(tmp_path, recordings):
    """One of the sources from end to end: nothing in its tables or intervals stands in the way of
    embedding.
    """
    with pytest.warns(UserWarning, match="left out 1 of 3 epochs 'trial'"):
        read = steinmetz.read_session(steinmetz_tree(tmp_path, recordings[:2]))
    encoder = nl.pretrain(read, TINY.with_(steps=1)).encoder
    assert nl.embed(encoder, read).notna().all(axis=None)
