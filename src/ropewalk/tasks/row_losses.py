"""Sums of losses over rows for heads: of sentences, of spans' ends, of preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from ropewalk.models.head_module import choice_nll

if TYPE_CHECKING:
    from ropewalk.tasks.task import TorchBatch

START, END = 1, 2
"""Bits of a token's target in a window; both where an answer is one token, or where nothing answers."""


def sentence_loss(model: Any, batch: TorchBatch) -> Tensor:
    """Binary cross-entropy of each sentence."""
    logits = model(batch.tokens, batch.documents, batch.features)
    judged = batch.targets >= 0
    return functional.binary_cross_entropy_with_logits(logits[judged].float(), batch.targets[judged].float(), reduction="sum")


def span_loss(model: Any, batch: TorchBatch) -> Tensor:
    """Cross-entropy of each answer's first and last token over the window; a token that is both counts as one."""
    assert batch.documents is not None, "rows say what each place is"
    log_start, log_end = span_log_probabilities(model(batch.tokens, batch.documents, batch.features), batch.documents)
    first, last = (((batch.targets > 0) & (batch.targets & bit > 0)).float() for bit in (START, END))
    share = 1 / (first + last).clamp(min=1)
    return -(share * (first * log_start.nan_to_num(neginf=0.0) + last * log_end.nan_to_num(neginf=0.0))).sum()


def span_log_probabilities(logits: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities (B, T) of beginning and end over the passage and the first token, which stands for no answer."""
    allowed = kinds == 2
    allowed[:, 0] = True
    masked = logits.float().masked_fill(~allowed.unsqueeze(-1), -torch.inf)
    found = masked.log_softmax(1)
    return found[..., 0], found[..., 1]


def preference_loss(model: Any, batch: TorchBatch) -> Tensor:
    """Cross-entropy of the winner: 0 for A, 1 for B, 2 for a tie."""
    return choice_nll(model(batch.tokens, batch.documents, batch.features), batch.targets[:, 0])
