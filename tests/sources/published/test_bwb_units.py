"""The unit tables of BrainWideBench, out of files in a stand-in for its bucket."""

import warnings

import bwb_files
import numpy as np
import pandas as pd
import pytest
from allen_server import Fault, Server
from bwb_files import PREFIX, TEST, TRAIN, WANTED, unit_table, write_session

from nuclr_lite.sources.download.transfer import DownloadError
from nuclr_lite.sources.published import brainwidebench
from nuclr_lite.sources.published.brainwidebench import read_units, session_units

HASTE = {"timeout_s": (1.0, 0.3), "back_off_s": 0.01, "tries": 2, "at_once": 1, "disable_bar": True}


@pytest.fixture
def server(tmp_path):
    with Server(files=bwb_files.bucket(tmp_path / "bucket", n_spikes=20_000)) as server:
        yield server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def read(server, cache, wanted=WANTED, **options):
    return read_units(cache, wanted, url=server.url, **HASTE | options)


def same_as_written(units: pd.DataFrame, wanted=WANTED) -> None:
    assert units.index.names == ["recording_id", "unit_id"]
    assert list(units.index.unique(0)) == list(wanted)
    for session in wanted:
        own, table = units.loc[session], unit_table(session)
        assert own.index.tolist() == table["id"].tolist()
        for name, ours in brainwidebench.COLUMNS.items():
            if ours != "unit_id":
                assert own[ours].tolist() == table[name].tolist(), name
        assert set(own["regime"]) == {"pretrain" if session in TRAIN else "eval"}
        assert set(own["animal_id"]) == {brainwidebench.sessions().loc[session, "animal_id"]}


def test_tables_are_what_is_in_the_files_and_little_else_is_fetched(
    server, cache, capsys, tmp_path
):
    bwb_files.bucket(tmp_path / "bucket", n_spikes=100_000)
    same_as_written(read(server, cache))
    sent = sum(path.stat().st_size for path in server.files.values())
    asked = sum(
        int(stop) - int(start) + 1
        for request in server.file_requests
        for start, stop in [request.range.removeprefix("bytes=").split("-")]
    )
    assert asked < 0.2 * sent
    said = capsys.readouterr().out
    assert "Unit tables of 5 sessions" in said and server.url in said and "MB" in said


def test_the_second_time_nothing_is_asked_for(server, cache):
    first = read(server, cache)
    n = len(server.log)
    pd.testing.assert_frame_equal(read(server, cache), first)
    pd.testing.assert_frame_equal(read(server, cache, TEST[::-1]), first.loc[TEST[::-1]])
    assert len(server.log) == n
    assert [path.name for path in cache.iterdir()] == ["brainwidebench_units"]


def test_several_at_a_time(server, cache, tmp_path):
    several = read(server, cache, at_once=2)
    pd.testing.assert_frame_equal(several, read(server, tmp_path / "other"))


def test_more_sessions_later_join_the_same_table(server, cache):
    read(server, cache, TRAIN)
    n = len(server.log)
    same_as_written(read(server, cache))
    assert not any(session in request.path for request in server.log[n:] for session in TRAIN)


def test_one_that_fails_does_not_stop_the_others(server, cache):
    lost = server.files.pop(f"{PREFIX}/pretrain/{TRAIN[1]}.h5")
    with pytest.raises(DownloadError, match=f"(?s)1 of 5 sessions.*{TRAIN[1]}.*404.*these alone"):
        read(server, cache)
    n = len(server.log)
    others = [name for name in WANTED if name != TRAIN[1]]
    same_as_written(read(server, cache, others), others)
    assert len(server.log) == n
    server.files[f"{PREFIX}/pretrain/{TRAIN[1]}.h5"] = lost
    same_as_written(read(server, cache))
    assert all(TRAIN[1] in request.path for request in server.log[n:])


def test_stopped_it_goes_on(server, cache, monkeypatch):
    """Killed after two sessions, and in the middle of a third."""
    whole, done = brainwidebench._bring, []

    def bring(job, *rest):
        if len(done) == 2:
            server.faults = [None] * 3 + [Fault(drop=True)] * 50
            whole(job, *rest)
            raise KeyboardInterrupt
        done.append(job[1])
        return whole(job, *rest)

    monkeypatch.setattr(brainwidebench, "_bring", bring)
    with pytest.raises(KeyboardInterrupt):
        read(server, cache)
    monkeypatch.undo()
    assert list(cache.rglob("*.blocks"))
    server.faults, n = [], len(server.log)
    same_as_written(read(server, cache))
    again = server.log[n:]
    assert not any(session in request.path for request in again for session in done)
    third = [request.range for request in again if WANTED[2] in request.path]
    earlier = [request.range for request in server.log[:n] if WANTED[2] in request.path]
    assert not set(earlier[1:3]) & set(third), "the parts that were there come from the disk"


def test_rebuilt_files_are_read_anew_when_asked(server, cache):
    first = read(server, cache)
    table = unit_table(TEST[0]).assign(region_cosmos="TH")
    write_session(server.files[f"{PREFIX}/eval/{TEST[0]}.h5"], TEST[0], table, version="0.2.0")
    pd.testing.assert_frame_equal(read(server, cache), first)
    n = len(server.log)
    with pytest.warns(UserWarning, match="2 versions.*0.2.0.*refresh=True"):
        second = read(server, cache, refresh=True)
    assert set(second.loc[TEST[0], "region"]) == {"TH"}
    pd.testing.assert_frame_equal(second.drop(TEST[0]), first.drop(TEST[0]))
    of_others = [request for request in server.log[n:] if TEST[0] not in request.path]
    assert len(of_others) == 4, "one short question each"


