"""LogiQA: 1 as {context, query, options, correct_option}, 2 as {text, question, options, answer}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import choice
from ropewalk.data.formatters.formatter import Formatter, texts_of
from ropewalk.data.records import Chat, Rejected


class LogiQA(Formatter, type="logiqa"):
    """Logical reasoning with four options (Liu et al. 2020, 2023)."""

    known = frozenset(("id", "context", "query", "options", "correct_option", "text", "question", "answer", "type"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        first = "correct_option" in record
        found = texts_of(record, *(("context", "query") if first else ("text", "question")))
        if isinstance(found, str):
            return Rejected(found, id)
        options, right = record.get("options"), record.get("correct_option" if first else "answer")
        if not isinstance(options, list):
            return Rejected("no_options", id)
        if not isinstance(right, int) or isinstance(right, bool):
            return Rejected("answer_is_no_number", id)
        context, question = found
        return choice(id, f"{context.strip()}\n\n{question.strip()}", options, right)
