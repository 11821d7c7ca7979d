"""The one compiled pass over documents' bytes; what it counts is said in measures.py, by the same names.

A word is hashed by its characters, lines and paragraphs by their words and the white space between them: they need no second look.
The table of n-grams is made for two words first and then one word longer each time, of those places only where both shorter
n-grams are there twice: so the long ones, which hardly ever repeat, cost nothing. All loops that may change are in this file,
because numba's cache on disk notices changes of one file only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled
from ropewalk.data.dedup.kernels import SHINGLE_FACTOR, WORD_FACTOR, mix
from ropewalk.data.features.characters import COUNTED, END, LETTER, SPACE
from ropewalk.data.features.utf8 import character

NAMES = (
    "characters", "newlines", "words", "word_characters", "letter_words", "hashes", "ellipses",
    "lines", "bullet_lines", "ellipsis_lines", "end_lines", "short_lines", "line_characters",
    "duplicate_lines", "duplicate_line_characters", "paragraphs", "duplicate_paragraphs", "duplicate_paragraph_characters", "stop_words",
)  # fmt: skip
"""The columns that `measure_rows` fills, in its order."""

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_HIGH = np.uint64(32)
_WIDE = np.uint8(64)  # a byte of a character beyond ASCII
_CAPITAL = np.uint8(128)
_SPECIAL, _CHANGED = np.uint8(SPACE | COUNTED | 64), np.uint8(64 | 128)  # what has no small form of its own is neither
_DOTS, _ELLIPSIS = 0x2E2E2E, 0xE280A6  # in UTF-8


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
def stop_word(
    data: NDArray[np.uint8], start: int, end: int, longest: int,
    stripped: NDArray[np.bool_], lower: NDArray[np.uint32], table: NDArray[np.uint64],
) -> np.int64:  # fmt: skip
    """The slot of the stop word that data[start:end] is in small letters and without the marks around it; for none the one behind."""
    while start < end and stripped[data[start]]:
        start += 1
    while start < end and stripped[data[end - 1]]:
        end -= 1
    if end - start > longest:
        return np.int64(len(table))
    word = _ZERO
    while start < end:
        point, size = character(data, start, end)
        word = word * WORD_FACTOR + np.uint64(lower[point])
        if point == 0x130:  # İ: its small form is an i and a dot above
            word = word * WORD_FACTOR + np.uint64(0x307)
        start += size
    key = mix(word) | _ONE
    slot = slot_of(key, table, len(table))
    return slot if table[slot] == key else np.int64(len(table))


@compiled
def ends(data: NDArray[np.uint8], start: int, end: int, kinds: NDArray[np.uint8]) -> bool:
    """Whether the last character of data[start:end] is an end mark."""
    last = end - 1
    while last > start and data[last] & 0xC0 == 0x80:
        last -= 1
    return bool(kinds[character(data, last, end)[0]] & END)


@compiled
def measure_rows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], kinds: NDArray[np.uint8], lower: NDArray[np.uint32], bullets: NDArray[np.uint32],
    stops: NDArray[np.uint64], stop_starts: NDArray[np.bool_], stripped: NDArray[np.bool_], longest_stop: int, short: int,
    sizes: NDArray[np.int64], is_top: NDArray[np.bool_], features: NDArray[np.int64], ngrams: NDArray[np.int64],
) -> None:  # fmt: skip
    most = 2  # words of a document
    for row in range(len(offsets) - 1):
        most = max(most, (offsets[row + 1] - offsets[row]) // 2 + 2)
    hashes, before = np.empty(most, np.uint64), np.empty(most + 1, np.int64)
    parts, part_lengths = np.empty(most, np.uint64), np.empty(most, np.int64)
    blocks, block_lengths = np.empty(most, np.uint64), np.empty(most, np.int64)
    table, tally = np.empty(room(most), np.uint64), np.empty(room(most), np.int32)
    places, owns = np.empty(most, np.int64), np.empty(most, np.int64)
    was_there, twice = np.empty(most, np.bool_), np.empty(most + 1, np.bool_)
    found_in = np.full(len(stops) + 1, -1, np.int64)  # the last is for what is no stop word
    of_byte = kinds[:256].copy()
    of_byte[128:] = _WIDE
    of_byte[65:91] |= _CAPITAL
    for row in range(len(offsets) - 1):
        place, end = offsets[row], offsets[row + 1]
        words = characters = newlines = letter_words = marks = ellipses = dots = word_characters = stop_words = 0
        lines = bullet_lines = ellipsis_lines = end_lines = short_lines = line_characters = paragraphs = 0
        dot_at = start = word_end = -1
        line_from = line_to = block_from = 0  # in characters
        line = block = _ZERO
        in_line = in_block = False
        while True:
            gap, breaks = _ZERO, 0
            while place < end:
                byte = data[place]
                point, size = np.int64(byte), 1
                if not of_byte[byte] & (SPACE | _WIDE):
                    break
                if byte >= 0x80:
                    point, size = character(data, place, end)
                    if not kinds[point] & SPACE:
                        break
                breaks += byte == 10
                gap = (gap + _ONE) * SHINGLE_FACTOR + np.uint64(point)
                place += size
                characters += 1
            newlines += breaks
            over = place >= end
            if in_line and (breaks or over):
                parts[lines], part_lengths[lines] = mix(line) | _ONE, line_to - line_from
                lines += 1
                line_characters += line_to - line_from
                short_lines += line_to - line_from <= short
                end_lines += ends(data, start, word_end, kinds)
                if word_end - start > 2:
                    tail = np.int64(data[word_end - 3]) << 16 | np.int64(data[word_end - 2]) << 8 | np.int64(data[word_end - 1])
                    ellipsis_lines += tail in (_DOTS, _ELLIPSIS)
                in_line = False
            if in_block and (breaks > 1 or over):
                blocks[paragraphs], block_lengths[paragraphs] = mix(block) | _ONE, line_to - block_from
                paragraphs += 1
                in_block = False
            if over:
                break
            start, began, wide = place, characters, 0
            word = _ZERO
            seen = np.uint8(0)
            while place < end:
                byte = data[place]
                kind = of_byte[byte]
                if not kind & _SPECIAL:  # most bytes
                    word = word * WORD_FACTOR + np.uint64(byte)
                    seen |= kind
                    place += 1
                    continue
                point, size = np.int64(byte), 1
                if byte >= 0x80:
                    point, size = character(data, place, end)
                    kind = kinds[point] | _WIDE
                if kind & SPACE:
                    break
                word = word * WORD_FACTOR + np.uint64(point)
                seen |= kind
                if point == 46:
                    dots = dots + 1 if dot_at == place - 1 else 1
                    dot_at = place
                    if dots == 3:
                        ellipses += 1
                        dots = 0
                elif kind & COUNTED:
                    marks += point == 35
                    ellipses += point != 35
                wide += size - 1
                place += size
            word_end = place
            length = place - start - wide
            characters += length
            word = mix(word)
            hashes[words], before[words] = word, word_characters
            words += 1
            word_characters += length
            letter_words += (seen & LETTER) != 0
            slot = slot_of(word | _ONE, stops, len(stops))
            found_in[slot if stops[slot] == word | _ONE else len(stops)] = row
            marked = stripped[data[start]] | stripped[data[place - 1]]
            if (marked | ((seen & _CHANGED) != 0)) & stop_starts[data[start]] & (marked | (place - start <= longest_stop)):
                found_in[stop_word(data, start, place, longest_stop, stripped, lower, stops)] = row
            if in_line:
                line = (line ^ gap) * SHINGLE_FACTOR + word
            else:
                in_line, line, line_from = True, word, began
                point, size = character(data, start, place)
                if point == 45 or point == 42:
                    bullet_lines += length == 1
                elif point >= 0x2000:
                    for mark in bullets:
                        bullet_lines += point == mark
            if in_block:
                block = (block ^ gap) * SHINGLE_FACTOR + word
            else:
                in_block, block, block_from = True, word, began
            line_to = characters
        before[words] = word_characters
        for stop in range(len(stops)):
            stop_words += found_in[stop] == row
        duplicate_lines, duplicate_line_characters = repeated(parts, part_lengths, lines, table)
        duplicate_paragraphs, duplicate_paragraph_characters = repeated(blocks, block_lengths, paragraphs, table)
        measured = (
            characters, newlines, words, word_characters, letter_words, marks, ellipses,
            lines, bullet_lines, ellipsis_lines, end_lines, short_lines, line_characters, duplicate_lines, duplicate_line_characters,
            paragraphs, duplicate_paragraphs, duplicate_paragraph_characters, stop_words,
        )  # fmt: skip
        for column in range(len(measured)):
            features[row, column] = measured[column]
        count_ngrams(hashes, before, words, sizes, is_top, places, owns, was_there, twice, table, tally, ngrams[row])


@compiled
def longer(hashes: NDArray[np.uint64], count: int, places: NDArray[np.int64], twice: NDArray[np.bool_]) -> int:
    """Make n-grams one word longer where both that overlap are there twice; the number of places left. All others are unique."""
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
    places: NDArray[np.int64], owns: NDArray[np.int64], was_there: NDArray[np.bool_], twice: NDArray[np.bool_],
    table: NDArray[np.uint64], tally: NDArray[np.int32], found: NDArray[np.int64],
) -> None:  # fmt: skip
    """Characters in the most frequent n-gram with a blank between its words, or of the words in n-grams that were there before.

    One for each of `sizes`, which rise. Uses up `hashes`.
    """
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
    next_size, first_duplicates = 0, sizes[-1] + 1
    for index in range(len(sizes)):
        if not is_top[index]:
            first_duplicates = min(first_duplicates, sizes[index])
    while count > 1 and next_size < len(sizes):
        slots = room(count)
        table[:slots] = _ZERO
        tally[:slots] = 0
        for index in range(count):
            key = hashes[places[index]] | _ONE
            slot = slot_of(key, table, slots)
            table[slot] = key
            was_there[index] = tally[slot] > 0
            tally[slot] += 1
            owns[index] = slot
        best, best_characters, again, covered = 2, 0, 0, 0
        for index in range(count):
            number, first = tally[owns[index]], places[index]
            twice[first] = number > 1
            if number >= best:
                whole = before[first + size] - before[first] + size - 1  # a blank between two words
                if number > best or whole > best_characters:
                    best, best_characters = number, whole
            if was_there[index] and size >= first_duplicates:
                again += before[first + size] - before[max(first, covered)]
                covered = first + size
        while next_size < len(sizes) and sizes[next_size] == size:
            found[next_size] = best * best_characters if is_top[next_size] else again
            next_size += 1
        count = longer(hashes, count, places, twice)
        size += 1
