"""Drawings of who belongs with whom: populations packed into one tensor, the groups in which
attention is paid, who pulls and who pushes in the loss. Each returns a Figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure
from .drawing import GREY, INK, UNIT_COLOURS, UNITS, Part, Pen, Ring, mixed, sheet

SIZES, ANIMALS = (3, 2, 4), (PALETTE[0], PALETTE[1], PALETTE[2])


@styled_figure
def packed_populations(highlight: str | Iterable[str] | None = None, title: str = "") -> Figure:
    """Three populations of 3, 2 and 4 units: as they are recorded, packed into one tensor, side by
    side under a mask, and who may ask whom.

    highlight : 'recorded', 'packed', 'padded', 'asked', or several: in colour, the rest pale. None:
        all in colour. Raises ValueError for another name.
    """
    return sheet(PACKING, 4, (2.14, 1.75), highlight, title)[0]


def _recorded(pen: Pen):
    y = 0.0
    for colour, size in zip(ANIMALS, SIZES):
        pen.mouse(0.46, y + 0.075 * size, 0.4, colour)
        pen.cells(1.05, y, np.ones((size, 4)), [colour] * size, 0.15)
        y += 0.15 * size + 0.2


def _packed(pen: Pen):
    y, cell = 0.0, 0.19
    for colour, size in zip(ANIMALS, SIZES):
        pen.cells(0.95, y, np.ones((size, 4)), [colour] * size, cell)
        ends = y + np.array([0.03, 0.03, cell * size - 0.03, cell * size - 0.03])
        pen.line([0.86, 0.8, 0.8, 0.86], ends, INK, 1.3)
        pen.text(0.72, y + cell * size / 2, str(size), 11, ha="right", weight="bold")
        y += cell * size
    pen.text(0.36, y / 2, "sizes", 10.5, GREY, rotation=90)


def _padded(pen: Pen):
    for column, (colour, size) in enumerate(zip(ANIMALS, SIZES)):
        for row in range(max(SIZES)):
            x, y = 0.5 + 0.43 * column, 0.03 + 0.35 * row
            if row < size:
                pen.box(x, y, 0.27, 0.27, face=colour)
            else:
                pen.box(x, y, 0.27, 0.27, face="1.0", edge="0.7")
                pen.text(x + 0.135, y + 0.135, "×", 11, GREY)
    pen.text(1.07, 1.65, "one token", 9.5, GREY)


def _asked(pen: Pen):
    room, left = 1.48, 0.42
    cell = room / sum(SIZES)
    pen.box(left, 0.02, room, room, face="0.95", edge="0.75", lw=1)
    start = 0.0
    for colour, size in zip(ANIMALS, SIZES):
        pen.cells(left + start, 0.02 + start, np.ones((size, size)), [colour] * size, cell)
        start += cell * size
    pen.text(left - 0.13, 0.76, "who asks", 9.5, rotation=90)
    pen.text(left + 0.74, 1.65, "who is asked", 9.5)


PACKING = {
    "recorded": Part("Populations", "recorded apart,\nof 3, 2 and 4 units", _recorded),
    "packed": Part("Packed", "one tensor of 9 rows; over\ntime, each row by itself", _packed),
    "padded": Part("Side by side", "over units: 3 × 4 places,\na mask says who is there", _padded),
    "asked": Part("Who asks whom", "at each token, within a\npopulation; never across", _asked),
}


@styled_figure
def attention_groups(over_time, over_units, names, words, title: str = "") -> Figure:
    """The same tokens attend twice: over time, each unit by itself, and over units, each token by
    itself; with the weights of every group.

    over_time : (U, L, L) weights; row, the token that asks. over_units : (L, U, U); row, the unit
        that asks. Rows sum to 1. names : (U,) of the units. words : (U, L) what stands in each
        token. There is room for three units and two tokens.
    """
    over_time, over_units = np.asarray(over_time, float), np.asarray(over_units, float)
    n_units, n_tokens = len(over_time), len(over_units)
    if over_time.shape != (n_units, n_tokens, n_tokens) or over_units.shape != (
        n_tokens, n_units, n_units,
    ):  # fmt: skip
        raise ValueError(
            f"over_time has the shape {over_time.shape} and over_units {over_units.shape}; they"
            " should be (units, tokens, tokens) and (tokens, units, units)."
        )
    if n_units > 3 or n_tokens > 2:
        raise ValueError(
            f"{n_units} units and {n_tokens} tokens; there is room for three units and two tokens."
        )
    parts = {
        "time": Part(
            "Over time: each unit by itself",
            f"{n_units} groups of {n_tokens} tokens; row: who asks, column: who is asked",
            partial(_groups, weights=over_time, names=names, words=words, by_unit=True),
        ),
        "units": Part(
            "Over units: each token by itself",
            f"{n_tokens} groups of {n_units} units; row: who asks, column: who is asked",
            partial(_groups, weights=over_units, names=names, words=words, by_unit=False),
        ),
    }
    return sheet(parts, 2, (4.75, 0.62 * n_units + 0.45), None, title, arrows=False, lines=1)[0]


def _groups(pen: Pen, weights, names, words, by_unit):
    """Tokens, framed by group; beside them a matrix of weights for each group."""
    n_units, n_tokens = len(names), len(words[0])
    colour = PALETTE[0] if by_unit else PALETTE[1]
    wide, high, left, top = 0.74, 0.62, 0.3, 0.34
    for row in range(n_units):
        pen.text(0.12, top + high * (row + 0.5), names[row], 11, UNIT_COLOURS[row], weight="bold")
        for column in range(n_tokens):
            x, y = left + wide * (column + 0.5), top + high * (row + 0.5)
            pen.dot(x, y, 0.235, face=mixed(UNIT_COLOURS[row], 0.7), lw=0, zorder=2)
            pen.text(x, y, words[row][column], 9.5)
    for column in range(n_tokens):
        pen.text(left + wide * (column + 0.5), 0.14, f"token {column}", 9.5, GREY)
    frame = {"edge": colour, "lw": 2.2, "rounding": 0.1, "zorder": 4}
    for at in range(n_units if by_unit else n_tokens):
        if by_unit:
            pen.box(left, top + high * at + 0.03, wide * n_tokens, high - 0.06, **frame)
        else:
            pen.box(left + wide * at + 0.04, top, wide - 0.08, high * n_units, **frame)
    start, room = left + wide * n_tokens + 0.42, 4.75 - (left + wide * n_tokens + 0.42)
    pen.arrow((start - 0.38, top + high * n_units / 2), (start - 0.1, top + high * n_units / 2))
    for at, matrix in enumerate(weights):
        size = len(matrix)
        if by_unit:  # one beside each row
            cell = (min(0.62, room / size), (high - 0.08) / size)
            x, y = start + 0.35, top + high * at + 0.04
            pen.text(x - 0.2, y + (high - 0.08) / 2, names[at], 11, UNIT_COLOURS[at], weight="bold")
        else:  # side by side
            width = (room - 0.12 * (len(weights) - 1)) / len(weights)
            cell = (width / size, min(0.5, high * n_units / size))
            x, y = start + at * (width + 0.12), top
            pen.text(x + width / 2, 0.14, f"token {at}", 9.5, GREY)
        for row in range(size):
            for column in range(size):
                share = float(matrix[row, column])
                pen.box(
                    x + cell[0] * column, y + cell[1] * row, *cell,
                    face=mixed(colour, 1 - 0.75 * share), edge="white",
                )  # fmt: skip
                pen.text(
                    x + cell[0] * (column + 0.5), y + cell[1] * (row + 0.5), f"{share:.2f}", 9.5
                )


@styled_figure
def pull_and_push(temperature: float = 0.2, title: str = "") -> Figure:
    """What the loss does to vectors on a circle: matched units pull together; one unit is pushed
    by all others, the nearest most (lines as thick as their share, similarities within the own
    view not divided by the temperature, as in the published numbers); where it leads.

    temperature : of the loss, above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0.")
    parts = {
        "pull": Part("Pull", "attraction: the two vectors of a\nunit, drawn together", _pull),
        "push": Part(
            "Push",
            "repulsion of A (ringed): the\nnearest of the others push most",
            partial(_push, temperature=temperature),
        ),
        "end": Part("Where it leads", "each unit is found again,\namong all the others", _end),
    }
    figure, foot = sheet(parts, 3, (2.9, 2.2), None, title, below=0.36)
    for x, word, square in ((1.3, "view 1", False), (2.6, "view 2", True)):
        foot.dot(x, 0.14, 0.09, face=GREY, square=square)
        foot.text(x + 0.18, 0.14, word, 10.5, ha="left")
    foot.dot(3.9, 0.14, 0.09, face=UNIT_COLOURS[3])
    foot.text(
        4.08,
        0.14,
        "D is in view 1 only: nobody looks for it, all are told apart from it",
        10.5,
        ha="left",
    )
    return figure


