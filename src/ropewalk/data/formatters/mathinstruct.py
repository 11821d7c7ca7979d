"""MathInstruct: {source, instruction, output}; the output is a chain of thought that ends with the answer, or a program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_at
from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected

_FINAL = re.compile(r"[Tt]he answer is:?[ \t]*([^\n]*)")


class MathInstruct(Formatter, type="mathinstruct"):
    """Mathematics from several sets (Yue et al. 2024): what leads to `The answer is X` becomes reasoning; programs stay whole."""

    known = frozenset(("id", "source", "instruction", "output"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "instruction", "output", "source")
        if isinstance(found, str):
            return Rejected(found, id)
        question, output, _ = found
        steps, final = split_at(output, _FINAL)
        return exchange(id, question, output if final == output else f"The answer is {final}", reasoning=steps)
