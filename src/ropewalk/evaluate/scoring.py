"""The scorer that all suites share: each token's loss given what stands before it, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError, NotFinite

if TYPE_CHECKING:
    from ropewalk.data.tokenizer import Vocabulary
    from ropewalk.data.tokens import Tokens
    from ropewalk.models.gpt_module import Decoder

Ids = NDArray[np.int64]
POSITIONS_AT_ONCE = 8192


@dataclass(frozen=True)
class Subject:
    """A model under evaluation."""

    module: Decoder
    vocabulary: Vocabulary
    device: str

    def check(self, tokens: Tokens) -> None:
        """Raises DataError when the tokens were made by another tokenizer than the model's."""
        if tokens.facts.tokenizer_key != self.vocabulary.key:
            raise DataError(f"{tokens.path}: encoded by another tokenizer than the model's", remedy="encode with the model's own")


@dataclass(frozen=True)
class _Window:
    """A run of positions of one sequence; losses count from `first` on."""

    sequence: int
    start: int
    stop: int
    first: int


def token_losses(
    subject: Subject, sequences: Sequence[Ids], length: int, advance: Callable[[int], None] = lambda done: None
) -> list[NDArray[np.float32]]:
    """For each sequence of m ids the loss of ids 1 to m-1 in nats.

    Sequences longer than `length` positions (or the model's context) are read in windows that overlap by half, so that
    each loss has at least half a window of context. Windows are batched by size and padded at the end, which changes no loss.
    """
    length = min(length, subject.module.shape.context)
    windows = [window for number, ids in enumerate(sequences) for window in _windows(number, len(ids) - 1, length)]
    losses = [np.zeros(max(len(ids) - 1, 0), np.float32) for ids in sequences]
    order = sorted(range(len(windows)), key=lambda place: -(windows[place].stop - windows[place].start))
    start = 0
    while start < len(order):
        width = windows[order[start]].stop - windows[order[start]].start
        batch = [windows[place] for place in order[start : start + max(1, POSITIONS_AT_ONCE // width)]]
        for window, found in zip(batch, _score(subject, sequences, batch), strict=True):
            losses[window.sequence][window.first : window.stop] = found[window.first - window.start :]
        start += len(batch)
        advance(sum(window.stop - window.first for window in batch))
    if bad := next((number for number, found in enumerate(losses) if not np.isfinite(found).all()), None):
        raise NotFinite(f"the model gives no finite loss on item {bad + 1} of {len(sequences)}", remedy="look at its training log")
    return losses


def _windows(number: int, positions: int, length: int) -> list[_Window]:
    found, first, start = [], 0, 0
    while first < positions:
        stop = min(start + length, positions)
        found.append(_Window(number, start, stop, first))
        first, start = stop, max(stop - length // 2, start + 1)
    return found


def _score(subject: Subject, sequences: Sequence[Ids], batch: list[_Window]) -> list[NDArray[np.float32]]:
    import torch

    from ropewalk.models.loss_module import token_nll

    sizes = [window.stop - window.start for window in batch]
    tokens = np.zeros((len(batch), max(sizes)), np.int64)
    targets = np.zeros_like(tokens)
    for row, window in enumerate(batch):
        ids = sequences[window.sequence]
        tokens[row, : sizes[row]] = ids[window.start : window.stop]
        targets[row, : sizes[row]] = ids[window.start + 1 : window.stop + 1]
    with torch.no_grad():
        hidden = subject.module(torch.from_numpy(tokens).to(subject.device))
        wanted = torch.from_numpy(np.concatenate([np.arange(size) + row * tokens.shape[1] for row, size in enumerate(sizes)]))
        rows = hidden.flatten(0, 1).index_select(0, wanted.to(subject.device))
        flat = torch.from_numpy(targets).flatten().index_select(0, wanted).to(subject.device)
        found = token_nll(rows, subject.module.head_weight, flat).cpu().numpy()
    return np.split(found, np.cumsum(sizes)[:-1])
