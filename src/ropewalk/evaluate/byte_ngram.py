"""Byte n-gram models: the baselines that a trained model has to beat, in bits per document, whatever its tokenizer.

Interpolated Witten-Bell smoothing: P(byte | context) = (count + kinds * P(byte | shorter context)) / (total + kinds), where
`kinds` is how many different bytes followed the context; the shortest model is uniform over 256. There is nothing to tune.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 8 << 20
MOST = 8  # bytes that fit into a 64-bit code


@dataclass(frozen=True)
class ByteNgram:
    """A model of each byte given the `order - 1` bytes before it in the same text; order 1 is the unigram, 3 the trigram."""

    order: int

    def __post_init__(self) -> None:
        assert 1 <= self.order <= MOST, f"order {self.order}: must be 1 to {MOST}"

    def fit(self, texts: Iterable[str]) -> FittedByteNgram:
        """Count the texts' UTF-8 bytes; memory grows with the number of different n-grams, not with the texts."""
        counted = [_Counts.none() for _ in range(self.order)]
        for data, place, _ in _chunks(texts):
            for length in range(1, self.order + 1):
                codes, numbers = np.unique(_codes(data, length)[place >= length - 1], return_counts=True)
                counted[length - 1] = counted[length - 1].plus(codes, numbers)
        return FittedByteNgram(tuple(_Level.of(counts) for counts in counted))


@dataclass(frozen=True)
class FittedByteNgram:
    """A byte model with its counts, the shortest context first."""

    levels: tuple[_Level, ...]

    def bits(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """The cost of each text in bits, its first byte included; a text of no bytes costs 0."""
        found = []
        for data, place, sizes in _chunks(texts):
            chance = np.full(len(data), 1 / 256)
            for length, level in enumerate(self.levels, 1):
                inside = place >= length - 1
                chance[inside] = level.given(_codes(data, length)[inside], chance[inside])
            ends = np.concatenate([[0.0], np.cumsum(-np.log2(chance))])[np.concatenate([[0], np.cumsum(sizes)])]
            found.append(np.diff(ends))
        return np.concatenate(found) if found else np.empty(0)


@dataclass(frozen=True)
class _Counts:
    """How often each n-gram occurs; `codes` are its bytes as one number, rising."""

    codes: NDArray[np.uint64]
    numbers: NDArray[np.int64]

    @classmethod
    def none(cls) -> _Counts:
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64))

    def plus(self, codes: NDArray[np.uint64], numbers: NDArray[np.int64]) -> _Counts:
        merged, place = np.unique(np.concatenate([self.codes, codes]), return_inverse=True)
        return _Counts(merged, _sums(place, np.concatenate([self.numbers, numbers]), len(merged)))


@dataclass(frozen=True)
class _Level:
    """All n-grams of one length, and for each context (the n-gram without its last byte) how many bytes followed and how many kinds."""

    counts: _Counts
    contexts: NDArray[np.uint64]
    totals: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @classmethod
    def of(cls, counts: _Counts) -> _Level:
        contexts, place, kinds = np.unique(counts.codes >> np.uint64(8), return_inverse=True, return_counts=True)
        return cls(counts, contexts, _sums(place, counts.numbers, len(contexts)), kinds)

    def given(self, codes: NDArray[np.uint64], shorter: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(last byte | the others) of each n-gram, where `shorter` is the same from the next shorter model."""
        count = _look_up(self.counts.codes, self.counts.numbers, codes)
        context = codes >> np.uint64(8)
        total, kinds = _look_up(self.contexts, self.totals, context), _look_up(self.contexts, self.kinds, context)
        weight = np.maximum(total + kinds, 1)  # a context that was never seen says nothing: the shorter one decides
        return np.where(total > 0, (count + kinds * shorter) / weight, shorter)


def _sums(place: NDArray[np.intp], numbers: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    total = np.zeros(size, np.int64)
    np.add.at(total, place, numbers)
    return total


def _look_up(keys: NDArray[np.uint64], values: NDArray[np.int64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The value of each wanted key, 0 where it is not there."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


def _codes(data: NDArray[np.uint8], length: int) -> NDArray[np.uint64]:
    """The last `length` bytes up to each place as one number; the first `length - 1` places hold nothing of use."""
    code = data.astype(np.uint64)
    for back in range(1, length):
        code[back:] |= data[:-back].astype(np.uint64) << np.uint64(8 * back)
    return code


def _chunks(texts: Iterable[str]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]]:
    """Texts joined to pieces of some megabytes: their bytes, each byte's place in its text, each text's number of bytes."""
    waiting: list[bytes] = []
    size = 0
    for text in texts:
        waiting.append(text.encode())
        size += len(waiting[-1])
        if size >= CHUNK_BYTES:
            yield _joined(waiting)
            waiting, size = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(texts: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    sizes = np.array([len(text) for text in texts], np.int64)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.frombuffer(b"".join(texts), np.uint8), np.arange(sizes.sum()) - starts, sizes
