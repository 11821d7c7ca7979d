"""Which documents stay: exact copies by hash, near-duplicates by comparing candidates, those that share a band.

Candidates whose exact similarity reaches the threshold are linked; what links hold together is a component. In each component the
documents are taken in the order of the keep rule: one whose most similar kept document reaches the threshold goes, and that
document is its keeper and witness; otherwise it stays. So every removed document is within the threshold of a document that stays,
each cluster (a kept document and those removed for it) keeps exactly one, no two that stay in a component are duplicates, and a
chain of small edits can't swallow documents that have little in common. Components are kept beside: they say what belongs together.
Without verification a component is a cluster, however little its members have in common.

The result depends on the order of the corpus alone. Of pages that share a template but too little else, any number may be
candidates: a document is compared with MOST_COMPARED of them, the rarest bands first, and documents for which there would be more
are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import wrapping
from ropewalk.data.dedup.exchange import Groups, first_copies, shared_keys
from ropewalk.data.dedup.linking import SEEN_BITS, link, roots, settle
from ropewalk.data.dedup.near import Near
from ropewalk.data.dedup.shingles import Sets, Shingles, collect_shingles
from ropewalk.data.dedup.sketch import Sketched

MOST_COMPARED = 64
"""Found 499 of 500 pairs at Jaccard 0.83 planted in 10,000 pages of one template at 0.75; 1,024 found the same."""
MOST_KEPT = 1024
"""Of the kept documents of one component, as many are compared with each other member: half the earliest, half the latest."""


@dataclass(frozen=True)
class Part:
    """A piece of the corpus: its sketch, and the shingle sets of chosen texts of it (rising numbers)."""

    sketch: Sketched
    sets: Callable[[NDArray[np.int64]], Sets]


@dataclass(frozen=True)
class Decisions:
    """What becomes of each document of a corpus; the given ones, which others are compared with and which all stay, come first."""

    keeper: NDArray[np.int64]
    """The number of the kept document that stands for it: its own when it stays."""
    component: NDArray[np.int64]
    """The first document that it hangs together with, through any number of pairs at the threshold; its own when with none."""
    exact: NDArray[np.bool_]
    """Whether a removed document equals its keeper but for ASCII case and white space."""
    jaccard: NDArray[np.float32]
    """Similarity to the keeper, 1 for one that stays."""
    crowded: int = 0
    """Documents with more candidates than were compared."""
    given: int = 0

    @property
    def kept(self) -> NDArray[np.bool_]:
        return np.equal(self.keeper, np.arange(len(self.keeper)))


def decide(
    parts: Sequence[Part],
    near: Near | None,
    *,
    exact: bool,
    given: int = 0,
    scores: NDArray[np.float64] | None = None,
    folder: Path | None = None,
) -> Decisions:
    """Exact copies first (when `exact`), then near-duplicates among what is left (when `near` says what they are).

    The first `given` documents are those of another corpus: they stay. `scores` are needed for `keep: best_score`. Groups and
    shingle sets go through files of `folder` if there is one.
    """
    starts = np.cumsum([0, *(len(part.sketch) for part in parts)])
    count = int(starts[-1])
    numbers = np.arange(count)
    first = first_copies([part.sketch for part in parts], starts, given, scores) if exact else numbers.copy()
    first[:given] = numbers[:given]
    keeper, component, jaccard, crowded = first.copy(), first.copy(), np.ones(count, np.float32), 0
    if near:
        alone = np.equal(first, numbers)
        for part, start, end in zip(parts, starts, starts[1:], strict=False):
            alone[start:end] &= part.sketch.read("worded")
        groups = Groups(folder)
        shared_keys([part.sketch for part in parts], starts, alone, near.banding().count, groups)
        suspect = np.zeros(count, bool)
        for chunk in groups.chunks():
            suspect[chunk >> 1] = True
        documents = np.flatnonzero(suspect)
        if len(documents):
            shingles = collect_shingles(_sets(parts, starts, documents), folder / "shingles" if folder else None)
            kept, root, score, crowded = _near(documents, groups, shingles, near, parts, starts, given, scores)
            keeper[documents], component[documents], jaccard[documents] = kept, root, score
        groups.clear()
    # A copy of a document that was removed follows it to its keeper: it has the same words, so the same similarity.
    copied = np.not_equal(first, numbers)
    return Decisions(keeper[first], component[first], np.equal(keeper[first], first) & copied, jaccard[first], crowded, given)


def _near(
    documents: NDArray[np.int64],
    groups: Groups,
    shingles: Shingles,
    near: Near,
    parts: Sequence[Part],
    starts: NDArray[np.int64],
    given: int,
    scores: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int]:
    """Keeper, component and similarity of each of the documents; how many were crowded."""
    count = len(documents)
    own = int(np.searchsorted(documents, given))
    parent, left = np.arange(count), np.full(count, MOST_COMPARED)
    seen = np.zeros(1 << SEEN_BITS, np.uint64)
    hashes = shingles.hashes
    with wrapping():
        for chunk in groups.chunks():
            if len(chunk):
                places = np.searchsorted(documents, chunk >> 1) * 2 + (chunk & 1)
                link(places, hashes, shingles.starts, near.threshold, near.verify, own, parent, left, seen)
                shingles.release()
    roots(parent)
    order, ends = _components(parent, _rank(documents, near, parts, starts, given, scores))
    keeper, score = np.arange(count), np.ones(count)
    settle(order, ends, hashes, shingles.starts, near.threshold, near.verify, own, MOST_KEPT, keeper, score, left)
    shingles.release()
    return documents[keeper], documents[parent], score, int((left < 0).sum())


def _rank(
    documents: NDArray[np.int64],
    near: Near,
    parts: Sequence[Part],
    starts: NDArray[np.int64],
    given: int,
    scores: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """What the keep rule sorts by, the least first; the given documents come before all others."""
    rank = np.zeros(len(documents))
    if near.keep == "longest":
        for part, (start, end) in zip(parts, pairwise(starts.tolist()), strict=True):
            low, high = np.searchsorted(documents, [start, end])
            rank[low:high] = -part.sketch.read("sizes")[documents[low:high] - start]
    elif near.keep == "best_score":
        assert scores is not None, "keep: best_score needs scores"
        rank = -scores[documents]
    rank[documents < given] = -np.inf
    return rank


def _components(parent: NDArray[np.int64], rank: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The texts of components of several, one component after the other, each by rank; where each ends."""
    several = np.bincount(parent, minlength=len(parent))[parent] > 1
    texts = np.flatnonzero(several)
    order = texts[np.lexsort((rank[texts], parent[texts]))]
    roots_ = parent[order]
    ends = np.flatnonzero(np.append(roots_[1:] != roots_[:-1], True)) + 1 if len(order) else np.empty(0, np.int64)
    return order, ends


def _sets(parts: Sequence[Part], starts: NDArray[np.int64], documents: NDArray[np.int64]) -> Sets:
    for part, (start, end) in zip(parts, pairwise(starts.tolist()), strict=True):
        low, high = np.searchsorted(documents, [start, end])
        yield from part.sets(documents[low:high] - start)


def bytes_per_document() -> int:
    """Memory of the exchange for each document, however many bands: keeper, component, copies, similarity, flags, a key range."""
    return 8 * 6 + 4 + 3 + 8


def clusters(decisions: Decisions) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each kept document that others went for, and those; in order."""
    gone = np.flatnonzero(~decisions.kept)
    order = gone[np.argsort(decisions.keeper[gone], kind="stable")]
    if len(order):
        keepers = decisions.keeper[order]
        for start, end in pairwise([0, *(np.flatnonzero(np.diff(keepers)) + 1).tolist(), len(order)]):
            yield int(keepers[start]), order[start:end]
