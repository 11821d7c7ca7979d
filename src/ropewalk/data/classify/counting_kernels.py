"""The compiled loops over words of plain letters: n-grams counted in buckets, the scores of texts and of their sentences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled

MOST_COUNT = 255
MOST_WORDS = 64
"""A stretch without an end of a sentence is parted after so many words."""
EDGE = 2
"""The unit that stands for the edge of a word."""
_FACTOR, _SPREAD = np.uint64(0xD6E8FEB86659FD93), np.uint64(0x9E3779B97F4A7C15)
_WORD_SALT, _PAIR_SALT, _SIGN_SALT = np.uint64(0x8EBC6AF09C88C6E3), np.uint64(0xE7037ED1A0B428DB), np.uint64(0xA0761D6478BD642F)
_NONE = np.uint64(0)
_NEWLINE, _STOP, _BANG, _QUESTION, _BLANK = 10, 46, 33, 63, 32


@compiled
def _add(hashed: np.uint64, shift: np.uint64, counts: NDArray[np.uint8], touched: NDArray[np.int32], number: int) -> int:
    bucket = np.int64((hashed * _SPREAD) >> shift)
    seen = counts[bucket]
    if seen == 0:
        touched[number] = bucket
        number += 1
    if seen < MOST_COUNT:
        counts[bucket] = seen + 1
    return number


@compiled
def count_ngrams(
    units: NDArray[np.uint32], starts: NDArray[np.int32], signs: NDArray[np.bool_], first: int, end: int,
    word_grams: int, least: int, most: int, shift: np.uint64, counts: NDArray[np.uint8], touched: NDArray[np.int32],
) -> int:  # fmt: skip
    """Count the n-grams of words first:end in `counts`; how many buckets hold some, which `touched` names.

    Word n-grams up to `word_grams`, leaving signs out; character n-grams of `least` to `most` within a word and its edges.
    """
    number = 0
    before, before_that = _NONE, _NONE
    edge = np.uint64(EDGE)
    for word in range(first, end):
        start, stop = starts[word], starts[word + 1]
        if signs[word]:
            number = _add((np.uint64(units[start]) + _SIGN_SALT) * _FACTOR, shift, counts, touched, number)
            continue
        hashed = _NONE
        for at in range(start, stop):
            hashed = hashed * _FACTOR + np.uint64(units[at])
        hashed = (hashed ^ (hashed >> np.uint64(29))) * _SPREAD
        hashed ^= hashed >> np.uint64(32)
        if word_grams >= 1:
            number = _add(hashed + _WORD_SALT, shift, counts, touched, number)
        if word_grams >= 2 and before != _NONE:
            number = _add(before * _PAIR_SALT + hashed, shift, counts, touched, number)
        if word_grams >= 3 and before_that != _NONE:
            number = _add((before_that * _PAIR_SALT + before) * _PAIR_SALT + hashed, shift, counts, touched, number)
        before_that, before = before, hashed
        for at in range(start - 1, stop + 1):  # the n-grams that begin at `at`
            rolling = _NONE
            for size in range(1, min(most, stop + 1 - at) + 1):
                place = at + size - 1
                rolling = rolling * _FACTOR + (edge if place < start or place >= stop else np.uint64(units[place]))
                if size >= least:
                    number = _add((rolling + np.uint64(size)) * _FACTOR, shift, counts, touched, number)
    return number


@compiled
def vectors(
    units: NDArray[np.uint32], starts: NDArray[np.int32], signs: NDArray[np.bool_], firsts: NDArray[np.int32],
    word_grams: int, least: int, most: int, shift: np.uint64, counts: NDArray[np.uint8], touched: NDArray[np.int32],
    packed: NDArray[np.uint32], sizes: NDArray[np.int64],
) -> int:  # fmt: skip
    """Each text's n-grams as bucket * 256 + count, one text after the other; their number."""
    total = 0
    for row in range(len(firsts) - 1):
        number = count_ngrams(units, starts, signs, firsts[row], firsts[row + 1], word_grams, least, most, shift, counts, touched)
        sizes[row] = number
        for index in range(number):
            bucket = touched[index]
            packed[total + index] = np.uint32(np.int64(bucket) * 256 + np.int64(counts[bucket]))
            counts[bucket] = 0
        total += number
    return total


