"""Task suite 3 of BrainWideBench, on a tiny stand-in: the units, the probe, the two readouts, the
numbers, against the same by hand and against the benchmark's own functions.
"""

import re
import warnings

import bwb_files
import numpy as np
import pandas as pd
import pytest
from allen_server import Server
from bwb_files import TEST, TRAIN, WANTED, embeddings, unit_table, write_embeddings
from helpers import TINY, randomise
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

import nuclr_lite as nl
from nuclr_lite.experiments import brainwidebench
from nuclr_lite.sources.published import brainsets
from nuclr_lite.sources.published.brainwidebench import session_units, trained_on
from nuclr_lite.sources.published.embeddings import read_embeddings
from nuclr_lite.sources.published.ibl import REGIONS

PUBLISHED = brainwidebench.EXPECTED


@pytest.fixture(scope="module")
def units(tmp_path_factory) -> pd.DataFrame:
    folder, tables = tmp_path_factory.mktemp("sessions"), []
    for session in WANTED:
        path = bwb_files.write_session(folder / f"{session}.h5", session, n_spikes=10)
        regime = "pretrain" if session in TRAIN else "eval"
        tables.append(session_units(path, session, regime))
    return pd.concat(tables).set_index(["recording_id", "unit_id"])


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> pd.DataFrame:
    path = write_embeddings(tmp_path_factory.mktemp("vectors") / "e.pt")
    return read_embeddings(path).vectors


@pytest.fixture(autouse=True)
def tiny_benchmark(monkeypatch):
    """Its numbers of units, in the stand-in."""
    expected = {regime: len(by_hand(regime)) for regime in ("pretrain", "eval")}
    monkeypatch.setattr(brainwidebench, "EXPECTED", expected)


def by_hand(regime: str) -> pd.DataFrame:
    """The scored units of a regime, one by one."""
    rows = []
    for session in TRAIN if regime == "pretrain" else TEST:
        for unit in unit_table(session).to_dict("records"):
            probe = unit["qc_neural"] == "PASS" or (
                regime == "pretrain" and unit["qc_neural"] == "WARNING"
            )
            aligned, good = unit["qc_neural_alignment"] == "PASS", unit["label"] == 1.0
            if probe and aligned and good and unit["firing_rate"] > 1.0:
                if unit["region_cosmos"] in REGIONS:
                    rows.append(unit | {"name": f"{session}/{unit['id']}"})
    return pd.DataFrame(rows).set_index("name")


def test_the_units_that_count(units):
    chosen = brainwidebench.scored_units(units)
    names = ["/".join(name) for name in chosen.index]
    assert names == [*by_hand("pretrain").index, *by_hand("eval").index]
    assert 20 < len(by_hand("eval")) < len(by_hand("pretrain")) < 0.6 * len(units)
    learned = chosen[chosen["regime"] == "pretrain"]
    assert "WARNING" in set(learned["qc_neural"]), "learned from, never scored"
    assert set(chosen[chosen["regime"] == "eval"]["qc_neural"]) == {"PASS"}
    assert set(chosen["region"]) == set(REGIONS)


@pytest.mark.parametrize(
    "column, value, fewer",
    [
        ("qc_neural", "FAIL", True),
        ("qc_neural", "WARNING", False),
        ("qc_neural_alignment", "WARNING", True),
        ("label", 0.999, True),
        ("label", np.nan, True),
        ("firing_rate_hz", 1.0, True),
        ("firing_rate_hz", 1.0001, False),
        ("region", "void", True),
        ("region", "root", True),
    ],
)
def test_each_rule_of_it(units, column, value, fewer):
    one = brainwidebench.scored_units(units).query("regime == 'pretrain'").index[0]
    changed = units.copy()
    changed.loc[one, column] = value
    if fewer:
        with pytest.raises(ValueError, match="where the benchmark has"):
            brainwidebench.scored_units(changed)
    else:
        assert one in brainwidebench.scored_units(changed).index


