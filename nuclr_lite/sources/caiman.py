"""A calcium recording from the HDF5 file that CaImAn saves."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..recording import Recording
from .reading import agreed_rate, first_line, kept_rows, one_number

SIGNALS = {"F_dff": "dF/F", "C": "denoised fluorescence", "S": "deconvolved activity"}
BY_HAND = {"accepted_list": "accepted", "rejected_list": "rejected"}
QUALITY = ("SNR_comp", "r_values", "cnn_preds")


def read_caiman(
    path: str | Path,
    *,
    animal_id: str,
    recording_id: str | None = None,
    sampling_rate_hz: float | None = None,
    signal: str = "F_dff",
    keep: str | None = "accepted",
) -> list[Recording]:
    """The recording in a file that CaImAn's `cnm.save('name.hdf5')` wrote: a list of one, as other
    sources give.

    Parameters
    ----------
    path : the .hdf5 file. recording_id : None: the file's name without its ending.
    sampling_rate_hz : frames a second. None: the file's `params/data/fr`, which is 30 where nobody
        set it. Given: this one, with a notice where the file's is another.
    signal : 'F_dff', dF/F (CaImAn stores it after `cnm.estimates.detrend_df_f()`); 'C', denoised
        fluorescence, or 'S', deconvolved activity, both in arbitrary units.
    keep : which components: a pandas expression over the columns, such as "accepted and SNR_comp >
        4". None: all.

    Returns
    -------
    list[Recording] : units are indexed by the component's number (the row of `estimates/C`), with
    the columns accepted (it is one of `estimates/idx_components`; all are, with a warning, where
        the file has none), by_hand (where somebody chose in CaImAn's window: 'accepted', 'rejected'
        or None; this goes before idx_components, which the window sets to all components),
        SNR_comp, r_values, cnn_preds (where CaImAn evaluated them), centroid_y_px and centroid_x_px
        (the footprint's centre of mass; of a plane, not of a volume). Times are in s from the first
        frame.

    Raises
    ------
    FileNotFoundError : nothing at `path`. ImportError : h5py is not installed.
    ValueError : naming the file and the remedy: not a CaImAn file; the signal was not computed; no
        rate; arrays that don't fit each other; no component left; and what `Recording` itself
        refuses.

    Source: CaImAn's documentation of its estimates; Giovannucci et al. 2019, eLife 8:e38173.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "reading CaImAn files needs h5py, which is not installed: pip install h5py"
        ) from error
    if signal not in SIGNALS:
        raise ValueError(f"signal is {signal!r}; use one of {SIGNALS}.")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no file there; give the .hdf5 file that cnm.save wrote.")
    try:
        with h5py.File(path, "r") as file:
            is_caiman = isinstance(file.get("estimates"), h5py.Group)
            shapes = {
                name: file[f"estimates/{name}"].shape
                for name in SIGNALS
                if isinstance(file.get(f"estimates/{name}"), h5py.Dataset)
            }
            # a single value is 'NoneType'
            shapes = {name: shape for name, shape in shapes.items() if shape}
            traces = _value(file, f"estimates/{signal}")
            found = {
                name: _value(file, f"estimates/{name}")
                for name in ("idx_components", *BY_HAND, *QUALITY, "dims")
            }
            rate = _value(file, "params/data/fr")
            footprints = {
                part: _value(file, f"estimates/A/{part}")
                for part in ("data", "indices", "indptr", "shape")
            }
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{path}: can't be read as HDF5 ({first_line(error)}): it is truncated, or something"
            " else; copy it again."
        ) from error
    if not is_caiman:
        raise ValueError(
            f"{path}: has no group `estimates`, so CaImAn's cnm.save didn't write it; read NWB"
            " files with nwb.read_nwb."
        )
    if signal not in shapes:
        remedy = (
            "run cnm.estimates.detrend_df_f() and save it again, or choose"
            if signal == "F_dff"
            else "choose"
        )
        raise ValueError(
            f"{path}: estimates/{signal} ({SIGNALS[signal]}) was not computed; {remedy} one of the"
            f" signals that are there: {list(shapes)}."
        )
    assert traces is not None  # what has a shape has values
    if traces.ndim != 2 or traces.dtype.kind not in "iuf" or len(set(shapes.values())) > 1:
        raise ValueError(
            f"{path}: its estimates have the shapes {shapes}, where (components, frames), the same"
            " for all, is needed: compute them again from the components that are there now."
        )
    if sampling_rate_hz is None:
        sampling_rate_hz = one_number(rate)
        if sampling_rate_hz is None:
            raise ValueError(
                f"{path}: has no frame rate (params/data/fr); give sampling_rate_hz, frames a"
                " second."
            )
    else:
        agreed_rate(sampling_rate_hz, rate, path, "params/data/fr (30 where nobody set it)")
    units = _units(found, footprints, len(traces), path)
    kept = kept_rows(units, keep, path)
    return [
        Recording.from_traces(
            traces[kept].T,
            sampling_rate_hz,
            units.iloc[kept],
            animal_id=animal_id,
            recording_id=path.stem if recording_id is None else recording_id,
            provenance={"source": "caiman", "file": path.name, "signal": signal, "keep": keep},
        )
    ]


