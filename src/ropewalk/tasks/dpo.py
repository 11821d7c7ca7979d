"""Direct preference optimisation (Rafailov et al. 2023) and its kin with a reference model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ropewalk.core.reference import Ref
from ropewalk.data.logprobs import LogProbs
from ropewalk.tasks.task import Judged, Loss, Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder


class DPO(Task, type="dpo"):
    """Makes chosen answers likelier than rejected ones, measured against a reference model; the mean is over pairs."""

    reads: ClassVar[Literal["sequences", "pairs", "judged"]] = "pairs"

    reference: Ref[LogProbs] | None = None
    """The reference's log-probabilities, from a logprobs stage. An adapter needs none: its base is the reference."""
    beta: float = Field(default=0.1, gt=0)
    """How close to the reference the model stays; larger is closer."""
    form: Literal["sigmoid", "hinge", "ipo", "robust"] = "sigmoid"
    """sigmoid: DPO; hinge: SLiC (Zhao et al. 2023); ipo: a squared distance on log-probabilities a scored token (Azar et al. 2023);
    robust: unbiased where a share of the labels is wrong (Chowdhury et al. 2024)."""
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=0.5)
    """Share of pairs whose label is taken to be wrong: with sigmoid this is conservative DPO (Mitchell 2023). Training only."""

    def loss(self, model: Decoder, batch: TorchBatch) -> Loss:
        from ropewalk.tasks.answers_module import summed

        return summed(self.judge(model, batch))

    def judge(self, model: Decoder, batch: TorchBatch) -> Judged:
        import torch.nn.functional as F

        from ropewalk.tasks.answers_module import answers_of, compared, log_probabilities, reference_of

        scored = answers_of(batch).scored
        ratios = log_probabilities(model, batch) - reference_of(model, batch)  # (G, 2)
        wrong = self.label_smoothing if model.training else 0.0
        if self.form == "ipo":
            each = ratios / scored
            losses = (each[:, 0] - each[:, 1] - 0.5 / self.beta).square()
        else:
            logits = self.beta * (ratios[:, 0] - ratios[:, 1])
            if self.form == "hinge":
                losses = F.relu(1 - logits)
            elif self.form == "robust":
                losses = ((wrong - 1) * F.logsigmoid(logits) + wrong * F.logsigmoid(-logits)) / (1 - 2 * wrong)
            else:
                losses = (wrong - 1) * F.logsigmoid(logits) - wrong * F.logsigmoid(-logits)
        away = -(ratios.detach() / scored).mean(1)
        return Judged(losses, {**compared(self.beta * ratios), "kl": away})
