"""Optotagging: simulated light responses whose truth is known are told apart; bad tables are
refused with the remedy.
"""

import numpy as np
import pandas as pd
import pytest
from helpers import shared

import nuclr_lite as nl
from nuclr_lite.sources.allen.optotagging import (
    OptotagConfig,
    cell_type_of_genotype,
    optotag_units,
    select_pulses,
)

START_S = 9000.0


def light_table(n_pulses: int = 45) -> pd.DataFrame:
    """As AllenSDK has it: pulses of 5 and 10 ms, trains and raised cosines, in turn, at three
    levels; `n_pulses` of each kind.
    """
    kinds = [
        ("pulse", "a single square pulse", 0.01),
        ("raised_cosine", "half-period of a cosine wave", 1.0),
        ("pulse", "a single square pulse", 0.005),
        ("fast_pulses", "2.5 ms pulses at 10 Hz", 1.0),
    ] * n_pulses
    # jittered, as in the experiments
    start = (
        START_S + 2.0 * np.arange(len(kinds)) + np.random.default_rng(0).uniform(0, 0.5, len(kinds))
    )
    return pd.DataFrame(
        {
            "start_time": start,
            "condition": [kind[1] for kind in kinds],
            "level": np.resize(np.repeat([1.0, 1.7, 2.5], 4), len(kinds)),
            "stop_time": start + [kind[2] for kind in kinds],
            "stimulus_name": [kind[0] for kind in kinds],
            "duration": [kind[2] for kind in kinds],
        }
    )


def onsets(table: pd.DataFrame) -> np.ndarray:
    return table.loc[table["duration"] == 0.01, "start_time"].to_numpy()


def background(rng, table, rate_hz, drift: float = 0.0) -> np.ndarray:
    """Poisson spikes over the table's time; with drift, the rate goes linearly from (1 - drift) to
    (1 + drift) times rate_hz.
    """
    start, stop = table["start_time"].min() - 5, table["stop_time"].max() + 5
    times = np.sort(rng.uniform(start, stop, rng.poisson(rate_hz * (1 + drift) * (stop - start))))
    share = (1 + drift * (2 * (times - start) / (stop - start) - 1)) / (1 + drift)
    return times[rng.random(len(times)) < share]


def silenced(times, onset_s, start_ms, stop_ms) -> np.ndarray:
    """Without the spikes from start_ms to stop_ms after an onset."""
    after = 1000 * (
        times - onset_s[np.maximum(np.searchsorted(onset_s, times, side="right") - 1, 0)]
    )
    return times[~((after >= start_ms) & (after < stop_ms))]


def answers(rng, onset_s, latency_ms, jitter_ms, reliability) -> np.ndarray:
    """At most one spike a pulse."""
    answered = onset_s[rng.random(len(onset_s)) < reliability]
    return answered + np.maximum(rng.normal(latency_ms, jitter_ms, len(answered)), 0.1) / 1000


