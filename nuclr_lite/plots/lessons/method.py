"""The whole method on one page, part by part; a notebook shows in colour which part it builds, and
at its end fills it with its own numbers. Each part is drawn by a function of its own below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...recording import Recording
from ..style import PALETTE, styled_figure
from .drawing import GREY, INK, LIGHT, UNIT_COLOURS, UNITS, Part, Pen, Ring, sheet, spikes_of_units

AREA = (2.14, 1.42)  # inches, the room of a part
N_ROWS = 10  # of real units, at most, that a part has room for


@styled_figure
def method(
    highlight: str | Iterable[str] | None = None,
    arrays: Mapping[str, Any] | None = None,
    title: str = "",
) -> Figure:
    """The whole method as eight drawings, in the order of the course.

    highlight : the part in colour, or several; the rest is pale. None: all in colour. Parts:
        'recording', 'views', 'tokens', 'time', 'population', 'vectors', 'contrast', 'decoding'.
    arrays : part -> real numbers to draw in place of the symbols. At most ten units are drawn.

        - 'recording' : a Recording, of which 10 s are drawn (traces: 60 s).
        - 'views' : two pairs (tokens (units, L, P), ids (units,)), spike counts or dF/F.
        - 'tokens' : (units, L, P).
        - 'time' : (L, L) or (units, L, L) weights of attention, row: who asks; the first unit's.
        - 'population' : (units, units) or (L, units, units), likewise; the first token's.
        - 'vectors' : (units, D); drawn less their mean over units.
        - 'contrast' : (units in view 1, units in view 2) cosines.
        - 'decoding' : Series or dict, method -> score from 0 to 1; the first four.

    Raises ValueError where a part doesn't exist, or arrays have another shape.
    """
    arrays = dict(arrays or {})
    for name in arrays:
        if name not in PARTS:
            raise ValueError(f"there is no part {name!r} to fill; use {', '.join(PARTS)}.")
    parts = {
        name: Part(words, caption, partial(draw, given=arrays.get(name)), place)
        for name, (words, place, caption, draw) in PARTS.items()
    }
    return sheet(parts, 4, AREA, highlight, title)[0]


def _recording(pen: Pen, given) -> str | None:
    if given is not None:
        return _real_recording(pen, given)
    _raster(pen)
    pen.arrow((0.28, 1.34), (2.1, 1.34), lw=1.2, head=9)
    pen.text(1.19, 1.44, "time", 9.5, GREY)
    return None


def _views(pen: Pen, given) -> str | None:
    if given is not None:
        return _real_views(pen, given)
    _raster(pen)
    for at, (left, name) in enumerate(((0.42, "view 1"), (1.3, "view 2"))):
        pen.box(left, -0.02, 0.6, 1.26, face="0.5", alpha=0.12, zorder=1)
        pen.box(left, -0.02, 0.6, 1.26, edge=INK, lw=1.8, rounding=0.04, zorder=4)
        pen.text(left + 0.3, 1.38, name, 9.5, weight="bold")
        if at:  # the last unit is left out of this view
            pen.box(left, 0.93, 0.6, 0.3, face="1.0", zorder=3)
            pen.text(left + 0.3, 1.07, "×", 15, UNIT_COLOURS[3], weight="bold")
    return None


def _tokens(pen: Pen, given) -> str | None:
    if given is not None:
        tokens = _checked("tokens", given, 3)[:N_ROWS]
        units, length, samples = tokens.shape
        for row, unit in enumerate(tokens.reshape(units, length * samples)):
            _samples(pen, 0, 1.34 * row / units, AREA[0], 1.34 / units, unit, PALETTE[0])
        for at in np.linspace(0, AREA[0], length + 1):
            pen.line([at, at], [0, 1.34], GREY, lw=0.8)
        return f"{units} units, {length} tokens\nof {samples} samples each"
    for view, (left, shades) in enumerate(((0.24, SHADES), (1.24, SHADES[:3, ::-1]))):
        if not view:
            _letters(pen)
        for row, shade in enumerate(shades):
            pen.cells(left, 0.035 + 0.31 * row, shade[None], UNIT_COLOURS[row:], 0.22, 0.005)
        pen.text(left + 0.45, 1.36, f"view {view + 1}", 9.5)
    return None


def _time(pen: Pen, given) -> str | None:
    if given is not None:
        _square(pen, _weights("time", given), "token", PALETTE[0])
        return f"{'one unit: ' * (np.ndim(given) == 3)}how much of each\ntoken each token takes"
    _letters(pen)
    where = _dots(pen, strong=lambda row, column: row == 1)
    for column, lw in ((0, 2.5), (1, 5.0), (3, 3.5)):
        pen.arrow(
            where(1, 2), where(1, column), UNIT_COLOURS[1], lw, bend=0.45 if column < 2 else -0.6,
            style="-", alpha=0.75,
        )  # fmt: skip
    pen.dot(*where(1, 2), 0.13, face=UNIT_COLOURS[1], edge=INK, lw=2, zorder=4)
    pen.text(1.19, 1.38, "tokens", 9.5, GREY)
    return None


def _population(pen: Pen, given) -> str | None:
    if given is not None:
        _square(pen, _weights("population", given), "unit", PALETTE[1])
        return f"{'one moment: ' * (np.ndim(given) == 3)}how much of\neach unit each unit takes"
    _letters(pen)
    where = _dots(pen, strong=lambda row, column: column == 2)
    for row, lw, bend in ((0, 5.0, 0.9), (2, 2.5, -0.9), (3, 3.5, 0.7)):
        pen.arrow(
            where(1, 2), where(row, 2), UNIT_COLOURS[row], lw, bend=bend, style="-", alpha=0.75
        )
    pen.dot(*where(1, 2), 0.13, face=UNIT_COLOURS[1], edge=INK, lw=2, zorder=4)
    pen.text(1.19, 1.38, "tokens", 9.5, GREY)
    return None


def _vectors(pen: Pen, given) -> str | None:
    if given is not None:
        vectors = _checked("vectors", given, 2)
        shown = (vectors - vectors.mean(axis=0))[:N_ROWS]
        pen.image(0, 0, AREA[0], 1.34, shown, both_signs=True)
        return f"{len(shown)} units of {len(vectors)},\n{vectors.shape[1]} numbers each"
    rng = np.random.default_rng(7)
    first = rng.random((4, 5))
    second = np.clip(first + rng.normal(0, 0.13, first.shape), 0, 1)[:3]
    _letters(pen)
    for view, (left, shades) in enumerate(((0.24, first), (1.26, second))):
        for row, shade in enumerate(shades):
            pen.cells(left, 0.06 + 0.31 * row, shade[None], UNIT_COLOURS[row:], 0.165, 0.005)
        pen.text(left + 0.42, 1.36, f"view {view + 1}", 9.5)
    return None


def _contrast(pen: Pen, given) -> str | None:
    if given is not None:
        cosines = _checked("contrast", given, 2)
        _square(pen, cosines, "view {}", both_signs=True, reach=1.0)
        return "cosine of each unit of view 1\nwith each of view 2"
    ring = Ring(pen, 1.15, 0.7, 0.6)
    for colour, letter, at in zip(UNIT_COLOURS, UNITS, (50, 160, 282)):
        for side, square in ((28, False), (-28, True)):
            pen.dot(*ring.at(at + side), 0.09, face=colour, square=square, zorder=5)
            ring.arrow(at + side, at + 0.06 * side, colour)
        pen.text(*ring.at(at, 1.27), letter, 10.5, colour, weight="bold")
    pen.dot(*ring.at(221), 0.09, face=UNIT_COLOURS[3], zorder=5)
    pen.text(*ring.at(221, 1.3), "D", 10.5, UNIT_COLOURS[3], weight="bold")
    for start, stop in ((78, 132), (188, 254), (310, 382)):  # from unit to unit: away
        half = (start + stop) / 2
        ring.arrow(half, start + 6, GREY, 1.4, 13, far=0.7)
        ring.arrow(half, stop - 6, GREY, 1.4, 13, far=0.7)
    pen.dot(0.02, 0.05, 0.06, face=GREY)
    pen.dot(0.02, 0.25, 0.055, face=GREY, square=True)
    pen.text(0.13, 0.05, "1", 9.5, GREY, ha="left")
    pen.text(0.13, 0.25, "2", 9.5, GREY, ha="left")
    return None


def _decoding(pen: Pen, given) -> str | None:
    if given is not None:
        return _real_scores(pen, given)
    kinds = ((PALETTE[3], False), (PALETTE[9], True))
    pen.mouse(0.34, 0.24, 0.36, GREY)
    pen.text(0.36, 0.55, "labelled", 9.5)
    pen.mouse(0.34, 0.92, 0.36, INK)
    pen.text(0.36, 1.23, "new: ?", 9.5)
    pen.box(0.86, 0.0, 1.26, 1.36, edge=LIGHT, lw=1.2, rounding=0.05)
    places = (
        ((1.05, 0.2), (1.2, 0.42), (1.0, 0.62), (1.3, 0.18)),
        ((1.9, 1.16), (1.94, 0.84), (1.62, 1.2), (1.72, 0.96)),
    )
    for (colour, square), spots in zip(kinds, places):
        for spot in spots:
            pen.dot(*spot, 0.07, face=colour, square=square)
    pen.line([0.92, 2.06], [1.26, 0.16], INK, lw=1.6, ls="--")
    for (colour, square), spot in zip(kinds, ((1.36, 0.5), (1.42, 1.04))):
        pen.dot(*spot, 0.11, edge=colour, lw=2.2, square=square, zorder=4)
        pen.text(*spot, "?", 9.5, weight="bold")
    return None


PARTS = {
    "recording": (
        "Recording",
        "data",
        "units that were recorded\ntogether: a population",
        _recording,
    ),
    "views": ("Two views", "sample", "two windows of seconds;\nsome units are left out", _views),
    "tokens": ("Tokens", "sample", "each unit's window, cut\ninto short pieces", _tokens),
    "time": ("Over time", "encoder", "attention: each unit asks\nits own past and future", _time),
    "population": (
        "Over units",
        "encoder",
        "attention: at each moment\na unit asks the others",
        _population,
    ),
    "vectors": ("Vectors", "encoder", "one for each unit\nin each window", _vectors),
    "contrast": (
        "Contrast",
        "training",
        "the same unit: together;\ndifferent units: apart",
        _contrast,
    ),
    "decoding": (
        "A new animal",
        "use",
        "training is over: a simple\nclassifier reads labels",
        _decoding,
    ),
}
# how many spikes the tokens hold, of most: units by tokens
SHADES = np.array(
    [[0.3, 0.9, 0.5, 0.2], [1.0, 0.4, 0.8, 0.9], [0.2, 0.5, 0.1, 0.3], [0.7, 0.6, 1.0, 0.4]]
)


def _letters(pen: Pen):
    for row, (letter, colour) in enumerate(zip(UNITS, UNIT_COLOURS)):
        pen.text(0.09, 0.145 + 0.31 * row, letter, 10.5, colour, weight="bold")


def _raster(pen: Pen):
    _letters(pen)
    for row, (train, colour) in enumerate(zip(spikes_of_units(), UNIT_COLOURS)):
        pen.ticks(0.28 + 1.82 * train, 0.145 + 0.31 * row, 0.22, colour)


def _dots(pen: Pen, strong) -> Callable[[int, int], tuple[float, float]]:
    """Units by tokens as dots; strong(row, column): in full colour. Returns a dot's place."""

    def where(row: int, column: int) -> tuple[float, float]:
        return 0.42 + 0.51 * column, 0.145 + 0.31 * row

    for row, colour in enumerate(UNIT_COLOURS):
        for column in range(4):
            face = colour if strong(row, column) else "0.87"
            pen.dot(*where(row, column), 0.1, face=face, zorder=3)
    return where


