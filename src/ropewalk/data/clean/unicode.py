"""Mojibake: text that was decoded with the wrong table (`voilÃ `, `â€œropeâ€\x9d`) is read again with the right one, by ftfy."""

from __future__ import annotations

from typing import Any, ClassVar

from ropewalk.core.extras import extra_version
from ropewalk.data.steps import Batch, Change, Step, rewrite

# By themselves, quotes, dashes and the ellipsis of good typography are never mojibake, and most texts have nothing odder.
_QUOTES = "\u2018\u2019\u201c\u201d"
_ODD = f"[^\\x00-\\x7f{_QUOTES}\u2013\u2014\u2026]"
_OR_QUOTES = f"{_ODD}|[{_QUOTES}]"


class Unicode(Step, type="unicode"):
    """Repairs mojibake line by line; text that was read rightly stays. Forms, blanks and control characters are left to `normalise`."""

    shows_changes: ClassVar[bool] = True
    straighten_quotes: bool = False
    """Write curly quotation marks straight."""

    def fingerprint(self) -> Any:
        """ftfy's version: its judgement of what is mojibake changes."""
        return {"ftfy": extra_version("ftfy", "data", "step unicode")}

    def apply(self, batch: Batch) -> Change:
        """Counts the lines that were repaired."""
        import pyarrow.compute as pc

        odd = pc.match_substring_regex(batch.table["text"], _OR_QUOTES if self.straighten_quotes else _ODD).to_pylist()
        texts, repaired = [], []
        for text, is_odd in zip(batch.texts, odd, strict=True):
            found, number = self.repaired(text) if is_odd else (text, 0)
            texts.append(found)
            repaired.append(number)
        return rewrite(texts, repaired_lines=repaired)

    def repaired(self, text: str) -> tuple[str, int]:
        """(text, lines changed)."""
        from ftfy import TextFixerConfig, fix_encoding
        from ftfy.badness import is_bad
        from ftfy.fixes import uncurl_quotes

        if self.straighten_quotes:
            text = uncurl_quotes(text)
        lines, number = text.split("\n"), 0
        for place, line in enumerate(lines):
            if not line.isascii() and is_bad(line):
                found = fix_encoding(line, TextFixerConfig(explain=False))
                number += found != line
                lines[place] = uncurl_quotes(found) if self.straighten_quotes else found
        return "\n".join(lines) if number else text, number
