"""Preference from lengths alone: what people like may be mostly the longer answer, so every model stands beside this."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ropewalk.data.comparisons import WINNERS, Comparison
from ropewalk.data.pair_features import lengths
from ropewalk.evaluate.preference_metrics import Floats, Labels, softmax

PENALTY = 1.0
STEPS = 50


class LengthBaseline:
    """Softmax regression over the two answers' and the prompt's lengths and their differences, by Newton's method."""

    def __init__(self, pairs: Sequence[Comparison]) -> None:
        table, winners = _table(pairs), winners_of(pairs)
        self.mean, self.scale = table.mean(0), table.std(0) + 1e-6
        self.weights = _fitted(self._scaled(table), winners)

    def probabilities(self, pairs: Sequence[Comparison]) -> Floats:
        """(pairs, 3)."""
        return softmax(self._scaled(_table(pairs)) @ self.weights)

    def _scaled(self, table: Floats) -> Floats:
        return np.concatenate([(table - self.mean) / self.scale, np.ones((len(table), 1))], 1)


def winners_of(pairs: Sequence[Comparison]) -> Labels:
    """0, 1 or 2 of each pair."""
    return np.array([WINNERS.index(pair.winner or "tie") for pair in pairs], np.int64)


def _table(pairs: Sequence[Comparison]) -> Floats:
    rows = []
    for pair in pairs:
        a, b, prompt = lengths(pair.a)[:2], lengths(pair.b)[:2], lengths(pair.prompt)[0]
        rows.append([*a, *b, prompt, a[0] - b[0], abs(a[0] - b[0])])
    return np.array(rows)


def _fitted(table: Floats, winners: Labels) -> Floats:
    """The weights (features, 3) of the penalised log loss; the last feature, which is 1, is not penalised."""
    number, classes = table.shape[1], 3
    weights = np.zeros((number, classes))
    penalty = np.full(number, PENALTY)
    penalty[-1] = 1e-6
    wanted = np.eye(classes)[winners]
    for _ in range(STEPS):
        found = softmax(table @ weights)
        slope = (table.T @ (found - wanted) + penalty[:, None] * weights).T.ravel()
        curve = np.zeros((number * classes, number * classes))
        for one in range(classes):
            for other in range(classes):
                share = found[:, one] * ((one == other) - found[:, other])
                block = table.T @ (table * share[:, None]) + (np.diag(penalty) if one == other else 0)
                curve[one * number : (one + 1) * number, other * number : (other + 1) * number] = block
        step = np.linalg.solve(curve, slope).reshape(classes, number).T
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return weights
