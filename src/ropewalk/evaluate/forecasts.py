"""A forecaster's quantiles in the series' own unit, and the simple rivals' on the same origins."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError, NotFinite
from ropewalk.core.extras import extra_version
from ropewalk.core.seed import derive
from ropewalk.data.series import Part, Series, SeriesFacts
from ropewalk.data.series_loader import SeriesLoader
from ropewalk.data.series_scale import Transform, outward, relative

if TYPE_CHECKING:
    from ropewalk.models.forecaster_module import ForecastModule

Floats = NDArray[np.float64]
AT_ONCE = 64
MOST_ROWS = 1000
"""Rows that exponential smoothing and Theta are fitted to: older ones hardly weigh."""
SEASONAL = ("hour", "day", "week", "month", "quarter")


@dataclass(frozen=True)
class ForecastSubject:
    """A forecaster under evaluation, with the facts of the data it was trained on."""

    module: ForecastModule
    facts: SeriesFacts
    device: str

    def check(self, series: Series) -> None:
        """Raises DataError when the windows were made otherwise than the model's."""
        for name in ("target", "transform", "context", "horizon", "features", "known"):
            own, other = getattr(self.facts, name), getattr(series.facts, name)
            if own != other:
                raise DataError(f"{series.path}: {name} is {other}, the model's was {own}", remedy="make the series alike")


def model_quantiles(
    subject: ForecastSubject, series: Series, part: Part, levels: Floats, advance: Callable[[int], None] = lambda done: None
) -> Floats:
    """(W, H, Q) of every window of a part, in the series' unit and with the scales that the model was trained with."""
    import torch

    if not series.num_sequences(part):
        raise DataError(f"{series.path}: there is no window in {part!r}", remedy="set test: {origins: 10} in the series stage")
    loader = SeriesLoader(series, part, series.num_sequences(part), 0)
    found = []
    for start in range(0, len(loader.origins), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(loader.origins)))
        keys = np.array([derive(0, "forecast", row) for row in rows.tolist()], np.int64)
        batch = loader.gather(rows, keys)
        with torch.no_grad():
            told = subject.module.quantiles(
                torch.from_numpy(batch.past).to(subject.device),
                torch.from_numpy(batch.known).to(subject.device),
                torch.from_numpy(levels.astype(np.float32)).to(subject.device),
                torch.from_numpy(batch.keys),
            )
        symbols, origins = loader.origins[rows].T
        found.append(in_unit(series.facts, told.double().cpu().numpy(), symbols, series.target[origins - 1]))
        advance(len(rows) * series.length)
    return np.concatenate(found)


def in_unit(facts: SeriesFacts, told: Floats, symbols: NDArray[np.int64], last: Floats) -> Floats:
    """Scaled quantiles (B, H, Q) in the series' unit; raises NotFinite where the model tells no number."""
    if not np.isfinite(told).all():
        raise NotFinite("the model's forecast is not finite", remedy="look at its training log")
    spread, centre = facts.ahead(symbols)
    return outward(told, last[:, None, None], facts.transform, spread[:, :, None], centre[:, :, None])


def actual(series: Series, part: Part) -> Floats:
    """(W, H): what came."""
    return np.asarray(series.target[series.origins(part)[:, 1][:, None] + np.arange(series.facts.horizon)])


def simple_quantiles(series: Series, part: Part, levels: Floats) -> dict[str, Floats]:
    """(W, H, Q) of naive, seasonal naive and drift: the point, and about it the errors the same rule made on the training part."""
    found: dict[str, list[Floats]] = {"naive": [], "seasonal_naive": [], "drift": []}
    facts, errors = series.facts, {}
    for symbol, origin in series.origins(part).tolist():
        if symbol not in errors:
            one = facts.symbols[symbol]
            training = series.target[one.start : one.start + one.cuts.train_stop]
            errors[symbol] = {name: _errors(training, facts, name, levels) for name in found}
        for name, rows in found.items():
            point = _point(series.history(symbol, origin), facts.horizon, facts.season, name)[:, None]
            rows.append(outward(errors[symbol][name], point, _unit(facts), np.ones(1), np.zeros(1)))
    return {name: np.stack(rows) for name, rows in found.items()}


def _point(history: Floats, horizon: int, season: int, name: str) -> Floats:
    ahead = np.arange(1, horizon + 1)
    if name == "naive" or len(history) <= season:
        return np.full(horizon, history[-1])
    if name == "seasonal_naive":
        return np.asarray(history[len(history) - season + (ahead - 1) % season])
    return np.asarray(history[-1] + ahead * (history[-1] - history[0]) / (len(history) - 1))


def _unit(facts: SeriesFacts) -> Transform:
    """What errors are counted in: relative to the price where the model's are."""
    return "difference" if facts.transform == "level" else facts.transform


def _errors(training: Floats, facts: SeriesFacts, name: str, levels: Floats) -> Floats:
    """(H, Q) quantiles of the rule's errors about their median, for each step ahead."""
    found = np.zeros((facts.horizon, len(levels)))
    slope = (training[-1] - training[0]) / (len(training) - 1)
    for step in range(1, facts.horizon + 1):
        lag = -(-step // facts.season) * facts.season if name == "seasonal_naive" else step
        if lag < len(training):
            told = training[:-lag] + (step * slope if name == "drift" else 0)
            errors = relative(training[lag:], told, _unit(facts))
            found[step - 1] = np.quantile(errors, levels) - np.median(errors)
    return found


def smoothed(series: Series, part: Part, name: str, advance: Callable[[int], None] = lambda done: None) -> tuple[Floats, int]:
    """(W, H) points of statsmodels' `ets` or `theta`, fitted anew at each origin, and how many fits did not converge."""
    extra_version("statsmodels", "forecast", f"the rival {name!r}")
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    facts, points, failed = series.facts, [], 0
    for symbol, origin in series.origins(part).tolist():
        history = series.history(symbol, origin)[-MOST_ROWS:]
        season = facts.season if facts.every in SEASONAL and facts.season > 1 and len(history) >= 2 * facts.season else 1
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            points.append(_fitted(history, facts.horizon, season, name))
        failed += any(issubclass(one.category, ConvergenceWarning) for one in said)
        advance(facts.horizon)
    return np.stack(points), failed


def _fitted(history: Floats, horizon: int, season: int, name: str) -> Floats:
    if name == "theta":
        from statsmodels.tsa.forecasting.theta import ThetaModel

        model = ThetaModel(history, period=season, deseasonalize=season > 1, use_test=False)
        return np.asarray(model.fit().forecast(horizon), np.float64)
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    seasonal = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
    found = ExponentialSmoothing(history, trend="add", damped_trend=True, initialization_method="estimated", **seasonal).fit()
    return np.asarray(found.forecast(horizon), np.float64)
