"""Tables of results, to be written somewhere."""

import pandas as pd


def table(rows, **columns) -> pd.DataFrame:
    """rows: (recording_id, unit_id) pairs."""
    return pd.DataFrame(
        columns, index=pd.MultiIndex.from_tuples(rows, names=["recording_id", "unit_id"])
    )


def results(recording_id="a", ids=(5, 3)) -> pd.DataFrame:
    """Vectors and predictions of two units; the vectors are those of 5 and 3."""
    return table(
        [(recording_id, unit_id) for unit_id in ids],
        e000=[5.0, 3.0],
        e001=[5.5, 3.5],
        predicted=["Vip", "L2/3 é"],
        fold=[1, 2],
        **{"p_L2/3 é": [0.25, 0.75]},
        sure=[True, False],
    )
