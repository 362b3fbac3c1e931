"""The rats that decide: on files of the published layout that the test writes, on originals where
they are at hand, and downloaded from a loopback server.
"""

import hashlib

import numpy as np
import pandas as pd
import pytest
from allen_server import Server
from helpers import shared
from scipy.io import savemat

from nuclr_lite.sources.download import transfer
from nuclr_lite.sources.download.transfer import DownloadError
from nuclr_lite.sources.published import rat_decisions

STEPS = (30, 100, 57)  # bins of each trial
BEGAN_S = (100.0, 106.004, 112.5)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(transfer, "LONGEST_WAIT_S", 0.01)


def write(file, n_units=3, steps=STEPS, began_s=BEGAN_S, seed=0, **change):
    """A session as MATLAB wrote them; returns its counts (bins, units)."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (sum(steps), n_units)).astype(np.uint8)
    pieces = np.split(counts, np.cumsum(steps)[:-1])

    def cells(values):
        boxes = np.empty(len(values), dtype=object)
        boxes[:] = values
        return boxes

    trials = [
        {
            "spiketrains": cells([piece[:, unit] for unit in range(n_units)]),
            "ntimesteps": len(piece),
            "stereoclick_time_s": start,
            "choice": number % 2,
            "gamma": number - 0.5,
        }
        for number, (piece, start) in enumerate(zip(pieces, began_s))
    ]
    neurons = [
        {"brainarea": ("M1", "dStr")[unit % 2], "neuronindex": 10 + unit} for unit in range(n_units)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, {"neurons": cells(neurons), "trials": cells(trials)} | change)
    return counts


def counts_of(recording):
    """(bins, units) of a recording whose trials are joined."""
    n_bins = round(recording.valid_s / recording.bin_s)
    counts = np.zeros((n_bins, recording.n_units), dtype=int)
    np.add.at(counts, ((recording.times / recording.bin_s).astype(int), recording.unit_rows), 1)
    return counts


@pytest.mark.parametrize(
    "n_units, steps", [(3, STEPS), (1, STEPS), (3, (40,)), (1, (40,)), (2, (1, 5))]
)
def test_joined_trials_are_what_was_written(tmp_path, n_units, steps):
    file = tmp_path / "T219_2019_11_25.mat"
    counts = write(file, n_units, steps)
    recording = rat_decisions.read_session(file)
    np.testing.assert_array_equal(counts_of(recording), counts)
    assert (recording.recording_id, recording.animal_id) == ("T219_2019_11_25", "T219")
    assert recording.units.index.tolist() == [10, 11, 12][:n_units]
    assert recording.units["region"].tolist() == ["M1", "dStr", "M1"][:n_units]
    np.testing.assert_allclose(recording.intervals, [[0, 0.01 * sum(steps)]])
    np.testing.assert_allclose(recording.epochs["stop_s"], 0.01 * np.cumsum(steps))
    assert recording.epochs["session_s"].tolist() == list(BEGAN_S[: len(steps)])
    assert recording.epochs["choice"].tolist() == [0, 1, 0][: len(steps)]


def test_trials_apart_keep_their_time(tmp_path):
    file = tmp_path / "T219_2019_11_25.mat"
    counts = write(file)
    recording = rat_decisions.read_session(file, join_trials=False)
    expected = [[100, 100.3], [106, 107], [112.5, 113.07]]
    np.testing.assert_allclose(recording.intervals, expected, atol=1e-9)
    np.testing.assert_allclose(recording.epochs[["start_s", "stop_s"]], expected, atol=1e-9)
    assert len(recording.times) == counts.sum()
    in_second = (recording.times > 106) & (recording.times < 107)
    assert in_second.sum() == counts[30:130].sum()


def test_the_list_is_complete():
    table = rat_decisions.list_sessions()
    assert len(table) == 115 and table["animal_id"].nunique() == 12
    assert table["n_units"].sum() == 4605 and table["bytes"].sum() == 57_603_353
    assert table.loc["T176_2018_06_04", ["date", "n_units"]].tolist() == ["2018-06-04", 90]
    grouped = [animal for group in rat_decisions.GROUPS for animal in group]
    assert sorted([*grouped, "T224"]) == sorted(table["animal_id"].unique())
    # whichever group is left out, the others have every region
    for group in rat_decisions.GROUPS:
        others = table[~table["animal_id"].isin([*group, "T224"])]
        assert (others[list(rat_decisions.REGIONS)].sum() > 0).all()


def test_originals_are_the_converted_arrays():
    table = rat_decisions.list_sessions()
    files = sorted(shared("real", "rat_decisions", "originals").glob("*.mat"))
    assert files
    for file in files:
        rat_decisions._check_blob(file, table["git_blob_sha1"][file.stem])
        assert file.stat().st_size == table["bytes"][file.stem]
        recording = rat_decisions.read_session(file)
        with np.load(shared("real", "rat_decisions", f"{file.stem}.npz")) as converted:
            np.testing.assert_array_equal(counts_of(recording), converted["counts"])
            assert recording.units["region"].tolist() == converted["labels"].tolist()
            np.testing.assert_array_equal(recording.epochs["choice"], converted["choice"])
            np.testing.assert_array_equal(recording.epochs["session_s"], converted["trial_start_s"])


# ---- from the network


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server with three small sessions, of which the list knows size and checksum."""
    files, rows = {}, []
    for seed, (session, n_units) in enumerate(
        {"T219_2019_11_25": 8, "X046_2019_10_01": 9, "X062_2019_10_01": 2}.items()
    ):
        file = tmp_path / "there" / f"{session}.mat"
        write(file, n_units, seed=seed)
        content = file.read_bytes()
        sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        rows.append(
            {"session_id": session, "n_units": n_units, "bytes": len(content)}
            | {"git_blob_sha1": sha1}
        )
        files[f"/{session}.mat"] = file
    table = pd.DataFrame(rows).set_index("session_id")
    monkeypatch.setattr(rat_decisions, "list_sessions", lambda: table)
    with Server(files=files) as server:
        yield server


