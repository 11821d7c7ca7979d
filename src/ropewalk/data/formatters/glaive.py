"""Glaive function calling: {system, chat}, a conversation as one text with USER:, ASSISTANT: and FUNCTION RESPONSE: in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_reasoning
from ropewalk.data.formatters.formatter import Formatter, conversation, texts_of
from ropewalk.data.formatters.tool_text import call_in, objects_in, tools_of
from ropewalk.data.records import Chat, Message, Rejected

ROLES = {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "tool"}
END = "<|endoftext|>"
CALL = "<functioncall>"
_LINES = re.compile(r"^[ \t]*(USER|ASSISTANT|FUNCTION RESPONSE):", re.MULTILINE)
_ANYWHERE = re.compile(r"(?:^|(?<=\s))(USER|ASSISTANT|FUNCTION RESPONSE):")


class Glaive(Formatter, type="glaive"):
    """Function calling in prose (glaive-function-calling-v2)."""

    known = frozenset(("id", "system", "chat"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "system", "chat")
        if isinstance(found, str):
            return Rejected(found, id)
        system, tools = _system(found[0])
        if tools is None:
            return Rejected("bad_tools", id)
        messages = [Message("system", system)] if system else []
        turns = _turns(found[1])
        if not turns:
            return Rejected("no_turns", id)
        for index, (speaker, text) in enumerate(turns):
            message = _message(ROLES[speaker], text)
            if message is None:
                return Rejected("bad_tool_call", f"{id} turn {index + 1}")
            messages.append(message)
        return conversation(id, messages, tools)


def _system(text: str) -> tuple[str, list[Mapping[str, Any]] | None]:
    """(what is said, the functions): they follow as JSON objects, one behind the other."""
    said = text.strip().removeprefix("SYSTEM:").strip()
    start = re.search(r"-\s*(?=\{)", said)
    if not start:
        return said, []
    objects = objects_in(said[start.end() :])
    return said[: start.start()].strip(), None if objects is None else tools_of(objects)


def _turns(text: str) -> list[tuple[str, str]]:
    """(speaker, text): speakers begin lines; a text without line breaks has them anywhere."""
    for pattern in (_LINES, _ANYWHERE):
        before, *parts = pattern.split(text)
        if len(parts) > 2 and not before.strip():
            return list(zip(parts[::2], parts[1::2], strict=True))
    return []


def _message(role: str, text: str) -> Message | None:
    said = text.replace(END, "").strip() if role == "assistant" else text.strip()
    if role != "assistant" or CALL not in said:
        reasoning, said = split_reasoning(said) if role == "assistant" else ("", said)
        return Message(role, said, reasoning=reasoning)
    before, _, written = said.partition(CALL)
    call = call_in(written)
    return None if call is None else Message(role, before.strip(), (call,))
