"""Intervals hold what they promise: coverage by simulation, pairing, degenerate cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from ropewalk.evaluate.intervals import Interval, by_cluster, difference, ratio, wilson


def test_wilson_against_known_values() -> None:
    found = wilson(8, 10)
    assert found.value == 0.8 and found.low == pytest.approx(0.4902, abs=1e-4) and found.high == pytest.approx(0.9433, abs=1e-4)
    assert wilson(0, 5).low == 0 and wilson(5, 5).high == 1 and math.isnan(wilson(0, 0).value)


def test_wilson_covers_as_promised() -> None:
    generator = np.random.default_rng(2)
    covered = [wilson(int(k), 80).low <= 0.3 <= wilson(int(k), 80).high for k in generator.binomial(80, 0.3, 4000)]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_pairing_sees_a_small_difference_that_two_intervals_hide() -> None:
    generator = np.random.default_rng(3)
    sizes = generator.integers(50, 200, 200).astype(float)
    hard = sizes * generator.normal(2.1, 0.5, 200)
    easy = hard - sizes * generator.normal(0.02, 0.02, 200)
    found = difference((hard, sizes), (easy, sizes))
    assert 0 < found.low < found.value < found.high < 0.05
    assert ratio(easy, sizes).high > ratio(hard, sizes).low
    same = difference((hard, sizes), (hard, sizes))
    assert same.value == same.low == same.high == 0


def test_clusters_widen_intervals() -> None:
    generator = np.random.default_rng(4)
    names = [f"d{i // 10}" for i in range(400)]
    values = np.repeat(generator.normal(1, 1, 40), 10)
    ones = np.ones(400)
    alone, together = ratio(values, ones), ratio(by_cluster(values, names), by_cluster(ones, names))
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert by_cluster(np.array([1.0, 2.0, 4.0]), ["b", "a", "b"]).tolist() == [5.0, 2.0] and by_cluster(np.zeros(0), []).size == 0


def test_one_item_knows_nothing_of_its_spread() -> None:
    found = ratio(np.array([2.0]), np.array([1.0]))
    assert found.value == 2 and found.low == -math.inf and found.high == math.inf
    assert difference((np.array([2.0]), np.array([1.0])), (np.array([1.0]), np.array([1.0]))).high == math.inf


def few_clusters(draw: np.random.Generator) -> tuple[Interval, float]:
    sizes = draw.integers(20, 400, 25).astype(float)
    return ratio(sizes * draw.normal(2.1, 0.4, 25), sizes), 2.1


def items_in_clusters(draw: np.random.Generator) -> tuple[Interval, float]:
    values = np.repeat(draw.normal(0, 0.3, 60), 5) + draw.normal(1, 0.5, 300)
    names = [str(place // 5) for place in range(300)]
    return ratio(by_cluster(values, names), by_cluster(np.ones(300), names)), 1.0


def paired_losses(draw: np.random.Generator) -> tuple[Interval, float]:
    hard, ones = draw.normal(2.0, 0.5, 80), np.ones(80)
    return difference((hard, ones), (hard - draw.normal(0.05, 0.1, 80), ones)), 0.05


def paired_shares(draw: np.random.Generator) -> tuple[Interval, float]:
    right, ones = draw.random(150) < 0.6, np.ones(150)
    other = np.where(draw.random(150) < 0.2, draw.random(150) < 0.5, right)
    return difference((right.astype(float), ones), (other.astype(float), ones)), 0.02  # 0.6 - (0.8 * 0.6 + 0.2 * 0.5)


@pytest.mark.parametrize("kind", [few_clusters, items_in_clusters, paired_losses, paired_shares])
def test_nominal_95_percent_covers_93_to_97(kind: Callable[[np.random.Generator], tuple[Interval, float]]) -> None:
    draw, trials, covered = np.random.default_rng(5), 1500, 0
    for _ in range(trials):
        found, truth = kind(draw)
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / trials <= 0.97
