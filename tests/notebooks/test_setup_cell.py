"""The set-up cell as Colab meets it: a Python that has torch, numpy and Jupyter but not this
repository, and a folder that holds one notebook.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import course
import jupytext
import pytest
from helpers import ROOT

VERSIONS = (
    "import json, numpy, torch; print(json.dumps([numpy.__version__, torch.__version__,"
    " numpy.__file__, torch.__file__]))"
)


def python_without_us(folder: Path) -> Path:
    """A Python in `folder` that sees the packages of this one, but for nuclr_lite, whose editable
    installation hangs on a .pth file.
    """
    venv.create(folder, with_pip=True)
    mine = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (mine / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def as_repository(folder: Path) -> Path:
    """This checkout's files as a git repository of one commit; the checkout itself may be shallow,
    or no repository at all.
    """
    left_out = shutil.ignore_patterns(
        ".git",
        ".venv",
        "runs",
        "executed",
        "raw",
        "processed",
        "student",
        "site",
        "__pycache__",
        "*.egg-info",
        ".pytest_cache",
        ".hypothesis",
    )
    shutil.copytree(ROOT, folder, ignore=left_out)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        [
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@localhost",
            "commit",
            "-qm",
            "as it is now",
        ],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.mark.slow
def test_the_set_up_cell_brings_us_and_leaves_the_rest(tmp_path):
    python = python_without_us(tmp_path / "colab")
    # The address of the repository leads to this checkout.
    address = f"https://github.com/{course.repository()}"
    env = os.environ | {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.{as_repository(tmp_path / 'repository').as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
        "TQDM_DISABLE": "1",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }
    work = tmp_path / "content"
    work.mkdir()

    def said(code):
        done = subprocess.run(
            [python, "-c", code], cwd=work, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert "None" in said("import importlib.util; print(importlib.util.find_spec('nuclr_lite'))"), (
        "this Python must not have us yet"
    )
    before = json.loads(said(VERSIONS))
    notebook = jupytext.read(ROOT / "notebooks" / "00_quickstart.py")
    setup = next(cell.source for cell in notebook.cells if "setup" in course.tags(cell))
    where = said(setup + "\nimport nuclr_lite; print(nuclr_lite.__file__)").strip()
    assert where.startswith(str(tmp_path / "colab")), where
    assert json.loads(said(VERSIONS)) == before, "the set-up cell changed numpy or torch"

    # The whole notebook, in a kernel of that Python, with nothing of the repository beside it.
    script = "\n\n".join(["display = print", *course.code_of(notebook)])
    for usual, here in (("laptop", "smoke"), ("rats", "simulated")):
        assert f' = "{usual}"\n' in script
        script = script.replace(f' = "{usual}"\n', f' = "{here}"\n', 1)
    assert "macro F1: NuCLR" in said(script)


@pytest.mark.slow
def test_the_set_up_cell_swallows_no_error(tmp_path):
    python = python_without_us(tmp_path / "colab")
    env = os.environ | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(tmp_path / 'nowhere').as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{course.repository()}",
    }
    done = subprocess.run(
        [python, "-c", course.SETUP.format(repository=course.repository())],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "CalledProcessError" in done.stderr
