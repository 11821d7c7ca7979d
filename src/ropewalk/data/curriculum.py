"""What a mixture is told: its parts, how their shares move over training, how long sequences are, what comes first."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ropewalk.core.component import Component
from ropewalk.core.reference import Ref
from ropewalk.core.units import Count
from ropewalk.data.corpus import Corpus
from ropewalk.data.tokens import Tokens

Share = Annotated[float, Field(ge=0, le=1)]


class Course(Component):
    """A number that moves in a straight line over a span of the training's progress and stays where it got to."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    start: float = Field(ge=0)
    """Its value up to `from`."""
    end: float = Field(ge=0)
    """Its value from `until` on."""
    from_: Share = Field(default=0.0, alias="from")
    """Share of the training after which it begins to move."""
    until: Share = 1.0
    """Share of the training by which it has moved."""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.from_ > self.until:
            raise ValueError(f"from {self.from_} comes after until {self.until}")
        return self

    def at(self, progress: float) -> float:
        """Its value when this share of the training is done."""
        if progress >= self.until:
            return self.end
        gone = max(0.0, progress - self.from_) / (self.until - self.from_)
        return self.start + (self.end - self.start) * gone


class Part(Component):
    """One store of a mixture."""

    data: Ref[Tokens]
    """Its tokens."""
    weight: Annotated[float, Field(ge=0)] | Course | None = None
    """Its share of the positions trained, beside the others' weights; its size (see temperature) when left out."""
    tokens: Annotated[Count, Field(gt=0)] | None = None
    """Positions to train on from it at most; where no weight is given, its weight too."""
    max_epochs: Annotated[float, Field(gt=0)] | None = None
    """Times to see it at most; its share goes to the others then."""


class Length(Component):
    """Short sequences first: full ones are cut into rows of so many positions, so a batch holds the same tokens throughout."""

    start: Annotated[Count, Field(gt=0)]
    """Positions of a row at the beginning; doubled in equal stretches until a row is a whole sequence."""
    until: Share = 0.5
    """Share of the training after which rows are whole sequences."""

    def at(self, progress: float, whole: int) -> int:
        """Positions of a row when this share of the training is done."""
        lengths = [self.start << power for power in range(whole.bit_length()) if self.start << power < whole]
        if progress >= self.until or not lengths:
            return whole
        return lengths[int(progress / self.until * len(lengths))]


class Difficulty(Component):
    """Easy sequences first, in a part's first epoch; each is still seen once an epoch."""

    by: Literal["length", "score"] = "length"
    """The mean length of a sequence's documents, or the mean of a score that clean kept beside them."""
    scores: Ref[Corpus] | None = None
    """For score: the cleaned corpus that holds it."""
    score: str = ""
    """For score: its name there, such as `gopher.words`."""
    hardest_first: bool = False
    """Whether to turn the order round: large values first."""
    spread: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of a part within which its order is shuffled; 1 is no order at all."""

    @model_validator(mode="after")
    def _scored(self) -> Self:
        if (self.by == "score") != (self.scores is not None and bool(self.score)):
            raise ValueError("by: score needs scores (a cleaned corpus) and score (a name), and only it does")
        return self
