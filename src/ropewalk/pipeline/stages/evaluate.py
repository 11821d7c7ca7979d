"""The evaluate stage: suites on a model, each item's numbers kept; a suite that is finished is not asked again after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, as_tree, references
from ropewalk.core.reference import Ref
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.evaluate.results import read_result, write_result
from ropewalk.evaluate.scores import Scores, SuiteResult, write_scores
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.shipped import spelled_out
from ropewalk.evaluate.suites.suite import Suite
from ropewalk.hardware.device import pick_device
from ropewalk.models.model import Model
from ropewalk.pipeline.stage import Context, Facts, Stage

Suites = Annotated[
    list[Suite],
    Field(min_length=1),
    BeforeValidator(spelled_out, json_schema_input_type=list[Suite | dict[str, Any]]),
]


class Evaluate(Stage, type="evaluate"):
    """Measures a model with intervals."""

    makes: ClassVar[type[Artifact]] = Scores

    model: Ref[Model]
    """What is measured."""
    suites: Suites
    """What is asked: suites, or `{task: NAME, folder: FOLDER}` for a shipped task or one in a file of your own."""
    device: Annotated[str, RUNTIME] = "auto"
    """`auto`, `cpu` or `cuda`."""

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        names = [suite.title for suite in self.suites]
        twice = sorted({name for name in names if names.count(name) > 1})
        found = [("suites", f"two suites are called {name!r}: give one a name") for name in twice]
        for place, suite in enumerate(self.suites):
            named = {path: upstream.get(f"suites.{place}.{path}") for path in references(suite)}
            fields = {path: as_tree(stage) for path, stage in named.items() if isinstance(stage, Stage)}
            found += [(f"suites.{place}.{path}", message) for path, message in suite.problems(fields)]
        return found

    def make(self, context: Context) -> Facts:
        model = context.open(self.model)
        device = pick_device(self.device)
        subject: Subject | None = None
        results: dict[str, SuiteResult] = {}
        for suite in self.suites:
            name, work = suite.title, context.work / "suites" / suite.title
            found = read_result(work)
            if found is None:
                if subject is None:
                    module: Any = model.asked(device) if model.headed else model.load(device)
                    subject = Subject(module, Vocabulary(model.tokenizer_path), device)
                with context.progress(f"{context.name} {name}", 0, "positions") as bar:
                    found = suite.run(subject, context.open, bar.advance)
                write_result(work, found)
            else:
                context.log.info("%s %s: answered before the stop", context.name, name)
            results[name] = found
        return Facts(metrics=write_scores(context.out, results, context.seed))
