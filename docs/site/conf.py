"""How Sphinx makes the site (`make site`): its source is the whole repository, as it is on GitHub.

`toc.yml` beside this file says which files are pages, in their order; `docstrings.py` brings
docstrings into the form that Sphinx reads.
"""

import re
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

from docstrings import as_rst, full_name  # noqa: E402

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GITHUB = _PROJECT["urls"]["Repository"]

project = html_title = "NuCLR, step by step"
author = copyright = "the authors of nuclr_lite"
version = release = _PROJECT["version"]
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_external_toc",
]
external_toc_path = "docs/site/toc.yml"
templates_path = [str(HERE / "templates")]
# Each must also stand in toc.yml: a page that no list of contents has is a warning.
include_patterns = [
    "*.md",
    "docs/**.md",
    "docs/api/*.rst",  # made by autosummary
    "notebooks/*.ipynb",
    "results/*.md",
    "data/*.md",
]

nb_execution_mode = "off"  # the outputs are the committed ones
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

default_role = "py:obj"  # in docstrings, `name` leads to what is called so
smartquotes = False  # 'spikes' is a value, "--out" an option
# Of every scikit-learn classifier, for metadata routing, which nothing here uses.
_REQUESTS = [f"set_{what}_request" for what in ("fit", "predict", "predict_proba", "score")]
autodoc_default_options = {"exclude-members": ", ".join(_REQUESTS)}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
add_module_names = False

html_theme = "sphinx_book_theme"
html_theme_options = {
    "repository_url": GITHUB,
    "repository_branch": "main",
    "navbar_persistent": [],  # the sidebar has the search
    "use_repository_button": True,
    "use_source_button": True,
    "launch_buttons": {
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
        "notebook_interface": "jupyterlab",
    },
}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_show_copyright = False
html_static_path, html_css_files = ["static"], ["narrow.css"]
# The API's lists of modules are tables of contents beside toc.yml, made by autosummary.
suppress_warnings = ["etoc.toctree"]


class AsOnGitHub(SphinxTransform):
    """What GitHub knows by itself: anchors written as HTML, links to files that are no pages."""

    default_priority = 500  # before MyST looks for what is linked to

    def apply(self):
        for anchor in list(self.document.findall(nodes.raw)):
            if anchor.astext().startswith("<a id="):
                name = anchor.astext().split('"')[1]
                target = nodes.target("", "", ids=[name], names=[name])
                anchor.replace_self(target)
                self.document.note_explicit_target(target)
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link["refdomain"] == "doc" and link["reftarget"] not in self.env.found_docs:
                self.lead_to_github(link, ROOT / f"{link['reftarget']}.md")
            elif link["refdomain"] is None:
                self.lead_to_github(link, self.path(link["reftarget"]))
        for link in list(self.document.findall(addnodes.download_reference)):
            self.lead_to_github(link, self.path(link["reftarget"]))

    def path(self, written: str) -> Path:
        return Path(self.env.relfn2path(written)[1])

    def lead_to_github(self, link: nodes.Element, path: Path):
        if path.exists():
            kind = "tree" if path.is_dir() else "blob"
            uri = f"{GITHUB}/{kind}/main/{path.relative_to(ROOT).as_posix()}"
            link.replace_self(nodes.reference("", "", *link.children, refuri=uri))


class ForTheBook(SphinxTransform):
    """Solutions are folded as in JupyterLab, the theme's buttons replace the badges, drawings are
    taken as SVG, and `nl.decode` leads to the API reference.
    """

    default_priority = 500

    def apply(self):
        for code in list(self.document.findall(nodes.literal)):
            name = full_name(code.astext().split("(")[0])
            if name and isinstance(code.parent, nodes.paragraph):
                link = addnodes.pending_xref(refdomain="py", reftype="obj", reftarget=name)
                code.replace_self(link)
                link.append(code)
        for cell in self.document.findall(nodes.container):
            if cell.get("cell_metadata", {}).get("jupyter", {}).get("source_hidden"):
                cell["hide_mode"] = "input"
                cell["prompt_show"], cell["prompt_hide"] = "Show the solution", "Hide the solution"
        for image in list(self.document.findall(nodes.image)):
            svg = Path(image["uri"]).with_suffix(".svg")
            if self.env.docname.startswith("notebooks/") and "badge" in svg.stem:
                paragraph = image.parent.parent
                paragraph.remove(image.parent)
                if not paragraph.astext().strip():
                    paragraph.parent.remove(paragraph)
            elif "://" not in image["uri"] and Path(self.env.relfn2path(str(svg))[1]).exists():
                image["uri"] = svg.as_posix()


def readable(app, what, name, obj, options, lines):
    lines[:] = as_rst(lines)


def parsable(app, what, name, obj, options, signature, returned):
    """Defaults that have no spelling, such as <factory>, as `...`: else all of it is torn apart."""
    return signature and re.sub(r"<[^<>]*>", "...", signature), returned


def setup(app):
    app.add_transform(AsOnGitHub)
    app.add_transform(ForTheBook)
    app.connect("autodoc-process-docstring", readable)
    app.connect("autodoc-process-signature", parsable)
