"""How long a model takes for a token, on this machine and now."""

from __future__ import annotations

import time

import numpy as np

from ropewalk.models.model import Model

WARM_UP = 4


def token_milliseconds(model: Model, prompt_tokens: int, new_tokens: int) -> float:
    """The median time of a token with cached keys and values, one sequence at a time, on the CPU."""
    import torch

    module = model.load("cpu")
    room = module.shape.context - prompt_tokens
    ids = torch.arange(prompt_tokens)[None] % module.vocab_size
    cache: list[tuple[torch.Tensor, torch.Tensor]] = []
    taken = []
    with torch.inference_mode():
        module(ids, cache=cache)
        for _ in range(min(new_tokens + WARM_UP, room)):
            started = time.perf_counter()
            hidden = module(torch.zeros(1, 1, dtype=torch.int64), cache=cache)
            module.logits(hidden[:, -1]).argmax()
            taken.append(time.perf_counter() - started)
    return float(np.median(taken[WARM_UP:] or taken or [float("inf")]) * 1000)
