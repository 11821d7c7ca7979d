"""95% intervals: Wilson for proportions, bootstrap over clusters for ratios and for paired differences of ratios.

The bootstrap draws clusters with replacement and takes percentiles, set wider for few clusters as Hesterberg (2015,
"What Teachers Should Know About the Bootstrap", 5.3) has it: plain percentiles cover 90% for 10 clusters, these 95%.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.seed import numpy_generator

Z = 1.959963984540054  # two-sided 95%
SAMPLES = 2000
MOST_CLUSTERS = 2000  # more are first put together by chance to so many: the spread is as well known, the cost bounded

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def through(self, change: Callable[[float], float]) -> Interval:
        """The interval of a rising function of the number."""
        return Interval(change(self.value), change(self.low), change(self.high))


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
    return _sums(where, values, len(places))


def ratio(numerators: Floats, denominators: Floats, seed: int = 0) -> Interval:
    """sum(numerators) / sum(denominators) over clusters; one cluster says nothing of its spread: -inf to inf."""
    return _bootstrap([numerators, denominators], lambda sums: sums[0] / sums[1], seed)


def difference(
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    seed: int = 0,
    change: Callable[[Floats], Floats] = lambda ratios: ratios,
) -> Interval:
    """ratio(first) - ratio(second) on the same clusters, paired: each draw takes the same clusters on both sides.

    `change` is applied to each ratio before they are subtracted (`np.exp` for perplexities).
    """
    assert len(first[0]) == len(second[0]), "a paired comparison needs the same clusters on both sides"
    return _bootstrap([*first, *second], lambda sums: change(sums[0] / sums[1]) - change(sums[2] / sums[3]), seed)


def sign_flip_test(first: tuple[Floats, Floats], second: tuple[Floats, Floats], margin: float = 0.0, seed: int = 0) -> float:
    """The chance of seeing ratio(first) so far below ratio(second) - margin on the same clusters, were it not below.

    Each cluster's share of the difference is given either sign (Fisher 1935): all ways for up to 12 clusters, else 10,000 draws.
    """
    assert len(first[0]) == len(second[0]), "a paired comparison needs the same clusters on both sides"
    shares: Floats = np.zeros(len(first[0]))
    for sign, (numerators, denominators) in ((1.0, first), (-1.0, second)):
        level = numerators.sum() / denominators.sum()
        # the ratio and, to first order, what each cluster does to it: they add up to the ratio
        shares += sign * ((numerators - level * denominators) / denominators.sum() + level / len(numerators))
    shares += margin / len(shares)
    shares = shares[shares != 0]
    if not len(shares):
        return 1.0
    if len(shares) <= 12:
        signs = 1.0 - 2.0 * ((np.arange(1 << len(shares))[:, None] >> np.arange(len(shares))) & 1)
        return float((signs @ shares <= shares.sum() + 1e-12).mean())
    draw, below, draws = numpy_generator(seed, "sign flips", len(shares)), 0, 10_000
    for _ in range(10):
        flips = draw.integers(0, 2, (draws // 10, len(shares)), np.int8) * 2.0 - 1.0
        below += int((flips @ shares <= shares.sum() + 1e-12).sum())
    return (below + 1) / (draws + 1)


def _bootstrap(columns: list[Floats], statistic: Callable[[Floats], Floats], seed: int) -> Interval:
    """The interval of a statistic of the columns' sums; columns 1, 3 … are denominators, never negative."""
    table = np.stack(columns)  # (columns, clusters)
    table = table[:, (table[1::2] != 0).any(axis=0)]
    clusters = table.shape[1]
    if not (table[1::2].sum(axis=1) > 0).all():
        return Interval(math.nan, -math.inf, math.inf)
    value = float(statistic(table.sum(axis=1, keepdims=True))[0])
    if clusters < 2:
        return Interval(value, -math.inf, math.inf)
    if clusters > MOST_CLUSTERS:
        places = numpy_generator(seed, "bootstrap groups", clusters).permutation(clusters) % MOST_CLUSTERS
        table = np.stack([_sums(places, column, MOST_CLUSTERS) for column in table])
    weights = _weights(table.shape[1], seed)
    sums = np.stack([column @ weights for column in table])  # (columns, draws); one by one, so that equal columns have equal sums
    found = statistic(sums[:, (sums[1::2] > 0).all(axis=0)])
    tail = _tail(table.shape[1])
    low, high = np.quantile(found, [tail, 1 - tail]) if len(found) else (-math.inf, math.inf)
    return Interval(value, float(low), float(high))


def _sums(places: NDArray[np.int64], values: Floats, size: int) -> Floats:
    return np.bincount(places, values, size).astype(np.float64)


@functools.lru_cache(maxsize=1)
def _weights(n: int, seed: int) -> Floats:
    """How often each of n clusters is drawn in each of SAMPLES draws with replacement: (n, SAMPLES)."""
    drawn = numpy_generator(seed, "bootstrap", n).multinomial(n, np.full(n, 1 / n), size=SAMPLES)
    weights = np.ascontiguousarray(drawn.T, np.float64)
    weights.setflags(write=False)
    return weights


def _tail(n: int) -> float:
    """The share of draws to leave out at each end so that the interval is as wide as Student's t makes it for n clusters."""
    v = n - 1
    # Student's 97.5% quantile by Cornish and Fisher's expansion (Abramowitz and Stegun 26.7.5): within 0.2% from 3 degrees of freedom on.
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    student = Z + sum(term / v**power for power, term in enumerate(terms, 1))
    return NormalDist().cdf(-student * math.sqrt(n / v))
