"""The course's form: rules that every notebook keeps, copies for a class, the repository's name,
what outputs were made from.
"""

import re
import shutil

import course
import jupytext
import nbformat
import pytest
import run
import yaml
from helpers import ROOT

NOTEBOOKS = course.sources()
assert NOTEBOOKS, "no notebook was found: this test would check nothing"

TINY = '''# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 99 · Tiny

# %% tags=["parameters"]
n = 3          # how many

# %%
LIMIT = 2

def double(x):
    return LIMIT * x

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (fill in): halves

# %% jupyter={"source_hidden": true} tags=["solution"]
def half(x):
    """x -> half of it."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION

# %% tags=["check"]
assert half(4) == 2

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (predict): which?

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction, why = "b", "because"
### END SOLUTION

# %% tags=["check"]
assert prediction == "b"
'''


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "99_tiny.py"
    path.write_text(TINY)
    return path


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_keeps_the_rules(source):
    assert course.broken_rules(source) == []


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_are_of_this_code(source):
    made_from = run.executed().get(source.stem)
    assert made_from == run.fingerprint(jupytext.read(source)), (
        f"the outputs of {source.stem} are older than its code: run make notebooks"
    )


def test_no_record_without_a_notebook():
    assert set(run.executed()) == {source.stem for source in NOTEBOOKS}


def test_the_fingerprint_follows_code_and_not_prose(tiny):
    before = run.fingerprint(jupytext.read(tiny))
    tiny.write_text(TINY.replace("Tiny", "Very tiny"))
    assert run.fingerprint(jupytext.read(tiny)) == before
    tiny.write_text(TINY.replace("LIMIT = 2", "LIMIT = 3"))
    assert run.fingerprint(jupytext.read(tiny)) != before


def test_a_stub_has_no_answer_and_keeps_the_rest(tiny):
    notebook = jupytext.read(tiny)
    one, two = course.exercises(notebook)
    assert (one.number, one.grade, one.title, two.grade) == (1, "fill in", "halves", "predict")
    names = {}
    exec(course.stub(notebook.cells[one.solution].source, 1), names)
    with pytest.raises(NotImplementedError, match="exercise 1"):
        names["half"](4)
    assert names["half"].__doc__ == "x -> half of it."
    exec(course.stub(notebook.cells[two.solution].source, 2), names)
    assert names["prediction"] is ... and names["why"] is ...


@pytest.mark.parametrize(
    "broken, message",
    [
        (("(fill in)", "(easy)"), "is tagged exercise and begins"),
        (
            ('# %% tags=["check"]\nassert half', "# %%\nassert half"),
            "exercise 1 needs a cell tagged solution and, after it, one tagged check",
        ),
        (("    ### BEGIN SOLUTION\n", ""), "'### END SOLUTION' without '### BEGIN SOLUTION'"),
        (("    ### END SOLUTION\n", ""), "must stand between"),
        (
            ("    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION", "    return x / 2"),
            "must stand between",
        ),
    ],
)
def test_a_malformed_exercise_is_named(tiny, broken, message):
    assert broken[0] in TINY
    tiny.write_text(TINY.replace(*broken, 1))
    with pytest.raises(ValueError, match=re.escape(message)):
        course.student(jupytext.read(tiny))


def test_a_check_that_nothing_can_fail_is_found(tiny):
    run_all = "\n".join(course.code_of(course.with_stub_checks(jupytext.read(tiny))))
    exec(run_all, {})
    useless = run_all.replace("assert half(4) == 2", "half").replace(
        "assert prediction", "prediction"
    )
    with pytest.raises(
        AssertionError, match="exercise 1: its check passes although nothing was written"
    ):
        exec(useless, {})


def test_definitions_are_made_without_running_the_notebook(tiny):
    tiny.write_text(TINY.replace("LIMIT = 2", "LIMIT = 2\nmine = 1 / 0"))
    assert course.definitions(tiny)["double"](4) == 8


