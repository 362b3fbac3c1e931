"""The slides: enough of them, nothing but what may be shown, and all of it on the screen."""

import re
import subprocess

import course
import lecture
import nbformat
import pytest
from helpers import ROOT
from run import tags
from test_browser import CHROMIUM, QUIET

NOTEBOOKS = course.sources()
# Lowest and rightmost edge of what is seen, and the smallest text that isn't part of a formula.
EDGES = """() => {
    let [bottom, right, smallest] = [0, 0, 99];
    const seen = Reveal.getCurrentSlide();
    const texts = document.createTreeWalker(seen, NodeFilter.SHOW_TEXT), range = new Range();
    while (texts.nextNode()) {
        range.selectNode(texts.currentNode);
        const parent = texts.currentNode.parentElement, box = range.getBoundingClientRect();
        if (!texts.currentNode.textContent.trim() || !box.width) continue;
        [bottom, right] = [Math.max(bottom, box.bottom), Math.max(right, box.right)];
        if (!parent.closest(".MathJax"))
            smallest = Math.min(smallest, parseFloat(getComputedStyle(parent).fontSize));
    }
    for (const image of seen.querySelectorAll("img"))
        bottom = Math.max(bottom, image.getBoundingClientRect().bottom);
    return [bottom, right, smallest];
}"""


@pytest.fixture(scope="module")
def exporter():
    return lecture.exporter(**lecture.LOCAL)


def read(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_a_lecture_of_slides(source, exporter):
    notebook = read(source)
    made = lecture.slides(notebook, source.stem)
    assert 8 <= len(made) <= 15
    assert all(slide.words or slide.looked_at for slide in made)
    page = lecture.deck(source, exporter)
    assert page.count("<section><section>") == len(made)
    *_, last, _ = made[-1].cells()
    assert all(task.title in last.source for task in course.exercises(notebook))
    shown = [cell for cell in notebook.cells if {"slide", "slide-code"} & set(tags(cell))]
    figures = [
        output.data["image/png"]
        for cell in shown
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert figures and all("".join(figure.split()) in page for figure in figures)
    hidden = {"setup", "parameters", "exercise", "solution", "check"}
    assert not any(hidden & set(tags(cell)) for cell in shown)
    assert course.BEGIN not in page


def test_a_deck_asks_nothing_of_the_network(exporter):
    page = lecture.deck(NOTEBOOKS[4], exporter)
    fetched = re.findall(r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"([^\"]+)\"", page)
    assert len(fetched) > 5
    for address in fetched:
        assert address.startswith(("files/", "data:")), address


def test_as_many_sentences_as_fit():
    text = "One two (Luo, Kim et al. 2025). Three `four` at 2.5 s! **So.** Five: six?"
    assert lecture.opening(text, 1) == "One two (Luo, Kim et al. 2025)."
    assert lecture.opening(text, 12) == "One two (Luo, Kim et al. 2025). Three `four` at 2.5 s!"
    assert lecture.opening(text, 99) == text


def test_what_is_said_and_what_is_looked_at():
    said = lecture.prose(
        "Before.\n\n## 2 · Now\n\nA [link](there.md).\n\nMore.\n\n- one\n- two\n\n$$x$$\n\nEnd."
    )
    assert said == ("2 · Now", "A link.", "- one\n- two")
    assert lecture.prose("Said.\n\n## 3 · Empty") == ("3 · Empty", "", "")
    assert lecture.prose("Only\nwords.") == ("", "Only\nwords.", "")
    assert lecture.prose("$$a$$\n\nand\n\n$$b$$") == ("", "", "$$a$$\n\n$$b$$")


def test_a_cell_shows_what_it_gave_or_its_code():
    outputs = [
        nbformat.v4.new_output("stream", text="said"),
        nbformat.v4.new_output("display_data", {"text/html": "<table>", "text/plain": "t"}),
        nbformat.v4.new_output("display_data", {"image/png": "png", "text/plain": "p"}),
    ]
    cell = nbformat.v4.new_code_cell("1 + 1", metadata={"tags": ["slide"]}, outputs=outputs)
    figure = lecture.output(cell, "Now")
    assert [output.data for output in figure.outputs] == [{"image/png": "png"}]
    assert figure.outputs[0].metadata == {"alt": "Now"}
    assert figure.metadata["transient"] == {"remove_source": True}
    cell.outputs = outputs[:2]
    assert [output.data for output in lecture.output(cell, "Now").outputs] == [
        {"text/html": "<table>"}
    ]
    cell.metadata["tags"] = ["target", "slide-code"]
    code = lecture.output(cell, "Now")
    assert code.outputs == outputs[:1] and "transient" not in code.metadata


def test_the_plans_of_teaching_add_up():
    text = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    plans = [
        sum(int(minutes) for minutes in re.findall(r"^\| (\d+) \|", part, re.M))
        for part in text.split("\n## ")
    ]
    assert [minutes for minutes in plans if minutes] == [210, 210, 210, 60]


def test_marking_counts_the_exercises_that_are_right():
    text = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    pattern = re.search(r"grep -c '(.+)'", text)[1]
    for source in NOTEBOOKS:
        solved = read(source)
        tasks = course.exercises(solved)
        for notebook, right in ((solved, len(tasks)), (course.student(solved), 0)):
            lines = nbformat.writes(notebook).splitlines()
            assert sum(bool(re.search(pattern, line)) for line in lines) == right, source.stem


@pytest.fixture(scope="module")
def decks():
    """What `make slides` writes."""
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("needs the environment that make setup makes")
    subprocess.run(["make", "slides"], cwd=ROOT, check=True)
    return [ROOT / "slides" / f"{source.stem}.html" for source in NOTEBOOKS]


@pytest.mark.slow
def test_make_slides_brings_what_a_deck_needs(decks):
    for page in decks:
        for address in re.findall(r'(?:src|href)="(files/[^"?]+)', page.read_text("utf-8")):
            assert (page.parent / address).is_file(), address


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_nothing_is_cut_off_or_too_small(decks):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        for deck in decks:
            page.goto(deck.as_uri())
            page.wait_for_function("() => Reveal.isReady() && MathJax.isReady")
            for number in range(page.evaluate("Reveal.getTotalSlides()")):
                page.evaluate("number => Reveal.slide(number)", number)
                page.evaluate("() => new Promise(done => MathJax.Hub.Queue(done))")
                bottom, right, smallest = page.evaluate(EDGES)
                assert bottom <= 710 and right <= 1262 and smallest >= 20, (deck.stem, number)
        browser.close()
    assert errors == []
