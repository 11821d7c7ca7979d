"""Orca-Math: {question, answer}, where the answer is free text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected


class OrcaMath(Formatter, type="orca_math"):
    """Word problems answered in prose (Mitra et al. 2024). The prose is kept whole: nothing in it marks a final answer."""

    known = frozenset(("id", "question", "answer"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "question", "answer")
        if isinstance(found, str):
            return Rejected(found, id)
        question, answer = found
        return Rejected("has_gsm8k_mark", id) if "####" in answer else exchange(id, question, answer)
