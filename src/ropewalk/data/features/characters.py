"""What Python's `str` says of each character, as tables for compiled loops: so they agree with `split`, `isalpha` and `lower`."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

SPACE, LETTER, COUNTED, END, SMALL, DIGIT = 1, 2, 4, 8, 16, 32
"""Bits of a character: parts words; `isalpha`; one of `#.…`; one of the end marks given; `islower`; `isdecimal`."""
CHARACTERS = 0x110000
_USED = 0x40000
"""No character from here on is a letter, a digit or white space, or has a small form: asking for them all took 0.2 s longer."""
_TERMINALS = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D6 17D9-17DA 1803 1809
1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3
A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89
11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7
11641-11642 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98
1BC9F 1DA88
"""


def _spread(ranges: str) -> str:
    """The characters of ranges of code points in hexadecimal."""
    pairs = [part.partition("-") for part in ranges.split()]
    return "".join(chr(point) for first, _, last in pairs for point in range(int(first, 16), int(last or first, 16) + 1))


SENTENCE_TERMINALS = _spread(_TERMINALS)
"""What ends a sentence in any script, quotes and ellipses aside: the marks of FineWeb."""


@functools.lru_cache(8)
def kinds(end_marks: str = "") -> NDArray[np.uint8]:
    """The bits of every character, by code point."""
    known = _kinds() if not end_marks else kinds().copy()
    known[[ord(mark) for mark in end_marks]] |= END
    known.setflags(write=False)
    return known


def _kinds() -> NDArray[np.uint8]:
    points = np.arange(_USED, dtype=np.uint32).view("U1")
    found = np.zeros(CHARACTERS, np.uint8)
    answers = ((SPACE, np.strings.isspace), (LETTER, np.strings.isalpha), (SMALL, np.strings.islower), (DIGIT, np.strings.isdecimal))
    for bit, answer in answers:
        found[:_USED][answer(points)] |= bit
    found[[ord(mark) for mark in "#.…"]] |= COUNTED
    return found


@functools.cache
def lower() -> NDArray[np.uint32]:
    """The small form of each character; of İ, whose small form is two, the first, and of Σ the one that does not end a word."""
    found = np.arange(CHARACTERS, dtype=np.uint32)
    points = found[:_USED].view("U1")
    (changed,) = np.nonzero(np.strings.lower(points) != points)
    found[changed] = [ord(chr(point).lower()[0]) for point in changed.tolist()]
    found.setflags(write=False)
    return found
