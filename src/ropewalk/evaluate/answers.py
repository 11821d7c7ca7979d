"""How an answer is read from what a model wrote, and when it is right. Each rule says itself in one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

Check = Literal["number", "exact", "contains", "regex"]
RULES: dict[Check, str] = {
    "number": "what follows #### where it is written, else the last number: an optional minus, digits with commas between thousands, "
    "an optional decimal part; equal as numbers",
    "exact": "the whole text in lower case, without articles, punctuation and white space around words; equal to one of the answers",
    "contains": "one of the answers stands in the text, both in lower case with single blanks, between word borders",
    "regex": "the first group of the pattern's last match, without blanks around it; equal to one of the answers",
}
_NUMBER = re.compile(r"(?<![\d.,])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\d|\.\d)|(?<![\d.,])-?\.\d+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def number_in(text: str) -> Decimal | None:
    """The number that a text ends with, as RULES["number"] says; None where there is none."""
    _, mark, behind = text.rpartition("####")
    found = _NUMBER.findall(behind) if mark else []
    chosen = found[0] if found else next(reversed(_NUMBER.findall(text)), None)
    try:
        return None if chosen is None else Decimal(chosen.replace(",", ""))
    except InvalidOperation:
        return None


def judged(check: Check, pattern: str, text: str, answers: Sequence[str]) -> tuple[bool, str | None]:
    """(right, what was read as the answer; None where nothing could be read)."""
    if check == "number":
        number = number_in(text)
        return number is not None and any(number == number_in(answer) for answer in answers), None if number is None else str(number)
    if check == "exact":
        read = _normal(text)
        return bool(read) and any(read == _normal(answer) for answer in answers), read or None
    if check == "contains":
        said = " ".join(text.lower().split())
        hits = [answer for answer in answers if re.search(rf"(?<!\w){re.escape(' '.join(answer.lower().split()))}(?!\w)", said)]
        return bool(hits), hits[0] if hits else said or None
    found = list(re.finditer(pattern, text))
    if not found:
        return False, None
    read = (found[-1][1] if found[-1].re.groups else found[-1][0]) or ""
    return any(read.strip() == answer.strip() for answer in answers), read.strip()


def _normal(text: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return " ".join(_ARTICLES.sub(" ", words).split())
