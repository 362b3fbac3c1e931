"""From our docstrings, prose to be read in the source, to the reStructuredText that Sphinx takes.

Three things in them are not prose: `name : what it is`, headings underlined with dashes, and code,
indented after an empty line.
"""

import re

from nuclr_lite import _MODULES, _WHERE

PLACES = {name: f"{where}.{name}" for name, where in _WHERE.items()} | _MODULES
NAME = r"(?:\*{0,2}\w[\w.]*|'\w+')"
# A definition begins a line, or follows the end of a sentence.
BEGINNING = re.compile(rf"(?:^|\n|(?<=[.;)]) )(?={NAME}(?:, {NAME})* : )")
DEFINITION = re.compile(rf"({NAME}(?:, {NAME})*) : (.*)", re.S)
# `code`; *emphasis*; what reStructuredText would take for markup.
MARKED = re.compile(r"`([^`]+)`|(?<![\w*])\*(\w[^*]*?)\*(?![\w*])|([\\*|`]|(?<=\w)_(?!\w))")


def full_name(code: str) -> str | None:
    """Where what is called nl.<...> is documented: nuclr_lite.decoding.decode for nl.decode."""
    name, dot, within = code.removeprefix("nl.").partition(".")
    if not code.startswith("nl.") or name not in PLACES:
        return None
    return f"nuclr_lite.{PLACES[name]}{dot}{within}"


def as_rst(lines: list[str]) -> list[str]:
    """The lines of a docstring, converted."""
    blocks = re.split(r"\n(?:[ ]*\n)+", "\n".join(lines).strip("\n"))
    return "\n\n".join(block for text in blocks for block in _blocks(text)).splitlines() + [""]


def _blocks(text: str) -> list[str]:
    """What stood between two empty lines, as one or more blocks."""
    if text.startswith("    "):
        return ["::", text]
    if heading := re.match(r"(\w+)\n-+(?:\n|$)", text):
        return [f".. rubric:: {heading[1]}", *_blocks(text[heading.end() :])]
    written, depth_before = [], 0
    for depth, piece in _pieces(text):
        item = f"{'  ' * (depth - 1)}- {piece}" if depth else piece
        # Items of one list are kept together.
        written.append(("\n" if depth and depth == depth_before else "\n\n") + item)
        depth_before = depth
    return ["".join(written).strip("\n")]


def _pieces(text: str) -> list[tuple[int, str]]:
    """(depth in a list, from 1; 0: a paragraph; its text on one line)."""
    found = []
    for part in re.split(r"\n(?= *- )", text):
        bullet = re.match(r" *- ", part)
        inner = 1 + (part.startswith(" ") if bullet else 0)
        part = re.sub(r"\n +", " ", part[bullet.end() :] if bullet else part)
        for piece in filter(None, BEGINNING.split(part)):
            definition = DEFINITION.fullmatch(piece)
            said = _escaped(definition[2] if definition else piece)
            if definition:
                said = f"**{_escaped(definition[1])}**: {said}"
            found.append((inner if bullet or definition else 0, " ".join(said.split())))
    return found


def _escaped(text: str) -> str:
    def written(match):
        code, emphasised, sign = match.groups()
        if sign:
            return f"\\{sign}"
        marked = _code(code) if code else f"*{emphasised}*"
        return marked + ("\\ " if text[match.end() : match.end() + 1].isalnum() else "")

    return MARKED.sub(written, text)


def _code(code: str) -> str:
    """A name is looked up (the default role), other code only shown."""
    if public := full_name(code) or full_name(f"nl.{code}"):
        return f"`{code} <{public}>`"
    return f"`{code}`" if re.fullmatch(r"\w[\w.]*", code) else f"``{code}``"
