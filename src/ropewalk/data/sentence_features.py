"""What is known of a sentence as evidence for a question: where it stands, how long it is, which words they share, what both mean."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ropewalk.core.component import Component
from ropewalk.data.sentences import sentences
from ropewalk.data.spans import Span

Floats = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]
"""Texts to unit vectors (texts, width)."""
_WORD = re.compile(r"\w+")
AROUND = 4  # features that are also seen of the sentences before and after
PLACES = ("place", "place_squared", "first", "last", "last_two", "log_words", "log_words_squared")


class SentenceFeatures(Component):
    """Numbers of each sentence of a document; all but the sentence's own embedding are brought to one scale when a head is fitted."""

    slots: str = ""
    """A pattern whose groups are the parts of a question that ask for something of their own, such as
    `difference between (.+) and (.+)\\?`: words and meaning are compared with each
    part too. A question that it doesn't fit has empty ones."""
    embedding: Annotated[float, Field(ge=0)] = 3.0
    """Length of the sentence's own embedding among the features; 0 leaves it out."""

    @field_validator("slots")
    @classmethod
    def _compiles(cls, slots: str) -> str:
        try:
            re.compile(slots)
        except re.error as error:
            raise ValueError(f"is no pattern: {error}") from None
        return slots

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        return re.compile(self.slots) if self.slots else None

    @property
    def names(self) -> list[str]:
        """The scaled features' names, in order."""
        parts = ["question", *(f"slot{number + 1}" for number in range(self.pattern.groups if self.pattern else 0))]
        shared = [f"{part}_{what}" for part in parts for what in ("rare_words", "words", "meaning")] + ["digits"]
        around = [f"{where}_{name}" for where in ("before", "after") for name in shared[:AROUND]]
        return [*PLACES, *shared, *(f"{name}_here" for name in shared), *(f"{name}_most" for name in shared), *around]

    def parts(self, question: str) -> list[str]:
        """The question and its slots."""
        found = self.pattern.search(question) if self.pattern else None
        return [question, *([group or "" for group in found.groups()] if found else [""] * (self.pattern.groups if self.pattern else 0))]

    def table(self, text: str, bounds: Sequence[Span], question: str, embed: Embed) -> Floats:
        """(sentences, features): the named ones, then the embedding."""
        texts = [text[start:end] for start, end in bounds]
        asked = self.parts(question)
        vectors = embed([*texts, *asked])
        own, questions = vectors[: len(texts)], vectors[len(texts) :]
        words = [_words(sentence) for sentence in texts]
        spread = Counter(word for sentence in words for word in set(sentence))
        number = len(texts)
        columns = []
        for part, vector in zip(asked, questions, strict=True):
            wanted = set(_words(part))
            rare = {word: math.log((number + 1) / (spread[word] + 1)) + 0.1 for word in wanted}
            whole = sum(rare.values()) or 1.0
            columns.append([sum(rare[word] for word in wanted.intersection(sentence)) / whole for sentence in words])
            columns.append([len(wanted.intersection(sentence)) / max(1, len(wanted)) for sentence in words])
            columns.append((own @ vector).tolist() if part else [0.0] * number)
        columns.append([sum(map(str.isdigit, sentence)) / max(1, len(sentence)) for sentence in texts])
        shared = np.array(columns, np.float64).T  # (sentences, shared)
        here = (shared - shared.mean(0)) / (shared.std(0) + 1e-6)
        most = (shared == shared.max(0)).astype(np.float64)
        near = min(AROUND, shared.shape[1])
        before, after = np.zeros((number, near)), np.zeros((number, near))
        before[1:], after[:-1] = shared[:-1, :near], shared[1:, :near]
        place = np.arange(number)
        log_words = np.log1p([len(sentence) for sentence in words])
        where = [place / number, (place / number) ** 2, place == 0, place == number - 1, place >= number - 2, log_words, log_words**2 / 10]
        parts = [np.array(where, np.float64).T, shared, here, most, before, after]
        if self.embedding:
            parts.append(own * self.embedding)
        return np.concatenate(parts, axis=1).astype(np.float32)


def cut_sentences(text: str) -> list[Span]:
    """The sentences of a document; a text without a break is one."""
    return sentences(text) or [(0, max(1, len(text)))]


def holds(bounds: Span, spans: Sequence[Span]) -> bool:
    """Whether a sentence and an answer lie for more than half of either in the other."""
    start, end = bounds
    shared = [(min(end, stop) - max(start, first), stop - first) for first, stop in spans]
    return any(common > 0.5 * (end - start) or common > 0.5 * length for common, length in shared)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
