"""Hermes function calling: ShareGPT turns with <tools>, <tool_call> and <tool_response> in the texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_reasoning
from ropewalk.data.formatters.formatter import Formatter, conversation
from ropewalk.data.formatters.sharegpt import turns_of
from ropewalk.data.formatters.tool_text import call_in, literal, objects_in, tools_of
from ropewalk.data.records import Chat, Message, Rejected, ToolCall

ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "tool": "tool"}
MARKUP = ("<tools>", "<tool_call>", "<tool_response>", "<schema>")
_BLOCK = re.compile(r"<tools>\s*(?=[\[{])")
_INSTRUCTIONS = re.compile(r"\A\s*For each function call,? return")
_SENTENCE = "You are provided with function signatures within <tools> </tools> XML tags."


class Hermes(Formatter, type="hermes"):
    """Tool use and JSON answers (NousResearch 2024); how to write a call is left to the template, so that part of the system turn goes."""

    known = frozenset(("id", "conversations", "tools", "category", "subcategory", "task", "schema", "__index_level_0__"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        turns = turns_of(record)
        if isinstance(turns, str):
            return Rejected(turns, id)
        if not record.get("tools") and not any(mark in value for _, value in turns for mark in MARKUP):
            return Rejected("no_hermes_markup", id)
        tools = tools_of(record.get("tools") or [])
        messages: list[Message] = []
        for index, (speaker, value) in enumerate(turns):
            if speaker not in ROLES:
                return Rejected(f"unknown_role_{speaker}", f"{id} turn {index + 1}")
            if ROLES[speaker] == "system":
                value, found = _system(value)
                tools = tools or found
            made = _messages(ROLES[speaker], value) if value.strip() else []
            if isinstance(made, str):
                return Rejected(made, f"{id} turn {index + 1}")
            messages += made
        return Rejected("bad_tools", id) if tools is None else conversation(id, messages, tools)


def _system(text: str) -> tuple[str, list[Mapping[str, Any]] | None]:
    """(the text without the tools and the rules for calling them, the tools)."""
    opened = _BLOCK.search(text)
    if not opened:
        return text, []
    inside, closed, rest = text[opened.end() :].partition("</tools>")
    if not closed:
        return text, None
    found = tools_of(inside)
    if found is None:  # one object a line
        objects = objects_in(inside)
        found = tools_of(objects) if objects is not None else None
    rest = "" if _INSTRUCTIONS.match(rest) else rest
    return f"{text[: opened.start()].replace(_SENTENCE, '').rstrip()}\n{rest}".strip(), found


def _messages(role: str, text: str) -> list[Message] | str:
    if role == "tool":
        outputs = _blocks(text, "tool_response")
        return [_output(output) for output in outputs or [text.strip()]] if outputs is not None else "bad_tool_response"
    if role != "assistant":
        return [Message(role, text.strip())]
    reasoning, text = split_reasoning(text)
    written = _blocks(text, "tool_call")
    if written is None:
        return "bad_tool_call"
    calls: list[ToolCall] = []
    for one in written:
        call = call_in(one)
        if call is None:
            return "bad_tool_call"
        calls.append(call)
    content = "".join(part.partition("</tool_call>")[2] if index else part for index, part in enumerate(text.split("<tool_call>")))
    return [Message(role, content.strip(), tuple(calls), reasoning=reasoning)]


def _blocks(text: str, tag: str) -> list[str] | None:
    """What stands between a tag's opening and closing; None when one is not closed."""
    _, *parts = text.split(f"<{tag}>")
    found = [part.partition(f"</{tag}>") for part in parts]
    return [inside.strip() for inside, _, _ in found] if all(closed for _, closed, _ in found) else None


def _output(text: str) -> Message:
    """A tool's output; its name where the output says it."""
    try:
        value = literal(text)
    except ValueError:
        value = None
    name = value.get("name") if isinstance(value, dict) and "content" in value else ""
    return Message("tool", text, name=name if isinstance(name, str) else "")
