"""Language identification with py3langid's model (naive Bayes over byte n-grams, 97 labels and more), its tables run compiled.

The probabilities are the package's own `classify` with `norm_probs=True`, up to rounding.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ropewalk.data.classify.language_kernels import language_scores
from ropewalk.data.dedup.hash import Texts

MOST_COUNT = 1 << 16


@dataclass(frozen=True)
class Languages:
    """The package's tables; 100 MB."""

    labels: tuple[str, ...]
    aliases: tuple[tuple[int, int], ...]
    """(first, second) columns with one label."""
    moves: NDArray[np.uint32]
    rows: NDArray[np.int64]
    features: NDArray[np.int32]
    weights: NDArray[np.float32]
    prior: NDArray[np.float32]
    damped: NDArray[np.float32] = field(default_factory=lambda: np.log1p(np.arange(MOST_COUNT, dtype=np.float32)))

    def probabilities(self, texts: Texts, limit: int) -> NDArray[np.float64]:
        """(texts, labels) from the first `limit` bytes of each (0: all); a label's second column is 0."""
        parts = [
            _encoded(texts.data[start : min(end, start + limit) if limit else end].tobytes())
            for start, end in pairwise(texts.offsets.tolist())
        ]
        sizes = np.array([len(part) for part in parts], np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        scores = np.zeros((len(parts), len(self.labels) + 1), np.float32)
        language_scores(
            np.frombuffer(b"".join(parts), np.uint8), offsets, self.moves, self.rows, self.features, self.weights, self.damped,
            np.zeros(len(self.weights), np.int32), np.empty(len(self.weights), np.int32), scores,
        )  # fmt: skip
        known = scores[:, -1:] > 0
        found = np.where(known, scores[:, :-1] + self.prior, 0.0) / np.sqrt(np.maximum(sizes, 1))[:, None]
        found = np.exp(found - found.max(axis=1, keepdims=True)) if len(found) else found
        found /= found.sum(axis=1, keepdims=True)
        for first, second in self.aliases:
            found[:, first] += found[:, second]
            found[:, second] = 0.0
        result: NDArray[np.float64] = found.astype(np.float64)
        return result


def _encoded(part: bytes) -> bytes:
    """As the package prepares a text: without a cut character at the end, capitals alone as small letters, in NFC."""
    if part.isascii():
        return part.lower() if part.isupper() else part
    text = part.decode(errors="ignore")
    return unicodedata.normalize("NFC", text.lower() if text.isupper() else text).encode()


@functools.cache
def languages() -> Languages:
    """The model, read once a process (0.6 s); the package must be installed."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    labels = tuple(model.nb_classes)
    first: dict[str, int] = {}
    aliases = [(first[label], place) for place, label in enumerate(labels) if first.setdefault(label, place) != place]
    return Languages(
        labels,
        tuple(aliases),
        np.asarray(model.tk_nextmove, np.uint32),
        np.asarray(model.tk_row, np.int64) << 8,
        np.asarray(model.tk_output, np.int32),
        np.asarray(model.nb_ptc, np.float32),
        np.asarray(model.nb_pc, np.float32),
    )
