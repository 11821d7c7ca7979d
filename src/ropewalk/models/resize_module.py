"""A decoder for another vocabulary: rows of tokens that both know are kept, new ones begin as the mean of the old (Hewitt 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ropewalk.core.errors import DataError
from ropewalk.models.gpt_module import Decoder


def resized(module: Decoder, old: Mapping[str, int], new: Mapping[str, int], vocab_size: int) -> tuple[Decoder, int]:
    """(a decoder of `vocab_size` rows, how many of them are new); `old` and `new` map a token's text to its id.

    Everything but the embedding and the output layer is shared with `module`.
    """
    if not isinstance(module, Decoder):
        raise DataError("a model of type huggingface keeps its tokenizer", remedy="leave out tokenizer, or begin with a folder of gpt's")
    rows = torch.full((vocab_size,), -1, dtype=torch.long)
    for text, number in new.items():
        rows[number] = old.get(text, -1)
    known = rows >= 0
    result = Decoder(module.shape, vocab_size)
    state = module.state_dict()
    with torch.no_grad():
        for name in ("embed.weight", "head.weight"):
            if name in state:
                table = state[name]
                fresh = table.mean(0, keepdim=True).expand(vocab_size, -1).clone()
                fresh[known] = table[rows[known]]
                state[name] = fresh
    result.load_state_dict(state)
    return result.eval(), int((~known).sum())
