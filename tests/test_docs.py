"""The documents: links in them lead somewhere."""

import re

import pytest
from helpers import ROOT

import nuclr_lite as nl

FOLDERS = ("benchmarks", "data", "docs", "notebooks", "results")
DOCUMENTS = [
    ROOT / "README.md",
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))),
]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r'<a id="([^"]+)"></a>\*\*', GLOSSARY)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{document.name} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there.read_text(encoding="utf-8")), (
                f"{document.name} links to {target}"
            )


def anchors(text: str) -> set[str]:
    """Places in a Markdown text that can be linked to, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return set(re.findall(r'<a id="([^"]+)"', text)) | {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
    }


def test_the_glossary_says_each_term_once_and_lists_it():
    index, _, _ = GLOSSARY.partition("\n## ")
    listed = re.findall(r"\]\(#([^)]+)\)", index)
    assert sorted(listed) == sorted(TERMS) and len(set(TERMS)) == len(TERMS) > 40


def test_names_in_the_glossary_exist():
    names = re.findall(r"`nl\.(\w+)`", GLOSSARY)
    assert len(names) > 5
    for name in names:
        assert getattr(nl, name)
