"""Small recordings with the names of the paper's data sets: every session or insertion that its
lists name, with units that carry the labels that its rows read. What they do is drawn at random.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import nuclr_lite as nl
from nuclr_lite.experiments.paper import ROWS
from nuclr_lite.experiments.paper.allen import AREAS
from nuclr_lite.files.storage import file_name

DURATION_S = 44.0
CALCIUM_HZ = 1 / 0.23344


def save_all(data: str, folder: Path, seed: int = 0, n_units: int = 12) -> list[nl.Recording]:
    """A recording a session (Allen: two probes) of 'allen', 'ibl', 'steinmetz' or 'bugeon'."""
    rng = np.random.default_rng(seed)
    recordings = [one for made in MAKERS[data](rng, n_units) for one in made]
    for recording in recordings:
        recording.save(folder / file_name(recording.recording_id))
    return recordings


def facts(data: str):
    return next(row for name, row in ROWS.items() if name.startswith(data)).data.facts


def _spikes(rng, units: dict, **about) -> nl.Recording:
    n = len(next(iter(units.values())))
    # first and last spikes at fixed times, so that every recording is valid from end to end
    trains = [
        np.sort(np.append(rng.uniform(0, DURATION_S, rng.poisson(4 * DURATION_S)), [0, DURATION_S]))
        for _ in range(n)
    ]
    return nl.Recording.from_spike_trains(trains, pd.DataFrame(units), [[0.0, DURATION_S]], **about)


def _allen(rng, n_units: int):
    for session, line in facts("allen").iterrows():
        tagged = line["cre"] if line["cre"] in ("Sst", "Pvalb", "Vip") else None
        yield [
            _spikes(
                rng,
                {
                    "ecephys_structure_acronym": [AREAS[i % 6] for i in range(n_units)],
                    "cell_type": [tagged if i % 3 == 0 else None for i in range(n_units)],
                },
                recording_id=f"allen-{session}-{probe}",
                animal_id=f"mouse of {session}",
                probe_id=probe,
                provenance={"source": "allen_neuropixels", "session_id": int(session)},
            )
            for probe in ("probeA", "probeB")
        ]


def _ibl(rng, n_units: int):
    from nuclr_lite.sources.published.ibl import REGIONS

    for number, (insertion, line) in enumerate(facts("ibl").iterrows()):
        yield [
            _spikes(
                rng,
                {"region": [REGIONS[(number + i) % 10] for i in range(n_units)]},
                recording_id=f"ibl-{line['mouse']}-{insertion}",
                animal_id=line["mouse"],
                provenance={"source": "IBL Brain-wide Map", "insertion": insertion},
            )
        ]


def _steinmetz(rng, n_units: int):
    regions = ("VIS", "TH", "HPF", "MB", None)
    for session, line in facts("steinmetz").iterrows():
        yield [
            _spikes(
                rng,
                {"region": [regions[i % 5] for i in range(n_units)]},
                recording_id=f"steinmetz-{session}-probe0",
                animal_id=line["mouse"],
            )
        ]


def _bugeon(rng, n_units: int):
    types = ("EC", "Pvalb-Tac1", "Sst-Npy", "Vip-Cck", "Lamp5-Pdlim5", "Sncg-Col14a1", "IN")
    for session, line in facts("bugeon").iterrows():
        names = [types[i % 7] for i in range(n_units)]
        frames = int(70 * CALCIUM_HZ)
        yield [
            nl.Recording.from_traces(
                rng.normal(size=(frames, n_units)).astype(np.float32) ** 2,
                CALCIUM_HZ,
                pd.DataFrame(
                    {
                        "cell_class": ["EC" if name == "EC" else "IN" for name in names],
                        "subclass": [
                            None if name in ("EC", "IN") else name.split("-")[0] for name in names
                        ],
                        # every third cell is in all sessions of its mouse
                        "unique_id": [i if i % 3 == 0 else None for i in range(n_units)],
                    }
                ),
                recording_id=f"bugeon-{session}",
                animal_id=line["mouse"],
            )
        ]


MAKERS = {"allen": _allen, "ibl": _ibl, "steinmetz": _steinmetz, "bugeon": _bugeon}
