"""What the quality filters count: words are runs between white space, lines and paragraphs are what is not blank."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")


def lines_of(text: str) -> list[str]:
    """The lines that are not blank, without the blanks around them."""
    return [line for line in (line.strip() for line in text.split("\n")) if line]


def paragraphs_of(text: str) -> list[str]:
    """What stands between blank lines."""
    return [part for part in (part.strip() for part in _PARAGRAPH_BREAK.split(text)) if part]


def share(number: float, whole: float) -> float:
    """number / whole, and 0 of nothing."""
    return number / whole if whole else 0.0


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """(number, characters) of the parts that were there before."""
    seen: set[str] = set()
    number = characters = 0
    for part in parts:
        if part in seen:
            number += 1
            characters += len(part)
        seen.add(part)
    return number, characters
