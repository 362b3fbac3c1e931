"""Results go back to Phy, pynapple and Parquet: each to its unit, never into an original, never by
half.
"""

import sys

import numpy as np
import pandas as pd
import pytest
from phy_files import GROUP, phy_folder
from result_tables import results, table

import nuclr_lite as nl
from nuclr_lite.export import to_nwb, to_parquet, to_phy, to_pynapple

# Phy


def phy_results(**columns) -> pd.DataFrame:
    """Of clusters 9 and 2, not of 5."""
    return table([("night", 9), ("night", 2)], **columns)


def test_phy(tmp_path):
    folder = phy_folder(tmp_path / "night", group=GROUP)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.warns(UserWarning, match="vectors are left out, Phy shows one value a column"):
        files = to_phy(
            phy_results(e000=[1.0, 2.0], predicted=["Vip", "tab\there"], **{"p_L2/3": [0.5, 0.25]}),
            folder,
        )
    assert [file.name for file in files] == [
        "cluster_nuclr_predicted.tsv",
        "cluster_nuclr_p_L2_3.tsv",
    ]
    assert files[1].read_bytes() == b"cluster_id\tnuclr_p_L2_3\n2\t0.25\n5\t\n9\t0.5\n"
    from nuclr_lite.sources.phy import read_phy

    recording = read_phy(folder, animal_id="m", groups=None)
    assert recording.units["nuclr_predicted"].tolist() == ["tab\there", None, "Vip"]
    np.testing.assert_array_equal(recording.units["nuclr_p_L2_3"], [0.25, np.nan, 0.5])
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("written", [float, str, lambda unit: f"{unit}.0"])
def test_ids_that_pandas_made_floats_or_texts_come_home(tmp_path, written):
    folder = phy_folder(tmp_path / "a", group=GROUP)
    predicted = pd.DataFrame({"predicted": ["x", "y"]}, index=[written(9), written(2)])
    [file] = to_phy(predicted, folder)
    assert file.read_text().split() == [*("cluster_id", "nuclr_predicted", "2", "y", "5", "9", "x")]
    with pytest.raises(
        ValueError, match=r"has no unit 'probeA_2' .* Is it 2 there\? Write ids alike"
    ):
        to_phy(predicted.set_axis(["probeA_2", "probeA_9"]), folder, overwrite=True)


def test_spikeinterface_reads_what_phy_gets(tmp_path):
    extractors = pytest.importorskip(
        "spikeinterface.extractors", reason="spikeinterface is not installed"
    )
    folder = phy_folder(tmp_path / "night", group=GROUP)
    to_phy(phy_results(predicted=["Vip", "Sst"], p=[0.5, 0.25]), folder)
    sorting = extractors.read_phy(folder)
    place = {unit_id: i for i, unit_id in enumerate(sorting.unit_ids)}
    assert set(place) == {2, 5, 9}  # none is lost for want of a row
    assert (
        sorting.get_property("nuclr_predicted")[place[9]] == "Vip"
        and sorting.get_property("nuclr_p")[place[2]] == 0.25
    )


