"""Progress bars for long work, in a terminal or a notebook; none where TQDM_DISABLE is set (CI)."""

import os

from tqdm.auto import tqdm


def progress(*args, **options) -> tqdm:
    """`tqdm.auto.tqdm`. (Its notebook form shows an empty bar unless it is told so in person.)"""
    return tqdm(
        *args,
        disable=options.pop("disable", False) or bool(os.environ.get("TQDM_DISABLE")),
        **options,
    )
