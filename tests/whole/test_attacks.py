"""Files from strangers: each attack is planted for real, and nothing of it runs, reaches outside
its folder, or takes the memory or the day.
"""

import ast
import json
import pickle
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, spikes

import nuclr_lite as nl
from nuclr_lite.files.recording_files import header_checksum
from nuclr_lite.files.storage import describe_files, file_name

PACKAGE = Path(nl.__file__).parent


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


def forge(folder: Path, **changes):
    """Make the header fit what lies in the folder now, as one who knows how it is made would."""
    header = json.loads((folder / "recording.json").read_text())
    header |= {
        "files": describe_files(
            folder, [path.name for path in folder.iterdir() if path.suffix in (".npy", ".csv")]
        )
    } | changes
    del header["sha256"]
    header["sha256"] = header_checksum(header)
    (folder / "recording.json").write_text(json.dumps(header))


@pytest.fixture
def saved(tmp_path) -> Path:
    return spikes(n_units=2, units=pd.DataFrame({"cell_type": ["Pvalb", "Sst"]})).save(
        tmp_path / "rec"
    )


@pytest.fixture
def mark(tmp_path) -> Path:
    return tmp_path / "executed"


# ---- recordings


@pytest.mark.parametrize("name", ["times", "unit_rows", "intervals"])
def test_a_pickle_in_an_array(name, saved, mark):
    bombs = np.array([Bomb(mark)], dtype=object)
    np.save(saved / f"{name}.npy", bombs)
    forge(saved)
    for verify in (True, False):
        with pytest.raises(ValueError, match="can't be read as a recording"):
            nl.Recording.load(saved, verify=verify)
    (saved / f"{name}.npy").write_bytes(pickle.dumps(bombs))
    forge(saved)
    with pytest.raises(ValueError, match="can't be read as a recording"):
        nl.Recording.load(saved)
    assert not mark.exists()
    pickle.loads((saved / f"{name}.npy").read_bytes())  # the bomb is a real one
    assert mark.exists()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10**15,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "__import__('os').mkdir('executed')",
        "(" * 9000,
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    ],
)
def test_an_array_whose_header_lies(header, saved, mark, monkeypatch):
    monkeypatch.chdir(mark.parent)
    text = header.encode()
    for name in ("times", "intervals"):
        (saved / f"{name}.npy").write_bytes(
            b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(160)
        )
    forge(saved)
    with pytest.raises(ValueError, match="can't be read as a recording"):
        nl.Recording.load(saved)
    assert not mark.exists()


@pytest.mark.parametrize(
    "outside", ["../../secret.npy", "/etc/hostname", "..", "sub/times.npy", "C:\\secret.npy"]
)
def test_a_header_that_names_files_elsewhere(outside, saved):
    secret = saved.parent.parent / "secret.npy"
    np.save(secret, np.arange(3.0))
    header = json.loads((saved / "recording.json").read_text())
    forge(saved, files=header["files"] | {outside: header["files"]["times.npy"]})
    with pytest.raises(ValueError, match="can't be read as a recording .*lists the files"):
        nl.Recording.load(saved)
    header["files"][outside] = header["files"].pop("times.npy")
    forge(saved, files=header["files"])
    with pytest.raises(ValueError, match="can't be read as a recording .*lists the files"):
        nl.Recording.load(saved)


