"""The quality rules of Gopher (Rae et al. 2021, arXiv:2112.11446, appendix A.1.1), every threshold a field."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ropewalk.core.units import Count
from ropewalk.data.features.measures import STOP_WORDS, features
from ropewalk.data.steps import Batch, Change, Rule, Step, judge

Share = Annotated[float, Field(ge=0)]


class Gopher(Step, type="gopher"):
    """Keeps what reads like prose: enough words of usual length, few symbols, bullets and ellipses, some common words."""

    min_words: Annotated[Count, Field(ge=0)] = 50
    """Fewest words (runs between white space)."""
    max_words: Annotated[Count, Field(gt=0)] | None = 100_000
    """Most words; null for no limit, as with the others below."""
    min_mean_word_length: Share = 3
    """Shortest mean length of a word in characters."""
    max_mean_word_length: Share | None = 10
    """Longest mean length of a word."""
    max_hash_ratio: Share | None = 0.1
    """Most `#` a word."""
    max_ellipsis_ratio: Share | None = 0.1
    """Most ellipses (`...` or `…`) a word."""
    max_bullet_lines_ratio: Share | None = 0.9
    """Largest share of lines that begin with a bullet."""
    max_ellipsis_lines_ratio: Share | None = 0.3
    """Largest share of lines that end with an ellipsis."""
    min_alpha_words_ratio: Share = 0.8
    """Smallest share of words that hold a letter; 0 switches the rule off."""
    min_stop_words: Annotated[int, Field(ge=0)] = 2
    """Fewest different stop words that must be there."""
    stop_words: list[str] = list(STOP_WORDS)
    """The stop words, in lower case."""

    def apply(self, batch: Batch) -> Change:
        found = features(batch, stop_words=tuple(self.stop_words))
        return judge(
            Rule("min_words", found["words"], at_least=self.min_words),
            Rule("max_words", found["words"], at_most=self.max_words),
            Rule("min_mean_word_length", found.share("word_characters", "words"), at_least=self.min_mean_word_length),
            Rule("max_mean_word_length", found.share("word_characters", "words"), at_most=self.max_mean_word_length),
            Rule("max_hash_ratio", found.share("hashes", "words"), at_most=self.max_hash_ratio),
            Rule("max_ellipsis_ratio", found.share("ellipses", "words"), at_most=self.max_ellipsis_ratio),
            Rule("max_bullet_lines_ratio", found.share("bullet_lines", "lines"), at_most=self.max_bullet_lines_ratio),
            Rule("max_ellipsis_lines_ratio", found.share("ellipsis_lines", "lines"), at_most=self.max_ellipsis_lines_ratio),
            Rule("min_alpha_words_ratio", found.share("letter_words", "words"), at_least=self.min_alpha_words_ratio),
            Rule("min_stop_words", found["stop_words"], at_least=self.min_stop_words),
        )
