"""The list of toxic words that is shipped, and lists of one's own."""

from __future__ import annotations

import codecs
from pathlib import Path

from ropewalk.core.errors import DataError

SHIPPED = Path(__file__).with_name("toxic_words.rot13")


def listed_words(path: Path | None = None) -> dict[str, float]:
    """The words of a list and their weights: lines `WEIGHT: WORD WORD- …`, where `-` says that longer words count too."""
    entries: dict[str, float] = {}
    text = codecs.decode(SHIPPED.read_text("ascii"), "rot13") if path is None else path.read_text("utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        head, colon, rest = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            weight = float(head)
        except ValueError:
            weight = -1.0
        if not colon or not 0 < weight <= 1:
            raise DataError(
                f"{path or SHIPPED.name}:{number}: {line[:60]!r} is no line of a word list", remedy="write WEIGHT: WORD WORD- …"
            )
        entries |= dict.fromkeys(rest.split(), weight)
    return entries
