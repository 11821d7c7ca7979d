"""Gates against a number: the whole 95% interval must be on the right side, unless only the point is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ropewalk.core.reference import Ref
from ropewalk.evaluate.gates.gate import Finding, Gate
from ropewalk.evaluate.scores import Metric, Scores

On = Literal["bound", "point"]


class AtMost(Gate, type="at_most"):
    """The metric is at most a value."""

    value: float
    """The threshold."""
    on: On = "bound"
    """Judge the interval's upper bound, or the point."""

    def check(self, scores: Scores, open_ref: Callable[[Ref[Any]], Any]) -> Finding:
        metric = scores.metric(self.metric)
        judged = metric.high if self.on == "bound" else metric.value
        return _finding(self.metric, metric, judged <= self.value, "at most", self.value, judged, self.on)


class AtLeast(Gate, type="at_least"):
    """The metric is at least a value."""

    value: float
    """The threshold."""
    on: On = "bound"
    """Judge the interval's lower bound, or the point."""

    def check(self, scores: Scores, open_ref: Callable[[Ref[Any]], Any]) -> Finding:
        metric = scores.metric(self.metric)
        judged = metric.low if self.on == "bound" else metric.value
        return _finding(self.metric, metric, judged >= self.value, "at least", self.value, judged, self.on)


def _finding(name: str, metric: Metric, passed: bool, words: str, threshold: float, judged: float, on: On) -> Finding:
    what = f"{'bound' if on == 'bound' else 'value'} {judged:.4f} must be {words} {threshold:g}"
    gap = "" if passed else f", off by {abs(judged - threshold):.4f}"
    message = f"{name} is {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f}, n={metric.items}): {what}{gap}"
    return Finding(
        passed, f"{name} {words} {threshold:g}", message, name, metric.value, metric.low, metric.high, threshold, items=metric.items
    )
