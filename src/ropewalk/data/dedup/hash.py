"""Words, shingles and normalised texts as 64-bit hashes, computed on Arrow's byte buffers without making Python strings.

The bits are fixed, for every engine, all arithmetic mod 2^64 (`tests/data/dedup/vectors.json.gz` holds 1,000 examples):

- byte classes: `0-9 A-Z a-z _` and every byte >= 0x80 belong to words; A-Z count as a-z; all else parts words;
- word = mix(sum of byte[i] * WORD_FACTOR^(length-1-i)), where mix is splitmix64;
- by characters instead of words: A-Z count as a-z, each run of ASCII white space is one blank, none at the ends, and each code
  point of what is left is hashed from its bytes as a word is;
- shingle = mix(sum of word[i] * SHINGLE_FACTOR^(n-1-i)) over n words in a row; a text of fewer words has one shingle, of all
  its words; a text without words has none;
- normalised text: A-Z as a-z, each run of ASCII white space as one blank, none at the ends; its hash is two numbers
  mix(sum of byte[i] * EXACT_FACTORS[k]^(length-1-i) + length).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.dedup.compiled import wrapping
from ropewalk.data.dedup.kernels import SHINGLE_FACTOR, exact_rows, fold_rows, mix, shingle_rows

if TYPE_CHECKING:
    import pyarrow as pa

Unit = Literal["word", "character"]
"""What an n-gram is made of."""
Fold = Unit | None
"""For which n-grams the letters and marks of all scripts are folded; None where only ASCII ones are."""
mix_all: Callable[[NDArray[np.uint64]], NDArray[np.uint64]] = getattr(mix, "py_func", cast(Any, mix))
"""`mix` of each value of an array, by numpy."""


@dataclass(frozen=True)
class Texts:
    """A column's UTF-8 bytes as Arrow holds them: text i is data[offsets[i]:offsets[i+1]]."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each text."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, column: pa.LargeStringArray) -> Texts:
        """Shares the column's memory; a null is an empty text."""
        _, offsets, data = column.buffers()
        place = np.frombuffer(offsets, np.int64, len(column) + 1, column.offset * 8) if len(column) else np.zeros(1, np.int64)
        return cls(np.frombuffer(data or b"", np.uint8), place)


def pieces(column: pa.ChunkedArray | pa.LargeStringArray, most: int = 4096) -> Iterator[Texts]:
    """A large_string column in pieces of at most `most` texts, in order."""
    for piece in slices(column, most):
        yield Texts.of(piece)


def slices(column: pa.ChunkedArray | pa.LargeStringArray, most: int = 4096) -> Iterator[pa.LargeStringArray]:
    """The pieces as Arrow has them."""
    for chunk in getattr(column, "chunks", [column]):
        for start in range(0, len(chunk), most):
            yield chunk.slice(start, most)


def folded(texts: pa.LargeStringArray, fold: Fold) -> Texts:
    """Where `fold` names a unit, texts that are not ASCII in small letters, and for words with a blank for what is in none.

    So words are `\\w+` runs of all scripts. Beyond the first 65,536 code points only emoji and the like are changed, which part words.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    foreign = pc.invert(pc.fill_null(pc.string_is_ascii(texts), True)) if fold else None
    chosen = Texts.of(texts.filter(foreign)) if fold else None
    if not chosen:
        return Texts.of(texts)
    places = np.empty(len(chosen) + 1, np.int64)
    out = np.empty(2 * int(chosen.sizes.sum()) + 4, np.uint8)  # a small letter may take more bytes than its capital
    fold_rows(chosen.data, chosen.offsets, _small_letters(), fold == "word", out, places)
    changed = pa.LargeStringArray.from_buffers(len(chosen), pa.py_buffer(places), pa.py_buffer(out))
    return Texts.of(pc.replace_with_mask(texts, foreign, changed))


@functools.cache
def _small_letters() -> NDArray[np.int32]:
    """Of each code point below 65,536 its small letter where that is one code point; negative where it is in no word."""
    signs = [chr(point) for point in range(1 << 16)]
    small = [ord(sign.lower()) if len(sign.lower()) == 1 else ord(sign) for sign in signs]
    inside = [sign.isalnum() or sign == "_" for sign in signs]
    return np.where(inside, small, np.negative(small)).astype(np.int32)


def shingle_hashes(texts: Texts, rows: NDArray[np.int64], ngram: int, unit: Unit = "word") -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The shingles of the chosen texts one after the other, repeated ones too, and how many each text has."""
    sizes, characters = texts.sizes[rows], unit == "character"
    room = int(sizes.sum()) // (1 if characters else 2) + 2 * len(rows) + 1
    words, shingles = words_room(sizes, unit), np.empty(room, np.uint64)
    counts = np.empty(len(rows), np.int64)
    with wrapping():
        total = shingle_rows(texts.data, texts.offsets, rows, characters, ngram, lead_factor(ngram), words, shingles, counts)
    return shingles[:total], counts


def exact_hashes(texts: Texts) -> NDArray[np.uint64]:
    """(texts, 2): 128 bits of each normalised text; equal for equal ones, and in practice for those only."""
    hashes = np.empty((len(texts), 2), np.uint64)
    with wrapping():
        exact_rows(texts.data, texts.offsets, hashes)
    return hashes


def words_room(sizes: NDArray[np.int64], unit: Unit = "word") -> NDArray[np.uint64]:
    """Space for the words of the longest text: every second byte may begin one; or for its characters, one a byte."""
    return np.empty(int(sizes.max(initial=0)) // (1 if unit == "character" else 2) + 2, np.uint64)


def lead_factor(ngram: int) -> np.uint64:
    """SHINGLE_FACTOR^ngram: the weight with which a word leaves the rolling sum."""
    return np.uint64(pow(int(SHINGLE_FACTOR), ngram, 1 << 64))
