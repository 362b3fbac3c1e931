"""From an Allen session file to recordings, without the light."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import session_files
from session_files import USABLE_S

import nuclr_lite as nl
from nuclr_lite.sources.allen import neuropixels
from nuclr_lite.sources.allen.session_file import open_session
from nuclr_lite.sources.simulated import SPIKES
from nuclr_lite.sources.simulated.allen_session import (
    LIGHT_DELAY_S,
    simulate_allen_session,
    simulated_truth,
)

h5py = pytest.importorskip("h5py")
# fixtures: pytest looks for them here
path, changed = session_files.path, session_files.changed


def test_one_recording_a_probe(path):
    recordings = neuropixels.read_session(path)
    assert [recording.probe_id for recording in recordings] == ["probeA", "probeB"]
    assert {recording.animal_id for recording in recordings} == {"920000000"}
    for recording in recordings:
        assert recording.units["ecephys_structure_acronym"].str.startswith("VIS").all()
        assert recording.units["probe_id"].nunique() == 1
    with open_session(path) as session:
        unit_id = recordings[0].units.index[3]
        times = session.spike_times(unit_id)
    inside = np.concatenate(
        [times[(times >= start) & (times <= stop)] for start, stop in recordings[0].intervals]
    )
    np.testing.assert_array_equal(recordings[0].spike_times(unit_id), inside)


def test_structures(path):
    by_acronym = neuropixels.read_session(path, structures=("CA1",))
    assert [recording.probe_id for recording in by_acronym] == ["probeA"] and set(
        by_acronym[0].units["ecephys_structure_acronym"]
    ) == {"CA1"}
    assert sum(
        recording.n_units for recording in neuropixels.read_session(path, structures=())
    ) > sum(recording.n_units for recording in neuropixels.read_session(path))
    with pytest.raises(ValueError, match="none of its .*'VISp'"):
        neuropixels.read_session(path, structures=("MB",))
    with pytest.raises(ValueError, match="give a tuple"):
        neuropixels.read_session(path, structures="VISp")


def test_valid_time(path):
    """The session's invalid time is cut from both probes, a probe's from that one; the silent
    stretch from its probe, with a second on either side.
    """
    of_a, of_b = (recording.intervals for recording in neuropixels.read_session(path))
    invalid, of_probe, silence = (USABLE_S * at for at in (0.25, 0.6, 0.8))

    def covers(intervals, second):
        return ((intervals[:, 0] <= second) & (second <= intervals[:, 1])).any()

    for intervals in (of_a, of_b):
        assert (
            not covers(intervals, invalid + 1.0)
            and covers(intervals, 10.0)
            and covers(intervals, invalid - 0.1)
        )
        assert intervals[-1, 1] <= USABLE_S
    assert covers(of_a, of_probe + 1.0) and not covers(of_b, of_probe + 1.0)
    assert covers(of_b, silence + 1.0) and not any(
        covers(of_a, silence + second) for second in (-0.9, 1.0, 3.9)
    )
    assert covers(of_a, silence - 1.1)


@pytest.mark.parametrize(
    "tags, other_probe_too",
    [
        (["EcephysSession", "1", "all_probes"], True),
        (["EcephysSession", "1", "optotagging"], True),
        (["EcephysProbe", "910000000", "probeA"], False),
    ],
)
def test_every_tag_counts(changed, tags, other_probe_too):
    def relabel(file):
        file["intervals/invalid_times/tags"][:3] = [tag.encode() for tag in tags]

    of_a, of_b = (recording.intervals for recording in neuropixels.read_session(changed(relabel)))
    at = USABLE_S * 0.25 + 1.0
    cut = [
        not ((intervals[:, 0] <= at) & (at <= intervals[:, 1])).any() for intervals in (of_a, of_b)
    ]
    assert cut == [True, other_probe_too]


def test_light_never_reaches_a_recording(path, changed):
    """Plant units whose spikes after the cut give their labels away, to the spike: the recordings
    stay bit for bit the same.
    """
    truth = simulated_truth(path)
    with open_session(path) as session:
        cut = session.light_pulses()["start_time"].min() - 300.0
    assert cut == pytest.approx(USABLE_S) and LIGHT_DELAY_S == 300.0

    def plant(file):
        ids, ends, times = (
            file["units/id"][:],
            file["units/spike_times_index"][:].astype(int),
            file["units/spike_times"],
        )
        for unit_id, start, stop in zip(ids, np.r_[0, ends[:-1]], ends):
            train = times[start:stop]
            late = train > cut
            # One type's spikes from the cut on come in one burst, the others' are spread over the
            # rest.
            train[late] = (
                cut
                + 1e-3
                + (
                    1e-4 * np.arange(late.sum())
                    if truth["cell_type"][unit_id] == "Sst"
                    else np.sort(np.random.default_rng(0).uniform(0, 400, late.sum()))
                )
            )
            times[start:stop] = train

    for clean, planted in zip(
        neuropixels.read_session(path), neuropixels.read_session(changed(plant))
    ):
        np.testing.assert_array_equal(clean.times, planted.times)
        np.testing.assert_array_equal(clean.unit_rows, planted.unit_rows)
        np.testing.assert_array_equal(clean.intervals, planted.intervals)
        assert clean.n_spikes_outside == planted.n_spikes_outside
        assert (
            planted.times.max() <= cut
            and planted.intervals.max() <= cut
            and planted.epochs["stop_s"].max() <= cut
        )


def test_unsorted_spikes_do_not_slip_past_the_cut(path, changed):
    def late_first(file):
        stop = int(file["units/spike_times_index"][0])
        file["units/spike_times"][:stop] = file["units/spike_times"][:stop][::-1]

    planted, clean = changed(late_first), path
    for ours, other in zip(neuropixels.read_session(planted), neuropixels.read_session(clean)):
        np.testing.assert_array_equal(ours.times, other.times)
        np.testing.assert_array_equal(ours.unit_rows, other.unit_rows)
    pd.testing.assert_frame_equal(neuropixels.optotag(planted), neuropixels.optotag(clean))


@pytest.mark.parametrize(
    "lose",
    [
        lambda file: file.__delitem__("processing/optotagging"),
        lambda file: file["processing/optotagging/optogenetic_stimulation/start_time"].__setitem__(
            0, np.nan
        ),
    ],
)
def test_light_whose_time_is_unknown_is_refused(changed, lose):
    path = changed(lose)
    with pytest.raises(ValueError, match="when the light began is not known.*until_s"):
        neuropixels.read_session(path)
    assert (
        max(
            recording.intervals.max() for recording in neuropixels.read_session(path, until_s=100.0)
        )
        <= 100.0
    )


def test_units_table_tells_nothing_of_the_light(path, changed):
    """A column that somebody added stays out, and the rate is that of valid time."""

    def add_column(file):
        file["units"].create_dataset("light_modulation", data=np.arange(60.0)).attrs[
            "description"
        ] = "planted"
        file["units/firing_rate"][:] = np.arange(60.0)

    for clean, planted in zip(
        neuropixels.read_session(path), neuropixels.read_session(changed(add_column))
    ):
        pd.testing.assert_frame_equal(clean.units, planted.units)
        unit_id = clean.units.index[0]
        assert clean.units["firing_rate"][unit_id] == pytest.approx(
            len(clean.spike_times(unit_id)) / clean.valid_s
        )


def test_all_before_the_light_margin_is_lost(changed):
    def earlier(file):
        for name in ("start_time", "stop_time"):
            file[f"processing/optotagging/optogenetic_stimulation/{name}"][:] -= USABLE_S + 1.0

    with pytest.raises(ValueError, match="no valid time on probeA, probeB.*300 s before the light"):
        neuropixels.read_session(changed(earlier))


def test_a_few_slow_units_do_not_silence_a_probe(changed):
    """Where the chosen units are silent but others of the probe fire, the probe was recording."""

    def slow(file):
        areas = dict(
            zip(
                file["general/extracellular_ephys/electrodes/id"][:],
                file["general/extracellular_ephys/electrodes/location"].asstr()[:],
            )
        )
        ends, times = file["units/spike_times_index"][:].astype(int), file["units/spike_times"]
        for channel, start, stop in zip(
            file["units/peak_channel_id"][:], np.r_[0, ends[:-1]], ends
        ):
            if areas[channel] == "CA1":
                times[start:stop] = np.linspace(0.0, 600.0, stop - start)
                times[start + 5 : stop] = np.maximum(times[start + 5 : stop], 30.0)
                times[start : start + 5] = 1.0

    path = changed(slow)
    of_ca1 = neuropixels.read_session(path, structures=("CA1",))[0]
    assert ((of_ca1.intervals[:, 0] < 2.0) & (of_ca1.intervals[:, 1] > 29.0)).any()


def test_a_probe_without_valid_time_is_left_out(changed):
    def lose_probe_b(file):
        (
            file["intervals/invalid_times/start_time"][1],
            file["intervals/invalid_times/stop_time"][1],
        ) = (0.0, 1e4)

    with pytest.warns(UserWarning, match="no valid time on probeB.*left out"):
        recordings = neuropixels.read_session(changed(lose_probe_b))
    assert [recording.probe_id for recording in recordings] == ["probeA"]


def test_optotag_finds_the_truth(path):
    decisions = neuropixels.optotag(path)
    truth = simulated_truth(path).reindex(decisions.index)
    assert set(decisions["cell_type"].dropna()) == {"Sst"}
    tagged, direct = decisions["cell_type"].notna(), truth["light_response"] == "direct"
    assert (tagged & direct).sum() >= 0.8 * direct.sum() and not (tagged & ~direct).any()
    recordings = neuropixels.read_session(path, cell_types=decisions)
    found = pd.concat([recording.units["cell_type"] for recording in recordings])
    assert (
        found[tagged[tagged].index].eq("Sst").all()
        and found[~tagged.reindex(found.index)].isna().all()
    )


def test_optotag_needs_light(tmp_path, changed):
    dark = simulate_allen_session(
        tmp_path / "dark.nwb", n_units=24, duration_s=60.0, genotype="wt/wt"
    )
    with pytest.raises(ValueError, match="no light pulses"):
        neuropixels.optotag(dark)
    assert neuropixels.read_session(dark)[0].intervals.max() > 59

    def other_line(file):
        del file["general/subject/genotype"]
        file["general/subject/genotype"] = "wt/wt"

    with pytest.raises(ValueError, match="no cell type that light drives"):
        neuropixels.optotag(changed(other_line))


def test_convert_saves_what_read_returns(path, tmp_path):
    saved = neuropixels.convert_session(path, tmp_path / "recordings")
    for ours, read in zip(saved, neuropixels.read_session(path)):
        np.testing.assert_array_equal(ours.times, read.times)
        pd.testing.assert_frame_equal(ours.units, read.units)
        assert isinstance(ours.times, np.memmap)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        neuropixels.convert_session(path, tmp_path / "recordings")
    # Of the structures chosen before, nothing is left.
    neuropixels.convert_session(path, tmp_path / "recordings", ("CA1",), overwrite=True)
    assert [folder.name for folder in (tmp_path / "recordings").iterdir()] == [
        "allen-900000001-probeA"
    ]


def test_a_conversion_that_fails_leaves_what_was_there(path, changed, tmp_path):
    before = neuropixels.convert_session(path, tmp_path / "recordings")

    def damage(file):
        file["units/spike_times"][-3] = np.nan

    with pytest.raises(ValueError, match="unit 950000059 has NaN"):
        neuropixels.convert_session(
            changed(damage), tmp_path / "recordings", structures=(), quality=None, overwrite=True
        )
    assert sorted(folder.name for folder in (tmp_path / "recordings").iterdir()) == [
        recording.recording_id for recording in before
    ]


def test_labels_of_another_session_are_refused(path):
    decisions = neuropixels.optotag(path)
    with pytest.raises(ValueError, match="cell_types holds none of the"):
        neuropixels.read_session(path, cell_types=decisions.set_axis(decisions.index + 10**9))
    of_series, of_table = (
        neuropixels.read_session(path, cell_types=labels)
        for labels in (decisions["cell_type"], decisions)
    )
    pd.testing.assert_frame_equal(of_series[0].units, of_table[0].units)


def test_embeds_as_it_is(path):
    import torch

    torch.manual_seed(0)
    encoder = nl.NuCLR(nl.ModelConfig("spikes", dim=16, heads=2, head_dim=8))
    recordings = neuropixels.read_session(path)
    assert len(nl.embed(encoder, recordings)) == sum(recording.n_units for recording in recordings)


@pytest.mark.slow
def test_a_session_of_50_million_spikes_in_under_1_gb(tmp_path):
    """All structures of it, in a process of its own, whose peak memory is asked for."""
    config = replace(SPIKES, log_rate=(2.3, 2.3))
    large = simulate_allen_session(
        tmp_path / "large.nwb", n_units=640, duration_s=8000.0, n_probes=6, config=config
    )
    with h5py.File(large) as file:
        assert len(file["units/id"]) >= 600 and len(file["units/spike_times"]) >= 50_000_000
    program = (
        "import re, sys; from nuclr_lite.sources.allen import neuropixels; found ="
        " neuropixels.convert_session(sys.argv[1], sys.argv[2],"
        " structures=());print(sum(len(recording.times) for recording in found),"
        " re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(large), str(tmp_path / "recordings")],
        capture_output=True,
        text=True,
        check=True,
    )
    n_spikes, peak_kb = map(int, ran.stdout.split())
    assert n_spikes > 20_000_000 and peak_kb < 1_000_000


def test_reading_needs_no_allensdk(path, tmp_path):
    program = (
        "import sys; sys.modules['allensdk'] = sys.modules['pynwb'] = None\nfrom"
        " nuclr_lite.sources.allen import neuropixels as allen\ndecisions ="
        " allen.optotag(sys.argv[1]); print(len(allen.convert_session(sys.argv[1], sys.argv[2],"
        " cell_types=decisions)))\ntry: allen.list_sessions(sys.argv[2])\nexcept ImportError as"
        " error: print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path), str(tmp_path / "recordings")],
        capture_output=True,
        text=True,
        check=True,
    )
    n_recordings, message = ran.stdout.splitlines()
    assert n_recordings == "2" and "needs AllenSDK" in message and "pip install" in message
