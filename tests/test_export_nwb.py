"""Results go back to NWB: each to its unit, never into an original, never by half."""

import numpy as np
import pandas as pd
import pytest
from helpers import TINY, shared
from result_tables import results

import nuclr_lite as nl
from nuclr_lite.export import to_nwb
from nuclr_lite.sources.nwb import read_nwb

# what pynwb says of the files of `nwb_files`
pytestmark = pytest.mark.filterwarnings("ignore:.*does not share an ancestor:UserWarning")


def spikes_file(path, ids=(7, 3, 5), **columns):
    nwb_files = pytest.importorskip("nwb_files", reason="pynwb is not installed")
    return nwb_files.write(
        nwb_files.with_spikes(ids=list(ids), waveform_mean=[np.zeros((5, 2))] * 3, **columns), path
    )


def calcium_file(path):
    import nwb_files

    nwbfile = nwb_files.with_traces(nwb_files.ramp(), ids=(7, 3, 5))
    return nwb_files.write(nwbfile, path)


def opened(path, name="units") -> pd.DataFrame:
    import pynwb

    with pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
        nwbfile = io.read()
        assert not pynwb.validate(io=io)
        return (
            nwbfile.units
            if name == "units"
            else nwbfile.processing["ophys"]["ImageSegmentation"][name]
        ).to_dataframe()


def test_nwb(tmp_path):
    source = spikes_file(tmp_path / "a.nwb", quality=["good", "", "mua"])
    before = source.read_bytes()
    out = to_nwb(results(), source, tmp_path / "new" / "a_nuclr.nwb")
    assert (
        source.read_bytes() == before
        and out == tmp_path / "new" / "a_nuclr.nwb"
        and [file.name for file in out.parent.iterdir()] == [out.name]
    )
    units = opened(out)
    assert units.index.tolist() == [7, 3, 5] and units["quality"].tolist() == ["good", "", "mua"]
    np.testing.assert_array_equal(
        np.stack(units["nuclr_embedding"]), [[np.nan, np.nan], [3, 3.5], [5, 5.5]]
    )
    assert units["nuclr_predicted"].tolist() == ["", "L2/3 é", "Vip"]
    for name, expected in {
        "nuclr_fold": [np.nan, 2, 1],
        "nuclr_p_L2_3_é": [np.nan, 0.75, 0.25],
        "nuclr_sure": [np.nan, 0, 1],
    }.items():
        np.testing.assert_array_equal(units[name], expected)
    [again], [original] = read_nwb(out), read_nwb(source)
    np.testing.assert_array_equal(again.times, original.times)
    assert again.units["nuclr_predicted"].tolist() == [None, "L2/3 é", "Vip"]


def test_nwb_of_embed(tmp_path):
    """The whole way: read, embed, write back."""
    source = spikes_file(tmp_path / "a.nwb")
    recordings = read_nwb(source)
    embedding = nl.embed(nl.NuCLR(TINY.model), recordings)
    units = opened(to_nwb(embedding, source, tmp_path / "b.nwb"))
    np.testing.assert_array_equal(
        np.stack(units["nuclr_embedding"].loc[embedding.loc["a"].index]), embedding.to_numpy()
    )


def test_nwb_plane_segmentation(tmp_path):
    source = calcium_file(tmp_path / "a.nwb")
    rois = opened(to_nwb(results(), source, tmp_path / "b.nwb"), "rois")
    assert (
        rois["nuclr_predicted"].to_dict() == {7: "", 3: "L2/3 é", 5: "Vip"}
        and len(rois["pixel_mask"]) == 3
    )
    with pytest.raises(
        ValueError, match=r"a\.nwb: there is no table 'units'; choose with into= one of \['rois'\]"
    ):
        to_nwb(results(), source, tmp_path / "c.nwb", into="units")


def test_nwb_with_both_tables(tmp_path):
    import nwb_files

    both = nwb_files.with_traces(
        nwb_files.ramp(), nwb_files.with_spikes(ids=[7, 3, 5]), ids=(7, 3, 5)
    )
    source = nwb_files.write(both, tmp_path / "a.nwb")
    with pytest.raises(
        ValueError,
        match=r"a\.nwb: which table is meant is open; choose with into= one of \['rois', 'units'\]",
    ):
        to_nwb(results(), source, tmp_path / "b.nwb")
    to_nwb(results(), source, tmp_path / "b.nwb", into="rois")
    assert "nuclr_fold" in opened(tmp_path / "b.nwb", "rois") and "nuclr_fold" not in opened(
        tmp_path / "b.nwb"
    )


