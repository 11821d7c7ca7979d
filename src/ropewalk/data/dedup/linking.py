"""The compiled loops that compare candidates: link those at the threshold into components, settle who stays in each.

What they decide is said in cluster.py. The file imports no other kernel: numba's cache on disk notices changes of one file only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import compiled

SCANNED = 512
"""Members of a band's group that a text looks at: half from the front, half from the back."""
SEEN_BITS = 20
_FACTOR, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - SEEN_BITS)


@compiled
def jaccard(hashes: NDArray[np.uint64], a: int, a_end: int, b: int, b_end: int, threshold: float) -> float:
    """Shared ones over all of two rising sets; -1 as soon as it must be below the threshold."""
    sizes = (a_end - a) + (b_end - b)
    needed = int(np.ceil(threshold / (1.0 + threshold) * sizes - 1e-6))
    most = min(a_end - a, b_end - b)  # that can still be shared
    shared = 0
    while a < a_end and b < b_end:
        if most < needed:
            return -1.0
        left, right = hashes[a], hashes[b]
        shared += left == right
        a += left <= right
        b += right <= left
        most = shared + min(a_end - a, b_end - b)
    return shared / (sizes - shared)


@compiled
def root_of(parent: NDArray[np.int64], text: int) -> int:
    while parent[text] != text:
        parent[text] = parent[parent[text]]
        text = parent[text]
    return text


@compiled
def link(
    members: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    threshold: float,
    verify: bool,
    given: int,
    parent: NDArray[np.int64],
    left: NDArray[np.int64],
    seen: NDArray[np.uint64],
) -> None:
    """Join the texts of each group that reach the threshold; `members` holds text * 2, and 1 more where a group begins.

    `left` counts down each text's comparisons and is -1 for one that would have needed more.
    """
    begin = 0
    for place in range(len(members)):
        text = members[place] >> 1
        if members[place] & 1:
            begin = place
            continue
        if text < given:
            continue
        looked = min(place - begin, SCANNED)
        for step in range(looked):
            other = members[begin + (step >> 1) if step & 1 == 0 else place - 1 - (step >> 1)] >> 1
            mine, theirs = root_of(parent, text), root_of(parent, other)
            if mine == theirs:
                continue
            if verify:
                pair = np.uint64(other << 32 | text)
                slot = (pair * _FACTOR) >> _SHIFT
                if seen[slot] == pair:
                    continue
                if left[text] <= 0:
                    left[text] = -1
                    break
                seen[slot] = pair
                left[text] -= 1
                if jaccard(hashes, starts[text], starts[text + 1], starts[other], starts[other + 1], threshold) < threshold - 1e-9:
                    continue
            parent[max(mine, theirs)] = min(mine, theirs)
        if place - begin > looked and root_of(parent, text) != root_of(parent, members[begin] >> 1):
            left[text] = -1


@compiled
def roots(parent: NDArray[np.int64]) -> None:
    """Point each text at the first of its component."""
    for text in range(len(parent)):
        parent[text] = root_of(parent, text)


@compiled
def settle(
    members: NDArray[np.int64],
    ends: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    threshold: float,
    verify: bool,
    given: int,
    most: int,
    keeper: NDArray[np.int64],
    score: NDArray[np.float64],
    left: NDArray[np.int64],
) -> None:
    """In each component, the texts in the order of the keep rule: one goes for the most similar that stays and reaches the threshold."""
    least = threshold if verify else 0.0
    kept = np.empty(len(members), np.int64)
    begin = 0
    for end in ends:
        held = 0
        for place in range(begin, end):
            text = members[place]
            best, who = -1.0, -1
            if text >= given:
                for step in range(min(held, most)):
                    other = kept[step >> 1 if step & 1 == 0 else held - 1 - (step >> 1)]
                    similar = jaccard(hashes, starts[text], starts[text + 1], starts[other], starts[other + 1], least)
                    if similar > best or (similar == best and other < who):
                        best, who = similar, other
                if held > most:
                    left[text] = -1
            if who >= 0 and best >= least - 1e-9:
                keeper[text], score[text] = who, best
            else:
                kept[held] = text
                held += 1
        begin = end
