"""A figure that the reader moves, in a notebook that somebody sits at."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def slider(draw: Callable[[Any], Figure], name: str, values: Sequence, at) -> Figure | Moving:
    """A figure below a slider, drawn anew as it moves; where nobody can move it, or without
    ipywidgets, the figure at `at` alone, as an ordinary one.

    draw : value -> Figure. It follows the hand if that takes less than about 0.2 s: work out
        beforehand what all values share. name : what is moved, with its unit. values : the stops.
        at : the one to begin with.
    """
    if at not in values:
        raise ValueError(f"{name} begins at {at}; use one of {', '.join(map(str, values))}.")
    if somebody_is_there() and find_spec("ipywidgets"):
        return Moving(draw, name, values, at)
    return draw(at)


def somebody_is_there() -> bool:
    """Whether a person runs this cell.

    JupyterLab, Colab and the like tell the kernel, with each cell, that it may ask for input; what
    runs notebooks unattended (papermill, nbconvert) tells it that it may not.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    request: dict = getattr(shell, "get_parent", dict)()  # none in a terminal, or in a script
    return request.get("content", {}).get("allow_stdin", False)


class Moving:
    """The slider and its figure, as a cell's output. Each place is drawn once, when it is reached,
    and its axes stay where those of the first one are.
    """

    def __init__(self, draw: Callable[[Any], Figure], name: str, values: Sequence, at):
        import ipywidgets

        first = draw(at)
        pictures = {at: png(first)}  # which also lays it out
        places = [axes.get_position() for axes in first.axes]

        def moved(change):
            value = change["new"]
            if value not in pictures:
                figure = draw(value)
                figure.set_layout_engine("none")  # a third of the time
                for axes, place in zip(figure.axes, places):
                    axes.set_position(place)
                pictures[value] = png(figure)
            self.image.value = pictures[value]

        self.first = pictures[at]
        self.image = ipywidgets.Image(value=self.first, format="png")
        self.slider = ipywidgets.SelectionSlider(
            options=list(values),
            value=at,
            description=name,
            style={"description_width": "initial"},
            layout={"width": "36em", "max_width": "100%"},
        )
        self.slider.observe(moved, "value")
        self.box = ipywidgets.VBox([self.slider, self.image])

    def _repr_mimebundle_(self, **kwargs) -> dict:
        """Also as an image, for pages made of the notebook once it is saved."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "image/png": b64encode(self.first).decode(),
        }


def png(figure: Figure) -> bytes:
    """A figure as it is, neither cut to what is drawn nor, as by `savefig`, drawn twice."""
    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