def _checked(part: str, given, *dimensions: int) -> np.ndarray:
    """The array, or an error that says which shape it should have."""
    array = np.asarray(given, dtype=float)
    if array.ndim not in dimensions or not array.size:
        raise ValueError(
            f"arrays[{part!r}] has the shape {array.shape}; it should have"
            f" {' or '.join(map(str, dimensions))} dimensions, none of them empty:"
            " see the documentation of plots.method."
        )
    return array


def _weights(part: str, given) -> np.ndarray:
    """A matrix of attention: who asks, who is asked; of several, the first."""
    array = _checked(part, given, 2, 3)
    if array.shape[-1] != array.shape[-2]:
        raise ValueError(
            f"arrays[{part!r}] has the shape {array.shape}; the last two must be equal."
        )
    return array[0] if array.ndim == 3 else array


def _samples(pen: Pen, x, y, width, height, values: np.ndarray, colour):
    """A unit's samples in their room: counts as spikes, other numbers as a line."""
    place = x + width * (np.arange(len(values)) + 0.5) / len(values)
    if np.array_equal(values, values.round()) and values.min() >= 0:
        pen.ticks(place[values > 0], y + height / 2, 0.8 * height, colour, 0.8)
    else:
        shade = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
        pen.line(place, y + height * (0.9 - 0.8 * shade), colour, 0.9)


