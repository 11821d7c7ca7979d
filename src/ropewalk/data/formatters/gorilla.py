"""Gorilla APIBench: {code, api_call, provider, api_data}; `code` holds instruction and output, in two ways of writing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected

FIELDS = ("domain", "api_call", "api_provider", "explanation", "code")
_MARKED = re.compile(r"<<<(\w+)>>>:?")
_QUOTED = re.compile(r"""(?:\A\s*\{|,)\s*['"](""" + "|".join(FIELDS) + r""")['"]\s*:""")


class Gorilla(Formatter, type="gorilla"):
    """Which API call does what is asked (Patil et al. 2023); the answer's parts are written in one form, `<<<api_call>>>: …`."""

    known = frozenset(("id", "code", "api_call", "provider", "api_data"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "code", "api_call")
        if isinstance(found, str):
            return Rejected(found, id)
        code, call = found
        instruction, output = _halves(code)
        if not instruction:
            return Rejected("no_instruction", id)
        parts = _parts(output)
        if not parts:  # a few rows answer in prose or with bare code
            return exchange(id, instruction, output)
        parts = {"api_call": call, **parts}
        answer = "\n".join(f"<<<{name}>>>: {parts[name]}" for name in FIELDS if parts.get(name))
        return exchange(id, instruction, answer)


def _halves(code: str) -> tuple[str, str]:
    """(instruction, output) of `###Instruction: … ###Output: …` or of what was once a Python dict, whose quotes don't fit together."""
    text = code.strip()
    if "###Instruction:" in text:
        _, _, text = text.partition("###Instruction:")
        instruction, _, output = text.partition("###Output:")
        return "\n\n".join(part.strip() for part in instruction.split("###Input:") if part.strip()), output
    found = re.match(r"""\{\s*['"]Instruction['"]\s*:""", text)
    if not found:
        return "", ""
    instruction, _, output = text[found.end() :].partition("'Output':")
    return _bare(instruction.strip().rstrip(",")), output.strip().removesuffix("}")


def _parts(output: str) -> dict[str, str]:
    pattern = _MARKED if "<<<" in output else _QUOTED
    _, *pieces = pattern.split(output)
    named = zip(pieces[::2], pieces[1::2], strict=True)
    if pattern is _QUOTED:
        return {name: _bare(text.strip().removesuffix("}").rstrip().rstrip(",")) for name, text in named}
    return {name: text.strip().removesuffix(",").rstrip() for name, text in named}


def _bare(text: str) -> str:
    """Without the quotes around it."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
