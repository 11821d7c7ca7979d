"""Drops documents that are too short or too long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ropewalk.core.units import Count
from ropewalk.data.features.measures import features
from ropewalk.data.steps import Batch, Change, Rule, Step, judge

Limit = Annotated[Count, Field(ge=0)]


class Length(Step, type="length"):
    """Keeps documents whose words (runs between white space) and characters are within bounds."""

    min_words: Limit = 1
    """Fewest words."""
    max_words: Limit | None = None
    """Most words."""
    min_characters: Limit = 0
    """Fewest characters."""
    max_characters: Limit | None = None
    """Most characters."""

    def apply(self, batch: Batch) -> Change:
        found = features(batch)
        words, characters = found["words"], found["characters"]
        return judge(
            Rule("min_words", words, at_least=self.min_words),
            Rule("max_words", words, at_most=self.max_words),
            Rule("min_characters", characters, at_least=self.min_characters),
            Rule("max_characters", characters, at_most=self.max_characters),
        )