def test_another_number_of_units(units, vectors, monkeypatch):
    monkeypatch.setattr(brainwidebench, "EXPECTED", PUBLISHED)
    assert PUBLISHED == {"pretrain": 41_834, "eval": 3_222}
    n = {regime: len(by_hand(regime)) for regime in ("pretrain", "eval")}
    said = f"{n['pretrain']} units to learn from and {n['eval']} to be scored.*41,834 and 3,222"
    with pytest.raises(ValueError, match=f"{said}.*exact=False"):
        brainwidebench.evaluate(vectors, units)
    with pytest.warns(UserWarning, match=f"{said}: this score is not"):
        scores, _ = brainwidebench.evaluate(vectors, units, exact=False)
    assert set(scores["n_test"]) == {n["eval"]}


def test_regions_of_another_mapping(units):
    changed = units.assign(region=units["region"].replace("TH", "VPM"))
    with pytest.raises(ValueError, match=r"regions that the benchmark has not: \['VPM'\]"):
        brainwidebench.scored_units(changed)


def probabilities_by_hand():
    held = embeddings()
    sides = []
    for regime, name in (("pretrain", "train"), ("eval", "eval")):
        table = by_hand(regime)
        kept = np.isin(held[f"{name}_uids"], table.index)
        sides += [held[f"{name}_embs"].numpy()[kept], table.loc[held[f"{name}_uids"][kept]]]
    x, learned, x_test, scored = sides
    scaler = StandardScaler().fit(x)
    classifier = LogisticRegression(
        solver="newton-cg", class_weight="balanced", max_iter=1000, C=1.0, tol=1e-4
    ).fit(scaler.transform(x), learned["region_cosmos"])
    return scored, classifier.predict_proba(scaler.transform(x_test))


def test_the_numbers_are_those_made_by_hand(units, vectors):
    scores, predictions = brainwidebench.evaluate(vectors, units)
    scored, expected = probabilities_by_hand()
    assert ["/".join(name) for name in predictions.index] == list(scored.index), "the file's order"
    assert list(predictions.filter(regex="^p_")) == [f"p_{name}" for name in REGIONS]
    np.testing.assert_allclose(predictions.filter(regex="^p_"), expected, rtol=1e-9, atol=1e-12)
    pooled = nl.multi_unit(expected, scored["probe_id"].to_numpy(), scored["depths"].to_numpy())
    for readout, table in (("single", expected), ("multi", pooled)):
        named = np.array(REGIONS)[table.argmax(axis=1)]
        assert (predictions[readout] == named).all()
        row = scores.set_index("readout").loc[readout]
        kind = dict(labels=REGIONS, zero_division=0)
        true = scored["region_cosmos"]
        assert row["macro_f1"] == pytest.approx(f1_score(true, named, average="macro", **kind))
        each = f1_score(true, named, average=None, **kind)
        np.testing.assert_allclose(row[[f"f1_{name}" for name in REGIONS]].astype(float), each)
        assert (row["n_train"], row["n_test"]) == (len(by_hand("pretrain")), len(scored))
    assert 0.4 < scores["macro_f1"][0] < 0.99, "the stand-in is neither hopeless nor trivial"


def test_the_numbers_are_those_of_the_benchmark(units, vectors):
    """With its own readout and scoring."""
    reason = "pip install --no-deps ibl-bwb-eval torchmetrics lightning-utilities"
    tasks = pytest.importorskip("ibl_bwb_eval.tasks", reason=reason)
    pooling = pytest.importorskip("ibl_bwb_eval.multi_unit", reason=reason)
    pytest.importorskip("ibl_bwb_eval.metrics", reason=reason)
    spec = tasks.get_ts3_readout_spec("unit_cosmos")
    assert spec.label_names == REGIONS
    scores, predictions = brainwidebench.evaluate(vectors, units)
    tasks.check_ts3_label_order([c[2:] for c in predictions.filter(regex="^p_")], "unit_cosmos")
    scored, single = probabilities_by_hand()
    multi = pooling.multi_unit_prediction(
        single, scored["depths"].to_numpy(), scored["probe_id"].to_numpy()
    )
    for readout, table in (("single", single), ("multi", multi)):
        named = np.array(spec.label_names)[table.argmax(axis=1)]
        row = scores.set_index("readout").loc[readout]
        for name, value in spec.score(scored["region_cosmos"].to_numpy(), named).items():
            kind, metric = name.split("/")
            ours = f"macro_{metric}" if kind == "macro" else f"{metric}_{kind}"
            assert row[ours.replace("f1-score", "f1")] == pytest.approx(value, abs=1e-12), name


