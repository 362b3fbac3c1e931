"""Run the notebooks headlessly: `python notebooks/run.py --profile laptop`.

Each notebook's .py is turned into a notebook, executed by papermill into
`notebooks/executed/<profile>/`, and left there with its outputs; `index.html` there shows them all.
`--data` says which animals (without it: those that each notebook's parameters cell names).
`--resume` goes on where a run was stopped. `--jobs` runs several side by side. `-p name value` sets
a parameter; one that a chosen notebook doesn't have is an error (papermill itself would only log
it). `--scores` writes the tables of scores into `results/`. `--publish` does that, and puts the
outputs into the committed .ipynb and its figures into `results/figures/`.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import html
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
import papermill
import yaml
from joblib import Parallel, delayed
from nbformat import NotebookNode
from PIL import Image
from tqdm import tqdm

from nuclr_lite.files.storage import atomic_file

HERE = Path(__file__).resolve().parent
EXECUTED = HERE / "executed.json"
PROFILES = ("smoke", "laptop", "full")
DATA = ("simulated", "rats")
SHARING = ("06", "07", "09", "12")  # encoders in runs/, the next taking those of the last
SHARING_RATS = (*SHARING, "08")
LONG = ("05", "08", "10")  # minutes


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", choices=PROFILES, default="laptop", help="how much is run")
    parser.add_argument(
        "--data",
        choices=DATA,
        help="simulated animals; or rats, in the notebooks that take them",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="notebooks whose name begins so (00, 06_decoding)",
    )
    parser.add_argument(
        "-p",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter; VALUE is read as YAML",
    )
    parser.add_argument("--out", type=Path, help="folder for the executed notebooks")
    parser.add_argument(
        "--jobs", type=int, default=1, help="notebooks at a time; threads are divided among them"
    )
    parser.add_argument("--scores", action="store_true", help="write the scores into results/")
    parser.add_argument(
        "--publish", action="store_true", help="put the outputs into the committed .ipynb"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help=(
            "leave out notebooks that were already executed, as they are now, with the same"
            " parameters"
        ),
    )
    options = parser.parse_args(arguments)
    chosen = [path for path in sources() if options.data != "rats" or takes_rats(path)]
    if options.only:
        unknown = [
            name for name in options.only if not any(path.stem.startswith(name) for path in chosen)
        ]
        if unknown:
            parser.error(
                f"no notebook begins with {', '.join(unknown)}; there are"
                f" {', '.join(path.stem for path in chosen)}."
            )
        chosen = [path for path in chosen if path.stem.startswith(tuple(options.only))]
    values = {name: yaml.safe_load(value) for name, value in options.p}
    if options.publish and (values or options.data or options.profile != "laptop"):
        parser.error(
            "--publish shows what the parameters cell says: run it at the laptop profile,"
            " without -p and --data."
        )
    ending = "-rats" if options.data == "rats" else ""
    options.out = (options.out or HERE / "executed" / f"{options.profile}{ending}").resolve()
    lanes = in_lanes(chosen, SHARING if options.data == "simulated" else SHARING_RATS)
    jobs = max(1, min(options.jobs, len(lanes)))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    work = (delayed(run_lane)(lane, options, values, jobs, threads) for lane in lanes)
    done = tqdm(
        Parallel(n_jobs=jobs, return_as="generator_unordered")(work),
        total=len(lanes),
        unit="lane",
        disable=None,  # where there is no terminal, the lines printed below will do
    )
    try:
        for executed in done:
            for path in executed if options.publish else []:
                publish(path, HERE / path.name)
    finally:
        write_index(options.out)
    print(f"all of them, with their figures: {os.path.relpath(options.out / 'index.html')}")
    return 0


def in_lanes(chosen: list[Path], sharing_names: tuple[str, ...]) -> list[list[Path]]:
    """Notebooks that can run side by side: those that share encoders in one lane, in their order;
    what takes longest first.
    """
    sharing = [path for path in chosen if path.stem.startswith(sharing_names)]
    others = [[path] for path in chosen if path not in sharing]
    others.sort(key=lambda lane: not lane[0].stem.startswith(LONG))
    return [sharing] * bool(sharing) + others


def run_lane(lane: list[Path], options, values: dict, jobs: int, threads: int) -> list[Path]:
    """Run notebooks one after the other; returns them as executed."""
    if jobs > 1:  # a kernel takes what its environment says
        os.environ["OMP_NUM_THREADS"] = str(threads)
    executed = []
    for path in lane:
        started = time.perf_counter()
        print(f"{path.stem} ({options.profile}) ...", flush=True)
        known = parameters_of(path)
        parameters = {"profile": options.profile}
        if options.data and takes_rats(path):
            parameters["data_source"] = options.data
        if (options.scores or options.publish) and "scores_csv" in known:
            rats = options.data == "rats" or (not options.data and shows_rats(path))
            parameters["scores_csv"] = f"../results/{path.stem}{'_rats' * rats}.csv"
        parameters |= values
        if options.resume and is_done(path, parameters, options.out):
            print(f"{path.stem}: executed before", flush=True)
            executed.append(options.out / f"{path.stem}.ipynb")
            continue
        executed.append(execute(path, parameters, options.out))
        print(
            f"{path.stem}: {time.perf_counter() - started:.0f} s ->"
            f" {os.path.relpath(executed[-1])}",
            flush=True,
        )
    return executed


def sources() -> list[Path]:
    return sorted(HERE.glob("[0-9]*.py"))


def takes_rats(source: Path) -> bool:
    """Whether a notebook has a parameter `data_source` that may be "rats"."""
    return "data_source" in parameters_of(source) and '"rats"' in source.read_text("utf-8")


def shows_rats(source: Path) -> bool:
    """Whether its parameters cell says rats, so that the committed outputs show them."""
    known = parameters_of(source).get("data_source")
    return known is not None and ast.literal_eval(known["default"]) == "rats"


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def execute(source: Path, parameters: dict, out: Path, prepare=lambda notebook: notebook) -> Path:
    """Run one notebook, after `prepare(notebook)`; returns the executed .ipynb.

    ValueError for a parameter it doesn't have.
    """
    out.mkdir(parents=True, exist_ok=True)
    notebook = prepare(jupytext.read(source))
    plain = out / f".{source.stem}.input.ipynb"
    nbformat.write(notebook, plain)
    try:
        known = parameters_of(source)
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            raise ValueError(
                f"{source.name} has no parameter {', '.join(unknown)}; it has"
                f" {', '.join(sorted(known))}."
            )
        executed = out / f"{source.stem}.ipynb"
        # Progress bars of a headless run would only fill the outputs.
        os.environ["TQDM_DISABLE"] = "1"
        # The notebooks write next to themselves and nowhere else: they run where they lie.
        papermill.execute_notebook(
            str(plain),
            str(executed),
            parameters=parameters,
            cwd=str(HERE),
            kernel_name="python3",
            progress_bar=False,
            # a busy machine may be slow to answer: 4 s, the default, was too
            # short
            iopub_timeout=120,
        )
    finally:
        plain.unlink(missing_ok=True)
    return executed


def is_done(source: Path, parameters: dict, out: Path) -> bool:
    """Whether `out` holds this notebook, with these very cells, executed to its end with these
    parameters.
    """
    executed = out / f"{source.stem}.ipynb"
    if not executed.is_file():
        return False
    ran = nbformat.read(executed, as_version=4)
    cells = [cell.source for cell in ran.cells if "injected-parameters" not in tags(cell)]
    papermill_says = ran.metadata.get("papermill", {})
    return (
        cells == [cell.source for cell in jupytext.read(source).cells]
        and papermill_says.get("parameters") == parameters
        and papermill_says.get("exception") is None
        and papermill_says.get("end_time") is not None
    )


def write_index(out: Path):
    """A page of all executed notebooks in a folder: title, how long it took, whether it failed,
    figures.
    """
    rows = []
    for path in sorted(out.glob("[0-9]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        says = notebook.metadata.get("papermill", {})
        title = next(
            (
                line.lstrip("# ")
                for cell in notebook.cells
                if cell.cell_type == "markdown"
                for line in cell.source.splitlines()
                if line.startswith("# ")
            ),
            path.stem,
        )
        state = "<b>failed</b>" if says.get("exception") else f"{says.get('duration') or 0:.0f} s"
        figures = "".join(
            f'<img loading="lazy" src="data:image/png;base64,{output.data["image/png"]}">'
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        )
        chosen = ", ".join(
            f"{name} = {value!r}" for name, value in says.get("parameters", {}).items()
        )
        rows.append(
            f'<h2><a href="{path.name}">{html.escape(title)}</a></h2><p>{state};'
            f" {html.escape(chosen)}</p>{figures}"
        )
    style = (
        "body{font-family:sans-serif;max-width:64em;margin:2em auto;padding:0"
        " 1em}img{max-width:48%;vertical-align:top;margin:.5em 1% .5em 0}"
    )
    with atomic_file(out / "index.html") as partial:
        partial.write_text(
            '<!doctype html><meta charset="utf-8"><title>nuclr_lite: executed'
            f" notebooks</title><style>{style}</style><h1>Executed notebooks</h1>{''.join(rows)}",
            encoding="utf-8",
        )


def parameters_of(source: Path) -> dict:
    """What papermill finds in a notebook's parameters cell."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / f"{source.stem}.ipynb"
        nbformat.write(jupytext.read(source), plain)
        return papermill.inspect_notebook(str(plain))


