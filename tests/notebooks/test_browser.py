"""JupyterLab in a real browser: 00_quickstart opened, run by its menu, its figures there.

Needs Chromium and the package playwright.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from helpers import ROOT

CHROMIUM = next(
    (path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path),
    None,
)
# what the page itself holds: cells out of sight are not drawn
CELLS = "jupyterapp.shell.currentWidget.content.model.toJSON().cells"
# Asked of the session, not of the circle in the toolbar: the circle says idle before there is a
# kernel. Run All Cells asks then which kernel to start, and runs nothing.
IDLE = (
    "jupyterapp.shell.currentWidget?.sessionContext?.isReady &&"
    " jupyterapp.shell.currentWidget.sessionContext.kernelDisplayStatus === 'idle'"
)
# Through the last cell, or stopped by an error.
DONE = f"""() => {{
    const code = {CELLS}.filter(cell => cell.cell_type === 'code');
    return {IDLE} && (code.at(-1).execution_count || code.some(
        cell => cell.outputs.some(output => output.output_type === 'error')
    ));
}}"""
SCROLL = "index => jupyterapp.shell.currentWidget.content.scrollToItem(index)"
DRAWN = """index => [
    ...jupyterapp.shell.currentWidget.content.widgets[index].node
        .querySelectorAll('.jp-RenderedImage img')
]
    .some(image => image.checkVisibility() && image.naturalWidth > 100)"""
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"
    ),
]


@pytest.fixture
def lab(tmp_path):
    """Address of a JupyterLab over a copy of the notebooks, at the smoke profile, so that nothing
    committed is saved over.
    """
    folder = tmp_path / "notebooks"
    folder.mkdir()
    text = (ROOT / "notebooks" / "00_quickstart.ipynb").read_text(encoding="utf-8")
    changed = text.replace('profile = \\"laptop\\"', 'profile = \\"smoke\\"')
    assert changed != text
    notebook = json.loads(changed)
    for cell in notebook["cells"]:
        cell.update({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})
    (folder / "00_quickstart.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    homes = {
        name: str(tmp_path / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    with open(tmp_path / "lab.log", "w") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--ip=127.0.0.1",
                f"--port={port}",
                f"--IdentityProvider.token={token}",
                "--LabApp.expose_app_in_browser=True",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=os.environ | homes | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
        )
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab/tree/00_quickstart.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(20)


def test_quickstart_runs_by_its_menu(lab, tmp_path):
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the package playwright is missing (pip install playwright)"
    )
    said, here = [], lab[: lab.index("/lab/")]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.on(
            "console",
            lambda message: (
                said.append((message.text, message.location["url"]))
                if message.type == "error"
                else None
            ),
        )
        page.on("pageerror", lambda error: said.append((str(error), here)))
        try:
            page.goto(lab, timeout=180_000)
            page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=120_000)
            page.wait_for_function(f"() => {IDLE}", timeout=120_000)
            page.click('.lm-MenuBar-itemLabel:text-is("Run")')
            page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
            page.wait_for_function(DONE, timeout=400_000, polling=1000)
            cells = page.evaluate(CELLS)
            figures = [
                index
                for index, cell in enumerate(cells)
                if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
            ]
            for index in figures:
                page.evaluate(SCROLL, index)
                page.wait_for_function(DRAWN, arg=index, timeout=30_000)
            dialogs = page.locator(".jp-Dialog").all_inner_texts()
        finally:
            page.screenshot(path=str(tmp_path / "end.png"))
            browser.close()
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    errors = [output for output in outputs if output["output_type"] == "error"]
    assert not errors, errors
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), (
        "each cell once, in order"
    )
    assert any(
        re.search(r"macro F1: NuCLR \d\.\d+", "".join(output.get("text", ""))) for output in outputs
    ), "the last cell printed no score"
    assert len(figures) >= 5
    assert not dialogs, dialogs
    # The badges come from elsewhere, and there may be no way there.
    assert not [text for text, url in said if url.startswith(here) or "net::ERR" not in text], said
