"""HH-RLHF: {chosen, rejected}, each a whole dialogue as one text with `Human:` and `Assistant:` before the turns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropewalk.data.pair_formatters.pair_formatter import ROLES, PairFormatter, from_conversations
from ropewalk.data.pairs import Pair
from ropewalk.data.records import Message, Rejected

_TURN = re.compile(r"\n\n(Human|Assistant):[ ]?")


class HHRLHF(PairFormatter, type="hh_rlhf"):
    """Anthropic's dialogues (Bai et al. 2022): the prompt is all that both share, the answers are the last turns."""

    def format(self, record: Mapping[str, Any], id: str) -> Pair | Rejected:  # noqa: A002
        sides = []
        for name in ("chosen", "rejected"):
            text = record.get(name)
            if not isinstance(text, str):
                return Rejected(f"no_{name}", id)
            head, *parts = _TURN.split(text if text.startswith("\n\n") else f"\n\n{text}")
            if head.strip() or not parts:
                return Rejected("no_turns", id)
            named = zip(parts[::2], parts[1::2], strict=True)
            sides.append(tuple(Message(ROLES[who.lower()], content.strip()) for who, content in named))
        return from_conversations(id, None, *sides)
