"""The compiled loop of best-fit packing: a counting sort, and free spaces found through counts of counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled

Int64s = NDArray[np.int64]


@compiled
def best_fit(sizes: Int64s, length: int) -> tuple[Int64s, Int64s]:
    """(order of the pieces, starts): each piece, largest first, goes where it leaves the least space.

    Bins with the same space stand in one list, the newest first. `open_1` counts the sizes of space that have a bin in
    each block of 64, `open_2` the same in each block of 4,096: so the least space that fits is found in few steps.
    """
    pieces = len(sizes)
    first = np.zeros(length + 2, np.int64)
    for piece in range(pieces):
        first[length - sizes[piece] + 1] += 1
    for place in range(1, length + 2):
        first[place] += first[place - 1]
    order = np.empty(pieces, np.int64)
    for piece in range(pieces):
        place = length - sizes[piece]
        order[first[place]] = piece
        first[place] += 1

    newest = np.full(length + 1, -1, np.int64)
    older = np.empty(pieces, np.int64)
    open_1, open_2 = np.zeros((length >> 6) + 1, np.int64), np.zeros((length >> 12) + 1, np.int64)
    bin_of = np.empty(pieces, np.int64)
    bins = 0
    for rank in range(pieces):
        piece = order[rank]
        size = sizes[piece]
        space = _least(newest, open_1, open_2, size)
        if space < 0:
            chosen, space, bins = bins, length, bins + 1
        else:
            chosen = newest[space]
            newest[space] = older[chosen]
            if newest[space] < 0:
                open_1[space >> 6] -= 1
                open_2[space >> 12] -= 1
        bin_of[piece] = chosen
        left = space - size
        if left:
            if newest[left] < 0:
                open_1[left >> 6] += 1
                open_2[left >> 12] += 1
            older[chosen] = newest[left]
            newest[left] = chosen

    starts = np.zeros(bins + 1, np.int64)
    for piece in range(pieces):
        starts[bin_of[piece] + 1] += 1
    for number in range(bins):
        starts[number + 1] += starts[number]
    by_bin, filled = np.empty(pieces, np.int64), starts.copy()
    for piece in range(pieces):
        chosen = bin_of[piece]
        by_bin[filled[chosen]] = piece
        filled[chosen] += 1
    return by_bin, starts


@compiled
def _least(newest: Int64s, open_1: Int64s, open_2: Int64s, size: int) -> int:
    """The least space of at least `size` that some bin has; -1 where none has."""
    space = size
    while space < len(newest):
        if space & 4095 == 0 and open_2[space >> 12] == 0:
            space += 4096
        elif space & 63 == 0 and open_1[space >> 6] == 0:
            space += 64
        elif newest[space] >= 0:
            return space
        else:
            space += 1
    return -1
