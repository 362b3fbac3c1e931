"""Objects print in a line or two, and show a small table in a notebook."""

import numpy as np
import pandas as pd
import pytest
from helpers import TINY, clock, spikes

import nuclr_lite as nl


@pytest.fixture(scope="module")
def objects():
    recordings = [spikes(8, name=f"r{i}", seed=i) for i in range(3)]
    pretrained = nl.pretrain(recordings, TINY.with_(steps=2))
    embedding = nl.embed(pretrained.encoder, recordings)
    units = nl.units_table(recordings)
    labels = pd.Series(np.where(np.arange(len(units)) % 2, "a<b", "c"), index=units.index)
    return {
        "recording": recordings[0],
        "traces": clock(),
        "pretrained": pretrained,
        "result": nl.decode(embedding, labels, units["animal_id"]),
        "one animal": nl.decode(
            embedding, labels, units["animal_id"].map(lambda _: "m"), "transductive"
        ),
        "zero-shot": nl.ZeroShot.fit(embedding, labels, units["animal_id"], pretrained=pretrained),
        "preset": TINY,
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("recording", "Recording('r0', animal 'animal of r0', 8 units, "),
        ("traces", "400 frames at 4 Hz, 100 s valid in 1 interval)"),
        ("pretrained", "Pretrained(spikes, windows of 2 s, samples of 0.1 s, 16 dimensions, "),
        ("pretrained", "2 steps on 3 animals, 3 recordings, 24 units)"),
        ("result", "DecodeResult(zero-shot, a<b, c; 24 units of 3 animals, macro F1 0."),
        ("one animal", "24 units of 1 animal, macro F1 0."),
        ("zero-shot", "ZeroShot(a<b, c; taught on 24 units, 16 columns; answers from a "),
        ("zero-shot", "probability of 0.6 and up to a distance of "),
        ("preset", "Preset(model=ModelConfig(modality='spikes', sample_s=0.1"),
    ],
)
def test_printed(objects, name, words):
    printed = repr(objects[name])
    assert words in printed and "\n" not in printed
    assert len(printed) < 250 or name == "preset", "a line or two"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("recording", "<table"),
        ("pretrained", "<th>loss</th>"),
        ("result", "<td>macro_f1</td>"),
        ("zero-shot", "ZeroShot(a&lt;b, c;"),
        ("preset", "<td>tokens_per_window</td>"),
    ],
)
def test_in_a_notebook(objects, name, shown):
    html = objects[name]._repr_html_()
    assert shown in html and html.count("<tr") < 60 and "a<b" not in html
