"""The sum of next-token losses that `lm` and `sft` share; the output layer sees the predicting rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ropewalk.models.loss_module import cross_entropy_sum

if TYPE_CHECKING:
    from torch import Tensor

    from ropewalk.models.gpt_module import Decoder
    from ropewalk.tasks.task import TorchBatch


def next_token(model: Decoder, batch: TorchBatch, label_smoothing: float = 0.0, z_loss: float = 0.0) -> Tensor:
    """Sum over the batch's targets in nats; the full logits (B, T, V) are never held."""
    hidden = model(batch.tokens, batch.positions, batch.documents).flatten(0, 1)  # (B*T, D)
    targets = batch.targets.flatten()  # (B*T,)
    if batch.trained is not None:
        hidden, targets = hidden.index_select(0, batch.trained), targets.index_select(0, batch.trained)  # (N, D), (N,)
    return cross_entropy_sum(hidden, model.head_weight, targets, label_smoothing=label_smoothing, z_loss=z_loss)
