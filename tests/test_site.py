"""The site: it has every notebook, document and public name, and is built without a warning."""

import re
import subprocess
import sys

import pytest
import yaml
from helpers import ROOT

import nuclr_lite

CONFIG = ROOT / "docs" / "site"
sys.path.insert(0, str(CONFIG))

from docstrings import as_rst  # noqa: E402

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def listed_pages():
    contents = yaml.safe_load((CONFIG / "toc.yml").read_text(encoding="utf-8"))
    pages = [contents["root"]]
    for chapter in (chapter for part in contents["parts"] for chapter in part["chapters"]):
        if "glob" in chapter:
            found = ROOT.glob(f"{chapter['glob']}.ipynb")
            pages += [str(path.relative_to(ROOT).with_suffix("")) for path in found]
        else:
            pages.append(chapter["file"])
    return pages


def test_every_notebook_and_document_is_listed():
    documents = [
        path for folder in (".", "docs", "results", "data") for path in (ROOT / folder).glob("*.md")
    ]
    there = [str(path.relative_to(ROOT).with_suffix("")) for path in [*NOTEBOOKS, *documents]]
    assert sorted(listed_pages()) == sorted(there)


def test_the_api_reference_lists_all_public_names_and_modules():
    listed = set(re.findall(r"^   ~(nuclr_lite[\w.]+)$", API, re.M))
    names = {f"nuclr_lite.{where}.{name}" for name, where in nuclr_lite._WHERE.items()}
    assert names <= listed
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "nuclr_lite").rglob("*.py")
    }
    assert listed - names <= modules
    method = {name for name in modules if name.count(".") == 1 and "__" not in name}
    wings = {path.parent.name for path in (ROOT / "nuclr_lite").glob("*/__init__.py")}
    assert {name for name in method if name.split(".")[1] not in wings} <= listed
    # What a name is documented in: its module, or the package that hands it out.
    assert {f"nuclr_lite.{where}" for where in nuclr_lite._WHERE.values()} <= listed
    handed_out = {f"nuclr_lite.{where}" for where in nuclr_lite._MODULES.values()}
    assert handed_out - {"nuclr_lite.sources"} <= listed


def test_docstrings_become_lists_headings_and_code():
    docstring = """\
What it gives, in *one* sentence of `many_words`. labels, animals : Series
    on one index.

    nl.decode(embedding)

Parameters
----------
features : `nl.embed`'s table (units, columns); **options go
    on. seed : of the draws_ and a|b.
kinds : one of
    - 'a' : first,
      indeed
    - 'b' : `x < 1`s.
Returns nothing."""
    assert as_rst(docstring.splitlines()) == [
        "What it gives, in *one* sentence of `many_words`.",
        "",
        "- **labels, animals**: Series on one index.",
        "",
        "::",
        "",
        "    nl.decode(embedding)",
        "",
        ".. rubric:: Parameters",
        "",
        "- **features**: `nl.embed <nuclr_lite.embedding.embed>`'s table (units, columns);"
        " \\*\\*options go on.",
        "- **seed**: of the draws\\_ and a\\|b.",
        "- **kinds**: one of",
        "",
        "  - **'a'**: first, indeed",
        "  - **'b'**: ``x < 1``\\ s. Returns nothing.",
        "",
    ]


@pytest.mark.slow
def test_it_is_built_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="needs the extra `site`; make test-slow installs it")
    out = tmp_path / "html"
    command = [sys.executable, "-m", "sphinx", "-M", "html", ROOT, tmp_path]
    command += ["-c", CONFIG, "-q", "-W", "--keep-going"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr

    pages = {page: (out / f"{page}.html").read_text(encoding="utf-8") for page in listed_pages()}
    github = "https://github.com/" + re.search(
        r"github\.com/([^\"]+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ).group(1)
    for path in NOTEBOOKS:
        page = pages[f"notebooks/{path.stem}"]
        # The theme's buttons lead there, the badges at the head are gone.
        for place in ("https://colab.research.google.com/github/", "https://mybinder.org/v2/gh/"):
            links = re.findall(rf'href="({re.escape(place)}[^"]*)"', page)
            assert len(links) == 1 and f"notebooks/{path.stem}.ipynb" in links[0]
        assert "colab-badge.svg" not in page and "Show the solution" in page
        assert "_images/" in page
    assert 'id="macro-f1"' in pages["docs/glossary"]
    assert 'href="docs/glossary.html#macro-f1"' in pages["README"]
    assert f'href="{github}/blob/main/notebooks/nuclr_in_one_file.py"' in pages["README"]
    assert "_images/method.svg" in pages["README"]
    assert 'href="docs/api/nuclr_lite.pretraining.html#' in pages["README"]  # `nl.pretrain`
    decoding = (out / "docs" / "api" / "nuclr_lite.decoding.html").read_text(encoding="utf-8")
    assert 'id="nuclr_lite.decoding.decode"' in decoding
    words = (out / "searchindex.js").read_text(encoding="utf-8")
    assert "optotag" in words and "README.html" in (out / "index.html").read_text()
