"""Text from a decoder, one token at a time, with cached keys and values."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from ropewalk.core.seed import torch_generator
from ropewalk.models.gpt_module import Cache, Decoder


@torch.no_grad()
def generate(
    module: Decoder,
    prompt_ids: Sequence[int],
    max_new_tokens: int,
    stop_ids: Collection[int] = (),
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
) -> list[int]:
    """The new tokens, the stopping one left out; greedy at temperature 0. Ends at the model's context at the latest."""
    assert prompt_ids, "a prompt needs at least one token"
    was_training = module.training
    module.eval()
    device = module.head_weight.device
    generator = torch_generator(seed, "generate", device=str(device))
    cache: Cache = []
    new: list[int] = []
    tokens = torch.tensor([list(prompt_ids)[-module.shape.context :]], device=device)
    room = module.shape.context - tokens.size(1) + 1
    try:
        for _ in range(min(max_new_tokens, room)):
            hidden = module(tokens, cache=cache)[:, -1]
            chosen = _choose(module.logits(hidden)[0].float(), temperature, top_p, top_k, generator)
            if chosen in stop_ids:
                break
            new.append(chosen)
            tokens = torch.tensor([[chosen]], device=device)
    finally:
        module.train(was_training)
    return new


def _choose(logits: Tensor, temperature: float, top_p: float, top_k: int, generator: torch.Generator) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    logits = logits / temperature
    if top_k:
        logits = logits.masked_fill(logits < logits.topk(min(top_k, logits.numel())).values[-1], -torch.inf)
    odds, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        odds = odds.masked_fill(odds.cumsum(-1) - odds > top_p, 0.0)
    return int(order[torch.multinomial(odds, 1, generator=generator)])
