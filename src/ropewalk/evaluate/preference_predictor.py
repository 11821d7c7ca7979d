"""Probabilities of A, B and tie from a model of preference, and the file that a competition wants of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ropewalk.core.errors import DataError
from ropewalk.data.comparisons import Comparison
from ropewalk.data.pair_features import PairFeatures
from ropewalk.evaluate.preference_metrics import Floats, softmax
from ropewalk.tasks.embedding import Embedder

if TYPE_CHECKING:
    from ropewalk.data.tokenizer import Vocabulary
    from ropewalk.models.head_folder import Asked

SUBMISSION = ("id", "winner_model_a", "winner_model_b", "winner_tie")


class PreferencePredictor:
    """Asks one model; each text is embedded once."""

    def __init__(self, asked: Asked, vocabulary: Vocabulary, device: str) -> None:
        if asked.kind != "pairs":
            raise DataError(f"a head of kind {asked.kind!r} compares no answers", remedy="name a model of task preference")
        self.head, self.device = asked.head, device
        self.features = PairFeatures.model_validate(asked.spec["features"])
        self.embed = Embedder(asked.encoder, vocabulary, device)

    def logits(self, pairs: Sequence[Comparison]) -> Floats:
        """(pairs, 3) in fp64, each pair by itself, so that no other shapes its bits."""
        self.embed.remember([text for pair in pairs for text in self.features.texts(pair)])
        rows = np.zeros((len(pairs), 3))
        with torch.inference_mode():
            for number, pair in enumerate(pairs):
                table = torch.from_numpy(self.features.table(pair, self.embed))[None].to(self.device)
                rows[number] = self.head(table)[0].double().cpu().numpy()
        return rows

    def probabilities(self, pairs: Sequence[Comparison], temperature: float = 1.0) -> Floats:
        """(pairs, 3): p(A | pair) is p(B | the pair swapped) to the last bit."""
        return softmax(self.logits(pairs) / temperature)


def write_submission(path: Path, pairs: Sequence[Comparison], probabilities: Floats) -> None:
    """A CSV line a pair: its id and the three probabilities."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SUBMISSION)
        writer.writerows([pair.id, *(f"{value:.9g}" for value in row)] for pair, row in zip(pairs, probabilities, strict=True))
