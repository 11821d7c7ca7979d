"""KTO: single answers with a judgement: {messages, label} or {prompt, completion, label}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.pair_formatters.pair_formatter import PairFormatter, turns_of
from ropewalk.data.pairs import Pair
from ropewalk.data.records import Rejected


class KTOLabels(PairFormatter, type="kto"):
    """An answer that was judged good (`label` true) or bad (false); there is no second one (Ethayarajh et al. 2024)."""

    label: str = "label"
    """The judgement's field."""

    def format(self, record: Mapping[str, Any], id: str) -> Pair | Rejected:  # noqa: A002
        label = record.get(self.label)
        if not isinstance(label, bool):
            return Rejected("label_is_not_true_or_false", id)
        if "messages" in record:
            turns = turns_of(record["messages"], "user")
        else:
            prompt, answer = turns_of(record.get("prompt"), "user"), turns_of(record.get("completion"), "assistant")
            turns = prompt if isinstance(prompt, str) else answer if isinstance(answer, str) else (*prompt, *answer)
        if isinstance(turns, str):
            return Rejected(turns, id)
        chosen, rejected = (turns[-1:], None) if label else (None, turns[-1:])
        return Pair(id, turns[:-1], chosen, rejected)
