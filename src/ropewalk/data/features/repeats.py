"""The compiled search for what is there twice: parts of a document by their hashes, and n-grams of its words.

The table of n-grams is made for two words first and then one word longer each time, of those places only where both shorter
n-grams are there twice: so the long ones, which hardly ever repeat, cost nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled
from ropewalk.data.dedup.kernels import SHINGLE_FACTOR, mix

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_HIGH = np.uint64(32)


@compiled
def room(count: int) -> int:
    """Slots of a table for so many entries, a power of two at least twice as many."""
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@compiled
def slot_of(key: np.uint64, table: NDArray[np.uint64], size: int) -> np.int64:
    """Where the key (not 0) is in the table's first `size` slots, or the free slot that is its own."""
    slot = np.int64(key >> _HIGH) & (size - 1)
    while table[slot] != _ZERO and table[slot] != key:
        slot = (slot + 1) & (size - 1)
    return slot


@compiled
def repeated(hashes: NDArray[np.uint64], lengths: NDArray[np.int64], count: int, table: NDArray[np.uint64]) -> tuple[int, int]:
    """(number, characters) of the parts that were there before."""
    number = characters = 0
    if count > 1:
        size = room(count)
        table[:size] = _ZERO
        for index in range(count):
            slot = slot_of(hashes[index], table, size)
            if table[slot] == _ZERO:
                table[slot] = hashes[index]
            else:
                number += 1
                characters += lengths[index]
    return number, characters


@compiled
def longer(
    hashes: NDArray[np.uint64], count: int,
    places: NDArray[np.int64], owns: NDArray[np.int64], twice: NDArray[np.bool_], tally: NDArray[np.int32],
) -> int:  # fmt: skip
    """Make n-grams one word longer where both that overlap are there twice; the number of places left. All others are unique."""
    for index in range(count):
        twice[places[index]] = tally[owns[index]] > 1
    left = 0
    for index in range(count):
        first = places[index]
        if twice[first] and twice[first + 1]:
            hashes[first] = mix(hashes[first] * SHINGLE_FACTOR + hashes[first + 1])
            places[left] = first
            left += 1
        else:
            twice[first] = False
    return left


@compiled
def count_ngrams(
    hashes: NDArray[np.uint64], before: NDArray[np.int64], words: int, sizes: NDArray[np.int64], is_top: NDArray[np.bool_],
    places: NDArray[np.int64], owns: NDArray[np.int64], twice: NDArray[np.bool_],
    table: NDArray[np.uint64], tally: NDArray[np.int32], found: NDArray[np.int64],
) -> None:  # fmt: skip
    """Characters in the most frequent n-gram, or in those that were there before, for each of `sizes` (rising). Uses up `hashes`."""
    found[:] = 0
    twice[: words + 1] = False
    if len(sizes) == 0:
        return
    size = 1 if sizes[0] == 1 else 2
    count = max(words - size + 1, 0)
    for index in range(count):
        places[index] = index
        if size == 2:
            hashes[index] = mix(hashes[index] * SHINGLE_FACTOR + hashes[index + 1])
    next_size = 0
    while count > 1 and next_size < len(sizes):
        slots = room(count)
        table[:slots] = _ZERO
        tally[:slots] = 0
        best, best_characters, again, covered = 1, 0, 0, 0
        for index in range(count):
            first = places[index]
            slot = slot_of(hashes[first] | _ONE, table, slots)
            table[slot] = hashes[first] | _ONE
            tally[slot] += 1
            owns[index] = slot
            if tally[slot] > 1:
                whole = before[first + size] - before[first]
                if tally[slot] > best or (tally[slot] == best and whole > best_characters):
                    best, best_characters = tally[slot], whole
                again += before[first + size] - before[max(first, covered)]
                covered = first + size
        while next_size < len(sizes) and sizes[next_size] == size:
            found[next_size] = best * best_characters if is_top[next_size] else again
            next_size += 1
        count = longer(hashes, count, places, owns, twice, tally)
        size += 1
