"""Pickles are read for their numbers, and nothing in them runs."""

import pickle
from collections import OrderedDict

import imaging_files
import numpy as np
import pytest
from imaging_files import Attack

from nuclr_lite.sources.pickles import PlainArray, Unmade, plain_object

# a fixture: pytest looks for it here
no_pickle_is_opened = imaging_files.no_pickle_is_opened


def saved(path, held, protocol=None):
    """As `np.save` writes it, or its array pickled with another protocol."""
    np.save(path, np.array(held, dtype=object) if protocol is None else np.array(None))
    if protocol is not None:
        with open(path, "rb+") as stream:
            np.lib.format.read_magic(stream)
            np.lib.format.read_array_header_1_0(stream)
            stream.truncate()
            pickle.dump(np.array(held, dtype=object), stream, protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", [None, 3, 4, 5])
def test_plain_values(tmp_path, protocol):
    held = {
        "number": 5,
        "text": "a/b",
        "none": None,
        "list": [1, 2.5, (3, "x")],
        "scalar": np.float32(0.5),
        "flags": np.array([True, False, True]),
        "image": np.arange(6, dtype=">i2").reshape(2, 3, order="F"),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "objects": np.array([{"med": [1, 2]}, None], dtype=object),
        "attack": Attack(),
        "other": OrderedDict(a=1),
    }
    found = plain_object(saved(tmp_path / "a.npy", held, protocol))
    for name in ("number", "text", "none", "list"):
        assert found[name] == held[name]
    assert found["scalar"] == 0.5 and type(found["scalar"]) is float
    for name in ("flags", "image", "columns"):
        assert isinstance(found[name], PlainArray)
        np.testing.assert_array_equal(np.asarray(found[name]), held[name])
    assert list(np.asarray(found["objects"])) == [{"med": [1, 2]}, None]
    assert isinstance(found["attack"], Unmade)


def test_what_is_not_plain(tmp_path):
    path = tmp_path / "a.npy"
    dates = np.array(["2020"], dtype="M8[D]")
    others = {"dates": dates, "texts": np.array(["a", "bc"]), "date": dates[0], "number": 3}
    found = plain_object(saved(path, others))
    assert np.size(found["dates"]) == np.size(found["texts"]) == 0 and found["number"] == 3
    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ValueError, match="magic string"):
        plain_object(path)
    np.save(path, {"a": np.arange(10.0)})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        plain_object(path)
