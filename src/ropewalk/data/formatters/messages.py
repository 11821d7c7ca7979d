"""Messages: {messages: [{role, content}, …]} as OpenAI's chat format has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_reasoning
from ropewalk.data.formatters.formatter import Formatter
from ropewalk.data.formatters.tool_text import call_of, tools_of
from ropewalk.data.records import Chat, Message, Rejected

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}


class Messages(Formatter, type="messages"):
    """Conversations of system, user, assistant and tool turns, with tool calls."""

    known = frozenset(("id", "messages", "tools", "functions", "source"))

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
        tools = tools_of(record.get("tools") or record.get("functions") or [])
        return Rejected("bad_tools", id) if tools is None else Chat(id, tuple(messages), tuple(tools))


def _message(turn: Any) -> Message | str:
    if not isinstance(turn, Mapping):
        return "turn_is_no_object"
    role, content = ROLES.get(str(turn.get("role"))), _text(turn.get("content"))
    if role is None:
        return f"unknown_role_{turn.get('role')}"
    given = turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else [])
    calls = [call_of(call) for call in given] if isinstance(given, list) else [None]
    if any(call is None for call in calls):
        return "bad_tool_call"
    if content is None and calls:
        content = ""
    if not isinstance(content, str) or (not content.strip() and not calls):
        return "empty_turn" if isinstance(content, str) else "content_is_no_text"
    reasoning = turn.get("reasoning_content") or turn.get("reasoning") or ""
    if role == "assistant" and not reasoning:
        reasoning, content = split_reasoning(content)
    if not isinstance(reasoning, str):
        return "reasoning_is_no_text"
    return Message(role, content, tuple(call for call in calls if call is not None), str(turn.get("name") or ""), reasoning)


def _text(content: Any) -> Any:
    """The text of content given in parts; None and anything else as they are."""
    if isinstance(content, list) and content and all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content):
        return "".join(part["text"] for part in content)
    return content
