"""The compiled loops of deduplication that read bytes: hash words, characters and shingles, sign. What they compute is said in
hash.py and signature.py; they are in one file because numba's cache on disk notices changes of one file only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64's step
WORD_FACTOR = np.uint64(0xD6E8FEB86659FD93)
SHINGLE_FACTOR = np.uint64(0xA0761D6478BD642F)
EXACT_FACTORS = (np.uint64(0xE7037ED1A0B428DB), np.uint64(0x8EBC6AF09C88C6E3))

_FIRST, _SECOND = EXACT_FACTORS
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BITS_30, _BITS_27, _BITS_31 = np.uint64(30), np.uint64(27), np.uint64(31)
_ZERO, _BLANK = np.uint64(0), np.uint64(32)

_bytes = np.arange(256)
_is_upper = (_bytes >= 65) & (_bytes <= 90)
_is_letter = _is_upper | ((_bytes >= 97) & (_bytes <= 122))
_is_word = _is_letter | ((_bytes >= 48) & (_bytes <= 57)) | (_bytes == 95) | (_bytes >= 128)
LOWER = np.where(_is_upper, _bytes + 32, _bytes).astype(np.uint64)
SPACE = np.isin(_bytes, [9, 10, 11, 12, 13, 32])
WORD_BYTE = np.where(_is_word, LOWER, 0).astype(np.uint64)
"""The lower-case byte, 0 for one that parts words."""
WORD_STEP = np.where(_is_word, WORD_FACTOR, 0).astype(np.uint64)
"""The factor, 0 for a byte that parts words: so the running polynomial starts anew without a branch."""
_LOW, _HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)
_NOTHING = np.uint64(0xFFFFFFFFFFFFFFFF)


@compiled
def mix(value: np.uint64) -> np.uint64:
    """splitmix64: the first number of the generator seeded with `value`."""
    value = value + GOLDEN
    value = (value ^ (value >> _BITS_30)) * _MIX_1
    value = (value ^ (value >> _BITS_27)) * _MIX_2
    return value ^ (value >> _BITS_31)


@compiled
def words_of(data: NDArray[np.uint8], start: int, end: int, words: NDArray[np.uint64]) -> int:
    """Write the hash of each word of data[start:end] into `words`; their number."""
    count = 0
    word = _ZERO
    inside = 0
    for place in range(start, end):
        byte = data[place]
        words[count] = word
        now = 1 if WORD_STEP[byte] else 0
        count += inside & (1 - now)  # one has just ended
        inside = now
        word = word * WORD_STEP[byte] + WORD_BYTE[byte]
    words[count] = word
    count += inside
    for index in range(count):
        words[index] = mix(words[index])
    return count


@compiled
def letters_of(data: NDArray[np.uint8], start: int, end: int, words: NDArray[np.uint64]) -> int:
    """Write the hash of each character of data[start:end] into `words`, white space folded; their number."""
    count = 0
    letter = _ZERO
    blank = False
    for place in range(start, end):
        byte = data[place]
        if SPACE[byte]:
            blank = count > 0
            continue
        if (byte & 0xC0) == 0x80 and count > 0 and not blank:  # goes on with the code point
            letter = letter * WORD_FACTOR + LOWER[byte]
            words[count - 1] = letter
            continue
        if blank:
            words[count] = _BLANK
            count += 1
            blank = False
        letter = LOWER[byte]
        words[count] = letter
        count += 1
    for index in range(count):
        words[index] = mix(words[index])
    return count


@compiled
def shingles_of(words: NDArray[np.uint64], count: int, ngram: int, lead: np.uint64, shingles: NDArray[np.uint64]) -> int:
    """Write the hash of each word n-gram into `shingles`, repeated ones too; their number. `lead` is SHINGLE_FACTOR^ngram."""
    if count == 0:
        return 0
    rolling = _ZERO
    for index in range(min(ngram, count)):
        rolling = rolling * SHINGLE_FACTOR + words[index]
    shingles[0] = mix(rolling)
    for index in range(ngram, count):
        rolling = rolling * SHINGLE_FACTOR + words[index] - words[index - ngram] * lead
        shingles[index - ngram + 1] = mix(rolling)
    return max(count - ngram, 0) + 1


@compiled
def shingle_rows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], rows: NDArray[np.int64], characters: bool, ngram: int, lead: np.uint64,
    words: NDArray[np.uint64], shingles: NDArray[np.uint64], counts: NDArray[np.int64],
) -> int:  # fmt: skip
    total = 0
    for index in range(len(rows)):
        row = rows[index]
        if characters:
            count = letters_of(data, offsets[row], offsets[row + 1], words)
        else:
            count = words_of(data, offsets[row], offsets[row + 1], words)
        counts[index] = shingles_of(words, count, ngram, lead, shingles[total:])
        total += counts[index]
    return total


@compiled
def exact_rows(data: NDArray[np.uint8], offsets: NDArray[np.int64], hashes: NDArray[np.uint64]) -> None:
    for row in range(len(offsets) - 1):
        first, second, length = _ZERO, _ZERO, _ZERO
        blank = False
        for place in range(offsets[row], offsets[row + 1]):
            byte = data[place]
            if SPACE[byte]:
                blank = True
                continue
            if blank and length:
                first, second = first * _FIRST + _BLANK, second * _SECOND + _BLANK
                length += np.uint64(1)
            blank = False
            first, second = first * _FIRST + LOWER[byte], second * _SECOND + LOWER[byte]
            length += np.uint64(1)
        hashes[row, 0], hashes[row, 1] = mix(first + length), mix(second + length)


@compiled
def sign(shingles: NDArray[np.uint64], count: int, slots: NDArray[np.uint64], reached: NDArray[np.int32]) -> None:
    """Fill `slots` (values) from `count` >= 1 shingles; `reached` is scratch of the same length."""
    values = len(slots)
    number = np.uint64(values)
    left = values
    for slot in range(values):
        slots[slot] = _NOTHING
        reached[slot] = -1
    for index in range(count):
        shingle = shingles[index]
        thrown = np.int64(((shingle >> _HIGH) * number) >> _HIGH)
        slots[thrown] = min(slots[thrown], shingle & _LOW)
    for slot in range(values):
        if slots[slot] != _NOTHING:
            reached[slot] = 0
            left -= 1
    turn = 1
    while left > 0:
        step = np.uint64(turn - 1) * GOLDEN  # mix adds one more
        forced = turn - values
        if forced < 0:
            for index in range(count):
                drawn = mix(shingles[index] + step)
                thrown = np.int64(((drawn >> _HIGH) * number) >> _HIGH)
                if reached[thrown] < 0 or reached[thrown] == turn:
                    left -= 1 if reached[thrown] < 0 else 0
                    reached[thrown] = turn
                    slots[thrown] = min(slots[thrown], drawn & _LOW)
        elif reached[forced] < 0:
            left -= 1
            for index in range(count):
                slots[forced] = min(slots[forced], mix(shingles[index] + step) & _LOW)
        turn += 1


@compiled
def signature_rows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], characters: bool, ngram: int, lead: np.uint64,
    words: NDArray[np.uint64], shingles: NDArray[np.uint64], slots: NDArray[np.uint64], reached: NDArray[np.int32],
    signatures: NDArray[np.uint32], counts: NDArray[np.int64],
) -> None:  # fmt: skip
    for row in range(len(offsets) - 1):
        if characters:
            count = letters_of(data, offsets[row], offsets[row + 1], words)
        else:
            count = words_of(data, offsets[row], offsets[row + 1], words)
        counts[row] = shingles_of(words, count, ngram, lead, shingles)
        if counts[row]:
            sign(shingles, counts[row], slots, reached)
            for slot in range(len(slots)):
                signatures[row, slot] = slots[slot]


@compiled
def fold_rows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], small: NDArray[np.int32], words: bool, out: NDArray[np.uint8],
    out_offsets: NDArray[np.int64],
) -> None:  # fmt: skip
    """Write each text with its code points as `small` says, below 0 for one that is in no word; those beyond it stay but emoji."""
    place = 0
    out_offsets[0] = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            if data[at] < 0x80:  # left to what reads words
                out[place] = data[at]
                place += 1
                at += 1
                continue
            lead = np.int64(data[at])
            size = 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            size = min(size, end - at)  # a code point that was cut stays what it is
            point = lead if size == 1 else lead & (0x7F >> size)
            for step in range(1, size):
                point = point << 6 | (np.int64(data[at + step]) & 0x3F)
            if size < 4:
                folded = np.int64(small[point])
                point, inside = abs(folded), folded > 0
            else:
                inside = point < 0x1F000 or point >= 0x20000
            if words and not inside:
                point = 32
            if point < 0x80:
                out[place] = point
                place += 1
            elif point < 0x800:
                out[place], out[place + 1] = 0xC0 | point >> 6, 0x80 | point & 0x3F
                place += 2
            elif point < 0x10000:
                out[place], out[place + 1], out[place + 2] = 0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F
                place += 3
            else:
                for step in range(4):
                    out[place + step] = data[at + step]
                place += 4
            at += size
        out_offsets[row + 1] = place
