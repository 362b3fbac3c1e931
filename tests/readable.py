"""Can the words of a figure be read?"""

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.transforms import Bbox


def assert_texts_readable(figure: Figure):
    """No text put into a figure covers another, leaves the page, or crosses the edge of a card (a
    rounded box at the very back).
    """
    figure.draw_without_rendering()
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in (*figure.texts, *(text for axes in figure.axes for text in axes.texts))
        if text.get_visible() and text.get_text().strip()
    ]
    cards = [
        box.get_window_extent()
        for axes in figure.axes
        for box in axes.patches
        if isinstance(box, FancyBboxPatch) and box.get_zorder() == 0
    ]
    for words, box in boxes:
        assert figure.bbox.containsx(box.x0) and figure.bbox.containsx(box.x1), words
        assert figure.bbox.containsy(box.y0) and figure.bbox.containsy(box.y1), words
        for card in cards:
            shared = Bbox.intersection(card, box)
            # a pixel more or less is rounding
            assert (
                shared is None
                or (shared.width > box.width - 1 and shared.height > box.height - 1)
                or min(shared.width, shared.height) < 1
            ), f"{words!r} crosses the edge of its card"
    for (one, first), (other, second) in combinations(boxes, 2):
        shared = Bbox.intersection(first, second)
        assert shared is None or min(shared.width, shared.height) < 1, f"{one!r} covers {other!r}"
