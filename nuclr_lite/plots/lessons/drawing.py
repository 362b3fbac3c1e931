"""What drawings are made with: a sheet of numbered parts, of which some are in colour and the rest
pale; a pen that draws on one of them, in inches; the units and the mouse that all drawings share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from ..style import PALETTE

# The four units of the drawings: the same colour and letter wherever they appear.
UNITS = "ABCD"
UNIT_COLOURS = [PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[4]]
INK, GREY, LIGHT = "0.15", "0.45", "0.85"
PALE = 0.72  # share of white in a part that is not the subject
MARGIN, GAP, ROWS_APART = 0.10, 0.26, 0.40  # inches, on a sheet


class Part(NamedTuple):
    """A part of a drawing. heading, caption : words. draw : (pen) -> what to say instead of the
    caption, or None. place : one word, where in the whole it belongs.
    """

    heading: str
    caption: str
    draw: Callable[[Pen], str | None]
    place: str = ""


def sheet(
    parts: Mapping[str, Part],
    columns: int,
    room: tuple[float, float],
    highlight: str | Iterable[str] | None = None,
    title: str = "",
    arrows: bool = True,
    lines: int = 2,
    below: float = 0.0,
) -> tuple[Figure, Pen]:
    """Parts in rows, each on a card with its number, heading and caption; arrows from each to the
    next.

    room : inches, for the drawing of a part. highlight : the names of parts in colour, as
        `chosen` takes them. lines : of the captions. below : inches left free at the foot.
    Returns the figure, and a pen that begins where `below` does.
    """
    subjects = chosen(highlight, parts)
    card = room[0] + 0.28, room[1] + 0.72 + 0.24 * lines
    rows = -(-len(parts) // columns)
    width = 2 * MARGIN + columns * card[0] + (columns - 1) * GAP
    above = 0.45 if title else MARGIN
    foot = above + rows * card[1] + (rows - 1) * ROWS_APART + MARGIN
    figure, axes = _page(width, foot + below)
    if title:
        Pen(axes).text(width / 2, 0.24, title, size=13, weight="bold")
    for at, (name, part) in enumerate(parts.items()):
        row, column = divmod(at, columns)
        x, y = MARGIN + column * (card[0] + GAP), above + row * (card[1] + ROWS_APART)
        pen, whole = Pen(axes, x, y, pale=name not in subjects), Pen(axes, x, y)
        subject = bool(highlight) and name in subjects
        edge, lw = (PALETTE[0], 2.4) if subject else ("0.8", 1.0)
        pen.box(0, 0, *card, face="1.0", edge=edge, lw=lw, rounding=0.12, zorder=0)
        pen.heading(0.12, 0.25, part.heading, at + 1 if arrows else None)
        pen.text(card[0] - 0.13, 0.312, part.place, 9.5, GREY, ha="right", va="baseline")
        said = part.draw(pen.at(0.14, 0.49)) or part.caption
        pen.text(card[0] / 2, room[1] + 0.61 + 0.12 * lines, said, 11)
        if not arrows or at + 1 == len(parts):
            continue
        if column + 1 < columns:
            middle = 0.49 + room[1] / 2
            whole.arrow((card[0] + 0.02, middle), (card[0] + GAP - 0.02, middle))
        else:  # from the end of a row to the beginning of the next
            right, left = card[0] / 2, card[0] / 2 - x + MARGIN
            turn, end = card[1] + ROWS_APART / 2, card[1] + ROWS_APART
            whole.line([right, right, left, left], [card[1], turn, turn, end - 0.1], GREY, lw=2)
            whole.arrow((left, end - 0.15), (left, end - 0.02))
    return figure, Pen(axes, 0.0, foot)


def chosen(highlight: str | Iterable[str] | None, parts: Collection[str]) -> list[str]:
    """The names of the parts to be in colour: one, several, or none, which is all. Raises
    ValueError, with the names that there are, for one that isn't.
    """
    names = [highlight] if isinstance(highlight, str) else list(highlight or parts)
    for name in names:
        if name not in parts:
            raise ValueError(f"there is no part {name!r} to highlight; use {', '.join(parts)}.")
    return names


def _page(width: float, height: float) -> tuple[Figure, Axes]:
    """A white page; data coordinates are inches from its upper left corner, y downwards."""
    # Letters and edges make a large file; a notebook's page is no wider than this.
    figure = plt.figure(figsize=(width, height), layout="none", dpi=72)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    # also where the page is cut to what is drawn on it, as notebooks do
    axes.add_patch(Rectangle((0, 0), width, height, facecolor="white", edgecolor="none", zorder=-9))
    return figure, axes


def mixed(colour, white: float) -> tuple[float, ...]:
    """A colour with a share of white, 0 to 1."""
    return tuple(float(one) for one in np.array(to_rgb(colour)) * (1 - white) + white)


class Pen:
    """Draws on one part of a page.

    axes : of the page. x, y : the part's upper left corner, inches; all coordinates count from
        there. pale : the part is not the subject, its colours are mixed with white.
    """

    def __init__(self, axes: Axes, x: float = 0.0, y: float = 0.0, pale: bool = False):
        self.axes, self.x, self.y, self.pale = axes, x, y, pale

    def at(self, x: float, y: float) -> Pen:
        """The same pen for a part of this part."""
        return Pen(self.axes, self.x + x, self.y + y, self.pale)

    def tone(self, colour, white: float = 0.0):
        """The colour that this pen draws instead."""
        return mixed(mixed(colour, white), PALE if self.pale else 0.0)

    def text(self, x, y, words, size=10.5, colour=INK, ha="center", va="center", **more):
        # words stay readable where lines are pale
        colour = mixed(colour, 0.35) if self.pale else colour
        more = {"linespacing": 1.15, "zorder": 6} | more
        self.axes.text(self.x + x, self.y + y, words, size=size, color=colour, ha=ha, va=va, **more)

    def heading(self, x, y, words, number: int | None = None):
        """A bold line, with a number in a disc before it."""
        if number is not None:
            self.dot(x + 0.13, y, 0.14, face=INK, zorder=5)
            self.text(x + 0.13, y + 0.005, str(number), 10.5, "white", weight="bold")
            x += 0.36
        # by the baseline: one height, whatever letters reach below it
        self.text(x, y + 0.062, words, 12.5, ha="left", va="baseline", weight="bold")

    def line(self, xs, ys, colour=INK, lw=1.5, **more):
        more = {"solid_capstyle": "round", "zorder": 2} | more
        self.axes.plot(
            self.x + np.asarray(xs), self.y + np.asarray(ys), color=self.tone(colour), lw=lw, **more
        )

    def ticks(self, xs, y, height, colour=INK, lw=1.4):
        """Spikes: a short upright line at each x, centred on y."""
        top = self.y + y - height / 2
        self.axes.vlines(
            self.x + np.asarray(xs), top, top + height, color=self.tone(colour), lw=lw, zorder=2
        )

    def box(self, x, y, width, height, face=None, edge=None, lw=1.2, rounding=0.0, **more):
        """A rectangle; face, edge: colours, None: none. rounding: radius of its corners."""
        kind = {"zorder": 1, "linewidth": lw} | more
        kind["facecolor"] = "none" if face is None else self.tone(face)
        kind["edgecolor"] = "none" if edge is None else self.tone(edge)
        corner = (self.x + x, self.y + y)
        if rounding:
            style = f"round,pad=0,rounding_size={rounding}"
            self.axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, **kind))
        else:
            self.axes.add_patch(Rectangle(corner, width, height, **kind))

    def dot(self, x, y, radius=0.08, face=None, edge=None, lw=1.2, square=False, **more):
        kind = {"zorder": 3, "linewidth": lw} | more
        kind["facecolor"] = "white" if face is None else self.tone(face)
        kind["edgecolor"] = "none" if edge is None else self.tone(edge)
        middle = (self.x + x, self.y + y)
        if square:
            corner = (middle[0] - radius, middle[1] - radius)
            self.axes.add_patch(Rectangle(corner, 2 * radius, 2 * radius, **kind))
        else:
            self.axes.add_patch(Circle(middle, radius, **kind))

    def arrow(self, start, stop, colour=GREY, lw=2.0, head=12.0, bend=0.0, style="-|>", **more):
        """From start (x, y) to stop (x, y); bend: how far it bows, as a share of its length."""
        self.axes.add_patch(
            FancyArrowPatch(
                (self.x + start[0], self.y + start[1]),
                (self.x + stop[0], self.y + stop[1]),
                arrowstyle=style,
                mutation_scale=head,
                connectionstyle=f"arc3,rad={bend}",
                color=self.tone(colour),
                linewidth=lw,
                shrinkA=0,
                shrinkB=0,
                **({"zorder": 2, "capstyle": "round", "joinstyle": "miter"} | more),
            )
        )

    def cells(self, x, y, values, colours, size, gap=0.0):
        """A table of squares. values (rows, columns), 0 to 1: how full the row's colour is."""
        for row, (shades, colour) in enumerate(zip(np.asarray(values), colours)):
            for column, shade in enumerate(shades):
                self.box(
                    x + column * (size + gap),
                    y + row * (size + gap),
                    size,
                    size,
                    face=mixed(colour, 0.88 * (1 - shade)),
                    edge="white",
                    lw=0.8,
                )

    def image(self, x, y, width, height, values, colour=INK, both_signs=False, reach=None):
        """Real numbers as an image. values (rows, columns); both_signs: blue for negative, red for
        positive, white for 0. reach: the value of the full colour; None: the largest.
        """
        values = np.asarray(values, dtype=float)
        reach = reach or max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-12)
        ramp = LinearSegmentedColormap.from_list("", ["white", colour])
        self.axes.imshow(
            values,
            extent=(self.x + x, self.x + x + width, self.y + y + height, self.y + y),
            cmap="RdBu_r" if both_signs else ramp,
            vmin=-reach if both_signs else 0.0,
            vmax=reach,
            aspect="auto",
            interpolation="nearest",
            alpha=1 - PALE if self.pale else 1.0,
            zorder=1,
        )
        self.box(x, y, width, height, edge=GREY, lw=0.8, zorder=2)

    def mouse(self, x, y, size=0.5, colour=GREY):
        """An animal, seen from the side; x, y: the middle of its body. size: of the body."""
        face = self.tone(colour)
        body = {"facecolor": face, "edgecolor": "none", "zorder": 2}
        at = np.array([self.x + x, self.y + y])
        self.axes.add_patch(Ellipse(tuple(at), size, 0.56 * size, **body))
        nose = np.array([[0.22, -0.2], [0.7, 0.14], [0.22, 0.27]]) * size + at
        self.axes.add_patch(Polygon(nose, **body))
        self.dot(x + 0.27 * size, y - 0.22 * size, 0.14 * size, face=colour, zorder=2)
        self.dot(x + 0.42 * size, y - 0.02 * size, 0.03 * size, zorder=3)
        along = np.linspace(0, 1, 20)
        self.line(
            x - 0.46 * size - 0.42 * size * along,
            y + size * (0.12 + 0.1 * np.sin(5 * along)),
            colour,
            lw=2.2 * size / 0.5,
        )