def simulate_unit(rng, table, kind: str) -> np.ndarray:
    onset_s, rate_hz = onsets(table), np.exp(rng.uniform(np.log(0.1), np.log(30)))
    times = background(rng, table, rate_hz)
    if kind == "direct":
        times = np.r_[
            times,
            answers(rng, onset_s, rng.uniform(3, 6), rng.uniform(0.5, 2), rng.uniform(0.3, 0.9)),
        ]
    elif kind == "late":
        times = np.r_[
            times,
            answers(rng, onset_s, rng.uniform(12, 18), rng.uniform(1, 3), rng.uniform(0.3, 0.9)),
        ]
    elif kind == "rebound":
        times = np.r_[
            silenced(times, onset_s, 1, 10),
            answers(rng, onset_s, rng.uniform(12, 25), rng.uniform(1, 3), rng.uniform(0.3, 0.9)),
        ]
    elif kind == "early rebound":  # within the light: only the silence before it tells
        times = np.r_[
            silenced(background(rng, table, rng.uniform(30, 60)), onset_s, 0, 9),
            answers(rng, onset_s, 6.2, 0.5, 0.6),
        ]
    elif kind == "artefact":
        edge = rng.choice([0.0, 10.0])
        times = np.r_[
            times,
            onset_s + (edge + rng.uniform(0 if edge == 0 else -0.9, 0.9, len(onset_s))) / 1000,
        ]
    elif kind == "drifting":
        times = background(rng, table, rate_hz, drift=0.9)
    elif kind == "rhythmic":
        # bursts of 3 spikes 3 ms apart, at 4 to 12 Hz, phase unrelated to the light
        beats = np.arange(START_S - 5, table["stop_time"].max() + 5, 1 / rng.uniform(4, 12))
        beats = beats + rng.normal(0, 0.005, len(beats))
        times = np.concatenate([beats, beats + 0.003, beats + 0.006])
    elif kind == "states":  # up states of 40 Hz and down states of 1 Hz, 0.3 s each on average
        turns = START_S - 5 + np.cumsum(rng.exponential(0.3, 4 * len(table) * 10))
        times = background(rng, table, 40)
        times = times[(np.searchsorted(turns, times) % 2 == 0) | (rng.random(len(times)) < 1 / 40)]
    elif kind == "fast":
        times = background(rng, table, rng.uniform(30, 60))
    return np.sort(times)


def simulate(seed: int, n: dict[str, int], table: pd.DataFrame) -> tuple[dict, pd.Series]:
    """Spike trains and each unit's kind."""
    rng = np.random.default_rng(seed)
    kinds = pd.Series([kind for kind, count in n.items() for _ in range(count)]).sample(
        frac=1, random_state=seed
    )
    kinds.index = 950_000_000 + np.arange(len(kinds))
    return {unit_id: simulate_unit(rng, table, kind) for unit_id, kind in kinds.items()}, kinds


POPULATION = {
    "direct": 60,
    "late": 40,
    "rebound": 40,
    "early rebound": 10,
    "artefact": 40,
    "drifting": 60,
    "rhythmic": 40,
    "states": 40,
    "fast": 40,
    "none": 120,
}


def scores(n_pulses: int, seeds=range(3)) -> tuple[float, float, pd.Series]:
    """Precision, recall, and the share of each kind that was tagged."""
    table = light_table(n_pulses)
    parts = []
    for seed in seeds:
        trains, kinds = simulate(seed, POPULATION, table)
        parts.append(
            pd.DataFrame(
                {
                    "kind": kinds,
                    "tagged": optotag_units(trains, table, "Sst")["cell_type"].eq("Sst"),
                }
            )
        )
    units = pd.concat(parts)
    direct = units["kind"] == "direct"
    return (
        direct[units["tagged"]].mean(),
        units["tagged"][direct].mean(),
        units.groupby("kind")["tagged"].mean(),
    )


@pytest.mark.parametrize("n_pulses", [20, 45, 100])
def test_precision_and_recall(n_pulses):
    precision, recall, by_kind = scores(n_pulses)
    assert precision >= 0.95 and recall >= 0.8, by_kind


def test_each_other_kind_is_refused_for_its_reason():
    table = light_table(100)
    n = 15
    trains, kinds = simulate(
        5, {kind: n for kind in ("late", "rebound", "early rebound", "artefact", "none")}, table
    )
    decisions = optotag_units(trains, table, "Pvalb")
    assert decisions["cell_type"].isna().sum() >= 5 * n - 1
    why = decisions["why"].str.split(" (", regex=False).str[0]
    for kind in ("late", "rebound", "artefact", "none"):
        assert (why[kinds == kind] == "no response above baseline").sum() >= n - 2, kind
    # else the answer doesn't stand out from the high rate
    assert (why[kinds == "early rebound"] == "inhibited first").sum() >= n - 6


