"""Supervised fine-tuning: only the tokens that the data marks as trained (the answers) are predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ropewalk.tasks.task import Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class SupervisedFineTuning(Task, type="sft"):
    """Predicts the answers of rendered chats; the output layer sees trained tokens only."""

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the target's probability that is spread over the whole vocabulary."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.next_token_module import next_token

        smoothing = self.label_smoothing if model.training else 0.0
        return Loss(next_token(model, batch, label_smoothing=smoothing), batch.weight)
