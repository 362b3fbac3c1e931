"""The files of a saved `ZeroShot`: a header in JSON, numbers as safetensors, a card. No pickle.

`ZeroShot.save` and `ZeroShot.load` are the way in; here is how.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .storage import check_seal

FORMAT, FORMAT_VERSION = "nuclr_lite zero-shot", 1
HEADER, NUMBERS = "zero_shot.json", "zero_shot.safetensors"
REMEDY = "copy the whole folder again"
LIMITS = ("least", "farthest", "usual")
STANDARD = ("mean", "scale", "var")  # what a StandardScaler has learned


def write_zero_shot(reader, folder: Path, before: str):
    """Header, numbers and card. before : the card of the encoder, or ''."""
    from safetensors.numpy import save_file

    classifier = reader.classifier
    standard, regression = classifier.fitted_
    arrays = {
        "known": reader.known,
        "offsets": classifier.offsets_,
        "coefficients": regression.coef_,
        "intercepts": regression.intercept_,
        **{f"known.{name}": getattr(reader.scaler, f"{name}_") for name in STANDARD},
        **{f"probe.{name}": getattr(standard, f"{name}_") for name in STANDARD},
    }
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "classes": classifier.classes_.tolist(),
        "columns": reader.columns,
        "scale": classifier.scale_,
        "by_animal": bool(classifier.by_animal_),
        # NaN is no JSON
        **{name: _or_none(getattr(reader, name)) for name in LIMITS},
    }
    (folder / HEADER).write_text(json.dumps(header, indent=1), encoding="utf-8")
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / NUMBERS
    )
    (folder / "README.md").write_text(before + _card(reader), encoding="utf-8")


def read_zero_shot(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and numbers, checked.

    Raises
    ------
    FileNotFoundError : no ZeroShot there. ValueError : damaged, or of a newer version.
    """
    if not (path / HEADER).is_file():
        raise FileNotFoundError(
            f"{path} holds no ZeroShot (no {HEADER}); give the folder that ZeroShot.save wrote."
        )
    check_seal(path, REMEDY)
    try:
        return _read(path)
    except Exception as error:  # safetensors has errors of its own
        raise ValueError(
            f"{path} can't be read as a ZeroShot ({type(error).__name__}: {error}): it was changed"
            f" or damaged, {REMEDY}; or it is from a newer nuclr_lite, update this one."
        ) from error


def _read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    from safetensors.numpy import load_file

    header = json.loads((path / HEADER).read_text(encoding="utf-8"))
    if header["format"] != FORMAT or header["version"] not in range(1, FORMAT_VERSION + 1):
        raise ValueError(
            f"its format is {header['format']!r}, version {header['version']!r}; this nuclr_lite"
            f" reads {FORMAT!r} up to version {FORMAT_VERSION}"
        )
    names = [*header["classes"], *header["columns"]]
    if not all(isinstance(name, (str, int)) for name in names) or len(header["classes"]) < 2:
        raise ValueError("its classes and columns are no lists of names")
    header |= {name: np.nan if header[name] is None else float(header[name]) for name in LIMITS}
    header["scale"] = float(header["scale"])
    arrays, n, dim = load_file(path / NUMBERS), len(header["classes"]), len(header["columns"])
    rows = n if n > 2 else 1  # of two classes, the second is the rest of the first
    shapes = {"known": (len(arrays["known"]), dim), "offsets": (n,)}
    shapes |= {"coefficients": (rows, dim), "intercepts": (rows,)}
    shapes |= {f"{place}.{name}": (dim,) for place in ("known", "probe") for name in STANDARD}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float64:
            raise ValueError(
                f"{name} is {arrays[name].dtype} {arrays[name].shape}, where float64 {shape} is"
                " needed"
            )
    return header, arrays


def restore(scaler, arrays: dict[str, np.ndarray], place: str):
    """Give a StandardScaler what it had learned."""
    for name in STANDARD:
        setattr(scaler, f"{name}_", arrays[f"{place}.{name}"])
    scaler.n_samples_seen_, scaler.n_features_in_ = arrays["known"].shape


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _card(reader) -> str:
    held = "animals" if reader.classifier.by_animal_ else "units, not on animals"
    return f"""
## Labels

{", ".join(reader.classifier.classes_)}, read from vectors by logistic regression that was taught on
{len(reader.known)} units; probabilities are calibrated on left-out {held}. "I don't know" below a
probability of {reader.least:g}, and farther than {reader.farthest:.3g} from what was taught. The
folder holds those units' vectors (standardised), and none of their labels.

```python
nl.ZeroShot.load("this folder").read(recordings)
```
"""
