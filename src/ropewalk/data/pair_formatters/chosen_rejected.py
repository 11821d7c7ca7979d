"""{prompt, chosen, rejected}: texts or turns, the prompt also inside the answers; UltraFeedback's and most others' form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.data.pair_formatters.pair_formatter import PairFormatter, from_conversations, turns_of
from ropewalk.data.pairs import Pair
from ropewalk.data.records import Message, Rejected


class ChosenRejected(PairFormatter, type="chosen_rejected"):
    """A chosen and a rejected answer, each a text or a list of turns; UltraFeedback's binarized form is one of these.

    Without a prompt field, the prompt is what both conversations begin with.
    """

    prompt: str = "prompt"
    """The prompt's field."""
    chosen: str = "chosen"
    """The better answer's field."""
    rejected: str = "rejected"
    """The worse answer's field."""
    system: str = "system"
    """A field with a system turn, where there is one."""

    def format(self, record: Mapping[str, Any], id: str) -> Pair | Rejected:  # noqa: A002
        given = record.get(self.prompt)
        prompt = None if given is None else turns_of(given, "user")
        chosen, rejected = (turns_of(record.get(name), "assistant") for name in (self.chosen, self.rejected))
        for name, found in (("prompt", prompt), ("chosen", chosen), ("rejected", rejected)):
            if isinstance(found, str):
                return Rejected(f"{name}.{found}", id)
        assert not isinstance(prompt, str) and not isinstance(chosen, str) and not isinstance(rejected, str)
        system = record.get(self.system)
        if prompt and isinstance(system, str) and system.strip() and prompt[0].role != "system":
            prompt = (Message("system", system), *prompt)
        return from_conversations(id, prompt, chosen, rejected)
