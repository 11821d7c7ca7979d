"""ShareGPT preferences: {conversations, chosen, rejected} with turns of {from, value}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.pair_formatters.chosen_rejected import ChosenRejected
from ropewalk.data.pair_formatters.pair_formatter import PairFormatter
from ropewalk.data.pairs import Pair
from ropewalk.data.records import Rejected


class ShareGPTPairs(PairFormatter, type="sharegpt_pairs"):
    """Conversations with two answers to the last turn."""

    def format(self, record: Mapping[str, Any], id: str) -> Pair | Rejected:  # noqa: A002
        if not record.get("conversations"):
            return Rejected("no_conversations", id)
        return ChosenRejected(prompt="conversations").format(record, id)
