"""The loss of held-out answers: what fine-tuning is to lower."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.tokens import Split, Tokens
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject, token_losses
from ropewalk.evaluate.suites.suite import Suite, held_out_problems


class AnswerLoss(Suite, type="answer_loss"):
    """Loss over the trained tokens of rendered chats: nats a token, and bits a byte of the answers' text."""

    measures: ClassVar[tuple[str, ...]] = ("nats_per_token", "bits_per_byte")

    data: Ref[Tokens]
    """Rendered chats with a held-out part."""
    split: Split = "holdout"
    """Which part is measured."""

    def problems(self, upstream: Mapping[str, Any]) -> list[tuple[str, str]]:
        return held_out_problems(self.split, upstream.get("data"))

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        tokens: Tokens = open_ref(self.data)
        subject.check(tokens)
        documents = list(tokens.read(self.split))
        if not documents:
            raise DataError(f"{self.tag}: {tokens.path} has no chat in {self.split!r}", remedy="set holdout in the render stage")
        losses = token_losses(subject, [document.tokens for document in documents], tokens.length, advance)
        own = [np.ones(len(d.tokens), np.bool_) if d.mask is None else d.mask for d in documents]
        nats = np.array([float(found[mask[1:]].sum(dtype=np.float64)) for found, mask in zip(losses, own, strict=True)])
        counts = np.array([float(mask[1:].sum()) for mask in own])
        sizes = np.array([float(document.text_bytes) for document in documents])
        ids = [document.id for document in documents]
        measures = [
            Measure("nats_per_token", "nats/token", nats, counts),
            Measure("bits_per_byte", "bits/byte", nats / math.log(2), sizes),
        ]
        return SuiteResult(ids, ids, measures)
