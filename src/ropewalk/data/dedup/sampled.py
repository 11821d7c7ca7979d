"""Recall and precision, measured: a sample of documents is compared with every document of the corpus, through an inverted index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.cluster import Decisions
from ropewalk.data.dedup.compiled import compiled, wrapping
from ropewalk.data.dedup.hash import folded, mix_all, shingle_hashes, slices
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.shingles import TextSets

if TYPE_CHECKING:
    import pyarrow as pa

FILTER_BITS = 22
_SHIFT = np.uint64(64 - FILTER_BITS)


@compiled
def overlaps(
    hashes: NDArray[np.uint64], filled: NDArray[np.bool_], tokens: NDArray[np.uint64], owners: NDArray[np.int64], shared: NDArray[np.int64]
) -> bool:
    """Add to `shared` how many of these hashes each sampled text has; `tokens` are theirs, rising, beside their owners."""
    some = False
    for token in hashes:
        if not filled[token >> _SHIFT]:
            continue
        at = np.searchsorted(tokens, token)
        while at < len(tokens) and tokens[at] == token:
            shared[owners[at]] += 1
            some = True
            at += 1
    return some


@compiled
def overlap_rows(
    hashes: NDArray[np.uint64], ends: NDArray[np.int64], filled: NDArray[np.bool_], tokens: NDArray[np.uint64], owners: NDArray[np.int64],
    sizes: NDArray[np.int64], threshold: float, first: int, sampled: NDArray[np.int64], found: NDArray[np.int64],
) -> int:  # fmt: skip
    """Into `found`, (sampled text, row) of each pair at the threshold; how many. Hashes may repeat within a text."""
    shared = np.zeros(len(sizes), np.int64)
    count, start = 0, 0
    for row in range(len(ends)):
        own = hashes[start : ends[row]]
        start = ends[row]
        if not overlaps(own, filled, tokens, owners, shared):
            continue
        if (shared >= threshold * sizes - 1e-9).any():  # repeats counted, so at least what it is without
            shared[:] = 0
            own = np.unique(own)
            overlaps(own, filled, tokens, owners, shared)
            for other in range(len(sizes)):
                together = len(own) + sizes[other] - shared[other]
                if shared[other] and sampled[other] != first + row and shared[other] >= threshold * together - 1e-9:
                    found[count, 0], found[count, 1] = other, row
                    count += 1
        shared[:] = 0
    return count


def measure(decisions: Decisions, columns: Sequence[Callable[[], pa.ChunkedArray]], given: int, near: Near, sample: int) -> dict[str, Any]:
    """Of the pairs at the threshold that a sampled document is in, how many lost a document or are in one component; and of the
    sampled documents that went, how many have such a partner."""
    own = np.arange(given, len(decisions.keeper))
    with wrapping():
        chosen = np.sort(own[np.argsort(mix_all(own.astype(np.uint64)), kind="stable")[:sample]])
    tokens, owners, sizes = _index(columns, chosen - given, near)
    filled = np.zeros(1 << FILTER_BITS, bool)
    filled[(tokens >> _SHIFT).astype(np.int64)] = True
    kept = decisions.kept
    pairs = resolved = joined = 0
    partnered = np.zeros(len(chosen), bool)
    first = given
    for column in columns:
        for piece in slices(column()):
            texts = folded(piece, near.folding())
            hashes, counts = shingle_hashes(texts, np.arange(len(texts)), near.ngram, near.unit)
            found = np.empty((len(counts) * len(chosen), 2), np.int64)
            number = overlap_rows(hashes, np.cumsum(counts), filled, tokens, owners, sizes, near.threshold, first, chosen, found)
            left, right = chosen[found[:number, 0]], first + found[:number, 1]
            pairs += number
            resolved += int((~kept[left] | ~kept[right]).sum())
            joined += int((decisions.component[left] == decisions.component[right]).sum())
            partnered[found[:number, 0]] = True
            first += len(counts)
    gone = ~kept[chosen] & (decisions.keeper[chosen] >= given) & ~decisions.exact[chosen]
    return {
        "documents": len(chosen),
        "pairs": pairs,
        "recall": resolved / pairs if pairs else None,
        "joined": joined / pairs if pairs else None,
        "removed": int(gone.sum()),
        "precision": float((gone & partnered).sum() / gone.sum()) if gone.any() else None,
    }


def _index(
    columns: Sequence[Callable[[], pa.ChunkedArray]], chosen: NDArray[np.int64], near: Near
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """All shingles of the chosen texts, rising; whose they are; how many each has."""
    parts, sizes, first = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], 0
    for column in columns:
        length = len(column())
        low, high = np.searchsorted(chosen, [first, first + length])
        for hashes, counts in TextSets(column, near)(chosen[low:high] - first):
            parts.append(hashes)
            sizes.append(counts)
        first += length
    tokens, counted = np.concatenate(parts), np.concatenate(sizes)
    order = np.argsort(tokens, kind="stable")
    return tokens[order], np.repeat(np.arange(len(counted)), counted)[order], counted
