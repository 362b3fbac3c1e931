"""Simulated experiments in the file format of the Allen Visual Coding two-photon set (NWB 1.0), to
try whatever reads the real ones.

The population is that of `simulated`. All cells of a plane are of the one type that the Cre line
selects, so a type shows in how they go with *each other*:

- excitatory lines: each mostly on its own;
- Pvalb: together;
- Sst: together, each late by a lag of its own;
- Vip: in two camps, one up where the other is down.

Every cell follows the drive V(t) with a strength of its own, whatever the type. All of this belongs
to a cell, and is the same in every session in which it is seen; S(t), V(t), the private signals and
the noise are new in each.

Needs h5py alone; AllenSDK opens the file like one of its own. Nothing in it was measured, and it
says so (general/institution).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...files.storage import atomic_file
from .populations import dff_of, draw_traits, shared_latents, unit_rates
from .worlds import CALCIUM, SimulationConfig

# The state weighs more than in `simulate_recordings`: the drive, alike for all types, would cover
# what little a plane of one type tells.
PLANE = replace(CALCIUM, state_share=(0.7, 0.8))
# Coupling to S(t): strength, the longest lag (s), and the share of cells that go against it.
COUPLINGS = {"Pvalb": (0.95, 0.0, 0.0), "Sst": (0.95, 3.0, 0.0), "Vip": (0.90, 0.0, 0.5)}
EXCITATORY = (0.35, 0.0, 0.0)
STIMULI = {
    "three_session_A": ("drifting_gratings", "natural_movie_one", "natural_movie_three"),
    "three_session_B": ("static_gratings", "natural_scenes", "natural_movie_one"),
    "three_session_C": ("locally_sparse_noise", "natural_movie_one", "natural_movie_two"),
}
FEATURES: dict[str, dict[str, Sequence[float]]] = {
    "drifting_gratings": {
        "temporal_frequency": [1, 2, 4, 8, 15],
        "orientation": range(0, 360, 45),
        "blank_sweep": [0],
    },
    "static_gratings": {
        "orientation": range(0, 180, 30),
        "spatial_frequency": [0.02, 0.04, 0.08, 0.16, 0.32],
        "phase": [0, 0.25, 0.5, 0.75],
    },
}
FRAME_RATE_HZ, START_S = 30.0, 10.0  # START_S: the clock runs before the microscope does
PIXELS, FIELD_UM = 512, 400
CELLS_AT_ONCE = 16


def simulate_allen_experiment(
    path: str | Path,
    *,
    experiment_id: int = 900000001,
    container_id: int = 910000001,
    cre_line: str = "Vip-IRES-Cre",
    area: str = "VISp",
    depth_um: int = 175,
    session_type: str = "three_session_A",
    n_cells: int = 40,
    duration_s: float = 600.0,
    seed: int = 0,
    cell_specimen_ids=None,
    dropped_s=(),
    missing_s=(),
    moved_s=(),
    config: SimulationConfig = PLANE,
) -> Path:
    """Write one experiment.

    Parameters
    ----------
    path : the file to write, usually ending in .nwb. A container is an animal: its sessions (A, B,
        C) have the same time constants and rhythm.
    cre_line : 'Pvalb', 'Sst' or 'Vip' before the first '-'; any other line is excitatory. area,
        depth_um : only written down.
    duration_s : three blocks of stimuli, and as many of grey screen, of equal length; at least 60
        s.
    cell_specimen_ids : None: n_cells, of which 70 % are in all sessions of the container. The same
        id is the same cell.
    dropped_s, missing_s, moved_s : (start, stop) pairs, s from the first frame: frames that the
        microscope drops; in which every third cell's dF/F is NaN; in which the image jumps by 30
        um.
    config : the population, as in `simulate_recordings`; its couplings, duration, blocks and frame
        rate are set here.

    Returns
    -------
    Path. `simulated_truth(path)` tells what each cell is.

    Raises
    ------
    FileExistsError : there is a file already. ValueError : an unknown session type, less than 60 s,
        no cells.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already; choose another name, or delete it first.")
    if session_type not in STIMULI:
        raise ValueError(f"session_type is {session_type!r}; simulate one of {sorted(STIMULI)}.")
    if cell_specimen_ids is None:
        cell_specimen_ids = _default_ids(container_id, session_type, n_cells)
    ids = np.asarray(cell_specimen_ids, dtype=np.int64)
    if duration_s < 60 or not len(ids):
        raise ValueError(
            f"duration_s={duration_s:g} and {len(ids)} cells: give at least 60 s and one cell."
        )
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "writing simulated experiments needs h5py, which is not installed: pip install h5py"
        ) from error

    rng = np.random.default_rng([seed, container_id])
    traits = draw_traits(config, rng)
    cells = pd.DataFrame(
        [_cell(cell_id, cre_line, traits, config, seed) for cell_id in ids],
        index=pd.Index(ids, name="cell_specimen_id"),
    )
    rng = np.random.default_rng([seed, experiment_id, 1])
    cells = cells.iloc[rng.permutation(len(cells))]  # a cell's row tells nothing about who it is
    block_s = duration_s / 6
    config = replace(
        config,
        duration_s=duration_s,
        frame_rate_hz=FRAME_RATE_HZ,
        stimulus_block_s=block_s,
        movie_s=min(30.0, block_s / 2),
    )
    shared, blocks = shared_latents(cells, traits, config, rng)

    frames = np.arange(int(duration_s * FRAME_RATE_HZ))
    since_start = frames / FRAME_RATE_HZ
    kept = ~_within(since_start, dropped_s)
    timestamps = START_S + since_start[kept]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial, h5py.File(partial, "w") as file:
        _write_general(file, experiment_id, container_id, cre_line, area, depth_um, session_type)
        pipeline = file.create_group("processing/brain_observatory_pipeline")
        dff = pipeline.create_dataset(
            "DfOverF/imaging_plane_1/data", (len(cells), len(timestamps)), dtype="f4"
        )
        pipeline["DfOverF/imaging_plane_1/timestamps"] = timestamps
        # a link, not a copy
        pipeline["Fluorescence/imaging_plane_1/timestamps"] = pipeline[
            "DfOverF/imaging_plane_1/timestamps"
        ]
        is_missing = _within(since_start[kept], missing_s)
        for first in range(0, len(cells), CELLS_AT_ONCE):
            some = cells.iloc[first : first + CELLS_AT_ONCE]
            block = dff_of(unit_rates(some, traits, shared, config, rng), config, rng).T[:, kept]
            block[np.arange(first, first + len(some)) % 3 == 0] += np.where(
                is_missing, np.float32(np.nan), np.float32(0)
            )
            dff[first : first + len(some)] = block
        _write_cells(pipeline, cells)
        _write_behaviour(pipeline, timestamps, _within(since_start[kept], moved_s), rng)
        _write_stimuli(file, blocks, timestamps, session_type, config.movie_s, rng)
        truth = file.create_group("simulation")
        truth.attrs["parameters"] = json.dumps({"seed": seed, **traits, "config": asdict(config)})
        for name, column in cells.items():
            truth[name] = column.to_numpy()
    return path


