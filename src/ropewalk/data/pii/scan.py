"""The compiled scan: one pass over a column's bytes that stops only where personal data may begin, and says what may be there.

E-mail addresses, IPv4 and credentials in URLs are parsed here to the end. Of the rest come candidates, few enough that Python
judges them: IPv6, numbers of at least eight digits, beginnings of IBANs, words that mix digits and letters as national ids do,
long words with the first two letters of a key, and the dashes before BEGIN. Everything is one file, as numba's cache on disk
notices changes of one file only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled

EMAIL, IPV4, IPV6, NUMBER, IBAN, MIXED, KEY, CREDENTIALS, ARMOUR = range(9)
CLASSES = 9

MOST_LOCAL = 64  # bytes before the @ (RFC 5321)
_MOST_LABEL, _MOST_LABELS, _MOST_TOP = 63, 8, 24  # RFC 1035
_MOST_USERINFO = 256
SHORTEST_KEY = 20
LEAST_DIGITS = 8
MOST_DIGITS = 1 << 24
"""A number's class is written as NUMBER + CLASSES * (digits + MOST_DIGITS * groups)."""
PREFIX, COUNTRY = 1, 2  # what `pairs` knows of two bytes: a key may begin with them, an IBAN does

_bytes = np.arange(256)
_digit = (_bytes >= 48) & (_bytes <= 57)
_upper = (_bytes >= 65) & (_bytes <= 90)
_letter = _upper | ((_bytes >= 97) & (_bytes <= 122))
DIGIT, UPPER, LETTER = _digit.astype(np.uint8), _upper.astype(np.uint8), _letter.astype(np.uint8)
VALUE = np.where(_digit, _bytes - 48, 0)
ALNUM = (_digit | _letter).astype(np.uint8)
WORD = (_digit | _letter | (_bytes == 95)).astype(np.uint8)
HEX = (_digit | np.isin(_bytes, list(b"abcdefABCDEF"))).astype(np.uint8)
LOCAL = (_digit | _letter | np.isin(_bytes, list(b"._%+'-"))).astype(np.uint8)
TOKEN = (_digit | _letter | np.isin(_bytes, list(b"_-"))).astype(np.uint8)
USERINFO = ((_bytes > 32) & (_bytes != 127) & ~np.isin(_bytes, list(b"/?#<>\"'`\\|"))).astype(np.uint8)
GAP = np.isin(_bytes, list(b" .-/")).astype(np.uint8)
GAP[[40, 41, 0xC2, 0xE2]] = 2
"""What a gap between two groups of one number begins with; 1 where it may be that byte alone."""
STOP = np.zeros(256, np.uint8)
"""What the scan stops at: 1 a digit, 2 an @, 3 a colon, 4 a dash."""
STOP[_digit], STOP[64], STOP[58], STOP[45] = 1, 2, 3, 4

_DOT, _AT, _COLON, _DASH, _BLANK, _NEW_LINE, _SLASH, _PLUS = 46, 64, 58, 45, 32, 10, 47, 43


@compiled
def email(data: NDArray[np.uint8], at: int, least: int, end: int) -> tuple[int, int]:
    """The address around the @ at `at`, not before `least`; (0, 0) where there is none."""
    begin = at
    while begin > least and at - begin <= MOST_LOCAL and LOCAL[data[begin - 1]]:
        if data[begin - 1] == _DOT and (begin == at or data[begin] == _DOT):
            break
        begin -= 1
    if begin < at and data[begin] == _DOT:
        begin += 1
    if begin == at or at - begin > MOST_LOCAL:
        return 0, 0
    # A quote or a dash before the address is no part of it.
    while begin < at and (data[begin] == 39 or data[begin] == _DASH or data[begin] == 37 or data[begin] == _PLUS):
        begin += 1
    if begin == at:
        return 0, 0
    stop, place, labels = 0, at + 1, 0
    while labels <= _MOST_LABELS:
        first, letters = place, True
        while place < end and place - first <= _MOST_LABEL and (ALNUM[data[place]] or data[place] == _DASH):
            letters = letters and LETTER[data[place]] == 1
            place += 1
        size = place - first
        if size == 0 or size > _MOST_LABEL:
            break
        if labels > 0 and letters and 2 <= size <= _MOST_TOP and not (place < end and data[place] == _AT):
            stop = place
        if data[first] == _DASH or data[place - 1] == _DASH or place >= end or data[place] != _DOT:
            break
        labels += 1
        place += 1
    return (begin, stop) if stop else (0, 0)


