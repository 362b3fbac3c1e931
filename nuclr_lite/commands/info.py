"""What is installed and what the machine has: paste it into a bug report.

    nuclr-lite info
    nuclr-lite info --encoders

The home folder is written as ~. --encoders lists the pretrained encoders that can be had by name.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# The core, then what parts ask for when they are used.
CORE = ("torch", "numpy", "pandas", "scikit-learn", "scipy", "joblib", "tqdm")
PARTS = {
    "pretraining": ("accelerate", "safetensors"),
    "plots": ("matplotlib", "seaborn"),
    "NWB": ("pynwb", "hdmf", "h5py", "fsspec", "aiohttp"),
    "Allen": ("allensdk", "requests", "filelock"),
    "IBL": ("ONE-api", "iblatlas"),
    "other sources": ("spikeinterface", "pynapple"),
    "Parquet, hub": ("pyarrow", "huggingface_hub"),
    "notebooks": ("jupyterlab", "papermill", "jupytext", "ipykernel"),
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoders", action="store_true", help="list the pretrained encoders")


def run(options: argparse.Namespace) -> None:
    if options.encoders:
        from ..experiments.encoders import pretrained_encoders

        for name, said in pretrained_encoders().iterrows():
            print(
                f"{name}: {said['modality']}, windows of {said['window_s']:g} s, samples of"
                f" {said['sample_s']:g} s, {said['dim']} dimensions,"
                f" {said['parameters']:,} parameters; {said['licence']}\n"
                f"    trained on {said['trained_on']}\n"
                f"    {said['where']}{'' if said['here'] else ', to be downloaded'},"
                f" {said['megabytes']:g} MB"
            )
        return
    for name, value in facts().items():
        print(f"{name}: {value}")


def facts() -> dict[str, str]:
    """What is printed, name by name."""
    import torch

    from .. import __version__

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    set_here = ", ".join(f"{name}={os.environ[name]}" for name in THREADS if name in os.environ)
    found = {
        "nuclr_lite": f"{__version__}, in {_short(Path(__file__).parents[1])}",
        "Python": f"{platform.python_version()}, {_short(Path(sys.executable))}",
        "system": platform.platform(),
        "core": _versions(CORE),
        **{name: _versions(packages) for name, packages in PARTS.items()},
        "cores": f"{cores} of {os.cpu_count()}, {platform.machine()}",
        "threads": f"torch {torch.get_num_threads()}" + (f"; {set_here}" if set_here else ""),
        "GPU": _devices(torch),
    }
    return found | _caches()


def _devices(torch) -> str:
    if torch.cuda.is_available():
        return "; ".join(
            f"{one.name}, {one.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
            for one in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        )
    if torch.backends.mps.is_available():
        return "Apple MPS"
    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return f"none ({built})"


def _caches() -> dict[str, str]:
    """Where downloads are kept, and how large that is."""
    from ..experiments.encoders import pretrained_encoders

    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    places = {"Hugging Face cache": home, "data in this folder": Path("data")}
    sizes = {name: _size(place) for name, place in places.items()}
    encoders = pretrained_encoders()
    return sizes | {"encoders that are here": ", ".join(encoders.index[encoders["here"]]) or "none"}


def _size(place: Path) -> str:
    if not place.is_dir():
        return f"{_short(place)}, none"
    n = sum(file.lstat().st_size for file in place.rglob("*") if not file.is_dir())
    return f"{_short(place)}, {n / 1e6:,.1f} MB"


def _short(path: Path) -> str:
    """Without the name of a person, as a rule."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def _versions(packages: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
