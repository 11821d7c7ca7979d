"""How well probabilities of A, B and tie fit what people chose: log loss, calibration, a temperature, order and length bias."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ropewalk.evaluate.intervals import by_cluster, difference

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
BINS = 10
FEWEST_GROUPS = 10


def softmax(logits: Floats) -> Floats:
    """Row by row."""
    grown = np.exp(logits - logits.max(1, keepdims=True))
    # A and B are added first: swapped answers then give the same sum, bit by bit.
    whole = (grown[:, 0] + grown[:, 1]) + grown[:, 2]
    return np.asarray(grown / whole[:, None])


def log_losses(probabilities: Floats, winners: Labels) -> Floats:
    """-log p of each winner."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(winners)), winners], 1e-15)))


def calibration_error(probabilities: Floats, winners: Labels) -> float:
    """Expected calibration error: |accuracy - confidence| over ten bins of confidence, weighted by their size."""
    if not len(winners):
        return 0.0
    confidence, right = probabilities.max(1), probabilities.argmax(1) == winners
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(right[place == one].mean() - confidence[place == one].mean()) * (place == one).sum() for one in np.unique(place)]
    return float(sum(gaps) / len(winners))


def fit_temperature(logits: Floats, winners: Labels, groups: Sequence[str]) -> float:
    """What logits are to be divided by so that the log loss on these rows is least, between 1/20 and 20 (Guo et al. 2017).

    1 unless that is surely better, by a paired bootstrap over ten groups or more: few prompts gave 0.32 where 1 was better.
    """
    if len(set(groups)) < FEWEST_GROUPS:
        return 1.0

    def losses(log_temperature: float) -> Floats:
        return log_losses(softmax(logits / math.exp(log_temperature)), winners)

    low, high, golden = -math.log(20), math.log(20), (math.sqrt(5) - 1) / 2
    for _ in range(60):  # the loss is convex in 1/T, so it has one valley in log T
        first, second = high - golden * (high - low), low + golden * (high - low)
        if losses(first).mean() <= losses(second).mean():
            high = second
        else:
            low = first
    best = (low + high) / 2
    sizes = by_cluster(np.ones(len(winners)), groups)
    gain = difference((by_cluster(losses(0.0), groups), sizes), (by_cluster(losses(best), groups), sizes))
    return math.exp(best) if gain.low > 0 else 1.0


def flip_rate(probabilities: Floats, swapped: Floats) -> float:
    """Share of pairs whose choice is another when the answers change places; ties within a row go to the lower class in both."""
    back = swapped[:, [1, 0, 2]]
    return float((probabilities.argmax(1) != back.argmax(1)).mean()) if len(back) else 0.0


def length_bias(probabilities: Floats, characters: Floats) -> float:
    """Pearson's correlation of p(A) - p(B) with log(1 + length of A) - log(1 + length of B); 0 where either does not vary."""
    lean, longer = probabilities[:, 0] - probabilities[:, 1], np.log1p(characters[:, 0]) - np.log1p(characters[:, 1])
    if len(lean) < 2 or not lean.std() or not longer.std():
        return 0.0
    return float(np.corrcoef(lean, longer)[0, 1])