@compiled
def ipv4(data: NDArray[np.uint8], place: int, start: int, end: int) -> int:
    """Where four numbers that begin at `place` end; 0 where they are part of a longer number, a version or a heading."""
    if place > start:
        before = data[place - 1]
        if WORD[before] or before == _DOT or (before == _DASH and place - 1 > start and LETTER[data[place - 2]]):
            return 0
    stop = place
    for part in range(4):
        value, digits = 0, 0
        while stop < end and DIGIT[data[stop]]:
            value = value * 10 + VALUE[data[stop]]
            digits += 1
            stop += 1
            if digits > 3:
                return 0
        if digits == 0 or value > 255:
            return 0
        if part < 3:
            if stop >= end or data[stop] != _DOT:
                return 0
            stop += 1
    if stop < end and WORD[data[stop]]:
        return 0
    if stop + 1 < end and data[stop] == _DOT:
        if WORD[data[stop + 1]]:
            return 0
        if place > start and data[place - 1] == _NEW_LINE:  # "8.5.1.4. Special values", the number of a heading
            after = stop + 1
            while after < end and (data[after] == _BLANK or data[after] == 0xC2 or data[after] == 0xA0):
                after += 1
            if after > stop + 1 and after < end and data[after] > _BLANK:
                return 0
    return stop


@compiled
def ipv6(data: NDArray[np.uint8], place: int, start: int, end: int) -> int:
    """Where an address of 2000::/3 that begins at `place` may end, else 0."""
    if place + 6 > end or data[place + 4] != _COLON:
        return 0
    if place > start and (WORD[data[place - 1]] or data[place - 1] == _COLON or data[place - 1] == _DOT):
        return 0
    if not (HEX[data[place + 1]] and HEX[data[place + 2]] and HEX[data[place + 3]]):
        return 0
    stop = place + 5
    while stop < end and stop - place <= 40 and (HEX[data[stop]] or data[stop] == _COLON):
        stop += 1
    if stop - place < 6 or stop - place > 39 or (stop < end and WORD[data[stop]]):
        return 0
    if stop + 1 < end and data[stop] == _DOT and WORD[data[stop + 1]]:
        return 0
    if data[stop - 1] == _COLON and data[stop - 2] != _COLON:  # "address 2606:4700::1111: unreachable"
        stop -= 1
    return stop


@compiled
def gap(data: NDArray[np.uint8], place: int, end: int) -> int:
    """Length of what may part two groups of one number: one blank, dot, dash or slash, brackets beside it or alone; else 0."""
    size, gaps = 0, 0
    while place + size < end and size < 6:
        byte = data[place + size]
        if byte == 40 or byte == 41:
            size += 1
        elif gaps == 0 and GAP[byte] == 1:
            size += 1
            gaps = 1
        elif gaps == 0 and byte == 0xC2 and place + size + 1 < end and data[place + size + 1] == 0xA0:
            size += 2
            gaps = 1
        elif (
            gaps == 0
            and byte == 0xE2
            and place + size + 2 < end
            and data[place + size + 1] == 0x80
            and 0x90 <= data[place + size + 2] <= 0x93
        ):
            size += 3
            gaps = 1
        else:
            break
    return size


@compiled
def cluster(data: NDArray[np.uint8], place: int, end: int) -> tuple[int, int, int]:
    """(stop, digits, groups) of the number that begins at `place`."""
    digits, groups, ahead = 0, 0, place
    while True:
        first = ahead
        while ahead < end and DIGIT[data[ahead]]:
            ahead += 1
        digits += ahead - first
        groups += 1
        between = gap(data, ahead, end)
        if between == 0 or ahead + between >= end or not DIGIT[data[ahead + between]]:
            return ahead, digits, groups
        ahead += between


