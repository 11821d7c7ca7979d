"""Texts to unit vectors: each text once, those of one length together, so that no padding shapes a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ropewalk.data.tokenizer import Vocabulary
    from ropewalk.models.encoder_module import Encoder

TOKENS_AT_ONCE = 4096
LONGEST = 256


class Embedder:
    """Remembers what it has embedded; a text beyond LONGEST tokens is cut."""

    def __init__(self, encoder: Encoder, vocabulary: Vocabulary, device: str, advance: Callable[[int], None] = lambda done: None) -> None:
        self.encoder, self.vocabulary, self.device, self.advance = encoder, vocabulary, device, advance
        self.first, self.last = vocabulary.control("[CLS]"), vocabulary.control("[SEP]")
        self.longest = min(LONGEST, encoder.shape.context)
        self.known: dict[str, NDArray[np.float32]] = {}
        self.cut = 0

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, width)."""
        self.remember(texts)
        return np.stack([self.known[text] for text in texts])

    def remember(self, texts: Sequence[str]) -> None:
        """Embed what is new; all at once is quickest."""
        new = sorted({text for text in texts if text not in self.known})
        by_length: dict[int, list[tuple[str, list[int]]]] = {}
        for text, ids in zip(new, self.vocabulary.encode(new), strict=True):
            self.cut += len(ids) > self.longest - 2
            whole = [self.first, *ids[: self.longest - 2].tolist(), self.last]
            by_length.setdefault(len(whole), []).append((text, whole))
        for length, items in sorted(by_length.items()):
            size = max(1, TOKENS_AT_ONCE // length)
            for start in range(0, len(items), size):
                some = items[start : start + size]
                with torch.inference_mode():
                    vectors = self.encoder.embed(torch.tensor([ids for _, ids in some], device=self.device))
                self.known.update(zip([text for text, _ in some], vectors.float().cpu().numpy(), strict=True))
                self.advance(len(some))
