"""What a model writes after prompts: many at once with cached keys and values, each prompt's text the same in any batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ropewalk.core.errors import NotFinite, OutOfMemory
from ropewalk.core.seed import torch_generator
from ropewalk.evaluate.scoring import Ids, Subject
from ropewalk.hardware.memory import MicroBatch, catching

if TYPE_CHECKING:
    from torch import Tensor

ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class Written:
    """The text without what stopped it; `finished` is false where the length ended it; `cropped` where the prompt lost its beginning."""

    text: str
    finished: bool
    cropped: bool
    tokens: int


@dataclass(frozen=True)
class Manner:
    """How is written: greedy at temperature 0."""

    max_new_tokens: int
    stop_ids: Collection[int] = ()
    stop_texts: Sequence[str] = ()
    temperature: float = 0.0
    seed: int = 0


def write(
    subject: Subject, prompts: Sequence[Ids], manner: Manner, advance: Callable[[int], None] = lambda done: None, rows: int = ROWS_AT_ONCE
) -> list[Written]:
    """One text for each prompt. A prompt that leaves too little room in the context loses its beginning."""
    room = max(1, subject.module.shape.context - manner.max_new_tokens + 1)
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found: dict[int, Written] = {}
    sizes, start = MicroBatch(rows), 0
    while start < len(order):
        batch = order[start : start + sizes.size]
        with catching(subject.device) as ran:
            texts = _write(subject, [prompts[place][-room:] for place in batch], batch, manner)
        if ran.out_of_memory:
            if not sizes.shrink():
                raise OutOfMemory(f"one prompt of {len(prompts[batch[0]])} tokens does not fit: {ran.message}")
            continue
        for place, (text, finished, tokens) in zip(batch, texts, strict=True):
            found[place] = Written(text, finished, len(prompts[place]) > room, tokens)
        start += len(batch)
        advance(sum(len(prompts[place]) + found[place].tokens for place in batch))
    return [found[place] for place in range(len(prompts))]


def _write(subject: Subject, prompts: list[Ids], names: list[int], manner: Manner) -> list[tuple[str, bool, int]]:
    """(text, finished, tokens) of each; prompts stand at the right, what is left of them is looked at by nobody."""
    import torch

    width = max(map(len, prompts))
    tokens = np.zeros((len(prompts), width), np.int64)
    pads = np.array([width - len(prompt) for prompt in prompts])
    for row, prompt in enumerate(prompts):
        tokens[row, pads[row] :] = prompt
    positions = np.maximum(np.arange(width)[None] - pads[:, None], 0)
    seen = np.arange(width)[None] >= pads[:, None]
    causal = np.tril(np.ones((width, width), np.bool_))
    mask = (seen[:, None, :] & causal[None]) | np.eye(width, dtype=np.bool_)[None]
    draws = [torch_generator(manner.seed, "write", name) for name in names]
    new: list[list[int]] = [[] for _ in prompts]
    done: list[tuple[str, bool, int] | None] = [None] * len(prompts)
    live = list(range(len(prompts)))
    cache: list[tuple[Tensor, Tensor]] = []

    def put(array: Any) -> Tensor:
        return torch.from_numpy(array).to(subject.device)

    with torch.inference_mode():
        inputs, places, looks = put(tokens), put(positions), put(mask[:, None])
        for step in range(manner.max_new_tokens):
            hidden = subject.module(inputs, places, cache=cache, mask=looks)[:, -1]
            logits = subject.module.logits(hidden).float().cpu()
            if not bool(torch.isfinite(logits).all()):
                raise NotFinite("the model gives no finite logits while it writes", remedy="look at its training log")
            kept = []
            for line, row in enumerate(live):
                chosen = _chosen(logits[line], manner.temperature, draws[row])
                stopped = chosen in manner.stop_ids
                if not stopped:
                    new[row].append(chosen)
                text = None if stopped else _stopped(subject, new[row], manner.stop_texts)
                if stopped or text is not None:
                    done[row] = (text if text is not None else _decoded(subject, new[row]), True, len(new[row]))
                elif step + 1 == manner.max_new_tokens or len(prompts[row]) + len(new[row]) > subject.module.shape.context:
                    done[row] = (_decoded(subject, new[row]), False, len(new[row]))
                else:
                    kept.append(line)
            if not kept:
                break
            if len(kept) < len(live):
                chosen_lines = put(np.array(kept))
                cache = [(key.index_select(0, chosen_lines), value.index_select(0, chosen_lines)) for key, value in cache]
                live = [live[line] for line in kept]
            inputs = put(np.array([[new[row][-1]] for row in live]))
            places = put(np.array([[len(prompts[row]) + len(new[row]) - 1] for row in live]))
            looks = put(np.concatenate([seen[live], np.ones((len(live), step + 1), np.bool_)], 1)[:, None, None])
    return [text or ("", False, 0) for text in done]


def _chosen(logits: Tensor, temperature: float, draw: Any) -> int:
    import torch

    if temperature <= 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=draw))


def _decoded(subject: Subject, ids: list[int]) -> str:
    return subject.vocabulary.decode(ids, controls=False)


def _stopped(subject: Subject, ids: list[int], stops: Sequence[str]) -> str | None:
    """The text before the first stop in it, once there is one."""
    if not stops:
        return None
    text = _decoded(subject, ids)
    ends = [end for stop in stops if (end := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else None
