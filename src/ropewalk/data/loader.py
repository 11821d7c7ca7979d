"""The loader: a batch is a function of the step. One vectorised gather from the memory map; no workers, no state.

Worker processes made pretokenised batches 11 times slower than this gather.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.data.order import permutation
from ropewalk.data.tokens import Split, Tokens

IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Sequences as rows, cut to the longest of the batch; padding stands at the end."""

    tokens: NDArray[np.int64]  # (B, T)
    targets: NDArray[np.int64]  # (B, T), -100 where nothing is predicted
    positions: NDArray[np.int64]  # (B, T), from 0 in each segment (in each row where attention crosses documents)
    documents: NDArray[np.int32]  # (B, T), 0 = padding, else the segment attention stays in
    sequences: NDArray[np.int64]  # (B,) numbers of the sequences in the store


class Loader:
    """Batches of one split of a store, each sequence once an epoch in an order that (seed, epoch) gives."""

    def __init__(self, tokens: Tokens, split: Split, batch_sequences: int, seed: int, *, drop_last: bool = False) -> None:
        self.store, self.batch_sequences, self.seed = tokens, batch_sequences, seed
        self.plan = tokens.sequences(split)
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

    def indices(self, step: int) -> NDArray[np.int64]:
        """The numbers of the sequences in this step's batch."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.batch_sequences
        places = np.arange(first, min(first + self.batch_sequences, len(self.plan)), dtype=np.int64)
        return permutation(len(self.plan), self.seed, epoch, places)

    def weight(self, step: int) -> int:
        """Predicted tokens in the step's batch, without reading it."""
        return int(self.plan.trained[self.indices(step)].sum())

    def at(self, step: int) -> Batch:
        """The batch of any step from 0 on; the last one of an epoch may be short."""
        return self.gather(self.indices(step))

    def gather(self, rows: NDArray[np.int64]) -> Batch:
        """The named sequences as a batch."""
        plan, facts = self.plan, self.store.facts
        counts = plan.starts[rows + 1] - plan.starts[rows]
        ends = np.cumsum(counts)
        chosen = np.arange(counts.sum()) + np.repeat(plan.starts[rows] - (ends - counts), counts)
        offsets, sizes = plan.segments[chosen].T
        row = np.repeat(np.arange(len(rows)), counts)
        number = np.arange(len(chosen)) - np.repeat(ends - counts, counts)  # of the segment in its row
        before = np.cumsum(sizes) - sizes
        row_sizes = np.bincount(row, sizes, len(rows)).astype(np.int64)
        column = before - np.repeat(np.cumsum(row_sizes) - row_sizes, counts)  # where the segment begins in its row
        within = np.arange(sizes.sum()) - np.repeat(before, sizes)
        source = np.repeat(offsets, sizes) + within
        place = (np.repeat(row, sizes), np.repeat(column, sizes) + within)
        shape = (len(rows), int(row_sizes.max()))
        tokens = np.full(shape, facts.pad_id, np.int64)
        targets = np.full(shape, IGNORED, np.int64)
        positions, documents = np.zeros(shape, np.int64), np.zeros(shape, np.int32)
        tokens[place] = self.store.tokens[source]
        following = self.store.tokens[source + 1].astype(np.int64)
        targets[place] = following if self.store.mask is None else np.where(self.store.mask[source + 1] == 1, following, IGNORED)
        apart = facts.attend == "document"
        positions[place] = within if apart else place[1]
        documents[place] = np.repeat(number, sizes) + 1 if apart else 1
        return Batch(tokens, targets, positions, documents, rows)

    def micro_batches(self, batch: Batch, size: int) -> Iterator[Batch]:
        """The batch in parts of at most `size` sequences, in order."""
        for start in range(0, len(batch.sequences), size):
            part = slice(start, start + size)
            yield Batch(batch.tokens[part], batch.targets[part], batch.positions[part], batch.documents[part], batch.sequences[part])
