"""Phy and Kilosort folders come in as recordings; bad ones are refused with the remedy."""

import numpy as np
import pytest
from phy_files import GROUP, RATE, TRAINS, phy_folder

from nuclr_lite.sources.phy import read_phy


def test_phy_folder(tmp_path):
    folder = phy_folder(
        tmp_path / "night3",
        group=GROUP,
        KSLabel="cluster_id KSLabel\n2 mua\n5 good\n9 good\n7 good\n",
        ContamPct="cluster_id ContamPct\n2 1.5\n5 80\n",
        cell_type="cluster_id cell_type\n2 Pvalb+é\n",
    )
    recording = read_phy(folder, animal_id="m1", groups=None, probe_id="A")
    assert (
        recording.recording_id,
        recording.animal_id,
        recording.probe_id,
        recording.modality,
    ) == ("night3", "m1", "A", "spikes")
    # 7 has no spikes
    assert recording.units.index.tolist() == [2, 5, 9] and recording.units.index.dtype == np.int64
    assert recording.units["group"].tolist() == ["good", "mua", "noise"] and recording.units[
        "KSLabel"
    ].tolist() == ["mua", "good", "good"]
    np.testing.assert_array_equal(recording.units["ContamPct"], [1.5, 80, np.nan])
    assert recording.units["cell_type"].tolist() == ["Pvalb+é", None, None]
    for cluster, train in TRAINS.items():
        np.testing.assert_array_equal(recording.spike_times(cluster), train / RATE)
    assert recording.intervals.tolist() == [[0.25, 20.25]]
    # What a person decided counts, not Kilosort; valid time is the folder's, whichever clusters are
    # taken.
    good = read_phy(str(folder), animal_id="m1", recording_id="s")
    assert (
        good.units.index.tolist() == [2]
        and good.recording_id == "s"
        and good.intervals.tolist() == [[0.25, 20.25]]
    )
    assert read_phy(folder, animal_id="m1", groups=("good", "mua")).units.index.tolist() == [2, 5]
    assert read_phy(folder, animal_id="m1", groups="mua").units.index.tolist() == [5]
    assert read_phy(folder, animal_id="m1", intervals=[[1, 5]]).intervals.tolist() == [[1, 5]]
    assert recording.provenance == {"source": "phy", "folder": "night3", "sampling_rate_hz": RATE}


def test_phy_groups(tmp_path):
    """Kilosort writes its labels into cluster_group.tsv, too; Phy leaves clusters that nobody
    judged empty; its summary is the last resort.
    """
    labels = "cluster_id KSLabel\n2 good\n5 mua\n9 good\n"
    fresh = phy_folder(tmp_path / "fresh", "spike_templates.npy", group=labels, KSLabel=labels)
    assert read_phy(fresh, animal_id="m").units.index.tolist() == [2, 9]
    partly = phy_folder(tmp_path / "partly", group="cluster_id group\n5 good\n9 \n", KSLabel=labels)
    assert read_phy(partly, animal_id="m", groups=None).units["group"].tolist() == [
        "good",
        "good",
        "good",
    ]
    unsorted = phy_folder(
        tmp_path / "unsorted", group="cluster_id group\n2 unsorted\n", KSLabel=labels
    )
    assert read_phy(unsorted, animal_id="m", groups=None).units["group"].tolist() == [
        "unsorted",
        "mua",
        "good",
    ]
    none = phy_folder(tmp_path / "none")
    with pytest.raises(
        ValueError,
        match=(
            r"none: none of its 3 clusters is in groups=\('good',\); there are unsorted:"
            r" 3.*groups=None"
        ),
    ):
        read_phy(none, animal_id="m")
    summary = phy_folder(
        tmp_path / "summary",
        info="id depth group n_spikes\n2 100 mua 10\n5 200.5 good 10\n9 300 good 2\n",
        group="cluster_id group\n2 good\n5 good\n",
    )
    with pytest.warns(
        UserWarning,
        match=(
            r"cluster_group\.tsv and cluster_info\.tsv disagree in 'group' about 1 clusters;"
            r" cluster_group\.tsv is used"
        ),
    ):
        recording = read_phy(summary, animal_id="m")
    assert recording.units["group"].tolist() == ["good"] * 3 and recording.units[
        "depth"
    ].tolist() == [100, 200.5, 300]


