"""Weights published by the paper's authors, loaded into this project's encoder.

Their two repositories store the same parameter names and shapes, but with the two halves of a
spatiotemporal block in opposite order. Taking one for the other gives wrong embeddings without an
error, hence `layout`.
"""

from __future__ import annotations

import collections
import math
import pickle
from pathlib import Path

import torch
from torch import Tensor

from .model import ModelConfig, NuCLR, RotaryPosition

_HALVES = {  # which entries of st_blocks.i hold (spatial, temporal) attention
    "nuclr": (2, 0),  # github nerdslab/nuclr
    "brainwidebench": (0, 2),  # Hugging Face nerdslab/ibl-bwb-nuclr
}
# on the Hugging Face hub; NEMO is the other encoder that the authors benchmarked
HOMES = {"nuclr": "nerdslab/ibl-bwb-nuclr", "nemo": "nerdslab/ibl-bwb-nemo"}
SEEDS = (42, 43, 44, 45, 46)
_ATTENTION = {"norm": "norm", "to_qkv": "qkv", "to_out": "out"}
_FEED_FORWARD = {"norm": "norm", "in_proj": "widen", "out_proj": "narrow"}


def download_official_weights(
    seed: int = 42, cache_dir: str | Path | None = None, endpoint: str | None = None
) -> Path:
    """The checkpoint of one of the five seeds that the authors published (IBL Brain-wide Map,
    spikes; 10.54 million parameters), for `load_official_weights`.

    It comes from its home on the Hugging Face hub, through the hub's own client: kept in the hub's
    cache, resumed where it broke off. Mind the authors' licence.
    """
    return published_file("nuclr", "nuclr_{seed}.pt", seed, cache_dir, endpoint)


def published_file(
    model: str,
    name: str,
    seed: int,
    cache_dir: str | Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """A file of one seed in a model's home on the hub, downloaded unless it is in the hub's cache.

    model : 'nuclr' or 'nemo'. name : with {seed} in it.
    """
    client, home, name = _on_the_hub(model, name, seed)
    return Path(client.hf_hub_download(home, name, cache_dir=cache_dir, endpoint=endpoint))


def cached_file(
    model: str, name: str, seed: int, cache_dir: str | Path | None = None
) -> Path | None:
    """What `published_file` downloaded before; None where it has not."""
    client, home, name = _on_the_hub(model, name, seed)
    there = client.try_to_load_from_cache(home, name, cache_dir=cache_dir)
    return Path(there) if isinstance(there, str) else None


def _on_the_hub(model: str, name: str, seed: int):
    """The hub's client, the model's home there, and the name of its file."""
    try:
        import huggingface_hub as client
    except ImportError as error:
        raise ImportError(
            "published files come through the hub's client, which is not installed: pip install"
            " huggingface_hub"
        ) from error
    if model not in HOMES:
        raise ValueError(f"model is {model!r}; published are {', '.join(HOMES)}.")
    if seed not in SEEDS:
        raise ValueError(f"seed is {seed}; published are {', '.join(map(str, SEEDS))}.")
    return client, HOMES[model], name.format(seed=seed)


def load_official_weights(
    state_dict_or_path, layout: str | None = None, sample_s: float | None = None
) -> NuCLR:
    """An encoder with the authors' weights, in evaluation mode on the CPU.

    Parameters
    ----------
    state_dict_or_path : the encoder's parameters by official name, or the path of a checkpoint
        written by the authors' code. Nothing that a file contains is executed.
    layout : 'nuclr' or 'brainwidebench'. None: told from the file; 'nuclr' for a bare state_dict.
    sample_s : bin or frame length, s. None: 0.02 for 50 samples a token, 0.23344 for 4.

    Raises
    ------
    ValueError : the file or the parameters are not an official encoder, with what is missing.
    """
    if isinstance(state_dict_or_path, (str, Path)):
        state, found = _read_checkpoint(Path(state_dict_or_path))
        layout = layout or found
        if layout is None:
            raise ValueError(
                f"{state_dict_or_path}: can't tell which official code wrote it; pass"
                " layout='nuclr' or 'brainwidebench'."
            )
    else:
        state = dict(state_dict_or_path)
    layout = layout or "nuclr"
    if layout not in _HALVES:
        raise ValueError(f"layout is {layout!r}; use one of {sorted(_HALVES)}.")
    state = {name: torch.as_tensor(value) for name, value in state.items()}
    missing = [
        name for name in ("rotary_emb.omega", "read_in.weight", "read_in.bias") if name not in state
    ]
    if missing:
        raise ValueError(f"not an official NuCLR encoder: {', '.join(missing)} missing.")

    omega = state.pop("rotary_emb.omega")
    config = _config_from(state, omega, sample_s)
    encoder = NuCLR(config)
    renamed = {}
    for name, value in state.items():
        renamed[_our_name(name, layout)] = value
    expected = encoder.state_dict()
    wrong = sorted(set(expected) ^ set(renamed)) or [
        f"{name} {tuple(renamed[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if renamed[name].shape != expected[name].shape
    ]
    if wrong:
        raise ValueError(
            "not an official NuCLR encoder: missing, unknown or misshapen parameters:"
            f" {', '.join(wrong[:5])}."
        )
    encoder.load_state_dict(renamed)
    for module in encoder.modules():
        if isinstance(module, RotaryPosition):
            module.set_omega(omega, config.tokens_per_window)
    return encoder.eval()


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], str | None]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; download the authors' checkpoint first.")
    try:
        # torch.load reads anything else as bare pickles
        if path.open("rb").read(4) != b"PK\x03\x04":
            raise ValueError("no zip file")
        records = torch._C.PyTorchFileReader(str(path)).get_all_records()
        # torch.load hands TorchScript archives to torch.jit, which runs the code in them.
        checkpoint = (
            None
            if "constants.pkl" in records
            else torch.load(
                path, map_location="cpu", weights_only=False, pickle_module=_TensorsOnly
            )
        )
    except Exception as error:
        raise ValueError(
            f"{path}: not a checkpoint that torch.save wrote, or cut off; download it again"
            f" ({error})."
        ) from error
    if not isinstance(checkpoint, dict) or "model_state_dict" not in checkpoint:
        raise ValueError(f"{path}: not an official checkpoint: it holds no 'model_state_dict'.")
    layouts = {"loss_state_dict": "nuclr", "ssl_loss_state_dict": "brainwidebench"}
    found = [layout for key, layout in layouts.items() if key in checkpoint]
    return checkpoint["model_state_dict"], found[0] if len(found) == 1 else None


