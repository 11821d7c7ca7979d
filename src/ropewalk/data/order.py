"""The order of sequences: a keyed permutation of [0, n), computed where it is asked for and never stored.

A Feistel network over the smallest even number of bits that holds n, with cycle walking (Black and Rogaway 2002).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.seed import derive

ROUNDS = 6
_MIX = np.uint64(0x9E3779B97F4A7C15)


def permutation(n: int, seed: int, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each index of [0, n) goes in this epoch's order; a bijection for each (n, seed, epoch)."""
    assert n > 0 and (indices >= 0).all() and (indices < n).all(), f"indices must be in [0, {n})"
    if n == 1:
        return np.zeros_like(indices)
    half, keys = _half(n), _keys(seed, epoch)
    found = _shuffle(indices.astype(np.uint64), half, keys)
    outside = found >= n
    while outside.any():
        found[outside] = _shuffle(found[outside], half, keys)
        outside = found >= n
    return found.astype(np.int64)


def inverse(n: int, seed: int, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which index goes to each place: undoes `permutation`."""
    assert n > 0 and (places >= 0).all() and (places < n).all(), f"places must be in [0, {n})"
    if n == 1:
        return np.zeros_like(places)
    half, keys = _half(n), _keys(seed, epoch)
    found = _unshuffle(places.astype(np.uint64), half, keys)
    outside = found >= n
    while outside.any():
        found[outside] = _unshuffle(found[outside], half, keys)
        outside = found >= n
    return found.astype(np.int64)


def _half(n: int) -> np.uint64:
    return np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))


def _keys(seed: int, epoch: int) -> list[np.uint64]:
    return [np.uint64(derive(seed, "order", epoch, number)) for number in range(ROUNDS)]


BLOCK = 4096


@lru_cache(maxsize=8)
def _block(n: int, seed: int, epoch: int, number: int) -> NDArray[np.int64]:
    places = np.arange(number * BLOCK, min(n, (number + 1) * BLOCK), dtype=np.int64)
    return permutation(n, seed, epoch, places)


def permuted(n: int, seed: int, epoch: int, first: int, count: int) -> NDArray[np.int64]:
    """`permutation` of the indices from `first` on, worked out 4,096 at a time: the cost of a call is nearly all in its rounds."""
    found = []
    while count > 0:
        number, within = divmod(first, BLOCK)
        found.append(_block(n, seed, epoch, number)[within : within + count])
        assert len(found[-1]), f"indices must be in [0, {n})"
        first, count = first + len(found[-1]), count - len(found[-1])
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _shuffle(values: NDArray[np.uint64], half: np.uint64, keys: list[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << half) | right


def _unshuffle(values: NDArray[np.uint64], half: np.uint64, keys: list[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in reversed(keys):
        left, right = right ^ (_mixed(left + key) & mask), left
    return (left << half) | right


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finish: every bit of the input reaches every bit of the output."""
    values = values + _MIX
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
