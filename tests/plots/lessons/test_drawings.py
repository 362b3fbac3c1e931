"""Drawings: every part can be in colour, hold real numbers, and be read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from readable import assert_texts_readable

import nuclr_lite as nl
from nuclr_lite.plots.lessons import groups, method, protocols
from nuclr_lite.plots.lessons.drawing import mixed

DRAWINGS = {
    "method": (nl.plots.method, method.PARTS),
    "protocols": (nl.plots.protocols, protocols.PROTOCOLS),
    "session_journey": (nl.plots.session_journey, protocols.JOURNEY),
    "packed_populations": (nl.plots.packed_populations, groups.PACKING),
}
EACH = [(name, part) for name, (_, parts) in DRAWINGS.items() for part in (None, *parts)]


@pytest.mark.parametrize("name, part", EACH)
def test_every_part_can_be_the_subject(name, part):
    draw, parts = DRAWINGS[name]
    figure = draw(part)
    if part is None:  # what is pale stays where it is
        assert_texts_readable(figure)
    in_blue = [
        box for box in cards(figure) if box.get_edgecolor()[:3] == mixed(nl.plots.PALETTE[0], 0)
    ]
    assert len(cards(figure)) == len(parts) and len(in_blue) == (part is not None)


def cards(figure: Figure) -> list:
    return [
        box
        for box in figure.axes[0].patches
        if box.get_zorder() == 0 and hasattr(box, "get_boxstyle")
    ]


@pytest.mark.parametrize("name", DRAWINGS)
def test_several_subjects_and_unknown_ones(name):
    draw, parts = DRAWINGS[name]
    first, second, *_ = parts
    assert_texts_readable(draw([first, second], title="two of them (simulated)"))
    with pytest.raises(ValueError, match=f"no part 'contrats'.*{first}, {second}"):
        draw("contrats")


@pytest.fixture(scope="module")
def arrays(recordings) -> dict:
    """Real numbers for every part of the method, from one recording and an untrained encoder."""
    preset = nl.PRESETS["quick"].with_(min_units=2)
    batch = nl.PairedViews(recordings[:1], preset.model, preset.views, 1, seed=0)[0]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        encoder = nl.NuCLR(preset.model).eval()
        vectors = [
            encoder(tokens, torch.tensor([len(tokens)]))
            for tokens in (batch.tokens_1, batch.tokens_2)
        ]
    units, length = batch.tokens_1.shape[:2]
    return {
        "recording": recordings[0],
        "views": [(batch.tokens_1, batch.ids_1), (batch.tokens_2, batch.ids_2)],
        "tokens": batch.tokens_1,
        "time": torch.full((units, length, length), 1 / length),
        "population": torch.full((length, units, units), 1 / units),
        "vectors": vectors[0],
        "contrast": torch.cosine_similarity(vectors[0][:, None], vectors[1][None], dim=-1),
        "decoding": {"NuCLR": 0.5, "hand: coupling to the population": 0.43, "chance": 0.1},
    }


@pytest.mark.parametrize("part", method.PARTS)
def test_real_numbers_take_the_place_of_symbols(part, arrays):
    figure = nl.plots.method(part, {part: arrays[part]}, title="simulated")
    assert_texts_readable(figure)
    symbols = {text.get_text() for text in nl.plots.method(part).axes[0].texts}
    assert method.PARTS[part][2] in symbols
    assert method.PARTS[part][2] not in {text.get_text() for text in figure.axes[0].texts}


def test_all_parts_at_once_and_calcium(arrays, calcium_recordings):
    assert_texts_readable(nl.plots.method(arrays=arrays, title="all of them (simulated)"))
    imaged = calcium_recordings[0]
    traces = imaged.traces[:24].T.reshape(imaged.n_units, 6, 4)
    flat = replace(imaged, traces=np.zeros_like(imaged.traces))
    for recording in (imaged, flat):
        nl.plots.method("recording", {"recording": recording})
    nl.plots.method("tokens", {"tokens": traces, "time": np.eye(6), "population": np.eye(12)})


def test_every_sample_with_a_spike_is_drawn(arrays):
    tokens, ids = (np.asarray(one) for one in arrays["views"][0])
    silent = (np.zeros_like(tokens), ids)
    with_spikes, without = (
        sum(
            len(lines.get_segments())
            for lines in nl.plots.method("views", {"views": [view, silent]}).axes[0].collections
        )
        for view in ((tokens, ids), silent)
    )
    shown = np.isin(ids, np.sort(ids)[: method.N_ROWS])
    assert with_spikes - without == (tokens[shown] > 0).sum() > 0


@pytest.mark.parametrize(
    "given, said",
    [
        ({"token": 1}, "no part 'token' to fill.*tokens"),
        ({"recording": np.ones((3, 4))}, "of type ndarray; give a Recording"),
        ({"views": [np.ones((3, 4, 5))]}, "two pairs"),
        ({"views": [(np.ones((3, 4, 5)), np.arange(2))] * 2}, "3 units and 2 ids"),
        ({"tokens": np.ones((3, 4))}, r"arrays\['tokens'\] has the shape \(3, 4\).*3 dimensions"),
        ({"views": [(np.ones((2, 4, 5)), [3, 3])] * 2}, "an id twice.*one population"),
        ({"time": np.ones(3)}, r"\(3,\).*2 or 3 dimensions"),
        ({"population": np.ones((2, 3, 4))}, r"\(2, 3, 4\); the last two must be equal"),
        ({"vectors": np.ones((0, 4))}, "none of them empty"),
        ({"decoding": {"NuCLR": 43.0}}, "score from 0 to 1"),
        ({"decoding": {}}, "score from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        nl.plots.method(arrays=given)


@pytest.mark.parametrize("n_units, n_tokens", [(1, 1), (3, 2), (2, 1)])
def test_groups_show_all_weights(n_units, n_tokens):
    rng = np.random.default_rng(0)
    over_time = rng.dirichlet(np.ones(n_tokens), (n_units, n_tokens))
    over_units = rng.dirichlet(np.ones(n_units), (n_tokens, n_units))
    names, words = list("ABCD")[:n_units], [["quiet"] * n_tokens] * n_units
    figure = nl.plots.attention_groups(over_time, over_units, names, words)
    assert_texts_readable(figure)
    shown = [text.get_text() for text in figure.axes[0].texts]
    for weight in (*over_time.ravel(), *over_units.ravel()):
        assert f"{weight:.2f}" in shown


def test_groups_that_do_not_fit():
    names, words = ["A", "B"], [["busy"] * 3] * 2
    with pytest.raises(ValueError, match="should be .units, tokens, tokens."):
        nl.plots.attention_groups(np.ones((2, 3, 3)), np.ones((2, 3, 3)), names, words)
    with pytest.raises(ValueError, match="5 units and 2 tokens; there is room"):
        nl.plots.attention_groups(np.ones((5, 2, 2)), np.ones((2, 5, 5)), names, words)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0, 50.0])
def test_the_push_has_the_shares_of_the_loss(temperature):
    """The thickest line is as thick as the softmax says, similarities by way of torch."""
    figure = nl.plots.pull_and_push(temperature)
    assert_texts_readable(figure)
    angles = [
        torch.tensor(list(groups.BEFORE[view].values())).deg2rad().requires_grad_()
        for view in (1, 2)
    ]
    one, two = (torch.stack([a.cos(), a.sin()], dim=1).detach() for a in angles)
    one.requires_grad_()
    cosines = torch.cat([two @ one[0], one @ one[0]])
    loss = nl.ContrastiveLoss(2, temperature)
    assert not loss.scale_within_view
    score = torch.cat([cosines[:3] / temperature, cosines[3:]])
    share = score[[1, 2, 4, 5, 6]].softmax(0)  # B', C'; B, C, D
    shown = [t.get_text() for t in figure.axes[0].texts if t.get_text().endswith("%")]
    assert shown == [f"{share.max().item():.0%}"]
    with pytest.raises(ValueError, match="above 0"):
        nl.plots.pull_and_push(0.0)


def test_texts_that_collide_are_found():
    for places in (((0.5, 0.5), (0.52, 0.5)), ((0.5, 0.5), (0.99, 0.9))):
        figure = plt.figure()
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for place in places:
            axes.text(*place, "some words")
        plt.close(figure)
        with pytest.raises(AssertionError, match="some words"):
            assert_texts_readable(figure)


def test_written_as_png_and_svg(tmp_path):
    """And what lies in results/figures is all that the command writes."""
    import drawings

    figure = nl.plots.protocols()
    drawings.write(figure, tmp_path / "protocols")
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    drawings.write(figure, tmp_path / "protocols")
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {"protocols.png", "protocols.svg"}
    assert first["protocols.svg"].startswith(b"<?xml") and len(first["protocols.png"]) < 100_000
    for name in drawings.DRAWINGS:
        for ending in ("png", "svg"):
            assert (drawings.FIGURES / f"{name}.{ending}").is_file(), "run: make drawings"
