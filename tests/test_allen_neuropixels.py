"""From an Allen session file to recordings: equal to AllenSDK, and without the light."""

import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

import nuclr_lite as nl
from nuclr_lite.sources.allen import neuropixels
from nuclr_lite.sources.allen.client import import_allensdk
from nuclr_lite.sources.allen.session_file import open_session
from nuclr_lite.sources.simulated import SPIKES
from nuclr_lite.sources.simulated.allen_session import (
    LIGHT_DELAY_S,
    simulate_allen_session,
    simulated_truth,
)

h5py = pytest.importorskip("h5py")
USABLE_S = 240.0


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return simulate_allen_session(
        tmp_path_factory.mktemp("allen") / "session_900000001.nwb", n_units=60, duration_s=USABLE_S
    )


@pytest.fixture
def changed(path, tmp_path):
    """A copy that a test may change: changed(lambda file: ...) -> its path."""

    def change(edit):
        copy = tmp_path / "session_1.nwb"
        shutil.copy(path, copy)
        with h5py.File(copy, "r+") as file:
            edit(file)
        return copy

    return change


@pytest.fixture(scope="module")
def official(path):
    """The same file through AllenSDK."""
    if find_spec("allensdk") is None:
        pytest.skip("AllenSDK is not installed: nothing to compare with")
    pynwb = pytest.importorskip("pynwb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        EcephysSession = import_allensdk(
            "allensdk.brain_observatory.ecephys.ecephys_session"
        ).EcephysSession
        EcephysNwbSessionApi = import_allensdk(
            "allensdk.brain_observatory.ecephys.ecephys_session_api"
        ).EcephysNwbSessionApi
        with pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
            session = EcephysSession(api=EcephysNwbSessionApi.from_nwbfile(io.read()))
            yield {
                "units": session.units,
                "spikes": session.spike_times,
                "invalid": session.get_invalid_times(),
                "light": session.optogenetic_stimulation_epochs,
                "epochs": session.get_stimulus_epochs(),
                "running": session.running_speed,
                "genotype": session.full_genotype,
                "id": session.ecephys_session_id,
            }


def test_units_equal_allensdk(path, official):
    with open_session(path) as session:
        ours, theirs = (
            session.units(),
            official["units"].rename(columns={"structure_acronym": "ecephys_structure_acronym"}),
        )
        assert set(ours.index) == set(theirs.index) and len(ours) < 60
        shared = [name for name in ours if name in theirs]
        assert len(shared) >= 25
        pd.testing.assert_frame_equal(
            ours[shared].sort_index(),
            theirs[shared].sort_index(),
            check_dtype=False,
            check_names=False,
        )
        assert (session.genotype, session.session_id) == (official["genotype"], official["id"])


def test_spikes_equal_allensdk(path, official):
    with open_session(path) as session:
        for unit_id, theirs in official["spikes"].items():
            np.testing.assert_array_equal(session.spike_times(unit_id), theirs)


def test_times_equal_allensdk(path, official):
    with open_session(path) as session:
        invalid = session.invalid_times()
        pd.testing.assert_frame_equal(
            invalid[["start_time", "stop_time"]],
            official["invalid"][["start_time", "stop_time"]],
            check_names=False,
        )
        assert [list(tags) for tags in official["invalid"]["tags"]] == invalid["tags"].tolist()
        pd.testing.assert_frame_equal(
            session.light_pulses(),
            official["light"][session.light_pulses().columns],
            check_names=False,
        )
        theirs = official["epochs"].assign(
            stimulus_block=pd.to_numeric(official["epochs"]["stimulus_block"], errors="coerce")
        )
        pd.testing.assert_frame_equal(
            session.stimulus_epochs(), theirs.reset_index(drop=True), check_dtype=False
        )
        assert "invalid_presentation" in set(theirs["stimulus_name"]) and len(official["running"])