@compiled
def number(data: NDArray[np.uint8], place: int, digits: int, groups: int, start: int) -> bool:
    """Whether the number is long enough to be anybody's, and neither a date nor a row of years."""
    if digits < LEAST_DIGITS:
        return digits == LEAST_DIGITS - 1 and place > start and data[place - 1] == _PLUS
    if digits == LEAST_DIGITS and 2 <= groups <= 3 and not DIGIT[data[place + 4]]:
        return not (data[place] == 49 and data[place + 1] == 57) and not (data[place] == 50 and data[place + 1] == 48)
    return True


@compiled
def mixed(data: NDArray[np.uint8], place: int, stop: int, start: int, end: int) -> tuple[int, int]:
    """The word around the digits place:stop where it has the build of a national id with letters, else (0, 0)."""
    begin, after, digits = place, stop, stop - place
    while begin > start and place - begin < 7 and ALNUM[data[begin - 1]]:
        begin -= 1
    while after < end and after - begin < 17 and ALNUM[data[after]]:
        after += 1
    size = after - begin
    ahead = place - begin
    if size == 9 and ((ahead == 1 and digits == 7) or (ahead == 2 and digits == 6)):
        return begin, after
    if size == 16 and ahead == 6:
        return begin, after
    if size == 11 and ahead == 0 and digits == 6:
        return begin, after
    # "AB 12 34 56 C"
    parted = digits == 2 and size == 2 and place - 3 >= start and stop + 8 <= end and data[place - 1] == _BLANK and data[stop] == _BLANK
    if parted and UPPER[data[place - 2]] and UPPER[data[place - 3]] and DIGIT[data[stop + 1]]:
        return place - 3, stop + 8
    return 0, 0


@compiled
def credentials(data: NDArray[np.uint8], place: int, end: int) -> int:
    """Where `user:password` after a scheme ends (before its @); 0 where there is none, or a place for one (`$USER:$PASSWORD`)."""
    colon, at, ahead = 0, 0, place
    while ahead < end and ahead - place <= _MOST_USERINFO and USERINFO[data[ahead]]:
        if data[ahead] == _COLON and not colon:
            colon = ahead
        if data[ahead] == _AT:
            at = ahead
        ahead += 1
    if not colon or at <= colon + 1 or colon == place or at + 1 >= end:
        return 0
    if not (ALNUM[data[at + 1]] or data[at + 1] == 91):
        return 0
    first = data[colon + 1]
    if first == 36 or first == 123 or first == 37:  # $PASSWORD, {password}, %s
        return 0
    for inner in range(colon + 1, at):
        if ALNUM[data[inner]]:
            return at
    return 0


@compiled
def note(out: NDArray[np.int64], count: int, row: int, kind: int, begin: int, stop: int) -> int:
    """One more candidate; counted even where there is no more room for it."""
    if count < len(out):
        out[count, 0], out[count, 1], out[count, 2], out[count, 3] = row, kind, begin, stop
    return count + 1


@compiled
def at_digits(
    data: NDArray[np.uint8], place: int, run: int, start: int, end: int, row: int, wanted: NDArray[np.bool_], pairs: NDArray[np.uint8],
    out: NDArray[np.int64], count: int,
) -> int:  # fmt: skip
    """The candidates that begin at, or just before, the digits place:run."""
    size = run - place
    if wanted[IPV4] and size <= 3 and run < end and data[run] == _DOT:
        stop = ipv4(data, place, start, end)
        if stop:
            count = note(out, count, row, IPV4, place, stop)
    if wanted[IPV6] and size <= 4 and (data[place] == 50 or data[place] == 51):
        stop = ipv6(data, place, start, end)
        if stop:
            count = note(out, count, row, IPV6, place, stop)
    country = size >= 2 and place - 2 >= start and pairs[np.int64(data[place - 2]) * 256 + data[place - 1]] & COUNTRY
    if wanted[IBAN] and country and (place - 2 == start or not ALNUM[data[place - 3]]):
        count = note(out, count, row, IBAN, place - 2, run)
    letters = (place > start and ALNUM[data[place - 1]]) or (run < end and ALNUM[data[run]])
    if wanted[MIXED] and size <= 7 and (letters or (size == 2 and run < end and data[run] == _BLANK)):
        begin, stop = mixed(data, place, run, start, end)
        if stop:
            count = note(out, count, row, MIXED, begin, stop)
    return count


