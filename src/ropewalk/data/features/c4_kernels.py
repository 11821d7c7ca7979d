"""The compiled pass of C4's rules over lines; what it decides is said in filters/c4.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled
from ropewalk.data.features.characters import DIGIT, LETTER, SMALL, SPACE
from ropewalk.data.features.utf8 import character

LOREM, JAVASCRIPT, POLICY = 1, 2, 4
"""What a phrase is, as bits of a line."""
COUNTS = ("lines", "long_word", "no_end_mark", "few_words", "javascript", "policy", "lorem_ipsum", "curly_bracket", "sentences")
"""Columns that `c4_rows` fills: non-blank lines, those dropped by reason, those that condemn the document, sentences of what is kept."""
_BEGINS, _CURLY, _WIDE = np.uint8(2), np.uint8(4), np.uint8(64)  # of a byte: begins a phrase; is `{`; is beyond ASCII
_CLOSERS = np.isin(np.arange(256), [ord(mark) for mark in "\"')]}"])


@compiled
def before(data: NDArray[np.uint8], place: int, start: int) -> int:
    """Where the character that ends at `place` begins."""
    place -= 1
    while place > start and data[place] & 0xC0 == 0x80:
        place -= 1
    return place


@compiled
def is_space(data: NDArray[np.uint8], place: int, end: int, kinds: NDArray[np.uint8]) -> bool:
    point, _ = character(data, place, end)
    return bool(kinds[point] & SPACE)


@compiled
def stripped(data: NDArray[np.uint8], start: int, end: int, kinds: NDArray[np.uint8]) -> tuple[int, int]:
    """The part without white space at its ends."""
    while start < end and is_space(data, start, end, kinds):
        start += character(data, start, end)[1]
    while start < end and is_space(data, before(data, end, start), end, kinds):
        end = before(data, end, start)
    return start, end


@compiled
def says(data: NDArray[np.uint8], place: int, end: int, phrases: NDArray[np.uint8], first: int, last: int) -> bool:
    """Whether the small letters of data[place:] begin with phrases[first:last], which is ASCII."""
    while first < last and place < end:
        byte, size = data[place], 1
        if byte == 0xE2 and place + 2 < end and data[place + 1] == 0x84 and data[place + 2] == 0xAA:
            byte, size = np.uint8(107), 3  # the Kelvin sign's small form is a k
        elif byte == 0xC4 and first == last - 1 and place + 1 < end and data[place + 1] == 0xB0:
            byte, size = np.uint8(105), 2  # that of İ is an i and a dot above
        elif 65 <= byte <= 90:
            byte = np.uint8(byte + 32)
        if byte != phrases[first]:
            return False
        place += size
        first += 1
    return first == last


@compiled
def ending(out: NDArray[np.uint8], start: int, end: int, parts: NDArray[np.uint8], ends: NDArray[np.int64]) -> np.int64:
    """Bytes of the first of the parts with which out[start:end] ends; 0 for none."""
    for index in range(len(ends) - 1):
        size = ends[index + 1] - ends[index]
        same = end - start >= size
        if same:
            for place in range(size):
                same &= out[end - size + place] == parts[ends[index] + place]
        if same:
            return np.int64(size)
    return np.int64(0)


@compiled
def drop_citation(
    out: NDArray[np.uint8], start: int, end: int, names: NDArray[np.uint8], ends: NDArray[np.int64], kinds: NDArray[np.uint8]
) -> int:
    """The new end of out[start:end], which ends in `]`: without that citation if it is one."""
    size = ending(out, start, end, names, ends)
    if size:
        return int(end - size)
    place = end - 1
    while place > start:
        place = before(out, place, start)
        if out[place] == 91:
            return place
        if not kinds[character(out, place, end)[0]] & DIGIT:
            break
    return end


@compiled
def ends_well(out: NDArray[np.uint8], start: int, end: int, marks: NDArray[np.uint8], ends: NDArray[np.int64]) -> bool:
    """Whether the text ends with one of the marks, and not with an ellipsis of dots."""
    if end - start > 2 and out[end - 1] == 46 and out[end - 2] == 46 and out[end - 3] == 46:
        return False
    return bool(ending(out, start, end, marks, ends))


@compiled
def line_facts(
    out: NDArray[np.uint8], start: int, end: int, kinds: NDArray[np.uint8], marks: NDArray[np.uint8],
    phrases: NDArray[np.uint8], ends: NDArray[np.int64], means: NDArray[np.int64], begins: NDArray[np.int64],
) -> tuple[int, int, int, bool, int]:  # fmt: skip
    """(words, characters of the longest, phrases found as bits, whether there is a `{`, sentences) of a line without blanks around it."""
    words = longest = found = 0
    sentences = 1
    curly = False
    place = word_from = word_to = start
    while place < end:
        word_at, wide, size = place, 0, 1
        if words and kinds[character(out, place, end)[0]] & SMALL == 0:
            sentences += ends_sentence(out, word_from, word_to, kinds)
        while place < end:
            byte = out[place]
            mark = marks[byte]
            if mark:
                size = 1
                if mark & _WIDE:
                    point, size = character(out, place, end)
                    if kinds[point] & SPACE:
                        break
                    wide += size - 1
                elif mark & SPACE:
                    break
                if mark & _BEGINS:
                    for index in range(begins[byte, 0], begins[byte, 1]):
                        if says(out, place, end, phrases, ends[index], ends[index + 1]):
                            found |= means[index]
                curly |= byte == 123
                place += size
            else:
                place += 1
        word_from, word_to = word_at, place
        words += 1
        longest = max(longest, place - word_at - wide)
        while place < end and is_space(out, place, end, kinds):
            place += character(out, place, end)[1]
    return words, longest, found, curly, sentences


@compiled
def ends_sentence(out: NDArray[np.uint8], start: int, end: int, kinds: NDArray[np.uint8]) -> bool:
    """Whether a word ends in `.`, `?` or `!`, closing quotes and brackets aside, and is no initial such as `J.`."""
    while end > start and _CLOSERS[out[end - 1]]:
        end -= 1
    if end == start or (out[end - 1] != 46 and out[end - 1] != 63 and out[end - 1] != 33):
        return False
    point, size = character(out, start, end)
    return not (out[end - 1] == 46 and start + size == end - 1 and kinds[point] & LETTER)


@compiled
def c4_rows(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], kinds: NDArray[np.uint8],
    names: NDArray[np.uint8], name_ends: NDArray[np.int64], marks: NDArray[np.uint8], mark_ends: NDArray[np.int64],
    last_bytes: NDArray[np.bool_],
    phrases: NDArray[np.uint8], phrase_ends: NDArray[np.int64], means: NDArray[np.int64], begins: NDArray[np.int64],
    min_words: int, max_length: int, out: NDArray[np.uint8], new_offsets: NDArray[np.int64], counts: NDArray[np.int64],
) -> None:  # fmt: skip
    """Write the lines that stay into `out` and count the others; `last_bytes` are those that one that stays can end with.

    Citations with these names and numbers are left out, none where there are no names; without marks any end will do.
    """
    written = 0
    new_offsets[0] = 0
    cites = len(name_ends) > 1
    byte_marks = kinds[:256] & np.uint8(SPACE)
    byte_marks[128:] = _WIDE
    byte_marks[123] = _CURLY
    for byte in range(256):
        if begins[byte, 0] < begins[byte, 1]:
            byte_marks[byte] |= _BEGINS
    for row in range(len(offsets) - 1):
        counts[row] = 0
        place, end = offsets[row], offsets[row + 1]
        first = written
        while place < end:
            stop = place
            while stop < end and data[stop] != 10:
                stop += 1
            start, finish = stripped(data, place, stop, kinds)
            place = stop + 1
            if start == finish:
                continue
            counts[row, 0] += 1
            if not last_bytes[data[finish - 1]]:
                counts[row, 2] += 1
                continue
            here = written
            if here > first:
                out[here] = 10
                here += 1
            to = here
            for index in range(start, finish):
                out[to] = data[index]
                to += 1
                if cites and data[index] == 93:
                    to = drop_citation(out, here, to, names, name_ends, kinds)
            start, finish = stripped(out, here, to, kinds)
            if start > here:
                for index in range(finish - start):
                    out[here + index] = out[start + index]
            finish = here + finish - start
            if len(mark_ends) > 1 and not ends_well(out, here, finish, marks, mark_ends):
                counts[row, 2] += 1
                continue
            words, longest, found, curly, sentences = line_facts(out, here, finish, kinds, byte_marks, phrases, phrase_ends, means, begins)
            if longest > max_length:
                counts[row, 1] += 1
                continue
            if words < max(min_words, 1):
                counts[row, 3] += 1
                continue
            counts[row, 6] += found & LOREM != 0
            if found & JAVASCRIPT:
                counts[row, 4] += 1
                continue
            counts[row, 7] += curly
            if found & POLICY:
                counts[row, 5] += 1
                continue
            counts[row, 8] += sentences
            written = finish
        new_offsets[row + 1] = written
