"""SpikeInterface, pynapple and long tables come in as recordings; bad ones are refused with the
remedy.
"""

import sys

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl
from nuclr_lite.sources.objects import (
    from_long_table,
    from_pynapple,
    from_spikeinterface,
    one_value,
)
from nuclr_lite.sources.phy import read_phy

# SpikeInterface


def sorting_of(segments, rate=1000.0, **properties):
    """segments: one {unit: samples} a segment."""
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    sorting = core.NumpySorting.from_unit_dict(segments, sampling_frequency=rate)
    for name, values in properties.items():
        sorting.set_property(name, values)
    return sorting


UNITS = [{"a": np.array([100, 900]), "b": np.array([500]), "c": np.array([], dtype=int)}]


def test_sorting(tmp_path):
    sorting = sorting_of(
        UNITS,
        region=["V1", "", "é"],
        depth=[1.5, 2, 3],
        n=[1, 2, 3],
        unit_id=[7, 8, 9],
        flag=[True, False, True],
        place=np.zeros((3, 2)),
        mixed=np.array([1, "x", None], dtype=object),
    )
    with pytest.warns(
        UserWarning, match="s1: left out what has no one number or text a unit: place, mixed"
    ):
        recording = from_spikeinterface(sorting, animal_id="m", recording_id="s1")
    assert {name: list(column) for name, column in recording.units.items()} == {
        "region": ["V1", None, "é"],
        "depth": [1.5, 2, 3],
        "n": [1, 2, 3],
        "unit_id_in_file": [7, 8, 9],
        "flag": [True, False, True],
    }
    assert (
        recording.units.index.tolist() == ["a", "b", "c"]
        and recording.spike_times("a").tolist() == [0.1, 0.9]
        and len(recording.spike_times("c")) == 0
    )
    assert recording.intervals.tolist() == [[0.1, 0.9]] and (
        recording.recording_id,
        recording.animal_id,
    ) == ("s1", "m")
    saved = recording.save(tmp_path / "s1")
    pd.testing.assert_frame_equal(nl.Recording.load(saved).units, recording.units)


def test_columns_of_all_kinds():
    """As SpikeInterface's metrics and pandas have them."""
    columns = {
        "whole": pd.array([1, 2], dtype="Int64"),
        "count": pd.array([1, None], dtype="Int64"),
        "flag": pd.array([True, None], dtype="boolean"),
        "text": pd.array(["a", None], dtype="string"),
        "kind": pd.Categorical(["x", None]),
        "when": pd.to_datetime(["2020-01-01"] * 2),
    }
    with pytest.warns(UserWarning, match="r: left out what has no one number or text a unit: when"):
        held = one_value(
            {name: pd.Series(column) for name, column in columns.items()}, ["u", "v"], "r"
        )
    units = nl.Recording.from_spike_trains(
        [[1.0], [2.0]], held, recording_id="r", animal_id="m"
    ).units
    assert units["whole"].dtype == np.int64 and units[["text", "kind"]].values.tolist() == [
        ["a", "x"],
        [None, None],
    ]
    np.testing.assert_array_equal(units[["count", "flag"]], [[1, 1], [np.nan, np.nan]])


def test_some_units_of_a_sorting():
    sorting = sorting_of(UNITS, n=[1, 2, 3])
    recording = from_spikeinterface(sorting, animal_id="m", recording_id="s", units=["b", "a"])
    assert recording.units["n"].to_dict() == {"b": 2, "a": 1} and recording.spike_times(
        "b"
    ).tolist() == [0.5]
    # valid time is the sorting's
    assert from_spikeinterface(
        sorting, animal_id="m", recording_id="s", units=["b"]
    ).intervals.tolist() == [[0.1, 0.9]]
    with pytest.raises(ValueError, match=r"s: the sorting has no unit 'z' \(1 of 2 are unknown\)"):
        from_spikeinterface(sorting, animal_id="m", recording_id="s", units=["a", "z"])
    with pytest.raises(TypeError, match="s: this is a dict; give a SpikeInterface Sorting"):
        from_spikeinterface({}, animal_id="m", recording_id="s")
    with pytest.raises(ValueError, match="s: no unit of the sorting has a spike"):
        from_spikeinterface(
            sorting_of([{"a": np.array([], dtype=int)}]), animal_id="m", recording_id="s"
        )


