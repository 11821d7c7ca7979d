"""From prices to what a forecaster sees and back: changes from a window's last value, in units of the training part's own spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError

Transform = Literal["difference", "return", "log_return", "level"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Fitted on one symbol's training rows."""

    ahead: tuple[float, ...]
    """Root mean square of the changes over 1, 2 … horizon rows (of the values about `centre`, for level): what is forecast is
    divided by it."""
    level: float
    """The same over all of them: what the window's past is divided by."""
    step: float
    """Root mean square of the changes from row to row."""
    centre: float = 0.0
    """Mean of the training rows; used by level alone."""
    season_error: float = 1.0
    """Mean absolute error of the seasonal naive forecast on the training rows, in the series' own unit: what MASE divides by."""


def relative(values: Floats, last: Floats, transform: Transform) -> Floats:
    """The change from `last` to `values`."""
    if transform == "log_return":
        return np.log(values) - np.log(last)
    return values / last - 1 if transform == "return" else values - last


def inward(values: Floats, last: Floats, transform: Transform, level: Floats, centre: Floats) -> Floats:
    """Values as a forecaster is to give them."""
    return (values - centre) / level if transform == "level" else relative(values, last, transform) / level


def outward(found: Floats, last: Floats, transform: Transform, level: Floats, centre: Floats) -> Floats:
    """Undoes `inward`; rises with `found`, so quantiles stay quantiles."""
    if transform == "level":
        return found * level + centre
    if transform == "log_return":
        return last * np.exp(np.clip(found * level, -50, 50))
    return last * (1 + found * level) if transform == "return" else last + found * level


def fit_scale(symbol: str, values: Floats, horizon: int, season: int, transform: Transform) -> Scale:
    """From the training rows alone."""
    if transform in ("log_return", "return") and not (values > 0).all():
        raise DataError(
            f"{symbol}: {transform} needs numbers above 0, and there is {values.min():g} in the training part",
            remedy="set transform: difference",
        )
    ahead = [relative(values[step:], values[:-step], transform) for step in range(1, horizon + 1)]
    apart = [_spread(values - values.mean())] * horizon if transform == "level" else [_spread(changes) for changes in ahead]
    lag = min(season, len(values) - 1)
    error = float(np.abs(values[lag:] - values[:-lag]).mean())
    return Scale(tuple(apart), float(np.sqrt(np.square(apart).mean())), _spread(ahead[0]), float(values.mean()), error or 1.0)


def _spread(values: Floats) -> float:
    """Root mean square; 1 for what never changes."""
    return float(np.sqrt(np.square(values).mean())) or 1.0
