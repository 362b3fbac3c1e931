"""One vector a neuron, as a table.

    nuclr-lite embed RECORDINGS --encoder runs/mine --out vectors.parquet
    nuclr-lite embed RECORDINGS --encoder simulated --out vectors.csv

The encoder is a name of `nuclr-lite info --encoders`, a folder that Pretrained.save or pretrain
wrote, a checkpoint of the authors' code (.pt), or 'hf:owner/name' on the Hugging Face hub. The
table has columns recording_id, unit_id, e000, e001, ...; in Python, pandas.read_parquet gives index
and numbers back as nl.embed made them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    shared.add_recordings(parser)
    parser.add_argument("--encoder", required=True, help="a name, a folder, or hf:owner/name")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".parquet, .csv or .tsv"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument(
        "--jobs", type=int, default=1, help="processes, on the CPU; -1: one for each core"
    )
    shared.add_batch(parser)
    shared.add_device(parser)


def run(options: argparse.Namespace) -> None:
    from ..embedding import embed
    from ..experiments.encoders import load_encoder
    from ..sources.folder import read_folder
    from .tables import check_out, write_table

    check_out(options.out, options.overwrite)
    encoder = load_encoder(options.encoder, shared.device(options))
    recordings = read_folder(options.recordings, **shared.reader_options(options))
    table = embed(
        shared.network_of(encoder),
        recordings,
        grid_s=shared.grid_of(encoder),
        units_per_batch=options.units_per_batch,
        n_jobs=options.jobs,
    )
    write_table(table, options.out, options.overwrite)
    print(
        f"{len(table)} units of {len(recordings)} recordings, {table.shape[1]} numbers each:"
        f" {options.out}"
    )