def test_phy_never_overwrites(tmp_path, monkeypatch):
    folder = phy_folder(
        tmp_path / "night",
        group=GROUP,
        KSLabel="cluster_id KSLabel\n2 good\n",
        info="cluster_id depth\n2 3\n",
    )
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    files = to_phy(
        phy_results(
            group=["a", "b"], KSLabel=["a", "b"], info=["a", "b"], **{"../../out": [1.0, 2.0]}
        ),
        folder,
    )
    assert {name: (folder / name).read_bytes() for name in before} == before  # Phy's own
    assert all(file.parent == folder and file.is_file() for file in files) and sorted(
        file.name for file in tmp_path.iterdir()
    ) == ["night"]
    after = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(
        FileExistsError, match=r"cluster_nuclr_group\.tsv exists already.*overwrite=True"
    ):
        to_phy(phy_results(new=[1, 2], group=["c", "d"]), folder)
    with pytest.raises(
        ValueError, match="two columns of the results would both be called 'nuclr_P_L_'"
    ):
        to_phy(phy_results(**{"p_l/": [1, 2], "P_L?": [1, 2]}), folder)
    with pytest.raises(ValueError, match=r"night has no unit 4"):
        to_phy(table([("night", 4)], predicted=["Vip"]), folder)
    with pytest.raises(ValueError, match="nothing but vectors"), pytest.warns(UserWarning):
        to_phy(phy_results(e000=[1.0, 2.0]), folder)
    with pytest.raises(FileNotFoundError, match=r"there is no spike_times\.npy"):
        to_phy(phy_results(x=[1, 2]), tmp_path)

    whole = pd.DataFrame.to_csv
    written = []

    def stopped(self, *args, **options):
        if written:
            raise OSError("disk full")
        written.append(whole(self, *args, **options))

    monkeypatch.setattr(pd.DataFrame, "to_csv", stopped)
    with pytest.raises(OSError, match="disk full"):
        to_phy(phy_results(new=[1, 2], group=["c", "d"]), folder, overwrite=True)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == after  # all or none
    monkeypatch.undo()
    to_phy(phy_results(group=["c", "d"]), folder, overwrite=True)
    assert (
        folder / "cluster_nuclr_group.tsv"
    ).read_text() == "cluster_id\tnuclr_group\n2\td\n5\t\n9\tc\n"


# Pynapple


def test_pynapple():
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    support = nap.IntervalSet([0, 6], [5, 9])
    group = nap.TsGroup(
        {key: nap.Ts(t=np.arange(0, 10, 0.5) + key / 100) for key in (7, 3, 5)},
        time_support=support,
        metadata={"region": ["a", "b", "c"]},
    )
    frame = nap.TsdFrame(
        t=np.arange(90) / 10,
        d=np.arange(270.0).reshape(90, 3),
        columns=[7, 3, 5],
        time_support=support,
        metadata={"region": list("abc")},
    )
    for data in (group, frame):
        order = list(data.metadata_index)
        result = to_pynapple(results(), data)
        # a new object
        assert type(result) is type(data) and not any(
            name.startswith("nuclr") for name in data.metadata_columns
        )
        np.testing.assert_array_equal(result.time_support.values, support.values)
        assert result["region"].to_dict() == data["region"].to_dict() and result[
            "nuclr_predicted"
        ].to_dict() == {7: "", 3: "L2/3 é", 5: "Vip"}
        expected = {7: [np.nan, np.nan], 3: [3, 3.5], 5: [5, 5.5]}
        np.testing.assert_array_equal(
            np.stack(result["nuclr_embedding"]), [expected[key] for key in order]
        )
        np.testing.assert_array_equal(result["nuclr_p_L2_3_é"].loc[[3, 5]], [0.75, 0.25])
        with pytest.raises(ValueError, match=f"this {type(data).__name__} has no unit 4"):
            to_pynapple(results(ids=(3, 4)), data)
    np.testing.assert_array_equal(to_pynapple(results(), group)[3].t, group[3].t)
    np.testing.assert_array_equal(to_pynapple(results(), frame).values, frame.values)
    with pytest.raises(TypeError, match="this is a dict; give a pynapple TsGroup"):
        to_pynapple(results(), {})


# Parquet


def parquet():
    pytest.importorskip(
        "pyarrow", reason="pyarrow is not installed, or not for this numpy", exc_type=ImportError
    )


