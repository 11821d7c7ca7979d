"""Gates against a number: the whole 95% interval must be on the right side, unless only the point is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import Field

from ropewalk.evaluate.gates.gate import Finding, Gate, Open, unknown_metric
from ropewalk.evaluate.scores import Metric, Scores

On = Literal["bound", "point"]


class AtMost(Gate, type="at_most"):
    """The metric is at most a value."""

    metric: str
    """`suite/metric`, such as `perplexity/bits_per_byte`."""
    value: float
    """The threshold."""
    on: On = "bound"
    """Judge the interval's upper bound, or the point."""

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        return unknown_metric(self.metric, known)

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        assert scores is not None, "needs_scores() says so"
        metric = scores.metric(self.metric)
        judged = metric.high if self.on == "bound" else metric.value
        return _finding(self.metric, metric, judged <= self.value, "at most", self.value, judged, self.on)


class AtLeast(Gate, type="at_least"):
    """The metric is at least a value."""

    metric: str
    """`suite/metric`, such as `perplexity/bits_per_byte`."""
    value: float
    """The threshold."""
    on: On = "bound"
    """Judge the interval's lower bound, or the point."""

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        return unknown_metric(self.metric, known)

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        assert scores is not None, "needs_scores() says so"
        metric = scores.metric(self.metric)
        judged = metric.low if self.on == "bound" else metric.value
        return _finding(self.metric, metric, judged >= self.value, "at least", self.value, judged, self.on)


class MinimumItems(Gate, type="minimum_items"):
    """So many items stand behind a metric: fewer can't tell a good model from a bad one."""

    metric: str
    """`suite/metric`, such as `arc_easy/accuracy`."""
    items: int = Field(ge=1)
    """How many at least."""

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        return unknown_metric(self.metric, known)

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        assert scores is not None, "needs_scores() says so"
        found = scores.metric(self.metric)
        gap = "" if found.items >= self.items else f", off by {self.items - found.items}"
        message = f"{self.metric} stands on n={found.items} items ({found.low:.4f} to {found.high:.4f}): must be at least {self.items}{gap}"
        ends = (float(found.items), float(found.items), float(found.items), float(self.items))
        return Finding(not gap, f"{self.metric} on at least {self.items} items", message, self.metric, *ends, items=found.items)


def _finding(name: str, metric: Metric, passed: bool, words: str, threshold: float, judged: float, on: On) -> Finding:
    what = f"{'bound' if on == 'bound' else 'value'} {judged:.4f} must be {words} {threshold:g}"
    gap = "" if passed else f", off by {abs(judged - threshold):.4f}"
    message = f"{name} is {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f}, n={metric.items}): {what}{gap}"
    return Finding(
        passed, f"{name} {words} {threshold:g}", message, name, metric.value, metric.low, metric.high, threshold, items=metric.items
    )
