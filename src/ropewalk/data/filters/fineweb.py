"""The quality rules that FineWeb added to Gopher's and C4's (Penedo et al. 2024, arXiv:2406.17557), every threshold a field."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ropewalk.core.units import Count
from ropewalk.data.features.characters import SENTENCE_TERMINALS
from ropewalk.data.features.measures import features, shares
from ropewalk.data.steps import Batch, Change, Rule, Step, judge

Share = Annotated[float, Field(ge=0)]


class FineWeb(Step, type="fineweb"):
    """Drops lists, menus and boilerplate: lines without an end mark, short lines, lines that were there before, few words a line."""

    min_end_mark_lines_ratio: Share = 0.12
    """Smallest share of lines that end with a mark; 0 switches the rule off."""
    end_marks: Annotated[str, Field(min_length=1)] | None = None
    """The marks, one character each; null for what ends a sentence in any script."""
    max_short_lines_ratio: Share | None = 0.67
    """Largest share of lines that are short; null switches a rule off."""
    short_line_characters: Annotated[Count, Field(ge=0)] = 30
    """A line of so many characters is still short."""
    max_duplicate_line_characters: Share | None = 0.1
    """Largest share of characters, line ends aside, in lines that were there before."""
    max_newlines_ratio: Share | None = 0.3
    """Most line ends a word."""

    def apply(self, batch: Batch) -> Change:
        found = features(batch, end_marks=self.end_marks or SENTENCE_TERMINALS, short_characters=self.short_line_characters)
        written = found["characters"] - found["newlines"]
        return judge(
            Rule("min_end_mark_lines_ratio", found.share("end_lines", "lines"), at_least=self.min_end_mark_lines_ratio),
            Rule("max_short_lines_ratio", found.share("short_lines", "lines"), at_most=self.max_short_lines_ratio),
            Rule(
                "max_duplicate_line_characters",
                shares(found["duplicate_line_characters"], written),
                at_most=self.max_duplicate_line_characters,
            ),
            Rule("max_newlines_ratio", found.share("newlines", "words"), at_most=self.max_newlines_ratio),
        )
