"""ORPO (Hong et al. 2024): fine-tuning on the chosen answer and an odds ratio against the rejected one, in one loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ropewalk.tasks.task import Judged, Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class ORPO(Task, type="orpo"):
    """The chosen answer's mean loss a token, and the log of how much likelier than the rejected one it is; needs no reference."""

    reads: ClassVar[Literal["sequences", "pairs", "judged"]] = "pairs"

    weight: float = Field(default=0.1, ge=0)
    """Of the odds ratio (lambda in the paper)."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.answers_module import summed

        return summed(self.judge(model, batch))

    def judge(self, model: Decoder, batch: TorchBatch) -> Judged:
        import torch
        import torch.nn.functional as F

        from ropewalk.tasks.answers_module import answers_of, compared, log_probabilities

        means = log_probabilities(model, batch) / answers_of(batch).scored  # (G, 2), below 0
        others = torch.log(-torch.expm1(means.clamp(max=-1e-7)))
        odds = means - others
        losses = -means[:, 0] - self.weight * F.logsigmoid(odds[:, 0] - odds[:, 1])
        return Judged(losses, {**compared(self.weight * means), "answer_loss": -means[:, 0]})
