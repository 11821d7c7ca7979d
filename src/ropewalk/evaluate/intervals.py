"""95% intervals: Wilson for proportions, bootstrap over clusters for ratios and for paired differences of ratios."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.seed import numpy_generator

Z = 1.959963984540054  # two-sided 95%
SAMPLES = 2000
CHUNK = 4_000_000  # weights held at once

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


def wilson(successes: float, n: int) -> Interval:
    """A proportion with Wilson's score interval (1927); n = 0 is no knowledge: 0 to 1 around NaN."""
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    share = successes / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    reach = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return Interval(share, max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)))


def by_cluster(values: Floats, clusters: Sequence[str]) -> Floats:
    """Sums over the items of each cluster, in order of first appearance."""
    places: dict[str, int] = {}
    where = np.array([places.setdefault(name, len(places)) for name in clusters], np.int64)
    return np.bincount(where, values, len(places)).astype(np.float64) if len(places) else np.zeros(0)


def ratio(numerators: Floats, denominators: Floats, seed: int = 0) -> Interval:
    """sum(numerators) / sum(denominators) with a percentile bootstrap over the entries (clusters)."""
    total = float(denominators.sum())
    value = float(numerators.sum()) / total if total else math.nan
    if len(numerators) < 2 or not total:
        return Interval(value, -math.inf, math.inf)
    found = np.concatenate([(w @ numerators) / (w @ denominators) for w in _weights(len(numerators), seed)])
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def difference(first: tuple[Floats, Floats], second: tuple[Floats, Floats], seed: int = 0) -> Interval:
    """ratio(first) - ratio(second) on the same clusters, paired: each draw takes the same clusters on both sides."""
    assert len(first[0]) == len(second[0]), "a paired comparison needs the same clusters on both sides"
    value = float(first[0].sum() / first[1].sum() - second[0].sum() / second[1].sum())
    if len(first[0]) < 2:
        return Interval(value, -math.inf, math.inf)
    weights = _weights(len(first[0]), seed)
    found = np.concatenate([(w @ first[0]) / (w @ first[1]) - (w @ second[0]) / (w @ second[1]) for w in weights])
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _weights(n: int, seed: int) -> Iterator[Floats]:
    """How often each of n clusters is drawn in each of SAMPLES draws with replacement, in chunks of rows."""
    generator = numpy_generator(seed, "bootstrap", n)
    rows = max(1, CHUNK // n)
    for start in range(0, SAMPLES, rows):
        yield generator.multinomial(n, np.full(n, 1 / n), size=min(rows, SAMPLES - start)).astype(np.float64)
