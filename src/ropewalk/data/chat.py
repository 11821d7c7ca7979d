"""Chat templates: a conversation as pieces of text and control tokens, each known to be trained or not.

Masks come from these pieces' characters, never from searching token ids. The Jinja text says the same to transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.data.records import Chat, Message
from ropewalk.data.tokenizer import END, Vocabulary

TrainOn = Literal["assistant", "last", "all"]
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True)
class Piece:
    """Text, or a control token when `control` is set."""

    text: str
    trained: bool
    control: bool = False


@dataclass(frozen=True)
class Template:
    """How a turn is written: opening control token, head, content, closing control token, tail."""

    name: str
    heads: Mapping[str, str]
    """Role -> text before the content."""
    opening: str
    """Control token before the head; may be empty."""
    closing: Mapping[str, str]
    """Role -> control token behind the content; may be empty."""
    tail: str
    """Text between turns."""
    jinja: str

    def controls(self) -> set[str]:
        """The control tokens that a tokenizer must have."""
        return {END, self.opening, *self.closing.values()} - {""}

    def pieces(self, chat: Chat, train_on: TrainOn) -> list[Piece]:
        """BOS and every turn; raises DataError for a role that the template does not know."""
        result = [Piece(END, False, control=True)]
        last = max((i for i, message in enumerate(chat.messages) if message.role == "assistant"), default=-1)
        for index, message in enumerate(chat.messages):
            if message.role not in self.heads:
                raise DataError(f"chat {chat.id!r}: unknown role {message.role!r} in turn {index + 1} (one of: {', '.join(self.heads)})")
            own = message.role == "assistant" and (train_on != "last" or index == last)
            trained = own or (train_on == "all" and message.role != "tool")
            result += self._turn(message, trained, first=index == 0)
        return result

    def _turn(self, message: Message, trained: bool, *, first: bool) -> list[Piece]:
        turn = [] if first or not self.tail else [Piece(self.tail, False)]
        if self.opening:
            turn.append(Piece(self.opening, False, control=True))
        turn += [Piece(self.heads[message.role], False), Piece(content_of(message), trained)]
        if self.closing[message.role]:
            turn.append(Piece(self.closing[message.role], trained, control=True))
        return turn

    def prompt(self, chat: Chat) -> list[Piece]:
        """The conversation so far and the head of the answer that is to come."""
        start = [Piece(self.tail, False)] if chat.messages and self.tail else []
        opening = [Piece(self.opening, False, control=True)] if self.opening else []
        return [*self.pieces(chat, "assistant"), *start, *opening, Piece(self.heads["assistant"], False)]

    @property
    def stop(self) -> str:
        """The control token that ends an answer."""
        return self.closing["assistant"]


def content_of(message: Message) -> str:
    """The turn's text; tool calls follow it as JSON between tags, one a line (the Hermes form)."""
    calls = [
        "<tool_call>\n" + json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False) + "\n</tool_call>"
        for call in message.tool_calls
    ]
    return "\n".join(part for part in (message.content, *calls) if part)


def encode_pieces(pieces: list[Piece], vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(ids, trained): texts between control tokens are encoded in one go, so ids are those of the whole rendering.

    A token that holds a trained character is trained.
    """
    ids: list[NDArray[np.int64]] = []
    trained: list[NDArray[np.bool_]] = []
    run: list[Piece] = []

    def flush() -> None:
        text = "".join(piece.text for piece in run)
        if text:
            found, ends = vocabulary.encode_with_ends(text)
            wanted = np.concatenate([[False], np.repeat([piece.trained for piece in run], [len(piece.text) for piece in run])])
            until = np.cumsum(wanted)
            starts = [0, *ends[:-1]]
            ids.append(found)
            trained.append(
                np.array([until[end] > until[min(start, max(end - 1, 0))] for start, end in zip(starts, ends, strict=True)], np.bool_)
            )
        run.clear()

    for piece in pieces:
        if piece.control:
            flush()
            ids.append(np.array([vocabulary.control(piece.text)], np.int64))
            trained.append(np.array([piece.trained]))
        else:
            run.append(piece)
    flush()
    return np.concatenate(ids), np.concatenate(trained)


_CHATML = (
    "{{ bos_token }}{% for message in messages %}{{ '' if loop.first else '\\n' }}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n<|im_start|>assistant\\n' }}{% endif %}"
)
_PLAIN = (
    "{{ bos_token }}{% for message in messages %}{{ '' if loop.first else '\\n\\n' }}"
    "{{ '### ' + message['role'].capitalize() + ':\\n' + message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\n### Assistant:\\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": Template("chatml", {role: f"{role}\n" for role in ROLES}, "<|im_start|>", dict.fromkeys(ROLES, "<|im_end|>"), "\n", _CHATML),
    "plain": Template(
        "plain", {role: f"### {role.capitalize()}:\n" for role in ROLES}, "", {**dict.fromkeys(ROLES, ""), "assistant": END}, "\n\n", _PLAIN
    ),
}
