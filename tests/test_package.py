"""The package as a whole: what it imports, and that it can be lifted out."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nuclr_lite as nl

PACKAGE = Path(nl.__file__).parent


def python(code: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)


def test_import_brings_in_nothing_heavy():
    run = python("import sys, nuclr_lite as nl; nl.NuCLR, nl.pretrain, nl.embed, nl.decode, nl.simulate_recordings\n"
                 "heavy = {'allensdk', 'pynwb', 'accelerate', 'matplotlib', 'seaborn', 'safetensors', 'h5py'} & set(sys.modules)\n"
                 "sys.exit(', '.join(heavy) or 0)")
    assert run.returncode == 0, run.stderr


def test_the_allen_sources_need_no_torch():
    """They are used on Pythons for which there is no torch yet."""
    run = python("import sys\n"
                 "class NoTorch:\n"
                 "    def find_spec(self, name, *_):\n"
                 "        if name.split('.')[0] == 'torch':\n"
                 "            raise ModuleNotFoundError(name=name)\n"
                 "sys.meta_path.insert(0, NoTorch())\n"
                 "from nuclr_lite.sources import allen_neuropixels, allen_two_photon, optotagging, simulated_allen, simulated_two_photon")
    assert run.returncode == 0, run.stderr


def test_every_promised_name_exists():
    for name in nl.__all__:
        assert getattr(nl, name) is not None
    with pytest.raises(AttributeError, match="has no 'embedd'"):
        nl.embedd


def test_lifted_copy_works_without_the_extras(tmp_path):
    """A copied folder embeds and decodes with torch, numpy, pandas, scikit-learn and tqdm alone."""
    shutil.copytree(PACKAGE, tmp_path / "nuclr_lite", ignore=shutil.ignore_patterns("__pycache__"))
    run = python("import sys\n"
                 "for name in ('accelerate', 'safetensors', 'matplotlib', 'seaborn', 'pynwb', 'allensdk', 'h5py'): sys.modules[name] = None\n"
                 "import nuclr_lite as nl\n"
                 f"assert nl.__file__.startswith({str(tmp_path)!r})\n"
                 "from nuclr_lite.sources.simulated import SimulationConfig\n"
                 "recordings = nl.simulate_recordings(2, config=SimulationConfig(duration_s=30.0, n_units=(12, 12)))\n"
                 "table = nl.embed(nl.NuCLR(nl.PRESETS['quick'].model), recordings)\n"
                 "units = nl.decoding.pd.concat({r.recording_id: r.units for r in recordings}, names=table.index.names)\n"
                 "print(nl.decode(table, units['area'], units['area'], protocol='transductive').score())",
                 cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "TQDM_DISABLE": "1"})
    assert run.returncode == 0, run.stderr


def test_presets_print_and_round_trip():
    for preset in nl.PRESETS.values():
        assert nl.Preset.from_json(preset.to_json()) == preset and "dim=" in repr(preset)
    changed = nl.PRESETS["quick"].with_(steps=7, dim=16, grid_s=0.5)
    assert (changed.train.steps, changed.model.dim, changed.views.grid_s) == (7, 16, 0.5)
    with pytest.raises(ValueError, match="no preset has"):
        nl.PRESETS["quick"].with_(stepz=7)
    with pytest.raises(ValueError, match="multiple of log_every"):
        nl.PRESETS["quick"].with_(log_every=7)


def test_files_stay_small_enough_to_read():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 330, path          # "about 300"