def test_no_more_false_positives_than_the_corrected_level():
    table = light_table(45)
    config = OptotagConfig(
        alpha=0.05,
        min_rate_ratio=0,
        min_reliability=0,
        min_latency_ms=0,
        max_latency_ms=99,
        max_jitter_ms=99,
        inhibition_alpha=0,
    )
    p_values, n_sessions_with_any = [], 0
    for seed in range(30):
        rng = np.random.default_rng([7, seed])
        trains = {
            unit: background(rng, table, rate, drift=rng.uniform(0, 0.9))
            for unit, rate in enumerate(np.geomspace(0.1, 60, 100))
        }
        decisions = optotag_units(trains, table, "Vip", config)
        p_values.append(decisions["p_value"])
        n_sessions_with_any += decisions["cell_type"].notna().any()
    p_values = pd.concat(p_values)
    assert n_sessions_with_any <= 4  # 1.5 expected at most; P(more than 4) = 0.02 even then
    for level in (0.2, 0.05, 0.01):
        assert (p_values <= level).mean() <= level + 3 * np.sqrt(level / len(p_values))
    # and it is not merely cautious where there are spikes
    assert (p_values[p_values.index > 70] <= 0.2).mean() > 0.1


def test_p_value_is_that_of_the_exact_distribution():
    """Few pulses and windows, every outcome counted out."""
    from itertools import product

    table, config = light_table(10), OptotagConfig(n_baseline_windows=2)
    onset_s = onsets(table)
    # of the three windows; the evoked one first in those pulses that answer
    n_filled = [3, 2, 2, 1, 1, 1, 0, 2, 1, 2]
    answered = [1, 1, 1, 1, 0, 1, 0, 1, 0, 0]
    places = [4.0, -6.0, -14.0]  # ms, inside evoked and baseline windows
    train = [
        onset + ms / 1000
        for onset, k, a in zip(onset_s, n_filled, answered)
        for ms in (places if a else places[1:] + places[:1])[:k]
    ]
    chances = [k / 3 for k in n_filled]
    expected = sum(
        np.prod([c if x else 1 - c for c, x in zip(chances, outcome)])
        for outcome in product([0, 1], repeat=10)
        if sum(outcome) >= 6
    )
    decision = optotag_units({1: np.sort(train)}, table, "Sst", config).loc[1]
    assert (
        decision["p_value"] == pytest.approx(expected, rel=1e-9)
        and decision["p_adjusted"] == decision["p_value"]
    )
    assert (
        decision["n_pulses"] == 10
        and decision["baseline_hz"] == pytest.approx(9 / (20 * 0.008))
        and decision["evoked_hz"] == pytest.approx(6 / 0.08)
    )


def test_measures_of_a_response():
    """Latency, jitter and reliability are those of the evoked spikes, at a low and a high rate at
    rest.
    """
    table = light_table(400)
    rng = np.random.default_rng(0)
    trains = {
        rate: np.sort(np.r_[background(rng, table, rate), answers(rng, onsets(table), 4, 0.8, 0.6)])
        for rate in (1, 10, 30)
    }
    decisions = optotag_units(trains, table, "Sst")
    assert (decisions["why"] == "tagged").all()
    np.testing.assert_allclose(decisions["reliability"], 0.6, atol=0.08)
    np.testing.assert_allclose(decisions["latency_ms"], 4, atol=0.4)
    np.testing.assert_allclose(decisions["jitter_ms"], 0.8, atol=0.4)
    np.testing.assert_allclose(decisions["baseline_hz"], [1, 10, 30], rtol=0.25)


@pytest.mark.parametrize(
    "latency_ms, jitter_ms, reliability, why",
    [
        (8.2, 0.2, 0.9, "late, so perhaps through other cells (8.2 ms)"),
        (1.2, 0.05, 0.9, "too early for a spike, so an artefact (1.2 ms)"),
        (4.0, 0.5, 0.12, "unreliable"),
        (4.0, 0.5, 0.9, "tagged"),
    ],
)
def test_rules(latency_ms, jitter_ms, reliability, why):
    table = light_table(200)
    train = np.sort(
        answers(np.random.default_rng(0), onsets(table), latency_ms, jitter_ms, reliability)
    )
    decision = optotag_units({3: train, 4: np.array([])}, table, "Sst").loc[3]
    assert decision["why"].startswith(why) and (decision["cell_type"] == "Sst") == (why == "tagged")


