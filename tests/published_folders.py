"""Folders that have a published layout and hold simulated recordings."""

import numpy as np
import pandas as pd

AREAS = ["VISp", "VISpm", "LP", "PO", "POST", "CA1", "MRN", "SCm", "SCs", "MOs", "root", "ACA"]
REGIONS = ["VIS", "VIS", "TH", "TH", "HPF", "HPF", "MB", "MB", "MB", None, None, None]


def pooled(recordings):
    """All spikes of several populations in order of time, and the number of the unit, counted
    through, that fired each.
    """
    firsts = np.cumsum([0, *(r.n_units for r in recordings)])
    times = np.concatenate([r.times for r in recordings])
    clusters = np.concatenate(
        [first + np.asarray(r.unit_rows) for first, r in zip(firsts, recordings)]
    )
    order = np.argsort(times, kind="stable")
    return times[order], clusters[order]


def same_spikes(recording, expected, unit_ids, expected_ids):
    assert recording.units.index.tolist() == list(unit_ids)
    for ours, theirs in zip(unit_ids, expected_ids):
        np.testing.assert_array_equal(recording.spike_times(ours), expected.spike_times(theirs))


def steinmetz_tree(folder, recordings, name="Cori_2016-12-14", annotations=None):
    """A session as it is published, each recording a probe; columns (n, 1), as MATLAB writes
    them.
    """
    folder = folder / name
    folder.mkdir(parents=True)
    times, clusters = pooled(recordings)
    probes = np.repeat(np.arange(len(recordings)), [r.n_units for r in recordings])
    n = len(probes)
    files = {
        "spikes.times": times,
        "spikes.clusters": clusters.astype(np.uint32),
        "clusters.probes": probes.astype(float),
        "clusters._phy_annotation": np.full(n, 2) if annotations is None else np.array(annotations),
        "clusters.peakChannel": 1.0 + np.arange(n)[::-1],
        "clusters.depths": 20.0 * np.arange(n),
        "channels.probe": probes[::-1].astype(float),
        "passiveVisual.times": np.array([50.0, 52.0]),
        "passiveBeeps.times": np.array([49.0, np.nan]),
        "passiveWhiteNoise.times": np.array([55.0]),
    }
    for file, array in files.items():
        np.save(folder / f"{file}.npy", array[:, None])
    np.save(folder / "trials.intervals.npy", np.array([[1.0, 4.0], [5.0, 9.0], [np.nan, np.nan]]))
    np.save(folder / "spontaneous.intervals.npy", np.array([[20.0, 45.0]]))
    # The largest waveform of unit i is on channel n - i: its area is that of row n - 1 - i.
    areas = [AREAS[i % 12] for i in range(n)][::-1]
    pd.DataFrame(
        {
            "ccf_ap": 100.0 * np.arange(n)[::-1],
            "ccf_dv": 1.0,
            "ccf_lr": 2.0,
            "allen_ontology": areas,
        }
    ).to_csv(folder / "channels.brainLocation.tsv", sep="\t", index=False)
    return folder
