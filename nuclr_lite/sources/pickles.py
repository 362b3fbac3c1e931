"""Numbers, texts and arrays from `.npy` files that hold a pickle, without running what a pickle may
run.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np


class Unmade:
    """Stands for an object that was not made: it is no number, text, list, dictionary or array."""

    def __new__(cls, *_, **__):
        return super().__new__(cls)

    def __call__(self, *_, **__):
        return self

    __setstate__ = __setitem__ = append = extend = add = __call__


class PlainArray:
    """An array of numbers, or of whatever a list may hold, as `np.asarray` reads it; empty for any
    other, such as dates.
    """

    values: np.ndarray = np.empty(0)

    def __setstate__(self, state):
        _, shape, kind, by_columns, held = state
        if isinstance(held, list):
            self.values = np.empty(len(held), dtype=object)
            self.values[:] = held
            self.values = self.values.reshape(shape, order="F" if by_columns else "C")
        elif kind.is_number:
            self.values = kind.numbers(held).reshape(shape, order="F" if by_columns else "C")

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


class _Kind:
    """Numpy's dtype, as far as numbers need it."""

    def __init__(self, name, *_):
        self.name, self.order = name, "="
        self.is_number = bool(re.fullmatch(r"[biufc]\d+", name))

    def __setstate__(self, state):
        self.order = state[1]

    def numbers(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data, np.dtype(self.name).newbyteorder(self.order))


def _from_buffer(data, kind: _Kind, shape, order) -> PlainArray:
    array = PlainArray()
    array.__setstate__((1, shape, kind, order == "F", data))
    return array


def _scalar(kind: _Kind, data):
    return kind.numbers(data)[0].item() if kind.is_number else Unmade()


# What numpy calls its parts -> what is called in their place; all others are unmade.
CALLED = {
    "dtype": _Kind,
    "_reconstruct": lambda *_: PlainArray(),
    "_frombuffer": _from_buffer,
    "scalar": _scalar,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        return CALLED.get(name, Unmade) if module.partition(".")[0] == "numpy" else Unmade


def plain_object(file: Path):
    """The dictionary, or the array, that `np.save` wrote as a pickle.

    No class and no function of the file's choice is called, and none of numpy's own either: arrays
    are `PlainArray`s, and what isn't plain is `Unmade`. Raises what pickle and numpy raise
    (ValueError, UnpicklingError, EOFError, AttributeError, ...) for a file that can't be read so.
    """
    with open(file, "rb") as stream:
        if np.lib.format.read_magic(stream) == (1, 0):
            np.lib.format.read_array_header_1_0(stream)
        else:
            np.lib.format.read_array_header_2_0(stream)
        held = _PlainUnpickler(stream).load()
    return held.values.item() if isinstance(held, PlainArray) and held.values.ndim == 0 else held
