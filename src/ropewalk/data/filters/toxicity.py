"""Drops toxic documents, or puts the toxic words or sentences of a document out of sight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ropewalk.core.reference import Ref
from ropewalk.core.units import Bytes
from ropewalk.data.classify.classifier import Classifier
from ropewalk.data.classify.sequence_classifier import SequenceClassifier
from ropewalk.data.steps import Batch, Change, Rule, Step, judge

if TYPE_CHECKING:
    from ropewalk.data.classify.passages import Judge

Share = Annotated[float, Field(ge=0, le=1)]
PUT_IN = "<TOXIC>"


class Toxicity(Step, type="toxicity"):
    """Scores documents and their sentences from 0 to 1, by a shipped list of words or by a classifier; drops or hides what is above."""

    model: Ref[Classifier | SequenceClassifier] | None = None
    """The stage that trains a classifier, `path:` and the folder of one, or of a Hugging Face sequence classifier (extra `hf`);
    without it, the list of words."""
    words: Path | None = None
    """A word list of your own in place of the shipped one: lines `WEIGHT: WORD WORD- …`, where `-` says that longer words count too."""
    action: Literal["drop", "mask", "tag"] = "drop"
    """`drop` the document; or read all of it and put a `*` for each letter and digit (`mask`) or `<TOXIC>` (`tag`) in place of each
    sentence that is above `span_at_most`, or with a list of words of each word on it."""
    at_most: Share = 0.5
    """Greatest score of a document."""
    span_at_most: Share | None = None
    """Greatest score of a sentence; without it, sentences drop no document, and `at_most` holds for what is masked or tagged."""
    first_bytes: Annotated[Bytes, Field(ge=0)] = 2000
    """Of each document so many bytes are judged for `drop`; 0 for all."""
    label: str = ""
    """The label of a Hugging Face classifier that means toxic, when its names don't tell."""

    @model_validator(mode="after")
    def _fits(self) -> Toxicity:
        if self.model is not None and self.words is not None:
            raise PydanticCustomError("words", "a model needs no words: leave one of the two out")
        return self

    def fingerprint(self) -> Any:
        """What is in the list of words."""
        if self.model is not None:
            return None
        from ropewalk.core.artifact import hash_file
        from ropewalk.data.classify.shipped import SHIPPED

        return {"words": hash_file(self.words or SHIPPED)}

    def apply(self, batch: Batch) -> Change:
        judge_ = self._judge()
        if self.action == "drop":
            documents = judge_.documents(batch.table["text"], self.first_bytes)
            rules = [Rule("at_most", documents, at_most=self.at_most)]
            if self.span_at_most is not None:
                worst = judge_.worst_spans(batch.table["text"], self.first_bytes)
                rules.append(Rule("span_at_most", worst, at_most=self.span_at_most))
            return judge(*rules)
        from ropewalk.data.classify.passages import covered

        limit = self.at_most if self.span_at_most is None else self.span_at_most
        texts, numbers, worst = covered(judge_, batch.table["text"], limit, PUT_IN, tag=self.action == "tag")
        return Change(texts=texts, rules=(Rule("span", worst),), counts={"spans": numbers})

    def _judge(self) -> Judge:
        from ropewalk.data.classify.opened import opened
        from ropewalk.data.classify.passages import Listed, Scored

        if self.model is None:
            from ropewalk.data.classify.word_list import word_list

            return Listed(word_list(self.words, self.words.stat().st_mtime_ns if self.words else 0))
        artifact = opened(self.model)
        if isinstance(artifact, SequenceClassifier):
            from ropewalk.data.classify.passages import Encoded

            return Encoded(artifact.load(self.label))
        assert isinstance(artifact, Classifier), "the reference's kinds see to it"
        return Scored(artifact.load())
