"""Arena preference: which of two answers people like better, or neither; blind to their order by construction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ropewalk.tasks.task import Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class Preference(Task, type="preference"):
    """Learns from rows of `pair_rows`: cross-entropy over A, B and tie."""

    formulation: Literal["classes", "davidson"] = "classes"
    """`classes`: the tie has features of its own. `davidson`: Bradley and Terry's strengths with ties after Davidson (1970):
    p(tie) is one constant times the root of both strengths."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.row_losses import preference_loss

        return Loss(preference_loss(model, batch), batch.weight)
