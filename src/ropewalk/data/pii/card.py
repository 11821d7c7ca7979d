"""Payment card numbers: the ranges that card networks give out, their lengths, the check digit, and the ways to group them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ropewalk.data.pii.checksums import luhn
from ropewalk.data.pii.window import Window

# As long as it is, in fours, or as American Express (4-6-5) and Diners Club (4-6-4) print it.
_SHAPE = re.compile(
    r"(?<!\w)(?<!\d[-. ,/])(?<![-+.])"
    r"(?:\d{12,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?!\w)(?![-. ,/]\d)",
    re.ASCII,
)
SHORTEST_CARD = 12
_SAID = re.compile(r"(?i)(?<![a-z<])(?:card|credit|debit|maestro)s?(?![a-z])[^\d\n<*]{0,24}\Z", re.ASCII)
_MAESTRO = re.compile(r"(?:50|5[6-9]|6\d)\d{10,17}")
"""Maestro's ranges hold one number in eight of any length from 12 to 19, so a word must say that it is a card."""
# First digits from, to, and the lengths that go with them (ISO/IEC 7812 as the networks publish it).
_RANGES = (
    ("4", "4", (13, 16, 19)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14, 16, 17, 18, 19)),
    ("3095", "3095", (14, 16, 17, 18, 19)),
    ("36", "36", (14, 15, 16, 17, 18, 19)),
    ("38", "39", (14, 16, 17, 18, 19)),
    ("6011", "6011", (16, 17, 18, 19)),
    ("644", "649", (16, 17, 18, 19)),
    ("65", "65", (16, 17, 18, 19)),
    ("62", "62", (16, 17, 18, 19)),
    ("3528", "3589", (16, 17, 18, 19)),
    ("1800", "1800", (15,)),
    ("2131", "2131", (15,)),
    ("5018", "5018", (16,)),
    ("5020", "5020", (16,)),
    ("5038", "5038", (16,)),
    ("6304", "6304", (16,)),
    ("6759", "6759", (16,)),
    ("6761", "6763", (16,)),
)


def is_card(digits: str) -> bool:
    """Whether a network could have given out this number."""
    known = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _RANGES)
    return known and luhn(digits)


def cards(window: Window) -> Iterator[tuple[int, int]]:
    """(start, stop) in the window of each."""
    for match in _SHAPE.finditer(window.text, window.begin):
        digits = match[0].replace(" ", "").replace("-", "")
        if match.start() < window.stop and (is_card(digits) or _is_maestro(digits, window.text, match.start())):
            yield match.start(), match.end()


def _is_maestro(digits: str, text: str, begin: int) -> bool:
    return _MAESTRO.fullmatch(digits) is not None and luhn(digits) and _SAID.search(text, max(begin - 40, 0), begin) is not None
