"""Shingle sets of the documents that are worth comparing, in memory or in a file that the system pages in."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.hash import pieces, shingle_hashes

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Shingles:
    """Sets of shingles: that of text i is hashes[starts[i]:starts[i+1]], rising and without repeats."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]


def collect_shingles(
    columns: Iterable[pa.ChunkedArray | pa.LargeStringArray], documents: NDArray[np.int64], ngram: int, place: Path | None = None
) -> Shingles:
    """The sets of the documents with these numbers (rising), counted through the large_string columns; in the file `place` if given."""
    sizes = [np.zeros(1, np.int64)]
    first = 0
    with place.open("wb") if place else io.BytesIO() as sink:
        for column in columns:
            for texts in pieces(column):
                low, high = np.searchsorted(documents, [first, first + len(texts)])
                hashes, counts = shingle_hashes(texts, documents[low:high] - first, ngram)
                sets, kept = _as_sets(hashes, counts)
                sink.write(sets.data)
                sizes.append(kept)
                first += len(texts)
        starts = np.cumsum(np.concatenate(sizes))
        if isinstance(sink, io.BytesIO):
            return Shingles(np.frombuffer(sink.getvalue(), np.uint64), starts)
    empty = np.empty(0, np.uint64)
    return Shingles(np.asarray(np.memmap(place, np.uint64, "r")) if place and starts[-1] else empty, starts)


def _as_sets(hashes: NDArray[np.uint64], counts: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Each text's hashes sorted, repeats left out; how many are left of each."""
    ends = np.cumsum(counts)
    for start, end in zip(ends - counts, ends, strict=True):
        hashes[start:end].sort()
    new = np.ones(len(hashes), bool)
    new[1:] = hashes[1:] != hashes[:-1]
    new[(ends - counts)[counts > 0]] = True
    owner = np.repeat(np.arange(len(counts)), counts)
    return hashes[new], np.bincount(owner[new], minlength=len(counts))
