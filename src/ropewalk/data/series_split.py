"""Where a symbol's training part, held-out part and test origins lie; no window reaches over a part's end."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from ropewalk.core.component import Component
from ropewalk.core.errors import DataError


class TooShort(DataError):
    """A series that has not enough rows for its windows."""


class WalkForward(Component):
    """Forecasts from several origins at the end of each series, one after the other in time."""

    origins: int = Field(default=10, ge=0)
    """How many; 0 for no test part."""
    stride: int | None = Field(default=None, ge=1)
    """Rows from one origin to the next; the horizon when left out."""
    embargo: int = Field(default=0, ge=0)
    """Rows left out between the parts, so that nothing that looks ahead within a feature or a label joins them."""


@dataclass(frozen=True)
class Cuts:
    """Row numbers within a symbol; an origin is the first row of its horizon."""

    first: int
    """Rows before it lack a feature's past."""
    rows: int
    train_stop: int
    """The training part is [first, train_stop)."""
    holdout: tuple[int, int]
    """Rows whose windows are measured during training: futures lie wholly inside."""
    origins: tuple[int, ...]
    """Of the test."""

    def training(self, context: int, horizon: int) -> range:
        """Origins of training windows."""
        return range(self.first + context, self.train_stop - horizon + 1)

    def held_out(self, context: int, horizon: int) -> range:
        """Origins of held-out windows."""
        return range(max(self.holdout[0], self.first + context), self.holdout[1] - horizon + 1)


def cut(symbol: str, first: int, rows: int, context: int, horizon: int, holdout: float, test: WalkForward, least_windows: int) -> Cuts:
    """Raises TooShort for a series that can't fill its windows."""
    first = max(first, 1)  # a row's change needs the row before
    stride = test.stride or horizon
    origins = tuple(rows - horizon - (test.origins - 1 - place) * stride for place in range(test.origins))
    before = (origins[0] if origins else rows + test.embargo) - test.embargo
    held = round(holdout * max(0, before - first))
    stop = before - held - (test.embargo if held else 0)
    needed = least_windows * (context + horizon)
    if stop - first < needed:
        raise TooShort(
            f"{symbol}: {rows} rows are too few: {max(stop - first, 0)} are left for training, and {least_windows} windows of "
            f"{context} + {horizon} rows that do not overlap are {needed}; forecasts and intervals from fewer mean nothing",
            remedy="set too_short: drop to leave such symbols out, or a smaller context, horizon, holdout or number of origins",
        )
    if held and held < horizon:
        raise DataError(
            f"{symbol}: the held-out part has {held} rows, fewer than the horizon of {horizon}", remedy="raise holdout, or set it to 0"
        )
    return Cuts(first, rows, stop, (before - held, before), origins)
