"""Tokens from a decoder: many rows at once with cached keys and values; rows come and go between two steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ropewalk.core.seed import torch_generator
from ropewalk.models.cache_module import KeyValues
from ropewalk.models.sampling import Sampling

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


@dataclass(eq=False)
class Row:
    """A prompt and what was written after it."""

    prompt: Sequence[int]
    sampling: Sampling
    room: int
    """Tokens that may still follow, by the context and by what was asked for."""
    generator: torch.Generator | None
    new: list[int] = field(default_factory=list)


class Rows:
    """The rows being written; the module must be in evaluation mode. Each row gets what it would get alone."""

    def __init__(self, module: Decoder) -> None:
        self.module = module
        self.live: list[Row] = []
        self.cache = KeyValues(0, module.shape.context)

    def join(self, prompts: Sequence[tuple[Sequence[int], Sampling]]) -> list[Row]:
        """Read prompts and choose the first token of each; a prompt is not empty and no longer than the context."""
        shape, device = self.module.shape, self.module.head_weight.device
        longest = max(len(ids) for ids, _ in prompts)
        assert all(len(ids) for ids, _ in prompts) and longest <= shape.context, "a prompt has 1 to context tokens"
        tokens = torch.zeros(len(prompts), longest, dtype=torch.long)
        rows = []
        for number, (ids, sampling) in enumerate(prompts):
            tokens[number, : len(ids)] = torch.tensor(list(ids))
            draws = torch_generator(sampling.seed, "generate", device=str(device)) if sampling.temperature > 0 else None
            rows.append(Row(ids, sampling, min(sampling.max_tokens, shape.context - len(ids) + 1), draws))
        cache = KeyValues(len(rows), shape.context)
        with torch.inference_mode():
            hidden = self.module(tokens.to(device), cache=cache)  # (B, T, D)
            cache.advance([len(ids) for ids, _ in prompts])
            last = torch.tensor([len(ids) - 1 for ids, _ in prompts], device=device)
            self._choose(rows, hidden[torch.arange(len(rows), device=device), last])
            self.live += rows
            self.cache.join(cache)
        return rows

    def step(self) -> None:
        """One more token for every live row; `Row.new` grows. A row without room must have left."""
        device = self.module.head_weight.device
        with torch.inference_mode():
            tokens = torch.tensor([[row.new[-1]] for row in self.live], device=device)
            hidden = self.module(tokens, cache=self.cache)[:, -1]  # (B, D)
            self.cache.advance([1] * len(self.live))
            self._choose(self.live, hidden)

    def leave(self, gone: Collection[Row]) -> None:
        """These rows are done."""
        left = [number for number, row in enumerate(self.live) if row not in gone]
        if len(left) < len(self.live):
            self.live = [self.live[number] for number in left]
            with torch.inference_mode():
                self.cache.keep(left)

    def _choose(self, rows: Sequence[Row], hidden: Tensor) -> None:
        logits = self.module.logits(hidden).float()  # (B, V)
        likeliest = logits.argmax(-1).tolist()
        for number, row in enumerate(rows):
            drawn = row.generator is not None
            row.new.append(draw(logits[number], row.sampling, row.generator) if drawn else likeliest[number])
            row.room -= 1


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator | None) -> int:
    """A token for logits (V,) at a temperature above 0."""
    odds, order = (logits / sampling.temperature).softmax(-1).sort(descending=True, stable=True)
    if sampling.top_k:
        odds, order = odds[: sampling.top_k], order[: sampling.top_k]
        odds = odds / odds.sum()
    if sampling.top_p < 1:
        odds = odds.masked_fill(odds.cumsum(-1) - odds > sampling.top_p, 0.0)
    return int(order[torch.multinomial(odds, 1, generator=generator)])


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
    prompt = list(prompt_ids)[-module.shape.context :]
    (new,) = generate_rows(module, [prompt], Sampling(max_new_tokens, temperature, top_p, top_k, seed), stop_ids)
    return new


def generate_rows(
    module: Decoder, prompts: Sequence[Sequence[int]], sampling: Sampling, stop_ids: Collection[int] = (), at_once: int = 16
) -> list[list[int]]:
    """What each prompt alone would get; row i draws by (seed, i), row 0 by the seed itself. The stopping tokens are left out."""
    from dataclasses import replace

    was_training = module.training
    module.eval()
    rows, waiting = Rows(module), list(enumerate(prompts))
    places: dict[Row, int] = {}
    try:
        while waiting or rows.live:
            if waiting and len(rows.live) < at_once:
                fresh, waiting = waiting[: at_once - len(rows.live)], waiting[at_once - len(rows.live) :]
                joined = rows.join([(ids, replace(sampling, seed=sampling.seed + number)) for number, ids in fresh])
                places.update(zip(joined, (number for number, _ in fresh), strict=True))
            else:
                rows.step()
            rows.leave([row for row in rows.live if not row.room or row.new[-1] in stop_ids])
    finally:
        module.train(was_training)
    found = sorted(places, key=places.__getitem__)
    return [row.new[:-1] if row.new[-1] in stop_ids else row.new for row in found]
