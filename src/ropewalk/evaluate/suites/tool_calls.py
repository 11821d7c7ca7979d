"""Tool calls: does the model call the right tool with the right arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.evaluate.prompted import Prompted
from ropewalk.evaluate.rows import Row
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject

_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
RULE = "the first JSON object between <tool_call> tags, else the first one in the text; arguments are equal as JSON values"


class ToolCalls(Prompted, type="tool_calls"):
    """Shares of prompts with a call that can be read, of the right tool, and with exactly the right arguments."""

    measures: ClassVar[tuple[str, ...]] = ("accuracy", "right_tool", "readable")

    call: str = "call"
    """The column with the right call: `{name, arguments}`."""

    def understood(self, row: Row) -> tuple[str, str, Any]:
        call = row.get(self.call)
        if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not isinstance(call.get("arguments"), dict):
            raise DataError(f"{row.place}: {self.call} needs {{name, arguments}}")
        return row.filled(self.prompt), call["name"], call["arguments"]

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        rows, prompts, texts, counts = self.written(subject, advance)
        table, details = np.zeros((3, len(rows))), []
        for place, (row, prompt, text) in enumerate(zip(rows, prompts, texts, strict=True)):
            _, name, arguments = self.understood(row)
            call = call_in(text.text)
            same = call is not None and call.get("name") == name
            table[:, place] = (same and call is not None and same_json(call.get("arguments"), arguments), same, call is not None)
            details.append({"asked": prompt[-400:], "answered": text.text, "read": call, "right": {"name": name, "arguments": arguments}})
        (ids, clusters), ones = self.named(rows), np.ones(len(rows))
        measures = [
            Measure(name, "share", values, ones, higher_is_better=True, scale="proportion")
            for name, values in zip(self.measures, table, strict=True)
        ]
        return SuiteResult(ids, clusters, measures, {**counts, "failed": int((table[2] == 0).sum())}, details, {"rule": RULE})


def call_in(text: str) -> dict[str, Any] | None:
    """The first call in a text, as RULE says."""
    tagged = _TAGGED.search(text)
    body = tagged[1] if tagged else text
    start = body.find("{")
    while start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(body[start:])
        except (ValueError, RecursionError):
            start = body.find("{", start + 1)
            continue
        return found if isinstance(found, dict) else None
    return None


def same_json(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