def test_phy_old_tables(tmp_path):
    """Version 1 of Phy had cluster_groups.csv, with tabs; Windows writes a mark at the beginning
    and \\r\\n.
    """
    folder = phy_folder(tmp_path / "old")
    (folder / "cluster_groups.csv").write_bytes(
        b"\xef\xbb\xbfcluster_id\tgroup\r\n2\tgood\r\n5\tmua\r\n"
    )
    (folder / "cluster_area.csv").write_text("cluster_id,area\n2,V1\n")
    recording = read_phy(folder, animal_id="m")
    assert recording.units.index.tolist() == [2] and recording.units["area"].tolist() == ["V1"]


def test_params_are_never_executed(tmp_path):
    planted = tmp_path / "planted"
    attack = f"__import__('pathlib').Path({str(planted)!r}).touch()"
    lines = [
        attack,
        f"x = {attack}",
        f"sample_rate = {attack} or 30000",
        f"sample_rate = 30000.0 if {attack} is None else 1",
    ]
    for i, line in enumerate(lines):
        folder = phy_folder(
            tmp_path / f"f{i}", params=f"import os\n{line}\nhp_filtered = True\n", group=GROUP
        )
        with pytest.raises(
            ValueError,
            match=r"params\.py gives no sample_rate as one plain number; pass sampling_rate_hz=",
        ):
            read_phy(folder, animal_id="m")
    harmless = phy_folder(
        tmp_path / "harmless", params=f"{attack}\nsample_rate = 30_000  # Hz\n", group=GROUP
    )
    assert read_phy(harmless, animal_id="m").provenance["sampling_rate_hz"] == RATE
    assert not planted.exists()
    exec(attack)  # it would have worked
    assert planted.exists()


def test_phy_pickles_are_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path / "planted").touch, ()

    folder = phy_folder(tmp_path / "a", group=GROUP)
    np.save(folder / "spike_clusters.npy", np.array([Attack()], dtype=object), allow_pickle=True)
    with pytest.raises(
        ValueError, match=r"spike_clusters\.npy: can't be read as a \.npy file of numbers"
    ):
        read_phy(folder, animal_id="m")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(
    "params",
    [
        None,
        "",
        "sample_rate = \n",
        "sample_rate = 'fast'\n",
        "sample_rate = 0\n",
        "sample_rate = -3e4\n",
        "sample_rate = 1e999\n",
        "sample_rate = [30000]\n",
        "sample_rate = 30000\nsample_rate = 25000\n",
        f"sample_rate = {'(' * 999}\n",
        f"sample_rate = {'9' * 400}\n",
    ],
)
def test_samples_without_a_rate(tmp_path, params):
    folder = phy_folder(tmp_path / "a", params=params, group=GROUP)
    with pytest.raises(
        ValueError,
        match=(
            r"a: spike times are in samples, and .*pass sampling_rate_hz=30000, or what yours was"
            r" recorded with"
        ),
    ):
        read_phy(folder, animal_id="m")


def test_given_rates(tmp_path):
    folder = phy_folder(tmp_path / "a", params=None, group=GROUP)
    np.testing.assert_array_equal(
        read_phy(folder, animal_id="m", sampling_rate_hz=15000).spike_times(2), TRAINS[2] / 15000
    )
    for bad in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"sampling_rate_hz is {bad}; pass"):
            read_phy(folder, animal_id="m", sampling_rate_hz=bad)
    (folder / "params.py").write_text("sample_rate = 25000\n")
    with pytest.warns(
        UserWarning,
        match=r"params\.py says sample_rate = 25000.*30000 Hz that were passed are used",
    ):
        read_phy(folder, animal_id="m", sampling_rate_hz=30000)


