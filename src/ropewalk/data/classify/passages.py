"""Judges of passages: what a list of words, a linear classifier or a sequence classifier says of documents and of their sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.classify.words import PIECE, Room, Words
from ropewalk.data.dedup.hash import Texts, pieces

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.classify.classifier import Linear
    from ropewalk.data.classify.sequence_classifier import Encoder
    from ropewalk.data.classify.word_list import WordList

Floats = NDArray[np.float64]
Spans = tuple[NDArray[np.int64], Floats]
"""(row, first byte, end byte) of each span in order, and its score."""


class Judge(Protocol):
    """Scores from 0 to 1."""

    def documents(self, column: pa.ChunkedArray, limit: int) -> Floats:
        """Of each text, from its first `limit` bytes (0: all)."""
        ...

    def spans(self, texts: Texts, limit: int) -> Spans: ...

    def worst_spans(self, column: pa.ChunkedArray, limit: int) -> Floats:
        """The highest score of a span of each text; 0 for a text without spans."""
        ...


def _worst(judge: Judge, column: pa.ChunkedArray, limit: int) -> Floats:
    found = [np.empty(0)]
    for texts in pieces(column, PIECE):
        places, scores = judge.spans(texts, limit)
        worst = np.zeros(len(texts))
        np.maximum.at(worst, places[:, 0], scores)
        found.append(worst)
    return np.concatenate(found)


def _read(room: Room, column: pa.ChunkedArray, limit: int) -> Iterator[Words]:
    for texts in pieces(column, PIECE):
        yield room.read(texts, limit)


def _sentences(words: Words) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(parts, (row, first byte, end byte) of each): a text's sentences."""
    parts, rows = words.sentences()
    return parts, np.stack([rows, words.begins[parts[:-1]], words.ends[parts[1:] - 1]], axis=1).astype(np.int64)


class Listed:
    """By a list of words; the spans are the words on it."""

    def __init__(self, words: WordList) -> None:
        self.list = words
        self.room = Room(disguises=True)

    def documents(self, column: pa.ChunkedArray, limit: int) -> Floats:
        from ropewalk.data.classify.word_list import shares

        found = [shares(self.list.weights(words), words.firsts) for words in _read(self.room, column, limit)]
        return np.concatenate([np.empty(0), *found])

    def worst_spans(self, column: pa.ChunkedArray, limit: int) -> Floats:
        return _worst(self, column, limit)

    def spans(self, texts: Texts, limit: int) -> Spans:
        words = self.room.read(texts, limit)
        weights = self.list.weights(words)
        listed = np.flatnonzero(weights > 0)
        rows = np.searchsorted(words.firsts, listed, "right") - 1
        places = np.stack([rows, words.begins[listed], words.ends[listed]], axis=1)
        scores = np.asarray(np.round(weights[listed], 6), np.float64)
        return places.astype(np.int64), scores


class Scored:
    """By a linear classifier; the spans are sentences."""

    def __init__(self, linear: Linear) -> None:
        self.linear = linear

    def documents(self, column: pa.ChunkedArray, limit: int) -> Floats:
        return self.linear.judge(column, limit, 0.0)

    def worst_spans(self, column: pa.ChunkedArray, limit: int) -> Floats:
        return _worst(self, column, limit)

    def spans(self, texts: Texts, limit: int) -> Spans:
        words = self.linear.reader.room.read(texts, limit)
        parts, places = _sentences(words)
        return places, self.linear.probabilities(words, parts, 0.0)


class Encoded:
    """By a Hugging Face sequence classifier; the spans are sentences."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.room = Room(disguises=False)

    def documents(self, column: pa.ChunkedArray, limit: int) -> Floats:
        found = [self.encoder.probabilities(_strings(texts, limit)) for texts in pieces(column, PIECE)]
        return np.concatenate([np.empty(0), *found])

    def worst_spans(self, column: pa.ChunkedArray, limit: int) -> Floats:
        return _worst(self, column, limit)

    def spans(self, texts: Texts, limit: int) -> Spans:
        _, places = _sentences(self.room.read(texts, limit))
        starts = texts.offsets[places[:, 0]]
        strings = [
            texts.data[first:end].tobytes().decode()
            for first, end in zip((starts + places[:, 1]).tolist(), (starts + places[:, 2]).tolist(), strict=True)
        ]
        return places, self.encoder.probabilities(strings)


def _strings(texts: Texts, limit: int) -> list[str]:
    ends = np.minimum(texts.offsets[1:], texts.offsets[:-1] + limit) if limit else texts.offsets[1:]
    places = zip(texts.offsets[:-1].tolist(), ends.tolist(), strict=True)
    return [texts.data[first:end].tobytes().decode(errors="ignore") for first, end in places]


def covered(judge: Judge, column: pa.ChunkedArray, at_most: float, put_in: str, *, tag: bool) -> tuple[list[str], list[int], Floats]:
    """(texts, spans covered in each, the highest score that a span had): every span above `at_most` as `put_in` or as stars.

    What was put in before is read as stars, and stars are no words: so a second time nothing is found.
    """
    import pyarrow as pa

    stars = "*" * len(put_in)
    texts = column.to_pylist()
    plain = pa.array([text.replace(put_in, stars) for text in texts], pa.large_string())
    numbers, worst = [0] * len(texts), np.zeros(len(texts))
    done = 0
    for piece in pieces(plain, PIECE):
        places, scores = judge.spans(piece, 0)
        np.maximum.at(worst, done + places[:, 0], scores)
        above: dict[int, list[tuple[int, int]]] = {}
        for row, first, end in places[scores > at_most].tolist():
            above.setdefault(done + row, []).append((first, end))
        for row, spans in above.items():
            texts[row] = _covered(texts[row], spans, put_in if tag else None)
            numbers[row] = len(spans)
        done += len(piece)
    return texts, numbers, worst


def _covered(text: str, spans: list[tuple[int, int]], put_in: str | None) -> str:
    raw = text.encode()
    parts, at = [], 0
    for first, end in spans:
        span = raw[first:end].decode()
        parts += [raw[at:first].decode(), put_in or "".join("*" if sign.isalnum() else sign for sign in span)]
        at = end
    return "".join(parts) + raw[at:].decode()
