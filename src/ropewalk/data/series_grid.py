"""One symbol's rows put in order and on a calendar: repeated stamps, missing numbers and gaps by policy, each counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.data.series_rows import Row

Every = Literal["observed", "hour", "day", "weekday", "week", "month", "quarter", "year"]
SEASONS: dict[str, int] = {"hour": 24, "day": 7, "weekday": 5, "week": 52, "month": 12, "quarter": 4, "year": 1, "observed": 5}


@dataclass(frozen=True)
class Calendar:
    """What stamps there should be and what becomes of those that are not as they should be."""

    every: Every = "observed"
    aggregate: Literal["last", "mean", "sum"] | None = None
    duplicates: Literal["error", "first", "last"] = "error"
    missing: Literal["error", "drop"] = "error"
    gaps: Literal["error", "hold", "interpolate"] = "error"


@dataclass
class Track:
    """One symbol on its calendar."""

    symbol: str
    times: NDArray[np.datetime64]
    values: NDArray[np.float64]  # (N, columns), target first; NaN where a gap is to be filled
    filled: NDArray[np.bool_]
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """(stamp, reason) of rows that were left out."""
    unsorted: int = 0


def arranged(symbol: str, rows: list[Row], names: tuple[str, ...], calendar: Calendar) -> Track:
    """The symbol's track; gaps are NaN rows that `fill` fills once the training part is known. Raises DataError by policy."""
    unsorted = sum(later.utc < earlier.utc for earlier, later in pairwise(rows))
    rows = sorted(rows, key=lambda row: row.utc)
    dropped: list[tuple[str, str]] = []
    rows = _once(symbol, rows, calendar, dropped)
    kept = []
    for row in rows:
        lacking = [name for name, value in zip(names, row.values, strict=True) if np.isnan(value)]
        if lacking and calendar.missing == "error":
            raise DataError(
                f"{symbol}: {lacking[0]} is missing at {row.time}", remedy="mend it, or set missing: drop (and gaps: hold on a calendar)"
            )
        if lacking:
            dropped.append((str(row.time), "missing_number"))
        else:
            kept.append(row)
    if not kept:
        raise DataError(f"{symbol}: no row has all its numbers", remedy="look at the columns that are named")
    times, values = _on_grid(symbol, kept, calendar)
    filled = np.isnan(values[:, 0])
    if filled.any() and calendar.gaps == "error":
        stamp = times[int(np.argmax(filled))]
        raise DataError(
            f"{symbol}: {int(filled.sum())} stamps are missing from every {calendar.every}, the first {stamp}",
            remedy="set gaps: hold (the last value goes on) or interpolate, or every: observed to take stamps as they come",
        )
    return Track(symbol, times, values, filled, dropped, unsorted)


def _once(symbol: str, rows: list[Row], calendar: Calendar, dropped: list[tuple[str, str]]) -> list[Row]:
    twice = Counter(row.utc for row in rows)
    if calendar.duplicates == "error":
        for row in rows:
            if twice[row.utc] > 1:
                raise DataError(f"{symbol}: {row.time} is there {twice[row.utc]} times", remedy="mend it, or set duplicates: first or last")
    kept: dict[int, Row] = {}
    for row in rows:
        if row.utc in kept:
            dropped.append((str(row.time), "duplicate_stamp"))
            if calendar.duplicates == "first":
                continue
        kept[row.utc] = row
    return list(kept.values())


def fill(track: Track, gaps: str, until: int) -> None:
    """Fill the gaps: interpolated only between rows before `until`, the training part's end; later ones hold the last value.

    A line drawn to a later row would tell of it before its time.
    """
    good = np.flatnonzero(~track.filled)
    for place in np.flatnonzero(track.filled):
        after = int(np.searchsorted(good, place))
        before, behind = int(good[after - 1]), int(good[after])
        if gaps == "interpolate" and behind < until:
            share = (place - before) / (behind - before)
            track.values[place] = (1 - share) * track.values[before] + share * track.values[behind]
        else:
            track.values[place] = track.values[before]


