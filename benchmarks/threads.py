"""What a busy neighbour costs: a training step with one thread and with as many as the machine has,
alone and beside another program that computes without a pause.

    python benchmarks/threads.py [--preset quick] [--steps 30] [--repeats 3]

Each setting is timed in a process of its own, in turn. `nl.pretrain` takes one thread for encoders
narrower than `model.WORTH_THREADS`; here both are tried, whatever it would choose.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys

import pandas as pd
from tqdm.auto import tqdm

ONE_TRAINING = """
import sys, torch
import nuclr_lite as nl
from nuclr_lite import model
threads, name, steps = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
model.WORTH_THREADS = 0  # the number asked for, not the one that suits
preset = nl.PRESETS[name].with_(log_every=1000, checkpoint_every=1000)
recordings = nl.simulate_recordings(4, preset.model.modality)
nl.pretrain(recordings, preset.with_(steps=3), device="cpu")  # warm up
print(nl.pretrain(recordings, preset.with_(steps=steps), device="cpu").seconds / steps)
"""
BUSY = """
import torch
torch.set_num_threads(1)
x = torch.randn(600, 600)
while True:
    x = torch.tanh(x @ x)
"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    rows = []
    settings = list(itertools.product(range(options.repeats), sorted({1, cores}), (False, True)))
    for _, threads, busy in tqdm(settings, unit="training"):
        neighbour = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
        try:
            done = subprocess.run(
                [sys.executable, "-c", ONE_TRAINING]
                + [str(threads), options.preset, str(options.steps)],
                env=os.environ | {"TQDM_DISABLE": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
        finally:
            if neighbour:
                neighbour.kill()
                neighbour.wait()
        rows.append({"threads": threads, "beside": busy, "s": float(done.stdout.split()[-1])})
    table = pd.DataFrame(rows).pivot_table(
        index="threads", columns="beside", values="s", aggfunc="median"
    )
    table.columns = ["alone", "beside a busy program"]
    alone = table.loc[1, "alone"]
    print(f"{options.preset}: seconds a step, medians of {options.repeats}, {cores} cores")
    print(table.round(4).to_string())
    print("over one thread alone:")
    print((table / alone).round(2).to_string())


if __name__ == "__main__":
    main()
