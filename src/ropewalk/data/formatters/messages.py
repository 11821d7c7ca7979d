"""Messages: {messages: [{role, content}, …]} as OpenAI's chat format has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.records import Chat, Message, Rejected, ToolCall

ROLES = ("system", "user", "assistant", "tool")


class Messages(Formatter, type="messages"):
    """Conversations of system, user, assistant and tool turns, with tool calls."""

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        turns = record.get("messages")
        if not isinstance(turns, list) or not turns:
            return Rejected("no_messages", id)
        messages: list[Message] = []
        for index, turn in enumerate(turns):
            found = _message(turn)
            if isinstance(found, str):
                return Rejected(found, f"{id} turn {index + 1}")
            messages.append(found)
        tools = record.get("tools") or []
        if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
            return Rejected("tools_are_no_list", id)
        return Chat(id, tuple(messages), tuple(tools))


def _message(turn: Any) -> Message | str:
    if not isinstance(turn, dict):
        return "turn_is_no_object"
    role, content = turn.get("role"), turn.get("content")
    if role not in ROLES:
        return f"unknown_role_{role}"
    given = turn.get("tool_calls") or []
    calls = [_call(call) for call in given] if isinstance(given, list) else [None]
    if any(call is None for call in calls):
        return "bad_tool_call"
    if content is None and calls:
        content = ""
    if not isinstance(content, str) or (not content.strip() and not calls):
        return "empty_turn" if isinstance(content, str) else "content_is_no_text"
    return Message(role, content, tuple(call for call in calls if call is not None), str(turn.get("name") or ""))


def _call(call: Any) -> ToolCall | None:
    """`{function: {name, arguments}}` or `{name, arguments}`; arguments may be an object or its JSON text."""
    body = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        return None
    arguments = body.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return None
    return ToolCall(body["name"], arguments) if isinstance(arguments, dict) else None
