"""The words of texts as plain letters, with the bytes where each stands: what classifiers and word lists look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.classify.alphabet import tables
from ropewalk.data.classify.counting_kernels import sentences
from ropewalk.data.classify.reading_kernels import read_texts
from ropewalk.data.dedup.compiled import wrapping
from ropewalk.data.dedup.hash import Texts

PIECE = 64
"""Texts read at a time: at 2 kB each the loops stay within a core's cache."""
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Words:
    """Word i is units[starts[i]:starts[i+1]] and stands in bytes begins[i]:ends[i] of its text; text k has words firsts[k]:firsts[k+1].

    Valid until its Room reads the next texts.
    """

    texts: Texts
    units: NDArray[np.uint32]
    starts: Ints
    signs: NDArray[np.bool_]
    begins: Ints
    ends: Ints
    firsts: Ints

    def __len__(self) -> int:
        return len(self.begins)

    @property
    def lettered(self) -> tuple[NDArray[np.uint32], Ints, NDArray[np.bool_]]:
        return self.units, self.starts, self.signs

    def sentences(self) -> tuple[Ints, Ints]:
        """(parts, the text of each): part i is the words parts[i]:parts[i+1], which end with a line, a sentence or at 64 words."""
        parts, rows = np.empty(len(self) + 1, np.int32), np.empty(len(self), np.int32)
        number = sentences(self.texts.data, self.texts.offsets, self.begins, self.firsts, parts, rows)
        return parts[: number + 1], rows[:number]


class Room:
    """The memory that texts are read into, made once and grown when needed."""

    def __init__(self, disguises: bool) -> None:
        self.disguises = disguises
        self.most_bytes = -1
        self.total_bytes = -1
        self.text: tuple[Any, ...] = ()
        self.words: tuple[Any, ...] = ()

    def read(self, texts: Texts, limit: int = 0) -> Words:
        """The words of some texts, of each from its first `limit` bytes (0: all)."""
        sizes = np.minimum(texts.sizes, limit) if limit else texts.sizes
        self._grow(int(sizes.max(initial=0)), int(sizes.sum()) + 2 * len(texts))
        units, starts, signs, begins, ends = self.words
        firsts = np.empty(len(texts) + 1, np.int32)
        memory: tuple[Any, ...] = (*tables(), *self.text, *self.words, firsts)
        with wrapping():
            read_texts(texts.data, texts.offsets, limit, self.disguises, *memory)
        number = firsts[-1]
        return Words(texts, units[: starts[number]], starts[: number + 1], signs[:number], begins[:number], ends[:number], firsts)

    def _grow(self, most_bytes: int, total_bytes: int) -> None:
        def room(size: int, *kinds: Callable[..., Any]) -> tuple[Any, ...]:
            return tuple(np.zeros(size + 8, kind) for kind in kinds)

        if most_bytes > self.most_bytes:
            self.most_bytes, self.text = most_bytes, room(most_bytes, np.uint8, np.uint32, np.int32)
        if total_bytes > self.total_bytes:
            self.total_bytes, self.words = total_bytes, room(total_bytes, np.uint32, np.int32, np.bool_, np.int32, np.int32)
