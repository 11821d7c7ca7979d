"""Batches of a mixture: which part gives which sequence to a step is worked out from the step alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.core.seed import derive
from ropewalk.data.draws import Draws, plan_draws
from ropewalk.data.loader import IGNORED, Batch, Loader, parted
from ropewalk.data.mixture import Mixture
from ropewalk.data.order import inverse, permuted
from ropewalk.data.series import Series
from ropewalk.data.series_loader import SeriesLoader
from ropewalk.data.tokens import Split, Tokens

Int64s = NDArray[np.int64]


class MixedLoader:
    """Batches of one split of a mixture. Each part's sequences are seen once an epoch of that part, whatever its share.

    `over(total_steps)` gives the loader that follows the mixture's courses; without it shares stand as at the beginning.
    Held-out batches, and all of a loader that is `even`, take from the parts by their size.
    """

    def __init__(
        self, mixture: Mixture, split: Split, batch_sequences: int, seed: int, *, even: bool = False, total_steps: int | None = None
    ) -> None:
        self.mixture, self.split, self.batch_sequences, self.seed = mixture, split, batch_sequences, seed
        self.even = even or split == "holdout"
        used = [part for part, store in enumerate(mixture.parts) if store.num_sequences(split)]
        if not used:
            raise DataError(f"{mixture.path}: no part has sequences in {split!r}")
        self.used = used
        self.loaders = [Loader(mixture.parts[part], split, 1, derive(seed, "part", mixture.rules[part].name)) for part in used]
        self.sizes = np.array([len(loader.plan) for loader in self.loaders], np.int64)
        self.first = np.cumsum(self.sizes) - self.sizes
        self.means = np.array([loader.plan.positions for loader in self.loaders]) / self.sizes
        self.trained_means = np.array([loader.plan.trained.sum() for loader in self.loaders]) / self.sizes
        self.total_steps = total_steps
        self.draws = self._draws()
        self._last: tuple[int, list[tuple[int, Int64s]]] = (-1, [])  # of the last step asked for: weight and batch ask in turn
        self.easiest = [None if self.even else mixture.easiest(part) for part in used]
        if total_steps is not None and self.draws.most < total_steps * batch_sequences:
            raise DataError(
                f"{mixture.path}: its parts may give {int(self.draws.most)} sequences, {total_steps} steps of {batch_sequences} want more",
                remedy="lower the budget, or raise tokens or max_epochs of a part",
            )

    def over(self, total_steps: int) -> MixedLoader:
        """The loader of a training of so many steps."""
        return MixedLoader(self.mixture, self.split, self.batch_sequences, self.seed, even=self.even, total_steps=total_steps)

    def shares(self, progress: float) -> NDArray[np.float64]:
        """The parts' shares of the sequences drawn: weights are shares of positions."""
        weights = np.array([self.mixture.rules[part].at(progress) for part in self.used]) / self.means
        shares: NDArray[np.float64] = self.sizes.astype(np.float64) if self.even else weights
        return shares / shares.sum() if shares.any() else shares

    def _draws(self) -> Draws:
        rules = [self.mixture.rules[part] for part in self.used]
        most = np.array([np.inf if self.even or rule.most is None else rule.most for rule in rules])
        moving = self.total_steps is not None and not self.even and any(rule.moves for rule in rules)
        total = (self.total_steps or 0) * self.batch_sequences if moving else None
        return plan_draws(self.shares if moving else lambda progress: self.shares(0.0), most, total)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that draw as many sequences as there are."""
        return -(-int(self.sizes.sum()) // self.batch_sequences)

    def _mean(self, means: NDArray[np.float64]) -> float:
        """Over the whole course."""
        points = [self.shares((cell + 0.5) / 64) for cell in range(64)]
        return float(np.mean(points, 0) @ means)

    @property
    def tokens_per_epoch(self) -> int:
        """Positions that as many steps hold on average over the course."""
        return round(self.steps_per_epoch * self.batch_sequences * self._mean(self.means))

    @property
    def trained_per_epoch(self) -> int:
        """Predicted tokens in them."""
        return round(self.steps_per_epoch * self.batch_sequences * self._mean(self.trained_means))

    def stores(self) -> list[tuple[str, Tokens]]:
        """(part, store) of all that is read."""
        return [(self.mixture.rules[part].name, loader.store) for part, loader in zip(self.used, self.loaders, strict=True)]

    def parts(self, step: int) -> list[tuple[str, Tokens, Int64s]]:
        """(part, its store, numbers of the sequences that it gives to the step's batch)."""
        stores = self.stores()
        return [(*stores[part], rows) for part, rows in self._sequences(step)]

    def _sequences(self, step: int) -> list[tuple[int, Int64s]]:
        """(part, sequences) of a step's batch."""
        known, found = self._last
        if known != step:
            found = [(part, self._rows(part, *drawn)) for part, drawn in self._drawn(step)]
            self._last = (step, found)
        return found

    def _drawn(self, step: int) -> list[tuple[int, tuple[int, int]]]:
        """(part, its draws from … to) of a step's batch; a part may stand there more than once.

        Draws are made in the order of buckets of a batch's size and of parts in a bucket; a bucket may be a few too
        large or small, so a batch takes from the buckets around it what lies between its first and last draw.
        """
        size = self.batch_sequences
        start, stop = step * size, (step + 1) * size
        if stop > self.draws.most:
            raise DataError(f"{self.mixture.path}: step {step}: its parts have given all they may")
        around = len(self.used) // (2 * size) + 2
        bucket = max(0, step - around)
        before = self.draws.before(bucket * size)
        reached, found = int(before.sum()), []
        while reached < stop:
            bucket += 1
            after = self.draws.before(bucket * size)
            for part, (first, last) in enumerate(zip(before.tolist(), after.tolist(), strict=True)):
                skip, drop = max(0, start - reached), max(0, reached + last - first - stop)
                if skip < last - first - drop:
                    found.append((part, (first + skip, last - drop)))
                reached += last - first
            before = after
        return found

    def _rows(self, part: int, first: int, last: int) -> Int64s:
        """The sequences of a part's draws: epoch after epoch, the first from easy to hard where that is asked for."""
        n, loader, order = int(self.sizes[part]), self.loaders[part], self.easiest[part]
        found = []
        while first < last:
            epoch, place = divmod(first, n)
            count = min(last - first, n - place)
            if order is None or epoch:
                found.append(permuted(n, loader.seed, epoch, place, count))
            else:
                block = max(1, round(self.mixture.spread * n))
                start = place // block * block
                count = min(count, start + block - place)
                among = permuted(min(block, n - start), derive(loader.seed, "easiest", start), 0, place - start, count)
                found.append(np.asarray(order)[start + among])
            first += count
        return np.concatenate(found)

    def indices(self, step: int) -> Int64s:
        """The numbers of the step's sequences, counted through all parts."""
        return np.concatenate([self.first[part] + rows for part, rows in self._sequences(step)])

    def weight(self, step: int) -> int:
        """Predicted tokens in the step's batch, without reading it."""
        return sum(int(self.loaders[part].plan.trained[rows].sum()) for part, rows in self._sequences(step))

    def at(self, step: int) -> Batch:
        """The batch of any step; of `batch_sequences` sequences, or of more and shorter rows early in a course of lengths."""
        pieces = [(self.loaders[part].gather(rows), self.first[part] + rows) for part, rows in self._sequences(step)]
        batch = _stacked(pieces, self.mixture.facts.pad_id)
        course = None if self.even else self.mixture.row_length
        if course is None or self.total_steps is None:
            return batch
        length = course.at(step / self.total_steps, self.mixture.length)
        return batch if length >= batch.tokens.shape[1] else cut_rows(batch, length, self.mixture.facts.pad_id)

    def micro_batches(self, batch: Batch, size: int) -> Iterator[Batch]:
        """The batch in parts of at most `size` rows, in order."""
        return parted(batch, size)

    def steps_of(self, part: str, row: int, total_steps: int) -> list[int]:
        """The steps before `total_steps` whose batch holds a part's sequence."""
        index = [name for name, _ in self.stores()].index(part)
        n, given, found, epoch = int(self.sizes[index]), 0, [], 0
        last = int(self.draws.before(total_steps * self.batch_sequences)[index]) + 1
        while epoch * n <= last:
            given = epoch * n + self._place(index, row, epoch)
            step = self._step_of(index, given, total_steps)
            found += [] if step is None else [step]
            epoch += 1
        return found

    def _place(self, part: int, row: int, epoch: int) -> int:
        n, seed, order = int(self.sizes[part]), self.loaders[part].seed, self.easiest[part]
        if order is None or epoch:
            return int(inverse(n, seed, epoch, np.array([row]))[0])
        rank, block = int(np.flatnonzero(np.asarray(order) == row)[0]), max(1, round(self.mixture.spread * n))
        start = rank // block * block
        return start + int(inverse(min(block, n - start), derive(seed, "easiest", start), 0, np.array([rank - start]))[0])

    def _step_of(self, part: int, draw: int, total_steps: int) -> int | None:
        """By halving: a part's draws up to a bucket only grow, and a batch lies in the buckets around it."""
        low, high = 0, total_steps + 2
        while low < high:
            middle = (low + high) // 2
            if int(self.draws.before((middle + 1) * self.batch_sequences)[part]) > draw:
                high = middle
            else:
                low = middle + 1
        around = len(self.used) // (2 * self.batch_sequences) + 2
        for step in range(max(0, low - around), min(total_steps, low + around + 1)):
            if any(index == part and first <= draw < last for index, (first, last) in self._drawn(step)):
                return step
        return None


def _stacked(pieces: list[tuple[Batch, Int64s]], pad_id: int) -> Batch:
    """Batches of several stores as one, padded to the longest row."""
    if len(pieces) == 1:
        batch, sequences = pieces[0]
        return Batch(batch.tokens, batch.targets, batch.positions, batch.documents, sequences)
    width = max(batch.tokens.shape[1] for batch, _ in pieces)

    sequences = np.concatenate([sequences for _, sequences in pieces])
    shape = (len(sequences), width)
    tokens, targets = np.full(shape, pad_id, np.int64), np.full(shape, IGNORED, np.int64)
    positions, documents = np.zeros(shape, np.int64), np.zeros(shape, np.int32)
    row = 0
    for batch, _ in pieces:
        place = np.s_[row : row + batch.tokens.shape[0], : batch.tokens.shape[1]]
        tokens[place], targets[place] = batch.tokens, batch.targets
        positions[place], documents[place] = batch.positions, batch.documents
        row += batch.tokens.shape[0]
    return Batch(tokens, targets, positions, documents, sequences)


def cut_rows(batch: Batch, length: int, pad_id: int) -> Batch:
    """The batch with rows of `length` positions: nothing is left out, and each row begins at position 0."""
    rows, width = batch.tokens.shape
    pieces = -(-width // length)

    def reshaped(values: NDArray[np.int64], empty: int) -> NDArray[np.int64]:
        padded = np.pad(values, ((0, 0), (0, pieces * length - width)), constant_values=empty)
        return padded.reshape(rows * pieces, length)

    documents = reshaped(batch.documents.astype(np.int64), 0)
    positions = reshaped(batch.positions, 0)
    opening = documents == documents[:, :1]
    positions = np.where(opening & (documents > 0), positions - positions[:, :1], positions)
    full = documents[:, 0] > 0
    tokens, targets = reshaped(batch.tokens, pad_id)[full], reshaped(batch.targets, IGNORED)[full]
    return Batch(tokens, targets, positions[full], documents[full].astype(np.int32), np.repeat(batch.sequences, pieces)[full])


def open_loader(
    data: Tokens | Mixture | Series, split: Split, batch_sequences: int, seed: int, *, even: bool = False, drop_last: bool = False
) -> Loader | MixedLoader:
    """The loader of a store, of series or of a mixture; `even` ones take from a mixture's parts by size, for measuring.

    A mixture's batches are all full, so it has no last one to drop.
    """
    if isinstance(data, Series):
        return SeriesLoader(data, split, batch_sequences, seed, drop_last=drop_last)  # type: ignore[return-value]  # asked for the same things
    if isinstance(data, Mixture):
        return MixedLoader(data, split, batch_sequences, seed, even=even)
    return Loader(data, split, batch_sequences, seed, drop_last=drop_last)
