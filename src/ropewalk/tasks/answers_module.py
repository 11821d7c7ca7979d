"""What the tasks on answers share: the log-probability of each answer, its reference, and the sums that the loop wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ropewalk.core.errors import DataError
from ropewalk.models.adapter_module import has_adapters, without_adapters
from ropewalk.models.answer_loss_module import token_losses
from ropewalk.tasks.task import Answers, Loss, TorchBatch

if TYPE_CHECKING:
    from torch import Tensor

    from ropewalk.models.gpt_module import Decoder
    from ropewalk.tasks.task import Judged


def answers_of(batch: TorchBatch) -> Answers:
    if batch.answers is None:
        raise DataError("these tokens hold no answers to shared prompts", remedy="make them with a render_pairs stage")
    return batch.answers


def log_probabilities(model: Decoder, batch: TorchBatch) -> Tensor:
    """(G, K): the sum over each answer's scored tokens, in nats; the output layer sees those only."""
    answers = answers_of(batch)
    assert batch.trained is not None, "answers always say which tokens are scored"
    hidden = model(batch.tokens, batch.positions, batch.documents).flatten(0, 1).index_select(0, batch.trained)
    losses = token_losses(hidden, model.head_weight, batch.targets.flatten().index_select(0, batch.trained))
    total = losses.new_zeros(answers.scored.numel()).index_add(0, answers.owner, -losses)
    return total.view(answers.scored.shape)


def reference_of(model: Decoder, batch: TorchBatch) -> Tensor:
    """(G, K): what was made before, or what the model gives without its adapters."""
    answers = answers_of(batch)
    if answers.reference is not None:
        return answers.reference
    if not has_adapters(model):
        raise DataError(
            "the task compares with a reference model, and none is named",
            remedy="make its log-probabilities with a logprobs stage and name that as task.reference; or train an adapter",
        )
    with torch.no_grad(), without_adapters(model):
        return log_probabilities(model, batch)


def summed(judged: Judged) -> Loss:
    """Sums over the groups, as the loop adds them."""
    return Loss(judged.losses.sum(), len(judged.losses), {name: values.detach().sum() for name, values in judged.measures.items()})


def compared(rewards: Tensor) -> dict[str, Tensor]:
    """Measures of the rewards (G, 2) of chosen and rejected answers; equal ones count as half right."""
    chosen, rejected = rewards.detach().unbind(1)
    right = (chosen > rejected).float() + 0.5 * (chosen == rejected).float()
    return {"reward_chosen": chosen, "reward_rejected": rejected, "margin": chosen - rejected, "accuracy": right}