@pytest.mark.parametrize(
    "kind", ["object", "O", "pickle", "__import__('os')", None, 3, ["f8"], {"a": 1}]
)
@pytest.mark.parametrize("where", ["index", "columns"])
def test_a_table_of_an_odd_type(kind, where, saved):
    tables = json.loads((saved / "recording.json").read_text())["tables"]
    tables["units"][where] = kind if where == "index" else {"cell_type": kind}
    forge(saved, tables=tables)
    with pytest.raises(
        ValueError, match="units.csv has a column of type|can't be read as a recording"
    ):
        nl.Recording.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        dict(modality="calcium"),
        dict(modality="__class__"),
        dict(modality=[]),
        dict(version="2"),
        dict(version=None),
        dict(version=-1),
        dict(tables={}),
        dict(files=[]),
        dict(files={"times.npy": 3}),
        dict(tables={"units": {"index": "int64", "columns": {}}, "epochs": None}),
    ],
)
def test_a_header_of_odd_values(changes, saved):
    forge(saved, **changes)
    with pytest.raises(ValueError, match="convert it again"):
        nl.Recording.load(saved)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "1" * 10_000, '"\\ud800"', "nan"]
)
def test_a_header_that_is_no_header(text, saved):
    (saved / "recording.json").write_text(text)
    with pytest.raises(ValueError, match="not a recording that nuclr_lite saved"):
        nl.Recording.load(saved)


def test_spikes_of_units_that_are_not_there(saved):
    rows = np.load(saved / "unit_rows.npy")
    for wrong in (rows + 1, rows - 1, rows[:-1], rows.astype(np.int64), rows[None]):
        np.save(saved / "unit_rows.npy", wrong)
        forge(saved)
        with pytest.raises(ValueError, match="can't be read as a recording"):
            nl.Recording.load(saved)


def test_formulas_stay_text(tmp_path):
    """In a table they are text, in and out: what a spreadsheet does with them is not done here."""
    formulas = ["=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-2+3", "\t=1"]
    recording = spikes(n_units=5, units=pd.DataFrame({"cell_type": formulas}, index=formulas))
    assert (
        nl.Recording.load(recording.save(tmp_path / "rec")).units["cell_type"].tolist() == formulas
    )


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "../../out",
        "/etc/cron.d/x",
        "a/b",
        "a\\b",
        "...",
        "a\0b",
        "C:x",
        " ",
        "Wörter 🧠",
    ],
)
def test_ids_do_not_lead_out_of_a_folder(name, tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / file_name(name)).mkdir()
    assert len(list(inner.iterdir())) == 1 and not set(file_name(name)) & set("/\\:\0")
    assert file_name("animal0-000_probeA.1") == "animal0-000_probeA.1"


def test_an_nwb_file_whose_id_points_elsewhere(tmp_path, monkeypatch):
    from nuclr_lite.sources import nwb

    (tmp_path / "nwb").mkdir()
    (tmp_path / "nwb" / "x.nwb").write_bytes(b"")
    monkeypatch.setattr(
        nwb, "read_nwb", lambda folder: [spikes(name="../../../outside"), spikes(name="inside")]
    )
    with pytest.raises(ValueError, match="too few"):
        nl.experiments.run(
            nl.Experiment("tiny", source=str(tmp_path / "nwb"), n_held_out=2), tmp_path / "out"
        )
    assert (
        not list(tmp_path.rglob("outside"))
        and len(list((tmp_path / "out").rglob("recording.json"))) == 2
    )


# ---- encoders


@pytest.fixture(scope="module")
def trained() -> nl.Pretrained:
    return nl.pretrain([spikes()], TINY.with_(steps=1))


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    folder = trained.save(tmp_path / "model")
    (folder / "checksums.json").unlink()  # whoever forges files forges those too
    return folder


