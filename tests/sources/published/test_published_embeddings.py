"""Published embeddings: what is in the file, by name, and nothing in it is run."""

import builtins
import io
import pickle
import re
import zipfile

import bwb_files
import numpy as np
import pytest
import torch
from bwb_files import TEST, TRAIN, embeddings, unit_table, write_embeddings

from nuclr_lite.sources.published.embeddings import download_embeddings, read_embeddings


@pytest.mark.parametrize("numpy_layout", [1, 2])
def test_what_is_in_the_file(tmp_path, numpy_layout):
    held = embeddings()
    path = write_embeddings(tmp_path / "e.pt", held, numpy_layout)
    content = zipfile.ZipFile(path).read("e/data.pkl")
    assert (b"numpy._core" in content) == (numpy_layout == 2) and b"multiarray" in content
    vectors, dropped, seed = read_embeddings(path)
    names = np.concatenate([held["train_uids"], held["eval_uids"]])
    written = torch.cat([held["train_embs"], held["eval_embs"]]).numpy()
    finite = np.isfinite(written).all(axis=1)
    assert dropped == (~finite).sum() == 5 * 5 and seed == 42
    assert ["/".join(name) for name in vectors.index] == list(names[finite])
    assert vectors.index.names == ["recording_id", "unit_id"]
    np.testing.assert_array_equal(vectors.to_numpy(), written[finite])
    assert list(vectors)[:2] == ["e000", "e001"] and set(vectors.dtypes) == {np.dtype(np.float64)}
    assert set(vectors.index.unique(0)) == {*TRAIN, *TEST}


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.pop("run_seed"),
        lambda held: held.update(run_seed=None),
        lambda held: held.update(train_uids=held["train_uids"].astype(object)),
        lambda held: held.update(train_uids=list(map(str, held["train_uids"]))),
        lambda held: held.update(more={"a": [1.0, "text"]}),
        lambda held: held.update(train_embs=held["train_embs"].float().requires_grad_()),
    ],
)
def test_files_that_differ_a_little(tmp_path, change):
    expected = read_embeddings(write_embeddings(tmp_path / "a.pt")).vectors
    held = embeddings()
    change(held)
    found = read_embeddings(write_embeddings(tmp_path / "b.pt", held)).vectors
    assert found.index.equals(expected.index)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_is_kept_where_numpy_has_it(tmp_path, dtype):
    held = {k: v.to(dtype) if torch.is_tensor(v) else v for k, v in embeddings().items()}
    vectors = read_embeddings(write_embeddings(tmp_path / "e.pt", held)).vectors
    assert set(vectors.dtypes) == {np.dtype(np.float32)}


class Bomb:
    def __reduce__(self):
        return builtins.exec, ("raise SystemExit('run')",)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("legacy", [True, False])
def test_nothing_is_run(tmp_path, legacy):
    path = tmp_path / "bomb.pt"
    torch.save(embeddings() | {"more": Bomb()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="more than tensors and texts.*download it again"):
        read_embeddings(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="download it again"):
        read_embeddings(path)
    module, script = torch.jit.script(torch.nn.Linear(2, 2)), io.BytesIO()
    torch.jit.save(module, script)
    path.write_bytes(script.getvalue())
    with pytest.raises(ValueError, match="download it again"):
        read_embeddings(path)


def test_what_is_let_in_is_let_in_for_this_file_alone(tmp_path):
    path = write_embeddings(tmp_path / "e.pt")
    before = set(map(str, torch.serialization.get_safe_globals()))
    read_embeddings(path)
    assert set(map(str, torch.serialization.get_safe_globals())) == before
    # numbers of numpy are not: only what holds texts
    torch.save(embeddings(more=np.zeros(3)), path)
    with pytest.raises(ValueError, match="more than tensors and texts"):
        read_embeddings(path)


def test_a_torch_that_cannot_open_it_safely_is_named(tmp_path, monkeypatch):
    path = write_embeddings(tmp_path / "e.pt")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(ImportError, match=r"torch 2.6 or later; this is 2.5.1\+cpu: pip install"):
        read_embeddings(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated(tmp_path, share):
    path = write_embeddings(tmp_path / "e.pt")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*download it again"):
        read_embeddings(path)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"eval_embs": embeddings(dim=5)["eval_embs"]}, "train on have 8 dimensions.*evaluate 5"),
        ({"eval_embs": embeddings()["eval_embs"][:-1]}, r"eval_embs has shape \(119, 8\).*120 n"),
        ({"eval_embs": embeddings()["eval_embs"][0]}, r"eval_embs has shape \(8,\)"),
        ({"eval_embs": embeddings()["eval_embs"].long()}, "type int64"),
        ({"eval_embs": "text"}, "eval_embs holds no tensor"),
        ({"eval_uids": 3}, "eval_uids holds no names"),
        ({"eval_uids": np.array(["a"] * 120)}, "120 names in eval_uids aren't.*first: 'a'"),
        (
            {"eval_uids": embeddings()["train_uids"][:120]},
            "120 units are in it twice.*" + TRAIN[0],
        ),
    ],
)
def test_parts_that_do_not_fit(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        read_embeddings(write_embeddings(tmp_path / "e.pt", embeddings(**changes)))


@pytest.mark.parametrize("held", [{"train_embs": 1}, [1, 2], {"model_state_dict": {}, 3: 4}])
def test_other_files(tmp_path, held):
    with pytest.raises(ValueError, match="isn't a file of embeddings: .*train_embs"):
        read_embeddings(write_embeddings(tmp_path / "e.pt", held))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file; download it"):
        read_embeddings(tmp_path / "e.pt")
    with pytest.raises(ValueError, match="model is 'poyo'; published are nuclr, nemo"):
        download_embeddings(42, "poyo", tmp_path)
    with pytest.raises(ValueError, match="seed is 47; published are 42"):
        download_embeddings(47, cache_dir=tmp_path)


def test_names_lie_on_the_unit_tables(tmp_path):
    vectors = read_embeddings(write_embeddings(tmp_path / "e.pt")).vectors
    for session in bwb_files.WANTED:
        table = unit_table(session).query("region_cosmos != 'root'")
        assert set(vectors.loc[session].index) == set(table["id"])
