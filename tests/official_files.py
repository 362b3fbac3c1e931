"""Checkpoints as the authors write them, in both layouts."""

import math

import numpy as np
import torch
from helpers import randomise

import nuclr_lite as nl

LAYOUTS = {  # where each half of st_blocks.i lies, and what tells the files apart
    "nuclr": ({"temporal": 0, "spatial": 2}, "loss_state_dict"),
    "brainwidebench": ({"spatial": 0, "temporal": 2}, "ssl_loss_state_dict"),
}
OFFICIAL = {
    "attention.norm": (0, "norm"),
    "attention.qkv": (0, "to_qkv"),
    "attention.out": (0, "to_out"),
    "feed_forward.norm": (1, "norm"),
    "feed_forward.widen": (1, "in_proj"),
    "feed_forward.narrow": (1, "out_proj"),
}


def model(**changes) -> nl.NuCLR:
    config = dict(dim=16, heads=2, head_dim=8, temporal_layers=1, spatiotemporal_layers=2) | changes
    return randomise(nl.NuCLR(nl.ModelConfig(**config)))


def official_state(encoder: nl.NuCLR, layout: str) -> dict:
    """An encoder's weights by the authors' names."""
    config, state = encoder.config, {}
    for name, value in encoder.state_dict().items():
        kind, *parts = name.split(".")
        if kind == "temporal":  # temporal.0.attention.qkv.weight
            entry, layer = OFFICIAL[".".join(parts[1:3])]
            name = f"t_blocks.{parts[0]}.{entry}.{layer}.{parts[3]}"
        elif kind == "spatiotemporal":  # spatiotemporal.0.spatial.attention.qkv.weight
            entry, layer = OFFICIAL[".".join(parts[2:4])]
            name = f"st_blocks.{parts[0]}.{LAYOUTS[layout][0][parts[1]] + entry}.{layer}.{parts[4]}"
        state[name] = value
    turning = round(config.head_dim * config.rotary_fraction / 2)
    periods = np.logspace(0, np.log10(8 * config.tokens_per_window), turning)
    omega = np.concatenate([2 * math.pi / periods, np.zeros(config.head_dim // 2 - turning)])
    return state | {"rotary_emb.omega": torch.tensor(omega, dtype=torch.float32)}


def checkpoint(path, state, layout="nuclr", **extra):
    torch.save(
        {
            "model_state_dict": state,
            LAYOUTS[layout][1]: {"projector.0.weight": torch.ones(3)},
            "epoch": 7,
            **extra,
        },
        path,
    )
    return path