class _Inert:
    """Stands in for every class of the authors' that a checkpoint names; does nothing."""

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass

    def __call__(self, *args, **kwargs):
        return _Inert()

    append = extend = __setstate__

    def __setitem__(self, key, value):
        pass


class _TensorsOnly:
    """A `pickle_module` for `torch.load` that rebuilds tensors and makes all else `_Inert`.

    Official checkpoints pickle configuration objects beside the tensors. `weights_only=True`
    refuses them; the default would import and run whatever the file names.
    """

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ("collections", "OrderedDict"):
                return collections.OrderedDict
            if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
                return getattr(torch._utils, name)
            if module == "torch" and (
                name == "Size" or isinstance(getattr(torch, name, None), torch.dtype)
            ):
                return getattr(torch, name)
            return _Inert


def _our_name(name: str, layout: str) -> str:
    """Official parameter name -> ours; an unknown name is returned as it is, to be reported."""
    kind, *rest = name.split(".")
    entries = {"t_blocks": "01", "st_blocks": "0123"}.get(kind, "")
    if len(rest) == 4 and rest[1] not in tuple(entries):
        return name
    if kind == "t_blocks" and len(rest) == 4:
        block, entry, layer, leaf = rest
        prefix, inside = f"temporal.{block}", int(entry)
    elif kind == "st_blocks" and len(rest) == 4:
        block, entry, layer, leaf = rest
        spatial = _HALVES[layout][0]
        half = "spatial" if int(entry) in (spatial, spatial + 1) else "temporal"
        prefix, inside = f"spatiotemporal.{block}.{half}", int(entry) % 2
    else:
        return name
    part, table = (("attention", _ATTENTION), ("feed_forward", _FEED_FORWARD))[inside]
    return f"{prefix}.{part}.{table.get(layer, layer)}.{leaf}"


def _config_from(state: dict[str, Tensor], omega: Tensor, sample_s: float | None) -> ModelConfig:
    """Read the encoder's shape off its parameters: nothing else in a file says it reliably."""
    dim, samples = state["read_in.weight"].shape
    turning = omega[omega > 0]
    head_dim = 2 * len(omega)
    qkv = next((value for name, value in state.items() if name.endswith("to_qkv.weight")), None)
    if qkv is None or not len(turning):
        raise ValueError("not an official NuCLR encoder: no attention block with rotary positions.")
    if sample_s is None:
        known = {50: 0.02, 4: 0.23344}
        if samples not in known:
            raise ValueError(
                f"tokens have {samples} samples; say how long one is: sample_s=... (s)."
            )
        sample_s = known[samples]

    def blocks(kind):
        return len({name.split(".")[1] for name in state if name.startswith(kind)})

    return ModelConfig(
        modality="calcium" if samples == 4 else "spikes",
        sample_s=sample_s,
        samples_per_token=samples,
        tokens_per_window=round(2 * math.pi / float(turning.min()) / 8),
        dim=dim,
        heads=qkv.shape[0] // 3 // head_dim,
        head_dim=head_dim,
        temporal_layers=blocks("t_blocks."),
        spatiotemporal_layers=blocks("st_blocks."),
        rotary_fraction=len(turning) / len(omega),
        dropout=0.2 if blocks("st_blocks.") < 4 else 0.3,
    )
