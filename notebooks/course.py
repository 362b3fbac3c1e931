"""The course: its copies for a class, and the rules that its notebooks keep.

    python notebooks/course.py student       into student/: solutions taken out, target figures kept
    python notebooks/course.py instructor    into instructor/: everything, with notes on time and
                                             common mistakes
    python notebooks/course.py check 03      run one at smoke: every solution passes its check,
                                             every stub fails it; the rules
    python notebooks/course.py repository owner/name
                                             write the repository's name into badges, set-up cells,
                                             README and CITATION

An exercise is a markdown cell tagged `exercise` ("### Exercise 1 (predict): ..."), a code cell
tagged `solution` with the answer between `### BEGIN SOLUTION` and `### END SOLUTION`, folded away
in JupyterLab (`jupyter={"source_hidden": true}`), a code cell tagged `check`, and perhaps one
tagged `target`, whose figure students keep. Notes for the instructor stand in
`notebooks/instructor/<name>.md`, a heading an exercise.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import re
import symtable
import sys
import tempfile
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from nbformat import NotebookNode
from run import HERE, execute, parameters_of, sources, tags

from nuclr_lite.files.storage import atomic_file

ROOT = HERE.parent
NOTES = HERE / "instructor"
GRADES = ("predict", "fill in", "extend")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
# Where the name of the repository stands; pyproject.toml has the one that counts.
NAMED_IN = (
    "pyproject.toml",
    "README.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "notebooks/*.py",
    "notebooks/*.ipynb",
)

SETUP = """\
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/{repository}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()"""
BADGES = """\
[![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]

[colab badge]: https://colab.research.google.com/assets/colab-badge.svg
[binder badge]: https://mybinder.org/badge_logo.svg
[colab]: https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb
[binder]: https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/notebooks/{name}.ipynb"""


class Exercise(NamedTuple):
    """Where an exercise's cells lie in its notebook."""

    number: int
    grade: str
    title: str
    text: int
    solution: int
    check: int


def repository() -> str:
    """owner/name, from pyproject.toml."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    return urls["Repository"].removeprefix("https://github.com/")


def code_of(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """The exercises of a notebook, in order.

    ValueError where one lacks its heading, its solution or its check.
    """
    found = []
    for at, cell in enumerate(notebook.cells):
        if "exercise" not in tags(cell):
            continue
        heading = re.match(r"### Exercise (\d+) \(([a-z ]+)\): (.+)", cell.source)
        if not heading or heading[2] not in GRADES:
            raise ValueError(
                f"cell {at} is tagged exercise and begins {cell.source[:40]!r}; write '### Exercise"
                f" N (grade): title', the grade one of {', '.join(GRADES)}."
            )
        following = [tags(other)[0] if tags(other) else "" for other in notebook.cells[at + 1 :]]
        until = following.index("exercise") if "exercise" in following else len(following)
        places = {
            kind: at + 1 + following.index(kind)
            for kind in ("solution", "check")
            if kind in following[:until]
        }
        if len(places) < 2 or places["check"] < places["solution"]:
            raise ValueError(
                f"exercise {heading[1]} needs a cell tagged solution and, after it, one tagged"
                " check."
            )
        found.append(Exercise(int(heading[1]), heading[2], heading[3].strip(), at, **places))
    return found


def stub(solution: str, number: int) -> str:
    """A solution cell without the answers: functions raise NotImplementedError, names get `...`."""
    lines = solution.splitlines()
    kept: list[str] = []
    inside: list[str] | None = None  # the lines of an answer, within one
    for line in lines:
        if line.strip() == BEGIN:
            inside = []
        elif line.strip() == END:
            if inside is None:
                raise ValueError(f"exercise {number}: '{END}' without '{BEGIN}'.")
            indent = line[: len(line) - len(line.lstrip())]
            names = (
                []
                if indent
                else [
                    name.id
                    for node in ast.parse("\n".join(inside)).body
                    if isinstance(node, ast.Assign)
                    for target in node.targets
                    for name in ast.walk(target)
                    if isinstance(name, ast.Name)
                ]
            )
            kept += (
                [f"{name} = ...          # your answer" for name in names]
                if names
                else [f'{indent}raise NotImplementedError("exercise {number}: your code here")']
            )
            inside = None
        elif inside is None:
            kept.append(line)
        else:
            inside.append(line)
    if inside is not None or len(kept) == len(lines):
        raise ValueError(f"exercise {number}: the answer must stand between '{BEGIN}' and '{END}'.")
    return "\n".join(kept)


def student(notebook: NotebookNode) -> NotebookNode:
    """The class's copy: without answers and outputs, but for outputs of cells tagged target."""
    copy = deepcopy(notebook)
    for exercise in exercises(copy):
        cell = copy.cells[exercise.solution]
        cell.source = stub(cell.source, exercise.number)
    for cell in copy.cells:
        cell.metadata.pop("jupyter", None)  # nothing to fold away
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [
                output
                for output in cell.outputs
                if "target" in tags(cell) and "image/png" in output.get("data", {})
            ]
    return copy


def instructor(notebook: NotebookNode, notes: dict[str, str]) -> NotebookNode:
    """Everything, solutions open, with the notes: the notebook's after its title, an exercise's
    after its text.
    """
    copy = deepcopy(notebook)
    for cell in copy.cells:
        cell.metadata.pop("jupyter", None)
    places = {0: notes["Notebook"]} | {
        exercise.text: notes[f"Exercise {exercise.number}"] for exercise in exercises(copy)
    }
    for at in sorted(places, reverse=True):
        quoted = "\n".join(
            f"> {line}".rstrip() for line in f"**For the instructor**\n\n{places[at]}".splitlines()
        )
        note = nbformat.v4.new_markdown_cell(quoted, metadata={"tags": ["instructor"]})
        note["id"] = f"note-{at:02d}"
        copy.cells.insert(at + 1, note)
    return copy


def notes_of(name: str) -> dict[str, str]:
    """Heading -> text of a notebook's notes for the instructor."""
    path = NOTES / f"{name}.md"
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.M)[1:]
    return {heading.strip(): text.strip() for heading, text in zip(parts[::2], parts[1::2])}


