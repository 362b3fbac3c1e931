"""The published size on real animals: as many steps as fit into the minutes given, three seeds.

    python benchmarks/gpu_rats.py RATS --out results/gpu --minutes 12
    # to see that it runs
    python benchmarks/gpu_rats.py RATS --device cpu --preset quick --minutes 1 --seeds 0 \\
        --out /tmp/gpu

RATS: a folder of the published .mat files, or of recordings saved from them
(`sources/published/rat_decisions.py`). Each seed gets an equal share of the minutes: its step is
timed first. Then regions are decoded, one rat left out in turn, beside the untrained encoder. A row
a seed goes into <out>/rats.csv at once; a seed that is there isn't run again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
import torch

import nuclr_lite as nl
from nuclr_lite.files.storage import atomic_file
from nuclr_lite.sources.folder import read_folder, saved_in
from nuclr_lite.sources.published import rat_decisions

TIMED_STEPS = 40
TOKENS = ("sample_s", "samples_per_token", "tokens_per_window")
SHORT = nl.PRESETS["laptop-trials"].model  # windows and tokens that suit trials


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rats", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12.0, help="of training, of all seeds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", default="fast-spikes")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--workers", type=int, default=8, help="processes that cut views")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here; --device cpu shows that the script runs.")
    saved = saved_in(options.rats)
    recordings = read_folder(options.rats) if saved else rat_decisions.read(options.rats)
    preset = nl.PRESETS[options.preset].with_(
        **{name: getattr(SHORT, name) for name in TOKENS}, min_units=2, warmup_steps=200
    )
    table = options.out / "rats.csv"
    rows = pd.read_csv(table).to_dict("records") if table.is_file() else []
    for seed in options.seeds:
        if any(row["seed"] == seed for row in rows):
            print(f"seed {seed}: in {table} already")
            continue
        share_s = 60 * options.minutes / len(options.seeds)
        rows.append(one_seed(recordings, preset.with_(seed=seed), share_s, options))
        options.out.mkdir(parents=True, exist_ok=True)
        with atomic_file(table) as partial:
            pd.DataFrame(rows).to_csv(partial, index=False, float_format="%.6g")
        print(rows[-1], flush=True)


def one_seed(recordings, preset, share_s: float, options) -> dict:
    """Time some steps, train as many as fit, decode."""
    train = {"device": options.device, "workers": options.workers}
    took = []
    for steps in (TIMED_STEPS, TIMED_STEPS, 3 * TIMED_STEPS):  # the first time much is slow
        began = time.perf_counter()
        few = dict(steps=steps, log_every=steps, checkpoint_every=steps)
        nl.pretrain(recordings, preset.with_(**few), **train)
        took.append(time.perf_counter() - began)
    step_s = (took[2] - took[1]) / (2 * TIMED_STEPS)  # what a start takes is in both
    every = 20
    steps = max(int(share_s / step_s) // every, 1) * every
    trained = nl.pretrain(
        recordings, preset.with_(steps=steps, log_every=every, checkpoint_every=steps), **train
    )
    torch.manual_seed(preset.train.seed)
    untrained = nl.NuCLR(preset.model).to(options.device)
    units = nl.units_table(recordings)
    row = {"seed": preset.train.seed, "preset": options.preset, "steps": steps}
    row |= {"step_s": step_s, "training_s": trained.seconds}
    for name, encoder in (("NuCLR", trained.encoder), ("untrained", untrained)):
        result = nl.decode(nl.embed(encoder, recordings), units["region"], units["animal_id"])
        score = result.scores.set_index("metric").loc["macro_f1"]
        row |= {f"{name}_{part}": score[part] for part in ("estimate", "low", "high")}
    machine = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    return row | {"device": machine, "torch": torch.__version__}


if __name__ == "__main__":
    main()
