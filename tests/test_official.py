"""The authors' checkpoints: both layouts, read without executing anything that a file contains."""

import collections
import enum
import functools
import types
import warnings

import numpy as np
import pytest
import torch
from helpers import relative_error, shared
from official_files import LAYOUTS, checkpoint, model, official_state

import nuclr_lite as nl


def embedded(encoder):
    config = encoder.config
    tokens = torch.randn(
        5,
        config.tokens_per_window,
        config.samples_per_token,
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        return encoder(tokens, torch.tensor([2, 3]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_load_from_a_file_and_from_a_dictionary(layout, tmp_path):
    encoder = model()
    state = official_state(encoder, layout)
    # told from the file
    loaded = nl.load_official_weights(checkpoint(tmp_path / "official.pt", state, layout))
    assert not loaded.training and relative_error(embedded(loaded), embedded(encoder)) <= 1e-5
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name])
    assert torch.equal(embedded(nl.load_official_weights(state, layout=layout)), embedded(loaded))
    assert torch.equal(
        embedded(nl.load_official_weights({k: v.numpy() for k, v in state.items()}, layout)),
        embedded(loaded),
    )
    assert "rotary_emb.omega" in state  # left as it was given


def test_the_wrong_layout_is_another_encoder():
    encoder = model()
    swapped = nl.load_official_weights(official_state(encoder, "nuclr"), layout="brainwidebench")
    assert relative_error(embedded(swapped), embedded(encoder)) > 0.1
    assert torch.equal(
        swapped.spatiotemporal[0].spatial.attention.qkv.weight,
        encoder.spatiotemporal[0].temporal.attention.qkv.weight,
    )
    back = nl.load_official_weights(official_state(encoder, "nuclr"))  # a bare state_dict: 'nuclr'
    assert relative_error(embedded(back), embedded(encoder)) <= 1e-5


def test_the_reference_case_is_in_the_nuclr_layout():
    case = np.load(shared("reference", "official_encoder_spikes.npz"))
    state = {
        name.removeprefix("state/"): case[name] for name in case.files if name.startswith("state/")
    }
    errors = {}
    for layout in LAYOUTS:
        with torch.no_grad():
            ours = nl.load_official_weights(state, layout)(
                torch.from_numpy(case["tokens"]), torch.from_numpy(case["units_per_population"])
            )
        errors[layout] = relative_error(ours, case["embedding"])
    assert errors["nuclr"] <= 1e-5 and errors["brainwidebench"] > 0.01


# ---- nothing in a file is executed


class Calls:
    """Pickled, this is a call that leaves a file behind when it is made."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "function", [open, torch.PyTorchFileWriter], ids=["open", "PyTorchFileWriter"]
)
def test_pickled_calls_are_not_made(function, tmp_path):
    mark = tmp_path / "executed"
    bomb = Calls(function, str(mark), *["w"] * (function is open))
    path = checkpoint(tmp_path / "official.pt", official_state(model(), "nuclr"), config=bomb)
    encoder = nl.load_official_weights(path)
    assert not mark.exists()
    assert relative_error(embedded(encoder), embedded(model())) <= 1e-5
    torch.load(path, weights_only=False)  # the bomb is a real one
    assert mark.exists()


class Leaves(torch.nn.Module):
    """A TorchScript module that writes a file when it is loaded."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path, self.training = state
        torch.save(torch.zeros(1), state[0])

    def forward(self) -> str:
        return self.path


def test_torchscript_archives_are_not_run(tmp_path):
    mark, path = tmp_path / "executed", tmp_path / "official.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(Leaves(str(mark))).save(str(path))
        mark.unlink(missing_ok=True)
        with pytest.raises(ValueError, match="not an official checkpoint"):
            nl.load_official_weights(path)
        assert not mark.exists()
        torch.jit.load(str(path))  # it is a real one
    assert mark.exists()


class DictConfig(dict):
    pass


class ListConfig(list):
    pass


class Kind(enum.Enum):
    A = 1


@pytest.mark.parametrize(
    "config",
    [
        types.SimpleNamespace(dim=16),
        DictConfig(dim=16),
        ListConfig([1, 2]),
        collections.defaultdict(list, a=[1]),
        collections.Counter("aab"),
        Kind.A,
        functools.partial(print, 1),
        np.arange(3),
        np.float64(2.0),
        {1, 2},
        torch.Size([2]),
        torch.float16,
        torch.device("cpu"),
        collections.OrderedDict(a=1),
        nl.ModelConfig(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_configuration_object_may_lie_beside_the_tensors(config, tmp_path):
    encoder = model()
    path = checkpoint(tmp_path / "official.pt", official_state(encoder, "nuclr"), config=config)
    assert relative_error(embedded(nl.load_official_weights(path)), embedded(encoder)) <= 1e-5


# ---- what a file says, and files that say nothing


@pytest.mark.parametrize(
    "shape, expected",
    [
        (dict(), dict(modality="spikes", sample_s=0.02, tokens_per_window=10, window_s=10.0)),
        (
            dict(tokens_per_window=20, spatiotemporal_layers=4),
            dict(sample_s=0.02, tokens_per_window=20, spatiotemporal_layers=4, dropout=0.3),
        ),
        (
            dict(samples_per_token=4, tokens_per_window=32),
            dict(modality="calcium", sample_s=0.23344, samples_per_token=4, tokens_per_window=32),
        ),
        (
            dict(heads=4, temporal_layers=3, rotary_fraction=1.0, head_dim=16),
            dict(heads=4, temporal_layers=3, rotary_fraction=1.0, head_dim=16, dropout=0.2),
        ),
    ],
)
def test_the_config_is_read_off_the_shapes(shape, expected):
    config = nl.load_official_weights(official_state(model(**shape), "nuclr")).config
    assert {name: getattr(config, name) for name in expected} == pytest.approx(expected)


def test_an_unknown_sample_needs_its_length():
    state = official_state(model(samples_per_token=20), "nuclr")
    with pytest.raises(ValueError, match="20 samples; say how long one is: sample_s"):
        nl.load_official_weights(state)
    assert nl.load_official_weights(state, sample_s=0.05).config.window_s == pytest.approx(10.0)


@pytest.mark.parametrize(
    "name",
    [
        "read_in.weight",
        "read_in.bias",
        "rotary_emb.omega",
        "t_blocks.0.0.to_qkv.bias",
        "st_blocks.1.3.out_proj.weight",
    ],
)
def test_a_missing_parameter_is_named(name):
    state = official_state(model(), "nuclr")
    del state[name]
    ours = {
        "t_blocks.0.0.to_qkv.bias": "temporal.0.attention.qkv.bias",
        "st_blocks.1.3.out_proj.weight": "spatiotemporal.1.spatial.feed_forward.narrow.weight",
    }
    with pytest.raises(ValueError, match=ours.get(name, name).replace(".", r"\.")):
        nl.load_official_weights(state)


@pytest.mark.parametrize(
    "name, shape",
    [
        ("extra.weight", (3,)),
        ("t_blocks.0.2.norm.weight", (16,)),
        ("t_blocks.0.x.norm.weight", (16,)),
        ("st_blocks.0.4.norm.weight", (16,)),
        ("t_blocks.0.0.norm.weight", (17,)),
    ],
)
def test_unknown_and_misshapen_parameters(name, shape):
    with pytest.raises(ValueError, match="not an official NuCLR encoder"):
        nl.load_official_weights(official_state(model(), "nuclr") | {name: torch.zeros(shape)})


def test_an_unknown_layout():
    with pytest.raises(ValueError, match="use one of.*brainwidebench.*nuclr"):
        nl.load_official_weights(official_state(model(), "nuclr"), layout="other")


def test_a_truncated_file(tmp_path):
    path = checkpoint(tmp_path / "official.pt", official_state(model(), "nuclr"))
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut off; download it again"):
            nl.load_official_weights(path)


def test_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="download the authors' checkpoint"):
        nl.load_official_weights(tmp_path / "nothing.pt")
    np.savez(tmp_path / "arrays.npz", a=np.arange(3))  # a zip, as torch.save's are
    with pytest.raises(ValueError, match="not (a|an official) checkpoint"):
        nl.load_official_weights(tmp_path / "arrays.npz")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds no 'model_state_dict'"):
        nl.load_official_weights(tmp_path / "list.pt")


@pytest.mark.parametrize("keys", [(), ("loss_state_dict", "ssl_loss_state_dict")])
def test_a_file_of_unknown_layout_needs_one(keys, tmp_path):
    encoder = model()
    torch.save(
        {"model_state_dict": official_state(encoder, "brainwidebench")} | {key: {} for key in keys},
        tmp_path / "official.pt",
    )
    with pytest.raises(ValueError, match="pass layout="):
        nl.load_official_weights(tmp_path / "official.pt")
    loaded = nl.load_official_weights(tmp_path / "official.pt", layout="brainwidebench")
    assert relative_error(embedded(loaded), embedded(encoder)) <= 1e-5
