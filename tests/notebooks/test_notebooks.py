"""Every notebook runs, at the smoke profile; each pair is in step; a misspelt parameter is an
error.
"""

import re
import shutil
import subprocess
import sys

import course
import nbformat
import pytest
import run

NOTEBOOKS, SOURCES = course.HERE, course.sources()
assert SOURCES, "no notebook was found: this test would check nothing"


# Where tests are shared out to several processes (make test), those that use the encoders of 06
# stay together.
WITH_ENCODERS = [
    (
        pytest.param(path, marks=pytest.mark.xdist_group("encoders"))
        if path.stem.startswith(("06", "07", "09", "12"))
        else path
    )
    for path in SOURCES
]


HEADER = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
profile = 'laptop'
"""


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    """Where the notebooks keep encoders and results, for all of them together."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("source", WITH_ENCODERS, ids=[path.stem for path in SOURCES])
def test_runs_at_smoke(source, tmp_path, runs_dir):
    before = set(runs_dir.glob("encoders/*"))
    # On the way every exercise is tried: its solution must pass its check, and its stub must not.
    executed = course.try_out(source, tmp_path, runs_dir)
    if before and source.stem.startswith(("07", "09")):
        assert set(runs_dir.glob("encoders/*")) == before, (
            "expected the encoders of 06_decoding to serve this notebook: the experiments differ"
        )
    cells = nbformat.read(executed, as_version=4).cells
    assert any(
        "image/png" in output.get("data", {})
        for cell in cells
        for output in cell.get("outputs", [])
    )
    run.write_index(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert (
        f'href="{source.stem}.ipynb"' in page
        and "data:image/png" in page
        and "profile = &#x27;smoke&#x27;" in page
    )


@pytest.mark.slow
def test_the_quickstart_trains_where_it_is_asked_to(tmp_path):
    executed = run.execute(
        NOTEBOOKS / "00_quickstart.py",
        {"profile": "smoke", "data_source": "simulated", "encoder_from": "training"},
        tmp_path,
    )
    said = "".join(
        output.get("text", "")
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", [])
    )
    assert (
        re.search(r"40 steps on 5 recordings \(\d+ s\)", said)
        and "never seen by the encoder: animal0-005" in said
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_unknown_parameter_fails_loudly(source, tmp_path):
    with pytest.raises(ValueError, match="has no parameter profil; it has .*profile"):
        run.execute(source, {"profil": "smoke"}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_fails_loudly_too(tmp_path):
    command = [
        sys.executable,
        str(NOTEBOOKS / "run.py"),
        "--profile",
        "smoke",
        "--out",
        str(tmp_path),
    ]
    wrong_parameter = subprocess.run(
        [*command, "-p", "stepps", "3"], capture_output=True, text=True
    )
    wrong_notebook = subprocess.run([*command, "--only", "99"], capture_output=True, text=True)
    assert wrong_parameter.returncode and "has no parameter stepps" in wrong_parameter.stderr
    assert wrong_notebook.returncode and "no notebook begins with 99" in wrong_notebook.stderr


@pytest.mark.parametrize(
    "names, together, longest",
    [
        (run.SHARING, ["06", "07", "09", "12"], ["05", "08", "10"]),
        (run.SHARING_RATS, ["06", "07", "08", "09", "12"], ["05", "10"]),
    ],
)
def test_lanes(names, together, longest):
    """Notebooks that share encoders stay together, in their order; the longest of the others come
    next; nothing is left out.
    """
    lanes = run.in_lanes(SOURCES, names)
    [sharing] = [lane for lane in lanes if len(lane) > 1]
    assert [path.stem[:2] for path in sharing] == together
    assert sorted(path for lane in lanes for path in lane) == SOURCES
    others = [path.stem[:2] for lane in lanes if lane is not sharing for path in lane]
    assert others[: len(longest)] == longest
    few = run.in_lanes(SOURCES[10:13], names)
    assert [path.stem[:2] for lane in few for path in lane] == ["12", "10", "11"]


def test_which_notebooks_take_the_rats():
    takes = [path.stem[:2] for path in SOURCES if run.takes_rats(path)]
    assert takes == ["00", "06", "07", "08", "09", "11", "12", "13"]
    assert [path.stem[:2] for path in SOURCES if run.shows_rats(path)] == takes[:5]


def test_side_by_side(tmp_path, monkeypatch):
    """Two at a time: both are run, each with its share of the threads, and named in the index."""
    for name in ("01_one", "02_two"):
        (tmp_path / f"{name}.py").write_text(
            HEADER
            + "data_source = 'rats'  # or \"rats\"\n\n# %%\nimport os\n\n"
            + "print(os.environ['OMP_NUM_THREADS'], data_source)\n"
        )
    monkeypatch.setattr(run, "HERE", tmp_path)
    arguments = ["--profile", "smoke", "--jobs", "2", "--data", "simulated"]
    assert run.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    share = max(1, (run.os.cpu_count() or 1) // 2)
    for name in ("01_one", "02_two"):
        executed = nbformat.read(tmp_path / "out" / f"{name}.ipynb", as_version=4)
        assert executed.cells[-1].outputs[0]["text"] == f"{share} simulated\n"
        assert name in (tmp_path / "out" / "index.html").read_text()


def test_pairs_are_in_step(tmp_path):
    """Every .ipynb is what jupytext makes of its .py, outputs aside."""
    for path in NOTEBOOKS.iterdir():
        if path.suffix in (".py", ".ipynb", ".toml"):
            shutil.copy(path, tmp_path)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "jupytext",
            "--to",
            "ipynb",
            "--update",
            *[path.name for path in SOURCES],
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    for source in SOURCES:
        pair = source.with_suffix(".ipynb")
        assert pair.is_file(), f"{pair.name} is missing: run make notebooks"
        assert (tmp_path / pair.name).read_bytes() == pair.read_bytes(), (
            f"{pair.name} is out of step with {source.name}: run make notebooks"
        )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_committed_outputs_are_clean(source):
    text = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not re.search(r"(?:/tmp|/root|/home|/work|/Users)/", text), (
        "a path of somebody's machine"
    )
    notebook = nbformat.reads(text, as_version=4)
    cells = notebook.cells
    assert not any("injected-parameters" in cell.metadata.get("tags", []) for cell in cells)
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code"), (
        "not executed: run make notebooks"
    )
    # Where no kernel runs a widget is an error message; what `nl.plots.slider` leaves is a figure.
    assert "widgets" not in notebook.metadata
    assert "application/vnd.jupyter.widget" not in text
    assert not any(
        output.output_type == "error" for cell in cells for output in cell.get("outputs", [])
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_parameters_cell_holds_literals_only(source):
    import ast

    cell = next(
        cell
        for cell in run.jupytext.read(source).cells
        if "parameters" in cell.metadata.get("tags", [])
    )
    names = []
    for line in ast.parse(cell.source).body:
        assert isinstance(line, ast.Assign), ast.unparse(line)
        ast.literal_eval(line.value)
        names += [target.id for target in line.targets]
    assert len(set(names)) == len(names)


def test_what_failed_or_changed_is_run_again(tmp_path):
    source = tmp_path / "00_tiny.py"
    header = HEADER + "\n# %%\n"
    source.write_text(header + "1 / 0\n")
    with pytest.raises(run.papermill.PapermillExecutionError):
        run.execute(source, {"profile": "smoke"}, tmp_path)
    assert not run.is_done(source, {"profile": "smoke"}, tmp_path)
    run.write_index(tmp_path)
    assert "<b>failed</b>" in (tmp_path / "index.html").read_text()
    source.write_text(header + "1 / 1\n")
    run.execute(source, {"profile": "smoke"}, tmp_path)
    assert run.is_done(source, {"profile": "smoke"}, tmp_path) and not run.is_done(
        source, {"profile": "laptop"}, tmp_path
    )
    source.write_text(header + "2 / 1\n")
    assert not run.is_done(source, {"profile": "smoke"}, tmp_path)
