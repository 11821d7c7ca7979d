"""SimPO (Meng et al. 2024): preferences without a reference model, on log-probabilities a scored token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ropewalk.tasks.task import Judged, Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class SimPO(Task, type="simpo"):
    """Makes chosen answers likelier a token than rejected ones by a margin; needs no reference."""

    reads: ClassVar[Literal["sequences", "pairs", "judged"]] = "pairs"

    beta: float = Field(default=2.0, gt=0)
    """Scale of the mean log-probabilities."""
    gamma: float = Field(default=1.0, ge=0)
    """The margin wanted between the two, after scaling."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.answers_module import summed

        return summed(self.judge(model, batch))

    def judge(self, model: Decoder, batch: TorchBatch) -> Judged:
        import torch.nn.functional as F

        from ropewalk.tasks.answers_module import answers_of, compared, log_probabilities

        rewards = self.beta * log_probabilities(model, batch) / answers_of(batch).scored  # (G, 2)
        return Judged(-F.logsigmoid(rewards[:, 0] - rewards[:, 1] - self.gamma), compared(rewards))
