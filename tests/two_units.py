"""Small recordings of two units, of spikes and of traces, that take any argument in another's
place.
"""

import pandas as pd

import nuclr_lite as nl

TRAINS = ([1.0, 2.5, 4.0], [0.5, 3.0])
IDS = dict(recording_id="rec", animal_id="animal")
EPOCHS = pd.DataFrame(
    {
        "start_s": [0.0, 30.5],
        "stop_s": [30.5, 60.0],
        "name": ["natural_movie", 'spontaneous, "dark"'],
    }
)


def from_spikes(trains=TRAINS, units=None, intervals=None, **options):
    return nl.Recording.from_spike_trains(trains, units, intervals, **(IDS | options))


def from_traces(
    traces=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)),
    sampling_rate_hz=2.0,
    units=None,
    intervals=None,
    **options,
):
    return nl.Recording.from_traces(traces, sampling_rate_hz, units, intervals, **(IDS | options))
