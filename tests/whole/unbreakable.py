"""What the tests of `test_unbreakable_*` share: which warnings are failures, small encoders, and
what a refusal must say.
"""

from contextlib import contextmanager

import numpy as np
import pytest
from fuzz import MODEL, MODEL_CALCIUM, Refused
from helpers import randomise
from hypothesis import strategies as st

import nuclr_lite as nl

# Ours are UserWarnings; everybody else's are failures.
# where its own warnings are: numpy 2, numpy 1
NUMPYS = "numpy.exceptions" if hasattr(np, "exceptions") else "numpy"
STRICT = [
    pytest.mark.filterwarnings(f"error::{name}")
    for name in (
        "RuntimeWarning",
        "FutureWarning",
        f"{NUMPYS}.ComplexWarning",
        f"{NUMPYS}.VisibleDeprecationWarning",
    )
] + [
    pytest.mark.filterwarnings(f"ignore:{words}:UserWarning")
    for words in (
        ".*no spike in any window",
        ".*scaled by that of their positive",
        ".*traces resampled",
        ".*transpose them",
    )
]
ENCODER, ENCODER_CALCIUM = (randomise(nl.NuCLR(config)) for config in (MODEL, MODEL_CALCIUM))
VALUES = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.just([1, 2]),
    st.dates(),
)
REMEDIES = (
    "give|use|check|remove|make|drop|choose|lower|raise|leave|divide|add|read|look|decode|change"
    "|rename|merge|keep|encode|see"
)


@contextmanager
def refusals():
    """What can't be done ends here: an error of a kind that callers expect, with words that say
    what to do.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        words = str(error)
        assert any(remedy in words.lower() for remedy in REMEDIES.split("|")), (
            f"no remedy: {error!r}"
        )
        assert len(words) < 600
        raise Refused from error