def _square(pen: Pen, values: np.ndarray, what: str, colour=INK, both_signs=False, reach=None):
    """A matrix, at its own proportions, with who asks at its side and who is asked below."""
    rows, columns = values.shape
    size = min(1.2 / rows, 1.6 / columns)
    width, height = size * columns, size * rows
    left = (AREA[0] - width) / 2 + 0.1
    # an even share has half the colour at most
    reach = reach or max(float(np.nanmax(values, initial=0.0)), 2 / columns)
    pen.image(left, 0, width, height, values, colour, both_signs, reach)
    of_rows, of_columns = (
        (what.format(1), what.format(2)) if "{}" in what else (f"{what} that asks", "that is asked")
    )
    pen.text(left - 0.12, height / 2, of_rows, 9.5, rotation=90)
    pen.text(left + width / 2, height + 0.12, of_columns, 9.5)


def _real_recording(pen: Pen, recording) -> str:
    if not isinstance(recording, Recording):
        raise ValueError(
            f"arrays['recording'] is of type {type(recording).__name__}; give a Recording."
        )
    units = recording.units.index[:N_ROWS]
    start, stop = recording.intervals[np.argmax(np.diff(recording.intervals)[:, 0])]
    stop = min(stop, start + (10.0 if recording.modality == "spikes" else 60.0))
    height = 1.34 / len(units)
    for row, unit in enumerate(units):
        colour = UNIT_COLOURS[row % len(UNIT_COLOURS)]
        if recording.modality == "spikes":
            train = recording.spike_times(unit)
            train = train[(train >= start) & (train < stop)]
            place = AREA[0] * (train - start) / (stop - start)
            pen.ticks(place, height * (row + 0.5), 0.8 * height, colour, 0.8)
        else:
            first, last = (
                int((at - recording.start_s) * recording.sampling_rate_hz) for at in (start, stop)
            )
            trace = np.asarray(recording.traces[first:last, row], dtype=float)
            _samples(pen, 0, height * row, AREA[0], height, trace, colour)
    return f"{len(units)} of {recording.n_units} units,\n{stop - start:.0f} s"


