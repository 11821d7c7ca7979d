"""C4's look at the lines of a batch: which stay, and why the others don't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

CITATIONS = ("[edit]", "[citation needed]")
"""What is cut besides `[12]` and `[]`."""
LOREM_IPSUM, JAVASCRIPT = "lorem ipsum", "javascript"


@dataclass(frozen=True)
class LineRules:
    """What is asked of a line; phrases are ASCII in small letters."""

    end_marks: Sequence[str]
    min_words: int
    max_word_length: int | None
    drop_javascript: bool
    policy_phrases: Sequence[str]
    remove_citations: bool


@dataclass(frozen=True)
class Lines:
    """What is left of the texts, and a count for each name of `c4_kernels.COUNTS`, one entry a document."""

    texts: pa.ChunkedArray
    counts: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        from ropewalk.data.features.c4_kernels import COUNTS

        return self.counts[:, COUNTS.index(name)]


def choose_lines(column: pa.ChunkedArray, rules: LineRules) -> Lines:
    """Drop lines by the rules; those that stay are without white space around them, and joined by line ends."""
    import pyarrow as pa

    from ropewalk.data.dedup.compiled import wrapping
    from ropewalk.data.dedup.hash import pieces
    from ropewalk.data.features import c4_kernels as kernels
    from ropewalk.data.features.characters import kinds

    means = {LOREM_IPSUM: kernels.LOREM, **({JAVASCRIPT: kernels.JAVASCRIPT} if rules.drop_javascript else {})}
    for phrase in rules.policy_phrases:
        means[phrase] = means.get(phrase, 0) | kernels.POLICY
    means = dict(sorted(means.items()))
    begins = np.zeros((256, 2), np.int64)  # byte -> the phrases that may begin with it: from, to
    for number, phrase in enumerate(means):
        for byte in set(_first_bytes(phrase)):
            begins[byte] = (begins[byte, 0] if begins[byte, 1] else number), number + 1
    last_bytes = np.isin(np.arange(256), [*(mark.encode()[-1] for mark in rules.end_marks), *(b"]" if rules.remove_citations else b"")])
    longest = np.iinfo(np.int64).max if rules.max_word_length is None else rules.max_word_length
    chunks, counts = [], [np.empty((0, len(kernels.COUNTS)), np.int64)]
    with wrapping():
        for texts in pieces(column):
            out = np.empty(int(texts.sizes.sum()) + len(texts), np.uint8)
            offsets, found = np.empty(len(texts) + 1, np.int64), np.empty((len(texts), len(kernels.COUNTS)), np.int64)
            kernels.c4_rows(
                texts.data, texts.offsets, kinds(),
                *_joined(CITATIONS if rules.remove_citations else ()), *_joined(rules.end_marks), last_bytes | (not rules.end_marks),
                *_joined(list(means)), np.array(list(means.values()), np.int64), begins, rules.min_words, longest, out, offsets, found,
            )  # fmt: skip
            buffers = pa.py_buffer(offsets), pa.py_buffer(out[: offsets[-1]])
            chunks.append(pa.LargeStringArray.from_buffers(len(texts), *buffers))
            counts.append(found)
    return Lines(pa.chunked_array(chunks, pa.large_string()), np.concatenate(counts))


def _joined(parts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of all one after the other, and where each begins and ends."""
    encoded = [part.encode() for part in parts]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)])


def _first_bytes(phrase: str) -> bytes:
    """The bytes with which a text may begin whose small letters begin with the phrase."""
    return (phrase[0] + phrase[0].upper() + {"k": "\u212a", "i": "\u0130"}.get(phrase[0], "")).encode()
