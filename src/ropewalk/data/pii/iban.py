"""IBANs: country, length and ISO 7064 check digits, in one piece or in groups of four."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from ropewalk.data.pii.checksums import mod_97_of_text
from ropewalk.data.pii.window import Window

LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FK FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK", "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL", "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST",
        "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA", "30": "JO KW MU YE",
        "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Characters of an IBAN by country, as SWIFT's register has them."""
LONGEST = 33 + 8


def is_iban(text: str) -> bool:
    """`text` has no separators."""
    return LENGTHS.get(text[:2]) == len(text) and "02" <= text[2:4] <= "98" and mod_97_of_text(text[4:] + text[:4]) == 1


@functools.cache
def _shape(length: int) -> re.Pattern[str]:
    groups, rest = divmod(length - 4, 4)
    last = f" [A-Z0-9]{{{rest}}}" if rest else ""
    return re.compile(rf"[A-Z]{{2}}\d\d(?:[A-Z0-9]{{{length - 4}}}|(?: [A-Z0-9]{{4}}){{{groups}}}{last})(?!\w)", re.ASCII)


def ibans(window: Window) -> Iterator[tuple[int, int]]:
    """(start, stop) in the window of the one that begins with the candidate."""
    length = LENGTHS[window.text[window.begin : window.begin + 2]]
    match = _shape(length).match(window.text, window.begin)
    if match and is_iban(match[0].replace(" ", "")):
        yield match.span()
