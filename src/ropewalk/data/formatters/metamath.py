"""MetaMath: {type, query, original_question, response}; the response ends with `The answer is: X`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_at
from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected

_FINAL = re.compile(r"The answer is:[ \t]*([^\n]*)")
_GSM8K_LINE = re.compile(r"\n####[^\n]*\Z")


class MetaMath(Formatter, type="metamath"):
    """Rewritten mathematics questions (Yu et al. 2024): the solution becomes reasoning; its `####` line says the answer once more."""

    known = frozenset(("id", "type", "query", "original_question", "response"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "query", "response", "type")
        if isinstance(found, str):
            return Rejected(found, id)
        question, response, _ = found
        steps, final = split_at(response, _FINAL)
        if final == response:
            return Rejected("no_final_answer", id)
        return exchange(id, question, f"The answer is: {final}", reasoning=_GSM8K_LINE.sub("", steps))