def test_a_file_that_changes_while_it_is_read(server, cache, tmp_path, monkeypatch):
    """Never a table out of two files."""
    newer = write_session(tmp_path / "newer.h5", TEST[0], unit_table(TEST[0])[::-1])
    place, whole = f"{PREFIX}/eval/{TEST[0]}.h5", brainwidebench._units_in

    def change(file, *rest):
        server.files[place] = newer
        return whole(file, *rest)

    monkeypatch.setattr(brainwidebench, "_units_in", change)
    with pytest.raises(DownloadError, match="(?s)1 of 1 sessions.*not the one that was begun"):
        read(server, cache, TEST[:1])
    monkeypatch.undo()
    units = read(server, cache, TEST[:1])
    assert units.loc[TEST[0]].index.tolist() == unit_table(TEST[0])["id"].tolist()[::-1]


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(truncate=True, after=10)])
def test_faults_that_pass(server, cache, fault):
    server.faults = [None, fault, None, None, fault]
    same_as_written(read(server, cache))


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("qc_in", [("units",), ("probes",), ("units", "probes")])
def test_quality_of_probes_by_name_wherever_it_is(tmp_path, fixed, qc_in):
    path = write_session(tmp_path / "a.h5", TRAIN[0], fixed=fixed, qc_in=qc_in)
    if "probes" in qc_in or qc_in == ("units",):
        units, table = session_units(path, TRAIN[0]), unit_table(TRAIN[0])
        assert units["qc_neural"].tolist() == table["qc_neural"].tolist()
        assert units["qc_neural_alignment"].tolist() == table["qc_neural_alignment"].tolist()
        assert units.attrs["version"] == "0.1.0"


def wrong(tmp_path, change=lambda table: table, session=TRAIN[0], **options):
    return write_session(tmp_path / "wrong.h5", session, change(unit_table(TRAIN[0])), **options)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda table: table.drop(columns="depths"), "lacks units/depths"),
        (lambda table: table.assign(id=table["id"][0]), "don't fit together.*60 units of 1 names"),
        (lambda table: table.assign(depths=table["id"]), "could not convert|isn't laid out"),
    ],
)
def test_tables_that_are_wrong(tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        session_units(wrong(tmp_path, change), TRAIN[0])


def test_files_that_are_wrong(tmp_path, server, cache):
    with pytest.raises(ValueError, match=f"{TRAIN[0]}: the file is of session '{TEST[0]}'"):
        session_units(wrong(tmp_path, session=TEST[0]), TRAIN[0])
    with pytest.raises(ValueError, match="lacks probes/qc_neural, probes/qc_neural_alignment"):
        session_units(wrong(tmp_path, qc_in=()), TRAIN[0])
    with pytest.raises(FileNotFoundError):
        session_units(tmp_path / "nothing.h5", TRAIN[0])
    path = server.files[f"{PREFIX}/eval/{TEST[0]}.h5"]
    whole = path.read_bytes()
    for content, said in ((whole[:-200_000], "truncated"), (b"<html>" * 9, "isn't HDF5")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            session_units(path, TEST[0])
        with pytest.raises(DownloadError, match=f"(?s){TEST[0]}: .*{said}"):
            read(server, cache, TEST[:1])
    path.write_bytes(whole)
    same_as_written(read(server, cache, TEST[:1]), TEST[:1])


def test_a_damaged_cache_says_what_to_do(server, cache):
    read(server, cache, TEST)
    table = cache / "brainwidebench_units" / "units.csv"
    table.write_bytes(table.read_bytes()[:-100])
    with pytest.raises(ValueError, match="delete .*brainwidebench_units and run it again"):
        read(server, cache, TEST)


def test_a_session_without_units(server, cache):
    path = server.files[f"{PREFIX}/eval/{TEST[0]}.h5"]
    write_session(path, TEST[0], unit_table(TEST[0])[:0])
    units = read(server, cache)
    assert not len(units.loc[units.index.get_level_values(0) == TEST[0]])
    assert units["depth_um"].dtype == np.float64
    n = len(server.log)
    pd.testing.assert_frame_equal(read(server, cache), units)
    assert len(server.log) == n


def test_sessions_of_others(cache):
    with pytest.raises(ValueError, match="1 sessions aren't of the benchmark .first: 'mine'"):
        read_units(cache, ["mine"])
    assert not cache.exists()


def test_the_lists():
    table = brainwidebench.sessions()
    assert len(table) == 459 and table.index.is_unique
    assert table["brainwidebench"].value_counts().to_dict() == {"pretrain": 423, "eval": 29, "": 7}
    mice = table.groupby("brainwidebench")["animal_id"].agg(set)
    assert len(mice["pretrain"]) == 126 and len(mice["eval"]) == 13
    assert not mice["pretrain"] & mice["eval"]
    assert table["nuclr"].sum() == 362
    assert table[table["brainwidebench"] == "eval"]["nuclr"].sum() == 24
    assert len(brainwidebench.trained_on("nuclr")) == 362
    assert len(brainwidebench.trained_on("brainwidebench")) == 423
    with pytest.raises(ValueError, match="encoder is 'mine'"):
        brainwidebench.trained_on("mine")


def test_the_lists_are_those_that_the_benchmark_has():
    protocol = pytest.importorskip("ibl_bwb_eval.protocol", reason="pip install ibl-bwb-eval")
    theirs = protocol.EVAL_RECORDING_IDS.read_text().split()
    table = brainwidebench.sessions()
    assert sorted(table.index[table["brainwidebench"] == "eval"]) == sorted(theirs)


def test_no_warning_without_a_cause(server, cache):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(server, cache)
        read(server, cache)
