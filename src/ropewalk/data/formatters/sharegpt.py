"""ShareGPT: {conversations: [{from, value}, …]}, with `tools`, function_call and observation turns in the tool form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_reasoning
from ropewalk.data.formatters.formatter import Formatter, conversation
from ropewalk.data.formatters.tool_text import call_of, literal, tools_of
from ropewalk.data.records import Chat, Message, Rejected

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "function_call": "assistant",
    "observation": "tool",
}


class ShareGPT(Formatter, type="sharegpt"):
    """Conversations as the ShareGPT dumps and LLaMA-Factory have them."""

    known = frozenset(("id", "conversations", "tools", "system"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        turns = turns_of(record)
        if isinstance(turns, str):
            return Rejected(turns, id)
        tools = tools_of(record.get("tools") or [])
        if tools is None:
            return Rejected("bad_tools", id)
        system = record.get("system") or ""
        if not isinstance(system, str):
            return Rejected("system_is_no_text", id)
        messages = [Message("system", system.strip())] if system.strip() else []
        for index, (speaker, value) in enumerate(turns):
            found = _message(speaker, value)
            if isinstance(found, str):
                return Rejected(found, f"{id} turn {index + 1}")
            messages.append(found)
        return conversation(id, messages, tools)


def turns_of(record: Mapping[str, Any]) -> list[tuple[str, str]] | str:
    """(from, value) of each turn, or what is wrong."""
    turns = record.get("conversations")
    if not isinstance(turns, list) or not turns:
        return "no_conversations"
    found = []
    for turn in turns:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("from"), str) or not isinstance(turn.get("value"), str):
            return "turn_is_no_object"
        found.append((turn["from"], turn["value"]))
    return found


def _message(speaker: str, value: str) -> Message | str:
    role = ROLES.get(speaker)
    if role is None:
        return f"unknown_role_{speaker}"
    if speaker == "function_call":
        try:
            given = literal(value)
        except ValueError:
            return "bad_tool_call"
        calls = [call_of(call) for call in (given if isinstance(given, list) else [given])]
        good = tuple(call for call in calls if call is not None)
        return Message(role, "", good) if good and len(good) == len(calls) else "bad_tool_call"
    reasoning, content = split_reasoning(value) if role == "assistant" else ("", value)
    return Message(role, content.strip(), reasoning=reasoning)
