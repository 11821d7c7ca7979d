"""From records to rows with features: what the series stage and `predict` both do, so that a model sees the same of either."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from ropewalk.core.component import Component
from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.data.series_features.feature import Feature, Frame, Numbers
from ropewalk.data.series_features.leaks import checked
from ropewalk.data.series_grid import Calendar, Every, Track, arranged
from ropewalk.data.series_rows import Columns, Row
from ropewalk.data.sources.source import Record

PRICES = ("open", "high", "low", "close")


class Reading(Component):
    """How records become series, and what is computed beside the target."""

    time: str = "time"
    """The column with the stamp: ISO dates and times, or as time_format says."""
    time_format: str | None = None
    """strptime's format, such as %d/%m/%Y, or `seconds` or `milliseconds` since 1970."""
    target: str = "value"
    """The column that is forecast."""
    symbol: str | None = None
    """The column that tells the series apart; when left out each file is one, named after it."""
    symbols: list[str] = []
    """Only these, all of which must be there; every one when empty."""
    columns: list[str] = []
    """Further columns that features read, such as High, Low and Volume."""
    adjusted: str | None = None
    """The column of the target adjusted for splits and dividends: it takes the target's place, and open, high, low and close are
    multiplied by the same factor."""
    zone: str = "UTC"
    """The clock by which days begin; stamps without offset are read in it, and refused where it shows them twice."""
    every: Every = "observed"
    """The calendar. `observed` takes stamps as they come, for markets whose holidays are their own; with the others a stamp that is
    missing is a gap."""
    aggregate: Literal["last", "mean", "sum"] | None = None
    """What several rows within one cell of the calendar become; an error when left out."""
    duplicates: Literal["error", "first", "last"] = "error"
    """Of rows with one stamp and symbol."""
    missing: Literal["error", "drop"] = "error"
    """Of rows that lack a number: stop, or leave the row out and count it."""
    gaps: Literal["error", "hold", "interpolate"] = "error"
    """Of stamps that the calendar lacks: stop; the last value goes on; or a line between its neighbours, which only the training
    part may draw: later it would tell the future, so there the last value goes on."""
    features: list[Feature] = []
    """What is computed for each stamp. Each is tried with a poisoned future first, and refused if it reads it."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"unknown time zone {value!r}: a name such as America/New_York is wanted") from None
        return value

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that are read, the target first."""
        return tuple(dict.fromkeys([self.target, *self.columns]))

    def rows(self, records: Iterable[tuple[str, Record]]) -> dict[str, list[Row]]:
        """Each symbol's rows in the order of the records, of all symbols; raises DataError for one that is asked for and not there."""
        prices = tuple(name for name in self.numbers if name == self.target or name.lower() in PRICES)
        columns = Columns(self.time, self.symbol, self.numbers, self.adjusted, prices, self.zone, self.time_format)
        found: dict[str, list[Row]] = {}
        for label, record in records:
            row = columns.row(record, label)
            found.setdefault(row.symbol, []).append(row)
        for name in self.symbols:
            if name not in found:
                raise DataError(f"there is no symbol {name!r} ({nearest(name, sorted(found)) or 'there are no records'})")
        return dict(sorted(found.items()))

    def tracks(self, rows: dict[str, list[Row]]) -> list[Track]:
        """Each symbol on the calendar, its gaps still to be filled."""
        calendar = Calendar(self.every, self.aggregate, self.duplicates, self.missing, self.gaps)
        return [arranged(symbol, own, self.numbers, calendar) for symbol, own in rows.items()]

    def frame(self, track: Track) -> Frame:
        columns = {name: track.values[:, place] for place, name in enumerate(self.numbers)}
        return Frame(track.symbol, track.times, columns, self.target)

    def computed(self, frame: Frame) -> Computed:
        """Every feature's columns on a frame; raises DataError for one that reads the future."""
        columns: dict[str, Numbers] = {}
        ahead: list[str] = []
        for feature in self.features:
            for name, values in checked(feature, frame).items():
                if name in columns:
                    raise DataError(f"two features give a column {name!r}", remedy="leave one out")
                columns[name] = values
                ahead += [name] if feature.known_ahead else []
        table = np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(frame.times), 0))
        usable: NDArray[np.bool_] = np.all(np.isfinite(table), axis=1)
        first = int(np.argmax(usable)) if usable.any() else len(usable)
        if not usable[first:].all():
            row = first + int(np.argmin(usable[first:]))
            name = list(columns)[int(np.argmin(np.isfinite(table[row])))]
            raise DataError(f"feature {name} of {frame.symbol} is {table[row, list(columns).index(name)]} at {frame.times[row]}")
        return Computed(tuple(columns), table, first, tuple(list(columns).index(name) for name in ahead))


@dataclass(frozen=True)
class Computed:
    """The features of one symbol."""

    names: tuple[str, ...]
    table: NDArray[np.float64]  # (N, F)
    first: int
    """The first row that has them all."""
    known: tuple[int, ...]


def spreads(tables: list[NDArray[Any]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each feature over training rows; a constant one has spread 1."""
    together = np.concatenate(tables)
    deviations = together.std(axis=0)
    return tuple(map(float, together.mean(axis=0))), tuple(float(one) if one > 1e-12 else 1.0 for one in deviations)
