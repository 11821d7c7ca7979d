"""The compiled loops of decontamination: words with their places, hashes of runs of words, runs that are word for word the same.

A word is a run of `0-9 A-Z a-z _` and of characters beyond ASCII, A-Z taken as a-z; of the latter U+0080 to U+00BF, U+2000 to U+206F
and U+3000 to U+303F part words, so that curly quotes and dashes don't matter. All arithmetic is mod 2^64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled

WORD_FACTOR, RUN_FACTOR = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)
_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BITS_30, _BITS_27, _BITS_31, _BITS_3, _LOW_3 = (np.uint64(number) for number in (30, 27, 31, 3, 7))
_ZERO, _ONE = np.uint64(0), np.uint64(1)

_bytes = np.arange(256)
_is_upper = (_bytes >= 65) & (_bytes <= 90)
LOWER = np.where(_is_upper, _bytes + 32, _bytes).astype(np.uint8)
IS_WORD = _is_upper | ((_bytes >= 97) & (_bytes <= 122)) | ((_bytes >= 48) & (_bytes <= 57)) | (_bytes == 95) | (_bytes >= 128)

Bytes = NDArray[np.uint8]
Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]


@compiled
def mixed(value: np.uint64) -> np.uint64:
    """splitmix64."""
    value = value + _GOLDEN
    value = (value ^ (value >> _BITS_30)) * _MIX_1
    value = (value ^ (value >> _BITS_27)) * _MIX_2
    return value ^ (value >> _BITS_31)


@compiled
def split(data: Bytes, start: int, end: int, hashes: UInt64s, starts: Int64s, ends: Int64s) -> int:
    """Write each word's hash and place; their number."""
    count, place, inside, word = 0, start, False, _ZERO
    while place < end:
        byte = data[place]
        size = 0  # of a character that parts words
        if byte < 128:
            size = 0 if IS_WORD[byte] else 1
        elif byte == 0xC2:
            size = 2
        elif byte == 0xE2 and place + 2 < end:
            size = 3 if data[place + 1] == 0x80 or (data[place + 1] == 0x81 and data[place + 2] <= 0xAF) else 0
        elif byte == 0xE3 and place + 2 < end:
            size = 3 if data[place + 1] == 0x80 else 0
        if size == 0:
            if not inside:
                starts[count], inside, word = place, True, _ZERO
            word = word * WORD_FACTOR + np.uint64(LOWER[byte])
            place += 1
            continue
        if inside:
            ends[count], hashes[count], inside = place, mixed(word), False
            count += 1
        place += size
    if inside:
        ends[count], hashes[count] = end, mixed(word)
        count += 1
    return count


@compiled
def split_rows(data: Bytes, offsets: Int64s, hashes: UInt64s, starts: Int64s, ends: Int64s, firsts: Int64s) -> int:
    """The words of all texts one after the other; `firsts` (texts + 1) says where each text's begin."""
    total = 0
    for row in range(len(offsets) - 1):
        firsts[row] = total
        total += split(data, offsets[row], offsets[row + 1], hashes[total:], starts[total:], ends[total:])
    firsts[len(offsets) - 1] = total
    return total


@compiled
def roll(words: UInt64s, size: int, lead: np.uint64, runs: UInt64s) -> None:
    """The hash of each run of `size` words; `lead` is RUN_FACTOR^size."""
    rolling = _ZERO
    for index in range(len(words)):
        rolling = rolling * RUN_FACTOR + words[index]
        if index >= size:
            rolling -= words[index - size] * lead
        if index >= size - 1:
            runs[index - size + 1] = mixed(rolling)


@compiled
def telling(
    data: Bytes, starts: Int64s, ends: Int64s, words: UInt64s, run_words: Int64s, run_sizes: Int64s, told: NDArray[np.bool_]
) -> None:  # fmt: skip
    """Whether at least half of a run's words hold more than digits, and at least a third of them are different."""
    lettered = np.zeros(len(words) + 1, np.int64)
    for index in range(len(words)):
        letters = False
        for place in range(starts[index], ends[index]):
            letters = letters or not 48 <= data[place] <= 57
        lettered[index + 1] = lettered[index] + letters
    for run in range(len(run_words)):
        first, size = run_words[run], run_sizes[run]
        different = 0
        for place in range(first, first + size):
            new = True
            for before in range(first, place):
                new = new and words[before] != words[place]
            different += new
        told[run] = 2 * (lettered[first + size] - lettered[first]) >= size and 3 * different >= size


@compiled
def same(
    data: Bytes, starts: Int64s, ends: Int64s, first: int,
    other: Bytes, other_starts: Int64s, other_ends: Int64s, other_first: int, number: int,
) -> bool:  # fmt: skip
    """Whether `number` words from `first` and `other_first` on are equal but for the case of A-Z."""
    for step in range(number):
        place, end = starts[first + step], ends[first + step]
        opposite = other_starts[other_first + step]
        if end - place != other_ends[other_first + step] - opposite:
            return False
        while place < end:
            if LOWER[data[place]] != LOWER[other[opposite]]:
                return False
            place += 1
            opposite += 1
    return True


Window = tuple[int, np.uint64, Bytes, UInt64s, Int64s, Int64s, Int64s]
"""Words that are hashed, RUN_FACTOR^that, a bit field of the hashes, the hashes sorted, and where the runs of each begin: of a run
the first word and the number of words."""


@compiled
def find(
    data: Bytes, offsets: Int64s, hashes: UInt64s, starts: Int64s, ends: Int64s,
    windows: tuple[Window, ...], item_data: Bytes, item_starts: Int64s, item_ends: Int64s,
) -> Int64s:  # fmt: skip
    """(found, 5): the text's row, first and last byte in it, the window, and the number of the run of words that stands there.

    A hash that is among the window's (first looked up in its bit field) is a candidate; what counts is that the words are the same.
    """
    found = np.empty((64, 5), np.int64)
    total = 0
    for row in range(len(offsets) - 1):
        count = split(data, offsets[row], offsets[row + 1], hashes, starts, ends)
        for window in range(len(windows)):
            size, lead, bits, keys, heads, run_words, run_sizes = windows[window]
            if len(keys) == 0:
                continue
            mask = np.uint64(len(bits) * 8 - 1)
            rolling = _ZERO
            for index in range(count):
                rolling = rolling * RUN_FACTOR + hashes[index]
                if index >= size:
                    rolling -= hashes[index - size] * lead
                if index < size - 1:
                    continue
                run = mixed(rolling)
                bit = run & mask
                if (np.uint64(bits[bit >> _BITS_3]) >> (bit & _LOW_3)) & _ONE == _ZERO:
                    continue
                place = np.searchsorted(keys, run)
                if place == len(keys) or keys[place] != run:
                    continue
                first = index - size + 1
                for entry in range(heads[place], heads[place + 1]):
                    length = run_sizes[entry]
                    if first + length > count:
                        continue
                    if not same(data, starts, ends, first, item_data, item_starts, item_ends, run_words[entry], length):
                        continue
                    if total == len(found):
                        larger = np.empty((2 * total, 5), np.int64)
                        larger[:total] = found
                        found = larger
                    found[total, 0], found[total, 1] = row, starts[first] - offsets[row]
                    found[total, 2] = ends[first + length - 1] - offsets[row]
                    found[total, 3], found[total, 4] = window, entry
                    total += 1
    return found[:total]