def test_phy_arrays(tmp_path):
    folder = phy_folder(tmp_path / "a", group=GROUP)
    times, clusters = np.load(folder / "spike_times.npy"), np.load(folder / "spike_clusters.npy")

    def reads(times=times, clusters=clusters):
        np.save(folder / "spike_times.npy", times)
        np.save(folder / "spike_clusters.npy", clusters)
        return read_phy(folder, animal_id="m", groups=None)

    for odd in (
        dict(times=times.ravel().astype(np.float64)),
        dict(times=times.T.astype(np.int32)),
        dict(clusters=clusters[:, None].astype(np.float64)),
    ):
        np.testing.assert_array_equal(reads(**odd).spike_times(9), TRAINS[9] / RATE)
    shuffled = np.random.default_rng(0).permutation(len(clusters))
    with pytest.warns(UserWarning, match="sorted the spike times"):
        recording = reads(times[shuffled], clusters[shuffled])
    for cluster, train in TRAINS.items():
        np.testing.assert_array_equal(recording.spike_times(cluster), train / RATE)
    assert recording.intervals.tolist() == [[0.25, 20.25]]
    for bad, message in [
        (dict(times=times[:-1]), r"spike_times\.npy has 21 spikes and spike_clusters\.npy has 22"),
        (dict(times=times[:0], clusters=clusters[:0]), "holds no spikes"),
        (
            dict(times=times / RATE),
            r"spike_times\.npy: holds numbers that aren't whole.*from_spike_trains",
        ),
        (dict(times=np.where(times == 7500, np.nan, times)), "aren't whole"),
        (dict(times=times.reshape(2, -1)), r"shape \(2, 11\)"),
        (dict(clusters=clusters.astype(str)), "holds no whole numbers"),
        (dict(times=times > 0), "holds no whole numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            reads(**bad)
    whole = (folder / "spike_times.npy").read_bytes()
    for content in (b"", whole[:-9], b"<html>404</html>"):
        (folder / "spike_times.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"spike_times\.npy: can't be read.*copy it again"):
            read_phy(folder, animal_id="m")


def test_phy_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        read_phy(tmp_path / "nowhere", animal_id="m")
    with pytest.raises(
        FileNotFoundError,
        match=r"there is no spike_times\.npy; give the folder that Kilosort wrote",
    ):
        read_phy(tmp_path, animal_id="m")
    folder = phy_folder(tmp_path / "a")
    (folder / "spike_clusters.npy").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"there is no spike_clusters\.npy nor spike_templates\.npy"
    ):
        read_phy(folder, animal_id="m")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "can't be read as a table of clusters"),
        (b"group\ngood\n", "no column cluster_id"),
        (b"cluster_id\tgroup\n2\tgood\n2\tmua\n", "cluster 2 has two rows"),
        (b"cluster_id\tgroup\nx\tgood\n", "cluster_id of whole numbers"),
        (b"cluster_id\tgroup\n2\t\xff\xfe\n", "can't be read as a table"),
        (b"cluster_id\tgroup\n2\tgood\ta\tb\tc\n", "can't be read|no column"),
    ],
)
def test_phy_bad_tables(tmp_path, content, message):
    folder = phy_folder(tmp_path / "a")
    (folder / "cluster_group.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"cluster_group\.tsv: .*({message})"):
        read_phy(folder, animal_id="m")


def test_phy_table_of_no_rows(tmp_path):
    recording = read_phy(
        phy_folder(tmp_path / "a", group="cluster_id group\n", unit="cluster_id unit_id\n2 7\n"),
        animal_id="m",
        groups=("unsorted",),
    )
    assert recording.n_units == 3 and recording.units["unit_id_in_file"].tolist()[0] == 7


def test_cluster_ids_that_are_floats(tmp_path):
    folder = phy_folder(tmp_path / "a", group="cluster_id group\n2.0 good\n5.0 mua\n9.0 noise\n")
    assert read_phy(folder, animal_id="m").units.index.tolist() == [2]


def test_negative_samples_are_left_out_with_a_word(tmp_path):
    folder = phy_folder(tmp_path / "a", group=GROUP)
    samples = np.load(folder / "spike_times.npy").astype(np.int64)
    samples[:2] = -3
    np.save(folder / "spike_times.npy", samples)
    with pytest.warns(UserWarning, match="left out 2 of 22 spikes with negative samples, as -3"):
        recording = read_phy(folder, animal_id="m", groups=None)
    assert len(recording.times) == 20 and recording.intervals[0, 0] > 0
