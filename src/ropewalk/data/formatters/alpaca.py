"""Alpaca: {instruction, input, output}; the input, where there is one, follows the instruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_reasoning
from ropewalk.data.formatters.formatter import Formatter, conversation, exchange, texts_of
from ropewalk.data.records import Chat, Message, Rejected


class Alpaca(Formatter, type="alpaca"):
    """Instructions with an optional input (Taori et al. 2023); `system` and `history` of later sets are kept."""

    known = frozenset(("id", "instruction", "input", "output", "system", "history", "text"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of({"input": "", "system": "", **record}, "instruction", "input", "output", "system")
        if isinstance(found, str):
            return Rejected(found, id)
        instruction, given, output, system = found
        question = f"{instruction.strip()}\n\n{given.strip()}" if given.strip() else instruction
        reasoning, answer = split_reasoning(output)
        chat = exchange(id, question, answer, system=system, reasoning=reasoning)
        history = record.get("history") or []
        if isinstance(chat, Rejected) or not history:
            return chat
        if not isinstance(history, list) or not all(_is_pair(pair) for pair in history):
            return Rejected("bad_history", id)
        earlier = [Message(role, text.strip()) for pair in history for role, text in zip(("user", "assistant"), pair, strict=True)]
        head = chat.messages[: len(chat.messages) - 2]
        return conversation(id, (*head, *earlier, *chat.messages[-2:]))


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
