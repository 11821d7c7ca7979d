"""GSM8K: {question, answer}, where the answer holds <<3*4=12>> marks and ends with `#### 12`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import normal_answer
from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected

_MARK = re.compile(r"<<[^<>\n]*>>")


class GSM8K(Formatter, type="gsm8k"):
    """Grade-school word problems (Cobbe et al. 2021): the steps become reasoning, `#### 12` the answer."""

    known = frozenset(("id", "question", "answer"))
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
        return exchange(id, question, f"#### {normal_answer(final)}", reasoning=steps if self.marks else _MARK.sub("", steps))
