"""What a classifier learns from: texts with a label, chosen and ordered by their content, so that the order they come in is no matter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Examples:
    """Texts in the order of their hashes; equal texts stand side by side."""

    texts: pa.ChunkedArray
    positive: NDArray[np.bool_]
    hashes: NDArray[np.uint64]
    sources: list[str]

    def __len__(self) -> int:
        return len(self.positive)

    def folds(self, count: int) -> NDArray[np.int64]:
        """The fold of each text; equal texts (but for case and white space) are in one."""
        return ((self.hashes >> np.uint64(20)) % np.uint64(count)).astype(np.int64)


def by_value(meta: Iterable[str], ids: Iterable[str], label: str, values: frozenset[str]) -> Iterator[bool]:
    """Whether the label in each document's meta is one of `values`; a value that is no text counts as its JSON."""
    from ropewalk.data.sources.fields import value_at

    for row, name in zip(meta, ids, strict=True):
        found = value_at(json.loads(row or "{}"), label)
        if not isinstance(found, str | int | float | bool):
            raise DataError(f"document {name}: its meta has no {label!r} to learn from", remedy="name the field that holds the label")
        yield (found if isinstance(found, str) else json.dumps(found)) in values


def gather(parts: Iterable[tuple[pa.Table, NDArray[np.bool_]]], most: int) -> Examples:
    """Tables of documents with their labels as examples: of each class the `most` with the lowest hashes."""
    import pyarrow as pa

    held = _Held(pa.table({"text": pa.array([], pa.large_string()), "source": pa.array([], pa.string())}), *_NOBODY)
    for table, positive in parts:
        held = held.with_more(_Held.of(table.select(["text", "source"]), positive), most)
    return Examples(held.table["text"], held.positive, held.hashes, held.table["source"].to_pylist())


_NOBODY = (np.empty(0, np.bool_), np.empty(0, np.uint64), np.empty(0, np.uint64))


@dataclass(frozen=True)
class _Held:
    """Examples so far; `exact` tells apart texts that differ in case and white space only."""

    table: pa.Table
    positive: NDArray[np.bool_]
    hashes: NDArray[np.uint64]
    exact: NDArray[np.uint64]

    @classmethod
    def of(cls, table: pa.Table, positive: NDArray[np.bool_]) -> _Held:
        from xxhash import xxh3_64_intdigest

        from ropewalk.data.dedup.hash import exact_hashes, pieces

        hashes = [exact_hashes(texts)[:, 0] for texts in pieces(table["text"])]
        rows = zip(table["text"].to_pylist(), table["source"].to_pylist(), strict=True)
        exact = [xxh3_64_intdigest(f"{source}\0{text}".encode()) for text, source in rows]
        return cls(table, positive, np.concatenate([_NOBODY[1], *hashes]), np.array(exact, np.uint64))

    def with_more(self, other: _Held, most: int) -> _Held:
        import pyarrow as pa

        pairs = ((self.positive, other.positive), (self.hashes, other.hashes), (self.exact, other.exact))
        positive, hashes, exact = (np.concatenate(pair) for pair in pairs)
        order = np.lexsort((positive, exact, hashes))
        place = np.concatenate([np.flatnonzero(positive[order] == label)[:most] for label in (False, True)])
        order = order[np.sort(place)]
        table = pa.concat_tables([self.table, other.table]).combine_chunks().take(order)
        return _Held(table, positive[order], hashes[order], exact[order])
