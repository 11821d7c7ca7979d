"""The compiled loops of the solver: loss and gradient of the logistic regression, sums in one fixed order."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled


@compiled
def lengths(packed: NDArray[np.uint32], offsets: NDArray[np.int64], damped: NDArray[np.float64], result: NDArray[np.float64]) -> None:
    """One over each row's length; 0 for a row without entries."""
    for row in range(len(offsets) - 1):
        total = 0.0
        for place in range(offsets[row], offsets[row + 1]):
            value = damped[np.int64(packed[place]) & 255]
            total += value * value
        result[row] = 1.0 / math.sqrt(total) if total > 0 else 0.0


@compiled
def margins(
    packed: NDArray[np.uint32], offsets: NDArray[np.int64], rows: NDArray[np.int64], damped: NDArray[np.float64],
    scale: NDArray[np.float64], weights: NDArray[np.float64], result: NDArray[np.float64],
) -> None:  # fmt: skip
    """The score of each chosen row; the last weight is the bias."""
    bias = weights[len(weights) - 1]
    for index in range(len(rows)):
        row = rows[index]
        total = 0.0
        for place in range(offsets[row], offsets[row + 1]):
            entry = np.int64(packed[place])
            total += weights[entry >> 8] * damped[entry & 255]
        result[index] = total * scale[row] + bias


@compiled
def loss_and_gradient(
    packed: NDArray[np.uint32], offsets: NDArray[np.int64], rows: NDArray[np.int64], damped: NDArray[np.float64],
    scale: NDArray[np.float64], labels: NDArray[np.float64], importance: NDArray[np.float64], penalty: float,
    weights: NDArray[np.float64], gradient: NDArray[np.float64],
) -> float:  # fmt: skip
    """sum importance * log(1 + exp(-label * score)) + penalty / 2 * |weights without bias|^2, and its gradient; labels are 1 and -1."""
    last = len(weights) - 1
    loss = 0.0
    for index in range(last):
        gradient[index] = penalty * weights[index]
        loss += weights[index] * weights[index]
    loss *= penalty / 2
    gradient[last] = 0.0
    bias = weights[last]
    for index in range(len(rows)):
        row = rows[index]
        total = 0.0
        for place in range(offsets[row], offsets[row + 1]):
            entry = np.int64(packed[place])
            total += weights[entry >> 8] * damped[entry & 255]
        margin = labels[row] * (total * scale[row] + bias)
        small = math.exp(-abs(margin))
        loss += importance[row] * (math.log1p(small) + max(-margin, 0.0))
        pull = -labels[row] * importance[row] * (small if margin > 0 else 1.0) / (1.0 + small)
        gradient[last] += pull
        pull *= scale[row]
        for place in range(offsets[row], offsets[row + 1]):
            entry = np.int64(packed[place])
            gradient[entry >> 8] += pull * damped[entry & 255]
    return loss


@compiled
def dot(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    total = 0.0
    for index in range(len(left)):
        total += left[index] * right[index]
    return total


@compiled
def add_scaled(target: NDArray[np.float64], factor: float, other: NDArray[np.float64]) -> None:
    for index in range(len(target)):
        target[index] += factor * other[index]
