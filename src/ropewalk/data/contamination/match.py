"""Which evaluation items stand in which texts, how much of each, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ropewalk.data.contamination.index import Index
from ropewalk.data.dedup.hash import Texts

Span = tuple[int, int]


@dataclass(frozen=True)
class Match:
    """One item in one text."""

    row: int
    item: int
    found: int
    """How many different runs of words of the item's text stand there,"""
    known: int
    """of so many that it is known by."""
    spans: tuple[Span, ...]
    """The bytes of the text that are the item's, rising and apart."""

    @property
    def share(self) -> float:
        return self.found / self.known

    @property
    def longest(self) -> Span:
        """The longest of the spans, of equals the first."""
        return max(self.spans, key=lambda span: (span[1] - span[0], -span[0]))


def matches(index: Index, texts: Texts, min_runs: int, min_share: float) -> list[Match]:
    """By row, in a row the fullest first. Of an item's texts the one with the highest share counts.

    An item is there from `min_runs` runs on (or all, where it has fewer) that are at least `min_share` of those it is known by.
    """
    known = index.part_runs()
    runs_of: dict[tuple[int, int], set[tuple[int, int]]] = {}  # (row, part) -> runs found
    spans_of: dict[tuple[int, int], list[Span]] = {}  # (row, item)
    for row, start, end, window, entry in index.found(texts).tolist():
        part = int(index.runs[window].part[entry])
        runs_of.setdefault((row, part), set()).add((window, entry))
        spans_of.setdefault((row, int(index.part_item[part])), []).append((start, end))
    best: dict[tuple[int, int], Match] = {}
    for (row, part), entries in sorted(runs_of.items()):
        item = int(index.part_item[part])
        match = Match(row, item, len(entries), int(known[part]), tuple(joined(spans_of[row, item])))
        if (row, item) not in best or (match.share, match.found) > (best[row, item].share, best[row, item].found):
            best[row, item] = match
    chosen = [match for match in best.values() if match.found >= min(min_runs, match.known) and match.share >= min_share]
    return sorted(chosen, key=lambda match: (match.row, -match.share, -match.found, match.item))


def joined(spans: list[Span]) -> Iterator[Span]:
    """Spans that touch or overlap as one, rising."""
    start, end = -1, -1
    for left, right in sorted(spans):
        if left > end:
            if end >= 0:
                yield start, end
            start, end = left, right
        end = max(end, right)
    if end >= 0:
        yield start, end


def masked(text: bytes, spans: list[Span], replacement: bytes) -> bytes:
    """The text with the replacement in place of each span."""
    parts, place = [], 0
    for start, end in joined(spans):
        parts += [text[place:start], replacement]
        place = end
    return b"".join([*parts, text[place:]])


def warm(index: Index) -> None:
    """Have the kernels compiled here, so that processes which start later find them on disk."""
    index.found(Texts(np.frombuffer(b"compiled once", np.uint8), np.array([0, 13], np.int64)))
