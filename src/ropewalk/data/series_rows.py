"""From a source's records to rows of one symbol: stamp, target and further columns; what can't be one has a reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.core.shards import Shard
from ropewalk.data.records import Rejected
from ropewalk.data.sources.fields import value_at
from ropewalk.data.sources.file_source import FileSource
from ropewalk.data.sources.source import Record, Source

MISSING = ("", "na", "nan", "null", "none", ".")


@dataclass(frozen=True)
class Row:
    """A record's numbers; `time` is the wall clock of the series' zone, `utc` seconds since 1970."""

    symbol: str
    time: datetime
    utc: int
    values: tuple[float, ...]
    """Target first; NaN where there is no number."""


@dataclass(frozen=True)
class Columns:
    """Where things stand in a record."""

    time: str
    symbol: str | None
    values: tuple[str, ...]
    """Target first."""
    adjusted: str | None
    prices: tuple[str, ...]
    """Of `values`, those that the adjustment multiplies."""
    zone: str
    time_format: str | None

    def row(self, record: Record, label: str) -> Row:
        """Raises DataError naming the column and the value."""
        symbol = label if self.symbol is None else str(self._at(record, self.symbol, label))
        time, utc = self._time(self._at(record, self.time, symbol), symbol)
        values = {name: self._number(record, name, symbol, time) for name in self.values}
        if self.adjusted is not None:
            price = values[self.values[0]]
            factor = self._number(record, self.adjusted, symbol, time) / price if price else math.nan
            values = {name: value * factor if name in self.prices else value for name, value in values.items()}
        return Row(symbol, time, utc, tuple(values.values()))

    def _at(self, record: Mapping[str, Any], name: str, where: str) -> Any:
        found = value_at(record, name)
        if type(found) is object:
            raise DataError(
                f"{where}: a record has no {name!r} ({nearest(name, sorted(record)) or 'it is empty'})",
                remedy="name the column that holds it in the series stage: time, symbol, target, columns or adjusted",
            )
        return found

    def _number(self, record: Mapping[str, Any], name: str, symbol: str, time: datetime) -> float:
        value = self._at(record, name, symbol)
        if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
            return math.nan
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            raise DataError(f"{symbol} at {time}: {name} is {value!r}, which is no number", remedy="mend it, or leave it empty") from None
        if math.isinf(number) or isinstance(value, bool):
            raise DataError(f"{symbol} at {time}: {name} is {value!r}", remedy="mend it, or leave it empty")
        return number

    def _time(self, value: Any, symbol: str) -> tuple[datetime, int]:
        zone = ZoneInfo(self.zone)
        try:
            if self.time_format in ("seconds", "milliseconds"):
                seconds = float(value) / (1000 if self.time_format == "milliseconds" else 1)
                found = datetime.fromtimestamp(seconds, UTC)
            elif self.time_format:
                found = datetime.strptime(str(value), self.time_format)  # noqa: DTZ007 its zone is looked at below
            else:
                found = datetime.fromisoformat(str(value).strip())
        except (ValueError, TypeError, OverflowError, OSError):
            raise DataError(
                f"{symbol}: {self.time} is {value!r}, which is no date",
                remedy="give time_format, such as %d/%m/%Y, seconds or milliseconds",
            ) from None
        if found.tzinfo is None:
            found = _placed(found, zone, symbol)
        utc = int(found.timestamp())
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=utc)).astimezone(zone).replace(tzinfo=None), utc


def _placed(naive: datetime, zone: ZoneInfo, symbol: str) -> datetime:
    """A stamp without offset in the series' zone; DataError where the clock shows it twice or never (daylight saving)."""
    first, second = naive.replace(tzinfo=zone, fold=0), naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        exists = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == naive
        raise DataError(
            f"{symbol}: {naive} {'is there twice' if exists else 'does not exist'} in {zone.key}, where the clock is set then",
            remedy="give stamps with their offset (2024-10-27T02:30+01:00), or zone: UTC if that is what they are",
        )
    return first


def labelled(source: Source, shard: Shard) -> Iterator[tuple[str, Record | Rejected]]:
    """A shard's records, each with its file's name; what is no file has the source's name."""
    if isinstance(source, FileSource) and isinstance(shard.content, tuple):
        for piece in shard.content:
            label = piece.file.label
            for record in source.records(replace(shard, content=(piece,))):
                yield label, record
    else:
        for record in source.records(shard):
            yield source.name or source.tag, record