def test_segments_follow_each_other():
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    segments = [
        {1: np.array([100, 900]), 2: np.array([500])},
        {1: np.array([0, 300]), 2: np.array([150])},
    ]
    sorting = sorting_of(segments)
    bare = from_spikeinterface(sorting, animal_id="m", recording_id="s")
    np.testing.assert_allclose(bare.intervals, [[0.1, 0.9], [0.9, 1.2]])
    np.testing.assert_allclose(bare.spike_times(1), [0.1, 0.9, 0.9, 1.2])
    recorded = core.NumpyRecording(
        [np.zeros((1000, 1)), np.zeros((400, 1))], sampling_frequency=1000.0
    )
    sorting.register_recording(recorded)
    known = from_spikeinterface(sorting, animal_id="m", recording_id="s")
    np.testing.assert_allclose(known.intervals, [[0, 1.0], [1.0, 1.4]])
    np.testing.assert_allclose(known.spike_times(2), [0.5, 1.15])
    assert known.provenance["segments_moved_s"] == [0, pytest.approx(1.0)]
    # a segment that knows when it was stays there
    recorded.set_times(50 + np.arange(400) / 1000, segment_index=1, with_warning=False)
    np.testing.assert_allclose(
        from_spikeinterface(sorting, animal_id="m", recording_id="s").intervals,
        [[0, 1.0], [50, 50.4]],
    )
    np.testing.assert_allclose(
        from_spikeinterface(sorting, animal_id="m", recording_id="s").spike_times(2), [0.5, 50.15]
    )


@pytest.fixture(scope="module")
def analyzer():
    """Two segments of 2 and 1.5 s, and what SpikeInterface computes of them."""
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    pytest.importorskip("spikeinterface.postprocessing")
    pytest.importorskip("spikeinterface.qualitymetrics")
    recorded, sorting = core.generate_ground_truth_recording(
        durations=[2.0, 1.5], num_channels=2, num_units=3, seed=0
    )
    sorting.set_property("snr", [100.0, 100.0, 100.0])
    sorting.set_property("region", ["V1", "V1", "CA1"])
    analyzer = core.create_sorting_analyzer(sorting, recorded, sparse=False)
    analyzer.compute(["random_spikes", "templates", "noise_levels"])
    analyzer.compute("unit_locations", method="center_of_mass")
    analyzer.compute("quality_metrics", metric_names=["snr", "num_spikes"])
    return analyzer


@pytest.mark.filterwarnings(
    "ignore:.*left out what has no one number or text a unit. gt_unit_locations:UserWarning",
    "ignore::DeprecationWarning:spikeinterface",
)
def test_analyzer(analyzer, tmp_path):
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    recording = from_spikeinterface(analyzer, animal_id="m", recording_id="s")
    np.testing.assert_allclose(recording.intervals, [[0, 2], [2, 3.5]])
    metrics = analyzer.get_extension("quality_metrics").get_data()
    assert recording.units["region"].tolist() == ["V1", "V1", "CA1"]
    # computed, not the property
    np.testing.assert_array_equal(recording.units["snr"], metrics["snr"])
    np.testing.assert_array_equal(
        recording.units[["x_um", "y_um"]],
        analyzer.get_extension("unit_locations").get_data()[:, :2],
    )
    for unit_id in analyzer.unit_ids:
        first, second = (
            analyzer.sorting.get_unit_spike_train(unit_id, segment_index=k)
            / analyzer.sampling_frequency
            for k in (0, 1)
        )
        np.testing.assert_allclose(
            recording.spike_times(unit_id), np.concatenate([first, second + 2.0])
        )
    analyzer.save_as(format="binary_folder", folder=tmp_path / "analyzer")
    loaded = core.load_sorting_analyzer(tmp_path / "analyzer", load_extensions=True)
    loaded._recording = None  # as where the raw data lie elsewhere
    again = from_spikeinterface(loaded, animal_id="m", recording_id="s")
    np.testing.assert_array_equal(again.times, recording.times)
    np.testing.assert_allclose(again.intervals, recording.intervals)


