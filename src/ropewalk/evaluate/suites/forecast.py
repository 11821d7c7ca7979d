"""Forecasts from origins after one another, measured in the series' own unit beside the simple rules that are hard to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ropewalk.core.errors import ConfigError
from ropewalk.core.reference import Ref
from ropewalk.data.series import Series
from ropewalk.evaluate.forecasts import Floats, ForecastSubject, actual, model_quantiles, simple_quantiles, smoothed
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.suites.suite import Suite


class ForecastSuite(Suite, type="forecast"):
    """Errors, intervals and direction of a forecaster; the point forecast is the median.

    Beside it stand naive, seasonal naive and drift, with intervals from their errors on the training part, and rivals that are
    fitted anew at each origin.
    """

    measures: ClassVar[tuple[str, ...]] = ("mae", "rmse", "mase", "smape", "pinball", "crps", "coverage", "interval_width", "direction")

    data: Ref[Series]
    """The series whose test origins are forecast from."""
    part: Literal["test", "holdout"] = "test"
    """Which windows; holdout are those measured during training."""
    interval: float = Field(default=0.8, gt=0, lt=1)
    """The share of the future that the interval is to hold, which `coverage` measures."""
    rivals: list[Literal["ets", "theta"]] = ["ets"]
    """Rivals from statsmodels (the extra `forecast`): damped exponential smoothing and Theta; none when empty."""

    def run(self, subject: Any, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        if not isinstance(subject, ForecastSubject):
            raise ConfigError(f"suite {self.tag}: the model is no forecaster", remedy="evaluate one that was trained with task: forecast")
        series: Series = open_ref(self.data)
        subject.check(series)
        levels = np.array(subject.module.shape.levels)
        ends = [(1 - self.interval) / 2, 0.5, (1 + self.interval) / 2]
        told = model_quantiles(subject, series, self.part, np.array([*levels, *ends]), advance)
        simple = simple_quantiles(series, self.part, np.array([*levels, *ends]))
        points: dict[str, Floats] = {}
        counts = {"overlap": series.facts.overlap, "horizon": series.facts.horizon}
        for name in self.rivals:
            points[name], failed = smoothed(series, self.part, name, advance)
            counts |= {f"{name}_not_converged": failed} if failed else {}
        origins = series.origins(self.part)
        last = series.target[origins[:, 1] - 1]
        came = actual(series, self.part)
        scale = np.array([series.facts.symbols[number].scale.season_error for number in origins[:, 0]])
        clusters = [str(stamp) for stamp in series.times[origins[:, 1]]]
        items = [f"{series.facts.symbols[number].name} {stamp}" for number, stamp in zip(origins[:, 0].tolist(), clusters, strict=True)]
        rivals = {**{name: found[:, :, -2] for name, found in simple.items()}, **points}
        return SuiteResult(
            items,
            clusters,
            [
                *_point_measures(told[:, :, -2], rivals, came, last, scale),
                *_interval_measures(told, simple, came, levels, scale),
            ],
            counts,
            _table(series, origins, told[:, :, -3:], came, simple["naive"][:, :, -2]),
        )


def _point_measures(point: Floats, rivals: Mapping[str, Floats], came: Floats, last: Floats, scale: Floats) -> list[Measure]:
    each = np.full(len(came), float(came.shape[1]))
    forms: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
        "mae": ("own unit", lambda found: np.abs(found - came).sum(1)),
        "rmse": ("own unit", lambda found: np.square(found - came).sum(1)),
        "mase": ("seasonal naive errors in training", lambda found: np.abs(found - came).sum(1) / scale),
        "smape": ("%", lambda found: _share(200 * np.abs(found - came), np.abs(found) + np.abs(came)).sum(1)),
    }
    found = [
        Measure(
            name,
            unit,
            form(point),
            each,
            scale="root" if name == "rmse" else "ratio",
            baselines={rival: form(other) for rival, other in rivals.items()},
        )
        for name, (unit, form) in forms.items()
    ]
    moved = (came != last[:, None]).astype(np.float64)
    if moved.sum():

        def right(told: Floats) -> Floats:
            return np.asarray((moved * (np.sign(told - last[:, None]) == np.sign(came - last[:, None]))).sum(1), np.float64)

        told = {name: right(other) for name, other in rivals.items() if name != "naive"}  # naive tells no direction
        found.append(Measure("direction", "share", right(point), moved.sum(1), higher_is_better=True, baselines=told))
    return found


def _interval_measures(told: Floats, simple: Mapping[str, Floats], came: Floats, levels: Floats, scale: Floats) -> list[Measure]:
    each = np.full(len(came), float(came.shape[1]))

    def pinball(found: Floats) -> Floats:
        error = came[:, :, None] - found[:, :, : len(levels)]
        return np.asarray(np.maximum(levels * error, (levels - 1) * error).mean(2).sum(1))

    def inside(found: Floats) -> Floats:
        return np.asarray(((came >= found[:, :, -3]) & (came <= found[:, :, -1])).sum(1), np.float64)

    def width(found: Floats) -> Floats:
        return np.asarray((found[:, :, -1] - found[:, :, -3]).sum(1) / scale)

    return [
        Measure("pinball", "own unit", pinball(told), each, baselines={name: pinball(other) for name, other in simple.items()}),
        Measure("crps", "own unit", 2 * pinball(told), each, baselines={name: 2 * pinball(other) for name, other in simple.items()}),
        Measure("coverage", "share", inside(told), each, higher_is_better=True, baselines={n: inside(o) for n, o in simple.items()}),
        Measure(
            "interval_width",
            "seasonal naive errors in training",
            width(told),
            each,
            baselines={name: width(other) for name, other in simple.items()},
        ),
    ]


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _table(series: Series, origins: Any, ends: Floats, came: Floats, naive: Floats) -> dict[str, Sequence[Any]]:
    """A row for each step of each window, for the report's pictures."""
    horizon = series.facts.horizon
    rows = (origins[:, 1][:, None] + np.arange(horizon)).ravel()
    return {
        "symbol": [series.facts.symbols[number].name for number in origins[:, 0].tolist() for _ in range(horizon)],
        "origin": series.times[np.repeat(origins[:, 1], horizon)],
        "time": series.times[rows],
        "actual": came.ravel(),
        "low": ends[:, :, 0].ravel(),
        "median": ends[:, :, 1].ravel(),
        "high": ends[:, :, 2].ravel(),
        "naive": naive.ravel(),
    }
