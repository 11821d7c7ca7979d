"""Rows: examples for a head over an encoder. A row is a run of places: sentences or answers with features, or a window's tokens.

The same `Batch` as for tokens: `documents` says what a place is (0: padding), `targets` what is predicted there (-100: nothing).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.artifact import Artifact
from ropewalk.core.errors import DataError
from ropewalk.data.division import Part
from ropewalk.data.loader import IGNORED, Batch, parted
from ropewalk.data.order import permuted
from ropewalk.data.tokens import Split

Kind = Literal["sentences", "windows", "pairs"]
PART_OF: dict[Split, Part] = {"train": "train", "holdout": "validation"}


@dataclass(frozen=True)
class RowFacts:
    """rows.json: what a head must know."""

    kind: Kind
    tokenizer_key: str
    encoder_key: str
    """Key of the model whose embeddings are among the features; empty where there are none."""
    scaled: int = 0
    """So many of the features, the first ones, are brought to one scale."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """How the features or windows are made of a text: goes into the model, so that it can be asked later."""

    @property
    def pad_id(self) -> int:
        return 0


@dataclass(frozen=True)
class RowTable:
    """All rows of an artifact, in order."""

    starts: NDArray[np.int64]  # (rows + 1,) places of row r: starts[r] to starts[r + 1]
    tokens: NDArray[np.int32]  # (places,) 0 where places are no tokens
    kinds: NDArray[np.int8]  # (places,) 1: question, sentence, answer; 2: passage
    features: NDArray[np.float32]  # (places, F)
    targets: NDArray[np.int64]  # (places,) -100 where nothing is predicted
    parts: NDArray[np.int8]  # (rows,) 0 train, 1 validation, 2 test

    @classmethod
    def of(
        cls,
        counts: list[int],
        targets: list[NDArray[np.int64]],
        parts: list[int],
        *,
        tokens: list[NDArray[np.int32]] | None = None,
        kinds: list[NDArray[np.int8]] | None = None,
        features: list[NDArray[np.float32]] | None = None,
    ) -> Self:
        """From one array a row; what is left out is nothing (tokens, features) or 1 (kinds)."""
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = int(starts[-1])
        return cls(
            starts,
            np.concatenate(tokens) if tokens else np.zeros(places, np.int32),
            np.concatenate(kinds) if kinds else np.ones(places, np.int8),
            np.concatenate(features) if features else np.zeros((places, 0), np.float32),
            np.concatenate(targets),
            np.array(parts, np.int8),
        )

    def write(self, folder: Path, facts: RowFacts) -> None:
        for name, values in vars(self).items():
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
        (folder / "rows.json").write_text(json.dumps(asdict(facts), indent=1, sort_keys=True) + "\n", encoding="utf-8")


class Rows(Artifact, kind="Rows"):
    """rows.json, the arrays of `RowTable`, and the tokenizer."""

    @cached_property
    def facts(self) -> RowFacts:
        return RowFacts(**json.loads((self.path / "rows.json").read_text(encoding="utf-8")))

    @cached_property
    def table(self) -> RowTable:
        """All arrays, memory-mapped; raises DataError when a file is damaged."""
        names = ("starts", "tokens", "kinds", "features", "targets", "parts")
        try:
            return RowTable(*(np.asarray(np.load(self.path / f"{name}.npy", mmap_mode="r")) for name in names))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: damaged: {error}", remedy="delete the folder and run again") from None

    @cached_property
    def length(self) -> int:
        """Places of the longest row."""
        return int(np.diff(self.table.starts).max(initial=1))

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer"

    def numbers(self, split: Split) -> NDArray[np.int64]:
        """The rows of a split; what training holds out is the part `validation`."""
        return np.flatnonzero(self.table.parts == ("train", "validation", "test").index(PART_OF[split]))

    def num_sequences(self, split: Split) -> int:
        return len(self.numbers(split))


class RowLoader:
    """Batches of one split's rows, each once an epoch in an order that (seed, epoch) gives; padding stands at the end."""

    def __init__(self, rows: Rows, split: Split, batch_sequences: int, seed: int, *, drop_last: bool = False) -> None:
        self.store, self.batch_sequences, self.seed = rows, batch_sequences, seed
        self.numbers, self.table = rows.numbers(split), rows.table
        self.predicted = np.add.reduceat(self.table.targets >= 0, self.table.starts[:-1]).astype(np.int64)
        total = len(self.numbers)
        self.steps_per_epoch = total // batch_sequences if drop_last else -(-total // batch_sequences)
        if self.steps_per_epoch == 0:
            raise DataError(f"{rows.path}: {total} rows in {split!r} are not one batch of {batch_sequences}", remedy="use a smaller batch")

    @property
    def tokens_per_epoch(self) -> int:
        """Places of all rows."""
        return int(np.diff(self.table.starts)[self.numbers].sum())

    @property
    def trained_per_epoch(self) -> int:
        return int(self.predicted[self.numbers].sum())

    def indices(self, step: int) -> NDArray[np.int64]:
        """The numbers of the rows in this step's batch."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first, total = within * self.batch_sequences, len(self.numbers)
        return self.numbers[permuted(total, self.seed, epoch, first, min(self.batch_sequences, total - first))]

    def weight(self, step: int) -> int:
        return int(self.predicted[self.indices(step)].sum())

    def at(self, step: int) -> Batch:
        """The batch of any step from 0 on; the last one of an epoch may be short."""
        return gather(self.table, self.indices(step))

    def micro_batches(self, batch: Batch, size: int) -> Iterator[Batch]:
        return parted(batch, size)

    def over(self, total_steps: int) -> Self:
        """Itself: rows have no course."""
        return self


def gather(table: RowTable, rows: NDArray[np.int64]) -> Batch:
    """The named rows as a batch."""
    counts = np.diff(table.starts)[rows]
    shape = (len(rows), int(counts.max()))
    within = np.arange(shape[1])[None] < counts[:, None]
    source = (table.starts[rows][:, None] + np.arange(shape[1]))[within]
    features = np.zeros((*shape, table.features.shape[1]), np.float32)
    features[within] = table.features[source]
    batch = Batch(
        np.zeros(shape, np.int64),
        np.full(shape, IGNORED, np.int64),
        np.tile(np.arange(shape[1]), (shape[0], 1)),
        np.zeros(shape, np.int32),
        rows,
        features=features,
    )
    batch.tokens[within], batch.targets[within], batch.documents[within] = table.tokens[source], table.targets[source], table.kinds[source]
    return batch
