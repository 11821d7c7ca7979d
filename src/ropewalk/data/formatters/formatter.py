"""The formatter family: from a raw record of some instruction set to a Chat, or a rejection that says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.core.component import Component
from ropewalk.data.records import Chat, Message, Rejected


class Formatter(Component, family="formatter", folders=("ropewalk.data.formatters",)):
    """Knows one schema."""

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        """Pure; what does not fit the schema is rejected, never raised."""
        raise TypeError(f"formatter {self.tag!r} has no format()")


def texts_of(record: Mapping[str, Any], *names: str) -> list[str] | str:
    """The named fields when all are text, else what is wrong."""
    for name in names:
        if name not in record:
            return f"no_{name}"
        if not isinstance(record[name], str):
            return f"{name}_is_no_text"
    return [record[name] for name in names]


def exchange(id_: str, question: str, answer: str, system: str = "") -> Chat | Rejected:
    """A question and its answer; either being empty is a rejection."""
    if not question.strip() or not answer.strip():
        return Rejected("empty_question" if not question.strip() else "empty_answer", id_)
    head = (Message("system", system),) if system else ()
    return Chat(id_, (*head, Message("user", question.strip()), Message("assistant", answer.strip())))
