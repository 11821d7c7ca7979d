"""ToolBench: ToolLLaMA's {conversations} of thoughts, actions and results, and the search trees that they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ropewalk.data.formatters.formatter import Formatter, conversation
from ropewalk.data.formatters.messages import Messages
from ropewalk.data.formatters.sharegpt import turns_of
from ropewalk.data.formatters.tool_text import call_of, tools_of
from ropewalk.data.records import Chat, Message, Rejected

ROLES = {"system": "system", "user": "user", "assistant": "assistant", "function": "tool"}
FINISH = "Finish"
_APIS = "you have access to the following APIs:"
_TOOLS = "You have access of the following tools:"


class ToolBench(Formatter, type="toolbench"):
    """Real APIs, tried step by step (Qin et al. 2024): thoughts become reasoning, and what `Finish` gives the answer.

    The prompt around it, which teaches ToolLLaMA's own way of writing calls, is left to the template."""

    known = frozenset(("id", "conversations", "win", "tree", "forward_args", "compare_candidates", "answer_generation"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        tree = record.get("answer_generation")
        if isinstance(tree, Mapping):
            return _from_tree(tree, id)
        turns = turns_of(record)
        if isinstance(turns, str):
            return Rejected(turns, id)
        messages: list[Message] = []
        tools: list[Mapping[str, Any]] | None = None
        for index, (speaker, value) in enumerate(turns):
            role = ROLES.get(speaker)
            if role is None:
                return Rejected(f"unknown_role_{speaker}", f"{id} turn {index + 1}")
            if role == "system" and _APIS in value:
                value, _, listed = value.partition(_APIS)
                tools = tools_of(listed.strip())
            found = _assistant(value) if role == "assistant" else Message(role, _said(role, value))
            if isinstance(found, str):
                return Rejected(found, f"{id} turn {index + 1}")
            messages.append(found)
        if tools is None:
            return Rejected("bad_tools", id)
        return _answered(id, messages, tools)


def _said(role: str, text: str) -> str:
    """A turn's text without what teaches ToolLLaMA's way of writing."""
    if role == "system":
        return text[max(text.find(_TOOLS), 0) :].strip().removesuffix("Specifically,").rstrip()
    return text.strip().removesuffix("Begin!").rstrip() if role == "user" else text.strip()


def _assistant(text: str) -> Message | str:
    thought, _, rest = text.strip().removeprefix("Thought:").partition("\nAction:")
    name, _, arguments = rest.partition("\nAction Input:")
    if not name.strip():
        return "no_action"
    call = call_of({"name": name.strip(), "arguments": arguments.strip()})
    return "bad_tool_call" if call is None else Message("assistant", "", (call,), reasoning=thought.strip())


def _answered(id_: str, messages: list[Message], tools: list[Mapping[str, Any]]) -> Chat | Rejected:
    """With the answer that `Finish` was called with as the last turn; a path may also end at a call, or by giving up."""
    last = messages[-1] if messages else Message("user", "")
    call = last.tool_calls[-1] if last.tool_calls else None
    answer = call.arguments.get("final_answer") if call and call.name == FINISH else None
    if not isinstance(answer, str) or not answer.strip():
        return conversation(id_, messages, tools)
    final = Message("assistant", answer.strip(), reasoning=last.reasoning)
    return conversation(id_, [*messages[:-1], final], [tool for tool in tools if tool.get("name") != FINISH])


def _from_tree(tree: Mapping[str, Any], id_: str) -> Chat | Rejected:
    """The longest of a tree's message lists is the path to its answer."""
    lists = tree.get("train_messages")
    if not isinstance(lists, list) or not lists or not all(isinstance(one, list) for one in lists):
        return Rejected("no_train_messages", id_)
    tools = tools_of(tree.get("function") or [])
    found = Messages().format({"messages": max(lists, key=len)}, id_)
    if isinstance(found, Rejected) or tools is None:
        return found if isinstance(found, Rejected) else Rejected("bad_tools", id_)
    turns = [replace(turn, content=_said(turn.role, turn.content)) for turn in found.messages]
    return _answered(id_, [_thought(turn) for turn in turns], tools)


def _thought(turn: Message) -> Message:
    """What an assistant says beside a call is its thought."""
    return replace(turn, content="", reasoning=turn.content) if turn.tool_calls and turn.content else turn
