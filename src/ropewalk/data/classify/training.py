"""Training a classifier: once for each fold, to judge it on texts it did not see, and once on all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.classify.classifier import Linear, Scale
from ropewalk.data.classify.disguise import disguised
from ropewalk.data.classify.examples import Examples
from ropewalk.data.classify.features import Features, Reader
from ropewalk.data.classify.shipped import listed_words
from ropewalk.data.classify.solver import Fit, Table, fit

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """How to train."""

    features: Features
    first_bytes: int
    penalty: float
    balanced: bool
    folds: int
    disguised: float
    listed: float
    prior: float | None


class Trainer:
    """The examples as vectors, behind them those that are also shown in disguise, and then the words of the shipped list."""

    def __init__(self, plan: Plan, examples: Examples) -> None:
        import pyarrow as pa

        self.plan, self.examples = plan, examples
        chosen = (examples.hashes % np.uint64(1 << 20)).astype(np.float64) < plan.disguised * (1 << 20)
        self.copied = np.flatnonzero(chosen)
        copies = [disguised(text.as_py(), "classifier") for text in examples.texts.take(self.copied)] if len(self.copied) else []
        words = listed_words() if plan.listed else {}
        listed = {word.rstrip("-"): weight for word, weight in sorted(words.items())}
        texts = pa.chunked_array([*examples.texts.chunks, pa.array([*copies, *listed], pa.large_string())])
        self.reader = Reader(plan.features)
        self.table: Table = self.reader.table(list(self.reader.vectors(texts, plan.first_bytes)))
        self.origin = np.concatenate([np.arange(len(examples)), self.copied])
        self.positive = np.concatenate([examples.positive[self.origin], np.ones(len(listed), np.bool_)])
        self.listed = plan.listed * np.array(list(listed.values()), np.float64)
        self.size = 1 << plan.features.bits

    def fit(self, inside: Flags) -> Fit:
        """Learn from the examples whose flag is set, from their disguised copies, and from the listed words."""
        rows = np.flatnonzero(inside[self.origin])
        importance = np.ones(len(self.positive))
        if self.plan.balanced:
            for label in (False, True):
                here = rows[self.positive[rows] == label]
                importance[here] = len(rows) / (2 * max(len(here), 1))
        importance[len(self.origin) :] = self.listed
        rows = np.concatenate([rows, np.arange(len(self.origin), len(self.positive))])
        labels = np.where(self.positive, 1.0, -1.0)
        return fit(self.table, rows, labels, importance, self.size, self.plan.penalty)

    def scores(self, found: Fit, flags: Flags) -> Floats:
        """Of every row (copies behind the examples) whose example's flag is set; NaN elsewhere."""
        rows = np.flatnonzero(flags[self.origin])
        result = np.full(len(self.origin), np.nan)
        result[rows] = self.table.scores(found.weights.astype(np.float32).astype(np.float64), rows)
        return result

    def out_of_fold(self, advance: Callable[[int], None]) -> Floats:
        """Each row's score by a classifier that did not see its text, nor its copy."""
        folds = self.examples.folds(self.plan.folds)
        result = np.empty(len(self.origin))
        for fold in range(self.plan.folds):
            away = folds == fold
            scores = self.scores(self.fit(~away), away)
            result[~np.isnan(scores)] = scores[~np.isnan(scores)]
            advance(1)
        return result

    def finished(self, scale: Scale) -> tuple[Linear, Fit]:
        """The classifier from all examples; `scale` is for the share of positives among them."""
        found = self.fit(np.ones(len(self.examples), np.bool_))
        share = float(self.examples.positive.mean())
        prior = share if self.plan.prior is None else self.plan.prior
        shifted = Scale(scale.slope, scale.shift + _logit(prior) - _logit(share))
        weights = found.weights[:-1].astype(np.float32)
        return Linear(self.plan.features, weights, float(np.float32(found.weights[-1])), shifted, prior), found


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def calibrate(scores: Floats, positive: Flags) -> Scale:
    """Platt's scaling with his targets, which keep it finite where the scores part the classes; by Newton's method."""
    number = np.array([(~positive).sum(), positive.sum()])
    targets = np.where(positive, (number[1] + 1) / (number[1] + 2), 1 / (number[0] + 2))
    unit = float(np.abs(scores).max(initial=0.0)) or 1.0
    columns = np.stack([scores / unit, np.ones(len(scores))])
    at = np.array([0.0, _logit((number[1] + 1) / (number.sum() + 2))])

    def loss(of: Floats) -> float:
        margin = of @ columns
        return float((np.logaddexp(0.0, margin) - targets * margin).sum())

    now = loss(at)
    for _ in range(100):
        said = Scale(1.0, 0.0).probabilities(at @ columns)
        slope = columns @ (said - targets)
        curve = (columns * np.maximum(said * (1 - said), 1e-12)) @ columns.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        length = 1.0
        while (then := loss(at - length * step)) > now - 1e-4 * length * float(slope @ step) and length > 1e-6:
            length /= 2
        if length <= 1e-6 or now - then <= 1e-12 * abs(now):
            break
        at, now = at - length * step, then
    return Scale(float(at[0] / unit), float(at[1]))
