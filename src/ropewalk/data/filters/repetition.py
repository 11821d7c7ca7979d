"""The repetition rules of Gopher (Rae et al. 2021, arXiv:2112.11446, table A1), every threshold a field."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field

from ropewalk.data.filters.words import lines_of, paragraphs_of, repeated, share
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
    """Words in an n-gram -> largest share of characters in the one that is there most often (twice at least)."""
    max_duplicate_ngrams: dict[Size, Share] = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
    """Words in an n-gram -> largest share of characters in n-grams that were there before, none counted twice."""

    def apply(self, batch: Batch) -> Change:
        lines = [lines_of(text) for text in batch.texts]
        paragraphs = [paragraphs_of(text) for text in batch.texts]
        words = [text.split() for text in batch.texts]
        again_lines = [repeated(parts) for parts in lines]
        again_paragraphs = [repeated(parts) for parts in paragraphs]

        def shares(again: list[tuple[int, int]], parts: list[list[str]]) -> list[float]:
            return [share(number, len(whole)) for (number, _), whole in zip(again, parts, strict=True)]

        def character_shares(again: list[tuple[int, int]]) -> list[float]:
            return [share(characters, len(text)) for (_, characters), text in zip(again, batch.texts, strict=True)]

        rules = [
            Rule("max_duplicate_lines", shares(again_lines, lines), at_most=self.max_duplicate_lines),
            Rule("max_duplicate_line_characters", character_shares(again_lines), at_most=self.max_duplicate_line_characters),
            Rule("max_duplicate_paragraphs", shares(again_paragraphs, paragraphs), at_most=self.max_duplicate_paragraphs),
            Rule("max_duplicate_paragraph_characters", character_shares(again_paragraphs), at_most=self.max_duplicate_paragraph_characters),
        ]
        for size, most in sorted(self.max_top_ngram.items()):
            scores = [share(top_ngram_characters(parts, size), sum(map(len, parts))) for parts in words]
            rules.append(Rule(f"max_top_ngram.{size}", scores, at_most=most))
        for size, most in sorted(self.max_duplicate_ngrams.items()):
            scores = [share(duplicate_ngram_characters(parts, size), sum(map(len, parts))) for parts in words]
            rules.append(Rule(f"max_duplicate_ngrams.{size}", scores, at_most=most))
        return judge(*rules)


def top_ngram_characters(words: list[str], size: int) -> int:
    """Characters, without blanks, in all places of the n-gram that is there most often; 0 when none is there twice."""
    counts = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    most = max(counts.values(), default=0)
    return max(most * sum(map(len, ngram)) for ngram, number in counts.items() if number == most) if most > 1 else 0


def duplicate_ngram_characters(words: list[str], size: int) -> int:
    """Characters, without blanks, of the words inside n-grams that were there before; each word counts once."""
    seen: set[tuple[str, ...]] = set()
    characters = covered = 0
    for start, ngram in enumerate(zip(*(words[first:] for first in range(size)), strict=False)):
        if ngram in seen:
            first = max(start, covered)
            characters += sum(map(len, words[first : start + size]))
            covered = start + size
        seen.add(ngram)
    return characters
