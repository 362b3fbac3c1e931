"""Every row of the paper's experiments, rehearsed: recordings of random spikes and traces with the
names of the real sessions, a small encoder, a few steps. The scores say nothing; that they are
there says that each row can be run.

    make rehearsal          (python tests/rehearse_paper.py --out data/processed/rehearsal)
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent))
import paper_recordings  # noqa: E402

from nuclr_lite.experiments.paper import ROWS, run_row  # noqa: E402

SMALL = dict(
    steps=4,
    dim=8,
    heads=1,
    head_dim=8,
    temporal_layers=1,
    spatiotemporal_layers=1,
    batch_size=4,
    min_units=2,
    warmup_steps=1,
)
N_UNITS = {"allen": 12, "ibl": 6, "steinmetz": 10, "bugeon": 14}


def rehearse(out: Path, rows=tuple(ROWS)) -> pd.DataFrame:
    """Run rows, and return their scores."""
    tables = []
    for name in tqdm(rows, unit="row"):
        data = name.split("-")[0]
        folder = out / "paper recordings" / data
        if not folder.exists():
            paper_recordings.save_all(data, folder, n_units=N_UNITS[data])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "allen|ibl")  # rows say whom their encoder saw
            tables.append(run_row(ROWS[name], folder, out, n_checkpoints=2, device="cpu", **SMALL))
    return pd.concat(tables, ignore_index=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("data/processed/rehearsal"))
    options = parser.parse_args()
    table = rehearse(options.out)
    missing = set(ROWS) - set(table.loc[table["way"] == "as published", "row"])
    print(table.round(3).to_string(index=False))
    print(f"random activity, a small encoder: the scores of {len(ROWS)} rows mean nothing")
    if missing or table["macro_f1"].isna().any():
        sys.exit(f"not scored: {sorted(missing) or 'some macro F1 is NaN'}")


if __name__ == "__main__":
    main()
