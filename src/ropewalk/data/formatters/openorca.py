"""OpenOrca: {id, system_prompt, question, response}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_reasoning
from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected


class OpenOrca(Formatter, type="openorca"):
    """FLAN questions with explained answers (Lian et al. 2023)."""

    known = frozenset(("id", "system_prompt", "question", "response"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "system_prompt", "question", "response")
        if isinstance(found, str):
            return Rejected(found, id)
        system, question, response = found
        reasoning, answer = split_reasoning(response)
        return exchange(id, question, answer, system=system, reasoning=reasoning)