def _real_views(pen: Pen, given) -> str:
    if len(given) != 2 or any(len(view) != 2 for view in given):
        raise ValueError(
            "arrays['views'] should be two pairs: (tokens (units, L, P), ids (units,))."
        )
    views = [(_checked("views", tokens, 3), np.asarray(ids)) for tokens, ids in given]
    for tokens, ids in views:
        if len(set(ids.tolist())) != len(ids):
            raise ValueError("arrays['views'] has an id twice in a view; give one population.")
        if len(tokens) != len(ids):
            raise ValueError(
                f"arrays['views'] has {len(tokens)} units and {len(ids)} ids in a view."
            )
    everybody = np.union1d(views[0][1], views[1][1])
    shown = everybody[:N_ROWS]
    height, width = 1.2 / len(shown), 1.02
    for at, (tokens, ids) in enumerate(views):
        left, samples = at * 1.12, tokens.shape[1] * tokens.shape[2]
        for row, unit in enumerate(shown):
            found = np.flatnonzero(ids == unit)
            if not len(found):
                pen.box(left, height * row, width, height, face="0.9")
                continue
            values = tokens[found[0]].reshape(samples)
            colour = UNIT_COLOURS[row % len(UNIT_COLOURS)]
            _samples(pen, left, height * row, width, height, values, colour)
        pen.box(left, 0, width, 1.2, edge=INK, lw=1.5, zorder=4)
        pen.text(left + width / 2, 1.33, f"view {at + 1}", 9.5, weight="bold")
    return f"{len(shown)} of {len(everybody)} units;\ngrey: not in this view"


def _real_scores(pen: Pen, given) -> str:
    scores = {str(name): float(score) for name, score in dict(given).items()}
    if not scores or not all(0 <= score <= 1 for score in scores.values()):
        raise ValueError(f"arrays['decoding'] is {scores}; give method -> score from 0 to 1.")
    for row, (name, score) in enumerate(list(scores.items())[:4]):
        y = 0.36 * row
        pen.text(0, y + 0.06, name if len(name) < 29 else name[:27] + "…", 9.5, ha="left")
        pen.box(0, y + 0.15, 1.7, 0.13, face="0.93")
        pen.box(0, y + 0.15, 1.7 * score, 0.13, face=PALETTE[0] if row == 0 else "0.55", zorder=2)
        pen.text(AREA[0], y + 0.21, f"{score:.2f}", 9.5, ha="right", weight="bold")
    return "scores in this notebook;\n1 is the best"