def test_phy_folder_that_spikeinterface_wrote(tmp_path, monkeypatch):
    """And SpikeInterface's own reader finds the same spikes in it."""
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    exporters = pytest.importorskip("spikeinterface.exporters")
    extractors = pytest.importorskip("spikeinterface.extractors")
    recorded, sorting = core.generate_ground_truth_recording(
        durations=[2.0], num_channels=2, num_units=3, seed=1
    )
    sorting.set_property("region", ["V1", "CA1", "V1"])
    analyzer = core.create_sorting_analyzer(sorting, recorded, sparse=False)
    analyzer.compute(["random_spikes", "templates"])
    # which numba would compile for 20 s
    similarity = sys.modules["spikeinterface.postprocessing.template_similarity"]
    monkeypatch.setattr(
        similarity, "_compute_similarity_matrix", similarity._compute_similarity_matrix_numpy
    )
    exporters.export_to_phy(
        analyzer,
        tmp_path / "phy",
        compute_pc_features=False,
        compute_amplitudes=False,
        copy_binary=False,
        verbose=False,
        additional_properties=["region"],
    )
    recording = read_phy(tmp_path / "phy", animal_id="m", groups=("unsorted",))
    theirs = extractors.read_phy(tmp_path / "phy")
    assert (
        recording.units["region"].tolist() == ["V1", "CA1", "V1"]
        and recording.provenance["sampling_rate_hz"] == 25000
    )
    assert recording.units["si_unit_id"].tolist() == [0, 1, 2] == list(theirs.unit_ids)
    for ours, original in zip(recording.units.index, sorting.unit_ids):
        expected = sorting.get_unit_spike_train(original) / 25000
        np.testing.assert_allclose(recording.spike_times(ours), expected)
        np.testing.assert_allclose(theirs.get_unit_spike_train(ours) / 25000, expected)


# Pynapple


def nap():
    return pytest.importorskip("pynapple", reason="pynapple is not installed")


def test_tsgroup():
    trains = {3: np.arange(0, 10, 0.5), 11: np.arange(0.1, 10, 0.3)}
    group = nap().TsGroup(
        {key: nap().Ts(t=train) for key, train in trains.items()},
        time_support=nap().IntervalSet([0, 6], [5, 9]),
        metadata={"region": ["V1", "é"], "vector": np.zeros((2, 3))},
    )
    epochs = pd.DataFrame({"start_s": [0.0], "stop_s": [5.0], "name": ["run"]})
    with pytest.warns(
        UserWarning, match="g: left out what has no one number or text a unit: vector"
    ):
        recording = from_pynapple(
            group, animal_id="m", recording_id="g", epochs=epochs, probe_id="A"
        )
    assert recording.intervals.tolist() == [[0, 5], [6, 9]] and recording.units.index.tolist() == [
        3,
        11,
    ]
    assert (
        recording.units["region"].tolist() == ["V1", "é"]
        and recording.epochs["name"].tolist() == ["run"]
        and recording.probe_id == "A"
    )
    for key, train in trains.items():
        np.testing.assert_allclose(
            recording.spike_times(key),
            train[((train >= 0) & (train <= 5)) | ((train >= 6) & (train <= 9))],
        )
    with pytest.raises(TypeError, match="g: this is a Ts; give a pynapple TsGroup"):
        from_pynapple(group[3], animal_id="m", recording_id="g")


def test_tsdframe():
    times = np.r_[np.arange(50), np.arange(70, 90)] / 10
    values = 10.0 * np.arange(70)[:, None] + np.arange(3)
    frame = nap().TsdFrame(
        t=times,
        d=values,
        columns=["x", "y", "z"],
        metadata={"layer": [2, 3, 4]},
        time_support=nap().IntervalSet([0, 2.05, 7], [2.01, 5, 9]),
    )
    recording = from_pynapple(frame, animal_id="m", recording_id="f")
    assert (
        recording.modality == "calcium"
        and recording.sampling_rate_hz == pytest.approx(10)
        and recording.units["layer"].to_dict() == {"x": 2, "y": 3, "z": 4}
    )
    # a frame lasts; an epoch's border stays one
    np.testing.assert_allclose(recording.intervals, [[0, 2.1], [2.1, 5.0], [7.0, 9.0]])
    np.testing.assert_array_equal(recording.traces[:50], values[:50])
    np.testing.assert_array_equal(recording.traces[70:90], values[50:])
    assert np.isnan(recording.traces[50:70]).all()
    times[21] -= 0.02  # the next epoch's first frame comes before the last one has ended
    jittered = from_pynapple(
        nap().TsdFrame(t=times, d=values, columns=["x", "y", "z"], time_support=frame.time_support),
        animal_id="m",
        recording_id="f",
    )
    np.testing.assert_allclose(jittered.intervals, [[0, 2.08], [2.08, 5.0], [7.0, 9.0]])
    # within the one epoch, frames are missing
    gap = from_pynapple(nap().TsdFrame(t=times, d=values), animal_id="m", recording_id="f")
    np.testing.assert_allclose(gap.intervals, [[0, 5], [7, 9]])
    [whole] = from_pynapple(
        nap().TsdFrame(t=times[:50], d=values[:50]), animal_id="m", recording_id="f"
    ).intervals
    np.testing.assert_allclose(whole, [0, 5])


