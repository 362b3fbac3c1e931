"""The checks of one recording: each finds a planted fault and leaves a clean one alone, spikes and
calcium.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import TINY, TINY_CALCIUM, clock, from_trains, spikes, trains_of, with_trains

import nuclr_lite as nl
from nuclr_lite import checks
from nuclr_lite.recording import match_sampling


def test_a_check_speaks():
    found, fine, unasked = (
        checks.Check("light", found, "two pulses", "Cut them") for found in (True, False, None)
    )
    assert [str(check) for check in (found, fine, unasked)] == [
        "look here: two pulses. Cut them",
        "fine: two pulses",
        "not asked: two pulses",
    ]


def test_seconds(recordings, calcium_recordings):
    clean = spikes()
    assert not checks.seconds(clean).found and not checks.seconds(clock()).found
    assert not any(checks.seconds(recording).found for recording in recordings + calcium_recordings)
    for factor in (1000, 30_000):  # milliseconds, samples
        assert all(
            checks.seconds(from_trains([factor * train for train in trains_of(recording)])).found
            for recording in [clean, *recordings]
        )
    assert (
        "outside valid time"
        in checks.seconds(with_trains([1000 * train for train in trains_of(clean)], clean)).sentence
    )
    assert checks.seconds(clock(rate_hz=4000.0)).found and checks.seconds(clock(rate_hz=0.03)).found


def test_busy_units_in_milliseconds_are_noticed_and_quiet_ones_in_seconds_are_not():
    rng = np.random.default_rng(0)
    busy = [1000 * np.cumsum(rng.exponential(0.01, 6000) + 0.002) for _ in range(4)]  # 80 spikes/s
    assert checks.seconds(from_trains(busy)).found
    quiet = [np.sort(rng.uniform(0, 3600, 160)) for _ in range(30)]  # one spike in 22 s
    assert not checks.seconds(from_trains(quiet)).found
    assert checks.seconds(spikes(rate_hz=300.0)).found, "minutes, perhaps"


def test_encoder_fits(recordings, calcium_recordings):
    check = checks.encoder
    assert not any(check(recording, TINY).found for recording in recordings) and not any(
        check(recording, TINY_CALCIUM).found for recording in calcium_recordings
    )
    assert "a window" in check(spikes(intervals=[[0, 1.5], [3, 4]]), TINY.model).sentence, (
        "windows have 2 s"
    )
    assert check(spikes(), TINY_CALCIUM.model).found and check(clock(), TINY.model).found
    coarse = with_trains([np.round(train * 4) / 4 for train in trains_of(spikes())], spikes())
    assert check(coarse, TINY).found and check(coarse, replace(TINY.model, sample_s=0.5)).found
    assert not check(coarse, replace(TINY.model, sample_s=1.0)).found
    assert not check(clock(rate_hz=4.0), TINY_CALCIUM.model).found
    assert (
        "averaged" in check(clock(rate_hz=30.0), TINY_CALCIUM.model).sentence
        and "stretched" in check(clock(rate_hz=1.0), TINY_CALCIUM.model).sentence
    )


def test_few_spikes_are_no_comb():
    assert not checks.encoder(spikes(2, duration_s=600, rate_hz=0.2), TINY).found
    assert not checks.encoder(from_trains([[1.0], [3.0], [5.0]], intervals=[[0, 10]]), TINY).found


@pytest.mark.parametrize(
    "give",
    [lambda: nl.NuCLR(TINY.model), lambda: TINY, lambda: TINY.model, nl.example_encoder],
    ids=["NuCLR", "Preset", "ModelConfig", "Pretrained"],
)
def test_encoders_of_any_form(give):
    assert not checks.encoder(spikes(), give()).found
    with pytest.raises(TypeError, match="give a Pretrained"):
        checks.encoder(spikes(), "quick")


@pytest.mark.filterwarnings("ignore:.*resampled")
def test_resampled_traces():
    assert not checks.encoder(match_sampling(clock(rate_hz=30.0), 0.25), TINY_CALCIUM).found
    assert (
        "stretched"
        in checks.encoder(match_sampling(clock(rate_hz=1.0), 0.25), TINY_CALCIUM).sentence
    ), "the frames fit now, but what was fast is gone"


def test_brightness(recordings, calcium_recordings):
    assert checks.brightness(recordings[0]).found is None
    for recording in calcium_recordings:
        assert checks.brightness(recording).found is False
        again = dict(sampling_rate_hz=4.0, recording_id="r", animal_id="a")
        raw = 200 + 300 * np.random.default_rng(0).random(recording.n_units) * (
            1 + 0.2 * recording.traces
        )
        assert checks.brightness(nl.Recording.from_traces(raw, **again)).found
        above_minimum = recording.traces - recording.traces.min(axis=0)
        assert not checks.brightness(nl.Recording.from_traces(above_minimum, **again)).found
        events = np.maximum(recording.traces - 1, 0)
        assert not checks.brightness(nl.Recording.from_traces(events, **again)).found


def test_duplicates(recordings, calcium_recordings):
    check, clean = checks.duplicates, spikes(6)
    assert not any(
        check(recording).found
        for recording in [clean, spikes(6, rate_hz=200.0), *recordings, *calcium_recordings]
    )
    trains = trains_of(clean)
    assert "(2, 6)" in check(from_trains([*trains, trains[2]])).sentence
    part = check(from_trains([*trains, trains[4][::2], trains[0][:5]]))
    assert "of 8 units: 1" in part.sentence and "(4, 6)" in part.sentence, (
        "half of a unit's spikes count, five spikes say nothing"
    )
    assert not check(from_trains([*trains, trains[2] + 0.005])).found, "5 ms later is no duplicate"
    assert check(from_trains([*trains, trains[2] + 0.0006])).found, "0.6 ms later is"
    assert (
        "(2, 6)" in check(from_trains([train - 30 for train in [*trains, trains[2]]])).sentence
    ), "times before zero"


def test_duplicated_traces():
    noise = np.random.default_rng(0).standard_normal((400, 4))
    twice = np.hstack([noise, noise[:, [1]] + 0.01 * noise[:, [0]]])
    named = dict(sampling_rate_hz=4.0, recording_id="r", animal_id="a")
    assert not checks.duplicates(nl.Recording.from_traces(noise, **named)).found
    assert "(1, 4)" in checks.duplicates(nl.Recording.from_traces(twice, **named)).sentence
    constant = np.hstack([noise[:, :1], np.ones((400, 2))])
    assert not checks.duplicates(nl.Recording.from_traces(constant, **named)).found
    assert not checks.duplicates(nl.Recording.from_traces(noise[:, :1], **named)).found, (
        "one unit has no pair"
    )
    patchy = twice.copy()
    patchy[100:200] = np.nan
    assert (
        "(1, 4)"
        in checks.duplicates(
            nl.Recording.from_traces(patchy, intervals=[[0, 25], [50, 100]], **named)
        ).sentence
    )


def test_light(recordings, calcium_recordings):
    check, recording = checks.light, spikes(intervals=[[0, 20], [30, 40]])
    pulses = pd.DataFrame({"start_s": [22.0, 41.0], "stop_s": [22.5, 41.5]})
    assert (
        check(recording, pulses).found is False
        and check(recording).found is None
        and check(recording, pulses.iloc[:0]).found is False
    )
    assert check(recording, pulses, margin_s=1.5).sentence.startswith("1 of 2")
    assert (
        check(spikes(), pulses).sentence.startswith("2 of 2")
        and check(calcium_recordings[0], pulses).found
    )
    assert all(check(recording).found is None for recording in recordings + calcium_recordings)


@pytest.mark.parametrize(
    "name, is_light",
    [
        ("Opto 5 ms", True),
        ("light_pulse", True),
        ("LED", True),
        ("led 2", True),
        ("photo-stim", True),
        ("laser", True),
        ("scrambled", False),
        ("daylight", False),
        ("natural_movie", False),
        ("controlled", False),
        ("optokinetic drum", False),
    ],
)
def test_light_by_name(name, is_light):
    epochs = pd.DataFrame({"start_s": [0.0, 5.0], "stop_s": [5.0, 6.0], "name": ["movie", name]})
    assert checks.light(replace(spikes(), epochs=epochs)).found is (True if is_light else None)
