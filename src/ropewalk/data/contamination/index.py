"""The index of evaluation items: every run of words that would betray one, to be looked up in training texts.

An item's text of at least `ngram` words is known by its runs of so many words, one of `least` words or more by all of them in a row;
a text that is shorter still can't be told from chance and is left out. Left out are also runs
that more than `common` items share, which are the format of their questions and not their content, and runs that tell nothing: more
than half of the words numbers, or fewer than a third of them different (`1 2 3 4 5 ...` stands in calendars and tables).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.contamination.kernels import RUN_FACTOR, find, roll, split_rows, telling
from ropewalk.data.contamination.rows import Item
from ropewalk.data.dedup.compiled import wrapping
from ropewalk.data.dedup.hash import Texts

Int64s = NDArray[np.int64]
BITS_A_RUN = 32


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one size, sorted by hash: those with hash keys[k] are heads[k] to heads[k+1]."""

    size: int
    """Words that are hashed; a run may be longer."""
    bits: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    heads: Int64s
    word: Int64s
    """Of each run its first word,"""
    length: Int64s
    """its number of words,"""
    part: Int64s
    """and the text that it is of."""

    def without(self, gone: NDArray[np.bool_]) -> Runs:
        """The runs but for some."""
        hashes = np.repeat(self.keys, np.diff(self.heads))
        return make_runs(self.size, hashes[~gone], self.word[~gone], self.length[~gone], self.part[~gone])


