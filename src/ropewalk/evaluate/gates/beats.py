"""The gate that compares: a paired bootstrap over the items that both answered must exclude no difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.evaluate.gates.gate import Finding, Gate
from ropewalk.evaluate.intervals import difference
from ropewalk.evaluate.scores import Scores


class Beats(Gate, type="beats"):
    """The model is better than a baseline of the same suite, or than other scores, by more than a margin.

    The 95% interval of the paired difference must lie wholly beyond the margin.
    """

    baseline: str | None = None
    """A baseline of the suite, such as byte_trigram; give this or than."""
    than: Ref[Scores] | None = None
    """Other scores of the same suite on the same items."""
    margin: float = Field(default=0.0, ge=0)
    """How much better, in the metric's unit."""

    @model_validator(mode="after")
    def _one_other(self) -> Self:
        if (self.baseline is None) == (self.than is None):
            raise ValueError("needs baseline (in the same suite) or than (other scores)")
        return self

    def check(self, scores: Scores, open_ref: Callable[[Ref[Any]], Any]) -> Finding:
        metric = scores.metric(self.metric)
        own = scores.pairs(self.metric)
        if self.than is not None:
            other, name = open_ref(self.than).pairs(self.metric), self.than.target
        else:
            other, name = scores.pairs(self.metric, self.baseline or ""), str(self.baseline)
        if differing := len(set(own.clusters) ^ set(other.clusters)):
            raise DataError(f"{self.metric}: {name} answered other items ({differing} differ)", remedy="evaluate both on the same data")
        other = other.ordered(own.clusters)
        change = {"exp": np.exp, "root": np.sqrt}.get(metric.scale, np.positive)
        better, worse = (own, other) if metric.higher_is_better else (other, own)
        found = difference(
            (better.numerators, better.denominators),
            (worse.numerators, worse.denominators),
            change=lambda ratios: np.asarray(change(ratios)),
        )
        passed = found.low > self.margin
        gap = "" if passed else f", off by {self.margin - found.low:.4f}"
        ours, theirs = (float(change(pairs.numerators.sum() / pairs.denominators.sum())) for pairs in (own, other))
        message = (
            f"{self.metric} is {ours:.4f}, {name}'s {theirs:.4f} on the same {metric.items} items: "
            f"better by {found.value:.4f} ({found.low:.4f} to {found.high:.4f}), must be more than {self.margin:g}{gap}"
        )
        title = f"{self.metric} beats {name}" + (f" by {self.margin:g}" if self.margin else "")
        return Finding(passed, title, message, self.metric, found.value, found.low, found.high, self.margin, name, metric.items)
