"""What a model says of a file: dispatched on the kind of model that a folder holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ropewalk.core.errors import ConfigError, DataError
from ropewalk.data.series import SeriesFacts
from ropewalk.hardware.device import pick_device
from ropewalk.pipeline.forecasting import is_forecaster

LEVELS = (0.1, 0.5, 0.9)


def predict(
    model: Path, file: Path, *, levels: Sequence[float] = LEVELS, symbols: Sequence[str] = (), device: str = "auto"
) -> Iterator[dict[str, Any]]:
    """A row for each thing that the model tells of the file; for a forecaster each symbol's next rows with their quantiles."""
    if not (model / "config.json").is_file():
        raise DataError(f"{model}: no config.json: not a model's folder", remedy="name one, such as runs/NAME/stages/model")
    if not is_forecaster(model):
        raise ConfigError(f"{model}: this kind of model predicts nothing from a file", remedy="forecasters do (task: forecast)")
    if any(not 0 < level < 1 for level in levels):
        raise ConfigError(f"levels must lie between 0 and 1, not {', '.join(map(str, levels))}")
    return _forecasts(model, file, sorted(levels), symbols, pick_device(device))


def _forecasts(model: Path, file: Path, levels: list[float], symbols: Sequence[str], device: str) -> Iterator[dict[str, Any]]:
    from ropewalk.evaluate.forecasts import ForecastSubject
    from ropewalk.evaluate.predictions import predictions
    from ropewalk.models.forecaster_module import load_forecaster

    subject = ForecastSubject(load_forecaster(model, device), SeriesFacts.read(model), device)
    for one in predictions(subject, file, np.array(levels), symbols):
        for time, row in zip(one.times, one.quantiles, strict=True):
            yield {
                "symbol": one.symbol,
                "time": str(time),
                **{f"q{level:g}": value for level, value in zip(levels, row.tolist(), strict=True)},
            }
