"""Text from a model: prompts join and leave a running batch, and each one's text comes in pieces as it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ropewalk.core.errors import DataError
from ropewalk.data.text_stream import TextStream
from ropewalk.models.sampling import Sampling

if TYPE_CHECKING:
    from ropewalk.data.tokenizer import Vocabulary
    from ropewalk.models.generate_module import Row
    from ropewalk.models.gpt_module import Decoder

Finish = Literal["", "stop", "length"]


@dataclass(frozen=True)
class Piece:
    """Text of one prompt's answer; the last piece says why it is the last."""

    number: int
    """Which prompt, as `Writer.add` numbered it."""
    text: str
    finish: Finish = ""
    tokens: int = 0
    """Tokens written for this prompt so far, the stopping one counted."""


@dataclass
class _Work:
    number: int
    row: Row
    stream: TextStream


class Writer:
    """Writes up to `at_once` answers together; others wait. Not for two threads at a time."""

    def __init__(self, module: Decoder, vocabulary: Vocabulary, stop_ids: Iterable[int], at_once: int = 16) -> None:
        from ropewalk.models.generate_module import Rows

        module.eval()
        self.context = module.shape.context
        self.vocabulary = vocabulary
        self._rows, self._stop_ids, self._at_once = Rows(module), frozenset(stop_ids), at_once
        self._waiting: deque[tuple[int, Sequence[int], Sampling]] = deque()
        self._works: list[_Work] = []
        self._count = 0

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._works)

    def add(self, ids: Sequence[int], sampling: Sampling) -> int:
        """Queue a prompt; returns its number. Raises DataError for one that is empty or fills the context."""
        if not ids:
            raise DataError("the prompt is empty, and the tokenizer has no token that begins a text", remedy="give some text")
        if len(ids) >= self.context:
            raise DataError(
                f"the prompt has {len(ids):,} tokens; the model's context of {self.context:,} leaves no room for an answer",
                remedy="give a shorter prompt",
            )
        if faults := sampling.faults():
            raise DataError("; ".join(f"{name} {what}" for name, what in faults))
        self._count += 1
        self._waiting.append((self._count, ids, sampling))
        return self._count

    def cancel(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting = deque(item for item in self._waiting if item[0] != number)
        self._rows.leave([work.row for work in self._works if work.number == number])
        self._works = [work for work in self._works if work.number != number]

    def step(self) -> list[Piece]:
        """One more token for every answer, or the first one of those that waited; the pieces of text that this brings."""
        room = self._at_once - len(self._works)
        if self._waiting and room > 0:
            fresh = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
            rows = self._rows.join([(ids, sampling) for _, ids, sampling in fresh])
            streams = [TextStream(self.vocabulary, ids, sampling.stop) for _, ids, sampling in fresh]
            moved = [_Work(number, row, stream) for (number, _, _), row, stream in zip(fresh, rows, streams, strict=True)]
            self._works += moved
        else:
            moved = self._works
            self._rows.step()
        pieces = [piece for work in moved if (piece := self._piece(work)).text or piece.finish]
        done = {piece.number for piece in pieces if piece.finish}
        self._rows.leave([work.row for work in self._works if work.number in done])
        self._works = [work for work in self._works if work.number not in done]
        return pieces

    def _piece(self, work: _Work) -> Piece:
        row, stream = work.row, work.stream
        ended = row.new[-1] in self._stop_ids
        text = "" if ended else stream.push(row.new[-1])
        finish: Finish = "stop" if ended or stream.stopped else "" if row.room else "length"
        if finish:
            text += stream.finish()
        return Piece(work.number, text, "stop" if stream.stopped else finish, len(row.new))

    def stream(self, prompts: Sequence[tuple[Sequence[int], Sampling]]) -> Iterator[Piece]:
        """The pieces of these prompts as they come, numbered from 0 in the order given; nothing else may be under way."""
        assert not self.busy, "a writer streams one set of prompts at a time"
        places = {self.add(ids, sampling): place for place, (ids, sampling) in enumerate(prompts)}
        try:
            while self._waiting or self._works:
                for piece in self.step():
                    yield Piece(places[piece.number], piece.text, piece.finish, piece.tokens)
        finally:
            for number in places:
                self.cancel(number)

    def write(self, prompts: Sequence[tuple[Sequence[int], Sampling]]) -> list[Piece]:
        """The whole answers, in the order given."""
        texts, last = ["" for _ in prompts], {}
        for piece in self.stream(prompts):
            texts[piece.number] += piece.text
            last[piece.number] = piece
        return [Piece(place, text, last[place].finish, last[place].tokens) for place, text in enumerate(texts)]
