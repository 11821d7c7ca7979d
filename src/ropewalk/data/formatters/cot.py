r"""Chain-of-thought sets of FLAN: lines of question <tab> answer <tab> rationale, in which a line break is written \n."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.formatters.answers import normal_answer
from ropewalk.data.formatters.formatter import Formatter, exchange, texts_of
from ropewalk.data.records import Chat, Rejected

COLUMNS = ("question", "answer", "rationale")


class CoT(Formatter, type="cot"):
    """Rationales (Chung et al. 2022). Read the files by `{type: text, per: line}`: they have no header, and quotes are text in them."""

    known = frozenset((*COLUMNS, "text", "id"))

    def format(self, record: Mapping[str, Any], id: str) -> Chat | Rejected:  # noqa: A002
        line = record.get("text")
        if isinstance(line, str) and not set(COLUMNS) & set(record):
            cells = line.split("\t")
            if len(cells) != len(COLUMNS):
                return Rejected("not_three_columns", id)
            record = dict(zip(COLUMNS, cells, strict=True))
        found = texts_of(record, *COLUMNS)
        if isinstance(found, str):
            return Rejected(found, id)
        question, answer, rationale = (text.replace("\\n", "\n") for text in found)
        return exchange(id, question, normal_answer(answer), reasoning=rationale)