# Long tables


def long_table(**columns):
    return pd.DataFrame(
        {
            "recording_id": ["b"] * 4 + ["a"] * 2,
            "animal_id": ["m1"] * 4 + ["m2"] * 2,
            "unit_id": [5, 2, 5, 2, 1, 1],
            "time_s": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            **columns,
        }
    )


def test_long_table():
    table = long_table(
        cell_type=["Sst", None, "Sst", None, "Vip", "Vip"],
        amplitude=np.arange(6.0),
        shape=[[1, 2]] * 6,
        depth=[10, 20, 10, 20, 30, 30],
    )
    first, second = from_long_table(table)
    assert (first.recording_id, first.animal_id, second.recording_id, second.animal_id) == (
        "b",
        "m1",
        "a",
        "m2",
    )
    assert first.units.index.tolist() == [5, 2] and list(first.units) == list(second.units) == [
        "cell_type",
        "depth",
    ]
    assert (
        first.units["cell_type"].tolist() == ["Sst", None]
        and first.units["depth"].tolist() == [10, 20]
        and second.units["cell_type"].tolist() == ["Vip"]
    )
    assert first.spike_times(5).tolist() == [1, 3] and first.intervals.tolist() == [[1, 4]]
    renamed = table.rename(
        columns={"unit_id": "u", "time_s": "t", "recording_id": "day", "animal_id": "mouse"}
    ).assign(probe="P", unit_id=7)
    [one, _] = from_long_table(
        renamed,
        unit="u",
        time="t",
        recording="day",
        animal="mouse",
        probe="probe",
        label_columns=("cell_type", "unit_id"),
        intervals={"b": [[0, 10]], "a": [[0, 7]]},
    )
    assert (
        one.probe_id == "P"
        and one.intervals.tolist() == [[0, 10]]
        and list(one.units) == ["cell_type", "unit_id_in_file"]
    )
    assert from_long_table(table.astype({"unit_id": "category", "recording_id": "category"}))[
        0
    ].spike_times(5).tolist() == [1, 3]


