"""The gate against regressions: no task is provably worse than the baseline's, however well the average does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from pydantic import Field

from ropewalk.core.errors import ConfigError
from ropewalk.core.reference import Ref
from ropewalk.evaluate.gates.beats import paired
from ropewalk.evaluate.gates.gate import Finding, Gate, Open, called, unknown_metric
from ropewalk.evaluate.intervals import Floats, difference, sign_flip_test
from ropewalk.evaluate.scores import Scores


class NoWorseThan(Gate, type="no_worse_than"):
    """No metric is worse than other scores' on the same items: a paired sign-flip test for each, Holm's correction over all of them.

    The average of all is told and judges nothing: one task that fell by ten points hides behind nine that rose by one.
    """

    than: Ref[Scores]
    """The scores of the baseline: a stage, or `path:` and the folder of a run's stage such as `path:runs/last/stages/scores`."""
    metrics: list[str] = []
    """`suite/metric`; the first of each suite that both have when left out."""
    margin: float = Field(default=0.0, ge=0)
    """A loss up to this, in the metric's unit, is not taken for one."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The chance of refusing a model that is nowhere worse."""

    def problems(self, known: Mapping[str, Collection[str]] | None) -> list[tuple[str, str]]:
        return [problem for place, name in enumerate(self.metrics) for problem in unknown_metric(name, known, f"metrics.{place}")]

    def check(self, scores: Scores | None, open_ref: Open) -> Finding:
        assert scores is not None, "needs_scores() says so"
        than: Scores = open_ref(self.than)
        other = called(self.than, than)
        names = self.metrics or _firsts(scores, than)
        if not names:
            raise ConfigError(f"{other} has no suite that these scores have", remedy="evaluate both with the same suites")
        rows = [(name, *self._lost(scores, than, name, other)) for name in names]
        corrected = holm([chance for _, _, chance in rows])
        parts = tuple(self._part(scores, row[0], row[1], chance, other) for row, chance in zip(rows, corrected, strict=True))
        mean = float(np.mean([lost[0] for _, lost, _ in rows]))
        worse = [part for part in parts if not part.passed]
        told = "; ".join(part.message for part in worse or [min(parts, key=lambda part: part.value)])
        items = sum(part.items for part in parts)
        head = f"{len(worse)} of {len(parts)} tasks worse than {other} on the same items (n={items}, average {mean:+.4f})"
        message = f"{head}: {told}" if worse else f"{head}, at worst {told}"
        ends = (min(part.value for part in parts), min(part.low for part in parts), max(part.high for part in parts))
        title = f"no task worse than {other}"
        metric = names[0] if len(names) == 1 else f"{len(names)} tasks"
        return Finding(not worse, title, message, metric, *ends, -self.margin, other, items, parts)

    def _lost(self, scores: Scores, than: Scores, name: str, baseline: str) -> tuple[tuple[float, float, float], float]:
        """How much better (below 0: worse) than the baseline with its interval, and the chance of that if it were no worse."""
        metric, own, other = scores.metric(name), scores.pairs(name), paired(scores, than, name, baseline)
        change = np.exp if metric.scale == "exp" else np.positive
        better, worse = (own, other) if metric.higher_is_better else (other, own)
        sides = ((better.numerators, better.denominators), (worse.numerators, worse.denominators))
        found = difference(*sides, change=lambda ratios: np.asarray(change(ratios)))
        slope = float(np.exp(own.numerators.sum() / own.denominators.sum())) if metric.scale == "exp" else 1.0
        return (found.value, found.low, found.high), sign_flip_test(*sides, margin=self.margin / slope)

    def _part(self, scores: Scores, name: str, ends: tuple[float, float, float], chance: float, other: str) -> Finding:
        passed = chance >= self.alpha or ends[0] >= -self.margin
        metric = scores.metric(name)
        gap = "" if passed else f", off by {-self.margin - ends[0]:.4f}"
        message = (
            f"{name} {'better' if ends[0] >= 0 else 'worse'} by {abs(ends[0]):.4f} ({ends[1]:.4f} to {ends[2]:.4f}, n={metric.items}), "
            f"may lose {self.margin:g}, p={chance:.4f}{gap}"
        )
        return Finding(passed, f"{name} no worse than {other}", message, name, *ends, -self.margin, other, metric.items)


def holm(chances: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): the smallest times n, the next times n - 1, never falling."""
    order = np.argsort(chances, kind="stable")
    corrected: Floats = np.empty(len(chances))
    worst = 0.0
    for rank, place in enumerate(order.tolist()):
        worst = max(worst, min(1.0, chances[place] * (len(chances) - rank)))
        corrected[place] = worst
    return [float(value) for value in corrected]


def _firsts(scores: Scores, than: Scores) -> list[str]:
    found: dict[str, str] = {}
    for name in scores.metrics:
        if name in than.metrics:
            found.setdefault(name.partition("/")[0], name)
    return list(found.values())
