"""The compiled loop that reads texts as words of plain letters. What they are is said in words.py and features.py.

No other compiled loop calls it: numba's cache on disk notices changes of one file only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.classify.alphabet import (
    DIGIT,
    LETTER,
    MATHEMATICAL,
    MATHEMATICAL_END,
    NOTHING,
    PUNCTUATION,
    SEPARATOR,
    SYMBOL,
    SYMBOLS,
    SYMBOLS_END,
    TABLE_END,
    WIDE,
    WIDE_END,
)
from ropewalk.data.dedup.compiled import compiled

ADDRESS, NAME = 3, 64
"""Units that stand for a URL and for somebody's @name."""
_AT, _BANG, _DOLLAR, _STAR, _AMPERSAND, _SEMICOLON, _HASH, _ZERO_DIGIT = 64, 33, 36, 42, 38, 59, 35, 48
_LEET = np.array([111, 105, 48, 101, 97, 115, 48, 116, 98, 48], np.uint32)  # 0123456789 read as o i . e a s . t b .
_DOUBLES = np.zeros(128, np.bool_)
_DOUBLES[[ord(letter) for letter in "bcdefglmnoprstz"]] = True  # of the others, English has no pair


@compiled
def decode(
    data: NDArray[np.uint8], start: int, end: int, kinds: NDArray[np.uint8], plain: NDArray[np.uint32],
    found: NDArray[np.uint8], letters: NDArray[np.uint32], places: NDArray[np.int32],
) -> int:  # fmt: skip
    """Write the kind, plain letter and place of each character of UTF-8 data[start:end]; their number."""
    count = 0
    place = start
    while place < end:
        byte = np.int64(data[place])
        size = 1 if byte < 128 else 2 if byte < 224 else 3 if byte < 240 else 4
        if place + size > end:
            break  # the limit cuts a character: it is outside
        point = byte
        if size > 1:
            point = byte & ((1 << (7 - size)) - 1)
            for more in range(1, size):
                point = (point << 6) | (np.int64(data[place + more]) & 63)
        index = point
        if point >= TABLE_END:
            index = np.int64(-1)
            if WIDE <= point < WIDE_END:
                index = TABLE_END + point - WIDE
            elif MATHEMATICAL <= point < MATHEMATICAL_END:
                index = TABLE_END + WIDE_END - WIDE + point - MATHEMATICAL
        if index >= 0:
            found[count], letters[count] = kinds[index], plain[index]
        else:
            blank = point < 0x3040
            found[count] = SEPARATOR if blank else SYMBOL if SYMBOLS <= point < SYMBOLS_END else LETTER
            letters[count] = point
        places[count] = place - start
        count += 1
        place += size
    places[count] = place - start
    return count


@compiled
def _span_of_address(found: NDArray[np.uint8], letters: NDArray[np.uint32], at: int, count: int) -> int:
    """Where a URL that begins at `at` ends; `at` when none does."""
    www = at + 4 < count and letters[at] == 119 and letters[at + 1] == 119 and letters[at + 2] == 119 and letters[at + 3] == 46
    http = at + 7 < count and letters[at] == 104 and letters[at + 1] == 116 and letters[at + 2] == 116 and letters[at + 3] == 112
    if http:
        colon = at + 4 if letters[at + 4] == 58 else at + 5
        http = letters[colon] == 58 and letters[colon + 1] == 47
    if not (www or http):
        return at
    while at < count and found[at] != SEPARATOR:
        at += 1
    return at


@compiled
def _span_of_entity(found: NDArray[np.uint8], letters: NDArray[np.uint32], at: int, count: int) -> int:
    """Where an HTML entity such as `&amp;` that begins at `at` ends; `at` when none does."""
    place = at + 1
    while place < count and place - at < 10 and (found[place] == LETTER or found[place] == DIGIT or letters[place] == _HASH):
        place += 1
    return place + 1 if place - at > 2 and place < count and letters[place] == _SEMICOLON else at


@compiled
def undisguise(found: NDArray[np.uint8], letters: NDArray[np.uint32], count: int) -> None:
    """Read `sh1t`, `a$$`, `b@d` and `f**k` as words, names and URLs as one sign each, entities as a blank; in place."""
    at = 0
    inside = 0  # letters of the word so far
    while at < count:
        kind, letter = found[at], letters[at]
        after = found[at + 1] if at + 1 < count else SEPARATOR
        if kind == LETTER:
            stop = _span_of_address(found, letters, at, count) if inside == 0 else at
            if stop > at:
                found[at:stop], letters[at] = NOTHING, ADDRESS
                found[at] = SYMBOL
                at, inside = stop, 0
                continue
            inside += 1
        elif kind == DIGIT:
            stop = at
            while stop < count and found[stop] == DIGIT:
                stop += 1
            if stop - at <= 3 and (inside > 0 or (stop < count and found[stop] == LETTER)):
                for place in range(at, stop):
                    digit = np.int64(letters[place]) - _ZERO_DIGIT
                    letters[place] = _LEET[digit] if 0 <= digit < 10 else _ZERO_DIGIT
                    found[place] = LETTER
                inside += stop - at
            else:
                letters[at:stop] = _ZERO_DIGIT
                found[at + 1 : stop] = NOTHING
                inside = 0
            at = stop
            continue
        elif letter == _DOLLAR and (inside > 0 or after == LETTER):
            found[at], letters[at] = LETTER, 115
            inside += 1
        elif letter == _AT and inside == 0 and after in (LETTER, DIGIT):
            stop = at + 1
            while stop < count and (found[stop] == LETTER or found[stop] == DIGIT or letters[stop] == 95):
                stop += 1
            found[at + 1 : stop] = NOTHING
            found[at], letters[at] = SYMBOL, NAME
            at = stop
            continue
        elif letter in (_AT, _BANG) and inside > 0 and (after == LETTER or (letter == _AT and after == DIGIT)):
            found[at], letters[at] = LETTER, 97 if letter == _AT else 105
            inside += 1
        elif letter == _STAR and inside > 0:
            stop = at
            while stop < count and letters[stop] == _STAR:
                stop += 1
            if inside <= 2 or (stop < count and found[stop] == LETTER):
                found[at:stop] = LETTER
                inside += stop - at
                at = stop
                continue
            inside = 0
        elif letter == _AMPERSAND:
            stop = _span_of_entity(found, letters, at, count)
            if stop > at:
                found[at:stop] = SEPARATOR
                at, inside = stop, 0
                continue
            inside = 0
        elif kind != NOTHING:
            inside = 0
        at += 1


