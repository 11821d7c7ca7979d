"""KTO (Ethayarajh et al. 2024): answers that were judged good or bad one by one, against a reference model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ropewalk.core.reference import Ref
from ropewalk.data.logprobs import LogProbs
from ropewalk.tasks.task import Judged, Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class KTO(Task, type="kto"):
    """Makes good answers likelier and bad ones less so, from judgements without pairs (render_pairs with judged: true).

    Its reference point is a mean over the update's answers to other prompts, so an update is computed in one piece.
    """

    reads: ClassVar[Literal["sequences", "pairs", "judged"]] = "judged"
    whole_batch: ClassVar[bool] = True

    reference: Ref[LogProbs] | None = None
    """The reference's log-probabilities, from a logprobs stage. An adapter needs none: its base is the reference."""
    beta: float = Field(default=0.1, gt=0)
    """How close to the reference the model stays; larger is closer."""
    good_weight: float = Field(default=1.0, gt=0)
    """Of good answers; raise it where they are few."""
    bad_weight: float = Field(default=1.0, gt=0)
    """Of bad ones."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.answers_module import summed

        return summed(self.judge(model, batch))

    def judge(self, model: Decoder, batch: TorchBatch) -> Judged:
        import torch

        from ropewalk.tasks.answers_module import answers_of, log_probabilities, reference_of

        scored = answers_of(batch).scored
        ratios = log_probabilities(model, batch) - reference_of(model, batch)  # (G, 3): good, bad, another prompt's answer
        point = ratios[:, 2].detach().mean().clamp(min=0)
        good = scored[:, 0] > 0
        own = torch.where(good, ratios[:, 0], -ratios[:, 1])
        value = torch.sigmoid(self.beta * torch.where(good, own - point, own + point))
        weights = torch.where(good, self.good_weight, self.bad_weight)
        rewards = self.beta * torch.where(good, ratios[:, 0], ratios[:, 1]).detach()
        right = torch.where(good, rewards > 0, rewards < 0).float()
        return Judged(weights * (1 - value), {"reward": rewards, "accuracy": right, "kl": point.expand(len(good))})
