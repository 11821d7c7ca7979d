"""Alpaca: {instruction, input, output}; the input, where there is one, follows the instruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected


class Alpaca(Formatter, type="alpaca"):
    """Instructions with an optional input (Taori et al. 2023)."""

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of({"input": "", **record}, "instruction", "input", "output")
        if isinstance(found, str):
            return Rejected(found, id)
        instruction, given, output = found
        question = f"{instruction.strip()}\n\n{given.strip()}" if given.strip() else instruction
        return exchange(id, question, output)
