"""The suite family: a suite asks a model its items and returns each item's numbers."""

from __future__ import annotations

from collections.abc import Callable
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
    """The names of its metrics."""

    def asks(self) -> TaskRows | None:
        """The rows that it asks, for training texts to be kept clear of; None where they come from the recipe's own data."""
        return None

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        """The items' numbers; `advance(n)` says that n more positions were scored."""
        raise TypeError(f"suite {self.tag!r} has no run()")
