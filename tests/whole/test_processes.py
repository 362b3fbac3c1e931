"""Pretraining in two processes on the CPU: the gradients and the weights of one process with the
same batches.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from helpers import TINY, gradients_of, relative_error
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_pre_hook

import nuclr_lite as nl

# Four pairs a batch and no dropout: two processes take two pairs each.
PRESET = TINY.with_(steps=4, batch_size=4, dropout=0.0, min_units=2)
# Learns like the command line; the first process writes down the gradients of its first step.
SCRIPT = """
import sys
from safetensors.torch import save_file
from torch.optim.optimizer import register_optimizer_step_pre_hook
from nuclr_lite.__main__ import main
import os
from helpers import gradients_of
def look(optimizer, args, kwargs):
    if not os.path.exists(sys.argv[1]) and os.environ["RANK"] == "0":
        save_file(gradients_of(optimizer), sys.argv[1])
register_optimizer_step_pre_hook(look)
main(["pretrain", *sys.argv[2:]])
"""


def launch(folder, saved, preset, *arguments):
    """The script in two processes, with the command line's options for this preset; fails with what
    they said.
    """
    (folder / "script.py").write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quick = asdict(nl.PRESETS["quick"])
    changed = [
        (name, value)
        for part, values in asdict(preset).items()
        for name, value in values.items()
        if value != quick[part][name]
    ]
    options = [option for name, value in changed for option in ("--set", name, json.dumps(value))]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc_per_node=2",
            f"--master_port={port}",
            str(folder / "script.py"),
            str(folder / "gradients"),
            str(saved),
            "--out",
            str(folder / "run"),
            "--cpu",
            *options,
            *arguments,
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return nl.Pretrained.load(folder / "run")


@pytest.fixture(scope="module")
def saved(recordings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    for recording in recordings:
        recording.save(folder / recording.recording_id)
    return folder


# of a batch of one pair the second process gets nothing
@pytest.mark.parametrize(
    ("batch_size", "optimizer"),
    [(4, "adamw"), (4, "muon"), pytest.param(1, "adamw", marks=pytest.mark.slow)],
)
def test_two_processes_equal_one(batch_size, optimizer, recordings, saved, tmp_path):
    preset, gradients = PRESET.with_(batch_size=batch_size, optimizer=optimizer), {}

    def look(optimizer, args, kwargs):
        if not gradients:
            gradients.update(gradients_of(optimizer))

    handle = register_optimizer_step_pre_hook(look)
    try:
        one = nl.pretrain(recordings, preset)
    finally:
        handle.remove()
    two = launch(tmp_path, saved, preset)
    theirs = load_file(tmp_path / "gradients")
    assert theirs.keys() == gradients.keys()
    # keys' biases have no gradient but rounding
    scale = max(float(gradient.norm()) for gradient in gradients.values())
    assert max(float((theirs[name] - gradients[name]).norm()) for name in gradients) <= 1e-6 * scale
    # Not the weights: AdamW makes steps of full size out of gradients that are rounding alone.
    assert (
        relative_error(nl.embed(two.encoder, recordings), nl.embed(one.encoder, recordings)) <= 1e-4
    )
    for column in ("step", "epoch", "loss", "attraction", "repulsion", "learning_rate"):
        np.testing.assert_allclose(two.history[column], one.history[column], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_stopped(saved, tmp_path):
    whole = launch(tmp_path, saved, PRESET.with_(dropout=0.3))
    shutil.rmtree(tmp_path / "run" / "checkpoint-00000004")
    again = launch(tmp_path, saved, PRESET.with_(dropout=0.3), "--resume")
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(again.encoder.state_dict()[name], value), name
    assert again.history.equals(whole.history)
