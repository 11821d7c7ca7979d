"""Which documents stay: exact copies by hash, near-duplicates by comparing each document with the kept ones that share a band.

Documents are taken in the order of the keep rule. One whose most similar kept candidate reaches the threshold is removed and
that one is its witness; otherwise it stays and becomes a candidate itself. So every removed document is within the threshold of a
document that stays, each cluster (a kept document and those removed for it) keeps exactly one, no two kept candidates are
duplicates, and a chain of small edits can't swallow documents that have little in common. The result depends on the order of
the corpus alone, and each document costs comparisons with kept ones only, however large its cluster is. Of pages that share a
template but too little else, any number may be candidates: a document is compared with MOST_COMPARED of them, the rarest bands
first, and documents for which there would be more are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.kernels import leaders
from ropewalk.data.dedup.shingles import Shingles
from ropewalk.data.dedup.sketch import Sketch

MOST_COMPARED = 4096
ShinglesOf = Callable[[NDArray[np.int64]], Shingles]
"""Gives the shingle sets of the documents with these numbers (rising)."""


@dataclass(frozen=True)
class Decisions:
    """What becomes of each document of a corpus."""

    keeper: NDArray[np.int64]
    """The number of the kept document that stands for it: its own when it stays."""
    exact: NDArray[np.bool_]
    """Whether a removed document equals its keeper but for ASCII case and white space."""
    jaccard: NDArray[np.float64]
    """Similarity to the keeper, 1 for one that stays."""
    crowded: int = 0
    """Documents with more candidates than were compared."""

    @property
    def kept(self) -> NDArray[np.bool_]:
        return np.equal(self.keeper, np.arange(len(self.keeper)))


def decide(
    sketch: Sketch, shingles_of: ShinglesOf, *, exact: bool, threshold: float, keep: Literal["first", "longest"], verify: bool
) -> Decisions:
    """Exact copies first (when `exact`), then near-duplicates among what is left (when the sketch has band keys)."""
    count = len(sketch)
    first = _first_copies(sketch.exact) if exact else np.arange(count)
    keeper, jaccard, crowded = first.copy(), np.ones(count), 0
    alone = np.flatnonzero((first == np.arange(count)) & (sketch.shingles > 0))
    groups = band_groups(sketch.keys[alone])
    suspects = np.flatnonzero((groups >= 0).any(axis=1))
    if len(suspects):
        documents = alone[suspects]
        order = np.arange(len(documents)) if keep == "first" else np.argsort(-sketch.sizes[documents], kind="stable")
        sets = shingles_of(documents)
        found, score, crowded = leaders(order, groups[suspects], sets.hashes, sets.starts, threshold, verify, MOST_COMPARED)
        keeper[documents], jaccard[documents] = documents[found], score
    # A copy of a document that was removed follows it to its keeper: it has the same words, so the same similarity.
    return Decisions(keeper[first], (keeper[first] == first) & (first != np.arange(count)), jaccard[first], crowded)


def _first_copies(exact: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The number of the first document with the same two hashes."""
    order = np.lexsort((exact[:, 1], exact[:, 0]))
    ordered = exact[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty(len(order), np.int64)
    first[order] = order[np.flatnonzero(new)][np.cumsum(new) - 1]  # lexsort is stable: a run begins with its first document
    return first


def band_groups(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """(texts, bands): a number for each key that several texts of a band share, unlike in all bands; -1 for a lone one."""
    groups = np.full(keys.shape, -1, np.int32)
    used = 0
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band])
        ordered = keys[order, band]
        new = np.ones(len(order), bool)
        new[1:] = ordered[1:] != ordered[:-1]
        lone = new & np.append(new[1:], True)
        shared = order[~lone]
        if len(shared):
            numbers = np.cumsum(new[~lone]) - 1
            groups[shared, band] = used + numbers
            used += int(numbers[-1]) + 1
    return groups
