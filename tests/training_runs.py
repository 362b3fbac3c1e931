"""A short training, whole and broken off."""

import pandas as pd
import pytest
import torch
from helpers import TINY, spikes

import nuclr_lite as nl

# 29 pairs (or so) an epoch of 8: 3 batches; 7 steps are two epochs and a bit.
ONE = TINY.with_(steps=7)


@pytest.fixture(scope="module")
def recording():
    return spikes(n_units=6, name="one")


@pytest.fixture(scope="module")
def whole(recording) -> nl.Pretrained:
    """ONE without a break."""
    return nl.pretrain([recording], ONE)


def assert_same(one: nl.Pretrained, other: nl.Pretrained):
    """Bit for bit: weights of the encoder and the projector, and the history."""
    for module in ("encoder", "loss"):
        state, expected = (getattr(pretrained, module).state_dict() for pretrained in (one, other))
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)


class Break(Exception):
    pass


def interrupt(patch, after_updates: int):
    """Let the optimiser step that follows `after_updates` others raise."""
    step, done = torch.optim.AdamW.step, []

    def failing(self, *args, **kwargs):
        if len(done) == after_updates:
            raise Break
        done.append(1)
        return step(self, *args, **kwargs)

    patch.setattr(torch.optim.AdamW, "step", failing)


def checkpoint_names(folder):
    return sorted(path.name for path in folder.iterdir())
