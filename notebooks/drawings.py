"""Write the drawings that need no notebook's numbers as PNG and SVG, for README and docs.

    python notebooks/drawings.py            into results/figures/
    python notebooks/drawings.py FOLDER

Each lies on a white page, so that it can be read in a dark theme too. The same packages write the
same bytes again.
"""

import argparse
import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

import nuclr_lite as nl

FIGURES = Path(__file__).resolve().parent.parent / "results" / "figures"
DRAWINGS = ("method", "protocols", "session_journey", "packed_populations", "pull_and_push")


def write(figure: Figure, path: Path):
    """path.png, 200 dots an inch in 160 colours (drawings have few), and path.svg, its letters as
    outlines, so that it looks the same whatever fonts there are.
    """
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=200)
    raw.seek(0)
    few = Image.open(raw).convert("RGB").quantize(160, dither=Image.Dither.NONE)
    few.save(path.with_suffix(".png"), optimize=True)
    with matplotlib.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "path"}):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def main(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    for name in DRAWINGS:
        write(getattr(nl.plots, name)(), folder / name)
        print(f"{folder / name}.png and .svg")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FIGURES)
    main(parser.parse_args().folder)
