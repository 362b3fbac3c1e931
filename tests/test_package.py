"""The package as a whole: what it imports, and that it can be lifted out."""

import ast
import io
import shutil
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest

import nuclr_lite as nl

PACKAGE = Path(nl.__file__).parent


def python(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)


def test_import_brings_in_nothing_heavy():
    run = python(
        "import sys, nuclr_lite as nl; nl.NuCLR, nl.pretrain, nl.embed, nl.decode,"
        " nl.simulate_recordings\nheavy = {'allensdk', 'pynwb', 'accelerate', 'matplotlib',"
        " 'seaborn', 'safetensors', 'h5py'} & set(sys.modules)\nsys.exit(', '.join(heavy) or 0)"
    )
    assert run.returncode == 0, run.stderr


def test_the_allen_sources_need_no_torch():
    """They are used on Pythons for which there is no torch yet."""
    run = python(
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from nuclr_lite.sources.allen import neuropixels, optotagging, two_photon\n"
        "from nuclr_lite.sources.simulated import allen_session, allen_two_photon"
    )
    assert run.returncode == 0, run.stderr


def test_every_promised_name_exists():
    for name in nl.__all__:
        assert getattr(nl, name) is not None
    with pytest.raises(AttributeError, match="has no 'embedd'"):
        nl.__getattr__("embedd")


def test_lifted_copy_works_without_the_extras(tmp_path):
    """A copied folder embeds and decodes with torch, numpy, pandas, scikit-learn and tqdm alone."""
    shutil.copytree(PACKAGE, tmp_path / "nuclr_lite", ignore=shutil.ignore_patterns("__pycache__"))
    run = python(
        "import sys\nfor name in ('accelerate', 'safetensors', 'matplotlib', 'seaborn', 'pynwb',"
        " 'allensdk', 'h5py'): sys.modules[name] = None\nimport nuclr_lite as nl\nassert"
        f" nl.__file__.startswith({str(tmp_path)!r})\nfrom nuclr_lite.sources.simulated import"
        " SimulationConfig\nrecordings = nl.simulate_recordings(2,"
        " config=SimulationConfig(duration_s=30.0, n_units=(12, 12)))\ntable ="
        " nl.embed(nl.NuCLR(nl.PRESETS['quick'].model), recordings)\nunits ="
        " nl.decoding.pd.concat({r.recording_id: r.units for r in recordings},"
        " names=table.index.names)\nprint(nl.decode(table, units['area'], units['area'],"
        " protocol='transductive').score())",
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "TQDM_DISABLE": "1"},
    )
    assert run.returncode == 0, run.stderr


def test_presets_print_and_round_trip():
    for preset in nl.PRESETS.values():
        assert nl.Preset.from_json(preset.to_json()) == preset and "dim=" in repr(preset)
    changed = nl.PRESETS["quick"].with_(steps=7, dim=16, grid_s=0.5)
    assert (changed.train.steps, changed.model.dim, changed.views.grid_s) == (7, 16, 0.5)
    with pytest.raises(ValueError, match="no preset has"):
        nl.PRESETS["quick"].with_(stepz=7)
    with pytest.raises(ValueError, match="multiple of log_every"):
        nl.PRESETS["quick"].with_(log_every=7)


def test_files_stay_small_enough_to_read():
    """At most 300 lines of code, docstrings, comments and blank lines aside."""
    for path in PACKAGE.rglob("*.py"):
        code = lines_of_code(path.read_text(encoding="utf-8"))
        assert code <= 300, f"{path} has {code} lines of code"


def lines_of_code(text: str) -> int:
    kept = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (
            tokenize.COMMENT,
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
        ):
            kept |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            kept -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(kept)


# Wing of the house -> the wings it may import, beside what lies on the ground floor.
MAY_IMPORT = {
    "": {"files"},
    "files": set(),
    "sources": {"files"},
    "analysis": {"files"},
    "experiments": {"files", "sources", "analysis"},
    "plots": {"files", "sources", "analysis", "experiments"},
    "commands": {"files", "sources", "analysis", "experiments", "plots"},
}
DOORS = {"__init__", "__main__"}  # they lead everywhere


def imported(path: Path) -> set[tuple[str, ...]]:
    """Modules of the package that a file imports, anywhere in it, as paths below nuclr_lite/; with
    each name that is taken from them.
    """
    here, found = path.relative_to(PACKAGE).with_suffix("").parts, set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level]
            found |= {
                (*base, *(node.module.split(".") if node.module else ()), alias.name)
                for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "nuclr_lite":
            raise AssertionError(
                f"{path} imports {node.module} by its full name; write it relative, so that the"
                " folder can be renamed"
            )
    return found


def test_imports_go_one_way():
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        wing = parts[0] if len(parts) > 1 else ""
        if not wing and path.stem in DOORS:
            continue
        for target in imported(path):
            reached = target[0] if (PACKAGE / target[0]).is_dir() else ""
            assert reached in {wing, ""} | MAY_IMPORT[wing], f"{path} imports {'.'.join(target)}"
            assert wing != "files" or reached == "files", f"{path} imports {'.'.join(target)}"


def test_nobody_imports_what_another_file_keeps_to_itself():
    for path in PACKAGE.rglob("*.py"):
        private = [
            target
            for target in imported(path)
            if target[-1].startswith("_") and target[-1] != "__version__"
        ]
        assert not private, f"{path} imports {private}"


def test_the_ground_floor_is_small_and_each_wing_says_what_it_is():
    assert len(list(PACKAGE.glob("*.py"))) <= 16
    assert {
        path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"
    } == set(MAY_IMPORT) - {""}
    for folder in {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}:
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert folder.name == "lessons" or "Lives here" in said and "ay import" in said, folder


def test_every_folder_is_installed():
    project = PACKAGE.parent / "pyproject.toml"
    if not project.is_file():
        pytest.skip("the package lies outside its repository")
    packages = set(
        tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    )
    assert packages == {
        ".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.rglob("*.py")
    } | {"nuclr_lite.data.example_encoder", "nuclr_lite.data.rats_encoder"}
