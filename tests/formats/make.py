"""Files as the present version saves them, to be opened by all versions after it:

    PYTHONPATH=. python tests/formats/make.py

That writes `tests/formats/<version>/`, once a version: what lies there is never made again, as it
is the older files that a newer version must read. `tests/test_formats.py` opens them all, and asks
for this script when the version has none yet.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import nuclr_lite as nl

HERE = Path(__file__).parent
# Windows of 2 s: 4 tokens of 5 bins of 0.1 s.
RECIPE = nl.PRESETS["quick"].with_(
    optimizer="adamw",
    sample_s=0.1,
    samples_per_token=5,
    tokens_per_window=4,
    dim=8,
    heads=1,
    head_dim=8,
    temporal_layers=1,
    spatiotemporal_layers=1,
    steps=3,
    batch_size=2,
    warmup_steps=1,
    log_every=1,
    checkpoint_every=3,
    grid_s=0.1,
)


def recordings() -> dict[str, nl.Recording]:
    """Two of spikes, one of counts, one of traces, with labels of every type."""
    rng = np.random.default_rng(0)
    units = pd.DataFrame(
        {
            "cell_type": ["Exc", "Pvalb", None, "Exc", "Pvalb", "Exc"],
            "good": [True, False, True, True, True, True],
            "depth_um": [10.5, np.nan, 30.0, 1 / 3, 50.0, 60.0],
            "channel": [1, 2, 3, 4, 5, 6],
        },
        index=pd.Index([3, 5, 8, 13, 21, 34], name="unit_id"),
    )
    epochs = pd.DataFrame({"start_s": [1.0], "stop_s": [5.0], "name": ["gratings"]})
    made = {}
    for number in range(2):
        trains = [np.sort(rng.uniform(0, 12, 50)) for _ in range(6)]
        name, animal = f"spikes{number}", f"00{number}"
        made[name] = nl.Recording.from_spike_trains(
            trains,
            units,
            [[0, 7], [7.5, 12]],
            recording_id=name,
            animal_id=animal,
            probe_id="A",
            epochs=epochs,
            provenance={"source": "made for a test"},
        )
    counts, traces = rng.poisson(0.3, (120, 6)), rng.standard_normal((60, 6))
    common = {"units": units.set_index(pd.Index(list("abcdef"))), "animal_id": "é"}
    return made | {
        "counts": nl.Recording.from_counts(counts, 0.1, recording_id="counts", **common),
        "traces": nl.Recording.from_traces(
            np.round(traces, 3), 5.0, recording_id="traces", start_s=2.0, **common
        ),
    }


def facts(recording: nl.Recording) -> dict:
    """What must come out again."""
    array = recording.times if recording.modality == "spikes" else recording.traces
    return {
        "printed": repr(recording),
        "sum": float(np.asarray(array, dtype=np.float64).sum()),
        "first": np.asarray(array[:3], dtype=np.float64).ravel().tolist(),
        "intervals": recording.intervals.tolist(),
        "units": json.loads(recording.units.to_json(orient="split", double_precision=15)),
        "epochs": json.loads(recording.epochs.to_json(orient="split")),
        "provenance": recording.provenance,
    }


def answers(reader: nl.ZeroShot, recording: nl.Recording) -> dict:
    """Labels and probabilities."""
    said = reader.read(recording)
    return {
        "likeliest": said["likeliest"].tolist(),
        "probability": said["probability"].tolist(),
        "distance": said["distance"].tolist(),
        "reason": said["reason"].tolist(),
    }


def main():
    folder = HERE / nl.__version__
    if folder.exists():
        sys.exit(f"{folder} is there already, and stays as it is.")
    held = recordings()
    for name, recording in held.items():
        recording.save(folder / name)
    spikes = [held["spikes0"], held["spikes1"]]
    pretrained = nl.pretrain(spikes, RECIPE, device="cpu")
    pretrained.save(folder / "encoder")
    embedding = nl.embed(pretrained.encoder, spikes, grid_s=0.1)
    units = nl.units_table(spikes)
    reader = nl.ZeroShot.fit(
        embedding, units["cell_type"], units["animal_id"], pretrained=pretrained
    )
    reader.save(folder / "zero_shot")
    experiment = nl.Experiment("an experiment", label_shares=(0.5,), changes={"steps": 5})
    (folder / "experiment.json").write_text(experiment.to_json(), encoding="utf-8")
    expected = {
        "recordings": {name: facts(recording) for name, recording in held.items()},
        "encoder": {
            "recipe": json.loads(RECIPE.to_json()),
            "embedding": nl.embed(pretrained.encoder, spikes[0], grid_s=0.1).to_numpy().tolist(),
            "trained_on": pretrained.trained_on["animal_id"].tolist(),
        },
        "zero_shot": answers(reader, spikes[1]),
        "experiment": {"cells": len(experiment.cells())},
    }
    (folder / "expected.json").write_text(
        json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(folder, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), "bytes")


if __name__ == "__main__":
    main()
