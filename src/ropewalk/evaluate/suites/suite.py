"""The suite family: a suite asks a model its items and returns each item's numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import Component
from ropewalk.core.reference import Ref
from ropewalk.data.contamination.rows import TaskRows
from ropewalk.evaluate.scores import SuiteResult
from ropewalk.evaluate.scoring import Subject

A = TypeVar("A", bound=Artifact)


class Suite(Component, family="suite", folders=("ropewalk.evaluate.suites",)):
    """Measures one thing."""

    name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,63})?$")
    """What the metrics are filed under; the type when left out."""

    measures: ClassVar[tuple[str, ...]] = ()
    """The names of its metrics; empty where they are known only when it runs."""

    @property
    def title(self) -> str:
        """What its metrics are filed under."""
        return self.name or self.tag

    def metric_names(self) -> tuple[str, ...]:
        """The names of the metrics that these fields ask for."""
        return self.measures

    def baseline_names(self) -> tuple[str, ...]:
        """The baselines that stand beside some metric."""
        return ()

    def problems(self, upstream: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong before any work: (field, message); `upstream` holds the fields of the stage behind each reference."""
        return []

    def asks(self) -> TaskRows | None:
        """The rows that it asks, for training texts to be kept clear of; None where they come from the recipe's own data."""
        return None

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        """The items' numbers; `advance(n)` says that n more positions were scored."""
        raise TypeError(f"suite {self.tag!r} has no run()")


def held_out_problems(split: str, data: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """A suite on the held-out part of data that holds nothing out."""
    if split == "holdout" and data is not None and data.get("holdout") == 0:
        return [("data", "nothing is held out there: set holdout in the stage that makes it, or split: train here")]
    return []
