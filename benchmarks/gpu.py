"""What a GPU does with this code: is it right, how fast is it, what would the whole recipe take?

    # one GPU: about 8 minutes
    python benchmarks/gpu.py --out results/gpu
    # to see that it runs
    python benchmarks/gpu.py --device cpu --preset quick --pairs 4 --steps 5 --warm-up 5 \\
        --out /tmp/gpu

Writes one CSV a question into --out and prints them: `correctness` (outputs, loss and gradients
against the CPU in float32; how often the CPU waits for the GPU within a step), `step` (forward and
backward of one batch: ours, a plain loop over populations, everything padded to the widest
population, on a GPU also torch.compile; medians of pairs timed in turn), `split` (data, forward,
backward, optimiser, each waited for), `training` (timed steps after a warm-up, memory, the share of
what the device's own matrix products reach; the whole recipe is *projected* from them). Recordings
are simulated, 20 to 150 units each, as on a probe of the Allen set.
"""

from __future__ import annotations

import argparse
import time
import warnings
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from accelerate.utils import send_to_device
from cost import operations
from plain import plain_forward

import nuclr_lite as nl
from nuclr_lite.model import Populations
from nuclr_lite.pretrained import build
from nuclr_lite.sources.simulated import SPIKES
from nuclr_lite.steps import Steps, loader


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--preset", default="paper-spikes")
    parser.add_argument(
        "--pairs", type=int, default=0, help="pairs of views a step; 0: the preset's"
    )
    parser.add_argument("--recordings", type=int, default=24)
    parser.add_argument("--steps", type=int, default=3000, help="timed")
    parser.add_argument("--warm-up", type=int, default=100)
    parser.add_argument("--workers", type=int, default=8, help="processes that cut views")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here; --device cpu shows that the script runs.")
    preset = nl.PRESETS[options.preset].with_(dropout=0.0)
    preset = preset.with_(batch_size=options.pairs) if options.pairs else preset
    recordings = nl.simulate_recordings(
        options.recordings, config=replace(SPIKES, n_units=(20, 150))
    )
    views = nl.PairedViews(recordings, preset.model, preset.views, preset.train.batch_size)
    batch = views[0]
    torch.manual_seed(0)
    encoder, loss = build(preset)
    options.out.mkdir(parents=True, exist_ok=True)
    small = nl.PairedViews(recordings, preset.model, preset.views, 4)[0]
    machine = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    for name, table in {
        "correctness": (
            correctness(encoder, loss, small, options.device).assign(
                waits=waits(encoder, loss, Steps(views)[0], options.device)
            )
        ),
        "step": step_times(encoder, loss, batch, options.device),
        "split": split(encoder, loss, views, options),
        "training": training(recordings, preset, batch, options),
    }.items():
        table.assign(device=machine, torch=torch.__version__).to_csv(
            options.out / f"{name}.csv", index=False, float_format="%.6g"
        )
        print(
            f"{name} ({machine})",
            table.to_string(index=False, float_format="%.4g"),
            sep="\n",
            flush=True,
        )


def both_views(batch, device):
    return torch.cat([batch.tokens_1, batch.tokens_2]).to(device), torch.cat(
        [batch.sizes_1, batch.sizes_2]
    )


def run(encoder, loss, batch, device, forward=None, bf16: bool = False):
    """Loss and gradients of one batch; returns the vectors and the loss."""
    tokens, sizes = both_views(batch, device)
    for parameter in (*encoder.parameters(), *loss.parameters()):
        parameter.grad = None
    with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
        vectors = (forward or encoder)(tokens, sizes)
        total = loss(
            *vectors.split([len(batch.tokens_1), len(batch.tokens_2)]),
            batch.ids_1,
            batch.ids_2,
            batch.sizes_1,
            batch.sizes_2,
        ).total
    total.backward()
    return vectors.detach().float().cpu(), float(total.detach())


def gradients(*modules) -> torch.Tensor:
    return torch.cat(
        [
            parameter.grad.flatten().float().cpu()
            for module in modules
            for parameter in module.parameters()
        ]
    )


def correctness(encoder, loss, batch, device) -> pd.DataFrame:
    """Relative errors against the CPU in float32 (TF32 off)."""
    expected, expected_loss = run(encoder, loss, batch, "cpu")
    expected_gradients, rows = gradients(encoder, loss), []
    encoder.to(device), loss.to(device)
    for precision in ("float32", "bf16"):
        vectors, total = run(encoder, loss, batch, device, bf16=precision == "bf16")
        rows.append(
            {
                "precision": precision,
                "vectors": float((vectors - expected).norm() / expected.norm()),
                "loss": abs(total - expected_loss) / abs(expected_loss),
                "gradients": float(
                    (gradients(encoder, loss) - expected_gradients).norm()
                    / expected_gradients.norm()
                ),
            }
        )
    return pd.DataFrame(rows)