def definitions(source: Path) -> dict:
    """Functions, classes and CONSTANTS of a notebook, by name, without running the rest of it."""
    module = ast.parse("\n\n".join(code_of(jupytext.read(source))))

    def wanted(node):
        if isinstance(node, ast.Assign):
            return all(
                isinstance(target, ast.Name) and target.id.isupper() for target in node.targets
            )
        return isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))

    names = {"__name__": source.stem}
    exec(
        compile(
            ast.Module([node for node in module.body if wanted(node)], []), str(source), "exec"
        ),
        names,
    )
    return names


def with_stub_checks(notebook: NotebookNode) -> NotebookNode:
    """A copy that, run to its end, proves that every solution passes its check and no stub does."""
    copy = deepcopy(notebook)
    for exercise in reversed(exercises(copy)):
        answer, check = copy.cells[exercise.solution].source, copy.cells[exercise.check].source
        copy.cells.insert(
            exercise.solution,
            nbformat.v4.new_code_cell(
                f"try:\n    exec({stub(answer, exercise.number) + chr(10) + check!r},"
                " dict(globals()))\nexcept Exception as failure:\n   "
                " print(repr(failure))\nelse:\n    raise AssertionError('exercise"
                f" {exercise.number}: its check passes although nothing was written')"
            ),
        )
    return copy


def variables_read_by_functions(code: str) -> set[tuple[str, str]]:
    """(function, name) wherever a function reads a variable of the notebook instead of getting it
    as an argument.
    """
    allowed = set(dir(builtins))
    for node in ast.parse(code).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            allowed |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            allowed.add(node.name)
        else:  # also imports under an if
            allowed |= {
                (alias.asname or alias.name).split(".")[0]
                for inner in ast.walk(node)
                if isinstance(inner, (ast.Import, ast.ImportFrom))
                for alias in inner.names
            }
    found = set()

    def visit(table, owner):
        named = table.get_type() == "function" and not table.get_name().startswith(
            ("lambda", "genexpr", "listcomp", "setcomp", "dictcomp")
        )
        owner = table.get_name() if named and owner is None else owner
        if owner is not None:
            found.update(
                (owner, symbol.get_name())
                for symbol in table.get_symbols()
                if symbol.is_global()
                and symbol.is_referenced()
                and symbol.get_name() not in allowed
                and not symbol.get_name().isupper()
            )
        for child in table.get_children():
            visit(child, owner)

    visit(symtable.symtable(code, "notebook", "exec"), None)
    return found