def test_evenly_spread_and_weak_responses():
    table = light_table(200)
    rng, onset_s = np.random.default_rng(0), onsets(table)
    spread = onset_s + rng.uniform(1, 9, len(onset_s)) / 1000
    weak = np.sort(np.r_[background(rng, table, 50), answers(rng, onset_s, 4, 1, 0.3)])
    why = optotag_units({"spread": spread, "weak": weak}, table, "Sst")["why"]
    assert why["spread"].startswith("no fixed latency (SD 2.") and why["weak"].startswith(
        "weak response ("
    )


def test_order_of_units_and_other_light_do_not_matter():
    table = light_table(30)
    trains, _ = simulate(1, {"direct": 10, "none": 30, "fast": 10}, table)
    decisions = optotag_units(trains, table, "Sst")
    shuffled = dict(sorted(trains.items(), key=lambda item: item[0] * 7919 % 101))
    assert list(shuffled) != list(trains)
    pd.testing.assert_frame_equal(
        optotag_units(shuffled, table.sample(frac=1, random_state=0), "Sst").loc[decisions.index],
        decisions,
    )
    p = decisions["p_value"].sort_values()
    holm = [min(1, max(p.iloc[j] * (len(p) - j) for j in range(i + 1))) for i in range(len(p))]
    np.testing.assert_allclose(decisions.loc[p.index, "p_adjusted"], holm)
    assert decisions.index.name == "unit_id" and 0 < decisions["cell_type"].notna().sum() < 50
    assert (decisions["why"] == "tagged").equals(decisions["cell_type"] == "Sst")


def test_short_pulses_lose_the_artefact_in_their_middle():
    table, config = light_table(60), OptotagConfig(duration_ms=(4.0, 6.0))
    onset_s = table.loc[table["duration"] == 0.005, "start_time"].to_numpy()
    trains = {"artefact": onset_s + 0.0052, "direct": onset_s + 0.0031}
    decisions = optotag_units(trains, table, "Sst", config)
    assert (
        decisions["cell_type"].tolist() == [None, "Sst"]
        and decisions.loc["artefact", "evoked_hz"] == 0
    )
    assert decisions.loc["direct", "evoked_hz"] == pytest.approx(1000 / 6)  # 1 to 4 and 6 to 9 ms


def test_selection():
    table = light_table(30)
    assert set(select_pulses(table)["duration"]) == {0.01} and len(select_pulses(table)) == 30
    assert set(select_pulses(table, OptotagConfig(duration_ms=(4, 20)))["duration"]) == {
        0.005,
        0.01,
    }
    assert set(select_pulses(table, OptotagConfig(levels=(2.5,)))["level"]) == {2.5}
    near = pd.concat(
        [
            table,
            table.iloc[:1].assign(
                start_time=table["start_time"][0] - 0.05, stop_time=table["start_time"][0] - 0.04
            ),
        ]
    )
    with pytest.warns(
        UserWarning, match="left out 1 of 31 light pulses: other light within 162 ms"
    ):
        assert len(select_pulses(near)) == 30


