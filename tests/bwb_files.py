"""BrainWideBench's files by the published layout, tiny: sessions as HDF5, embeddings as torch saves
them under numpy 1 and 2. Written by that description alone, as no real file was at hand.
"""

import zipfile
from pathlib import Path
from uuid import UUID

import h5py
import numpy as np
import pandas as pd
import torch

from nuclr_lite.sources.published import brainwidebench
from nuclr_lite.sources.published.ibl import REGIONS

PREFIX = "/brainsets/selected_units/ibl_brain_wide_bench_2026"
TRAIN = list(brainwidebench.sessions().query("brainwidebench == 'pretrain'").index[:3])
TEST = list(brainwidebench.sessions().query("brainwidebench == 'eval'").index[:2])
WANTED = [*TRAIN, *TEST]


def uuid(*numbers: int) -> str:
    return str(UUID(bytes=np.random.default_rng(numbers).bytes(16)))


def unit_table(session: str, n_units: int = 60) -> pd.DataFrame:
    """A session's units: two probes, the second one first; all regions, some units that the
    benchmark leaves out.
    """
    seed = WANTED.index(session)
    rng = np.random.default_rng(seed)
    probe = np.sort(rng.integers(0, 2, n_units))[::-1]
    table = pd.DataFrame(
        {
            "id": [uuid(seed, at) for at in range(n_units)],
            "probe_id": [uuid(seed, 1000 + number) for number in probe],
            "region_cosmos": rng.permutation(np.resize([*REGIONS, "void", "root"], n_units)),
            "label": rng.choice([1.0, 1.0, 1.0, 2 / 3], n_units),
            "firing_rate": rng.uniform(0.9, 20, n_units),
            "depths": rng.choice(np.arange(20.0, 400, 20), n_units),
            "qc_neural": np.where(probe == 1, "WARNING", "PASS"),
            "qc_neural_alignment": np.where(probe == (seed == 2), "PASS", "WARNING"),
        }
    )
    return table


def write_session(
    path: Path,
    session: str,
    table: pd.DataFrame | None = None,
    fixed: bool = False,
    qc_in: tuple = ("units", "probes"),
    version: str = "0.1.0",
    n_spikes: int = 100_000,
) -> Path:
    """fixed : texts of fixed length, named in `_unicode_keys`, rather than of any length."""
    table = unit_table(session) if table is None else table
    path.parent.mkdir(parents=True, exist_ok=True)

    def put(group, name, values):
        values = np.asarray(values)
        if values.dtype.kind in "UO":
            kind = f"S{max(map(len, values), default=1)}" if fixed else h5py.string_dtype()
            if fixed:
                group.attrs["_unicode_keys"] = [*group.attrs.get("_unicode_keys", []), name]
            values = values.astype(object).astype(kind)
        group[name] = values

    qualities = ["qc_neural", "qc_neural_alignment"]
    with h5py.File(path, "w") as file:
        file.attrs["object"], file.attrs["absolute_start"] = "Data", 0.0
        for name, attributes in {
            "brainset": {"derived_version": version, "unit_filtering": "selected_units"},
            "subject": {"id": brainwidebench.sessions()["animal_id"].get(session, "somebody")},
            "session": {"id": session},
        }.items():
            file.create_group(name).attrs.update({"object": "Data"} | attributes)
        spikes = file.create_group("spikes")
        spikes.attrs["object"] = "IrregularTimeSeries"
        rng = np.random.default_rng(0)
        spikes["timestamps"] = np.sort(rng.uniform(0, 8, n_spikes))  # s
        spikes["unit_index"] = np.arange(n_spikes) % max(len(table), 1)
        for name in ("amplitude", "depth"):
            spikes[name] = rng.normal(size=n_spikes)
        for place in (file, spikes):
            domain = place.create_group("domain")
            domain.attrs["object"] = "Interval"
            domain["start"], domain["end"] = [0.0], [8.0]
        units, probes = file.create_group("units"), file.create_group("probes")
        units.attrs["object"] = probes.attrs["object"] = "ArrayDict"
        units["wf_template"] = rng.normal(size=(len(table), 30, 4))
        for name in table:
            if name not in qualities or "units" in qc_in:
                put(units, name, table[name])
        units["x"] = rng.normal(size=len(table))
        of_probe = table.groupby("probe_id")[qualities].first()  # sorted by id, not as in units
        put(probes, "id", of_probe.index)
        put(probes, "name", [f"probe0{number}" for number in range(len(of_probe))])
        for name in qualities if "probes" in qc_in else ():
            put(probes, name, of_probe[name])
    return path


def bucket(folder: Path, **options) -> dict[str, Path]:
    """The five sessions, for `allen_server.Server(files=...)`; texts of either kind."""
    files = {}
    for at, session in enumerate(WANTED):
        regime = "pretrain" if session in TRAIN else "eval"
        place = f"{regime}/{session}.h5"
        files[f"{PREFIX}/{place}"] = write_session(
            folder / place, session, **({"fixed": at % 2 == 0} | options)
        )
    return files


def vectors_of(sessions_: list[str], dim: int = 8, seed: int = 0, noise: float = 1.0):
    """Names and vectors that tell the region, of every unit; some rows that aren't finite, of
    units that aren't scored.
    """
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(99).normal(size=(12, dim))
    names, vectors = [], []
    for session in sessions_:
        table = unit_table(session)
        place = table["region_cosmos"].map([*REGIONS, "void", "root"].index)
        found = means[place] + noise * rng.normal(size=(len(table), dim))
        found[(table["region_cosmos"] == "root").to_numpy()] = np.nan
        names += [f"{session}/{unit}" for unit in table["id"]]
        vectors.append(found)
    order = np.argsort(names)
    return np.array(names)[order], torch.from_numpy(np.concatenate(vectors)[order])


def embeddings(seed: int = 42, dim: int = 8, noise: float = 1.0, **changes) -> dict:
    train, test = (vectors_of(some, dim, seed, noise) for some in (TRAIN, TEST))
    return {
        "train_uids": train[0],
        "train_embs": train[1],
        "eval_uids": test[0],
        "eval_embs": test[1],
        "run_seed": seed,
    } | changes


def write_embeddings(path: Path, held: dict | None = None, numpy_layout: int = 2) -> Path:
    """As numpy 1 or numpy 2 names what rebuilds an array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(embeddings() if held is None else held, path)
    names = [b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"]
    wanted, other = names if numpy_layout == 2 else names[::-1]
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(
                name, content.replace(other, wanted) if "data.pkl" in name else content
            )
    return path
