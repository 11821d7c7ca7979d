"""The exact truth of near-duplicates, and how near a tool comes to it.

A document is the set of its word 5-grams, words being runs of `\\w` in the lower-cased text. A prefix-filter join finds every pair
with a Jaccard similarity of 0.5 or more, planted or natural: with words ordered from rare to common, two sets that similar share
one among the first |x| - ceil(0.5 |x|) + 1 of each. So recall and precision need no guessing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
NGRAM, FLOOR = 5, 0.5


def _compiled(function: F) -> F:
    return cast(F, numba.njit(cache=True)(function))


def write_truth(corpus: Path, out: Path) -> None:
    """Write all pairs (a, b, j) with j >= FLOOR and the number of documents."""
    sets = _gram_sets(corpus)
    sizes = np.array([len(one) for one in sets])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    grams, inverse, frequency = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    rank = np.empty(len(grams), np.int32)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(grams), dtype=np.int32)
    items = rank[inverse]
    for start, end in pairwise(starts):
        items[start:end].sort()
    heads = np.concatenate([[0], np.cumsum(np.bincount(items, minlength=len(grams)))])
    a, b, j = _pairs(starts, items, np.argsort(sizes, kind="stable"), heads, FLOOR)
    np.savez_compressed(out, a=a, b=b, j=j, size=sizes)


def _gram_sets(corpus: Path) -> list[NDArray[np.uint64]]:
    """Each document's n-grams as 64-bit numbers, sorted; of few words, one n-gram of all."""
    words_seen: dict[str, int] = {}
    draw = np.random.default_rng(7)
    factors = draw.integers(1, 1 << 63, NGRAM, np.uint64) | np.uint64(1)
    values = np.empty(0, np.uint64)
    found = []
    with corpus.open(encoding="utf-8") as file:
        for line in file:
            words = re.findall(r"\w+", json.loads(line)["text"].lower())
            numbers = np.fromiter((words_seen.setdefault(word, len(words_seen)) for word in words), np.int64, len(words))
            if len(words_seen) > len(values):
                values = np.concatenate([values, draw.integers(0, 1 << 63, max(1 << 16, len(words_seen)), np.uint64)])
            own = values[numbers]
            count = max(len(own) - NGRAM + 1, 0)
            grams = np.zeros(count, np.uint64)
            for place in range(NGRAM):
                grams += own[place : place + count] * factors[place]
                grams ^= grams >> np.uint64(29)
                grams *= np.uint64(0xBF58476D1CE4E5B9)
            found.append(np.unique(grams) if count else own.sum(keepdims=True, dtype=np.uint64))
    return found


@_compiled
def _pairs(starts: Any, items: Any, order: Any, heads: Any, floor: float) -> Any:
    """Sets by rising size; an item's list of earlier sets begins at its head, and those that have become too small are skipped."""
    posted = np.empty(heads[-1], np.int32)
    first, end = heads[:-1].copy(), heads[:-1].copy()
    met = np.full(len(order), -1, np.int64)
    left, right, similar = [np.int32(0) for _ in range(0)], [np.int32(0) for _ in range(0)], [np.float32(0) for _ in range(0)]
    for document in order:
        size = starts[document + 1] - starts[document]
        prefix = range(starts[document], starts[document] + size - int(np.ceil(floor * size - 1e-9)) + 1)
        for place in prefix:
            item = items[place]
            while first[item] < end[item] and starts[posted[first[item]] + 1] - starts[posted[first[item]]] < floor * size - 1e-9:
                first[item] += 1
            for entry in range(first[item], end[item]):
                other = posted[entry]
                if met[other] == document:
                    continue
                met[other] = document
                i, k, shared = starts[document], starts[other], 0
                both = size + starts[other + 1] - starts[other]
                needed = floor / (1 + floor) * both - 1e-9
                while i < starts[document + 1] and k < starts[other + 1]:
                    if shared + min(starts[document + 1] - i, starts[other + 1] - k) < needed:
                        break
                    one, two = items[i], items[k]
                    shared += one == two
                    i += one <= two
                    k += two <= one
                if shared >= needed:
                    left.append(np.int32(other))
                    right.append(np.int32(document))
                    similar.append(np.float32(shared / (both - shared)))
        for place in prefix:
            posted[end[items[place]]] = document
            end[items[place]] += 1
    return np.array(left), np.array(right), np.array(similar)


def score(labels: NDArray[np.int64], truth: Path, threshold: float = 0.8, kept: NDArray[np.bool_] | None = None) -> dict[str, float]:
    """How labels (equal = one cluster, of which the first stays unless `kept` says which do) or booleans (kept) compare with the truth.

    `pair_recall` is the share of true pairs in one cluster, `resolved` that of which not both stay, `document_precision` the share of
    clustered documents with a true partner in their cluster (of booleans: of removed ones with one anywhere). Labels may be of the first
    documents only: then only pairs among those count.
    """
    known = np.load(truth)
    number = len(labels)
    among = (known["b"] < number) & (known["a"] < number)
    a, b, j = known["a"][among], known["b"][among], known["j"][among]
    true = j >= threshold - 1e-6
    has = np.zeros(number, np.bool_)
    has[a[true]] = has[b[true]] = True
    if labels.dtype == np.bool_:
        gone = ~labels
        stays, recall = np.asarray(labels, np.bool_), float("nan")
        precision = (gone & has).sum() / max(gone.sum(), 1)
    else:
        _, first, own, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
        stays = np.isin(np.arange(number), first) if kept is None else kept
        good = true & (own[a] == own[b])
        right = np.zeros(number, np.bool_)
        right[a[good]] = right[b[good]] = True
        clustered = counts[own] > 1
        recall, precision = good.sum() / max(true.sum(), 1), (right & clustered).sum() / max(clustered.sum(), 1)
    resolved = 1 - (true & stays[a] & stays[b]).sum() / max(true.sum(), 1)
    shares = {"pair_recall": recall, "resolved": resolved, "document_precision": precision}
    return {**{name: round(float(share), 4) for name, share in shares.items()}, "removed": int((~stays).sum())}
