"""How start-up, memory and the cutting of views grow with the number of recordings on disk.

    python benchmarks/many_recordings.py [--recordings 20 100 500] \\
        [--out results/benchmark_many_recordings.csv]

Recordings are random spikes (100 units, 600 s, 8 Hz: 6 MB each), saved once and opened as memory
maps by a process of its own for each number, which gets ready for the preset `paper-spikes` and
cuts batches. The two ends of an epoch's work are told apart: `start_s` from the folder's name to
the first batch, `batch_s` each further one. `own_memory_gb` is what the process needs beside its
libraries; `mapped_gb` are pages of files (libraries among them) that happen to be in memory, which
the system takes back when it needs them. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

import nuclr_lite as nl

CHILD = """
import json, re, sys, time
import nuclr_lite as nl
from nuclr_lite.sources.folder import read_folder
import accelerate, torch
def resident(what):                               # GB; Linux
    return int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e6
libraries = resident("RssAnon")
started, preset = time.perf_counter(), nl.PRESETS["paper-spikes"]
recordings = read_folder(sys.argv[1])[: int(sys.argv[2])]
views = nl.PairedViews(recordings, preset.model, preset.views, preset.train.batch_size)
views[0]
first = time.perf_counter()
for index in range(1, 6):
    views[index % len(views)]
row = {
    "recordings": len(recordings),
    "pairs_an_epoch": views.n_pairs,
    "start_s": first - started,
    "batch_s": (time.perf_counter() - first) / 5,
    "own_memory_gb": resident("RssAnon") - libraries,
    "mapped_gb": resident("RssFile"),
}
print(json.dumps(row))
"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, nargs="+", default=[20, 100, 500])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number in tqdm(range(max(options.recordings)), desc="save", unit="recording"):
            rng = np.random.default_rng(number)
            trains = [np.sort(rng.uniform(0, 600, rng.poisson(4800))) for _ in range(100)]
            nl.Recording.from_spike_trains(
                trains,
                intervals=[[0, 600]],
                recording_id=f"random-{number:04d}",
                animal_id=f"animal-{number}",
            ).save(Path(folder) / f"{number:04d}")
        disk = (
            sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            / 1e9
            / max(options.recordings)
        )
        rows = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-c", CHILD, folder, str(n)],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for n in options.recordings
        ]
    table = pd.DataFrame(rows).assign(disk_gb=lambda rows: rows["recordings"] * disk)
    print(table.round(3).to_string(index=False))
    if options.out:
        table.to_csv(options.out, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
