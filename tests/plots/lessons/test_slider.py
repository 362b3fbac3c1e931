"""A figure with a slider: an ordinary figure where a notebook runs by itself, a slider that redraws
where somebody sits at it.
"""

import gc
import sys
import weakref
from base64 import b64decode
from queue import Empty

import matplotlib.pyplot as plt
import nbformat
import papermill
import pytest
from jupyter_client.manager import start_new_kernel

import nuclr_lite as nl
from nuclr_lite.plots.lessons import slider as module

WIDGET = "application/vnd.jupyter.widget-view+json"
CELL = """
import matplotlib.pyplot as plt
import nuclr_lite as nl

@nl.plots.styled_figure
def draw(height):
    print("drawn at", height)
    figure, axes = plt.subplots()
    axes.bar([0], [height])
    axes.set(ylim=(0, 10))
    return figure

nl.plots.slider(draw, "height", (1, 2, 5), at=2)
"""


@nl.plots.styled_figure
def bar(height):
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.bar([0], [height])
    axes.set(ylim=(0, 10))
    return figure


@pytest.fixture
def somebody(monkeypatch):
    monkeypatch.setattr(module, "somebody_is_there", lambda: True)


def test_papermill_gets_an_ordinary_figure(tmp_path):
    """Drawn once, and nothing of a widget. (nbconvert runs notebooks with the same client.)"""
    given = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL)],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    nbformat.write(given, tmp_path / "given.ipynb")
    executed = papermill.execute_notebook(tmp_path / "given.ipynb", None, progress_bar=False)
    assert "widgets" not in executed.metadata
    said, shown = executed.cells[-1].outputs
    assert said.text == "drawn at 2\n"
    assert shown.output_type == "execute_result" and set(shown.data) == {"image/png", "text/plain"}
    assert b64decode(shown.data["image/png"]).startswith(b"\x89PNG")


def messages(client, request):
    """What the kernel sends for one request, until it is idle."""
    found = []
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") == request:
            found.append((message["msg_type"], message["content"], message["buffers"]))
            if message["content"].get("execution_state") == "idle":
                return found


def test_a_front_end_gets_a_slider_that_redraws():
    """A kernel, and the messages that JupyterLab sends: the cell, then the slider's new place."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        sent = messages(client, client.execute(CELL, allow_stdin=True))
        assert [content["text"] for kind, content, _ in sent if kind == "stream"] == [
            "drawn at 2\n"
        ], "expected one drawing"
        models = {
            content["comm_id"]: (content["data"]["state"], buffers)
            for kind, content, buffers in sent
            if kind == "comm_open"
        }
        place = {state["_model_name"]: comm for comm, (state, _) in models.items()}
        [shown] = [content["data"] for kind, content, _ in sent if kind == "execute_result"]
        assert shown[WIDGET]["model_id"] == place["VBoxModel"]
        [first] = models[place["ImageModel"]][1]
        assert b64decode(shown["image/png"]) == bytes(first)

        slider = models[place["SelectionSliderModel"]][0]
        assert slider["_options_labels"] == ["1", "2", "5"] and slider["index"] == 1
        moved = client.session.msg(
            "comm_msg",
            {
                "comm_id": place["SelectionSliderModel"],
                "data": {"method": "update", "state": {"index": 2}, "buffer_paths": []},
            },
        )
        client.shell_channel.send(moved)
        answered = messages(client, moved["header"]["msg_id"])
        [picture] = [
            bytes(buffers[0])
            for kind, content, buffers in answered
            if kind == "comm_msg" and content["comm_id"] == place["ImageModel"]
        ]
        assert picture.startswith(b"\x89PNG") and picture != bytes(first)
        with pytest.raises(Empty):
            client.get_iopub_msg(timeout=0.5)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_each_place_is_drawn_once_and_no_figure_is_kept(somebody):
    drawn, open_before = [], plt.get_fignums()

    def draw(height):
        figure = bar(height)
        drawn.append((height, weakref.ref(figure)))
        return figure

    moving = nl.plots.slider(draw, "height", range(10), at=3)
    pictures = [moving.image.value]
    for height in [*range(10), *range(10)]:
        moving.slider.value = height
        pictures.append(moving.image.value)
    assert [height for height, _ in drawn] == [3, 0, 1, 2, *range(4, 10)]
    assert pictures[4] == pictures[0] and len(set(pictures)) == 10
    gc.collect()
    assert plt.get_fignums() == open_before
    assert not any(figure() for _, figure in drawn)


def test_what_does_not_change_stands_still(somebody):
    """The picture's size and the axes' place, whatever is written beside them."""
    drawn = []

    def draw(words):
        drawn.append(bar(1))
        drawn[-1].axes[0].set_ylabel(words)
        return drawn[-1]

    moving = nl.plots.slider(draw, "words", ("a", "b\nb\nb", "c" * 50), at="a")
    before = moving.image.value
    for words in ("b\nb\nb", "c" * 50):
        moving.slider.value = words
        after = moving.image.value
        assert after != before and after[16:24] == before[16:24]  # width and height, in a PNG
        assert drawn[-1].axes[0].get_position().bounds == drawn[0].axes[0].get_position().bounds


def test_without_ipywidgets_it_is_the_figure(somebody, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    figure = nl.plots.slider(bar, "height", (1, 2), at=1)
    assert isinstance(figure, plt.Figure)


def test_without_a_kernel_it_is_the_figure(monkeypatch):
    assert isinstance(nl.plots.slider(bar, "height", (1, 2), at=1), plt.Figure)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert isinstance(nl.plots.slider(bar, "height", (1, 2), at=1), plt.Figure)


def test_a_place_that_is_no_stop():
    with pytest.raises(ValueError, match="height begins at 3; use one of 1, 2"):
        nl.plots.slider(bar, "height", (1, 2), at=3)
