"""The command `nuclr-lite` (`python -m nuclr_lite` is the same), a file a subcommand.

A subcommand's file has three things: its docstring, whose first line is its help and which ends
with examples; `add_options(parser)`; and `run(options)`, which returns None or 0 when all is done,
and 1 when somebody must look. What can't be done is raised, as everywhere else: `line.main` makes
one sentence of it.

Lives here: the subcommands; `line`, which finds the one that is meant; `options` and `tables`,
which they share. May import everything; nothing but `__main__` imports it. What is heavy is
imported where it is used, so that `--help` is there at once.
"""

NAMES = (
    "predict",
    "embed",
    "check",
    "pretrain",
    "run",
    "experiments",
    "paper",
    "brainwidebench",
    "download",
    "info",
)
