"""What traders compute from past prices, each value from its own row and those before it."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ropewalk.core.errors import DataError
from ropewalk.data.series_features.feature import Feature, Frame, Numbers


class Momentum(Feature, type="momentum"):
    """Log change of a column over so many rows."""

    column: str | None = None
    """What is read; the target when left out."""
    rows: int = Field(default=5, ge=1)
    """How far back the change reaches."""

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        logs = _logs(frame, self.column)
        return {f"momentum_{self.column or 'target'}_{self.rows}": _behind(logs[self.rows :] - logs[: -self.rows], len(logs))}


class MovingAverage(Feature, type="moving_average"):
    """Log of a column over its mean of the last rows: how far it stands above its average."""

    column: str | None = None
    """What is read; the target when left out."""
    rows: int = Field(default=20, ge=2)
    """Rows in the mean, this one included."""

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        logs = _logs(frame, self.column)
        means = _windows(frame.column(self.column), self.rows).mean(axis=1)
        return {f"moving_average_{self.column or 'target'}_{self.rows}": _behind(logs[self.rows - 1 :] - np.log(means), len(logs))}


class Volatility(Feature, type="volatility"):
    """Log of the standard deviation of one-row log changes."""

    column: str | None = None
    """What is read; the target when left out."""
    rows: int = Field(default=20, ge=2)
    """Changes in the deviation, the last included."""

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        logs = _logs(frame, self.column)
        spread = _windows(np.diff(logs), self.rows).std(axis=1)
        return {f"volatility_{self.column or 'target'}_{self.rows}": _behind(np.log(spread + 1e-6), len(logs))}


class RelativeStrength(Feature, type="relative_strength"):
    """Cutler's relative strength index of the target, from -1 (only falls) to 1 (only rises)."""

    rows: int = Field(default=14, ge=2)
    """Changes that are summed."""

    def compute(self, frame: Frame) -> dict[str, Numbers]:
        changes = _windows(np.diff(frame.column()), self.rows)
        total = np.abs(changes).sum(axis=1)
        strength = np.divide(changes.sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)
        return {f"relative_strength_{self.rows}": _behind(strength, len(frame.times))}


def _logs(frame: Frame, column: str | None) -> Numbers:
    values = frame.column(column)
    if (wrong := np.flatnonzero(~(values > 0))).size:
        name, row = column or frame.target, int(wrong[0])
        raise DataError(
            f"{frame.symbol}: {name} is {values[row]} at {frame.times[row]}: its logarithm is wanted",
            remedy="leave this feature out, or mend the column",
        )
    return np.log(values)


def _windows(values: Numbers, rows: int) -> Numbers:
    """(N - rows + 1, rows): each run of so many rows; none where there are fewer."""
    if len(values) < rows:
        return np.zeros((0, rows))
    return np.lib.stride_tricks.sliding_window_view(values, rows)


def _behind(values: Numbers, rows: int) -> Numbers:
    """The values at the last places of `rows`, NaN before them."""
    found = np.full(rows, np.nan)
    if len(values):
        found[-len(values) :] = values
    return found
