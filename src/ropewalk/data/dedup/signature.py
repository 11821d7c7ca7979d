"""MinHash signatures by Fast Similarity Sketching, and the band keys of locality-sensitive hashing.

Dahlgaard, Knudsen, Thorup (2017): round after round every shingle is thrown into one of `values` slots and each slot keeps the
smallest value of the first round that reached it; from round `values` on, each round fills one slot. The share of equal slots
of two signatures estimates the Jaccard similarity of the shingle sets as well as `values` independent hash functions do, at the
cost of one or two. In round r > 0 a shingle's number is the r-th of a splitmix64 generator seeded by it, in round 0 it itself;
the upper 32 bits choose the slot (times `values`, shifted down), the lower 32 bits are the value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import wrapping
from ropewalk.data.dedup.hash import Texts, Unit, lead_factor, mix_all, words_room
from ropewalk.data.dedup.kernels import SHINGLE_FACTOR, signature_rows


def signatures(texts: Texts, ngram: int, values: int, unit: Unit = "word") -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(texts, values) signatures and each text's number of shingles; a text without shingles has no signature (zeros)."""
    found, counts = np.zeros((len(texts), values), np.uint32), np.empty(len(texts), np.int64)
    words = words_room(texts.sizes, unit)
    with wrapping():
        signature_rows(
            texts.data, texts.offsets, unit == "character", ngram, lead_factor(ngram),
            words, np.empty_like(words), np.empty(values, np.uint64), np.empty(values, np.int32), found, counts,
        )  # fmt: skip
    return found, counts


def band_keys(signatures: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.uint64]:
    """(texts, bands): band b's key is mix(sum of value[b*rows+i] * SHINGLE_FACTOR^(rows-1-i))."""
    banded = signatures[:, : bands * rows].reshape(len(signatures), bands, rows)
    keys = np.zeros((len(signatures), bands), np.uint64)
    with wrapping():
        for row in range(rows):
            keys *= SHINGLE_FACTOR
            keys += banded[:, :, row]
        return mix_all(keys)
