"""The loader: a batch is a function of the step. One vectorised gather from the memory map; no workers, no state.

Worker processes made pretokenised batches 11 times slower than this gather.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.data.order import inverse, permuted
from ropewalk.data.tokens import Sequences, Split, Tokens

IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Sequences as rows, cut to the longest of the batch; padding stands at the end."""

    tokens: NDArray[np.int64]  # (B, T)
    targets: NDArray[np.int64]  # (B, T), -100 where nothing is predicted
    positions: NDArray[np.int64]  # (B, T), from 0 in each segment (in each row where attention crosses documents)
    documents: NDArray[np.int32]  # (B, T), 0 = padding, else the segment attention stays in
    sequences: NDArray[np.int64]  # (B,) numbers of the sequences in the store

    @property
    def num_positions(self) -> int:
        """Positions, padding left out."""
        return int((self.documents != 0).sum())


class Batches(Protocol):
    """What the loop wants of a loader."""

    def at(self, step: int) -> Batch: ...

    def weight(self, step: int) -> int: ...

    def micro_batches(self, batch: Batch, size: int) -> Iterator[Batch]: ...


class Loader:
    """Batches of one split of a store, each sequence once an epoch in an order that (seed, epoch) gives."""

    def __init__(self, tokens: Tokens, split: Split, batch_sequences: int, seed: int, *, drop_last: bool = False) -> None:
        self.store, self.split, self.batch_sequences, self.seed = tokens, split, batch_sequences, seed
        self.plan = _in_memory(tokens.sequences(split))
        self.tokens = np.asarray(tokens.tokens)
        self.mask = None if tokens.mask is None else np.asarray(tokens.mask)
        total = len(self.plan)
        self.steps_per_epoch = total // batch_sequences if drop_last else -(-total // batch_sequences)
        if self.steps_per_epoch == 0:
            raise DataError(
                f"{tokens.path}: {total} sequences in {split!r} are not one batch of {batch_sequences}",
                remedy="use more data, shorter sequences or a smaller batch",
            )

    @property
    def tokens_per_epoch(self) -> int:
        """Positions of all sequences, padding left out."""
        return self.plan.positions

    @property
    def trained_per_epoch(self) -> int:
        """Predicted tokens of all sequences."""
        return int(self.plan.trained.sum())

    def indices(self, step: int) -> NDArray[np.int64]:
        """The numbers of the sequences in this step's batch."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.batch_sequences
        return permuted(len(self.plan), self.seed, epoch, first, min(self.batch_sequences, len(self.plan) - first))

    def weight(self, step: int) -> int:
        """Predicted tokens in the step's batch, without reading it."""
        return int(self.plan.trained[self.indices(step)].sum())

    def at(self, step: int) -> Batch:
        """The batch of any step from 0 on; the last one of an epoch may be short."""
        return self.gather(self.indices(step))

    def gather(self, rows: NDArray[np.int64]) -> Batch:
        """The named sequences as a batch."""
        plan, facts = self.plan, self.store.facts
        first = plan.starts[rows]
        counts = plan.starts[rows + 1] - first
        ends = np.cumsum(counts)
        number = np.arange(ends[-1]) - np.repeat(ends - counts, counts)  # of the segment in its row
        chosen = number + np.repeat(first, counts)
        offsets, sizes = plan.segments[chosen].T
        behind = np.cumsum(sizes)
        before = behind - sizes
        place = np.arange(behind[-1])
        source = place + np.repeat(offsets - before, sizes)
        within = place - np.repeat(before, sizes)
        following = self.tokens.take(source + 1).astype(np.int64)
        if self.mask is not None:
            following[self.mask.take(source + 1) == 0] = IGNORED
        if plan.context is not None:
            following[within < np.repeat(plan.context[chosen], sizes)] = IGNORED
        apart = facts.attend == "document"
        row_ends = behind[ends - 1]
        row_sizes = np.diff(row_ends, prepend=0)
        within = within if apart else place - np.repeat(row_ends - row_sizes, row_sizes)
        numbers = np.repeat(number.astype(np.int32) + 1, sizes) if apart else np.ones(len(place), np.int32)
        shape = (len(rows), int(row_sizes.max()))
        target = None
        if len(place) < shape[0] * shape[1]:
            target = place + np.repeat(np.arange(len(rows)) * shape[1] - (row_ends - row_sizes), row_sizes)
        return Batch(
            _spread(self.tokens.take(source).astype(np.int64), target, shape, facts.pad_id),
            _spread(following, target, shape, IGNORED),
            _spread(within, target, shape, 0),
            _spread(numbers, target, shape, 0),
            rows,
        )

    def micro_batches(self, batch: Batch, size: int) -> Iterator[Batch]:
        """The batch in parts of at most `size` sequences, in order."""
        return parted(batch, size)

    def over(self, total_steps: int) -> Self:
        """The loader of a training of so many steps: itself, for one store has no course."""
        return self

    def stores(self) -> list[tuple[str, Tokens]]:
        """(part, store) of all that is read; one store has no part's name."""
        return [("", self.store)]

    def parts(self, step: int) -> list[tuple[str, Tokens, NDArray[np.int64]]]:
        """(part, store, numbers of the sequences that it gives to the step's batch)."""
        return [("", self.store, self.indices(step))]

    def steps_of(self, part: str, row: int, total_steps: int) -> list[int]:
        """The steps before `total_steps` whose batch holds a sequence."""
        epochs = range(-(-total_steps // self.steps_per_epoch))
        places = [(epoch, int(inverse(len(self.plan), self.seed, epoch, np.array([row]))[0])) for epoch in epochs]
        within = [(epoch, place // self.batch_sequences) for epoch, place in places]
        steps = [epoch * self.steps_per_epoch + step for epoch, step in within if step < self.steps_per_epoch]
        return [step for step in steps if step < total_steps]


def parted(batch: Batch, size: int) -> Iterator[Batch]:
    """The batch in parts of at most `size` rows, in order."""
    for start in range(0, len(batch.sequences), size):
        part = slice(start, start + size)
        yield Batch(batch.tokens[part], batch.targets[part], batch.positions[part], batch.documents[part], batch.sequences[part])


def _spread(values: NDArray[Any], target: NDArray[np.int64] | None, shape: tuple[int, int], empty: int) -> NDArray[Any]:
    """The values at their places in a batch; in order where it has no padding."""
    if target is None:
        return values.reshape(shape)
    found = np.full(shape, empty, values.dtype)
    found.reshape(-1)[target] = values
    return found


def _in_memory(plan: Sequences) -> Sequences:
    """The same arrays as plain views of the files: numpy's memmap class costs a microsecond a look."""
    context = None if plan.context is None else np.asarray(plan.context)
    return Sequences(np.asarray(plan.segments), np.asarray(plan.starts), np.asarray(plan.trained), context)
