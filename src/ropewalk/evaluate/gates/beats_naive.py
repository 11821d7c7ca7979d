"""The gate for forecasters: a Diebold-Mariano test against a rival on the same origins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.evaluate.gates.gate import Finding, Gate
from ropewalk.evaluate.intervals import Floats
from ropewalk.evaluate.scores import Scores

LEAST_ORIGINS = 8


class BeatsNaive(Gate, type="beats_naive"):
    """The forecasts' errors are smaller than naive ones', by a Diebold-Mariano test over the origins.

    On markets a tie is an honest result: `require: no_worse` passes unless the rival is better by the same test.
    """

    metric: str = "forecast/mae"
    """A metric with rivals that is a mean over origins: mae, mase, smape, rmse (as squares), crps or pinball."""
    baseline: str = "naive"
    """The rival: naive, seasonal_naive, drift, ets or theta."""
    require: Literal["better", "no_worse"] = "better"
    """Better beyond chance, or not worse beyond chance."""
    level: float = Field(default=0.05, gt=0, lt=0.5)
    """The probability of passing (of failing, for no_worse) where both are equally good."""

    def check(self, scores: Scores, open_ref: Callable[[Ref[Any]], Any]) -> Finding:
        metric = scores.metric(self.metric)
        own = scores.pairs(self.metric)
        other = scores.pairs(self.metric, self.baseline).ordered(own.clusters)
        order = sorted(range(len(own.clusters)), key=lambda place: own.clusters[place])
        difference = ((other.numerators - own.numerators) / own.denominators)[order]
        if metric.higher_is_better:
            difference = -difference
        if len(difference) < LEAST_ORIGINS:
            raise DataError(
                f"{self.metric}: {len(difference)} origins are too few for a test", remedy=f"set test.origins: {LEAST_ORIGINS} or more"
            )
        overlap = int(scores.counts(self.metric.partition("/")[0]).get("overlap", 0))
        statistic, chance = diebold_mariano(difference, overlap)
        worse = 1 - chance
        passed = chance < self.level if self.require == "better" else worse >= self.level
        ours, theirs = (float(np.sum(pairs.numerators) / np.sum(pairs.denominators)) for pairs in (own, other))
        if metric.scale == "root":
            ours, theirs = math.sqrt(ours), math.sqrt(theirs)
        wanted = f"p must be below {self.level:g}" if self.require == "better" else f"p of being worse must be at least {self.level:g}"
        said = chance if self.require == "better" else worse
        message = (
            f"{self.metric} is {ours:.4f}, {self.baseline}'s {theirs:.4f} on the same {len(difference)} origins: "
            f"Diebold-Mariano {statistic:+.2f}, p {said:.3f}; {wanted}"
        )
        title = f"{self.metric} {'beats' if self.require == 'better' else 'is no worse than'} {self.baseline}"
        return Finding(passed, title, message, self.metric, ours, metric.low, metric.high, theirs, self.baseline, len(difference))


def diebold_mariano(difference: Floats, overlap: int) -> tuple[float, float]:
    """(statistic, one-sided p that the rival is no worse) of loss differences in order of time, positive where the model is better.

    Diebold and Mariano (1995) with autocovariances up to `overlap`, Harvey, Leybourne and Newbold's (1997) correction for few
    origins, and Student's t. Where the differences have no spread the mean's sign decides.
    """
    n, steps = len(difference), overlap + 1
    centred = difference - difference.mean()
    variance = centred @ centred / n
    for lag in range(1, min(overlap, n - 1) + 1):
        variance += 2 * (centred[lag:] @ centred[:-lag]) / n
    if variance <= 0:  # truncated autocovariances may sum to less than nothing: then the plain variance
        variance = centred @ centred / n
    if variance <= 1e-24 * max(1.0, float(np.square(difference).max())):
        mean = float(difference.mean())
        return (math.copysign(math.inf, mean), 0.0 if mean > 0 else 1.0) if mean else (0.0, 0.5)
    correction = math.sqrt(max(n + 1 - 2 * steps + steps * (steps - 1) / n, 1.0) / n)
    statistic = float(difference.mean() / math.sqrt(variance / n)) * correction
    return statistic, student_tail(statistic, n - 1)


def student_tail(value: float, freedom: int) -> float:
    """P(T > value) of Student's t, by Simpson's rule over the angle whose tangent is t / sqrt(freedom)."""
    angle = math.atan2(abs(value), math.sqrt(freedom))
    points = np.linspace(angle, math.pi / 2, 2001)
    heights = np.cos(points) ** (freedom - 1)
    area = (heights[0] + heights[-1] + 4 * heights[1:-1:2].sum() + 2 * heights[2:-1:2].sum()) * (points[1] - points[0]) / 3
    tail = float(area * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi))
    return tail if value >= 0 else 1 - tail
