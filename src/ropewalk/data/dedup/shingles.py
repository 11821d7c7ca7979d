"""Shingle sets of the documents that are worth comparing, in memory or in a file that the system pages in."""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.hash import folded, shingle_hashes, slices

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.dedup.near import Near

Sets = Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]
"""Pieces: the sets of some texts one after the other, each rising and without repeats, and how many each has."""


@dataclass(frozen=True)
class Shingles:
    """Sets of shingles: that of text i is hashes[starts[i]:starts[i+1]], rising and without repeats."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    mapped: mmap.mmap | None = None

    def release(self) -> None:
        """Give the pages that were read back to the system; they are read again when needed."""
        if self.mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class TextSets:
    """The sets of chosen texts of a column, computed."""

    column: Callable[[], pa.ChunkedArray | pa.LargeStringArray]
    near: Near

    def __call__(self, rows: NDArray[np.int64]) -> Sets:
        import pyarrow as pa

        first = 0
        for texts in slices(self.column()) if len(rows) else ():
            low, high = np.searchsorted(rows, [first, first + len(texts)])
            first += len(texts)
            chosen = folded(texts.take(pa.array(rows[low:high] - first + len(texts))), self.near.folding())
            yield _as_sets(*shingle_hashes(chosen, np.arange(len(chosen)), self.near.ngram, self.near.unit))


@dataclass(frozen=True)
class StoredSets:
    """The sets of chosen texts, read from where `save_sets` put them."""

    folder: Path
    name: str

    def __call__(self, rows: NDArray[np.int64]) -> Sets:
        starts = np.load(self.folder / f"{self.name}.starts.npy", allow_pickle=False)
        with (self.folder / f"{self.name}.sets").open("rb") as file:
            for row in rows.tolist():
                count = int(starts[row + 1] - starts[row])
                file.seek(8 * int(starts[row]))
                yield np.fromfile(file, np.uint64, count), np.array([count])


def collect_shingles(sets: Iterable[tuple[NDArray[np.uint64], NDArray[np.int64]]], place: Path | None = None) -> Shingles:
    """All sets one after the other; in the file `place` if given."""
    sizes = [np.zeros(1, np.int64)]
    with place.open("wb") if place else io.BytesIO() as sink:
        for hashes, counts in sets:
            sink.write(hashes.data)
            sizes.append(counts)
        starts = np.cumsum(np.concatenate(sizes))
        if isinstance(sink, io.BytesIO):
            return Shingles(np.frombuffer(sink.getvalue(), np.uint64), starts)
    if not starts[-1]:
        return Shingles(np.empty(0, np.uint64), starts)
    with place.open("rb") as file:  # type: ignore[union-attr]
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return Shingles(np.frombuffer(mapped, np.uint64), starts, mapped)


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
