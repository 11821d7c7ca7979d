"""GSM8K: {question, answer}, where the answer holds <<3*4=12>> marks and ends with `#### 12`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected

_MARK = re.compile(r"<<[^<>\n]*>>")


class GSM8K(Formatter, type="gsm8k"):
    """Grade-school word problems (Cobbe et al. 2021)."""

    marks: bool = False
    """Keep the calculator's <<…>> marks."""

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        found = texts_of(record, "question", "answer")
        if isinstance(found, str):
            return Rejected(found, id)
        question, answer = found
        steps, mark, final = answer.rpartition("####")
        if not mark or not final.strip():
            return Rejected("no_final_answer", id)
        steps = steps if self.marks else _MARK.sub("", steps)
        return exchange(id, question, f"{steps.strip()}\n#### {final.strip().replace(',', '')}")
