"""What is particular to training forecasters: their module, its folder, and which tasks, data and models belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.core.seed import derive
from ropewalk.data.series import FACTS, Series, SeriesFacts
from ropewalk.models.forecaster import Forecaster, WindowShape
from ropewalk.pipeline.stage import Stage

if TYPE_CHECKING:
    from ropewalk.pipeline.stage import Context
    from ropewalk.pipeline.stages.train import Train

TASK = "forecast"


def is_forecaster(folder: Path) -> bool:
    """Whether a model's folder holds a forecaster."""
    return (folder / FACTS).is_file()


def mismatches(stage: Train, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
    """(field, what is wrong) where only some of task, data and model are about series."""
    data = upstream.get("data")
    kind = type(data) if isinstance(data, Artifact) else data.makes if isinstance(data, Stage) else None
    series, forecasting = kind is not None and issubclass(kind, Series), stage.task.tag == TASK
    found = []
    if kind is not None and series != forecasting:
        found.append(("task", f"is {stage.task.tag}, and its data are {kind.__name__}: set task: {TASK if series else 'lm or sft'}"))
    if stage.model is not None and isinstance(stage.model, Forecaster) != forecasting:
        wanted = "lstm, transformer or dit" if forecasting else "gpt"
        found.append(("model", f"{stage.model.tag} is not for task {stage.task.tag}: choose {wanted}"))
    if forecasting and stage.samples.prompts:
        found.append(("samples.prompts", "a forecaster writes no text"))
    return found


def window_shape(facts: SeriesFacts) -> WindowShape:
    return WindowShape(facts.context, facts.horizon, 2 + len(facts.features), len(facts.known))


def forecast_module(stage: Train, context: Context, series: Series, device: str) -> Any:
    """A new forecaster for the windows, or the one to go on with; its data must have been made alike."""
    from ropewalk.models.forecaster_module import load_forecaster

    if isinstance(stage.model, Forecaster):
        return stage.model.build(window_shape(series.facts), derive(context.seed, "model")).to(device)
    assert stage.init is not None, "a train stage has model or init"
    folder = context.open(stage.init).path
    if not is_forecaster(folder):
        raise DataError(f"{context.name}: {stage.init.target} is no forecaster", remedy="name one, or give model: lstm, transformer or dit")
    before = SeriesFacts.read(folder)
    for name in ("transform", "context", "horizon", "features", "known"):
        if getattr(before, name) != getattr(series.facts, name):
            raise DataError(
                f"{context.name}: {stage.init.target} was trained with {name} {getattr(before, name)}, "
                f"and {stage.data.target} has {getattr(series.facts, name)}",
                remedy="make the series alike",
            )
    return load_forecaster(folder, device)


def save_with_facts(folder: Path, module: Any, series: Series) -> None:
    """The forecaster's folder: with it what turns a file into windows, and each symbol's scales."""
    from ropewalk.models.forecaster_module import save_forecaster

    save_forecaster(folder, module)
    replace(series.facts, symbols=tuple(replace(one, start=0) for one in series.facts.symbols)).write(folder)