# degrees on the circle, of each unit's vector in each view
BEFORE = {
    1: {"A": 22.0, "B": 122.0, "C": 252.0, "D": 185.0},
    2: {"A": 338.0, "B": 72.0, "C": 300.0},
}
AFTER = {1: {"A": 18.0, "B": 108.0, "C": 288.0, "D": 198.0}, 2: {"A": 10.0, "B": 100.0, "C": 280.0}}


def _ring(pen: Pen, places, away=1.24) -> Ring:
    """The circle with its vectors; away: of their letters, in radii, 0: without."""
    ring = Ring(pen, 1.22, 1.12, 0.84)
    for view, units in places.items():
        for letter, degrees in units.items():
            colour = UNIT_COLOURS[UNITS.index(letter)]
            pen.dot(*ring.at(degrees), 0.1, face=colour, square=view == 2, zorder=5)
            if away:
                name = letter + "′" * (view == 2)
                pen.text(*ring.at(degrees, away), name, 11, colour, weight="bold")
    return ring


def _pull(pen: Pen):
    ring = _ring(pen, BEFORE)
    for letter, there in BEFORE[2].items():
        here, colour = BEFORE[1][letter], UNIT_COLOURS[UNITS.index(letter)]
        way = (there - here + 180) % 360 - 180
        ring.arrow(here, here + 0.45 * way, colour, 3.2, 26)
        ring.arrow(there, there - 0.45 * way, colour, 3.2, 26)


