"""Prompt and response, as Mosaic's sets have them: {prompt, response}; an Alpaca prompt around the question is taken off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import split_reasoning
from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected

_OPENING = "Below is an instruction that describes a task"
_HEADS = re.compile(r"^[ \t]*### (Instruction|Input|Response):[ \t]*$", re.MULTILINE)


class Mosaic(Formatter, type="prompt_response"):
    """Pairs of a prompt and a response, or completion."""

    known = frozenset(("id", "prompt", "response", "completion", "source"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "prompt", "completion" if "response" not in record and "completion" in record else "response")
        if isinstance(found, str):
            return Rejected(found, id)
        prompt, response = found
        prompt = _inside(prompt)
        reasoning, answer = split_reasoning(response)
        return exchange(id, prompt, answer, reasoning=reasoning)


def _inside(prompt: str) -> str:
    """The instruction and the input of an Alpaca prompt; any other prompt as it is."""
    if not prompt.lstrip().startswith(_OPENING):
        return prompt
    _, *parts = _HEADS.split(prompt)
    names, texts = parts[::2], [text.strip() for text in parts[1::2]]
    if names not in (["Instruction", "Response"], ["Instruction", "Input", "Response"]) or texts[-1]:
        return prompt
    return "\n\n".join(text for text in texts if text)
