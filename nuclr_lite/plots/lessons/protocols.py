"""Drawings of what is kept from whom: the three protocols, and the way of an Allen session, whose
light makes labels and never reaches a recording. Each returns a Figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from ..style import PALETTE, styled_figure
from .drawing import GREY, INK, UNIT_COLOURS, Part, Pen, mixed, sheet

SEEN, KNOWN, ASKED = PALETTE[0], "0.35", PALETTE[3]


@styled_figure
def protocols(highlight: str | Iterable[str] | None = None, title: str = "") -> Figure:
    """What each protocol holds out: three animals of four units; framed, whose activity the encoder
    was trained on; filled, whose label the classifier was taught; with a question mark, whose label
    is asked.

    highlight : 'transductive', 'transductive zero-shot' or 'inductive zero-shot', or several: in
        colour, the rest pale. None: all in colour. Raises ValueError for another name.
    """
    parts = {
        name: Part(name.capitalize(), caption, partial(_animals, seen=seen, asked=asked))
        for name, (seen, asked, caption) in PROTOCOLS.items()
    }
    figure, foot = sheet(parts, 3, (2.9, 1.95), highlight, title, arrows=False, below=0.42)
    foot.box(0.14, 0.06, 0.42, 0.22, face=mixed(SEEN, 0.85), edge=SEEN, lw=1.6, rounding=0.06)
    foot.text(0.66, 0.17, "encoder trained on this activity", 10.5, ha="left")
    foot.dot(3.98, 0.17, 0.12, face=KNOWN)
    foot.text(4.2, 0.17, "label taught to the classifier", 10.5, ha="left")
    foot.dot(7.2, 0.17, 0.12, face="1.0", edge=ASKED, lw=2)
    foot.text(7.2, 0.17, "?", 10.5, ASKED, weight="bold")
    foot.text(7.42, 0.17, "label asked: the score", 10.5, ha="left")
    return figure


# protocol -> animals that the encoder saw; units asked, of each animal; the question
PROTOCOLS = {
    "transductive": (
        3,
        ({3}, {1}, {2}),
        "other units of animals\nof which labels are known",
    ),
    "transductive zero-shot": (
        3,
        (set(), set(), {0, 1, 2, 3}),
        "an animal whose activity\nwas seen, and no label",
    ),
    "inductive zero-shot": (
        2,
        (set(), set(), {0, 1, 2, 3}),
        "an animal that neither\nencoder nor classifier saw",
    ),
}


def _animals(pen: Pen, seen: int, asked: tuple[set[int], ...]):
    """Rows of units, an animal each; those that the encoder saw are framed together."""
    row, top = 0.64, 0.08
    pen.box(
        0.02, top - 0.02, 2.86, row * seen - 0.1, face=mixed(SEEN, 0.88), edge=SEEN, lw=1.8,
        rounding=0.1,
    )  # fmt: skip
    for animal, questions in enumerate(asked):
        y = top + row * animal + 0.25
        pen.mouse(0.52, y, 0.44, GREY)
        for unit in range(4):
            x = 1.22 + 0.44 * unit
            if unit in questions:
                pen.dot(x, y, 0.155, face="1.0", edge=ASKED, lw=2.2)
                pen.text(x, y, "?", 11.5, ASKED, weight="bold")
            else:
                pen.dot(x, y, 0.15, face=KNOWN)


@styled_figure
def session_journey(highlight: str | Iterable[str] | None = None, title: str = "") -> Figure:
    """The way of one session of the Allen Visual Coding Neuropixels set, from the Institute's
    bucket to recordings: what is kept, what is left out, where the label comes from.

    highlight : 'bucket', 'session', 'units', 'time', 'label', 'recordings', or several: in colour,
        the rest pale. None: all in colour. Raises ValueError for another name.
    """
    return sheet(JOURNEY, 3, (2.9, 1.3), highlight, title)[0]


def _bucket(pen: Pen):
    side = np.array([[0.3, 0.45], [1.2, 0.95], [1.2, 0.95], [0.3, 0.45]])
    pen.line([side[0, 0], 0.4, 1.1, side[1, 0]], [0.1, 1.2, 1.2, 0.1], GREY, 2.5)
    pen.line([0.3, 1.2], [0.1, 0.1], GREY, 2.5)
    for row in range(3):
        for column in range(4):
            mine = (row, column) == (1, 2)
            pen.box(
                0.43 + 0.165 * column, 0.24 + 0.3 * row, 0.13, 0.22,
                face=PALETTE[0] if mine else "0.8", rounding=0.02,
            )  # fmt: skip
    pen.text(1.34, 0.12, "one file: 1.7 to 3.3 GB", 10, ha="left")
    pen.box(1.38, 0.3, 1.4, 0.3, face="0.9", edge="0.6")
    pen.box(1.38, 0.3, 0.17, 0.3, face=PALETTE[0])
    pen.text(1.38, 0.78, "about a tenth is read,", 10, PALETTE[0], ha="left")
    pen.text(1.38, 1.0, "where it lies", 10, PALETTE[0], ha="left")


def _session(pen: Pen):
    for probe in range(6):
        x = 0.25 + 0.26 * probe
        pen.line([x, x], [0.05, 1.05], GREY, 3)
        pen.line([x, x], [1.05, 1.22], GREY, 1.2)
        for depth, colour in ((0.22, PALETTE[0]), (0.62, PALETTE[7]), (0.9, PALETTE[7])):
            pen.dot(x + 0.075, depth + 0.02 * (probe % 3), 0.05, face=colour)
    pen.text(1.78, 0.26, "visual cortex", 10, PALETTE[0], ha="left")
    pen.text(1.78, 0.78, "thalamus,", 10, GREY, ha="left")
    pen.text(1.78, 0.98, "hippocampus", 10, GREY, ha="left")


def _units(pen: Pen):
    reasons = (
        ("amplitude cutoff ≤ 0.1", {3}),
        ("presence ratio ≥ 0.95", {1, 5}),
        ("ISI violations ≤ 0.5", {2}),
    )
    for row, (reason, out) in enumerate(reasons):
        y = 0.2 + 0.44 * row
        for column in range(6):
            x = 0.08 + 0.2 * column
            left = column in out
            pen.dot(x, y, 0.075, face="0.88" if left else PALETTE[0])
            if left:
                pen.text(x, y, "×", 12, INK)
        pen.text(1.22, y, reason, 9.5, ha="left")


def _time(pen: Pen):
    pen.box(0.05, 0.3, 2.8, 0.34, face="0.9")
    for left, right in ((0.05, 0.6), (0.72, 1.42), (1.5, 1.98)):
        pen.box(left, 0.3, right - left, 0.34, face=PALETTE[0])
    pen.text(0.95, 0.13, "valid time", 10, PALETTE[0])
    for x in 2.5 + 0.07 * np.arange(5):
        pen.line([x, x], [0.22, 0.72], PALETTE[8], 2.5)
    pen.text(2.6, 0.12, "light", 10, INK)
    for x in (0.66, 1.46):
        pen.line([x, x], [0.68, 0.84], GREY, 1.2)
    pen.text(1.02, 0.97, "silent or\ndeclared invalid", 9.5, GREY)
    pen.arrow((2.48, 0.82), (2.0, 0.82), INK, 1.4, 9, style="<|-|>")
    pen.text(2.34, 1.0, "300 s", 10, INK)


def _label(pen: Pen):
    pen.box(0.56, 0.02, 0.2, 1.14, face=mixed(PALETTE[8], 0.3))
    rng = np.random.default_rng(1)
    for row in range(8):
        y = 0.09 + 0.143 * row
        for left, colour, late in ((0.1, UNIT_COLOURS[1], 0.1), (1.65, GREY, None)):
            pen.ticks(left + rng.uniform(0, 1.1, 2), y, 0.11, colour, 1.2)
            if late is not None:
                pen.ticks([0.6 + late + rng.normal(0, 0.02)], y, 0.11, colour, 1.6)
    pen.box(2.11, 0.02, 0.2, 1.14, face=mixed(PALETTE[8], 0.3))
    pen.text(0.66, 1.28, "answers at once: Sst", 9.5)
    pen.text(2.2, 1.28, "doesn't: no label", 9.5)


def _recordings(pen: Pen):
    rng = np.random.default_rng(2)
    for probe in range(3):
        x = 0.02 + 0.98 * probe
        pen.box(x, 0.02, 0.88, 0.92, edge=PALETTE[0], lw=1.6, rounding=0.05)
        for row in range(5):
            pen.ticks(x + 0.06 + 0.76 * rng.random(9), 0.15 + 0.165 * row, 0.11, PALETTE[0], 1.1)
        pen.text(x + 0.44, 1.1, f"probe {'ABC'[probe]}", 10)


JOURNEY = {
    "bucket": Part("Bucket", "58 sessions of 58 mice lie\non the Institute's server", _bucket),
    "session": Part("Session", "up to six probes at once,\n2.5 hours of stimuli", _session),
    "units": Part("Units", "sorted well enough,\nof visual cortex", _units),
    "time": Part("Time", "no gaps, and nothing from\n300 s before the first light", _time),
    "label": Part("Label", "light drives one cell type:\nonly the label is kept", _label),
    "recordings": Part(
        "Recordings", "one for each probe: a folder\nof spike times and labels", _recordings
    ),
}
