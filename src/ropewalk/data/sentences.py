"""Where the sentences of a text begin and end: by punctuation and lines, without a model."""

from __future__ import annotations

import re

_BREAK = re.compile(r"(?<=[.!?])[\"')\]]{0,3}\s+(?=[A-Z0-9\"'(\[])|\n+")
_SHORTENED = re.compile(r"(?:\b(?:vs|e\.g|i\.e|[Ff]igs?|al|Drs?|Mrs?|Ms|Prof|No|approx|ca|cf|etc|St)|\b[A-Z])\.[\"')\]]{0,3}$")


def sentences(text: str) -> list[tuple[int, int]]:
    """[start, end) of each sentence, in order; white space between them is in none. `vs.` and initials end no sentence."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in _BREAK.finditer(text):
        end = match.start() + len(match.group().rstrip())
        if "\n" not in match.group() and _SHORTENED.search(text, max(start, end - 12), end):
            continue
        _add(found, text, start, end)
        start = match.end()
    _add(found, text, start, len(text))
    return found


def _add(found: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if piece.strip():
        found.append((start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())))
