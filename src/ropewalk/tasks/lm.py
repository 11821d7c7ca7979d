"""Language modelling: every token is predicted from those before it in its document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ropewalk.tasks.task import Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class LanguageModelling(Task, type="lm"):
    """Predicts every next token; for pretraining on packed documents."""

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the target's probability that is spread over the whole vocabulary."""
    z_loss: float = Field(default=0.0, ge=0.0)
    """Weight of the squared log of the softmax's normaliser (PaLM, 1e-4): keeps logits from drifting away."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.next_token_module import next_token

        if not model.training:
            return Loss(next_token(model, batch), batch.weight)
        return Loss(next_token(model, batch, label_smoothing=self.label_smoothing, z_loss=self.z_loss), batch.weight)
