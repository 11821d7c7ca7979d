"""The exchange: which documents share a key, found band by band and key range by key range from keys that each part has sorted.

Only one range of one band is in memory at a time, so what it takes grows with the corpus by a few bytes a document, whatever the
number of bands; the groups that come out lie in files, small groups (the rarest keys, which say the most) before large ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.sketch import Sketched

RANGE_BYTES = 64 << 20
"""Memory of one key range; ranges grow where it would take more than MOST_RANGES of them."""
ENTRY_BYTES = 56
MOST_RANGES = 8
CHUNK_ENTRIES = 1 << 20


def ranges_of(documents: int) -> int:
    """Into how many key ranges a band is cut."""
    return int(min(MOST_RANGES, max(1, -(-documents * ENTRY_BYTES // RANGE_BYTES))))


@dataclass
class Groups:
    """Groups of numbers, as number * 2 and 1 more where a group begins; in files of `folder` if there is one."""

    folder: Path | None = None
    held: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict)

    def add(self, numbers: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Groups one after the other, of at least two; stored by the logarithm of their size."""
        begins = np.zeros(len(numbers), np.int64)
        begins[np.cumsum(sizes) - sizes] = 1
        marked = numbers * 2 + begins
        level = np.repeat(np.ceil(np.log2(sizes)).astype(np.int64), sizes)
        for each in np.unique(level).tolist():
            self._store(each, marked[level == each])

    def _store(self, level: int, marked: NDArray[np.int64]) -> None:
        if self.folder is None:
            self.held.setdefault(level, []).append(marked)
        else:
            self.held.setdefault(level, [])
            with (self.folder / f"groups-{level}").open("ab") as file:
                file.write(marked.data)

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """All groups, small ones first, in pieces that cut no group."""
        for level in sorted(self.held):
            rest = np.empty(0, np.int64)
            for piece in self._pieces(level):
                whole = np.concatenate([rest, piece])
                cut = int(np.flatnonzero(whole & 1)[-1])
                if cut:
                    yield whole[:cut]
                rest = whole[cut:]
            yield rest

    def _pieces(self, level: int) -> Iterator[NDArray[np.int64]]:
        if self.folder is None:
            yield from self.held[level]
            return
        with (self.folder / f"groups-{level}").open("rb") as file:
            while len(piece := np.fromfile(file, np.int64, CHUNK_ENTRIES)):
                yield piece

    def clear(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            for level in self.held:
                (self.folder / f"groups-{level}").unlink(missing_ok=True)


def shared_keys(parts: Sequence[Sketched], starts: NDArray[np.int64], alone: NDArray[np.bool_], bands: int, groups: Groups) -> None:
    """Into `groups`, the documents that share a key in a band; only those that `alone` marks count."""
    ranges = ranges_of(int(starts[-1]))
    for band in range(bands):
        for number in range(ranges):
            keys, documents = _range(parts, starts, band, number, ranges)
            if len(parts) > 1:
                order = np.argsort(keys)
                keys, documents = keys[order], documents[order]
            same = keys[1:] == keys[:-1]
            shared = np.zeros(len(keys), bool)
            shared[1:] = same
            shared[:-1] |= same
            keys, documents = keys[shared], documents[shared]
            counted = alone[documents]
            keys, documents = keys[counted], documents[counted]
            if not len(keys):
                continue
            order = np.lexsort((documents, keys))
            keys, documents = keys[order], documents[order]
            sizes = np.diff(np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]])))
            several = np.repeat(sizes > 1, sizes)
            if several.any():
                groups.add(documents[several], sizes[sizes > 1])


def _range(
    parts: Sequence[Sketched], starts: NDArray[np.int64], band: int, number: int, ranges: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The band's keys in a range and whose they are, part by part; each part's are sorted."""
    low, high = (number << 64) // ranges, ((number + 1) << 64) // ranges
    found, documents = [], []
    for part, start in zip(parts, starts.tolist(), strict=False):
        keys = part.read("keys")[band]
        first = int(np.searchsorted(keys, np.uint64(low))) if low else 0
        end = int(np.searchsorted(keys, np.uint64(high))) if high < 1 << 64 else len(keys)
        found.append(np.array(keys[first:end]))
        documents.append(part.read("order")[band][first:end] + np.int64(start))
    return np.concatenate(found), np.concatenate(documents)


def first_copies(parts: Sequence[Sketched], starts: NDArray[np.int64], given: int, scores: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """For each document the one that stands for all its copies: the best scored, of equals the first; one of the given before any."""
    count = int(starts[-1])
    first = np.arange(count)
    ranges = ranges_of(count)
    for number in range(ranges):
        hashes, documents = [], []
        for part, start in zip(parts, starts.tolist(), strict=False):
            exact = part.read("exact")
            chosen = np.flatnonzero((exact[:, 0] >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32) == number)
            hashes.append(exact[chosen])
            documents.append(chosen + start)
        both, numbers = np.concatenate(hashes), np.concatenate(documents)
        if scores is None:
            order = np.lexsort((both[:, 1], both[:, 0]))  # stable: a run begins with its first document
        else:
            rank = np.where(numbers < given, -np.inf, -scores[numbers])
            order = np.lexsort((rank, both[:, 1], both[:, 0]))
        both, numbers = both[order], numbers[order]
        new = np.ones(len(numbers), bool)
        new[1:] = (both[1:] != both[:-1]).any(axis=1)
        first[numbers] = numbers[np.flatnonzero(new)][np.cumsum(new) - 1]
    return first