def test_reading_a_notebook_variable_is_found():
    found = course.variables_read_by_functions(
        "import numpy as np\nLIMIT = 1\nn = 2\ndef outer(a):\n    def inner():\n        return n\n "
        "   return np.sum(a) + LIMIT + inner()\nlast = max([3], key=lambda x: x * n)\n"
    )
    assert found == {("outer", "n")}


def test_rules_can_be_broken(tiny, monkeypatch):
    said = "\n".join(course.broken_rules(tiny))
    for part in (
        "lacks the badges",
        "lacks **Needs**",
        "GPU",
        "not the set-up cell",
        "with every grade",
        "tagged target",
        "instructor/99_tiny.md",
        "## Exercises",
    ):
        assert part in said


def test_copies_for_a_class(tmp_path):
    students, instructors = (
        course.write_copies(kind, tmp_path / kind) for kind in ("student", "instructor")
    )
    assert len(students) == len(instructors) == len(NOTEBOOKS)
    for source, theirs, ours in zip(NOTEBOOKS, students, instructors):
        solved, theirs, ours = (
            jupytext.read(source),
            nbformat.read(theirs, 4),
            nbformat.read(ours, 4),
        )
        nbformat.validate(theirs), nbformat.validate(ours)
        text = "\n".join(cell.source for cell in theirs.cells)
        for exercise in course.exercises(solved):
            answer = re.search(
                rf"{course.BEGIN}\n(.*?)\n\s*{course.END}",
                solved.cells[exercise.solution].source,
                re.S,
            )[1]
            assert answer not in text, (
                f"{source.stem}: the answer to exercise {exercise.number} is in the student's copy"
            )
            assert (
                "..." in theirs.cells[exercise.solution].source
                or "NotImplementedError" in theirs.cells[exercise.solution].source
            )
            assert any(
                "Time: " in cell.source and cell.source.startswith("> **For the instructor**")
                for cell in ours.cells[exercise.text : exercise.text + exercise.number + 2]
            )
        figures = [cell for cell in theirs.cells if cell.get("outputs")]
        assert figures and all("target" in course.tags(cell) for cell in figures), (
            "expected the figures to aim at, and no other output"
        )
        assert not any(cell.metadata.get("jupyter") for cell in [*theirs.cells, *ours.cells])


def test_the_name_is_written_everywhere(tmp_path, monkeypatch):
    for pattern in course.NAMED_IN:
        for path in ROOT.glob(pattern):
            (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / path.relative_to(ROOT))
    old = course.repository()
    monkeypatch.setattr(course, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="is not owner/name"):
        course.rename("nobody")
    changed = course.rename("some-lab/nuclr_lite")
    assert {
        "pyproject.toml",
        "README.md",
        "CITATION.cff",
        "00_quickstart.py",
        "00_quickstart.ipynb",
    } <= {path.name for path in changed}
    assert course.repository() == "some-lab/nuclr_lite"
    for path in tmp_path.rglob("*.*"):
        assert old not in path.read_text(encoding="utf-8"), path.name
    assert not any(
        re.search(r"badges|set-up", said)
        for said in course.broken_rules(tmp_path / "notebooks" / "00_quickstart.py")
    )


def test_every_mention_of_the_repository_agrees():
    """Names written by hand, in places that `rename` would miss."""
    name = course.repository().split("/")[1]
    for path in [
        ROOT / "README.md",
        ROOT / "CITATION.cff",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("notebooks/*.py"),
        *ROOT.glob("results/*.md"),
        *ROOT.glob("data/*.md"),
    ]:
        for found in re.findall(
            rf"(?:github\.com|/gh|com/github)/([\w.-]+/{name})\b", path.read_text(encoding="utf-8")
        ):
            assert found == course.repository(), path


def test_citation_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # what the format requires
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (
        citation["license"] == "Apache-2.0"
        and "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    )
    import nuclr_lite

    assert citation["version"] == nuclr_lite.__version__


def test_workflows_pin_their_actions():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)", path.read_text())
        assert used and all(
            re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used
        ), path.name
