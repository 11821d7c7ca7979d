"""The formatter family: from a raw record of some instruction set to a Chat, or a rejection that says why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from ropewalk.core.component import Component
from ropewalk.data.records import Chat, Message, Rejected


class Formatter(Component, family="formatter", folders=("ropewalk.data.formatters",)):
    """Knows one schema."""

    known: ClassVar[frozenset[str]] = frozenset()
    """The fields that records of this schema have: `auto` prefers the schema that knows most of a record's fields."""

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        """Pure; what does not fit the schema is rejected, never raised."""
        raise TypeError(f"formatter {self.tag!r} has no format()")

    def gather(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any] | Rejected]:
        """One file's records as `format` wants them: the same ones, unless conversations lie scattered over several records."""
        yield from records


def texts_of(record: Mapping[str, Any], *names: str) -> list[str] | str:
    """The named fields when all are text, else what is wrong."""
    for name in names:
        if name not in record:
            return f"no_{name}"
        if not isinstance(record[name], str):
            return f"{name}_is_no_text"
    return [record[name] for name in names]


def exchange(id_: str, question: str, answer: str, *, system: str = "", reasoning: str = "") -> Chat | Rejected:
    """A question and its answer; either being empty is a rejection."""
    if not question.strip() or not answer.strip():
        return Rejected("empty_question" if not question.strip() else "empty_answer", id_)
    head = (Message("system", system.strip()),) if system.strip() else ()
    return Chat(id_, (*head, Message("user", question.strip()), Message("assistant", answer.strip(), reasoning=reasoning.strip())))


def conversation(id_: str, messages: Iterable[Message], tools: Iterable[Mapping[str, Any]] = ()) -> Chat | Rejected:
    """A Chat in which every turn says something and one at least is the assistant's."""
    turns = tuple(messages)
    for index, turn in enumerate(turns):
        if not turn.content.strip() and not turn.tool_calls and turn.role != "tool":
            return Rejected("empty_turn", f"{id_} turn {index + 1}")
    if not any(turn.role == "assistant" for turn in turns):
        return Rejected("no_answer", id_)
    return Chat(id_, turns, tuple(tools))
