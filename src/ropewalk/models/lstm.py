"""The LSTM forecaster: a recurrent net reads the window, a layer spreads its last state over the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ropewalk.models.forecaster import Forecaster, ForecastShape, WindowShape

if TYPE_CHECKING:
    from ropewalk.models.forecaster_module import ForecastModule


class LSTM(Forecaster, type="lstm"):
    """A recurrent forecaster of windows (Hochreiter and Schmidhuber 1997)."""

    head: Literal["quantile", "gaussian"] = "quantile"
    """Quantiles by pinball loss, or mean and spread by likelihood."""
    depth: int = 1
    """Layers."""

    def forecast_shape(self, window: WindowShape) -> ForecastShape:
        return ForecastShape("lstm", self.head, self.width, self.depth, window, tuple(self.levels), 1, 1, self.dropout, self.highway)

    def build(self, window: WindowShape, seed: int) -> ForecastModule:  # type: ignore[override]
        from ropewalk.models.forecaster_module import ForecastModule

        return ForecastModule(self.forecast_shape(window), seed)
