"""Both heads together: sentences by their own score and by the best span that the span head sees in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ropewalk.core.errors import DataError
from ropewalk.evaluate.span_predictor import Passage, SpanPredictor

if TYPE_CHECKING:
    from ropewalk.data.sentence_features import Embed

WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)


class CombinedPredictor:
    """A sentence's score is its log-odds plus `weight` times the best log-odds of a span that it shares a character with."""

    def __init__(self, sentences: SpanPredictor, spans: SpanPredictor, weight: float = 0.0) -> None:
        if sentences.asked.kind != "sentences" or spans.asked.kind != "windows":
            raise DataError("both heads together are a model of head: sentence with one of head: span", remedy="name the second in spans")
        self.sentences, self.spans, self.weight = sentences, spans, weight
        self.known: dict[tuple[str, str], tuple[list[Passage], list[float]]] = {}

    @property
    def embed(self) -> Embed:
        return self.sentences.embed

    def remember(self, texts: Sequence[str], questions: Sequence[str]) -> None:
        self.sentences.remember(texts, questions)

    def passages(self, text: str, question: str) -> list[Passage]:
        """Best first."""
        if (text, question) not in self.known:
            own, seen = self.sentences.passages(text, question), self.spans.passages(text, question)
            least = min((one.score for one in seen), default=0.0)
            inside = [max((one.score for one in seen if one.start < own_.end and own_.start < one.end), default=least) for own_ in own]
            self.known[text, question] = own, inside
        own, inside = self.known[text, question]
        found = [Passage(one.start, one.end, one.score + self.weight * more) for one, more in zip(own, inside, strict=True)]
        return sorted(found, key=lambda one: (-one.score, one.start))

    def choose_weight(self, worth: Callable[[], float]) -> None:
        """The weight for which `worth` is greatest; of equal ones the smallest."""

        def at(weight: float) -> float:
            self.weight = weight
            return worth()

        self.weight = max(WEIGHTS, key=at)