@compiled
def _weigh(
    number: int, weights: NDArray[np.float32], damped: NDArray[np.float64], counts: NDArray[np.uint8], touched: NDArray[np.int32]
) -> float:
    """The sum of weights times damped counts over the vector's length; empties `counts`."""
    total, length = 0.0, 0.0
    for index in range(number):
        bucket = touched[index]
        value = damped[counts[bucket]]
        counts[bucket] = 0
        total += weights[bucket] * value
        length += value * value
    return total / np.sqrt(length) if number else 0.0


@compiled
def score_parts(
    units: NDArray[np.uint32], starts: NDArray[np.int32], signs: NDArray[np.bool_], parts: NDArray[np.int32],
    word_grams: int, least: int, most: int, shift: np.uint64, counts: NDArray[np.uint8], touched: NDArray[np.int32],
    weights: NDArray[np.float32], damped: NDArray[np.float64], result: NDArray[np.float64], known: NDArray[np.bool_],
) -> None:  # fmt: skip
    """The score before the bias of each part (words parts[i]:parts[i+1]), and whether it has n-grams at all."""
    for part in range(len(parts) - 1):
        number = count_ngrams(units, starts, signs, parts[part], parts[part + 1], word_grams, least, most, shift, counts, touched)
        known[part] = number > 0
        result[part] = _weigh(number, weights, damped, counts, touched)


@compiled
def sentences(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], begins: NDArray[np.int32], firsts: NDArray[np.int32],
    parts: NDArray[np.int32], rows: NDArray[np.int32],
) -> int:  # fmt: skip
    """Part the words of each text where a line or a sentence ends: part i is words parts[i]:parts[i+1] of text rows[i]; their number."""
    number = 0
    for row in range(len(firsts) - 1):
        length = 0
        for word in range(firsts[row], firsts[row + 1]):
            over = length == 0 or length >= MOST_WORDS
            if not over:
                stop = offsets[row] + begins[word]
                for place in range(offsets[row] + begins[word - 1], stop):  # the word before may be a sign
                    byte = data[place]
                    closes = byte in (_STOP, _BANG, _QUESTION)
                    over |= byte == _NEWLINE or (closes and place + 1 < stop and data[place + 1] <= _BLANK)
            if over:
                parts[number], rows[number] = word, row
                number += 1
                length = 0
            length += 1
    parts[number] = firsts[len(firsts) - 1]
    return number


@compiled
def word_key(units: NDArray[np.uint32], start: int, end: int) -> np.uint64:
    """The number under which a word list keeps units[start:end]."""
    hashed = _NONE
    for at in range(start, end):
        hashed = hashed * _FACTOR + np.uint64(units[at])
    return hashed


@compiled
def word_weights(
    units: NDArray[np.uint32], starts: NDArray[np.int32], signs: NDArray[np.bool_],
    keys: NDArray[np.uint64], values: NDArray[np.float32], longer: NDArray[np.bool_], result: NDArray[np.float32],
) -> None:  # fmt: skip
    """What each word weighs in a list: `keys` is a hash table of words (0: free), `longer` says that words that begin so count too."""
    last = len(keys) - 1
    for word in range(len(result)):
        result[word] = 0.0
        if signs[word]:
            continue
        hashed = _NONE
        for at in range(starts[word], starts[word + 1]):
            hashed = hashed * _FACTOR + np.uint64(units[at])
            slot = np.int64(hashed ^ (hashed >> np.uint64(32))) & last
            while keys[slot] != _NONE:
                if keys[slot] == hashed:
                    if longer[slot] or at + 1 == starts[word + 1]:
                        result[word] = max(result[word], values[slot])
                    break
                slot = (slot + 1) & last
