"""brainsets' files, written by temporaldata itself, come in as recordings."""

import shutil

import h5py
import numpy as np
import pytest
from published_folders import AREAS, same_spikes

from nuclr_lite.sources.published import brainsets


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


def test_labels_that_are_codes(tmp_path, recordings):
    path = write_brainset(tmp_path / "a.h5", recordings[0])
    n_units = recordings[0].n_units
    with h5py.File(path, "r+") as file:
        kind = h5py.enum_dtype({"Sst": 1, "Vip": 4}, basetype="u1")
        codes = np.where(np.arange(n_units) % 2, 4, 1)
        file["units"].create_dataset("cell_type", data=codes, dtype=kind)
    [recording] = brainsets.read_brainsets(path)
    assert recording.units["cell_type"].tolist() == ["Sst", "Vip"] * (n_units // 2)
