"""The task family: a task turns a batch into a sum of losses and its weight; the loop does everything else.

Sums, never means: the loop divides by the weight of the whole optimizer step, which is known before its first
micro-batch, so that accumulation, packing and a short last batch are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ropewalk.core.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from ropewalk.models.gpt_module import Decoder


@dataclass(frozen=True)
class TorchBatch:
    """A micro-batch on the device; see `data/loader.py` for what the columns mean."""

    tokens: Tensor  # (B, T) int64
    targets: Tensor  # (B, T) int64, -100 where nothing is predicted
    positions: Tensor | None  # (B, T) int64; None where each row counts from 0
    documents: Tensor | None  # (B, T) int32, 0 = padding; None where causal attention alone is exact
    trained: Tensor | None  # (N,) int64 rows of the flattened batch that predict something; None where all do
    weight: int
    """Number of predicted tokens."""
    features: Tensor | None = None  # (B, T, F) of rows for a head


class Loss(NamedTuple):
    """`total / weight` is the mean that people read; only sums are ever added."""

    total: Tensor
    """Scalar: the sum over the predicted tokens, in nats, with a gradient when training."""
    weight: int


class Task(Component, family="task", folders=("ropewalk.tasks",)):
    """What is learned from a batch."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        """The sum to be minimised over a micro-batch that predicts at least one token.

        For a model in evaluation mode it leaves out what only training needs (smoothing, penalties).
        """
        raise TypeError(f"task {self.tag!r} has no loss()")