def broken_rules(source: Path) -> list[str]:
    """What a notebook of the course must have and this one lacks, in words."""
    notebook, name, said = jupytext.read(source), source.stem, []
    first, setup, parameters = notebook.cells[0].source, notebook.cells[1], notebook.cells[2]
    if BADGES.format(repository=repository(), name=name) not in first:
        said.append("the first cell lacks the badges, as course.BADGES has them")
    said += [
        f"the first cell lacks **{part}**"
        for part in ("You will learn", "Needs", "Takes")
        if f"**{part}" not in first
    ]
    if "GPU" not in first:
        said.append("the first cell doesn't say how long it takes on a GPU, or that it needs none")
    if "setup" not in tags(setup) or setup.source != SETUP.format(repository=repository()):
        said.append("the second cell is not the set-up cell, as course.SETUP has it")
    if "parameters" not in tags(parameters):
        said.append("the third cell is not tagged parameters")
    lines = parameters.source.splitlines()
    said += [
        f"parameter without a comment: {line}"
        for above, line in zip(["", *lines], lines)
        if "#" not in line and not above.startswith("#")
    ]
    mine = exercises(notebook)
    if [exercise.number for exercise in mine] != list(range(1, len(mine) + 1)) or {
        exercise.grade for exercise in mine
    } != set(GRADES):
        said.append(
            f"exercises are {[(exercise.number, exercise.grade) for exercise in mine]}; number them"
            f" from 1, with every grade of {GRADES}"
        )
    said += [
        f"the solution of exercise {exercise.number} is not folded away: # %%"
        ' jupyter={"source_hidden": true} tags=["solution"]'
        for exercise in mine
        if not notebook.cells[exercise.solution].metadata.get("jupyter", {}).get("source_hidden")
    ]
    if not any("target" in tags(cell) for cell in notebook.cells):
        said.append("no cell is tagged target: students see no figure to aim at")
    wanted = {"Notebook", *(f"Exercise {exercise.number}" for exercise in mine)}
    notes = notes_of(name) if (NOTES / f"{name}.md").is_file() else {}
    if set(notes) != wanted:
        said.append(
            f"notebooks/instructor/{name}.md has headings {sorted(notes)}; expected"
            f" {sorted(wanted)}"
        )
    said += [
        f"notes on {heading} lack '{part}'"
        for heading, text in notes.items()
        for part in ("Time:", "Common mistakes:")
        if heading != "Notebook" and part not in text
    ]
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    places = [
        prose.find(part)
        for part in ("## Exercises", "## What you should have seen", "**Read**", "**Next")
    ]
    if -1 in places or places != sorted(places):
        said.append(
            "it must end with '## Exercises', '## What you should have seen', '**Read**',"
            " '**Next:**', in this order"
        )
    said += [
        f"{function}() reads the notebook's variable {variable}"
        for function, variable in sorted(
            variables_read_by_functions("\n\n".join(code_of(notebook)))
        )
    ]
    for cell in notebook.cells:
        lines = cell.source.splitlines()
        if (
            cell.cell_type == "code"
            and not {"parameters", "solution"} & set(tags(cell))
            and len(lines) > 32
        ):
            said.append(f"a cell of {len(lines)} lines: {lines[0]}")
        said += [
            f"a line of {len(line)} characters: {line[:60]}..."
            for line in lines
            if cell.cell_type == "code" and len(line) > 100 and "parameters" not in tags(cell)
        ]
    return said


def rename(new: str) -> list[Path]:
    """Write the repository's owner/name wherever it stands; returns the files that changed."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", new):
        raise ValueError(f"{new!r} is not owner/name.")
    old, changed = repository(), []
    for path in (path for pattern in NAMED_IN for path in sorted(ROOT.glob(pattern))):
        text, found = re.subn(rf"{re.escape(old)}(?![\w-])", new, path.read_text(encoding="utf-8"))
        if found:
            with atomic_file(path) as partial:
                partial.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def write_copies(kind: str, out: Path) -> list[Path]:
    """Copies of all committed notebooks for a class.

    They lie beside notebooks/, so that they share its runs/ and data/.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sources():
        notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
        copy = (
            student(notebook) if kind == "student" else instructor(notebook, notes_of(source.stem))
        )
        with atomic_file(out / f"{source.stem}.ipynb") as partial:
            nbformat.write(copy, partial)
        written.append(out / f"{source.stem}.ipynb")
    return written


def try_out(source: Path, out: Path, runs_dir: Path) -> Path:
    """Run a notebook at smoke, its stubs tried on the way; returns the executed .ipynb.

    What it keeps goes to `runs_dir`.
    """
    # In one process: starting others takes longer than so small an experiment.
    small = {"profile": "smoke", "data_source": "simulated", "runs_dir": str(runs_dir), "jobs": 1}
    known = parameters_of(source)
    return execute(
        source,
        {name: value for name, value in small.items() if name in known},
        out,
        with_stub_checks,
    )


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("student", "instructor", "check", "repository"))
    parser.add_argument("which", nargs="*", help="check: notebooks, as 03; repository: owner/name")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the copies; default: student/ or instructor/ beside notebooks/",
    )
    options = parser.parse_args(arguments)
    if options.what in ("student", "instructor"):
        written = write_copies(options.what, options.out or ROOT / options.what)
        print(f"{len(written)} notebooks in {written[0].parent}")
        return 0
    if options.what == "repository":
        if len(options.which) != 1:
            parser.error("give one owner/name.")
        print(*(path.relative_to(ROOT) for path in rename(options.which[0])), sep="\n")
        return 0
    failed = False
    for source in sources():
        if source.stem.startswith(tuple(options.which)) if options.which else True:
            with tempfile.TemporaryDirectory() as folder:
                try_out(source, Path(folder), Path(folder) / "runs")
            said = broken_rules(source)
            print(
                source.stem, *(said or ["keeps the rules; solutions pass, stubs fail"]), sep="\n  "
            )
            failed |= bool(said)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
