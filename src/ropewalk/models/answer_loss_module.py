"""Each target's own loss with a gradient, without the full logits (N, V): for tasks that weigh answers against each other.

The weights that tokens get are known on the way back only, so a chunk's probabilities are kept where they are small, and
computed again where they are not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ropewalk.models.loss_module import rows_at_once

KEPT_BYTES = 64 << 20  # of probabilities kept between the ways forward and back: saves one product of four


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, wants_gradient: bool) -> Tensor:
        kernel, chunk = weight.to(hidden.dtype), rows_at_once(weight)
        losses = hidden.new_empty(hidden.size(0), dtype=torch.float32)
        keep = wants_gradient and 4 * hidden.size(0) * weight.size(0) <= KEPT_BYTES
        kept = []
        for start in range(0, hidden.size(0), chunk):
            part = slice(start, start + chunk)
            logits = (hidden[part] @ kernel.T).float()
            normaliser = logits.logsumexp(-1, keepdim=True)
            losses[part] = (normaliser - logits.gather(1, targets[part].unsqueeze(1))).squeeze(1)
            if keep:
                kept.append(logits.sub_(normaliser).exp_())
        ctx.save_for_backward(hidden, weight, targets, *kept)
        return losses

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, *kept = ctx.saved_tensors
        factors = outer[0].unsqueeze(1)
        kernel, chunk = weight.to(hidden.dtype), rows_at_once(weight)
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for number, start in enumerate(range(0, hidden.size(0), chunk)):
            part = slice(start, start + chunk)
            rows, wished = hidden[part], targets[part].unsqueeze(1)
            slope = (kept[number] if kept else (rows @ kernel.T).float().softmax(-1)) * factors[part]
            slope = slope.scatter_add_(1, wished, -factors[part]).to(hidden.dtype)
            if of_hidden is not None:
                of_hidden[part] = slope @ kernel
            if of_weight is not None:
                of_weight += (slope.T @ rows).to(weight.dtype)
        return of_hidden, of_weight, None, None


def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(hidden (N, D) @ weight (V, D).T)[targets (N,)] of each row, in nats, fp32."""
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    with torch.autocast(hidden.device.type, enabled=False):
        found: Tensor = _TokenLosses.apply(hidden, weight, targets, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
    return found
