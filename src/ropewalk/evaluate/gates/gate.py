"""The gate family: a check on scores or on what stages left behind, which passes or fails with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ropewalk.core.component import Component
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.evaluate.scores import Scores

Open = Callable[[Ref[Any]], Any]


@dataclass(frozen=True)
class Finding:
    """What a check found; `message` says it in one line with every number."""

    passed: bool
    title: str
    message: str
    metric: str
    value: float
    low: float
    high: float
    threshold: float
    baseline: str = ""
    items: int = 0
    parts: tuple[Finding, ...] = ()
    """The findings that this one is made of."""


class Gate(Component, family="gate", folders=("ropewalk.evaluate.gates",)):
    """A condition that a model, its data or its training must meet."""

    def needs_scores(self) -> bool:
        """Whether it can only be asked of scores."""
        return True

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        """What is wrong before any work: (field, message); `known` is each metric with its baselines, None where that isn't known yet."""
        return []

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        """Raises ConfigError for a metric or baseline that is not there."""
        raise TypeError(f"gate {self.tag!r} has no check()")


def unknown_metric(name: str, known: Mapping[str, Collection[str]] | None, field: str = "metric") -> list[tuple[str, str]]:
    """A metric that the scores will not have."""
    if known is None or matching(name, known) is not None:
        return []
    return [(field, f"there is no metric {name!r} in those scores ({nearest(name, sorted(known))})")]


def matching(name: str, known: Mapping[str, Collection[str]]) -> Collection[str] | None:
    """The baselines of a metric; a name that ends in `*` stands for many, None where there is no such metric."""
    return next((baselines for pattern, baselines in known.items() if fnmatchcase(name, pattern)), None)


def called(ref: Ref[Any], artifact: Any) -> str:
    """What a reference is called in a message: the stage, or for a folder the stage that made it and the start of its key."""
    if not ref.scheme:
        return ref.target
    manifest = artifact.manifest
    return f"{manifest.stage} ({manifest.key[:8]})" if manifest.stage and manifest.key else ref.location
