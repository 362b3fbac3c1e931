"""How many bytes of an Allen session's file come over the network when its recordings are made
where it lies (`neuropixels.stream_session`), beside the whole file and the arrays that are kept.

    python benchmarks/allen_stream.py [--units 640] [--duration 8000] \
        [--out results/benchmark_allen_stream.csv]

The session is simulated, with spikes, amplitudes, tables and mean waveforms as real files have
them; a server in this process serves it, and counts what it sends. Of a real file's units a quarter
lies in visual areas and passes the limits (23,664 of some 99,000), as many as here in VISp alone.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd

import nuclr_lite as nl
from nuclr_lite.sources.allen import neuropixels
from nuclr_lite.sources.allen.session_file import open_session
from nuclr_lite.sources.download.remote import RemoteFile
from nuclr_lite.sources.simulated import SPIKES

# The paper's Allen set: its sessions, their units in visual areas (benchmarks/cost.py). Assumed of
# each unit, in a session of 2.6 h: 8 spikes/s, 8 bytes each. A network of 10 MB/s.
SESSIONS, UNITS, TRAIN_BYTES, HOUR_BYTES, BYTES_PER_S = 58, 23_664, 8 * 9400 * 8, 8 * 3600 * 8, 10e6


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    path_served: Path
    sent = requests = 0

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        start, stop = int(wanted[1]), int(wanted[2]) + 1
        with open(self.path_served, "rb") as file:
            file.seek(start)
            content = file.read(stop - start)
        Handler.sent, Handler.requests = Handler.sent + len(content), Handler.requests + 1
        self.send_response(206)
        size = self.path_served.stat().st_size
        self.send_header("Content-Range", f"bytes {start}-{start + len(content) - 1}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=640)
    parser.add_argument("--duration", type=float, default=8000.0, help="s")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        path = nl.simulate_allen_session(
            Path(scratch) / "session_900000001.nwb",
            n_units=options.units,
            duration_s=options.duration,
            n_probes=6,
            config=replace(SPIKES, log_rate=(2.25, 2.25)),
        )
        Handler.path_served = path
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/session"
        for what, choices in {
            "VISp": {"structures": ("VISp",)},
            "VISp, first hour": {"structures": ("VISp",), "until_s": 3600.0},
            "VISp, with its light": {"structures": ("VISp",), "tag": True},
            "visual areas": {},
        }.items():
            rows.append({"what": what, **measure(url, path, Path(scratch), **choices)})
            print(rows[-1], flush=True)
        server.shutdown()
    table = pd.DataFrame(rows)
    table["share_of_file"] = (table["fetched_bytes"] / table["file_bytes"]).round(4)
    table["per_kept"] = (table["fetched_bytes"] / table["kept_bytes"]).round(3)
    # What is fetched beside spikes is read once a session, however many units are chosen: two
    # choices of units tell it from what grows with the spikes.
    fetched, spikes = table["fetched_bytes"], table["spikes_of_units"] * 8
    whole = table["what"].isin(["VISp", "visual areas"])
    slope, _ = np.polyfit(spikes[whole], fetched[whole], 1)
    tables = fetched[whole].iloc[0] - slope * spikes[whole].iloc[0]
    train = np.where(table["what"].str.contains("first hour"), HOUR_BYTES, TRAIN_BYTES)
    paper_set = SESSIONS * tables + UNITS * train * (fetched - tables) / spikes
    table["paper_set_gb"] = (paper_set / 1e9).round(1)
    table["paper_set_min"] = (paper_set / BYTES_PER_S / 60).round(0)
    print(table.to_string(index=False))
    if options.out:
        table.to_csv(options.out, index=False)


def measure(url: str, path: Path, scratch: Path, tag: bool = False, **choices) -> dict:
    sent, asked, started = Handler.sent, Handler.requests, time.perf_counter()
    remote = RemoteFile(url, scratch / "remote.nwb", disable_bar=True)
    if tag:
        choices["cell_types"] = neuropixels.optotag(remote, choices["structures"])
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        recordings = neuropixels.convert_session(remote, folder, **choices)
        arrays = [(one.times, one.unit_rows) for one in recordings]
        kept = sum(array.nbytes for pair in arrays for array in pair)
        spikes = sum(len(times) for times, _ in arrays)
        units = sum(one.n_units for one in recordings)
    seconds = time.perf_counter() - started
    with open_session(path) as session:
        units_in_file = len(session.units(quality=None))
        until_s = choices.get("until_s", np.inf)
        chosen = [int(unit) for one in recordings for unit in one.units.index]
        spikes_of_units = sum(
            int(np.searchsorted(session.spike_times(unit), until_s)) for unit in chosen
        )
    remote.discard()
    return {
        "units": units,
        "units_in_file": units_in_file,
        "file_bytes": path.stat().st_size,
        "fetched_bytes": Handler.sent - sent,
        "kept_bytes": kept,
        "kept_spikes": spikes,
        "spikes_of_units": spikes_of_units,
        "requests": Handler.requests - asked,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