def _value(file, name: str) -> np.ndarray | None:
    """A dataset as an array; None where it is absent, or where CaImAn stored Python's None, as the
    text 'NoneType'.
    """
    item = file.get(name)
    if item is None or not hasattr(item, "shape"):
        return None
    value = np.asarray(item[()])
    return None if value.ndim == 0 and value.item() in (b"NoneType", "NoneType") else value


def _units(found: dict, footprints: dict, n_components: int, path: Path) -> pd.DataFrame:
    units = pd.DataFrame(index=pd.RangeIndex(n_components, name="unit_id"))
    named = {
        name: _rows(found[name], n_components, name, path)
        for name in ("idx_components", *BY_HAND)
        if found[name] is not None
    }
    by_hand = {name: rows for name, rows in named.items() if name in BY_HAND and rows.any()}
    if "idx_components" not in named and not by_hand:
        warnings.warn(
            f"{path}: has no idx_components, so all {n_components} components count as accepted:"
            " right after select_components(), but not if evaluate_components() was never run.",
            stacklevel=3,
        )
    units["accepted"] = named.get("idx_components", np.ones(n_components, dtype=bool))
    if by_hand:
        units["by_hand"] = None
        for name, rows in by_hand.items():
            units.loc[rows, "by_hand"] = BY_HAND[name]
            units.loc[rows, "accepted"] = name == "accepted_list"
        n = units["by_hand"].value_counts()
        warnings.warn(
            f"{path}: {n.get('accepted', 0)} components were accepted and {n.get('rejected', 0)}"
            f" rejected by hand (column by_hand), which goes before idx_components; of the other"
            f" {n_components - n.sum()}, {units['accepted'][units['by_hand'].isna()].sum()} count"
            " as accepted. Only those accepted by hand: keep=\"by_hand == 'accepted'\".",
            stacklevel=3,
        )
    for name in QUALITY:
        if (
            found[name] is not None
            and found[name].shape == (n_components,)
            and found[name].dtype.kind in "iuf"
        ):
            units[name] = found[name]
    centroids = _centroids(footprints, found["dims"], n_components)
    if centroids is not None:
        units["centroid_y_px"], units["centroid_x_px"] = centroids.T
    return units


def _rows(numbers, n_components: int, name: str, path: Path) -> np.ndarray:
    """(components,) bool: which of them are named."""
    numbers = np.ravel(numbers)
    is_row = np.isin(numbers, np.arange(n_components))
    if not is_row.all():
        raise ValueError(
            f"{path}: estimates/{name} names component {numbers[~is_row][0]}, and there are"
            f" {n_components}; it was made for other components: run evaluate_components() again"
            " and save, or save after select_components()."
        )
    return np.isin(np.arange(n_components), numbers)


def _centroids(footprints: dict, dims, n_components: int) -> np.ndarray | None:
    """(components, 2), y and x in pixels, of the sparse matrix A (pixels, components); None unless
    that fits an image.
    """
    data, indices, indptr, shape = (
        footprints[part] for part in ("data", "indices", "indptr", "shape")
    )
    if any(part is None for part in (data, indices, indptr, shape, dims)) or np.size(dims) != 2:
        return None
    height, width = (int(size) for size in dims)
    n_stored = np.diff(indptr)
    fits = (
        tuple(shape) == (height * width, n_components)
        and len(n_stored) == n_components
        and (n_stored >= 0).all()
    )
    if not fits or n_stored.sum() != len(data) or len(indices) != len(data):
        return None
    component = np.repeat(np.arange(n_components), n_stored)
    # Pixels are numbered down the columns of the image.
    sums = [
        np.bincount(component, weights=data * weight, minlength=n_components)
        for weight in (indices % height, indices // height, 1.0)
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([sums[0] / sums[2], sums[1] / sums[2]], axis=1)
