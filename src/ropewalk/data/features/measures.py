"""What the quality rules compare: counts of each document, measured once for a batch and shared by all steps that look at it.

Words are runs between white space, lines and paragraphs what is not blank, without the blanks around them; a paragraph ends at a blank
line. White space, letters and small letters are those of Python's `str`, and a length is in characters.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.features.characters import SENTENCE_TERMINALS, kinds, lower

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.steps import Batch

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Gopher's."""
STRIPPED = ".,;:!?\"'()[]"
"""Marks that a stop word may have around it."""
BULLETS = "\u2022\u2023\u25e6\u25cf\u25aa"
SIGMAS = "\u03c3\u03c2"


@dataclass(frozen=True)
class Measures:
    """What is to be measured; two steps that ask for the same share one pass."""

    stop_words: tuple[str, ...] = STOP_WORDS
    end_marks: str = SENTENCE_TERMINALS
    short_characters: int = 30
    top_ngrams: tuple[int, ...] = (2, 3, 4)
    duplicate_ngrams: tuple[int, ...] = (5, 6, 7, 8, 9, 10)


@dataclass(frozen=True)
class Features:
    """Counts, one entry a document; a name of `kernels.NAMES` gives one kind."""

    of: Measures
    counts: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        from ropewalk.data.features.kernels import NAMES

        return self.counts[:, NAMES.index(name)]

    def share(self, name: str, whole: str) -> NDArray[np.float64]:
        """One count over another, and 0 of nothing."""
        return shares(self[name], self[whole])

    def top_ngram(self, size: int) -> NDArray[np.int64]:
        """Characters of all places of the most frequent n-gram (of several the longest), a blank between words; 0 if none is twice."""
        return self.counts[:, _sizes(self.of).index((size, False)) - len(_sizes(self.of))]

    def duplicate_ngrams(self, size: int) -> NDArray[np.int64]:
        """Characters, without blanks, of the words inside n-grams that were there before; each word counts once."""
        return self.counts[:, _sizes(self.of).index((size, True)) - len(_sizes(self.of))]


def shares(number: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """number / whole, and 0 of nothing."""
    return np.where(whole > 0, number / np.maximum(whole, 1), 0.0)


def features(batch: Batch, **wanted: Any) -> Features:
    """The batch's features; `wanted` are fields of Measures that matter to the caller, the others may be as an earlier step had them."""
    for key in batch.derived:
        if isinstance(key, Measures) and all(getattr(key, name) == value for name, value in wanted.items()):
            return Features(key, batch.derived[key])
    measures = Measures(**wanted)
    batch.derived[measures] = measure(batch.table["text"], measures)
    return Features(measures, batch.derived[measures])


def measure(column: pa.ChunkedArray, measures: Measures) -> NDArray[np.int64]:
    """(documents, features): the counts of `kernels.NAMES`, then those of the n-grams."""
    from ropewalk.data.dedup.compiled import wrapping
    from ropewalk.data.dedup.hash import pieces
    from ropewalk.data.features import kernels

    sizes = _sizes(measures)
    found = np.empty((len(column), len(kernels.NAMES) + len(sizes)), np.int64)
    bullets = np.array([ord(mark) for mark in BULLETS], np.uint32)
    done = 0
    with wrapping():
        stops = _Stops.of(measures.stop_words)
        for texts in pieces(column):
            rows = np.empty((len(texts), len(kernels.NAMES)), np.int64)
            ngrams = np.empty((len(texts), len(sizes)), np.int64)
            kernels.measure_rows(
                texts.data, texts.offsets, kinds(measures.end_marks), lower(), bullets,
                stops.table, stops.starts, stops.stripped, stops.longest_bytes, measures.short_characters,
                np.array([size for size, _ in sizes], np.int64), np.array([not again for _, again in sizes], np.bool_), rows, ngrams,
            )  # fmt: skip
            found[done : done + len(texts), : rows.shape[1]] = rows
            found[done : done + len(texts), rows.shape[1] :] = ngrams
            done += len(texts)
    _mend_sigmas(column, measures.stop_words, found[:, kernels.NAMES.index("stop_words")])
    return found


def count_stop_words(text: str, stop_words: tuple[str, ...]) -> int:
    """How many different stop words are in the text, in small letters and without the marks around them."""
    return len({word.strip(STRIPPED).lower() for word in text.split()}.intersection(stop_words))


def _mend_sigmas(column: pa.ChunkedArray, stop_words: tuple[str, ...], counts: NDArray[np.int64]) -> None:
    """The small form of Σ depends on its place in the word: Python says which, in the few documents that have one."""
    import pyarrow.compute as pc

    if any(sigma in word for word in stop_words for sigma in SIGMAS):
        for row in np.flatnonzero(pc.fill_null(pc.match_substring(column, "Σ"), False).to_numpy()).tolist():
            counts[row] = count_stop_words(column[row].as_py(), stop_words)


def _sizes(measures: Measures) -> list[tuple[int, bool]]:
    """(words, whether its duplicates are wanted or its top) for each n-gram column, as the kernel wants them: rising."""
    return sorted([(size, False) for size in measures.top_ngrams] + [(size, True) for size in measures.duplicate_ngrams])


@dataclass(frozen=True)
class _Stops:
    """Stop words as the kernel looks them up."""

    table: NDArray[np.uint64]
    starts: NDArray[np.bool_]
    """Which first bytes a word may have that is one."""
    stripped: NDArray[np.bool_]
    longest_bytes: int

    @classmethod
    def of(cls, stop_words: tuple[str, ...]) -> _Stops:
        from ropewalk.data.dedup.hash import mix_all
        from ropewalk.data.dedup.kernels import WORD_FACTOR
        from ropewalk.data.features import kernels

        possible = sorted({word for word in stop_words if word and word == word.lower() == word.strip(STRIPPED) and len(word.split()) == 1})
        words = [functools.reduce(lambda sofar, letter: (sofar * int(WORD_FACTOR) + ord(letter)) % 2**64, word, 0) for word in possible]
        table = np.zeros(kernels.room(2 * len(possible)), np.uint64)
        for key in mix_all(np.array(words, np.uint64)) | np.uint64(1):
            table[kernels.slot_of(key, table, len(table))] = key
        stripped = np.isin(np.arange(256), [ord(mark) for mark in STRIPPED])
        starts = stripped | (np.arange(256) >= 128)
        starts[[ord(case) for word in possible for case in (word[0], word[0].upper()[0]) if case.isascii()]] = bool(possible)
        # K (the Kelvin sign) is a k of three bytes, İ one character for two; no other character shrinks to ASCII.
        widths = dict.fromkeys(map(chr, range(128)), 1) | {"k": 3}
        return cls(table, starts, stripped, max((sum(widths.get(letter, 4) for letter in word) for word in possible), default=0))
