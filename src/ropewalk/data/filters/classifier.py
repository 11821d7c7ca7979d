"""Keeps documents that a trained classifier scores in a range."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ropewalk.core.reference import Ref
from ropewalk.core.units import Bytes
from ropewalk.data.classify.classifier import Classifier
from ropewalk.data.steps import Batch, Change, Rule, Step, judge

Share = Annotated[float, Field(ge=0, le=1)]


class Classified(Step, type="classifier"):
    """Scores each document with a classifier that the stage of that name trained; without a limit the score is only recorded."""

    model: Ref[Classifier]
    """The stage that trains it, or `path:` and the folder of one."""
    at_least: Share | None = None
    """Least probability of being a positive."""
    at_most: Share | None = None
    """Greatest probability."""
    first_bytes: Annotated[Bytes, Field(ge=0)] = 2000
    """Of each document so many bytes are read; 0 for all."""

    def apply(self, batch: Batch) -> Change:
        from ropewalk.data.classify.opened import linear

        scores = linear(self.model).judge(batch.table["text"], self.first_bytes)
        return judge(Rule("probability", scores, at_least=self.at_least, at_most=self.at_most))
