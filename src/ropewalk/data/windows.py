"""Windows over what is longer than a sequence: where each begins, how long it is, and how much of it the one before has shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """How documents are cut into windows that overlap by a sequence's length less the stride."""

    stride: int
    count_overlap: bool = False
    """Whether what two windows share is trained in both; else in the first one only."""


def cut(counts: Int64s, size: int, stride: int) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """(item, first, length, seen) of each window over items of so many places (at least one), in order.

    Windows begin at multiples of `stride`; the last one of an item is the first that reaches its end, and no place is
    left out. `seen` are the places at a window's beginning that the window before it holds too. `stride == size`: no overlap.
    """
    assert 0 < stride <= size, f"a stride of {stride} leaves out places between windows of {size}"
    numbers = 1 + -(-np.maximum(counts - size, 0) // stride)
    item = np.repeat(np.arange(len(counts)), numbers)
    number = np.arange(int(numbers.sum())) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    first = number * stride
    seen = np.where(number > 0, size - stride, 0)
    return item, first, np.minimum(counts[item] - first, size), seen