def test_errors():
    table = light_table(12)
    trains = {7: np.arange(START_S, START_S + 10)}
    for bad, config, message in [
        (
            table.drop(columns=["level", "duration"]),
            OptotagConfig(),
            r"lacks \['duration', 'level'\]",
        ),
        (
            table[table["stimulus_name"] != "pulse"],
            OptotagConfig(),
            (
                r"no light pulse named \('pulse',\), 9 to 20 ms long, of any level; there are"
                r" .*'raised_cosine', 1000.0"
            ),
        ),
        (table, OptotagConfig(levels=(9.0,)), r"of level \(9.0,\)"),
        (
            table,
            OptotagConfig(min_pulses=13),
            "12 light pulses can be used, fewer than min_pulses=13",
        ),
        (
            pd.concat([table, table.iloc[[0]]]),
            OptotagConfig(),
            "1 light pulses begin before the one before has ended .first: at 9000",
        ),
        (table.assign(stop_time=np.nan), OptotagConfig(), "48 rows without times"),
        (table.iloc[:0], OptotagConfig(), "no light pulse named"),
    ]:
        with pytest.raises(ValueError, match=message):
            optotag_units(trains, bad, "Sst", config)
    for bad in (np.array([2.0, 1.0]), np.array([1.0, np.nan]), np.array([np.nan]), np.ones((2, 2))):
        with pytest.raises(
            ValueError, match="unit 8: its spike times are not one flat array of seconds in order"
        ):
            optotag_units({**trains, 8: bad}, table, "Sst")
    with pytest.raises(ValueError, match="no units to test"):
        optotag_units({}, table, "Sst")
    with pytest.raises(ValueError, match="cell_type is empty"):
        optotag_units(trains, table, cell_type_of_genotype("wt/wt"))


@pytest.mark.parametrize(
    "genotype, cell_type",
    [
        ("Pvalb-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt", "Pvalb"),
        ("Sst-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt", "Sst"),
        ("Vip-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt", "Vip"),
        ("Sst-IRES-Cre;Ai32-387858", "Sst"),
        ("Vip-Cre/wt;Ai32/Ai32", "Vip"),
        ("wt/wt", None),
        (None, None),
        (np.nan, None),
        ("", None),
        ("Sst-IRES-Cre/wt", None),
        ("Sst-IRES-Cre/wt;Ai14(RCL-tdT)/wt", None),
        ("Ai32(RCL-ChR2(H134R)_EYFP)/wt", None),
        ("Sst-IRES-Cre/wt;Pvalb-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt", None),
        ("Sst-IRES-FlpO/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt", None),
        ("Cux2-CreERT2/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt", None),
        ("Vip-IRES-Cre/wt;Ai324/wt", None),
    ],
)
def test_genotypes(genotype, cell_type):
    assert cell_type_of_genotype(genotype) == cell_type


def test_published_labels_agree_with_genotypes():
    units = pd.read_csv(shared("real", "allen_tables", "units.csv.gz"))
    published = units[units["optotag"].notna()]
    assert (
        len(published) == 31
        and (published["full_genotype"].map(cell_type_of_genotype) == published["optotag"]).all()
    )
    assert set(units["full_genotype"].map(cell_type_of_genotype)) == {"Pvalb", "Sst", "Vip", None}


@pytest.mark.parametrize("n", [1, 5, 8])
def test_figure(n):
    table = light_table(30)
    trains, _ = simulate(2, {"direct": 4, "late": 4}, table)
    decisions = optotag_units(trains, table, "Sst")
    figure = nl.plots.light_response(trains, table, list(trains)[:n], decisions)
    assert len(figure.axes) == 2 * n
    assert (
        figure.axes[0].get_title(loc="left").startswith(f"unit {list(trains)[0]}\n")
        and figure.axes[-1].get_xlabel() == "time from light onset (ms)"
    )
    rate = figure.axes[1]
    drawn = sum(bar.get_height() for bar in rate.containers[0]) + sum(
        bar.get_height() for bar in rate.containers[1]
    )
    onset_s, train = onsets(table)[:, None], trains[list(trains)[0]]
    assert drawn == pytest.approx(
        ((train >= onset_s - 0.02) & (train < onset_s + 0.03)).sum() / 30 * 1000
    )
    assert len(nl.plots.light_response(trains, table, list(trains)[:n]).axes) == 2 * n
    with pytest.raises(ValueError, match=r"units \[-1\]"):
        nl.plots.light_response(trains, table, [-1], decisions)


if __name__ == "__main__":  # the numbers of the documentation
    for n_pulses in (15, 45, 75, 180):
        precision, recall, by_kind = scores(n_pulses, range(10))
        print(
            f"{n_pulses} pulses, seeds 0 to 9: precision {precision:.3f}, recall {recall:.3f};"
            f" tagged by kind: {by_kind.round(4).to_dict()}"
        )