def test_a_class_that_nobody_has_is_nought():
    found = brainwidebench.metrics(["TH", "TH", "MB"], ["TH", "MB", "MB"])
    assert found["f1_CB"] == 0 and found["recall_TH"] == 0.5 and found["precision_MB"] == 0.5
    assert found["macro_f1"] == pytest.approx(2 * (2 / 3) / 10)


def test_the_order_of_tables_does_not_matter(units, vectors):
    scores, predictions = brainwidebench.evaluate(vectors, units)
    shuffled = units.sample(frac=1, random_state=0)
    again, _ = brainwidebench.evaluate(vectors, shuffled)
    pd.testing.assert_frame_equal(again, scores)
    _, other = brainwidebench.evaluate(vectors.sample(frac=1, random_state=0), units)
    columns = list(other.filter(regex="^p_"))
    np.testing.assert_allclose(
        other.loc[predictions.index, columns], predictions[columns], atol=1e-4
    )


def test_the_files_precision_is_the_probes(units, vectors):
    _, predictions = brainwidebench.evaluate(vectors.astype(np.float32), units)
    assert set(predictions.filter(regex="^p_").dtypes) == {np.dtype(np.float32)}


def test_units_to_learn_from_may_lack(units, vectors):
    learned = brainwidebench.scored_units(units).query("regime == 'pretrain'").index
    fewer = vectors.drop(learned[:7])
    scores, _ = brainwidebench.evaluate(fewer, units)
    assert set(scores["n_train"]) == {len(learned) - 7}
    holes = vectors.copy()
    holes.loc[learned[:7], "e003"] = np.inf
    pd.testing.assert_frame_equal(brainwidebench.evaluate(holes, units)[0], scores)


@pytest.mark.parametrize("how", ["dropped", "not finite", "other names"])
def test_units_to_be_scored_may_not(units, vectors, how):
    lost = brainwidebench.scored_units(units).query("regime == 'eval'").index[[3, 8]]
    changed = vectors.copy()
    if how == "dropped":
        changed = changed.drop(lost)
    elif how == "not finite":
        changed.loc[lost] = np.nan
    else:
        changed = changed.rename(index={unit: f"{unit}?" for _, unit in lost}, level=1)
    first = "|".join("/".join(name) for name in lost)
    said = f"2 of the units to be scored have no vector.*first: ({first}).*Download it again"
    with pytest.raises(ValueError, match=said):
        brainwidebench.evaluate(changed, units)


def test_what_else_cannot_be_scored(units, vectors):
    with pytest.raises(ValueError, match="a unit occurs twice"):
        brainwidebench.evaluate(pd.concat([vectors, vectors.iloc[:1]]), units)
    chosen = brainwidebench.scored_units(units)
    ones = chosen.index[(chosen["region"] == "HY") & (chosen["regime"] == "pretrain")]
    with pytest.raises(ValueError, match="to learn from none is in HY"):
        brainwidebench.evaluate(vectors.drop(ones), units)
    with pytest.warns(UserWarning, match="not the benchmark's"):
        with pytest.raises(ValueError, match="no unit to be scored"):
            brainwidebench.evaluate(vectors, units.query("regime == 'pretrain'"), exact=False)


@pytest.fixture
def server(tmp_path):
    with Server(files=bwb_files.bucket(tmp_path / "bucket", n_spikes=10)) as server:
        yield server


def score(server, tmp_path, files, **options):
    options = {"wanted": WANTED, "url": server.url, "at_once": 1} | options
    return brainwidebench.score(cache_dir=tmp_path / "cache", files=files, **options)