class Ring:
    """A circle on which vectors lie; angles in degrees, counter-clockwise from the right.

    x, y, radius : inches.
    """

    def __init__(self, pen: Pen, x: float, y: float, radius: float):
        self.pen, self.x, self.y, self.radius = pen, x, y, radius
        pen.dot(x, y, radius, edge=LIGHT, lw=1.6, zorder=1)

    def at(self, degrees: float, far: float = 1.0) -> tuple[float, float]:
        """A point; far: its distance from the middle, in radii."""
        turn, reach = np.deg2rad(degrees), far * self.radius
        return float(self.x + reach * np.cos(turn)), float(self.y - reach * np.sin(turn))

    def arrow(self, start: float, stop: float, colour, lw=2.6, head=20.0, far=1.0):
        """Along the circle."""
        # the head's own length is left out of the line
        points = [self.at(degrees, far) for degrees in np.linspace(start, stop, 30)]
        back = sum(np.hypot(*np.subtract(points, points[-1]).T) < 0.4 * head / 72)
        xs, ys = zip(*points[: 1 - back])
        self.pen.line(xs, ys, colour, lw)
        self.pen.arrow(points[-1 - back], points[-1], colour, 0.0, head)


def spikes_of_units(seed: int = 4, rates=(9, 14, 6, 11)) -> list[np.ndarray]:
    """Made-up spike trains of the four units, times from 0 to 1."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.uniform(0.01, 0.99, rate)) for rate in rates]
