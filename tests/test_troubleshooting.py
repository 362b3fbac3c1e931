"""`docs/troubleshooting.md` says what the code says: every message that it quotes exists, and what
it tells people to type does, too.
"""

import ast
import re

import pytest
from helpers import ROOT

from nuclr_lite.commands import NAMES, line

TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def sentences() -> list[str]:
    """Every text in the package, a NUL for what is filled in."""
    found = [(ROOT / "Makefile").read_text(encoding="utf-8")]
    for path in (ROOT / "nuclr_lite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(
                        part.value if isinstance(part, ast.Constant) else "\0"
                        for part in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


SENTENCES = sentences()


@pytest.mark.parametrize("quoted", re.findall(r'\*"(.+?)"\*', TEXT))
def test_messages_are_those_of_the_code(quoted):
    for piece in quoted.split("..."):
        piece = piece.strip(" ,();")
        assert any(piece in sentence for sentence in SENTENCES), piece


def test_options_exist():
    known = set()
    for name in NAMES:
        module = __import__(f"nuclr_lite.commands.{name}", fromlist=[name])
        parser = line.argparse.ArgumentParser()
        module.add_options(parser)
        known |= set(parser._option_string_actions)
    known |= {"--traceback", "--no-deps", "--no-sync"}  # of every command; pip's; uv's
    assert set(re.findall(r"--[a-z][a-z-]+", TEXT)) <= known


def test_commands_and_names_exist():
    import nuclr_lite as nl

    for command in re.findall(r"`nuclr-lite (\w+)", TEXT):
        assert command in NAMES
    for name in re.findall(r"`nl\.([\w.]+)", TEXT):
        place = nl
        for part in name.split("."):
            place = getattr(place, part)
    for preset in re.findall(r"presets? `([\w-]+)`", TEXT):
        assert preset in nl.PRESETS
    assert all(
        (ROOT / "notebooks" / f"{name}.py").is_file()
        for name in re.findall(r"`notebooks/(\w+)`", TEXT)
    )
