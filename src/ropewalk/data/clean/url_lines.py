"""Lines that are nothing but web addresses."""

from __future__ import annotations

import re
from typing import ClassVar

from ropewalk.data.steps import Batch, Change, Step, rewrite

_ADDRESS = r"(?:https?://|ftp://|www\.)[^\s]"
_HINT = rf"(?im)^[\s<(\[*-]*{_ADDRESS}"
_WORD = re.compile(rf"[<(\[]*{_ADDRESS}[^\s]*", re.IGNORECASE)
_BULLETS = ("-", "*", "•", "|", "·")


class UrlLines(Step, type="url_lines"):
    """Removes lines that hold only addresses (one or several, bulleted or bracketed); an address within a sentence stays."""

    shows_changes: ClassVar[bool] = True

    def apply(self, batch: Batch) -> Change:
        """Counts the lines; texts where no line begins like one are told by one pass of Arrow."""
        import pyarrow.compute as pc

        hinted = pc.match_substring_regex(batch.table["text"], _HINT).to_pylist()
        found = [_without(text) if is_hinted else (text, 0) for text, is_hinted in zip(batch.texts, hinted, strict=True)]
        return rewrite([text for text, _ in found], lines=[number for _, number in found])


def _without(text: str) -> tuple[str, int]:
    lines = text.split("\n")
    kept = [line for line in lines if not is_address_line(line)]
    return "\n".join(kept), len(lines) - len(kept)


def is_address_line(line: str) -> bool:
    """Whether there is an address in the line and nothing else but bullets."""
    words = [word for word in line.split() if word not in _BULLETS]
    return bool(words) and all(_WORD.fullmatch(word) for word in words)
