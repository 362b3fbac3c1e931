"""How objects show themselves: a line or two when printed, with a small table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from html import escape
from typing import Any

import pandas as pd

ROWS, COLUMNS = 5, 10  # of a table in a notebook


def _short(value: float) -> str:
    return f"{value:.4g}"


class Shown(ABC):
    """`_in_words` is what is printed; `_table`, if there is one, what a notebook shows beneath."""

    @abstractmethod
    def _in_words(self) -> str: ...

    def _table(self) -> pd.DataFrame | None:
        return None

    def __repr__(self) -> str:
        return self._in_words()

    def _repr_html_(self) -> str:
        words, table = f"<p>{escape(repr(self))}</p>", self._table()
        if table is None:
            return words
        return words + table.head(ROWS).to_html(
            max_cols=COLUMNS, border=0, float_format="{:.4g}".format
        )


class ShownRecording(Shown):
    """Of a `Recording`; the table is the beginning of its units'."""

    units: Any

    def _in_words(self: Any) -> str:
        what = (
            f"{len(self.times):,} spikes" + (f" in bins of {self.bin_s:g} s" if self.bin_s else "")
            if self.modality == "spikes"
            else f"{len(self.traces):,} frames at {self.sampling_rate_hz:.4g} Hz"
        )
        return (
            f"Recording({self.recording_id!r}, animal {self.animal_id!r}, {self.n_units} units,"
            f" {what}, {self.valid_s:.0f} s valid in {len(self.intervals)}"
            f" interval{'s' * (len(self.intervals) > 1)})"
        )

    def _table(self) -> pd.DataFrame | None:
        return self.units


class ShownPretrained(Shown):
    """Of a `Pretrained`; the table is the end of its history."""

    history: Any

    def _in_words(self: Any) -> str:
        model, seen = self.preset.model, self.trained_on
        parameters = sum(parameter.numel() for parameter in self.encoder.parameters())
        steps = 0 if self.history.empty else int(self.history["step"].iloc[-1])
        return (
            f"Pretrained({model.modality}, windows of {model.window_s:g} s, samples of"
            f" {model.sample_s:g} s, {model.dim} dimensions, {parameters:,} parameters;"
            f" {steps:,} steps on {seen['animal_id'].nunique()} animals, {len(seen)} recordings,"
            f" {int(seen['n_units'].sum()):,} units)"
        )

    def _table(self) -> pd.DataFrame | None:
        return self.history.tail(3)


class ShownDecodeResult(Shown):
    """Of a `DecodeResult`; the table is its scores."""

    scores: Any

    def _in_words(self: Any) -> str:
        f1, n = self.scores.set_index("metric").loc["macro_f1"], self.groups.nunique()
        interval = "" if pd.isna(f1["low"]) else f" ({f1['low']:.2f} to {f1['high']:.2f})"
        return (
            f"DecodeResult({self.protocol}, {', '.join(map(str, self.classes))};"
            f" {len(self.predictions)} units of {n} animal{'s' * (n != 1)}, macro F1"
            f" {f1['estimate']:.2f}{interval})"
        )

    def _table(self) -> pd.DataFrame | None:
        return self.scores


class ShownZeroShot(Shown):
    """Of a `ZeroShot`."""

    def _in_words(self: Any) -> str:
        return (
            f"ZeroShot({', '.join(map(str, self.classifier.classes_))}; taught on {len(self.known)}"
            f" units, {len(self.columns)} columns; answers from a probability of {self.least:g} and"
            f" up to a distance of {self.farthest:.3g},"
            f" {'without an' if self.pretrained is None else 'with its'} encoder)"
        )


class ShownPreset:
    """Of a `Preset`, which prints as itself; a row a field in a notebook."""

    def _repr_html_(self: Any) -> str:
        rows = [
            (part, name, str(value))
            for part, fields in asdict(self).items()
            for name, value in fields.items()
        ]
        return pd.DataFrame(rows, columns=["part", "field", "value"]).to_html(index=False, border=0)