def publish(executed: Path, pair: Path):
    """Copy the outputs of an executed notebook into the committed one, without traces of the run,
    and its figures into results/.
    """
    ran = [
        cell
        for cell in nbformat.read(executed, as_version=4).cells
        if "injected-parameters" not in tags(cell)
    ]
    notebook = jupytext.read(pair.with_suffix(".py"))
    if [cell.source for cell in ran] != [cell.source for cell in notebook.cells]:
        raise ValueError(
            f"{executed} was not made from {pair.with_suffix('.py').name} as it is now; run it"
            " again."
        )
    for index, (cell, done) in enumerate(zip(notebook.cells, ran)):
        cell["id"] = f"cell-{index:02d}"  # stable, so that a new run changes only what changed
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = _smaller(output.data["image/png"])
    figures = [
        output.data["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    folder = HERE.parent / "results" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{pair.stem}-*.png"):
        old.unlink()
    for number, figure in enumerate(figures, start=1):
        (folder / f"{pair.stem}-{number}.png").write_bytes(base64.b64decode(figure))
    nbformat.write(notebook, pair)
    # The last word on the pair's metadata is jupytext's, which is also what the test asks.
    subprocess.run(
        [
            sys.executable,
            "-m",
            "jupytext",
            "--quiet",
            "--to",
            "ipynb",
            "--update",
            str(pair.with_suffix(".py")),
        ],
        check=True,
    )
    record_executed(pair.stem, notebook)


def fingerprint(notebook: NotebookNode) -> str:
    """SHA-256 of what a notebook's code does, its set-up aside: what its outputs depend on.

    Prose and layout may change without running it again.
    """
    code = [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and "setup" not in tags(cell)
    ]
    return hashlib.sha256(
        json.dumps([_shape(ast.parse(cell)) for cell in code]).encode()
    ).hexdigest()


def _shape(node) -> list | str:
    """A syntax tree as lists.

    (`ast.dump` differs between versions of Python in which empty fields it shows.)
    """
    if isinstance(node, ast.AST):
        return [
            type(node).__name__,
            *(
                [name, _shape(value)]
                for name, value in ast.iter_fields(node)
                if value not in (None, [])
            ),
        ]
    return [_shape(one) for one in node] if isinstance(node, list) else repr(node)


def executed() -> dict[str, str]:
    """Notebook -> fingerprint of the code whose outputs the committed .ipynb shows."""
    return json.loads(EXECUTED.read_text(encoding="utf-8")) if EXECUTED.is_file() else {}


def record_executed(name: str, notebook: NotebookNode):
    with atomic_file(EXECUTED) as partial:
        partial.write_text(
            json.dumps(dict(sorted((executed() | {name: fingerprint(notebook)}).items())), indent=1)
            + "\n",
            encoding="utf-8",
        )


def _smaller(png: str) -> str:
    """The same picture (base64) in 256 colours, a third of the size. The octree keeps small
    coloured marks, which the median cut takes for shades of their surroundings.
    """
    small = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(
        256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    ).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


if __name__ == "__main__":
    sys.exit(main())
