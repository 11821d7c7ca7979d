"""Logistic regression with an L2 penalty by L-BFGS (Nocedal 1980): one thread, sums in one order, so the same rows give the same bytes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.classify.solver_kernels import add_scaled, dot, lengths, loss_and_gradient, margins

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
MEMORY = 10
DECREASE = 1e-4
SHORTEST = 1e-10


@dataclass(frozen=True)
class Table:
    """Rows of n-gram counts: row i is packed[offsets[i]:offsets[i+1]], each entry bucket * 256 + count."""

    packed: NDArray[np.uint32]
    offsets: Rows
    damped: Floats
    """What a count weighs."""
    scale: Floats
    """One over each row's length."""

    @classmethod
    def of(cls, packed: NDArray[np.uint32], offsets: Rows, damped: Floats) -> Table:
        scale = np.empty(len(offsets) - 1)
        lengths(packed, offsets, damped, scale)
        return cls(packed, offsets, damped, scale)

    def scores(self, weights: Floats, rows: Rows) -> Floats:
        """The score of each chosen row; the last weight is the bias."""
        result = np.empty(len(rows))
        margins(self.packed, self.offsets, rows, self.damped, self.scale, weights, result)
        return result


@dataclass(frozen=True)
class Fit:
    """What the solver found."""

    weights: Floats
    """One a bucket, then the bias, which is not penalised."""
    loss: float
    steps: int
    gradient: float
    """Largest component of the gradient, a unit of importance."""


def fit(
    table: Table, rows: Rows, labels: Floats, importance: Floats, size: int, penalty: float, *, tolerance: float = 1e-6, most: int = 300
) -> Fit:
    """Minimise over the chosen rows; `labels` (1 and -1) and `importance` have an entry for every row of the table."""
    weights, gradient = np.zeros(size + 1), np.empty(size + 1)
    enough = tolerance * float(importance[rows].sum())

    def measure(at: Floats, into: Floats) -> float:
        return float(
            loss_and_gradient(
                table.packed, table.offsets, rows, table.damped, table.scale, labels, importance, penalty, at, into
            )
        )  # fmt: skip

    loss = measure(weights, gradient)
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=MEMORY)
    steps = 0
    while steps < most and np.abs(gradient).max() > enough:
        direction = _direction(gradient, pairs)
        slope = dot(gradient, direction)
        length = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).max()))
        found = gradient.copy()
        while True:
            moved = weights.copy()
            add_scaled(moved, length, direction)
            better = measure(moved, found)
            if better <= loss + DECREASE * length * slope or length < SHORTEST:
                break
            length /= 2
        if length < SHORTEST:
            break  # no descent is left in the numbers' precision
        step, turn = moved - weights, found - gradient
        curvature = dot(step, turn)
        if curvature > 0:
            pairs.append((step, turn, curvature))
        weights, gradient, loss = moved, found, better
        steps += 1
    return Fit(weights, loss, steps, float(np.abs(gradient).max()) / float(importance[rows].sum()))


def _direction(gradient: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> Floats:
    """Minus the gradient times what the last steps tell of the inverse Hessian: the two-loop recursion."""
    direction = -gradient
    shares = []
    for step, turn, curvature in reversed(pairs):
        share = dot(step, direction) / curvature
        add_scaled(direction, -share, turn)
        shares.append(share)
    if pairs:
        _, turn, curvature = pairs[-1]
        direction *= curvature / dot(turn, turn)
    for (step, turn, curvature), share in zip(pairs, reversed(shares), strict=True):
        add_scaled(direction, share - dot(turn, direction) / curvature, step)
    return direction