def _push(pen: Pen, temperature):
    ring, here = _ring(pen, BEFORE, away=1.31), BEFORE[1]["A"]
    others = [
        (view, letter, degrees)
        for view, units in BEFORE.items()
        for letter, degrees in units.items()
        if letter != "A"
    ]
    score = np.array(
        [
            np.cos(np.deg2rad(degrees - here)) / (temperature if view == 2 else 1.0)
            for view, _, degrees in others
        ]
    )
    share = np.exp(score - score.max())
    share /= share.sum()
    for (_, letter, degrees), part in zip(others, share):
        colour = UNIT_COLOURS[UNITS.index(letter)]
        xs, ys = zip(ring.at(here), ring.at(degrees))
        pen.line(xs, ys, colour, 0.8 + 9 * part, alpha=0.7)
        if part == share.max():
            pen.text(*ring.at((here + degrees) / 2, 0.62), f"{part:.0%}", 10, colour, weight="bold")
    pen.dot(*ring.at(here), 0.15, edge=INK, lw=2, zorder=4)
    pen.text(2.42, 1.83, "A′ is its match:\nno push", 9.5, GREY)


def _end(pen: Pen):
    ring = _ring(pen, AFTER, away=0)
    for letter, degrees in AFTER[1].items():
        middle = (degrees + AFTER[2].get(letter, degrees)) / 2
        colour = UNIT_COLOURS[UNITS.index(letter)]
        pen.text(*ring.at(middle, 1.24), letter, 11, colour, weight="bold")