def test_nwb_of_several_recordings(tmp_path):
    source = spikes_file(tmp_path / "a.nwb")
    probes = pd.concat(
        [results("a-A", (7, 3)), results("a-B", (5, 9)).iloc[:1], results("z", (1, 2))]
    )
    with pytest.raises(
        ValueError,
        match=(
            r"the table holds 3 recordings \('a-A', 'a-B', 'z'\); say which ones belong here:"
            r" recordings='a-A'"
        ),
    ):
        to_nwb(probes, source, tmp_path / "b.nwb")
    units = opened(to_nwb(probes, source, tmp_path / "b.nwb", recordings=["a-A", "a-B"]))
    assert (
        units["nuclr_predicted"].to_dict() == {7: "Vip", 3: "L2/3 é", 5: "Vip"}
        and units["nuclr_fold"].dtype.kind == "i"
    )
    with pytest.raises(ValueError, match="the table has no recording 'b'; it has 'a-A'"):
        to_nwb(probes, source, tmp_path / "c.nwb", recordings="b")
    with pytest.raises(ValueError, match="unit 5 is in several of the recordings"):
        to_nwb(
            pd.concat([results("a-A"), results("a-B")]),
            source,
            tmp_path / "c.nwb",
            recordings=["a-A", "a-B"],
        )
    with pytest.warns(
        UserWarning, match="takes the results of recording 'other', matched by unit id alone"
    ):
        to_nwb(results("other"), source, tmp_path / "c.nwb")
    to_nwb(results().droplevel("recording_id"), source, tmp_path / "d.nwb")
    pd.testing.assert_frame_equal(opened(tmp_path / "c.nwb"), opened(tmp_path / "d.nwb"))


def test_nwb_refuses(tmp_path, monkeypatch):
    source = spikes_file(tmp_path / "a.nwb")
    before = source.read_bytes()
    (tmp_path / "link.nwb").symlink_to(source)
    for itself in (source, str(source), tmp_path / "link.nwb"):
        with pytest.raises(ValueError, match="is the file itself; results go to a copy"):
            to_nwb(results(), source, itself, overwrite=True)
    with pytest.raises(
        ValueError,
        match=r"a\.nwb: table 'units' has no unit 4 \(1 of the 2 units with results aren't there\)",
    ):
        to_nwb(results(ids=(3, 4)), source, tmp_path / "b.nwb")
    with pytest.raises(FileNotFoundError, match=r"no\.nwb: there is no such file"):
        to_nwb(results(), tmp_path / "no.nwb", tmp_path / "b.nwb")
    (tmp_path / "page.nwb").write_bytes(b"<html>404</html>")
    with (
        pytest.warns(UserWarning),
        pytest.raises(ValueError, match=r"page\.nwb: can't be read as NWB"),
    ):
        to_nwb(results(), tmp_path / "page.nwb", tmp_path / "b.nwb")
    out = to_nwb(results(), source, tmp_path / "b.nwb")
    with pytest.raises(
        FileExistsError, match=r"b\.nwb exists already; choose another path, or pass overwrite=True"
    ):
        to_nwb(results(), source, out)
    with (
        pytest.raises(
            ValueError,
            match=(
                r"b\.nwb: table 'units' has a column 'nuclr_embedding' already; give the original"
                r" file"
            ),
        ),
        pytest.warns(UserWarning, match="by unit id alone"),
    ):
        to_nwb(results(), out, tmp_path / "c.nwb")
    good = out.read_bytes()
    import pynwb

    def stopped(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", stopped)
    with pytest.raises(OSError, match="disk full"):
        to_nwb(results(), source, out, overwrite=True)
    assert out.read_bytes() == good and source.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "a.nwb",
        "b.nwb",
        "link.nwb",
        "page.nwb",
    ]
    monkeypatch.undo()
    to_nwb(results().drop(columns="fold"), source, out, overwrite=True)
    assert "nuclr_fold" not in opened(out)


def test_nwb_real(tmp_path):
    """A published session, whose columns are of all kinds: everything in it is in the copy."""
    pytest.importorskip("pynwb")
    source = sorted(shared("real", "steinmetz_snippets").glob("*.nwb"))[0]
    [recording] = read_nwb(source)
    vectors = np.random.default_rng(0).normal(size=(recording.n_units, 3))
    embedding = pd.DataFrame(
        vectors,
        index=pd.MultiIndex.from_product([[recording.recording_id], recording.units.index]),
        columns=["e000", "e001", "e002"],
    )
    embedding.index.names = ["recording_id", "unit_id"]
    out = to_nwb(embedding, source, tmp_path / "copy.nwb")
    [again] = read_nwb(out)
    pd.testing.assert_frame_equal(again.units, recording.units)
    np.testing.assert_array_equal(again.times, recording.times)
    import h5py

    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["units/nuclr_embedding"], vectors)
