"""How long and how much memory it takes to turn an Allen session file into recordings, beside
AllenSDK's EcephysSession on the same file.

    python benchmarks/allen_session.py [--units 640] [--duration 8000] [--path FILE] \\
        [--out results/benchmark_allen_session.csv]

The session is simulated, unless --path names one. Each way runs in a process of its own, the two in
turn, --repeats times; both read the units, the spike times, the invalid times and the stimulus
epochs. `convert` does more: it also saves recordings, of all structures and of the visual areas
alone. Peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

MEASURE = """
import re, sys, tempfile, time, warnings
warnings.simplefilter("ignore")
path = sys.argv[1]
{imports}
started = time.perf_counter()
{work}
seconds = time.perf_counter() - started
print(seconds, int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e6)
"""
# Of each way: what is imported, and the work that is timed.
CONVERT = (
    "from nuclr_lite.sources.allen import neuropixels",
    """
with tempfile.TemporaryDirectory(dir={scratch!r}) as folder:
    neuropixels.convert_session(path, folder, structures={structures})
""",
)
ALLENSDK = (
    """
import pynwb
from nuclr_lite.sources.allen.client import import_allensdk
ecephys = "allensdk.brain_observatory.ecephys"
EcephysSession = import_allensdk(f"{ecephys}.ecephys_session").EcephysSession
Api = import_allensdk(f"{ecephys}.ecephys_session_api").EcephysNwbSessionApi
""",
    """
nwbfile = pynwb.NWBHDF5IO(path, "r", load_namespaces=True).read()
session = EcephysSession(api=Api.from_nwbfile(nwbfile))
session.units, session.spike_times, session.get_invalid_times(), session.get_stimulus_epochs()
""",
)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=640)
    parser.add_argument("--duration", type=float, default=8000.0, help="s")
    parser.add_argument("--path", type=Path)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = options.path or simulate(
            Path(scratch) / "session.nwb", options.units, options.duration
        )
        ways = {
            "convert, all structures": (
                CONVERT[0],
                CONVERT[1].format(scratch=scratch, structures="()"),
            ),
            "convert, visual areas": (
                CONVERT[0],
                CONVERT[1].format(scratch=scratch, structures=None),
            ),
            "EcephysSession": ALLENSDK,
        }
        rows = [
            {"way": way, "repeat": repeat, **measure(path, *code)}
            for repeat in range(options.repeats)
            for way, code in ways.items()
        ]
        import h5py

        with h5py.File(path) as file:
            print(
                f"{path.name}: {len(file['units/id'])} units, {len(file['units/spike_times']):,}"
                f" spikes, {path.stat().st_size / 1e9:.2f} GB"
            )
    table = pd.DataFrame(rows)
    print(table.round(2).to_string(index=False))
    seconds = table.groupby("way")["seconds"].median()
    print(
        f"EcephysSession takes {seconds['EcephysSession'] / seconds['convert, all structures']:.2f}"
        " times as long as converting all,"
        f" {seconds['EcephysSession'] / seconds['convert, visual areas']:.2f} times as long as"
        " converting the visual areas"
    )
    if options.out:
        table.round(3).to_csv(options.out, index=False)


def simulate(path: Path, units: int, duration_s: float) -> Path:
    from nuclr_lite.sources import simulated
    from nuclr_lite.sources.simulated.allen_session import simulate_allen_session

    # about 10 Hz, as many spikes as a real session has
    config = replace(simulated.SPIKES, log_rate=(2.25, 2.25))
    return simulate_allen_session(
        path, n_units=units, duration_s=duration_s, n_probes=6, config=config
    )


def measure(path: Path, imports: str, work: str) -> dict:
    code = MEASURE.format(imports=imports, work=work)
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "TQDM_DISABLE": "1"},
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    seconds, peak_gb = ran.stdout.split()[-2:]
    return {"seconds": float(seconds), "peak_gb": float(peak_gb)}


if __name__ == "__main__":
    main()
