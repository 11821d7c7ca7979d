"""Arena preference: which of two answers people like better, or neither; blind to their order by construction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ropewalk.tasks.task import Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class Preference(Task, type="preference"):
    """Learns from rows of `pair_rows`: cross-entropy over A, B and tie."""

    formulation: Literal["classes", "davidson"] = "classes"
    """`classes`: the tie has features of its own. `davidson`: Bradley and Terry's strengths with ties after Davidson (1970):
    p(tie) is one constant times the root of both strengths."""

    penalty: Annotated[float, Field(ge=0)] = 0.1
    """L2 penalty on the head's weights, a row of training. Prompts differ more than pairs do, so a few hundred pairs need much of it."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.row_losses import preference_loss

        total = preference_loss(model, batch)
        if model.training and self.penalty:
            squares = [weight.square().sum() for name, weight in model.named_parameters() if name.endswith("head.weight")]
            total = total + 0.5 * self.penalty * batch.weight * sum(squares)
        return Loss(total, batch.weight)
