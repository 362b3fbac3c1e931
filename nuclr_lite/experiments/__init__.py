"""Comparisons that can be left and gone on with: `Experiment` says what is compared, `run` does it.

Lives here: experiments, their methods (baselines among them), their data, what follows from their
results. May import everything but `plots/`; nothing but `plots/` and the command line imports it.
"""

from .animals import Animals, animals
from .experiment import Experiment
from .methods import Method
from .running import cell_folder, predictions, recordings, run, trained

__all__ = [
    "Animals",
    "Experiment",
    "Method",
    "animals",
    "cell_folder",
    "predictions",
    "recordings",
    "run",
    "trained",
]
