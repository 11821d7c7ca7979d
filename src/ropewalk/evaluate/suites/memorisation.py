"""Memorisation: which spans of its training text a model gives back word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.core.seed import numpy_generator
from ropewalk.data.tokens import Split, Tokens
from ropewalk.evaluate.likelihood import Ask, likelihoods
from ropewalk.evaluate.scores import Measure, SuiteResult
from ropewalk.evaluate.scoring import Subject
from ropewalk.evaluate.suites.suite import Suite


class Memorisation(Suite, type="memorisation"):
    """The share of spans that greedy writing gives back whole after the tokens before them (Carlini et al. 2021), and their loss.

    A second one with `split: holdout` says how much of that is mere predictability. Each item is named by its document's id,
    by which `ropewalk why` tells where it comes from.
    """

    measures: ClassVar[tuple[str, ...]] = ("extractable", "nats_per_token")

    data: Ref[Tokens]
    """Packed documents."""
    split: Split = "train"
    """Which part."""
    prefix_tokens: int = Field(default=32, ge=1)
    """Tokens that are given."""
    span_tokens: int = Field(default=32, ge=1)
    """Tokens that must come back."""
    max_documents: int = Field(default=500, ge=1)
    """How many documents are drawn, one span each."""
    seed: int = 0
    """Of the draw."""

    def run(self, subject: Subject, open_ref: Callable[[Ref[Any]], Any], advance: Callable[[int], None]) -> SuiteResult:
        tokens: Tokens = open_ref(self.data)
        subject.check(tokens)
        size = self.prefix_tokens + self.span_tokens
        if size - 1 > subject.module.shape.context:
            raise DataError(f"{self.title}: {size} tokens are more than the model's context of {subject.module.shape.context}")
        fitting = [document for document in tokens.read(self.split) if len(document.tokens) >= size]
        if not fitting:
            raise DataError(f"{self.title}: no document of {size} tokens in {self.split!r}", remedy="lower prefix_tokens and span_tokens")
        order = numpy_generator(self.seed, "memorisation").permutation(len(fitting))[: self.max_documents]
        chosen = [fitting[place] for place in sorted(order.tolist())]
        asks = [Ask(one.tokens[: self.prefix_tokens], (one.tokens[self.prefix_tokens : size],)) for one in chosen]
        found = [one[0] for one in likelihoods(subject, asks, advance)]
        ids = [document.id for document in chosen]
        details = [
            {
                "asked": subject.vocabulary.decode(ask.context),
                "right": subject.vocabulary.decode(ask.continuations[0]),
                "source": one.source,
            }
            for ask, one in zip(asks, chosen, strict=True)
        ]
        measures = [
            Measure("extractable", "share", np.array([float(one.greedy) for one in found]), np.ones(len(found)), scale="proportion"),
            Measure("nats_per_token", "nats/token", np.array([-one.nats for one in found]), np.full(len(found), float(self.span_tokens))),
        ]
        return SuiteResult(ids, ids, measures, {"left_out": len(fitting) - len(chosen), "truncated": 0, "failed": 0}, details)
