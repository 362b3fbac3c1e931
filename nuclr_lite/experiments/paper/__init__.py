"""The paper's experiments, row by row: `ROWS`, `table()`, `run_row`.

A row is one published number, or one that its lists define: who is pretrained on, which units are
learned from, which are tested, what chooses the epoch, by which classifier. Each is reported twice:
*as published*, with every habit of the authors' code, and *as we would*: the last step, animals in
place of sessions, one classifier. Sessions, mice and probes are named in the CSV files here, which
are facts with their source.

    python -m nuclr_lite paper                                      # the rows, and what each needs
    python -m nuclr_lite paper allen-cell-types --source RECORDINGS

Lives here: a file a data set with its rows (`allen`, `ibl`, `steinmetz`, `bugeon`), what a row is
(`row`), how it is scored (`scoring`), how it is run (`running`), the list of them (`rows`).
May import what `experiments/` may; nothing but the command line imports it.
"""

from .row import Row
from .rows import ROWS, table
from .running import run_row
from .scoring import Fold

__all__ = ["ROWS", "Fold", "Row", "run_row", "table"]
