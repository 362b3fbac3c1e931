"""Slides for a lecture, a reveal.js deck a notebook: `python notebooks/lecture.py`, into slides/.

Nothing is executed: a deck shows the committed outputs of the cells tagged `slide`. A slide has a
heading (the cell's own, or the last one above it) and one thing to look at:

    a markdown cell    of what follows its last heading: the first sentences and, if there is one,
                       its first formula, list, table or block of code
    a code cell        its figure, else its table, else what it printed; tagged `slide-code`, the
                       code and what it printed

A code cell that follows a markdown cell without such a thing shares its slide. A title comes
first, the exercises last, and all prose goes into the speaker's notes (key S). Cells stay as they
are to read: the tag is all that a notebook knows of its slides.

Where `make slides` laid reveal.js and MathJax into slides/files, a lecture needs no network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from course import ROOT, exercises, notes_of
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from run import HERE, sources, tags

from nuclr_lite.files.storage import atomic_file

LOOKED_AT = {  # what a paragraph of markdown must begin with to be one
    "formula": r"\$\$",
    "list": r"(- |\d+\. )",
    "table": r"\|",
    "code": r"```",
}
LOCAL = {
    "reveal_url_prefix": "files/sphinx_revealjs/_static/revealjs",
    "mathjax_url": "files/jupyter_server_mathjax/static/MathJax.js"
    "?config=TeX-AMS-MML_HTMLorMML-full,Safe",
}


def opening(text: str, words: int) -> str:
    """The first sentences of a paragraph, as many as fit into so many words, but at least one."""
    sentences = re.split(r"(?<=[.?!])(\)?\s+)(?=[A-Z`*$(])", text)
    kept = sentences[0]
    for between, sentence in zip(sentences[1::2], sentences[2::2]):
        if len((kept + between + sentence).split()) > words:
            return kept + between.rstrip()
        kept += between + sentence
    return kept


def unlinked(text: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)


def prose(source: str) -> tuple[str, str, str]:
    """Heading ("" if there is none), first paragraph, and first thing to look at ("" likewise), of
    what follows the last heading of a markdown cell.
    """
    part = re.split(r"^(?=#{2,4} )", unlinked(source), flags=re.M)[-1]
    heading, _, part = part.partition("\n") if part.startswith("#") else ("", "", part)
    said, shown = "", ""
    for block in re.split(r"\n\n+", part.strip()):
        kind = next((kind for kind, begins in LOOKED_AT.items() if re.match(begins, block)), "")
        if not kind:
            said = said or ("" if shown else block)
        elif not shown or (kind == "formula" and shown.startswith("$$")):
            shown += f"\n\n{block}" if shown else block
        if kind == "list" and shown == block:
            items = re.split(r"\n(?=- |\d+\. )", block)
            shown = "\n".join(opening(item, words=180 // len(items)) for item in items)
    return heading.lstrip("# "), said, shown


def markdown(text: str, slide_type: str = "-") -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text, metadata={"slideshow": {"slide_type": slide_type}})


def output(cell: NotebookNode, heading: str) -> NotebookNode:
    """A code cell as it is shown: see above. To who can't see it, a figure is its heading."""
    copy = nbformat.v4.new_code_cell(cell.source)
    if "slide-code" in tags(cell):
        drawn = {"image/png", "text/html"}
        copy.outputs = [one for one in cell.outputs if not drawn & set(one.get("data", {}))]
        return copy
    copy.metadata["transient"] = {"remove_source": True}  # as nbconvert's own preprocessor says it
    copy.outputs = cell.outputs
    for kind in ("text/html", "image/png"):
        data = [one.data[kind] for one in cell.outputs if kind in one.get("data", {})]
        if data:
            copy.outputs = [
                nbformat.v4.new_output("display_data", {kind: data[0]}, metadata={"alt": heading})
            ]
    return copy


def found(pattern: str, text: str) -> str:
    """The first group of a pattern that must be there."""
    match = re.search(pattern, text, re.S)
    if match is None:
        raise ValueError(f"nothing like {pattern} in {text[:60]!r}...")
    return match[1]


def question(name: str) -> str:
    """The question of a notebook, as README's table of the course asks it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return found(rf"\[`{name}`\]\([^)]+\) \| (.+?) \|", readme)


@dataclass
class Slide:
    heading: str
    words: str = ""
    looked_at: NotebookNode | None = None
    notes: list[str] = field(default_factory=list)

    def cells(self) -> list[NotebookNode]:
        beside = self.looked_at.cell_type if self.looked_at else ""
        words = opening(self.words, {"": 120, "markdown": 60, "code": 25}[beside])
        shown = [markdown(self.heading, "slide"), markdown(words)]
        notes = markdown("\n\n".join(self.notes), "notes")
        return [*shown, *([self.looked_at] if self.looked_at else []), notes]


def slides(notebook: NotebookNode, name: str) -> list[Slide]:
    """A notebook's slides, title and exercises among them."""
    notes, first = notes_of(name), notebook.cells[0].source
    title = found(r"^# ([^:?]+\??)", first)
    learn = unlinked(found(r"(\*\*You will learn\*\*.+?)\n\n", first))
    made = [Slide(f"# {title}\n\n## {question(name)}", learn, notes=[notes["Notebook"]])]
    heading = title
    for cell in notebook.cells[1:]:
        tagged = {"slide", "slide-code"} & set(tags(cell))
        if cell.cell_type == "markdown":
            own, words, shown = prose(cell.source)
            heading = own or heading
            if tagged:
                made.append(Slide(f"## {heading}", words, markdown(shown) if shown else None))
            if "exercise" not in tags(cell):
                made[-1].notes.append(cell.source)
        elif tagged:
            if made[-1].looked_at or made[-1].heading != f"## {heading}":
                made.append(Slide(f"## {heading}"))
            made[-1].looked_at = output(cell, heading)
    tasks = []
    for task in exercises(notebook):
        takes = found(r"Time: (\d+ minutes)", notes[f"Exercise {task.number}"])
        tasks.append(f"{task.number}. *{task.grade}*: {task.title} ({takes})")
    return [*made, Slide("## Exercises", looked_at=markdown("\n".join(tasks)))]


def deck(source: Path, exporter: SlidesExporter) -> str:
    """The page of a committed notebook's slides."""
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    notebook.cells = [cell for slide in slides(notebook, source.stem) for cell in slide.cells()]
    return exporter.from_notebook_node(notebook, {"metadata": {"name": source.stem}})[0]


def exporter(**addresses: str) -> SlidesExporter:
    """nbconvert's, with our template. Without addresses, reveal.js and MathJax come from where
    nbconvert has them: the network.
    """
    return SlidesExporter(
        raw_template=(HERE / "lecture.html.j2").read_text(encoding="utf-8"),
        reveal_theme="white",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        **addresses,
    )


def write(out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    exports, written = exporter(**(LOCAL if (out / "files").is_dir() else {})), []
    for source in sources():
        written.append(out / f"{source.stem}.html")
        with atomic_file(written[-1]) as partial:
            partial.write_text(deck(source, exports), encoding="utf-8")
    return written


if __name__ == "__main__":
    print(f"{len(write(ROOT / 'slides'))} decks in slides/")
