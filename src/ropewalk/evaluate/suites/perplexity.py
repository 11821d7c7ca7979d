"""Perplexity and bits per byte on held-out documents, beside byte n-gram models on the same documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.data.tokens import Split, Tokens
from ropewalk.evaluate.byte_ngram import ByteNgram
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject, token_losses
from ropewalk.evaluate.suites.suite import Suite, held_out_problems

BASELINES = {"byte_unigram": 1, "byte_trigram": 3}


class Perplexity(Suite, type="perplexity"):
    """How well a model predicts whole documents: `bits_per_byte` compares across tokenizers, `perplexity` is per token.

    The text's tokens count, the end of the document doesn't: byte models don't predict it either.
    """

    measures: ClassVar[tuple[str, ...]] = ("bits_per_byte", "nats_per_token", "perplexity")

    data: Ref[Tokens]
    """Packed documents with a held-out part."""
    split: Split = "holdout"
    """Which part is measured; the byte models always learn from the training part."""
    baselines: bool = True
    """Whether the byte models are fitted."""
    by_source: bool = True
    """Bits per byte of each source too, as `bits_per_byte/SOURCE`, where there are several."""
    max_documents: int | None = Field(default=None, ge=1)
    """Only the first so many documents."""

    def metric_names(self) -> tuple[str, ...]:
        return (*self.measures, "bits_per_byte/*") if self.by_source else self.measures

    def baseline_names(self) -> tuple[str, ...]:
        return tuple(BASELINES) if self.baselines else ()

    def problems(self, upstream: Mapping[str, Any]) -> list[tuple[str, str]]:
        return held_out_problems(self.split, upstream.get("data"))

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        tokens: Tokens = open_ref(self.data)
        subject.check(tokens)
        documents = [document for document in tokens.read(self.split) if document.text_bytes][: self.max_documents]
        if not documents:
            raise DataError(f"{self.tag}: {tokens.path} has no document in {self.split!r}", remedy="set holdout in the pack stage")
        losses = token_losses(subject, [document.tokens for document in documents], tokens.length, advance)
        nats = np.array([float(found[:-1].sum(dtype=np.float64)) for found in losses])
        counts = np.array([float(len(found) - 1) for found in losses])
        sizes = np.array([float(document.text_bytes) for document in documents])
        bits: dict[str, Any] = {}
        if self.baselines:
            decode = subject.vocabulary.decode
            texts = [decode(document.tokens, controls=False) for document in documents]
            training = [decode(document.tokens, controls=False) for document in tokens.read("train")]
            bits = {name: ByteNgram(order).fit(training).bits(texts) for name, order in BASELINES.items()}
        ids = [document.id for document in documents]
        measures = [
            Measure("bits_per_byte", "bits/byte", nats / math.log(2), sizes, baselines=bits),
            Measure("nats_per_token", "nats/token", nats, counts),
            Measure("perplexity", "per token", nats, counts, scale="exp"),
        ]
        sources = [document.source for document in documents]
        for source in sorted(set(sources)) if self.by_source and len(set(sources)) > 1 else ():
            own = np.array([source == one for one in sources], np.float64)
            measures.append(
                Measure(f"bits_per_byte/{source}", "bits/byte", nats / math.log(2) * own, sizes * own, baselines=_times(bits, own))
            )
        return SuiteResult(ids, ids, measures)


def _times(baselines: Mapping[str, Any], own: Any) -> dict[str, Any]:
    return {name: values * own for name, values in baselines.items()}
