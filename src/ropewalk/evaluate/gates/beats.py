"""The gate that compares: a paired bootstrap over the items that both answered must exclude no difference."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from ropewalk.core.errors import DataError
from ropewalk.core.load import nearest
from ropewalk.core.reference import Ref
from ropewalk.evaluate.gates.gate import Finding, Gate, Open, called, matching, unknown_metric
from ropewalk.evaluate.intervals import difference
from ropewalk.evaluate.scores import Pairs, Scores


class Beats(Gate, type="beats"):
    """The model is better than a baseline of the same suite, or than other scores, by more than a margin.

    The 95% interval of the paired difference must lie wholly beyond the margin.
    """

    metric: str
    """`suite/metric`, such as `perplexity/bits_per_byte`."""
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

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        found = unknown_metric(self.metric, known)
        there = sorted(matching(self.metric, known) or ()) if known is not None else []
        if known is None or found or self.baseline is None or self.baseline in there:
            return found
        hint = (nearest(self.baseline, there) or f"there are {', '.join(there)}") if there else "it has none"
        return [("baseline", f"{self.metric} has no baseline {self.baseline!r} ({hint})")]

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        assert scores is not None, "needs_scores() says so"
        metric = scores.metric(self.metric)
        if self.than is not None:
            than: Scores = open_ref(self.than)
            name = called(self.than, than)
            other = paired(scores, than, self.metric, name)
        else:
            other, name = scores.pairs(self.metric, self.baseline or ""), str(self.baseline)
        own = scores.pairs(self.metric)
        change = np.exp if metric.scale == "exp" else np.positive
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


def paired(scores: Scores, than: Scores, metric: str, name: str) -> Pairs:
    """The other scores' sums in the order of ours; DataError when they answered other items."""
    own, other = scores.pairs(metric), than.pairs(metric)
    suite = metric.partition("/")[0]
    if differing := len(set(scores.items(suite)) ^ set(than.items(suite))):
        raise DataError(f"{metric}: {name} answered other items ({differing} differ)", remedy="evaluate both on the same data")
    return other.ordered(own.clusters)