def seeds(tmp_path, n=3, **changes) -> dict:
    return {
        seed: write_embeddings(tmp_path / f"{seed}.pt", embeddings(seed, noise=1.5, **changes))
        for seed in range(42, 42 + n)
    }


def test_the_authors_number(server, tmp_path, units):
    files = seeds(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = score(server, tmp_path, files)
    assert table[["readout", "seed"]].to_numpy().tolist() == [
        [readout, seed] for seed in files for readout in ("single", "multi")
    ]
    assert set(table["n_dropped"]) == {25}
    for seed, path in files.items():
        own, _ = brainwidebench.evaluate(read_embeddings(path).vectors, units)
        pd.testing.assert_frame_equal(
            table[table["seed"] == seed][list(own)].reset_index(drop=True), own
        )
    said = brainwidebench.summary(table)
    for readout in ("single", "multi"):
        values = table.loc[table["readout"] == readout, "macro_f1"]
        row = said[(said["readout"] == readout) & (said["metric"] == "macro_f1")].iloc[0]
        assert row["mean"] == pytest.approx(np.mean(values)) and row["n"] == 3
        assert row["sem"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert said.loc[0, ["readout", "metric"]].tolist() == ["single", "macro_f1"], "first of all"
    n = len(server.log)
    pd.testing.assert_frame_equal(score(server, tmp_path, files), table)
    assert len(server.log) == n


def test_one_seed_has_no_spread(server, tmp_path):
    said = brainwidebench.summary(score(server, tmp_path, seeds(tmp_path, 1)))
    assert said["sem"].isna().all() and set(said["n"]) == {1}


def test_files_that_are_not_what_they_should_be(server, tmp_path):
    files = seeds(tmp_path, 2)
    with pytest.warns(UserWarning, match="42.pt: says that its embeddings are of seed 42.*of 43"):
        assert set(score(server, tmp_path, {43: files[42]})["seed"]) == {43}
    write_embeddings(files[43], embeddings(43, dim=6))
    with pytest.raises(ValueError, match="43.pt: has 6 dimensions, where the first seed has 8"):
        score(server, tmp_path, files)
    held = embeddings()
    held |= {name: held[name][:10] for name in ("eval_embs", "eval_uids")}
    path = write_embeddings(files[42], held)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: .*to be scored have no vector"):
        score(server, tmp_path, {42: path})
    with pytest.raises(ValueError, match="no seed to score"):
        score(server, tmp_path, {})
    with pytest.raises(ValueError, match="seed is 41; published are"):
        brainwidebench.score(41, tmp_path)


def test_an_encoder_of_ones_own(units, tmp_path):
    """What `nl.embed` gives of the session files has the names of the unit tables."""
    for session in WANTED:
        bwb_files.write_session(tmp_path / f"{session}.h5", session, n_spikes=6000)
    recordings = brainsets.read_brainsets(tmp_path)
    assert [recording.recording_id for recording in recordings] == WANTED
    encoder = randomise(nl.NuCLR(TINY.model))
    embedding = nl.embed(encoder, recordings, step=0.5)
    assert set(embedding.index) == set(units.index)
    scores, _ = brainwidebench.evaluate(embedding, units)
    assert scores["macro_f1"].max() < 0.3, "noise knows nothing"
    # a recording a probe, as the benchmark's attention has it
    by_probe = brainsets.read_brainsets(tmp_path, probe_column="probe_id")
    apart = nl.embed(encoder, by_probe, step=0.5)
    apart = apart.rename(index=lambda name: name[:36], level="recording_id")
    assert set(apart.index) == set(units.index) and len(by_probe) == 2 * len(WANTED)
    assert len(brainwidebench.evaluate(apart, units)[0]) == 2
    said = nl.checks.leaks(
        by_probe, TINY, trained_on=trained_on("brainwidebench"), inductive=True
    ).set_index("check")
    assert said.loc["seen", "found"].startswith("3 of 5 animals and 6 of 10 recordings were")