@dataclass(frozen=True)
class Index:
    """Items as words, and their runs; texts of items are numbered through as parts."""

    data: NDArray[np.uint8]
    starts: Int64s
    ends: Int64s
    part_item: Int64s
    items: tuple[tuple[str, int], ...]
    """(task, number) of each item."""
    runs: tuple[Runs, ...]

    @property
    def size_bytes(self) -> int:
        """Memory that every process needs."""
        arrays: list[NDArray[Any]] = [self.data, self.starts, self.ends]
        arrays += [array for runs in self.runs for array in _arrays(runs).values()]
        return sum(array.nbytes for array in arrays)

    def part_runs(self) -> Int64s:
        """How many different runs each part is known by."""
        total = np.zeros(len(self.part_item), np.int64)
        for runs in self.runs:
            total += np.bincount(runs.part, minlength=len(total))
        return total

    def found(self, texts: Texts) -> Int64s:
        """What `kernels.find` says of the texts; its windows are `runs`."""
        room = int(texts.sizes.max(initial=0)) // 2 + 2
        hashes, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
        windows = tuple((one.size, _lead(one.size), one.bits, one.keys, one.heads, one.word, one.length) for one in self.runs)
        with wrapping():
            return find(texts.data, texts.offsets, hashes, starts, ends, windows, self.data, self.starts, self.ends)

    def allowing(self, passages: Sequence[str]) -> Index:
        """Without the runs that stand in these texts."""
        found = self.found(texts_of(passages))
        kept = []
        for window, runs in enumerate(self.runs):
            gone = np.zeros(len(runs.word), np.bool_)
            gone[found[found[:, 3] == window, 4]] = True
            kept.append(runs.without(gone))
        return replace(self, runs=tuple(kept))

    def save(self, path: Path) -> None:
        """One file, for the processes that scan."""
        arrays = {name: getattr(self, name) for name in ("data", "starts", "ends", "part_item")}
        for place, runs in enumerate(self.runs):
            arrays |= {f"{place}.{name}": array for name, array in _arrays(runs).items()}
        said = json.dumps({"items": self.items, "sizes": [runs.size for runs in self.runs]})
        with path.open("wb") as file:
            np.savez(file, said=np.frombuffer(said.encode(), np.uint8), allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Index:
        with np.load(path, allow_pickle=False) as file:
            said = json.loads(file["said"].tobytes())
            names = [field.name for field in fields(Runs) if field.name != "size"]
            runs = tuple(Runs(size, **{name: file[f"{place}.{name}"] for name in names}) for place, size in enumerate(said["sizes"]))
            data, starts, ends, part_item = (file[name] for name in ("data", "starts", "ends", "part_item"))
        data.flags.writeable = False
        return cls(data, starts, ends, part_item, tuple((task, number) for task, number in said["items"]), runs)


def make_index(items: Sequence[Item], ngram: int, least: int, common: int) -> Index:
    """The runs of all items."""
    texts = texts_of([text for item in items for text in item.texts])
    part_item = np.repeat(np.arange(len(items)), [len(item.texts) for item in items])
    room = len(texts.data) // 2 + len(texts) + 1
    hashes, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    firsts = np.empty(len(texts) + 1, np.int64)
    with wrapping():
        count = split_rows(texts.data, texts.offsets, hashes, starts, ends, firsts)
    words = hashes[:count]
    sizes = np.diff(firsts)
    long = np.flatnonzero(sizes >= ngram)
    short = np.flatnonzero((sizes < ngram) & (sizes >= least))
    each = sizes[long] - ngram + 1
    part = np.repeat(long, each)
    word = np.repeat(firsts[long] - (np.cumsum(each) - each), each) + np.arange(each.sum())
    named = tuple((item.task, item.number) for item in items)
    index = Index(texts.data, starts[:count].copy(), ends[:count].copy(), part_item, named, ())
    whole = _distinct(index, ngram, words, word, np.full(len(word), ngram), part, common)
    alone = _distinct(index, least, words, firsts[short], sizes[short], short, common)
    return replace(index, runs=(whole, alone))


def _distinct(index: Index, size: int, words: NDArray[np.uint64], word: Int64s, length: Int64s, part: Int64s, common: int) -> Runs:
    """The runs at these words, each once a part, without those of too many items and those that tell nothing."""
    rolled, told = np.zeros(max(len(words) - size + 1, 0), np.uint64), np.zeros(len(word), np.bool_)
    with wrapping():
        roll(words, size, _lead(size), rolled)
        telling(index.data, index.starts, index.ends, words, word, length, told)
    word, length, part = word[told], length[told], part[told]
    hashes = rolled[word]
    if len(length) and length.max() > size:  # what is hashed is not the whole run
        wholes = [words[first : first + number].tobytes() for first, number in zip(word.tolist(), length.tolist(), strict=True)]
        same = np.unique(np.array(wholes, object), return_inverse=True)[1]
    else:
        same = np.unique(hashes, return_inverse=True)[1]
    item = index.part_item[part]
    pairs = np.unique(same * max(len(index.items), 1) + item) // max(len(index.items), 1)
    kept = np.bincount(pairs, minlength=len(same))[same] <= common
    order = np.lexsort((word, same, part, hashes))
    order = order[kept[order]]
    first = np.ones(len(order), np.bool_)
    first[1:] = (same[order[1:]] != same[order[:-1]]) | (part[order[1:]] != part[order[:-1]])
    order = order[first]
    return make_runs(size, hashes[order], word[order], length[order], part[order])


def make_runs(size: int, hashes: NDArray[np.uint64], word: Int64s, length: Int64s, part: Int64s) -> Runs:
    """Runs from rows that are sorted by hash."""
    keys, first = np.unique(hashes, return_index=True)
    number = 1 << max(16, int(BITS_A_RUN * len(keys)).bit_length())
    bits = np.zeros(number // 8, np.uint8)
    place = keys & np.uint64(number - 1)
    np.bitwise_or.at(bits, (place >> np.uint64(3)).astype(np.int64), np.uint8(1) << (place & np.uint64(7)).astype(np.uint8))
    return Runs(size, bits, keys, np.append(first, len(hashes)).astype(np.int64), word, length, part)


def texts_of(texts: Sequence[str]) -> Texts:
    """As Arrow would hold them."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    offsets.flags.writeable = False  # as Arrow's are: kernels are compiled anew for arrays that differ in that
    return Texts(np.frombuffer(b"".join(encoded), np.uint8), offsets)


def _lead(size: int) -> np.uint64:
    return np.uint64(pow(int(RUN_FACTOR), size, 1 << 64))


def _arrays(runs: Runs) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(runs, field.name) for field in fields(runs) if field.name != "size"}
