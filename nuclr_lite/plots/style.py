"""What all figures share: colours that the colour-blind can tell apart, one style, names that say
when data are simulated.
"""

from __future__ import annotations

from functools import wraps

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from ..recording import Recording

PALETTE = sns.color_palette("colorblind")
STYLE = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("notebook"),
    "figure.facecolor": "white",
    "figure.dpi": 90,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def styled_figure(draw):
    """Draw in the common style, whatever the user's own settings, and don't show the figure twice
    in a notebook.
    """

    @wraps(draw)
    def drawn(*args, **kwargs) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        plt.close(figure)
        return figure

    return drawn


def colours(labels) -> dict:
    """Label -> colour, the same in every figure for the same set of labels."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(set(labels), key=str))}


def named(recording: Recording) -> str:
    """The recording's id, for titles; simulated data say so."""
    said = (
        f"{recording.provenance.get('source')} {recording.provenance.get('institution')}"
        f" {recording.recording_id}"
    )
    return recording.recording_id + (
        " (simulated)" if "simulated" in said and "simulated" not in recording.recording_id else ""
    )
