"""A list of words with weights, looked up in texts however they are spelt or disguised."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.classify.counting_kernels import word_key, word_weights
from ropewalk.data.classify.shipped import listed_words
from ropewalk.data.classify.words import Room, Words
from ropewalk.data.dedup.compiled import wrapping
from ropewalk.data.dedup.hash import Texts

FULL_WORDS = 20
"""In so many words or fewer, weights of one in sum are a score of one."""


class WordList:
    """A hash table of words; `open` ones also stand for all words that begin so."""

    def __init__(self, entries: dict[str, float]) -> None:
        size = 16
        while size < 4 * len(entries):
            size *= 2
        self.keys, self.values = np.zeros(size, np.uint64), np.zeros(size, np.float32)
        self.open = np.zeros(size, np.bool_)
        room = Room(disguises=True)
        for entry, weight in sorted(entries.items()):
            words = room.read(_texts(entry.rstrip("-")))
            with wrapping():
                key = word_key(words.units, words.starts[0], words.starts[-1])
            slot = int((key ^ (key >> np.uint64(32))) & np.uint64(size - 1))
            while self.keys[slot] not in (0, key):
                slot = (slot + 1) % size
            self.keys[slot], self.values[slot] = key, max(weight, self.values[slot])
            self.open[slot] |= entry.endswith("-")

    def weights(self, words: Words) -> NDArray[np.float32]:
        """What each word weighs; 0 for one that is not on the list."""
        result = np.empty(len(words), np.float32)
        with wrapping():
            word_weights(*words.lettered, self.keys, self.values, self.open, result)
        return result


def shares(weights: NDArray[np.float32], parts: NDArray[np.int32]) -> NDArray[np.float64]:
    """The score of each part (words parts[i]:parts[i+1]): its weights in sum for every twenty words of it, at most 1."""
    sums = np.concatenate([np.zeros(1), np.cumsum(weights, dtype=np.float64)])
    found = (sums[parts[1:]] - sums[parts[:-1]]) / np.maximum(np.diff(parts) / FULL_WORDS, 1.0)
    result: NDArray[np.float64] = np.clip(np.round(found, 9), 0.0, 1.0)
    return result


def _texts(entry: str) -> Texts:
    data = np.frombuffer(entry.encode(), np.uint8)
    return Texts(data, np.array([0, len(data)], np.int64))


@functools.lru_cache(maxsize=4)
def word_list(path: Path | None, modified: int) -> WordList:
    """The list in a file, the shipped one without a path."""
    return WordList(listed_words(path))