@compiled
def _without_repeats(units: NDArray[np.uint32], start: int, end: int) -> int:
    """Shorten a letter that stands three or more times in a row in units[start:end], in place; the new end."""
    filled = start
    at = start
    while at < end:
        letter = units[at]
        stop = at
        while stop < end and units[stop] == letter:
            stop += 1
        keep = stop - at
        if keep > 2 and letter != _STAR and letter != _ZERO_DIGIT:
            keep = 2 if letter >= 128 or _DOUBLES[letter] else 1
        units[filled : filled + keep] = letter
        filled += keep
        at = stop
    return filled


@compiled
def words_of(
    found: NDArray[np.uint8], letters: NDArray[np.uint32], places: NDArray[np.int32], count: int, disguises: bool,
    units: NDArray[np.uint32], starts: NDArray[np.int32], signs: NDArray[np.bool_], begins: NDArray[np.int32], ends: NDArray[np.int32],
) -> int:  # fmt: skip
    """Put a text's words one after the other into `units`, word i at starts[i]:starts[i+1], in bytes begins[i]:ends[i]; their number.

    Signs are words of their own, the same one in a row once. With `disguises` punctuation is none, repeated letters are shortened,
    and three or more letters that stand alone (`f u c k`) are a word.
    """
    words, filled, single = 0, 0, 0
    inside = False
    starts[0] = 0
    for at in range(count + 1):
        kind = found[at] if at < count else SEPARATOR
        if kind == NOTHING:  # what follows a word without a gap is a part of it
            last = words if inside else words - 1
            if last >= 0 and ends[last] == places[at]:
                ends[last] = places[at + 1]
            continue
        if kind in (LETTER, DIGIT):
            if not inside:
                inside, begins[words], signs[words] = True, places[at], False
            units[filled] = letters[at] if kind == LETTER else _ZERO_DIGIT
            filled += 1
            ends[words] = places[at + 1]
            continue
        if inside:
            inside = False
            if disguises:
                filled = _without_repeats(units, starts[words], filled)
            words += 1
            starts[words] = filled
            if disguises and filled - starts[words - 1] == 1 and units[filled - 1] != _ZERO_DIGIT:
                single = single + 1 if single > 0 and begins[words - 1] - ends[words - 2] == 1 else 1
                if single >= 3:
                    last = ends[words - 1]
                    words -= 2 if single == 3 else 1
                    ends[words - 1], starts[words] = last, filled
            else:
                single = 0
        if kind == SYMBOL or (kind == PUNCTUATION and not disguises):
            single = 0
            if words > 0 and signs[words - 1] and units[filled - 1] == letters[at]:
                ends[words - 1] = places[at + 1]
            else:
                units[filled], begins[words], ends[words], signs[words] = letters[at], places[at], places[at + 1], True
                filled += 1
                words += 1
                starts[words] = filled
    return words


@compiled
def read_texts(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], limit: int, disguises: bool, kinds: NDArray[np.uint8], plain: NDArray[np.uint32],
    found: NDArray[np.uint8], letters: NDArray[np.uint32], places: NDArray[np.int32],
    units: NDArray[np.uint32], starts: NDArray[np.int32], signs: NDArray[np.bool_], begins: NDArray[np.int32], ends: NDArray[np.int32],
    firsts: NDArray[np.int32],
) -> None:  # fmt: skip
    """The words of all texts one after the other: those of text i are firsts[i]:firsts[i+1], their places count from the text's begin."""
    total, filled = 0, 0
    for row in range(len(offsets) - 1):
        firsts[row] = total
        end = offsets[row + 1] if limit <= 0 else min(offsets[row + 1], offsets[row] + limit)
        count = decode(data, offsets[row], end, kinds, plain, found, letters, places)
        if disguises:
            undisguise(found, letters, count)
        words = words_of(
            found, letters, places, count, disguises, units[filled:], starts[total:], signs[total:], begins[total:], ends[total:]
        )
        for word in range(total, total + words + 1):
            starts[word] += filled
        total += words
        filled = starts[total]
    firsts[len(offsets) - 1] = total