def two_probes():
    """Spikes in order of time, of two probes whose sorters both counted from 0."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "unit_id": i % 2,
                "probe": "AB"[i // 2],
                "cell_type": ["Exc", "Inh"][i // 2],
                "time_s": np.sort(rng.uniform(0, 600, n)),
                "recording_id": "day1",
                "animal_id": "m1",
            }
        )
        for i, n in enumerate((3000, 2000, 2500, 1500))
    ]
    return pd.concat(parts).sort_values("time_s")


def test_units_of_two_probes_in_a_long_table():
    table = two_probes()
    with pytest.warns(
        UserWarning,
        match=r"left out 2 columns .* 2 units: 'probe' \(in 2\), 'cell_type' \(in 2\); such as unit"
        r" 0, with 2 values of 'probe'.*probe=",
    ):
        [joined] = from_long_table(table)
    assert joined.n_units == 2
    read = from_long_table(table, probe="probe", intervals={"day1": [[0, 600]]})
    one, two = sorted(read, key=lambda recording: recording.recording_id)
    assert [(r.recording_id, r.probe_id, r.units["cell_type"].tolist()) for r in (one, two)] == [
        ("day1-A", "A", ["Exc", "Exc"]),
        ("day1-B", "B", ["Inh", "Inh"]),
    ]
    assert [len(r.spike_times(u)) for r in (one, two) for u in (0, 1)] == [3000, 2000, 2500, 1500]
    [alone] = from_long_table(table[table["probe"] == "B"], probe="probe")
    assert alone.recording_id == "day1"
    # the probes one after another, in place of in order of time
    with pytest.raises(ValueError, match="clock starts again in 2 of 2 units.*ids of their own"):
        from_long_table(table.sort_values("probe", kind="stable"), label_columns=())


def test_ids_and_times_of_long_tables_as_pandas_may_make_them():
    table = long_table(unit_id=[5.0, 2.0, 5.0, 2.0, 1.0, 1.0])
    table["time_s"] = pd.to_timedelta(table["time_s"], unit="s")
    first, _ = from_long_table(table)
    assert first.units.index.tolist() == [5, 2] and first.spike_times(5).tolist() == [1, 3]


@pytest.mark.parametrize("with_times", [False, True])
def test_spikes_beyond_the_recording_are_counted(with_times):
    sorting = sorting_of([{"a": np.array([100, 5000, 20_003]), "b": np.array([200, 7000])}])
    core = pytest.importorskip("spikeinterface.core")
    recording = core.NumpyRecording([np.zeros((20_000, 1), "float32")], 1000.0)
    if with_times:
        recording.set_times(100 + np.arange(20_000) / 1000)
    with pytest.warns(UserWarning, match="exceed"):  # SpikeInterface's own
        sorting.register_recording(recording)
    read = from_spikeinterface(sorting, recording_id="r", animal_id="a")
    start = 100.0 * with_times
    assert read.n_spikes_outside == 1 and read.spike_times("a") == pytest.approx(
        [start + 0.1, start + 5.0]
    )
    assert read.intervals == pytest.approx(np.array([[start, start + 20.0]]))


@pytest.mark.parametrize(
    "change, options, message",
    [
        (
            lambda t: t.drop(columns="animal_id"),
            {},
            r"no column 'animal_id'.*table\.assign\(animal_id=",
        ),
        (lambda t: t, {"unit": "cluster"}, "no column 'cluster'"),
        (lambda t: t, {"label_columns": ("cell_type",)}, "no column 'cell_type'"),
        (
            lambda t: t.astype({"time_s": int}),
            {},
            "the times in 'time_s' are int64, not seconds; divide samples by the sampling rate",
        ),
        (
            lambda t: t.assign(time_s=pd.to_datetime(t["time_s"], unit="s")),
            {},
            r"the times in 'time_s' are datetime64\[.s\], not seconds",
        ),
        (lambda t: t.assign(time_s=[1.0, np.nan, 3, 4, 5, 6]), {}, "b: unit 2 has 1 NaN"),
        (
            lambda t: t.assign(time_s=(t["time_s"] + 1.7e9).astype(np.float32)),
            {},
            "float32, which near 1700000000 s",
        ),
        (
            lambda t: t.assign(unit_id=[5, None, 5, 2, 1, 1]),
            {},
            r"1 rows have no value in 'unit_id' \(first: row 1\)",
        ),
        (
            lambda t: t.assign(animal_id=list("mnmmmm")),
            {},
            r"b: has 2 values in 'animal_id' \(m, n\)",
        ),
        (
            lambda t: t.assign(kind=list("ppqpxx")),
            {"label_columns": ("kind",)},
            "b: unit 5 has 2 values of the label 'kind'",
        ),
        (
            lambda t: t.assign(kind=[[1]] * 6),
            {"label_columns": ("kind",)},
            "the label 'kind' holds lists",
        ),
        (lambda t: t, {"intervals": {"b": [[0, 9]]}}, "a: `intervals` has none for it"),
        (lambda t: t.iloc[:0], {}, "has no rows"),
        (lambda t: t.to_dict(), {}, "no DataFrame"),
    ],
)
def test_bad_long_tables(change, options, message):
    with pytest.raises(ValueError, match=message):
        from_long_table(change(long_table()), **options)


@pytest.mark.parametrize(
    "package, source", [("spikeinterface.core", from_spikeinterface), ("pynapple", from_pynapple)]
)
def test_packages_missing(monkeypatch, package, source):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package.partition('.')[0]}"):
        source(None, animal_id="m", recording_id="r")