def simulated_truth(path: str | Path) -> pd.DataFrame:
    """What each cell of a simulated experiment is, indexed by cell_specimen_id: coupling, lag (s)
    and sign towards S(t) (state) and V(t) (drive), ...
    """
    import h5py

    with h5py.File(path, "r") as file:
        if "simulation" not in file:
            raise ValueError(f"{path}: was not written by simulate_allen_experiment.")
        ids = file["processing/brain_observatory_pipeline/ImageSegmentation/cell_specimen_ids"][()]
        return pd.DataFrame(
            {name: column[()] for name, column in file["simulation"].items()},
            index=pd.Index(ids, name="cell_specimen_id"),
        )


def _default_ids(container_id: int, session_type: str, n_cells: int) -> np.ndarray:
    """The first 70 % of the cells are those of every session, the others of this one."""
    n_shared = round(0.7 * n_cells)
    own = 100_000 * (1 + list(STIMULI).index(session_type))
    return container_id * 1_000_000 + np.r_[:n_shared, own : own + n_cells - n_shared]


def _cell(cell_id: int, cre_line: str, traits: dict, config: SimulationConfig, seed: int) -> dict:
    """A cell's truth, from its id alone."""
    rng = np.random.default_rng([seed, cell_id])
    strength, longest_lag_s, against = COUPLINGS.get(cre_line.split("-")[0], EXCITATORY)
    silent = rng.random() < config.silent_share
    return {
        "state_coupling": np.clip(
            strength + config.coupling_jitter * rng.standard_normal(), 0.0, 0.98
        ),
        "state_lag_s": min(
            longest_lag_s * rng.random() * traits["lag_scale"],
            1 / (4 * max(traits["state_frequency_hz"], 1e-3)),
        ),
        "state_sign": -1 if rng.random() < against else 1,
        "drive_coupling": rng.uniform(0.3, 0.95),
        "drive_lag_s": 0.0,
        "drive_sign": 1,
        "base_rate_hz": (
            np.exp(traits["log_rate"] + config.log_rate_spread * rng.standard_normal())
            * (0.01 if silent else 1.0)
        ),
        "silent": silent,
        "x_pixel": int(rng.integers(20, PIXELS - 20)),
        "y_pixel": int(rng.integers(20, PIXELS - 20)),
    }


def _within(times: np.ndarray, stretches) -> np.ndarray:
    """(frames,) bool: which times lie in a (start, stop) pair, stop excluded."""
    return (
        np.any([(times >= start) & (times < stop) for start, stop in stretches], axis=0)
        if len(stretches)
        else np.zeros(len(times), dtype=bool)
    )


