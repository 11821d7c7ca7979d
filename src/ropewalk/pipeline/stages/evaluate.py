"""The evaluate stage: suites on a model, each item's numbers kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import ConfigError
from ropewalk.core.reference import Ref
from ropewalk.data.series import SeriesFacts
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.evaluate.forecasts import ForecastSubject
from ropewalk.evaluate.scores import Scores, write_scores
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.forecast import ForecastSuite
from ropewalk.evaluate.suites.suite import Suite
from ropewalk.hardware.device import pick_device
from ropewalk.models.model import Model
from ropewalk.pipeline.forecasting import is_forecaster
from ropewalk.pipeline.stage import Context, Facts, Stage


class Evaluate(Stage, type="evaluate"):
    """Measures a model with intervals."""

    makes: ClassVar[type[Artifact]] = Scores

    model: Ref[Model]
    """What is measured."""
    suites: list[Suite] = Field(min_length=1)
    """What is asked."""
    device: Annotated[str, RUNTIME] = "auto"
    """`auto`, `cpu` or `cuda`."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        names = [suite.name or suite.tag for suite in self.suites]
        twice = sorted({name for name in names if names.count(name) > 1})
        return [("suites", f"two suites are called {name!r}: give one a name") for name in twice]

    def make(self, context: Context) -> Facts:
        model = context.open(self.model)
        device = pick_device(self.device)
        subject = _subject(model, device)
        results = {}
        for suite in self.suites:
            name = suite.name or suite.tag
            with context.progress(f"{context.name} {name}", 0, "positions") as bar:
                if isinstance(subject, ForecastSubject) and not isinstance(suite, ForecastSuite):
                    raise ConfigError(f"{context.name}: {name} asks for a language model, and {self.model.target} is a forecaster")
                results[name] = suite.run(subject, context.open, bar.advance)
        values = write_scores(context.out, results, context.seed)
        return Facts(metrics=values)


def _subject(model: Model, device: str) -> Any:
    if not is_forecaster(model.path):
        return Subject(model.load(device), Vocabulary(model.tokenizer_path), device)
    from ropewalk.models.forecaster_module import load_forecaster

    return ForecastSubject(load_forecaster(model.path, device), SeriesFacts.read(model.path), device)
