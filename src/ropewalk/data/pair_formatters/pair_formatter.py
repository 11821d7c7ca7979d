"""The family of preference formats: from a raw record to a Pair, or a rejection that says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ropewalk.core.component import Component
from ropewalk.data.pairs import Answer, Pair
from ropewalk.data.records import Message, Rejected

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chosen": "assistant", "system": "system"}


class PairFormatter(Component, family="pair_formatter", folders=("ropewalk.data.pair_formatters",)):
    """Knows one schema of preferences."""

    def format(self, record: Mapping[str, Any], id: str) -> Pair | Rejected:  # noqa: A002
        """Pure; what does not fit the schema is rejected, never raised. Checks that all pairs need are made by the stage."""
        raise TypeError(f"pair_formatter {self.tag!r} has no format()")


def turns_of(value: Any, role: str) -> tuple[Message, ...] | str:
    """A text as one turn of a role, or a list of {role, content} or {from, value}; else what is wrong with it."""
    if isinstance(value, str):
        return (Message(role, value),)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, Sequence) or not value:
        return "no_text_and_no_turns"
    turns = []
    for turn in value:
        if not isinstance(turn, Mapping):
            return "turn_is_no_object"
        named, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if str(named) not in ROLES:
            return f"unknown_role_{named}"
        if not isinstance(content, str):
            return "content_is_no_text"
        turns.append(Message(ROLES[str(named)], content))
    return tuple(turns)


def from_conversations(id_: str, prompt: tuple[Message, ...] | None, chosen: Answer, rejected: Answer) -> Pair | Rejected:
    """A pair from answers that may each be the whole conversation.

    Of two whole conversations the prompt is what both begin with, and what is called the prompt must stand in that.
    """
    if all(any(turn.role == "user" for turn in answer) for answer in (chosen, rejected)):
        shared = len(chosen) - 1
        if shared < 1 or len(rejected) != len(chosen) or _plain(chosen[:shared]) != _plain(rejected[:shared]):
            return Rejected("prompts_differ", id_)
        told = "\n".join(text for _, text in _plain(chosen[:shared]))
        if chosen[shared - 1].role != "user" or any(
            _squeezed(turn.content) not in _squeezed(told) for turn in prompt or () if turn.role != "system"
        ):
            return Rejected("prompts_differ", id_)
        system = () if chosen[0].role == "system" else tuple(turn for turn in prompt or () if turn.role == "system")
        return Pair(id_, (*system, *chosen[:shared]), chosen[shared:], rejected[shared:])
    if not prompt or any(turn.role != "assistant" for turn in (*chosen, *rejected)):
        return Rejected("prompts_differ" if prompt else "no_prompt", id_)
    return Pair(id_, prompt, chosen, rejected)


def _plain(turns: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(turn.role, turn.content.strip()) for turn in turns]


def _squeezed(text: str) -> str:
    return "".join(text.split())
