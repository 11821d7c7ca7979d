"""The gate family: a check on scores that passes or fails with its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ropewalk.core.component import Component
from ropewalk.core.reference import Ref
from ropewalk.evaluate.scores import Scores


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


class Gate(Component, family="gate", folders=("ropewalk.evaluate.gates",)):
    """A condition that a model must meet."""

    metric: str
    """`suite/metric`, such as `perplexity/bits_per_byte`."""

    def check(self, scores: Scores, open_ref: Callable[[Ref[Any]], Any]) -> Finding:
        """Raises ConfigError for a metric or baseline that is not there."""
        raise TypeError(f"gate {self.tag!r} has no check()")
