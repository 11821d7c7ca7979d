"""What suites share that let the model write: the prompt, the examples before it, and when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field

from ropewalk.core.errors import DataError
from ropewalk.data.chat import TEMPLATES, Writer
from ropewalk.data.masks import encode_pieces
from ropewalk.data.records import Chat, Message
from ropewalk.evaluate.asked import Asked, encoded
from ropewalk.evaluate.rows import Row
from ropewalk.evaluate.scoring import Ids, Subject
from ropewalk.evaluate.writing import Manner, Written, write


class Prompted(Asked):
    """A suite over what is written after each row's prompt."""

    prompt: str = "{prompt}"
    """What the model goes on from; `{column}` is filled from the row."""
    solution: str = " {answer}"
    """What stands behind the prompt in an example."""
    chat: Literal["", "chatml", "plain"] = ""
    """The chat template that the prompt is put into as a user's turn; plain text when empty."""
    stop: list[str] = []
    """Texts that end the answer and are no part of it."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Longest answer."""
    temperature: float = Field(default=0.0, ge=0)
    """0 takes the likeliest token each time."""
    seed: int = 0
    """Of the draws at a temperature above 0; each item has its own, whatever the batch."""

    def written(self, subject: Subject, advance: Callable[[int], None]) -> tuple[list[Row], list[str], list[Written], dict[str, int]]:
        """(rows, prompts, what was written, counts); items too long are left out when the recipe says so."""
        for row in self.items():
            self.understood(row)
        head = "".join(row.filled(self.prompt) + row.filled(self.solution) + self.between for row in self.examples())
        rows, prompts = self.items(), [head + row.filled(self.prompt) for row in self.items()]
        ids = [self._ids(subject, prompt) for prompt in prompts]
        room = max(1, subject.module.shape.context - self.max_new_tokens + 1)
        fitting = [place for place, prompt in enumerate(ids) if len(prompt) <= room or self.too_long == "crop"]
        if not fitting:
            raise DataError(
                f"{self.title}: every prompt is longer than {room} tokens", remedy="set too_long: crop, or fewer max_new_tokens"
            )
        manner = Manner(self.max_new_tokens, self._stops(subject), self.stop, self.temperature, self.seed)
        texts = write(subject, [ids[place] for place in fitting], manner, advance)
        counts = {
            "truncated": sum(text.cropped for text in texts),
            "left_out": len(rows) - len(fitting),
            "unfinished": sum(not text.finished for text in texts),
        }
        return [rows[place] for place in fitting], [prompts[place] for place in fitting], texts, counts

    def _ids(self, subject: Subject, prompt: str) -> Ids:
        if not self.chat:
            return encoded(subject, prompt, self.bos)
        writer = Writer(TEMPLATES[self.chat], subject.vocabulary)
        ids, _ = encode_pieces(writer.prompt(Chat("item", (Message("user", prompt),))).pieces, subject.vocabulary)
        return np.asarray(ids, np.int64)

    def _stops(self, subject: Subject) -> tuple[int, ...]:
        """EOS, and for a chat what ends a turn in any template."""
        from ropewalk.models.folder_module import ENDS_OF_TURN

        ends = [name for name in ENDS_OF_TURN if name in subject.vocabulary.controls] if self.chat else []
        return (subject.vocabulary.eos_id, *map(subject.vocabulary.control, ends))
