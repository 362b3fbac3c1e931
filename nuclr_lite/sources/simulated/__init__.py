"""Simulated recordings, where the truth is known: animals, and files as the Allen Institute would
write them.

Lives here: `worlds`, the constants; `populations`, the animals; `allen_session` (with
`allen_light` and `allen_session_file`) and `allen_two_photon`, the files.
May import what `sources/` may. Needs no torch.
"""

from .populations import simulate_recordings
from .worlds import CALCIUM, SPIKES, WORLDS, Kind, SimulationConfig

__all__ = ["CALCIUM", "SPIKES", "WORLDS", "Kind", "SimulationConfig", "simulate_recordings"]