def _write_general(file, experiment_id, container_id, cre_line, area, depth_um, session_type):
    """AllenSDK wants texts of fixed length (np.bytes_), and its own wording of age and device."""
    donor = f"{container_id % 1_000_000:06d}"
    plane = "optophysiology/imaging_plane_1"
    texts = {
        "session_id": experiment_id,
        "experiment_container_id": container_id,
        "session_type": session_type,
        "specimen_name": f"{cre_line};Ai148-{donor}",
        "fov": f"{FIELD_UM}x{FIELD_UM} microns ({PIXELS} x {PIXELS} pixels)",
        "institution": "none: simulated by nuclr_lite, no animal",
        "devices/2-photon microscope": (
            "SIMULATED. nuclr_lite Please see nuclr_lite.sources.simulated"
        ),
        "subject/age": "100 days",
        "subject/sex": "unknown",
        "subject/genotype": f"{cre_line}/wt;Ai148(TIT2L-GC6f-ICL-tTA2)/wt",
        f"{plane}/imaging depth": f"{depth_um} microns",
        f"{plane}/location": area,
        f"{plane}/excitation_lambda": "910 nanometers",
        f"{plane}/indicator": "GCaMP6f",
    }
    for place, text in texts.items():
        file[f"general/{place}"] = np.bytes_(str(text))
    file["general/generated_by"] = np.array(
        [b"nuclr_lite simulate_allen_experiment", b"pipeline_version", b"3.0"]
    )
    file["nwb_version"], file["session_start_time"] = (
        np.bytes_("NWB-1.0.6_beta"),
        np.bytes_("Sat Jan  1 12:00:00 2000"),
    )


def _write_cells(pipeline, cells: pd.DataFrame):
    segmentation = pipeline.create_group("ImageSegmentation")
    segmentation["cell_specimen_ids"], segmentation["roi_ids"] = (
        cells.index.to_numpy(),
        930000000 + np.arange(len(cells)),
    )
    names = [f"roi_{i:04d}" for i in range(len(cells))]
    segmentation["imaging_plane_1/roi_list"] = np.array(names, dtype="S")
    y, x = np.ogrid[:PIXELS, :PIXELS]
    for name, centre_x, centre_y in zip(names, cells["x_pixel"], cells["y_pixel"]):
        mask = (x - centre_x) ** 2 + (y - centre_y) ** 2 <= 6**2
        segmentation.create_dataset(
            f"imaging_plane_1/{name}/img_mask",
            data=mask.astype("u1"),
            compression="gzip",
            compression_opts=1,
        )


def _write_behaviour(pipeline, timestamps: np.ndarray, moved: np.ndarray, rng: np.random.Generator):
    """Running in bouts, and the image's shift in pixels: slow drift, jitter, jumps."""
    n = len(timestamps)
    bout = np.repeat(rng.random(n // 300 + 1) < 0.3, 300)[:n]
    shift = np.column_stack(
        [3 * np.sin(timestamps / 300), 2 * np.cos(timestamps / 200)]
    ) + rng.normal(0, 0.5, (n, 2))
    shift[moved] += 30 * PIXELS / FIELD_UM
    for place, data, features in (
        ("BehavioralTimeSeries/running_speed", bout * rng.gamma(4.0, 4.0, n), None),
        (
            "MotionCorrection/2p_image_series/xy_translation",
            shift,
            np.array([b"x_motion", b"y_motion"]),
        ),
    ):
        pipeline[f"{place}/data"] = data
        pipeline[f"{place}/timestamps"] = pipeline["DfOverF/imaging_plane_1/timestamps"]
        if features is not None:
            pipeline[f"{place}/feature_description"] = features


def _write_stimuli(
    file,
    blocks: pd.DataFrame,
    timestamps: np.ndarray,
    session_type: str,
    movie_s: float,
    rng: np.random.Generator,
):
    """A sweep a row, its start and stop in imaging frames; about as long as in the real set."""
    starts, stops = (
        np.searchsorted(timestamps, START_S + blocks[name].to_numpy() - 1e-6)
        for name in ("start_s", "stop_s")
    )
    grey = (blocks["name"] == "spontaneous").to_numpy()
    turns = np.column_stack([starts[grey], stops[grey]]).ravel()
    place = file.create_group("stimulus/presentation")
    place["spontaneous_stimulus/data"] = np.resize([1, -1], len(turns))
    place["spontaneous_stimulus/frame_duration"] = np.column_stack([turns, turns]).astype("f8")
    for name, start, stop in zip(STIMULI[session_type], starts[~grey], stops[~grey]):
        period, length = {"drifting_gratings": (90, 60)}.get(
            name, (1, 1) if "movie" in name else (8, 8)
        )
        n_sweeps = (stop - start - length) // period + 1
        if "movie" in name:  # whole repeats only: AllenSDK counts on it
            n_images = int(movie_s * FRAME_RATE_HZ)
            data = np.arange(n_sweeps // n_images * n_images) % n_images
        elif name in FEATURES:
            place[f"{name}_stimulus/features"] = np.array(list(FEATURES[name]), dtype="S")
            data = np.column_stack(
                [rng.choice(values, n_sweeps) for values in FEATURES[name].values()]
            ).astype("f8")
        else:
            data = rng.permutation(np.arange(n_sweeps) % 118)
        at = start + period * np.arange(len(data))
        place[f"{name}_stimulus/data"] = data
        place[f"{name}_stimulus/frame_duration"] = np.column_stack([at, at + length]).astype("f8")
