"""JupyterLab in a real browser: 00_quickstart opened, run by its menu, its figures there. Needs Chromium and the package playwright."""
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
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
CELLS = "() => jupyterapp.shell.currentWidget.content.model.toJSON().cells"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")]


@pytest.fixture
def lab(tmp_path):
    """Address of a JupyterLab over a copy of the notebooks, at the smoke profile, so that nothing committed is saved over."""
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
    homes = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    with open(tmp_path / "lab.log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={token}",
                                   "--LabApp.expose_app_in_browser=True", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
                                  cwd=folder, stdout=log, stderr=log, env=os.environ | homes | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"})
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
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is missing (pip install playwright)")
    said = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(lab, timeout=180_000)
        page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=120_000)
        page.wait_for_selector('[data-status="idle"]', timeout=120_000)
        page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
        deadline, outputs = time.time() + 400, []
        while time.time() < deadline:
            if select := page.query_selector('.jp-Dialog button:has-text("Select")'):      # which kernel? The one that it proposes
                select.click()
            # What the page itself holds: cells out of sight are not drawn.
            code = [cell for cell in page.evaluate(CELLS) if cell["cell_type"] == "code"]
            outputs = [output for cell in code for output in cell["outputs"]]
            if code[-1]["execution_count"] or any(output["output_type"] == "error" for output in outputs):
                break
            time.sleep(2)
        page.evaluate("() => jupyterapp.shell.currentWidget.content.scrollToItem(12)")
        page.wait_for_selector(".jp-RenderedImage img", timeout=30_000)
        page.screenshot(path=str(tmp_path / "end.png"))
        browser.close()
    assert not [output for output in outputs if output["output_type"] == "error"], outputs
    assert any(re.search(r"macro F1: NuCLR \d\.\d+", "".join(output.get("text", ""))) for output in outputs), "the last cell printed no score within 400 s"
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 5
    assert not [line for line in said if not re.search(r"favicon|404|net::ERR", line)], said
