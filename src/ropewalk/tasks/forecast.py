"""Forecasting: the horizon's numbers from the window before it; what the loss is, the model's head says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ropewalk.tasks.task import Loss, Task

if TYPE_CHECKING:
    from ropewalk.models.forecaster_module import ForecastModule
    from ropewalk.tasks.torch_windows import TorchWindows


class Forecast(Task, type="forecast"):
    """Forecasts series; the model is lstm, transformer or dit."""

    def loss(self, model: ForecastModule, batch: TorchWindows) -> Loss:  # type: ignore[override]  # windows in place of tokens
        return Loss(model.loss_sum(batch.past, batch.known, batch.target, batch.keys), batch.weight)
