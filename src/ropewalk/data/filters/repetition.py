"""The repetition rules of Gopher (Rae et al. 2021, arXiv:2112.11446, table A1), every threshold a field."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ropewalk.data.features.measures import features, shares
from ropewalk.data.steps import Batch, Change, Rule, Step, judge

Share = Annotated[float, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]


class Repetition(Step, type="repetition"):
    """Drops documents that say the same thing again and again. Blank lines are no lines, and what is said once is not repeated."""

    max_duplicate_lines: Share | None = 0.3
    """Largest share of lines that were there before; null switches a rule off."""
    max_duplicate_line_characters: Share | None = 0.2
    """Largest share of characters in such lines."""
    max_duplicate_paragraphs: Share | None = 0.3
    """Largest share of paragraphs that were there before."""
    max_duplicate_paragraph_characters: Share | None = 0.2
    """Largest share of characters in such paragraphs."""
    max_top_ngram: dict[Size, Share] = {2: 0.2, 3: 0.18, 4: 0.16}
    """Words in an n-gram -> largest share of the text's characters in the one that is there most often (twice at least)."""
    max_duplicate_ngrams: dict[Size, Share] = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
    """Words in an n-gram -> largest share of the text's characters in words of n-grams that were there before, none counted twice."""

    def apply(self, batch: Batch) -> Change:
        found = features(batch, top_ngrams=tuple(sorted(self.max_top_ngram)), duplicate_ngrams=tuple(sorted(self.max_duplicate_ngrams)))
        lines, paragraphs = found.share("duplicate_lines", "lines"), found.share("duplicate_paragraphs", "paragraphs")
        in_lines = found.share("duplicate_line_characters", "characters")
        in_paragraphs = found.share("duplicate_paragraph_characters", "characters")
        rules = [
            Rule("max_duplicate_lines", lines, at_most=self.max_duplicate_lines),
            Rule("max_duplicate_line_characters", in_lines, at_most=self.max_duplicate_line_characters),
            Rule("max_duplicate_paragraphs", paragraphs, at_most=self.max_duplicate_paragraphs),
            Rule("max_duplicate_paragraph_characters", in_paragraphs, at_most=self.max_duplicate_paragraph_characters),
        ]
        for size, most in sorted(self.max_top_ngram.items()):
            rules.append(Rule(f"max_top_ngram.{size}", shares(found.top_ngram(size), found["characters"]), at_most=most))
        for size, most in sorted(self.max_duplicate_ngrams.items()):
            rules.append(Rule(f"max_duplicate_ngrams.{size}", shares(found.duplicate_ngrams(size), found["characters"]), at_most=most))
        return judge(*rules)
