"""How well probabilities tell two classes apart: ROC-AUC, macro F1, log loss, calibration, each with its 95% interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.seed import numpy_generator
from ropewalk.evaluate.intervals import SAMPLES, Interval, Z, ratio

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
BINS = 10


def roc_auc(scores: Floats, positive: Flags) -> Interval:
    """The chance that a positive scores above a negative; DeLong's variance (1988), the interval on the logit's scale."""
    high, low = scores[positive], scores[~positive]
    if not len(high) or not len(low):
        return Interval(math.nan, 0.0, 1.0)
    of_high, of_low = _share_below(high, low), 1.0 - _share_below(low, high)
    value = float(of_high.mean())
    if len(high) < 2 or len(low) < 2 or value in (0.0, 1.0):
        return Interval(value, 0.0, 1.0)
    spread = math.sqrt(of_high.var(ddof=1) / len(high) + of_low.var(ddof=1) / len(low))
    middle, reach = math.log(value / (1 - value)), Z * spread / (value * (1 - value))
    return Interval(value, 1 / (1 + math.exp(reach - middle)), 1 / (1 + math.exp(-reach - middle)))


def _share_below(of: Floats, among: Floats) -> Floats:
    """Of each number, the share of `among` that is smaller; an equal one counts half."""
    ordered = np.sort(among)
    return (np.searchsorted(ordered, of, "left") + np.searchsorted(ordered, of, "right")) / (2.0 * len(ordered))


def macro_f1(said: Flags, positive: Flags, seed: int = 0) -> Interval:
    """The mean of both classes' F1; the interval by drawing the four cells of the table anew."""
    cells = np.bincount(2 * positive + said, minlength=4)
    if not cells.sum():
        return Interval(math.nan, 0.0, 1.0)
    drawn = numpy_generator(seed, "macro f1").multinomial(cells.sum(), cells / cells.sum(), size=SAMPLES)
    low, high = np.quantile(_macro_f1(drawn), [0.025, 0.975])
    return Interval(float(_macro_f1(cells[None])[0]), float(low), float(high))


def _macro_f1(cells: NDArray[np.int64]) -> Floats:
    """Of rows of (true negatives, false positives, false negatives, true positives); a class that is nowhere counts 0."""
    wrong = cells[:, 1] + cells[:, 2]
    of_class = [2 * cells[:, right] / np.maximum(2 * cells[:, right] + wrong, 1) for right in (0, 3)]
    result: Floats = (of_class[0] + of_class[1]) / 2
    return result


def best_threshold(probabilities: Floats, positive: Flags) -> float:
    """The threshold with the best macro F1, halfway between two probabilities; a text is positive from it on."""
    order = np.argsort(probabilities, kind="stable")
    ordered, hits = probabilities[order], positive[order]
    below = np.concatenate([[0], np.cumsum(hits)])  # positives below the cut in front of place i
    place = np.arange(len(ordered) + 1)
    total = int(hits.sum())
    cells = np.stack([place - below, (len(ordered) - place) - (total - below), below, total - below], axis=1)
    cuts = np.flatnonzero(np.diff(ordered)) + 1
    if not len(cuts):
        return 0.5
    best = cuts[int(np.argmax(_macro_f1(cells[cuts])))]
    return float((ordered[best - 1] + ordered[best]) / 2)


def log_loss(probabilities: Floats, positive: Flags, seed: int = 0) -> Interval:
    """Nats a text; a probability is kept 1e-15 away from 0 and 1."""
    sure = np.clip(np.where(positive, probabilities, 1 - probabilities), 1e-15, 1.0)
    return ratio(-np.log(sure), np.ones(len(sure)), seed)


def calibration(probabilities: Floats, positive: Flags) -> list[dict[str, Any]]:
    """In ten ranges of probability: how many texts, their mean probability, the share that is positive."""
    place = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    number = np.bincount(place, minlength=BINS)
    said, were = (np.bincount(place, values, BINS) / np.maximum(number, 1) for values in (probabilities, positive.astype(np.float64)))
    return [
        {"from": index / BINS, "texts": int(number[index]), "probability": float(said[index]), "positive": float(were[index])}
        for index in range(BINS)
        if number[index]
    ]


def calibration_error(bins: list[dict[str, Any]]) -> float:
    """The mean distance of said and real share, each range by its texts."""
    texts = sum(row["texts"] for row in bins)
    return sum(row["texts"] * abs(row["probability"] - row["positive"]) for row in bins) / texts if texts else math.nan


@dataclass(frozen=True)
class Judgement:
    """All measures of one set of probabilities."""

    roc_auc: Interval
    macro_f1: Interval
    macro_f1_at_half: Interval
    log_loss: Interval
    calibration_error: float

    @classmethod
    def of(cls, probabilities: Floats, positive: Flags, thresholds: Floats | float) -> Judgement:
        """`thresholds` are those of macro F1, one or one a text."""
        bins = calibration(probabilities, positive)
        return cls(
            roc_auc(probabilities, positive),
            macro_f1(probabilities >= thresholds, positive),
            macro_f1(probabilities >= 0.5, positive),
            log_loss(probabilities, positive),
            calibration_error(bins),
        )

    def plain(self) -> dict[str, Any]:
        """For metrics: each measure with its ends."""
        intervals = {name: value for name, value in vars(self).items() if isinstance(value, Interval)}
        numbers = {name: {"value": it.value, "low": it.low, "high": it.high} for name, it in intervals.items()}
        return {**numbers, "calibration_error": self.calibration_error}
