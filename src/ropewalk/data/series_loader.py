"""Batches of windows: a function of the step, as for tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.core.seed import derive
from ropewalk.data.order import permuted
from ropewalk.data.series import Part, Series
from ropewalk.data.series_scale import inward


@dataclass(frozen=True)
class SeriesBatch:
    """Windows as rows."""

    past: NDArray[np.float32]  # (B, T, C)
    known: NDArray[np.float32]  # (B, H, K) features of the horizon that are known ahead
    target: NDArray[np.float32]  # (B, H) scaled
    keys: NDArray[np.int64]  # (B,) names of the rows' random draws: functions of the step and the row
    sequences: NDArray[np.int64]  # (B,) numbers of the windows

    @property
    def num_positions(self) -> int:
        """Rows of the series that are read or forecast."""
        return int(len(self.sequences) * (self.past.shape[1] + self.target.shape[1]))


class SeriesLoader:
    """Batches of one part, each window once an epoch in an order that (seed, epoch) gives."""

    def __init__(self, series: Series, part: Part, batch_sequences: int, seed: int, *, drop_last: bool = False) -> None:
        self.series, self.batch_sequences, self.seed = series, batch_sequences, seed
        self.origins = series.origins(part)
        total = len(self.origins)
        self.steps_per_epoch = total // batch_sequences if drop_last else -(-total // batch_sequences)
        if self.steps_per_epoch == 0:
            raise DataError(
                f"{series.path}: {total} windows in {part!r} are not one batch of {batch_sequences}",
                remedy="use longer series, shorter windows or a smaller batch",
            )

    @property
    def tokens_per_epoch(self) -> int:
        """Rows of all windows."""
        return len(self.origins) * self.series.length

    @property
    def trained_per_epoch(self) -> int:
        """Forecast numbers of all windows."""
        return len(self.origins) * self.series.facts.horizon

    def indices(self, step: int) -> NDArray[np.int64]:
        """The numbers of the windows in this step's batch."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.batch_sequences
        return permuted(len(self.origins), self.seed, epoch, first, min(self.batch_sequences, len(self.origins) - first))

    def weight(self, step: int) -> int:
        """Forecast numbers in the step's batch."""
        return len(self.indices(step)) * self.series.facts.horizon

    def at(self, step: int) -> SeriesBatch:
        """The batch of any step from 0 on; the last one of an epoch may be short."""
        rows = self.indices(step)
        keys = np.array([derive(self.seed, "noise", step, row) for row in rows.tolist()], np.int64)
        return self.gather(rows, keys)

    def gather(self, rows: NDArray[np.int64], keys: NDArray[np.int64]) -> SeriesBatch:
        """The named windows as a batch."""
        series, facts = self.series, self.series.facts
        symbols, origins = self.origins[rows].T
        back = origins[:, None] + np.arange(-facts.context, 0)
        ahead = origins[:, None] + np.arange(facts.horizon)
        values = series.target[np.concatenate([back[:, :1] - 1, back], axis=1)]
        past = facts.past(values, symbols, series.features[back])
        spread, centre = facts.ahead(symbols)
        target = inward(series.target[ahead], values[:, -1:], facts.transform, spread, centre)
        known = series.features[ahead][:, :, list(facts.known)]
        return SeriesBatch(past, known, target.astype(np.float32), keys, rows)

    def micro_batches(self, batch: SeriesBatch, size: int) -> Iterator[SeriesBatch]:
        """The batch in parts of at most `size` windows, in order."""
        for start in range(0, len(batch.sequences), size):
            part = slice(start, start + size)
            yield SeriesBatch(batch.past[part], batch.known[part], batch.target[part], batch.keys[part], batch.sequences[part])

    def over(self, total_steps: int) -> Self:
        """The loader of a training of so many steps: itself, for one series has no course."""
        return self