def test_without_quality_limits_all_units_are_there(path):
    with open_session(path) as session:
        assert len(session.units(quality=None)) == 60
        loose = session.units({"isi_violations_maximum": np.inf})
        assert len(loose) > len(session.units())
        with pytest.raises(ValueError, match="unknown limits.*snr"):
            session.units({"snr_minimum": 1})
        with pytest.raises(ValueError, match="there is no unit 7"):
            session.spike_times(7)


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
    covers = lambda intervals, second: (
        (intervals[:, 0] <= second) & (second <= intervals[:, 1])
    ).any()
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


def test_left_right_coordinate_of_released_files(changed, tmp_path):
    """Released files repeat the depth as z; AllenSDK's table of channels has the right one."""

    def defect(file):
        table = file["general/extracellular_ephys/electrodes"]
        table["z"][:] = table["y"][:]

    path = changed(defect)
    assert neuropixels.read_session(path)[0].units["left_right_ccf_coordinate"].isna().all()
    cached = tmp_path / "cache" / "session_1" / "session_1.nwb"
    cached.parent.mkdir(parents=True)
    shutil.move(path, cached)
    with h5py.File(cached) as file:
        table = file["general/extracellular_ephys/electrodes"]
        pd.DataFrame(
            {
                "anterior_posterior_ccf_coordinate": table["x"][:],
                "dorsal_ventral_ccf_coordinate": table["y"][:],
                "left_right_ccf_coordinate": 7000.0,
            },
            index=pd.Index(table["id"][:], name="id"),
        ).to_csv(tmp_path / "cache" / "channels.csv")
    assert (neuropixels.read_session(cached)[0].units["left_right_ccf_coordinate"] == 7000.0).all()


def test_odd_tables(changed, tmp_path):
    """What real files may lack or word otherwise; and a table beside the file that isn't
    AllenSDK's.
    """

    def odd(file):
        table = file["intervals/drifting_gratings_presentations"]
        del table["stimulus_block"]
        table["stimulus_block"] = np.array([b"null"] * len(table["id"]), dtype="S4")
        del file["intervals/invalid_times/tags"], file["intervals/invalid_times/tags_index"]
        file["intervals/invalid_times/stop_time"][1] = np.nan

    path = changed(odd)
    with open_session(path) as session:
        assert session.invalid_times()["tags"].tolist() == [[], []]
        assert "drifting_gratings" in set(session.stimulus_epochs()["stimulus_name"])
    # no end: to the end
    assert max(
        recording.intervals.max() for recording in neuropixels.read_session(path)
    ) == pytest.approx(0.6 * USABLE_S)

    def bare(file):
        del file["intervals"]
        table = file["general/extracellular_ephys/electrodes"]
        table["z"][:] = table["y"][:]

    path = tmp_path / "a" / "b" / "bare.nwb"
    path.parent.mkdir(parents=True)
    shutil.move(changed(bare), path)
    (tmp_path / "a" / "channels.csv").write_text("mine\n1\n")
    with pytest.warns(UserWarning, match="channels.csv is not read"):
        recordings = neuropixels.read_session(path)
    assert len(recordings) == 2 and not len(recordings[0].epochs)


def test_bad_files(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="download the session first"):
        neuropixels.read_session(tmp_path / "nothing.nwb")
    page = tmp_path / "page.nwb"
    page.write_text("<html>503</html>")
    with pytest.raises(ValueError, match="page.nwb.*download it again"):
        neuropixels.read_session(page)
    half = tmp_path / "half.nwb"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="half.nwb.*download it again"):
        neuropixels.read_session(half)
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["data"] = [1]
    with pytest.raises(ValueError, match="no session of the Allen"):
        neuropixels.read_session(tmp_path / "other.nwb")


def test_simulated_session_is_reproducible(tmp_path):
    paths = [
        simulate_allen_session(tmp_path / name, n_units=24, duration_s=60.0, seed=3, animal=animal)
        for name, animal in (("a.nwb", 1), ("b.nwb", 1), ("c.nwb", 2))
    ]
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again and first != other
    with pytest.raises(FileExistsError):
        simulate_allen_session(paths[0])
    with pytest.raises(ValueError, match="at least 12 units a probe"):
        simulate_allen_session(tmp_path / "d.nwb", n_units=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nwb", "b.nwb", "c.nwb"]


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