def following(last: np.datetime64, every: Every, number: int) -> NDArray[np.datetime64]:
    """The next stamps of a calendar; where stamps are taken as observed, the next weekdays stand in for them."""
    if every in ("month", "quarter", "year"):
        months = last.astype("datetime64[M]") + np.arange(1, number + 1) * {"month": 1, "quarter": 3, "year": 12}[every]
        return np.asarray(months, "datetime64[s]")
    if every in ("observed", "weekday"):
        days = np.busday_offset(last.astype("datetime64[D]"), np.arange(1, number + 1), roll="backward")
        return days.astype("datetime64[s]")
    step = {"hour": 3600, "day": 86400, "week": 7 * 86400}[every]
    return last + np.arange(1, number + 1) * np.timedelta64(step, "s")


def _on_grid(symbol: str, rows: list[Row], calendar: Calendar) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    values = np.array([row.values for row in rows], np.float64)
    if calendar.every == "observed":
        return np.array([row.time for row in rows], "datetime64[s]"), values
    if calendar.every == "hour":  # counted in UTC: an hour that the clock shows twice is two hours
        cells = np.array([row.utc // 3600 for row in rows], np.int64)
    else:
        days = np.array([row.time for row in rows], "datetime64[D]")
        cells = _cell(days, calendar.every)
        if calendar.every == "weekday" and not np.is_busday(days).all():
            weekend = days[~np.is_busday(days)][0]
            raise DataError(f"{symbol}: {weekend} is no weekday", remedy="set every: day or observed")
    first, last = int(cells[0]), int(cells[-1])
    counts = np.bincount(cells - first, minlength=last - first + 1)
    if calendar.aggregate is None and counts.max() > 1:
        double = rows[int(np.argmax(np.diff(cells) == 0))].time
        raise DataError(
            f"{symbol}: {int(counts.max())} rows fall into one {calendar.every}, the first at {double}",
            remedy="set aggregate: last, mean or sum",
        )
    grid = np.full((len(counts), values.shape[1]), np.nan)
    if calendar.aggregate in (None, "last"):
        grid[cells - first] = values
    else:
        sums = np.stack([np.bincount(cells - first, column, len(counts)) for column in values.T], axis=1)[counts > 0]
        grid[counts > 0] = sums / (counts[counts > 0, None] if calendar.aggregate == "mean" else 1)
    if calendar.every == "hour":
        offsets = {int(cell): row.time - timedelta(seconds=row.utc) for cell, row in zip(cells, rows, strict=True)}
        stamps, offset = [], offsets[first]
        for cell in range(first, last + 1):
            offset = offsets.get(cell, offset)
            stamps.append(offset + timedelta(seconds=cell * 3600))
        return np.array(stamps, "datetime64[s]"), grid
    return _stamps(np.arange(first, last + 1), calendar.every), grid


def _cell(days: NDArray[np.datetime64], every: Every) -> NDArray[np.int64]:
    """The number of each day's cell since 1970."""
    if every == "weekday":
        return np.busday_count("1970-01-01", days)
    number = days.astype(np.int64)
    months = days.astype("datetime64[M]").astype(np.int64)
    cells: dict[str, NDArray[np.int64]] = {
        "day": number,
        "week": (number + 3) // 7,
        "month": months,
        "quarter": months // 3,
        "year": months // 12,
    }
    return cells[every]


def _stamps(cells: NDArray[np.int64], every: Every) -> NDArray[np.datetime64]:
    """The first day of each cell."""
    if every == "weekday":
        return np.busday_offset("1970-01-01", cells, roll="forward").astype("datetime64[s]")
    if every in ("day", "week"):
        return (cells if every == "day" else cells * 7 - 3).astype("datetime64[D]").astype("datetime64[s]")
    return (cells * {"month": 1, "quarter": 3, "year": 12}[every]).astype("datetime64[M]").astype("datetime64[s]")