def test_parquet(tmp_path, recordings):
    parquet()
    embedding = nl.embed(
        nl.NuCLR(
            nl.PRESETS["quick"]
            .with_(dim=16, heads=2, head_dim=8, temporal_layers=1, spatiotemporal_layers=1)
            .model
        ),
        recordings,
    )
    units = nl.units_table(recordings).assign(note=None, checked=True, n=7, missing=np.nan)
    out = to_parquet(embedding.iloc[:-1], tmp_path / "deep" / "x.parquet", units=units)
    again = pd.read_parquet(out)
    # pandas 3 reads texts as a type of their own
    texts = {name: object for name in units.columns[units.dtypes.eq(object)]}
    pd.testing.assert_frame_equal(
        again[units.columns].astype(texts).where(again[units.columns].notna(), units),
        units,
        check_exact=True,
    )
    pd.testing.assert_frame_equal(
        again[embedding.columns].iloc[:-1], embedding.iloc[:-1], check_exact=True
    )
    assert (
        again.index.names == ["recording_id", "unit_id"]
        and again[embedding.columns].iloc[-1].isna().all()
    )
    pd.testing.assert_frame_equal(
        pd.read_parquet(to_parquet(results(), tmp_path / "alone.parquet")),
        results(),
        check_exact=True,
    )
    ids = results().rename(index={"a": "é", 5: "u5", 3: "u3"})
    pd.testing.assert_frame_equal(
        pd.read_parquet(to_parquet(ids, tmp_path / "texts.parquet")), ids, check_exact=True
    )
    name = recordings[1].recording_id
    part = pd.read_parquet(
        to_parquet(embedding, tmp_path / "part.parquet", units=units, recordings=name)
    )
    assert set(part.index.get_level_values(0)) == {name} and len(part) == recordings[1].n_units


def test_parquet_refuses(tmp_path, monkeypatch):
    parquet()
    out = to_parquet(results(), tmp_path / "x.parquet")
    good = out.read_bytes()
    with pytest.raises(FileExistsError, match=r"x\.parquet exists already"):
        to_parquet(results(), out)
    with pytest.raises(
        FileExistsError,
        match="exists already; choose another path$|exists already; choose another path\\.",
    ):
        to_parquet(results(), tmp_path, overwrite=True)
    mixed = pd.concat([results("a", (5, 3)), results("b", ("u5", "u3"))])
    for bad in (mixed, results().assign(odd=[1, "x"])):
        with pytest.raises(
            ValueError, match=r"x\.parquet: a column, or the unit ids, are of mixed types"
        ):
            to_parquet(bad, out, overwrite=True)
    with pytest.raises(ValueError, match=r"`units` has units without \('a', 5\)"):
        to_parquet(results(), out, units=table([("a", 3)], area=["V1"]), overwrite=True)
    with pytest.raises(ValueError, match="`units` has a column 'fold' as well as the results"):
        to_parquet(results(), out, units=table([("a", 3), ("a", 5)], fold=[1, 1]), overwrite=True)
    assert out.read_bytes() == good and [file.name for file in tmp_path.iterdir()] == ["x.parquet"]
    to_parquet(results().iloc[:1], out, overwrite=True)
    assert len(pd.read_parquet(out)) == 1


# What all of them refuse


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"e000": [1]}, "the results are a dict; give a DataFrame"),
        (results().iloc[[0, 0]], "two rows for one unit"),
        (results().iloc[:0], "has no rows"),
        (
            results().assign(odd=[[1], [2]]),
            "the table of results has a column 'odd' of arrays or of mixed types",
        ),
        (
            results().assign(when="now").set_index("when", append=True),
            r"the index of the results is \['recording_id', 'unit_id', 'when'\]",
        ),
    ],
)
def test_bad_tables(tmp_path, bad, message):
    folder = phy_folder(tmp_path / "night")
    if isinstance(bad, pd.DataFrame):
        bad = bad.rename(index={5: 2, 3: 9})
    with pytest.raises(ValueError, match=message):
        to_phy(bad, folder)


@pytest.mark.parametrize("package", ["pynwb", "pyarrow"])
def test_packages_missing(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "a.nwb").touch()
    with pytest.raises(ImportError, match=f"pip install {package}"):
        (
            to_nwb(results(), tmp_path / "a.nwb", tmp_path / "b")
            if package == "pynwb"
            else to_parquet(results(), tmp_path / "b")
        )
    assert [file.name for file in tmp_path.iterdir()] == ["a.nwb"]
