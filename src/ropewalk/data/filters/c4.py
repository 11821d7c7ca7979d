"""The rules of C4 (Raffel et al. 2020, arXiv:1910.10683, section 2.2; the list of bad words aside), every threshold a field."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ropewalk.core.units import Count
from ropewalk.data.features.c4_lines import LineRules, choose_lines
from ropewalk.data.steps import Batch, Change, Rule, Step

Phrase = Annotated[str, Field(pattern=r"^[!-@\[-~]([ -@\[-~]*[!-@\[-~])?$")]


class C4(Step, type="c4"):
    """Keeps lines that end like sentences and say something, and documents of which enough is left; cuts citations such as `[12]`."""

    end_marks: list[Annotated[str, Field(min_length=1)]] = [".", "?", "!", '"']
    """What a line must end with, `...` aside; [] for any end."""
    min_words_per_line: Annotated[Count, Field(ge=0)] = 5
    """Fewest words of a line that stays."""
    max_word_length: Annotated[Count, Field(ge=1)] | None = 1000
    """A line with a word of more characters goes; null for no limit, as with the others below."""
    drop_javascript_lines: bool = True
    """Whether lines that say `javascript`, in capitals or not, go."""
    policy_phrases: list[Phrase] = [
        "terms of use",
        "privacy policy",
        "cookie policy",
        "uses cookies",
        "use of cookies",
        "use cookies",
    ]
    """Lines that say one of these, in capitals or not, go; write them in small letters."""
    remove_citations: bool = True
    """Whether `[12]`, `[]`, `[edit]` and `[citation needed]` are cut from the lines."""
    max_lorem_ipsum_lines: Annotated[Count, Field(ge=0)] | None = 0
    """Most lines with `lorem ipsum`, among those that are long enough and end well."""
    max_curly_bracket_lines: Annotated[Count, Field(ge=0)] | None = 0
    """Most lines with a `{`, among the same."""
    min_sentences: Annotated[Count, Field(ge=0)] = 3
    """Fewest sentences in the lines that stay."""

    def apply(self, batch: Batch) -> Change:
        rules = LineRules(
            self.end_marks,
            self.min_words_per_line,
            self.max_word_length,
            self.drop_javascript_lines,
            self.policy_phrases,
            self.remove_citations,
        )
        lines = choose_lines(batch.table["text"], rules)
        dropped = ("long_word", "no_end_mark", "few_words", "javascript", "policy")
        return Change(
            texts=lines.texts,
            rules=(
                Rule("max_lorem_ipsum_lines", lines["lorem_ipsum"], at_most=self.max_lorem_ipsum_lines),
                Rule("max_curly_bracket_lines", lines["curly_bracket"], at_most=self.max_curly_bracket_lines),
                Rule("min_sentences", lines["sentences"], at_least=self.min_sentences),
            ),
            counts={f"lines_{reason}": lines[reason] for reason in dropped},
        )