def waits(encoder, loss, step, device) -> float:
    """How often the CPU waits for the GPU in forward and backward of a step whose tensors are
    there; 0 is the aim (without a GPU: not a number).
    """
    if device != "cuda":
        return float("nan")
    step = send_to_device(step, device)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with torch.autocast(device, torch.bfloat16):
                total = loss(
                    *encoder(step.tokens, step.populations).split(step.units), step.pairing
                ).total
            total.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def seconds(work, device) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def padded(encoder, tokens, sizes):
    """The work of an encoder that pads every population to the widest (the numbers are another
    matter: here the padding takes part).
    """
    populations = Populations.of(sizes, tokens.device)
    vectors = encoder(
        populations.pad(tokens).flatten(0, 1),
        torch.full(populations.occupied.shape[:1], populations.occupied.shape[1]),
    )
    return populations.unpad(vectors.unflatten(0, populations.occupied.shape))


def step_times(encoder, loss, batch, device, repeats: int = 5) -> pd.DataFrame:
    """Forward and backward of one batch, three ways in turn: medians, ratios of pairs to ours."""
    ways = {
        "ours": None,
        "plain loop": lambda *views: plain_forward(encoder, *views),
        "padded": lambda *views: padded(encoder, *views),
    }
    if device == "cuda":
        ways["compiled"] = torch.compile(encoder, dynamic=True)
    rows = []
    for precision in ("float32", "bf16"):
        for forward in ways.values():  # warm up
            run(encoder, loss, batch, device, forward, precision == "bf16")
        times = pd.DataFrame(
            [
                {
                    name: seconds(
                        partial(run, encoder, loss, batch, device, forward, precision == "bf16"),
                        device,
                    )
                    for name, forward in ways.items()
                }
                for _ in range(repeats)
            ]
        )
        units = len(batch.tokens_1) + len(batch.tokens_2)
        rows += [
            {
                "precision": precision,
                "way": name,
                "seconds": times[name].median(),
                "units_per_s": units / times[name].median(),
                "over_ours": (times[name] / times["ours"]).median(),
            }
            for name in ways
        ]
    return pd.DataFrame(rows)


def split(encoder, loss, views, options, steps: int = 20) -> pd.DataFrame:
    """Where the time of a step goes when each part is waited for: medians over steps."""
    optimizer = torch.optim.AdamW([*encoder.parameters(), *loss.parameters()], lr=1e-6, fused=True)
    batches = [k % len(views) for k in range(steps + 2)]
    loaded = iter(loader(views, batches, options.workers, torch.device(options.device)))
    made = {}

    def data():
        made["step"] = send_to_device(next(loaded), options.device, non_blocking=True)

    def forward():
        step = made["step"]
        with torch.autocast(options.device, torch.bfloat16, enabled=options.device == "cuda"):
            made["total"] = loss(
                *encoder(step.tokens, step.populations).split(step.units), step.pairing
            ).total

    def update():
        optimizer.step()
        optimizer.zero_grad()

    parts = {
        "data": data,
        "forward": forward,
        "backward": lambda: made["total"].backward(),
        "optimiser": update,
    }
    rows = []
    for _ in range(steps + 2):
        made.clear()  # nothing of the step before lies in memory
        rows.append({name: seconds(part, options.device) for name, part in parts.items()})
    medians = pd.DataFrame(rows[2:]).median()  # the first two warm up
    return pd.DataFrame(
        [medians.add_suffix("_s").to_dict() | {"data_share": medians["data"] / medians.sum()}]
    )


def ceiling(device, dtype) -> float:
    """Floating-point operations a second of the device's own product of two large matrices, the
    best of ten.
    """
    n = 8192 if device == "cuda" else 1024
    one, other = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    one @ other
    return 2 * n**3 / min(seconds(lambda: one @ other, device) for _ in range(10))


def training(recordings, preset, batch, options) -> pd.DataFrame:
    """`nl.pretrain` itself, with its dropout: the time of a long run less that of a short one."""
    preset, device = (
        preset.with_(
            dropout=nl.PRESETS[options.preset].model.dropout, log_every=50, checkpoint_every=50
        ),
        (None if options.device == "cuda" else "cpu"),
    )
    short, long = (
        nl.pretrain(recordings, preset.with_(steps=steps), workers=options.workers, device=device)
        for steps in (options.warm_up, options.warm_up + options.steps)
    )
    step_s = (long.seconds - short.seconds) / options.steps
    precision = torch.bfloat16 if options.device == "cuda" else torch.float32
    counted, best = (
        operations(preset, *both_views(batch, "cpu")),
        ceiling(options.device, precision),
    )
    memory = torch.cuda.max_memory_allocated() / 1e9 if options.device == "cuda" else float("nan")
    recipe = nl.PRESETS[options.preset].train.steps
    return pd.DataFrame(
        [
            {
                "pairs": preset.train.batch_size,
                "units_a_batch": len(batch.tokens_1) + len(batch.tokens_2),
                "timed_steps": options.steps,
                "step_s": step_s,
                "tflop_a_step": counted / 1e12,
                "tflop_per_s": counted / step_s / 1e12,
                "matrix_product_tflop_per_s": best / 1e12,
                "share_of_it": counted / step_s / best,
                "peak_memory_gb": memory,
                "recipe_steps": recipe,
                "recipe_hours_projected": recipe * step_s / 3600,
                "last_loss": long.history["loss"].iloc[-1],
            }
        ]
    )


if __name__ == "__main__":
    main()