def test_downloaded_once_checked_and_prepared(tmp_path, mirror):
    folder = rat_decisions.prepared(tmp_path / "data", address=mirror.url)
    assert folder == tmp_path / "data" / "processed" / "rat_decisions"
    # the third has too few units
    assert sorted(p.name for p in folder.iterdir()) == ["T219_2019_11_25", "X046_2019_10_01"]
    n_requests = len(mirror.log)
    assert n_requests == 3
    assert rat_decisions.prepared(tmp_path / "data", address=mirror.url) == folder
    raw = tmp_path / "data" / "raw" / "rat_decisions"
    assert len(rat_decisions.download(raw, address=mirror.url)) == 3  # there, and whole
    assert len(mirror.log) == n_requests


def test_a_changed_file_is_refused_and_a_wrong_one_replaced(tmp_path, mirror):
    there = mirror.files["/T219_2019_11_25.mat"]
    whole = there.read_bytes()
    there.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DownloadError, match="its git SHA-1 is .* instead of"):
        rat_decisions.download(
            tmp_path / "raw", ["T219_2019_11_25"], address=mirror.url, confirm=False
        )
    assert not (tmp_path / "raw" / "T219_2019_11_25.mat").exists()
    there.write_bytes(whole)
    (tmp_path / "raw" / "T219_2019_11_25.mat").write_bytes(b"x" * len(whole))
    [path] = rat_decisions.download(
        tmp_path / "raw", ["T219_2019_11_25"], address=mirror.url, confirm=False
    )
    assert path.read_bytes() == whole


def test_no_network_and_unknown_sessions(tmp_path, monkeypatch):
    dead = "http://127.0.0.1:9"
    with pytest.raises(DownloadError, match="(?s)could not be downloaded.*Check the network"):
        rat_decisions.download(tmp_path, ["T219_2019_11_25"], address=dead, confirm=False)
    with pytest.raises(ValueError, match="no session 'T1'; list_sessions"):
        rat_decisions.download(tmp_path, ["T1"])


# ---- what is wrong with a file


def test_files_that_are_none_of_these(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file; download it"):
        rat_decisions.read_session(tmp_path / "T219_2019_11_25.mat")
    with pytest.raises(FileNotFoundError, match="no session in it"):
        rat_decisions.read(tmp_path)
    file = tmp_path / "T219_2019_11_25.mat"
    for content in (b"", b"<html>404</html>", b"MATLAB 5.0 MAT-file" + b"\0" * 300):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="can't be read as a MATLAB 5 file|and 'neurons' and"):
            rat_decisions.read_session(file)
    savemat(file, {"x": 1})
    with pytest.raises(ValueError, match=r"holds \['x'\], and 'neurons' and 'trials' are needed"):
        rat_decisions.read_session(file)
    write(file, neurons=np.arange(3))
    with pytest.raises(ValueError, match="are not as in the published files"):
        rat_decisions.read_session(file)
    write(file, began_s=(100.0, 90.0, 112.5))
    with pytest.raises(ValueError, match="not in order of time"):
        rat_decisions.read_session(file)
    write(tmp_path / "session.mat")
    with pytest.raises(ValueError, match="doesn't say which rat"):
        rat_decisions.read_session(tmp_path / "session.mat")


def test_a_file_cut_short(tmp_path):
    file = tmp_path / "T219_2019_11_25.mat"
    write(file)
    whole = file.read_bytes()
    for length in (len(whole) // 4, len(whole) // 2, len(whole) - 40):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="T219_2019_11_25.mat: "):
            rat_decisions.read_session(file)
