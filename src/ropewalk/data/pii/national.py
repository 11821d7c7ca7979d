"""National ids: the shapes of numbers that states give to persons, each with the check that its state made.

A number that is told from others by its shape and check alone is found anywhere. One that any number of that many digits might
be (a check digit lets one in ten through) counts only behind a word that says what it is: `BSN 111222333`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ropewalk.data.pii.checksums import is_date, luhn, mod_11_10, verhoeff, weighted
from ropewalk.data.pii.window import Window

Country = Literal["au", "be", "br", "ca", "ch", "cn", "de", "es", "fi", "fr", "gb", "in", "it", "kr", "nl", "pl", "se", "us"]
COUNTRIES: tuple[Country, ...] = get_args(Country)

_SPANISH, _FOREIGNERS = "TRWAGMYFPDXBNJZSQVHLCKE", str.maketrans("XYZ", "012")
_FINNISH = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_ITALIAN_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_FINNISH_CENTURIES = {"+": 1800, **dict.fromkeys("-YXWVU", 1900), **dict.fromkeys("ABCDEF", 2000)}


def _us(text: str) -> bool:
    area, group, serial = text[:3], text[3:5], text[5:]
    if area == "000" or group == "00" or serial == "0000" or text in {"078051120", "219099999", "457555462"}:  # printed in advertisements
        return False
    if area[0] == "9":  # a taxpayer's number of one who has no social security number
        return int(group) in {*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)}
    return area != "666"


def _nino(text: str) -> bool:
    return text[0] not in "DFIQUV" and text[1] not in "DFIOQUV" and text[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def _nhs(text: str) -> bool:
    return -weighted(text, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11 == int(text[9])


def _nir(text: str) -> bool:
    month = int(text[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and (int(text[:13]) + int(text[13:])) % 97 == 0


def _dni(text: str) -> bool:
    return _SPANISH[int(text[:-1].translate(_FOREIGNERS)) % 23] == text[-1]


def _fiscale(text: str) -> bool:
    values = [int(character, 36) - 10 if character.isalpha() else int(character) for character in text[:15]]
    total = sum(_ITALIAN_ODD[value] if place % 2 == 0 else value for place, value in enumerate(values))
    day = int(text[9:11]) % 40
    return chr(65 + total % 26) == text[15] and 1 <= day <= 31


def _pesel(text: str) -> bool:
    century, month = divmod(int(text[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(text[:2])
    return is_date(year, month, int(text[4:6])) and weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _idnr(text: str) -> bool:
    counts = sorted(text[:10].count(digit) for digit in set(text[:10]))
    return text[0] != "0" and counts[-1] in {2, 3} and counts[-2] == 1 and mod_11_10(text)


def _bsn(text: str) -> bool:
    return int(text) > 0 and weighted(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _cpf(text: str) -> bool:
    first = -weighted(text[:9], tuple(range(10, 1, -1))) % 11 % 10
    second = -weighted(text[:10], tuple(range(11, 1, -1))) % 11 % 10
    return len(set(text)) > 1 and text[9:] == f"{first}{second}"


def _aadhaar(text: str) -> bool:
    years = all(1900 <= int(text[place : place + 4]) < 2100 for place in (0, 4, 8))
    return text[0] in "23456789" and text != text[::-1] and not years and verhoeff(text)


def _personnummer(text: str) -> bool:
    short = text[-10:]
    year = int(text[:4]) if len(text) == 12 else 1900 + int(short[:2])
    month, day = int(short[2:4]), int(short[4:6])
    return (is_date(year, month, day) or (len(text) == 10 and is_date(year + 100, month, day))) and luhn(short)


def _hetu(text: str) -> bool:
    century = _FINNISH_CENTURIES[text[6]]
    dated = is_date(century + int(text[4:6]), int(text[2:4]), int(text[:2]))
    return dated and int(text[7:10]) >= 2 and _FINNISH[int(text[:6] + text[7:10]) % 31] == text[10]


def _belgian(text: str) -> bool:
    number, check, month = int(text[:9]), int(text[9:]), int(text[2:4]) % 20
    late = text[0] in "01234" and check == 97 - (2_000_000_000 + number) % 97  # born from 2000 on
    return month <= 12 and int(text[4:6]) <= 31 and (late or check == 97 - number % 97)


def _sin(text: str) -> bool:
    return text[0] not in "08" and luhn(text)


def _ahv(text: str) -> bool:
    return (weighted(text, (1, 3) * 6 + (1,))) % 10 == 0


def _chinese(text: str) -> bool:
    check = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(text[:17]))
    dated = 1900 <= int(text[6:10]) < 2100 and is_date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    return dated and "10X98765432"[check % 11] == text[17]


def _tfn(text: str) -> bool:
    return weighted(text, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def _rrn(text: str) -> bool:
    century = {"9": 1800, "0": 1800, "1": 1900, "2": 1900, "5": 1900, "6": 1900}.get(text[6], 2000)
    dated = is_date(century + int(text[:2]), int(text[2:4]), int(text[4:6]))
    return dated and int(text[7:9]) <= 96 and (11 - weighted(text, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(text[12])


@dataclass(frozen=True)
class Rule:
    """One way to write the ids of one country."""

    country: Country
    shape: re.Pattern[str]
    valid: Callable[[str], bool]
    """Judges what was found, in capitals and without separators."""
    words: re.Pattern[str] | None = None
    """One of these must stand before it."""
    bare: tuple[int, ...] = ()
    """Lengths in which it is written as one row of digits; 0 where it is one word of digits and letters."""
    keep: str = ""
    """Separators that mean something and are left to `valid`."""


def _rule(country: Country, shape: str, valid: Callable[[str], bool], words: str = "", bare: tuple[int, ...] = (), keep: str = "") -> Rule:
    # Neither part of a word nor of a longer row of groups.
    whole = rf"(?<!\w)(?<!\d[-./])(?:{shape})(?![\w])(?![-./]\w)"
    said = re.compile(rf"(?i)(?<![a-z<])(?:{words})(?![a-z])[^\d\n<*]{{0,24}}\Z") if words else None
    return Rule(country, re.compile(whole, re.ASCII), valid, said, bare, keep)


RULES = (
    _rule("us", r"\d{3}-\d{2}-\d{4}", _us),
    _rule("us", r"\d{3} \d{2} \d{4}|\d{9}", _us, "ssn|itin|social security|soc sec", (9,)),
    _rule("gb", r"[A-Z]{2}\d{6}[A-D]|[A-Z]{2} \d{2} \d{2} \d{2} [A-D]", _nino, bare=(0,)),
    _rule("gb", r"\d{3}[ -]\d{3}[ -]\d{4}|\d{10}", _nhs, "nhs", (10,)),
    _rule("fr", r"[12]\d{14}|[12] \d{2} \d{2} \d{2} \d{3} \d{3} \d{2}|[12] \d{2} \d{2} \d{2} \d{3} \d{3}[ -]\d{2}", _nir, bare=(15,)),
    _rule("es", r"\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]\d{7}[A-HJ-NP-TV-Z]", _dni, bare=(0, 8)),
    _rule("it", r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _fiscale, bare=(0,)),
    _rule("pl", r"\d{11}", _pesel, "pesel", (11,)),
    _rule("de", r"\d{11}|\d{2} \d{3} \d{3} \d{3}", _idnr, r"steuer\S*|idnr\.?|identifikationsnummer|tin|tax id", (11,)),
    _rule("nl", r"\d{9}|\d{4}[. ]\d{2}[. ]\d{3}", _bsn, r"bsn\S*|burgerservicenummer|sofi\S*", (9,)),
    _rule("br", r"\d{3}\.\d{3}\.\d{3}-\d{2}", _cpf),
    _rule("br", r"\d{11}", _cpf, "cpf", (11,)),
    _rule("in", r"(?<!\d[ -])\d{4}([ -])\d{4}\1\d{4}(?![ -]\d)", _aadhaar),
    _rule("in", r"\d{12}", _aadhaar, "aadhaar|aadhar|uidai|uid", (12,)),
    _rule("se", r"(?:\d{2})?\d{6}[-+]\d{4}", _personnummer),
    _rule("fi", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _hetu, bare=(0,), keep="-+"),
    _rule("be", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", _belgian),
    _rule("be", r"\d{11}", _belgian, r"rijksregister\S*|registre national|national register|niss|insz", (11,)),
    _rule("ca", r"\d{3}([- ])\d{3}\1\d{3}|\d{9}", _sin, "sin|social insurance", (9,)),
    _rule("ch", r"756\.\d{4}\.\d{4}\.\d{2}|756\d{10}", _ahv, bare=(13,)),
    _rule("cn", r"[1-9]\d{16}[\dX]", _chinese, bare=(17, 18)),
    _rule("au", r"\d{3}([- ])\d{3}\1\d{3}|\d{9}", _tfn, "tfn|tax file", (9,)),
    _rule("kr", r"\d{6}-[0-9]\d{6}", _rrn),
)  # fmt: skip
_ANY = re.compile(
    "|".join(rule.shape.pattern.replace(r"([ -])", "[ -]").replace("([- ])", "[- ]").replace(r"\1", "[ -]") for rule in RULES), re.ASCII
)
"""Whether any shape is there; few candidates get further."""


_PLUS_PARTED = re.compile(r"\+\d")
"""A plus parts the Swedish and Finnish ids of those over a hundred; for the scan it is no gap."""


def national_ids(window: Window, rules: tuple[Rule, ...]) -> Iterator[tuple[int, int]]:
    """(start, stop) in the window of each id that begins within the candidate."""
    if _ANY.search(window.text, window.begin) is None:
        return
    for rule in rules:
        if window.groups <= 1 and window.digits not in rule.bare and not _PLUS_PARTED.match(window.text, window.stop):
            continue
        for match in rule.shape.finditer(window.text, window.begin):
            if match.start() >= window.stop:
                break
            if rule.words is not None and rule.words.search(window.text, max(match.start() - 64, 0), match.start()) is None:
                continue
            alone = "".join(character for character in match[0] if character.isalnum() or character in rule.keep)
            if rule.valid(alone):
                yield match.start(), match.end()
