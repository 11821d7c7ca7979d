"""Answers from a model with a head: the passages of a text that answer a question, best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ropewalk.core.errors import DataError
from ropewalk.data.sentence_features import SentenceFeatures, cut_sentences
from ropewalk.data.span_windows import Coded, Window, WindowSize, windows
from ropewalk.tasks.embedding import Embedder
from ropewalk.tasks.row_losses import span_log_probabilities

if TYPE_CHECKING:
    from ropewalk.data.tokenizer import Vocabulary
    from ropewalk.models.head_folder import Asked

LONGEST_ANSWER = 96  # tokens: the longest evidence sentences have about so many
BEST = 20


@dataclass(frozen=True)
class Passage:
    """A passage [start, end) in characters; `score` is the log-odds that it answers (sentences) or of it against no answer (spans)."""

    start: int
    end: int
    score: float

    @property
    def probability(self) -> float:
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.score))))


class SpanPredictor:
    """Asks one model; sentences of a text are embedded once, whatever is asked of it."""

    def __init__(self, asked: Asked, vocabulary: Vocabulary, device: str) -> None:
        if asked.kind not in ("sentences", "windows"):
            raise DataError(f"a head of kind {asked.kind!r} answers no questions about a text", remedy="name a model of task span_qa")
        self.asked, self.vocabulary, self.device = asked, vocabulary, device
        self.features = SentenceFeatures.model_validate(asked.spec.get("features", {}))
        self.size = WindowSize.model_validate(asked.spec.get("windows", {}))
        self.embed = Embedder(asked.encoder, vocabulary, device)

    def remember(self, texts: Sequence[str], questions: Sequence[str]) -> None:
        """Embed all sentences and questions at once, which is quickest; needed by nobody."""
        if self.asked.kind == "sentences":
            pieces = [text[start:end] for text in texts for start, end in cut_sentences(text)]
            self.embed.remember([*pieces, *(part for question in questions for part in self.features.parts(question))])

    def passages(self, text: str, question: str) -> list[Passage]:
        """Best first; none for an empty text. Sentences are all there, spans the best few."""
        if not text.strip():
            return []
        return self._sentences(text, question) if self.asked.kind == "sentences" else self._spans(text, question)

    def _sentences(self, text: str, question: str) -> list[Passage]:
        bounds = cut_sentences(text)
        table = torch.from_numpy(self.features.table(text, bounds, question, self.embed)).to(self.device)
        with torch.inference_mode():
            logits = self.asked.head(table.unsqueeze(0))[0].double().tolist()
        found = [Passage(start, end, score) for (start, end), score in zip(bounds, logits, strict=True)]
        return sorted(found, key=lambda one: (-one.score, one.start))

    def _spans(self, text: str, question: str) -> list[Passage]:
        found: dict[tuple[int, int], float] = {}
        coded = Coded.of(self.vocabulary, question)
        for window in windows(self.vocabulary, coded, Coded.of(self.vocabulary, text), self.size):
            for passage in self._of_window(window):
                place = (passage.start, passage.end)
                found[place] = max(found.get(place, -math.inf), passage.score)
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [Passage(*place, score) for place, score in ranked[:BEST]]

    def _of_window(self, window: Window) -> list[Passage]:
        tokens = torch.from_numpy(window.tokens.astype(np.int64))[None].to(self.device)
        kinds = torch.from_numpy(window.kinds.astype(np.int32))[None].to(self.device)
        with torch.inference_mode():
            log_start, log_end = span_log_probabilities(self.asked.head(self.asked.encoder(tokens, kinds)), kinds)
        first, last = log_start[0].double().cpu().numpy(), log_end[0].double().cpu().numpy()
        here = slice(window.first, window.first + len(window.places))
        pairs = first[here][:, None] + last[here][None]
        apart = np.arange(len(window.places))
        length = apart[None] - apart[:, None]
        pairs[(length < 0) | (length >= LONGEST_ANSWER)] = -np.inf
        flat = np.argsort(-pairs, axis=None, kind="stable")[:BEST]
        nothing = first[0] + last[0]
        chosen = [(*divmod(int(place), len(window.places)), pairs.flat[place]) for place in flat]
        return [Passage(window.places[start][0], window.places[end][1], float(score - nothing)) for start, end, score in chosen]
