"""How long it takes to cut the views of a training step, and what share of the step that is.

    python benchmarks/views.py [--preset quick] [--steps 40] [--seed 0] \\
        [--out results/benchmark_views.csv]

Views alone, then whole steps (views, forward, loss, backward, optimiser) on the same batches, in
one run, on simulated recordings. Also: import time against that of the libraries it needs, and peak
memory of embedding a long recording (both with --whole, in processes of their own).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

import nuclr_lite as nl

LONG = """
import re, time, nuclr_lite as nl

def peak_gb():      # of this program alone; getrusage would remember the process that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e6

encoder, libraries = nl.NuCLR(nl.PRESETS[{preset!r}].model), peak_gb()
recording = nl.Recording.load({path!r})
started = time.perf_counter()
nl.embed(encoder, recording)
print(
    f"{{recording}}; {preset} encoder: {{time.perf_counter() - started:.0f}} s,"
    f" peak memory {{peak_gb():.2f}} GB (libraries alone {{libraries:.2f}} GB)"
)
"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=sorted(nl.PRESETS), nargs="+", default=["quick"])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--animals", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--whole",
        action="store_true",
        help="also import time and the memory of embedding 2.5 h of 300 units",
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [measure(name, options) for name in options.preset]
    table = pd.DataFrame(rows)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads, {options.animals}"
        f" simulated animals, seed {options.seed}; medians"
    )
    print(table.round(4).to_string(index=False))
    if options.out:
        table.to_csv(options.out, index=False, float_format="%.5f")
    if options.whole:
        import_time()
        long_recording()


def measure(name: str, options) -> dict:
    preset = nl.PRESETS[name]
    recordings = nl.simulate_recordings(options.animals, preset.model.modality, seed=options.seed)
    views = nl.PairedViews(
        recordings, preset.model, preset.views, preset.train.batch_size, options.seed
    )
    encoder, loss = nl.NuCLR(preset.model), nl.ContrastiveLoss(preset.model.dim)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *loss.parameters()], lr=1e-4)
    cut, whole, units = [], [], []
    for index in tqdm(range(min(options.steps, len(views))), desc=name, unit="step"):
        started = time.perf_counter()
        batch = views[index]
        cut.append(time.perf_counter() - started)
        parts = loss(
            encoder(batch.tokens_1, batch.sizes_1),
            encoder(batch.tokens_2, batch.sizes_2),
            batch.ids_1,
            batch.ids_2,
            batch.sizes_1,
            batch.sizes_2,
        )
        optimizer.zero_grad()
        parts.total.backward()
        optimizer.step()
        whole.append(time.perf_counter() - started)
        units.append(len(batch.ids_1) + len(batch.ids_2))
    cut, whole = np.array(cut[1:]), np.array(whole[1:])  # the first is a warm-up
    return {
        "preset": name,
        "pairs": preset.train.batch_size,
        "units": int(np.mean(units)),
        "views_s": np.median(cut),
        "step_s": np.median(whole),
        "views_share": np.median(cut / whole),
    }


def import_time(repeats: int = 5):
    """Whole processes, in turn."""
    commands = {
        "nuclr_lite": "import nuclr_lite as nl; nl.NuCLR, nl.embed, nl.decode, nl.pretrain",
        "libraries": "import torch, numpy, pandas, sklearn.linear_model, sklearn.model_selection",
    }
    seconds = {name: [] for name in commands}
    for _ in range(repeats + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", command], check=True)
            seconds[name].append(time.perf_counter() - started)
    ratio = np.median(np.array(seconds["nuclr_lite"][1:]) / np.array(seconds["libraries"][1:]))
    print(
        f"import: {ratio:.2f} times torch, numpy, pandas and scikit-learn"
        f" ({np.median(seconds['libraries'][1:]):.2f} s)"
    )


def long_recording():
    """A simulated recording of 300 units and 2.5 hours, embedded by a process of its own."""
    import tempfile
    from dataclasses import replace

    from nuclr_lite.sources.simulated import SPIKES

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "long")
        config = replace(SPIKES, duration_s=9000.0, n_units=(300, 300), step_s=0.02)
        nl.simulate_recordings(1, config=config)[0].save(path)
        subprocess.run([sys.executable, "-c", LONG.format(path=path, preset="quick")], check=True)


if __name__ == "__main__":
    main()
