"""The task family: a task turns a batch into a sum of losses and its weight; the loop does everything else.

Sums, never means: the loop divides by the weight of the whole optimizer step, which is known before its first
micro-batch, so that accumulation, packing and a short last batch are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from ropewalk.core.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from ropewalk.models.gpt_module import Decoder


@dataclass(frozen=True)
class Answers:
    """What a micro-batch of answers to shared prompts holds beside its tokens; G groups of K answers."""

    owner: Tensor  # (N,) int64: the answer, group * K + number in the group, of each scored token
    scored: Tensor  # (G, K) float32: scored tokens of each answer, 0 where there is none
    reference: Tensor | None  # (G, K) float32: the reference model's log-probabilities, where they were made before


@dataclass(frozen=True)
class TorchBatch:
    """A micro-batch on the device; see `data/loader.py` for what the columns mean."""

    tokens: Tensor  # (B, T) int64
    targets: Tensor  # (B, T) int64, -100 where nothing is predicted
    positions: Tensor | None  # (B, T) int64; None where each row counts from 0
    documents: Tensor | None  # (B, T) int32, 0 = padding; None where causal attention alone is exact
    trained: Tensor | None  # (N,) int64 rows of the flattened batch that predict something; None where all do
    weight: int
    """Number of predicted tokens, or of groups of answers."""
    answers: Answers | None = None
    """Where rows hold answers to shared prompts."""
    features: Tensor | None = None  # (B, T, F) of rows for a head


class Loss(NamedTuple):
    """`total / weight` is the mean that people read; only sums are ever added."""

    total: Tensor
    """Scalar: the sum over the predicted tokens (or groups of answers), in nats, with a gradient when training."""
    weight: int
    measures: Mapping[str, Tensor] = {}
    """Other sums over the same, for people: rewards, accuracy and the like."""


class Judged(NamedTuple):
    """What a task says of each group of answers."""

    losses: Tensor  # (G,) in nats, with a gradient when training
    measures: Mapping[str, Tensor]  # (G,) each


class Task(Component, family="task", folders=("ropewalk.tasks",)):
    """What is learned from a batch."""

    reads: ClassVar[Literal["sequences", "pairs", "judged"]] = "sequences"
    """Sequences of tokens, or groups of answers to one prompt as `render_pairs` makes them."""
    whole_batch: ClassVar[bool] = False
    """Whether a loss is one of the whole update, so that no smaller micro-batch gives the same."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        """The sum to be minimised over a micro-batch that predicts at least one token.

        For a model in evaluation mode it leaves out what only training needs (smoothing, penalties).
        """
        raise TypeError(f"task {self.tag!r} has no loss()")

    def judge(self, model: Decoder, batch: TorchBatch) -> Judged:
        """The same by groups of answers, for tasks that read those."""
        raise TypeError(f"task {self.tag!r} has no judge()")
