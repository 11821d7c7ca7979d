"""What each character is to the classifiers: a letter, a digit, a separator; and the plain letter that stands for it.

The tables end at U+2FFF; beyond it full-width forms and mathematical letters fold too. All of these characters are in Unicode since
3.1, whose categories and decompositions are fixed, so the features of a text are the same under every Python.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
from numpy.typing import NDArray

SEPARATOR, LETTER, DIGIT, PUNCTUATION, SYMBOL, NOTHING = range(6)
TABLE_END = 0x3000
WIDE, WIDE_END = 0xFF00, 0xFFF0
MATHEMATICAL, MATHEMATICAL_END = 0x1D400, 0x1D800
SYMBOLS = 0x1F000  # from here on pictures, up to the next plane
SYMBOLS_END = 0x20000

# Letters of other scripts that look like a Latin one and decompose to nothing.
_LOOKALIKES = dict(zip("аеорсухіјѕԁһӏαοѵıøłđ", "aeopcyxijsdhlaoviold", strict=True))


@functools.cache
def tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """(kind, plain letter) of the code points below TABLE_END, then the wide forms, then the mathematical letters."""
    points = [*range(TABLE_END), *range(WIDE, WIDE_END), *range(MATHEMATICAL, MATHEMATICAL_END)]
    facts = [_facts(chr(point)) for point in points]
    return np.array([kind for kind, _ in facts], np.uint8), np.array([plain for _, plain in facts], np.uint32)


def _facts(character: str) -> tuple[int, int]:
    plain = unicodedata.normalize("NFKD", character)[:1].lower()[:1] or character
    plain = _LOOKALIKES.get(plain, plain)
    return _kind(character), ord(plain)


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if category[0] in "MC" and category != "Cc":
        return NOTHING
    if category == "Nd":
        return DIGIT
    if category[0] in "LN":
        return LETTER
    if character in "'\u2019`\u00b4":
        return NOTHING  # don't and dont are one word
    if category[0] == "P" or character in "$+<=>^|~":
        return PUNCTUATION
    return SYMBOL if category[0] == "S" else SEPARATOR