@compiled
def long_words(
    data: NDArray[np.uint8], start: int, end: int, row: int, pairs: NDArray[np.uint8], out: NDArray[np.int64], count: int
) -> int:
    """Words of at least SHORTEST_KEY bytes that begin as keys do. Every 20th byte is looked at: a word that long holds one."""
    place = start
    while place + SHORTEST_KEY <= end:
        probe = place + SHORTEST_KEY - 1
        while probe >= place and TOKEN[data[probe]]:
            probe -= 1
        if probe >= place:
            place = probe + 1
            continue
        stop = place + SHORTEST_KEY
        while stop < end and TOKEN[data[stop]]:
            stop += 1
        first = pairs[np.int64(data[place]) * 256 + data[place + 1]] & PREFIX
        behind = data[place - 1] if place > start else 0
        bot = behind == _COLON and place - 1 > start and DIGIT[data[place - 2]]  # 123456789:AA…, a key of Telegram
        if first or bot or (behind == _DOT and stop - place == 22):  # SG.….…, a key of SendGrid
            count = note(out, count, row, KEY, place, stop)
        place = stop + 1
    return count


@compiled
def candidates(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], rows: NDArray[np.int64], wanted: NDArray[np.bool_], pairs: NDArray[np.uint8],
    out: NDArray[np.int64],
) -> int:  # fmt: skip
    """Write (row, class, start, stop) of each candidate into `out`; their number, which may be more than `out` holds."""
    count = 0
    any_digit = wanted[IPV4] or wanted[IPV6] or wanted[NUMBER] or wanted[IBAN] or wanted[MIXED]
    for row in rows:
        start, end = offsets[row], offsets[row + 1]
        place = start
        last_email, last_number = start, start
        while place < end:
            while place < end and STOP[data[place]] == 0:
                place += 1
            if place >= end:
                break
            what = STOP[data[place]]
            run = place + 1
            if what == 1:
                while run < end and DIGIT[data[run]]:
                    run += 1
                if any_digit:
                    count = at_digits(data, place, run, start, end, row, wanted, pairs, out, count)
                    # Most digits are few and stand alone.
                    if wanted[NUMBER] and place >= last_number and (run - place >= LEAST_DIGITS - 1 or (run < end and GAP[data[run]])):
                        last_number, digits, groups = cluster(data, place, end)
                        if number(data, place, digits, groups, start):
                            count = note(out, count, row, NUMBER + CLASSES * (digits + MOST_DIGITS * groups), place, last_number)
            elif what == 2:
                if wanted[EMAIL]:
                    begin, stop = email(data, place, last_email, end)
                    if stop:
                        last_email = stop
                        count = note(out, count, row, EMAIL, begin, stop)
            elif what == 3:
                slashes = place + 3 < end and data[place + 1] == _SLASH and data[place + 2] == _SLASH
                if wanted[CREDENTIALS] and slashes and place > start and ALNUM[data[place - 1]]:
                    stop = credentials(data, place + 3, end)
                    if stop:
                        count = note(out, count, row, CREDENTIALS, place + 3, stop)
            else:
                while run < end and data[run] == _DASH:
                    run += 1
                if (
                    wanted[ARMOUR]
                    and run - place >= 5
                    and run + 3 < end
                    and data[run] == 66
                    and data[run + 1] == 69
                    and data[run + 2] == 71
                ):
                    count = note(out, count, row, ARMOUR, run - 5, run)
            place = run
        if wanted[KEY]:
            count = long_words(data, start, end, row, pairs, out, count)
    return count
