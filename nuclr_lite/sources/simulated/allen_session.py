"""Simulated sessions in the file format of the Allen Visual Coding Neuropixels set, so that
whatever reads the real ones can be tried without them.

The population is that of `simulated`: what a unit is shows only in how it goes with the others.
Around it comes what makes a real session a session: probes and channels with areas, units that fail
quality control, stimulus blocks, invalid times, a stretch in which a probe falls silent, and, in
animals that express channelrhodopsin in one type (genotype with Ai32), light pulses at the end, to
which units of that type respond.

Needs h5py alone; AllenSDK opens the file like one of its own. Nothing in it was measured, and it
says so (general/institution).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.progress import progress
from ...files.storage import atomic_file
from .allen_light import light_pulses, light_responses, lit
from .allen_session_file import CHANNELS, SessionWriter
from .populations import draw_units, poisson_spikes, shared_latents, unit_rates
from .worlds import SPIKES, Kind, SimulationConfig

# from the surface down; further probes begin anew
AREAS_OF_PROBE = (("VISp", "VISl", "CA1"), ("VISal", "VISp", "LGd"), ("VISl", "VISal", "CA3"))
AREA_SHARE = (0.45, 0.35, 0.2)
OTHER_AREA = Kind(strength=0.0, lag_s=0.0, sign=+1, share=0.2)
# from the end of the usable time to the first pulse: what a reader must keep away from it
LIGHT_DELAY_S = 300.0
UNITS_AT_ONCE = 16  # rates of so many units are in memory together


def simulate_allen_session(
    path: str | Path,
    *,
    n_units: int = 120,
    duration_s: float = 900.0,
    genotype: str = "Sst-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt",
    seed: int = 0,
    animal: int = 0,
    session_id: int | None = None,
    n_probes: int = 2,
    light_repeats: int = 10,
    config: SimulationConfig = SPIKES,
) -> Path:
    """Write the session of one simulated animal.

    Parameters
    ----------
    path : the file to write, usually ending in .nwb. n_units : on all probes together, those that
        fail quality control among them.
    duration_s : before the light (s); with Ai32 in the genotype, 300 s without pulses follow, and
        the pulses.
    genotype : of a Pvalb-, Sst- or Vip-Cre; Ai32 animal: units of that type respond to light.
        'wt/wt': no light.
    seed, animal : animal k of a seed has time constants, rhythm and couplings of its own.
    session_id : None: from seed and animal. light_repeats : of each kind of pulse (three durations)
        at each of three levels.
    config : the population, as in `simulate_recordings`; its duration, blocks and number of units
        are set here.

    Returns
    -------
    Path. `simulated_truth(path)` tells what each unit is and how it responds to light.

    Raises
    ------
    ValueError : fewer than 12 units a probe, less than 60 s, or another number that makes no sense.
        FileExistsError : there is a file already.
    """
    path = Path(path).expanduser()
    if path.exists():
        raise FileExistsError(f"{path} exists already; choose another name, or delete it first.")
    if not (
        1 <= n_probes <= 10
        and n_units >= 12 * n_probes
        and 60 <= duration_s < np.inf
        and light_repeats >= 1
        and 0 <= animal < 1000
    ):
        raise ValueError(
            f"n_units={n_units}, n_probes={n_probes}, duration_s={duration_s},"
            f" light_repeats={light_repeats}, animal={animal}: give at least 12 units a probe, 1 to"
            " 10 probes, 60 s, one light pulse of each kind, and an animal from 0 to 999."
        )
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "writing a simulated session needs h5py, which is not installed: pip install h5py"
        ) from error
    rng = np.random.default_rng([seed, animal, 2])
    number = animal + 1000 * seed
    session_id = 900_000_001 + number if session_id is None else session_id
    light = (
        light_pulses(duration_s + LIGHT_DELAY_S, light_repeats, rng) if "Ai32" in genotype else None
    )
    total_s = duration_s if light is None else float(light["stop_time"].iloc[-1]) + 5.0
    block_s = duration_s / 6
    config = replace(
        config,
        n_units=(n_units, n_units),
        duration_s=total_s,
        stimulus_block_s=block_s,
        movie_s=min(config.movie_s, block_s / 2),
        areas=config.areas | {area: OTHER_AREA for area in ("CA1", "CA3", "LGd")},
    )
    channels = _channels(n_probes, number)
    units, traits = draw_units(config, rng)
    units = _place_units(units, channels, config, traits, rng).set_axis(
        950_000_000 + number * 10_000 + np.arange(n_units), axis=0
    )
    units["light_response"] = light_responses(units["cell_type"], genotype, light, rng)
    shared, blocks = shared_latents(units, traits, config, rng)
    invalid, silent = _missing_data(duration_s, session_id, channels)

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial, h5py.File(partial, "w") as file:
        writer = SessionWriter(file, str(session_id))
        writer.session(session_id, genotype, number, channels)
        writer.running(total_s, rng)
        writer.stimuli(
            _presentations(blocks[blocks["start_s"] < duration_s - 1e-6]), invalid, light
        )
        firing_rate = writer.spikes(
            units, _spike_trains(units, traits, shared, config, light, invalid, silent, rng), rng
        )
        writer.units(units.assign(firing_rate=firing_rate), channels, rng)
    return path


def simulated_truth(path: str | Path) -> pd.DataFrame:
    """What `simulate_allen_session` knows of each unit, indexed by unit_id: cell_type, area,
    light_response (direct, inhibited, artefact, none), couplings.
    """
    import h5py

    with h5py.File(path) as file:
        table = file["scratch/simulated_truth"]
        columns = {
            name: table[name].asstr()[:] if table[name].dtype.kind == "O" else table[name][:]
            for name in table.attrs["colnames"]
        }
        return pd.DataFrame(columns, index=pd.Index(table["id"][:], name="unit_id"))


def _channels(n_probes: int, number: int) -> pd.DataFrame:
    """One row a channel: its probe, its place on it (um) and its area, by channel id."""
    rows = []
    for k in range(n_probes):
        areas, index = AREAS_OF_PROBE[k % len(AREAS_OF_PROBE)], np.arange(CHANNELS)
        in_brain = int(CHANNELS * 0.92)
        # Channel 0 is the tip, deepest in the brain.
        bounds = (in_brain * (1 - np.cumsum(AREA_SHARE))).round().astype(int)
        area = np.select(
            [index >= in_brain, index >= bounds[0], index >= bounds[1]],
            ["None", areas[0], areas[1]],
            areas[2],
        )
        probe_id = 910_000_000 + number * 10 + k
        rows.append(
            pd.DataFrame(
                {
                    "probe_id": probe_id,
                    "group_name": f"probe{chr(65 + k)}",
                    "local_index": index,
                    "location": area,
                    "valid_data": True,
                    "probe_vertical_position": 20 * (index // 2 + 1),
                    "probe_horizontal_position": np.array([43, 11, 59, 27])[index % 4],
                    "x": 8000.0 + 500.0 * k,
                    "y": 3000.0 - 10.0 * index,
                    "z": 8500.0 + 100.0 * k,
                },
                index=probe_id * 1000 + index,
            )
        )
    return pd.concat(rows)


def _place_units(
    units: pd.DataFrame,
    channels: pd.DataFrame,
    config: SimulationConfig,
    traits: dict,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Units in order of probe, each on a channel; its area, and with it how it follows the drive,
    is that of the channel.
    """
    units = units.copy()
    probes = channels["probe_id"].unique()
    of_probe = np.sort(np.arange(len(units)) % len(probes))
    outside = rng.random(len(units)) < 0.02
    in_brain = channels["location"] != "None"
    for k, probe in enumerate(probes):
        here = channels["probe_id"] == probe
        for chosen, where in ((~outside, here & in_brain), (outside, here & ~in_brain)):
            rows = chosen & (of_probe == k)
            units.loc[units.index[rows], "peak_channel_id"] = rng.choice(
                channels.index[where], size=rows.sum()
            )
    units["peak_channel_id"] = units["peak_channel_id"].astype("int64")
    units["area"] = channels["location"].reindex(units["peak_channel_id"]).to_numpy()
    kinds = [config.areas.get(area, OTHER_AREA) for area in units["area"]]
    units["drive_coupling"] = np.clip(
        [kind.strength + config.coupling_jitter * rng.standard_normal() for kind in kinds], 0, 0.98
    )
    units["drive_lag_s"] = [kind.lag_s * traits["lag_scale"] for kind in kinds]
    units["drive_sign"] = [kind.sign for kind in kinds]
    return units


