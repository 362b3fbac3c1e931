"""The notebooks that take the rats run on them: a session a rat, from the shared folder."""

import course
import nbformat
import numpy as np
import pandas as pd
import pytest
import run
from helpers import shared

import nuclr_lite as nl
from nuclr_lite.sources.published import rat_decisions


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data folder in which the rats have been downloaded and converted."""
    folder = tmp_path_factory.mktemp("data")
    sessions = rat_decisions.list_sessions().query("n_units >= 8")
    for session in sessions.groupby("animal_id")["n_units"].idxmin():
        with np.load(shared("real", "rat_decisions", f"{session}.npz")) as held:
            units = pd.DataFrame({"region": held["labels"].astype(str)})
            nl.Recording.from_counts(
                held["counts"][:6000],
                rat_decisions.BIN_S,
                units,
                recording_id=session,
                animal_id=session.split("_")[0],
            ).save(folder / "processed" / "rat_decisions" / session)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.stem for path in course.sources() if run.takes_rats(path)])
def test_runs_on_the_rats(name, data_dir, tmp_path):
    source = course.HERE / f"{name}.py"
    wanted = {"profile": "smoke", "data_source": "rats", "data_dir": str(data_dir), "jobs": 1}
    wanted["runs_dir"] = str(tmp_path / "runs")
    known = run.parameters_of(source)
    executed = run.execute(source, {k: v for k, v in wanted.items() if k in known}, tmp_path)
    tables = [pd.read_csv(file) for file in (tmp_path / "runs").glob("*/scores.csv")]
    if name.startswith(("00", "11", "13")):
        assert "mPFC" in str(nbformat.read(executed, as_version=4).cells)
    else:
        assert tables and all((table["dataset"] == "rat_decisions").all() for table in tables)
        assert all(table["macro_f1"].between(0, 1).all() for table in tables)
