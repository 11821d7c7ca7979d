"""Questions with windows of their documents as tokens, and each token's place in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ropewalk.core.component import Component
from ropewalk.data.loader import IGNORED
from ropewalk.data.spans import Span
from ropewalk.data.windows import cut

if TYPE_CHECKING:
    from ropewalk.data.tokenizer import Vocabulary

START, END = 1, 2  # bits of a token's target


class WindowSize(Component):
    """How a document is cut for the span head."""

    length: Annotated[int, Field(ge=16)] = 256
    """Tokens of a window, its question included."""
    stride: Annotated[int, Field(ge=1)] = 96
    """Tokens from the beginning of one window to that of the next."""
    question_tokens: Annotated[int, Field(ge=1)] = 64
    """Of a longer question the end is left out, which is counted."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.question_tokens + 3 >= self.length:
            raise ValueError(f"a question of {self.question_tokens} tokens leaves no room in a window of {self.length}")
        return self


@dataclass(frozen=True)
class Window:
    """`[CLS] question [SEP] passage [SEP]`."""

    tokens: NDArray[np.int32]  # (T,)
    kinds: NDArray[np.int8]  # (T,) 1 up to the first [SEP], then 2; the last [SEP] is 1, since no answer ends there
    places: list[Span]
    """Of each token of the passage, in characters of the document."""
    first: int
    """Where the passage begins among the tokens."""

    def targets(self, spans: Sequence[Span]) -> NDArray[np.int64]:
        """START and END where answers that lie wholly in the window begin and end; both at [CLS] where none does."""
        found = np.full(len(self.tokens), IGNORED, np.int64)
        for start, end in spans:
            inside = [number for number, (first, last) in enumerate(self.places) if first < end and last > start]
            whole = inside and self.places[0][0] <= start and self.places[-1][1] >= end
            if whole:
                for number, bit in ((inside[0], START), (inside[-1], END)):
                    place = self.first + number
                    found[place] = bit if found[place] < 0 else found[place] | bit
        if (found < 0).all():
            found[0] = START | END
        return found


@dataclass(frozen=True)
class Coded:
    """A text's tokens with their places in it."""

    ids: NDArray[np.int32]
    places: list[Span]

    @classmethod
    def of(cls, vocabulary: Vocabulary, text: str) -> Self:
        found = vocabulary.engine.encode(text, add_special_tokens=False)
        return cls(np.array(found.ids, np.int32), [(int(start), int(end)) for start, end in found.offsets])


def windows(vocabulary: Vocabulary, question: Coded, document: Coded, size: WindowSize) -> list[Window]:
    """All windows of a document; an empty document has none. The last tokens of a question may be cut."""
    if not len(document.ids):
        return []
    first, last = vocabulary.control("[CLS]"), vocabulary.control("[SEP]")
    head = [first, *question.ids[: size.question_tokens].tolist(), last]
    room = size.length - len(head) - 1
    found = []
    _, starts, lengths, _ = cut(np.array([len(document.ids)]), room, min(size.stride, room))
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        tokens = np.array([*head, *document.ids[start : start + length].tolist(), last], np.int32)
        kinds = np.ones(len(tokens), np.int8)
        kinds[len(head) : -1] = 2
        found.append(Window(tokens, kinds, document.places[start : start + length], len(head)))
    return found
