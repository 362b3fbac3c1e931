"""The whole Allen path, rehearsed without a network: list, download, convert, then
`results/experiments/allen-cell-types.json`, with a small encoder and few steps.

    make rehearsal          (python tests/rehearse_allen.py --out data/processed/rehearsal)

AllenSDK's real client talks to a stand-in of the Allen Institute's warehouse on this machine, which
serves simulated sessions in the Institute's file format. Against the real warehouse the same calls,
without `scheme` and `host`, do the same. Everything in the figure is simulated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

import nuclr_lite as nl
from nuclr_lite import comparison, experiments
from nuclr_lite.sources.allen import neuropixels

sys.path.insert(0, str(Path(__file__).resolve().parent))
from allen_server import Server, neuropixels_models  # noqa: E402

LINES = ("Pvalb", "Sst", "Vip")
EXPERIMENT = (
    Path(__file__).resolve().parent.parent / "results" / "experiments" / "allen-cell-types.json"
)


def simulate(
    folder: Path, n_sessions: int, n_units: int, duration_s: float, seed: int
) -> dict[int, Path]:
    """Sessions of the three Cre lines in turn, then two of wild types, by session id."""
    paths = {}
    for animal in range(n_sessions + 2):
        genotype = (
            f"{LINES[animal % 3]}-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt"
            if animal < n_sessions
            else "wt/wt"
        )
        path = nl.simulate_allen_session(
            folder / f"{animal}.nwb",
            genotype=genotype,
            n_units=n_units,
            duration_s=duration_s,
            seed=seed,
            animal=animal,
            n_probes=1,
        )
        paths[900_000_001 + 1000 * seed + animal] = path
    return paths


def rehearse(
    out: Path,
    n_sessions: int = 6,
    n_units: int = 60,
    duration_s: float = 240.0,
    steps: int = 40,
    seed: int = 0,
) -> pd.DataFrame:
    """Run the chain; the cache, the recordings, the scores and the figure are left in `out`.

    Returns the score table.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = simulate(Path(folder), n_sessions, n_units, duration_s, seed)
        models: dict[str, list] = {}
        for number, path in paths.items():
            for name, rows in neuropixels_models(number, path).items():
                models.setdefault(name, []).extend(rows)
        with Server(
            models, {("EcephysSession", number): path for number, path in paths.items()}
        ) as server:
            where = {"cache_dir": out / "cache", "scheme": "http", "host": server.host}
            sessions = neuropixels.list_sessions(**where)
            print(sessions[["genotype", "unit_count", "structures", "size_gb"]].to_string())
            recordings = neuropixels.stream_sessions(
                list(sessions.index), out / "recordings", confirm=False, overwrite=True, **where
            )
    units = nl.units_table(recordings)
    print(units.groupby(["genotype", "cell_type"]).size().to_string())
    experiment = replace(
        experiments.Experiment.from_json(EXPERIMENT.read_text(encoding="utf-8")),
        source=str(out / "recordings"),
        preset="quick",
        changes={"steps": steps},
        seeds=(seed,),
        name=f"allen-cell-types-{n_sessions}-{steps}-{seed}",
    )
    experiments.run(experiment, out / "runs")
    table = comparison.summary(experiment, out / "runs")
    table.round(4).to_csv(out / "scores.csv", index=False)
    nl.plots.scores(
        table, title=f"optotagged cell types, {n_sessions} simulated sessions, inductive zero-shot"
    ).savefig(out / "scores.png")
    return table


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("data/processed/rehearsal"))
    parser.add_argument("--sessions", type=int, default=6)
    parser.add_argument(
        "--steps",
        type=int,
        default=40,
        help="of pretraining; 40 show that it runs, not that it learns",
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = rehearse(options.out, options.sessions, steps=options.steps, seed=options.seed)
    print(table[["method", "estimate", "low", "high", "n_animals"]].round(3).to_string(index=False))
    print(f"recordings, scores.csv and scores.png: {options.out}")


if __name__ == "__main__":
    main()
