"""Near-duplicates as a recipe names them: the threshold, and the bands of locality-sensitive hashing that suit it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ropewalk.core.component import Component

FOUND = 0.995
"""Of the pairs exactly at the threshold, the share that becomes candidates; of those above it, more."""


@dataclass(frozen=True)
class Bands:
    """`count` bands of `rows` signature values: two texts are candidates when all the values of one band are equal."""

    count: int
    rows: int

    def chance(self, jaccard: float) -> float:
        """The S-curve: how likely a pair of that similarity becomes a candidate, 1 - (1 - J^rows)^count."""
        return 1.0 - (1.0 - jaccard**self.rows) ** self.count

    def curve(self) -> dict[str, float]:
        """The S-curve at J = 0.1, 0.2, ... 1.0, for logs and reports."""
        return {f"{tenth / 10:.1f}": round(self.chance(tenth / 10), 4) for tenth in range(1, 11)}


def choose_bands(threshold: float, values: int, verify: bool) -> Bands:
    """The bands for a threshold.

    Where candidates are verified, a false one costs a comparison only: as many rows as still find FOUND of the pairs at the
    threshold. Where they are not, false and missed ones count alike: the areas of the S-curve on the wrong side of the
    threshold have the least sum.
    """
    if verify:
        choices = [Bands(values // rows, rows) for rows in range(1, values + 1)]
        good = [choice for choice in choices if choice.chance(threshold) >= FOUND]
        return max(good, key=lambda choice: choice.rows, default=Bands(values, 1))
    places = [(step + 0.5) / 256 for step in range(256)]
    wrong = {
        choice: sum(abs((place >= threshold) - choice.chance(place)) for place in places)
        for choice in [Bands(count, rows) for rows in range(1, values + 1) for count in range(1, values // rows + 1)]
    }
    return min(wrong, key=lambda choice: (wrong[choice], choice.rows))


class Near(Component):
    """Near-duplicates: n-grams of words or characters, MinHash signatures, candidates by equal bands, verified by exact Jaccard similarity.

    The similarity of two texts is that of their sets of n-grams (of `\\w+` runs, lower-cased, or of characters): shared ones over all.
    A text of fewer words than `ngram` has one n-gram, all its words, and so equals only a text of the same words; one without
    words never is a near-duplicate.
    """

    fold: Literal["unicode", "ascii"] = "unicode"
    """Whose capital letters and punctuation count as such: those of all scripts, or of ASCII only (then any other byte is a letter)."""
    threshold: float = Field(default=0.8, gt=0.0, le=1.0)
    """From this Jaccard similarity on, a document is a duplicate of the one that is kept."""
    unit: Literal["word", "character"] = "word"
    """What n-grams are made of. Characters suit short texts and scripts that put no blanks between words; `ngram: 13` or so then."""
    ngram: int = Field(default=5, ge=1, le=64)
    """Words (or characters) in an n-gram. Fewer find shuffled and edited texts, and more false candidates."""
    values: int = Field(default=128, ge=8, le=1024)
    """Values in a signature: more are slower and find a higher share of the pairs just at the threshold."""
    bands: int | None = Field(default=None, ge=1)
    """Bands of the signature, chosen for the threshold when left out; needs `rows`."""
    rows: int | None = Field(default=None, ge=1)
    """Values in a band, chosen for the threshold when left out; needs `bands`."""
    keep: Literal["first", "longest", "best_score"] = "first"
    """Which document of a cluster stays: the first in the corpus, the longest, or the one with the best `score`; of equals the first."""
    score: str | None = None
    """For `keep: best_score`: a score that the clean stage before gave, such as `gopher.words`, or a number in each document's `meta`."""
    verify: bool = True
    """Compare candidates exactly; without it, two documents with one equal band are duplicates, however similar."""

    @model_validator(mode="after")
    def _bands_fit(self) -> Near:
        if (self.bands is None) != (self.rows is None):
            raise PydanticCustomError("bands", "bands and rows go together: give both, or none to have them chosen")
        if (self.keep == "best_score") != (self.score is not None):
            raise PydanticCustomError("score", "`keep: best_score` and `score` go together: the score says which document is best")
        if self.bands and self.rows and self.bands * self.rows > self.values:
            raise PydanticCustomError(
                "bands",
                "{bands} bands of {rows} need {needed} values, there are {values}",
                {"bands": self.bands, "rows": self.rows, "needed": self.bands * self.rows, "values": self.values},
            )
        return self

    def folding(self) -> Literal["word", "character"] | None:
        """For which unit texts that are not ASCII are folded before they are hashed."""
        return self.unit if self.fold == "unicode" else None

    def banding(self) -> Bands:
        """The bands given, or those chosen for the threshold."""
        if self.bands and self.rows:
            return Bands(self.bands, self.rows)
        return choose_bands(self.threshold, self.values, self.verify)

    def said(self) -> str:
        """The S-curve in a line."""
        bands = self.banding()
        found = ", ".join(f"{100 * bands.chance(jaccard):.1f}% at Jaccard {jaccard}" for jaccard in (0.5, 0.7, 0.8, 0.9))
        return f"{bands.count} bands of {bands.rows} values compare of all pairs {found}"