def _missing_data(duration_s: float, session_id: int, channels: pd.DataFrame):
    """The declared invalid times (start, stop, three tags), and the undeclared stretch in which the
    first probe is silent.
    """
    names = channels.drop_duplicates("probe_id")[["probe_id", "group_name"]].to_numpy()
    at, length = duration_s * np.array([0.25, 0.6, 0.8]), duration_s * 0.01
    invalid = [
        (at[0], at[0] + length, "EcephysSession", str(session_id), "stimulus"),
        (at[1], at[1] + length, "EcephysProbe", str(names[-1][0]), names[-1][1]),
    ]
    return invalid, (names[0][0], at[2], at[2] + max(3.0, length))


def _presentations(blocks: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One table a stimulus: gratings of 2 s every 3 s, movies frame by frame at 30 Hz, spontaneous
    as it is; blocks numbered over the shown ones.
    """
    tables: dict[str, list[pd.DataFrame]] = {
        "spontaneous": [],
        "drifting_gratings": [],
        "natural_movie_one": [],
    }
    block = 0
    for i, row in enumerate(blocks.itertuples()):
        name = (
            "natural_movie_one"
            if row.name == "natural_movie"
            else "drifting_gratings"
            if i % 4 == 2
            else "spontaneous"
        )
        every, shown = {
            "spontaneous": (np.inf, np.inf),
            "drifting_gratings": (3.0, 2.0),
            "natural_movie_one": (1 / 30, 1 / 30),
        }[name]
        start = (
            np.array([row.start_s])
            if np.isinf(every)
            else row.start_s + every * np.arange(int((row.stop_s - row.start_s) / every + 1e-6))
        )
        table = pd.DataFrame(
            {
                "start_time": start,
                "stop_time": np.minimum(start + shown, row.stop_s),
                "stimulus_name": name,
            }
        )
        if name != "spontaneous":
            table = table.assign(
                stimulus_block=float(block), stimulus_index=float(name == "natural_movie_one")
            )
            table["orientation" if name == "drifting_gratings" else "frame"] = (
                np.arange(len(start)) * 45.0 % 360
                if name == "drifting_gratings"
                else np.arange(len(start)) % 900.0
            )
            block += 1
        tables[name].append(table)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}


def _spike_trains(units, traits, shared, config, light, invalid, silent, rng):
    """Yield the spike times (s) of each unit in turn; the rates of a few are in memory at a
    time.
    """
    for first in progress(
        range(0, len(units), UNITS_AT_ONCE), desc="simulate session", unit="batch", leave=False
    ):
        batch = units.iloc[first : first + UNITS_AT_ONCE]
        trains = poisson_spikes(unit_rates(batch, traits, shared, config, rng), config, rng)
        for (_, unit), train in zip(batch.iterrows(), trains):
            if light is not None:
                train = lit(train, unit["light_response"], light, config, rng)
            probe = unit["peak_channel_id"] // 1000
            lost = [
                (start, stop)
                for start, stop, kind, number, _ in invalid
                if kind == "EcephysProbe" and number == str(probe)
            ]
            for start, stop in lost + ([silent[1:]] if silent[0] == probe else []):
                train = train[(train < start) | (train > stop)]
            yield train
