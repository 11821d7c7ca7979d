"""What any model of evidence must beat: the commonest place, the sentence with the likest words, and the likest embedding."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ropewalk.data.sentence_features import Embed, cut_sentences, holds
from ropewalk.data.spans import Span, SpanExample

_WORD = re.compile(r"\w\w+")
PLACES = 10


class SentenceBaselines:
    """Learnt from the training examples: the place that holds most answers, and how rare each word is."""

    def __init__(self, examples: Iterable[SpanExample], texts: dict[str, str], embed: Embed | None) -> None:
        self.embed = embed
        places: Counter[int] = Counter()
        documents: dict[str, str] = {}
        for one in examples:
            bounds = cut_sentences(texts[one.document])
            documents[one.document] = texts[one.document]
            places.update(number * PLACES // len(bounds) for number, span in enumerate(bounds) if holds(span, one.spans))
        self.place = max(range(PLACES), key=lambda place: places[place])
        self.documents = len(documents)
        self.spread = Counter(word for text in documents.values() for word in set(_words(text)))

    def choose(self, text: str, question: str) -> dict[str, Span]:
        """Baseline -> the sentence that it takes."""
        bounds = cut_sentences(text)
        pieces = [text[start:end] for start, end in bounds]
        asked = self._weighted(question)
        found = {
            "position": bounds[min(len(bounds) - 1, int((self.place + 0.5) * len(bounds) / PLACES))],
            "tfidf": bounds[_best([_cosine(asked, self._weighted(piece)) for piece in pieces])],
        }
        if self.embed is not None:
            vectors = self.embed([*pieces, question])
            found["embedding"] = bounds[_best((vectors[:-1] @ vectors[-1]).tolist())]
        return found

    def _weighted(self, text: str) -> dict[str, float]:
        counts = Counter(_words(text))
        return {word: number * (math.log((1 + self.documents) / (1 + self.spread[word])) + 1) for word, number in counts.items()}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    size = math.sqrt(sum(value * value for value in one.values()) * sum(value * value for value in other.values()))
    return sum(value * other.get(word, 0.0) for word, value in one.items()) / size if size else 0.0


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda place: values[place])
