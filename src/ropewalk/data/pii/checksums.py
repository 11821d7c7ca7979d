"""Check digits: whether a number could have been given out. Each takes the digits (and letters) alone, without separators."""

from __future__ import annotations

import calendar

_VERHOEFF_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_TURNS = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")


def luhn(digits: str) -> bool:
    """Payment cards, and national ids of Canada and Sweden."""
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """Aadhaar."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF_TIMES[check][int(_VERHOEFF_TURNS[place % 8][int(digit)])])
    return check == 0


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    """The sum of weights times digits."""
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False))


def mod_97_of_text(text: str) -> int:
    """ISO 7064 mod 97-10 with letters as 10 to 35, as IBANs have it."""
    return int("".join(str(int(character, 36)) for character in text)) % 97


def mod_11_10(digits: str) -> bool:
    """ISO 7064 mod 11,10: the German tax id."""
    check = 5
    for digit in digits:
        check = (((check or 10) * 2) % 11 + int(digit)) % 10
    return check == 1


def is_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has this day."""
    return 1 <= month <= 12 and year >= 1 and 1 <= day <= calendar.monthrange(year, month)[1]