@pytest.mark.parametrize("name", ["encoder", "projector"])
def test_a_pickle_for_weights(name, folder, mark):
    for write in (
        lambda path: path.write_bytes(pickle.dumps(Bomb(mark)) + bytes(100_000)),
        lambda path: torch.save({"read_in.weight": Bomb(mark), "more": torch.zeros(50_000)}, path),
    ):
        write(folder / f"{name}.safetensors")
        with pytest.raises(ValueError, match="can't be read as this preset's weights"):
            nl.Pretrained.load(folder)
    # beside them: nobody looks
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(mark)))
    assert not mark.exists()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{" * 1000,
        b'{"read_in.weight":{"dtype":"F32","shape":[1000000,1000000000],'
        b'"data_offsets":[0,4000000000000000]}}',
        b'{"a":' * 100_000,
        b'{"read_in.weight":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}',
        b'{"x":{"dtype":"OBJECT","shape":[1],"data_offsets":[0,8]}}',
    ],
)
@pytest.mark.parametrize("length", [None, 2**63 - 1, 2**64 - 1, 0])
def test_weights_whose_header_lies(header, length, folder):
    (folder / "encoder.safetensors").write_bytes(
        (len(header) if length is None else length).to_bytes(8, "little") + header + bytes(8)
    )
    started = time.monotonic()
    with pytest.raises(ValueError, match="can't be read as|from another model"):
        nl.Pretrained.load(folder)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "part, changes",
    [
        ("model", dict(dim=10**7)),
        ("model", dict(temporal_layers=10**9)),
        ("model", dict(spatiotemporal_layers=10**8)),
        ("model", dict(heads=10**9)),
        ("model", dict(tokens_per_window=10**9)),
        ("model", dict(samples_per_token=10**12)),
        ("model", dict(dim="16")),
        ("model", dict(dim=16.5)),
        ("model", dict(sample_s=None)),
        ("model", dict(extra=1)),
        ("views", dict(kept_share=3)),
        ("views", dict(grid_s="x")),
        ("train", dict(objective=[])),
        ("train", dict(temperature="0.2")),
    ],
)
def test_a_recipe_that_asks_for_the_moon(part, changes, folder):
    preset = json.loads((folder / "preset.json").read_text())
    preset[part] |= changes
    (folder / "preset.json").write_text(json.dumps(preset))
    started = time.monotonic()
    with pytest.raises(ValueError, match="preset.json can't be read as a preset"):
        nl.Pretrained.load(folder)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "[" * 100_000, "{}", '{"model": 1, "views": 2, "train": 3}']
)
def test_a_recipe_that_is_none(text, folder):
    (folder / "preset.json").write_text(text)
    with pytest.raises(ValueError, match="preset.json can't be read as a preset"):
        nl.Pretrained.load(folder)


@pytest.mark.parametrize("text", ["", "\0\0", 'a\n"', "step\n1\n"])
@pytest.mark.parametrize("name", ["history.csv", "trained_on.csv"])
def test_tables_that_are_none(name, text, folder):
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name} (can't be read|lacks)"):
        nl.Pretrained.load(folder)


@pytest.mark.parametrize(
    "names",
    ['{"../../secret": {"bytes": 1, "sha256": ""}}', '{"encoder.safetensors": 3}', "[]", "x"],
)
def test_checksums_of_files_elsewhere(names, folder):
    (folder / "checksums.json").write_text(names)
    with pytest.raises(ValueError, match="checksums.json can't be read"):
        nl.Pretrained.load(folder)


# ---- the code itself


def test_nothing_is_executed_or_unpickled_anywhere():
    """But in `official`, whose unpickler imports nothing (tests/test_official.py)."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert name not in (
                    "eval",
                    "exec",
                    "os.system",
                    "pickle.load",
                    "pickle.loads",
                    "joblib.load",
                    "pd.read_pickle",
                    "yaml.load",
                    "runpy.run_path",
                ), (path, node.lineno)
                assert (
                    words.get("allow_pickle", "False") == "False"
                    and words.get("shell", "False") == "False"
                ), (path, node.lineno)
                assert (
                    name != "torch.load"
                    or words.get("weights_only") == "True"
                    or path.name == "official.py"
                ), (path, node.lineno)
                # zipfile keeps members inside the folder by itself;
                # tests/sources/download/test_figshare.py plants some that want out.
                assert (
                    not name.endswith((".extractall", ".extract", ".unpack_archive"))
                    or words.get("filter") == "'data'"
                    or name == "zipped.extractall"
                ), (path, node.lineno)
